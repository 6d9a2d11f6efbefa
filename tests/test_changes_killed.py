"""A run that sends changes only is killed in every phase of the commit of its state, and then finished or given up."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from converter.commands.state import check_state
from converter.delivery.state import State

from .doomed import KILLED, Moment, start
from .kill import PARTIAL, events_of, toml, whole

STATE = "converter.delivery.state:"
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
    "before the old state is removed": Moment(call=f"{STATE}shutil.rmtree", how="before"),
    "after the old state is removed": Moment(call=f"{STATE}shutil.rmtree"),
    "after the state is published": Moment(call=f"{STATE}NextState.publish"),
    "before the run is done": Moment(event="done", how="before"),
    "after the run is done": Moment(event="done"),
}
ROWS = 3_000
CHANGED = 7
"""Every seventh user is changed."""


class Feed:
    """A job in a folder, and the lines that have become visible."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.job = folder / "job.toml"
        self.job.write_text(
            toml(
                {
                    "input": {"path": str(folder / "crm.csv")},
                    "id": {"column": "id"},
                    "record": {"signals": ["a"], "traits": ["t"]},
                    "output": {"to": str(folder / "out"), "dpid": 1234, "max_part_raw_bytes": "105KB"},
                    "delta": {"state": str(self.state), "removals": True, "gone": "remove"},
                    "report": {"dir": str(folder / "reports")},
                }
            )
        )

    def write(self, *, changed: bool) -> None:
        """Write the table of the first day, or that of the second: some users are changed, gone or new."""
        numbers = range(50, ROWS + 50) if changed else range(ROWS)
        rows = (f"user{each},{'w' if changed and each % CHANGED == 0 else 'v'},{each}\n" for each in numbers)
        (self.folder / "crm.csv").write_text("id,a,t\n" + "".join(rows))

    def run(self, moment: Moment | None = None, *, resume: bool = True) -> bool:
        """Run, and be killed at a moment; return whether the run came to its end before that."""
        said = self.folder / "said"
        process = start(["convert", str(self.job), *["--resume"] * resume, "--progress", "off"], said, moment)
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
    record = check_state(feed.state).record
    assert record.generation in (1, 2)
    if record.generation == 2:
        assert {"publishing", "done"} & set(events_of(feed.folder / "reports"))


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
    was_new = State.read(feed.state).record.generation == 2  # type: ignore[union-attr]
    assert feed.run(resume=resume)
    record = check_state(feed.state).record
    assert (record.users, record.generation) == (ROWS, 3 if was_new and not resume else 2)
    sent = Counter(line for lines in feed.visible().values() for line in lines)
    if resume:
        assert sent == changes(), "each change once"
    else:
        assert set(sent) == set(changes()), "each change at least once"
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.endswith(PARTIAL)]
    names = sorted(path.name for path in feed.state.iterdir())
    assert names == [f"generation-{record.generation}", "salt", "state.json"]
