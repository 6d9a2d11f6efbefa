"""The loops that gather whole users give what a plain model gives, in time that grows little faster than the rows."""

from __future__ import annotations

import os
import time
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter import kernel
from converter.kernel.calls import Loops
from converter.kernel.gather import CONFLICT, CUT, REPEATED, SEVERAL, SUPERSEDED, WRITTEN, Gathered
from converter.kernel.library import FOLDER, NAME, Library
from converter.rows.spill import hashes_of

from . import fuzz_gather
from .examples import examples
from .fuzz_gather import IDS, SIGNALS, check

LOOPS = kernel.load()
OF_VARIANTS = {"of this processor": LOOPS}
if LOOPS:  # on x86-64-v3, the variant for others as well
    _library = Library(Path(os.environ.get("AAM_KERNEL") or FOLDER / NAME))
    _library.variant = "base"
    OF_VARIANTS["base"] = Loops(_library)
LINES = st.lists(
    st.tuples(st.sampled_from(IDS), st.lists(st.sampled_from(SIGNALS), max_size=6)).map(
        lambda line: line[0] + b"\t" + b",".join(line[1]) + b"\n"
    ),
    max_size=20,
)
RANKS = st.none() | st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2), min_size=20, max_size=20)


def text_of(lines: list[bytes]) -> tuple[Any, Any]:
    return np.frombuffer(b"".join(lines), np.uint8), np.array([*accumulate(map(len, lines))], np.int64)


def signals_of(rows: list[tuple[str, str]], ranks: list[int] | None = None, **options: Any) -> Gathered:
    assert LOOPS
    given = {"reject_several": False, "most_line_bytes": 102_400, "most_lines": 200} | options
    lines = [f"{id_}\t{signals}\n".encode() for id_, signals in rows]
    return LOOPS.gather_signals(*text_of(lines), 0, None if ranks is None else np.array(ranks, np.int64), **given)


@examples(300)
@given(st.lists(st.text(max_size=40), max_size=20))
def test_the_hash_of_a_line_is_that_of_its_id(ids: list[str]) -> None:
    assert LOOPS
    ids = [id_.replace("\t", "") for id_ in ids]
    for lead in ("", "gaid\t"):
        lines = text_of([f"{lead}{id_}\tx\n".encode() for id_ in ids])
        hashes = LOOPS.hashes(*lines, lead.count("\t"))
        assert hashes.tolist() == hashes_of(pl.Series(ids, dtype=pl.String)).tolist()


@pytest.mark.parametrize("variant", OF_VARIANTS)
@examples(200)
@given(LINES, RANKS, st.booleans(), st.sampled_from([1, 40, 102_400]), st.sampled_from([1, 2, 200]))
def test_signals_are_gathered_as_the_model_does(
    variant: str, lines: list[bytes], ranks: list[int] | None, reject: bool, most_line_bytes: int, most_lines: int
) -> None:
    loops = OF_VARIANTS[variant]
    assert loops
    ranks = ranks[: len(lines)] if ranks is not None else None
    options: dict[str, Any] = {
        "reject_several": reject,
        "most_line_bytes": most_line_bytes,
        "most_lines": most_lines,
    }
    of_lines = None if ranks is None else np.array(ranks, np.int64)
    made = loops.gather_signals(*text_of(lines), 0, of_lines, **options)
    check(made, fuzz_gather.gather_signals(lines, 0, ranks, **options))


@pytest.mark.parametrize("variant", OF_VARIANTS)
@examples(200)
@given(LINES, st.randoms(use_true_random=False), st.booleans(), st.sampled_from([1, 2, 200]))
def test_lines_are_gathered_as_the_model_does(
    variant: str, lines: list[bytes], drawn: Any, drop: bool, most_lines: int
) -> None:
    loops = OF_VARIANTS[variant]
    assert loops
    at = drawn.sample(range(2**63, 2**63 + 20), len(lines))
    made = loops.gather_lines(*text_of(lines), 0, np.array(at, np.uint64), drop_repeated=drop, most_lines=most_lines)
    check(made, fuzz_gather.gather_lines(lines, 0, at, drop_repeated=drop, most_lines=most_lines))


