"""Tests on whole batches give, row by row, what a regular expression gives."""

from __future__ import annotations

import re

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.sift import Test, is_number_list, only_holds, sifted

TEXTS = st.lists(st.none() | st.text(alphabet="019|:;/ a\x00é😀-", max_size=6), max_size=30)


def answers(test: Test, texts: list[str | None], cut: int) -> list[bool]:
    """Ask of a column in two chunks, one of them a slice of a longer one."""
    column = pl.concat(
        [pl.Series(["x", *texts[:cut]], dtype=pl.String).slice(1), pl.Series(texts[cut:], dtype=pl.String)],
        rechunk=False,
    )
    expression = sifted(pl.col("t"), test, _mark, {"odd": pl.Boolean()})
    answered = column.to_frame("t").lazy().select(expression).collect(engine="streaming").unnest("t")
    sound = [odd is None for odd in answered["odd"].to_list()]
    assert answered["text"].to_list() == [text if fine else "mended" for text, fine in zip(texts, sound, strict=True)]
    return sound


def _mark(odd: pl.LazyFrame) -> pl.LazyFrame:
    return odd.with_columns(text=pl.lit("mended"), odd=pl.lit(value=True))


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(0, 30))
def test_number_lists_are_those_that_the_pattern_matches_and_empty_ones(texts: list[str | None], cut: int) -> None:
    expected = [text is not None and bool(re.fullmatch(r"(?:[0-9]+(?:\|[0-9]+)*)?", text, re.ASCII)) for text in texts]
    assert answers(is_number_list("|"), texts, cut) == expected


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(0, 30))
def test_texts_that_only_hold_some_bytes_are_those_that_the_pattern_matches(texts: list[str | None], cut: int) -> None:
    expected = [text is not None and bool(re.fullmatch("[019a-]+", text, re.ASCII)) for text in texts]
    assert answers(only_holds(b"019a-"), texts, cut) == expected
