"""`aam-inbound doctor`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Annotated

import typer

from converter.cli import options
from converter.cli.lines import finding_line
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading
from converter.errors import Finding


def doctor(
    job_file: Annotated[str, typer.Argument(metavar="JOB.toml", help="Job file.")],
    *,
    set_: options.Settings = None,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Check the input, folders and destination of a job, without converting.

    Prints a line for each finding: ok, warning or error, and what to do. The exit code is 1 if there is an error.
    """
    del json_, debug  # `Messages.of` reads them
    return partial(_check, job_file, set_ or ())


def _check(job_file: str, settings: Iterable[str], messages: Messages) -> Outcome:
    del messages
    from converter.jobs.job import Job

    job = Job.load(job_file, changes_from({}, settings))
    with loading(job.run.threads):
        from converter.commands.doctor import doctor as run
    findings = run(job)
    error = next((finding for finding in findings if finding.level == "error"), None)
    return Outcome(
        name="failed" if error else "done",
        exit_code=1 if error else 0,
        fields={"findings": [finding.as_dict() for finding in findings]},
        show=partial(_show, findings),
        warnings=[finding for finding in findings if finding.level == "warning"],
        error=error,
        prints_only=True,
    )


def _show(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(finding_line(finding))
