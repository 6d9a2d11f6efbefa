"""Hashed addresses of customers (N6): all rows of a customer become one line."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from converter.jobs.job import Job
from converter.ledger import Ledger
from converter.rows.batches import Judged, Numbered
from converter.rows.counters import tally_counters
from converter.rows.records import Records
from converter.rows.spill import Spill
from converter.rows.stages.base import Stage, StageResults
from converter.sources.base import Piece
from converter.sources.malformed import NONE
from converter.sources.origins.base import Origin
from converter.spec import rules
from converter.spec.files import MOST_HASHES

_ROWS = pl.Schema(
    {"id0": pl.String, "id1": pl.String, "when": pl.Int64, "row": pl.Int64, "file": pl.UInt32, "order": pl.Int64}
)


class GatheredAddresses(Stage):
    """Gathers the rows of each customer into one, once all have been read.

    A line has at most ten addresses, the newest first: by `sync.date`, or else by their order in the input.
    Further rows with an address count as written; rows whose customer has ten newer ones are rejected (I4). Lines come
    in the order of a hash of the customer's ID, which does not depend on the memory.
    """

    takes_rows = True

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        self._records = records
        self._origins: list[Origin] = []
        self._rows = 0
        self._spill = Spill(pl.col("id0"), job.run.memory, job.run.spill_dir)
        self._spill.add(pl.DataFrame(schema=_ROWS))

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether lines are hashed addresses of customers."""
        return job.output.kind == "c2c-id-sync"

    def feed(self, batch: Judged) -> Iterator[Judged]:
        """Delay the rows that are to be written, and pass on the others."""
        accepted = batch.frame["reason"].is_null()
        kept = batch.frame.filter(accepted).select(*self._records.id_names, "when")
        numbers = batch.rows[accepted.to_numpy()]
        for piece, part, shift in batch.block.by_piece(numbers):
            origin = batch.block.pieces[piece].origin
            if not self._origins or self._origins[-1] != origin:
                self._origins.append(origin)
            of_file = kept[part]
            order = pl.int_range(self._rows, self._rows + of_file.height)
            file = pl.lit(len(self._origins) - 1, pl.UInt32)
            row = pl.Series(numbers[part] + shift, dtype=pl.Int64)
            self._spill.add(of_file.with_columns(row=row, file=file, order=order))
            self._rows += of_file.height
        ledger = batch.ledger + tally_counters(batch.frame.filter(accepted))
        yield batch._replace(
            frame=batch.frame.filter(~accepted), rows=batch.rows[(~accepted).to_numpy()], ledger=ledger
        )

    def finish(self) -> Iterator[Judged]:
        """Yield a row for each customer, and the rejected rows."""
        for (rows,) in self._spill.partitions("rows", by_hash=True):
            yield from self._gathered(rows)

    def close(self) -> None:
        """Release memory and disk."""
        self._spill.close()

    def _gathered(self, rows: pl.DataFrame) -> Iterator[Judged]:
        """Gather all rows of some customers, and reject those that are not in their lines."""
        rows = rows.with_row_index("index")
        newest_first = rows.sort("when", "order", descending=True, nulls_last=True)
        addresses = newest_first.unique(["id0", "id1"], keep="first", maintain_order=True).with_columns(
            rank=pl.int_range(pl.len()).over("id0")
        )
        gathered = (
            addresses.filter(pl.col("rank") < MOST_HASHES)
            .group_by("id0", maintain_order=True)
            .agg(pl.col("id1").str.join("\t"))
            .with_columns(
                fits=self._records.kind.line([pl.col("id0"), pl.col("id1")], []).str.len_bytes()
                <= self._records.most_line_bytes
            )
        )
        ranked = rows.join(addresses.select("id0", "id1", "rank"), on=["id0", "id1"], maintain_order="left")
        ranked = ranked.join(gathered.select("id0", "fits"), on="id0", maintain_order="left")
        too_long = self._records.index_of(rules.line_too_long(self._records.most_line_bytes))
        too_old = self._records.index_of(rules.HASH_TOO_OLD)
        ranked = ranked.with_columns(
            reason=pl.when(~pl.col("fits"))
            .then(pl.lit(too_long, rules.REASON))
            .when(pl.col("rank") >= MOST_HASHES)
            .then(pl.lit(too_old, rules.REASON))
        )
        written = ranked.filter(pl.col("reason").is_null()).group_by("id0").agg(pl.len().alias("rows"), pl.min("index"))
        yield from self._batches(
            gathered.join(written, on="id0").sort("index").with_columns(file=0, row=0, reason=None)
        )
        yield from self._batches(ranked.filter(pl.col("reason").is_not_null()).sort("order"))

    def _batches(self, rows: pl.DataFrame) -> Iterator[Judged]:
        """Yield rows by their files. They have the IDs in place of the columns of the input, which are not kept."""
        ids = {id_.column: f"id{number}" for number, id_ in enumerate(self._records.job.ids)}
        columns = [
            (pl.col(ids[name]) if name in ids else pl.lit("")).alias(alias)
            for name, alias in self._records.aliases.items()
        ]
        rows = rows.with_columns(*columns, pl.col("reason").cast(rules.REASON))
        for (number,), of_file in rows.group_by("file", maintain_order=True):
            file = Numbered([Piece(self._origins[int(str(number))], 0, 0)], [0])
            yield Judged(file, of_file.drop("file", "row"), of_file["row"].to_numpy(), NONE, Ledger())
