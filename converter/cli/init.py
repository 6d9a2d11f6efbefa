"""`aam-inbound init`.

Questions are printed to standard error, and answers are lines of standard input. An answer that does not fit is
explained, and the question is asked again.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from converter.cli import options
from converter.cli.inspect import inspected
from converter.cli.lines import error_line
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from
from converter.errors import ConverterError, JobError, redact

if TYPE_CHECKING:
    from converter.report.first_job import FirstJob
    from converter.report.inspections import Inspection
    from converter.report.profiles import ColumnProfile

_Value = TypeVar("_Value")
_YES, _NO = ("y", "yes"), ("n", "no", "")


def init(
    input_: Annotated[
        str | None, typer.Argument(metavar="INPUT", help="File, glob (in quotes), folder or URL; asked for by default.")
    ] = None,
    *,
    format_: options.Format = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The text has no header; columns are column_1, column_2 …")
    ] = False,
    set_: options.Settings = None,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Inspect a table, ask what cannot be seen in it, and write a first job file.

    It needs a terminal. Enter takes the answer in brackets. No file is replaced without asking.

    \b
    Examples:
      aam-inbound init
      aam-inbound init crm.csv
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug  # `Messages.of` reads them
    return partial(_init, input_, {"input.format": format_}, set_ or [], no_header=no_header)


def _init(
    input_: str | None, flags: dict[str, Any], settings: list[str], messages: Messages, *, no_header: bool
) -> Outcome:
    _check_terminal()
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr] # a terminal may send anything
    inspection = _table(input_, flags, settings, messages, no_header=no_header)
    if not messages.as_json:
        from converter.cli.profiles import show

        show(inspection)
    messages.notice(
        "\nEnter takes the answer in brackets; columns may be given by their numbers, from 1. Ctrl-C stops.\n"
    )
    job = _id(inspection.job)
    job = _columns(job)
    job = _output(job)
    path = _write(job)
    fields = {"job_file": path, "job": job.settings(Path(path))}
    return Outcome(fields=fields, show=partial(_show, path), prints_only=True)


def _check_terminal() -> None:
    """Raise `JobError` where there is nobody to ask."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise JobError(
            "E-INIT-TERMINAL",
            "init asks questions, and standard input or standard error is not a terminal.",
            "Without one: aam-inbound inspect INPUT --write-job job.toml, then set what its comments say.",
        )


def _table(
    input_: str | None, flags: dict[str, Any], settings: list[str], messages: Messages, *, no_header: bool
) -> Inspection:
    from converter.jobs.reading import Reading

    def read(path: str) -> Inspection:
        reading = Reading(**changes_from({"input.path": [path], **flags}, settings))
        return inspected(reading, messages, no_header=no_header)

    return read(input_) if input_ is not None else _ask("The table (a file, glob, folder or URL)", "", read)


def _id(job: FirstJob) -> FirstJob:
    from converter.commands.choices import column_named, with_id, with_type
    from converter.spec.ids import ID_TYPES

    default = job.id.column if job.id else ""
    job = _ask("Column with the user IDs", default, lambda answer: with_id(job, column_named(job, answer)))
    assert job.id is not None  # noqa: S101 - for the type checker: it was asked for
    return _ask(f"Type of these IDs ({', '.join(ID_TYPES)})", job.id.type, lambda answer: with_type(job, answer))


def _columns(job: FirstJob) -> FirstJob:
    from converter.commands.choices import column_named, with_columns

    suggested = [each for each in job.columns if each.use in ("signal", "list", "traits")]

    def chosen(answer: str) -> FirstJob:
        columns: list[ColumnProfile] = [] if answer == "-" else suggested
        if answer not in ("", "-"):
            columns = [column_named(job, name.strip()) for name in answer.split(",") if name.strip()]
        return with_columns(job, columns)

    names = ", ".join(redact(each.name) for each in suggested)
    question = f"Columns to send, separated by commas, or - for none; Enter for: {names or 'none'}"
    return _ask(question, "", chosen, is_optional=True)


def _output(job: FirstJob) -> FirstJob:
    """Ask for the section `[output]` until the job is right with it."""
    from converter.commands.choices import with_output
    from converter.spec.ids import GLOBAL_DATA_SOURCES

    while True:
        output: dict[str, Any] = {}
        output["dpid"] = _ask("Data source ID of these user IDs (DPID)", "", _number)
        if output["dpid"] in GLOBAL_DATA_SOURCES:
            output["target"] = _ask(
                "Data source ID that the traits belong to (all customers share the first)", "", _number
            )
        output["to"] = _ask(
            "Where the files go (a folder beside the job file, s3://BUCKET/PREFIX, sftp://USER@HOST/FOLDER …)",
            "out",
            str,
        )
        output["mode"] = _ask("Mode (sync adds to what users have, overwrite replaces it)", "sync", _mode)
        try:
            return with_output(job, output)
        except JobError as error:
            _say(error_line(error))


def _number(answer: str) -> int:
    if not (answer.isascii() and answer.isdigit()):
        raise JobError("E-JOB-INVALID", f"'{redact(answer)}' is not a whole number.")
    return int(answer)


def _mode(answer: str) -> str:
    if answer not in ("sync", "overwrite"):
        raise JobError("E-JOB-INVALID", f"'{redact(answer)}' is neither sync nor overwrite.")
    return answer


def _write(job: FirstJob) -> str:
    """Ask for a file and write the job to it; return its path."""
    from converter.report.inspections import write_job

    def write(answer: str) -> str:
        path = Path(answer if answer.endswith(".toml") else f"{answer}.toml").expanduser()
        replace = os.path.lexists(path) and _ask(f"{redact(str(path))} exists. Replace it? (y, n)", "n", _truth)
        if os.path.lexists(path) and not replace:
            raise JobError("E-JOB-TAKEN", f"The file '{path}' stays as it is.", "Name another one.")
        write_job(job, path, replace=replace)
        return str(path)

    return _ask("Job file to write", "job.toml", write)


def _truth(answer: str) -> bool:
    if answer.lower() not in (*_YES, *_NO):
        raise JobError("E-JOB-INVALID", "Answer y or n.")
    return answer.lower() in _YES


def _ask(question: str, default: str, check: Callable[[str], _Value], *, is_optional: bool = False) -> _Value:
    """Ask a question until `check` takes the answer; return what it returns. Raises `JobError` where input ends."""
    if handler := signal.getsignal(signal.SIGINT):
        signal.signal(signal.SIGINT, handler)  # again: once Polars has run a query, the signal would not end the wait
    while True:
        _say(f"{question}{f' [{redact(default)}]' if default else ''}: ", end="")
        line = sys.stdin.readline()
        if not line:
            _say("")
            raise JobError("E-INIT-ENDED", "The answers ended before all questions were asked; nothing was written.")
        answer = line.strip() or default
        if not answer and not is_optional:
            continue
        try:
            return check(answer)
        except ConverterError as error:
            _say(error_line(error))


def _say(text: str, end: str = "\n") -> None:
    print(text, file=sys.stderr, end=end, flush=True)


def _show(path: str) -> None:
    name = redact(shlex.quote(path))
    print(f"Wrote {redact(path)}. Next:")
    print(f"  aam-inbound convert {name} --dry-run")
    print(f"  aam-inbound convert {name}")
