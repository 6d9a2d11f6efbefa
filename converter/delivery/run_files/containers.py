"""Whether a folder goes with the container that a run is in: it is then no place for what is needed later."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from converter.errors import Finding

_MARKS = ("/.dockerenv", "/run/.containerenv")
_VARIABLES = ("KUBERNETES_SERVICE_HOST", "ECS_CONTAINER_METADATA_URI_V4", "container")
_CGROUPS = re.compile(r"kubepods|docker|containerd|libpod|crio|lxc")
_LAYERED = {"overlay", "fuse-overlayfs", "aufs"}
_IN_MEMORY = {"tmpfs", "ramfs"}
_EMPTY_DIR = "/volumes/kubernetes.io~empty-dir/"
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of `/proc/self/mountinfo`: the folder of the other file system, where it is seen, and its type."""

    root: str
    point: str
    type: str


def vanishing(folder: Path) -> list[Finding]:
    """Return the warning that a folder for reports goes with the container of this process, if it does."""
    if not (why := why_here(folder)):
        return []
    return [
        Finding(
            "W-REPORT-VANISHES",
            f"This process is in a container, and the folder '{folder}' {why}: a run that dies with it cannot be "
            "resumed.",
            "Set report.dir to a volume that stays, or to s3://BUCKET/PREFIX.",
        )
    ]


def why_here(folder: Path) -> str:
    """Return why a folder goes with the container of this process, as the rest of a sentence; empty where it stays."""
    if not in_container(Path("/"), os.environ):
        return ""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    return why_vanishing(os.path.realpath(folder), mounts)


def in_container(root: Path, environment: Mapping[str, str]) -> bool:
    """Return whether a process is in a container, by what engines leave; `root` is the root of its file system."""
    if any((root / mark[1:]).exists() for mark in _MARKS) or any(name in environment for name in _VARIABLES):
        return True
    try:
        return bool(_CGROUPS.search((root / "proc/1/cgroup").read_text("utf-8", "replace")))
    except OSError:
        return False


def why_vanishing(path: str, mounts: str) -> str:
    """Return why what is at a path goes with the container, as the rest of a sentence; empty where it stays.

    `mounts` is the text of `/proc/self/mountinfo`.
    """
    above = [mount for mount in _mounts_in(mounts) if f"{path.rstrip('/')}/".startswith(f"{mount.point.rstrip('/')}/")]
    mount = max(enumerate(above), key=lambda each: (len(each[1].point), each[0]), default=(0, Mount("", "", "")))[1]
    if mount.type in _LAYERED:
        return "is in its own layer"
    if mount.type in _IN_MEMORY:
        return "is in memory"
    return "is an emptyDir, which goes with the pod" if _EMPTY_DIR in f"{mount.root}/" else ""


def _mounts_in(text: str) -> Iterator[Mount]:
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields = [_ESCAPED.sub(lambda found: chr(int(found[1], 8)), field) for field in before.split(" ")]
        if len(fields) > 4 and after:
            yield Mount(fields[3], fields[4], after.split(" ")[0])
