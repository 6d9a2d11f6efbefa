"""The table of outbound files: Parquet, CSV or NDJSON, in a file that appears whole or not at all, or in a stream.

CSV and NDJSON are formatted in workers, and their blocks are written in order. Row groups of Parquet are cut by what is
in the rows, so that the file does not depend on how the input was cut.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol, get_args

import numpy as np
import polars as pl

from converter.commands.outbound.parsing import segment_type
from converter.delivery.atomic import PARTIAL, AtomicFile, rename_exclusively, sync_folder
from converter.delivery.locks import is_at
from converter.errors import DestinationError, JobError
from converter.jobs.paths import exists, is_file, is_folder
from converter.spec.outbound import OutboundName

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Format = Literal["parquet", "csv", "ndjson"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
_GROUP_BYTES = 16 << 20  # of a row group, about, as it lies in memory
_ROW_BYTES = 64  # of a row without its segments
_SEGMENT_BYTES = 8
_LISTS = ("segments", "removed_segments")


def format_of(to: str, given: str | None) -> Format:
    """Return the format of the output: the given one, or what the suffix says. Raises `JobError`."""
    if given is None and to == "-":
        return "ndjson"
    for name in FORMATS:
        if given == name:
            if to == "-" and name == "parquet":
                break
            return name
    if given is None and (found := _SUFFIXES.get(Path(to).suffix.lower())):
        return found
    raise JobError(
        "E-OUTBOUND-FORMAT",
        f"The format of the output '{to}' is not known." if given is None else f"'{given}' is not a format for '{to}'.",
        "Name it with --format: parquet, csv or ndjson, or for standard output ndjson or csv.",
    )


def with_name(frame: pl.DataFrame, name: OutboundName) -> pl.DataFrame:
    """Return rows with the columns that the name of their file says: see `schema`."""
    return frame.with_columns(
        time=pl.lit(name.time and name.time.replace(tzinfo=None), pl.Datetime("ms")).dt.replace_time_zone("UTC"),
        destination=pl.lit(name.destination, pl.Int64),
        data_source=pl.lit(name.data_source, pl.Int64),
        mode=pl.lit(name.mode, pl.String),
    )


def schema(*, aliases: bool) -> pl.Schema:
    """Return the columns of the output."""
    segments = pl.List(segment_type(aliases=aliases))
    return pl.Schema(
        {
            "user_id": pl.String(),
            "segments": segments,
            "removed_segments": segments,
            "time": pl.Datetime("ms", "UTC"),
            "destination": pl.Int64(),
            "data_source": pl.Int64(),
            "mode": pl.String(),
        }
    )


def formatted(frame: pl.DataFrame, format_: Format) -> bytes | pl.DataFrame:
    """Return rows as they are written: bytes of text, or for Parquet the frame. For workers."""
    if format_ == "parquet":
        return frame
    time = pl.col("time").dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
    if format_ == "ndjson":
        return frame.with_columns(time).write_ndjson().encode()
    lists = [pl.col(name).cast(pl.List(pl.String)).list.join(",") for name in _LISTS]
    return frame.with_columns(time, *lists).write_csv(include_header=False).encode()


class Writer(Protocol):
    """Writes rows in order. Methods raise `OSError`."""

    def write(self, rows: bytes | pl.DataFrame) -> None:
        """Take rows, as `formatted` returns them."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...

    def abandon(self) -> None:
        """Write nothing more."""
        ...


class TextWriter:
    """Writes CSV or NDJSON."""

    def __init__(self, write: Callable[[bytes], object], format_: Format) -> None:
        self._write = write
        if format_ == "csv":
            write(",".join(schema(aliases=False)).encode() + b"\n")

    def write(self, rows: bytes | pl.DataFrame) -> None:
        """Write text."""
        assert isinstance(rows, bytes)  # noqa: S101 - for the type checker: `formatted` returns text
        self._write(rows)

    def close(self) -> None:
        """Do nothing: all is written."""

    def abandon(self) -> None:
        """Do nothing: no more is written."""


