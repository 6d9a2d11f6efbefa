"""A tenth of the sweeps of faults and of signals, and that these would notice what is wrong."""

from __future__ import annotations

import errno
import gzip
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from converter.delivery import stops
from converter.errors import StateError, StoppedError

from . import sweep_faults, sweep_signals
from .doomed import Moment
from .forked import Ended, Fault, Forks
from .kill import EVENTS, SERVERS, Server
from .servers import required
from .sweeping import Changes, Convert, Gathered, Match, Send, SyncUrls, check_told, sentence, share_of, told

SHARE = 0.1
SEED = 7


@pytest.fixture(scope="module")
def library() -> Path:
    return sweep_faults.library() or required("no C compiler is installed: apt-get install gcc libc6-dev")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with SERVERS["folder"](tmp_path) as server:
        yield server


@pytest.fixture
def forks() -> Iterator[Forks]:
    with Forks() as forks:
        yield forks


@pytest.mark.parametrize("place", SERVERS)
def test_a_call_that_fails_once_is_told_and_leaves_nothing_half(tmp_path: Path, place: str, library: Path) -> None:
    with SERVERS[place](tmp_path) as server:
        for kind, outcomes, failures in sweep_faults.sweep(place, SHARE, SEED, server, tmp_path):
            assert not failures, "\n".join(failures)
            assert outcomes, f"no case of {kind}"


@pytest.mark.parametrize("place", SERVERS)
def test_a_signal_at_any_moment_is_told_as_it_is(tmp_path: Path, place: str) -> None:
    with SERVERS[place](tmp_path) as server:
        for kind, outcomes, failures in sweep_signals.sweep(place, SHARE, SEED, server, tmp_path):
            assert not failures, "\n".join(failures)
            drawn = sweep_signals.KINDS.get(place, sweep_signals.PLAIN)[kind].drawn
            assert sum(outcomes.values()) == sweep_signals.MOMENTS * SHARE * drawn


def test_what_fails_is_the_call_that_was_asked_for(tmp_path: Path, server: Server, library: Path) -> None:
    command = Convert(tmp_path / "run", server)
    command.prepare()
    fault = Fault(f"{command.folder}/", str(tmp_path / "log"), "link", "in/*.gz", 2, errno.EIO)
    with Forks(library) as forks:
        ended = forks.run(command.arguments, tmp_path, fault=fault)
    assert ended.code == 1
    assert "[E-FOLDER-WRITE]" in sentence(ended)
    log = (tmp_path / "log").read_text().splitlines()
    (failed,) = [line for line in log if line.startswith("! ")]
    links = [line for line in log if "link " in line and "unlink" not in line]
    assert failed == links[1]
    assert len(command.visible()) == 1


@pytest.mark.parametrize("kind, count", [(Convert, 4), (Send, 3), (SyncUrls, 1)])
def test_what_fails_after_a_part_is_named_does_not_hide_it(
    tmp_path: Path, server: Server, library: Path, kind: type[Convert], count: int
) -> None:
    command = kind(tmp_path / "run", server)
    command.prepare()
    with Forks(library) as forks:
        pattern = "urls.csv*.partial" if kind is SyncUrls else "in/*.gz.*.partial"
        fault = Fault(f"{command.folder}/", str(tmp_path / "log"), "unlink", pattern, 1, errno.EIO)
        ended = forks.run([*command.arguments, "--json"], tmp_path, fault=fault)
        assert len(command.visible()) == 1
        assert ended.code == 1
        check_told(ended, command.visible(), as_json=True)
        if kind is not SyncUrls:
            assert forks.run(command.again, tmp_path).code == 0
            assert len(command.visible()) == count
        command.check_done()


def test_a_claim_that_cannot_be_written_does_not_stay(tmp_path: Path, server: Server, library: Path) -> None:
    command = Send(tmp_path / "run", server)
    command.prepare()
    with Forks(library) as forks:
        fault = Fault(f"{command.folder}/", str(tmp_path / "log"), "write", "in/*.claim.partial", 1, errno.ENOSPC)
        ended = forks.run(command.arguments, tmp_path, fault=fault)
        assert "[E-DISK-FULL]" in sentence(ended)
        command.check_left()
        assert not (command.folder / "in").exists()
        assert forks.run(command.arguments, tmp_path).code == 0
        command.check_done()


def test_what_was_visible_before_is_told_where_a_run_cannot_go_on(
    tmp_path: Path, server: Server, library: Path
) -> None:
    command = Convert(tmp_path / "run", server)
    command.prepare()
    with Forks(library) as forks:
        forks.run(command.arguments, tmp_path, moment=Moment(event="published"))
        fault = Fault(f"{command.folder}/", str(tmp_path / "log"), "open", "in/*.claim.partial", 1, errno.EIO)
        ended = forks.run([*command.again, "--json"], tmp_path, fault=fault)
    assert 0 < len(command.visible()) < 4
    check_told(ended, command.visible(), as_json=True)
    assert ended.code == 1
    assert f"{len(command.visible())} of 4" in told(ended)["error"]["hint"]


