"""The users of inbound files, against what is found with regular expressions."""

from __future__ import annotations

import random

import numpy as np
import pytest

from converter.kernel.calls import Loops
from converter.kernel.form import SLACK
from converter.kernel.seen import SeenStructure
from converter.parts.line_users import users_of

from .fuzz_gather import Memory

_PIECES = [
    *"\t\t\t\t\n\n\n-aAfFgG09", "u", "é", "1" * 38, "ab" * 32, "AB" * 32, "g" * 64, "0f8fad5b-d9cb-469f-a165-70867728950e",
    "0F8FAD5B-D9CB-469F-A165-70867728950E", "11111111-1111-1111-1111-111111111111", "u" * 36, "\r", "x" * 300,
]  # fmt: skip


def fuzz_seen_users(loops: Loops, drawn: random.Random, memory: Memory) -> None:
    """Types, counts and lines are those of the twin; no counter goes above the limit by more than one."""
    content = ("".join(drawn.choices(_PIECES, k=drawn.choice([0, 3, 30, 300]))) + "\n").encode()
    skipped, bits, most = drawn.randrange(3), drawn.choice([0, 1, 10]), drawn.choice([0, 1, 200])
    pairs = drawn.random() < 0.4
    users = users_of(content, skipped, pairs=pairs).drop_nulls("id")
    lines = int(users["times"].clip(upper_bound=most + 1).sum())
    buffer = memory.of(content + bytes(SLACK))
    counters = memory.of(bytes(1 << bits))
    key = np.array([drawn.getrandbits(64), drawn.getrandbits(64)], np.uint64)
    structure = SeenStructure(key.ctypes.data, counters.ctypes.data, len(counters), bits, skipped, most, pairs)
    seen = loops.see_users(buffer, len(content), structure, finds=False)
    assert {kind for kind in (1, 2, 4, 8, 16) if seen.kinds & kind} == set(users["kind"]) - {0}
    assert seen.differs == (skipped > 0 and users["type"].n_unique() > 1)
    assert int(counters.sum()) == lines or int(counters.max()) == most + 1
    if bits == 0:
        assert counters[0] == min(lines, most + 1)
    found = loops.see_users(buffer, len(content), structure, finds=True)
    numbers = users["line"].to_list()
    assert set(found.numbers.tolist()) <= set(numbers)
    if lines > most and bits == 0:
        assert found.numbers.tolist() == numbers
    with pytest.raises(SystemError):
        loops.see_users(buffer, len(content) + 1, structure, finds=False)  # nothing after
    wrong = SeenStructure.from_buffer_copy(structure)
    wrong.counter_count += 1
    with pytest.raises(SystemError):
        loops.see_users(buffer, len(content), wrong, finds=False)
    if content.rstrip(b"\n"):
        with pytest.raises(SystemError):
            loops.see_users(buffer, len(content.rstrip(b"\n")), structure, finds=False)
