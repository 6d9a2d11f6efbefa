"""Journals that are on disk: of another version, and damaged ones."""

from __future__ import annotations

import json

import pytest

from converter.errors import JobError
from converter.plan import journal_path

from .conftest import Run
from .errors import raises
from .test_resume import CONTENT, SMALL, KilledError, die_at

NEWER = 99


def make_newer(run: Run) -> None:
    """Let the journal be one that another version wrote."""
    path = journal_path(run.make_job(output=SMALL))
    first, *others = path.read_bytes().splitlines(keepends=True)
    facts = {**json.loads(first), "version": NEWER, "of_a_kind": "that is not known here"}
    path.write_bytes(json.dumps(facts).encode() + b"\n" + b"".join(others))


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_of_another_version_that_is_not_finished_is_told_of(
    run: Run, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    with monkeypatch.context() as patch:
        die_at(patch, "arrived", 2)
        with pytest.raises(KilledError):
            run.convert(CONTENT, output=SMALL)
    make_newer(run)
    before = run.files
    with raises(JobError, "E-JOURNAL-VERSION", str(NEWER), "without --resume"):
        run.convert(output=SMALL, resume=resume)
    assert run.files == before


def test_a_finished_run_of_another_version_is_over(run: Run) -> None:
    run.convert(CONTENT, output={**SMALL, "timestamp": None})
    path = next((run.folder / "reports").glob("*.journal"))
    first, done = path.read_bytes().splitlines()
    path.write_bytes(json.dumps({**json.loads(first), "version": NEWER}).encode() + b"\n" + done + b"\n")
    with raises(JobError, "E-JOURNAL-VERSION"):  # whether it has sent this input cannot be told
        run.convert(output={**SMALL, "timestamp": None}, resume=True)
    assert run.convert(output={**SMALL, "timestamp": None}).outcome == "done"
