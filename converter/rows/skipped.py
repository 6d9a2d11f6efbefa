"""The first rows that are skipped because of each rule, as examples: where they are, and their IDs, masked.

Workers describe the first rows of their block. Once the blocks that came in order have enough of a rule, no worker
looks for more of them: later ones cannot be among the first.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import polars as pl

from converter.columns.privacy import mask
from converter.sources.malformed import RowNumbers
from converter.spec.rules import SUPPRESSED

MOST_SKIPPED = 10
"""How many rows of a rule are examples."""

Ids = Mapping[str, str]
"""The masked IDs of a row, by the columns of the input; none of rows that are suppressed, or could not be parsed."""


class SkippedRows(NamedTuple):
    """The first rows of a block that are skipped because of a rule, in order, at most `MOST_SKIPPED`.

    `rows` are their row numbers, counted as those of the rejected rows beside them.
    """

    rule: str
    rows: RowNumbers
    ids: Sequence[Ids]

    @classmethod
    def of(cls, rule: str, rows: RowNumbers, ids: pl.DataFrame | None = None) -> SkippedRows:
        """Return rows with their IDs (String), by the columns of the input; of those suppressed, nothing is kept."""
        if ids is None or not ids.width or rule == SUPPRESSED.name:
            return cls(rule, rows[:MOST_SKIPPED], [{}] * len(rows[:MOST_SKIPPED]))
        masked = ids.head(MOST_SKIPPED).select(mask(pl.col(ids.columns)))
        return cls(rule, rows[:MOST_SKIPPED], masked.rows(named=True))

    def at(self, part: slice, shift: int) -> SkippedRows:
        """Return some of the rows, with numbers that are greater by `shift`."""
        return SkippedRows(self.rule, self.rows[part] + shift, self.ids[part])


class WantedSkips:
    """Of which rules there are too few examples yet. Workers ask it; `note` is called in the order of the input."""

    def __init__(self) -> None:
        self._counts = Counter[str]()

    def __contains__(self, rule: object) -> bool:
        return self._counts[str(rule)] < MOST_SKIPPED

    def note(self, skipped: Iterable[SkippedRows]) -> None:
        """Count what a block has."""
        for each in skipped:
            self._counts[each.rule] += len(each.rows)


Place: TypeAlias = tuple[int, int]
"""The number of an input among all, and of a partition of it, where rows are numbered in each."""


class Skip(NamedTuple):
    """A row that is skipped: the place of its input, its number in it, and its IDs."""

    place: Place
    row: int
    ids: Ids


class FirstSkips:
    """Keeps the first rows of each rule, in the order of the input, whatever the order in which they come."""

    def __init__(self) -> None:
        self._of_rule: defaultdict[str, list[Skip]] = defaultdict(list)

    def add(self, place: Place, skipped: SkippedRows) -> None:
        """Take rows of an input, with their row numbers in it."""
        rows = zip(skipped.rows.tolist(), skipped.ids, strict=True)
        self._take(skipped.rule, [Skip(place, row, ids) for row, ids in rows])

    def merge(self, other: FirstSkips, place_of: Callable[[Place], Place]) -> None:
        """Take the rows that another process has kept, whose places are other ones here."""
        for rule, skips in other._of_rule.items():
            self._take(rule, [each._replace(place=place_of(each.place)) for each in skips])

    def _take(self, rule: str, skips: Sequence[Skip]) -> None:
        of_rule = self._of_rule[rule]
        # Those of equal place and number are of files of one name: they stay in the order in which they came.
        of_rule[:] = heapq.nsmallest(MOST_SKIPPED, [*of_rule, *skips], key=lambda each: each[:2])

    def __iter__(self) -> Iterator[tuple[str, Skip]]:
        """Yield rules by their names, and their rows in order."""
        for rule, skips in sorted(self._of_rule.items()):
            for skip in skips:
                yield rule, skip
