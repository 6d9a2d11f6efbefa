"""Runs that are killed and resumed, and that the loop which does so (`kill.py`) would notice what went wrong."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from converter.delivery.delivery import Delivery
from converter.delivery.destinations.folder import FolderDestination
from converter.delivery.journal import Journal, PastRun, RunRecord
from converter.delivery.run_files import FolderFiles

from . import kill_jobs
from .doomed import HOWS, How, Moment
from .kill import EVENTS, PHASES, PLACES, SERVERS, Rounds, check_done, check_killed, draw, events_of
from .kill_jobs import KINDS, PLAIN, lines_of
from .servers.place import OWNER

NAME = "ftp_dpm_1234_1366545717.sync.{}.gz"
EXPECTED = lines_of(PLAIN.rows(1, 3))
LINES = sorted(EXPECTED)


def part(*lines: bytes) -> bytes:
    return gzip.compress(b"".join(line + b"\n" for line in lines))


SOUND = {NAME.format(1): part(*LINES[:2]), NAME.format(2): part(LINES[2])}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.slow
def test_f1_killed_at_any_moment_no_row_is_lost_or_there_twice(tmp_path: Path, place: str) -> None:
    with PLACES[place](tmp_path) as server:
        rounds = Rounds(server, tmp_path, seed=7)
        for number in range(10):
            rounds.play(f"round-{number}", *rounds.draw(number))


def test_f1_killed_in_each_phase_no_row_is_lost_or_there_twice(tmp_path: Path) -> None:
    kills: list[tuple[str, How, str]] = [
        ("began", "before", "run"),
        ("began", "after", "began"),
        ("made", "torn", "began"),
        ("made", "after", "made"),
        ("arrived", "after", "arrived"),
        ("publishing", "after", "publishing"),
        ("published", "before", "publishing"),
        ("published", "after", "published"),
    ]
    with SERVERS["folder"](tmp_path) as server:
        rounds = Rounds(server, tmp_path, seed=7, count=10_000)
        rounds.play("round", *(Moment(event=event, how=how) for event, how, _ in kills))
    assert rounds.kills == Counter(phase for _, _, phase in kills)


@pytest.mark.parametrize("job", ["pgp", "route", "gathered"])
def test_f1_killed_jobs_of_other_kinds_lose_no_row_and_have_none_twice(tmp_path: Path, job: str) -> None:
    moments = [Moment(event=event) for event in ("made", "arrived", "publishing", "published")]
    with SERVERS["folder"](tmp_path) as server, KINDS[job](tmp_path) as kind:
        rounds = Rounds(server, tmp_path, seed=7, count=5_000, kind=kind)
        rounds.play("round", *moments)
    assert rounds.kills == Counter(moment.event for moment in moments)


@pytest.mark.parametrize(
    "visible, hidden, why",
    [
        ({NAME.format(1): SOUND[NAME.format(1)]}, set(), "1 lines are lost, 0 are too many"),
        ({**SOUND, NAME.format(3): part(LINES[2])}, set(), "0 lines are lost, 1 are too many"),
        ({NAME.format(1): part(*LINES[:2]), NAME.format(3): part(LINES[2])}, set(), "gaps"),
        ({**SOUND, NAME.format(3).replace("17.", "18."): part()}, set(), "not the parts of one run"),
        (SOUND, {"x.partial"}, "left behind"),
        ({NAME.format(1): gzip.compress(b"\n".join(LINES))}, set(), "its last line is cut off"),
        ({}, set(), "not the parts of one run"),
    ],
)
def test_what_is_wrong_in_the_end_is_noticed(visible: dict[str, bytes], hidden: set[str], why: str) -> None:
    check_done(SOUND, set(), EXPECTED)
    with pytest.raises(AssertionError, match=why):
        check_done(visible, hidden, EXPECTED)


def test_what_is_wrong_after_a_kill_is_noticed() -> None:
    check_killed({}, [])
    check_killed({}, ["run", "publishing"])
    check_killed(SOUND, ["run", "publishing"])
    with pytest.raises(AssertionError, match="sync.1.gz"):
        check_killed(SOUND, ["run", "arrived"])
    with pytest.raises(EOFError):
        check_killed({NAME.format(1): SOUND[NAME.format(1)][:-3]}, ["publishing"])
    with pytest.raises(ValueError, match=r"\.partial"):
        check_killed({NAME.format(1) + ".partial": part(LINES[0])}, ["publishing"])


def test_a_torn_line_of_a_journal_is_no_event(tmp_path: Path) -> None:
    assert events_of(tmp_path) == []
    (tmp_path / "x.journal").write_bytes(b'{"event":"run"}\n{"event":"made"}\n{"event":"arr')
    assert events_of(tmp_path) == ["run", "made"]


def test_moments_are_of_all_phases() -> None:
    moments = [draw(random.Random(seed), 10, 4, 9) for seed in range(2000)]
    assert {moment.event for moment in moments} == {"", *EVENTS}
    assert {moment.how for moment in moments} == set(HOWS)
    assert {moment.times for moment in moments} == set(range(1, 10))
    assert 14 < max(moment.seconds for moment in moments if not moment.event) <= 15
    assert 5 < max(moment.seconds for moment in moments if moment.event) <= 6
    assert min(moment.seconds for moment in moments if not moment.event) < 0.1


def test_of_50_rounds_each_phase_is_aimed_at(tmp_path: Path) -> None:
    with SERVERS["folder"](tmp_path) as server:
        rounds = Rounds(server, tmp_path, seed=1, count=100)
    for _ in range(3):
        first = [rounds.draw(number)[0] for number in range(50)]
        aimed = {moment.event for moment in first if moment.how == "after" and not moment.seconds}
        assert aimed >= set(PHASES)


@pytest.mark.parametrize("kill", [{"event": "run", "seconds": 0.001}, {"seconds": 0.001}])
def test_killed_some_time_after_a_moment(tmp_path: Path, kill: dict[str, Any]) -> None:
    with SERVERS["folder"](tmp_path) as server:
        rounds = Rounds(server, tmp_path, seed=1, count=100)
        rounds.play("round", Moment(**kill), Moment(**kill))
        assert rounds.kills.total() == 2


def test_rows_are_distinct_and_the_same_for_a_seed() -> None:
    assert PLAIN.rows(3, 1000) == PLAIN.rows(3, 1000) != PLAIN.rows(4, 1000)
    assert set(lines_of(PLAIN.rows(3, 1000)).values()) == {1}
    assert len(lines_of(PLAIN.rows(3, 1000))) == 1000


def test_a_row_too_many_is_noticed_in_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        kill_jobs, "lines_of", lambda given: Counter() if given[0][0].endswith("9") else lines_of(given)
    )
    with SERVERS["folder"](tmp_path) as server, pytest.raises(AssertionError, match=r"\b10\b"):
        Rounds(server, tmp_path, seed=1, count=100)


def test_a_run_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "warming-up").write_bytes(b"a file, where the folder should be")
    with SERVERS["folder"](tmp_path) as server, pytest.raises(AssertionError, match=r"E-FOLDER-WRITE"):
        Rounds(server, tmp_path, seed=1, count=100)


@pytest.mark.parametrize("how, left", [("resume", {OWNER.partial(NAME.format(2), ".partial")}), ("abandon", set())])
def test_f14_what_was_begun_when_the_journal_did_not_know_of_it_yet_is_removed(
    tmp_path: Path, how: str, left: set[str]
) -> None:
    run = RunRecord([NAME.removesuffix(".{}.gz")], 1366545717, "2013-04-21", "balanced: isal 1.9.1", [])
    journal = Journal(FolderFiles(tmp_path), "x.journal")
    journal.begin(run)
    destination = FolderDestination(str(tmp_path / "out"), OWNER)
    unknown, known = (destination.create(NAME.format(number)) for number in (1, 2))
    unknown.write(b"half of it")
    past = PastRun(run, arrived={2: known.finish()})
    past.attempts[2].append((NAME.format(2), {}))
    delivery = Delivery(destination, journal, uploads=2, retry_seconds=0)
    getattr(delivery, how)(past)
    assert {path.name for path in (tmp_path / "out").iterdir()} == left
    unknown.abort()
    delivery.close()
    journal.close()
