"""`aam-inbound history`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from
from converter.jobs.paths import is_url

if TYPE_CHECKING:
    from converter.commands.report_files import History

_FATES = ("read", "written", "rejected", "skipped")


def history(
    folder: Annotated[
        str, typer.Argument(metavar="[FOLDER]", help="The folder or s3:// URL of report.dir.")
    ] = "reports",
    *,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write an HTML page of the last 30 days.")
    ] = None,
    set_: options.Settings = None,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """List the runs of a report folder, the latest first: when, how they ended, and what became of their rows.

    \b
    Examples:
      aam-inbound history
      aam-inbound history s3://BUCKET/reports --html reports.html
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug  # `Messages.of` reads them
    return partial(_list, folder, html, changes_from({}, set_ or ()))


def _list(folder: str, html: str | None, changes: dict[str, Any], messages: Messages) -> Outcome:
    from converter.commands.report_files import history as run
    from converter.jobs.job import Transfer

    settings = Transfer(**changes, output={"to": folder}).s3 if is_url(folder) else None
    found = run(folder, settings)
    if html is not None:
        found.write_html(html)
    if found.unread:
        others = f", and {len(found.unread) - 1:,} others" if len(found.unread) > 1 else ""
        messages.notice(f"Not read, since it is not a report of a run: {found.unread[0]}{others}.")
    return Outcome(fields=found.as_dict(), show=partial(_show, found), prints_only=True)


def _show(found: History) -> None:
    from converter.report.texts import visible, when

    if not found.runs:
        print(f"There are no reports of runs in '{visible(found.folder, 300)}'.")
        return
    rows: list[tuple[str, ...]] = [("begun", "outcome", *_FATES, "seconds", "run")]
    for run in found.runs:
        counts = ["-" if run[fate] is None else f"{run[fate]:,}" for fate in _FATES]
        ended = f"{run['outcome']} {run['error']}" if run["error"] else run["outcome"]
        words = (visible(each, 300) for each in (when(run["started"])[:19], ended))
        rows.append((*words, *counts, f"{run['seconds']:,.1f}", visible(run["name"], 300)))
    if sys.stdout.isatty():
        _draw(rows)
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if 1 < index < 7 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def _draw(rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table  # here, since it is slow, and programs have no terminal
    from rich.text import Text

    from converter.cli.console import console

    table = Table(box=None, padding=(0, 2, 0, 0))
    for index, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if 1 < index < 7 else "left", overflow="fold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    console().print(table)
