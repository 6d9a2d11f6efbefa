"""Rows become lines, or are rejected or skipped with a reason: normalize, judge, format, in one lazy query.

1. The columns that the job uses, as text (`c0`, `c1` … in the order of `Job.columns`).
2. The IDs of the line (`id0`, `id1` …), by the steps of `normalize`.
3. Each value and each list of traits, without what is missing or cannot be sent (`signals`).
4. `reason`: the first rule that the row breaks, as its index in `Records.rules` (`judging`).
5. `line`: the finished line, null where there is a reason (`formatting`). Rules on lines and the reasons to skip a row
   come last.

This is right for every row, and slow. Most rows of large files need only be formatted, which the kernel does
(`converter.rows.fast_path`).
"""

from __future__ import annotations

import functools
from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.lists import ITEM, codes_of, values_of
from converter.columns.normalize import check_hashing
from converter.columns.text import as_text, check_id_type
from converter.jobs.job import Job
from converter.ledger import Ledger
from converter.rows.chosen import Chosen
from converter.rows.counters import Columns, tally
from converter.rows.formatting import Formatting
from converter.rows.judging import FirstRows, Judging
from converter.rows.selection import Selected, Selection
from converter.rows.signals import lists_of, value_lists_of
from converter.rows.skipped import MOST_SKIPPED, SkippedRows
from converter.rows.suppression import Suppression
from converter.rows.validation import check_date, check_ids, check_signals
from converter.sources.base import Roles, Source
from converter.sources.engine import collect
from converter.sources.malformed import RowNumbers
from converter.spec import rules
from converter.spec.kinds import FILE_KINDS, FileKind


