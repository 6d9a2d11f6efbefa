"""Inputs are read where they are: once and of unknown size too, as a toy origin of pipes shows."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pytest

from converter import convert, doctor, match
from converter.cli.progress import _line
from converter.commands.failure import explain_kept
from converter.commands.match import without_header
from converter.commands.plan import plan
from converter.commands.progress import Progress
from converter.delivery.journal import Journal
from converter.errors import DestinationError, InputError, JobError, ResumeError, TooManyRejectsError
from converter.jobs.sections.table import Input
from converter.sources.opening import find_origins
from converter.sources.origins import SCHEMES, once
from converter.sources.origins.base import Found
from converter.sources.origins.local import LocalFile

from .conftest import Run
from .errors import raises

CSV = b"id,a\n" + b"".join(b"u%d,%0100d\n" % (number, number) for number in range(20_000))
NDJSON = b"".join(b'{"id":"u%d","a":"%0100d"}\n' % (number, number) for number in range(20_000))


class Pipe:
    """A pipe: it can be opened once, and nobody knows how much comes."""

    size = None
    rereadable = False
    path = None

    def __init__(self, label: str, content: bytes) -> None:
        self.label = self.identity = label
        self._content = content
        self._opened = False

    def open(self) -> BinaryIO:
        assert not self._opened, "it is opened twice"
        self._opened = True
        reading, writing = os.pipe()
        threading.Thread(target=self._write, args=(writing,), daemon=True).start()
        return os.fdopen(reading, "rb")

    def _write(self, descriptor: int) -> None:
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(self._content)
        except BrokenPipeError:
            pass

    def read_at(self, start: int, stop: int) -> bytes:
        raise AssertionError("it has no positions")

    def fingerprint(self) -> None:
        return None

    def check_unchanged(self) -> None:
        pass


@pytest.fixture
def pipes(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What comes out of the pipe `pipe://NAME`, by its name."""
    contents: dict[str, bytes] = {}

    def expand(path: str, *_: object) -> Found:
        return Found([Pipe(path, contents[path.removeprefix("pipe://")])])

    monkeypatch.setitem(SCHEMES, "pipe", expand)
    monkeypatch.setattr(once, "_KEPT_BYTES", 1 << 21)
    return contents


TEXTS = {"in.csv": CSV, "in.csv.gz": gzip.compress(CSV), "in.ndjson": NDJSON}


@pytest.mark.parametrize("name", TEXTS)
def test_a_pipe_gives_what_a_file_gives(fresh_run: Callable[[], Run], pipes: dict[str, bytes], name: str) -> None:
    pipes[name] = TEXTS[name]
    run, other = fresh_run(), fresh_run()
    seen: list[Progress] = []
    report = convert(run.make_job(input={"path": f"pipe://{name}"}), progress=seen.append)
    other.convert(TEXTS[name], name)
    assert run.text == other.text
    assert report.records["read"] == 20_000
    assert report.input == [{"path": f"pipe://{name}", "bytes": len(TEXTS[name])}]
    assert {progress.bytes_total for progress in seen} == {None}
    assert seen[-1].bytes_read == len(TEXTS[name])
    assert _line(seen[-1]).startswith("converting, 20,000 rows, ")


def test_pipes_and_files_are_read_in_order(run: Run, pipes: dict[str, bytes]) -> None:
    pipes.update(a=b"id,a\n1,x\n", b=b"id,a\n3,x\n")
    path = run.write("id,a\n2,x\nbad\n")
    seen: list[Progress] = []
    job = run.make_job(input={"path": ["pipe://a", str(path), "pipe://b", "pipe://a"], "format": "csv"})
    convert(job, progress=seen.append)
    assert [line[:1] for line in run.lines] == ["1", "2", "3"]
    assert [(row["file"], row["row"]) for row in run.rejects] == [(str(path), 3)]
    assert seen[-1].bytes_read == 9 + 13 + 9


@pytest.mark.parametrize("content, code", [(b"", "E-INPUT-EMPTY"), (b"id,a\n", "E-NO-ROWS")])
def test_an_empty_pipe_is_an_error(run: Run, pipes: dict[str, bytes], content: bytes, code: str) -> None:
    pipes["in.csv"] = content
    with raises(InputError, code):
        convert(run.make_job(input={"path": "pipe://in.csv"}))
    assert run.files == []


def test_a_percentage_of_a_pipe_is_judged_at_its_end_and_a_number_of_rejects_at_once(
    run: Run, pipes: dict[str, bytes]
) -> None:
    bad = b"u:1," + b"x" * 100 + b"\n"
    pipes["in.csv"] = CSV[:5] + bad * 10_000 + CSV[5:] * 5
    for most, complete in (("9%", True), (9999, False)):
        with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS"):
            convert(run.make_job(input={"path": "pipe://in.csv"}, report={"max_rejects": most}))
        assert run.report["complete"] is complete
    job = run.make_job(input={"path": "pipe://in.csv"}, report={"max_rejects": "10%"})
    assert convert(job).outcome == "done"


def test_what_reads_twice_says_so_before_it_begins(run: Run, pipes: dict[str, bytes]) -> None:
    pipes.update({"in.csv": CSV, "in.parquet": b"PAR1"})
    for changes in (
        {"input": {"path": "pipe://in.csv"}, "id": {"case_collisions": "reject"}},
        {"input": {"path": "pipe://in.parquet"}},
    ):
        with raises(InputError, "E-INPUT-ONCE", changes["input"]["path"]):
            convert(run.make_job(**changes))
    assert run.files == []
    with raises(InputError, "E-INPUT-ONCE", "in.csv"):
        without_header("pipe://in.csv")


