"""Where the state of changes-only runs is (`delta.state`): in a folder of this machine, or in a bucket.

`base` says what a place offers, so that nothing else asks which it is. `folder` has private files, hard links and a
lock of the operating system. `bucket` is a prefix on S3, where the record is replaced by condition and the lock is a
lease, so that a run that died on one machine is finished on another one.
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
    return state_place_at(job.delta.state, job.s3, patience, lease_seconds=job.report.lease_seconds)


def state_place_at(place: str, s3: S3, patience: Patience, *, lease_seconds: float = 30) -> StatePlace:
    """Return the state in a folder, or below an `s3://` URL by settings and with retries.

    `lease_seconds` is how long a lock lasts there that is not renewed.
    """
    if not is_url(place):
        return StateFolder(Path(place))
    from converter.delivery.state_places.bucket import StateBucket  # here, since botocore takes long to load

    return StateBucket(place, s3, patience, lease_seconds=lease_seconds)
