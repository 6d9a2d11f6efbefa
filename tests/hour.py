"""A new user's first hour: the wheel in an empty environment, and there every command of the tutorials, as it is shown.

    python -m tests.hour

The wheel of this machine is built as `tests.wheels` does, and installed with what it depends on, with no program in the
path: nothing is compiled then, and nothing of the sources is used afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import replay
from .wheels import build_sdist, build_wheel, unpacked

_NOT_A_NEW_USERS = ("AAM_", "COV_", "PYTHON", "VIRTUAL_ENV")


def main() -> int:
    """Replay the tutorials; return an exit code."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hour-") as name:
        folder = Path(name)
        environment = _installed(_built(folder), folder)
        print(f"installed in an empty environment after {time.monotonic() - begun:.0f} s", flush=True)
        commands = 0
        for page in replay.TUTORIALS:
            work = folder / page
            work.mkdir()
            try:
                commands += replay.play(page, work, environment)
            except replay.DiffersError as error:
                print(f"docs/{page}.md: {error}", file=sys.stderr)
                return 1
    print(f"{commands} commands of {len(replay.TUTORIALS)} pages, in {time.monotonic() - begun:.0f} s")
    return 0


def _built(folder: Path) -> Path:
    sources, wheels = folder / "sources", folder / "wheels"
    sources.mkdir()
    return build_wheel(unpacked(build_sdist(sources), sources), wheels)


def _installed(wheel: Path, folder: Path) -> dict[str, str]:
    """Install a wheel in an empty environment; return the variables with which its command is the one that is run."""
    new = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_A_NEW_USERS)}
    new |= {"HOME": str(folder), "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))}
    uv, python = str(Path(sys.executable).parent / "uv"), str(folder / "environment" / "bin" / "python")
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder / "environment")],
        [uv, "pip", "install", "--quiet", "--python", python, "--only-binary", ":all:", str(wheel)],
    ):
        subprocess.run(command, env={**new, "PATH": ""}, check=True)
    return {**new, "PATH": f"{folder / 'environment' / 'bin'}:/usr/local/bin:/usr/bin:/bin"}


if __name__ == "__main__":
    sys.exit(main())
