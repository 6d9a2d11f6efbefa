"""A short fuzz of the compiled loops; `make fuzz` takes longer."""

from __future__ import annotations

from . import fuzz


def test_the_loops_agree_with_their_twins_and_touch_nothing_outside_of_their_buffers() -> None:
    assert fuzz.fuzz(seconds=3, seed=7) > len(fuzz.ENTRIES)
