"""`aam-inbound check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from converter.cli import options
from converter.cli.files import write_file
from converter.cli.foreseen import with_traits
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading
from converter.columns.printable import cut
from converter.errors import Finding, GuardError

if TYPE_CHECKING:
    from converter.report.checks import CheckReport

_MOST_OF_PATH = 4096  # characters


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILES…", help="Inbound files, globs, folders or URLs.")],
    *,
    job_file: Annotated[
        str | None, typer.Option("--job", metavar="JOB.toml", help="Job file with the settings of servers.")
    ] = None,
    set_: options.Settings = None,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Also write a JUnit file, for CI services.")] = None,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Also write an HTML page.")] = None,
    ndjson: Annotated[
        bool, typer.Option("--ndjson", help="Print one JSON object for each line that breaks a rule.")
    ] = False,
    traits: options.TraitList = None,
    lost: Annotated[
        str | None,
        typer.Option("--unused", metavar="FILE", help="With --traits: write signals that are lost, as CSV."),
    ] = None,
    quiet: options.Quiet = False,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Check inbound files by Audience Manager's rules: names, sizes, compression, and every line.

    The files may be of any program, also on servers (s3://, sftp:// …). Of each rule the first 10 lines are shown, with
    a for letters and 0 for digits.
    The exit code is 0 if there are only warnings, and 3 if there are errors.

    \b
    Examples:
      aam-inbound check out/
      aam-inbound check 'out/*.gz' --strict --junit check.xml
      aam-inbound check s3://bucket/partner/ --set s3.region=eu-central-1
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug, quiet  # `Messages.of` reads them
    work = partial(_check, files, job_file, set_ or (), junit, strict=strict, ndjson=ndjson, html=html)
    return with_traits(work, files, job_file, set_ or (), traits=traits, lost=lost)


def _check(
    files: list[str],
    job_file: str | None,
    settings: Iterable[str],
    junit: str | None,
    messages: Messages,
    *,
    strict: bool,
    ndjson: bool,
    html: str | None,
) -> Outcome:
    from converter.jobs.file_access import FileAccess

    changes = changes_from({}, settings)
    access = FileAccess.load(job_file, changes) if job_file else FileAccess(**changes)
    with loading(access.run.threads):
        from converter.commands.check_files import check as run

    def notify(path: str) -> None:
        messages.notice(cut(path, _MOST_OF_PATH))

    report = run(files, access, notify=notify if sys.stderr.isatty() else None)
    if junit is not None:
        write_file(junit, report.junit())
    if html is not None:
        report.write_html(Path(html))
    counts = report.counts
    broken = counts["error"] + (counts["warning"] if strict else 0)
    error = None
    if broken:
        message = f"{broken:,} rule{'s are' if broken > 1 else ' is'} broken."
        error = GuardError("E-CHECK-RULES", message, "--json also has the pages of the rules.")
    show = partial(_show_lines, report) if ndjson else partial(_show, report, only_errors=messages.quiet and not strict)
    return Outcome(
        name="refused" if error else "done",
        exit_code=error.exit_code if error else 0,
        fields=report.as_dict(),
        show=show,
        error=Finding.of(error) if error else None,
        prints_only=True,
    )


def _show(report: CheckReport, *, only_errors: bool) -> None:
    from converter.report.checks import place, sentence
    from converter.report.texts import counted, size
    from converter.spec.files import LEVELS

    for file in report.files:
        findings = [each for each in file.findings if each.level == "error" or not only_errors]
        if only_errors and not findings:
            continue
        lines = "" if file.lines is None else f", {counted(file.lines, 'line')}"
        print(f"{cut(file.path, _MOST_OF_PATH)}  {size(file.bytes)}{lines}")
        for found in findings:
            print(f"  {found.level:<7} {sentence(found)}")
            for example in found.examples:
                print(f"          {place(example)}: {example.shape}")
            if found.fix:
                print(f"          {found.fix}")
    if only_errors:
        return
    if report.left_out:
        print(f"{counted(len(report.left_out), 'other file')} in these folders, such as reports, not checked")
    counts = (counted(report.counts[level], level) for level in LEVELS if level != "hint" or report.counts[level])
    print(f"{counted(len(report.files), 'file')}: {', '.join(counts)}")


def _show_lines(report: CheckReport) -> None:
    for found in report.findings():
        print(json.dumps(found))
