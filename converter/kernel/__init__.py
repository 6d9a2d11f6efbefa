"""Compiled loops over bytes, for large inputs. They know nothing of jobs and rules.

Loading them takes a tenth of a second. They are compiled once on a machine, in some seconds, by a process of its own:
so the compiler uses no memory of the run. Where the compiler is not installed or fails, and for small inputs, Polars
does the same, slower. To add a loop: write it in `loops`, list it in `FUNCTIONS`, and call it in `calls`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converter.kernel.calls import Loops

WORTH_BYTES = 4_000_000
"""The size of an input from which the loops save more time than loading them takes: measured."""
WORTH_COMPILING_BYTES = 100_000_000
"""The size from which it is worth compiling them first: measured."""

_FOLDER = Path(__file__).parent
_SECONDS = 120  # after which compiling is stopped; it takes ten


def load(input_bytes: int) -> Loops | None:
    """Return the compiled loops for an input of a size; `None` if it is too small or they cannot be loaded."""
    if input_bytes < WORTH_BYTES:
        return None
    try:
        from converter.kernel.calls import Loops
        from converter.kernel.machine import Code, describe
    except (ImportError, OSError):  # LLVM is not installed, or not for this machine
        return None
    source = b"".join(sorted(file.read_bytes() for file in _FOLDER.glob("*.py")))
    name = f"loops-{hashlib.sha256(source + describe().encode()).hexdigest()[:32]}.bin"
    code = _stored(name)
    if code is None and input_bytes >= WORTH_COMPILING_BYTES:
        code = _compiled()
        if code:
            _store(name, code)
    return Loops(Code.load(code)) if code else None


def _compiled() -> bytes | None:
    """Compile the loops; return `None` where that fails."""
    if not sys.executable:  # Python within another program
        return None
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_FOLDER.parent.parent), *filter(None, sys.path)])}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "converter.kernel.build"],
            env=environment,
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _folders() -> Iterator[Path]:
    """Yield the folders where the loops can be kept: that of the package, and that of the user."""
    yield _FOLDER / "__pycache__"
    cache = os.environ.get("XDG_CACHE_HOME", "")
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "aam-inbound-converter"


def _stored(name: str) -> bytes | None:
    """Return the loops that were compiled before, if they are there and whole."""
    for folder in _folders():
        with contextlib.suppress(OSError):  # they are not there: then in the next folder, or they are compiled
            content = (folder / name).read_bytes()
            digest, code = content[:32], content[32:]
            if hashlib.sha256(code).digest() == digest:
                return code
    return None


def _store(name: str, code: bytes) -> None:
    """Keep the loops in the first folder that can be written to."""
    for folder in _folders():
        with contextlib.suppress(OSError):  # they cannot be kept: then they are compiled again the next time
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as beside:  # it is removed even if something fails
                partial = Path(beside, name)
                partial.write_bytes(hashlib.sha256(code).digest() + code)
                partial.replace(folder / name)
            return
