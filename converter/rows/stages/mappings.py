"""Mappings (I5): IDs that are mapped to more others than Audience Manager keeps."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from converter.jobs.job import Job
from converter.rows.pipeline import Converted
from converter.rows.records import Records
from converter.rows.spill import Spill
from converter.rows.stages.base import Stage, StageResults
from converter.spec import rules


class Mappings(Stage):
    """Counts the device IDs of each customer ID, and the customer IDs of each device ID.

    Device IDs are device advertising IDs; customer IDs are those that belong to a data source of the customer's own.
    """

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        devices = [number for number, type_ in enumerate(records.id_types) if type_.device]
        customers = [number for number, type_ in enumerate(records.id_types) if type_.dpid is None]
        self._pairs = [(device, customer) for device in devices for customer in customers]
        self._results = results
        self._spill = Spill(pl.col("key"), job.run.memory, job.run.spill_dir)
        schema = {"key": pl.String, "value": pl.String, "pair": pl.UInt32, "of_customer": pl.Boolean}
        self._spill.add(pl.DataFrame(schema=schema))

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether lines are IDs of a user in several data sources."""
        return job.output.kind == "id-sync"

    def feed(self, batch: Converted) -> Iterator[Converted]:
        """Store the pairs of IDs of the rows that are to be written."""
        for number, (device, customer) in enumerate(self._pairs):
            for key, value, of_customer in ((customer, device, True), (device, customer, False)):
                self._spill.add(
                    batch.accepted.select(
                        key=f"id{key}",
                        value=f"id{value}",
                        pair=pl.lit(number, pl.UInt32),
                        of_customer=pl.lit(of_customer),
                    ).unique()
                )
        yield batch

    def finish(self) -> Iterator[Converted]:
        """Count the IDs that have too many others."""
        over = dict.fromkeys((rules.CUSTOMER_OVER_LIMIT.name, rules.DEVICE_OVER_LIMIT.name), 0)
        for (frame,) in self._spill.partitions("rows"):
            counts = frame.group_by("pair", "of_customer", "key").agg(pl.col("value").n_unique())
            customers = counts.filter("of_customer")
            over[rules.CUSTOMER_OVER_LIMIT.name] += int((customers["value"] > rules.DEVICES_OF_CUSTOMER).sum())
            devices = counts.filter(~pl.col("of_customer"))
            over[rules.DEVICE_OVER_LIMIT.name] += int((devices["value"] > rules.CUSTOMERS_OF_DEVICE).sum())
        self._results.over_limit = {name: count for name, count in over.items() if count}
        yield from ()

    def close(self) -> None:
        """Release memory and disk."""
        self._spill.close()
