"""Queries of Polars: how its threads are started, and how its failures become errors of the input."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading

import polars as pl

from converter.errors import EngineError, ResourcesError
from converter.sources.base import PANICS, damaged, engine_failed
from converter.sources.origins.base import Origin

_FEW = 2048  # rows: for fewer, starting the streaming engine takes longer than the query
_START_TIMEOUT = 30.0  # seconds: the threads of Polars start in some milliseconds
_process = 0  # the process in which Polars was started, 0 before that


def collect(origin: Origin, query: pl.LazyFrame, rows: int = sys.maxsize) -> pl.DataFrame:
    """Run a query on at most `rows` rows; for a few, starting the streaming engine would take longer than the query.

    Raises `InputError` where Polars cannot parse the input, `EngineError` where it fails otherwise, and what `start`
    raises. Messages of Polars are left out, since they may quote the data.
    """
    start()
    try:
        return query.collect(engine="in-memory" if rows < _FEW else "streaming")
    except pl.exceptions.ComputeError as error:  # what Polars raises for text that it cannot parse
        raise damaged(origin, error) from error
    except (*PANICS, OSError) as error:
        raise engine_failed(origin, error) from error


def start() -> None:
    """Start the threads of Polars, if they are not running.

    Raises `ResourcesError` where the system refuses them, and `EngineError` in a process that was forked from one in
    which they ran: a fork has no threads, and each query would wait for them forever.
    """
    global _process
    if _process not in (0, os.getpid()):
        raise EngineError(
            "E-FORKED",
            "This process was forked from one in which Polars runs, so Polars cannot run here.",
            "Start processes by 'spawn' or 'forkserver': multiprocessing.get_context(\"spawn\").",
        )
    _process = _process or os.getpid()
    # Polars handles SIGINT even where it is ignored (`nohup`, background jobs), and stops queries by it.
    with contextlib.suppress(ValueError):  # threads other than the main one cannot set that
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    _start()


@functools.cache
def _start() -> None:
    """Start the threads of Polars. Where the system refuses one, Polars panics or waits for it forever."""
    done = threading.Event()

    def ask() -> None:
        # A scan of text uses more threads than a frame.
        with contextlib.suppress(*PANICS, OSError):  # `done` stays unset, which is reported below
            pl.scan_csv(b"column\nvalue\n").collect(engine="streaming")
            done.set()

    thread = threading.Thread(target=ask, name="engine", daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread could be started: likewise
        thread.start()
        thread.join(_START_TIMEOUT)
    if not done.is_set():
        raise ResourcesError(
            "E-THREADS",
            "The system refused to start the threads of Polars.",
            "Allow the process more threads or more memory (ulimit -u, ulimit -v, the limits of the container), "
            "or let Polars use fewer: POLARS_MAX_THREADS=1.",
        )
