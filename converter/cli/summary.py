"""The summary of a run: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys

from converter.cli.lines import print_numbers
from converter.report import Report
from converter.report.terminal import summary


def show(report: Report) -> None:
    """Print the summary of a run."""
    lines = summary(report)
    if sys.stdout.isatty():
        _draw(lines)
    else:
        print_numbers(lines)


def _draw(lines: list[tuple[str, str]]) -> None:
    from rich.table import Table  # here, since it is slow, and many runs have no terminal

    from converter.cli.console import console

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(*line)
    console().print(table)
