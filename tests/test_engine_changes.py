"""Runs that send changes only, whose users are compared by tasks of Spark: here these run in one process, by turns.

Each task has two attempts, of which the first one does not count. Days of Spark and days of one machine take turns, with
one state, beside a plain model or a run of one machine.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from converter import convert
from converter.commands.plan import Plan
from converter.errors import DestinationError
from converter.report import Report
from converter.rows.users.split import RANGE_BITS
from converter.spark.conversion import SparkConversion, assignment_of
from converter.spark.messages import SharedFile, Staged, packed, unpacked
from converter.spark.shuffling import COUNTS, Moved, gather, split
from converter.spark.staging import open_files

from . import test_changes
from .conftest import Run
from .errors import raises
from .servers.s3 import s3_place
from .test_changes import CRM, DAY, Days

TASKS = 5


def shuffled_here(plan: Plan, on_wait: Callable[[], None]) -> tuple[list[Staged], None]:
    """Do the work of the tasks of a run in this process, before and after a shuffle."""
    assignment = unpacked(packed(assignment_of(plan, 1 << RANGE_BITS)))
    staged: list[Staged] = []
    shares: dict[int, list[Moved]] = defaultdict(list)
    for number, origin in enumerate(plan.origins):
        file = SharedFile(number, origin.label, origin.fingerprint() or {})
        opened = partial(open_one, assignment.job, file)
        for moved in split(assignment, number, 1, opened, of_rows=False):
            if moved.set == COUNTS:
                staged.append(unpacked(moved.data))
            else:
                shares[moved.range % TASKS].append(moved)
        on_wait()
    for share in shares.values():
        for attempt in ("lost", "won"):
            made = gather(assignment, 1, share, of_rows=False)
            staged += [unpacked(packed(made))] if attempt == "won" else []
        on_wait()
    return staged, None


def open_one(job: Any, file: SharedFile, records: Any) -> Any:
    return open_files(job, records, [file])


def convert_by_turns(job: Any, *, now: float, **options: Any) -> Report:
    """Convert on Spark on even days, and on one machine on the others."""
    engine = {} if int(now) // DAY % 2 else {"engine": partial(SparkConversion, shuffled_here)}
    return convert(job, now=now, **engine, **options)


@pytest.fixture(autouse=True)
def by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_changes, "convert", convert_by_turns)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.fixture(params=["folder", "s3"])
def places(request: pytest.FixtureRequest, run: Run) -> Iterator[Days]:
    """A state in a folder, and one on S3, that has traits and IDs."""
    removing: dict[str, Any] = {"delta": {"removals": True, "gone": "remove"}}
    if request.param == "folder":
        yield Days(run, **removing)
        return
    with s3_place() as place:
        yield Days(run, place, **removing)


@pytest.mark.parametrize("seed", [2])
def test_days_by_turns_send_what_a_plain_model_sends(run: Run, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    test_changes.test_days_send_what_a_plain_model_sends(run, seed, monkeypatch)


def test_users_with_several_rows_are_compared_by_turns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    test_changes.test_users_with_several_rows_are_those_of_a_plain_model(run, 1, monkeypatch)


def test_routed_users_have_states_of_their_own(run: Run) -> None:
    test_changes.test_routed_users_have_states_of_their_own(run)


def test_the_state_is_whole_and_nothing_of_lost_attempts_is_left(places: Days) -> None:
    for day in range(3):
        rows = [f"user{number},{number % 5 + day * (number % 9 == 0)},{number % 4}\n" for number in range(100)]
        there = {number for number in range(100) if number % 10 != day}
        lines = places.send("id,a,t\n" + "".join(rows[number] for number in sorted(there)), day)
        changed = {number for number in there if number % 9 == 0 and number % 10 != day - 1}
        assert len(lines) == (90 if not day else 10 + 10 + len(changed))
        record = places.checked().record
        assert (record.generation, record.users) == (day + 1, 90)
        assert {name for name in places.files if "/" in name} == {"/".join(each) for each in record.kept}


def test_a_run_that_fails_leaves_the_old_state_and_is_resumed(places: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    places.send(CRM, 1)
    before = places.files

    def fail(self: SparkConversion, _: Staged) -> None:
        raise DestinationError("E-FOLDER-WRITE", "The disk has failed.")

    changed = CRM.replace("u1,x", "u1,v").replace("u3,z,\n", "")
    with monkeypatch.context() as patched:
        patched.setattr(SparkConversion, "_take", fail)
        with raises(DestinationError, "E-FOLDER-WRITE"):
            places.send(changed, 2)
    assert places.files == before
    assert places.send(changed, 2, resume=True) == ['u1\t"a"="v",d_sid=1,d_sid=2']
    assert places.checked().record.generation == 2


def test_all_users_may_be_gone_whose_file_of_the_state_gets_no_line(places: Days) -> None:
    places.send("id,a,t\n" + "".join(f"user{number},x,{number}\n" for number in range(1, 101)), 1)
    lines = places.send("id,a,t\nuser1,x,1\n", 2)
    assert sorted(lines) == sorted(f"user{number}\td_unsid={number}" for number in range(2, 101))
    assert places.counts("unchanged", "removed", "traits_removed", "keys_lost") == [1, 99, 99, 99]


def test_a_state_that_a_worker_does_not_see_is_said(run: Run) -> None:
    days = Days(run)
    even = 2

    def unseen(plan: Plan, on_wait: Callable[[], None]) -> Any:
        shutil.rmtree(days.state)
        return shuffled_here(plan, on_wait)

    job = run.make_job(**days.changes, input={"path": str(run.write(CRM))}, output={"timestamp": None})
    with raises(DestinationError, "E-STATE-WRITE", str(days.state), "cluster"):
        convert(job, now=even * DAY, engine=partial(SparkConversion, unseen))
    assert run.files == []


def test_files_that_only_a_worker_sees_are_no_state(run: Run) -> None:
    days = Days(run)

    def elsewhere(plan: Plan, on_wait: Callable[[], None]) -> Any:
        staged = shuffled_here(plan, on_wait)
        for apart in days.state.glob("generation-1-*"):
            shutil.rmtree(apart)
        return staged

    job = run.make_job(**days.changes, input={"path": str(run.write(CRM))}, output={"timestamp": None})
    with raises(DestinationError, "E-STATE-WRITE", str(days.state)):
        convert(job, now=2 * DAY, engine=partial(SparkConversion, elsewhere))
    assert all(name.endswith(".partial") for name in run.files)
    assert days.files == {}


def test_rows_that_collide_and_users_that_change_are_found_together(run: Run, tmp_path: Path) -> None:
    rows = [f"{'uU'[number % 2]}ser{number // 2 % 40},x{number % 3},\n" for number in range(200)]
    made = []
    for name, engine in (("spark", {"engine": partial(SparkConversion, shuffled_here)}), ("one", {})):
        days = Days(Run(tmp_path / name), id={"case_collisions": "report"})
        days.run.folder.mkdir()
        for day in range(2):
            path = days.run.write("id,a,t\n" + "".join(rows[: 150 + 50 * day]))
            job = days.run.make_job(**days.changes, input={"path": str(path)}, output={"timestamp": None})
            report = convert(job, now=day * DAY, **engine)
            made.append((Counter(days.lines(report)), report.records, report.changes, report.ids, report.warnings))
    assert made[:2] == made[2:]
    assert made[0][3]["case_collisions"]["ids"] == 80
