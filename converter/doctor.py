"""The capability `doctor`: everything that can be known before a job runs, as findings, one line each."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from converter.convert import planned
from converter.destinations.base import Finding
from converter.errors import ConverterError
from converter.job import Job


def doctor(job: Job, *, now: float | None = None) -> list[Finding]:
    """Check the input, the folders and the destination of a job; nothing stays of it. Never raises `ConverterError`.

    `now` is UNIX seconds, the clock's when left out.
    """
    return [
        Finding(each.level, job.conceal(each.text), job.conceal(each.advice))
        for each in (*_of_job(job, now), *_of_folders(job))
    ]


def _of_job(job: Job, now: float | None) -> Iterator[Finding]:
    """Look at the input, and at the destination, which is asked even where the input is wrong."""
    try:
        plan = planned(job, now)
    except ConverterError as error:
        yield Finding("error", error.message, error.hint)
        return
    count, size = len(plan.files), sum(file.size for file in plan.files)
    files = "The input file has" if count == 1 else f"All {count:,} input files have"
    yield Finding("ok", f"{files} the columns that the job uses; {size:,} bytes in all.")
    for warning in job.warnings:
        yield Finding("warning", warning)
    try:
        yield from plan.destination.check(plan.name)
    finally:
        with contextlib.suppress(ConverterError):
            plan.destination.close()
    if not plan.destination.direct:
        need = job.output.uploads * plan.limits.part_bytes
        yield _room(Path(job.run.spill_dir or tempfile.gettempdir()), need, "run.spill_dir", "parts on their way")


def _of_folders(job: Job) -> Iterator[Finding]:
    folder = Path(job.report.dir).expanduser()
    while not folder.exists():
        folder = folder.parent
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        yield Finding("ok", f"The report can be written to '{job.report.dir}'.")
    else:
        yield Finding("error", f"The folder '{job.report.dir}' cannot be written.", "Set report.dir to another one.")


def _room(folder: Path, need: int, setting: str, what: str) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("error", f"The folder '{folder}' cannot be used: {error.strerror}.", f"Set {setting}.")
    if free < need:
        return Finding(
            "warning",
            f"'{folder}' has {free:,} bytes free; {what} may take {need:,}.",
            f"Set {setting} to a folder with more room, or output.uploads or output.max_part_bytes to less.",
        )
    return Finding("ok", f"'{folder}' has room for {what}.")
