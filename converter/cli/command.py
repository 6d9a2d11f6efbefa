"""One command line, from its arguments to its exit code."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence

from converter.cli import streams
from converter.cli.outcome import Messages, Outcome
from converter.delivery import stops
from converter.errors import InternalError, Reported, ResourcesError, StoppedError, noted_visible


def command(args: Sequence[str]) -> int:
    """Run a command line in a process of its own; return its exit code."""
    messages = Messages.of(args)
    streams.secure()
    gc.disable()  # until all is loaded: nearly all of it stays, and looking it through is a tenth of the start
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # those of libraries are for who writes programs
    sys.unraisablehook = lambda lost: _lost(lost.exc_value, messages)
    threading.excepthook = lambda lost: _lost(lost.exc_value, messages)
    return run(args, messages)


def run(args: Sequence[str], messages: Messages) -> int:
    """Run the command line; return its exit code. What happens becomes one outcome, whatever it is."""
    try:
        with _resources():
            from converter.cli.app import parsed  # typer takes a while, and a signal may come

            outcome = parsed(args)(messages)
            if outcome.everything and not outcome.error:
                return messages.end(outcome)  # a signal may still come between
    except Reported as error:
        stops.hold()
        outcome = Outcome.of(error)
    except BaseException as error:  # a panic of the engine is no `Exception`
        stops.hold()
        outcome = Outcome.of(stops.within(error) or _internal(error))
    return messages.end(outcome)


def _internal(error: BaseException) -> InternalError:
    """Return our error for one that nobody had thought of; its text is not told, since it may quote data."""
    made = InternalError(
        "E-INTERNAL",
        f"Something failed in a way that nobody had thought of: {type(error).__module__}.{type(error).__qualname__}.",
        "Please report it as a bug, with what the same command says with --debug."
        + (" The same command with --resume finishes the run." if noted_visible(error) else ""),
    )
    made.__cause__ = error
    return made


def _lost(error: BaseException | None, messages: Messages) -> None:
    """Take what a destructor or a callback raised: nobody else can."""
    if isinstance(error, StoppedError):
        stops.raise_again()
    elif error is not None:
        messages.trace(error)


@contextlib.contextmanager
def _resources() -> Iterator[None]:
    """Tell of missing memory and threads in a sentence, wherever in the program it was that they were missing."""
    try:
        yield
    except MemoryError as error:
        raise ResourcesError(
            "E-MEMORY",
            "The memory does not suffice.",
            "Allow the process more (ulimit -v, the limits of the container), "
            "or let it do less at once: --set run.threads=1.",
        ) from error
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise ResourcesError(
            "E-THREADS",
            "The system does not let the process start another thread.",
            "Allow it more threads or more memory (ulimit -u, ulimit -v, the limits of the container).",
        ) from error
