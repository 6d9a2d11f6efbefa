"""How commands end: one outcome for people and programs, one exit code, whatever can or cannot be printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from converter.report.terminal import summary
from converter.report.texts import figure

from .conftest import Run
from .errors import check_told
from .test_cli import ENVIRONMENT, JOB, NAMED, STEM, command, files

CONVERT = ["convert", "job.toml"]
DOCTOR = ["doctor", "job.toml"]
MATCH = ["match", "in.csv", "in.csv"]
SEND = ["send", NAMED, "--to", "sent"]
SYNC = ["sync-urls", "in.csv", "--id", "id", "--dpid", "12345", "-o", "urls.csv"]
EVERY = {args[0]: args for args in (CONVERT, DOCTOR, MATCH, SEND, SYNC, ["schema"])}
every = pytest.mark.parametrize("args", EVERY.values(), ids=EVERY)
SECRET = "john.doe@example.com"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text("id,a\ncustomer-0001,x\ncustomer-0002,y\n")
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / NAMED).write_text('customer-0001\t"a"="x"\n')
    return tmp_path


def told(out: str) -> dict[str, Any]:
    """Return the one object on standard output; it has what every outcome has."""
    outcome = json.loads(out)
    assert out.endswith("}\n")
    assert outcome["outcome"] in ("done", "nothing to do", "refused", "failed", "stopped")
    assert (outcome["error"] is None) == (outcome["exit_code"] == 0)
    assert isinstance(outcome["warnings"], list)
    assert isinstance(outcome, dict)
    return outcome


def shell(folder: Path, args: list[str], around: str) -> tuple[int, str]:
    """Run a command in a shell, as `around` says; its exit code, and standard error."""
    line = around.replace("COMMAND", f"'{sys.executable}' -m converter {' '.join(args)}")
    done = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    return done.returncode, done.stderr


def patched(folder: Path, before: str, *args: str) -> tuple[int, str, str]:
    """Run the command after some lines of Python."""
    code = f"import sys\nfrom converter.cli import main\n{before}\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


# --- JSON -------------------------------------------------------------------------------------------------------

FIELDS = {
    "convert": {"name", "records", "parts", "input", "schema_version"},
    "doctor": {"findings"},
    "match": {"crm", "recommended"},
    "send": {"parts"},
    "sync-urls": {"read", "written", "rejected", "skipped"},
    "schema": {"schema"},
}


@every
def test_what_a_command_did_is_one_object(args: list[str], folder: Path) -> None:
    code, out, _ = command(folder, *args, "--json")
    outcome = told(out)
    assert (code, outcome["outcome"], outcome["exit_code"]) == (0, "done", 0)
    assert outcome.keys() >= FIELDS[args[0]]


@every
def test_a_wrong_command_line_is_one_object(args: list[str], folder: Path) -> None:
    code, out, error = command(folder, *args, "--bogus", "--json")
    outcome = told(out)
    assert (code, outcome["outcome"], outcome["exit_code"]) == (2, "failed", 2)
    assert outcome["error"]["code"] == "E-USAGE"
    assert "--bogus" in outcome["error"]["message"]
    check_told(error, "E-USAGE", "--bogus", f"{args[0]} --help")


@pytest.mark.parametrize(
    "args, exit_code, name, code",
    [
        (["convert", "none.toml"], 2, "failed", "E-JOB-MISSING"),
        (["convert", "none.toml", "--dry-run"], 2, "failed", "E-JOB-MISSING"),
        ([*CONVERT, "--input", "none.csv"], 1, "failed", "E-INPUT-MISSING"),
        ([*CONVERT, "--input", "bad.csv"], 3, "refused", "E-TOO-MANY-REJECTS"),
        ([*DOCTOR, "--set", "input.path=none.csv"], 1, "failed", "E-INPUT-MISSING"),
        (["match", "in.csv", "none.csv"], 1, "failed", "E-INPUT-MISSING"),
        (["send", "none", "--to", "sent"], 1, "failed", "E-INPUT-READ"),
        ([*SYNC[:-2], "-o", "in.csv"], 1, "failed", "E-OUTPUT-TAKEN"),
        (SYNC[:-2], 2, "failed", "E-USAGE"),
    ],
)
def test_a_failure_is_one_object(args: list[str], exit_code: int, name: str, code: str, folder: Path) -> None:
    (folder / "bad.csv").write_text("id,a\ncustomer:0001,x\n")
    done, out, _ = command(folder, *args, "--json")
    outcome = told(out)
    assert (done, outcome["exit_code"], outcome["outcome"]) == (exit_code, exit_code, name)
    assert outcome["error"]["code"] == code
    assert outcome["error"]["message"]


def test_a_dry_run_is_one_object_with_ids_masked(folder: Path) -> None:
    code, out, _ = command(folder, *CONVERT, "--dry-run", "--json")
    assert code == 0
    assert told(out)["name"] == STEM
    assert told(out)["first_rows"][0] == {"fate": "written", "id": "cu…01", "signals": '"a"="x"'}
    assert "customer-000" not in out
    assert files(folder) == {"in.csv", "job.toml", NAMED}


def test_the_report_is_what_json_shows(folder: Path) -> None:
    outcome = told(command(folder, *CONVERT, "--json")[1])
    (path,) = (folder / "reports").glob(f"{STEM}.*.report.json")
    report = json.loads(path.read_bytes())
    assert outcome == report | {"outcome": "done", "exit_code": 0, "error": None}


# --- errors that nobody had thought of --------------------------------------------------------------------------

BREAKS = {
    "an error": f"raise ValueError({SECRET!r})",
    "a panic": f"import polars as pl; raise pl.exceptions.PanicException({SECRET!r})",
    "a pipe": f"raise BrokenPipeError({SECRET!r})",
    "an end": f"raise EOFError({SECRET!r})",
}


@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize("flags", [[], ["--debug"], ["--json"]], ids=str)
def test_what_nobody_had_thought_of_is_told_by_its_type(fault: str, flags: list[str], folder: Path) -> None:
    before = f"import converter.jobs.job\ndef broken(*_, **__): {fault}\nconverter.jobs.job.Job.load = broken"
    code, out, error = patched(folder, before, *CONVERT, *flags)
    assert code == 1
    assert SECRET not in out + error
    *trace, last = error.splitlines()
    check_told(f"{last}\n", "E-INTERNAL", "--debug")
    assert bool(trace) == ("--debug" in flags)
    assert any(line.endswith("in broken") for line in trace) == ("--debug" in flags)
    if "--json" in flags:
        assert told(out)["error"]["code"] == "E-INTERNAL"


@pytest.mark.parametrize("flags", [[], ["--debug"]], ids=str)
def test_what_libraries_print_below_python_is_never_shown(flags: list[str], folder: Path) -> None:
    before = (
        "import os, converter.jobs.job\n"
        f"def broken(*_, **__): os.write(2, b'{SECRET}'); raise ValueError\n"
        "converter.jobs.job.Job.load = broken"
    )
    code, _, error = patched(folder, before, *CONVERT, *flags)
    assert code == 1
    assert "E-INTERNAL" in error
    assert SECRET not in error


def test_what_a_destructor_raises_is_no_line_of_its_own(folder: Path) -> None:
    before = (
        "import converter.jobs.job\n"
        "load = converter.jobs.job.Job.load\n"
        "class Lost:\n"
        f"    def __del__(self): raise ValueError({SECRET!r})\n"
        "def lossy(*a, **b):\n"
        "    Lost()\n"
        "    return load(*a, **b)\n"
        "converter.jobs.job.Job.load = lossy"
    )
    assert patched(folder, before, *CONVERT, "--quiet") == (0, "", "")


# --- progress for programs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args, code, last",
    [
        ([*CONVERT], 0, "done"),
        ([*CONVERT, "--dry-run"], 0, "done"),
        ([*CONVERT, "--resume", "--debug"], 0, "done"),
        ([*CONVERT, "--bogus"], 2, "error"),
        ([*CONVERT, "--input", "none.csv", "--debug"], 1, "error"),
        ([*CONVERT, "--to", "in.csv/out"], 1, "error"),
    ],
)
@pytest.mark.parametrize("flags", [["--progress", "json"], ["--progress=json"]], ids=len)
def test_every_line_is_an_object(args: list[str], code: int, last: str, flags: list[str], folder: Path) -> None:
    done, _, error = command(folder, *args, *flags)
    lines = [json.loads(line) for line in error.splitlines()]
    assert (done, lines[-1]["event"]) == (code, last)
    assert {line["event"] for line in lines} <= {"progress", "notice", "warning", "error", "done", "trace"}
    assert ("trace" in {line["event"] for line in lines}) == ("--debug" in args and code > 0)
    if last == "error":
        assert lines[-1]["code"].startswith("E-")
        assert lines[-1]["message"]


# --- output that cannot be printed ------------------------------------------------------------------------------

LOST = {
    "nobody reads it": "COMMAND | true",
    "the disk is full": "COMMAND >/dev/full",
    "it is closed": "COMMAND >&-",
    "both are closed": "COMMAND >&- 2>&-",
    "both are full": "COMMAND >/dev/full 2>&1",
    "nobody reads either": "COMMAND 2>&1 | true",
    "all is closed": "COMMAND <&- >&- 2>&-",
    "errors are closed": "COMMAND 2>&-",
}
lost = pytest.mark.parametrize("around", LOST.values(), ids=LOST)


@lost
@pytest.mark.parametrize("flags", [[], ["--json"], ["--progress", "json", "--json"]], ids=str)
def test_parts_that_are_out_are_out_whatever_can_be_printed(around: str, flags: list[str], folder: Path) -> None:
    code, error = shell(folder, [*CONVERT, *flags], around)
    assert code == 0
    assert ("[W-OUTPUT-LOST]" in error or '"W-OUTPUT-LOST"' in error) is (around == LOST["the disk is full"])
    assert "Traceback" not in error
    assert "Exception" not in error
    assert f"out/{STEM}.1.gz" in files(folder)
    assert list((folder / "reports").glob(f"{STEM}.*.report.json"))


@lost
def test_files_that_are_sent_are_sent_whatever_can_be_printed(around: str, folder: Path) -> None:
    code, error = shell(folder, SEND, around)
    assert code == 0
    assert "Traceback" not in error
    assert f"sent/{NAMED}" in files(folder)


@pytest.mark.parametrize("args", [DOCTOR, MATCH, ["schema"], SYNC[:-2], ["--help"], ["--version"]], ids=lambda a: a[0])
@pytest.mark.parametrize(
    "around, told",
    [
        ("COMMAND >/dev/full", ["E-STDOUT", "E-OUTPUT-WRITE"]),
        ("COMMAND >&-", ["E-STDOUT"]),
        ("COMMAND | true", []),
    ],
)
def test_a_command_that_only_prints_fails_where_it_cannot(
    args: list[str], around: str, told: list[str], folder: Path
) -> None:
    code, error = shell(folder, args, around)
    assert code == 1
    said = [line for line in error.splitlines() if not line.endswith((" read", " written"))]
    assert len(said) == (1 if told else 0), error
    assert all(any(f"[{each}]" in line for each in told) for line in said)


def test_a_file_never_takes_the_number_of_a_stream_that_is_closed(folder: Path) -> None:
    seen = "import os, sys; from converter.cli import streams; streams.secure(); sys.exit(os.open('in.csv', 0))"
    done = subprocess.run(["sh", "-c", f"exec '{sys.executable}' -c \"{seen}\" <&- >&- 2>&-"], cwd=folder, check=False)
    assert done.returncode > 2


@pytest.mark.parametrize("count, words", [(0, "lines written"), (1, "line written"), (2, "lines written")])
def test_counts_of_summaries_have_nouns_in_the_right_number(count: int, words: str) -> None:
    assert figure(count, "line", " written") == (str(count), words)
    assert figure(count, "address", nouns="addresses")[1] == ("address" if count == 1 else "addresses")


def test_a_run_of_one_row_is_told_in_the_singular(run: Run) -> None:
    told = {words: number for number, words in summary(run.convert("id,a\nU1,x\n", id={"case": "lower"}))}
    assert {"line written", "signal written", "ID changed: case"} <= told.keys()
    assert [words for words in told if words.startswith("row read, in ")]
