"""Names the machine and the versions that a measurement holds for; nothing that names its owner."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("aam-inbound-converter", "polars", "numpy", "pyarrow", "isal", "chdb", "chdb-core")


def describe() -> dict[str, object]:
    """Return cores, CPU model, memory, system, and the versions of Python and the libraries."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def sentence(machine: dict[str, object]) -> str:
    """Return the same as two lines of text."""
    memory = float(str(machine["memory_bytes"])) / 2**30
    libraries = machine["libraries"]
    named = [f"{name} {version}" for name, version in libraries.items()] if isinstance(libraries, dict) else []
    return (
        f"{machine['cores']} cores, {machine['cpu']}, {memory:.1f} GiB, {machine['system']}\n"
        f"{', '.join([f'Python {machine["python"]}', *named])}"
    )


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
