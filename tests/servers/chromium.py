"""A browser without a window, Debian's Chromium, which Playwright drives; and axe-core, which finds what is not accessible.

axe-core is a package of npm, which is installed into `.cache/axe` where all servers are required, and used wherever it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import required
from .process import program

_FOLDER = Path(__file__).parent.parent.parent / ".cache/axe"
_PACKAGE = "axe-core@^4.10"


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A browser of Playwright, closed at the end."""
    path = shutil.which("chromium")
    if path is None:
        required("chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright  # here: without a browser it is not needed

    with sync_playwright() as playwright:
        # Root, as in a container, has no sandbox; the pages are ours.
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield found
        finally:
            found.close()


def axe() -> str:
    """The script of axe-core; it is installed where all servers are required."""
    script = _FOLDER / "node_modules/axe-core/axe.min.js"
    if not script.exists():
        if os.environ.get("REQUIRE_SERVERS") != "1":
            required("axe-core is not installed: REQUIRE_SERVERS=1 installs it")
        _FOLDER.parent.mkdir(exist_ok=True)
        with _FOLDER.with_name("axe.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
            if not script.exists():
                npm = program("npm", "apt-get install nodejs npm")
                quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
                subprocess.run([npm, "install", *quiet, "--prefix", str(_FOLDER), _PACKAGE], check=True)
    return script.read_text()
