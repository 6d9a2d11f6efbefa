"""Whether the local disk has space for what a run writes: its parts, and lines that do not fit into memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from converter.delivery.destinations import Destination
from converter.errors import Finding
from converter.jobs.job import Job
from converter.parts.packer import Limits
from converter.rows.users.partitions import disk_bytes


class _Need(NamedTuple):
    """How many bytes are needed in a folder, for `what`; None where the size of the input is not known.

    `key` is the one that names the folder, `advice` what helps where there is less.
    """

    folder: Path
    needed: int | None
    what: str
    key: str
    advice: str


def check_disk_space(job: Job, limits: Limits, destination: Destination, input_bytes: int | None) -> list[Finding]:
    """Return findings about the free space for parts and, where lines depend on others, for these lines.

    A folder needs `input_bytes` (`None`: not known), since parts are rarely larger than the input; an upload needs room
    in `run.spill_dir` for all parts that are uploaded at the same time. Lines that do not fit into memory take about as
    much as the input there. What is on one disk is added up. A finding has the code `W-DISK-SPACE` where there is less,
    `E-FOLDER-READ` where the folder cannot be read, and no code where there is enough.
    """
    needs = [_for_parts(job, limits, destination, input_bytes)]
    of_lines = None if input_bytes is None else disk_bytes(input_bytes, job.run.memory)
    if (job.gathers or job.record.limits) and of_lines != 0:
        advice = "Set run.spill_dir to a folder with more space, or raise run.memory."
        what = "the lines of gathered users" if job.gathers else "lines that wait for others"
        needs.append(_Need(_spill_folder(job), of_lines, what, "run.spill_dir", advice))
    taken: dict[int, int] = {}
    findings: list[Finding] = []
    for need in needs:
        finding = _finding(need, taken)
        if finding.message not in (each.message for each in findings):
            findings.append(finding)
    return findings


def _for_parts(job: Job, limits: Limits, destination: Destination, input_bytes: int | None) -> _Need:
    if not destination.direct:
        needed = job.output.uploads * limits.part_bytes
        advice = "Set run.spill_dir to a folder with more space, or lower output.uploads or output.max_part_bytes."
        return _Need(_spill_folder(job), needed, "parts waiting for their upload", "run.spill_dir", advice)
    folder = Path(job.output.url)
    while not os.access(folder, os.F_OK) and folder != folder.parent:
        folder = folder.parent  # the run creates the folder
    return _Need(folder, input_bytes, "the parts", "output.to", "Free some space, or write to another folder.")


def _spill_folder(job: Job) -> Path:
    return Path(job.run.spill_dir or tempfile.gettempdir())


def _finding(need: _Need, taken: dict[int, int]) -> Finding:
    """Return a finding about a need, where others have `taken` space of disks; add it there."""
    folder, needed = need.folder, need.needed
    try:
        disk, free = folder.stat().st_dev, shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("E-FOLDER-READ", f"The folder '{folder}' cannot be used: {error.strerror}.", f"Set {need.key}.")
    if needed is None:
        return Finding("", f"'{folder}' has {free:,} bytes free; the size of the input is not known.")
    others = taken.get(disk, 0)
    taken[disk] = others + needed
    if free < others + needed:
        beside = f", beside {others:,} for others" if others else ""
        message = f"'{folder}' has {free:,} bytes free; {need.what} may need {needed:,}{beside}."
        return Finding("W-DISK-SPACE", message, need.advice)
    return Finding("", f"'{folder}' has space for {need.what}.")
