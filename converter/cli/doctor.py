"""`aam-inbound doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from converter.cli.lines import finding_line
from converter.cli.signals import stop_on_signals


def doctor(
    job_file: Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file.")],
    *,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any key of the job file; may be repeated.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")] = False,
) -> None:
    """Check a job's input, folders and destination; convert nothing.

    A line for each finding: ok, warning or error, and what to do. Ends with 1 where there is an error.
    """
    del debug  # main() looks for it
    stop_on_signals()
    from converter.doctor import doctor as findings_of
    from converter.document import changes_of
    from converter.job import Job

    findings = findings_of(Job.load(job_file, changes_of(set_ or ())))
    for finding in findings:
        print(finding_line(finding))
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)
