"""Tests on the bytes of whole columns give, row by row, what a regular expression gives."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.sift import Test, Texts, count_items, is_list, lacks, matches, only_holds

TEXTS = st.lists(st.text(alphabet="019|:;/ a\x00é😀-", max_size=6), max_size=30)
DIGITS = b"0123456789"


def column(texts: list[str], cut: int) -> Texts:
    """Return a column in two chunks, one of them a slice of a longer one."""
    first, second = pl.Series(["x", *texts[:cut]], dtype=pl.String), pl.Series(texts[cut:], dtype=pl.String)
    return Texts(pl.concat([first.slice(1), second], rechunk=False))


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(0, 30))
@pytest.mark.parametrize(
    "test, pattern",
    [
        (is_list("|", DIGITS), r"(?:[0-9]+(?:\|[0-9]+)*)?"),
        (is_list("a", DIGITS), r"(?:[0-9]+(?:a[0-9]+)*)?"),
        (is_list("|", b"019a-"), r"(?:[019a-]+(?:\|[019a-]+)*)?"),
        (is_list("a", b"019a-"), r"(?:[019-]+(?:a[019-]+)*)?"),
        (only_holds(b"019a-"), "[019a-]+"),
        (lacks(b":a\x00"), "[^:a\x00]*"),
        (lacks(b":;/ a\x00-|1"), "[^:;/ a\x00|1-]*"),
        (matches("^[01]+a?$"), "[01]+a?"),
    ],
    ids=[f"test{number}" for number in range(8)],
)
def test_the_rows_that_a_test_does_not_clear_are_those_that_the_pattern_does_not_match(
    test: Test, pattern: str, texts: list[str], cut: int
) -> None:
    expected = {row for row, text in enumerate(texts) if not re.fullmatch(pattern, text, re.ASCII)}
    assert set(test(column(texts, cut)).tolist()) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["1", "23", "456"]), max_size=4), max_size=20), st.integers(0, 20))
def test_items_are_counted(lists: list[list[str]], cut: int) -> None:
    texts = column(["|".join(items) for items in lists], cut)
    assert count_items(texts, "|") == sum(map(len, lists))
