"""Mappings (I5): IDs that are mapped to more others than Audience Manager keeps."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from converter.jobs.job import Job
from converter.rows.batches import Judged
from converter.rows.records import Records
from converter.rows.spill import Spill
from converter.rows.stages.base import HashStage, StageResults
from converter.spec import rules

_PAIRS = pl.Schema(dict.fromkeys(("key", "more", "value"), pl.UInt64))


class Mappings(HashStage):
    """Counts the device IDs of each customer ID, and the customer IDs of each device ID.

    Device IDs are device advertising IDs; customer IDs are those that belong to a data source of the customer's own.
    Hashes stand for IDs, two of them for the ID whose others are counted: a billion IDs have different ones.
    """

    key = "key"

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        devices = [number for number, type_ in enumerate(records.id_types) if type_.device]
        customers = [number for number, type_ in enumerate(records.id_types) if not type_.of_device]
        pairs = [(device, customer) for device in devices for customer in customers]
        self._ids = sorted({number for pair in pairs for number in pair})
        self._columns = {
            **{f"{customer} has {device}": (customer, device, True) for device, customer in pairs},
            **{f"{device} has {customer}": (device, customer, False) for device, customer in pairs},
        }
        self._results = results
        spill = Spill(pl.col(self.key), job.run.memory, job.run.spill_dir)
        self._keep(spill, dict.fromkeys(self._columns, _PAIRS))

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether lines are IDs of a user in several data sources."""
        return job.output.kind == "id-sync"

    def prepare(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Return two hashes of each ID that is counted."""
        return ids.select(
            pl.col(f"id{number}").hash(seed).alias(f"{name}{number}")
            for number in self._ids
            for seed, name in enumerate(("hash", "more"))
        )

    def tables(self, prepared: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Return the pairs of IDs."""
        return {
            table: prepared.select(key=f"hash{key}", more=f"more{key}", value=f"hash{value}")
            for table, (key, value, _) in self._columns.items()
        }

    def finish(self) -> Iterator[Judged]:
        """Count the IDs that have too many others."""
        over = dict.fromkeys((rules.CUSTOMER_OVER_LIMIT.name, rules.DEVICE_OVER_LIMIT.name), 0)
        for table, (_, _, of_customer) in self._columns.items():
            rule = rules.CUSTOMER_OVER_LIMIT if of_customer else rules.DEVICE_OVER_LIMIT
            most = rules.DEVICES_OF_CUSTOMER if of_customer else rules.CUSTOMERS_OF_DEVICE
            for (frame,) in self._spill.partitions(table):
                # Few IDs have so many rows that they could have too many others.
                often = frame.group_by("key").len().filter(pl.col("len") > most)
                rows = frame.join(often, on="key", how="semi") if often.height else frame.clear()
                counts = rows.group_by("key", "more").agg(pl.col("value").n_unique())
                over[rule.name] += int((counts["value"] > most).sum())
        self._results.over_limit = {name: count for name, count in over.items() if count}
        yield from ()
