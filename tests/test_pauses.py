"""Pauses of threads end when a signal stops the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from converter.delivery import stops
from converter.delivery.threads import run_in_thread
from converter.errors import TransientError
from converter.remote.pauses import RunEndedError, on_stops, pause
from converter.remote.retry import Patience


@pytest.fixture
def stopped() -> Iterator[threading.Event]:
    """Stands for a signal."""
    event = threading.Event()
    on_stops(lambda: 15 if event.is_set() else None)
    yield event
    on_stops(stops.asked)


def test_a_pause_of_a_thread_ends_soon_after_a_signal(stopped: threading.Event) -> None:
    task = run_in_thread(lambda: pause(600))
    time.sleep(0.05)
    assert not task.done()
    stopped.set()
    with pytest.raises(RunEndedError):
        task.result(60)


def test_a_pause_before_a_retry_does_as_well(stopped: threading.Event) -> None:
    calls: list[float] = []

    def fail() -> None:
        calls.append(time.monotonic())
        stopped.set()
        raise TransientError("E-SERVER-CLOSED", "closed")

    with pytest.raises(RunEndedError):
        run_in_thread(lambda: Patience(600).retrying(fail)).result(60)
    assert len(calls) == 1


def test_a_pause_lasts_as_long_as_it_should(stopped: threading.Event) -> None:
    begun = time.monotonic()
    run_in_thread(lambda: pause(0.25)).result(60)
    pause(0.05)
    assert time.monotonic() - begun >= 0.3
