"""Changes-only runs whose state is on S3: the suite of the folder, and what only a bucket has."""

from __future__ import annotations

import contextlib
import errno
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any, NoReturn

import orjson
import pytest

from converter import convert, doctor
from converter.cli.command import run as run_command
from converter.cli.outcome import Messages
from converter.commands.state import check_state
from converter.delivery.run_files import conditions
from converter.delivery.state import NextState, State
from converter.delivery.state_places import StateFolder, state_place_at
from converter.delivery.state_places import bucket as bucket_module
from converter.delivery.state_places.bucket import StateBucket
from converter.delivery.state_places.copies import Copies
from converter.errors import ConverterError, DestinationError, JobError, StateError
from converter.jobs.document import merge
from converter.remote.retry import Patience
from converter.remote.s3_conditional import ConditionalObjects
from converter.rows import spill_file
from converter.rows.delta.keyed import KEY_BYTES
from converter.rows.delta.past import file_schema
from converter.rows.spill_file import SpillFile

from . import test_changes as of_folder
from .conftest import Run
from .errors import codes_of, raises
from .machines import objects_in
from .servers.s3 import SECRET, rclone_place, s3_place
from .servers.scripted_s3 import Act, ScriptedPlace, scripted_place
from .test_changes import CRM, PREFIX, Days

CHANGED = CRM.replace("u1,x", "u1,v")
LINE = ['u1\t"a"="v",d_sid=1,d_sid=2']

# The suite of the folder, with the fixture `days` of this module.
died = of_folder.died
test_a_change_of_the_job_is_said = of_folder.test_a_change_of_the_job_is_said
test_a_day_without_changes_is_a_success_without_parts = of_folder.test_a_day_without_changes_is_a_success_without_parts
test_a_run_that_died_before_its_state_was_published_is_finished = (
    of_folder.test_a_run_that_died_before_its_state_was_published_is_finished
)
test_a_run_that_is_given_up_leaves_the_old_state = of_folder.test_a_run_that_is_given_up_leaves_the_old_state
test_a_state_is_of_one_data_source = of_folder.test_a_state_is_of_one_data_source
test_a_state_that_another_run_has_renewed_since_is_not_taken_back = (
    of_folder.test_a_state_that_another_run_has_renewed_since_is_not_taken_back
)
test_a_state_that_is_replaced_while_it_is_checked_is_no_damage = (
    of_folder.test_a_state_that_is_replaced_while_it_is_checked_is_no_damage
)
test_all_lines_of_a_user_are_sent_where_one_has_changed = (
    of_folder.test_all_lines_of_a_user_are_sent_where_one_has_changed
)
test_full_sends_all_and_says_what_they_are = of_folder.test_full_sends_all_and_says_what_they_are
test_only_new_and_changed_users_are_sent = of_folder.test_only_new_and_changed_users_are_sent
test_removals_begin_with_the_run_after_the_first_that_has_traits = (
    of_folder.test_removals_begin_with_the_run_after_the_first_that_has_traits
)
test_the_same_input_is_a_new_run_on_another_day_and_nothing_on_the_same = (
    of_folder.test_the_same_input_is_a_new_run_on_another_day_and_nothing_on_the_same
)
test_unchanged_users_are_sent_again_before_their_traits_fall_off = (
    of_folder.test_unchanged_users_are_sent_again_before_their_traits_fall_off
)


@pytest.fixture
def days(run: Run) -> Iterator[Days]:
    with s3_place() as place:
        yield Days(run, place)


@pytest.fixture
def place() -> Iterator[ScriptedPlace]:
    with scripted_place() as found:
        yield found


@pytest.fixture
def scripted(run: Run, place: ScriptedPlace) -> Days:
    """Runs with a state on a server that fails as it is told to."""
    return Days(run, place, output={"retry_seconds": 0})


