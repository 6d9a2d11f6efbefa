"""The result of the command `inspect`, as data and as a job file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from converter.delivery.atomic import AtomicFile, rename_exclusively, sync_folder
from converter.errors import DestinationError, Finding, JobError
from converter.report.first_job import FirstJob
from converter.report.left_out import by_reason
from converter.report.profiles import ColumnProfile, InspectedFile, PossibleId
from converter.sources.origins.base import LeftOut


class Inspection(NamedTuple):
    """What a table holds, as far as a sample of its rows shows.

    `files` are at most the first hundred of `file_count`; `left_out` are files that are not read. `rows` is how many
    rows there are, about, unless `rows_exact`; `None` where nothing shows it. `sampled` rows have been profiled, of
    which `malformed` cannot be parsed. `ids` are the columns that may be the ID, the most plausible one first. `job` is
    a job for it.
    """

    files: Sequence[InspectedFile]
    file_count: int
    rows: int | None
    rows_exact: bool
    sampled: int
    malformed: int
    columns: Sequence[ColumnProfile]
    ids: Sequence[PossibleId]
    job: FirstJob
    notes: Sequence[str] = ()
    warnings: Sequence[Finding] = ()
    left_out: Sequence[LeftOut] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data, as `--json` prints it."""
        return {
            "files": [each._asdict() for each in self.files],
            "file_count": self.file_count,
            "rows": self.rows,
            "rows_exact": self.rows_exact,
            "sampled": self.sampled,
            "malformed": self.malformed,
            "columns": [each.as_dict() for each in self.columns],
            "ids": [each.as_dict() for each in self.ids],
            "job": self.job.settings(),
            "notes": list(self.notes),
            "left_out": by_reason(self.left_out),
        }

    def write_job(self, path: str | os.PathLike[str], *, replace: bool = False) -> None:
        """Write the job to a file; one that exists is only replaced with `replace`.

        Raises `JobError` where the file exists, and `DestinationError` where it cannot be written.
        """
        write_job(self.job, Path(path), replace=replace)


def write_job(job: FirstJob, path: Path, *, replace: bool = False) -> None:
    """Write a job to a file; see `Inspection.write_job`."""
    if not replace and os.path.lexists(path):
        raise _taken(path)
    file = AtomicFile(path)
    try:
        file.write_whole(job.text(path).encode())
        if replace:
            file.publish()
        else:
            rename_exclusively(file.partial, path)
            sync_folder(path.parent)
    except FileExistsError as error:
        raise _taken(path) from error
    except (OSError, UnicodeEncodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "a name in it is not Unicode text"
        raise DestinationError(
            "E-JOB-WRITE", f"The job file '{path}' cannot be written: {why}.", "Name another file."
        ) from error
    finally:
        file.discard()


def _taken(path: Path) -> JobError:
    return JobError(
        "E-JOB-TAKEN", f"The file '{path}' exists, and is not replaced.", "Name another file, or remove it."
    )
