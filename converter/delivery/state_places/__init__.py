"""Where the state of changes-only runs is (`delta.state`): in a folder of this machine, or in a bucket.

`base` says what a place offers, so that nothing else asks which it is. `folder` has private files, hard links and a
lock of the operating system. `bucket` is a prefix on S3, where the record is replaced by condition and the lock is a
lease, so that a run that died on one machine is finished on another one. What a run has read there stays in a nameless
file (`copies`) until it ends.
"""

from __future__ import annotations

from pathlib import Path

from converter.delivery.state_places.base import RECORD, SALT, Prepared, StatePlace
from converter.delivery.state_places.folder import StateFolder
from converter.jobs.job import Job
from converter.jobs.paths import is_url
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience, Retries

__all__ = ["RECORD", "SALT", "Prepared", "StateFolder", "StatePlace", "state_place_at", "state_place_of"]


def state_place_of(job: Job, retries: Retries | None = None) -> StatePlace | None:
    """Return the place of a job's state, if it has one; nothing is connected yet.

    `retries` counts those of requests.
    """
    if job.delta.state is None:
        return None
    patience = Patience(job.output.retry_seconds, retries=retries)
    seconds, spill_dir = job.report.lease_seconds, job.run.spill_dir
    return state_place_at(job.delta.state, job.s3, patience, lease_seconds=seconds, spill_dir=spill_dir)


def state_place_at(
    place: str, s3: S3, patience: Patience, *, lease_seconds: float = 30, spill_dir: str | None = None
) -> StatePlace:
    """Return the state in a folder, or below an `s3://` URL by settings and with retries.

    `lease_seconds` is how long a lock lasts there that is not renewed, and `spill_dir` where a run keeps copies of what
    it has read, the folder of temporary files if None.
    """
    if not is_url(place):
        return StateFolder(Path(place))
    from converter.delivery.state_places.bucket import StateBucket  # here, since botocore takes long to load

    return StateBucket(place, s3, patience, lease_seconds=lease_seconds, spill_dir=spill_dir)
