"""The lines of a run on their way into parts: a packer for each set of files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TypeAlias

from converter.columns.buffers import Text
from converter.parts.blocks import Cutter, Pieces
from converter.parts.packer import Limits, Packer
from converter.parts.part import Part
from converter.parts.shapes import first_shapes
from converter.rows.frequency import Frequency

Blocks: TypeAlias = "Iterator[tuple[Pieces, int]]"
"""Blocks of text, each with its number of lines."""


def _unseen(blocks: Iterable[tuple[Pieces, int]], number: int) -> Blocks:
    """Yield the blocks as they are."""
    del number
    yield from blocks


class Packed:
    """What is known of the lines of a run that went into parts: `leads` fields are before the ID of a line."""

    def __init__(self, sets: int, leads: int) -> None:
        self.frequencies = [Frequency(leads) for _ in range(sets)]
        """The IDs of the lines of each set of files."""
        self.first_lines: list[str] = []
        """The shapes of the first lines."""

    def merge(self, frequencies: Sequence[Frequency], first_lines: Sequence[str]) -> None:
        """Take in what another process knows of the lines that it has packed."""
        for frequency, other in zip(self.frequencies, frequencies, strict=True):
            frequency.merge(other)
        self.first_lines = self.first_lines or list(first_lines)

    @property
    def bytes(self) -> int:
        """How many bytes of parts have been written by this process so far."""
        return 0

    @property
    def count(self) -> int:
        """How many parts this process has finished so far."""
        return 0


class Packing(Packed):
    """Packs lines into parts. A context manager, which joins all threads.

    `seen` gets the blocks of each set, with its number, and gives them back.
    """

    def __init__(
        self,
        packers: Sequence[Packer],
        limits: Limits,
        leads: int,
        seen: Callable[[Iterable[tuple[Pieces, int]], int], Blocks] = _unseen,
    ) -> None:
        super().__init__(len(packers), leads)
        self._packers = packers
        self._opened = contextlib.ExitStack()
        self._cutters = [Cutter(limits.block_bytes, limits.part_text) for _ in packers]
        self._seen = seen

    def __enter__(self) -> Packing:
        for packer in self._packers:
            self._opened.enter_context(packer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, value, trace)

    @property
    def bytes(self) -> int:
        """How many bytes of parts have been written so far."""
        return sum(packer.bytes for packer in self._packers)

    @property
    def count(self) -> int:
        """How many parts are finished so far."""
        return sum(len(packer.parts) for packer in self._packers)

    @property
    def parts(self) -> Iterator[tuple[int, int, Part]]:
        """The finished parts, each with the number of its set, from 0, and its own in the set, from 1."""
        for index, packer in enumerate(self._packers):
            for split, part in enumerate(packer.parts, 1):
                yield index, split, part

    def add(self, texts: Sequence[Sequence[Text]]) -> None:
        """Take the next lines of each set."""
        each_set = zip(self._cutters, self._packers, self.frequencies, texts, strict=True)
        for number, (cutter, packer, frequency, of_set) in enumerate(each_set):
            for text in of_set:
                frequency.add(text)
            for block in self._seen(cutter.feed(of_set), number):
                packer.add(*block)
        self.first_lines = self.first_lines or first_shapes(texts)

    def finish(self) -> None:
        """Complete the parts: all lines were added."""
        for number, (cutter, packer) in enumerate(zip(self._cutters, self._packers, strict=True)):
            for block in self._seen(cutter.finish(), number):
                packer.add(*block)
            packer.finish()
