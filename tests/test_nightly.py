"""A job that runs every night with `--resume`: what is new is sent once, what is not is not sent again."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from converter import Job, convert, send
from converter.errors import DestinationError, ResumeError
from converter.jobs.document import merge
from converter.jobs.job import Transfer
from converter.report import Report
from converter.spec.names import FileName

from .servers.s3 import s3_place
from .test_resume import KilledError, die_at

ROOT = Path(__file__).parent.parent
FIRST = 1_790_000_000  # UNIX seconds of the first night
DAY = 86_400
ROWS = 1500
Seen = dict[str, bytes]


@dataclass
class Nights:
    """A job in a file, beside its input, and what is to be seen where it sends to."""

    folder: Path
    to: str
    settings: dict[str, Any]
    seen: Callable[[], Seen]

    def __post_init__(self) -> None:
        sections: dict[str, Any] = {
            "input": {"path": "export.csv"},
            "id": {"column": "id"},
            "record": {"signals": ["a"]},
            "output": {"to": self.to, "dpid": 1234, "max_part_raw_bytes": 10_000, "uploads": 1},
        }
        (self.folder / "job.toml").write_text(
            "".join(
                f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
                for name, section in merge(sections, self.settings).items()
            )
        )

    @property
    def job(self) -> Job:
        return Job.load(self.folder / "job.toml")

    def export(self, night: int) -> None:
        """Write a new export to the same path."""
        text = "id,a\n" + "".join(f"{number},{night * 10**6 + number}\n" for number in range(ROWS))
        (self.folder / "export.csv").write_text(text)
        os.utime(self.folder / "export.csv", (FIRST + night * DAY, FIRST + night * DAY))

    def run(self, night: int, *, resume: bool = True) -> Report:
        return convert(self.job, now=FIRST + night * DAY + 3600, resume=resume)

    def check(self, *nights: int) -> None:
        """Fail unless the exports of these nights, each once, are what is to be seen."""
        lines: list[bytes] = []
        for name, content in self.seen().items():
            FileName.parse(name)
            lines += gzip.decompress(content).splitlines()
        wanted = [f'{number}\t"a"="{night * 10**6 + number}"' for night in nights for number in range(ROWS)]
        assert sorted(lines) == sorted(line.encode() for line in wanted)


@pytest.fixture(params=["folder", "s3"])
def nights(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nights]:
    if request.param == "folder":

        def in_folder() -> Seen:
            found = (tmp_path / "out").iterdir() if (tmp_path / "out").exists() else ()
            return {path.name: path.read_bytes() for path in found if not path.name.endswith(".partial")}

        yield Nights(tmp_path, "out", {}, in_folder)
        return
    with s3_place() as place:

        def in_bucket() -> Seen:
            found = place.client.list_objects_v2(Bucket=place.bucket).get("Contents", [])
            read = place.client.get_object
            return {
                each["Key"].rpartition("/")[2]: read(Bucket=place.bucket, Key=each["Key"])["Body"].read()
                for each in found
            }

        settings = {"s3": {"endpoint_url": place.endpoint, "addressing_style": "path"}}
        yield Nights(tmp_path, f"s3://{place.bucket}/in", settings, in_bucket)


def test_every_night_sends_what_is_new_once(nights: Nights) -> None:
    names = set()
    for night in (1, 2, 3):
        nights.export(night)
        first = nights.run(night)
        assert first.outcome == "done"
        before = nights.seen()
        again = nights.run(night)
        assert (again.outcome, again.name, again.parts) == ("nothing to do", first.name, [])
        assert again.records["read"] == again.records["written"] == 0
        assert nights.seen() == before
        names.add(first.name)
        nights.check(*range(1, night + 1))
    assert len(names) == 3
    assert len(list((nights.folder / "reports").glob("*.report.json"))) == 3


def test_an_export_with_the_same_rows_and_another_time_is_a_new_one(nights: Nights) -> None:
    nights.export(1)
    nights.run(1)
    os.utime(nights.folder / "export.csv", (FIRST, FIRST))
    assert nights.run(2).outcome == "done"
    nights.check(1, 1)


def test_plain_convert_always_starts_anew(nights: Nights) -> None:
    nights.export(1)
    for night in (1, 2):
        assert nights.run(night, resume=False).outcome == "done"
    nights.check(1, 1)


@pytest.mark.parametrize("event, at", [("began", 2), ("arrived", 2), ("publishing", 1), ("published", 2)])
def test_a_run_that_died_is_finished_or_given_up_for_the_next_nights_export(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, event: str, at: int
) -> None:
    nights.export(1)
    nights.run(1)
    nights.export(2)
    with monkeypatch.context() as patch:
        die_at(patch, event, at)
        with pytest.raises(KilledError):
            nights.run(2)
    time.sleep(0.05)  # for what a thread was about to do
    visible = set(nights.seen())
    nights.export(3)
    for _ in range(2):
        with pytest.raises(ResumeError) as caught:
            nights.run(3)
        assert caught.value.code == "E-RESUME-INPUT"
        assert set(nights.seen()) == visible
    nights.export(2)
    assert nights.run(3).outcome == "done"  # with its own input, it is finished
    nights.check(1, 2)
    nights.export(3)
    assert nights.run(3).outcome == "done"
    nights.check(1, 2, 3)


def test_plain_convert_gives_a_run_up_that_died_while_it_published(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.export(1)
    with monkeypatch.context() as patch:
        die_at(patch, "published", 2)
        with pytest.raises(KilledError):
            nights.run(1)
    time.sleep(0.05)
    died = nights.seen()
    assert len(died) > 0
    nights.export(2)
    report = nights.run(2, resume=False)
    assert (report.outcome, [each.code for each in report.warnings]) == ("done", ["W-RUN-GIVEN-UP"])
    assert set(nights.seen()) == set(died) | {part.name for part in report.parts}
    assert nights.run(2).outcome == "nothing to do"


def test_the_journal_of_a_finished_run_holds_what_the_next_one_needs_and_no_more(nights: Nights) -> None:
    nights.export(1)
    nights.run(1)
    (journal,) = (nights.folder / "reports").glob("*.journal*")
    run, done = (orjson.loads(line) for line in journal.read_bytes().splitlines())
    assert done == {"event": "done"}
    assert [file["path"] for file in run["input"]] == [str(nights.folder / "export.csv")]


# --- by the command line ----------------------------------------------------------------------------------------

DYING = """
import os, signal, sys
from converter.delivery.journal import Journal
event, left, note = sys.argv.pop(1), int(sys.argv.pop(1)), Journal.note
def noted(self, what, **facts):
    global left
    note(self, what, **facts)
    left -= what == event
    if what == event and not left:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.note = noted
