"""The command `inspect`: what a table holds, and a first job for it.

1. The input is opened as `convert` opens it. The encoding of each text is found, unless it is given, and a first row
   that looks like values is not taken for a header.
2. A sample of its rows is read, with all columns that every file has (`sources.sample`); `full` also counts all rows.
3. Each column is profiled (`profiles`), and it is judged what it may be in a job (`roles`).
4. The rows of the sample are judged by each ID that is possible, and by the job that results: so what a run would
   reject is known, and columns that make it reject rows are left out of the job.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import polars as pl

from converter import kernel
from converter.commands.profiles import Facts, facts_of, shown_values, texts_of
from converter.commands.roles import Role, keys_of, possible_ids, role_of
from converter.errors import ColumnError, ConverterError, Finding, InputError
from converter.jobs.job import Job
from converter.jobs.reading import Reading
from converter.jobs.sections.table import AUTO, Input
from converter.ledger import Ledger
from converter.report.first_job import FirstJob
from converter.report.inspections import Inspection
from converter.report.profiles import ColumnProfile, InspectedFile, PossibleId
from converter.rows.records import Records
from converter.rows.survey import survey
from converter.sources.base import Budget, Source, Task
from converter.sources.delimited import DelimitedSource
from converter.sources.encodings import survey_encodings
from converter.sources.engine import collect, start
from converter.sources.header import is_header
from converter.sources.opening import find_input, format_of_origin, layout_of, open_sources
from converter.sources.origins.base import Found, total_size
from converter.sources.sample import Sample
from converter.sources.tasks import tasks_of
from converter.sources.texts import TextSource

_LEAST_ROWS = 10_000
_MOST_ROWS = 200_000  # that are profiled
_MOST_FILES = 100  # that are opened, unless all rows are counted
_MOST_UNPACKED = 32 << 20  # bytes of a packed text: it takes about a second
_MOST_TRIED = 3  # IDs
_MOST_REJECTED = 0.01  # of the rows, because of a column of signals
_LINE_BYTES = 1 << 20
_PLACE = {"to": "out"}


def inspect(
    table: Reading | Input | str | os.PathLike[str], *, full: bool = False, no_header: bool = False
) -> Inspection:
    """Return what a table holds: its format, rows and columns, what may be its ID, and a first job.

    `table` is a path, glob or URL, an input as in a job, or one with the settings of servers. A sample of the rows is
    read; with `full`, all rows are counted. `no_header`: the first row of a text is one like the others. Raises
    `InputError`, `ColumnError` and `JobError`.
    """
    reading = _reading_of(table)
    with reading.concealing():
        reading.check_path()
        start()
        opened = _open(reading, full=full, no_header=no_header)
        sampled = _sample(opened, full=full)
        return _Inspector(reading, opened, sampled).inspection()


def _reading_of(table: Reading | Input | str | os.PathLike[str]) -> Reading:
    if isinstance(table, Reading):
        return table
    return Reading(input=table if isinstance(table, Input) else {"path": table})


class _Table(NamedTuple):
    """The sources of a table that are read, and the options that they are opened with.

    `columns` are in all of them, once, and can be read; `unreadable` says of all others why they cannot. `guessed` says
    what was not given, as notes.
    """

    found: Found
    sources: Sequence[Source]
    options: Input
    columns: Sequence[str]
    unreadable: Mapping[str, str]
    guessed: Sequence[str]


class _Sampled(NamedTuple):
    """Sampled rows, by source, and how many rows there are, about, in all sources."""

    pieces: Sequence[tuple[Source, pl.DataFrame]]
    sampled: int
    malformed: int
    rows: int | None
    is_exact: bool
    is_whole: bool


def _open(reading: Reading, *, full: bool, no_header: bool) -> _Table:
    options, guessed = reading.input, []
    if "encoding" not in options.model_fields_set:
        options = options.model_copy(update={"encoding": AUTO})
    found = find_input(options, reading.access)
    count = len(found.origins) if full else min(len(found.origins), _MOST_FILES)
    origins = [found.origins[number * (len(found.origins) - 1) // max(count - 1, 1)] for number in range(count)]
    sources = open_sources(origins, options, ())
    is_guessed = "header" not in options.model_fields_set and not no_header
    if sources[0].has_header and (no_header or (is_guessed and not is_header(sources[0]))):
        names = tuple(f"column_{number}" for number in range(1, len(sources[0].names) + 1))
        options = options.model_copy(update={"header": False, "columns": names})
        sources = open_sources(origins, options, ())
        if is_guessed:
            guessed.append("The first row looks like values, not like names: it is read as a row like all others.")
    columns, unreadable = _columns_of(sources)
    if not columns:
        raise InputError(
            "E-INSPECT-NO-COLUMN",
            f"No column of the input '{sources[0].origin.label}' can be read: {next(iter(unreadable.values()))}.",
            "Are all files of the input of one table?",
        )
    return _Table(found, sources, options, columns, unreadable, guessed)


def _columns_of(sources: Sequence[Source]) -> tuple[list[str], dict[str, str]]:
    """Return the columns that all sources have, and why others cannot be used."""
    unlike = list({layout_of(source): source for source in reversed(sources)}.values())[::-1]
    names = dict.fromkeys(name for source in unlike for name in source.schema)
    unreadable: dict[str, str] = {}
    for name in names:
        for source in unlike:
            if why := _why_unreadable(name, source):
                unreadable[name] = why
                break
    return [name for name in names if name not in unreadable], unreadable


def _why_unreadable(name: str, source: Source) -> str:
    if not name:
        return "has no name"
    if name not in source.schema:
        return f"not all files have it, such as '{source.origin.label}'"
    if source.json_lists and any(other.startswith(f"{name}.") for other in source.names):
        return "it holds objects, whose keys are columns of their own"
    if Counter(source.names)[name] > 1:
        return "several columns have this name"
    try:
        source.schema[name]  # of a table, it may have no text form
    except ColumnError as error:
        return f"its type has no text form. {error.hint}"
    return ""


def _sample(table: _Table, *, full: bool) -> _Sampled:
    """Read a sample of the rows; with `full`, count them all."""
    pieces: list[tuple[Source, pl.DataFrame]] = []
    rows = malformed = size = kept = 0
    once = full and any(not source.origin.rereadable for source in table.sources)
    if once:
        for task in tasks_of(table.sources, table.columns, kernel.load(), Budget()):
            block = task.parse(None)
            rows, malformed = rows + block.rows, malformed + len(block.malformed)
            if block.rows and kept < _LEAST_ROWS:
                pieces.append((task.source, block.rest.frame()))
                kept += block.rows
        return _Sampled(pieces, kept, malformed, rows + malformed, True, kept == rows)
    sample = Sample(table.sources, table.columns, _LEAST_ROWS, most_unpacked=_MOST_UNPACKED)
    for source in sample.sources:
        for block, taken in sample.blocks(source):
            size += taken
            rows, malformed = rows + block.rows, malformed + len(block.malformed)
            if block.rows and kept < _MOST_ROWS:
                pieces.append((source, block.rest.frame().head(_MOST_ROWS - kept)))
                kept += pieces[-1][1].height
    read = rows + malformed
    if sample.is_whole or not full:
        total = sample.total_rows(table.sources, read, size)
        total = _of_all_files(total, table)
        is_exact = len(table.sources) == len(table.found.origins) and (
            sample.is_whole or all(source.rows is not None for source in table.sources)
        )
        return _Sampled(pieces, kept, malformed, total, is_exact, sample.is_whole and is_exact)
    return _Sampled(pieces, kept, malformed, _counted(table), True, False)


def _of_all_files(rows: int | None, table: _Table) -> int | None:
    """Return how many rows all files have, about, if those that are opened have so many."""
    if rows is None or len(table.sources) == len(table.found.origins):
        return rows
    every, opened = total_size(table.found.origins), total_size(source.origin for source in table.sources)
    if every is None or not opened:
        return round(rows * len(table.found.origins) / len(table.sources))
    return round(rows * every / opened)


def _counted(table: _Table) -> int:
    """Count all rows, those that cannot be parsed included, as fast as a run reads them."""
    known = [source.rows for source in table.sources]
    workers, rows = os.cpu_count() or 1, sum(each or 0 for each in known)
    rest = [source for source, each in zip(table.sources, known, strict=True) if each is None]
    with ThreadPoolExecutor(workers, thread_name_prefix="inspect") as pool:
        under_way: deque[Future[int]] = deque()
        try:
            for task in tasks_of(rest, table.columns[:1], kernel.load(), Budget(workers)):
                under_way.append(pool.submit(_rows_of, task))
                if len(under_way) > workers:
                    rows += under_way.popleft().result()
            while under_way:
                rows += under_way.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return rows


def _rows_of(task: Task) -> int:
    block = task.parse(None)
    return block.rows + len(block.malformed)


class _Inspector:
    """Makes an inspection of a table and its sample."""

    def __init__(self, reading: Reading, table: _Table, sampled: _Sampled) -> None:
        self._reading = reading
        self._table = table
        self._sampled = sampled
        self._facts: dict[str, Facts] = {}
        for name in table.columns:
            stored = sampled.pieces[0][1].schema[name] if sampled.pieces else pl.String()
            stored = self._stored(name, stored)
            self._facts[name] = facts_of(name, stored, texts_of(name, sampled.pieces))

    def _stored(self, name: str, read: pl.DataType) -> pl.DataType:
        """Return the type of a column in the input: blocks have texts of most."""
        types = [source.schema[name] for source in self._table.sources]
        exact = [type_ for type_ in types if type_ != pl.String]
        # Where files differ, digits that one of them does not keep decide.
        return next((type_ for type_ in exact if type_.is_float()), exact[0] if exact else read)

    def inspection(self) -> Inspection:
        """Return the inspection."""
        table, sampled, reading = self._table, self._sampled, self._reading
        ids = self._judged(possible_ids(list(self._facts.values())))
        job = self._job(ids)
        doubts = [
            *table.found.warnings,
            *(each for source in table.sources if isinstance(source, TextSource) for each in source.findings),
            *survey_encodings(table.sources, reading.input),
        ]
        return Inspection(
            [_file_of(source, table.options, reading) for source in table.sources[:_MOST_FILES]],
            len(table.found.origins),
            sampled.rows,
            sampled.is_exact,
            sampled.sampled,
            sampled.malformed,
            job.columns,
            ids,
            job,
            [*table.guessed, *self._doubts()],
            [Finding(each.code, reading.conceal(each.message), reading.conceal(each.hint)) for each in doubts],
            [each._replace(path=reading.conceal_path(each.path)) for each in table.found.left_out],
        )

    def _doubts(self) -> list[str]:
        """Return notes about the rows as a whole."""
        if self._sampled.malformed <= self._sampled.sampled:
            return []
        return [
            "Most rows do not have as many fields as the first one. If titles stand above the names of the columns, "
            "skip them, as with --set input.skip_lines=1."
        ]

    def _judged(self, ids: Sequence[PossibleId]) -> list[PossibleId]:
        """Return possible IDs with the share of rows that each would reject; those that reject most come last."""
        constant = {"signals": [{"key": "in_crm", "value": "yes"}]}
        tried = [
            each._replace(rejected=ledger.rejects / max(ledger.read, 1))
            if (ledger := self._tried(each, constant))
            else each
            for each in ids[:_MOST_TRIED]
        ]
        return sorted(tried, key=lambda each: each.rejected > 0.5)

    def _tried(self, id_: PossibleId, record: Mapping[str, Any]) -> Ledger | None:
        """Judge the sample by a job; `None` where that needs rows that cannot be read again."""
        table, pieces = self._table, self._sampled.pieces
        if any(not source.origin.rereadable for source in table.sources):
            return None
        with contextlib.suppress(ConverterError):  # then `convert` says what is wrong with it
            missing = {"null_values": tuple(self._missing(table.options))}
            options = table.options.model_copy(update=missing)
            given: dict[str, Any] = {"input": options.model_dump(exclude_unset=True), "id": id_.section}
            given |= {"record": dict(record), "output": {**_PLACE, "dpid": 1, "force": True}}
            job = Job(**given)
            unlike = {layout_of(source): source for source in table.sources}.values()
            records = Records(job, _LINE_BYTES).with_lists(table.sources, unlike)
            records = records.surveyed(survey(records, table.sources)[0], None)
            ledger = Ledger()
            for source, frame in pieces:
                selected = records.selected(frame.select(records.selection.columns), source)
                ledger += Ledger(read=frame.height, skipped=selected.skipped)
                lines = records.lines(records.texts(selected.frame, source))
                ledger += records.tally(collect(source.origin, lines))
            return ledger
        return None

    def _missing(self, options: Input) -> list[str]:
        """Return the words for missing values that the job names: those that are given, and those of the sample."""
        found = (word for facts in self._facts.values() if facts.stored == "text" for word in facts.missing)
        return list(dict.fromkeys([*options.null_values, *sorted(set(found))]))

    def _job(self, ids: Sequence[PossibleId]) -> FirstJob:
        """Return the job, without the columns that would make it reject rows."""
        best = ids[0] if ids else None
        rejecting: dict[str, str] = {}
        job = self._composed(best, ids[1:], rejecting)
        if best and (ledger := self._tried(best, job.record)):
            for cause, count in ledger.causes.items():
                if cause.column != best.column and count > _MOST_REJECTED * ledger.read:
                    rejecting[cause.column] = f"{count / ledger.read:.1%} of the rows would be rejected ({cause.rule})"
            if rejecting:
                job = self._composed(best, ids[1:], rejecting)
        return job

    def _composed(
        self, best: PossibleId | None, others: Sequence[PossibleId], rejecting: Mapping[str, str]
    ) -> FirstJob:
        sections, notes = self._sections()
        columns = self._profiles(best, others, rejecting)
        notes["output"] = [
            "Where the files go: a folder, seen from that of this file, or s3://, sftp:// … (docs/delivery.md)."
        ]
        return FirstJob(sections, notes, best, others, columns, dict(_PLACE))

    def _profiles(
        self, best: PossibleId | None, others: Sequence[PossibleId], rejecting: Mapping[str, str]
    ) -> list[ColumnProfile]:
        rows, is_whole = self._sampled.rows, self._sampled.is_whole
        keys, found = keys_of(self._facts), []
        for name, facts in self._facts.items():
            role = role_of(facts, best.column if best else None, [each.column for each in others])
            if name in rejecting:
                role = Role("none", rejecting[name])
            found.append(
                ColumnProfile(
                    name,
                    facts.type,
                    facts.stored,
                    facts.empty,
                    facts.distinct(rows, is_whole=is_whole),
                    is_whole,
                    shown_values(facts),
                    facts.personal,
                    facts.doubts,
                    *role[:2],
                    keys[name],
                    role.separator,
                )
            )
        for name, why in self._table.unreadable.items():
            found.append(ColumnProfile(name, "unknown", "", 0, None, False, why=why))
        return found

    def _sections(self) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
        """Return the sections about the input, and what is to be known about them."""
        table, sections = self._table, self._reading.settings()
        given = sections.setdefault("input", {})
        given.pop("rejects_of", None)
        encodings = {source.found.name for source in table.sources if isinstance(source, TextSource) and source.found}
        notes = [self._about()]
        if len(encodings) > 1:
            given["encoding"] = AUTO
            notes.append(f"The files have different encodings ({', '.join(sorted(encodings))}), found for each.")
        elif encodings and encodings != {"utf-8"}:
            given["encoding"] = encodings.pop()
            certainty = next(
                each.found.certainty for each in table.sources if isinstance(each, TextSource) and each.found
            )
            notes.append(f"The encoding {given['encoding']} was found in the bytes: {certainty}.")
        if not table.options.header and "header" not in given:
            given |= {"header": False, "columns": list(table.options.columns)}
            notes.append("The first row looks like values, so the columns are named here: give them better names.")
        if missing := self._missing(table.options):
            given["null_values"] = missing
            notes.append("Words that stand for missing values are read as such.")
        return sections, {"input": notes}

    def _about(self) -> str:
        """Return what the table is, in a sentence."""
        rows = self._sampled.rows
        about = "" if self._sampled.is_exact else "about "
        count = "an unknown number of" if rows is None else f"{about}{rows:,}"
        file = _file_of(self._table.sources[0], self._table.options, self._reading)
        of_text = f", separated by {_SEPARATORS.get(file.separator, repr(file.separator))}" if file.separator else ""
        return f"{file.format}{of_text}: {count} rows, {len(self._facts) + len(self._table.unreadable)} columns."


_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "spaces"}


def _file_of(source: Source, options: Input, reading: Reading) -> InspectedFile:
    format_ = format_of_origin(source.origin, options) or "query"
    label, size = reading.conceal_path(source.origin.label), source.origin.size
    if not isinstance(source, TextSource):
        return InspectedFile(label, size, format_)
    found = source.found
    encoding = found.name if found else options.encoding
    file = InspectedFile(label, size, format_, encoding, found.certainty if found else "")
    if not isinstance(source, DelimitedSource):
        return file if format_ != "excel" else file._replace(encoding="", certainty="")
    grammar = source.grammar
    return file._replace(
        separator=grammar.separator.decode("latin-1"),
        quote=grammar.quote.decode("latin-1") or "none",
        escape="backslash" if grammar.meanings else "double",
        header=options.header,
    )
