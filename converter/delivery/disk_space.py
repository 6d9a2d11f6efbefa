"""Whether the local disk has space for the parts of a run."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from converter.delivery.destinations import Destination
from converter.errors import Finding
from converter.jobs.job import Job
from converter.parts.packer import Limits


def check_disk_space(job: Job, limits: Limits, destination: Destination, input_bytes: int | None) -> Finding:
    """Return a finding about the free space in the output folder or, where parts are uploaded, in `run.spill_dir`.

    A folder needs `input_bytes` (`None`: not known), since parts are rarely larger than the input; an upload needs room
    for all parts that are uploaded at the same time. The finding has the code `W-DISK-SPACE` where there is less,
    `E-FOLDER-READ` where the folder cannot be read, and no code where there is enough.
    """
    if destination.direct:
        needed, what = input_bytes or 0, "the parts may need"
        folder, advice = Path(job.output.url), "Free some space, or write to another folder."
    else:
        needed, what = job.output.uploads * limits.part_bytes, "parts waiting for their upload may need"
        folder = Path(job.run.spill_dir or tempfile.gettempdir())
        advice = "Set run.spill_dir to a folder with more space, or lower output.uploads or output.max_part_bytes."
    while destination.direct and not os.access(folder, os.F_OK) and folder != folder.parent:
        folder = folder.parent  # the run creates the folder
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        key = "output.to" if destination.direct else "run.spill_dir"
        return Finding("E-FOLDER-READ", f"The folder '{folder}' cannot be used: {error.strerror}.", f"Set {key}.")
    if destination.direct and input_bytes is None:
        return Finding("", f"'{folder}' has {free:,} bytes free; the size of the input is not known.")
    if free < needed:
        return Finding("W-DISK-SPACE", f"'{folder}' has {free:,} bytes free; {what} {needed:,}.", advice)
    return Finding("", f"'{folder}' has space for {'the parts' if destination.direct else 'parts waiting for upload'}.")