def test_a_claim_that_cannot_be_taken_over_is_taken_over_the_next_time(
    tmp_path: Path, server: Server, library: Path
) -> None:
    command = Convert(tmp_path / "run", server)
    command.prepare()
    with Forks(library) as forks:
        forks.run(command.arguments, tmp_path, moment=Moment(event="publishing", how="before"))
        fault = Fault(f"{command.folder}/", str(tmp_path / "log"), "write", "in/*.claim.partial", 1, errno.EACCES)
        assert "[E-FOLDER-WRITE]" in sentence(forks.run(command.again, tmp_path, fault=fault))
        assert forks.run(command.again, tmp_path).code == 0
    command.check_done()


def test_where_all_is_out_no_claim_is_kept(tmp_path: Path, library: Path) -> None:
    with SERVERS["ftp"](tmp_path) as server, Forks(library) as forks:
        command = Send(tmp_path / "run", server)
        command.prepare()
        fault = Fault(f"{command.folder}/", str(tmp_path / "log"), "fsync", "reports/*.journal", 8, errno.EIO)
        one_by_one = [*command.arguments, "--set", "output.uploads=1"]  # else lines are flushed together
        ended = forks.run(one_by_one, tmp_path, fault=fault)
        assert len(command.visible()) == 3
        assert ended.code == 1
        assert not server.hidden(command.place)


def test_a_signal_in_the_making_of_a_class_is_one() -> None:
    class Stopped:
        def __set_name__(self, owner: type, name: str) -> None:
            raise StoppedError(signal.SIGTERM)

    with pytest.raises((RuntimeError, StoppedError)) as raised:  # Python 3.11 wraps it
        type("Made", (), {"stopped": Stopped()})
    assert isinstance(stops.within(raised.value), StoppedError)
    assert stops.within(RuntimeError()) is None


@pytest.mark.parametrize("resumed", [True, False])
def test_reports_of_a_run_that_died_and_is_given_up_do_not_stay(
    tmp_path: Path, server: Server, library: Path, resumed: bool
) -> None:
    command = Convert(tmp_path / "run", server)
    command.prepare()
    with Forks(library) as forks:
        forks.run(command.arguments, tmp_path, moment=Moment(event="publishing", how="before"))
        assert {path.suffixes[-2] for path in command.reports.glob("*.partial")} == {".json", ".html", ".gz"}
        if resumed:
            fault = Fault(f"{command.folder}/", str(tmp_path / "log"), "write", "*.rejects.*", 1, errno.EIO)
            ended = forks.run(command.again, tmp_path, fault=fault)
            assert "[E-REPORT-WRITE]" in sentence(ended)
            command.check_left()
        else:
            assert forks.run(command.arguments, tmp_path).code == 0
            command.check_done()


def test_users_that_are_gathered_are_written_to_a_file_that_fails_as_others_do(
    tmp_path: Path, server: Server, library: Path
) -> None:
    command = Gathered(tmp_path / "run", server)
    command.prepare()
    with Forks(library) as forks:
        fault = Fault(f"{command.folder}/", str(tmp_path / "log"), "write", "spill/*", 2, errno.EIO)
        ended = forks.run(command.arguments, tmp_path, fault=fault)
        assert "[E-SPILL-WRITE]" in sentence(ended)
        command.check_left()
        assert forks.run(command.again, tmp_path).code == 0
    command.check_done()