@pytest.mark.parametrize(
    ("rows", "ranks", "options", "line", "outcomes"),
    [
        (["d_sid=2", "d_sid=1,d_sid=2"], None, {}, "d_sid=1,d_sid=2", [WRITTEN, WRITTEN]),
        (["d_sid=1", "d_unsid=1"], None, {}, "", [CONFLICT, CONFLICT]),
        (["d_sid=1", "d_unsid=1"], [1, 2], {}, "d_unsid=1", [SUPERSEDED, WRITTEN]),
        (["d_sid=1", "d_unsid=1"], [2, 2], {}, "", [CONFLICT, CONFLICT]),
        (["1", "d_unsid=1"], [2, 1], {}, "1", [WRITTEN, SUPERSEDED]),
        (["d_sid=1,d_sid=5", "d_unsid=1"], None, {}, "d_sid=5", [WRITTEN, CONFLICT]),
        (['"k"="a,b"', '"k"="a"'], None, {}, '"k"="a","k"="a,b"', [WRITTEN, WRITTEN]),
        (['"k"="b"', '"k"="a"'], [1, 2], {}, '"k"="a"', [SUPERSEDED, WRITTEN]),
        (['"k"="b"', '"k"="a"'], [1, 1], {}, '"k"="b"', [WRITTEN, SUPERSEDED]),
        (['"k"="b"', '"k"="a"', '"k"="b"'], [1, 2, 3], {}, '"k"="b"', [WRITTEN, SUPERSEDED, WRITTEN]),
        (['"k"="b"', '"k"="a"', '"kk"="a"'], None, {"reject_several": True}, '"kk"="a"', [SEVERAL, SEVERAL, WRITTEN]),
        (['"k"="b"', '"k"="a"'], [1, 2], {"reject_several": True}, '"k"="a"', [SUPERSEDED, WRITTEN]),
        (["ic=a", "ic=b"], [1, 2], {}, "ic=a,ic=b", [WRITTEN, WRITTEN]),
        (["d_sid=1", "d_sid=2", "d_sid=3"], None, {"most_line_bytes": 11, "most_lines": 2}, "d_sid=1\nd_sid=2", [WRITTEN, WRITTEN, CUT]),
        (["d_sid=1", "d_sid=2", "d_sid=3"], None, {"most_line_bytes": 18, "most_lines": 2}, "d_sid=1,d_sid=2\nd_sid=3", [WRITTEN] * 3),
        (["", "d_sid=1"], None, {}, "d_sid=1", [WRITTEN, WRITTEN]),
    ],
)  # fmt: skip
def test_signals_of_a_user_become_what_they_should(
    rows: list[str], ranks: list[int] | None, options: dict[str, Any], line: str, outcomes: list[int]
) -> None:
    made = signals_of([("u", row) for row in rows], ranks, **options)
    assert made.text.tobytes().decode().splitlines() == [f"u\t{each}" for each in line.split("\n") if each]
    assert made.outcomes.tolist() == outcomes
    assert made.over == (CUT in outcomes)
    assert made.rows.tolist() == ([outcomes.count(WRITTEN)] if line else [])


def test_a_user_without_signals_keeps_a_line() -> None:
    made = signals_of([("u", ""), ("v", "d_sid=1"), ("u", "")])
    assert sorted(made.text.tobytes().splitlines()) == [b"u\t", b"v\td_sid=1"]
    assert made.signals[WRITTEN] == 1


def test_lines_of_a_user_are_those_of_the_input_in_its_order() -> None:
    assert LOOPS
    lines = [b"u\t2\n", b"v\t1\n", b"u\t1\n", b"u\t2\n", b"u\t3\n"]
    at = np.array([4, 3, 2, 1, 0], np.uint64)
    made = LOOPS.gather_lines(*text_of(lines), 0, at, drop_repeated=True, most_lines=2)
    ends = [0, *made.ends.tolist()]
    users = {tuple(made.text[ends[start] : ends[end]].tobytes().splitlines()) for start, end in pairwise(made.users)}
    assert users == {(b"v\t1",), (b"u\t3", b"u\t2")}
    assert made.outcomes.tolist() == [REPEATED, WRITTEN, CUT, WRITTEN, WRITTEN]
    assert list(made.signals) == [3, 0, 0, 1, 0, 1]


@pytest.mark.parametrize("signal", ["d_sid={}", '"k"="{}"', '"k"="same"', "d_unsid={},d_sid={}"])
def test_one_user_may_have_all_rows(signal: str) -> None:
    assert LOOPS
    count = 200_000
    lines = [f"u\t{signal.format(number * 7919 % count, number)}\n".encode() for number in range(count)]
    start = time.process_time()
    for rank in (None, np.arange(count)):
        made = LOOPS.gather_signals(
            *text_of(lines), 0, rank, reject_several=False, most_line_bytes=102_400, most_lines=200
        )
        assert len(made.users) <= 2
    LOOPS.gather_lines(*text_of(lines), 0, np.arange(count, dtype=np.uint64), drop_repeated=True, most_lines=200)
    assert time.process_time() - start < 10, "in quadratic time it would take minutes"


@pytest.mark.parametrize("change", [{"skipped": -1}, {"ends": 1}, {"rank": 1}])
def test_what_does_not_fit_is_refused(change: dict[str, int]) -> None:
    assert LOOPS
    text, ends = text_of([b"u\t1\n", b"v\t1\n"])
    ends = ends + change.get("ends", 0)
    rank = np.zeros(change.get("rank", 2), np.int64)
    with pytest.raises(SystemError):
        LOOPS.gather_signals(
            text, ends, change.get("skipped", 0), rank, reject_several=False, most_line_bytes=10, most_lines=1
        )
