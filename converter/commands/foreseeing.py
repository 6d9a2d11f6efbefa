"""What becomes of signals: the lines of files are compared with the traits that take them, chunk by chunk.

1. The signals of a chunk are parsed, each distinct one once, and compared with those of the rules (`comparisons`).
2. A signal has the best fate of the traits that take it: those of this data source that are onboarded and old enough
   realize it.
3. Traits are realized by single signals, or by all signals of a line; a line realizes each trait once. Traits that ask
   for the same are counted together, so that the work is bounded by the signals, however many traits there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.tally import Tally
from converter.commands.conditions import Comparisons, true_lines
from converter.commands.traits import CODE_KEY, TRAIT_KEY, Trait, TraitList
from converter.parts.received import form_of
from converter.parts.signal_columns import LineSignals, masked, parsed, signals_in
from converter.report.foreseen import FATES, REALIZED, STORED_AT_MOST, WRONG_SOURCE, Foreseen, LostSignal, in_order
from converter.spec import receipts
from converter.spec.names import FileName
from converter.spec.signals import REMOVED
from converter.spec.trait_rules import Rule, conditions_of

WAITING_SECONDS = 4 * 3600.0
"""How long Audience Manager takes until a new trait is realized (T3)."""
_MOST_LOST = 10_000  # distinct signals of each fate
_REMOVAL_KEY = "d_unsid"
_SIGNAL = ("signal", "key", "value", "count", "removes")


class FileOf(NamedTuple):
    """What the lines of a file are like, by its name: the data sources of IDs and of traits, fields before signals.

    `None` stands for what is not known. `removes` says whether `d_unsid` counts (C4).
    """

    ids: int | None
    traits: int | None
    leads: int = 1
    codes: str = CODE_KEY
    removes: bool = True

    @classmethod
    def of(cls, name: FileName | None) -> FileOf:
        """Return what a name says."""
        if name is None:
            return cls(None, None)
        odc = name.kind == "odc"
        own = name.dpids[0] if name.target is None else name.target
        return cls(name.dpids[0], own, 1 + odc, TRAIT_KEY if odc else CODE_KEY, name.mode != "overwrite")

    @property
    def form(self) -> str | None:
        """The form of the IDs, as a regular expression, if they have one."""
        return form_of(self.ids)


class _Demand(NamedTuple):
    """What traits ask for: comparisons and rules, one of which is enough, by their numbers; and how many traits do."""

    tests: frozenset[int]
    rules: tuple[Rule, ...]
    traits: int


class TraitIndex:
    """The traits of a list at a moment (UNIX seconds), ready to be compared with the signals of any data source."""

    def __init__(self, listed: TraitList, moment: float) -> None:
        self.listed = listed
        self.moment = moment
        self.tests = list(dict.fromkeys(test for trait in listed.traits for test in trait.all_conditions()))
        self.numbers = {test: number for number, test in enumerate(self.tests)}
        self.signals = Comparisons(self.tests)

    def fate(self, trait: Trait, source: int | None) -> int:
        """Return the index in `FATES` of signals that a trait takes, in a file of a data source."""
        if not trait.onboarded:
            return FATES.index("not_onboarded")
        if source is not None and trait.source is not None and trait.source != source:
            return FATES.index(WRONG_SOURCE)
        is_new = trait.created is not None and trait.created > self.moment - WAITING_SECONDS
        return FATES.index("too_new" if is_new else REALIZED)


class Seen(NamedTuple):
    """What is counted of some lines: the figures, signals by their fate, and those that are not realized, by fate."""

    figures: Counter[str]
    signals: Counter[str]
    lost: dict[str, pl.DataFrame]


class Foreseeing:
    """Counts what the receipt will say about files of one data source.

    Workers look at lines (`look`), and what they have seen is taken in the order of the lines.
    """

    def __init__(self, index: TraitIndex, file: FileOf) -> None:
        self._index = index
        self._file = file
        self._fates = np.full(len(index.tests), len(FATES) - 1, np.uint8)
        """The best fate of signals that fit each comparison."""
        demands: Counter[tuple[frozenset[int], tuple[Rule, ...]]] = Counter()
        for trait in index.listed.traits:
            fate = index.fate(trait, file.traits)
            numbers = [index.numbers[test] for test in trait.all_conditions()]
            self._fates[numbers] = np.minimum(self._fates[numbers], fate)
            if fate == FATES.index(REALIZED):
                demands[frozenset(index.numbers[test] for test in trait.tests), trait.rules] += 1
        self._demands = [_Demand(*each, count) for each, count in demands.items()]
        pairs = [(test, number) for number, each in enumerate(self._demands) for test in sorted(each.tests)]
        self._by_test = pl.DataFrame(pairs, schema={"test": pl.UInt32, "demand": pl.UInt32}, orient="row")
        self._weights = np.array([each.traits for each in self._demands], np.int64)
        of_rules = {test for each in self._demands for rule in each.rules for test in conditions_of(rule)}
        self._of_rules = pl.Series("test", sorted(index.numbers[test] for test in of_rules), pl.UInt32)
        self._figures: Counter[str] = Counter()
        self._signals: Counter[str] = Counter()
        self._lost = {fate: Tally(_MOST_LOST) for fate in FATES if fate != REALIZED}

    def take(self, seen: Seen) -> None:
        """Add what was seen of the next lines."""
        self._figures.update(seen.figures)
        self._signals.update(seen.signals)
        for fate, pairs in seen.lost.items():
            self._lost[fate].add(pairs)

    def look(self, text: bytes) -> Seen:
        """Count whole lines, without changing anything here."""
        seen = Seen(Counter(), Counter(), {})
        lines = signals_in(text, self._file.leads)
        signals = self._signals_of(lines)
        numbered = lines.signals.join(signals.select("raw", "signal", "removes"), left_on="signal", right_on="raw")
        numbered = numbered.select("line", "removes", signal="signal_right")
        malformed = signals.filter(pl.col("key").is_null())["signal"]
        bad = lines.malformed.to_numpy().copy()
        bad[numbered.filter(pl.col("signal").is_in(malformed.implode()))["line"].to_numpy()] = True
        bad |= self._count_lines(seen.figures, lines, bad)
        kept = numbered.filter(~pl.Series(bad, dtype=pl.Boolean).gather(numbered["line"]))
        signals = signals.drop("raw").join(kept["signal"].value_counts(), on="signal").select(_SIGNAL)
        fitting = self._index.signals.fitting(signals)
        with_fate = self._with_fate(signals, fitting)
        self._count_signals(seen, with_fate)
        self._count_traits(seen.figures, kept.join(fitting, on="signal").select("line", "test", "removes"), bad)
        is_wrong = (pl.col("fate") == FATES.index(WRONG_SOURCE)) & pl.col("key").is_in([TRAIT_KEY, CODE_KEY])
        failed = kept.filter(pl.col("signal").is_in(with_fate.filter(is_wrong)["signal"].implode()))
        seen.figures[receipts.TRAITS_FAILED_VALIDATION.key] += failed.height
        seen.figures[receipts.USERS_FAILED_VALIDATION.key] += failed["line"].n_unique()
        return seen

    def _signals_of(self, lines: LineSignals) -> pl.DataFrame:
        """Return the distinct signals of lines: `raw` as written, its number `signal`, `key`, `value`, `removes`.

        What removes a trait has the key and the value that add it.
        """
        raw = lines.signals["signal"].unique().alias("raw")
        pairs = pl.concat([raw.to_frame(), parsed(raw, codes=self._file.codes)], how="horizontal")
        number = pl.col("value").str.extract(REMOVED, 1)
        is_code = (pl.col("key") == self._file.codes) & number.is_not_null()
        is_removal = pl.col("key") == _REMOVAL_KEY
        return pairs.with_row_index("signal").with_columns(
            pl.when(is_removal).then(pl.lit(TRAIT_KEY)).otherwise(pl.col("key")).alias("key"),
            pl.when(is_code).then(number).otherwise(pl.col("value")).alias("value"),
            removes=is_removal | is_code,
        )

    def _count_lines(
        self, figures: Counter[str], lines: LineSignals, bad: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Count lines, and those that are `bad`; return which of the others have IDs of another form."""
        form = self._file.form
        figures[receipts.RECORDS_RECEIVED.key] += len(bad)
        figures[receipts.RECORDS_PROCESSED.key] += len(bad)
        figures[receipts.FORMAT_ERRORS.key] += int(bad.sum())
        wrong = ~lines.ids.str.contains(form).to_numpy() & ~bad if form else np.zeros(len(bad), np.bool_)
        figure = receipts.INVALID_AAM_ID if self._file.ids == 0 else receipts.INVALID_DEVICE_ID
        for each in (receipts.INVALID_AAM_ID, receipts.INVALID_DEVICE_ID):
            figures[each.key] += int(wrong.sum()) if each is figure else 0
        return wrong

    def _with_fate(self, signals: pl.DataFrame, fitting: pl.DataFrame) -> pl.DataFrame:
        """Return signals with the index of their fate."""
        fates = fitting.select("signal", fate=pl.Series(self._fates[fitting["test"].to_numpy()]))
        best = fates.group_by("signal").agg(pl.col("fate").min())
        fate = pl.col("fate").fill_null(len(FATES) - 1)
        return signals.join(best, on="signal", how="left", maintain_order="left").with_columns(fate)

    def _count_signals(self, seen: Seen, signals: pl.DataFrame) -> None:
        seen.figures[receipts.TOTAL_SIGNALS.key] += int(signals["count"].sum())
        is_removal = pl.col("removes") & (pl.col("key") == TRAIT_KEY)
        key = pl.when(is_removal).then(pl.lit(_REMOVAL_KEY)).otherwise(pl.col("key")).alias("key")
        for number, fate in enumerate(FATES):
            group = signals.filter(pl.col("fate") == number)
            seen.signals[fate] += int(group["count"].sum())
            if fate != REALIZED and group.height:
                counted = group.group_by(key, "value").agg(pl.col("count").sum())
                seen.lost[fate], _ = masked(counted)
        lost = sum(seen.signals.values()) - seen.signals[REALIZED]
        seen.figures[receipts.TOTAL_UNUSED_SIGNALS.key] += lost

    def _count_traits(self, figures: Counter[str], hits: pl.DataFrame, bad: npt.NDArray[np.bool_]) -> None:
        """Count traits that lines add and remove, and the lines that do neither."""
        used = np.zeros(len(bad), np.bool_)
        adding = hits.filter(~pl.col("removes")).select("line", "test").unique()
        demanded = adding.join(self._by_test, on="test").select("line", "demand")
        demanded = pl.concat([demanded, *self._by_rules(adding, bad)]).unique()
        removing = hits.filter(pl.col("removes") & pl.lit(self._file.removes)).select("line", "test").unique()
        removed = removing.join(self._by_test, on="test").select("line", "demand").unique()
        for found, figure in ((demanded, receipts.TOTAL_REALIZED_TRAITS), (removed, receipts.TOTAL_REMOVED_TRAITS)):
            figures[figure.key] += int(self._weights[found["demand"].to_numpy()].sum())
            used[found["line"].to_numpy()] = True
        figures[receipts.NO_TRAIT_REALIZED.key] += int((~used & ~bad).sum())

    def _by_rules(self, adding: pl.DataFrame, bad: npt.NDArray[np.bool_]) -> Iterator[pl.DataFrame]:
        """Yield the lines that rules on whole lines are true of, as `line` and `demand` (UInt32)."""
        if not len(self._of_rules):
            return
        few = adding.filter(pl.col("test").is_in(self._of_rules.implode())).sort("test", "line")
        tests, starts = np.unique(few["test"].to_numpy(), return_index=True)
        of_lines = np.split(few["line"].to_numpy(), starts[1:]) if len(tests) else []
        fitting = {self._index.tests[test]: found for test, found in zip(tests.tolist(), of_lines, strict=True)}
        lines, numbers = [np.zeros(0, np.uint32)], [np.zeros(0, np.uint32)]
        for number, demand in enumerate(self._demands):
            for rule in demand.rules:
                found = true_lines(rule, fitting, len(bad))
                lines.append(found[~bad[found]])
                numbers.append(np.full(len(lines[-1]), number, np.uint32))
        yield pl.DataFrame({"line": np.concatenate(lines), "demand": np.concatenate(numbers)})

    def merge(self, others: Sequence[Foreseeing]) -> Foreseen:
        """Return what has been counted here and by others, all with the same list."""
        figures, signals = Counter(dict(self._figures)), Counter(dict(self._signals))
        lost = {fate: Tally(_MOST_LOST) for fate in self._lost}
        for each in (self, *others):
            if each is not self:
                figures.update(each._figures)
                signals.update(each._signals)
            for fate, tally in each._lost.items():
                lost[fate].add(tally.counts())
        stored = figures[receipts.RECORDS_PROCESSED.key] - sum(figures[each.key] for each in receipts.ERRORS)
        figures[STORED_AT_MOST] = stored - figures[receipts.INVALID_DEVICE_ID.key]
        listed = self._index.listed
        found = [
            LostSignal(fate, *row)
            for fate, tally in lost.items()
            for row in tally.counts().select("key", "value", "count").iter_rows()
        ]
        return Foreseen(
            figures=in_order(figures),
            signals={fate: signals[fate] for fate in FATES},
            lost=sorted(found, key=lambda each: (-each.count, each.fate, each.key, each.value)),
            traits=len(listed.traits),
            rules_not_understood=listed.not_understood,
            reasons=listed.reasons,
        )
