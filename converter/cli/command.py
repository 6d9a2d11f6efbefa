"""The run of one command line, from arguments to exit code."""

from __future__ import annotations

import gc
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from types import TracebackType

from converter.cli import streams
from converter.cli.outcome import Messages, Outcome
from converter.delivery import stops
from converter.delivery.unexpected import reported
from converter.errors import StoppedError

_SPARED = (
    *(f"smart_open.{name}" for name in ("azure", "ftp", "gcs", "hdfs", "http", "ssh", "webhdfs")),
    "urllib3.contrib.pyopenssl",
)
"""Modules that libraries import where they can, for what is never used here. They load paramiko, requests, OpenSSL …"""


def command(args: Sequence[str]) -> int:
    """Run a command line as the only one of its process; return its exit code."""
    messages = Messages.of(args)
    streams.secure()
    gc.disable()  # until all is loaded: almost all of it stays, and collecting takes a tenth of the start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them reads what each package says
    for name in _SPARED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # as where its libraries are not installed
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # warnings of libraries are for programmers
    sys.unraisablehook = lambda lost: _lost(lost.exc_value, messages)
    threading.excepthook = lambda lost: _lost(lost.exc_value, messages)
    sys.excepthook = _shown
    return run(args, messages)


def run(args: Sequence[str], messages: Messages) -> int:
    """Run the command line; return its exit code. Results and all errors become one outcome."""
    try:
        from converter.cli.app import parsed  # slow, and a signal may arrive

        outcome = parsed(args)(messages)
        if outcome.prints_only and not outcome.error:
            return messages.end(outcome)  # here, since a signal may still arrive
    except BaseException as error:  # a panic of Polars is not an `Exception`
        stops.hold()
        outcome = Outcome.of(reported(error))
    return messages.end(outcome)


def _lost(error: BaseException | None, messages: Messages) -> None:
    """Handle an error that a destructor or a callback raised, which no other code can catch."""
    if isinstance(error, StoppedError):
        stops.raise_again()
    elif error is not None:
        messages.trace(error)


def _shown(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an error that compiled code prints before it raises another one, but no signal: `reported` finds that."""
    if not isinstance(error, StoppedError):
        sys.__excepthook__(kind, error, trace)
