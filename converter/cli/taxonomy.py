"""`aam-inbound taxonomy`."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from converter.cli import options
from converter.cli.files import write_file
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading
from converter.columns.printable import cut
from converter.errors import Finding, GuardError, JobError

if TYPE_CHECKING:
    from converter.jobs.job import Job
    from converter.report.taxonomy import Taxonomy, Unknown

_MOST_VALUES = 10
_MOST_KEYS = 200
_NARROWEST = 20  # characters for a value


def taxonomy(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT…", help="Inbound files, globs or folders; with --job, tables; or a job file."),
    ] = None,
    *,
    job_file: options.JobOption = None,
    against: Annotated[
        str | None, typer.Option(metavar="FILE", help="A list of known keys and values (CSV or JSON) to compare with.")
    ] = None,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Also write all keys and values as CSV.")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=1_000_000, help="Values of a key that are counted exactly.")
    ] = 10_000,
    strict: Annotated[
        bool, typer.Option("--strict", help="With --against: values that differ by case alone are unknown, too.")
    ] = False,
    set_: options.Settings = None,
    quiet: options.Quiet = False,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """List the keys of inbound files, or of tables as a job sends them, with their values and counts.

    Files may be of any program, plain or gzip. Values that look like personal data are masked. With --against, the exit
    code is 3 if there are values that the list does not have.

    \b
    Examples:
      aam-inbound taxonomy out/
      aam-inbound taxonomy job.toml --csv known.csv
      aam-inbound taxonomy today.csv --job job.toml --against known.csv
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug, quiet  # `Messages.of` reads them
    given = list(inputs or ())
    if job_file is None and given and given[0].endswith(".toml"):
        job_file, *given = given
    if not given and job_file is None:
        raise JobError("E-USAGE", "Missing argument 'INPUT…'.", "See: aam-inbound taxonomy --help.")
    return partial(_list, given, job_file, set_ or [], against, csv, limit, strict=strict)


def _list(
    given: list[str],
    job_file: str | None,
    settings: list[str],
    against: str | None,
    csv: str | None,
    limit: int,
    messages: Messages,
    *,
    strict: bool,
) -> Outcome:
    job = _job(job_file, given, settings)
    with loading(job.run.threads if job else 0):
        from converter.commands.taxonomy import taxonomy as run
    notify = messages.notice if sys.stderr.isatty() else None
    found = run(() if job else given, job=job, against=against, limit=limit, notify=notify)
    if csv is not None:
        write_file(csv, found.csv())
    unknown = found.unknown_signals + (sum(each.count for each in found.case) if strict else 0)
    error = None
    if unknown:
        from converter.report.texts import counted  # here, with the other modules of reports

        have = counted(unknown, "signal has", "signals have")
        message = f"{have} keys or values that '{against}' does not have."
        error = GuardError("E-TAXONOMY-UNKNOWN", message, "Add them to the list, or correct the data.")
    return Outcome(
        name="refused" if error else "done",
        exit_code=error.exit_code if error else 0,
        fields=found.as_dict() if messages.as_json else {},
        show=partial(_show, found, messages, compared=against is not None),
        error=Finding.of(error) if error else None,
        warnings=found.warnings,
        prints_only=True,
    )


def _job(job_file: str | None, tables: list[str], settings: list[str]) -> Job | None:
    """Return the job of a file, with tables as its input, if there are some; `None` without a job file."""
    if job_file is None:
        if settings:
            raise JobError("E-USAGE", "--set is for jobs.", "Name a job file: --job JOB.toml.")
        return None
    from converter.jobs.job import Job

    return Job.load(job_file, changes_from({"input.path": tables or None}, settings))


def _show(found: Taxonomy, messages: Messages, *, compared: bool) -> None:
    from converter.report.texts import counted

    messages.warn(found.warnings)
    if messages.quiet:
        return
    width = max(_NARROWEST, shutil.get_terminal_size().columns - 20) if sys.stdout.isatty() else 200
    sizes = found.sizes
    for number, key in enumerate(found.listed(_MOST_VALUES)):
        if number == _MOST_KEYS:
            print(f"… and {found.totals.height - _MOST_KEYS:,} more keys")
            break
        count = sizes.get(key.key, 0)
        values = counted(count, "value") if key.is_whole else f"{count:,} of more values"
        print(f"{cut(key.key, width)}  {values}, {counted(key.signals, 'signal')}")
        for value in key.values:
            about = "" if value.at_most == value.count else f" to {value.at_most:,}"
            print(f"  {value.count:>12,}{about}  {cut(value.value, width)}")
        if count > len(key.values):
            print(f"  {'…':>12}  and {count - len(key.values):,} more")
    if compared:
        _show_unknown(found, width)
    keys, signals, lines = found.totals.height, found.signals, found.lines
    print(f"{counted(keys, 'key')}, {counted(signals, 'signal')} in {counted(lines, 'line')}")
    for count, what in (
        (found.malformed_lines, "malformed: lines that are not an ID, a tab and signals"),
        (found.malformed_signals, "malformed: signals without a key and a value"),
        (found.other_keys, "signals of further keys, of which there are too many"),
        (sum(found.personal.values()), f"masked, since they look like personal data: {', '.join(found.personal)}"),
    ):
        if count:
            print(f"{count:,} {what}")
    for rule, count in (found.rows or {}).get("rejected", {}).items():
        print(f"{counted(count, 'row')} rejected: {rule}")
    if found.malformed_lines > found.lines:
        print("Most lines are not those of an inbound file. Is it a table? Then name its job: --job JOB.toml.")


def _show_unknown(found: Taxonomy, width: int) -> None:
    from converter.report.texts import counted

    def show(each: Unknown, meant: str = "") -> None:
        print(f"  {each.count:>12,}  {cut(f'{each.key} = {each.value}', width)}{meant}")

    if found.unknown_signals:
        print(f"Not in the list: {counted(found.unknown_signals, 'signal')}")
        for each in found.unknown[: 2 * _MOST_VALUES]:
            show(each)
    if found.case:
        print("Different by case alone:")
        for each in found.case[: 2 * _MOST_VALUES]:
            show(each, f", in the list {cut(' = '.join(each.known or ()), width)}")
    for several in (found.unknown, found.case):
        if len(several) > 2 * _MOST_VALUES:
            print("  --json has more.")
            break
