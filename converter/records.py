"""Rows become lines, or are rejected with a reason: normalise, judge, format, in one lazy query.

1. The columns that the job uses, as text (`c0`, `c1` … in the order of `Job.columns`).
2. The ID, normalised: missing texts to null, trimmed, its case as asked or as Adobe wants it.
3. Each value and each list of traits: what is missing, what had to be left out or changed.
4. `reason`: the first rule that rejects the row, as its place in `Records.rules`.
5. `line`: the finished line, null where there is a reason, so that a rejected row adds no byte.
6. Rules on the finished line; a line that breaks one becomes null too.

Nearly no value holds a double quote or a control character, and looking for them in every value costs more
than all the formatting. So the quick query leaves that out, and is right where the source knows that there are
none, or where the finished text shows it (`converter.engine`); otherwise the rows go through the careful query.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import polars as pl
import polars.selectors as cs

from converter.job import Job, Signal, Tokens
from converter.ledger import Ledger
from converter.sift import Test, is_number_list, matches, only_holds, sifted
from converter.sources.text import as_text, check_id_type
from converter.spec import kinds, rules
from converter.spec.ids import ID_TYPES, PLAIN_IN_ID
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


_Text = TypeVar("_Text", pl.Expr, pl.Series)


class Records:
    """What a job makes of rows. `most_line_bytes` is the longest line that a part can hold."""

    def __init__(self, job: Job, most_line_bytes: int) -> None:
        self._job = job
        self._kind = FILE_KINDS[job.output.kind]
        self._id_type = ID_TYPES[job.id.type]
        case = self._id_type.case or job.id.case
        self.case = None if case == "preserve" else case
        self._id_rules = self._kind.id_rules(self._id_type)
        self._row_rules = self._kind.row_rules
        self._line_rules = self._kind.line_rules(most_line_bytes)
        self.rules = (*self._id_rules, *self._row_rules, *self._line_rules)
        self.columns = job.columns
        self._place = {name: f"c{place}" for place, name in enumerate(self.columns)}
        record = job.record
        self._lists = (
            *(("d_sid=", tokens, "not_digits") for tokens in record.traits),
            *(("d_unsid=", tokens, "not_digits") for tokens in record.removed_traits),
            *(("ic=", tokens, "not_clean") for tokens in record.integration_codes),
        )
        items: tuple[Signal | Tokens, ...] = (*record.signals, *(tokens for _, tokens, _ in self._lists))
        self.signal_places = [place for place, item in enumerate(items) if item.column is not None]

    def texts(
        self, frame: pl.LazyFrame, schema: Mapping[str, pl.DataType], *, json_lists: bool, nullable: bool = True
    ) -> pl.LazyFrame:
        """Select the job's columns as text, empty where a value is missing: step 1.

        `json_lists` and `nullable` are what the source says of itself. Raises `ColumnError` for types that cannot be
        used.
        """
        check_id_type(self._job.id.column, schema[self._job.id.column])
        joins = {tokens.column: tokens.separator for _, tokens, _ in self._lists if tokens.column}
        missing = list(self._job.input.null_values)
        selected = []
        for name, place in self._place.items():
            text = as_text(pl.col(name), name, schema[name], joins.get(name))
            if json_lists and name in joins:
                text = _from_json_list(text, joins[name])
            if missing and schema[name] == pl.String:
                text = pl.when(~text.is_in(missing)).then(text)
            if missing or nullable:
                text = text.fill_null("")
            selected.append(text.alias(place))
        return frame.select(selected)

    def lines(self, texts: pl.LazyFrame, *, careful: bool, complete: Collection[int] = ()) -> pl.LazyFrame:
        """Judge and format: steps 2 to 6.

        `texts` is what step 1 gives; `complete` are signals, by their place in the job, of which the caller expects
        no value to be missing: the line is then cheaper to format, and wrong where `incomplete` names one of them
        afterwards. The result has

        `line` (String, null where the row is rejected), `reason` (UInt8, a place in `rules`, null where it is
        not), the texts, and counters: a number or truth of each row, named `COUNTER#PLACE`.
        """
        made = self._signals(careful=careful, complete=complete)
        if self._id_type.doubtful:
            made.count("doubtful", pl.col("id").str.contains(self._id_type.doubtful, literal=True))
        row_reason = rules.first_reason(self._row_rules, len(self._id_rules))
        frame = (
            texts.with_columns(made.sifted, id=self._judged_id())
            .with_columns(made.columns, id=pl.col("id").struct["text"], id_reason=pl.col("id").struct["reason"])
            .with_columns(any_signal=made.any_signal(), bad_value=made.bad_value())
            .with_columns(reason=pl.coalesce("id_reason", row_reason))
        )
        accepted_id = pl.when(pl.col("reason").is_null()).then(pl.col("id"))
        line_reason = rules.first_reason(self._line_rules, len(self._id_rules) + len(self._row_rules))
        return (
            frame.with_columns(line=self._kind.line(accepted_id, made.signals))
            .with_columns(reason=pl.coalesce("reason", line_reason))
            .select(
                pl.when(pl.col("reason").is_null()).then(pl.col("line")).alias("line"),
                "reason",
                *made.counters(),
                *self._place.values(),
            )
        )

    def again(self, judged: pl.DataFrame) -> pl.LazyFrame:
        """Return the texts (step 1) of rows that `lines` has judged already."""
        return judged.lazy().select(self._place.values())

    def pairs(self, ledger: Ledger) -> int:
        """Return how many key-value pairs the quick query wrote for the rows counted in `ledger`."""
        return len(self._job.record.signals) * ledger.written - ledger.signals_dropped[rules.VALUE_MISSING.name]

    def incomplete(self, judged: pl.DataFrame) -> set[int]:
        """Return the signals, by their place in the job, that are absent from some of the rows that were judged."""
        absent = _row(judged.select(cs.starts_with("missing#", "absent#").any()))
        return {int(name.partition("#")[2]) for name, any_absent in absent.items() if any_absent}

    def tally(self, judged: pl.DataFrame, rejected: pl.DataFrame) -> Ledger:
        """Count what became of rows; `rejected` are those of them with a reason.

        `read` is left to those who count in the input itself.
        """
        ledger = Ledger(written=judged.height - rejected.height)
        for place, count in rejected["reason"].value_counts().iter_rows():
            ledger.rejected[self.rules[place].name] += count
        counters = cs.contains("#").sum()
        # All rows less the few rejected ones: that spares a copy of the many.
        without = _row(rejected.select(counters))
        absent: dict[str, int] = {}
        for name, count in _row(judged.select(counters)).items():
            (counter, _, place), count = name.partition("#"), count - without[name]
            if counter == "signals":
                ledger.signals_written += count
            elif counter == "absent":
                absent[place] = count
            elif count:
                kept, rule = _COUNTERS[counter]
                getattr(ledger, kept)[rule.name] += count
            if counter == "missing":
                absent.setdefault(place, count)
        # Pairs are written wherever they are not absent; items of lists are counted one by one.
        pairs = len(self._job.record.signals) + sum(tokens.column is None for _, tokens, _ in self._lists)
        ledger.signals_written += pairs * ledger.written
        ledger.signals_written -= sum(
            count for place, count in absent.items() if int(place) < len(self._job.record.signals)
        )
        return ledger

    # Step 2

    def _judged_id(self) -> pl.Expr:
        """Return a structure of the ID, normalised, as `text`, and the `reason` to reject it, null where none is.

        Nearly all IDs are right as they are, which a test on a whole batch shows.
        """

        def mend(odd: pl.LazyFrame) -> pl.LazyFrame:
            id_ = pl.col("text")
            if self._job.id.trim:
                id_ = id_.str.strip_chars()
            if self.case:
                id_ = _in_case(id_, self.case)
            judged = odd.select(id=id_).select(id=pl.when(pl.col("id") != "").then(pl.col("id")))
            return judged.select(text=pl.col("id"), reason=rules.first_reason(self._id_rules))

        column = pl.col(self._place[self._job.id.column])
        return sifted(column, self._id_test(), mend, {"reason": pl.UInt8()})

    def _id_test(self) -> Test:
        """Return the test that an ID is right as it is: it changes with no step of normalising and breaks no rule."""
        type_ = self._id_type
        if type_.form is None:
            plain = {"lower": PLAIN_IN_ID.lower(), "upper": PLAIN_IN_ID.upper()}.get(self.case or "", PLAIN_IN_ID)
            return only_holds(bytes(sorted(set(plain))))
        # The form of a type is in the case that Adobe wants; a device ID may be all zeros (I2).
        form = matches(type_.form)
        if self.case and not type_.case:
            return lambda ids: form(ids) & (ids == _in_case(ids, self.case or "")).fill_null(value=False)
        if type_.device:
            return lambda ids: form(ids) & ~ids.str.starts_with("0").fill_null(value=False)
        return form

    # Step 3

    def _signals(self, *, careful: bool, complete: Collection[int]) -> _Signals:
        """Prepare all signals of the line, in the order of the job: pairs, traits, removed traits, codes."""
        made = _Signals(reject_bad=self._job.record.on_bad_value == "reject")
        for number, signal in enumerate(self._job.record.signals):
            if signal.column is None:
                made.signals.append(kinds.pair(signal.key, self._without_commas(signal.value or "")))
            else:
                self._add_pair(made, number, signal.key, signal.column, careful=careful, complete=number in complete)
        for number, (prefix, tokens, counter) in enumerate(self._lists):
            if tokens.column is None:
                made.signals.append(kinds.Signal("", prefix + (tokens.value or ""), ""))
            else:
                place = len(self._job.record.signals) + number
                self._add_list(made, place, prefix, tokens, counter, complete=place in complete)
        return made

    def _add_pair(self, made: _Signals, number: int, key: str, column: str, *, careful: bool, complete: bool) -> None:
        record = self._job.record
        value = pl.col(self._place[column])
        made.columns.append((value == "").alias(f"m{number}"))
        made.count("missing", pl.col(f"m{number}"), number)
        absent = pl.col(f"m{number}")
        if careful:
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
        if careful or record.comma != "keep":
            made.columns += [value.alias(f"v{number}"), (value == "").alias(f"a{number}")]
            value, absent = pl.col(f"v{number}"), pl.col(f"a{number}")
            made.count("absent", absent, number)
        made.signals.append(kinds.pair(key, value, complete or ~absent))

    def _add_list(
        self, made: _Signals, place: int, prefix: str, tokens: Tokens, counter: str, *, complete: bool
    ) -> None:
        """Add a list of traits or codes, without the items that are not of their form; empty items are passed over."""
        separator, item = tokens.separator, _ITEMS[counter]

        def mend(odd: pl.LazyFrame) -> pl.LazyFrame:
            fits = pl.element().str.contains(f"^{item}$")
            items = odd.select(pl.col("text").str.split(separator).list.eval(pl.element().str.strip_chars()))
            return items.select(
                pl.col("text").list.eval(pl.element().filter(fits)).list.join(separator).fill_null(""),
                wrong=pl.col("text").list.eval(~fits & (pl.element() != "")).list.sum().cast(pl.UInt32),
            )

        sound = (
            is_number_list(separator)
            if counter == "not_digits"
            else matches(f"^(?:{item}(?:{re.escape(separator)}{item})*)?$")
        )
        list_, text = pl.col(f"list{place}"), pl.col(f"list{place}").struct["text"]
        made.sifted.append(
            sifted(pl.col(self._place[tokens.column or ""]), sound, mend, {"wrong": pl.UInt32()}).alias(f"list{place}")
        )
        made.count(counter, list_.struct["wrong"].fill_null(0))
        listed = text.str.replace_all(separator, f",{prefix}", literal=True)
        # How many items there are shows in how much longer the text becomes.
        longer = (listed.str.len_bytes() - text.str.len_bytes()) // len(prefix)
        made.columns += [listed.alias(f"t{place}"), longer.alias(f"n{place}"), (text == "").alias(f"a{place}")]
        absent = pl.col(f"a{place}")
        made.count("absent", absent, place)
        made.count("signals", pl.when(absent).then(0).otherwise(pl.col(f"n{place}") + 1))
        made.signals.append(kinds.Signal(prefix, pl.col(f"t{place}"), "", complete or ~absent))

    def _without_commas(self, constant: str) -> str:
        comma = self._job.record.comma
        return constant if comma == "keep" else constant.replace(",", comma)


class _Signals:
    """The signals of a line while they are put together.

    `sifted`, and then `columns`, are to be added to the frame; the signals and the counters refer to them.
    All signals of a job are prepared as `v0` … and `t0` …, empty where there
    is nothing to write.
    """

    def __init__(self, *, reject_bad: bool) -> None:
        self.sifted: list[pl.Expr] = []
        self.columns: list[pl.Expr] = []
        self.signals: list[kinds.Signal] = []
        self._counted: dict[str, dict[int, pl.Expr]] = {}
        self._reject_bad = reject_bad

    def count(self, name: str, of_row: pl.Expr, place: int | None = None) -> None:
        """Add to the counter `name` what a row contributes: a number or a truth; `place` tells terms apart."""
        terms = self._counted.setdefault(name, {})
        terms[len(terms) if place is None else place] = of_row

    def any_signal(self) -> pl.Expr:
        present = [signal.present for signal in self.signals]
        expressions = [each for each in present if isinstance(each, pl.Expr)]
        return pl.lit(value=True) if len(expressions) < len(present) else pl.any_horizontal(expressions)

    def bad_value(self) -> pl.Expr:
        bad = list(self._counted.get("dropped", {}).values()) if self._reject_bad else []
        return pl.any_horizontal(bad) if bad else pl.lit(value=False)

    def counters(self) -> list[pl.Expr]:
        return [term.alias(f"{name}#{place}") for name, terms in self._counted.items() for place, term in terms.items()]


def _row(frame: pl.DataFrame) -> dict[str, Any]:
    """Return the only row of a frame by its columns; nothing where it has none."""
    return frame.row(0, named=True) if frame.width else {}


def _in_case(text: _Text, case: str) -> _Text:
    return text.str.to_lowercase() if case == "lower" else text.str.to_uppercase()


def _cleaned(value: pl.Expr) -> pl.Expr:
    """Clean a value (C6): each run of control characters becomes one space, a double quote a single quote."""
    return value.str.replace_all(r"[\x00-\x1f]+", " ").str.replace_all('"', "'", literal=True)


def _from_json_list(text: pl.Expr, separator: str) -> pl.Expr:
    """Turn the text of a JSON list of numbers or plain texts into items with a separator between them."""
    is_list = text.str.starts_with("[")
    items = pl.when(is_list).then(text).str.strip_chars("[]").str.replace_all('"', "", literal=True)
    return pl.when(is_list).then(items.str.replace_all(r",\s*", separator)).otherwise(text)
