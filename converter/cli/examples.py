"""`aam-inbound test`."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading
from converter.errors import ConverterError, Finding

if TYPE_CHECKING:
    from converter.commands.record_examples import Recorded
    from converter.report.examples import Checked, ExamplesReport, Fate


def test(
    job_file: Annotated[str, typer.Argument(metavar="JOB.toml", help="Job file.")],
    *,
    record: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=10_000,
            help="Instead, write the first N rows of the input as examples, with made values for personal ones.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --record: replace the examples that are there.")] = False,
    set_: options.Settings = None,
    quiet: options.Quiet = False,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Convert the examples of a job, and compare the lines with those that the examples say.

    Examples are [[example]] in the job file, and in JOB.examples.toml beside it. The input is not read, but with
    --record. The exit code is 1 if an example differs.

    \b
    Examples:
      aam-inbound test crm.toml
      aam-inbound test crm.toml --record 10
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug, quiet  # `Messages.of` reads them
    changes = changes_from({}, set_ or ())
    if record is None:
        return partial(_check, job_file, changes)
    return partial(_record, job_file, changes, record, force=force)


def _check(job_file: str, changes: dict[str, Any], messages: Messages) -> Outcome:
    from converter.jobs.job import Job

    job = Job.load(job_file, changes)
    with loading(job.run.threads):
        from converter.commands.examples import check_examples as run
    report = run(job)
    error = None
    if not report.passed:
        from converter.report.texts import counted

        count = len(report.examples)
        message = f"{len(report.failed):,} of {counted(count, 'example')} differ{'s' * (len(report.failed) == 1)}."
        error = ConverterError(
            "E-EXAMPLES-DIFFER", message, "Correct the job, or the examples, if this is what it should do."
        )
    return Outcome(
        name="failed" if error else "done",
        exit_code=error.exit_code if error else 0,
        fields=report.as_dict(),
        show=partial(_show, report, quiet=messages.quiet),
        error=Finding.of(error) if error else None,
        prints_only=True,
    )


def _record(job_file: str, changes: dict[str, Any], rows: int, messages: Messages, *, force: bool) -> Outcome:
    from converter.jobs.job import Job

    job = Job.load(job_file, changes)
    with loading(job.run.threads):
        from converter.commands.record_examples import record_examples as run
    recorded = run(job, rows, force=force)
    return Outcome(
        fields=recorded.as_dict(), show=Outcome.show if messages.quiet else partial(_show_recorded, recorded)
    )


def _show(report: ExamplesReport, *, quiet: bool) -> None:
    from converter.report.texts import counted

    for example in report.failed:
        print(_difference(example))
    if not quiet:
        passed = len(report.examples) - len(report.failed)
        print(f"{passed:,} of {counted(len(report.examples), 'example')} passed.")


def _difference(example: Checked) -> str:
    """Return a difference: the row, and what was expected and what was made of it, as they stand in job files."""
    from converter.jobs.toml import as_toml

    where = f"{_short(example.path)}: example {example.number}" if example.path else f"Example {example.number}"
    lines = [where, f"  row  {as_toml(example.row)}"]
    lines += [f"  -    {line}" for line in _shown(example.expected)]
    lines += [f"  +    {line}" for line in _shown(example.made)]
    return "\n".join(lines)


def _short(path: str) -> str:
    """Return a path as seen from the working folder, where the file is in it or below."""
    with contextlib.suppress(ValueError, OSError):
        return str(Path(path).relative_to(Path.cwd()))
    return path


def _shown(fate: Fate) -> list[str]:
    from converter.jobs.toml import as_toml

    return [f"{name} = {as_toml(value)}" for name, value in fate.as_dict().items()]


def _show_recorded(recorded: Recorded) -> None:
    from converter.report.texts import counted

    print(f"{counted(recorded.examples, 'example')} written to '{_short(recorded.path)}'.")
    if recorded.left_out:
        rows = counted(recorded.left_out, "row")
        print(f"{rows} left out: with made values, something else would become of them.")
