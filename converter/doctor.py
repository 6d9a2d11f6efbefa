"""The capability `doctor`: everything that can be known before a job runs, as findings, one line each."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from converter.convert import files_of, target_of
from converter.delivery import aside
from converter.destinations.base import Finding
from converter.errors import ConverterError
from converter.job import Job


def doctor(job: Job, *, now: float | None = None) -> list[Finding]:
    """Check the input, the folders and the destination of a job; nothing stays of it. Never raises `ConverterError`.

    Each is looked at, also where another is wrong. `now` is UNIX seconds, the clock's when left out.
    """
    found: list[Finding] = []
    for look in (_of_input, partial(_of_destination, now=now), _of_folder):
        try:
            found += look(job)
        except ConverterError as error:
            found.append(Finding("error", error.message, error.hint))
    return [Finding(each.level, job.conceal(each.text), job.conceal(each.advice)) for each in found]


def _of_input(job: Job) -> Iterator[Finding]:
    files = files_of(job)
    count, size = len(files), sum(file.size for file in files)
    said = "The input file has" if count == 1 else f"All {count:,} input files have"
    yield Finding("ok", f"{said} the columns that the job uses; {size:,} bytes in all.")


def _of_destination(job: Job, now: float | None) -> list[Finding]:
    name, limits, destination = target_of(job, now)
    found = [Finding("warning", warning) for warning in job.warnings]
    try:
        found += aside(lambda: destination.check(name)).result()
    finally:
        with contextlib.suppress(ConverterError):
            destination.close()
    if not destination.direct:
        need = job.output.uploads * limits.part_bytes
        found.append(_room(Path(job.run.spill_dir or tempfile.gettempdir()), need))
    return found


def _of_folder(job: Job) -> list[Finding]:
    folder = Path(job.report.dir).expanduser()
    while not os.access(folder, os.F_OK) and folder != folder.parent:
        folder = folder.parent
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return [Finding("ok", f"The report can be written to '{job.report.dir}'.")]
    return [Finding("error", f"The folder '{job.report.dir}' cannot be written.", "Set report.dir to another one.")]


def _room(folder: Path, need: int) -> Finding:
    """See whether the spool has room for the parts that are on their way."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("error", f"The folder '{folder}' cannot be used: {error.strerror}.", "Set run.spill_dir.")
    if free < need:
        return Finding(
            "warning",
            f"'{folder}' has {free:,} bytes free; parts on their way may take {need:,}.",
            "Set run.spill_dir to a folder with more room, or output.uploads or output.max_part_bytes to less.",
        )
    return Finding("ok", f"'{folder}' has room for parts on their way.")
