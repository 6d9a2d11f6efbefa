"""A step of a Spark job that stops half way through a partition until the test lets it pass, or that fails there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_SECONDS = 300.0


@dataclass(frozen=True)
class Gate:
    """A function for `mapInArrow`, which gives what it gets. Files in `folder` tell which attempts have come half way.

    That is from when there is a journal in `reports`: the first rows are asked for before a run begins. `held` and
    `failing` are attempts: a partition, and how many attempts of it there were before. Those that are held wait for the
    test; those that fail do so half way.
    """

    folder: Path
    reports: Path
    held: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    failing: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        attempt = context.partitionId(), context.attemptNumber()
        for number, batch in enumerate(batches):
            if number == 1 and any(self.reports.glob("*.journal")):
                self._pass(attempt)
            yield batch

    def _pass(self, attempt: tuple[int, int]) -> None:
        there = self._file("there", attempt)
        there.with_suffix(".partial").write_text(str(os.getpid()))
        there.with_suffix(".partial").rename(there)
        if attempt in self.failing:
            raise ValueError(f"attempt {attempt} fails, as it is to do")
        until = time.monotonic() + _SECONDS
        while attempt in self.held and not self._file("open", attempt).exists():
            assert time.monotonic() < until, f"nobody opens the gate of {attempt}"
            time.sleep(0.02)

    def gather(
        self, assignment: bytes, batches: Iterable[pa.RecordBatch], *, of_rows: bool
    ) -> Iterator[pa.RecordBatch]:
        """Gather lines, as `moving.gather_lines` does, from what comes through the gate."""
        from converter.spark.moving import gather_lines

        return gather_lines(assignment, self(batches), of_rows=of_rows)

    def wait_for(self, attempt: tuple[int, int]) -> int:
        """Wait until an attempt is half way; return the ID of its process."""
        there, until = self._file("there", attempt), time.monotonic() + _SECONDS
        while not there.exists():
            assert time.monotonic() < until, f"{attempt} does not come: {self.attempts}"
            time.sleep(0.02)
        return int(there.read_text())

    def open(self, attempt: tuple[int, int]) -> None:
        """Let an attempt pass."""
        self._file("open", attempt).touch()

    @property
    def attempts(self) -> set[tuple[int, int]]:
        """The attempts that have come half way."""
        names = [path.name.split("-") for path in self.folder.glob("there-*") if path.suffix != ".partial"]
        return {(int(partition), int(number)) for _, partition, number in names}

    def _file(self, what: str, attempt: tuple[int, int]) -> Path:
        return self.folder / f"{what}-{attempt[0]}-{attempt[1]}"