def test_a_run_of_a_pipe_cannot_be_resumed_and_says_so(
    run: Run, pipes: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipes["in.csv"] = CSV
    job = run.make_job(input={"path": "pipe://in.csv"})
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda _: None)
        with pytest.raises(ZeroDivisionError):
            convert(job, progress=lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    with raises(ResumeError, "E-RESUME-INPUT", "pipes"):
        convert(job, resume=True)
    assert convert(job).records["written"] == 20_000
    error = DestinationError("E-FTP", "It is full.")
    explain_kept(error, is_resumable=False)
    assert "cannot be resumed" in str(error)


def test_a_run_of_a_pipe_of_which_all_rows_arrived_is_finished(
    run: Run, pipes: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipes["in.csv"] = CSV
    job = run.make_job(input={"path": "pipe://in.csv"})
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            convert(job)
    assert convert(job, resume=True).outcome == "done"
    assert len(run.lines) == 20_000


def test_commands_read_pipes(run: Run, pipes: dict[str, bytes]) -> None:
    pipes["in.csv"] = CSV
    job = run.make_job(input={"path": "pipe://in.csv"})
    assert plan(job).preview(2).height == 2
    assert {finding.code for finding in doctor(job)} == {""}
    assert any("pipe://in.csv" in finding.message for finding in doctor(job))
    pipes["site.csv"] = b"id\nu1\nu2\nz\n"
    found = match("pipe://in.csv", "pipe://site.csv")
    assert (found.crm, found.as_is.matched) == (20_000, 2)


def test_only_the_start_of_a_pipe_is_read_again(pipes: dict[str, bytes]) -> None:
    pipes["in.csv"] = CSV
    (origin,) = find_origins(Input(path=("pipe://in.csv",)))
    with origin.open() as first, origin.open() as second:
        assert first.read(9) == second.read(9) == CSV[:9]
        assert second.read() == CSV[9:]
        with raises(InputError, "E-INPUT-ONCE"):
            first.read()
    with raises(InputError, "E-INPUT-ONCE"):
        origin.open()


def test_other_schemes_are_refused(run: Run) -> None:
    with raises(JobError, "E-INPUT-REMOTE"):
        convert(run.make_job(input={"path": "scp://host/in.csv"}))


def test_a_url_of_a_local_file_is_its_path(run: Run) -> None:
    path = run.write("id,a\n1,x\n", "a b.csv")
    for url in (f"file://{path}", f"FILE://localhost{str(path).replace(' ', '%20')}", f"file://{path.parent}/*.csv"):
        assert [origin.label for origin in find_origins(Input(path=(url,)))] == [str(path)]
    for url in ("file://server/in.csv", "file://"):
        with raises(JobError, "E-INPUT-URL"):
            find_origins(Input(path=(url,)))


def test_a_local_file_is_read_at_any_position(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(CSV)
    (tmp_path / "link.csv").symlink_to(path)
    file: Any = LocalFile.at(path)
    assert (file.label, file.size, file.rereadable) == (str(path), len(CSV), True)
    assert (file.read_at(3, 7), file.read_at(len(CSV) - 2, len(CSV) + 5)) == (CSV[3:7], CSV[-2:])
    assert file.identity == LocalFile.at(tmp_path / "link.csv").identity
    assert file.fingerprint()["path"] == str(path)


class Memory:
    """Bytes in memory, which can be read at any position, but is not a local file."""

    rereadable = True
    path = None

    def __init__(self, label: str, content: bytes) -> None:
        self.label = self.identity = label
        self.size = len(content)
        self._content = content

    def open(self) -> BinaryIO:
        return io.BytesIO(self._content)

    def read_at(self, start: int, stop: int) -> bytes:
        return self._content[start:stop]

    def fingerprint(self) -> dict[str, Any]:
        return {"path": self.label, "size": self.size, "crc32": zlib.crc32(self._content)}

    def check_unchanged(self) -> None:
        pass


@pytest.mark.parametrize("name", ["in.csv", "in.parquet", "in.arrow", "in.arrows"])
def test_formats_need_no_local_file(run: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    table = pl.DataFrame({"id": [f"u{number}" for number in range(1000)], "a": "x"})
    write = {
        "in.csv": table.write_csv, "in.parquet": table.write_parquet,
        "in.arrow": table.write_ipc, "in.arrows": table.write_ipc_stream,
    }[name]  # fmt: skip
    write(run.folder / name)
    content = (run.folder / name).read_bytes()
    (run.folder / name).unlink()
    monkeypatch.setitem(SCHEMES, "memory", lambda url, *_: Found([Memory(url, content)]))
    job = run.make_job(input={"path": f"memory://{name}"})
    assert convert(job).records["written"] == 1000
    assert convert(job, resume=True).outcome == "nothing to do"
    monkeypatch.setitem(SCHEMES, "memory", lambda url, *_: Found([Memory(url, content[:-10])]))
    with raises(InputError, "E-INPUT-DAMAGED") if name != "in.csv" else contextlib.nullcontext():
        convert(run.make_job(input={"path": f"memory://{name}"}, output={"timestamp": 1_400_000_000}))
