"""Iterators that a thread runs, one item ahead, and calls in threads of their own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
_PATIENCE = 1.0  # seconds that closing waits for the thread, which may be reading from a pipe


def in_background(call: Callable[..., Item], *arguments: object) -> Future[Item]:
    """Call in a thread of its own, which does not keep the process alive; return the result to come."""
    result: Future[Item] = Future()

    def run() -> None:
        try:
            result.set_result(call(*arguments))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, name="fetch", daemon=True).start()
    return result


class ReadAhead(Generic[Item], Iterator[Item]):
    """The items of a generator, run in a thread of its own, which stays one item ahead.

    What the generator raises is raised after its last item. `close` ends the thread, which closes the generator.
    """

    def __init__(self, items: Generator[Item]) -> None:
        self._items = items
        self._ready: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read", daemon=True)
        self._thread.start()

    def __next__(self) -> Item:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended)
            if self._ready:
                self._changed.notify_all()
                return self._ready.popleft()
        if self._error:
            raise self._error
        raise StopIteration

    def close(self) -> None:
        """End the thread; items that are not taken yet are lost."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._ready.append(item)
                    del item  # it is large, and the next one is made now
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: not self._ready or self._closed)
                    if self._closed:
                        break
        except BaseException as error:
            self._error = error
        finally:
            self._items.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()
