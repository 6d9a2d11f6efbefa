"""Files of a state that are written several at a time, with a limited number of bytes."""

from __future__ import annotations

import threading

import pytest

from converter.delivery.state_places import writes
from converter.delivery.state_places.writes import Writes

SECONDS = 60


def test_as_many_as_allowed_are_written_at_the_same_time() -> None:
    found, together = Writes(8), threading.Barrier(8)
    for _ in range(16):
        found.begin(1, lambda: together.wait(SECONDS))
    found.settle()
    found.stop()


def test_what_has_no_room_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "_MOST_BYTES", 10)
    found, go_on, is_begun = Writes(8), threading.Event(), threading.Event()
    found.begin(100, lambda: go_on.wait(SECONDS))  # a large one alone

    def another() -> None:
        found.begin(1, lambda: None)
        is_begun.set()

    thread = threading.Thread(target=another)
    thread.start()
    assert not is_begun.wait(0.1)
    go_on.set()
    assert is_begun.wait(SECONDS)
    thread.join()
    found.settle()
    found.stop()


def test_the_first_error_is_raised_and_nothing_more_is_written() -> None:
    found = Writes(1)
    written: list[int] = []
    go_on = threading.Event()

    def fail() -> None:
        go_on.wait(SECONDS)
        raise OSError("first")

    found.begin(1, fail)
    found.begin(1, lambda: written.append(1))
    go_on.set()
    for again in (found.settle, lambda: found.begin(1, lambda: written.append(2))):
        with pytest.raises(OSError, match="first"):
            again()
    assert written == []
    found.stop()  # after which errors are forgotten
    found.begin(1, lambda: written.append(3))
    found.settle()
    assert written == [3]
    found.stop()


def test_what_waits_for_a_thread_is_left_out_at_the_end() -> None:
    found = Writes(1)
    written: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go_on.wait(SECONDS)
        written.append(1)

    found.begin(1, first)
    found.begin(1, lambda: written.append(2))
    assert begun.wait(SECONDS)
    stopping = threading.Thread(target=found.stop)
    stopping.start()
    while not found.is_stopping:
        stopping.join(0.01)
    go_on.set()
    stopping.join()
    assert written == [1]
