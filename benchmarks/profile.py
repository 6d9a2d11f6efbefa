"""Where the CPU seconds of a run of ours go: `run ours INPUT OUTDIR --profile`.

The compiled loops, the compressor and the queries of Polars are wrapped with a clock of their thread's CPU time; what
they call counts for the inner one alone. What else threads of Python do is shown by their role. The threads of Polars
have no such clock: what is not accounted for is theirs. What judging costs inside the loops, which format in the same
pass, is seen with `ours-no-rules`, whose loops do not judge.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.table import table
from benchmarks.threads import MAIN, role_of

_OTHERS = "threads of libraries"


class Profile:
    """Seconds of CPU by stage, of all threads."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._started = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the CPU time of this thread for a stage, but for stages within."""
        outer = getattr(self._thread, "inner", 0.0)
        self._thread.inner = 0.0
        started = time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - started
            with self._lock:
                self._seconds[name] += spent - self._thread.inner
            self._thread.inner = outer + spent

    def watch(self) -> None:
        """Wrap what is measured. The converter's modules are imported by this, which counts as the start."""
        import polars as pl

        from converter.kernel.calls import Loops
        from converter.parts import blocks

        self._seconds["start"] = time.process_time()
        self._started = time.thread_time()
        for name, function in list(vars(Loops).items()):
            if inspect.isfunction(function) and not name.startswith("_"):
                setattr(Loops, name, self._wrapped(function, f"loops: {name}"))
        pl.LazyFrame.collect = self._wrapped(pl.LazyFrame.collect, "Polars: collect")  # type: ignore[method-assign] # measured in place
        blocks.compress = self._wrapped(blocks.compress, "compress")
        original = threading.Thread.run

        def run(thread: threading.Thread) -> None:
            with self.stage(_others(role_of(thread.name))):
                original(thread)

        threading.Thread.run = run  # type: ignore[method-assign, assignment] # every thread begins here

    def _wrapped(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            with self.stage(stage):
                return function(*arguments, **options)

        return wrapped

    def __str__(self) -> str:
        """Return a table of the seconds so far; to be called by the main thread."""
        total = time.process_time()
        seconds = dict(self._seconds)
        seconds[_others(MAIN)] = time.thread_time() - self._started - getattr(self._thread, "inner", 0.0)
        seconds[_OTHERS] = total - sum(seconds.values())
        ranked = sorted(seconds.items(), key=lambda item: -item[1])
        rows = [[name, f"{spent:.2f}", f"{spent / total:.0%}"] for name, spent in ranked]
        return table(["stage", "CPU s", "share"], [*rows, ["all", f"{total:.2f}", "100%"]])


def _others(role: str) -> str:
    return f"thread {role}, all else"
