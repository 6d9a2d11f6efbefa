"""A receipt of Audience Manager beside the reports of the runs whose files it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from converter.report.foreseen import total_of
from converter.report.receipt_text import Receipt, ReceivedFile
from converter.spec import receipts
from converter.spec.receipts import FIGURES, Figure, stored_by

_ENDINGS = (".gz", ".gpg", ".pgp", ".processed")
_NONE_EXPECTED = (
    receipts.FORMAT_ERRORS,
    receipts.INVALID_LINES,
    receipts.INVALID_AAM_ID,
    receipts.INVALID_DEVICE_ID,
    receipts.TRAITS_FAILED_VALIDATION,
    receipts.USERS_FAILED_VALIDATION,
)
_AT_MOST = (receipts.NO_TRAIT_REALIZED, receipts.TOTAL_UNUSED_SIGNALS, receipts.TOTAL_REALIZED_TRAITS)
"""What is lower than foreseen where users are not known, since their lines count for another number."""
_UNFORESEEN = (receipts.TOTAL_REMOVED_TRAITS,)
"""What is not compared: files of the mode `overwrite` take from users what only Audience Manager knows of."""
_LOSSES = (receipts.NO_MATCHING_AAM_ID, receipts.NO_TRAIT_REALIZED, receipts.TOTAL_UNUSED_SIGNALS)

Verdict = Literal["as expected", "differs", "a loss", "not compared"]


class SentFile(NamedTuple):
    """A file that a run has sent: its name, its lines, where they are known, and the run."""

    name: str
    lines: int | None
    run: str


class RunFacts(NamedTuple):
    """What the report of a run says: its files, and the numbers of the receipt that are foreseen."""

    run: str
    files: Sequence[SentFile]
    figures: Mapping[str, int]

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> RunFacts:
        """Return the facts in a report (plain data).

        Raises `KeyError`, `TypeError` or `ValueError` where it is none.
        """
        run = str(report["name"])
        parts = [SentFile(str(part["name"]), int(part["lines"]) or None, run) for part in report["parts"]]
        figures = (report.get("foreseen") or {}).get("figures") or {}
        return cls(run, parts, {str(key): int(count) for key, count in figures.items()})


class Compared(NamedTuple):
    """A number of the receipt, and what the reports or its other numbers let expect; `None` where they do not."""

    figure: Figure
    received: float
    expected: float | None
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data; `advice` only where there is something to do."""
        figure = self.figure
        return {
            "key": figure.key,
            "label": figure.label,
            "received": self.received,
            "expected": self.expected,
            "verdict": self.verdict,
            "meaning": figure.meaning,
            "advice": figure.advice if self.verdict in ("differs", "a loss") else "",
            "page": figure.page,
        }


@dataclass(frozen=True)
class ReceiptReport:
    """A receipt beside reports.

    `compared` are its numbers in order; `runs` the runs of which it names files. `foreign` are the files that it names
    and no report has, `missing` the files of these runs that it does not name.
    """

    receipt: Receipt
    compared: list[Compared]
    runs: list[str]
    foreign: list[ReceivedFile]
    missing: list[SentFile] = field(default_factory=list)

    @property
    def differing(self) -> list[Compared]:
        """The numbers that are not what they should be."""
        return [each for each in self.compared if each.verdict == "differs"]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "receipt": self.receipt.as_dict(),
            "compared": [each.as_dict() for each in self.compared],
            "runs": self.runs,
            "foreign": [each._asdict() for each in self.foreign],
            "missing": [each._asdict() for each in self.missing],
        }


def bare_name(name: str) -> str:
    """Return the name of a file as a receipt may have it: without what compression, encryption or processing add."""
    while name.endswith(_ENDINGS):
        name = name[: name.rindex(".")]
    return name


def compare(receipt: Receipt, facts: Sequence[RunFacts], *, all_runs: bool = False) -> ReceiptReport:
    """Compare a receipt with the reports of runs; with `all_runs`, also those of which it names no file.

    Numbers are compared only where every file of the receipt is of these runs; all but that of lines only where the
    receipt names all of their files.
    """
    named = {bare_name(each.name) for each in receipt.files}
    own = [each for each in facts if all_runs or any(bare_name(file.name) in named for file in each.files)]
    sent = {bare_name(file.name): file for each in own for file in each.files}
    matched = [sent[name] for name in sorted(named & sent.keys())]
    missing = [file for name, file in sorted(sent.items()) if name not in named]
    foreign = [each for each in receipt.files if bare_name(each.name) not in sent]
    expected: dict[str, float] = {}
    if matched and not foreign:
        lines = [file.lines for file in matched]
        if None not in lines:
            expected[receipts.RECORDS_RECEIVED.key] = sum(each or 0 for each in lines)
        if not missing:
            foreseen = total_of(each.figures for each in _each_once(own))
            expected = {**foreseen, **expected}
    runs = list(dict.fromkeys(each.run for each in own))
    return ReceiptReport(receipt, list(_compared(receipt.figures, expected)), runs, foreign, missing)


def _each_once(facts: Sequence[RunFacts]) -> list[RunFacts]:
    """Return runs without those whose files another one has as well: files are converted first, and sent later."""
    found: dict[frozenset[str], RunFacts] = {}
    for each in facts:
        names = frozenset(bare_name(file.name) for file in each.files)
        if names not in found or len(found[names].figures) < len(each.figures):
            found[names] = each
    return list(found.values())


def _compared(figures: Mapping[str, float], expected: Mapping[str, float]) -> Iterator[Compared]:
    """Yield the numbers of a receipt with what was expected."""
    wanted: dict[str, float | None] = {**dict.fromkeys((each.key for each in _NONE_EXPECTED), 0), **expected}
    wanted[receipts.RECORDS_PROCESSED.key] = figures.get(receipts.RECORDS_RECEIVED.key)
    wanted[receipts.STORED_RECORDS.key] = stored_by(figures)
    for each in _UNFORESEEN:
        wanted.pop(each.key, None)
    for figure in FIGURES:
        if figure.key not in figures:
            continue
        received, right = figures[figure.key], wanted.get(figure.key)
        verdict: Verdict = "not compared"
        if right is not None and (figure not in _AT_MOST or received > right):
            verdict = "as expected" if received == right else "differs"
        elif figure in _LOSSES and received:
            verdict = "a loss"
        yield Compared(figure, received, right, verdict)
