"""Small Parquet and Arrow files of every compression, with bytes changed or the end cut: an error, or what is there.

    python -m tests.sweep_bytes [--share 0.1] [--seed N]

What a changed file holds is what the reader of Arrow gives of it, with checksums of pages and full validation. A run of
it must end with an error that says what is wrong with the file, and nothing published, or with the lines that a run of
these rows in a sound file gives. Both read in processes of their own, which may die or hang: that is wrong as well.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import gzip
import io
import itertools
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

PLACES = 2_000
SECONDS = 30  # in which a file of some kilobytes is read, on a busy machine
_SHOWN = 20
_COLUMNS = ("id", "text", "word", "number", "float", "day", "moment", "truth", "amount", "traits")
_NO_FAULT_OF_FILES = {"E-ENGINE", "E-INTERNAL", "E-LEDGER", "E-MEMORY"}


class Outcome(NamedTuple):
    """What became of a file: the code of an error, or the lines that were written."""

    error: str
    lines: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Change:
    """A change of a file: `new` stands at `place` instead of what was there; or nothing, and all that followed."""

    name: str
    place: int
    new: bytes

    def of(self, content: bytes) -> bytes:
        """Change a file."""
        return content[: self.place] + (self.new + content[self.place + len(self.new) :] if self.new else b"")


def table() -> pa.Table:
    """Return the rows that the files hold."""
    numbers = range(60)
    day = datetime.date(2024, 1, 31)
    columns = [
        pa.array([f"user-{number:03}" for number in numbers]),
        pa.array([None if number % 7 == 3 else f"{number} été " * (1 + number % 5) for number in numbers]),
        pa.array([None if number % 11 == 5 else ("red", "green", "blue")[number % 3] for number in numbers]),
        pa.array([None if number % 5 == 1 else number * 10**12 - 7 for number in numbers], pa.int64()),
        pa.array([number / 8 for number in numbers]),
        pa.array([None if number % 4 == 2 else day + datetime.timedelta(number) for number in numbers]),
        pa.array([datetime.datetime(2024, 1, 31, 13, number) for number in numbers], pa.timestamp("us", "UTC")),
        pa.array([number % 3 == 0 for number in numbers]),
        pa.array([Decimal(number) / 100 for number in numbers], pa.decimal128(10, 2)),
        pa.array([[number % 4, number] if number % 6 else None for number in numbers], pa.list_(pa.int64())),
    ]
    return pa.table(columns, names=list(_COLUMNS))


def files() -> dict[str, bytes]:
    """Return the files, by name: each compression, with dictionaries and without, with checksums and without."""
    rows = table()
    found: dict[str, bytes] = {}
    packed = ("none", "snappy", "gzip", "brotli", "zstd", "lz4")
    for number, (compression, dictionary, checksum) in enumerate(
        itertools.product(packed, (True, False), (True, False))
    ):
        kind = f"{'dictionary' if dictionary else 'plain'}-{'checksum' if checksum else 'bare'}"
        file = io.BytesIO()
        pq.write_table(
            rows,
            file,
            row_group_size=40,
            compression=compression,
            use_dictionary=dictionary,
            write_page_checksum=checksum,
            data_page_version="2.0" if number % 4 in (1, 2) else "1.0",
        )
        found[f"{compression}-{kind}.parquet"] = file.getvalue()
    words = rows.set_column(2, "word", rows.column("word").dictionary_encode())
    for suffix, new in (("arrow", pa.ipc.new_file), ("arrows", pa.ipc.new_stream)):
        for compression, given in itertools.product((None, "lz4", "zstd"), (rows, words)):
            options = pa.ipc.IpcWriteOptions(compression=compression)
            file = io.BytesIO()
            with new(file, given.schema, options=options) as writer:
                writer.write_table(given, max_chunksize=40)
            kind = "plain" if given is rows else "dictionary"
            found[f"{compression or 'none'}-{kind}.{suffix}"] = file.getvalue()
    return found


def changes(contents: Mapping[str, bytes], share: float, seed: int) -> list[Change]:
    """Draw places in all files, and what happens there."""
    drawn = random.Random(seed)
    names = list(contents)
    offset = drawn.randrange(len(names))  # so that a small share meets others
    return [_change(drawn, names[(number + offset) % len(names)], contents) for number in range(round(PLACES * share))]


def _change(drawn: random.Random, name: str, contents: Mapping[str, bytes]) -> Change:
    content = contents[name]
    place = drawn.randrange(len(content))
    kind = drawn.random()
    if kind < 0.1:
        return Change(name, place, b"")
    old = content[place : place + (1 if kind < 0.9 else drawn.randrange(2, 6))]
    return Change(name, place, bytes(byte ^ drawn.randrange(1, 256) for byte in old))


def converted(path: Path) -> Outcome:
    """Run a job of a file; return its error, of which nothing may be left, or its lines."""
    from converter import Job, convert  # here, since it is a child that does so
    from converter.errors import ConverterError

    folder = path.parent
    job = Job(
        input={"path": str(path)},
        id={"column": "id"},
        record={"signals": list(_COLUMNS[1:-1]), "traits": ["traits"]},
        privacy={"signals": "allow"},
        output={"to": str(folder / "out"), "dpid": 1234, "timestamp": 1_366_545_717},
        report={"dir": str(folder / "reports"), "max_rejects": "100%"},
    )
    error = ""
    try:
        convert(job)
    except ConverterError as raised:
        error = raised.code
    parts = sorted((folder / "out").iterdir()) if (folder / "out").exists() else []
    lines = [line for part in parts for line in gzip.decompress(part.read_bytes()).splitlines()]
    for made in ("out", "reports"):
        shutil.rmtree(folder / made, ignore_errors=True)
    return Outcome(error, tuple(lines))


def read(path: Path) -> Outcome:
    """Read a file by Arrow alone, and write what it holds beside it, as a sound one; return whether that went well."""
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
                rows = parquet.read(list(_COLUMNS), use_threads=False)
        else:
            with pa.OSFile(str(path)) as raw, _opened(path, raw) as reader:
                rows = reader.read_all()
        rows.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        return Outcome(type(error).__name__)
    with pa.OSFile(str(sound(path)), "wb") as file, pa.ipc.new_stream(file, rows.schema) as writer:
        writer.write_table(rows)
    return Outcome("")


def _opened(path: Path, raw: pa.OSFile) -> pa.ipc.RecordBatchStreamReader | pa.ipc.RecordBatchFileReader:
    is_file = path.read_bytes().startswith(b"ARROW1")
    return pa.ipc.open_file(raw) if is_file else pa.ipc.open_stream(raw)


def sound(path: Path) -> Path:
    """Return where `read` writes what it has read."""
    return path.with_name("sound.arrows")


class Child:
    """A process that does something to files, one at a time; where it dies or hangs, another one takes its place."""

    def __init__(self, work: Callable[[Path], Outcome]) -> None:
        self._work = work
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(other, self._work), daemon=True)
        self._process.start()
        other.close()

    def __call__(self, path: Path) -> Outcome:
        """Do it to a file. Raises `AssertionError` where the process dies or hangs."""
        with contextlib.suppress(EOFError, OSError):
            self._pipe.send(path)
            if self._pipe.poll(SECONDS):
                answer = self._pipe.recv()
                if isinstance(answer, Outcome):
                    return answer
                raise AssertionError(f"{self._work.__name__} raised {answer}")
        self._process.join(1)
        code = self._process.exitcode
        self.close()
        self._start()
        raise AssertionError(f"{self._work.__name__} {'hung' if code is None else f'died with exit code {code}'}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection, work: Callable[[Path], Outcome]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries print of damaged files
    with contextlib.suppress(EOFError):
        while True:
            path = pipe.recv()
            try:
                answer: Outcome | str = work(path)
            except BaseException as error:
                answer = type(error).__name__
            pipe.send(answer)


class Sweep:
    """Plays changes of files. Used as a context."""

    def __init__(self, folder: Path, work: Callable[[Path], Outcome] = converted) -> None:
        self._folder = folder
        self._contents = files()
        self._ours, self._theirs = Child(work), Child(read)
        self.outcomes: Counter[str] = Counter()

    def __enter__(self) -> Sweep:
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        self._theirs.close()

    def check_sound(self) -> None:
        """Convert every file as it is: all must give the same lines."""
        lines = {name: self._ours(self._write(name, content)) for name, content in self._contents.items()}
        assert {outcome.error for outcome in lines.values()} == {""}, lines
        assert {len(outcome.lines) for outcome in lines.values()} == {table().num_rows}
        assert len(set(lines.values())) == 1

    def play(self, change: Change) -> None:
        """Convert a changed file, and hold what comes of it against what is there. Raises `AssertionError`."""
        path = self._write(change.name, change.of(self._contents[change.name]))
        sound(path).unlink(missing_ok=True)
        ours = self._ours(path)
        self.check(ours, self._theirs(path), sound(path))

    def check(self, ours: Outcome, theirs: Outcome, rows: Path) -> None:
        """Raise `AssertionError` where a run has lines of a file that is damaged, or others than are in it."""
        if ours.error:
            assert not ours.lines, f"published in spite of {ours.error}"
            assert ours.error not in _NO_FAULT_OF_FILES, f"{ours.error} is not a word for a damaged file"
            self.outcomes[ours.error] += 1
            return
        assert not theirs.error, f"published {len(ours.lines)} lines, but Arrow raises {theirs.error}"
        expected = self._ours(rows)
        assert not expected.error, f"published {len(ours.lines)} lines, but the same rows give {expected.error}"
        assert ours == expected, "published others than are there"
        self.outcomes["as it is there"] += 1

    def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / f"in{Path(name).suffix}"
        path.write_bytes(content)
        return path


def sweep(folder: Path, share: float, seed: int) -> tuple[Counter[str], list[str]]:
    """Play a share of the changes; return how often each outcome was, and what failed."""
    failures: list[str] = []
    with Sweep(folder) as played:
        played.check_sound()
        for change in changes(files(), share, seed):
            try:
                played.play(change)
            except AssertionError as error:
                failures.append(f"{change}: {error}")
    return played.outcomes, failures


def main() -> None:
    """Run the sweep, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.sweep_bytes", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcomes, failures = sweep(Path(folder), asked.share, asked.seed)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    wrong = f", {len(failures)} WRONG" if failures else ""
    print(
        f"bytes: {round(PLACES * asked.share)} places in {len(files())} files: {counts}{wrong}; "
        f"{time.monotonic() - begun:.0f} s, --seed {asked.seed}"
    )
    for failure in failures[:_SHOWN]:
        print(f"    {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
