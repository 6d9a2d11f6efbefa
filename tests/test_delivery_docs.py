"""What `docs/delivery.md` says of settings is what the job knows."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from converter import Job
from converter.delivery.destinations import SCHEMES
from converter.jobs.sections.output import Output
from converter.jobs.sections.run import RunOptions

DOCS = (Path(__file__).parent.parent / "docs" / "delivery.md").read_text()
ROWS = {
    key: default.strip() for key, default in re.findall(r"^\| `([a-z0-9]+\.[a-z_]+)` \|([^|]*)\|", DOCS, re.MULTILINE)
}


@pytest.mark.parametrize("section", ["s3", "ftp", "sftp"])
def test_every_key_of_a_destination_is_in_its_table_and_no_other(section: str) -> None:
    field = Job.model_fields[section].annotation
    assert field is not None
    assert {key for key in ROWS if key.startswith(f"{section}.")} == {
        f"{section}.{name}" for name in field.model_fields
    }


def test_keys_and_defaults_are_those_of_the_job() -> None:
    needed = {"input": {"path": "x"}, "id": {"column": "x"}, "record": {"signals": ["x"]}}
    job = Job(**needed, output={"to": "x", "dpid": 1})
    for key, default in ROWS.items():
        section, _, name = key.partition(".")
        assert name in type(getattr(job, section)).model_fields
        if shown := re.fullmatch("`([^`]*)`", default):
            value = {"true": True, "false": False}.get(shown[1], shown[1])
            if name == "known_hosts":  # the system's, when left out
                continue
            sections = {**needed, "output": {"to": "x", "dpid": 1}}
            sections.setdefault(section, {})[name] = value
            assert getattr(getattr(Job(**sections), section), name) == getattr(getattr(job, section), name), key
        else:
            assert not getattr(getattr(job, section), name), f"{key} has a default"


def test_keys_of_delivery_are_named() -> None:
    for section, names in (
        (Output, "environment partner publish uploads bandwidth retry_seconds"),
        (RunOptions, "spill_dir"),
    ):
        for name in names.split():
            assert name in section.model_fields
            assert f"{section.__name__.lower()}.{name}" in ROWS


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