class ParquetTable:
    """Writes Parquet, in row groups of about the same size in memory."""

    def __init__(self, stream: BinaryIO, *, aliases: bool) -> None:
        import pyarrow.parquet as pq  # here, since it is slow, and only Parquet needs it

        self._schema = pl.DataFrame(schema=schema(aliases=aliases)).to_arrow().schema
        # IDs are all different: a dictionary of them would only take time.
        lists = [f"{name}.list.element" for name in _LISTS]
        self._writer: pq.ParquetWriter = pq.ParquetWriter(
            stream,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[*lists, "time", "destination", "data_source", "mode"],
        )
        self._waiting: list[pl.DataFrame] = []
        self._size = 0

    def write(self, rows: bytes | pl.DataFrame) -> None:
        """Take rows; write the row groups that are full with them."""
        assert isinstance(rows, pl.DataFrame)  # noqa: S101 - for the type checker: `formatted` returns the frame
        while rows.height:
            items = rows.select(pl.sum_horizontal(pl.col(name).list.len() for name in _LISTS)).to_series()
            sizes = np.cumsum(items.to_numpy().astype(np.int64) * _SEGMENT_BYTES + _ROW_BYTES) + self._size
            count = int(np.searchsorted(sizes, _GROUP_BYTES)) + 1  # the row with which the group is full
            self._waiting.append(rows.head(count))
            if count > rows.height:
                self._size = int(sizes[-1])
                return
            self._write_group()
            rows = rows.slice(count)

    def close(self) -> None:
        """Write the last row group and the footer."""
        if self._waiting:
            self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        """Write no footer, when memory is freed."""
        self._writer.is_open = False

    def _write_group(self) -> None:
        frame = pl.concat(self._waiting, rechunk=True)
        self._waiting, self._size = [], 0
        table = frame.to_arrow().cast(self._schema)
        self._writer.write_table(table, row_group_size=table.num_rows)


class Output:
    """Where rows are written: a file that appears whole, or a stream of bytes."""

    def __init__(self, to: str | os.PathLike[str] | BinaryIO, *, force: bool) -> None:
        self._path = Path(os.fspath(to)).expanduser() if isinstance(to, str | os.PathLike) else None
        self._stream = None if isinstance(to, str | os.PathLike) else to
        self._force = force
        self._file: AtomicFile | None = None
        self._opened: io.BufferedWriter | None = None
        self._is_published = False

    @property
    def is_file(self) -> bool:
        """Whether it is a file, which appears when all is proven; what is in a stream is there already."""
        return self._path is not None

    def open(self) -> BinaryIO:
        """Return what to write into. Raises `DestinationError` where the file exists, or another run writes it."""
        if self._path is None:
            assert self._stream is not None  # noqa: S101 - for the type checker: it is one of the two
            return self._stream
        if exists(self._path) and not is_file(self._path):  # a device must not be replaced, either
            what = "a folder" if is_folder(self._path) else "no file"
            raise DestinationError("E-OUTPUT-TAKEN", f"'{self._path}' is {what}.", "Name a file; - is standard output.")
        if not self._force and os.access(self._path, os.F_OK):
            raise DestinationError(
                "E-OUTPUT-TAKEN", f"'{self._path}' exists.", "Choose another name, or replace it: --force."
            )
        partial = self._path.with_name(f".{self._path.name}{PARTIAL}")
        with mapped(self._path):
            raw = io.FileIO(self._locked(partial), "wb")
            self._opened = io.BufferedWriter(raw)
            self._file = AtomicFile(self._path, partial)
            return self._opened

    def _locked(self, partial: Path) -> int:
        """Open the partial file, which a run that died may have left, and lock it."""
        while True:
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(descriptor)
                raise DestinationError(
                    "E-OUTPUT-IN-USE", f"Another run is writing '{self._path}'.", "Wait, or choose another name."
                ) from error
            if is_at(descriptor, partial):
                os.ftruncate(descriptor, 0)
                return descriptor
            os.close(descriptor)

    def publish(self) -> None:
        """Give the file its name, once all of it is on the disk. Raises `DestinationError`."""
        if self._file is None or self._path is None or self._opened is None:
            return
        with mapped(self._path):
            self._opened.flush()
            os.fsync(self._opened.fileno())
            if self._force:
                self._file.publish()
            else:
                try:
                    rename_exclusively(self._file.partial, self._path)
                except FileExistsError as error:
                    raise DestinationError(
                        "E-OUTPUT-TAKEN", f"'{self._path}' was made meanwhile.", "Choose another name, or use --force."
                    ) from error
                self._file.partial.unlink(missing_ok=True)
                sync_folder(self._path.parent)
        self._is_published = True

    def close(self) -> None:
        """Close the file, and remove it unless it is published."""
        if self._file is not None and not self._is_published:
            self._file.discard()
        if self._opened is not None:
            # What is not written yet must never be: the descriptor may be that of another file when memory is freed.
            self._opened.raw.close()


@contextlib.contextmanager
def mapped(path: Path | None = None) -> Iterator[None]:
    """Raise errors of the system, where the output is written, as `DestinationError`, which names `path`."""
    try:
        yield
    except BrokenPipeError as error:
        raise DestinationError("E-OUTPUT-CLOSED", "The reader of the table has closed the stream.") from error
    except OSError as error:
        output = f"the output '{path}'" if path else "the output"
        raise DestinationError(
            "E-OUTPUT-WRITE",
            f"Cannot write {output}: {error.strerror or error}.",
            "Is there a folder for it, with enough space, that this user may write?",
        ) from error


def open_writer(stream: BinaryIO, format_: Format, *, aliases: bool) -> Writer:
    """Return what writes a format into a stream. Raises `OSError`."""
    if format_ == "parquet":
        return ParquetTable(stream, aliases=aliases)
    return TextWriter(stream.write, format_)
