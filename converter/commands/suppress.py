"""Reads the list of `input.suppress`: the user IDs whose rows are skipped.

Its IDs go the way of those of a job: they are normalized, and judged by the same rules, in workers. Their hashes are
kept in memory, or in a file where they are many.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from converter.errors import Finding, InputError, JobError
from converter.jobs.job import Job
from converter.jobs.sections.ids import Id, UserId
from converter.jobs.sections.table import Suppress, Table
from converter.jobs.url_job import UrlJob
from converter.ledger import Ledger
from converter.rows.batches import Judged
from converter.rows.pipeline import convert_all
from converter.rows.records import Records
from converter.rows.spill import Spill
from converter.rows.spill_file import SpillFile
from converter.rows.stages.base import Stage
from converter.rows.suppression import BYTES_AN_ID, HASHES, Held, Pairs, Suppression, hashes_of_ids, pairs_of
from converter.rows.survey import survey
from converter.sources.opening import find_origins, open_sources
from converter.spec.limits import LINE_BYTES
from converter.spec.rules import SUPPRESSED

_SHARE = 2  # of run.memory: the other half is for the blocks of rows
_SHARE_OF_TABLE = 2  # of that, where the hashes are in a file


class _Hashing(Stage):
    """Keeps the hashes of IDs, each once: in memory, or in a file where they are many."""

    def __init__(self, job: Job) -> None:
        self._memory = job.run.memory // _SHARE
        self._spill = Spill(pl.col(HASHES[0]), self._memory, job.run.spill_dir)
        self._file = SpillFile(job.run.spill_dir)
        self._spill.add(pl.DataFrame(schema=dict.fromkeys(HASHES, pl.UInt64)))
        self.held = Held(pairs_of(b""), self._memory)

    @classmethod
    def applies(cls, job: Job) -> bool:
        """Return whether a job has a list."""
        return job.input.suppress is not None

    def prepare(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Return the hashes of the IDs of a batch."""
        return ids.select(hashes_of_ids())

    def see(self, prepared: pl.DataFrame) -> None:
        """Keep the hashes of a batch."""
        self._spill.add(prepared)

    def finish(self) -> Iterator[Judged]:
        """Sort all hashes. The partitions come in the order of the first ones. Raises `DestinationError`."""
        parts = [pairs_of(b"")]
        for (frame,) in self._spill.partitions("rows"):
            parts.append(_each_once(frame))
            if self._file.is_open or BYTES_AN_ID * sum(map(len, parts)) > self._memory:
                for part in parts:
                    self._file.append(memoryview(part.tobytes()))
                parts.clear()
        self._spill.close()
        where = self._file if self._file.is_open else np.concatenate(parts)
        self.held = Held(where, self._memory // _SHARE_OF_TABLE)
        yield from ()

    def close(self) -> None:
        """Release memory and disk, but for what is `held`."""
        self._spill.close()
        if self.held.where is not self._file:
            self._file.close()


def _each_once(hashes: pl.DataFrame) -> Pairs:
    """Return pairs of hashes sorted by the first ones, without those that are there already."""
    pairs = hashes.sort(HASHES[0]).to_numpy(order="c")
    if not (pairs[1:, 0] == pairs[:-1, 0]).any():  # mostly; `unique` takes three times as long
        return pairs
    return hashes.unique().sort(HASHES[0]).to_numpy(order="c")


def read_suppression(job: Job) -> tuple[Suppression | None, Sequence[Finding]]:
    """Read the list of a job, if it has one; return also warnings.

    Raises `JobError`, `InputError` and `ColumnError` as the input of a job does, and `InputError` where no row of the
    list has a valid ID.
    """
    options = job.input.suppress
    if options is None:
        return None, ()
    number = _number(job, options)
    inner = _job_of(job, job.ids[number], options)
    records = Records(inner, LINE_BYTES.value)
    sources = open_sources(find_origins(options, job.access), inner.input, records.selection.own, records.roles)
    for source in sources:
        records.check_columns(source)
    records = Records(inner, LINE_BYTES.value, found=survey(records, sources)[0])
    stage, ledger = _Hashing(job), Ledger()
    with contextlib.closing(stage), contextlib.closing(convert_all(records, sources, [stage])) as batches:
        for converted in batches:
            ledger += converted.ledger
    ledger.check()
    origins = [source.origin for source in sources]
    return Suppression(stage.held, number, origins), _findings(ledger)


def unused(suppression: Suppression | None, ledger: Ledger) -> list[Finding]:
    """Return the warning that a list suppresses nothing in a run with these counts, if that is so."""
    if suppression is None or not len(suppression) or ledger.skipped[SUPPRESSED.name]:
        return []
    return [
        Finding(
            "W-SUPPRESS-UNUSED",
            f"None of the {len(suppression):,} user IDs in input.suppress is in the input.",
            "Are they of the same kind, and in the same form? They are normalized as the IDs of the job.",
        )
    ]


def _number(job: Job, options: Suppress) -> int:
    """Return the index of the ID in the line that the list is compared with."""
    columns = [id_.column for id_ in job.ids]
    if options.sync_column and options.sync_column not in columns:
        raise JobError(
            "E-JOB-INVALID",
            f"input.suppress.sync_column is '{options.sync_column}', which is not one of sync.columns.",
            f"Name one of {', '.join(columns)}.",
        )
    return columns.index(options.sync_column) if options.sync_column else 0


def _job_of(job: Job, id_: Id, options: Suppress) -> UrlJob:
    """Return the job whose IDs are those of the list, normalized as an ID of the job."""
    keys = {name: getattr(id_, name) for name in Id.model_fields}
    table = {name: getattr(options, name) for name in Table.model_fields if name in options.model_fields_set}
    return UrlJob(
        input=table,  # type: ignore[arg-type] # a dictionary of the keys of a table
        id=UserId(**{**keys, "column": options.column}),
        output={"dpid": 1, "force": True},
        privacy={"allow": [options.column]},
        run=job.run,
    )


def _findings(ledger: Ledger) -> list[Finding]:
    """Return the warning that rows of the list have no valid ID. Raises `InputError` where no row has one."""
    if not ledger.rejects:
        return []
    rules = ", ".join(f"{name}: {count:,}" for name, count in sorted(ledger.rejected.items()))
    if not ledger.written:
        raise InputError(
            "E-SUPPRESS-INVALID",
            f"None of the {ledger.read:,} rows in the list of input.suppress has a valid user ID ({rules}).",
            "Does input.suppress.column name the column with the IDs, and are they in the form of those of the job?",
        )
    message = (
        f"{ledger.rejects:,} of {ledger.read:,} rows in the list of input.suppress have no valid user ID ({rules})."
    )
    return [Finding("W-SUPPRESS-INVALID", message, "These rows suppress nothing: correct them in the list.")]
