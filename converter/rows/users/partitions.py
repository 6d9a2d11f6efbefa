"""Lines partitioned by the hash of the user ID: in memory while they fit, else in a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import NamedTuple

from converter.kernel.calls import Loops
from converter.rows.spill_file import SpillFile
from converter.rows.users.lines import UserLines

HASH_BITS = 64
TIMES_INPUT = 3
"""As much memory as the input its lines may take, with what is kept beside their text."""
_MOST_BITS = 10  # of a hash at once: the blocks of more partitions would be short
_MOST_DEPTH = 30  # bits, after which a partition has one user: that is gathered whole
_TIMES = 2  # as large as wanted: only then a partition is partitioned again
_IN_MEMORY = 4  # a share of the budget
_USUAL_BITS = 6
_STORED_BYTES = 1 << 24  # at once, at most
_PARTITIONED_BYTES = 1 << 20  # of text at once, at least: to partition a few lines takes as long as many


def disk_bytes(input_bytes: int, memory: int) -> int:
    """Return how many bytes the file of lines may take for an input; 0 where they fit into memory, of this budget.

    Compressed lines take about as much as the input: half of it where rows are long, and all of it where a user has
    several short ones.
    """
    return 0 if TIMES_INPUT * input_bytes <= memory // _IN_MEMORY else input_bytes


class _StoredBlock(NamedTuple):
    """Lines in the file: their offset and length in bytes, and how many bytes of memory they take."""

    offset: int
    length: int
    size: int


@dataclass
class Partition:
    """The lines of users whose hashes have the same leading `bits`, which are `prefix`."""

    prefix: int
    bits: int
    kept: list[UserLines] = field(default_factory=list)
    stored: list[_StoredBlock] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many bytes of memory the lines take."""
        return sum(each.size for each in self.kept) + sum(each.size for each in self.stored)

    @property
    def hashes(self) -> range:
        """The hashes that its users may have."""
        shift = HASH_BITS - self.bits
        return range(self.prefix << shift, (self.prefix + 1) << shift)


class _Level:
    """The partitions of some bits of hashes, and how many bytes of memory their lines take that are not in the file."""

    def __init__(self, prefix: int, bits_before: int, bits: int) -> None:
        self.bits = bits
        self.partitions = [Partition((prefix << bits) + each, bits_before + bits) for each in range(1 << bits)]
        self.in_memory = 0

    @property
    def shift(self) -> int:
        """The first bit of a hash by which lines are partitioned."""
        return HASH_BITS - self.partitions[0].bits


class LinePartitions:
    """The lines of users. Workers add them at the same time.

    Partitions are to take about `most` bytes each: there are so many as `expected` bytes of lines need, or where that
    is not known, 64. `memory` is the budget in bytes for lines that are not in the file, of `folder`. The ID of a line
    is after `skipped` other fields. There are at least two to the power of `least_bits`. Use it as a context, or close
    it. Raises `DestinationError` where the disk fails.
    """

    def __init__(
        self,
        most: int,
        expected: int | None,
        memory: int,
        folder: str | None,
        *,
        skipped: int,
        loops: Loops | None,
        least_bits: int = 0,
    ) -> None:
        wanted = _USUAL_BITS if expected is None else max(-(-expected // most) - 1, 0).bit_length()
        wanted = max(wanted, least_bits)
        self._most = most
        self._memory = memory // _IN_MEMORY
        self._skipped = skipped
        self._loops = loops
        self._top = _Level(0, 0, min(wanted, _MOST_BITS))
        self._least = min(_PARTITIONED_BYTES, self._memory // _IN_MEMORY)
        self._short: list[UserLines] = []  # lines that are to be partitioned together
        self._short_bytes = 0
        self._file = SpillFile(folder)
        self._lock = threading.Lock()

    def __enter__(self) -> LinePartitions:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release memory and disk."""
        self._top = _Level(0, 0, 0)
        self._short = []
        self._file.close()

    @property
    def bytes_on_disk(self) -> int:
        """How many bytes of the disk are used; 0 while all lines are in memory."""
        return self._file.size

    def add(self, lines: UserLines) -> None:
        """Take in lines, which must not change any more."""
        if len(lines.text) >= self._least:
            self._add(self._top, lines)
        elif len(lines.ends):
            lines = lines._replace(text=lines.text.copy(), ends=lines.ends.copy())  # which may be parts of large arrays
            with self._lock:
                self._short.append(lines)
                self._short_bytes += len(lines.text)
                together = self._take_short() if self._short_bytes >= self._least else []
            if together:
                self._add(self._top, UserLines.joined(together))

    def _take_short(self) -> list[UserLines]:
        """Return lines that are to be partitioned together, which are then no longer here."""
        short, self._short, self._short_bytes = self._short, [], 0
        return short

    def partitions(self, pool: Executor) -> Iterator[Partition]:
        """Yield the partitions that have lines, in the order of the hashes, once all lines are added.

        One that is too large is partitioned again before, in a worker of the pool.
        """
        if short := self._take_short():
            self._add(self._top, UserLines.joined(short))
        waiting = self._top.partitions[::-1]
        while waiting:
            partition = waiting.pop()
            if partition.size > _TIMES * self._most and partition.bits < _MOST_DEPTH:
                waiting += pool.submit(self._split, partition).result()[::-1]
            elif partition.kept or partition.stored:
                yield partition

    def take(self, partition: Partition) -> UserLines:
        """Return the lines of a partition, which holds them no longer."""
        return UserLines.joined(list(self._blocks(partition)))

    def _blocks(self, partition: Partition) -> Iterator[UserLines]:
        kept, partition.kept = partition.kept, []
        yield from kept
        del kept
        for block in partition.stored:
            yield UserLines.unpacked(self._file.read(block.offset, block.length))

    def _split(self, partition: Partition) -> list[Partition]:
        """Partition the lines of a partition by further bits."""
        bits = min((partition.size // self._most).bit_length(), _MOST_BITS, HASH_BITS - partition.bits)
        below = _Level(partition.prefix, partition.bits, bits)
        for lines in self._blocks(partition):
            self._add(below, lines)
        return below.partitions

    def _add(self, level: _Level, lines: UserLines) -> None:
        """Partition lines, and keep them; where all that are kept are too many, write them to the file.

        Blocks in the file are longer, and fewer, where many lines are written at once.
        """
        parts = lines.partitioned(self._skipped, level.bits, level.shift, self._loops)
        with self._lock:
            for partition, part in zip(level.partitions, parts, strict=True):
                if len(part.ends):
                    partition.kept.append(part)
                    level.in_memory += part.size
            if level.in_memory <= self._memory:
                return
            kept = [(partition, partition.kept) for partition in level.partitions]
            for partition in level.partitions:
                partition.kept = []
            level.in_memory = 0
        while kept:
            partition, parts = kept.pop()
            while parts:
                self._store(partition, _last_of(parts))

    def _store(self, partition: Partition, lines: UserLines) -> None:
        """Write lines to the file."""
        data = lines.packed()
        block = _StoredBlock(self._file.append(data), len(data), lines.size)
        with self._lock:
            partition.stored.append(block)


def _last_of(parts: list[UserLines]) -> UserLines:
    """Join the last of some parts, as many as are stored together, and remove them."""
    taken = [parts.pop()]
    size = taken[0].size
    while parts and size + parts[-1].size <= _STORED_BYTES:
        size += parts[-1].size
        taken.append(parts.pop())
    return UserLines.joined(taken)
