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
    from converter.commands.conversion import Progress

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
    from converter.report.terminal import size

    total = progress.bytes_total
    share = "" if total is None else f"{progress.bytes_read / max(total, 1):.0%}: "
    return (
        f"{share}{progress.rows:,} rows, {size(progress.bytes_read)} read, {progress.parts} parts finished, "
        f"{progress.rejected:,} rejected, {progress.skipped:,} skipped, {progress.seconds:.0f} s"
    )


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rows]:,} rows  {task.fields[parts]} parts, {task.fields[arrived]} there"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("converting", total=None, rows=0, parts=0, arrived=0)

        def update(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.bytes_read,
                total=progress.bytes_total,
                rows=progress.rows,
                parts=progress.parts,
                arrived=progress.arrived,
            )

        yield update
