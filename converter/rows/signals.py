"""The signals of a line: the values and traits of each row, without those that cannot be sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from converter.columns import privacy
from converter.columns.lists import ITEM
from converter.columns.text import OUT_OF_RANGE
from converter.jobs.job import Job
from converter.jobs.sections.record import Record, Tokens
from converter.rows.counters import MISSING_WORDS
from converter.spec import kinds
from converter.spec.implausible import MISSING_VALUES
from converter.spec.kinds import FileKind

_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_BAD_IN_VALUE = f'["{_CONTROLS}]'
_ITEMS = {"not_digits": "[0-9]+", "not_clean": f'[^",{_CONTROLS}]+'}
"""The form of an item of a list, by the counter of those in another form."""


class ListOfItems(NamedTuple):
    """A list of traits or codes of a job: the text before each item, and the counter of the items that are not sent."""

    prefix: str
    tokens: Tokens
    counter: str


def lists_of(record: Record, kind: FileKind) -> tuple[ListOfItems, ...]:
    """Return the lists of a job, in the order of the line."""
    return (
        *(ListOfItems(kind.trait, tokens, "not_digits") for tokens in record.traits),
        *(ListOfItems("d_unsid=", tokens, "not_digits") for tokens in record.removed_traits),
        *(ListOfItems("ic=", tokens, "not_clean") for tokens in record.integration_codes),
    )


def is_scanned(job: Job, column: str) -> bool:
    """Return whether values of a column are scanned for personal data."""
    return job.privacy.signals != "allow" and column not in job.privacy.allow


def constant_value(job: Job, value: str) -> str:
    """Return the value of a constant signal as it is written."""
    comma = job.record.comma
    return value if comma == "keep" else value.replace(",", comma)


def value_lists_of(job: Job, lists: Collection[str]) -> dict[int, str]:
    """Return the separators of the signals whose texts may hold several values, by their numbers.

    They are `ITEM` where only a list is one, as in the columns that are `lists`. In a column that is one of traits as
    well, lists are as those are.
    """
    tokens = {each.column: each.separator for each in (*job.record.traits, *job.record.removed_traits)}
    tokens |= {each.column: each.separator for each in job.record.integration_codes}
    return {
        number: tokens.get(signal.column) or signal.separator or ITEM
        for number, signal in enumerate(job.record.signals)
        if signal.column and (signal.separator or signal.column in lists)
    }


class Signals:
    """The signals of a job in the order of the line: pairs, traits, removed traits, codes.

    A query adds columns in this order: the values that would be `written`; which kind of personal data those `scanned`
    are, each with the name that its column has in the query; then `columns`; then `derived`, which refer to `columns`.
    `formatted` refer to all of these. `counters` are the names of those that are counters (`converter.rows.counters`).
    `aliases` are the names that the job's columns have in the query; those of `lists` hold lists in the input.
    """

    def __init__(self, job: Job, kind: FileKind, aliases: Mapping[str, str], lists: Collection[str]) -> None:
        self.written: list[pl.Expr] = []
        self.scanned: list[tuple[pl.Expr, str]] = []
        self.columns: list[pl.Expr] = []
        self.derived: list[pl.Expr] = []
        self.formatted: list[kinds.FormattedSignal] = []
        self.counters: list[str] = []
        self.columns_of: dict[str, str] = {}
        """The columns of the input that counters of values are of."""
        self.kinds: dict[str, str] = {}
        """The names of the kinds of personal data in the query, by the counters of values that are any."""
        self._nothing: list[pl.Expr] = []  # whether there is no value and no item at all, for each that is not constant
        self._job = job
        self._aliases = aliases
        separators = value_lists_of(job, lists)
        for number, signal in enumerate(job.record.signals):
            if signal.column is None:
                self._add(kinds.pair(signal.key, constant_value(job, signal.value or "")))
            elif number in separators:
                self._add_values(number, signal.key, signal.column, separators[number])
            else:
                self._add_pair(number, signal.key, pl.col(aliases[signal.column]), signal.column)
        if job.record.key_column and job.record.value_column:
            key, value = (pl.col(aliases[name]) for name in (job.record.key_column, job.record.value_column))
            self._add_pair(len(job.record.signals), key, value, job.record.value_column)
        for number, each in enumerate(lists_of(job.record, kind)):
            if each.tokens.column is None:
                self._add(kinds.FormattedSignal("", each.prefix + (each.tokens.value or ""), ""))
            else:
                self._add_list(number, each, pl.col(aliases[each.tokens.column]))

    def count(self, name: str, of_row: pl.Expr, column: str | None = None) -> pl.Expr:
        """Return a column of the counter `name`: a number or a Boolean for each row, of a `column` of the input."""
        alias = f"{name}#{sum(each.startswith(f'{name}#') for each in self.counters)}"
        self.counters.append(alias)
        if column is not None:
            self.columns_of[alias] = column
        return of_row.alias(alias)

    def any_signal(self) -> pl.Expr:
        """Whether the row has a signal (Boolean)."""
        present = [signal.present for signal in self.formatted]
        expressions = [each for each in present if isinstance(each, pl.Expr)]
        return pl.lit(value=True) if len(expressions) < len(present) else _any(expressions)

    def is_empty(self) -> pl.Expr:
        """Whether the row has no value and no item (Boolean): not even one that cannot be sent."""
        is_constant = len(self._nothing) < len(self.formatted)
        return pl.lit(value=False) if is_constant else pl.all_horizontal(self._nothing)

    def bad_value(self) -> pl.Expr:
        """Whether a value cannot be written, and the row is rejected for that (Boolean)."""
        dropped, out_of_range = self._counted("dropped"), self._counted("out_of_range")
        if self._job.record.on_bad_value == "reject":
            return _any([*dropped, *out_of_range])
        # Such a row is not skipped: it has a value to send, which cannot be written.
        return _any(out_of_range) & ~self.any_signal()

    def personal_value(self) -> pl.Expr:
        """Whether a value is personal data, and the row is rejected for that (Boolean)."""
        return _any(self._counted("personal") if self._job.privacy.signals == "block" else [])

    def _counted(self, name: str) -> list[pl.Expr]:
        return [pl.col(each).cast(pl.Boolean) for each in self.counters if each.startswith(f"{name}#")]

    def _add(self, signal: kinds.FormattedSignal, *, counted: bool = True) -> None:
        """Add a signal to the line; `counted` as one, where the row has it."""
        self.formatted.append(signal)
        if counted:
            present = signal.present if isinstance(signal.present, pl.Expr) else pl.lit(1, pl.UInt8)
            self.derived.append(self.count("signals", present))

    def _add_pair(self, number: int, key: str | pl.Expr, value: pl.Expr, column: str) -> None:
        record = self._job.record
        out, bad = value == OUT_OF_RANGE, value.str.contains(_BAD_IN_VALUE)
        cleaned = _clean(pl.when(bad).then(value))
        written = pl.when(out).then(pl.lit("")).when(bad).then(cleaned).otherwise(value)
        if record.comma != "keep":
            written = written.str.replace_all(",", record.comma, literal=True)
        self.written.append(written.alias(f"v{number}"))
        written, kept = pl.col(f"v{number}"), pl.lit(value=True)
        counts = [self.count("missing", value == ""), self.count("out_of_range", out, column)]
        self._nothing.append(pl.col(self.counters[-2]))
        counts.append(self.count(MISSING_WORDS, value.is_in(list(MISSING_VALUES)), column))
        if is_scanned(self._job, column):
            # What would be written: a value without its tabs or commas may be a phone number or a card.
            personal = f"personal_value{number}"
            self.scanned.append((written.alias(personal), self._aliases[column]))
            counts.append(self.count("personal", pl.col(personal).is_not_null(), column))
            self.kinds[self.counters[-1]] = personal
            kept = pl.col(personal).is_null()
        if record.on_bad_value == "clean":
            counts.append(self.count("cleaned", bad & ~out & kept))
        else:
            counts.append(self.count("dropped", bad & ~out & kept, column))
            kept &= ~bad
        if record.comma != "keep":
            counts.append(self.count("commas", value.str.contains(",", literal=True) & kept))
        written = pl.when(kept).then(written).otherwise(pl.lit(""))
        # The counters are beside the value, so that Polars computes only once what they have in common.
        self.columns += [written.alias(f"v{number}"), *counts]
        written = pl.col(f"v{number}")
        self._add(kinds.pair(key, written, written != ""))

    def _add_values(self, number: int, key: str, column: str, separator: str) -> None:
        """Add a pair for each value of a list, without empty values and words for missing ones."""
        record, items, counts = self._job.record, pl.col(f"i{number}"), pl.element().struct.field
        self.written.append(self._values(pl.col(self._aliases[column]), separator).alias(f"i{number}"))
        self.columns.append(items.list.eval(self._value(column)).alias(f"i{number}"))
        is_cleaned, is_personal = record.on_bad_value == "clean", counts("personal").is_not_null()
        bad = counts("bad") & ~is_personal
        is_sound = ~counts("out") & ~is_personal & (pl.lit(is_cleaned) | ~bad)
        self.derived.append(items.list.eval(counts("personal").drop_nulls()).list.first().alias(f"kind{number}"))
        self.derived.append(self.count("missing", items.list.len() == 0))
        for name, counted in {
            "out_of_range": counts("out"),
            MISSING_WORDS: counts("missing"),
            "cleaned" if is_cleaned else "dropped": bad,
            "commas": counts("comma") & is_sound,
            "personal": is_personal,
        }.items():
            self.derived.append(self.count(name, items.list.eval(counted).list.sum(), column))
        self.kinds[self.counters[-1]] = f"kind{number}"
        values = items.list.eval(pl.when(is_sound & (counts("text") != "")).then(counts("text"))).list.drop_nulls()
        self.derived += [
            values.list.join(f'","{key}"="').alias(f"v{number}"),
            self.count("signals", values.list.len()),
        ]
        self._add(kinds.pair(key, pl.col(f"v{number}"), pl.col(self.counters[-1]) > 0), counted=False)

    def _values(self, text: pl.Expr, separator: str) -> pl.Expr:
        """Return the values of a list (List of String)."""
        of_list = text.str.slice(1).str.split(ITEM)
        values = pl.when(text.str.starts_with(ITEM)).then(of_list).otherwise(text.str.split(separator))
        values = values.list.eval(pl.element().str.strip_chars())
        none = ["", *self._job.input.null_values]
        return values.list.eval(pl.element().filter(~pl.element().is_in(none)))

    def _value(self, column: str) -> pl.Expr:
        """Return what a value of a list is (Struct): its `text` as it is written, and what it counts as."""
        value, comma = pl.element(), self._job.record.comma
        out, bad = value == OUT_OF_RANGE, value.str.contains(_BAD_IN_VALUE)
        written = pl.when(out).then(pl.lit("")).when(bad).then(_clean(value)).otherwise(value)
        if comma != "keep":
            written = written.str.replace_all(",", comma, literal=True)
        personal = privacy.personal_kind(written) if is_scanned(self._job, column) else pl.lit(None, pl.UInt8)
        return pl.struct(
            text=written,
            out=out,
            bad=bad & ~out,
            personal=personal,
            comma=value.str.contains(",", literal=True) if comma != "keep" else pl.lit(value=False),
            missing=value.is_in(list(MISSING_VALUES)),
        )

    def _add_list(self, number: int, each: ListOfItems, text: pl.Expr) -> None:
        """Add a list of traits or codes, without empty items and those in another form."""
        fits = pl.element().str.contains(f"^{_ITEMS[each.counter]}$")
        items = text.str.split(each.tokens.separator).list.eval(pl.element().str.strip_chars())
        items = items.list.eval(pl.element().filter(pl.element() != ""))
        good, kept = items.list.eval(pl.element().filter(fits)), pl.col(f"kept{number}")
        self.columns += [items.list.len().alias(f"all{number}"), good.alias(f"kept{number}")]
        self.derived += [
            kept.list.join(f",{each.prefix}").alias(f"t{number}"),
            self.count("signals", kept.list.len()),
            self.count(each.counter, pl.col(f"all{number}") - kept.list.len()),
        ]
        self._nothing.append(pl.col(f"all{number}") == 0)
        self._add(kinds.FormattedSignal(each.prefix, pl.col(f"t{number}"), "", kept.list.len() > 0), counted=False)


def _any(conditions: Sequence[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(conditions) if conditions else pl.lit(value=False)


def _clean(value: pl.Expr) -> pl.Expr:
    """Clean a value (C6): each run of control characters becomes one space, a double quote a single quote."""
    return value.str.replace_all(f"[{_CONTROLS}]+", " ").str.replace_all('"', "'", literal=True)
