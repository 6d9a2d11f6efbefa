"""Names the machine and the versions that a measurement holds for; nothing that names its owner."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_LIBRARIES = (
    "aam-inbound-converter",
    "polars",
    "numpy",
    "pyarrow",
    "isal",
    "duckdb",
    "chdb",
    "chdb-core",
    "pandas",
)


@dataclass(frozen=True)
class Machine:
    """What a measurement depends on."""

    cores: int
    cpu: str
    memory_bytes: int
    system: str
    python: str
    libraries: dict[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.libraries.items())
        memory = f"{self.memory_bytes / 2**30:.1f} GiB"
        return f"{self.cores} cores, {self.cpu}, {memory}, {self.system}\nPython {self.python}, {versions}"


def describe() -> Machine:
    """Describe the machine that this process runs on."""
    return Machine(
        cores=os.cpu_count() or 1,
        cpu=_cpu(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        libraries={name: version for name in _LIBRARIES if (version := _version(name))},
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
