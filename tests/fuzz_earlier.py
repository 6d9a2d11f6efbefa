"""What becomes of lines by earlier ones, against a plain model in Python: a dictionary of counts."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest

from converter.kernel import earlier
from converter.kernel.calls import Loops
from converter.kernel.earlier import MOST_COUNT, SegmentStructure
from converter.kernel.gather import CUT, REPEATED, WRITTEN

from .fuzz_gather import Memory

Key = tuple[int, int]
FIRSTS = [0, 1, 1 << 32, 1 << 57, 1 << 58, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
SECONDS = [0, 1 << 8, 1 << 63, (1 << 64) - 1 - MOST_COUNT]


class Model:
    """Counts of keys, and what becomes of lines by them."""

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.over = 0

    def judge(self, lines: list[Key] | None, users: list[Key] | None, count: int, most_lines: int) -> list[int]:
        """Return what becomes of lines."""
        found = []
        for row in range(count):
            outcome = WRITTEN
            if lines and self._count(lines[row]):
                outcome = REPEATED
            elif users and (before := self._count(users[row])) >= most_lines:
                outcome = CUT
                self.over += before == most_lines
            found.append(outcome)
        return found

    def _count(self, key: Key) -> int:
        key = key[0], key[1] & ~MOST_COUNT
        self.counts[key] += 1
        return min(self.counts[key] - 1, MOST_COUNT)


def keys_of(drawn: random.Random, count: int) -> list[Key]:
    """Keys that are often the same, or differ by one word, or by bits that do not count."""

    def key() -> Key:
        first = drawn.choice(FIRSTS) if drawn.random() < 0.5 else drawn.getrandbits(64)
        return first, drawn.choice(SECONDS) + drawn.choice([0, 1, MOST_COUNT])

    few = [key() for _ in range(drawn.choice([1, 3, 200]))]
    return [drawn.choice(few) if drawn.random() < 0.5 else key() for _ in range(count)]


def array_of(keys: list[Key] | None, memory: Memory) -> npt.NDArray[np.uint64] | None:
    """Keys as an array next to an unreadable page."""
    if keys is None:
        return None
    content = np.array(keys, np.uint64).tobytes()
    return memory.of(content).view(np.uint64).reshape(-1, 2)


def entries_in(memory: Memory) -> Callable[[int], npt.NDArray[np.uint64]]:
    """What makes free entries next to an unreadable page."""
    return lambda room: memory.of(bytes(16 * room)).view(np.uint64).reshape(-1, 2)


def fuzz_earlier(loops: Loops, drawn: random.Random, memory: Memory) -> None:
    """Lines are judged batch by batch, in tables of any size; keys come out with their counts."""
    sizes = {"_SEGMENT_BITS": drawn.choice([0, 1, 3, 6]), "_FIRST_ROOM": drawn.choice([65, 66, 80, 1000])}
    with mock.patch.multiple(earlier, _entries=entries_in(memory), **sizes):
        table, model = loops.earlier_keys(), Model()
        given = drawn.choice([(True, False), (False, True), (True, True)])
        most_lines = drawn.choice([0, 1, 3, 200, MOST_COUNT - 1])
        for _ in range(drawn.choice([1, 2, 5])):
            count = drawn.choice([0, 1, 20, 400])
            keys = [keys_of(drawn, count) if each and count else None for each in given]
            if not any(keys):
                continue
            made = table.judge(*(array_of(each, memory) for each in keys), count, most_lines)
            assert made.tolist() == model.judge(*keys, count, most_lines)
            assert table.over == model.over
        found = [each for part in table.drain() for each in part.tolist()]
        assert [each[0] for each in found] == sorted(each[0] for each in found)
        counts = {(first, second & ~MOST_COUNT): second & MOST_COUNT for first, second in found}
        assert len(counts) == len(found)
        assert counts == {key: min(count, MOST_COUNT) for key, count in model.counts.items()}
        assert not [each for part in table.drain() for each in part.tolist()]


def fuzz_damaged(loops: Loops, drawn: random.Random, memory: Memory) -> None:
    """Tables that are not what they have to be are refused, or nothing outside of them is touched."""
    with mock.patch.multiple(earlier, _entries=entries_in(memory), _FIRST_ROOM=100):
        table = loops.earlier_keys()
        for each in table._memory:
            each[:] = np.frombuffer(drawn.randbytes(each.nbytes), np.uint64).reshape(-1, 2)
        segment = table._segments[drawn.randrange(len(table._segments))]
        other = earlier._entries(200)
        larger = SegmentStructure(other.ctypes.data, len(other), 0)
        assert loops._entries["copy_keys"](segment, larger, earlier._SEGMENT_BITS) in (0, 2)
        users = array_of(keys_of(drawn, 50), memory)
        with mock.patch.object(table, "_grow", side_effect=MemoryError), contextlib.suppress(MemoryError):
            table.judge(None, users, 50, 1)
        wrong = drawn.choice([("room", 64), ("room", 1 << 40), ("room", -1)])
        setattr(segment, *wrong)
        with pytest.raises(SystemError):
            table.judge(None, users, 50, 1)
        assert loops._entries["copy_keys"](larger, segment, earlier._SEGMENT_BITS) == 2
        with pytest.raises(SystemError):
            loops.earlier_keys().judge(None, users, 50, drawn.choice([-1, MOST_COUNT]))
