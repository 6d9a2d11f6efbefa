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
from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from converter.job import Job
from converter.ledger import Ledger
from converter.sources.text import as_text, check_id_type
from converter.spec import kinds, rules
from converter.spec.ids import ID_TYPES
from converter.spec.kinds import FILE_KINDS

_BAD_IN_VALUE = r'["\x00-\x1f]'
_COUNTERS = {
    "missing": rules.VALUE_MISSING,
    "dropped": rules.VALUE_DROPPED,
    "not_digits": rules.TRAIT_NOT_DIGITS,
    "not_clean": rules.CODE_NOT_CLEAN,
    "cleaned": rules.VALUE_CLEANED,
    "commas": rules.COMMA_REPLACED,
    "doubtful": rules.ID_DOUBTFUL,
}
_ITEMS = {"not_digits": "[0-9]+", "not_clean": r'[^",\x00-\x1f]+'}
_CHANGES = ("cleaned", "commas")
_WARNINGS = ("doubtful",)


class Records:
    """What a job makes of rows. `most_line_bytes` is the longest line that a part can hold."""

    def __init__(self, job: Job, most_line_bytes: int) -> None:
        self._job = job
        self._kind = FILE_KINDS[job.output.kind]
        self._id_type = ID_TYPES[job.id.type]
        self._row_rules = self._kind.row_rules(self._id_type)
        self._line_rules = self._kind.line_rules(most_line_bytes)
        self.rules = (*self._row_rules, *self._line_rules)
        self.columns = job.columns
        self._place = {name: f"c{place}" for place, name in enumerate(self.columns)}
        record = job.record
        self._lists = (
            *(("d_sid=", tokens, "not_digits") for tokens in record.traits),
            *(("d_unsid=", tokens, "not_digits") for tokens in record.removed_traits),
            *(("ic=", tokens, "not_clean") for tokens in record.integration_codes),
        )

    def texts(self, frame: pl.LazyFrame, schema: Mapping[str, pl.DataType], *, json_lists: bool) -> pl.LazyFrame:
        """Step 1: select the job's columns as text. Raises `ColumnError` for types that cannot be used."""
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
            selected.append(text.alias(place))
        return frame.select(selected)

    def lines(self, texts: pl.LazyFrame, *, careful: bool) -> pl.LazyFrame:
        """Steps 2 to 6: judge and format. `texts` is what step 1 gives; the result has

        `line` (String, null where the row is rejected), `reason` (UInt8, a place in `rules`, null where it is
        not), `signals` and other counters of signals (UInt32), and the texts.
        """
        made = self._signals(careful=careful)
        if self._id_type.doubtful:
            made.count("doubtful", pl.col("id").str.contains(self._id_type.doubtful, literal=True))
        frame = (
            texts.with_columns(id=self._normalised_id())
            .with_columns(made.columns, suspect=self._suspect())
            .with_columns(any_signal=made.any_signal(), bad_value=made.bad_value())
            .with_columns(reason=rules.first_reason(self._row_rules))
        )
        accepted_id = pl.when(pl.col("reason").is_null()).then(pl.col("id"))
        line_reason = rules.first_reason(self._line_rules, len(self._row_rules))
        return (
            frame.with_columns(line=self._kind.line(accepted_id, made.signals))
            .with_columns(reason=pl.coalesce("reason", line_reason))
            .select(
                pl.when(pl.col("reason").is_null()).then(pl.col("line")).alias("line"),
                "reason", *made.counters(), *self._place.values(),
            )
        )

    def again(self, judged: pl.DataFrame) -> pl.LazyFrame:
        """Return the texts (step 1) of rows that `lines` has judged already."""
        return judged.lazy().select(self._place.values())

    def pairs(self, ledger: Ledger) -> int:
        """Return how many key-value pairs the quick query wrote for the rows counted in `ledger`."""
        return len(self._job.record.signals) * ledger.written - ledger.signals_dropped[rules.VALUE_MISSING.name]

    def tally(self, frame: pl.DataFrame) -> Ledger:
        """Count what became of a batch; `read` is left to those who count in the input itself."""
        reasons = frame["reason"]
        rejected: Counter[str] = Counter()
        written = frame
        if reasons.null_count() < len(reasons):
            counts = reasons.drop_nulls().value_counts()
            for place, count in counts.iter_rows():
                rejected[self.rules[place].name] += count
            written = frame.filter(pl.col("reason").is_null())
        names = [name for name in _COUNTERS if name in frame.columns]
        sums = written.select(pl.col("signals", *names).sum()).row(0, named=True)
        counts_of = {name: Counter({_COUNTERS[name].name: sums[name]}) for name in names if sums[name]}
        empty: Counter[str] = Counter()
        return Ledger(
            written=written.height,
            rejected=rejected,
            signals_written=sums["signals"],
            signals_dropped=sum((c for n, c in counts_of.items() if n not in _CHANGES + _WARNINGS), empty),
            signals_changed=sum((c for n, c in counts_of.items() if n in _CHANGES), empty),
            warnings=sum((c for n, c in counts_of.items() if n in _WARNINGS), empty),
        )

    # Step 2

    def _normalised_id(self) -> pl.Expr:
        id_ = pl.col(self._place[self._job.id.column])
        if self._job.id.trim:
            id_ = id_.str.strip_chars()
        case = self._id_type.case or self._job.id.case
        if case == "lower":
            id_ = id_.str.to_lowercase()
        elif case == "upper":
            id_ = id_.str.to_uppercase()
        return pl.when(id_ != "").then(id_)

    def _suspect(self) -> pl.Expr:
        cleared = pl.col("id").str.contains(self._id_type.clear)
        if self._id_type.device:  # may be all zeros (I2)
            cleared &= ~pl.col("id").str.starts_with("0")
        return pl.when(~cleared).then(pl.col("id"))

    # Step 3

    def _signals(self, *, careful: bool) -> _Signals:
        """Prepare all signals of the line, in the order of the job: pairs, traits, removed traits, codes."""
        made = _Signals(reject_bad=self._job.record.on_bad_value == "reject")
        for number, signal in enumerate(self._job.record.signals):
            if signal.column is None:
                made.signals.append(kinds.pair(signal.key, self._without_commas(signal.value or "")))
                made.counts.append(pl.lit(1, pl.UInt32))
            else:
                self._add_pair(made, f"v{number}", signal.key, signal.column, careful=careful)
        for number, (prefix, tokens, counter) in enumerate(self._lists):
            if tokens.column is None:
                made.signals.append(kinds.Signal("", prefix + (tokens.value or ""), ""))
                made.counts.append(pl.lit(1, pl.UInt32))
            else:
                text, wrong = _sound_items(pl.col(self._place[tokens.column]), tokens.separator, _ITEMS[counter])
                made.count(counter, wrong)
                listed = text.str.replace_all(tokens.separator, f",{prefix}", literal=True)
                # How many items there are shows in how much longer the text becomes.
                longer = (listed.str.len_bytes() - text.str.len_bytes()) // len(prefix)
                made.counts.append(pl.when(pl.col(f"t{number}") != "").then(pl.col(f"n{number}") + 1).otherwise(0))
                made.columns += [listed.alias(f"t{number}"), longer.alias(f"n{number}")]
                made.signals.append(kinds.Signal(prefix, pl.col(f"t{number}"), "", pl.col(f"t{number}") != ""))
        return made

    def _add_pair(self, made: _Signals, name: str, key: str, column: str, *, careful: bool) -> None:
        record = self._job.record
        value = pl.col(self._place[column]).fill_null("")
        made.count("missing", value == "")
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
        made.columns.append(value.alias(name))
        made.counts.append(pl.col(name) != "")
        made.signals.append(kinds.pair(key, pl.col(name), pl.col(name) != ""))

    def _without_commas(self, constant: str) -> str:
        comma = self._job.record.comma
        return constant if comma == "keep" else constant.replace(",", comma)


