"""The delivery that a job asks for."""

from __future__ import annotations

from converter.delivery.delivery import Delivery
from converter.delivery.destinations.base import Destination
from converter.delivery.journal import Notes
from converter.jobs.job import Job, Transfer
from converter.remote.retry import Retries


def delivery_of(
    document: Job | Transfer, destination: Destination, journal: Notes, retries: Retries, *, sets: int = 1
) -> Delivery:
    """Return the delivery that a job asks for. A part of each of `sets` sets of files may be under way all the time."""
    output = document.output
    return Delivery(
        destination,
        journal,
        uploads=output.uploads + sets - 1,
        retry_seconds=output.retry_seconds,
        bandwidth=output.bandwidth,
        each=output.publish == "each",
        folder=document.run.spill_dir,
        retries=retries,
    )
