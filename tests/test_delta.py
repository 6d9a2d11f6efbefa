"""Changes only: users compared with what was last sent for them, against a plain model."""

from __future__ import annotations

import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter import kernel
from converter.rows.delta.changes import CHANGED, NEW, REFRESHED, UNCHANGED, compare, due_days, gone
from converter.rows.delta.keyed import key_of, keyed_hashes
from converter.rows.delta.known import KnownLines, past_lines
from converter.rows.delta.lines import Users
from converter.rows.delta.options import DeltaOptions
from converter.rows.delta.past import BITS, FILES, SCHEMA, PastUsers, file_schema, sorted_users
from converter.rows.lookup import NONE
from converter.rows.spill import hashes_of
from converter.rows.users.lines import UserLines

from .conftest import without_loops

SALT = bytes(range(16))
OPTIONS = DeltaOptions(key_of(SALT), 20_000, 100, False, False, False, "", 102_400)
REMOVING = OPTIONS._replace(removals=True, removes_gone=True)

Table = dict[str, list[str]]
"""The lines of each user, after the ID."""


def users_of(table: Table, lead: str = "") -> Users:
    lines = [f"{lead}{id_}\t{line}\n".encode() for id_, each in table.items() for line in each]
    ends = np.cumsum([*map(len, lines)], dtype=np.int64)
    firsts = np.cumsum([0, *(len(each) for each in table.values())], dtype=np.int64)
    return Users(np.frombuffer(b"".join(lines), np.uint8), ends, firsts)


def past_of(rows: pl.DataFrame, options: DeltaOptions) -> PastUsers:
    return PastUsers(sorted_users([rows], file_schema(traits=options.keeps_traits, ids=options.removes_gone)))


def lines_of(users: Users) -> list[str]:
    edges = itertools.pairwise([0, *users.ends.tolist()])
    return [users.lines[start:end].tobytes().decode() for start, end in edges]


@pytest.mark.parametrize(
    "size, expected", [(0, "a3817f04ba25a8e66df67214c7550293"), (15, "5493e99933b0a8117e08ec0f97cfc3d9")]
)
def test_hashes_are_those_of_the_reference_implementation(way: str, size: int, expected: str) -> None:
    text = np.arange(15, dtype=np.uint8)
    made = keyed_hashes(text, np.array([0]), np.array([size]), key_of(SALT))
    assert made.astype("<u8").tobytes().hex() == expected


def test_hashes_are_the_same_with_and_without_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.Random(1)
    text = np.frombuffer(drawn.randbytes(20_000), np.uint8)
    starts = np.array([drawn.randrange(19_000) for _ in range(500)])
    ends = starts + np.array([drawn.choice([0, 1, 7, 8, 9, 16, 500]) for _ in starts])
    made = keyed_hashes(text, starts, ends, key_of(b"0123456789abcdef"))
    monkeypatch.setattr(kernel, "load", without_loops)
    assert (keyed_hashes(text, starts, ends, key_of(b"0123456789abcdef")) == made).all()


def test_users_whose_hashes_begin_alike_are_told_apart() -> None:
    rows = pl.DataFrame({"first": [5, 5, 5, 7], "second": [1, 2, 9, 1], "lines": [1, 2, 3, 4], "day": [0] * 4})
    past = PastUsers(rows.cast(dict(file_schema(traits=False, ids=False))))
    hashes = np.array([[5, 9], [5, 3], [7, 1], [7, 2], [5, 1], [9, 9], [0, 0]], np.uint64)
    assert past.find(hashes).tolist() == [2, NONE, 3, NONE, 0, NONE, NONE]
    assert past.rows(~past.are_found, ["second"])["second"].to_list() == [2]


