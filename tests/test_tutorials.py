"""The commands of the tutorials do what the tutorials show."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import replay


@pytest.mark.parametrize("page", replay.TUTORIALS)
def test_commands_print_what_is_shown(page: str, tmp_path: Path) -> None:
    assert replay.play(page, tmp_path) > 1


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
