"""Lines that were sent before, against a plain model in Python: a list of users."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from converter.kernel import known as loop
from converter.kernel.calls import Loops
from converter.kernel.known import NOTES, KnownFiles, PastLines
from converter.rows.delta import keyed

from .fuzz_gather import Memory, hash_of, lines_of

OMITTED, TAKEN, DUE, LACKING = map(int, (loop.OMITTED, loop.TAKEN, loop.DUE, loop.LACKING))


@dataclass
class User:
    """What was sent for a user: the file that it is in, its hashes, and what is noted of it."""

    file: int
    id: int
    lines: int
    notes: int = 0


def hashes_of(texts: Sequence[bytes], key: Any) -> list[int]:
    """Return the first words of the keyed hashes of texts."""
    edges = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    padded = np.frombuffer(b"".join(texts) + bytes(8), np.uint8)
    made: list[int] = keyed._hashes(padded, edges[:-1], edges[1:], key)[:, 0].tolist()
    return made


def is_taken(users: Sequence[User], line: int, is_again: bool) -> bool:
    """Say whether a line with this hash is to be taken, by the users with the hash of its ID, and note it of them."""
    for user in (user for user in users if (user.lines ^ line) <= NOTES):
        if is_again:
            return bool(user.notes & LACKING)
        if not user.notes & (DUE | OMITTED):
            user.notes |= OMITTED
            return False
    for user in () if is_again else users:
        user.notes |= TAKEN
    return not is_again


def past_of(users: Sequence[User], bits: int, memory: Memory) -> PastLines:
    """Return the users of a file, who are in order, as the loop takes them."""
    words = [(user.id, user.lines & ~int(NOTES) | user.notes) for user in users]
    pairs = np.array(words, np.uint64).reshape(-1, 2)
    starts = np.searchsorted(pairs[:, 0], np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits))
    return PastLines(
        memory.of(pairs.tobytes()).view(np.uint64).reshape(-1, 2),
        memory.of(np.append(starts, len(users)).astype(np.uint32).tobytes()).view(np.uint32),
        bits,
    )


def fuzz_known(loops: Loops, drawn: random.Random, memory: Memory) -> None:
    """Lines are looked for twice; wrong ends, and files that are not sound, are refused."""
    skipped, file_bits = drawn.choice([0, 0, 1, 2]), drawn.choice([1, 2, 6])
    lines = lines_of(drawn, skipped)
    ids = [[*line[:-1].split(b"\t"), b"", b""][skipped] for line in lines]
    key = np.array([drawn.getrandbits(64), drawn.getrandbits(64)], np.uint64)
    of_ids, of_lines = hashes_of(ids, key), hashes_of(lines, key)
    numbers = [hash_of(id_) >> 64 - file_bits for id_ in ids]
    users = [User(drawn.randrange(1 << file_bits), drawn.getrandbits(64), 1) for _ in range(drawn.choice([0, 9, 500]))]
    for row in {id_: row for row, id_ in enumerate(ids)}.values():
        for _ in range(drawn.choice([0, 1, 1, 1, 2])):
            line = drawn.choice([of_lines[row], of_lines[row], drawn.getrandbits(64)])
            users.append(User(numbers[row], of_ids[row], line, drawn.choice([0, 0, 0, DUE])))
    users.sort(key=lambda user: user.id)
    of_files = [[user for user in users if user.file == number] for number in range(1 << file_bits)]
    known = KnownFiles([past_of(each, drawn.choice([1, 2, 7]), memory) for each in of_files])
    text, ends = memory.of(b"".join(lines)), memory.of(np.cumsum([*map(len, lines)], dtype=np.int64).tobytes())
    given = text, ends.view(np.int64), skipped, key
    for is_again in (False, True):
        same = [
            [user for user in of_files[number] if user.id == id_] for number, id_ in zip(numbers, of_ids, strict=True)
        ]
        taken = [row for row, line in enumerate(of_lines) if is_taken(same[row], line, is_again)]
        assert loops.unknown_lines(*given, known, is_again=is_again).tolist() == taken
        for each, file in zip(of_files, known.files, strict=True):
            assert (file.lines & NOTES).tolist() == [user.notes for user in each]
            for row, user in enumerate(each):
                user.notes |= drawn.choice([0, LACKING])
                file.lines[row] |= np.uint64(user.notes)
    check_taken(loops, drawn, memory, lines)
    if lines:
        refuse(loops, drawn, given, known)


def check_taken(loops: Loops, drawn: random.Random, memory: Memory, lines: Sequence[bytes]) -> None:
    """Some of the lines are copied, and those that are not there are refused."""
    text, ends = memory.of(b"".join(lines)), np.cumsum([*map(len, lines)], dtype=np.int64)
    rows = [row for row in range(len(lines)) if drawn.random() < drawn.choice([0.1, 0.9])]
    made, made_ends = loops.taken(text, ends, np.array(rows, np.int64))
    assert made.tobytes() == b"".join(lines[row] for row in rows)
    assert made_ends.tolist() == np.cumsum([len(lines[row]) for row in rows], dtype=np.int64).tolist()
    for wrong in (-1, len(lines), 2**62):
        row, end = np.array([wrong], np.int64), np.zeros(1, np.int64)
        with pytest.raises(SystemError):
            loops._call("take_lines", text, len(text), ends, len(ends), row, 1, text, 0, end)
    if lines:
        row, end = np.array([drawn.randrange(len(lines))], np.int64), np.zeros(1, np.int64)
        room = len(lines[row[0]]) - 1  # one byte too little
        with pytest.raises(SystemError):
            loops._call("take_lines", text, len(text), ends, len(ends), row, 1, memory.of(bytes(room)), room, end)
        ends[row] = drawn.choice([-1, len(text) + 1, 2**62, -(2**63)])
        with pytest.raises(SystemError):
            loops._call("take_lines", text, len(text), ends, len(ends), row, 1, text, 0, end)


def refuse(loops: Loops, drawn: random.Random, given: tuple[Any, ...], known: KnownFiles) -> None:
    """What is not as it has to be is refused."""
    text, ends, skipped, key = given
    wrong = ends.copy()
    wrong[drawn.randrange(len(ends))] = drawn.choice([0, -1, len(text) + 1, 2**62, -(2**63)])
    with pytest.raises(SystemError):
        loops.unknown_lines(text, wrong, skipped, key, known, is_again=False)
    with pytest.raises(SystemError):
        loops.unknown_lines(text, ends, -1, key, known, is_again=False)
    for change in (
        lambda file: replace_starts(file, len(file.users) + 1),
        lambda file: replace_starts(file, np.arange(len(file.starts))[::-1] + len(file.users)),
        lambda file: file._replace(bits=0),
        lambda file: file._replace(bits=32),
        lambda file: file._replace(starts=file.starts[:-1]),
    ):
        with pytest.raises(SystemError):
            loops.unknown_lines(*given, KnownFiles([*map(change, known.files)]), is_again=False)


def replace_starts(file: PastLines, starts: Any) -> PastLines:
    """Return a file with others in place of its `starts`."""
    changed = file.starts.copy()
    changed[:] = starts
    return file._replace(starts=changed)
