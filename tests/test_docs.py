"""The README names every key, flag, rule and exit code, and nothing that is not there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from converter import Job
from converter.cli.app import app
from converter.errors import ConverterError, JobError, TooManyRejectsError
from converter.jobs.messages import all_keys
from converter.jobs.sections.ids import Sync
from converter.spec import rules
from converter.spec.ids import ID_TYPES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DELIVERY = (ROOT / "docs" / "delivery.md").read_text()


def test_every_key_of_a_job_is_in_the_table_and_no_other() -> None:
    rows = re.findall(r"^\| ((?:`[a-z0-9]+\.[a-z_0-9]+`(?:, )?)+) \|", README + DELIVERY, re.MULTILINE)
    named = {name for row in rows for name in re.findall("`([^`]+)`", row)}
    assert named == set(all_keys(Job))


def test_defaults_in_the_table_are_those_of_the_job() -> None:
    shown = dict(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| `([^`]*)` \|", README, re.MULTILINE))
    job = Job(input={"path": "x"}, id={"column": "x"}, record={"signals": ["x"]}, output={"to": "x", "dpid": 1})
    for key, default in shown.items():
        section, _, name = key.partition(".")
        data = {
            "input": {"path": "x"},
            "id": {"column": "x"},
            "record": {"signals": ["x"]},
            "output": {"to": "x", "dpid": 1},
        }
        value = default if default not in ("true", "false") else default == "true"
        if section == "sync":  # which is for other jobs
            assert Sync.model_fields[name].default == value
            continue
        data.setdefault(section, {})[name] = value
        assert Job(**data) == job, key


def test_every_flag_is_in_the_table_and_no_other() -> None:
    for name, begin, end in (
        ("convert", "`aam-inbound convert [JOB.toml", "`aam-inbound doctor"),
        ("send", "| flag of `send`", "Also `aam-inbound schema`"),
        ("match", "| flag of `match`", "## How fast"),
    ):
        command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
        flags = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        table = README[README.index(begin) : README.index(end)]
        named = set(re.findall(r"`(?:-[a-z]`, `)?(--[a-z-]+)", table))
        assert named == flags - {"--help"}


def test_every_rule_is_in_the_tables_with_its_code() -> None:
    named = [value for value in vars(rules).values() if isinstance(value, rules.Rule | rules.IdRule)]
    named += [rule for type_ in ID_TYPES.values() for rule in rules.id_rules(type_)] + list(rules.line_rules(10))
    table = README[README.index("## What becomes of a row") :]
    for rule in named:
        (row,) = [
            line for line in table.splitlines() if line.startswith("|") and f"`{rule.name}`" in line.split("|")[1]
        ]
        assert rule.code in row.split("|")[2], rule.name


def test_every_id_type_is_named() -> None:
    (row,) = [line for line in README.splitlines() if line.startswith("| `id.type` |")]
    assert set(re.findall("`([a-z_]+)`", row.split("|")[3])) == {*ID_TYPES, "auto"}


@pytest.mark.parametrize("error, code", [(ConverterError, 1), (JobError, 2), (TooManyRejectsError, 3)])
def test_exit_codes_are_those_of_the_errors(error: type[ConverterError], code: int) -> None:
    assert error.exit_code == code
    assert re.search(rf"^\| {code} \|", README, re.MULTILINE)


def test_the_job_file_of_the_readme_is_a_job() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert Job(**tomllib.loads(text)).columns == ("crm_id", "gender", "city", "trait_ids")
