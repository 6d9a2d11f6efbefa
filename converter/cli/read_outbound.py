"""`aam-inbound read-outbound`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converter.cli import options
from converter.cli.files import output_at
from converter.cli.lines import print_numbers
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading
from converter.cli.progress import Mode, showing
from converter.errors import JobError

if TYPE_CHECKING:
    from converter.report.outbound import OutboundReport


_Files = Annotated[
    list[str], typer.Argument(metavar="FILES…", help="Outbound files, globs, folders or URLs, with their .info files.")
]
_To = Annotated[str, typer.Option("--to", metavar="FILE", help="Output file; - is standard output.")]
_Format = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="parquet, csv or ndjson; else by the suffix of the output."),
]
_Line = Annotated[
    str | None,
    typer.Option("--line", metavar="TEMPLATE", help="Template of the lines, in Adobe's notation; else found by file."),
]
_Aliases = Annotated[
    bool, typer.Option("--aliases", help="Segments are any text, such as integration codes, not only numbers.")
]
_NoVerify = Annotated[bool, typer.Option("--no-verify", help="Do not compare files with their .info files.")]
_Rejects = Annotated[
    str | None, typer.Option("--rejects", metavar="FILE", help="Also write the numbers of rejected lines, as NDJSON.")
]
_Force = Annotated[bool, typer.Option("--force", help="Replace output files that exist.")]


def read_outbound(
    files: _Files,
    *,
    to: _To,
    format_: _Format = None,
    line: _Line = None,
    aliases: _Aliases = False,
    no_verify: _NoVerify = False,
    rejects: _Rejects = None,
    max_rejects: options.MaxRejects = None,
    force: _Force = False,
    set_: options.Settings = None,
    progress: options.Progress = "auto",
    quiet: options.Quiet = False,
    strict: options.Strict = False,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Read Audience Manager's outbound files into one table: user IDs with their segments and removed segments.

    Sizes, lines and checksums are compared with the .info files that are given or beside the files. If they differ, or
    files are missing, the exit code is 3 and there is no output. What was assumed about the files is reported.

    \b
    Examples:
      aam-inbound read-outbound transfer/ --to segments.parquet
      aam-inbound read-outbound s3://bucket/outbound/ --to segments.csv --rejects wrong.ndjson
      aam-inbound read-outbound S3_1234_20914_full_1486140844000.sync.gz --to - | head
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del debug, quiet  # `Messages.of` reads them
    if json_ and to == "-":
        raise JobError("E-USAGE", "With --json, rows cannot be written to standard output.", "Set a file: --to FILE.")
    changes = changes_from({"input.path": files, "report.max_rejects": max_rejects}, set_ or ())
    how = {
        "output_format": format_,
        "line": line,
        "aliases": aliases,
        "verify": not no_verify,
        "rejects": rejects,
        "force": force,
        "strict": strict,
    }
    return partial(_read, changes, to, how, progress)


def _read(changes: dict[str, Any], to: str, how: dict[str, Any], mode: Mode, messages: Messages) -> Outcome:
    from converter.jobs.outbound import OutboundInput

    job = OutboundInput(**changes)
    with loading(job.run.threads):
        from converter.commands.read_outbound import read_outbound as run
        from converter.report.left_out import left_out_notices
    mode = "off" if messages.quiet and mode == "auto" else mode
    with output_at(to, "--to") as destination, showing(mode, messages) as progress:
        report = run(job, destination, progress=progress, **how)
    for notice in left_out_notices(report.left_out):
        messages.notice(notice)
    messages.warn(report.warnings)
    show = Outcome.show if messages.quiet else partial(_show, report, sys.stderr if to == "-" else sys.stdout)
    return Outcome(fields=report.as_dict(), show=show, warnings=report.warnings)


def _show(report: OutboundReport, file: Any) -> None:
    """Print the counts, and what was assumed."""
    from converter.report.texts import counted

    print_numbers(report.summary(), file)
    for rule, count in report.assumed.items():
        where = "" if len(report.files) == 1 else f" ({counted(count, 'file')})"
        print(f"Assumed: {rule.text} ({rule.code} {rule.name}){where}", file=file)