def objects(place: ScriptedPlace) -> dict[str, bytes]:
    """What is below the prefix of the state, without its lock."""
    names = {key.removeprefix(f"{PREFIX}/"): content for key, content in place.server.objects.items()}
    return {name: content for name, content in names.items() if not name.endswith("state.lock")}


def test_what_a_state_is_of_is_below_its_prefix_and_nothing_more(days: Days) -> None:
    days.send(CRM, 0)
    assert set(days.files) == {"state.json", "salt", *names(days)}
    assert all(name.startswith("generation-1-") for name in names(days))
    assert not days.state.exists()
    days.send(CHANGED, 1)
    assert set(days.files) == {"state.json", "salt", *names(days)}
    salt = days.files["salt"]
    said = b"".join(path.read_bytes() for path in days.run.folder.rglob("*.json"))
    assert SECRET.encode() not in said + days.files["state.json"]
    assert salt.hex().encode() not in said + days.files["state.json"]


def test_files_without_changes_stay_where_they_are(days: Days) -> None:
    content = "id,a,t\n" + "".join(f"user{number},x,1\n" for number in range(500))
    days.send(content, 0)
    first = names(days)
    assert len(days.send(content.replace("user7,x", "user7,y"), 1)) == 1
    second = names(days)
    assert len(first & second) == len(second) - 1, "one file was written"
    assert set(days.files) == {"state.json", "salt", *second}, "and the one that it replaces is removed"
    assert days.send(content.replace("user7,x", "user7,y"), 2) == []
    assert days.generations() == {"generation-1", "generation-2"}


@pytest.mark.parametrize("what", ["byte", "file", "salt", "no salt", "record", "rows", "truncated"])
def test_a_damaged_state_is_noticed_and_nothing_is_sent(scripted: Days, place: ScriptedPlace, what: str) -> None:
    scripted.send(CRM, 0)
    name = next(name for name in objects(place) if name.endswith(".parquet"))
    key, content = f"{PREFIX}/{name}", objects(place)[name]
    match what:
        case "byte":
            place.server.put(key, content[:50] + bytes([content[50] ^ 1]) + content[51:])
        case "truncated":
            place.server.put(key, content[:-1])
        case "file":
            del place.server.objects[key]
        case "salt":
            place.server.put(f"{PREFIX}/salt", bytes(16))
        case "no salt":
            del place.server.objects[f"{PREFIX}/salt"]
        case "record":
            place.server.put(f"{PREFIX}/state.json", b"{")
        case "rows":
            facts = orjson.loads(objects(place)["state.json"])
            files = [{**each, "users": each["users"] + 1} for each in facts["files"]]
            place.server.put(f"{PREFIX}/state.json", orjson.dumps({**facts, "files": files}))
    before, files = objects(place), scripted.run.files
    with raises(StateError, "E-STATE-DAMAGED", scripted.url, "delta.state"):
        scripted.send(CRM.replace("u1,x", "u1,v").replace("u2,y", "u2,v").replace("u3,z", "u3,v"), 1)
    with raises(StateError, "E-STATE-DAMAGED"):
        scripted.checked()
    assert (objects(place), scripted.run.files) == (before, files)


USERS = "id,a,t\n" + "".join(f"user{number},x,{number % 9}\n" for number in range(400))


def downloads(place: ScriptedPlace) -> Counter[str]:
    """How often each file of the state was downloaded."""
    return Counter(call.key for call in place.server.calls_of("get") if call.key.endswith(".parquet"))


@pytest.fixture
def with_traits(run: Run, place: ScriptedPlace) -> Days:
    """Runs that need all of a file where one of its users has changed: hashes, then traits and IDs."""
    days = Days(run, place, delta={"removals": True, "gone": "remove"}, run={"spill_dir": str(run.folder / "spill")})
    (run.folder / "spill").mkdir()
    days.send(USERS, 0)
    place.server.calls.clear()
    return days


CHANGES = USERS.replace("user7,x", "user7,y").replace("user8,x,8\n", "")


