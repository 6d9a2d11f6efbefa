"""Where a run leaves its own files (`report.dir`): journal, lock, reports and rejects, in a folder or in a bucket.

`base` says what a place offers, so that nothing else asks which it is. `folder` is one of this machine: a journal is a
file, a lock is one of the operating system. `bucket` is a prefix on S3: an event of a journal is an object, and a lock
is a `lease`, both written by condition, so that a run that died on one machine is finished on another one.
"""

from __future__ import annotations

from pathlib import Path

from converter.delivery.run_files.base import FAILURES, FileEntry, Log, NewFile, RunFiles
from converter.delivery.run_files.folder import FolderFiles
from converter.jobs.job import Job, Transfer
from converter.jobs.paths import is_url
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience, Retries

__all__ = ["FAILURES", "FileEntry", "FolderFiles", "Log", "NewFile", "RunFiles", "run_files_at", "run_files_of"]


def run_files_of(document: Job | Transfer, retries: Retries | None = None) -> RunFiles:
    """Return the place of the files of a job's runs; nothing is connected yet. `retries` counts those of requests."""
    seconds, spill_dir = document.report.lease_seconds, document.run.spill_dir
    patience = Patience(document.output.retry_seconds, retries=retries)
    return run_files_at(document.report.dir, document.s3, patience, lease_seconds=seconds, spill_dir=spill_dir)


def run_files_at(
    place: str, s3: S3, patience: Patience, *, lease_seconds: float = 30, spill_dir: str | None = None
) -> RunFiles:
    """Return the files in a folder, or below an `s3://` URL by settings and with retries.

    `lease_seconds` is how long a lock lasts there that is not renewed, and `spill_dir` where files grow that are not
    whole yet, the folder of temporary files if None.
    """
    if not is_url(place):
        return FolderFiles(Path(place))
    from converter.delivery.run_files.bucket import BucketFiles  # here, since botocore takes long to load

    return BucketFiles(place, s3, patience, lease_seconds=lease_seconds, spill_dir=spill_dir)
