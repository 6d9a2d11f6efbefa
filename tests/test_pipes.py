"""Standard input and named pipes as inputs: read once, in any format that can be."""

from __future__ import annotations

import gzip
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from click import Command
from typer import Context

from converter import InputError, Job, JobError, Report, convert
from converter.cli import completion
from converter.commands.plan import plan
from converter.errors import EmptyInputError
from converter.sources import batches
from converter.sources.origins import pipes

from .conftest import Run
from .errors import raises

ROWS = pl.DataFrame({"id": [f"u{n}" for n in range(5000)], "a": [f"x{n % 7}" for n in range(5000)]})
CSV = ROWS.write_csv().encode()


def content_of(format_: str) -> bytes:
    if format_ == "tsv":
        return ROWS.write_csv(separator="\t").encode()
    if format_ == "ndjson":
        return ROWS.write_ndjson().encode()
    if format_ == "arrow stream":
        return ROWS.write_ipc_stream(None).getvalue()
    if format_ == "arrow file":
        return ROWS.write_ipc(None).getvalue()
    return gzip.compress(CSV) if format_ == "csv.gz" else CSV


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """A function that writes to what is standard input then, from another thread."""
    opened: list[int] = []

    def write(content: bytes) -> None:
        reading, writing = os.pipe()
        opened.append(reading)
        monkeypatch.setattr(pipes, "STANDARD_INPUT", reading)
        threading.Thread(target=_write, args=(writing, content), daemon=True).start()

    yield write
    for descriptor in opened:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
    except BrokenPipeError:
        pass


def convert_input(run: Run, path: str = "-", **changes: object) -> Report:
    return convert(run.make_job(input={"path": path}, **changes))


@pytest.mark.parametrize("format_", ["csv", "csv.gz", "tsv", "ndjson", "arrow stream"])
def test_the_format_of_standard_input_is_found_in_it(run: Run, stdin: Callable[[bytes], None], format_: str) -> None:
    stdin(content_of(format_))
    report = convert_input(run)
    assert run.lines == [f'u{n}\t"a"="x{n % 7}"' for n in range(5000)]
    assert report.records["read"] == 5000
    (read,) = report.input
    end_mark = 8 if format_ == "arrow stream" else 0
    assert read == {"path": "standard input", "bytes": len(content_of(format_)) - end_mark}
    assert [finding.code for finding in report.warnings] == []


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "in", "in.tsv"])
def test_named_pipes_are_read(run: Run, name: str) -> None:
    path = run.folder / name
    os.mkfifo(path)
    content = content_of(name.removeprefix("in.").removeprefix("in") or "csv")
    threading.Thread(target=lambda: path.write_bytes(content), daemon=True).start()
    convert_input(run, str(path))
    assert len(run.lines) == 5000


def test_a_job_reads_pipes_and_files(run: Run, stdin: Callable[[bytes], None]) -> None:
    stdin(b"id,a\n1,x\n")
    path = run.write("a,id\ny,2\n")
    convert(run.make_job(input={"path": ["-", str(path), "/dev/stdin"], "format": "csv"}))
    assert run.lines == ['1\t"a"="x"', '2\t"a"="y"']


@pytest.mark.parametrize("format_", ["arrow file", "parquet"])
def test_what_needs_more_than_one_pass_says_so(run: Run, stdin: Callable[[bytes], None], format_: str) -> None:
    stdin(content_of(format_) if format_ != "parquet" else b"PAR1" + bytes(100))
    with raises(InputError, "E-INPUT-ONCE", "standard input"):
        convert_input(run)
    assert run.files == []


def test_a_run_of_standard_input_cannot_be_resumed(run: Run, stdin: Callable[[bytes], None]) -> None:
    stdin(CSV)
    assert convert(run.make_job(input={"path": "-"}), resume=True).outcome == "done"
    stdin(CSV)  # a new run: what was read is gone
    job = run.make_job(input={"path": "-"}, output={"to": str(run.folder / "other")})
    assert convert(job, resume=True).records["read"] == 5000