@pytest.mark.parametrize("changes", [{}, {"delta": {"full": True}}], ids=["in memory", "file by file"])
def test_a_run_downloads_each_file_once(with_traits: Days, place: ScriptedPlace, changes: dict[str, Any]) -> None:
    files = names(with_traits)
    place.server.calls.clear()
    sent = with_traits.send(CHANGES, 1, **changes)
    assert {'user7\t"a"="y",d_sid=7', "user8\td_unsid=8"} <= set(sent)
    assert downloads(place) == dict.fromkeys((f"{PREFIX}/{name}" for name in files), 1)
    assert list((with_traits.run.folder / "spill").iterdir()) == []


@pytest.mark.parametrize("fails", ["no room", "no folder", "disk"])
def test_what_cannot_be_kept_is_downloaded_again(
    with_traits: Days, place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    if fails == "no room":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, (1 << 40) - 1500, 1500))
    elif fails == "no folder":
        monkeypatch.setattr(bucket_module, "Copies", lambda _: Copies(str(with_traits.run.folder / "none")))
    else:
        monkeypatch.setattr(SpillFile, "read", lambda file, *_: _raise(file._failure(OSError(errno.EIO, "x"))))
    sent = with_traits.send(CHANGES, 1)
    assert sorted(sent) == ['user7\t"a"="y",d_sid=7', "user8\td_unsid=8"]
    assert max(downloads(place).values()) == 3
    assert with_traits.checked().record.users == 399


def _raise(error: Exception) -> NoReturn:
    raise error


def test_copies_take_half_of_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = Copies(str(tmp_path))

    def usage(_: object) -> Any:
        left = 1_000 - copies._file.size
        return shutil._ntuple_diskusage(1_000, 1_000 - left, left)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(spill_file, "_RESERVE", 0)
    with contextlib.closing(copies):
        for number in range(10):
            copies.keep(str(number), bytes([number]) * 100)
        assert [copies.get(str(number)) for number in range(10)] == [*(bytes([n]) * 100 for n in range(5)), *[None] * 5]
    assert copies.get("0") is None


def test_two_runs_with_one_state_exclude_each_other(days: Days) -> None:
    days.send(CRM, 0)
    with days.place.lock(), raises(DestinationError, "E-STATE-LOCKED", f"{days.url}/state.lock", "renews it"):
        days.send(CHANGED, 1, report={"dir": str(days.run.folder / "other-reports")})
    assert days.send(CHANGED, 1) == LINE


def test_of_two_runs_at_once_one_commits(days: Days) -> None:
    days.send(CRM, 0)
    outcomes: list[str] = []

    def send(number: int) -> None:
        path = days.run.folder / f"{number}.csv"
        path.write_text(CHANGED.replace("u2,y", f"u2,{number}"))
        job = days.run.make_job(
            **merge(
                days.changes,
                {
                    "input": {"path": str(path)},
                    "output": {"timestamp": None, "to": str(days.run.folder / f"out-{number}")},
                    "report": {"dir": str(days.run.folder / f"reports-{number}")},
                },
            )
        )
        try:
            convert(job)
            outcomes.append("done")
        except ConverterError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) in (["E-STATE-LOCKED", "done"], ["done", "done"]), "at once, or one after the other"
    assert days.checked().record.generation == 1 + outcomes.count("done")


def taken_over(days: Days, place: ScriptedPlace) -> None:
    """Another run takes over the lock, as it may where this one is paused for long."""
    record = {"holder": "other", "host": "elsewhere", "process": 1, "seconds": 1, "renewed": 1}
    place.server.put(f"{PREFIX}/state.lock", orjson.dumps(record))


