"""`aam-inbound send`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converter.cli import options
from converter.cli.log_file import logged
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading
from converter.cli.progress import Mode, showing

if TYPE_CHECKING:
    from converter.report import SendReport


def send(
    files: Annotated[list[str], typer.Argument(metavar="FILES…", help="Inbound files, globs or folders.")],
    *,
    to: options.To = None,
    job_file: options.JobOption = None,
    set_: options.Settings = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Send files without reading them before, even if they break the rules.")
    ] = False,
    allow_both_modes: options.AllowBothModes = False,
    log_file: options.LogFile = None,
    resume: options.Resume = False,
    progress: options.Progress = "auto",
    quiet: options.Quiet = False,
    strict: options.Strict = False,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Send inbound files that exist: completely or not at all, and without overwriting any.

    \b
    Examples:
      aam-inbound send out/*.sync.*.gz --to s3://bucket/partner --set s3.acl=bucket-owner-full-control
      aam-inbound send out/*.gz --job job.toml --resume
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug  # `Messages.of` reads them
    flags = {"output.to": to or None, "output.allow_both_modes": allow_both_modes or None}
    changes = {"output": {}, **changes_from(flags, set_ or ())}
    shown: Mode = "off" if quiet and progress == "auto" else progress
    work = partial(_send, files, job_file, changes, shown, check=not no_check, resume=resume, strict=strict)
    return logged(log_file, work)


def _send(
    files: list[str],
    job_file: str | None,
    changes: dict[str, Any],
    progress: Mode,
    messages: Messages,
    *,
    check: bool,
    resume: bool,
    strict: bool,
) -> Outcome:
    from converter.jobs.job import Transfer

    transfer = Transfer.load(job_file, changes) if job_file else Transfer(**changes)
    with loading(transfer.run.threads):
        from converter.commands.send import send as run
    with showing(progress, messages) as update:
        report = run(
            files,
            transfer,
            check=check,
            resume=resume,
            progress=update,
            notify=messages.notice,
            warn=messages.warn,
            strict=strict,
        )
    messages.warn(report.warnings)
    return Outcome(
        report.outcome,
        fields=report.as_dict(),
        show=Outcome.show if messages.quiet else partial(_show, report),
        warnings=report.warnings,
    )


def _show(report: SendReport) -> None:
    from converter.report.texts import size

    for part in report.parts:
        print(f"{part.url}  {size(part.bytes)}")
