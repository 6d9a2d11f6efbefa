"""What must see all rows of a user: lines that gather them, and counts of IDs that belong together.

Rows go through `spill`, so that memory stays bounded: each partition holds all rows of its users.

- Addresses of a customer (N6): the rows of a customer become one line, with the newest ten addresses (I4).
- Case collisions (C12): IDs that differ by nothing but case.
- Mappings (I5): how many device IDs a customer ID has, and the other way round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns.buffers import texts_of
from converter.errors import TooManyRejectsError
from converter.jobs.job import Job
from converter.ledger import Ledger
from converter.rows.pipeline import Converted, convert_all
from converter.rows.records import Records, folded
from converter.rows.spill import Spill
from converter.sources import InputFile, Source
from converter.spec import rules
from converter.spec.files import MOST_HASHES

_CUSTOMERS = pl.Schema(
    {"id0": pl.String, "id1": pl.String, "when": pl.Int64, "row": pl.Int64, "file": pl.UInt32, "place": pl.Int64}
)


@dataclass
class StageResults:
    """What is known of the IDs of a run once all rows have been seen."""

    collisions: CollisionCounts | None = None
    over_limit: dict[str, int] = field(default_factory=dict)


def converted_by(job: Job, records: Records, sources: Sequence[Source], found: StageResults) -> Generator[Converted]:
    """Convert the sources as `convert_all` does, and see all rows of a user where the job asks for that.

    What is known by the end goes into `found`. Where IDs that collide are rejected, the sources are read twice: no row
    can be written before the last one is known.
    """
    with contextlib.ExitStack() as stack:
        if job.output.kind == "c2c-id-sync":
            stretches = stack.enter_context(contextlib.closing(convert_all(records, sources, job.threads)))
            yield from gathered(job, records, stretches)
            return
        collisions = mappings = None
        if job.id and job.id.case_collisions != "off":
            collisions = stack.enter_context(CaseCollisions(job.run.memory, job.run.spill_dir))
        if job.sync:
            mappings = stack.enter_context(Mappings(records, job.run.memory, job.run.spill_dir))
        if collisions and job.id and job.id.case_collisions == "reject":
            with contextlib.closing(convert_all(records, sources, job.threads)) as stretches:
                for converted in stretches:
                    collisions.add(converted.kept["id0"])
            found.collisions = collisions.found()
            colliding = _all(collisions.colliding(), job.run.memory)
            records = Records(job, records.most_line_bytes, cards=records.cards, colliding=colliding, kind=records.kind)
        stretches = stack.enter_context(contextlib.closing(convert_all(records, sources, job.threads)))
        for converted in stretches:
            if collisions and records.keeps:
                collisions.add(converted.kept["id0"])
            if mappings:
                mappings.add(converted.kept)
            yield converted
        if collisions and records.keeps:
            found.collisions = collisions.found()
        if mappings:
            found.over_limit = mappings.found()


def _all(stretches: Iterator[pl.Series], memory: int) -> pl.Series:
    """Return all IDs that collide. Raises `TooManyRejectsError` where these are more than memory holds."""
    ids, size = [pl.Series("folded", [], pl.String)], 0
    for stretch in stretches:
        ids.append(stretch)
        size += int(stretch.estimated_size())
        if size > memory // 4:
            raise TooManyRejectsError(
                "E-COLLISIONS-MEMORY",
                "So many IDs differ from another by nothing but case that they do not fit into run.memory.",
                "Most likely the column is the wrong one; else raise run.memory, or set id.case_collisions = 'report'.",
            )
    return pl.concat(ids)


def gathered(job: Job, records: Records, stretches: Iterator[Converted]) -> Iterator[Converted]:
    """Gather the rows of each customer into one line, once all have been read.

    A line has at most ten addresses, the newest first: by `sync.date`, or else those that come last in the input. Rows
    with the same address count as written with it; rows whose customer has ten newer ones are rejected (I4). Lines come
    in the order of a hash of the customer's ID, whatever memory there is.
    """
    files: list[InputFile] = []
    position = place = 0
    with Spill(pl.col("id0"), job.run.memory, job.run.spill_dir) as spill:
        spill.add(pl.DataFrame(schema=_CUSTOMERS))
        for converted in stretches:
            if not files or files[-1] != converted.file:
                files.append(converted.file)
            rows = converted.kept
            if rows.height:
                spill.add(
                    rows.select(
                        "id0",
                        "id1",
                        "when",
                        "row",
                        file=pl.lit(len(files) - 1, pl.UInt32),
                        place=pl.int_range(place, place + rows.height),
                    )
                )
            place += rows.height
            position = converted.position
            yield converted._replace(texts=[[]], ledger=replace(converted.ledger, lines=0))
        for (customers,) in spill.partitions("rows", by_hash=True):
            yield from _lines(records, customers, files, position)


def _lines(records: Records, rows: pl.DataFrame, files: Sequence[InputFile], position: int) -> Iterator[Converted]:
    """Make the lines of whole customers, and reject the rows that find no place in them."""
    newest_first = rows.with_row_index("order").sort("when", "place", descending=True, nulls_last=True)
    addresses = newest_first.unique(["id0", "id1"], keep="first", maintain_order=True).with_columns(
        rank=pl.int_range(pl.len()).over("id0")
    )
    lines = (
        addresses.filter(pl.col("rank") < MOST_HASHES)
        .group_by("id0", maintain_order=True)
        .agg(pl.col("id1").str.join("\t").alias("hashes"))
        .join(rows.with_row_index("order").group_by("id0").agg(pl.col("order").min()), on="id0")
        .sort("order")
        .select("id0", line=pl.format("{}\t{}\n", "id0", "hashes"))
        .with_columns(fits=pl.col("line").str.len_bytes() <= records.most_line_bytes)
    )
    too_long = records.place_of(rules.line_too_long(records.most_line_bytes).name)
    judged = (
        rows.join(addresses.select("id0", "id1", "rank"), on=["id0", "id1"], maintain_order="left")
        .join(lines.select("id0", "fits"), on="id0", maintain_order="left")
        .with_columns(
            reason=pl.when(~pl.col("fits"))
            .then(pl.lit(too_long, rules.PLACE))
            .when(pl.col("rank") >= MOST_HASHES)
            .then(pl.lit(records.place_of(rules.HASH_TOO_OLD.name), rules.PLACE))
        )
        .filter(pl.col("reason").is_not_null())
        .sort("place")
    )
    written = texts_of(lines.filter("fits")["line"].rechunk())
    made = sum(len(text.ends) for text in written)
    none = pl.DataFrame()
    if written:
        yield Converted(files[-1], [written], none, np.zeros(0, np.int64), (), Ledger(lines=made), position, none)
    for (number,), rejected in judged.group_by("file", maintain_order=True):
        ledger = Ledger(written=-rejected.height)
        for place, name in enumerate(records.rule_names):
            ledger.rejected[name] += int((rejected["reason"] == place).sum())
        shown = records.for_rejects(rejected)
        file = files[int(str(number))]
        yield Converted(file, [[]], shown, rejected["row"].to_numpy(), (), ledger, position, none)


class CollisionCounts(NamedTuple):
    """IDs that differ by nothing but case: how many, and of how many users they would be if case did not count."""

    ids: int
    folded: int


class CaseCollisions:
    """Counts the IDs that differ from another by nothing but case (C12). Used as a context."""

    def __init__(self, memory: int, folder: str | None) -> None:
        self._spill = Spill(pl.col("folded"), memory, folder)
        self._spill.add(pl.DataFrame(schema={"id": pl.String, "folded": pl.String}))

    def __enter__(self) -> CaseCollisions:
        return self

    def __exit__(self, *_: object) -> None:
        self._spill.__exit__(None, None, None)

    def add(self, ids: pl.Series) -> None:
        """Take IDs in (String)."""
        if len(ids):
            frame = ids.unique().alias("id").to_frame()
            self._spill.add(frame.with_columns(folded=folded(pl.col("id"))))

    def found(self) -> CollisionCounts:
        """Return how many there are."""
        counts = [(frame.height, frame["folded"].n_unique()) for frame in self._colliding()]
        return CollisionCounts(sum(ids for ids, _ in counts), sum(users for _, users in counts))

    def colliding(self) -> Iterator[pl.Series]:
        """Yield the IDs that collide, folded, each once."""
        for frame in self._colliding():
            yield frame["folded"].unique()

    def _colliding(self) -> Iterator[pl.DataFrame]:
        for (frame,) in self._spill.partitions("rows"):
            distinct = frame.unique()
            yield distinct.filter(pl.len().over("folded") > 1)


class Mappings:
    """Counts the IDs that are mapped to more others than Audience Manager keeps (I5). Used as a context.

    Device IDs are device advertising IDs; customer IDs all that belong to a data source of the customer's own.
    """

    def __init__(self, records: Records, memory: int, folder: str | None) -> None:
        types = records.id_types
        devices = [place for place, type_ in enumerate(types) if type_.device]
        customers = [place for place, type_ in enumerate(types) if type_.dpid is None]
        self._pairs = [(device, customer) for device in devices for customer in customers]
        self._spill = Spill(pl.col("key"), memory, folder)
        schema = {"key": pl.String, "value": pl.String, "pair": pl.UInt32, "of_customer": pl.Boolean}
        self._spill.add(pl.DataFrame(schema=schema))

    def __enter__(self) -> Mappings:
        return self

    def __exit__(self, *_: object) -> None:
        self._spill.__exit__(None, None, None)

    def add(self, ids: pl.DataFrame) -> None:
        """Take rows in, whose IDs are `id0`, `id1` …."""
        for number, (device, customer) in enumerate(self._pairs):
            for key, value, of_customer in ((customer, device, True), (device, customer, False)):
                self._spill.add(
                    ids.select(
                        key=f"id{key}",
                        value=f"id{value}",
                        pair=pl.lit(number, pl.UInt32),
                        of_customer=pl.lit(of_customer),
                    ).unique()
                )

    def found(self) -> dict[str, int]:
        """Return how many IDs have too many others, by the name of the rule."""
        over = dict.fromkeys((rules.CUSTOMER_OVER_LIMIT.name, rules.DEVICE_OVER_LIMIT.name), 0)
        for (frame,) in self._spill.partitions("rows"):
            counts = frame.group_by("pair", "of_customer", "key").agg(pl.col("value").n_unique())
            customers = counts.filter("of_customer")
            over[rules.CUSTOMER_OVER_LIMIT.name] += int((customers["value"] > rules.DEVICES_OF_CUSTOMER).sum())
            devices = counts.filter(~pl.col("of_customer"))
            over[rules.DEVICE_OVER_LIMIT.name] += int((devices["value"] > rules.CUSTOMERS_OF_DEVICE).sum())
        return {name: count for name, count in over.items() if count}
