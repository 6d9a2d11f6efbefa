"""The run of one command line, from arguments to exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence

from converter.cli import streams
from converter.cli.outcome import Messages, Outcome
from converter.delivery import stops
from converter.errors import InternalError, Reported, ResourcesError, StoppedError, noted_visible


def command(args: Sequence[str]) -> int:
    """Run a command line as the only one of its process; return its exit code."""
    messages = Messages.of(args)
    streams.secure()
    gc.disable()  # until all is loaded: almost all of it stays, and collecting takes a tenth of the start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them reads what each package says
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # warnings of libraries are for programmers
    sys.unraisablehook = lambda lost: _lost(lost.exc_value, messages)
    threading.excepthook = lambda lost: _lost(lost.exc_value, messages)
    return run(args, messages)


def run(args: Sequence[str], messages: Messages) -> int:
    """Run the command line; return its exit code. Results and all errors become one outcome."""
    try:
        with _resources():
            from converter.cli.app import parsed  # slow, and a signal may arrive

            outcome = parsed(args)(messages)
            if outcome.prints_only and not outcome.error:
                return messages.end(outcome)  # here, since a signal may still arrive
    except Reported as error:
        stops.hold()
        outcome = Outcome.of(error)
    except BaseException as error:  # a panic of Polars is no `Exception`
        stops.hold()
        outcome = Outcome.of(stops.within(error) or _internal(error))
    return messages.end(outcome)


def _internal(error: BaseException) -> InternalError:
    """Return the error to report for an unexpected one, without its text, which may quote data."""
    made = InternalError(
        "E-INTERNAL",
        f"Unexpected failure: {type(error).__module__}.{type(error).__qualname__}.",
        "Please report it as a bug, with the output of the same command with --debug."
        + (" The same command with --resume finishes the run." if noted_visible(error) else ""),
    )
    made.__cause__ = error
    return made


def _lost(error: BaseException | None, messages: Messages) -> None:
    """Handle an error that a destructor or a callback raised, which no other code can catch."""
    if isinstance(error, StoppedError):
        stops.raise_again()
    elif error is not None:
        messages.trace(error)


@contextlib.contextmanager
def _resources() -> Iterator[None]:
    """Turn missing memory and threads into `ResourcesError`, wherever they were missing."""
    try:
        yield
    except MemoryError as error:
        raise ResourcesError(
            "E-MEMORY",
            "Out of memory.",
            "Allow the process more memory (ulimit -v, the limits of the container), "
            "or reduce what it needs: --set run.threads=1.",
        ) from error
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise ResourcesError(
            "E-THREADS",
            "The system does not allow the process to start another thread.",
            "Allow it more threads or more memory (ulimit -u, ulimit -v, the limits of the container).",
        ) from error
