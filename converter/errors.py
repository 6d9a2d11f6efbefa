"""The errors.

Each error has a code, an exit code and, where possible, a hint what to do next. Messages never contain personal data or
secrets, but files, lines, names of columns, rules and counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

_LONGEST_SHOWN = 60
_DIGITS_OF_IDS = 5  # names of columns have fewer, such as `revenue_2024`


class Finding(NamedTuple):
    """A result of a check or a run: a code of `converter.codes`, a message, and a hint what to do.

    Codes of errors begin with `E-`, those of warnings with `W-`; a finding that is in order has none.
    """

    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, error: ConverterError) -> Finding:
        """Return an error as a finding."""
        return cls(error.code, error.message, error.hint)

    @property
    def level(self) -> Literal["ok", "warning", "error"]:
        """The severity."""
        return "error" if self.code.startswith("E-") else "warning" if self.code else "ok"

    def as_dict(self) -> dict[str, str]:
        """Return the finding as plain data."""
        return {"level": self.level, **self._asdict()}

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


TAKEN = {"E-NAME-IN-USE", "E-NAME-TAKEN"}
"""Codes of findings that another run has the names."""

TAKEN_OVER = "E-LOCK-LOST"
"""The code of the error when another run has taken over the lock of this one."""

LOST = {"E-NAME-IN-USE", "E-NAME-TAKEN", "E-PUBLISHED-OTHER", "E-S3-TAKEN"}
"""Codes of errors when another run has published first."""


def codes_of(findings: Iterable[Finding]) -> set[str]:
    """Return the codes of the errors among findings."""
    return {finding.code for finding in findings if finding.level == "error"}


def has_errors(findings: Iterable[Finding]) -> bool:
    """Return whether there is an error among findings."""
    return any(finding.level == "error" for finding in findings)


EndName = Literal["done", "nothing to do", "refused", "failed", "stopped"]
"""How a command or a run ended; `refused` by a guard."""


class Reported(BaseException):
    """An error or a signal that ends a command, with a code of `converter.codes`, a message and a hint what to do next.

    `exit_code` is that of the command. `visible` are the URLs of the parts of the run that are published. `report` is
    the `Report` or `SendReport` of the run, if one had begun.
    """

    exit_code = 1
    visible: tuple[str, ...] = ()
    report: Any = None

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)

    @property
    def code(self) -> str:
        """The stable code."""
        return str(self.args[0])

    @property
    def message(self) -> str:
        """What happened."""
        return str(self.args[1])

    @property
    def hint(self) -> str:
        """What to do next."""
        return str(self.args[2])

    @property
    def outcome(self) -> EndName:
        """How the command ended."""
        return "refused" if self.exit_code == 3 else "failed"

    def reword(self, change: Callable[[str], str]) -> None:
        """Change the message and the hint, but not the code."""
        self.args = (self.code, change(self.message), change(self.hint))

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConverterError(Reported, Exception):
    """The base class of the errors of this package."""


class JobError(ConverterError):
    """The job or the command line is wrong, or does not fit the input. No run was started."""

    exit_code = 2


class ColumnError(JobError):
    """A column that the job uses does not exist in the input, or cannot be used in this way."""


class InputError(ConverterError):
    """The input does not exist, cannot be read, is damaged, or changed while it was read."""


class EmptyInputError(InputError):
    """There is nothing to send: no rows, or all are rejected or skipped (C10)."""


class ResourcesError(ConverterError):
    """The system does not give the process enough memory or threads."""


class EngineError(ConverterError):
    """Polars failed, or cannot run in this process."""


class DestinationError(ConverterError):
    """A part cannot be written, or would replace an existing file."""


class EncryptionError(DestinationError):
    """Parts cannot be encrypted: GnuPG or the key of the recipient is missing, or cannot be used (N8)."""


class TransientError(DestinationError):
    """A destination failed temporarily: a retry may help."""


class ResumeError(ConverterError):
    """An interrupted run cannot be resumed, since something has changed. No further parts were published."""


class InternalError(ConverterError):
    """An unexpected failure, which is a bug; its cause says more."""


class StateError(ConverterError):
    """The state of earlier runs cannot be read, or is damaged. No run was started."""


class LedgerError(ConverterError):
    """The counts of rows do not add up. Nothing was published."""


class TooManyRejectsError(ConverterError):
    """More rows were rejected than `report.max_rejects` allows. Nothing was published; `report` says what was wrong."""

    exit_code = 3


class GuardError(ConverterError):
    """A rule or a limit has refused the run, such as `report.max_change`. Nothing was published."""

    exit_code = 3


class StrictError(ConverterError):
    """A warning, where warnings are errors. Nothing was published."""

    exit_code = 3


class StoppedError(Reported):
    """A signal stopped the command. It is not an `Exception`, so that nothing catches it by accident."""

    def __init__(self, signal_number: int, message: str = "Stopped: nothing was published.") -> None:
        super().__init__("E-STOPPED", message)
        self.exit_code = 128 + signal_number

    @property
    def outcome(self) -> EndName:
        """How the command ended."""
        return "stopped"

    def __reduce__(self) -> tuple[type[StoppedError], tuple[int, str]]:
        return type(self), (self.exit_code - 128, self.message)


def note_visible(error: BaseException, urls: tuple[str, ...]) -> None:
    """Note on any error which parts of the run are published (URLs)."""
    error.visible = urls  # type: ignore[attr-defined]


def noted_visible(error: BaseException | None) -> tuple[str, ...]:
    """Return which parts of the run are published, as noted on an error or on its causes."""
    if error is None:
        return ()
    return getattr(error, "visible", ()) or noted_visible(error.__cause__)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'X'?` for the known name nearest to `name`, or nothing."""
    import difflib  # here, since only errors need it

    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f", did you mean '{redact(by_folded[close[0]])}'?" if close else ""


def redact(name: str) -> str:
    """Return a name from the input as a message may show it: short, on one line, with all characters printable.

    The first row of a file without a header is taken for names of columns: so e-mail addresses are not shown, and of
    names with as many digits as IDs only the ends are.
    """
    if "@" in name:
        return "…@…"
    if sum(mark.isdigit() for mark in name) >= _DIGITS_OF_IDS:
        return f"{_printable(name[:2])}…{_printable(name[-2:])}"
    return _printable(name[:_LONGEST_SHOWN]) + "…" * (len(name) > _LONGEST_SHOWN)


def _printable(text: str) -> str:
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)
