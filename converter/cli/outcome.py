"""How commands end: one outcome, printed in one place, and one exit code.

A command parses its options and returns its work; the work returns an `Outcome`. Results are printed to standard
output, as text or with `--json` as one object; everything else to standard error, with `--progress json` as one object
per line.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

from converter.cli.lines import error_line, warning_line
from converter.cli.streams import failure_of
from converter.cli.trace import traced
from converter.delivery import stops
from converter.errors import ConverterError, Finding, Reported, noted_visible

_MOST_VISIBLE = 5  # URLs in a message; JSON has all
_SAYS_ALL = {"E-EXPLAIN-UNKNOWN", "E-JOBS-FAILED", "E-JOBS-REFUSED", "E-STOPPED", "E-USAGE"}
"""Codes of errors whose message leaves nothing to explain."""


@dataclass(frozen=True)
class Outcome:
    """The result of a command.

    `fields` are for `--json`; `show` prints the same as text. `error` is the first error, `cause` the exception, if one
    was raised. A command that `prints_only` fails if its output cannot be printed.
    """

    name: str = "done"
    exit_code: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    show: Callable[[], None] = lambda: None
    warnings: Sequence[Finding] = ()
    error: Finding | None = None
    cause: Reported | None = None
    prints_only: bool = False

    @classmethod
    def of(cls, error: Reported) -> Outcome:
        """Return the outcome of a command that raised an error."""
        error.visible = noted_visible(error)
        finding = Finding(error.code, error.message, error.hint)
        fields = error.report.as_dict() if error.report else {}
        return cls(error.outcome, error.exit_code, fields, error=finding, cause=error)

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain data. The key `warnings` of a check is its count, which may be 0."""
        own = self.fields.get("warnings")
        return {
            **self.fields,
            "outcome": self.name,
            "exit_code": self.exit_code,
            "error": self._error(),
            "warnings": own if own or isinstance(own, int) else [warning.as_dict() for warning in self.warnings],
        }

    def _error(self) -> dict[str, Any] | None:
        if self.error is None:
            return None
        fields: dict[str, Any] = {"code": self.error.code, "message": self.error.message, "hint": self.error.hint}
        return {**fields, "visible": list(self.cause.visible)} if self.cause and self.cause.visible else fields


class Messages:
    """Prints messages while a command runs, and its outcome, in the form that the options ask for."""

    def __init__(
        self, *, as_json: bool = False, events: bool = False, debug: bool = False, quiet: bool = False
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._warned: set[Finding] = set()
        self.events = events
        self.debug = debug
        self._job = ""

    @classmethod
    def of(cls, args: Sequence[str]) -> Messages:
        """Read the options that apply even if the command line is wrong."""
        flags = list(args[: args.index("--")] if "--" in args else args)
        events = "--progress=json" in flags or ("--progress", "json") in pairwise(flags)
        return cls(as_json="--json" in flags, events=events, debug="--debug" in flags, quiet="--quiet" in flags)

    def notice(self, text: str) -> None:
        """Print a message to standard error."""
        if not self.quiet:
            self._print("notice", text, message=text)

    def warn(self, findings: Iterable[Finding]) -> None:
        """Print warnings to standard error, each once."""
        for each in dict.fromkeys(findings):
            if each in self._warned or self.quiet:
                continue
            self._warned.add(each)
            self._print("warning", warning_line(each), code=each.code, message=each.message, hint=each.hint)

    def progress(self, text: str, facts: Mapping[str, Any]) -> None:
        """Print the progress to standard error."""
        self._print("progress", text, **facts)

    def trace(self, error: BaseException) -> None:
        """With `--debug`, print the traceback of an error to standard error."""
        if self.debug:
            lines = "".join(traced(error)).rstrip("\n")
            self._print("trace", lines, lines=lines.split("\n"))

    def begin_job(self, path: str, number: int, count: int) -> None:
        """From now on messages are about one job of several, whose path they say."""
        self._job = path
        self._warned.clear()
        self.notice(f"job {number} of {count}")

    def end_jobs(self) -> None:
        """From now on messages are about all jobs."""
        self._job = ""

    def failed(self, error: Reported) -> None:
        """Print an error to standard error."""
        self.trace(error)
        self._fail(error)

    def end(self, outcome: Outcome) -> int:
        """Print an outcome and return the exit code, which signals no longer change."""
        if outcome.error or not outcome.prints_only:
            stops.end(outcome.exit_code)
        if outcome.cause:
            self.trace(outcome.cause)
        if outcome.cause and outcome.error and outcome.error.code != "E-OUTPUT-CLOSED":
            self._fail(outcome.cause)
        elif self.events and not outcome.cause:
            self.warn(outcome.warnings)
            self._print("done", "", **outcome.as_dict())
        if self.as_json:
            print(json.dumps(outcome.as_dict(), default=str))
        else:
            outcome.show()
        exit_code = self._exit_code(outcome)
        stops.end(exit_code)
        return exit_code

    def _exit_code(self, outcome: Outcome) -> int:
        """Return the exit code: printing may have failed. As usual, a closed pipe is not reported."""
        failure = failure_of(sys.stdout)
        if failure is None or outcome.exit_code:
            return outcome.exit_code
        reason = failure.strerror or type(failure).__name__
        if outcome.prints_only:
            if failure.errno != errno.EPIPE:
                self._fail(ConverterError("E-STDOUT", f"Standard output cannot be written: {reason}."))
            return 1
        if failure.errno not in (errno.EPIPE, errno.EBADF):
            self.warn(
                [Finding("W-OUTPUT-LOST", f"The command succeeded, but standard output cannot be written: {reason}.")]
            )
        return 0

    def _fail(self, error: Reported) -> None:
        facts: dict[str, Any] = {"message": error.message, "hint": error.hint, "visible": list(error.visible)}
        if error.report:
            facts["report_path"] = error.report.report_path
        self._print("error", f"{error_line(error)}{_visible(error.visible)}", code=error.code, **facts)
        # For people only: who reads logs and mails of schedulers expects an error to be one line.
        if error.code not in _SAYS_ALL and not self.events and not self._job and sys.stderr.isatty():
            print(f"More about it: aam-inbound explain {error.code}", file=sys.stderr, flush=True)

    def _print(self, event: str, text: str, **facts: Any) -> None:
        if self._job:
            facts, text = {"job_file": self._job, **facts}, f"{self._job}: {text}"
        line = json.dumps({"event": event, **facts}, default=str) if self.events else text
        print(line, file=sys.stderr, flush=True)


Work: TypeAlias = Callable[[Messages], Outcome]
"""What a command does once its options are parsed."""


def _visible(urls: Sequence[str]) -> str:
    """Return a sentence that names the visible parts, or the first of them."""
    if not urls:
        return ""
    more = f" and {len(urls) - _MOST_VISIBLE:,} more" if len(urls) > _MOST_VISIBLE else ""
    return f" Visible: {', '.join(urls[:_MOST_VISIBLE])}{more}."
