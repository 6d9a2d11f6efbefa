"""One tree of errors. Each knows its exit code and, where there is one, what to do next.

Messages never hold personal data or secrets: a file, a line, a column name, a rule, a count.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST_SHOWN = 60
_DIGITS_OF_IDS = 5  # names of columns have fewer: `revenue_2024`


class ConverterError(Exception):
    """Anything this package raises on purpose.

    `hint` says what to do next, as a sentence; `exit_code` is what the command line ends with.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)

    @property
    def message(self) -> str:
        """What happened."""
        return str(self.args[0])

    @property
    def hint(self) -> str:
        """What to do next."""
        return str(self.args[1])

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class JobError(ConverterError):
    """The job, or the command line that made it, is wrong. Nothing was begun."""

    exit_code = 2


class ColumnError(JobError):
    """A column that the job names is not in the input, or is there in a form that cannot be used."""


class InputError(ConverterError):
    """The input is not there, cannot be read, is damaged, or changed while it was read."""


class EmptyInputError(InputError):
    """There is nothing to send: no row, or none that survives the rules (C10)."""


class ResourcesError(ConverterError):
    """The system gives the process too little memory or too few threads."""


class DestinationError(ConverterError):
    """A part could not be written, or would replace something that is there already."""


class EncryptionError(DestinationError):
    """Parts cannot be encrypted: GnuPG or the key of the recipient is not there, or cannot be used (N8)."""


class TransientError(DestinationError):
    """A destination failed in a way that may pass: what was tried is worth trying again."""


class ResumeError(ConverterError):
    """What a run that died has left does not fit to what is there now. Nothing more was published."""


class LedgerError(ConverterError):
    """Rows went in and did not come out, or the other way round. Nothing was published."""


class TooManyRejectsError(ConverterError):
    """More rows were rejected than `report.max_rejects` allows. Nothing was published."""

    exit_code = 3


class StoppedError(ConverterError):
    """The run was stopped by a signal and has cleaned up after itself."""

    def __init__(
        self, signal_number: int, message: str = "Stopped: nothing was published and no partial file is left."
    ) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[type[StoppedError], tuple[int, str]]:
        return type(self), (self.exit_code - 128, self.message)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'X'?` for the known name nearest to `name`, or nothing."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f", did you mean '{shown(by_folded[close[0]])}'?" if close else ""


def shown(name: str) -> str:
    """Return a name from the input as a message may show it: short, on one line, and every character visible.

    Where a file has no header, its first row stands for one: an e-mail address is not shown, and of what has as many
    digits as an ID only the ends are.
    """
    if "@" in name:
        return "…@…"
    if sum(mark.isdigit() for mark in name) >= _DIGITS_OF_IDS:
        return f"{name[:2]}…{name[-2:]}"
    text = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in name[:_LONGEST_SHOWN])
    return text + "…" * (len(name) > _LONGEST_SHOWN)