def test_a_run_whose_lock_was_taken_over_changes_nothing(
    scripted: Days, place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.send(CRM, 0)
    before, prepare = objects(place), NextState.prepare

    def late(state: NextState) -> None:
        taken_over(scripted, place)
        prepare(state)

    files = scripted.run.files
    with monkeypatch.context() as patch:
        patch.setattr(NextState, "prepare", late)
        with raises(DestinationError, "E-STATE-LOCKED", "taken over"):
            scripted.send(CHANGED, 1)
    left = objects(place)
    assert {name: left.get(name) for name in before} == before, "what it has written itself may be left"
    assert scripted.run.files == files
    assert scripted.send(CHANGED, 1) == LINE
    assert set(objects(place)) == {"state.json", "salt", *names(scripted)}


def names(days: Days) -> set[str]:
    """The names of the files of a state, which is whole."""
    return {f"{generation}/{name}" for generation, name in days.checked().record.kept}


def replaced(days: Days) -> None:
    """Another run replaces the state, whatever the lock is."""
    other = state_place_at(days.url, days.s3, Patience(0), lease_seconds=1)
    state = State.read(other)
    assert state.record
    facts = {name: value for name, value in vars(state.record).items() if name not in _OWN}
    following = NextState(other, "ftp_dpm_1234_1.sync")
    following._state = state
    following._next = other.begin(2)
    for file in state.record.files:
        following.keep(file.set, file.number, _schema(state))
    following.describe(**facts)
    following.prepare()
    assert following._own
    assert other.publish(following._own)


_OWN = {"generation", "run", "users", "files"}


def _schema(state: State) -> Any:
    assert state.record
    return file_schema(traits=state.record.traits, ids=state.record.ids)


def test_a_state_that_another_run_has_replaced_is_noticed_before_anything_is_visible(
    scripted: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.send(CRM, 0)
    prepare, left = NextState.prepare, [1]

    def late(state: NextState) -> None:
        if left:
            left.pop()
            replaced(scripted)
        prepare(state)

    files = scripted.run.files
    with monkeypatch.context() as patch:
        patch.setattr(NextState, "prepare", late)
        with raises(DestinationError, "E-STATE-CHANGED", scripted.url):
            scripted.send(CHANGED, 1)
    assert {name for name in scripted.run.files if name.endswith(".gz")} == {n for n in files if n.endswith(".gz")}
    assert scripted.checked().record.run == "ftp_dpm_1234_1.sync"
    assert scripted.send(CHANGED, 2) == LINE


def test_a_state_that_is_replaced_while_parts_become_visible_is_not_taken_back(
    scripted: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.send(CRM, 0)
    publish, left = NextState.publish, [1]

    def late(state: NextState) -> None:
        if left:
            left.pop()
            replaced(scripted)
        publish(state)

    with monkeypatch.context() as patch:
        patch.setattr(NextState, "publish", late)
        with raises(DestinationError, "E-STATE-CHANGED", "visible", "--resume"):
            scripted.send(CHANGED, 1)
    assert scripted.checked().record.run == "ftp_dpm_1234_1.sync"
    assert scripted.send(CHANGED, 1, resume=True) == LINE
    assert scripted.report.outcome == "done"
    assert scripted.checked().record.run == "ftp_dpm_1234_1.sync"
    assert scripted.send(CHANGED, 2) == LINE, "it is sent once more, since the other run did not know of it"


@pytest.mark.parametrize("times", [1, 2])
def test_answers_that_are_lost_are_no_other_run(
    run: Run, place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    days = Days(run, place)
    replace_, lost = StateBucket._replace, Act(done=True, lost=True)

    def losing(state: StateBucket, record: Any) -> bool:
        place.server.say("put", *[lost] * times)
        return replace_(state, record)

    monkeypatch.setattr(StateBucket, "_replace", losing)
    days.send(CRM, 0)
    assert days.send(CHANGED, 1) == LINE
    assert days.checked().record.generation == 2
    assert "state.json.partial" not in objects(place)


def test_what_is_damaged_on_its_way_is_sent_again(
    run: Run, place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = Days(run, place)
    write, left = ConditionalObjects.write, [1]

    def damaging(each: ConditionalObjects, key: str, *given: Any, **options: Any) -> Any:
        if key.endswith(".parquet") and left:
            left.pop()
            place.server.say("put", Act(400, "BadDigest"))
        return write(each, key, *given, **options)

    monkeypatch.setattr(ConditionalObjects, "write", damaging)
    days.send(CRM, 0)
    assert not left
    assert sum(days.report.retries.values()) == 1
    assert days.checked().record.users == 3


def test_a_server_that_ignores_conditions_is_refused(run: Run) -> None:
    with rclone_place() as place:
        days = Days(run, place)  # type: ignore[arg-type]
        with raises(DestinationError, "E-STATE-CONDITIONS", "delta.state", "If-None-Match"):
            days.send(CRM, 0)
        assert codes_of(days.place.check()) == ["E-STATE-CONDITIONS"]


@pytest.mark.parametrize("operation", ["put", "get", "list"])
def test_a_bucket_that_fails_is_an_error(scripted: Days, place: ScriptedPlace, operation: str) -> None:
    scripted.send(CRM, 0)
    before, files = objects(place), scripted.run.files
    place.server.always[operation] = Act(403, "AccessDenied")
    with raises(DestinationError, "E-S3-DENIED"):
        scripted.send(CHANGED, 1)
    assert (objects(place), scripted.run.files) == (before, files)


def test_the_salt_of_another_run_is_taken(scripted: Days, place: ScriptedPlace) -> None:
    one, other = (state_place_at(scripted.url, scripted.s3, Patience(0)) for _ in range(2))
    assert one.new_salt(b"") == other.new_salt(b"") == objects(place)["salt"]
    place.server.put(f"{PREFIX}/salt", b"short")
    assert one.new_salt(b"short") == objects(place)["salt"]
    assert len(objects(place)["salt"]) == KEY_BYTES


def test_doctor_tests_the_place_of_the_state(scripted: Days, place: ScriptedPlace) -> None:
    path = scripted.run.write(CRM)
    job = scripted.run.make_job(**merge(scripted.changes, {"input": {"path": str(path)}}))
    assert f"The state can be written to '{scripted.url}'." in [each.message for each in doctor(job)]
    assert not place.server.objects


def test_the_command_shows_a_state_on_s3(days: Days, capsys: pytest.CaptureFixture[str]) -> None:
    with raises(JobError, "E-STATE-MISSING", days.url):
        days.checked()
    days.send(CRM, 0)
    assert days.bucket
    settings = [f"--set=s3.endpoint_url={days.bucket.endpoint}", "--set=s3.addressing_style=path"]
    arguments = ["state", days.url, *settings, "--json"]
    assert run_command(arguments, Messages.of(arguments)) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["folder"], facts["users"], facts["generation"]) == (days.url, 3, 1)
    assert codes_of(days.checked().findings) == []


def test_a_state_moves_from_a_folder_to_a_bucket(run: Run) -> None:
    with s3_place() as place:
        folder, bucket = Days(run), Days(run, place)
        folder.send(CRM, 0)
        for name, content in folder.files.items():
            place.client.put_object(Bucket=place.bucket, Key=f"{PREFIX}/{name}", Body=content)
        assert State.read(StateFolder(folder.state)).record == State.read(bucket.place).record
        assert bucket.send(CHANGED, 1) == LINE
        assert check_state(bucket.url, bucket.s3).record.generation == 2
        assert {key for key, _ in objects_in(place, bucket.url)} == {"salt", "state.json", "state.lock", *names(bucket)}


def test_a_signal_while_conditions_are_checked_leaves_nothing(
    scripted: Days, place: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float | None] = []

    def interrupted(tasks: list[Any], timeout: float | None = None) -> object:
        waited.append(timeout)
        if len(waited) == 1:
            raise KeyboardInterrupt
        return wait(tasks, 60)

    monkeypatch.setattr(conditions, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scripted.send(CRM, 0)
    assert len(waited) == 2
    assert place.server.calls_of("put")
    assert not [key for key in place.server.objects if "probe" in key]
