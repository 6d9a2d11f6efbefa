"""Wheels in empty environments, without a compiler: of this machine, and of an emulated one with an aarch64 processor.

What is installed comes from PyPI; the Python of the other machine and its libraries are Debian's. Nothing of this
changes the machine outside of the folder that is given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
SUITE = sorted(
    str(path.relative_to(ROOT)) for kind in ("kernel", "loops", "fuzz") for path in ROOT.glob(f"tests/test_{kind}*.py")
)
"""The tests of the kernel; they need no more than the package, pytest and hypothesis."""
_TOOLS = ["pytest>=9", "hypothesis>=6.140"]
_DEBIAN = ["python3-minimal", "libpython3-stdlib", "libstdc++6"]
_APT = """\
APT::Architecture "arm64";
APT::Architectures "arm64";
APT::Sandbox::User "root";
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
"""


@dataclass(frozen=True)
class Environment:
    """A Python, as a command, and what its processes need to find."""

    command: list[str]
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, folder: Path, *args: str) -> str:
        """Run Python in a folder, with no program in the path; return its output. Raises `RuntimeError` with it."""
        return _run([*self.command, *args], folder, PATH="", **self.variables)


def own(wheel: Path, folder: Path) -> Environment:
    """Return an environment of this Python in which a wheel is installed, with what it depends on."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = str(folder / "bin" / "python")
    _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", str(wheel), *_TOOLS], folder)
    return Environment([python])


def emulated(wheel: Path, folder: Path) -> Environment:
    """Return an environment of an emulated aarch64 machine in which a wheel is installed, with what it depends on."""
    root, site = folder / "root", folder / "site"
    for each in (root, folder / "state/lists/partial", folder / "cache/archives/partial"):
        each.mkdir(parents=True)
    (folder / "state/status").touch()
    (folder / "apt.conf").write_text(_APT.format(folder=folder))
    config = str(folder / "apt.conf")
    _run(["apt-get", "update", "-qq"], folder, APT_CONFIG=config)
    install = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", "--download-only", *_DEBIAN]
    _run(install, folder, APT_CONFIG=config)
    for package in (folder / "cache/archives").glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(package), str(root)], folder)
    (python,) = (path for path in (root / "usr/bin").glob("python3.*") if path.suffix[1:].isdigit())
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (28, 17)] + ["--platform=manylinux2014_aarch64"]
    given = ["--target", str(site), *platforms, "--only-binary=:all:", "--implementation=cp"]
    version = f"--python-version={python.name.removeprefix('python')}"
    _run([sys.executable, "-m", "pip", "install", "--quiet", *given, version, str(wheel), *_TOOLS], folder)
    return Environment(["/usr/bin/env", _qemu(), "-L", str(root), str(python)], {"PYTHONPATH": str(site)})


def _qemu() -> str:
    return shutil.which("qemu-aarch64") or "qemu-aarch64"


def _run(command: list[str], folder: Path, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "AAM_KERNEL")}
    done = subprocess.run(
        command,
        cwd=folder,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout)
    return done.stdout
