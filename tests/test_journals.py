"""Journals that are on disk: those that this version left once, and those of another one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from converter import convert
from converter.errors import ResumeError
from converter.jobs.run_files import journal_name, path_in

from .conftest import Run
from .errors import raises
from .journals import EVENTS, KINDS, NOW, ROWS, SENT, Kind, bring_back, job_of, prepare
from .journals import run as run_again
from .test_resume import CONTENT, SMALL, KilledError, die_at

NEWER = 99


def make_newer(run: Run) -> None:
    """Let the journal be one that another version wrote."""
    job = run.make_job(output=SMALL)
    path = Path(path_in(job.report.dir, journal_name(job)))
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
    with raises(ResumeError, "E-JOURNAL-VERSION", str(NEWER), "without --resume"):
        run.convert(output=SMALL, resume=resume)
    assert run.files == before


def test_a_finished_run_of_another_version_is_over(run: Run) -> None:
    run.convert(CONTENT, output={**SMALL, "timestamp": None})
    path = next((run.folder / "reports").glob("*.journal"))
    first, done = path.read_bytes().splitlines()
    path.write_bytes(json.dumps({**json.loads(first), "version": NEWER}).encode() + b"\n" + done + b"\n")
    with raises(ResumeError, "E-JOURNAL-VERSION"):  # whether it has sent this input cannot be told
        run.convert(output={**SMALL, "timestamp": None}, resume=True)
    assert run.convert(output={**SMALL, "timestamp": None}).outcome == "done"


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_runs_that_this_version_left_are_finished(kind: Kind, event: str, tmp_path: Path) -> None:
    """Where this fails, `VERSION` has to be raised: a run that was begun before cannot go on."""
    folder = tmp_path.resolve()
    prepare(folder)
    bring_back(kind, event, folder)
    (journal,) = (folder / "reports").glob("*.journal")
    events = map(json.loads, journal.read_bytes().splitlines())
    names = tuple(each["name"] for each in events if each["event"] == "arrived")
    arrived = {path.stat().st_ino for path in (folder / "out").iterdir() if path.name.startswith(names)}
    assert len(arrived) == (2 if event == "arrived" else 4)
    assert run_again(kind, folder, resume=True) == "done"
    visible = sorted((folder / "out").iterdir())
    assert arrived <= {path.stat().st_ino for path in visible}, "what had arrived is not made again"
    if kind == "send":
        assert {path.name: path.read_bytes() for path in visible} == {
            name: (folder / name).read_bytes() for name in SENT
        }
    else:
        lines = b"".join(gzip.decompress(path.read_bytes()) for path in visible).splitlines()
        assert lines == [f'{number}\t"a"="value {number * 7919}"'.encode() for number in range(ROWS)]
    assert run_again(kind, folder, resume=True) == "nothing to do"


def test_a_run_whose_journal_is_gone_is_noticed_at_the_destination(
    tmp_path: Path,
) -> None:
    prepare(tmp_path)
    bring_back("convert", "arrived", tmp_path)
    (tmp_path / "reports").rename(tmp_path / "moved")
    report = convert(job_of(tmp_path), now=NOW + 100, resume=True)
    assert [each.code for each in report.warnings] == ["W-RUN-UNFINISHED"]
    for path in (tmp_path / "out").glob("*.partial"):
        path.unlink()
    assert convert(job_of(tmp_path), now=NOW + 200).warnings == []
