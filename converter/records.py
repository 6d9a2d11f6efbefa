"""Rows become lines, or are rejected with a reason: normalise, judge, format, in one lazy query.

1. The columns that the job uses, as text (`c0`, `c1` … in the order of `Job.columns`).
2. The ID, normalised: missing texts to null, trimmed, its case as asked or as Adobe wants it.
3. Each value and each list of traits: what is missing, what had to be left out or changed.
4. `reason`: the first rule that rejects the row, as its place in `Records.rules`.
5. `line`: the finished line, null where there is a reason; what breaks a rule on lines becomes null too.

This is right for every row, and slow. Nearly all rows of nearly all files need only be formatted; in large files
those are told from the others, and formatted, by compiled loops (`converter.compiled`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.job import Job, Tokens
from converter.ledger import Ledger
from converter.sources.text import as_text, check_id_type
from converter.spec import kinds, rules
from converter.spec.ids import ID_TYPES
from converter.spec.kinds import FILE_KINDS

_BAD_IN_VALUE = r'["\x00-\x1f]'
_COUNTERS = {
    "missing": ("signals_dropped", rules.VALUE_MISSING),
    "dropped": ("signals_dropped", rules.VALUE_DROPPED),
    "not_digits": ("signals_dropped", rules.TRAIT_NOT_DIGITS),
    "not_clean": ("signals_dropped", rules.CODE_NOT_CLEAN),
    "cleaned": ("signals_changed", rules.VALUE_CLEANED),
    "commas": ("signals_changed", rules.COMMA_REPLACED),
    "doubtful": ("warnings", rules.ID_DOUBTFUL),
}
"""What the query counts, where the ledger keeps it, and by which rule."""
_ITEMS = {"not_digits": "[0-9]+", "not_clean": r'[^",\x00-\x1f]+'}
"""The form of an item of a list, by the counter of those that have another."""


class ListOfItems(NamedTuple):
    """A list of traits or codes of a job: what stands before each item, and the counter of those left out."""

    prefix: str
    tokens: Tokens
    wrong: str


class Records:
    """What a job makes of rows. `most_line_bytes` is the longest line that a part can hold."""

    def __init__(self, job: Job, most_line_bytes: int) -> None:
        self.job = job
        self.kind = FILE_KINDS[job.output.kind]
        self.id_type = ID_TYPES[job.id.type]
        case = self.id_type.case or job.id.case
        self.case = None if case == "preserve" else case
        self._id_rules = self.kind.id_rules(self.id_type)
        self._row_rules = self.kind.row_rules
        self._line_rules = self.kind.line_rules(most_line_bytes)
        self.rules = (*self._id_rules, *self._row_rules, *self._line_rules)
        self.most_line_bytes = most_line_bytes
        self.columns = job.columns
        self.place = {name: f"c{place}" for place, name in enumerate(self.columns)}
        record = job.record
        self.lists = (
            *(ListOfItems("d_sid=", tokens, "not_digits") for tokens in record.traits),
            *(ListOfItems("d_unsid=", tokens, "not_digits") for tokens in record.removed_traits),
            *(ListOfItems("ic=", tokens, "not_clean") for tokens in record.integration_codes),
        )
        # Made once: each of many blocks asks for them, and making them takes longer than judging a few rows.
        self._steps, self._results = self._expressions()

    def texts(
        self, frame: pl.LazyFrame, schema: Mapping[str, pl.DataType], *, json_lists: bool, nullable: bool = True
    ) -> pl.LazyFrame:
        """Select the job's columns as text, empty where a value is missing: step 1.

        `json_lists` and `nullable` are what the source says of itself. Raises `ColumnError` for types that cannot be
        used.
        """
        check_id_type(self.job.id.column, schema[self.job.id.column])
        joins = {each.tokens.column: each.tokens.separator for each in self.lists if each.tokens.column}
        missing = list(self.job.input.null_values)
        selected = []
        for name, place in self.place.items():
            text = as_text(pl.col(name), name, schema[name], joins.get(name))
            if json_lists and name in joins:
                text = _from_json_list(text, joins[name])
            if missing and schema[name] == pl.String:
                text = pl.when(~text.is_in(missing)).then(text)
            if missing or nullable:
                text = text.fill_null("")
            selected.append(text.alias(place))
        return frame.select(selected)

    def lines(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Judge and format what `texts` gives: steps 2 to 5.

        The result has `line` (String, null where the row is rejected), `reason` (UInt8, a place in `rules`, null
        where it is not), the texts, and counters: a number or truth of each row, named `COUNTER#PLACE`.
        """
        for step in self._steps:
            texts = texts.with_columns(step)
        return texts.select(self._results)

    def tally(self, judged: pl.DataFrame) -> Ledger:
        """Count what became of rows that `lines` gave.

        `read` is left to those who count in the input itself, `written` to those who count lines.
        """
        ledger = Ledger()
        reasons = np.bincount(judged["reason"].drop_nulls().to_numpy(), minlength=len(self.rules))
        for rule, rejected in zip(self.rules, reasons.tolist(), strict=True):
            if rejected:
                ledger.rejected[rule.name] += rejected
        accepted = judged["reason"].is_null()
        for name in judged.columns if accepted.any() else ():
            counter, is_counter, _ = name.partition("#")
            count = int(judged[name].filter(accepted).sum()) if is_counter else 0
            if counter == "signals":
                ledger.signals_written += count
            elif count:
                kept, rule = _COUNTERS[counter]
                getattr(ledger, kept)[rule.name] += count
        return ledger

    def _expressions(self) -> tuple[list[list[pl.Expr]], list[pl.Expr]]:
        """Return the columns that steps 2 to 5 add, one after the other, and what is selected then."""
        made = self._signals()
        if self.id_type.doubtful:
            made.count("doubtful", pl.col("id").str.contains(self.id_type.doubtful, literal=True))
        id_ = self._normalised(pl.col(self.place[self.job.id.column]))
        row_rules = (*self._id_rules, *self._row_rules)
        accepted_id = pl.when(pl.col("reason").is_null()).then(pl.col("id"))
        steps = [
            [*made.columns, id_.alias("id")],
            [*made.later, pl.when(pl.col("id") != "").then(pl.col("id")).alias("id")],
            [made.any_signal().alias("any_signal"), made.bad_value().alias("bad_value")],
            [rules.first_reason(row_rules).alias("reason")],
            [self.kind.line(accepted_id, made.signals).alias("line")],
            [pl.coalesce("reason", rules.first_reason(self._line_rules, len(row_rules))).alias("reason")],
        ]
        line = pl.when(pl.col("reason").is_null()).then(pl.col("line")).alias("line")
        return steps, [line, pl.col("reason"), *made.counters(), *map(pl.col, self.place.values())]

    def _normalised(self, id_: pl.Expr) -> pl.Expr:
        """Return the ID trimmed and in its case: step 2."""
        if self.job.id.trim:
            id_ = id_.str.strip_chars()
        if self.case:
            id_ = id_.str.to_lowercase() if self.case == "lower" else id_.str.to_uppercase()
        return id_

    def constant(self, value: str) -> str:
        """Return the value of a constant signal as it is written."""
        comma = self.job.record.comma
        return value if comma == "keep" else value.replace(",", comma)

    # Step 3

    def _signals(self) -> _Signals:
        """Prepare all signals of the line, in the order of the job: pairs, traits, removed traits, codes."""
        made = _Signals(reject_bad=self.job.record.on_bad_value == "reject")
        for number, signal in enumerate(self.job.record.signals):
            if signal.column is None:
                made.add(kinds.pair(signal.key, self.constant(signal.value or "")))
            else:
                self._add_pair(made, number, signal.key, signal.column)
        for number, each in enumerate(self.lists):
            if each.tokens.column is None:
                made.add(kinds.Signal("", each.prefix + (each.tokens.value or ""), ""))
            else:
                self._add_list(made, number, each)
        return made

    def _add_pair(self, made: _Signals, number: int, key: str, column: str) -> None:
        record = self.job.record
        value = pl.col(self.place[column])
        made.count("missing", value == "")
        bad = value.str.contains(_BAD_IN_VALUE)
        if record.on_bad_value == "clean":
            made.count("cleaned", bad)
            value = pl.when(bad).then(_cleaned(pl.when(bad).then(value))).otherwise(value)
        else:
            made.count("dropped", bad)
            value = pl.when(bad).then(pl.lit("")).otherwise(value)
        if record.comma != "keep":
            made.count("commas", value.str.contains(",", literal=True))
            value = value.str.replace_all(",", record.comma, literal=True)
        made.columns.append(value.alias(f"v{number}"))
        value = pl.col(f"v{number}")
        made.add(kinds.pair(key, value, value != ""))

    def _add_list(self, made: _Signals, number: int, each: ListOfItems) -> None:
        """Add a list of traits or codes, without the items that are not of their form; empty items are passed over."""
        fits = pl.element().str.contains(f"^{_ITEMS[each.wrong]}$")
        items = pl.col(self.place[each.tokens.column or ""]).str.split(each.tokens.separator)
        items = items.list.eval(pl.element().str.strip_chars())
        items = items.list.eval(pl.element().filter(pl.element() != ""))
        good, kept = items.list.eval(pl.element().filter(fits)), pl.col(f"kept{number}")
        made.columns += [items.list.len().alias(f"all{number}"), good.alias(f"kept{number}")]
        made.later.append(kept.list.join(f",{each.prefix}").alias(f"t{number}"))
        made.count("signals", kept.list.len())
        made.count(each.wrong, pl.col(f"all{number}") - kept.list.len())
        made.add(kinds.Signal(each.prefix, pl.col(f"t{number}"), "", kept.list.len() > 0), counted=False)


