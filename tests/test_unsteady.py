"""Tests that fail at first are tried again where that is asked for, shown, and few."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .unsteady import MOST

ROOT = Path(__file__).parent.parent

MODULE = """
import pytest
from pathlib import Path

@pytest.mark.parametrize("number", range({number}))
def test_late(number, request):
    seen = Path(__file__).with_name(f"seen-{{number}}")
    late, _ = not seen.exists(), seen.touch()
    assert not (late or {always}), "late"
"""


@pytest.mark.parametrize(
    ("number", "always", "flags", "code"),
    [
        (1, False, [], 1),
        (1, False, ["--reruns", "1"], 0),
        (1, True, ["--reruns", "1"], 1),
        (MOST, False, ["--reruns", "1"], 0),
        (MOST + 1, False, ["--reruns", "1"], 1),
    ],
)
def test_few_tests_may_fail_at_first_where_that_is_asked_for(
    number: int, always: bool, flags: list[str], code: int, tmp_path: Path
) -> None:
    (tmp_path / "test_late.py").write_text(MODULE.format(number=number, always=always))
    (tmp_path / "pytest.ini").touch()
    command = [sys.executable, "-m", "pytest", "-p", "tests.unsteady", "-p", "no:cacheprovider", "-n", "1", *flags, "."]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout
    assert ("failed, and was tried again" in done.stdout) == bool(flags)
