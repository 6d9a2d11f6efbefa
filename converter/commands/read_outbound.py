"""The command `read-outbound`: the outbound files of Audience Manager as one table, the way back.

1. The files and their control files are found; names say time and destination.
2. The lines are parsed and written (`outbound.reading`).
3. What was read is compared with the control files, and each line is proven to be written or rejected.
4. The output appears.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import BinaryIO

from converter.commands.outbound.finding import FoundFiles, find
from converter.commands.outbound.reading import Options, Run
from converter.commands.outbound.verdict import check, complete
from converter.commands.outbound.writing import Format, Output, format_of, mapped, open_writer
from converter.commands.progress import Progress
from converter.errors import JobError
from converter.jobs.outbound import OutboundInput
from converter.report.outbound import OutboundReport
from converter.sources.engine import start
from converter.spec.outbound_lines import LineForm
from converter.spec.outbound_templates import of_template

Files = OutboundInput | str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def read_outbound(
    files: Files,
    to: str | os.PathLike[str] | BinaryIO,
    *,
    output_format: str | None = None,
    line: str | None = None,
    aliases: bool = False,
    verify: bool = True,
    force: bool = False,
    strict: bool = False,
    rejects: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> OutboundReport:
    """Read outbound files and write their rows as one table; return what was read.

    `files` are paths, URLs, folders and globs, or an `OutboundInput` with settings of servers and of the machine. `to`
    is a file, which appears complete or not at all, or a stream of bytes. `output_format` is `parquet`, `csv` or
    `ndjson`, by default from the suffix (of a stream `ndjson`). `line` is the template of the lines in the notation of
    Adobe; by default the form is found by file. `aliases`: segments may be any text, not numbers alone. Without
    `verify`, control files are not read. `force` replaces a file that exists; with `strict`, warnings are errors.
    `rejects` is a file for the numbers of rejected lines, as NDJSON. `progress` is called as blocks are written.

    Raises `JobError`, `InputError`, `DestinationError`, and, before an output file appears: `GuardError` where control
    files say something other than what was found, `TooManyRejectsError`, and `StrictError`.
    """
    job = _job(files)
    path = os.fspath(to) if isinstance(to, str | os.PathLike) else None
    options = Options(_form(line), aliases, format_of(path or "-", output_format))
    with job.concealing(), contextlib.ExitStack() as opened:
        start()
        output = opened.enter_context(contextlib.closing(Output(to, force=force)))
        stream, rejected = output.open(), None
        if rejects is not None:
            rejected = opened.enter_context(contextlib.closing(Output(rejects, force=force)))
        found = find(job.input.path, job.access, verify=verify)
        report = _report(job, found, path, options.format, rejects)
        _write(Run(job, found, options, report, progress), stream, rejected)
        complete(report, found, verify=verify)
        if rejected:
            rejected.publish()  # also where the run is refused: it says why
        fate = "No output was written." if path else "The rows have been written to the stream."
        check(job.report, report, fate, strict=strict)
        output.publish()
        return report


def _report(
    job: OutboundInput, found: FoundFiles, to: str | None, format_: Format, rejects: str | os.PathLike[str] | None
) -> OutboundReport:
    return OutboundReport(
        to,
        format_,
        missing=[each.name for each in found.missing],
        left_out=[each._replace(path=job.conceal_path(each.path)) for each in found.left_out],
        warnings=list(found.warnings),
        rejects_path=None if rejects is None else os.fspath(rejects),
    )


def _write(run: Run, stream: BinaryIO, rejected: Output | None) -> None:
    """Write all rows, and the numbers of the rejected ones."""
    rejects = rejected.open() if rejected else None
    with mapped():
        writer = open_writer(stream, run.options.format, aliases=run.options.aliases)
    try:
        run.write(writer, rejects)
        with mapped():
            writer.close()
            stream.flush()
    except BaseException:
        writer.abandon()
        raise
    with mapped():
        if rejects:
            rejects.flush()


def _job(files: Files) -> OutboundInput:
    if isinstance(files, OutboundInput):
        return files
    paths = [files] if isinstance(files, str | os.PathLike) else files
    return OutboundInput(input={"path": [os.fspath(path) for path in paths]})


def _form(line: str | None) -> LineForm | None:
    if line is None:
        return None
    try:
        return of_template(line)
    except ValueError as error:
        raise JobError("E-OUTBOUND-LINE", f"The template of lines is not usable: {error}.") from error
