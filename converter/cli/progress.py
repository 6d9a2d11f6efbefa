"""Progress: a bar on a terminal, plain lines elsewhere, JSON lines for programs, or nothing. On standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from converter.cli.outcome import Messages

if TYPE_CHECKING:
    from converter.commands.progress import Progress

Mode = Literal["auto", "json", "off"]

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_OBJECTS = 1.0


@contextmanager
def showing(mode: Mode, messages: Messages) -> Iterator[Callable[[Progress], None] | None]:
    """Yield a function that shows progress in the given mode; a bar is removed at the end."""
    if mode == "off":
        yield None
    elif mode == "json":
        yield _every(_SECONDS_BETWEEN_OBJECTS, messages)
    elif sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _every(_SECONDS_BETWEEN_LINES, messages)


def _every(seconds: float, messages: Messages) -> Callable[[Progress], None]:
    """Return a function that prints progress at most once in `seconds`."""
    last = time.monotonic()

    def update(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            messages.progress(_line(progress), asdict(progress))

    return update


def _line(progress: Progress) -> str:
    """Return progress as one line, for logs."""
    share = "" if progress.share is None else f"{progress.share:.0%}: "
    from converter.cli.figures import facts_of  # here, since few runs take so long

    facts = [_phase(progress), *facts_of(progress), f"{progress.seconds:.0f} s"]
    if progress.seconds_left is not None:
        facts.append(f"{progress.seconds_left:.0f} s left")
    return f"{share}{', '.join(facts)}"


def _phase(progress: Progress) -> str:
    """Return what the run does and, in brackets, what it waits for."""
    if not progress.waiting:
        return progress.phase
    seconds = "" if progress.waiting_seconds is None else f"{progress.waiting_seconds:.0f} s "
    return f"{progress.phase} (waiting {seconds}for {progress.waiting})"


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.live import Live

    from converter.cli.bar import Bar
    from converter.cli.console import error_console

    bar = Bar()
    with Live(bar, console=error_console(), refresh_per_second=4, transient=True):
        yield bar.update
