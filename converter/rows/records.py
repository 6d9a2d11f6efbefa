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

from collections.abc import Mapping

import polars as pl

from converter.columns.normalize import check_hashing
from converter.columns.text import as_text, check_id_type
from converter.jobs.job import Job
from converter.ledger import Ledger
from converter.rows.counters import tally
from converter.rows.dates import microseconds
from converter.rows.formatting import Formatting
from converter.rows.judging import Judging
from converter.rows.signals import lists_of
from converter.rows.validation import check_signals
from converter.spec.kinds import FILE_KINDS, FileKind


class Records:
    """How a job converts rows. `most_line_bytes` is the length of the longest line that a part can hold, in bytes.

    `cards` says whether a bare number that could be a payment card's counts as one; `kind` is the kind of lines, by
    default that of `output.kind`; `colliding` are IDs (String, by `fold_case`) whose rows are rejected; `for_stages`
    says whether stages see the rows that are accepted (`accepted`). Raises `JobError` where a signal is personal data
    by its name or by its constant value.
    """

    def __init__(
        self,
        job: Job,
        most_line_bytes: int,
        *,
        cards: bool = True,
        kind: FileKind | None = None,
        colliding: pl.Series | None = None,
        for_stages: bool = False,
    ) -> None:
        self.job = job
        self.most_line_bytes = most_line_bytes
        self.cards = cards
        self.kind = kind or FILE_KINDS[job.output.kind]
        self.for_stages = for_stages
        self.columns = job.columns
        self.aliases = {name: f"c{number}" for number, name in enumerate(self.columns)}
        """The names of the job's columns in queries."""
        self.lists = lists_of(job.record, self.kind)
        check_signals(job)
        if any(id_.hash for id_ in job.ids):
            check_hashing()
        # Made once: each of many blocks asks for them, and making them takes longer than judging a few rows.
        self._judging = judging = Judging(job, self.kind, self.aliases, cards=cards)
        self._formatting = Formatting(judging, most_line_bytes, colliding)
        self._colliding = colliding
        self.id_types = judging.id_types
        self.id_steps = judging.id_steps
        self.by_bytes = judging.by_bytes
        self.rules = self._formatting.rules
        self.index_of = self._formatting.index_of

    def replace(self, *, colliding: pl.Series | None = None, for_stages: bool = False) -> Records:
        """Return the same records with colliding IDs (by default the present ones), for stages or not."""
        return Records(
            self.job,
            self.most_line_bytes,
            cards=self.cards,
            kind=self.kind,
            colliding=self._colliding if colliding is None else colliding,
            for_stages=for_stages,
        )

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of text in what `texts` gives."""
        ids = () if self.by_bytes else (f"id{number}" for number in range(len(self.id_types)))
        return (*self.aliases.values(), *ids)

    @property
    def compiled(self) -> bool:
        """Whether the kernel can make the lines: they have one ID and one set of files, and depend on one row."""
        collide = self._colliding is not None and len(self._colliding)
        return self.kind.compiled and not (self._judging.is_mixed or self.for_stages or collide)

    def texts(
        self, frame: pl.LazyFrame, schema: Mapping[str, pl.DataType], *, json_lists: bool, nullable: bool = True
    ) -> pl.LazyFrame:
        """Select the job's columns as text, empty where a value is missing: step 1; and 2, unless `by_bytes`.

        `json_lists` and `nullable` are those of the source. Raises `ColumnError` for types that cannot be used.
        """
        for id_ in self.job.ids:
            check_id_type(id_.column, schema[id_.column])
        separators = {each.tokens.column: each.tokens.separator for each in self.lists if each.tokens.column}
        missing = list(self.job.input.null_values)
        selected = []
        for name, alias in self.aliases.items():
            text = as_text(pl.col(name), name, schema[name], separators.get(name))
            if json_lists and name in separators:
                text = _from_json_list(text, separators[name])
            if missing and schema[name] == pl.String:
                text = pl.when(~text.is_in(missing)).then(text)
            if missing or nullable:
                text = text.fill_null("")
            selected.append(text.alias(alias))
        frame = frame.select(selected)
        if self.by_bytes:
            return frame
        return self._normalize(frame).with_columns(id_.fill_null("") for id_ in self._judging.ids)

    def with_ids(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Add the normalized IDs to what `texts` gives, if they are not there yet: step 2."""
        return self._normalize(texts) if self.by_bytes else texts

    def _normalize(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        for columns in self._judging.normalizing:
            texts = texts.with_columns(columns)
        return texts

    def judge(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Judge what `texts` gives: steps 2 to 4. `format` takes the result, in the same query or later."""
        for columns in self._judging.steps:
            texts = texts.with_columns(columns)
        return texts

    def format(self, judged: pl.LazyFrame) -> pl.LazyFrame:
        """Format what `judge` gives: step 5.

        The result has `line` (String, null where the row is not written), `reason` (`rules.REASON`, an index in
        `rules`, null where it is), the texts, and counters (`converter.rows.counters`).
        """
        for columns in self._formatting.steps:
            judged = judged.with_columns(columns)
        return judged.select(
            pl.when(pl.col("reason").is_null()).then(pl.col("line")).alias("line"),
            pl.col("reason"),
            *((pl.col("type"), pl.col("route")) if self._judging.is_mixed else ()),
            *(self._judging.ids if self.for_stages else ()),
            *self._judging.signals.counters(),
            *self._judging.changed,
            *map(pl.col, self.aliases.values()),
        )

    def lines(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Judge and format what `texts` gives, in one query."""
        return self.format(self.judge(texts))

    @property
    def rejects(self) -> pl.Expr:
        """Whether a row that `lines` gave is rejected: it has a reason, and is not only skipped."""
        return (pl.col("reason") < self._formatting.first_skip).fill_null(value=False)

    def accepted(self, judged: pl.DataFrame) -> pl.DataFrame:
        """Return what stages see of the accepted rows among those that `lines` gave: the IDs, and `when` (Int64).

        `when` is the date of the row in microseconds; null where no column holds it, or it cannot be parsed.
        """
        date = self.job.sync.date if self.job.sync else None
        when = microseconds(pl.col(self.aliases[date])) if date else pl.lit(None, pl.Int64)
        return judged.filter(pl.col("reason").is_null()).select(*self._judging.ids, when.alias("when"))

    def by_set(self, judged: pl.DataFrame) -> list[pl.Series]:
        """Return the lines that `lines` gave, for each set of files; there is one set for each route."""
        if not self._judging.is_mixed:
            return [judged["line"].drop_nulls()]
        sets = len(self.job.routes) if self.job.output.route else 1
        return [judged["line"].filter(judged["route"] == number).drop_nulls() for number in range(sets)]

    def tally(self, judged: pl.DataFrame) -> Ledger:
        """Count the results of rows that `lines` gave (`converter.rows.counters`)."""
        return tally(judged, self.rules)


def _from_json_list(text: pl.Expr, separator: str) -> pl.Expr:
    """Turn the text of a JSON list of numbers or plain texts into items with a separator between them."""
    is_list = text.str.starts_with("[")
    items = pl.when(is_list).then(text).str.strip_chars("[]").str.replace_all('"', "", literal=True)
    return pl.when(is_list).then(items.str.replace_all(r",\s*", separator)).otherwise(text)
