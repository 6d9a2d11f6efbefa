"""`aam-inbound sync-urls`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from converter.cli import options
from converter.cli.files import output_at
from converter.cli.lines import print_numbers
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading
from converter.errors import Finding, JobError

if TYPE_CHECKING:
    from converter.jobs.url_job import UrlJob
    from converter.ledger import Ledger
    from converter.sources.origins.base import LeftOut


def sync_urls(
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="JOB.toml|TABLE…", help="Job file, or tables with the IDs.")
    ] = None,
    *,
    input_: options.Input = None,
    job_file: options.JobOption = None,
    id_: options.IdColumn = None,
    id_type: options.IdType = None,
    dpid: options.Dpid = None,
    redirect: Annotated[
        str, typer.Option(metavar="URL", help="URL to redirect browsers to; contains ${DD_UUID}. In single quotes.")
    ] = "",
    gdpr: Annotated[
        int | None, typer.Option(metavar="0|1", help="Whether the GDPR applies; with --gdpr-consent.")
    ] = None,
    gdpr_consent: Annotated[str, typer.Option(metavar="TEXT", help="The consent, as URL-safe Base64.")] = "",
    format_: Annotated[
        Literal["csv", "ndjson"], typer.Option("--format", metavar="csv|ndjson", help="Format of the output.")
    ] = "csv",
    image: Annotated[bool, typer.Option("--image", help="Write each address as an HTML image, for e-mails.")] = False,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Output file; - is standard output.")
    ] = "-",
    set_: options.Settings = None,
    max_rejects: options.MaxRejects = None,
    quiet: options.Quiet = False,
    strict: options.Strict = False,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Write addresses that synchronize the IDs of tables by HTTP, one for each row.

    Options take precedence over the job file, and --set over other options. The counts of rows are printed to standard
    error.

    \b
    Examples:
      aam-inbound sync-urls crm.csv --id crm_id --dpid 1234 > urls.csv
      aam-inbound sync-urls job.toml --redirect 'https://example.com/sync?id=${DD_UUID}' -o urls.csv
      aam-inbound sync-urls crm.parquet --id crm_id --dpid 1234 --set id.case=lower --image --format ndjson
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del debug, quiet  # `Messages.of` reads them
    if json_ and output == "-":
        raise JobError(
            "E-USAGE", "With --json, addresses cannot be written to standard output.", "Set a file: --output FILE."
        )
    flags = {"id.column": id_, "id.type": id_type, "output.dpid": dpid, "report.max_rejects": max_rejects}
    given = [*(tables or ()), *(input_ or ())]
    how = {
        "redirect": redirect,
        "gdpr": gdpr,
        "gdpr_consent": gdpr_consent,
        "form": format_,
        "image": image,
        "strict": strict,
    }
    return partial(_write, given, job_file, flags, set_ or [], output, how)


def _write(
    tables: list[str],
    job_file: str | None,
    flags: dict[str, Any],
    settings: list[str],
    output: str,
    how: dict[str, Any],
    messages: Messages,
) -> Outcome:
    job = _job(tables, job_file, flags, settings)
    with loading(job.run.threads):
        from converter.commands.sync_urls import sync_urls as run
        from converter.report import records_of, rule_warnings
        from converter.report.left_out import by_reason
    warnings: list[Finding] = []
    left_out: list[LeftOut] = []

    def warn(found: Sequence[Finding]) -> None:
        warnings.extend(found)
        messages.warn(found)

    with output_at(output, "--output") as destination:
        ledger = run(job, destination, warn=warn, notify=messages.notice, left_out=left_out.extend, **how)
    warnings += rule_warnings(ledger.warnings)
    messages.warn(warnings)
    show = Outcome.show if messages.quiet else partial(_show, ledger)
    fields = {**records_of(ledger), "left_out": by_reason(left_out)}
    return Outcome(fields=fields, show=show, warnings=warnings)


def _job(tables: list[str], job_file: str | None, flags: dict[str, Any], settings: list[str]) -> UrlJob:
    """Return the job of a file, flags and settings; the first argument may be the job file."""
    from converter.jobs.url_job import UrlJob

    if job_file is None and tables and tables[0].endswith(".toml"):
        job_file, *tables = tables
    changes = changes_from({"input.path": tables or None, **flags}, settings)
    return UrlJob.load(job_file, changes) if job_file else UrlJob(**changes)


def _show(ledger: Ledger) -> None:
    """Print the counts of rows to standard error."""
    from converter.report.texts import figure  # here, as other modules of reports

    lines = [
        figure(ledger.read, "row", " read"),
        figure(ledger.written, "address", " written", nouns="addresses"),
        *((f"{count:,}", f"rejected: {name}") for name, count in sorted(ledger.rejected.items())),
        *((f"{count:,}", f"skipped: {name}") for name, count in sorted(ledger.skipped.items())),
    ]
    print_numbers(lines, sys.stderr)
