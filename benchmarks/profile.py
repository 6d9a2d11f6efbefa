"""Where the CPU seconds of a run of ours go, by stage: `run ours INPUT OUTDIR --profile`.

Functions of the converter are wrapped with a clock of their thread's CPU time; what they call counts for the inner one
alone. The engine's own threads have no such clock: what no stage accounts for is theirs, or between the stages. What
judging costs inside the loops, which format in the same pass, shows beside `ours-no-rules`, whose loops do not judge.
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

_STAGES = {
    "read": ["converter.sources.streams.TextStream.readinto"],
    "scan": [
        "converter.kernel.calls.Loops.cut",
        "converter.sources.structure.Structure.parse",
        "converter.kernel.calls.Loops.is_utf8",
    ],
    "format": ["converter.kernel.calls.Loops.delimited", "converter.kernel.calls.Loops.frame_lines"],
    "judge irregular rows": ["converter.rows.pipeline._Converter._judge", "converter.report.rejects.RejectsFile.add"],
    "parse and plan": ["converter.rows.pipeline.collect"],
    "hand over": [
        "converter.rows.fast_path.chunks_of",
        "converter.rows.fast_path.FastPath.text_of",
        "converter.parts.packer.Cutter.feed",
        "converter.parts.packer.Cutter.finish",
    ],
    "compress": ["converter.parts.packer.compress"],
    "write": ["converter.parts.packer._OpenPart.write", "converter.delivery.destinations.folder._FolderUpload.finish"],
}
_REST = "engine's threads, and the rest"


class Profile:
    """Seconds of CPU by stage, of all threads."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._started = time.process_time()
        self._seconds["start"] = self._started

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
        """Wrap what the stages are made of. The converter's modules are imported by this, which counts as the start."""
        found = [(stage, *_found(path)) for stage, paths in _STAGES.items() for path in paths]
        self._seconds["start"] = time.process_time()
        for stage, owner, name in found:
            setattr(owner, name, self._wrapped(getattr(owner, name), stage))

    def _wrapped(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def stepwise(*arguments: Any, **options: Any) -> Iterator[Any]:
                steps = function(*arguments, **options)
                while True:
                    with self.stage(stage):
                        step = next(steps, _REST)
                    if step is _REST:
                        return
                    yield step

            return stepwise

        @functools.wraps(function)
        def whole(*arguments: Any, **options: Any) -> Any:
            with self.stage(stage):
                return function(*arguments, **options)

        return whole

    def __str__(self) -> str:
        """Return a table of the seconds so far."""
        total = time.process_time()
        seconds = {name: self._seconds[name] for name in ("start", *_STAGES)}
        seconds[_REST] = total - sum(seconds.values())
        rows = [[name, f"{spent:.2f}", f"{spent / total:.0%}"] for name, spent in seconds.items()]
        return table(["stage", "CPU s", "share"], [*rows, ["all", f"{total:.2f}", "100%"]])


def _found(path: str) -> tuple[object, str]:
    """Import the module in which a function is, and return what holds the function, and its name."""
    import pkgutil

    owner, _, name = path.rpartition(".")
    return pkgutil.resolve_name(owner), name
