"""How rows are judged: their IDs, values and traits, and the first rule that each row breaks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from converter.columns import privacy
from converter.columns.normalize import Step, is_bytewise, null_if_empty, recognize_type, steps_of
from converter.jobs.job import Job
from converter.rows.counters import CLEARED, changed_by
from converter.rows.dates import microseconds
from converter.rows.keys import is_personal, is_unusable
from converter.rows.order import NUMBER, OLDEST, OrderKind, rank_of
from converter.rows.signals import Signals, is_scanned
from converter.spec import rules
from converter.spec.ids import AUTO, RECOGNIZED, type_of
from converter.spec.implausible import implausible_reason
from converter.spec.kinds import FileKind

_ADDING = ("prefix", "suffix", "hash")
"""Steps that add to an ID: it is judged as implausible before them."""


class FirstRows(NamedTuple):
    """What the first rows of the input show (`rows.survey`).

    `numbers` are the names in queries of IDs and signals whose bare numbers are not payment cards, and `spaceless` the
    indices of the IDs of the line of which hardly any has a space. `order` is what the column of `record.order` holds,
    and `lists` are the columns that hold lists.
    """

    numbers: frozenset[str] = frozenset()
    spaceless: frozenset[int] = frozenset()
    order: OrderKind | None = None
    lists: frozenset[str] = frozenset()


class Judging:
    """How a job judges rows.

    `steps` are the columns that a query adds, one list after the other: the IDs (`id0` …), the columns that signals
    refer to (`Signals`), and `reason` (`rules.REASON`, an index in `rules`, null where the row breaks none).
    `counters` are the names of those that are counters (`converter.rows.counters`). `normalizing` are the steps of the
    IDs alone. `aliases` are the names that the job's columns have in the query; `found` is what the first rows show.
    """

    def __init__(self, job: Job, kind: FileKind, aliases: Mapping[str, str], found: FirstRows) -> None:
        self.job = job
        self.kind = kind
        self.id_types = tuple(type_of(id_.type) for id_ in job.ids)
        self.ids = [pl.col(f"id{number}") for number in range(len(job.ids))]
        self.is_mixed = AUTO in self.id_types
        """Whether IDs of several types are in one column."""
        self.doubts = [
            "allow" if type_.groups else id_.implausible for id_, type_ in zip(job.ids, self.id_types, strict=True)
        ]
        """What happens to implausible IDs; those of a type with a form of its own are never any."""
        self.signals = Signals(job, kind, aliases, found.lists)
        self.rules = (
            *(
                rule
                for number, type_ in enumerate(self.id_types)
                for rule in (
                    *rules.id_rules(type_, number, implausible=self.doubts[number] == "reject"),
                    *(each.of(number) for each in kind.id_rules),
                )
            ),
            *(rules.KEY_RULES if job.record.key_column else ()),
            *kind.row_rules,
            *((rules.ORDER_UNREADABLE,) if job.record.order else ()),
        )
        self.id_steps = tuple(steps_of(id_) for id_ in job.ids)
        self._aliases = aliases
        self._columns = [aliases[id_.column] for id_ in job.ids]
        self._dates = _dates(job, aliases) if rules.DATE_UNREADABLE in kind.row_rules else []
        self.ranks = _ranks(job, aliases, found)
        """Columns with the `rank` of a row among those of its user, and whether it cannot be read (`bad_order`)."""
        self._spaceless = found.spaceless
        self.normalizing = self._normalizing(self.id_steps)
        clears_users = job.record.empty == "clear"
        self._clearing = [self.signals.count(CLEARED, self.signals.is_empty())] if clears_users else []
        doubtful = [
            self.signals.count("doubtful", id_.str.contains(type_.doubtful, literal=True))
            for type_, id_ in zip(self.id_types, self.ids, strict=True)
            if type_.doubtful
        ]
        warned = [
            self.signals.count(rule.name, rule.applies)
            for number, doubts in enumerate(self.doubts)
            if doubts == "warn"
            for rule in rules.implausible_rules(number)
            if rule.applies is not None
        ]
        self.steps = [*self.normalizing, *self._judging(doubtful, warned, found.numbers)]
        changed = [changed_by(step.name, number) for number, each in enumerate(self.id_steps) for step in each]
        self.counters = (*self.signals.counters, *changed)
        fast = [() if is_bytewise(id_) else steps for id_, steps in zip(job.ids, self.id_steps, strict=True)]
        self.fast_normalizing = self._normalizing(fast)
        """The steps of the IDs that the kernel cannot do."""
        self.fast_ids = [f"id{number}" if each else self._columns[number] for number, each in enumerate(fast)]
        """The names of the columns that the kernel takes as IDs: after these steps, or as they are."""
        self.is_bytewise = [not each for each in fast]
        """Whether the kernel does the steps of each ID."""
        self.typing = [recognize_type(null_if_empty(pl.col(self.fast_ids[0]))).alias("type")] if self.is_mixed else []
        """The type of the ID by its form, where there are several: an ID that this does not recognize is irregular."""

    def _normalizing(self, steps: Sequence[Sequence[Step]]) -> list[list[pl.Expr]]:
        """Return the columns that normalize IDs by these steps, with counters of those changed; none without steps."""
        columns = [
            [
                null_if_empty(pl.col(column)).alias(f"id{number}")
                for number, column in enumerate(self._columns)
                if steps[number] or steps is self.id_steps
            ]
        ]
        for number, each in enumerate(steps):
            adding = next((index for index, step in enumerate(each) if step.name in _ADDING), len(each))
            for index, step in enumerate(each):
                before, after = self.ids[number], step.apply(self.ids[number])
                if index == adding:
                    columns += self._bare(number, for_lines=steps is not self.id_steps)
                changed = (after != before).fill_null(value=False).alias(changed_by(step.name, number))
                columns.append([after.alias(f"id{number}"), changed])
            if each and adding == len(each) and steps is not self.id_steps:
                columns += self._bare(number, for_lines=True)
        return columns if columns[0] else []

    def _bare(self, number: int, *, for_lines: bool) -> list[list[pl.Expr]]:
        """Return the column that keeps an ID as it is, before a prefix, a suffix or a hash, to be judged.

        `for_lines`, the ID becomes null where it is implausible: its row is left to the full query, which says why.
        """
        if self.doubts[number] == "allow":
            return []
        id_ = self.ids[number]
        if not for_lines:
            return [[id_.alias(f"bare{number}")]]
        return [[pl.when(self._implausible(number, id_).is_null()).then(id_).alias(f"id{number}")]]

    def bare(self, number: int) -> str:
        """Return the name of the column with an ID before a prefix, a suffix and a hash."""
        is_same = not any(step.name in _ADDING for step in self.id_steps[number])
        return f"id{number}" if is_same or self.doubts[number] == "allow" else f"bare{number}"

    def _implausible(self, number: int, id_: pl.Expr) -> pl.Expr:
        name, is_spaceless = self.job.ids[number].column, number in self._spaceless
        return implausible_reason(id_, pl.col(self._columns[number]), name, spaceless=is_spaceless)

    def _judging(
        self, doubtful: Sequence[pl.Expr], warned: Sequence[pl.Expr], numbers: Collection[str]
    ) -> list[list[pl.Expr]]:
        signals = self.signals
        scanned = [each for each, _ in signals.scanned]
        cards = [name not in numbers for _, name in signals.scanned]
        clears = signals.is_empty() if self._clearing else pl.lit(value=False)
        mixed = [recognize_type(self.ids[0]).alias("type"), self.route.alias("route")] if self.is_mixed else []
        return [
            signals.written,
            *([[privacy.personal_kinds(scanned, cards).struct.unnest()]] if scanned else []),
            [*signals.columns, *(null_if_empty(id_).alias(f"id{number}") for number, id_ in enumerate(self.ids))],
            [
                *signals.derived,
                *doubtful,
                *(
                    privacy.personal_kind(id_, cards=f"id{number}" not in numbers).alias(f"personal{number}")
                    for number, id_ in enumerate(self.ids)
                ),
                *(
                    self._implausible(number, pl.col(self.bare(number))).alias(f"implausible{number}")
                    for number, doubts in enumerate(self.doubts)
                    if doubts != "allow"
                ),
            ],
            *([mixed[:1]] if mixed else []),
            [
                *mixed[1:],
                (signals.any_signal() | clears).alias("any_signal"),
                *self._clearing,
                signals.bad_value().alias("bad_value"),
                signals.personal_value().alias("personal_value"),
                *_keys(self.job, self._aliases),
                *self._dates,
                *self.ranks,
                *warned,
            ],
            [rules.first_reason(self.rules).alias("reason")],
        ]

    @property
    def route(self) -> pl.Expr:
        """The set of files that a line goes to, by the `type` of its ID (UInt8); null where there is none."""
        if not self.job.output.route:
            return pl.when(pl.col("type").is_not_null()).then(pl.lit(0, pl.UInt8))
        sets = {RECOGNIZED.index(name): number for number, name in enumerate(self.job.output.route)}
        return pl.col("type").replace_strict(sets, default=None, return_dtype=pl.UInt8)


def _keys(job: Job, aliases: Mapping[str, str]) -> list[pl.Expr]:
    """Return whether the key of a row cannot be used (`bad_key`), or is personal data by its name (`personal_key`)."""
    if not job.record.key_column:
        return []
    key, scanned = pl.col(aliases[job.record.key_column]), is_scanned(job, job.record.key_column)
    personal = is_personal(key) if scanned else pl.lit(value=False)
    return [is_unusable(key).alias("bad_key"), personal.alias("personal_key")]


def _ranks(job: Job, aliases: Mapping[str, str], found: FirstRows) -> list[pl.Expr]:
    if not job.record.order:
        return []
    text = pl.col(aliases[job.record.order])
    rank = rank_of(text, found.order or "date", "" if job.record.order_format == NUMBER else job.record.order_format)
    return [rank.fill_null(OLDEST).alias("rank"), ((text != "") & rank.is_null()).alias("bad_order")]


def _dates(job: Job, aliases: Mapping[str, str]) -> list[pl.Expr]:
    """Return the date of a row (`when`: microseconds, Int64), and whether it cannot be read (`bad_date`)."""
    if not (job.sync and job.sync.date):
        return [pl.lit(None, pl.Int64).alias("when"), pl.lit(value=False).alias("bad_date")]
    text = pl.col(aliases[job.sync.date])
    when = microseconds(text, job.sync.date_format)
    return [when.alias("when"), ((text != "") & when.is_null()).alias("bad_date")]
