"""Work in threads that can be abandoned: a signal ends the wait for it, and so does a server that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from converter.delivery.destinations.base import Destination

_CLOSE_SECONDS = 3.0
_T = TypeVar("_T")


def run_in_thread(work: Callable[[], _T], tasks: list[Future[Any]] | None = None) -> Future[_T]:
    """Do work in a thread of its own, a daemon. Its future is added to `tasks` before it begins.

    An error that a signal raises must not come up within a library's code: botocore takes it for a broken connection,
    and retries. And a caller that stops waiting for a server that hangs leaves the thread behind.
    """
    task: Future[_T] = Future()

    def do() -> None:
        if not task.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:
            task.set_exception(error)
        else:
            task.set_result(result)

    thread = threading.Thread(target=do, name="delivery", daemon=True)
    if tasks is not None:
        tasks.append(task)
    try:
        thread.start()
    except BaseException:
        if task.cancel() and tasks is not None:  # a signal came first: the work does not begin, so nobody waits for it
            tasks.remove(task)
        raise
    return task


def undisturbed(work: Callable[[], _T]) -> _T:
    """Do work and return what it gives: in a thread where this is the main one, so that no signal interrupts it.

    A signal ends the wait for it, not the work.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    task = run_in_thread(work)
    wait([task])
    return task.result()


def close_connections(destination: Destination) -> None:
    """Close the connections of a destination, and wait for that a few seconds at most."""
    if destination.direct:
        destination.close()
    else:
        wait([run_in_thread(destination.close)], _CLOSE_SECONDS)
