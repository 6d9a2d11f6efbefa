"""Hashed addresses of customers (N6): all rows of a customer become one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from converter.columns.buffers import texts_of
from converter.jobs.job import Job
from converter.ledger import Ledger
from converter.rows.pipeline import Converted
from converter.rows.records import Records
from converter.rows.spill import Spill
from converter.rows.stages.base import Stage, StageResults
from converter.sources import Origin
from converter.spec import rules
from converter.spec.files import MOST_HASHES

_ROWS = pl.Schema(
    {"id0": pl.String, "id1": pl.String, "when": pl.Int64, "row": pl.Int64, "file": pl.UInt32, "order": pl.Int64}
)


class GatheredAddresses(Stage):
    """Gathers the rows of each customer into one line, once all have been read.

    A line has at most ten addresses, the newest first: by `sync.date`, or else by their order in the input.
    Further rows with an address count as written; rows whose customer has ten newer ones are rejected (I4). Lines come
    in the order of a hash of the customer's ID, which does not depend on the memory.
    """

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        self._records = records
        self._origins: list[Origin] = []
        self._position = self._rows = 0
        self._spill = Spill(pl.col("id0"), job.run.memory, job.run.spill_dir)
        self._spill.add(pl.DataFrame(schema=_ROWS))

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether lines are hashed addresses of customers."""
        return job.output.kind == "c2c-id-sync"

    def feed(self, batch: Converted) -> Iterator[Converted]:
        """Delay the rows that are to be written, and pass on the others."""
        if not self._origins or self._origins[-1] != batch.origin:
            self._origins.append(batch.origin)
        rows = batch.accepted
        if rows.height:
            file = pl.lit(len(self._origins) - 1, pl.UInt32)
            order = pl.int_range(self._rows, self._rows + rows.height)
            self._spill.add(rows.select("id0", "id1", "when", "row", file=file, order=order))
        self._rows += rows.height
        self._position = batch.position
        yield batch._replace(texts=[[]], ledger=replace(batch.ledger, lines=0))

    def finish(self) -> Iterator[Converted]:
        """Yield the lines of all customers, and the rejected rows."""
        for (rows,) in self._spill.partitions("rows", by_hash=True):
            yield from self._lines(rows)

    def close(self) -> None:
        """Release memory and disk."""
        self._spill.close()

    def _lines(self, rows: pl.DataFrame) -> Iterator[Converted]:
        """Make the lines of customers from all of their rows, and reject the rows that are not in them."""
        rows = rows.with_row_index("index")
        newest_first = rows.sort("when", "order", descending=True, nulls_last=True)
        addresses = newest_first.unique(["id0", "id1"], keep="first", maintain_order=True).with_columns(
            rank=pl.int_range(pl.len()).over("id0")
        )
        lines = (
            addresses.filter(pl.col("rank") < MOST_HASHES)
            .group_by("id0", maintain_order=True)
            .agg(pl.col("id1").str.join("\t").alias("hashes"))
            .join(rows.group_by("id0").agg(pl.col("index").min()), on="id0")
            .sort("index")
            .select("id0", line=self._records.kind.line([pl.col("id0"), pl.col("hashes")], []))
            .with_columns(fits=pl.col("line").str.len_bytes() <= self._records.most_line_bytes)
        )
        written = texts_of(lines.filter("fits")["line"].rechunk())
        if written:
            ledger, none = Ledger(lines=sum(len(text.ends) for text in written)), pl.DataFrame()
            yield Converted(self._origins[-1], [written], none, np.zeros(0, np.int64), (), ledger, self._position, none)
        ranked = rows.join(addresses.select("id0", "id1", "rank"), on=["id0", "id1"], maintain_order="left")
        yield from self._rejects(ranked.join(lines.select("id0", "fits"), on="id0", maintain_order="left"))

    def _rejects(self, rows: pl.DataFrame) -> Iterator[Converted]:
        """Reject rows whose line is too long, and those whose customer has ten newer addresses."""
        too_long = self._records.index_of(rules.line_too_long(self._records.most_line_bytes))
        too_old = self._records.index_of(rules.HASH_TOO_OLD)
        reason = (
            pl.when(~pl.col("fits"))
            .then(pl.lit(too_long, rules.REASON))
            .when(pl.col("rank") >= MOST_HASHES)
            .then(pl.lit(too_old, rules.REASON))
        )
        # Rejects hold the IDs of these rows in place of their columns, which are not kept.
        ids = {id_.column: f"id{number}" for number, id_ in enumerate(self._records.job.ids)}
        columns = [
            (pl.col(ids[name]) if name in ids else pl.lit("")).alias(alias)
            for name, alias in self._records.aliases.items()
        ]
        rejected = rows.with_columns(reason=reason).filter(pl.col("reason").is_not_null()).sort("order")
        for (number,), of_file in rejected.group_by("file", maintain_order=True):
            ledger = self._records.tally(of_file)
            ledger.written = -of_file.height
            file, numbers = self._origins[int(str(number))], of_file["row"].to_numpy()
            rejects = of_file.select("reason", *columns)
            yield Converted(file, [[]], rejects, numbers, (), ledger, self._position, pl.DataFrame())