class _Signals:
    """The signals of a line while they are put together.

    `columns`, and then `later`, are to be added to the frame; the signals and the counters refer to them.
    """

    def __init__(self, *, reject_bad: bool) -> None:
        self.columns: list[pl.Expr] = []
        self.later: list[pl.Expr] = []
        self.signals: list[kinds.Signal] = []
        self._counted: dict[str, list[pl.Expr]] = {}
        self._reject_bad = reject_bad

    def add(self, signal: kinds.Signal, *, counted: bool = True) -> None:
        """Add a signal to the line; `counted` as one, where it is there."""
        self.signals.append(signal)
        if counted:
            self.count("signals", signal.present if isinstance(signal.present, pl.Expr) else pl.lit(1))

    def count(self, name: str, of_row: pl.Expr) -> None:
        """Add to the counter `name` what a row contributes: a number or a truth."""
        self._counted.setdefault(name, []).append(of_row)

    def any_signal(self) -> pl.Expr:
        present = [signal.present for signal in self.signals]
        expressions = [each for each in present if isinstance(each, pl.Expr)]
        return pl.lit(value=True) if len(expressions) < len(present) else pl.any_horizontal(expressions)

    def bad_value(self) -> pl.Expr:
        bad = self._counted.get("dropped", []) if self._reject_bad else []
        return pl.any_horizontal(bad) if bad else pl.lit(value=False)

    def counters(self) -> list[pl.Expr]:
        """Return the counters as columns."""
        return [
            term.alias(f"{name}#{place}") for name, terms in self._counted.items() for place, term in enumerate(terms)
        ]


def _cleaned(value: pl.Expr) -> pl.Expr:
    """Clean a value (C6): each run of control characters becomes one space, a double quote a single quote."""
    return value.str.replace_all(r"[\x00-\x1f]+", " ").str.replace_all('"', "'", literal=True)


def _from_json_list(text: pl.Expr, separator: str) -> pl.Expr:
    """Turn the text of a JSON list of numbers or plain texts into items with a separator between them."""
    is_list = text.str.starts_with("[")
    items = pl.when(is_list).then(text).str.strip_chars("[]").str.replace_all('"', "", literal=True)
    return pl.when(is_list).then(items.str.replace_all(r",\s*", separator)).otherwise(text)
