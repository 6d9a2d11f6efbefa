"""The numbers of Audience Manager's receipt as far as they can be foreseen, and the signals that no trait takes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.report.texts import counted, figure
from converter.spec import receipts
from converter.spec.receipts import FIGURES

if TYPE_CHECKING:
    from converter.parts.received import Received

REALIZED, TOO_NEW, WRONG_SOURCE, NOT_ONBOARDED, UNUSED = FATES = (
    "realized",
    "too_new",
    "wrong_data_source",
    "not_onboarded",
    "unused",
)
"""What becomes of a signal, the best first: a trait takes it; or those that do are younger than four hours, belong to
another data source, or are not onboarded; or there is none."""
WORDS = {
    REALIZED: " that traits take",
    TOO_NEW: " of traits that are younger than four hours (T3)",
    WRONG_SOURCE: " of traits of another data source",
    NOT_ONBOARDED: " of traits that are not onboarded (C3)",
    UNUSED: " that no trait takes",
}
"""What follows on the number of signals of each fate, in words."""
STORED_AT_MOST = "stored_records_at_most"
_LABELS = {figure.key: figure.label for figure in FIGURES} | {STORED_AT_MOST: "Stored Records, at most"}


@dataclass(frozen=True, slots=True)
class LostSignal:
    """A signal that is not realized: why, its key and value, masked where personal, and how often it occurs."""

    fate: str
    key: str
    value: str
    count: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"fate": self.fate, "key": self.key, "value": self.value, "count": self.count}


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What a receipt will say, as far as that is known before.

    `figures` are numbers by the keys of `converter.spec.receipts`, in the order of the mail; which IDs match is not
    known, so that of the records stored only the most is (`stored_records_at_most`). `signals` says how many signals
    have each of the `FATES`, and `lost` which are not realized, the most frequent first, with counts that are exact
    unless there are very many. `traits` is how many traits the list has, and `rules_not_understood` how many rules of
    them could not be parsed, with the `reasons` of the first ones.
    """

    figures: Mapping[str, int]
    signals: Mapping[str, int]
    lost: Sequence[LostSignal]
    traits: int
    rules_not_understood: int = 0
    reasons: Sequence[str] = ()

    def as_dict(self, most: int | None = None) -> dict[str, Any]:
        """Return it as plain data, with at most so many of the signals that are not realized."""
        return {
            "figures": dict(self.figures),
            "signals": dict(self.signals),
            "lost": [each.as_dict() for each in self.lost[:most]],
            "traits": self.traits,
            "rules_not_understood": self.rules_not_understood,
            "reasons": list(self.reasons),
        }

    def csv(self) -> bytes:
        """Return the signals that are not realized as CSV: `fate`, `key`, `value` and `count`."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["fate", "key", "value", "count"])
        writer.writerows((each.fate, each.key, each.value, each.count) for each in self.lost)
        return text.getvalue().encode()

    def lines(self) -> list[tuple[str, str]]:
        """Return the numbers with their labels, for the terminal."""
        lines = [(f"{count:,}", _LABELS[key]) for key, count in self.figures.items()]
        lines += [figure(count, "signal", WORDS[fate]) for fate, count in self.signals.items() if count]
        if self.rules_not_understood:
            of_traits = f" of {counted(self.traits, 'trait')} not understood"
            lines.append(figure(self.rules_not_understood, "rule", of_traits))
        return lines


def figures_of(received: Received, source: int | None) -> dict[str, int]:
    """Return the numbers of the receipt that are known of lines without a list of traits; others are absent.

    `source` is the data source of their IDs. Which IDs match, and which signals belong to traits, is not known, so that
    of the records stored only the most is.
    """
    found = {figure.key: 0 for figure in (receipts.INVALID_AAM_ID, receipts.INVALID_DEVICE_ID)}
    found[(receipts.INVALID_AAM_ID if source == 0 else receipts.INVALID_DEVICE_ID).key] = received.wrong_ids
    found |= {
        receipts.RECORDS_RECEIVED.key: received.lines,
        receipts.FORMAT_ERRORS.key: received.malformed,
        receipts.RECORDS_PROCESSED.key: received.lines,
        STORED_AT_MOST: received.lines - received.malformed - received.wrong_ids,
        receipts.TOTAL_SIGNALS.key: received.signals,
    }
    return in_order(Counter(found))


def total_of(figures: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of numbers that all of some files, or runs, have."""
    given = list(figures)
    known = set.intersection(*map(set, given)) if given else set()
    return in_order(Counter({key: sum(each[key] for each in given) for key in known}))


def labeled(figures: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return numbers with their labels, as the mail has them."""
    return [(_LABELS[key], count) for key, count in figures.items() if key in _LABELS]


def in_order(figures: Counter[str]) -> dict[str, int]:
    """Return numbers in the order of the mail."""
    return {key: figures[key] for key in _LABELS if key in figures}
