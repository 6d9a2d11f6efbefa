"""Errors that nothing else has caught, as errors of this package."""

from __future__ import annotations

import signal

from converter.delivery import stops
from converter.errors import InternalError, Reported, ResourcesError, StoppedError, noted_visible


def reported(error: BaseException) -> Reported:
    """Return an error as one with a code: itself if it has one; the signal that it comes from; or a new one for it.

    The text of other errors is not shown, since it may quote data.
    """
    if isinstance(error, Reported):
        return error
    if stopped := stops.within(error):
        return stopped
    if isinstance(error, KeyboardInterrupt):
        return StoppedError(signal.SIGINT)
    made: Reported
    if isinstance(error, MemoryError):
        made = ResourcesError(
            "E-MEMORY",
            "Out of memory.",
            "Allow the process more memory (ulimit -v, the limits of the container), "
            "or reduce what it needs: --set run.threads=1.",
        )
    elif isinstance(error, RuntimeError) and "start new thread" in str(error):
        made = ResourcesError(
            "E-THREADS",
            "The system does not allow the process to start another thread.",
            "Allow it more threads or more memory (ulimit -u, ulimit -v, the limits of the container).",
        )
    else:
        made = InternalError(
            "E-INTERNAL",
            f"Unexpected failure: {type(error).__module__}.{type(error).__qualname__}.",
            "Please report it as a bug, with the output of the same command with --debug."
            + (" The same command with --resume finishes the run." if noted_visible(error) else ""),
        )
    made.__cause__ = error
    made.report = getattr(error, "report", None)
    note_report(made)
    return made


def note_report(error: BaseException) -> None:
    """Add to the error of a run that failed where its report is."""
    if isinstance(error, Reported) and error.report:
        path = error.report.report_path
        where = f"The report is '{path}'." if path else "The report could not be written."
        error.args = (error.code, error.message, f"{error.hint} {where}".lstrip())
