"""Rows that cannot be parsed, in columns, and how long the first row that can be is looked for."""

from __future__ import annotations

import gc
import itertools
import weakref
from pathlib import Path

import numpy as np
import pytest

from converter.jobs.sections.table import Input
from converter.sources.base import first_rows
from converter.sources.malformed import NONE, MalformedRows
from converter.sources.opening import open_source
from converter.sources.origins.local import LocalFile
from converter.spec.rules import ROW_MISQUOTED, ROW_TOO_LONG, ROW_TOO_SHORT

from .conftest import malformed_rows

ROWS = [(2, ROW_TOO_SHORT, b"a"), (3, ROW_MISQUOTED, b""), (7, ROW_TOO_LONG, b"\xff,b,c"), (8, ROW_TOO_SHORT, b"d")]
SHOWN = [(number, rule.name, text) for number, rule, text in ROWS]


def test_rows_are_what_they_were_made_of() -> None:
    rows = MalformedRows.of_rows(ROWS)
    assert malformed_rows(rows) == SHOWN
    assert malformed_rows(rows.take(slice(1, 3))) == SHOWN[1:3]
    assert malformed_rows(rows.moved(rows.numbers + 5)) == [(number + 5, *rest) for number, *rest in SHOWN]
    assert rows.counts() == {"row_too_short": 2, "row_misquoted": 1, "row_too_long": 1}
    assert (len(rows), len(NONE), NONE.texts(), NONE.counts()) == (4, 0, [], {})


@pytest.mark.parametrize("edges", [(0, 4), (0, 0, 4), (0, 1, 1, 3, 4)])
def test_joined_rows_follow_each_other(edges: tuple[int, ...]) -> None:
    parts = [MalformedRows.of_rows(ROWS[start:end]) for start, end in itertools.pairwise(edges)]
    joined = MalformedRows.joined([parts[0], MalformedRows.joined(parts[1:])] if len(parts) > 1 else parts)
    assert malformed_rows(joined) == SHOWN
    assert malformed_rows(joined.take(slice(2, 4)).detached(with_texts=True)) == SHOWN[2:]


@pytest.mark.parametrize("with_texts", [True, False])
def test_detached_rows_keep_no_memory_of_a_block(*, with_texts: bool) -> None:
    block = np.frombuffer(b"-aXYb-", np.uint8).copy()
    gone = weakref.ref(block)
    numbers, zeros = np.array([4, 5]), np.zeros(2, np.int64)
    rows = MalformedRows(numbers, zeros, (block,), zeros, np.array([1, 2]), np.array([1, 3])).detached(
        with_texts=with_texts
    )
    del block
    gc.collect()
    assert gone() is None
    assert (rows.numbers.tolist(), rows.lengths.tolist()) == ([4, 5], [1, 3])
    if with_texts:
        assert rows.texts() == [b"a", b"XYb"]


@pytest.mark.parametrize("malformed, found", [(100, True), (100_000, False)])
def test_the_first_row_is_not_looked_for_in_all_of_a_malformed_input(
    tmp_path: Path, *, malformed: int, found: bool
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,a\n" + "1,2,3\n" * malformed + "4,5\n")
    source = open_source(LocalFile.at(path), Input(path=(str(path),)), ("id",))
    first = first_rows([source], ["id"], 10)
    assert (first is not None) == found
    if first:
        assert first[1].collect().rows() == [("4",)]