class _Signals:
    """The signals of a line while they are put together.

    `columns` are to be added to the frame first; `signals`, `counts` (how many signals each is) and counters
    refer to them and to the texts. All signals of a job are prepared as `v0` … and `t0` …, empty where there
    is nothing to write.
    """

    def __init__(self, *, reject_bad: bool) -> None:
        self.columns: list[pl.Expr] = []
        self.signals: list[kinds.Signal] = []
        self.counts: list[pl.Expr] = []
        self._counted: dict[str, list[pl.Expr]] = {}
        self._reject_bad = reject_bad

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
        return [
            pl.sum_horizontal(terms).cast(pl.UInt32).alias(name)
            for name, terms in {"signals": self.counts, **self._counted}.items()
        ]


def _cleaned(value: pl.Expr) -> pl.Expr:
    """Clean a value (C6): each run of control characters becomes one space, a double quote a single quote."""
    return value.str.replace_all(r"[\x00-\x1f]+", " ").str.replace_all('"', "'", literal=True)


def _sound_items(text: pl.Expr, separator: str, item: str) -> tuple[pl.Expr, pl.Expr]:
    """Return a list, as text, without the items that are not of the form `item`, and how many those are.

    Empty items are passed over. Nearly all lists are sound, which one test a row shows; only the others are
    taken apart.
    """
    mark = re.escape(separator)
    sound = text.str.contains(f"^{item}(?:{mark}{item})*$")
    items = pl.when(~sound).then(text).str.split(separator).list.eval(pl.element().str.strip_chars())
    fits = pl.element().str.contains(f"^{item}$")
    kept = items.list.eval(pl.element().filter(fits)).list.join(separator)
    wrong = items.list.eval(~fits & (pl.element() != "")).list.sum()
    return pl.when(sound).then(text).otherwise(kept).fill_null(""), wrong.fill_null(0)


def _from_json_list(text: pl.Expr, separator: str) -> pl.Expr:
    """Turn the text of a JSON list of numbers or plain texts into items with a separator between them."""
    is_list = text.str.starts_with("[")
    items = pl.when(is_list).then(text).str.strip_chars("[]").str.replace_all('"', "", literal=True)
    return pl.when(is_list).then(items.str.replace_all(r",\s*", separator)).otherwise(text)
