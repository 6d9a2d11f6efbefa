"""The command as users run it: what it prints, what it leaves behind, and how it ends."""

from __future__ import annotations

import gzip
import json
import os
import platform
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from rich.table import Table
from rich.text import Text

import converter
from converter import Job, kernel
from converter.cli import progress
from converter.cli.app import COMMANDS, Command, app_for
from converter.cli.command import run as run_command
from converter.cli.console import console
from converter.cli.outcome import Messages
from converter.commands.progress import Progress
from converter.delivery.unexpected import reported
from converter.errors import ResourcesError

from .conftest import Run
from .errors import check_named, check_told, only_report

JOB = """
[input]
path = "in.csv"
[id]
column = "id"
[record]
signals = ["a"]
[output]
to = "out"
dpid = 1234
timestamp = 1366545717
"""
STEM = "ftp_dpm_1234_1366545717.sync"
NAMED = f"{STEM}.1"
STOPPED = "Error [E-STOPPED]: Stopped: nothing was published."
ENVIRONMENT = {
    key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR")
} | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"}


def start(folder: Path, *args: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "converter", *args],
        cwd=folder,
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(folder: Path, *args: str, **environment: str) -> tuple[int, str, str]:
    """Run the command in a folder; its exit code, standard output and standard error."""
    process = start(folder, *args, **environment)
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def python(code: str, folder: Path, environment: Mapping[str, str] = ENVIRONMENT) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text("id,a,t\ncustomer-0001,x,1|2\ncustomer-0002,y,3\n")
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path


# --- help, version, schema --------------------------------------------------------------------------------------


def test_the_help_lists_the_commands_and_the_exit_codes(tmp_path: Path) -> None:
    code, out, error = command(tmp_path, "--help")
    assert (code, error) == (0, "")
    for word in ("convert", "schema", "--version", "Exit codes: 0 done;", "130, 143"):
        assert word in out


@pytest.mark.parametrize("name", ["convert", "match", "schema"])
def test_the_help_of_a_command_lists_every_option(name: str, tmp_path: Path) -> None:
    code, out, error = command(tmp_path, name, "--help")
    assert (code, error) == (0, "")
    parameters = typer.main.get_command(app_for()).commands[name].params  # type: ignore[attr-defined]
    for option in (option for parameter in parameters for option in parameter.opts if option.startswith("-")):
        assert f"{option} " in out or f"{option}," in out or f"{option}\n" in out


def test_the_help_shows_each_example_on_a_line_of_its_own(tmp_path: Path) -> None:
    out = command(tmp_path, "convert", "--help")[1]
    assert "aam-inbound convert job.toml" in [line.strip() for line in out.splitlines()]


def test_the_help_loads_none_of_the_large_libraries(tmp_path: Path) -> None:
    large = {"polars", "pydantic", "pyarrow", "numpy", "pandas"}
    shown = python(
        "import sys; from converter.cli.app import app_for\n"
        "loaded = lambda: {name.partition('.')[0] for name in sys.modules}\n"
        "for args in ([], ['--help']):\n"
        "    try: app_for(args)(args)\n"
        "    except SystemExit: pass\n"
        f"    print('LOADED', loaded() & {large!r})\n"
        "try: app_for()(['convert', '--help'])\n"
        "except SystemExit: pass\n"
        # typer itself takes pydantic for a command with options
        f"print('LOADED', loaded() & {large - {'pydantic'}!r})\n",
        tmp_path,
    )
    assert [line for line in shown.splitlines() if line.startswith("LOADED")] == ["LOADED set()"] * 3


def loaded(folder: Path, *args: str, environment: Mapping[str, str] = ENVIRONMENT) -> set[str]:
    """The modules that a process has loaded once the command is done there."""
    shown = python(
        "import sys\n"
        "from converter.cli.command import Messages, run\n"
        f"assert run({list(args)!r}, Messages()) == 0\n"
        "print('LOADED', *sys.modules)\n",
        folder,
        environment,
    )
    return set(shown.rpartition("LOADED ")[2].split())