def test_a_file_of_a_state_that_is_left_or_damaged_is_noticed(tmp_path: Path, server: Server, forks: Forks) -> None:
    command = Changes(tmp_path / "run", server)
    command.prepare()
    assert forks.run(command.arguments, tmp_path).code == 0
    command.check_left()
    command.check_done()
    state = Path(command.state.url)
    (state / "generation-3").mkdir()
    with pytest.raises(AssertionError, match="generation-3"):
        command.check_done()
    path = next(state.glob("generation-2/*"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StateError, match="damaged"):
        command.check_left()


def test_calls_of_one_kind_of_file_fail_at_the_first_the_middle_and_the_last() -> None:
    assert sweep_faults.pattern_of("reports/data_1234.0123456789ab.journal") == "reports/data_*.*.journal"
    assert sweep_faults.pattern_of("temporary/#17 (deleted)") == "temporary/* (deleted)"
    log = [*[f"write x.{number}" for number in range(5)], "write y", "rename x.1", "unlink x.1", "unlink x.2"]
    cases = sweep_faults.cases_of(log, in_turns=False)
    assert [(case.call, case.pattern, case.nth) for case in cases[::4]] == [
        ("write", "x.*", 1),
        ("write", "x.*", 3),
        ("write", "x.*", 5),
        ("write", "y", 1),
        ("rename", "x.*", 1),
        ("unlink", "x.*", 1),
        ("unlink", "x.*", 2),
    ]
    assert [case.error for case in cases[:4]] == list(sweep_faults.ERRORS)
    assert [case.error for case in sweep_faults.cases_of(log, in_turns=True)][:4] == list(sweep_faults.ERRORS)


def test_signals_come_at_all_times_and_events() -> None:
    cases = sweep_signals.cases_of(1, 10, 4)
    assert len(cases) == sweep_signals.MOMENTS
    assert {case.moment.event for case in cases} == {"", *EVENTS}
    assert {case.moment.signal for case in cases} == {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    assert {case.as_json for case in cases} == {True, False}
    alone = [case.moment.seconds for case in cases if not case.moment.event]
    assert alone == sorted(alone)
    assert (alone[0] < 0.2, alone[-1] > 10) == (True, True)


def test_a_share_is_drawn_from_everywhere() -> None:
    drawn = share_of(range(1000), 0.1, 3)
    assert drawn == share_of(range(1000), 0.1, 3) != share_of(range(1000), 0.1, 4)
    assert [each // 10 for each in drawn] == list(range(100))
    assert share_of(range(3), 1, 1) == [0, 1, 2]
    assert len(share_of(range(3), 0.1, 1)) == 1


@pytest.mark.parametrize("kind", [Convert, Send, SyncUrls, Match])
def test_what_is_half_or_left_behind_is_noticed(
    tmp_path: Path, server: Server, forks: Forks, kind: type[Convert]
) -> None:
    command = kind(tmp_path / "run", server)
    command.prepare()
    assert forks.run(command.arguments, tmp_path).code == 0
    command.check_left()
    command.check_done()
    name, content = next(iter(command.visible().items()))
    path = next(path for path in (command.folder / "in" / name, command.folder / name) if path.exists())
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(b"half")
    with pytest.raises(AssertionError, match="left behind"):
        command.check_left()
    partial.unlink()
    path.write_bytes(content[:-9])
    with pytest.raises((AssertionError, EOFError)):
        command.check_left()


def test_a_row_twice_and_half_reports_are_noticed(tmp_path: Path, server: Server, forks: Forks) -> None:
    command = Convert(tmp_path / "run", server)
    command.prepare()
    assert forks.run(command.arguments, tmp_path).code == 0
    (rejects,) = command.reports.glob("*rejects*")
    whole = rejects.read_bytes()
    rejects.write_bytes(whole[:-9])
    with pytest.raises(EOFError):
        command.check_left()
    rejects.write_bytes(gzip.compress(b"\n".join(gzip.decompress(whole).splitlines()[1:]) + b"\n"))
    with pytest.raises(AssertionError, match="is not whole"):
        command.check_done()
    rejects.write_bytes(whole)
    name, content = next(iter(command.visible().items()))
    (command.folder / "in" / name).write_bytes(content + content)
    with pytest.raises(AssertionError, match="visible twice"):
        command.check_left()


@pytest.mark.parametrize(
    "code, errors",
    [
        (0, "Error [E-STOPPED]: x"),
        (1, ""),
        (1, "Error [E-STOPPED]: x\nError [E-STOPPED]: x"),
        (1, "Traceback (most recent call last):\nError [E-STOPPED]: x"),
        (1, "Error [E-INTERNAL]: x"),
    ],
)
def test_what_is_not_one_sentence_is_noticed(code: int, errors: str) -> None:
    assert sentence(Ended(0, "", "Warning [W-FTP]: x\n")) == ""
    assert sentence(Ended(1, "", "Error [E-STOPPED]: x\n")) == "Error [E-STOPPED]: x"
    with pytest.raises(AssertionError):
        sentence(Ended(code, "", errors))


@pytest.mark.parametrize(
    "code, output",
    [
        (1, ""),
        (1, '{"exit_code": 1, "error": {"code": "E-STOPPED"}}\n{}'),
        (1, '{"exit_code": 2, "error": {"code": "E-STOPPED"}}'),
        (1, '{"exit_code": 1, "error": null}'),
        (0, '{"exit_code": 0, "error": {"code": "E-STOPPED"}}'),
        (1, '{"exit_code": 1, "error": {"code": "E-INTERNAL"}}'),
    ],
)
def test_what_is_not_one_true_object_is_noticed(code: int, output: str) -> None:
    assert told(Ended(0, '{"exit_code": 0, "error": null}\n', ""))["exit_code"] == 0
    with pytest.raises(AssertionError):
        told(Ended(code, output, ""))


def test_a_command_that_hangs_is_ended_and_told(tmp_path: Path, server: Server, forks: Forks) -> None:
    command = Convert(tmp_path / "run", server)
    command.prepare()
    with pytest.raises(AssertionError, match="hangs"):
        forks.run(command.arguments, tmp_path, seconds=0.01)
    assert forks.run(command.arguments, tmp_path, moment=Moment(event="began")).code == -signal.SIGKILL
