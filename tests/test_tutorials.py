"""The commands of the tutorials do what the tutorials show."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from . import replay

ROOT = Path(__file__).parent.parent
FILES = {"first-file": ["crm.csv"], "unknown-table": ["crm.csv"], "daily": [], "walk": []}
"""The tutorials, and what they take from `sample_data`."""


@pytest.mark.parametrize("page", FILES)
def test_commands_print_what_is_shown(page: str, tmp_path: Path) -> None:
    for name in FILES[page]:
        shutil.copy(ROOT / "sample_data" / name, tmp_path)
    commands = 0
    for step in replay.steps(ROOT / "docs" / f"{page}.md"):
        if step.file:
            (tmp_path / step.file).write_text(step.text)
        else:
            commands += 1
            if difference := replay.differs(step.text, replay.run(step, tmp_path)):
                pytest.fail(f"$ {step.command}\n{difference}")
    assert commands


@pytest.mark.parametrize(
    "shown, printed, same",
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n", "b\n", False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nb\nc\n", False),
        ("in 0.1 s (5.2 MB/s)\n", "in 12.0 s (1,000 KB/s)\n", True),
        ("5 rows\n", "6 rows\n", False),
        ("…/out/ftp_dpm_1_1795903881.sync.1.gz\n", "/tmp/x/out/ftp_dpm_1_1795903999.sync.1.gz\n", True),
        ("…/out/ftp_dpm_1_1795903881.sync.1.gz\n", "/tmp/x/out/ftp_dpm_2_1795903999.sync.1.gz\n", False),
    ],
)
def test_what_differs_is_found(shown: str, printed: str, same: bool) -> None:
    assert (not replay.differs(shown, printed)) is same
