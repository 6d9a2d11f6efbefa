"""Signals at any moment of a command: what is said is true, and the exit code as well."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .test_cli import ENVIRONMENT, JOB, STEM, command, files
from .test_outcome import told

CONVERT = ["convert", "job.toml", "--json"]
STOPPED = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
each_signal = pytest.mark.parametrize("number", STOPPED, ids=lambda number: signal.Signals(number).name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text("id,a\n" + "".join(f"customer-{row:04},x{row % 7}\n" for row in range(2000)))
    (tmp_path / "job.toml").write_text(JOB + 'compression = "none"\nmax_part_bytes = 10_000\n')
    return tmp_path


def begun(
    folder: Path,
    before: str,
    args: list[str],
    ignored: tuple[signal.Signals, ...] = (),
    terminal: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start the command after some lines of Python, in which `send(signal)` sends one to the process itself."""

    def ignore() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    code = (
        "import os, signal, sys, time\n"
        "def send(number): os.kill(os.getpid(), number)\n"
        f"{before}\n"
        "from converter.cli import main\n"
        "main()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=terminal,
        stderr=terminal,
        text=True,
        preexec_fn=ignore,
    )


def ended(process: subprocess.Popen[str], seconds: float = 40) -> tuple[int, str, str]:
    try:
        out, error = process.communicate(timeout=seconds)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out, error


def parts(folder: Path) -> set[str]:
    return {name for name in files(folder) if name.startswith("out/")}


# --- before anything is published -------------------------------------------------------------------------------


