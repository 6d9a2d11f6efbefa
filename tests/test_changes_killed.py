"""A run that sends changes only is killed in every phase of the commit of its state, and then finished or given up."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from converter.commands.state import check_state
from converter.delivery.state import State
from converter.delivery.state_places import StatePlace, state_place_at
from converter.delivery.state_record import StateRecord
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience

from .doomed import KILLED, Machine, Moment, start
from .kill import PARTIAL, events_of, whole
from .kill_jobs import toml
from .machines import events_in, objects_in
from .servers.s3 import S3Place, s3_place

STATE = "converter.delivery.state:"
FOLDER = "converter.delivery.state_places.folder:"
MOMENTS = {
    "before the state is begun": Moment(call=f"{STATE}NextState.begin", how="before"),
    "after it is begun": Moment(call=f"{STATE}NextState.begin"),
    "before a file of it": Moment(call=f"{STATE}NextState.store", how="before", times=3),
    "after a file of it": Moment(call=f"{STATE}NextState.store", times=3),
    "after the last file": Moment(call=f"{STATE}NextState.describe"),
    "before it is prepared": Moment(call=f"{STATE}NextState.prepare", how="before"),
    "after it is prepared": Moment(call=f"{STATE}NextState.prepare"),
    "before publishing is noted": Moment(event="publishing", how="before"),
    "while publishing is noted": Moment(event="publishing", how="torn"),
    "after publishing is noted": Moment(event="publishing"),
    "after a part is visible": Moment(event="published"),
    "after all parts are visible": Moment(call=f"{STATE}NextState.publish", how="before"),
    "before the old state is removed": Moment(call=f"{FOLDER}shutil.rmtree", how="before"),
    "after the old state is removed": Moment(call=f"{FOLDER}shutil.rmtree"),
    "after the state is published": Moment(call=f"{STATE}NextState.publish"),
    "before the run is done": Moment(event="done", how="before"),
    "after the run is done": Moment(event="done"),
}
BUCKET = "converter.delivery.state_places.bucket:StateBucket."
ON_MACHINES = {
    "before the state is begun": MOMENTS["before the state is begun"],
    "after it is begun": MOMENTS["after it is begun"],
    "after a file of it": MOMENTS["after a file of it"],
    "before it is prepared": MOMENTS["before it is prepared"],
    "after it is prepared": MOMENTS["after it is prepared"],
    "after publishing is noted": MOMENTS["after publishing is noted"],
    "after all parts are visible": MOMENTS["after all parts are visible"],
    "after the record is replaced": Moment(call=f"{BUCKET}_replace"),
    "before the old state is removed": Moment(call=f"{BUCKET}remove_others", how="before", times=2),
    "after the state is published": MOMENTS["after the state is published"],
}
ROWS = 3_000
CHANGED = 7
"""Every seventh user is changed."""


class Feed:
    """A job in a folder, and the lines that have become visible.

    With a `bucket`, its state and its reports are there, and each run is on a machine of its own.
    """

    def __init__(self, folder: Path, bucket: S3Place | None = None) -> None:
        self.folder = folder
        self.bucket = bucket
        self.machines = 0
        self.state = folder / "state"
        self.job = folder / "job.toml"
        self.job.write_text(
            toml(
                {
                    "input": {"path": str(folder / "crm.csv")},
                    "id": {"column": "id"},
                    "record": {"signals": ["a"], "traits": ["t"]},
                    "output": {"to": str(folder / "out"), "dpid": 1234, "max_part_raw_bytes": "105KB"},
                    "delta": {"state": self.url, "removals": True, "gone": "remove"},
                    **({"s3": self.s3} if bucket else {}),
                    "report": {"dir": self.reports, **({"lease_seconds": 1} if bucket else {})},
                }
            )
        )

    @property
    def s3(self) -> dict[str, Any]:
        """The section of the job for the bucket."""
        return {"endpoint_url": self.bucket.endpoint, "addressing_style": "path"} if self.bucket else {}

    @property
    def url(self) -> str:
        """Where the state is."""
        return f"s3://{self.bucket.bucket}/state" if self.bucket else str(self.state)

    @property
    def reports(self) -> str:
        """Where the reports are."""
        return f"s3://{self.bucket.bucket}/reports" if self.bucket else str(self.folder / "reports")

    @property
    def place(self) -> StatePlace:
        """The place of the state."""
        return state_place_at(self.url, S3(**self.s3), Patience(0))

    def checked(self) -> StateRecord:
        """The record of the state, which is whole."""
        return check_state(self.url, S3(**self.s3)).record

    def events(self) -> list[str]:
        """The events in the journal."""
        return events_in(self.bucket, self.reports) if self.bucket else events_of(self.folder / "reports")

    def write(self, *, changed: bool) -> None:
        """Write the table of the first day, or that of the second: some users are changed, gone or new."""
        numbers = range(50, ROWS + 50) if changed else range(ROWS)
        rows = (f"user{each},{'w' if changed and each % CHANGED == 0 else 'v'},{each}\n" for each in numbers)
        (self.folder / "crm.csv").write_text("id,a,t\n" + "".join(rows))

    def run(self, moment: Moment | None = None, *, resume: bool = True) -> bool:
        """Run, and be killed at a moment; return whether the run came to its end before that."""
        said = self.folder / "said"
        self.machines += 1
        machine = Machine(self.folder / f"machine-{self.machines}", f"host-{self.machines}")
        with machine.running() if self.bucket else contextlib.nullcontext():
            arguments = ["convert", str(self.job), *["--resume"] * resume, "--progress", "off"]
            process = start(arguments, said, moment, machine if self.bucket else None)
            process.join(120)
        assert process.exitcode in (0, *(KILLED if moment else ())), said.read_text(errors="replace")
        return process.exitcode == 0

    def visible(self) -> dict[str, list[str]]:
        """The lines of each part that is visible."""
        parts = sorted((self.folder / "out").glob("*.gz"))
        return {part.name: [line.decode() for line in whole(part.name, part.read_bytes())] for part in parts}


def changes() -> Counter[str]:
    """The lines of the second day."""
    new, gone = range(ROWS, ROWS + 50), range(50)
    changed = [each for each in range(50, ROWS) if each % CHANGED == 0]
    lines = [f'user{each}\t"a"="{"w" if each % CHANGED == 0 else "v"}",d_sid={each}' for each in (*changed, *new)]
    return Counter([*lines, *(f"user{each}\td_unsid={each}" for each in gone)])


def check_between(feed: Feed) -> None:
    """Whatever has happened, there is a whole state: the old one or the new one."""
    record = feed.checked()
    assert record.generation in (1, 2)
    if record.generation == 2:
        assert {"publishing", "done"} & set(feed.events())


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    """A feed after its first day."""
    feed = Feed(tmp_path_factory.mktemp("first-day"))
    feed.write(changed=False)
    assert feed.run()
    return feed


@pytest.mark.parametrize(
    "name, resume",
    [
        *((name, True) for name in MOMENTS),
        ("after it is prepared", False),
        ("after all parts are visible", False),
        ("before the old state is removed", False),
        ("before the run is done", False),
    ],
)
def test_a_killed_run_leaves_one_whole_state_and_its_changes_are_sent(
    tmp_path: Path, first_day: Feed, name: str, resume: bool
) -> None:
    feed = Feed(tmp_path)
    shutil.copytree(first_day.state, feed.state)
    feed.write(changed=True)
    assert not feed.run(MOMENTS[name])
    check_between(feed)
    was_new = State.read(feed.place).record.generation == 2  # type: ignore[union-attr]
    assert feed.run(resume=resume)
    record = feed.checked()
    assert (record.users, record.generation) == (ROWS, 3 if was_new and not resume else 2)
    sent = Counter(line for lines in feed.visible().values() for line in lines)
    if resume:
        assert sent == changes(), "each change once"
    else:
        assert set(sent) == set(changes()), "each change at least once"
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.endswith(PARTIAL)]
    names = sorted(path.name for path in feed.state.iterdir())
    assert names == [f"generation-{record.generation}", "salt", "state.json"]


@pytest.mark.parametrize(
    "name, resume", [*((name, True) for name in ON_MACHINES), ("after all parts are visible", False)]
)
def test_a_run_that_is_killed_with_its_machine_is_finished_on_another_one(
    tmp_path: Path, name: str, resume: bool
) -> None:
    with s3_place() as place:
        feed = Feed(tmp_path, place)
        feed.write(changed=False)
        assert feed.run()
        first = set(feed.visible())
        feed.write(changed=True)
        assert not feed.run(ON_MACHINES[name])
        check_between(feed)
        assert feed.run(resume=resume)
        record = feed.checked()
        assert (record.users, record.generation) == (ROWS, 2)
        sent = Counter(line for part, lines in feed.visible().items() if part not in first for line in lines)
        assert sent == changes() if resume else set(sent) == set(changes())
        files = {f"{generation}/{name}" for generation, name in record.kept}
        assert {key for key, _ in objects_in(place, feed.url)} == {"salt", "state.json", "state.lock", *files}
        assert not feed.state.exists()
