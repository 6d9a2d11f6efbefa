"""Lines of whole users against a plain model in Python: dictionaries and sorted lists."""

from __future__ import annotations

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pytest

from converter.kernel import gather
from converter.kernel.calls import Loops
from converter.kernel.gather import CONFLICT, CUT, REPEATED, SEVERAL, SUPERSEDED, WRITTEN, Gathered
from converter.rows.delta import keyed

Bytes = npt.NDArray[np.uint8]
_FACTOR = 0x9E3779B97F4A7C15
_LAST_FACTORS = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
_KEY = re.compile(rb'"[^"]*"=')
SIGNALS = [
    *(prefix + number for prefix in (b"d_sid=", b"d_unsid=", b"") for number in (b"1", b"12", b"2", b"1234567890")),
    *(b'"%b"="%b"' % (key, value) for key in (b"k", b"k,l", b"kk") for value in (b"v", b"v,w", b"w" * 70, b"")),
    *(b"ic=a", b"ic=d_sid=1", b"d_sidx", b"d_t", b"d_", b"a", b"z" * 9, b'"k"', "é".encode()),
]
IDS = [b"u", b"u1", b"u2", b"U", b"", b"x" * 31, b"x" * 32, b"x" * 33, b"x" * 70, "é".encode()]


class Memory(Protocol):
    """What makes buffers of a content."""

    def of(self, content: bytes) -> Bytes: ...


class Model(NamedTuple):
    """What is to be gathered."""

    lines: list[bytes]
    users: list[int]
    outcomes: list[int]
    signals: list[int]
    rows: list[int]
    over: int


def hash_of(text: bytes) -> int:
    """Return the hash of an ID."""
    value = (len(text) + 1) * _FACTOR % 2**64
    for at in range(0, len(text), 8):
        value = (value ^ int.from_bytes(text[at : at + 8], "little")) * _FACTOR % 2**64
        value ^= value >> 32
    for factor in _LAST_FACTORS:
        value = (value ^ value >> 32) * factor % 2**64
    return value ^ value >> 32


def split(text: bytes) -> list[bytes]:
    """Split signals at commas outside of quotes."""
    signals, inside = [b""], False
    for byte in text:
        inside ^= byte == ord('"')
        if byte == ord(",") and not inside:
            signals.append(b"")
        else:
            signals[-1] += bytes([byte])
    return signals


def users_of(lines: Sequence[bytes], skipped: int) -> list[tuple[bytes, list[int]]]:
    """Return the IDs, in the order of their hashes, each with the indices of its lines."""
    users: dict[bytes, list[int]] = defaultdict(list)
    for row, line in enumerate(lines):
        users[[*line[:-1].split(b"\t"), *[b""] * skipped][skipped]].append(row)
    return sorted(users.items(), key=lambda user: (hash_of(user[0]), user[0]))


def outcomes_of(latest: dict[bytes, int], has_rank: bool, reject_several: bool) -> dict[bytes, int]:
    """Return what becomes of signals, each with its rank, before the limit of lines."""
    outcomes = dict.fromkeys(sorted(latest), WRITTEN)
    keys: dict[bytes, list[bytes]] = defaultdict(list)
    for signal in outcomes:
        if match := _KEY.match(signal):
            keys[match[0]].append(signal)
    for values in keys.values():
        if len(values) > 1 and (has_rank or reject_several):
            last = max(values, key=lambda value: (latest[value], value))
            outcomes |= dict.fromkeys(values, SUPERSEDED if has_rank else SEVERAL)
            outcomes |= {last: WRITTEN} if has_rank else {}
    for form in (b"d_sid=", b""):
        for removed in outcomes:
            added = form + removed.removeprefix(b"d_unsid=")
            if removed.startswith(b"d_unsid=") and added in outcomes and (form or added[:1].isdigit()):
                if latest[added] == latest[removed]:
                    outcomes[added] = outcomes[removed] = CONFLICT
                else:
                    outcomes[min(added, removed, key=latest.__getitem__)] = SUPERSEDED
    return outcomes