@pytest.mark.parametrize("cut", [0, 700, 8, 1])
def test_an_arrow_stream_that_is_cut_off_is_damaged(run: Run, stdin: Callable[[bytes], None], cut: int) -> None:
    content = content_of("arrow stream")
    stdin(content[:-cut] if cut else content + b"x")
    with raises(InputError, "E-INPUT-DAMAGED", "standard input"):
        convert_input(run)
    assert run.files == []


def test_the_first_batch_of_a_stream_may_be_large(
    run: Run, stdin: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_KEPT_BYTES", 1)
    stdin(content_of("arrow stream"))
    convert_input(run)
    assert len(run.lines) == 5000


def test_a_torn_line_is_told(run: Run, stdin: Callable[[bytes], None]) -> None:
    for content, codes in (
        (CSV[:-1], ["W-INPUT-TORN"]),
        (content_of("ndjson")[:-1], []),
        (gzip.compress(CSV[:-1]), []),
    ):
        stdin(content)
        job = run.make_job(input={"path": "-"}, output={"to": str(run.folder / str(len(content)))})
        assert [finding.code for finding in convert(job).warnings] == codes


def test_standard_input_without_a_table(run: Run, stdin: Callable[[bytes], None]) -> None:
    for content, error, code in (
        (b"", InputError, "E-INPUT-EMPTY"),
        (b"id,a\n", EmptyInputError, "E-NO-ROWS"),
        (b"\x07\x08\x0e\x0f" * 99, InputError, "E-FORMAT-UNKNOWN"),
        (b"<html><body>Log in</body></html>", InputError, "E-INPUT-CONTENT"),
        (gzip.compress(CSV)[:-9], InputError, "E-INPUT-DAMAGED"),
    ):
        stdin(content)
        with raises(error, code, *([] if code == "E-NO-ROWS" else ["standard input"])):
            convert_input(run)
    assert run.files == []


def test_a_terminal_and_closed_input_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    controller, terminal = pty.openpty()
    monkeypatch.setattr(pipes, "STANDARD_INPUT", terminal)
    with raises(JobError, "E-INPUT-STDIN", "--input -"):
        convert_input(run)
    os.close(controller)
    os.close(terminal)
    monkeypatch.setattr(sys, "stdin", None)
    with raises(JobError, "E-INPUT-STDIN"):
        convert_input(run)


def test_a_dry_run_of_standard_input_shows_its_first_rows(run: Run, stdin: Callable[[bytes], None]) -> None:
    for format_ in ("csv", "arrow stream"):
        stdin(content_of(format_))
        planned = plan(run.make_job(input={"path": "-"}))
        assert planned.preview(2)["line"].to_list() == ['u0\t"a"="x0"\n', 'u1\t"a"="x1"\n']


def test_completion_leaves_pipes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "in.csv")
    monkeypatch.setattr(completion, "_parameters", lambda _: {"job_file": str(tmp_path / "in.csv")})
    monkeypatch.setattr(pipes.Pipe, "open", lambda _: pytest.fail("it is read"))
    assert completion._columns(Context(Command("convert")), "job_file", "input", "") == []


def test_the_command_reads_standard_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "converter", "convert", "-", "--id", "id", "--signal", "a", "--dpid", "1"]
    options = ["--to", str(tmp_path / "out"), "--report-dir", str(tmp_path), "--set", "output.compression=none"]
    subprocess.run([*command, *options], input=CSV, check=True, capture_output=True)
    (part,) = (tmp_path / "out").iterdir()
    assert part.read_text().count("\n") == 5000


def test_a_job_file_may_name_standard_input(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(
        '[input]\npath = "-"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1\n'
    )
    assert Job.load(tmp_path / "job.toml").input.path == ("-",)
