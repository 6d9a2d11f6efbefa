"""`aam-inbound send`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converter.cli import machine
from converter.cli.outcome import Messages, Outcome, Work

if TYPE_CHECKING:
    from converter.commands.send import Sent


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
    json_: Annotated[bool, typer.Option("--json", help="Print the outcome as one object of JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> Work:
    """Send inbound files that exist already: whole or not at all, and nothing is overwritten.

    \b
    Examples:
      aam-inbound send out/*.sync.*.gz --to s3://bucket/partner --set s3.acl=bucket-owner-full-control
      aam-inbound send out/*.gz --job job.toml --resume
    """  # noqa: D301 - the mark keeps the lines that follow as they are
    del json_, debug  # `Messages.of` looks for them
    changes = {"output": {"to": to}} if to else {}
    return partial(_sent, files, job_file, changes, set_ or (), check=not no_check, resume=resume, quiet=quiet)


def _sent(
    files: list[str],
    job_file: str | None,
    changes: dict[str, Any],
    settings: Iterable[str],
    messages: Messages,
    *,
    check: bool,
    resume: bool,
    quiet: bool,
) -> Outcome:
    from converter.jobs.document import changes_of, merge
    from converter.jobs.job import Transfer

    changes = merge(changes, changes_of(settings))
    transfer = Transfer.load(job_file, changes) if job_file else Transfer(**merge({"output": {}}, changes))
    machine.before_loading(transfer.run.threads)
    from converter.commands.send import send as run

    machine.loaded()
    sent = run(files, transfer, check=check, resume=resume, notify=None if quiet else messages.notice)
    return Outcome(
        sent.outcome,
        fields={"parts": [asdict(part) for part in sent.parts]},
        show=Outcome.show if quiet else partial(_show, sent, messages),
        warnings=sent.warnings,
    )


def _show(sent: Sent, messages: Messages) -> None:
    from converter.report.terminal import size

    messages.warn(sent.warnings)
    for part in sent.parts:
        print(f"{part.url}  {size(part.bytes)}")
