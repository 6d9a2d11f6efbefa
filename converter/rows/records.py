"""Rows become lines, or are rejected or skipped with a reason: normalize, judge, format, in one lazy query.

1. The columns that the job uses, as text (`c0`, `c1` … in the order of `Job.columns`).
2. The IDs of the line (`id0`, `id1` …), by the steps of `normalize`.
3. Each value and each list of traits: what is missing, what had to be left out or changed.
4. `reason`: the first rule that the row breaks, as its place in `Records.rules`; or else why it is skipped.
5. `line`: the finished line, null where there is a reason; what breaks a rule on lines becomes null too.

This is right for every row, and slow. Nearly all rows of nearly all files need only be formatted; in large files
those are told from the others, and formatted, by compiled loops (`converter.rows.fast_path`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns import privacy
from converter.columns.normalize import BYTE_STEPS, check_hashing, filled, recognized, steps_of
from converter.columns.text import OUT_OF_RANGE, as_text, check_id_type
from converter.errors import JobError, redact
from converter.jobs.job import Job
from converter.jobs.sections.record import Tokens
from converter.ledger import Ledger
from converter.spec import kinds, rules
from converter.spec.ids import AUTO, ODC_TYPES, RECOGNIZED, type_of
from converter.spec.kinds import FILE_KINDS, FileKind

_BAD_IN_VALUE = r'["\x00-\x1f]'
_COUNTERS = {
    "missing": ("signals_dropped", rules.VALUE_MISSING),
    "dropped": ("signals_dropped", rules.VALUE_DROPPED),
    "out_of_range": ("signals_dropped", rules.VALUE_OUT_OF_RANGE),
    "not_digits": ("signals_dropped", rules.TRAIT_NOT_DIGITS),
    "not_clean": ("signals_dropped", rules.CODE_NOT_CLEAN),
    "personal": ("signals_dropped", rules.VALUE_PERSONAL_DROPPED),
    "cleaned": ("signals_changed", rules.VALUE_CLEANED),
    "commas": ("signals_changed", rules.COMMA_REPLACED),
    "doubtful": ("warnings", rules.ID_DOUBTFUL),
}
"""What the query counts, where the ledger keeps it, and by which rule."""
_ITEMS = {"not_digits": "[0-9]+", "not_clean": r'[^",\x00-\x1f]+'}
"""The form of an item of a list, by the counter of those that have another."""
_CHANGED = "changed:"
"""What the counter of the IDs that a step changes begins with."""


class ListOfItems(NamedTuple):
    """A list of traits or codes of a job: what stands before each item, and the counter of those left out."""

    prefix: str
    tokens: Tokens
    wrong: str


class Records:
    """What a job makes of rows. `most_line_bytes` is the longest line that a part can hold.

    `cards` says whether a bare number that could be that of a payment card is taken for one; `colliding` are IDs
    (String, `folded`) whose rows are rejected, where that is known; `kind` is what rows become where that is no line of
    an inbound file. Raises `JobError` where a signal is personal data by its name, or by its constant value.
    """

    def __init__(
        self,
        job: Job,
        most_line_bytes: int,
        *,
        cards: bool = True,
        colliding: pl.Series | None = None,
        kind: FileKind | None = None,
    ) -> None:
        self.job = job
        self.kind = kind or FILE_KINDS[job.output.kind]
        self.id_types = tuple(type_of(id_.type) for id_ in job.ids)
        self.id_steps = tuple(steps_of(id_) for id_ in job.ids)
        self.is_mixed = AUTO in self.id_types
        """Whether IDs of several types stand in one column."""
        self._colliding = colliding
        self.keeps = job.needs_users and colliding is None
        """Whether somebody wants to see all rows of a user: see `kept`."""
        self.sets = len(job.routes) if job.output.route else 1
        """How many sets of files the lines go to, by their `route`."""
        self.by_bytes = not self.is_mixed and all(step.name in BYTE_STEPS for steps in self.id_steps for step in steps)
        """Whether IDs are normalized byte by byte, which the loops over bytes do by themselves."""
        self.cards = cards
        self._id_rules = tuple(
            rule
            for number, type_ in enumerate(self.id_types)
            for rule in (*rules.id_rules(type_, number), *(each.of(number) for each in self.kind.id_rules))
        )
        self._row_rules = self.kind.row_rules
        self._line_rules = self.kind.line_rules(most_line_bytes)
        breakable = (*self._id_rules, *self._row_rules, *self._line_rules, *self.kind.late_rules)
        self.rules = (*breakable, *self.kind.skips)
        self._first_skip = len(breakable)
        self.most_line_bytes = most_line_bytes
        self.columns = job.columns
        self.place = {name: f"c{place}" for place, name in enumerate(self.columns)}
        record = job.record
        self.lists = (
            *(ListOfItems(self.kind.trait, tokens, "not_digits") for tokens in record.traits),
            *(ListOfItems("d_unsid=", tokens, "not_digits") for tokens in record.removed_traits),
            *(ListOfItems("ic=", tokens, "not_clean") for tokens in record.integration_codes),
        )
        _check_signals(job)
        if any(id_.hash for id_ in job.ids):
            check_hashing()
        # Made once: each of many blocks asks for them, and making them takes longer than judging a few rows.
        self._ids = self._id_expressions()
        self._steps, self._results = self._expressions()

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of text in what `texts` gives."""
        ids = () if self.by_bytes else (f"id{number}" for number in range(len(self.id_types)))
        return (*self.place.values(), *ids)

    def is_looked_at(self, column: str) -> bool:
        """Say whether values of a column may not be personal data."""
        return self.job.privacy.signals != "allow" and column not in self.job.privacy.allow

    def texts(
        self, frame: pl.LazyFrame, schema: Mapping[str, pl.DataType], *, json_lists: bool, nullable: bool = True
    ) -> pl.LazyFrame:
        """Select the job's columns as text, empty where a value is missing: step 1; and 2, unless `by_bytes`.

        `json_lists` and `nullable` are what the source says of itself. Raises `ColumnError` for types that cannot be
        used.
        """
        for id_ in self.job.ids:
            check_id_type(id_.column, schema[id_.column])
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
        frame = frame.select(selected)
        if self.by_bytes:
            return frame
        return self._normalized(frame).with_columns(
            pl.col(f"id{number}").fill_null("") for number in range(len(self.id_types))
        )

    def with_ids(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Add the normalized IDs to what `texts` gives, if they are not there yet: step 2."""
        return self._normalized(texts) if self.by_bytes else texts

    def _normalized(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        for step in self._ids:
            texts = texts.with_columns(step)
        return texts

    def lines(self, texts: pl.LazyFrame) -> pl.LazyFrame:
        """Judge and format what `texts` gives: steps 2 to 5.

        The result has `line` (String, null where the row is not written), `reason` (`rules.PLACE`, a place in `rules`,
        null where it is), the texts, and counters: a number or truth of each row, named `COUNTER#PLACE`.
        """
        for step in self._steps:
            texts = texts.with_columns(step)
        return texts.select(self._results)

    @property
    def rejects_collisions(self) -> bool:
        """Whether there are IDs that differ from another by nothing but case, and are rejected."""
        return self._colliding is not None and len(self._colliding) > 0

    @property
    def compiled(self) -> bool:
        """Whether compiled loops can make the lines: they know one ID, one set of files, and no other rows."""
        return self.kind.compiled and not (self.is_mixed or self.keeps or self.rejects_collisions)

    @property
    def rule_names(self) -> list[str]:
        """The names of the rules, in their order; rules on several IDs come more than once."""
        return [rule.name for rule in self.rules]

    def place_of(self, name: str) -> int:
        """Return the place of a rule in `rules`."""
        return self.rule_names.index(name)

    @property
    def rejects(self) -> pl.Expr:
        """Whether a row that `lines` gave is rejected: it has a reason, and is not only skipped."""
        return (pl.col("reason") < self._first_skip).fill_null(value=False)

    def kept(self, judged: pl.DataFrame) -> pl.DataFrame:
        """Return the IDs of the rows that are written, and when these are from: `when`, in microseconds.

        Where no column says that, or it cannot be read, it is null.
        """
        rows = judged.filter(pl.col("reason").is_null())
        ids = [pl.col(f"id{number}") for number in range(len(self.id_types))]
        date = self.job.sync.date if self.job.sync else None
        when = _moment(pl.col(self.place[date])) if date else pl.lit(None, pl.Int64)
        return rows.select(*ids, when.alias("when"))

    def for_rejects(self, kept: pl.DataFrame) -> pl.DataFrame:
        """Return rows that `kept` gave, with a `reason`, as rejects show them: their IDs in place of their columns."""
        ids = {id_.column: f"id{number}" for number, id_ in enumerate(self.job.ids)}
        columns = [
            (pl.col(ids[name]) if name in ids else pl.lit("")).alias(place) for name, place in self.place.items()
        ]
        return kept.select("reason", *columns)

    def by_set(self, judged: pl.DataFrame) -> list[pl.Series]:
        """Return the lines that `lines` gave, for each set of files."""
        if not self.is_mixed:
            return [judged["line"].drop_nulls()]
        return [judged["line"].filter(judged["route"] == number).drop_nulls() for number in range(self.sets)]

    def tally(self, judged: pl.DataFrame) -> Ledger:
        """Count what became of rows that `lines` gave.

        `read` is left to those who count in the input itself, `written` to those who count lines.
        """
        ledger = Ledger()
        reasons = np.bincount(judged["reason"].drop_nulls().to_numpy(), minlength=len(self.rules))
        for rule, count in zip(self.rules, reasons.tolist(), strict=True):
            if count:
                (ledger.skipped if rule.skips else ledger.rejected)[rule.name] += count
        accepted = judged["reason"].is_null()
        if self.is_mixed:
            types = np.bincount(judged["type"].filter(accepted).to_numpy(), minlength=len(RECOGNIZED))
            ledger.id_types += Counter(dict(zip(RECOGNIZED, types.tolist(), strict=True)))
        for name in judged.columns if accepted.any() else ():
            counter, is_counter, _ = name.partition("#")
            count = int(judged[name].filter(accepted).sum()) if is_counter else 0
            if counter == "signals":
                ledger.signals_written += count
            elif counter.startswith(_CHANGED) and count:
                ledger.ids_changed[counter.removeprefix(_CHANGED)] += count
            elif count:
                kept, rule = _COUNTERS[counter]
                getattr(ledger, kept)[rule.name] += count
        return ledger

    def changed(self, texts: pl.DataFrame) -> Ledger:
        """Count which steps have changed the IDs of rows that `texts` gave, where that counts them."""
        ledger = Ledger()
        for name in texts.columns:
            if name.startswith(_CHANGED) and (count := int(texts[name].sum())):
                ledger.ids_changed[name.partition("#")[0].removeprefix(_CHANGED)] += count
        return ledger

    def _id_expressions(self) -> list[list[pl.Expr]]:
        """Return the columns that step 2 adds, one after the other."""
        added = [[filled(pl.col(self.place[id_.column])).alias(f"id{n}") for n, id_ in enumerate(self.job.ids)]]
        for number, steps in enumerate(self.id_steps):
            id_ = pl.col(f"id{number}")
            for step in steps:
                after = step.apply(id_)
                changed = (after != id_).fill_null(value=False).alias(f"{_CHANGED}{step.name}#{number}")
                added.append([after.alias(f"id{number}"), changed])
        return added

    def _expressions(self) -> tuple[list[list[pl.Expr]], list[pl.Expr]]:
        """Return the columns that steps 2 to 5 add, one after the other, and what is selected then."""
        made = self._signals()
        ids = [pl.col(f"id{number}") for number in range(len(self.id_types))]
        mixed = [recognized(ids[0]).alias("type"), self._route().alias("route")] if self.is_mixed else []
        for type_, id_ in zip(self.id_types, ids, strict=True):
            if type_.doubtful:
                made.count("doubtful", id_.str.contains(type_.doubtful, literal=True))
        row_rules = (*self._id_rules, *self._row_rules)
        accepted = [pl.when(pl.col("reason").is_null()).then(id_) for id_ in ids]
        line_ids: list[pl.Expr | str] = [*accepted]
        if self.kind.name == "odc":
            line_ids = [self.job.output.odc_type or ODC_TYPES[self.id_types[0].name], *accepted]
        steps = [
            *(self._ids if self.by_bytes else []),
            *([[privacy.are_personal(made.looked_at).struct.unnest()]] if made.looked_at else []),
            [*made.columns, *(filled(id_).alias(f"id{number}") for number, id_ in enumerate(ids))],
            [
                *made.later,
                *(privacy.personal(id_, cards=self.cards).alias(f"personal{number}") for number, id_ in enumerate(ids)),
            ],
            *([mixed[:1]] if mixed else []),
            [
                *mixed[1:],
                made.any_signal().alias("any_signal"),
                made.bad_value().alias("bad_value"),
                made.personal_value().alias("personal_value"),
            ],
            [rules.first_reason(row_rules).alias("reason")],
            [self.kind.line(line_ids, made.signals).alias("line")],
            [pl.coalesce("reason", rules.first_reason(self._line_rules, len(row_rules))).alias("reason")],
        ]
        if self.rejects_collisions:
            collides = folded(ids[0]).is_in(pl.lit(self._colliding).implode())
            place = pl.lit(self.place_of(rules.CASE_COLLISION.name), rules.PLACE)
            steps.append([pl.coalesce("reason", pl.when(collides).then(place)).alias("reason")])
        if self.kind.skips:
            steps.append([pl.coalesce("reason", rules.first_reason(self.kind.skips, self._first_skip)).alias("reason")])
        line = pl.when(pl.col("reason").is_null()).then(pl.col("line")).alias("line")
        changed = [
            pl.col(f"{_CHANGED}{step.name}#{number}") for number, steps in enumerate(self.id_steps) for step in steps
        ]
        routing = [pl.col("type"), pl.col("route")] if self.is_mixed else []
        if self.keeps:
            routing += ids
        return steps, [line, pl.col("reason"), *routing, *made.counters(), *changed, *map(pl.col, self.place.values())]

    def _route(self) -> pl.Expr:
        """Return the set of files that a line goes to, by the `type` of its ID (UInt8); null where there is none."""
        if not self.job.output.route:
            return pl.when(pl.col("type").is_not_null()).then(pl.lit(0, pl.UInt8))
        places = {RECOGNIZED.index(name): number for number, name in enumerate(self.job.output.route)}
        return pl.col("type").replace_strict(places, default=None, return_dtype=pl.UInt8)

    def constant(self, value: str) -> str:
        """Return the value of a constant signal as it is written."""
        comma = self.job.record.comma
        return value if comma == "keep" else value.replace(",", comma)

    # Step 3

    def _signals(self) -> _Signals:
        """Prepare all signals of the line, in the order of the job: pairs, traits, removed traits, codes."""
        made = _Signals(
            reject_bad=self.job.record.on_bad_value == "reject", reject_personal=self.job.privacy.signals == "block"
        )
        for number, signal in enumerate(self.job.record.signals):
            if signal.column is None:
                made.add(kinds.pair(signal.key, self.constant(signal.value or "")))
            else:
                self._add_pair(made, number, signal.key, signal.column)
        for number, each in enumerate(self.lists):
            if each.tokens.column is None:
                made.add(kinds.FormattedSignal("", each.prefix + (each.tokens.value or ""), ""))
            else:
                self._add_list(made, number, each)
        return made

    def _add_pair(self, made: _Signals, number: int, key: str, column: str) -> None:
        record = self.job.record
        value = pl.col(self.place[column])
        made.count("missing", value == "")
        if self.is_looked_at(column):
            personal = f"personal_value{number}"
            made.looked_at.append(value.alias(personal))
            made.count("personal", pl.col(personal))
            value = pl.when(pl.col(personal)).then(pl.lit("")).otherwise(value)
        out, bad = value == OUT_OF_RANGE, value.str.contains(_BAD_IN_VALUE)
        made.count("out_of_range", out)
        if record.on_bad_value == "clean":
            made.count("cleaned", bad & ~out)
            cleaned = _cleaned(pl.when(bad).then(value))
            value = pl.when(out).then(pl.lit("")).when(bad).then(cleaned).otherwise(value)
        else:
            made.count("dropped", bad & ~out)
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
        made.add(kinds.FormattedSignal(each.prefix, pl.col(f"t{number}"), "", kept.list.len() > 0), counted=False)


class _Signals:
    """The signals of a line while they are put together.

    What is found in the values `looked_at` is to be added to the frame by their names, then `columns` and `later`; the
    signals and the counters refer to them.
    """

    def __init__(self, *, reject_bad: bool, reject_personal: bool) -> None:
        self.looked_at: list[pl.Expr] = []
        self.columns: list[pl.Expr] = []
        self.later: list[pl.Expr] = []
        self.signals: list[kinds.FormattedSignal] = []
        self._counted: dict[str, list[pl.Expr]] = {}
        self._reject_bad = reject_bad
        self._reject_personal = reject_personal

    def add(self, signal: kinds.FormattedSignal, *, counted: bool = True) -> None:
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
        return pl.lit(value=True) if len(expressions) < len(present) else _any(expressions)

    def bad_value(self) -> pl.Expr:
        dropped, out_of_range = (self._counted.get(name, []) for name in ("dropped", "out_of_range"))
        if self._reject_bad:
            return _any([*dropped, *out_of_range])
        # Such a row has something to send, but not in a form that can be written.
        return _any(out_of_range) & ~self.any_signal()

    def personal_value(self) -> pl.Expr:
        return _any(self._counted.get("personal", []) if self._reject_personal else [])

    def counters(self) -> list[pl.Expr]:
        """Return the counters as columns."""
        return [
            term.alias(f"{name}#{place}") for name, terms in self._counted.items() for place, term in enumerate(terms)
        ]


def _moment(text: pl.Expr) -> pl.Expr:
    """Return a date or a date-time (String), as ISO 8601 has it or in seconds of UNIX, in microseconds (Int64)."""
    iso = text.str.replace("T", " ", literal=True).str.replace(r"(Z|[+-]00:?00)$", "")
    formats = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
    moments = [iso.str.to_datetime(form, time_unit="us", strict=False) for form in formats[:2]]
    day = iso.str.to_date(formats[2], strict=False).cast(pl.Datetime("us"))
    seconds = text.str.extract("^([0-9]{9,11})$", 1).cast(pl.Int64, strict=False) * 1_000_000
    return pl.coalesce(*(moment.cast(pl.Int64) for moment in (*moments, day)), seconds)


def folded(id_: pl.Expr) -> pl.Expr:
    """Return an ID (String) in a form in which case does not count."""
    return id_.str.to_uppercase().str.to_lowercase()


def _any(truths: Sequence[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(truths) if truths else pl.lit(value=False)


def _check_signals(job: Job) -> None:
    """Raise `JobError` where a signal is personal data by its name, or by the value that it has for every row."""
    if job.privacy.signals == "allow":
        return
    for signal in job.record.signals:
        if signal.column is None:
            constant = pl.DataFrame({"value": [signal.value]}).select(privacy.personal(pl.col("value"))).item()
            if constant is not None:
                raise JobError(
                    "E-PERSONAL-CONSTANT",
                    f"The value of the constant signal '{redact(signal.key)}' is personal data, which must not be sent "
                    "(I3).",
                    "Leave it out.",
                )
        elif signal.column not in job.privacy.allow:
            for name in (signal.column, signal.key):
                if what := privacy.named_personal(name):
                    raise JobError(
                        "E-PERSONAL-COLUMN",
                        f"The column '{redact(signal.column)}' seems to hold {what}, by the name '{redact(name)}', "
                        "which must not be sent (I3).",
                        f'Leave it out; or, if it does not, list it: privacy.allow = ["{redact(signal.column)}"].',
                    )


def _cleaned(value: pl.Expr) -> pl.Expr:
    """Clean a value (C6): each run of control characters becomes one space, a double quote a single quote."""
    return value.str.replace_all(r"[\x00-\x1f]+", " ").str.replace_all('"', "'", literal=True)


def _from_json_list(text: pl.Expr, separator: str) -> pl.Expr:
    """Turn the text of a JSON list of numbers or plain texts into items with a separator between them."""
    is_list = text.str.starts_with("[")
    items = pl.when(is_list).then(text).str.strip_chars("[]").str.replace_all('"', "", literal=True)
    return pl.when(is_list).then(items.str.replace_all(r",\s*", separator)).otherwise(text)