def test_a_small_table_is_converted_without_what_it_does_not_need(folder: Path) -> None:
    modules = loaded(folder, "convert", "job.toml")
    assert {"polars", "numpy", "converter.sources.delimited"} <= modules
    needless = {"pyarrow", "pandas", "rich", "smart_open", "asyncio", "ssl", "http", "numpy.ma"}
    needless |= {"jinja2", "statistics", "zlib_ng", "converter.report.page.checks", "converter.report.page.matches"}
    assert modules & needless == set()
    assert modules & {"converter.sources.tables", "converter.cli.preview"} == set()


def test_files_are_sent_without_what_only_tables_need(folder: Path) -> None:
    name = "ftp_dpm_1_1366545717.sync"
    (folder / name).write_text("u\ta=b\n")
    modules = loaded(folder, "send", name, "--to", "sent", "--no-check")
    assert (folder / "sent" / name).exists()
    assert modules & {"polars", "numpy", "pyarrow", "boto3", "smart_open", "paramiko"} == set()


def test_smart_open_loads_none_of_the_clients_that_are_not_used(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from converter.cli.command import command\n"
        "command(['--version'])\n"
        "import smart_open.s3\n"
        "loaded = {name for name, module in sys.modules.items() if module}\n"
        "sys.exit(not {'boto3'} <= loaded or bool(loaded & {'paramiko', 'requests', 'OpenSSL'}))\n"
    )
    python(code, tmp_path)


def test_a_table_in_another_encoding_needs_no_more(folder: Path) -> None:
    (folder / "in.csv").write_bytes("id,a\n1,é\n".encode("cp1252"))
    assert not loaded(folder, "convert", "job.toml", "--set", "input.encoding=cp1252") & {"pyarrow", "pandas", "rich"}


@pytest.mark.parametrize(
    "args",
    [
        ["convert", "job.toml"],
        ["doctor", "job.toml"],
        ["match", "in.csv", "in.csv"],
        ["send", NAMED, "--to", "sent"],
        ["sync-urls", "in.csv", "--id", "id", "--dpid", "12345", "-o", "urls.csv"],
    ],
    ids=lambda args: args[0],
)
def test_garbage_is_looked_for_again_once_the_command_is_loaded(args: list[str], folder: Path) -> None:
    (folder / NAMED).write_text('customer-0001\t"a"="x"\n')
    shown = python(
        "import gc\n"
        "from converter.cli.command import Messages, run\n"
        "gc.disable()  # as `main` does\n"
        f"assert run({args!r}, Messages()) == 0\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 10_000)\n",
        folder,
    )
    assert shown.splitlines()[-1] == "True True"