from converter.cli import main
main()
"""


def command(
    folder: Path, *args: str | Path, dies_at: tuple[str, int] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder; it may be killed right after an event of the journal."""
    how = ["-m", "converter"] if dies_at is None else ["-c", DYING, dies_at[0], str(dies_at[1])]
    return subprocess.run(
        [sys.executable, *how, *map(str, args)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_stands_in_a_nightly_job_as_it_is(nights: Nights, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    job = nights.folder / "job.toml"

    def night(number: int, *flags: str, **how: Any) -> subprocess.CompletedProcess[str]:
        time.sleep(1.05)  # names of runs hold the second
        nights.export(number)
        return command(elsewhere, "convert", job, *flags, **how)

    assert night(1, "--resume").returncode == 0
    again = night(1, "--resume")
    assert again.returncode == 0
    assert "rows read" not in again.stdout
    told = json.loads(night(1, "--resume", "--json").stdout)
    assert (told["outcome"], told["exit_code"], told["parts"], told["records"]["read"]) == ("nothing to do", 0, [], 0)
    nights.check(1)
    assert night(2, "--resume", dies_at=("published", 2)).returncode == -signal.SIGKILL
    refused = night(3, "--resume")
    assert refused.returncode == 1
    assert "E-RESUME-INPUT" in refused.stderr
    assert night(2, "--resume").returncode == 0
    nights.check(1, 2)
    assert night(3, "--resume").returncode == 0
    nights.check(1, 2, 3)
    assert night(3).returncode == 0
    nights.check(1, 2, 3, 3)
    assert not list(elsewhere.iterdir())


def test_a_run_that_was_killed_is_finished_from_another_folder(nights: Nights) -> None:
    one, other = nights.folder / "one", nights.folder / "other"
    one.mkdir()
    other.mkdir()
    nights.export(1)
    died = command(one, "convert", "../job.toml", "--resume", dies_at=("arrived", 2))
    assert died.returncode == -signal.SIGKILL
    ended = command(other, "convert", nights.folder / "job.toml", "--resume")
    assert (ended.returncode, "Resuming" in ended.stderr) == (0, True)
    nights.check(1)
    (report,) = (nights.folder / "reports").glob("*.report.json")
    assert str(report) in ended.stdout, "the summary says where the report is"
    assert orjson.loads(report.read_bytes())["rejects_path"] in ended.stdout
    assert not [*one.iterdir(), *other.iterdir()]


# --- send -------------------------------------------------------------------------------------------------------


def test_files_that_are_sent_every_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"ftp_dpm_1234_1366545717.sync.{number}.gz" for number in (1, 2, 3)]
    files, out = [tmp_path / name for name in names], tmp_path / "out"
    transfer = Transfer(output={"to": str(out), "uploads": 1}, report={"dir": str(tmp_path / "reports")})

    def write(night: int) -> dict[str, bytes]:
        for path in files:
            path.write_bytes(gzip.compress(f'user{night}\t"a"="{night}"\n'.encode(), mtime=0))
            os.utime(path, (FIRST + night * DAY, FIRST + night * DAY))
        return {path.name: path.read_bytes() for path in files}

    def found() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.endswith(".partial")}

    first = write(1)
    assert send(files, transfer, resume=True).outcome == "done"
    again = send(files, transfer, resume=True)
    assert (again.outcome, again.parts, again.warnings) == ("nothing to do", [], [])
    second = write(2)
    with pytest.raises(DestinationError) as taken:  # they are new, so that they are sent
        send(files, transfer, resume=True)
    assert (taken.value.code, found()) == ("E-NAME-TAKEN", first)
    for path in out.iterdir():
        path.unlink()
    with monkeypatch.context() as patch:
        die_at(patch, "arrived", 2)
        with pytest.raises(KilledError):
            send(files, transfer)
    write(3)
    with pytest.raises(ResumeError) as refused:
        send(files, transfer, resume=True)
    assert (refused.value.code, found()) == ("E-RESUME-INPUT", {})
    assert write(2) == second
    assert send(files, transfer, resume=True).outcome == "done"
    assert found() == second
    for path in out.iterdir():
        path.unlink()
    third = write(3)
    with monkeypatch.context() as patch:
        die_at(patch, "arrived", 2)
        with pytest.raises(KilledError):
            send(files, transfer)
    write(4)
    assert send(files, transfer).outcome == "done"  # what the dead call had left is not in the way
    assert found() != third
    assert len(found()) == 3