class Records:
    """How a job converts rows. `most_line_bytes` is the length of the longest line that a part can hold, in bytes.

    `found` is what the first rows show; `kind` is the kind of lines, by default that of `output.kind`; `colliding` are
    IDs whose rows are rejected (`formatting.folded_hashes`), `suppression` those whose rows are skipped. Raises
    `JobError` where a signal is personal data by its name or its constant value.
    """

    def __init__(
        self,
        job: Job,
        most_line_bytes: int,
        *,
        found: FirstRows = FirstRows(),  # noqa: B008 - it never changes
        kind: FileKind | None = None,
        colliding: pl.DataFrame | None = None,
        suppression: Suppression | None = None,
        chosen: Chosen | None = None,
    ) -> None:
        self.job = job
        self.most_line_bytes = most_line_bytes
        self.found = found
        self.kind = kind or FILE_KINDS[job.output.kind]
        self.columns = job.columns
        self.selection = Selection(job.input, self.columns)
        self.suppression = suppression
        self.chosen = chosen
        """The rows that are converted, where not all are."""
        self.aliases = {name: f"c{number}" for number, name in enumerate(self.columns)}
        """The names of the job's columns in queries."""
        self.lists = lists_of(job.record, self.kind)
        self.value_lists = value_lists_of(job, found.lists)
        """The separators of the signals that are lists, by their numbers."""
        signals = [(number, job.record.signals[number].column or "") for number in self.value_lists]
        self._value_columns = {name: self.value_lists[number] != ITEM for number, name in signals}
        """The columns with lists of values, and whether they are split at a separator."""
        check_ids(job, self.selection)
        check_signals(job, self.selection)
        check_date(job)
        if any(id_.hash for id_ in job.ids):
            check_hashing()
        # Made once: each of many blocks asks for them, and making them takes longer than judging a few rows.
        self._judging = judging = Judging(job, self.kind, self.aliases, found)
        self._formatting = Formatting(judging, most_line_bytes, colliding)
        self._columns = Columns([id_.column for id_ in job.ids], judging.signals.columns_of, judging.signals.kinds)
        self.id_types = judging.id_types
        self.id_steps = judging.id_steps
        self.scanned = [name for _, name in judging.signals.scanned]
        """The names in queries of the columns whose values are scanned for personal data."""
        self.is_mixed = judging.is_mixed
        """Whether IDs of several types are in one column."""
        self.leads = self._formatting.leads
        self.rules = self._formatting.rules
        self.index_of = self._formatting.index_of
        self.sets = len(job.routes) if self.is_mixed and job.output.route else 1
        """How many sets of files there are: one for each route."""
        self.traces_lines = job.gathers or job.record.limits
        """Whether it has to be known which row each line is of."""
        self.compiled = self.kind.compiled and not (colliding is not None and colliding.height)
        """Whether the kernel can make the lines: each depends on its row alone."""

    def rejecting(self, colliding: pl.DataFrame) -> Records:
        """Return the same records with IDs whose rows are rejected."""
        return self._with(colliding=colliding)

    def surveyed(self, first: FirstRows, chosen: Chosen | None) -> Records:
        """Return the same records with what first rows show, and the rows that are converted, where not all are.

        The columns that hold lists stay.
        """
        return self._with(found=first._replace(lists=self.found.lists), chosen=chosen)

    def _with(
        self,
        *,
        found: FirstRows | None = None,
        colliding: pl.DataFrame | None = None,
        chosen: Chosen | None = None,
    ) -> Records:
        return Records(
            self.job,
            self.most_line_bytes,
            found=found or self.found,
            kind=self.kind,
            colliding=colliding,
            suppression=self.suppression,
            chosen=chosen or self.chosen,
        )

    @property
    def roles(self) -> Roles:
        """What the job uses the columns of its input for."""
        ids = {id_.column for id_ in self.job.ids}
        lists = {each.tokens.column for each in self.lists if each.tokens.column}
        return Roles(frozenset(ids), frozenset(lists), frozenset(self._value_columns) - lists - ids)

    def with_lists(self, sources: Sequence[Source], unlike: Iterable[Source]) -> Records:
        """Return the same records, with the columns that hold lists in any of these sources.

        Columns of other sources than those that are `unlike` have the same types.
        """
        columns = {signal.column for signal in self.job.record.signals if signal.column}
        found = columns.intersection(*[frozenset().union(*(source.lists for source in sources))])
        for source in unlike if columns else ():
            schema = self.selection.check(source)
            found |= {name for name in columns if isinstance(schema[name], pl.List | pl.Array)}
        return self._with(found=self.found._replace(lists=frozenset(found))) if found else self

    def check_columns(self, source: Source) -> None:
        """Raise `ColumnError` unless the columns of a source can be used as the job uses them."""
        schema, label = self.selection.check(source), source.origin.label
        for id_ in self.job.ids:
            check_id_type(id_.column, schema[id_.column], label)
        for name in self.columns:
            self._as_text(name, schema[name])

    @property
    def selects(self) -> bool:
        """Whether rows are selected, or columns are computed, before anything else."""
        return self.selection.applies or self.suppression is not None

    def selected(self, frame: pl.DataFrame, source: Source, wanted: Container[str] = ()) -> Selected:
        """Select rows of a source, with the columns of the job (`Selection.apply`). Raises `InputError`."""
        selected = self.selection.apply(frame, source, wanted)
        if self.suppression is None or not selected.frame.height:
            return selected
        ids = self.with_ids(self.texts(selected.frame, source))
        return self.suppression.apply(
            selected, collect(source.origin, self.suppression.hashes(ids), len(selected.rows)), wanted
        )

    def texts(self, frame: pl.DataFrame, source: Source) -> pl.LazyFrame:
        """Select the job's columns as text, empty where a value is missing: step 1.

        The frame has rows of the source that are selected (`selection`), whose types may have become text before.
        """
        return frame.lazy().select(
            self._text_of(name, frame[name], source).alias(alias) for name, alias in self.aliases.items()
        )

    def shown_ids(self, frame: pl.DataFrame, source: Source) -> pl.DataFrame:
        """Return the IDs of a few rows of a source as text, as far as the frame has their columns, with these names."""
        names = dict.fromkeys(id_.column for id_ in self.job.ids if id_.column in frame.columns)
        return frame.select(self._text_of(name, frame[name], source).alias(name) for name in names)

    def _text_of(self, name: str, column: pl.Series, source: Source) -> pl.Expr:
        missing, types = list(self.job.input.null_values), source.schema
        text = self._as_text(name, column.dtype)
        if is_missing := bool(missing) and name in types and types[name] == pl.String:
            text = pl.when(~text.is_in(missing)).then(text)
        if is_missing or column.dtype != pl.String or column.null_count():
            text = text.fill_null("")
        return text

    def _as_text(self, name: str, type_: pl.DataType) -> pl.Expr:
        separator = next((each.tokens.separator for each in reversed(self.lists) if each.tokens.column == name), None)
        if separator is None and name in self._value_columns:
            text = as_text(pl.col(name), name, type_, ITEM)
            return values_of(text) if self._value_columns[name] and type_ == pl.String else text
        text = as_text(pl.col(name), name, type_, separator)
        return codes_of(text, separator) if separator and type_ == pl.String else text

    def with_ids(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Add the normalized IDs to what `texts` gives: step 2."""
        return _with(texts, self._judging.normalizing)

    def judge(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Judge what `texts` gives: steps 2 to 4. `format` takes the result, in the same query or later."""
        return _with(texts, self._judging.steps)

    def format(self, judged: pl.LazyFrame) -> pl.LazyFrame:
        """Format what `judge` gives: step 5.

        The result has `line` (String, null where the row is not written), `reason` (`rules.REASON`, an index in
        `rules`, null where it is), the IDs and the texts, and counters (`converter.rows.counters`) where they are
        given.
        """
        kept = (
            "type",
            "route",
            "rows",
            "rank",
            *self._judging.counters,
            *self._judging.signals.kinds.values(),
            *self.id_names,
            *self.aliases.values(),
        )
        return _with(judged, self._formatting.steps).select(
            pl.when(pl.col("reason").is_null()).then(pl.col("line")).alias("line"),
            pl.col("reason"),
            pl.selectors.by_name(*kept, require_all=False),
        )

    def lines(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Judge and format what `texts` gives, in one query."""
        return self.format(self.judge(texts))

    @property
    def fast_ids(self) -> list[str]:
        """The columns that hold the IDs in what `fast_texts` gives."""
        return self._judging.fast_ids

    @property
    def is_bytewise(self) -> list[bool]:
        """Whether the kernel does the steps of each ID of the line."""
        return self._judging.is_bytewise

    def bare(self, number: int) -> str:
        """Return the name in queries of an ID before a prefix, a suffix and a hash."""
        return self._judging.bare(number)

    @property
    def doubts(self) -> Sequence[str]:
        """What happens to IDs of the line that are implausible: `reject`, `warn` or `allow`."""
        return self._judging.doubts

    @property
    def takes_steps(self) -> bool:
        """Whether texts need steps that the kernel cannot do: where they do not, it can take them from the input."""
        is_split = self.is_mixed and self.traces_lines  # by the type of IDs: then each set has its own rows
        has_keys = self.job.record.key_column is not None  # which are known once the texts of a block are
        steps = self._judging.fast_normalizing or self.selects or self._judging.ranks
        return bool(steps or is_split or has_keys or self.chosen)

    def fast_texts(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Add what the kernel needs and cannot do to what `texts` gives.

        These are the IDs (`fast_ids`, empty where there is none) with the counters of their steps, the `type` and
        `route` of each, where there are several, and the `rank` of each row, where rows have an order.
        """
        judging = self._judging
        texts = _with(texts, judging.fast_normalizing)
        if judging.fast_normalizing:
            added = set(judging.fast_ids) - set(self.aliases.values())
            texts = texts.with_columns(pl.col(added).fill_null(""))
        if judging.ranks:
            # Without its ID a row is irregular.
            id_ = pl.col(judging.fast_ids[0])
            texts = _with(texts, [judging.ranks, [pl.when(~pl.col("bad_order")).then(id_).otherwise(pl.lit(""))]])
        return _with(texts, [judging.typing, [judging.route.alias("route")]]) if self.is_mixed else texts

    def are_rejected(self, rows: pl.DataFrame) -> npt.NDArray[np.bool_]:
        """Return which of the rows that `lines` gave are rejected: they have a reason, and are not only skipped."""
        reasons: npt.NDArray[np.number[Any]] = rows["reason"].to_numpy()  # not a number where there is none
        return reasons < self._formatting.first_skip

    def first_skipped(self, judged: pl.DataFrame, rows: RowNumbers, wanted: Container[str]) -> list[SkippedRows]:
        """Return the first of the rows that `lines` gave that are skipped by the rules that are `wanted`.

        `rows` are the row numbers of all.
        """
        found, reasons = [], judged["reason"].to_numpy()
        for index, rule in enumerate(self.rules[self._formatting.first_skip :], self._formatting.first_skip):
            if rule.name in wanted and len(some := np.flatnonzero(reasons == index)[:MOST_SKIPPED]):
                ids = judged[some].select(pl.col(self.aliases[id_.column]).alias(id_.column) for id_ in self.job.ids)
                found.append(SkippedRows.of(rule.name, rows[some], ids))
        return found

    def described(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return what is reported of rejected rows: `reason` and the texts."""
        return rows[["reason", *self.aliases.values()]]

    def described_by_ids(self, ids: pl.Series, reasons: npt.NDArray[np.uint16]) -> pl.DataFrame:
        """Return what is reported of rejected rows whose columns are not kept: the ID (String) stands for all of them.

        `reasons` are those of `index_of`.
        """
        name = self.job.ids[0].column
        columns = {alias: ids if column == name else pl.lit("") for column, alias in self.aliases.items()}
        return pl.DataFrame({"reason": reasons}).with_columns(**columns)

    def accepted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the IDs of the rows that are accepted, among those that `judge` or `lines` gave."""
        return rows.filter(pl.col("reason").is_null()).select(self.id_names)

    @property
    def id_names(self) -> list[str]:
        """The names of the IDs in queries."""
        return [f"id{number}" for number in range(len(self.id_types))]

    @functools.cached_property
    def no_lines(self) -> pl.DataFrame:
        """What `judge` and `lines` return where there are no rows, without counters."""
        names = (*self.id_names, *self.aliases.values())
        types = {"type": pl.UInt8, "route": pl.UInt8} if self.is_mixed else {}
        return pl.DataFrame(
            schema={"line": pl.String, "reason": rules.REASON, **types, **dict.fromkeys(names, pl.String)}
        )

    @functools.cached_property
    def none_described(self) -> pl.DataFrame:
        """What `described` returns where no row is rejected."""
        return self.described(self.no_lines)

    def written(self, judged: pl.DataFrame) -> list[pl.Series]:
        """Return which of the rows that `lines` gave are written (Boolean), for each set of files."""
        if not judged.height:  # as in most blocks
            return [pl.Series(dtype=pl.Boolean)] * self.sets
        accepted = pl.col("reason").is_null()
        routes = [accepted & pl.col("route").eq_missing(number) for number in range(self.sets)]
        return [judged.select(each).to_series() for each in (routes if self.sets > 1 else [accepted])]

    def tally(self, judged: pl.DataFrame) -> Ledger:
        """Count the results of rows that `lines` gave (`converter.rows.counters`)."""
        return tally(judged, self.rules, self._columns)


def _with(frame: pl.LazyFrame, steps: Iterable[Sequence[pl.Expr]]) -> pl.LazyFrame:
    """Add columns, one list after the other."""
    for columns in steps:
        frame = frame.with_columns(columns)
    return frame
