"""What `docs/delivery.md` says of settings is what the job knows."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from converter import Job
from converter.delivery.destinations import SCHEMES

DOCS = (Path(__file__).parent.parent / "docs" / "delivery.md").read_text()


def test_every_scheme_is_named() -> None:
    assert set(re.findall(r"`([a-z0-9]+)://", DOCS)) | {"", "file"} == set(SCHEMES)


def test_examples_can_be_read() -> None:
    (policy,) = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
    actions = {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}
    table = set(re.findall(r"^\| `(s3:[A-Za-z]+)` \|", DOCS, re.MULTILINE))
    assert actions == table - {"s3:PutObjectAcl"}
    (text,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    needed = {"input": {"path": "x"}, "id": {"column": "x"}, "record": {"signals": ["x"]}}
    job = Job(**needed, **tomllib.loads(text))
    assert job.output.url == "s3://demdex-s2s-clients"
