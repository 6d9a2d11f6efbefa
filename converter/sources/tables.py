"""Parquet and Arrow IPC: typed columns. How many rows there are is read from the file's own bookkeeping."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import polars as pl
import pyarrow as pa

from converter.errors import ColumnError, InputError
from converter.sections.table import Input
from converter.sources.base import InputFile, Piece, Rows, damaged

_PIECE_ROWS = 1 << 17
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
# What the libraries raise where a file is damaged: a name that is not UTF-8 is a `ValueError`, and a panic is not even
# an `Exception`.
_DAMAGED = (pa.ArrowException, OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


class TableSource:
    """One file of typed columns that the engine reads by itself. `groups` are the rows of its groups or batches."""

    json_lists = False
    nullable = True

    def __init__(self, file: InputFile, frame: pl.LazyFrame, groups: Sequence[int]) -> None:
        self.file = file
        self._frame = frame
        self._groups = groups
        self._schema = dict(frame.collect_schema())

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types."""
        return self._schema

    @property
    def repeated(self) -> set[str]:
        """Names are unique."""
        return set()

    def beginning(self) -> TableSource:
        """Return the source: of what it gives, the engine reads no more than is asked for."""
        return self

    def pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]:
        """Yield the file in pieces, which the engine reads by itself."""
        frame = self._frame.select(columns)
        first, total = 0, sum(self._groups)
        for rows in _cut(self._groups):
            end = first + rows
            # The last one goes on to the file's end, whatever its bookkeeping says.
            piece = frame.slice(first, None if end == total else rows)
            position = round(self.file.size * end / total)
            yield Piece(self.file, piece, rows, _numbers_from(first + 1), position)
            first = end


def _cut(groups: Iterable[int]) -> Iterator[int]:
    """Yield numbers of rows: large groups in equal shares, small ones together.

    What a piece has of a group costs as much to begin as the whole one, so no piece has a little of its neighbour.
    """
    together = 0
    for rows in groups:
        if together and together + rows > _PIECE_ROWS:
            yield together
            together = 0
        together += rows
        while together > _PIECE_ROWS:
            share = -(-together // -(-together // _PIECE_ROWS))
            yield share
            together -= share
    if together:
        yield together


class StreamSource:
    """One Arrow IPC stream: like the file format, without an index."""

    json_lists = False
    nullable = True

    def __init__(self, file: InputFile) -> None:
        self.file = file
        with pa.OSFile(str(file.path)) as raw, pa.ipc.open_stream(raw) as reader:
            _check_names(file, reader.schema.names)
            self._schema = dict(pl.Schema(pl.DataFrame(reader.schema.empty_table()).schema))

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types."""
        return self._schema

    @property
    def repeated(self) -> set[str]:
        """Names are unique."""
        return set()

    def beginning(self) -> StreamSource:
        """Return the source: it reads batch by batch."""
        return self

    def pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]:
        """Yield the batches of the stream, cut where they are large."""
        first = 0
        with contextlib.ExitStack() as stack:
            with _telling(self.file):
                raw = stack.enter_context(pa.OSFile(str(self.file.path)))
                reader = stack.enter_context(pa.ipc.open_stream(raw))
            while (batch := self._next(reader, columns)) is not None:
                for start in range(0, batch.num_rows, _PIECE_ROWS):
                    part = batch.slice(start, _PIECE_ROWS)
                    with _telling(self.file):
                        frame = pl.DataFrame(pa.Table.from_batches([part])).lazy()
                    yield Piece(self.file, frame, part.num_rows, _numbers_from(first + 1), raw.tell())
                    first += part.num_rows
            self._check_end(raw)

    def _next(self, reader: pa.RecordBatchReader, columns: Sequence[str]) -> pa.RecordBatch | None:
        with _telling(self.file):
            try:
                batch = reader.read_next_batch().select(list(columns))
            except StopIteration:
                return None
            # The engine trusts what it is given: offsets beyond a buffer would bring the process down.
            batch.validate(full=True)
            return batch

    def _check_end(self, raw: pa.OSFile) -> None:
        """Raise `InputError` unless the stream has its end mark, and the file ends there.

        A stream cut between two batches reads as a whole one, and so does the first of several in one file.
        """
        with _telling(self.file):
            end = raw.tell()
            raw.seek(max(end - len(_END_OF_STREAM), 0))
            mark = raw.read(len(_END_OF_STREAM))
        if mark != _END_OF_STREAM or end != self.file.size:
            raise InputError(
                "E-INPUT-DAMAGED",
                f"The Arrow stream '{self.file.path}' is damaged: it is cut off, or something follows its end.",
                "Get the file again; nothing was published.",
            )


def open_parquet(file: InputFile, options: Input) -> TableSource:
    """Open a Parquet file. Raises `InputError` where its footer is damaged."""
    del options
    import pyarrow.parquet as pq  # here, since it takes a while: Arrow files need none of it

    with _telling(file):
        with pq.ParquetFile(file.path) as parquet:
            _check_names(file, parquet.schema_arrow.names)
            footer = parquet.metadata
        groups = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
        return TableSource(file, pl.scan_parquet(file.path, glob=False), groups)


def open_arrow(file: InputFile, options: Input) -> TableSource | StreamSource:
    """Open an Arrow IPC file or stream. Raises `InputError` where it is damaged."""
    del options
    import pyarrow.dataset as ds  # here, since it brings pandas along where that is installed

    with _telling(file):
        with file.path.open("rb") as start:
            magic = start.read(6)
        if magic != b"ARROW1":
            return StreamSource(file)
        with pa.OSFile(str(file.path)) as raw, pa.ipc.open_file(raw) as reader:
            _check_names(file, reader.schema.names)
        rows = ds.dataset(str(file.path), format="ipc").count_rows()
        return TableSource(file, pl.scan_ipc(file.path, glob=False), [rows])


def _check_names(file: InputFile, names: Sequence[str]) -> None:
    """Raise `ColumnError` where columns share a name: the engine reads no such table at all."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ColumnError(
            "E-COLUMN-REPEATED",
            f"The input '{file.path}' has more than one column '{repeated[0]}'.",
            "Give them different names.",
        )


@contextlib.contextmanager
def _telling(file: InputFile) -> Iterator[None]:
    """Say of what the libraries find wrong with the file that it is damaged."""
    try:
        yield
    except _DAMAGED as error:
        raise damaged(file, error) from error


def _numbers_from(first: int) -> Callable[[Rows], Rows]:
    def locate(places: Rows) -> Rows:
        return places + first

    return locate
