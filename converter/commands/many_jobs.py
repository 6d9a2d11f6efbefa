"""Several jobs of one command: which job files are meant, and that all of them are right before any is run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from converter.errors import JobError
from converter.jobs.job import Job
from converter.jobs.paths import is_folder

_SUFFIX = ".toml"
_STANDARD_INPUT = "-"


def job_files(arguments: Sequence[str]) -> list[str] | None:
    """Return the job files of a command line with several, or with a folder of them; None where it is about one job.

    Raises `JobError` where some arguments are job files, and others are not, and where a folder of job files has other
    files that are no tables either.
    """
    if len(arguments) == 1 and arguments[0].endswith(_SUFFIX) and not is_folder(arguments[0]):
        return None
    of_each = [_job_files_at(argument) for argument in arguments]
    for argument, found in zip(arguments, of_each, strict=True):
        if found is None and len(arguments) > 1:
            raise JobError(
                "E-USAGE",
                f"'{argument}' is not a job file, but several arguments are several job files, or folders of them.",
                "Name the files of one input with --input, one for each file.",
            )
    return [path for found in of_each for path in found or ()] or None


def _job_files_at(argument: str) -> list[str] | None:
    """Return the job files of an argument: itself, or those of a folder without any other file; else None.

    Folders in it do not count: by default the reports of its jobs are in one. Raises `JobError` where other files are
    beside job files that no input has, such as backups: as an input, the folder would be an error that does not say so.
    """
    if argument.endswith(_SUFFIX) and not is_folder(argument):
        return [argument]
    try:
        entries = sorted(entry for entry in Path(argument).iterdir() if not entry.name.startswith("."))
    except OSError:  # no folder, or one that cannot be read: an input, whose error says more
        return None
    files = [entry for entry in entries if not is_folder(entry)]
    others = [file for file in files if file.suffix != _SUFFIX]
    if len(others) < len(files) and others and not any(_is_table(file.name) for file in others):
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        raise JobError(
            "E-JOB-FOLDER",
            f"The folder '{argument}' has files that are neither job files nor tables: '{others[0].name}'{more}.",
            "Move them away, or name the job files, as in jobs/*.toml.",
        )
    return [str(file) for file in files] if files and not others else None


def _is_table(name: str) -> bool:
    from converter.sources.opening import format_of_name  # here: only folders with other files need it

    return format_of_name(name) is not None


def load_jobs(paths: Sequence[str], changes: Mapping[str, Any]) -> dict[str, Job]:
    """Return the jobs of files, by path; `changes` take precedence in each.

    Raises `JobError` where any of them is wrong, about all of those.
    """
    _check_files(paths)
    jobs: dict[str, Job] = {}
    errors: list[JobError] = []
    for path in paths:
        try:
            jobs[path] = job = Job.load(path, changes)
            job.check_path()
        except JobError as error:
            shown = error.message if path in error.message else f"'{path}': {error.message}"
            error.args = (error.code, shown, error.hint)
            errors.append(error)
    if len(errors) > 1:
        hints = dict.fromkeys(error.hint for error in errors if error.hint)
        raise JobError(errors[0].code, "\n".join(error.message for error in errors), " ".join(hints))
    if errors:
        raise errors[0]
    _check_together(jobs)
    return jobs


def _check_files(paths: Sequence[str]) -> None:
    """Raise `JobError` where a file is named twice, by whichever paths."""
    seen: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            other = seen[real]
            named = f"'{path}' is named twice" if path == other else f"'{other}' and '{path}' are one file"
            raise JobError("E-JOB-TWICE", f"{named}: its rows would be sent twice.", "Name it once.")
        seen[real] = path


def _check_together(jobs: Mapping[str, Job]) -> None:
    """Raise `JobError` where two jobs write the same, or read what can be read once."""
    by_digest: dict[str, str] = {}
    reads_stream: str | None = None
    for path, job in jobs.items():
        if other := by_digest.get(job.digest):
            raise JobError(
                "E-JOB-TWICE",
                f"'{other}' and '{path}' are the same job: its rows would be sent twice to one destination.",
                "Leave one of them out.",
            )
        by_digest[job.digest] = path
        if _STANDARD_INPUT in job.input.path:
            if reads_stream:
                raise JobError(
                    "E-JOBS-STDIN",
                    f"'{reads_stream}' and '{path}' read standard input, which can be read only once.",
                    "Run them one by one, or let one of them read a file.",
                )
            reads_stream = path