@each_signal
@pytest.mark.parametrize(
    "module",
    [
        "converter.cli.command",
        "json",
        "typer",
        "converter.jobs.job",
        "pydantic",
        "polars",
        "converter.commands.convert",
        "orjson",
    ],
)
def test_a_signal_while_modules_are_loaded_ends_the_command(module: str, number: signal.Signals, folder: Path) -> None:
    before = (
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: send({int(number)})\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    code, out, error = ended(begun(folder, before, CONVERT))
    assert code == STOPPED[number]
    assert told(out)["outcome"] == "stopped"
    assert error.startswith("Error [E-STOPPED]: ")
    assert error.count("\n") == 1
    assert files(folder) == {"in.csv", "job.toml"}


AT_NOTE = """
from converter.delivery.journal import Journal
note, count = Journal.note, 0
def noting(journal, event, **facts):
    global count
    note(journal, event, **facts)
    count += event == {event!r}
    if event == {event!r} and count == {times}: send({number})
Journal.note = noting
"""


@pytest.mark.parametrize("event", ["run", "began", "made", "arrived"])
def test_a_signal_before_publishing_leaves_nothing(event: str, folder: Path) -> None:
    code, out, _ = ended(begun(folder, AT_NOTE.format(event=event, times=1, number=15), CONVERT))
    assert (code, told(out)["outcome"], told(out)["error"]["code"]) == (143, "stopped", "E-STOPPED")
    assert "visible" not in told(out)["error"]
    assert parts(folder) == set()


# --- from publishing on -----------------------------------------------------------------------------------------


@each_signal
def test_a_signal_as_publishing_begins_is_finished_by_resuming(number: signal.Signals, folder: Path) -> None:
    code, out, _ = ended(begun(folder, AT_NOTE.format(event="publishing", times=1, number=int(number)), CONVERT))
    assert (code, told(out)["outcome"]) == (STOPPED[number], "stopped")
    assert "--resume" in told(out)["error"]["hint"]
    assert {Path(name).suffix for name in parts(folder)} == {".partial"}
    code, out, _ = command(folder, *CONVERT, "--resume")
    assert (code, len(told(out)["parts"])) == (0, len(parts(folder)))


def test_a_signal_among_parts_that_are_published_names_those_that_are_out(folder: Path) -> None:
    before = AT_NOTE.format(event="published", times=2, number=15).replace("send(15)", "send(15); time.sleep(1)")
    code, out, _ = ended(begun(folder, before, CONVERT))
    assert (code, told(out)["outcome"]) == (143, "stopped")
    assert len(parts(folder)) > 3
    assert {name for name in parts(folder) if not name.endswith(".partial")} == {f"out/{STEM}.{n}" for n in (1, 2)}
    assert {Path(url).name for url in told(out)["error"]["visible"]} == {f"{STEM}.1", f"{STEM}.2"}
    assert "--resume" in told(out)["error"]["hint"]
    assert command(folder, *CONVERT, "--resume")[0] == 0
    assert not any(name.endswith(".partial") for name in parts(folder))


LATE = {
    "the last part": AT_NOTE.format(event="published", times=5, number="{number}"),
    "the end of the journal": AT_NOTE.format(event="done", times=1, number="{number}"),
    "the rejects": (
        "from converter.report.rejects import RejectsFile\n"
        "publish = RejectsFile.publish\n"
        "def publishing(file): send({number}); publish(file)\n"
        "RejectsFile.publish = publishing\n"
    ),
    "what is printed": (
        "import builtins\nsay = print\ndef saying(*a, **b): send({number}); say(*a, **b)\nbuiltins.print = saying\n"
    ),
    "the end": "end = os._exit\ndef ending(code): send({number}); end(code)\nos._exit = ending\n",
}


@each_signal
@pytest.mark.parametrize("moment", LATE.values(), ids=LATE)
def test_a_signal_when_all_is_out_is_let_pass(moment: str, number: signal.Signals, folder: Path) -> None:
    code, out, error = ended(begun(folder, moment.format(number=int(number)), [*CONVERT, "--set", "run.threads=1"]))
    assert (code, error) == (0, "")
    assert told(out)["outcome"] == "done"
    assert parts(folder) == {f"out/{STEM}.{split}" for split in range(1, 6)}
    assert Path(folder, told(out)["report_path"]).is_file()
    (journal,) = (folder / "reports").glob("*.journal")
    assert json.loads(journal.read_text().splitlines()[-1])["event"] == "done"


def test_a_signal_while_files_are_published_names_those_that_are_sent(folder: Path) -> None:
    names = [f"{STEM}.{split}" for split in range(1, 5)]
    for name in names:
        (folder / name).write_text('customer-0001\t"a"="x"\n')
    before = AT_NOTE.format(event="published", times=2, number=15).replace("send(15)", "send(15); time.sleep(1)")
    args = ["send", *names, "--to", "out", "--json"]
    code, out, _ = ended(begun(folder, before, args))
    assert (code, told(out)["outcome"]) == (143, "stopped")
    assert {Path(url).name for url in told(out)["error"]["visible"]} == set(names[:2])
    code, out, error = ended(begun(folder, AT_NOTE.format(event="done", times=1, number=15), [*args, "--resume"]))
    assert code == 0, error
    assert parts(folder) == {f"out/{name}" for name in names}


@pytest.mark.parametrize("event, code", [("made", 143), ("publishing", 143), ("done", 0)])
def test_every_line_is_an_object_also_when_a_signal_comes(event: str, code: int, folder: Path) -> None:
    args = ["convert", "job.toml", "--progress", "json", "--debug"]
    done, out, error = ended(begun(folder, AT_NOTE.format(event=event, times=1, number=15), args))
    lines = [json.loads(line) for line in error.splitlines()]
    assert (done, out) == (code, "")
    assert lines[-1]["event"] == ("error" if code else "done")
    assert lines[-1].get("code") == ("E-STOPPED" if code else None)


@pytest.mark.parametrize("fault, code", [("ValueError", "E-INTERNAL"), ("MemoryError", "E-MEMORY")])
def test_what_fails_among_parts_that_are_published_names_those_that_are_out(
    fault: str, code: str, folder: Path
) -> None:
    before = AT_NOTE.format(event="published", times=2, number=15).replace("send(15)", f"raise {fault}")
    done, out, error = ended(begun(folder, before, CONVERT))
    assert (done, told(out)["outcome"], told(out)["error"]["code"]) == (1, "failed", code)
    out_by_now = {Path(name).name for name in parts(folder) if not name.endswith(".partial")}
    assert {Path(url).name for url in told(out)["error"]["visible"]} == out_by_now == {f"{STEM}.1", f"{STEM}.2"}
    assert f"{STEM}.1" in error
    assert command(folder, *CONVERT, "--resume")[0] == 0


# --- other signals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_is_ignored_from_the_start_stays_so(number: signal.Signals, folder: Path) -> None:
    before = AT_NOTE.format(event="made", times=1, number=int(number))
    assert ended(begun(folder, before, CONVERT, (number,)))[0] == 0


HANGS = """
from converter.delivery.delivery import Delivery
def hanging(delivery): open('hangs', 'w').close(); time.sleep(60)
Delivery.discard = hanging
"""


def test_a_second_signal_ends_the_process_at_once(folder: Path) -> None:
    process = begun(folder, AT_NOTE.format(event="made", times=1, number=15) + HANGS, CONVERT)
    while not (folder / "hangs").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert ended(process)[0] == 130
    assert time.monotonic() - started < 30, "it does not wait for what hangs for a minute"
    assert command(folder, *CONVERT, "--resume")[0] == 0
    assert len(parts(folder)) == 5


def _drain(master: int, shown: bytearray) -> None:
    with contextlib.suppress(OSError):  # Linux says so at the end
        while block := os.read(master, 4096):
            shown += block


def test_a_second_signal_gives_the_cursor_back(folder: Path) -> None:
    master, slave = pty.openpty()
    before = AT_NOTE.format(event="made", times=1, number=15) + HANGS
    process = begun(folder, before, ["convert", "job.toml"], terminal=slave)
    os.close(slave)
    shown = bytearray()
    reader = threading.Thread(target=_drain, args=(master, shown))
    reader.start()
    while not (folder / "hangs").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(50) == 130
    reader.join(60)
    os.close(master)
    assert shown.count(b"\x1b[?25l") == 1
    assert shown.rstrip().endswith(b"\x1b[?25h")


def test_a_signal_that_comes_twice_is_one(folder: Path) -> None:
    before = AT_NOTE.format(event="made", times=1, number=15).replace("send(15)", "send(15); send(15)")
    code, out, _ = ended(begun(folder, before, CONVERT))
    assert (code, told(out)["outcome"]) == (143, "stopped")
    assert parts(folder) == set()


def test_a_signal_in_a_destructor_is_not_lost(folder: Path) -> None:
    before = (
        "import importlib\nmodule = importlib.import_module('converter.commands.convert')\n"
        "class Last:\n"
        "    def __del__(self): send(15); [None for _ in range(1000)]\n"
        "make_plan = module.make_plan\n"
        "def planning(*a, **b):\n"
        "    Last()\n"
        "    time.sleep(0.5)\n"
        "    return make_plan(*a, **b)\n"
        "module.make_plan = planning\n"
    )
    code, out, error = ended(begun(folder, before, CONVERT))
    assert (code, told(out)["outcome"], error.count("\n")) == (143, "stopped", 1)


# --- servers that hang ------------------------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield listener.getsockname()[1]


SILENT: dict[str, list[str]] = {
    "ftp": ["output.to=ftp://user:secret@127.0.0.1:PORT/in"],
    "sftp": ["output.to=sftp://user:secret@127.0.0.1:PORT/in", "sftp.host_key_fingerprint=SHA256:" + "a" * 43],
    "s3": ["output.to=s3://bucket/in", "s3.endpoint_url=http://127.0.0.1:PORT", "s3.region=us-east-1"],
}


@pytest.mark.parametrize("place", SILENT)
@pytest.mark.parametrize("args", [["convert"], ["convert", "--dry-run"], ["doctor"]], ids=" ".join)
def test_a_signal_ends_a_command_soon_while_a_server_is_asked(
    args: list[str], place: str, silent: int, folder: Path
) -> None:
    settings = [each.replace("PORT", str(silent)) for each in SILENT[place]]
    flags = [flag for each in settings for flag in ("--set", each)]
    keys = "os.environ.update(AWS_ACCESS_KEY_ID='key', AWS_SECRET_ACCESS_KEY='secret', HOME=os.getcwd())"
    process = begun(folder, f"{keys}\n{ASKED}", [args[0], "job.toml", *args[1:], "--json", *flags])
    while not (folder / "asked").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    code, out, _ = ended(process)
    assert (code, told(out)["outcome"]) == (143, "stopped")
    assert time.monotonic() - started < 40, "it does not wait for the server for a minute"
    assert parts(folder) == set()


ASKED = """
import socket
connect = socket.socket.connect
def connecting(sock, address):
    connect(sock, address)
    open('asked', 'w').close()
socket.socket.connect = connecting
"""


def test_a_signal_that_is_ignored_stays_so_while_polars_works() -> None:
    """As after `nohup`, and in background jobs of a shell."""
    code = (
        "import os, signal, threading, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "import polars as pl\n"
        "from converter.sources.engine import start\n"
        "start()\n"
        "threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()\n"
        "frame = pl.LazyFrame({'a': [1]}).map_batches(lambda frame: time.sleep(1) or frame)\n"
        "print(frame.collect().height)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr


def test_a_signal_whose_error_a_module_replaces_is_still_a_stop() -> None:
    """As compiled modules do while they are imported."""
    code = (
        "import os, signal\n"
        "from converter.delivery import stops\n"
        "from converter.errors import StoppedError\n"
        "stops.listen()\n"
        "assert stops.within(TypeError()) is None\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    signal.pause()\n"
        "except StoppedError:\n"
        "    pass\n"
        "print(stops.within(TypeError()).exit_code)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "143\n"), ended.stderr


def test_a_signal_that_a_module_prints_before_it_raises_another_error_is_still_a_stop(folder: Path) -> None:
    """As numpy does while compiled modules are loaded that use it."""
    before = (
        "import ctypes\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'polars':\n"
        "            ctypes.pythonapi.PyRun_SimpleString(b'import os; os.kill(os.getpid(), 15)')\n"
        "            raise ImportError('failed to import')\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    code, out, error = ended(begun(folder, before, CONVERT))
    assert code == 143
    assert told(out)["error"]["code"] == "E-STOPPED"
    assert "Traceback" not in error
