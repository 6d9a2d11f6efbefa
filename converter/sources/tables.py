"""Parquet and Arrow IPC: typed columns. How many rows there are is read from the file's own bookkeeping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import polars as pl
import pyarrow as pa

from converter.job import Input
from converter.sources.base import InputFile, Piece, Rows, damaged

_PIECE_ROWS = 1 << 17  # in memory at once, for each worker; to skip rows of a file costs next to nothing


class TableSource:
    """One file of typed columns that the engine reads by itself."""

    json_lists = False
    nullable = True

    def __init__(self, file: InputFile, frame: pl.LazyFrame, rows: int) -> None:
        self.file = file
        self._frame = frame
        self._rows = rows
        self._schema = dict(frame.collect_schema())

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types."""
        return self._schema

    @property
    def repeated(self) -> set[str]:
        """Names are unique."""
        return set()

    def pieces(self, columns: tuple[str, ...], loops: object = None) -> Iterator[Piece]:
        """Yield the file in pieces, which the engine reads by itself."""
        frame = self._frame.select(columns)
        for first in range(0, self._rows, _PIECE_ROWS):
            end = min(first + _PIECE_ROWS, self._rows)
            # The last one goes on to the file's end, whatever its bookkeeping says.
            piece = frame.slice(first, None if end == self._rows else _PIECE_ROWS)
            position = round(self.file.size * end / self._rows)
            yield Piece(self.file, piece, end - first, _numbers_from(first + 1), position)


class StreamSource:
    """One Arrow IPC stream: like the file format, without an index."""

    json_lists = False
    nullable = True

    def __init__(self, file: InputFile) -> None:
        self.file = file
        with pa.OSFile(str(file.path)) as raw, pa.ipc.open_stream(raw) as reader:
            self._schema = dict(pl.Schema(pl.DataFrame(reader.schema.empty_table()).schema))

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types."""
        return self._schema

    @property
    def repeated(self) -> set[str]:
        """Names are unique."""
        return set()

    def pieces(self, columns: tuple[str, ...], loops: object = None) -> Iterator[Piece]:
        """Yield the batches of the stream, cut where they are large."""
        first = 0
        with pa.OSFile(str(self.file.path)) as raw, pa.ipc.open_stream(raw) as reader:
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                except (pa.ArrowInvalid, OSError) as error:
                    raise damaged(self.file, error) from None
                for start in range(0, batch.num_rows, _PIECE_ROWS):
                    part = batch.slice(start, _PIECE_ROWS)
                    frame = pl.DataFrame(pa.Table.from_batches([part]).select(list(columns))).lazy()
                    yield Piece(self.file, frame, part.num_rows, _numbers_from(first + 1), raw.tell())
                    first += part.num_rows


def open_parquet(file: InputFile, options: Input) -> TableSource:
    """Open a Parquet file. Raises `InputError` where its footer is damaged."""
    del options
    import pyarrow.parquet as pq  # here, since it takes a while: Arrow files need none of it

    try:
        with pq.ParquetFile(file.path) as parquet:
            rows = parquet.metadata.num_rows
        return TableSource(file, pl.scan_parquet(file.path, glob=False), rows)
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise damaged(file, error) from None


def open_arrow(file: InputFile, options: Input) -> TableSource | StreamSource:
    """Open an Arrow IPC file or stream. Raises `InputError` where it is damaged."""
    del options
    import pyarrow.dataset as ds  # here, since it brings pandas along where that is installed

    try:
        with file.path.open("rb") as raw:
            magic = raw.read(6)
        if magic != b"ARROW1":
            return StreamSource(file)
        rows = ds.dataset(str(file.path), format="ipc").count_rows()
        return TableSource(file, pl.scan_ipc(file.path, glob=False), rows)
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise damaged(file, error) from None


def _numbers_from(first: int) -> Callable[[Rows], Rows]:
    def locate(places: Rows) -> Rows:
        return places + first

    return locate