@pytest.mark.parametrize(
    ("fault", "told"),
    [('raise RuntimeError("can\'t start new thread")', "E-THREADS"), ("raise MemoryError", "E-MEMORY")],
)
@pytest.mark.parametrize("thread", ["convert", "compress"])
def test_missing_threads_and_memory_are_told_in_a_sentence(folder: Path, thread: str, fault: str, told: str) -> None:
    code = (
        "import sys, threading\n"
        "from converter.cli import main\n"
        "start = threading.Thread.start\n"
        "def refused(thread):\n"
        f"    if thread.name.startswith({thread!r}): {fault}\n"
        "    start(thread)\n"
        "threading.Thread.start = refused\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "convert", "job.toml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    check_told(done.stderr, told, "ulimit")
    assert only_report(folder / "reports")["error"]["code"] == told
    assert {path.name for path in folder.iterdir()} - {"out"} == {"job.toml", "in.csv", "reports"}


@pytest.mark.parametrize("fault", [RuntimeError("can't start new thread"), MemoryError()])
def test_missing_threads_and_memory_are_errors_of_resources(fault: Exception) -> None:
    error = reported(fault)
    assert isinstance(error, ResourcesError)
    assert error.code == ("E-MEMORY" if isinstance(fault, MemoryError) else "E-THREADS")
    check_named(str(error), "ulimit")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
def test_only_the_command_that_is_named_is_built(command: Command) -> None:
    (built,) = app_for([command.word, "--help"]).registered_commands
    assert built.callback is command.load()
    assert len(app_for([command.word[:-1]]).registered_commands) == len(COMMANDS), "an error names what is near"


def test_only_the_command_that_is_named_is_loaded(tmp_path: Path) -> None:
    shown = python(
        "import sys; from converter.cli.app import COMMANDS, app_for\n"
        "app_for(['convert', 'job.toml'])\n"
        "print('LOADED', *(each.name for each in COMMANDS if f'converter.cli.{each.module or each.name}' in sys.modules))",
        tmp_path,
    )
    assert shown.splitlines()[-1] == "LOADED convert"


def test_no_plugin_of_another_package_is_looked_for(folder: Path) -> None:
    shown = python(
        "from converter.cli.command import command\n"
        "command(['schema', '--json'])\n"
        "from pydantic.plugin import _loader\n"
        "print(_loader._plugins)\n",
        folder,
    )
    assert shown.splitlines()[-1] == "None"


def test_another_error_at_run_time_is_not_taken_for_missing_threads() -> None:
    assert reported(RuntimeError("odd")).code == "E-INTERNAL"


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    assert command(tmp_path, "--version") == (0, f"aam-inbound {converter.__version__}\n", "")


def test_the_version_in_full_says_which_loops_are_used_or_why_none_is(tmp_path: Path) -> None:
    used, unused = (
        command(tmp_path, "--version", "--verbose", **given) for given in ({}, {"AAM_KERNEL": str(tmp_path / "none")})
    )
    assert (used[0], used[2], unused[0], unused[2]) == (0, "", 0, "")
    assert used[1].startswith(f"aam-inbound {converter.__version__}\nPython {platform.python_version()} on ")
    assert used[1].endswith(f"\nThe compiled loops are {kernel.status()}\n")
    check_named(unused[1], "not used", str(tmp_path / "none"), "works without", "slower")


def test_the_version_as_json_has_all_of_it(tmp_path: Path) -> None:
    used, unused = (
        json.loads(command(tmp_path, "--version", "--json", **given)[1]) for given in ({}, {"AAM_KERNEL": "off"})
    )
    status = kernel.status()
    assert (used["kernel"]["variant"], used["kernel"]["reason"]) == status
    assert (unused["kernel"]["variant"], unused["kernel"]["reason"]) == (None, "AAM_KERNEL=off")
    assert (used["version"], used["outcome"], used["exit_code"]) == (converter.__version__, "done", 0)
    assert used["kernel"]["message"] == f"The compiled loops are {status}"


@pytest.mark.parametrize("args", [["--json", "schema"], ["--verbose"], ["--version", "schema"]], ids=" ".join)
def test_options_of_the_version_belong_to_no_command(args: list[str], tmp_path: Path) -> None:
    code, out, error = command(tmp_path, *args)
    assert code == 2
    assert error.startswith("Error [E-USAGE]")
    assert "--version" in error
    assert not out or json.loads(out)["error"]["code"] == "E-USAGE"


@pytest.mark.parametrize("args", [[], ["convert"]])
def test_without_arguments_the_help_is_shown(args: list[str], tmp_path: Path) -> None:
    code, out, error = command(tmp_path, *args)
    assert code == 2
    assert "Usage:" in out + error
    assert "Options:" in out + error


def test_the_schema_is_json_and_describes_a_job(tmp_path: Path) -> None:
    code, out, error = command(tmp_path, "schema")
    assert (code, error) == (0, "")
    assert json.loads(out) == converter.Job.model_json_schema()


def test_completion_can_be_shown(tmp_path: Path) -> None:
    code, out, _ = command(tmp_path, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert code == 0
    assert "COMPLETE=complete_" in out.replace(" ", "")


def test_the_library_has_the_function_also_once_its_module_is_loaded(folder: Path) -> None:
    shown = python(
        "from converter import Job, convert\n"
        "import converter.commands.convert\n"
        "from converter.commands.plan import plan\n"
        "import converter as package\n"
        "assert package.convert is convert and not isinstance(convert, type(package))\n"
        "print(convert(Job.load('job.toml')).records['written'])\n",
        folder,
    )
    assert shown == "2\n"


# --- what is wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args, told, named",
    [
        (["none.toml"], "E-JOB-MISSING", ["'none.toml'", "aam-inbound convert --help"]),
        (["job.toml", "--mode", "x"], "E-JOB-INVALID", ["output.mode is 'x'", "'sync'", "'overwrite'"]),
        (["job.toml", "--set", "output.dpidd=1"], "E-JOB-INVALID", ["output.dpidd", "'dpid'"]),
        (["job.toml", "--set", "x"], "E-SET-MALFORMED", ["--set 'x'", "KEY=VALUE"]),
        (["job.toml", "--dpid", "20914"], "E-JOB-INVALID", ["output.target", "20914", "gaid", "(N4)"]),
        (["job.toml", "--id", "idd"], "E-COLUMN-MISSING", ["/in.csv'", "'idd'", "'id'?", "'id', 'a', 't'"]),
        (
            ["scp://host/crm.csv", "--id", "id", "--signal", "a", "--dpid", "5", "--to", "out"],
            "E-INPUT-REMOTE",
            ["'scp://host/crm.csv'", "https://"],
        ),
    ],
)
def test_a_wrong_job_ends_with_2_and_one_sentence(args: list[str], told: str, named: list[str], folder: Path) -> None:
    code, out, error = command(folder, "convert", *args)
    assert (code, out) == (2, "")
    check_told(error, told, *named)
    assert files(folder) == {"in.csv", "job.toml"}


@pytest.mark.parametrize(
    "args, named",
    [
        (["job.toml", "--dpid", "x"], "--dpid"),
        (["job.toml", "--progress", "loud"], "--progress"),
        (["job.toml", "--bogus"], "--bogus"),
        (["job.toml", "in.csv"], "in.csv"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_names_what_is_wrong(args: list[str], named: str, folder: Path) -> None:
    code, out, error = command(folder, "convert", *args)
    assert (code, out) == (2, "")
    assert named in error.splitlines()[-1]
    assert "Traceback" not in error


def test_a_missing_input_ends_with_1(folder: Path) -> None:
    code, out, error = command(folder, "convert", "job.toml", "--input", "inn.csv")
    assert (code, out) == (1, "")
    check_told(error, "E-INPUT-MISSING", "'inn.csv'", "'in.csv'?", ".failed-1.report.json'.")
    report = only_report(folder / "reports")
    assert (report["outcome"], report["exit_code"], report["error"]["code"]) == ("failed", 1, "E-INPUT-MISSING")
    name = f"reports/{Path(report['report_path']).stem}"
    assert files(folder) == {"in.csv", "job.toml", f"{name}.json", f"{name}.html"}


def test_debug_shows_a_traceback_and_ends_the_same(folder: Path) -> None:
    code, _, error = command(folder, "convert", "job.toml", "--mode", "x", "--debug")
    *trace, last = error.splitlines()
    assert code == 2
    assert last.startswith("Error [E-JOB-INVALID]: output.mode ")
    assert trace[-1] == "converter.errors.JobError: E-JOB-INVALID"
    assert any(line.endswith(", in __init__") for line in trace)
    assert "pydantic_core._pydantic_core.ValidationError" in trace, "the cause"


def test_too_many_rejects_end_with_3_and_publish_nothing(folder: Path) -> None:
    (folder / "in.csv").write_text("id,a\ncustomer:0001,x\ncustomer-0002,y\n")
    code, out, error = command(folder, "convert", "job.toml")
    assert (code, out) == (3, "")
    check_told(error, "E-TOO-MANY-REJECTS", "2 rows", "1 rejected", "id_forbidden_character: 1", "10%")
    name = f"{STEM}.{Job.load(folder / 'job.toml').digest[:12]}"
    failed = f"reports/{name}.failed-1.report"
    reports = {f"{failed}.json", f"{failed}.html", f"reports/{name}.rejects.ndjson.gz"}
    assert files(folder) == {"in.csv", "job.toml"} | reports
    report = json.loads((folder / f"reports/{name}.failed-1.report.json").read_bytes())
    assert (report["outcome"], report["parts"], report["records"]["rejected"]) == (
        "refused",
        [],
        {"id_forbidden_character": 1},
    )
    rejects = gzip.decompress((folder / f"reports/{name}.rejects.ndjson.gz").read_bytes()).decode()
    assert json.loads(rejects)["row"] == 2
    assert "customer:0001" not in rejects

    assert command(folder, "convert", "job.toml", "--max-rejects", "100%")[0] == 0
    (journal,) = (folder / "reports").glob("*.journal")
    pages = {f"reports/{name}.report.json", f"reports/{name}.report.html"}
    done = {f"out/{STEM}.1.gz", f"reports/{journal.name}"} | pages
    assert files(folder) == {"in.csv", "job.toml"} | done | reports


# --- what is shown ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_terminal", [False, True])
def test_tables_have_no_spaces_at_the_ends_of_lines(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR" if is_terminal else "NO_COLOR", "1")
    screen = console()
    assert screen.is_terminal == is_terminal
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("name", style="bold")
    table.add_column("of")
    table.add_row("a", "longer than the title")
    table.add_row("and one without", "")
    screen.print(table)
    screen.print()
    screen.print("one", "", Text("two ", style="bold"), sep="\n")
    out = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert out == "name             of\na                longer than the title\nand one without\n\none\n\ntwo\n"


def test_a_run_shows_a_plain_summary_with_whole_paths(folder: Path) -> None:
    code, out, error = command(folder, "convert", "job.toml")
    assert (code, error) == (0, "")
    assert "\x1b" not in out
    assert [line.split()[:3] for line in out.splitlines()[:3]] == [
        ["2", "rows", "read,"],
        ["2", "lines", "written"],
        ["2", "signals", "written"],
    ]
    assert f"{folder}/out/{STEM}.1.gz" in out, "so that it can be copied"


def test_a_dry_run_writes_nothing_and_masks_ids(folder: Path) -> None:
    code, out, error = command(folder, "convert", "job.toml", "--dry-run")
    assert (code, error) == (0, "")
    assert files(folder) == {"in.csv", "job.toml"}
    assert {path.name for path in folder.iterdir()} == {"in.csv", "job.toml"}, "no empty folders either"
    assert "customer-000" not in out
    assert ["cu…01", '"a"="x"'] in [line.split() for line in out.splitlines()]
    assert f"{folder}/reports/{STEM}.{Job.load(folder / 'job.toml').digest[:12]}.report.json" in out
    assert "Nothing was written" in out
    assert "\x1b" not in out


def test_a_dry_run_shows_names_with_brackets_as_they_are(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    path = run.write("id,price[eur],x[/b]\ncustomer-0001,1,2\n")
    flags = ["--id", "id", "--signal", "price[eur]", "--signal", "x[/b]", "--dpid", "1234", "--to", str(run.out)]
    assert run_command(["convert", str(path), *flags, "--dry-run"], Messages()) == 0
    out = capsys.readouterr().out
    assert "id, price[eur], x[/b]" in out
    assert '"price[eur]"="1","x[/b]"="2"' in out


@pytest.mark.parametrize("flags", [[], ["--progress", "auto"], ["--progress", "off"]], ids=str)
def test_quiet_prints_nothing_at_all_and_only_quiet(folder: Path, flags: list[str]) -> None:
    assert command(folder, "convert", "job.toml", *flags, "--quiet") == (0, "", "")
    assert f"out/{STEM}.1.gz" in files(folder)


def test_progress_off_prints_the_summary_alone(folder: Path) -> None:
    code, out, error = command(folder, "convert", "job.toml", "--progress", "off")
    assert (code, error) == (0, "")
    assert f"out/{STEM}.1.gz" in out


def test_progress_json_prints_json_lines_alone(folder: Path) -> None:
    code, out, error = command(folder, "convert", "job.toml", "--id-type", "maid", "--progress", "json")
    assert (code, out) == (0, "")
    lines = [json.loads(line) for line in error.splitlines()]
    assert lines[-1]["event"] == "done"
    (path,) = (folder / "reports").glob(f"{STEM}.*.report.json")
    report = json.loads(path.read_bytes())
    assert lines[-1] == {"event": "done", "exit_code": 0, "outcome": "done", "error": None} | report
    warnings = [each["code"] for each in lines[-1]["warnings"]]
    assert warnings == ["W-ID-TYPE-SOURCE", "W-ID-WITH-HYPHEN"]
    assert [each["code"] for each in lines if each["event"] == "warning"] == warnings


def test_a_warning_is_shown_once(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    path = run.write("id,a\n1,x\n")
    flags = ["--id", "id", "--id-type", "maid", "--signal", "a", "--dpid", "1234", "--to", str(run.out)]
    flags += ["--report-dir", str(run.folder / "reports")]
    assert run_command(["convert", str(path), *flags], Messages()) == 0
    assert "".join(capsys.readouterr()).count("W-ID-TYPE-SOURCE") == 1


def test_on_a_terminal_a_bar_and_the_summary_are_shown(folder: Path) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "converter", "convert", "job.toml"],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as process:
        os.close(slave)
        shown = b""
        try:
            while block := os.read(master, 65536):
                shown += block
        except OSError:  # Linux says so at the end
            pass
        os.close(master)
    assert process.returncode == 0
    assert b"0:00:0" in shown
    assert shown.rfind(b"rows read") > shown.rfind(b"0:00:0")
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h"), "the cursor is there again"


HALF_WAY = Progress(500_000, 1_000_000, 12_345, 6, 7, 2, 1, 100_000, 90_000, 3, "converting", "", None, 0.45, 3.0, 4.0)


def test_progress_as_lines_and_as_json_is_shown_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    shown = {}
    for mode in ("auto", "json"):
        now = 0
        with progress.showing(mode, Messages(events=mode == "json")) as update:  # type: ignore[arg-type]
            assert update is not None
            for _ in range(100):
                now += 1
                update(HALF_WAY)
        captured = capsys.readouterr()
        assert captured.out == ""
        shown[mode] = captured.err.splitlines()
    line = (
        "45%: converting, 12,345 rows, 500.0 KB of 1.0 MB read, 90.0 KB of 100.0 KB sent, 1 of 2 parts there, "
        "6 rejected, 7 skipped, 3 retries, 3 s, 4 s left"
    )
    assert shown["auto"] == [line] * 10
    assert len(shown["json"]) == 100
    assert json.loads(shown["json"][0]) == {
        "event": "progress",
        "bytes_read": 500_000,
        "bytes_total": 1_000_000,
        "rows": 12_345,
        "rejected": 6,
        "skipped": 7,
        "parts": 2,
        "arrived": 1,
        "bytes_written": 100_000,
        "bytes_sent": 90_000,
        "retries": 3,
        "phase": "converting",
        "waiting": "",
        "waiting_seconds": None,
        "share": 0.45,
        "seconds": 3.0,
        "seconds_left": 4.0,
    }


# --- file, flags and settings -----------------------------------------------------------------------------------


def test_flags_go_over_the_file_and_settings_over_flags(folder: Path) -> None:
    code, out, _ = command(
        folder, "convert", "job.toml", "--dpid", "5", "--mode", "overwrite", "--set", "output.dpid=6", "--dry-run"
    )
    assert code == 0
    assert "reports/ftp_dpm_6_1366545717.overwrite." in out


def test_an_argument_that_is_no_job_file_is_the_input(folder: Path) -> None:
    flags = ["--id", "id", "--dpid", "1234", "--signal", "a", "--signal", "a=b", "--trait", "t=|", "--trait", "9"]
    code, _, error = command(
        folder, "convert", "in.csv", *flags, "--to", "sent", "--report-dir", "said", "--set", "output.compression=none"
    )
    assert (code, error) == (0, "")
    (part,) = (folder / "sent").iterdir()
    assert part.read_text().splitlines() == [
        'customer-0001\t"a"="x","b"="x",d_sid=1,d_sid=2,d_sid=9',
        'customer-0002\t"a"="y","b"="y",d_sid=3,d_sid=9',
    ]
    assert {path.suffix for path in (folder / "said").iterdir()} == {".json", ".html", ".gz", ".journal"}


# --- signals ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that takes a while."""
    path = tmp_path_factory.mktemp("large") / "in.csv"
    rows = "".join(f"customer-{row:07},value-{row % 97},{row % 1013}\n" for row in range(50_000))
    with path.open("w") as file:
        file.write("id,a,b\n")
        for _ in range(40):
            file.write(rows)
    return path


@pytest.mark.parametrize("begun", ["reports/*.partial", "out/*.partial"], ids=["reading", "writing"])
@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_run_with_nothing_left(number: int, code: int, begun: str, large: Path, folder: Path) -> None:
    process = start(
        folder, "convert", "job.toml", "--input", str(large), "--signal", "a", "--signal", "b", "--set", "run.threads=1"
    )
    try:
        deadline = time.monotonic() + 60
        while not any(folder.glob(begun)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (code, "")
    assert error.startswith(STOPPED)
    report = only_report(folder / "reports")
    assert (report["outcome"], report["exit_code"], report["error"]["code"]) == ("stopped", code, "E-STOPPED")
    assert not list(folder.rglob("*.partial"))
