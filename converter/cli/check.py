"""`aam-inbound check`."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import loading
from converter.errors import DestinationError, Finding, GuardError

if TYPE_CHECKING:
    from converter.report.checks import CheckReport


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILES…", help="Inbound files, globs or folders.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Also write a JUnit file, for CI services.")] = None,
    ndjson: Annotated[
        bool, typer.Option("--ndjson", help="Print one JSON object for each line that breaks a rule.")
    ] = False,
    quiet: options.Quiet = False,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Check inbound files by Audience Manager's rules: names, sizes, compression, and every line.

    The files may be of any program. Of each rule the first 10 lines are shown, with a for letters and 0 for digits.
    The exit code is 0 if there are only warnings, and 3 if there are errors.

    \b
    Examples:
      aam-inbound check out/
      aam-inbound check 'out/*.gz' --strict --junit check.xml
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug, quiet  # `Messages.of` reads them
    return partial(_check, files, junit, strict=strict, ndjson=ndjson)


def _check(files: list[str], junit: str | None, messages: Messages, *, strict: bool, ndjson: bool) -> Outcome:
    with loading(0):
        from converter.commands.check_files import check as run
    report = run(files, notify=messages.notice if sys.stderr.isatty() else None)
    if junit is not None:
        _write(junit, report.junit())
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


def _write(path: str, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise DestinationError(
            "E-FOLDER-WRITE", f"The file '{path}' cannot be written: {error.strerror or error}."
        ) from error


def _show(report: CheckReport, *, only_errors: bool) -> None:
    from converter.report.checks import place, sentence
    from converter.report.terminal import size

    for file in report.files:
        findings = [each for each in file.findings if each.level == "error" or not only_errors]
        if only_errors and not findings:
            continue
        lines = "" if file.lines is None else f", {file.lines:,} lines"
        print(f"{file.path}  {size(file.bytes)}{lines}")
        for found in findings:
            print(f"  {found.level:<7} {sentence(found)}")
            for example in found.examples:
                print(f"          {place(example)}: {example.shape}")
    if only_errors:
        return
    numbers = [(len(report.files), "file"), *((report.counts[level], level) for level in ("error", "warning"))]
    files, *others = (f"{number:,} {noun}{'s' * (number != 1)}" for number, noun in numbers)
    print(f"{files}: {', '.join(others)}")


def _show_lines(report: CheckReport) -> None:
    for found in report.findings():
        print(json.dumps(found))
