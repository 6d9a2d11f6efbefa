"""Makes the picture of a page in the documentation: `python -m tests.screenshot docs/report.png`. It needs Chromium."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from converter import Job, convert
from converter.report.page import page_of

from .servers.chromium import browser

ROOT = Path(__file__).parent.parent
SIZE = {"width": 900, "height": 640}


def main(target: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("crm.csv", "crm.toml"):
            shutil.copy(ROOT / "sample_data" / name, folder)
        os.chdir(folder)  # so that paths are short, and are those of no machine
        changes = {"input": {"path": "crm.csv"}, "output": {"to": "out"}, "report": {"dir": "reports"}}
        report = convert(Job.load("crm.toml", changes), now=1_366_545_717)
        page = Path("page.html").absolute()
        page.write_bytes(page_of({**report.as_dict(), "job_path": "crm.toml"}))
        with browser() as chromium:
            window = chromium.new_page(viewport=SIZE)
            window.goto(page.as_uri())
            window.screenshot(path=ROOT / target)


if __name__ == "__main__":
    main(*sys.argv[1:])
