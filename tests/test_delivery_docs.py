"""What `docs/delivery.md` says of settings is what the job knows."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from converter import Job
from converter.delivery.destinations import SCHEMES

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs" / "delivery.md").read_text()


def test_every_scheme_is_named() -> None:
    assert set(re.findall(r"`([a-z0-9]+)://", DOCS)) | {"", "file"} == set(SCHEMES)


def test_examples_can_be_read() -> None:
    policy = json.loads((ROOT / "examples" / "s3" / "write-inbound.json").read_text())
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    table = set(re.findall(r"^\| `(s3:[A-Za-z]+)` \|", DOCS, re.MULTILINE))
    assert actions == table
    (text,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    needed = {"input": {"path": "x"}, "id": {"column": "x"}, "record": {"signals": ["x"]}}
    job = Job(**needed, **tomllib.loads(text))
    assert job.output.url == "s3://demdex-s2s-clients"
