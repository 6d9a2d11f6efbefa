"""What shells complete: asked as bash, zsh and fish ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from converter.jobs.comparison import Comparison
from converter.jobs.job import Job, Transfer
from converter.jobs.messages import all_keys
from converter.spec.ids import ID_TYPES

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crm.csv").write_text('crm_id,Last Name,city,"a\nb"\n1,x,y,z\n')
    Path("site.txt").write_text("visitor\nx\n")
    pl.DataFrame({"user": [1], "clicks": [2]}).write_parquet("crm.data")
    Path("jobs").mkdir()
    Path("jobs/job.toml").write_text('[input]\npath = "../crm.csv"\n')
    Path("jobs/wrong.toml").write_text("[input\n")


def ask(line: str, shell: str, **variables: str) -> str:
    variables["_AAM_INBOUND_COMPLETE"] = f"complete_{shell}"
    done = subprocess.run(
        [sys.executable, "-m", "converter"], env=ENVIRONMENT | variables, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def complete(line: str) -> list[str]:
    """Return what bash is offered for a line."""
    words = line.split(" ")
    return ask(line, "bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)).split("\n")[:-1]


@pytest.mark.parametrize(
    "line, expected",
    [
        ("convert --mode ", ["sync", "overwrite"]),
        ("convert --mode o", ["overwrite"]),
        ("convert --format p", ["parquet"]),
        ("convert --id-type g", ["gaid"]),
        ("convert crm.csv --id ", ["crm_id", r"Last\ Name", "city"]),
        ("convert crm.csv --signal city --signal c", ["crm_id", "city"]),
        ("convert crm.csv --trait c", ["crm_id", "city"]),
        ("convert --input crm.csv --id c", ["crm_id", "city"]),
        ("convert jobs/job.toml --id c", ["crm_id", "city"]),
        ("convert crm.data --format parquet --id ", ["user", "clicks"]),
        ("convert crm.data --set input.format=parquet --id ", ["user", "clicks"]),
        ("sync-urls crm.csv --format ndjson --id c", ["crm_id", "city"]),
        ("sync-urls jobs/job.toml --id c", ["crm_id", "city"]),
        ("match crm.csv site.txt --id c", ["crm_id", "city"]),
        ("match crm.csv site.txt --site-id ", ["visitor"]),
        ("convert --set output.comp", [f"output.compression={name}" for name in ("gzip", "none", "pgp")]
            + [f"output.compression_level={name}" for name in ("fast", "balanced", "small")]),
        ("send x.gz --set output.mo", []),
        ("send x.gz --set s3.reg", ["s3.region="]),
        ("match a b --set site.sep", ["site.separator="]),
    ],
)  # fmt: skip
def test_values_are_completed(line: str, expected: list[str]) -> None:
    assert complete(f"aam-inbound {line}") == (expected or [""])


@pytest.mark.parametrize(
    "given", ["", "missing.csv", "crm.data", "jobs/wrong.toml", "s3://bucket/crm.csv", "jobs", "-"]
)
def test_nothing_is_said_where_the_columns_are_not_known(given: str) -> None:
    assert complete(f"aam-inbound convert {given} --id ".replace("  ", " ")) == [""]


def test_every_type_and_every_key_is_offered() -> None:
    assert set(complete("aam-inbound convert --id-type ")) == {*ID_TYPES, "auto"}
    for command, document in (("convert", Job), ("send", Transfer), ("match", Comparison)):
        offered = {each.partition("=")[0] for each in complete(f"aam-inbound {command} --set ")}
        assert offered == set(all_keys(document))


def test_other_shells_show_what_a_value_means() -> None:
    line = "aam-inbound convert --id-type g"
    assert "Google advertising ID" in ask(line, "zsh", _TYPER_COMPLETE_ARGS=line)
    line = "aam-inbound convert crm.csv --id La"
    shown = ask(line, "fish", _TYPER_COMPLETE_ARGS=line, _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert shown.strip() == "Last Name"


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    "words, expected",
    [
        ("convert crm.csv --id L", [r"Last\ Name"]),
        ("convert --set output.mode =", ["sync", "overwrite"]),
        ("convert --set output.mode = o", ["overwrite"]),
        ("convert --mode = o", ["overwrite"]),
        ("convert crm.data --set input.format = parquet --id u", ["user"]),
        ("convert crm.csv --set output.mode = --id c", ["crm_id", "city"]),
    ],
)
def test_bash_completes_by_the_script_that_is_installed(tmp_path: Path, words: str, expected: list[str]) -> None:
    command = tmp_path / "aam-inbound"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m converter "$@"\n')
    command.chmod(0o755)
    script = (
        'eval "$(aam-inbound --show-completion bash)"; COMP_WORDS=(aam-inbound $WORDS); '
        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _aam_inbound_completion aam-inbound; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        "WORDS": words,
    }
    done = subprocess.run(
        ["bash", "-c", script], env=ENVIRONMENT | variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:-1] == expected