def gather_signals(
    lines: Sequence[bytes],
    skipped: int,
    rank: Sequence[int] | None,
    *,
    reject_several: bool,
    most_line_bytes: int,
    most_lines: int,
) -> Model:
    """Gather the signals of users."""
    made: list[bytes] = []
    users: list[int] = []
    of_users: list[int] = []
    rows, counts, over = [WRITTEN] * len(lines), [0] * 6, 0
    for _, of_user in users_of(lines, skipped):
        head = b"\t".join(lines[of_user[0]][:-1].split(b"\t")[: skipped + 1])
        latest: dict[bytes, int] = {}
        of_rows = {row: split(b"\t".join(lines[row][:-1].split(b"\t")[skipped + 1 :])) for row in of_user}
        for row, signals in of_rows.items():
            for signal in signals:
                counts[REPEATED] += signal in latest and signal != b""
                of_row = rank[row] if rank else 0
                latest[signal] = max(latest.get(signal, of_row), of_row)
        outcomes = outcomes_of(latest, rank is not None, reject_several)
        own: list[list[bytes]] = []
        for signal in (signal for signal, outcome in outcomes.items() if outcome == WRITTEN):
            if not own or len(_line(head, [*own[-1], signal])) > most_line_bytes:
                own.append([])
            own[-1].append(signal)
            if len(own) > most_lines:
                outcomes[signal] = CUT
        over += len(own) > most_lines
        own = own[:most_lines]
        users += [len(made)] if own else []
        made += [_line(head, signals) for signals in own]
        for signal, outcome in outcomes.items():
            counts[outcome] += signal != b""
        for row, signals in of_rows.items():
            rows[row] = min(outcomes[signal] for signal in signals)
        of_users += [sum(rows[row] == WRITTEN for row in of_user)] if own else []
    return Model(made, [*users, len(made)], rows, counts, of_users, over)


def _line(head: bytes, signals: Sequence[bytes]) -> bytes:
    return head + b"\t" + b",".join(filter(None, signals)) + b"\n"


def gather_lines(
    lines: Sequence[bytes], skipped: int, at: Sequence[int], *, drop_repeated: bool, most_lines: int
) -> Model:
    """Gather the lines of users."""
    made: list[bytes] = []
    users: list[int] = []
    of_users: list[int] = []
    rows, counts, over = [WRITTEN] * len(lines), [0] * 6, 0
    for _, of_user in users_of(lines, skipped):
        own: list[bytes] = []
        seen: set[bytes] = set()
        is_over = False
        for row in sorted(of_user, key=at.__getitem__):
            fields = lines[row][:-1].split(b"\t")[skipped:]
            behind = b"\t".join(fields)
            if drop_repeated and behind in seen:
                rows[row] = REPEATED
            elif len(own) == most_lines:
                rows[row], is_over = CUT, True
            else:
                own.append(lines[row])
            seen.add(behind)
            text = b"\t".join(fields[1:])
            counts[rows[row]] += len(split(text)) if text else 0
        over += is_over
        users += [len(made)] if own else []
        of_users += [len(own)] if own else []
        made += own
    return Model(made, [*users, len(made)], rows, counts, of_users, over)


def line_of(drawn: random.Random, ids: Sequence[bytes], signals: Sequence[bytes], skipped: int) -> bytes:
    """A line of a user; seldom one without signals, or without a tab."""
    fields = [b"gaid"] * skipped + [drawn.choice(ids)]
    fields += [b",".join(drawn.choices(signals, k=drawn.choice([0, 1, 1, 1, 2, 5, 30])))] * (drawn.random() < 0.98)
    return b"\t".join(fields[drawn.random() < 0.01 :]) + b"\n"


def lines_of(drawn: random.Random, skipped: int) -> list[bytes]:
    """Lines of one user, of a few or of many."""
    ids = drawn.sample(IDS, drawn.choice([1, 2, len(IDS)]))
    ids += [b"%d" % number for number in range(drawn.choice([0, 0, 2000]))]
    signals = drawn.sample(SIGNALS, drawn.choice([1, 3, 10, len(SIGNALS)]))
    signals += [b"d_sid=%d" % number for number in range(drawn.choice([0, 0, 200]))]
    return [line_of(drawn, ids, signals, skipped) for _ in range(drawn.choice([0, 1, 5, 20, 300]))]


def check(made: Gathered, model: Model) -> None:
    """Fail unless both are the same."""
    lines = [made.text[start:end].tobytes() for start, end in itertools.pairwise([0, *made.ends.tolist()])]
    assert lines == model.lines
    assert made.users.tolist() == model.users
    assert made.outcomes.tolist() == model.outcomes
    assert list(made.signals) == model.signals
    assert (made.rows.tolist(), made.over) == (model.rows, model.over)


def fuzz_gather(loops: Loops, drawn: random.Random, memory: Memory) -> None:
    """Lines are gathered, with little memory at first."""
    gather._FEW_ITEMS = drawn.choice([0, 1, 7, 4096])
    skipped = drawn.choice([0, 0, 1, 2])
    lines = lines_of(drawn, skipped)
    text, ends = memory.of(b"".join(lines)), memory.of(np.cumsum([*map(len, lines)], dtype=np.int64).tobytes())
    order = [drawn.randrange(drawn.choice([1, 3, 2**63])) for _ in lines]
    most_lines = drawn.choice([1, 2, 5, 200])
    given: dict[str, Any] = {"most_lines": most_lines, "drop_repeated": drawn.random() < 0.7}
    at = [number << 1 | index & 1 for index, number in enumerate(order)]
    made = loops.gather_lines(text, ends.view(np.int64), skipped, np.array(at, np.uint64), **given)
    check(made, gather_lines(lines, skipped, at, **given))
    rank = [each - 2**62 for each in order] if drawn.random() < 0.5 else None
    most_line_bytes = drawn.choice([1, 30, 100, 102_400])
    given = {"most_lines": most_lines, "most_line_bytes": most_line_bytes, "reject_several": drawn.random() < 0.5}
    of_lines = None if rank is None else np.array(rank, np.int64)
    made = loops.gather_signals(text, ends.view(np.int64), skipped, of_lines, **given)
    check(made, gather_signals(lines, skipped, rank, **given))