def test_users_are_sent_again_on_different_days_and_never_too_late() -> None:
    drawn = np.random.default_rng(1).integers(0, 1 << 64, 10_000, np.uint64)
    for refresh_days in (1, 2, 3, 30, 100):
        days = due_days(drawn, refresh_days)
        assert days.min() >= max(refresh_days // 2, 1)
        assert days.max() == refresh_days
        assert refresh_days < 2 or np.bincount(days).max() < 1.5 * len(days) / (refresh_days // 2 + 1)


# --- a plain model ------------------------------------------------------------------------------------------------

SIGNALS = st.sampled_from(
    [
        "d_sid=1",
        "d_sid=2",
        "d_sid=33",
        "d_unsid=1",
        "d_unsid=33",
        '"a"="x"',
        '"a"="y"',
        '"b"="d_sid=2,d_sid=1"',
        "ic=AB",
        '"c"="é\'="',
    ]
)
LINES = st.lists(st.lists(SIGNALS, min_size=1, max_size=5, unique=True).map(",".join), min_size=1, max_size=3)
TABLES = st.dictionaries(st.sampled_from(["u1", "u2", "ü3", 'q"4,d_sid=9', "u5"]), LINES)


class Model:
    """What was last sent for each user: its lines and the day; by plain Python."""

    def __init__(self, options: DeltaOptions) -> None:
        self.options = options
        self.known: dict[str, tuple[list[str], int]] = {}

    def run(self, table: Table, day: int, due: dict[str, int]) -> tuple[list[str], list[int], list[str]]:
        """The lines to write, what became of each user, and the lines for users who are gone."""
        made, outcomes, left = [], [], dict(self.known)
        for id_, lines in table.items():
            before = left.pop(id_, None)
            outcome = NEW
            if before is not None:
                is_due = day - before[1] >= due[id_] or self.options.full
                outcome = CHANGED if before[0] != lines else REFRESHED if is_due else UNCHANGED
            outcomes.append(outcome)
            sent = [f"{id_}\t{line}\n" for line in lines]
            if outcome == CHANGED and self.options.removals and before:
                has, removed = traits_in(lines)
                if lost := sorted(traits_in(before[0])[0] - has - removed):
                    sent[-1] = f"{sent[-1][:-1]},{','.join(f'd_unsid={each}' for each in lost)}\n"
            if outcome != UNCHANGED:
                made += sent
                self.known[id_] = lines, day
        for id_ in left:
            del self.known[id_]
        gone = {id_: sorted(traits_in(lines)[0]) for id_, (lines, _) in left.items()}
        removing = [
            f"{id_}\t{','.join(f'd_unsid={each}' for each in traits)}\n" for id_, traits in gone.items() if traits
        ]
        return made, outcomes, removing if self.options.removes_gone else []


def traits_in(lines: list[str]) -> tuple[set[str], set[str]]:
    """The traits that lines add, and those that they remove; values are in quotes."""
    signals = [signal for line in lines for signal in split(line)]
    return (
        {signal[6:] for signal in signals if signal.startswith("d_sid=")},
        {signal[8:] for signal in signals if signal.startswith("d_unsid=")},
    )


def split(line: str) -> list[str]:
    signals, inside, start = [], False, 0
    for at, character in enumerate(f"{line},"):
        inside ^= character == '"'
        if character == "," and not inside:
            signals.append(line[start:at])
            start = at + 1
    return signals


@settings(max_examples=150)
@given(
    st.lists(st.tuples(TABLES, st.integers(0, 60)), min_size=1, max_size=5), st.booleans(), st.booleans(), st.booleans()
)
def test_what_is_sent_is_what_a_plain_model_sends(
    days: list[tuple[Table, int]], removals: bool, removes_gone: bool, full: bool
) -> None:
    options = OPTIONS._replace(removals=removals, removes_gone=removes_gone)
    schema = file_schema(traits=options.keeps_traits, ids=removes_gone)
    model, past, day = Model(options), PastUsers(pl.DataFrame(schema=schema)), options.today
    for number, (table, later) in enumerate(days):
        day += later
        is_full = full and number == len(days) - 1
        options = model.options = options._replace(today=day, full=is_full)
        users, known = users_of(table), len(past.frame)
        ids = [id_.encode() for id_ in table]
        edges = np.cumsum([0, *map(len, ids)])
        hashes = keyed_hashes(np.frombuffer(b"".join(ids), np.uint8), edges[:-1], edges[1:], options.key)
        due = dict(zip(table, due_days(hashes[:, 1], options.refresh_days).tolist(), strict=True))
        made, outcomes, removing = model.run(table, day, due)
        rows, counts = [], None
        if table:
            compared = compare(users, past, options)
            assert (lines_of(compared.sent), compared.outcomes.tolist()) == (made, outcomes)
            rows, counts = [compared.rows], compared.counts
        texts, gone_counts = gone(past, options)
        assert sorted(lines_of(texts)) == sorted(removing)
        counts = counts.plus(gone_counts) if counts else gone_counts
        assert (counts.users, counts.known) == (len(table), known)
        past = PastUsers(sorted_users(rows, schema))


def test_many_threads_may_look_at_one_file(way: str) -> None:
    table = {f"user{number}": [f'"a"="{number}"'] for number in range(1000)}
    first = compare(
        users_of(table), past_of(pl.DataFrame(schema=file_schema(traits=False, ids=False)), OPTIONS), OPTIONS
    )
    past = past_of(first.rows, OPTIONS)
    halves = [dict(itertools.islice(table.items(), start, start + 500)) for start in (0, 500)]
    outcomes = [compare(users_of(half), past, OPTIONS).outcomes.tolist() for half in halves]
    assert outcomes == [[UNCHANGED] * 500] * 2
    assert past.are_found.all()


def user_lines(table: Table) -> UserLines:
    users = users_of(table)
    return UserLines(users.lines, users.ends, np.arange(len(users.ends), dtype=np.uint64))


def known_of(table: Table, options: DeltaOptions = OPTIONS) -> KnownLines:
    """The lines of users that were sent before."""
    rows = compare(users_of(table), past_of(pl.DataFrame(schema=SCHEMA), OPTIONS), OPTIONS).rows
    numbers = hashes_of(pl.Series([*table])) >> np.uint64(64 - BITS)
    files = [past_of(rows.filter(pl.Series(numbers == number)), OPTIONS) for number in range(FILES)]
    return KnownLines([past_lines(each, options) for each in files], options)


@pytest.mark.parametrize("seed", range(3))
def test_lines_are_known_with_and_without_the_loops(seed: int) -> None:
    drawn = random.Random(seed)
    table = {f"user{number}": ['"a"="x"'] * drawn.choice([1, 1, 1, 2]) for number in range(1000)}
    options = OPTIONS._replace(today=OPTIONS.today + 60)  # then some are due
    ways = [known_of(table, options) for _ in range(2)]
    now = {
        id_: drawn.choice([lines, lines, lines * 2, ['"a"="y"'], [*lines, '"a"="y"']]) for id_, lines in table.items()
    }
    given = user_lines({**now, "new": ['"a"="x"']})
    blocks = [given.between(start, min(start + 100, len(given.ends))) for start in range(0, len(given.ends), 100)]
    for is_again in (False, True):
        for block in blocks:
            made = [
                known.taken(block, loops, is_again=is_again).tolist()
                for known, loops in zip(ways, (kernel.load(), None), strict=True)
            ]
            assert made[0] == made[1]
            assert made[0] or is_again
        assert [known.lacks_lines() for known in ways] == [not is_again] * 2
        omitted = [[known.omitted(number).tolist() for number in range(FILES)] for known in ways]
        assert omitted[0] == omitted[1]
        assert 100 < sum(map(sum, omitted[0])) < 500


def test_of_equal_lines_that_come_at_once_one_is_omitted(way: str) -> None:
    table = {f"user{number}": ['"a"="x"'] for number in range(2000)}
    known = known_of(table)
    lines = user_lines(table)
    with ThreadPoolExecutor(4) as pool:
        each = pool.map(lambda _: known.taken(lines, kernel.load(), is_again=False), range(8))
        taken = np.bincount(np.concatenate([*each]), minlength=2000)
    assert (taken == 7).all()
    assert known.lacks_lines()


def test_leads_are_no_part_of_the_id() -> None:
    options = REMOVING._replace(lead="odc\t")
    past = past_of(
        compare(users_of({"u1": ["d_sid=1,d_sid=2"], "u2": ["d_sid=3"]}, "odc\t"), _nothing(), options).rows, options
    )
    compared = compare(users_of({"u1": ["d_sid=2"]}, "odc\t"), past, options)
    assert lines_of(compared.sent) == ["odc\tu1\td_sid=2,d_unsid=1\n"]
    assert lines_of(gone(past, options)[0]) == ["odc\tu2\td_unsid=3\n"]


def _nothing() -> PastUsers:
    return PastUsers(pl.DataFrame(schema=file_schema(traits=True, ids=True)))


def test_removals_that_make_a_line_too_long_have_lines_of_their_own() -> None:
    options = REMOVING._replace(most_line_bytes=60)
    traits = [f"d_sid={number}" for number in range(10, 22)]
    past = past_of(
        compare(users_of({"u0": ["d_sid=5"], "u1": [",".join(traits)], "u2": ["d_sid=7"]}), _nothing(), options).rows,
        options,
    )
    compared = compare(users_of({"u0": ["d_sid=6"], "u1": ["d_sid=10"], "u2": ["d_sid=8"]}), past, options)
    lines = lines_of(compared.sent)
    assert lines[:2] == ["u0\td_sid=6,d_unsid=5\n", "u1\td_sid=10\n"]
    assert lines[-1] == "u2\td_sid=8,d_unsid=7\n"
    assert max(map(len, lines)) <= 60
    removed = [signal for line in lines[2:-1] for signal in line[3:-1].split(",")]
    assert removed == [f"d_unsid={number}" for number in range(11, 22)]
    assert all(line.startswith("u1\t") for line in lines[2:-1])
    assert compared.counts.traits == 13


def test_traits_of_a_user_who_is_gone_take_several_lines_where_one_is_too_long() -> None:
    options = REMOVING._replace(most_line_bytes=60)
    traits = [f"d_sid={number}" for number in range(10, 22)]
    past = past_of(compare(users_of({"u0": ["d_sid=5"], "u1": [",".join(traits)]}), _nothing(), options).rows, options)
    texts, counts = gone(past, options)
    lines = sorted(lines_of(texts))
    assert lines[0] == "u0\td_unsid=5\n"
    assert max(map(len, lines)) <= 60
    assert [signal for line in lines[1:] for signal in line[3:-1].split(",")] == [
        f"d_unsid={each}" for each in range(10, 22)
    ]
    assert counts.removed == 2


def test_keys_that_are_lost_are_counted() -> None:
    first = compare(users_of({"u1": ['"a"="1","b"="2",ic=X,d_sid=1'], "u2": ['"a"="1"']}), _nothing(), REMOVING)
    past = past_of(first.rows, REMOVING)
    counts = compare(users_of({"u1": ['"a"="9",d_sid=1'], "u2": ['"a"="1"']}), past, REMOVING).counts
    assert (counts.changed, counts.keys, counts.traits) == (1, 2, 0)
