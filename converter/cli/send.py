"""`aam-inbound send`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from converter.cli.lines import warning_line
from converter.cli.signals import stop_on_signals


def send(
    files: Annotated[list[str], typer.Argument(metavar="FILES…", help="Inbound files, under the names to send.")],
    *,
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where to: a folder, s3://, ftp://, ftps:// or sftp://."),
    ] = None,
    job_file: Annotated[
        str | None, typer.Option("--job", metavar="JOB.toml", help="A job file, for where to and how.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the job file, such as s3.acl; may be repeated."),
    ] = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Send files also where their names or contents break the rules.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where sending these files died; start where it did not.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")] = False,
) -> None:
    """Send inbound files that exist already: whole or not at all, and nothing is overwritten.

    \b
    Examples:
      aam-inbound send out/*.sync.*.gz --to s3://bucket/partner --set s3.acl=bucket-owner-full-control
      aam-inbound send out/*.gz --job job.toml --resume
    """  # noqa: D301 - the mark keeps the lines that follow as they are
    del debug  # main() looks for it
    stop_on_signals()
    from converter.document import changes_of, merge
    from converter.job import Transfer
    from converter.report.terminal import size
    from converter.send import send as run

    changes: dict[str, Any] = merge({"output": {"to": to}} if to else {}, changes_of(set_ or ()))
    transfer = Transfer.load(job_file, changes) if job_file else Transfer(**merge({"output": {}}, changes))
    sent = run(files, transfer, check=not no_check, resume=resume, notify=None if quiet else _say)
    if quiet:
        return
    for warning in sent.warnings:
        print(warning_line(warning), file=sys.stderr)
    for part in sent.parts:
        print(f"{part.url}  {size(part.bytes)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