def fuzz_partition(loops: Loops, drawn: random.Random, memory: Memory) -> None:
    """Lines are partitioned, and those whose ends are wrong are refused."""
    skipped, bits, shift = drawn.randrange(3), drawn.choice([0, 1, 3, 6, 16]), drawn.choice([0, 1, 48, 58, 63])
    lines = lines_of(drawn, skipped)
    ids = [[*line[:-1].split(b"\t"), b"", b""][skipped] for line in lines]
    text, ends = memory.of(b"".join(lines)), np.cumsum([*map(len, lines)], dtype=np.int64)
    hashes = [hash_of(id_) for id_ in ids]
    assert loops.hashes(text, ends, skipped).tolist() == hashes
    behind = [b"\t".join(line[:-1].split(b"\t")[skipped + 1 :]) for line in lines]
    assert loops.count_signals(text, ends, skipped) == sum(len(split(each)) for each in behind if each)
    made = loops.partition(text, ends, skipped, bits, shift)
    groups = [each >> shift & (1 << bits) - 1 for each in hashes]
    order = sorted(range(len(lines)), key=groups.__getitem__)
    assert made.order.tolist() == order
    assert made.lines.tobytes() == b"".join(lines[row] for row in order)
    assert made.ends.tolist() == [*itertools.accumulate(len(lines[row]) for row in order)]
    assert made.edges.tolist() == np.searchsorted(sorted(groups), range((1 << bits) + 1)).tolist()
    if lines:
        ends[drawn.randrange(len(ends))] = drawn.choice([0, -1, len(text) + 1, 2**62, -(2**63)])
        with pytest.raises(SystemError):
            loops.hashes(text, ends, skipped)
        with pytest.raises(SystemError):
            loops.count_signals(text, ends, skipped)
        with pytest.raises(SystemError):
            loops.gather_lines(text, ends, skipped, ends.view(np.uint64), drop_repeated=True, most_lines=1)


def fuzz_users(loops: Loops, drawn: random.Random, memory: Memory) -> None:
    """What is known of users by their lines; lines whose ends are wrong, and users who are, are refused."""
    skipped = drawn.choice([0, 0, 1, 2])
    lines = lines_of(drawn, skipped)
    text, ends = memory.of(b"".join(lines)), np.cumsum([*map(len, lines)], dtype=np.int64)
    edges = sorted({0, len(lines), *(drawn.randrange(len(lines) + 1) for _ in lines[::2])})
    key = np.array([drawn.getrandbits(64), drawn.getrandbits(64)], np.uint64)
    made = loops.user_signals(text, ends, np.array(edges, np.int64), skipped, key)
    wanted: list[list[bytes]] = [[], [], [], []]
    for start, end in itertools.pairwise(edges):
        of_user = [[*line[:-1].split(b"\t"), b"", b""] for line in lines[start:end]]
        signals = [each for fields in of_user for each in split(b"\t".join(fields[skipped + 1 : -2])) if each]
        others = [each for each in signals if not each.startswith((b"d_sid=", b"d_unsid="))]
        keys = [found[0][:-1] if (found := _KEY.match(each)) else each for each in others]
        wanted[0].append(of_user[0][skipped])
        for number, prefix in enumerate([b"d_sid=", b"d_unsid="], 1):
            added = [each.removeprefix(prefix) for each in signals if each.startswith(prefix)]
            wanted[number].append(b",".join(added) if added != [b""] else b"")
        wanted[3].append(_hashes_of(keys, key))
    for kept, texts in zip(made, wanted, strict=True):
        parts = [kept.bytes[start:end].tobytes() for start, end in itertools.pairwise([0, *kept.ends.tolist()])]
        assert parts == texts
    if lines:
        wrong = [*edges[:-1], drawn.choice([-1, len(lines) + 1, 2**62])]
        with pytest.raises(SystemError):
            loops.user_signals(text, ends, np.array(wrong, np.int64), skipped, key)
        ends[drawn.randrange(len(ends))] = drawn.choice([0, -1, len(text) + 1, 2**62, -(2**63)])
        with pytest.raises(SystemError):
            loops.user_signals(text, ends, np.array(edges, np.int64), skipped, key)


def _hashes_of(texts: Sequence[bytes], key: npt.NDArray[np.uint64]) -> bytes:
    """Return the keyed hashes of texts, four bytes of each."""
    padded = np.frombuffer(b"".join(texts) + bytes(8), np.uint8)
    edges = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    return keyed._hashes(padded, edges[:-1], edges[1:], key)[:, 0].astype("<u4").tobytes()
