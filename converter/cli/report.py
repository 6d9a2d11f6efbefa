"""`aam-inbound report`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from
from converter.jobs.paths import is_url


def report(
    reports: Annotated[list[str], typer.Argument(metavar="REPORT.json…", help="Reports of runs, files or s3:// URLs.")],
    *,
    set_: options.Settings = None,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Make the page of a report, NAME.report.html beside it, in place of an older one.

    The reports may be of convert and send, and what check and match print with --json.

    \b
    Examples:
      aam-inbound report reports/*.report.json
      aam-inbound report s3://BUCKET/reports/NAME.report.json --set s3.region=eu-west-1
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug  # `Messages.of` reads them
    return partial(_make, reports, changes_from({}, set_ or ()))


def _make(reports: list[str], changes: dict[str, Any], messages: Messages) -> Outcome:
    del messages
    from converter.commands.report_files import make_page
    from converter.jobs.job import Transfer

    pages = []
    for path in reports:
        settings = Transfer(**changes, output={"to": path}).s3 if is_url(path) else None
        pages.append(make_page(path, settings))
    return Outcome(fields={"pages": pages}, show=partial(_show, pages), prints_only=True)


def _show(pages: list[str]) -> None:
    for page in pages:
        print(page)
