"""When a run has too many rejects, as soon as that is certain, and what the error says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from converter.errors import EmptyInputError, TooManyRejectsError, redact
from converter.jobs.job import Job
from converter.jobs.sections.report import ReportOptions
from converter.ledger import Ledger, most_frequent
from converter.sources.base import Source
from converter.sources.estimate import RowEstimate, estimate_rows
from converter.sources.origins.base import total_size
from converter.spec import rules
from converter.spec.implausible import IMPLAUSIBLE
from converter.spec.rules import Rule, hint_of

_SAFETY = 4  # times as many rows in the rest of an input that cannot be sampled as in what was read of it
_READ_AHEAD = 2 << 20  # bytes: those of a compressed input are read before the rows in them
_NEARLY_ALL = 0.9  # of the rows

_ADVICE = {
    rules.ID_MISSING.name: "Is '{column}' the column with the user IDs?",
    rules.ID_IS_PHONE.name: "If the web site sends it, it must send another ID; if not, name another column (--id).",
    rules.ID_IS_CARD.name: "If these are IDs of your own, they need another form, such as a prefix (id.prefix).",
    rules.ID_FORBIDDEN_CHARACTER.name: "Remove it as the web site does (id.remove), or name another column (--id).",
    "id_wrong_form": "Set id.type (--id-type) to the type of the IDs in '{column}', or name another column.",
    rules.BAD_VALUE.name: 'Correct the column, or set record.on_bad_value = "clean" or "drop".',
    rules.ROW_TOO_SHORT.name: "Is input.separator right, and are line breaks inside fields in double quotes?",
    rules.ROW_TOO_LONG.name: "Is input.separator right, and are fields that contain it in double quotes?",
    rules.ROW_MISQUOTED.name: "A quote inside a quoted field must be doubled, unless input.escape says otherwise; are "
    "input.quote and input.format right?",
    rules.ROW_TORN.name: "Export values with line breaks in quotes, or convert all line ends to LF or CR LF.",
    rules.ROW_NOT_TEXT.name: 'Set input.encoding to what the file is written in, such as "cp1252".',
    rules.ROW_NOT_JSON.name: "Is input.format right? NDJSON has one object on each line.",
}
"""What to do about a rule, beside its hint."""


class RejectsGuard:
    """Says whether a run has more rejects than it may, as soon as that is certain.

    A number of rows is exceeded at once. A percentage is judged on the most rows that the input may have (`estimate`);
    where the size of an input is not known, only its end shows that.
    """

    def __init__(self, options: ReportOptions, sources: Sequence[Source]) -> None:
        self._options = options
        self._sources = sources
        self._sizes = {source.origin.label: source.origin.size or 0 for source in sources}
        self._size = total_size(source.origin for source in sources)
        self._estimate: RowEstimate | None = None

    def is_exceeded(self, ledger: Ledger, read: Mapping[str, int]) -> bool:
        """Return whether a run that is not at its end must stop; `read` has the bytes of each input that were read."""
        if self._options.allows(ledger.rejects, ledger.read):
            return False
        if self._size is not None and sum(read.values()) >= self._size:  # what is left is to end the run
            return False
        return not self._options.is_share or (
            self._size is not None and not self._options.allows(ledger.rejects, self.most_rows(ledger, read))
        )

    def most_rows(self, ledger: Ledger, read: Mapping[str, int]) -> int:
        """Return how many rows the input has at most, as far as it is read; 0 where only a number of rows matters."""
        if not self._options.is_share:
            return 0
        if self._estimate is None:
            self._estimate = estimate_rows(self._sources)
        others = [(read[label], max(self._sizes[label] - read[label], 0)) for label in self._estimate.others]
        ahead = sum(_READ_AHEAD for done, left in others if done and left)
        rows_a_byte = ledger.read / max(sum(read.values()) - ahead, 1)
        return max(
            self._estimate.rows + round(rows_a_byte * sum(done + _SAFETY * left for done, left in others)), ledger.read
        )


def too_few_rows(
    job: Job, ledger: Ledger, all_rules: Sequence[Rule], consequence: str, *, most_rows: int | None = None
) -> EmptyInputError | TooManyRejectsError:
    """Return the error that too many rows were rejected or, where that is allowed, that no row is left.

    `consequence` is a sentence about what was published. `most_rows` is how many rows the input has at most, where the
    run stopped before its end; 0 where that does not matter.
    """
    if job.report.allows(ledger.rejects, max(ledger.read, most_rows or 0)):
        hint = hint_of(most_frequent(ledger.rejected + ledger.skipped), all_rules)
        return EmptyInputError("E-NO-ROW-LEFT", f"No row is left (C10): {ledger.summary()}.", f"{hint} {consequence}")
    stopped = "" if most_rows is None else " The rest of the input was not read."
    total = f" of at most {most_rows:,}" if most_rows else ""
    return TooManyRejectsError(
        "E-TOO-MANY-REJECTS",
        f"{ledger.summary()}; at most {job.report.max_rejects}{total} may be rejected (--max-rejects).{stopped}",
        f"{advice_on(ledger, all_rules)} {consequence}",
    )


def advice_on(ledger: Ledger, all_rules: Sequence[Rule]) -> str:
    """Return what to do about the most frequent rule, and about the column where nearly all of its IDs are wrong."""
    name = most_frequent(ledger.rejected)
    causes = ledger.causes_of(name)
    column = redact(causes[0][0].column) if causes else ""
    sentences = [hint_of(name, all_rules), _ADVICE.get(name, "").format(column=column)]
    of_ids = {rule.name for rule in all_rules if rule.id_ is not None} - {each.name for each in IMPLAUSIBLE}
    wrong = sum(count for cause, count in ledger.causes.items() if cause.rule in of_ids)
    if causes and name in of_ids and wrong >= _NEARLY_ALL * ledger.read:
        sentences.append(f"Nearly all rows fail on it: most likely '{column}' is the wrong column.")
    return " ".join(filter(None, sentences))
