"""Rows read, written, rejected and skipped. Ledgers add up, so threads and machines can keep their own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import NamedTuple, TypeVar

from converter.errors import LedgerError, redact

_MOST_CAUSES = 4  # in a message
_Key = TypeVar("_Key", str, "Cause")


class Cause(NamedTuple):
    """Why rows were rejected: the rule, the column of the input, and the kind of personal data, if it is any.

    Each row counts for the first rule that it breaks, in the first column that breaks it.
    """

    rule: str
    column: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.rule} in {self.where}"

    @property
    def where(self) -> str:
        """The column, and the kind where the name of the rule does not say it."""
        kind = f" ({self.kind})" if self.kind and not self.rule.endswith(self.kind) else ""
        return f"column '{redact(self.column)}'{kind}"


@dataclass
class Ledger:
    """Counts of a run or of a part of it.

    `read` is counted in the input itself (its bytes, its footer) and never derived from what came through the pipeline,
    so that a lost row is noticed. `rejected` are rows that break a rule, `skipped` those that break none and have
    nothing to send. The keys of the counters are names of rules in `converter.spec.rules`, those of `ids_changed` names
    of steps in `converter.columns.normalize`, those of `id_types` types of IDs, where the job recognizes them.
    `causes` counts the rejected rows whose rule is on a column, and `missing_words` the values of each column that are
    written and are words for missing ones. `written` counts rows, `lines` the lines of these: fewer, where rows are
    gathered; then `users` counts the users that have lines. `cleared` counts the rows whose lines have no signal.
    `line_breaks` counts the values of delimited text that hold one.
    """

    read: int = 0
    written: int = 0
    lines: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    cleared: int = 0
    signals_written: int = 0
    signals_dropped: Counter[str] = field(default_factory=Counter)
    signals_changed: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    ids_changed: Counter[str] = field(default_factory=Counter)
    id_types: Counter[str] = field(default_factory=Counter)
    causes: Counter[Cause] = field(default_factory=Counter)
    line_breaks: int = 0
    users: int = 0
    missing_words: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def rejects(self) -> int:
        """How many rows were rejected, by any rule."""
        return self.rejected.total()

    @property
    def skips(self) -> int:
        """How many rows were skipped, for any reason."""
        return self.skipped.total()

    @property
    def accounted(self) -> int:
        """How many rows were written, rejected or skipped."""
        return self.written + self.rejects + self.skips

    def summary(self) -> str:
        """Return how many rows were read, rejected and skipped in words, the most frequent rules first."""
        parts = [
            f"{counts.total():,} {verb} ({', '.join(self._described(*each) for each in _by_count(counts))})"
            for verb, counts in (("rejected", self.rejected), ("skipped", self.skipped))
            if counts
        ]
        read = "1 row was read" if self.read == 1 else f"{self.read:,} rows were read"
        return f"{read}, {' and '.join(parts)}"

    def causes_of(self, rule: str) -> list[tuple[Cause, int]]:
        """Return the causes that name a rule with their counts, the most frequent ones first."""
        return _by_count(Counter({cause: count for cause, count in self.causes.items() if cause.rule == rule}))

    def _described(self, rule: str, count: int) -> str:
        """Return how many rows a rule applied to, and in which columns."""
        causes = self.causes_of(rule)
        shown = [f"{each:,} in {cause.where}" for cause, each in causes[:_MOST_CAUSES]]
        if others := sum(each for _, each in causes[_MOST_CAUSES:]):
            shown.append(f"{others:,} in others")
        return f"{rule}: {' and '.join(shown) or f'{count:,}'}"

    def check(self) -> None:
        """Raise `LedgerError` unless every row read was written, rejected or skipped."""
        if self.read != self.accounted:
            raise LedgerError(
                "E-LEDGER",
                f"{self.read:,} rows were read, but {self.written:,} written, {self.rejects:,} rejected and "
                f"{self.skips:,} skipped: {abs(self.read - self.accounted):,} rows are unaccounted for.",
                "Nothing was published; please report this as a bug, with the report file.",
            )


def most_frequent(counts: Counter[str]) -> str:
    """Return the name with the highest count."""
    return _by_count(counts)[0][0]


def _by_count(counts: Counter[_Key]) -> list[tuple[_Key, int]]:
    """Return counts in descending order, equal ones by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
