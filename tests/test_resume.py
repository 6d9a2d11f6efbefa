"""Runs that died are finished by `--resume`: every row once, and never by mixing what does not fit."""

from __future__ import annotations

import copy
import gzip
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from converter import convert
from converter.commands import account
from converter.commands.plan import plan
from converter.delivery.delivery import Delivery
from converter.delivery.journal import Journal
from converter.delivery.run_files.bucket import BucketLog
from converter.delivery.run_files.folder import FolderLog
from converter.errors import (
    DestinationError,
    EmptyInputError,
    InputError,
    LedgerError,
    Reported,
    ResumeError,
    StoppedError,
    TooManyRejectsError,
)
from converter.parts import blocks
from converter.spec.names import FileName

from .conftest import TIMESTAMP, Run
from .errors import check_named, raises

CONTENT = "id,a\n" + "".join(f"{number},value {number * 7919}\n" for number in range(3000))
SMALL = {"max_part_raw_bytes": 20_000}
PARTS = 4
EVENTS = ["run", "began", "made", "arrived", "publishing", "published", "done"]


class KilledError(BaseException):
    """Stands for the end of the process: nothing is cleaned up."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patch:
        yield patch


def let_go(delivery: Delivery) -> bool:
    """Close files, as the system does, and leave everything where it is."""
    for part in delivery._in_place.values():
        part._file.close()  # type: ignore[attr-defined]
    return True


def die_at(patch: pytest.MonkeyPatch, event: str, at: int = 1) -> None:
    """Let the process die once the `at`th event of a kind is in the journal, or the last before it where there is none."""
    count = itertools.count(1)

    def dying(add: Callable[..., None]) -> Callable[..., None]:
        def adding(log: Any, *given: Any, **options: Any) -> None:
            add(log, *given, **options)
            if json.loads(given[-1] or b"{}").get("event") == event and next(count) == at:
                for name in ("discard", "close"):
                    patch.setattr(Delivery, name, let_go)
                patch.setattr(Journal, "remove", lambda _: None)
                patch.setattr(Journal, "note", lambda *_, **__: None)
                patch.setattr(account, "write_failed", lambda _files, _name, report, *_, **__: report)
                raise KilledError

        return adding

    patch.setattr(FolderLog, "append", dying(FolderLog.append))
    patch.setattr(BucketLog, "_add", dying(BucketLog._add))


def killed(run: Run, patch: pytest.MonkeyPatch, event: str, at: int = 1, **changes: Any) -> None:
    with patch.context() as dying:
        die_at(dying, event, at)
        with pytest.raises(KilledError):
            run.convert(CONTENT, output={**SMALL, **changes.pop("output", {})}, **changes)


def journal_of(run: Run) -> Path:
    (path,) = (run.folder / "reports").glob("*.journal")
    return path


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("publish", ["end", "each"])
def test_f1_a_run_that_dies_at_any_event_is_finished(
    run: Run, monkeypatch: pytest.MonkeyPatch, event: str, at: int, publish: str
) -> None:
    if at > 1 and event in ("run", "publishing", "done"):
        return
    killed(run, monkeypatch, event, at, output={"publish": publish})
    if publish == "end" and event in EVENTS[:5]:
        assert all(name.endswith(".partial") for name in run.files)
    resumed = run.convert(output={**SMALL, "publish": publish}, resume=True)
    assert len(run.files) == PARTS
    assert run.lines == [f'{number}\t"a"="value {number * 7919}"' for number in range(3000)]
    if event == "done":
        assert (resumed.outcome, resumed.parts) == ("nothing to do", [])
    else:
        assert run.report == json.loads(resumed.to_json())
        assert (resumed.outcome, len(resumed.parts)) == ("done", PARTS)
    assert not list(run.folder.glob("*/*.partial"))
    assert not list(run.folder.glob("*/*.new"))
    assert not list(run.folder.glob("*/*.lock"))


def test_the_bytes_are_those_of_a_run_that_did_not_die(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.convert(CONTENT, output={**SMALL, "to": str(run.folder / "other")})
    killed(run, monkeypatch, "made", 3)
    run.convert(output=SMALL, resume=True)
    other = {path.name: path.read_bytes() for path in (run.folder / "other").iterdir()}
    assert {path.name: path.read_bytes() for path in run.out.iterdir()} == other


@pytest.mark.parametrize("event, at", [("began", 3), ("made", 1), ("made", 3), ("arrived", 4), ("published", 2)])
def test_f1_a_run_with_several_sets_of_files_is_finished(
    run: Run, fresh_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch, event: str, at: int
) -> None:
    uuid = "0f8fad5b-d9cb-469f-a165-7086772{:05}"
    content = "id,a\n" + "".join(f"u{n},{n * 7919}\n{uuid.format(n)},{n}\nu-{n},x\n" for n in range(1000))
    whole = fresh_run()
    for each in (run, whole):
        each.write(content)
        each.job["id"]["type"] = "auto"
        del each.job["output"]["dpid"]
        each.job["output"] |= {**SMALL, "route": {"crm": 1234, "gaid": {"target": 1234}}}
    whole.convert()
    with monkeypatch.context() as dying:
        die_at(dying, event, at)
        with pytest.raises(KilledError):
            run.convert()
    resumed = run.convert(resume=True)
    assert run.files == whole.files
    assert len({name.split("_")[2] for name in run.files}) == 2
    for name in run.files:
        assert (run.out / name).read_bytes() == (whole.out / name).read_bytes()
    assert [part.name for part in resumed.parts] == [part["name"] for part in whole.report["parts"]]


def test_parts_that_are_there_are_not_made_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(run, monkeypatch, "arrived", 2)
    made: list[int] = []
    compress = blocks.compress
    monkeypatch.setattr(blocks, "compress", lambda *given, **named: made.append(1) or compress(*given, **named))
    told: list[str] = []
    convert(run.make_job(output=SMALL), resume=True, notify=told.append)
    assert told == [f"Resuming ftp_dpm_1234_{TIMESTAMP}.sync: 2 parts are there already, and not sent again."]
    assert 0 < len(made) < 50
    assert len(run.lines) == 3000


def test_after_a_finished_run_resume_does_nothing_and_says_so(run: Run) -> None:
    first = run.convert(CONTENT, output={**SMALL, "timestamp": None})
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    told: list[str] = []
    again = convert(run.make_job(output={**SMALL, "timestamp": None}), resume=True, notify=told.append)
    assert len(told) == 1
    assert first.name in told[0]
    assert (again.outcome, again.name, again.parts, again.records["read"]) == ("nothing to do", first.name, [], 0)
    assert (again.report_path, again.rejects_path) == (first.report_path, first.rejects_path)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()} == before


def test_with_nothing_to_resume_a_run_starts(run: Run) -> None:
    run.convert(CONTENT, output=SMALL, resume=True)
    assert len(run.lines) == 3000


@pytest.mark.parametrize("event", ["arrived", "publishing"])
def test_f26_another_input_is_not_resumed_but_plain_convert_starts_anew(
    run: Run, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    killed(run, monkeypatch, event)
    run.write(CONTENT + "3000,new\n")
    for _ in range(2):
        with raises(ResumeError, "E-RESUME-INPUT", "--resume"):
            run.convert(output=SMALL, resume=True)
    assert run.convert(output=SMALL).outcome == "done"
    assert run.lines[-1] == '3000\t"a"="new"'
    assert len(run.lines) == 3001


def test_a_run_that_was_publishing_needs_its_input_no_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(run, monkeypatch, "published", 2)
    (run.folder / "in.csv").unlink()
    assert run.convert(output=SMALL, resume=True).outcome == "done"
    assert len(run.lines) == 3000
    with raises(InputError, "E-INPUT-MISSING"):  # it is finished now, so that this asks for a new run
        run.convert(output=SMALL, resume=True)


def test_another_job_is_another_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(run, monkeypatch, "arrived")
    with raises(DestinationError, "E-NAME-IN-USE"):
        run.convert(output=SMALL, record={"signals": ["a", {"key": "b", "value": "c"}]}, resume=True)


def test_without_resume_a_run_starts_anew_and_what_was_left_is_removed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(run, monkeypatch, "arrived", 2, output={"timestamp": None})
    old = run.files
    assert len(old) >= 2
    report = convert(run.make_job(output={**SMALL, "timestamp": None}), now=time.time() + 5)
    assert not set(old) & set(run.files)
    assert len(run.lines) == 3000
    assert report.warnings == []


def test_a_run_that_died_while_it_published_and_is_not_resumed_is_told_of(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(run, monkeypatch, "published", 2, output={"timestamp": None})
    old = FileName.parse(run.files[0])
    report = convert(run.make_job(output={**SMALL, "timestamp": None}), now=time.time() + 5)
    (warning,) = report.warnings
    assert warning.code == "W-RUN-GIVEN-UP"
    check_named(warning.message, old.stem, " 2 ")
    assert len(run.files) == 2 + PARTS


def test_f36_a_resumed_run_keeps_its_day_and_its_timestamp(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    job = run.make_job(output={**SMALL, "timestamp": None})
    run.write(CONTENT)
    before_midnight = 1_790_035_199  # 2026-09-21, 23:59:59 UTC
    with monkeypatch.context() as dying:
        die_at(dying, "arrived")
        with pytest.raises(KilledError):
            convert(job, now=before_midnight)
    report = convert(job, now=before_midnight + 5, resume=True)
    assert report.name == f"ftp_dpm_1234_{before_midnight}.sync"
    assert json.loads(journal_of(run).read_bytes().splitlines()[0])["sent"] == "2026-09-21"


# --- other machines ---------------------------------------------------------------------------------------------


def test_another_compressor_follows_the_cuts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"max_part_bytes": 5_000}
    with monkeypatch.context() as dying:
        die_at(dying, "made", 3)
        with pytest.raises(KilledError):
            run.convert(CONTENT, output=limits)
    planned = [json.loads(line) for line in journal_of(run).read_bytes().splitlines()]
    cuts = [each["raw_bytes"] for each in planned if each["event"] == "made"]
    monkeypatch.setitem(blocks.ISAL_LEVELS, "balanced", 3)  # as another machine would have it
    monkeypatch.setattr(sys.modules["converter.commands.conversion"], "_compressor", lambda _: "another")
    told: list[str] = []
    report = convert(run.make_job(output=limits), resume=True, notify=told.append)
    assert [part.raw_bytes for part in report.parts][: len(cuts)] == cuts
    assert any("Another version of the compressor" in text for text in told)
    assert len(run.lines) == 3000


def test_a_compressor_that_is_too_weak_for_the_cuts_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"max_part_bytes": 5_000}
    with monkeypatch.context() as dying:
        die_at(dying, "made", 2)
        with pytest.raises(KilledError):
            run.convert(CONTENT, output=limits)
    monkeypatch.setattr(
        blocks,
        "compress",
        lambda text, lines, before=b"", level="": blocks.CompressedBlock(
            blocks._stored(text), blocks.isal_zlib.crc32(text), len(text), lines
        ),
    )
    with raises(ResumeError, "E-RESUME-SIZE"):
        run.convert(output=limits, resume=True)


@pytest.mark.parametrize("key, value", [("text_crc32", 1), ("lines", 1), ("raw_bytes", 10)])
def test_lines_that_are_not_those_of_the_run_are_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, key: str, value: int
) -> None:
    killed(run, monkeypatch, "arrived", 2)
    changed = [json.loads(line) for line in journal_of(run).read_bytes().splitlines()]
    for each in changed:
        if each["event"] == "made":
            each[key] = value
    journal_of(run).write_text("".join(json.dumps(each) + "\n" for each in changed))
    with raises(ResumeError, "E-RESUME-TEXT"):
        run.convert(output=SMALL, resume=True)


def test_lines_that_are_fewer_than_in_the_run_are_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(run, monkeypatch, "publishing")
    lines = journal_of(run).read_bytes().splitlines(keepends=True)
    made = json.loads([line for line in lines if b'"made"' in line][-1])
    made["number"] += 1
    journal_of(run).write_bytes(
        b"".join(line for line in lines if b'"publishing"' not in line) + json.dumps(made).encode() + b"\n"
    )
    with raises(ResumeError, "E-RESUME-TEXT"):
        run.convert(output=SMALL, resume=True)


# --- publishing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [DestinationError("E-SERVER-ANSWER", "No."), StoppedError(15)])
def test_an_error_while_parts_are_published_says_what_is_visible(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Reported
) -> None:
    from converter.delivery.destinations.folder import FolderDestination

    publish, count, fails_at = FolderDestination.publish, itertools.count(1), 3

    def published(self: FolderDestination, part: Any) -> None:
        if next(count) == fails_at:
            raise copy.copy(error)
        publish(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(FolderDestination, "publish", published)
        with raises(type(error), error.code, "2 of 4", "--resume"):
            run.convert(CONTENT, output=SMALL)
    with monkeypatch.context() as patch:
        count, fails_at = itertools.count(1), 2
        patch.setattr(FolderDestination, "publish", published)
        with raises(type(error), error.code, "3 of 4"):
            run.convert(output={**SMALL}, resume=True)
    run.convert(output=SMALL, resume=True)
    assert len(run.lines) == 3000


def test_one_by_one_parts_stay_where_too_many_rows_are_rejected(run: Run) -> None:
    bad = "".join(f"u:{number},x\n" for number in range(1000))
    changes: dict[str, Any] = {"output": {**SMALL, "publish": "each"}, "report": {"max_rejects": 10}}
    with pytest.raises(TooManyRejectsError):
        run.convert(CONTENT + bad, **changes)
    assert len(run.files) == PARTS
    assert [part["name"] for part in run.report["parts"]] == run.files


@pytest.mark.parametrize("content", ["id,a\n", "id,a\nu:1,x\n"])
def test_f31_nothing_is_left_of_a_run_that_has_nothing_to_send(run: Run, content: str) -> None:
    with pytest.raises(EmptyInputError):
        run.convert(content)
    assert run.files == []
    assert not list(run.folder.glob("reports/*.journal*"))


def test_a_lost_row_is_noticed_before_anything_is_published(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "converter.ledger.Ledger.check", lambda _: (_ for _ in ()).throw(LedgerError("E-LEDGER", "Lost."))
    )
    with pytest.raises(LedgerError):
        run.convert(CONTENT, output=SMALL)
    assert run.files == []


# --- two at once ------------------------------------------------------------------------------------------------


def test_f25_a_second_run_of_the_job_stops_and_names_the_first(run: Run, tmp_path: Path) -> None:
    job = run.make_job(input={"path": str(run.write(CONTENT))}, output=SMALL)
    waiting = "import sys, time; from converter.delivery.locks import lock_job; from pathlib import Path\n"
    waiting += "with lock_job(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    from converter.jobs.run_files import journal_name, path_in

    holder = subprocess.Popen(
        [sys.executable, "-c", waiting, path_in(job.report.dir, journal_name(job))], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with raises(DestinationError, "E-LOCKED", f"process {holder.pid}"):
            convert(job)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        convert(job)  # a lock goes with its process
    finally:
        holder.kill()
        holder.communicate()
    assert gzip.decompress((run.out / run.files[0]).read_bytes())


def test_a_plan_asks_the_destination_and_leaves_nothing(run: Run) -> None:
    plan(run.make_job(input={"path": str(run.write(CONTENT))}))
    assert not run.out.exists()
    (run.folder / "file").write_text("")
    with raises(DestinationError, "E-FOLDER-WRITE", f"'{run.folder / 'file' / 'below'}'"):
        plan(run.make_job(output={"to": str(run.folder / "file" / "below")}))
