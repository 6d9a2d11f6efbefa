"""Runs that send changes only: day after day, beside a plain model; and what becomes of their state when they fail."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from converter import Job, convert
from converter.commands.convert import convert as convert_job
from converter.commands.state import StateReport, check_state
from converter.delivery.locks import lock_state
from converter.delivery.state import NextState, State
from converter.delivery.state_places import StatePlace, state_place_at
from converter.delivery.state_places.folder import make_state_folder
from converter.errors import DestinationError, EmptyInputError, JobError, StateError, TooManyRejectsError
from converter.jobs.document import merge
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience
from converter.report import Report

from .conftest import TIMESTAMP, Run
from .errors import codes_of, raises
from .machines import objects_in
from .servers.s3 import S3Place
from .test_delta import OPTIONS, Model, Table, traits_in

DAY = 86_400
PREFIX = "state/crm"
CRM = "id,a,t\nu1,x,1|2\nu2,y,3\nu3,z,\n"


class Days:
    """Runs of one job, each on a day of its own; the day is its number. The state is in a folder, or in a bucket."""

    def __init__(self, of: Run, bucket: S3Place | None = None, **changes: Any) -> None:
        self.run = run = of
        self.state = run.folder / "state"
        self.bucket = bucket
        self.url = f"s3://{bucket.bucket}/{PREFIX}" if bucket else str(self.state)
        s3 = {"endpoint_url": bucket.endpoint, "addressing_style": "path", "timeout": 10} if bucket else {}
        self.s3 = S3(**s3)
        record = {"signals": ["a"], "traits": ["t"]}
        on_s3 = {"s3": s3, "report": {"lease_seconds": 1}} if bucket else {}
        self.changes = merge({"record": record, "delta": {"state": self.url}, **on_s3}, changes)
        self.warnings: list[str] = []

    def send(self, content: str, day: int, *, resume: bool = False, **changes: Any) -> list[str]:
        """Convert on a day; return the lines, and keep the report."""
        path = self.run.folder / "in.csv"
        if not path.exists() or path.read_text() != content:  # else it is the same input, not written again
            self.run.write(content)
        now = TIMESTAMP + day * DAY
        job = self.run.make_job(**merge(merge(self.changes, {"output": {"timestamp": None}}), changes))
        self.report = convert(job, now=now, resume=resume)
        self.warnings = codes_of(self.report.warnings)
        return self.lines(self.report)

    def lines(self, report: Report) -> list[str]:
        """The lines of a run."""
        texts = [gzip.decompress((self.run.out / Path(part.url).name).read_bytes()) for part in report.parts]
        return b"".join(texts).decode().splitlines()

    def counts(self, *names: str) -> list[int]:
        """Counts of changes, by name; those that are not named are 0."""
        changes = dict(self.report.changes or {})
        named = [changes.pop(name) for name in names]
        assert not any(changes.values()), self.report.changes
        return named

    @property
    def place(self) -> StatePlace:
        """The place of the state, as a new process has it."""
        return state_place_at(self.url, self.s3, Patience(0), lease_seconds=1)

    def checked(self) -> StateReport:
        """The state, which is whole."""
        return check_state(self.url, self.s3)

    def generations(self) -> set[str]:
        """The names of all generations of which there is a file."""
        return {
            name.partition("/")[0].rpartition("-")[0] if self.bucket else name.partition("/")[0]
            for name in self.files
            if "/" in name
        }

    @property
    def files(self) -> dict[str, bytes]:
        """What is in the folder of the state, or below its prefix; without the lock."""
        if self.bucket:
            return {key: content for key, content in objects_in(self.bucket, self.url) if key != "state.lock"}
        return {
            str(path.relative_to(self.state)): path.read_bytes() for path in self.state.rglob("*") if path.is_file()
        }


@pytest.fixture
def days(run: Run) -> Days:
    return Days(run)


def test_only_new_and_changed_users_are_sent(days: Days) -> None:
    assert sorted(days.send(CRM, 0)) == ['u1\t"a"="x",d_sid=1,d_sid=2', 'u2\t"a"="y",d_sid=3', 'u3\t"a"="z"']
    assert days.counts("new") == [3]
    assert sorted(days.send("id,a,t\nu3,z,\nu2,y,4\nu4,w,\n", 1)) == ['u2\t"a"="y",d_sid=4', 'u4\t"a"="w"']
    assert days.counts("new", "changed", "unchanged", "gone") == [1, 1, 1, 1]
    records = days.report.records
    assert (records["read"], records["written"], records["skipped"]) == (3, 2, {"unchanged": 1})
    assert days.report.signals["written"] == 3
    assert records["users"] == 2
    # Who comes back is new: nothing is kept of users who are gone.
    assert days.send("id,a,t\nu1,x,1|2\nu3,z,\nu2,y,4\nu4,w,\n", 2) == ['u1\t"a"="x",d_sid=1,d_sid=2']


def test_a_day_without_changes_is_a_success_without_parts(days: Days) -> None:
    days.send(CRM, 0)
    files = len(days.run.files)
    assert days.send(CRM, 1) == []
    assert (days.report.outcome, days.report.exit_code, days.report.parts) == ("done", 0, [])
    assert len(days.run.files) == files
    assert days.counts("unchanged") == [3]
    assert json.loads(Path(days.report.report_path or "").read_bytes())["changes"]["unchanged"] == 3
    assert days.send(CRM.replace("u1,x", "u1,v"), 2) == ['u1\t"a"="v",d_sid=1,d_sid=2']


def test_an_input_without_users_is_an_error_as_without_a_state(days: Days) -> None:
    days.send(CRM, 0)
    before = days.files
    with raises(EmptyInputError, "E-NO-ROWS"):
        days.send("id,a,t\n", 1)
    with raises(EmptyInputError, "E-NO-ROW-LEFT"):
        days.send("id,a,t\n,x,\n", 1)
    assert days.files == before


def test_a_run_that_is_refused_leaves_the_old_state(days: Days) -> None:
    days.send(CRM, 0)
    before = days.files
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS"):
        days.send(CRM + ",w,\n", 1, report={"max_rejects": "0"})
    assert days.files == before
    with raises(EmptyInputError, "E-NO-ROW-LEFT"):
        Days(days.run, delta={"state": str(days.run.folder / "other")}).send("id,a,t\n,x,\n", 1)
    assert not (days.run.folder / "other").exists()


def test_unchanged_users_are_sent_again_before_their_traits_fall_off(days: Days) -> None:
    content = "id,a,t\n" + "".join(f"user{number},x,1\n" for number in range(300))
    days.send(content, 0)
    sent: dict[str, int] = {}
    for day in (49, 60, 75, 99, 100):
        for line in days.send(content, day):
            assert sent.setdefault(line, day) == day, "once in these days"
        (refreshed,) = [(days.report.changes or {})["refreshed"]]
        assert refreshed < 200
        assert refreshed + (days.report.changes or {})["unchanged"] == 300
    assert len(sent) == 300
    assert min(sent.values()) > 49


def test_a_user_who_was_changed_is_not_due_soon(days: Days) -> None:
    days.send("id,a,t\nu1,x,1\n", 0)
    days.send("id,a,t\nu1,y,1\n", 90)
    assert days.send("id,a,t\nu1,y,1\n", 139) == []
    assert days.send("id,a,t\nu1,y,1\n", 190) == ['u1\t"a"="y",d_sid=1']
    assert days.counts("refreshed") == [1]


def test_full_sends_all_and_says_what_they_are(days: Days) -> None:
    days.send(CRM, 0)
    assert len(days.send(CRM.replace("u1,x", "u1,v"), 1, delta={"full": True})) == 3
    assert days.counts("changed", "refreshed") == [1, 2]
    assert days.send(CRM.replace("u1,x", "u1,v"), 2) == []


def test_traits_that_users_lost_are_removed_and_keys_counted(run: Run) -> None:
    days = Days(run, delta={"removals": True}, record={"signals": ["a", "b"]})
    days.send("id,a,b,t\nu1,x,y,1|2|3\nu2,x,,3\nu3,x,,4\n", 0)
    lines = days.send("id,a,b,t\nu1,x,,2\nu2,x,,3|5\nu3,x,,\n", 1)
    assert sorted(lines) == [
        'u1\t"a"="x",d_sid=2,d_unsid=1,d_unsid=3',
        'u2\t"a"="x",d_sid=3,d_sid=5',
        'u3\t"a"="x",d_unsid=4',
    ]
    assert days.counts("changed", "traits_removed", "keys_lost") == [3, 3, 1]
    assert days.report.signals["written"] == 9
    assert days.send("id,a,b,t\nu1,x,,2\nu2,x,,3|5\nu3,x,,\n", 2) == []


def test_traits_of_users_who_are_gone_are_removed(run: Run) -> None:
    days = Days(run, delta={"gone": "remove"})
    days.send(CRM, 0)
    assert days.send("id,a,t\nu3,z,\nu5,v,\n", 1) != []
    assert sorted(days.lines(days.report)) == ["u1\td_unsid=1,d_unsid=2", "u2\td_unsid=3", 'u5\t"a"="v"']
    assert days.counts("new", "unchanged", "removed", "traits_removed", "keys_lost") == [1, 1, 2, 3, 2]
    assert (days.report.records["read"], days.report.records["written"], days.report.records["lines"]) == (2, 1, 3)
    # A user without traits has nothing to remove.
    assert days.send("id,a,t\nu5,v,\n", 2) == []
    assert days.counts("unchanged", "gone", "keys_lost") == [1, 1, 1]


def test_users_without_signals_and_suppressed_ones_are_gone(run: Run) -> None:
    days = Days(run, delta={"gone": "remove"}, record={"signals": [{"column": "a", "key": "a"}]})
    days.send(CRM, 0)
    (run.folder / "out-of-it.csv").write_text("id\nu2\n")
    suppress = {"path": str(run.folder / "out-of-it.csv"), "column": "id"}
    lines = days.send("id,a,t\nu1,,\nu2,y,3\nu3,z,\n", 1, input={"suppress": suppress})
    assert sorted(lines) == ["u1\td_unsid=1,d_unsid=2", "u2\td_unsid=3"]


@pytest.mark.parametrize("gone, has_ids", [("count", False), ("remove", True)])
def test_a_state_has_ids_only_where_it_must_and_is_private(run: Run, gone: str, has_ids: bool) -> None:
    days = Days(run, delta={"gone": gone, "removals": True})
    days.send("id,a,t\nSomebodyInParticular,x,1\n", 0)
    assert any(b"SomebodyInParticular" in content for content in days.files.values()) == has_ids
    assert stat.S_IMODE(days.state.stat().st_mode) == 0o700
    for path in days.state.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert days.checked().record.ids == has_ids
    notices: list[str] = []
    convert(run.make_job(**merge(days.changes, {"output": {"timestamp": None}})), notify=notices.append)
    assert any(str(days.state) in notice for notice in notices) == has_ids
    assert b"SomebodyInParticular" not in Path(days.report.report_path or "").read_bytes()


def test_two_states_of_one_table_have_nothing_in_common(run: Run) -> None:
    first, second = Days(run), Days(run, delta={"state": str(run.folder / "other")})
    second.state, second.url = run.folder / "other", str(run.folder / "other")
    first.send(CRM, 0)
    second.send(CRM, 1)
    one, other = (State.read(each.place) for each in (first, second))
    numbers = [(file.set, file.number) for file in one.record.files] if one.record else []
    for number in numbers:
        hashes = [set(each.load(*number).frame["first"].to_list()) for each in (one, other)]
        assert hashes[0]
        assert not hashes[0] & hashes[1]


def test_a_change_of_the_job_is_said(days: Days) -> None:
    days.send(CRM, 0)
    assert len(days.send(CRM, 1, record={"signals": [{"column": "a", "key": "b"}]})) == 3
    assert days.warnings == ["W-STATE-JOB"]
    days.send(CRM, 2, record={"signals": [{"column": "a", "key": "b"}]}, run={"threads": 1})
    assert days.warnings == []
    days.send(CRM, 3, record={"signals": [{"column": "a", "key": "b"}]}, output={"mode": "overwrite"})
    assert (days.warnings, days.report.parts) == (["W-STATE-JOB"], [])


def test_removals_begin_with_the_run_after_the_first_that_has_traits(days: Days) -> None:
    days.send(CRM, 0)
    assert len(days.send("id,a,t\nu1,x,1\n", 1, delta={"removals": True})) == 1
    assert (days.warnings, days.lines(days.report)) == (["W-STATE-TRAITS"], ['u1\t"a"="x",d_sid=1'])
    assert days.send("id,a,t\nu2,x,1\n", 2, delta={"gone": "remove"}) == ['u2\t"a"="x",d_sid=1']
    assert (days.warnings, days.counts("new", "gone")) == (["W-STATE-IDS"], [1, 1])
    assert sorted(days.send("id,a,t\nu4,x,1\n", 3, delta={"gone": "remove"}))[0] == "u2\td_unsid=1"
    assert days.warnings == []


def test_a_state_is_of_one_data_source(days: Days) -> None:
    days.send(CRM, 0)
    with raises(JobError, "E-STATE-OTHER", "1234", "4321", "delta.state"):
        days.send(CRM, 1, output={"dpid": 4321})
    with raises(JobError, "E-STATE-OTHER", "77"):
        days.send(CRM, 1, output={"target": 77})


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"delta": {"removals": True}}, "delta.state is missing"),
        ({"delta": {"state": "s", "removals": True}, "output": {"mode": "overwrite"}}, "delta.removals"),
        ({"delta": {"state": "s", "gone": "remove"}, "output": {"mode": "overwrite"}}, "delta.gone"),
        ({"delta": {"state": "sftp://host/state"}}, "s3://BUCKET/PREFIX"),
        ({"delta": {"state": "s", "refresh_days": 0}}, "refresh_days"),
    ],
)
def test_jobs_whose_settings_do_not_fit_are_refused(run: Run, changes: dict[str, Any], named: str) -> None:
    with raises(JobError, "E-JOB-INVALID", named):
        run.make_job(**changes)


def test_synchronization_files_have_no_state(run: Run) -> None:
    columns = [{"column": "d", "type": "idfa"}, {"column": "c", "type": "crm", "dpid": 5}]
    job = {"input": {"path": "x"}, "sync": {"columns": columns}, "delta": {"state": "s"}}
    with raises(JobError, "E-JOB-INVALID", "delta.state"):
        Job(**{**job, "output": {"to": "out", "kind": "id-sync"}})


# --- users with several rows --------------------------------------------------------------------------------------


def test_shuffled_rows_of_users_are_no_change_where_they_are_gathered(run: Run) -> None:
    days = Days(run, record={"rows": "signal"})
    content = ["u1,x,1", "u1,y,2", "u2,x,3", "u2,x,4", "u3,,5"]
    days.send("id,a,t\n" + "\n".join(content) + "\n", 0)
    random.Random(1).shuffle(content)
    assert days.send("id,a,t\n" + "\n".join(content) + "\n", 1) == []
    assert days.report.records["skipped"] == {"unchanged": 5}
    assert days.send("id,a,t\n" + "\n".join(content[1:]) + "\n", 2) != []


def test_all_lines_of_a_user_are_sent_where_one_has_changed(days: Days) -> None:
    days.send("id,a,t\nu1,x,1\nu2,x,1\nu1,y,2\n", 0)
    assert days.report.records["lines"] == 3
    assert days.send("id,a,t\nu1,x,1\nu2,x,1\nu1,y,3\n", 1) == ['u1\t"a"="x",d_sid=1', 'u1\t"a"="y",d_sid=3']
    assert days.counts("changed", "unchanged") == [1, 1]
    assert days.report.records["skipped"] == {"unchanged": 1}


def test_routed_users_have_states_of_their_own(run: Run) -> None:
    route = {"gaid": {"target": 1}, "crm": {"dpid": 5}}
    output = {"dpid": None, "route": route}
    days = Days(run, id={"type": "auto"}, delta={"gone": "remove"}, output=output)
    days.changes["output"].pop("dpid")
    run.job["output"].pop("dpid")
    gaid = "38400000-8cf0-11bd-b23e-10b96e40000d"
    days.send(f"id,a,t\nu1,x,1\n{gaid},x,2\nu2,x,3\n", 0)
    lines = days.send(f"id,a,t\nu1,x,1\n{gaid[:-1]}e,x,2\n", 1)
    assert len(days.report.parts) == 2
    assert sorted(lines) == sorted([f'{gaid[:-1]}e\t"a"="x",d_sid=2', f"{gaid}\td_unsid=2", "u2\td_unsid=3"])
    by_source = {Path(part.url).name.split("_")[2]: part.lines for part in days.report.parts}
    assert by_source == {"20914": 2, "5": 1}


# --- beside a plain model -----------------------------------------------------------------------------------------


def drawn_table(drawn: random.Random, before: Table) -> Table:
    """A table of the next day: some users are new, some changed, some gone."""
    table = {id_: lines for id_, lines in before.items() if drawn.random() < 0.9}
    for number in range(drawn.randrange(40)):
        id_ = f"user{drawn.randrange(150)}"
        traits = sorted({str(drawn.randrange(1, 9)) for _ in range(drawn.randrange(4))})
        table[id_] = [f'"a"="v{number % 3}"' + "".join(f",d_sid={trait}" for trait in traits)]
    return table


def csv_of(drawn: random.Random, table: Table) -> str:
    rows = []
    for id_, (line,) in table.items():
        traits, _ = traits_in([line])
        rows.append(f"{id_},{line.split(',')[0][5:-1]},{'|'.join(sorted(traits))}\n")
    drawn.shuffle(rows)
    return "id,a,t\n" + "".join(rows)


def drawn_users(drawn: random.Random, before: Table) -> Table:
    """A table of the next day: some users have other lines, more, fewer, or one of them twice."""
    table = {id_: list(lines) for id_, lines in before.items() if drawn.random() < 0.95}
    for id_, lines in list(table.items()):
        match drawn.randrange(8):
            case 0:
                lines.append(f'"a"="v{drawn.randrange(4)}"')
            case 1:
                lines.insert(0, drawn.choice(lines))
            case 2 if len(lines) > 1:
                lines.pop()
            case 3:
                table[id_] = [f'"a"="v{drawn.randrange(4)}"']
    return {**table, **{f"user{drawn.randrange(300)}": ['"a"="v9"'] for _ in range(20)}}


@pytest.mark.parametrize("seed", range(4))
def test_users_with_several_rows_are_those_of_a_plain_model(
    run: Run, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = random.Random(seed)
    for name in ("_LEAST_BLOCK", "_MOST_BLOCK"):
        monkeypatch.setattr(f"converter.sources.base.{name}", 1000)
    days, slow = Days(run, run={"threads": 3}), Days(run, delta={"state": str(run.folder / "slow")})
    slow.state = run.folder / "slow"
    model, table = Model(OPTIONS), {}
    for day in range(4):
        table = drawn_users(drawn, table)
        rows = [(id_, line) for id_, lines in table.items() for line in lines]
        order = sorted(rows, key=lambda row: (drawn.random() < 0.5, drawn.random()))
        queues = {id_: iter(lines) for id_, lines in table.items()}  # the lines of each user stay in order
        content = "id,a,t\n" + "".join(f"{id_},{next(queues[id_])[5:-1]},\n" for id_, _ in order)
        made, outcomes, _ = model.run(table, day, dict.fromkeys(table, 50))
        lines = days.send(content, day)
        assert sorted(lines) == sorted(line[:-1] for line in made)
        counts = days.report.changes or {}
        assert [counts[name] for name in ("new", "changed", "refreshed", "unchanged")] == [
            outcomes.count(outcome) for outcome in range(4)
        ]
        with monkeypatch.context() as patched:  # as where the state does not fit into memory
            patched.setattr("converter.commands.changes.BYTES_A_USER", 1 << 40)
            assert slow.send(content, day) == lines
        names = ("records", "signals", "changes")
        assert [getattr(slow.report, name) for name in names] == [getattr(days.report, name) for name in names]
        assert slow.checked().sent == days.checked().sent


@pytest.mark.parametrize(
    "rows",
    [["u1,x,", "u1,y,"], ["u1,y,", "u1,x,"], ["u1,x,", "u1,x,"], ["u1,x,", "u1,x,", "u1,x,"]],
    ids=["first", "last", "twice", "thrice"],
)
def test_a_line_that_was_known_is_sent_with_the_others_of_its_user(days: Days, rows: list[str]) -> None:
    days.send("id,a,t\nu1,x,\nu2,x,\n", 0)
    lines = days.send("id,a,t\n" + "\n".join([*rows, "u2,x,"]) + "\n", 1)
    assert lines == [f'u1\t"a"="{row[3]}"' for row in rows]
    assert days.counts("changed", "unchanged") == [1, 1]
    records = days.report.records
    assert (records["read"], records["written"], records["skipped"]) == (len(rows) + 1, len(rows), {"unchanged": 1})


def test_a_second_reading_takes_nothing_twice_of_other_data_sources(run: Run) -> None:
    route = {"gaid": {"target": 1}, "crm": {"dpid": 5}}
    days = Days(run, id={"type": "auto"}, output={"route": route})
    run.job["output"].pop("dpid")
    gaid = "38400000-8cf0-11bd-b23e-10b96e40000"
    rows = [f"{gaid}{each},x," for each in "abc"]
    days.send("id,a,t\nu1,x,\n" + "\n".join(rows) + "\n", 0)
    lines = days.send("id,a,t\nu1,x,\nu1,y,\n" + "\n".join([*rows[:2], f"{gaid}c,y,"]) + "\n", 1)
    assert sorted(lines) == [f'{gaid}c\t"a"="y"', 'u1\t"a"="x"', 'u1\t"a"="y"']
    assert days.counts("changed", "unchanged") == [2, 2]
    records = days.report.records
    assert (records["read"], records["written"], records["skipped"]) == (5, 3, {"unchanged": 2})


def test_files_of_the_state_without_changes_are_taken_over(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    days = Days(run)
    content = "id,a,t\n" + "".join(f"user{number},x,\n" for number in range(500))
    days.send(content, 0)
    before = {path.name: path.stat().st_ino for path in days.state.glob("generation-1/*")}
    assert days.send(content.replace("user7,x", "user7,y"), 1) == ['user7\t"a"="y"']
    after = {path.name: path.stat().st_ino for path in days.state.glob("generation-2/*")}
    assert before.keys() == after.keys()
    assert sum(before[name] != after[name] for name in before) == 1
    assert days.checked().sent == {"2013-04-21": 499, "2013-04-22": 1}

    def refused(*_: object) -> None:  # as some file systems do
        raise OSError(1, os.strerror(1))

    monkeypatch.setattr("converter.delivery.state_places.folder.os.link", refused)
    assert days.send(content.replace("user7,x", "user7,y"), 2) == []
    assert days.checked().sent == {"2013-04-21": 499, "2013-04-22": 1}
    monkeypatch.undo()
    assert days.send(content.replace("user7,x", "user7,y"), 3, delta={"gone": "remove"}) == []
    assert days.checked().record.ids  # which files without changes did not have


def test_what_can_be_read_only_once_is_compared_too(run: Run) -> None:
    days = Days(run)
    days.send("id,a,t\nu1,x,\nu2,x,\n", 0)
    pipe = run.folder / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("id,a,t\nu1,x,\nu2,x,\nu1,y,\n"))
    writer.start()
    job = run.make_job(
        **merge(days.changes, {"input": {"path": str(pipe), "format": "csv"}, "output": {"timestamp": None}})
    )
    report = convert(job, now=TIMESTAMP + DAY)
    writer.join()
    assert days.lines(report) == ['u1\t"a"="x"', 'u1\t"a"="y"']


@pytest.mark.parametrize("seed", range(6))
def test_days_send_what_a_plain_model_sends(run: Run, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.Random(seed)
    if seed % 2:  # partitions smaller than files of the state, and larger ones
        monkeypatch.setattr("converter.rows.users.stage._LEAST_BYTES", drawn.choice([64, 500]))
        monkeypatch.setattr("converter.rows.users.partitions._MOST_BITS", drawn.choice([3, 10]))
    delta = {"removals": drawn.random() < 0.7, "gone": drawn.choice(["count", "remove"])}
    days = Days(run, delta=delta, run={"memory": "1MB", "threads": drawn.choice([1, 3])})
    removing = delta["gone"] == "remove"
    model: Model | None = None
    table: Table = {}
    for day in (0, 1, 2, 3):  # no user is due yet
        table = drawn_table(drawn, table) or {"user1": ['"a"="x"']}
        lines = days.send(csv_of(drawn, table), day)
        if model is None:
            model = Model(OPTIONS._replace(removals=bool(delta["removals"]), removes_gone=removing))
        made, outcomes, gone = model.run(table, day, dict.fromkeys(table, 50))
        assert sorted(lines) == sorted(line[:-1] for line in [*made, *gone])
        counts = days.report.changes or {}
        assert [counts[name] for name in ("new", "changed", "refreshed", "unchanged")] == [
            outcomes.count(outcome) for outcome in range(4)
        ]
        assert counts["removed"] == len(gone)
        assert days.checked().record.users == len(table)
        assert days.checked().record.counts == counts


def test_the_output_does_not_depend_on_memory_and_threads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = "id,a,t\n" + "".join(f"user{number},x,{number % 7}\n" for number in range(2000))
    second = "id,a,t\n" + "".join(f"user{number},{'xy'[number % 5 == 0]},{number % 7}\n" for number in range(100, 2100))
    days = Days(run, delta={"gone": "remove"})
    days.send(first, 0)
    shutil.copytree(days.state, run.folder / "copy")
    made = []
    for day, (memory, threads, least) in enumerate([("1GB", 1, 1 << 16), ("1MB", 3, 100), ("1MB", 2, 4000)], 1):
        monkeypatch.setattr("converter.rows.users.stage._LEAST_BYTES", least)
        shutil.rmtree(days.state)
        shutil.copytree(run.folder / "copy", days.state)
        made.append(days.send(second, day, run={"memory": memory, "threads": threads}))
    assert made[0] == made[1] == made[2]
    assert len(made[0]) > 400


# --- the state ----------------------------------------------------------------------------------------------------


def a_file(state: Path) -> Path:
    return next(state.glob("generation-*/*.parquet"))


def spoil_record(state: Path, **facts: Any) -> None:
    path = state / "state.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **facts}))


@pytest.mark.parametrize("what", ["byte", "file", "salt", "no salt", "record", "columns", "rows", "truncated"])
def test_a_damaged_state_is_noticed_and_nothing_is_sent(days: Days, what: str) -> None:
    days.send(CRM, 0)
    path = a_file(days.state)
    content = path.read_bytes()
    match what:
        case "byte":
            path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
        case "truncated":
            path.write_bytes(content[:-1])
        case "file":
            path.unlink()
        case "salt":
            (days.state / "salt").write_bytes(bytes(16))
        case "no salt":
            (days.state / "salt").write_bytes(b"")
        case "record":
            (days.state / "state.json").write_text("{")
        case "columns":
            spoil_record(days.state, traits=True)
        case "rows":
            files = orjson.loads((days.state / "state.json").read_bytes())["files"]
            spoil_record(days.state, files=[{**each, "users": each["users"] + 1} for each in files])
    before, files = days.files, days.run.files
    with raises(StateError, "E-STATE-DAMAGED", str(days.state), "delta.state"):
        days.send(CRM.replace("u1,x", "u1,v").replace("u2,y", "u2,v").replace("u3,z", "u3,v"), 1)
    with raises(StateError, "E-STATE-DAMAGED"):
        days.checked()
    assert (days.files, days.run.files) == (before, files)


def test_a_state_of_another_version_or_that_cannot_be_read_is_refused(days: Days) -> None:
    days.send(CRM, 0)
    spoil_record(days.state, version=0)
    with raises(StateError, "E-STATE-VERSION"):
        days.send(CRM, 1)
    (days.state / "state.json").unlink()
    (days.state / "state.json").mkdir()
    with raises(StateError, "E-STATE-READ"):
        days.send(CRM, 1)


def test_a_state_that_is_taken_away_begins_anew(days: Days) -> None:
    days.send(CRM, 0)
    (days.state / "state.json").unlink()
    assert len(days.send(CRM, 1)) == 3
    assert days.counts("new") == [3]
    assert [path.name for path in days.state.glob("generation-*")] == ["generation-1"]


def test_a_state_that_cannot_be_written_ends_the_run_before_anything_is_visible(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    (days.run.folder / "file").write_text("")
    with raises(DestinationError, "E-STATE-WRITE"):
        days.send(CRM, 0, delta={"state": str(days.run.folder / "file" / "state")})
    days.send(CRM, 0)
    before, files = days.files, days.run.files

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    for name in ("make_state_folder", "os.fdopen", "sync_folder"):
        with monkeypatch.context() as patched:
            patched.setattr(f"converter.delivery.state_places.folder.{name}", full)
            with raises(DestinationError, "E-STATE-WRITE", os.strerror(28)):
                days.send(CRM.replace("u1,x", "u1,v"), 1)
        assert (days.files, days.run.files) == (before, files), name


def test_two_runs_with_one_state_exclude_each_other(days: Days) -> None:
    days.send(CRM, 0)
    other = merge(days.changes, {"report": {"dir": str(days.run.folder / "other-reports")}})
    with lock_state(days.state, make_state_folder):
        with raises(DestinationError, "E-STATE-LOCKED", str(os.getpid())):
            days.send(CRM, 1)
        days.changes = other
        with raises(DestinationError, "E-STATE-LOCKED"):
            days.send(CRM, 1)
    assert days.send(CRM, 1) == []
    assert not (days.state / "state.lock").exists()


def test_a_state_is_shown_and_checked(days: Days) -> None:
    with raises(JobError, "E-STATE-MISSING", "nowhere"):
        check_state(days.run.folder / "nowhere")
    days.send(CRM, 0)
    days.send(CRM.replace("u1,x", "u1,v"), 3)
    found = days.checked()
    shown = found.as_dict()
    assert (shown["users"], shown["run"], found.findings) == (3, days.report.name, [])
    assert list(shown["sent"].values()) == [2, 1]
    assert shown["bytes"] == sum(path.stat().st_size for path in days.state.rglob("*.parquet"))
    days.state.chmod(0o750)
    assert codes_of(days.checked().findings) == ["W-STATE-OPEN"]


def test_a_state_that_is_replaced_while_it_is_checked_is_no_damage(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    days.send(CRM, 0)
    load, left = State.load, [1]

    def loading(state: State, set_: int, number: int) -> Any:
        if left:
            left.pop()
            days.send(CRM.replace("u1,x", "u1,v"), 1)
        return load(state, set_, number)

    monkeypatch.setattr(State, "load", loading)
    assert days.checked().record.generation == 2


# --- runs that are repeated or resumed ------------------------------------------------------------------------------


def test_the_same_input_is_a_new_run_on_another_day_and_nothing_on_the_same(days: Days) -> None:
    days.send(CRM, 0, resume=True)
    days.send(CRM, 0, resume=True)
    assert days.report.outcome == "nothing to do"
    assert days.send(CRM, 100, resume=True) != []
    assert (days.report.outcome, days.counts("refreshed")) == ("done", [3])
    days.send(CRM, 101, resume=True)
    assert (days.report.outcome, days.counts("unchanged")) == ("done", [3])


@pytest.fixture
def died(days: Days, monkeypatch: pytest.MonkeyPatch) -> Days:
    """A run that died when its parts were visible, before its state was."""
    days.send(CRM, 0)

    def fail(self: NextState) -> None:
        raise OSError(5, os.strerror(5))

    with monkeypatch.context() as patched:
        patched.setattr(NextState, "publish", fail)
        with pytest.raises(OSError, match=os.strerror(5)):
            days.send(CRM.replace("u1,x", "u1,v"), 1)
    assert State.read(days.place).record.generation == 1  # type: ignore[union-attr]
    return days


def test_a_run_that_died_before_its_state_was_published_is_finished(died: Days) -> None:
    assert died.send(CRM.replace("u1,x", "u1,v"), 1, resume=True) == ['u1\t"a"="v",d_sid=1,d_sid=2']
    assert died.checked().record.generation == 2
    assert died.send(CRM.replace("u1,x", "u1,v"), 2) == []


def test_a_run_that_is_given_up_leaves_the_old_state(died: Days) -> None:
    assert died.send(CRM.replace("u1,x", "u1,v"), 1) == ['u1\t"a"="v",d_sid=1,d_sid=2']
    assert "W-RUN-GIVEN-UP" in died.warnings
    assert died.checked().record.generation == 2
    assert {name for name in died.files if "/" in name} == {"/".join(each) for each in died.checked().record.kept}


def test_a_state_that_another_run_has_renewed_since_is_not_taken_back(died: Days) -> None:
    path = died.run.write(CRM.replace("u2,y", "u2,v"), "other.csv")
    other = {"report": {"dir": str(died.run.folder / "other-reports")}, "input": {"path": str(path)}}
    assert died.send(CRM.replace("u1,x", "u1,v"), 2, **other) == ['u2\t"a"="v",d_sid=3']
    record = died.checked().record
    died.send(CRM.replace("u1,x", "u1,v"), 1, resume=True)
    assert died.report.outcome == "done"
    assert died.checked().record == record


def test_a_frame_may_be_compared(run: Run) -> None:
    import polars as pl

    job = run.make_job(
        record={"signals": ["a"]}, delta={"state": str(run.folder / "state")}, output={"timestamp": None}
    )
    job = type(job)(**{**run.job, "input": {}, "delta": {"state": str(run.folder / "state")}})
    frame = pl.DataFrame({"id": ["u1", "u2"], "a": ["x", "y"]})
    assert convert_job(job, input=frame).changes == {**dict.fromkeys(convert_counts(), 0), "new": 2}


def convert_counts() -> list[str]:
    return ["new", "changed", "refreshed", "unchanged", "gone", "removed", "traits_removed", "keys_lost"]
