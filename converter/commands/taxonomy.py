"""The command `taxonomy`: all keys of inbound files, or of a table as a job sends it, with their values and counts.

1. Lines come from inbound files of any program, or from the rows of a job, converted and not written.
2. They are cut into chunks at places that depend on the text alone. Workers parse each: of a chunk, every signal once.
3. The counts of chunks are added up in their order, in bounded memory (`converter.columns.tally`).
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import polars as pl

from converter.columns.tally import LIMIT, Tally
from converter.commands.inbound_files import expand
from converter.commands.inbound_signals import CHUNK_BYTES, Chunk, chunks_of, why_unread
from converter.commands.known_values import KnownValues
from converter.commands.plan import open_input
from converter.errors import Finding, InputError, JobError
from converter.jobs.job import Job
from converter.ledger import Ledger
from converter.parts.blocks import Cutter, joined
from converter.parts.signal_columns import masked, parsed, signals_in
from converter.report import records_of
from converter.report.taxonomy import Taxonomy
from converter.rows.pipeline import convert_sources
from converter.rows.stages import StageResults
from converter.sources.origins.local import LocalFile
from converter.spec.names import WITH_SIGNALS


class _Counts(NamedTuple):
    """The counts of a chunk: of lines, of those and of signals that are malformed, and of keys and values."""

    lines: int
    malformed_lines: int
    malformed_signals: int
    counts: pl.DataFrame
    personal: Counter[str]


def taxonomy(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    *,
    job: Job | str | os.PathLike[str] | None = None,
    against: str | os.PathLike[str] | None = None,
    limit: int = LIMIT,
    threads: int | None = None,
    notify: Callable[[str], None] | None = None,
) -> Taxonomy:
    """Return the keys of inbound files, or of a table as a job sends it, with their values and counts.

    `inputs` are paths of files (plain or gzip), globs, and folders, which stand for the inbound files in them. With
    `job`, they are tables that take the place of its input; its rows are converted as `convert` does, without deltas.
    Counts are exact for keys of at most `limit` values, and of the most frequent values of others. `against` is a list
    of known keys and values (`converter.commands.known_values`). Values that look like personal data are masked. Raises
    `InputError` where something cannot be read or holds no signals, and `JobError`.
    """
    known = None if against is None else KnownValues(against)
    paths = [os.fspath(each) for each in ([inputs] if isinstance(inputs, str | os.PathLike) else inputs)]
    found = _Found(Tally(limit), known)
    if job is not None:
        return _of_job(Job.of(job), paths, found, threads)
    files = [LocalFile.at(path) for path in expand(paths)]
    if not files:
        raise JobError(
            "E-TAXONOMY-INPUT",
            "There is no inbound file to read.",
            "Name files, globs or folders with inbound files; for a table, name its job: --job JOB.toml.",
        )
    warnings: list[Finding] = []
    read = []
    for file in files:
        if why := why_unread(file):
            warnings.append(why)
            continue
        read.append(file)
        found.take(chunks_of(file), threads)
        if notify:
            notify(file.label)
    if not found.lines:
        raise InputError(
            "E-NO-SIGNALS",
            "No line of the files is an ID, a tab and signals.",
            "Are they inbound files? For a table, name its job: --job JOB.toml.",
        )
    return found.result([file.label for file in read], warnings)


class _Found:
    """What has been counted."""

    def __init__(self, tally: Tally, known: KnownValues | None) -> None:
        self._tally = tally
        self._known = known
        self.lines = self._malformed_lines = self._malformed_signals = 0
        self._personal: Counter[str] = Counter()

    def take(self, chunks: Iterator[Chunk], threads: int | None) -> None:
        """Count the signals of chunks, in workers, and add them up in order."""
        workers = threads or os.cpu_count() or 1
        with ThreadPoolExecutor(workers, thread_name_prefix="taxonomy") as pool:
            under_way: deque[Future[_Counts]] = deque()
            try:
                for chunk in chunks:
                    under_way.append(pool.submit(_count, chunk))
                    if len(under_way) > workers:
                        self._add(under_way.popleft().result())
                while under_way:
                    self._add(under_way.popleft().result())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _add(self, counts: _Counts) -> None:
        self.lines += counts.lines
        self._malformed_lines += counts.malformed_lines
        self._malformed_signals += counts.malformed_signals
        self._personal += counts.personal
        self._tally.add(counts.counts)
        if self._known:
            self._known.add(counts.counts)

    def result(self, inputs: Sequence[str], warnings: list[Finding], rows: dict[str, object] | None = None) -> Taxonomy:
        """Return the result."""
        unknown, case, of_case = self._known.unknown() if self._known else ([], [], 0)
        return Taxonomy(
            inputs=inputs,
            lines=self.lines,
            malformed_lines=self._malformed_lines,
            malformed_signals=self._malformed_signals,
            personal=dict(sorted(self._personal.items())),
            frame=self._tally.counts(),
            totals=self._tally.totals(),
            other_keys=self._tally.other_keys,
            rows=rows,
            unknown=unknown,
            unknown_signals=self._known.signals() - of_case if self._known else 0,
            case=case,
            warnings=warnings,
        )


def _count(chunk: Chunk) -> _Counts:
    """Count the signals of a chunk."""
    lines = signals_in(chunk.text, chunk.leads)
    distinct = lines.signals["signal"].value_counts()
    pairs = pl.concat([parsed(distinct["signal"], codes=chunk.codes), distinct.select("count")], how="horizontal")
    malformed = pairs.filter(pl.col("key").is_null())
    pairs = pairs.filter(pl.col("key").is_not_null()).group_by("key", "value").agg(pl.col("count").sum())
    pairs, personal = masked(pairs)
    bad = int(lines.malformed.sum())
    return _Counts(len(lines.malformed) - bad, bad, int(malformed["count"].sum()), pairs, personal)


def _of_job(job: Job, tables: Sequence[str], found: _Found, threads: int | None) -> Taxonomy:
    """Return the keys and values of the lines that a job makes of its input, or of other tables."""
    if tables:
        job = job.model_copy(update={"input": job.input.model_copy(update={"path": tuple(tables)})})
    if job.output.kind not in WITH_SIGNALS:
        raise JobError(
            "E-TAXONOMY-INPUT",
            "The job makes files of IDs alone, which have no signals.",
            "Name a job with record.signals, or inbound files.",
        )
    with job.concealing():
        records, sources, findings, _ = open_input(job)
        ledger = Ledger()
        leads, codes = len(records.leads), "d_sid" if job.output.kind == "odc" else "ic"

        def chunks() -> Iterator[Chunk]:
            nonlocal ledger
            cutters: list[Cutter] = []
            with contextlib.closing(convert_sources(job, records, sources, StageResults())) as blocks:
                for converted in blocks:
                    ledger += converted.ledger
                    cutters = cutters or [Cutter(CHUNK_BYTES, CHUNK_BYTES) for _ in converted.texts]
                    for cutter, texts in zip(cutters, converted.texts, strict=True):
                        yield from (Chunk(bytes(joined(each)), leads + 1, codes) for each, _ in cutter.feed(texts))
            for cutter in cutters:
                yield from (Chunk(bytes(joined(each)), leads + 1, codes) for each, _ in cutter.finish())

        found.take(chunks(), threads or job.run.threads)
        ledger.check()
        for source in sources:
            source.origin.check_unchanged()
        inputs = [job.conceal_path(source.origin.label) for source in sources]
        return found.result(inputs, [*job.warnings, *findings], records_of(ledger))
