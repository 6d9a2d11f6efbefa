"""`aam-inbound inspect`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading

if TYPE_CHECKING:
    from converter.jobs.reading import Reading
    from converter.report.inspections import Inspection


def inspect(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT…", help="Files, globs (in quotes), folders, URLs, or - for a pipe.")
    ],
    *,
    format_: options.Format = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The text has no header; columns are column_1, column_2 …")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Count all rows, which reads the whole input.")] = False,
    write_job: Annotated[
        str | None, typer.Option(metavar="JOB.toml", help="Also write a first job, with comments; no file is replaced.")
    ] = None,
    set_: options.Settings = None,
    quiet: options.Quiet = False,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Show what a table holds, and which of its columns may be the ID, signals or traits.

    A sample of the rows is read, a few seconds at most. Values that may be personal are masked.

    \b
    Examples:
      aam-inbound inspect crm.csv
      aam-inbound inspect 'exports/*.csv.gz' --full --json
      aam-inbound inspect crm.csv --write-job job.toml
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug, quiet  # `Messages.of` reads them
    changes = changes_from({"input.path": inputs, "input.format": format_}, set_ or ())
    return partial(_inspect, changes, write_job, full=full, no_header=no_header)


def _inspect(
    changes: dict[str, Any], write_job: str | None, messages: Messages, *, full: bool, no_header: bool
) -> Outcome:
    from converter.jobs.reading import Reading

    reading = Reading(**changes)
    inspection = inspected(reading, messages, full=full, no_header=no_header)
    fields = inspection.as_dict()
    if write_job is not None:
        inspection.write_job(write_job)
        fields["job_file"] = write_job
    messages.warn(inspection.warnings)
    show = partial(_show, inspection, write_job, quiet=messages.quiet)
    return Outcome(fields=fields, show=show, warnings=inspection.warnings, prints_only=True)


def inspected(reading: Reading, messages: Messages, *, full: bool = False, no_header: bool = False) -> Inspection:
    """Inspect an input, and print notices about files that are not read."""
    with loading(reading.run.threads):
        from converter.commands.inspect import inspect as run
        from converter.report.left_out import left_out_notices
    inspection = run(reading, full=full, no_header=no_header)
    for notice in left_out_notices(inspection.left_out):
        messages.notice(notice)
    return inspection


def _show(inspection: Inspection, job_file: str | None, *, quiet: bool) -> None:
    from converter.cli.profiles import show, show_next

    if not quiet:
        show(inspection)
        show_next(inspection, job_file)
