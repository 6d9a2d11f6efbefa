"""Progress: what was sent as well as read, how long it still takes, what is waited for, on terminals of any width."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from converter import convert
from converter.cli.bar import Bar, _later
from converter.commands.progress import Pace, Progress
from converter.delivery import delivery, hold
from converter.delivery.destinations.named import NamedDestination, _NamedUpload
from converter.errors import TransientError
from converter.remote import retry

from .conftest import Run
from .servers.ftp import LOGIN, FtpServer
from .test_resume import CONTENT, SMALL, KilledError, die_at

MB = 10**6

# --- estimates --------------------------------------------------------------------------------------------------


def judged(*seen: tuple[float, int, int, int], total: int | None = 100 * MB) -> Progress:
    """Return the last of progress judged at some seconds, with bytes read, written and sent."""
    pace = Pace()
    for seconds, read, written, sent in seen:
        progress = pace.judge(
            Progress(bytes_read=read, bytes_total=total, bytes_written=written, bytes_sent=sent, phase="converting"),
            seconds,
        )
    return progress


def test_behind_a_slow_link_the_time_left_is_that_of_sending() -> None:
    """All is read within a second; 1 MB is sent each second."""
    progress = judged((0, 0, 0, 0), (1, 100 * MB, 10 * MB, MB), (2, 100 * MB, 10 * MB, 2 * MB))
    assert progress.seconds_left == pytest.approx(8)
    assert progress.share == pytest.approx(0.2)


def test_where_sending_keeps_up_the_time_left_is_that_of_reading() -> None:
    progress = judged((0, 0, 0, 0), (10, 20 * MB, 2 * MB, 2 * MB))
    assert progress.seconds_left == pytest.approx(40)
    assert progress.share == pytest.approx(0.2)


def test_what_is_not_written_yet_has_to_be_sent_too() -> None:
    """Half is read, and half of what came of it sent: three quarters of the rest take three times as long."""
    progress = judged((0, 0, 0, 0), (10, 50 * MB, 40 * MB, 20 * MB))
    assert progress.seconds_left == pytest.approx(30)
    assert progress.share == pytest.approx(0.25)


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    slow = [(float(second), 100 * MB, 100 * MB, 50 * MB + second * MB // 10) for second in range(1, 60)]
    progress = judged((0, 0, 0, 0), *slow)
    assert progress.seconds_left == pytest.approx((50 - 5.9) / 0.1, rel=0.05)


def test_what_stands_still_has_no_end_in_sight() -> None:
    stuck = [(float(second), 100 * MB, 10 * MB, MB) for second in range(40)]
    assert judged(*stuck).seconds_left is None
    assert judged((0, 0, 0, 0)).seconds_left is None
    unknown = judged((0, 0, 0, 0), (1, MB, MB, MB), total=None)
    assert (unknown.share, unknown.seconds_left) == (None, None)


def test_no_row_that_is_written_is_no_standstill() -> None:
    assert judged((0, 0, 0, 0), (10, 50 * MB, 0, 0)).seconds_left == pytest.approx(10)


@pytest.mark.parametrize("phase", ["confirming", "publishing"])
def test_what_only_the_server_decides_is_not_estimated(phase: Any) -> None:
    progress = Progress(bytes_read=MB, bytes_total=MB, bytes_written=MB, bytes_sent=MB, phase=phase)
    assert Pace().judge(progress, 1.0).seconds_left is None


# --- terminals --------------------------------------------------------------------------------------------------

HALF_WAY = Progress(
    bytes_read=1_200 * MB,
    bytes_total=2_600 * MB,
    rows=12_345_678,
    rejected=1_203,
    skipped=70_012,
    parts=12,
    arrived=10,
    bytes_written=310 * MB,
    bytes_sent=290 * MB,
    retries=4,
    phase="converting",
    share=0.43,
    seconds=81.0,
    seconds_left=102.0,
)
PAUSE = Progress(phase="connecting", waiting="the next try after E-SERVER-REFUSED", waiting_seconds=17.4, retries=2)


def screen(progress: Progress, width: int) -> list[str]:
    bar = Bar()
    bar.update(progress)
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(bar)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    return [line.rstrip() for line in lines]


SCREENS = {
    40: [
        "converting ━━━━╌╌╌╌╌╌╌  43% 0:01:42 left",
        "12,345,678 rows  1.2 GB of 2.6 GB read",
        "290.0 MB of 310.0 MB sent",
        "10 of 12 parts there  1,203 rejected",
        "70,012 skipped  4 retries  0:01:21",
    ],
    80: [
        "converting ━━━━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  43% 0:01:42 left",
        "12,345,678 rows  1.2 GB of 2.6 GB read  290.0 MB of 310.0 MB sent",
        "10 of 12 parts there  1,203 rejected  70,012 skipped  4 retries  0:01:21",
    ],
    120: [
        "converting ━━━━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  43% 0:01:42 left",
        "12,345,678 rows  1.2 GB of 2.6 GB read  290.0 MB of 310.0 MB sent  10 of 12 parts there  1,203 rejected  70,012 skipped",
        "4 retries  0:01:21",
    ],
}


@pytest.mark.parametrize("width", SCREENS)
def test_everything_is_shown_at_any_width(width: int) -> None:
    assert screen(HALF_WAY, width) == SCREENS[width]


@pytest.mark.parametrize("width", [5, 12, 20, 33])
def test_a_terminal_that_is_too_narrow_is_not_overrun(width: int) -> None:
    assert screen(HALF_WAY, width)


def test_a_pause_is_named_before_anything_begins() -> None:
    assert screen(PAUSE, 80) == [
        "connecting",
        "waiting 17 s for the next try after E-SERVER-REFUSED",
        "2 retries  0:00:00",
    ]


def test_what_is_shown_goes_on_while_nothing_new_is_known() -> None:
    later = _later(HALF_WAY, 30.0)
    assert (later.seconds, later.seconds_left) == (111.0, 72.0)
    assert _later(HALF_WAY, 1000.0).seconds_left == 1.0, "what is late is not done"
    assert _later(PAUSE, 10.0).waiting_seconds == pytest.approx(7.4)
    assert _later(PAUSE, 100.0).waiting_seconds == 0.0


# --- runs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    for module in (delivery, hold):
        monkeypatch.setattr(module, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr("converter.commands.conversion._TICK", 0.01)
    return []


def failing(times: int, call: Callable[..., Any]) -> Callable[..., Any]:
    left = iter(range(times))

    def fail(*arguments: Any, **options: Any) -> Any:
        if next(left, None) is not None:
            raise TransientError("E-SERVER-CLOSED", "The server closed the connection.")
        return call(*arguments, **options)

    return fail


def to(server: FtpServer) -> dict[str, Any]:
    return {"to": f"ftp://{LOGIN}@localhost:{server.port}/in", **SMALL, "uploads": 1}


def test_a_run_ends_with_all_that_was_written_sent(run: Run, ftp: FtpServer, seen: list[Progress]) -> None:
    run.write(CONTENT)
    report = convert(run.make_job(output=to(ftp)), progress=seen.append)
    last = seen[-1]
    assert last.bytes_sent == last.bytes_written == sum(part.bytes for part in report.parts)
    assert (last.phase, last.seconds_left) == ("publishing", None)
    assert all(before.bytes_read <= after.bytes_read for before, after in itertools.pairwise(seen))
    assert {each.phase for each in seen} >= {"converting", "publishing"}


def test_what_was_sent_in_vain_does_not_count(
    run: Run, ftp: FtpServer, seen: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_NamedUpload, "finish", failing(3, _NamedUpload.finish))
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.05)
    run.write(CONTENT)
    report = convert(run.make_job(output=to(ftp)), progress=seen.append)
    assert seen[-1].bytes_sent == sum(part.bytes for part in report.parts)
    assert seen[-1].retries == report.retries["E-SERVER-CLOSED"] == 3


def test_a_pause_is_named_while_the_run_waits(
    run: Run, ftp: FtpServer, seen: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NamedDestination, "create", failing(4, NamedDestination.create))
    run.write(CONTENT)
    convert(run.make_job(output=to(ftp)), progress=seen.append)
    pauses = [each for each in seen if each.waiting == "the next try after E-SERVER-CLOSED"]
    assert pauses
    assert all(each.waiting_seconds is not None and each.phase in ("converting", "sending") for each in pauses)


def test_a_pause_before_a_run_is_named_too(
    run: Run, ftp: FtpServer, seen: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NamedDestination, "claim", failing(4, NamedDestination.claim))
    run.write(CONTENT)
    convert(run.make_job(output=to(ftp)), progress=seen.append)
    (first, *_) = [each for each in seen if each.waiting]
    assert (first.phase, first.waiting, first.rows) == ("connecting", "the next try after E-SERVER-CLOSED", 0)
    assert first.retries >= 1


def test_a_run_that_waits_for_its_uploads_says_so(
    run: Run, ftp: FtpServer, seen: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write(CONTENT)
    convert(run.make_job(output={**to(ftp), "bandwidth": 30_000}), progress=seen.append)
    assert "the destination to take parts" in {each.waiting for each in seen}


def test_two_passes_are_shown_as_two(run: Run, seen: list[Progress]) -> None:
    run.write(CONTENT)
    convert(run.make_job(id={"case_collisions": "reject"}), progress=seen.append)
    phases = list(dict.fromkeys(each.phase for each in seen))
    assert phases[:2] == ["comparing", "converting"]
    size = len(CONTENT.encode())
    of_first = [each for each in seen if each.phase == "comparing"]
    assert (of_first[-1].bytes_read, of_first[-1].rows) == (size, CONTENT.count("\n") - 1)
    assert of_first[-1].share == 0.5
    assert {each.bytes_total for each in seen} == {2 * size}
    assert seen[-1].bytes_read == 2 * size
    assert [each.share for each in seen] == sorted(each.share or 0 for each in seen)


def test_a_resumed_run_counts_what_had_arrived(
    run: Run, ftp: FtpServer, seen: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_at(patch, "arrived", 2)
        with pytest.raises(KilledError):
            run.convert(CONTENT, output=to(ftp))
    convert(run.make_job(output=to(ftp)), resume=True, progress=seen.append)
    assert seen[-1].bytes_sent == seen[-1].bytes_written > 0
