"""A tenth of the sweep of changed bytes, and that it would notice what is wrong."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from . import sweep_bytes
from .sweep_bytes import Change, Child, Outcome, Sweep, changes, files, read, sound

SHARE = 0.1
SEED = 11
CONTENTS = files()
PLAIN = "none-plain-bare.parquet"


def test_changed_bytes_are_an_error_or_what_is_there(tmp_path: Path) -> None:
    outcomes, failures = sweep_bytes.sweep(tmp_path, SHARE, SEED)
    assert not failures, "\n".join(failures)
    assert outcomes["E-INPUT-DAMAGED"] > 0
    assert outcomes["as it is there"] > 0
    assert outcomes.total() == sweep_bytes.PLACES * SHARE


def test_changes_meet_every_file_and_are_drawn_by_the_seed() -> None:
    drawn = changes(CONTENTS, 1, 3)
    assert drawn == changes(CONTENTS, 1, 3) != changes(CONTENTS, 1, 4)
    assert {change.name for change in drawn} == set(CONTENTS)
    assert all(change.of(CONTENTS[change.name]) != CONTENTS[change.name] for change in drawn)
    assert {len(change.new) for change in drawn} >= {0, 1, 2, 5}
    assert Change("", 1, b"X").of(b"abc") == b"aXc"
    assert Change("", 1, b"").of(b"abc") == b"a"


def dies(path: Path) -> Outcome:
    os.kill(os.getpid(), signal.SIGABRT)
    return Outcome("")


def hangs(path: Path) -> Outcome:
    time.sleep(600)
    return Outcome("")


def fails(path: Path) -> Outcome:
    raise ZeroDivisionError


@pytest.mark.parametrize("work, said", [(dies, "exit code -6"), (hangs, "hung"), (fails, "ZeroDivisionError")])
def test_a_process_that_dies_hangs_or_fails_is_noticed_and_another_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: object, said: str
) -> None:
    monkeypatch.setattr(sweep_bytes, "SECONDS", 5)
    child = Child(work)  # type: ignore[arg-type]
    try:
        for _ in range(2):
            with pytest.raises(AssertionError, match=said):
                child(tmp_path)
    finally:
        child.close()


def test_what_is_published_of_a_damaged_file_or_differs_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / f"in{Path(PLAIN).suffix}"
    path.write_bytes(CONTENTS[PLAIN])
    with Sweep(tmp_path) as sweep:
        assert read(path) == Outcome("")
        lines = sweep_bytes.converted(sound(path)).lines
        assert len(lines) == sweep_bytes.table().num_rows
        sweep.check(Outcome("", lines), Outcome(""), sound(path))
        for ours, theirs in [
            (Outcome("", lines), Outcome("ArrowInvalid")),
            (Outcome("", lines[1:]), Outcome("")),
            (Outcome("", (*lines[1:], lines[0])), Outcome("")),
            (Outcome("E-INPUT-DAMAGED", lines), Outcome("ArrowInvalid")),
            (Outcome("E-ENGINE"), Outcome("ArrowInvalid")),
        ]:
            with pytest.raises(AssertionError):
                sweep.check(ours, theirs, sound(path))


def test_what_is_there_is_read_with_checksums_and_validation(tmp_path: Path) -> None:
    content = CONTENTS["none-plain-checksum.parquet"]
    path = tmp_path / "in.parquet"
    for name, error in (("none-plain-bare.parquet", ""), ("none-plain-checksum.parquet", "OSError")):
        content = CONTENTS[name]
        place = content.index(b"user-007")
        path.write_bytes(Change(name, place, b"U").of(content))
        assert read(path).error == error
    content = CONTENTS["none-plain.arrow"]
    path = tmp_path / "in.arrow"
    path.write_bytes(Change("", content.index(b"user-007"), b"\xff").of(content))
    assert read(path).error == "ArrowInvalid"
