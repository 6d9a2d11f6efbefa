"""Percent-encoding, compared with what Python does text by text."""

from __future__ import annotations

from urllib.parse import quote, unquote, unquote_to_bytes

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.columns.percent import percent_decode, percent_encode

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=12)
PIECES = ["%", "%4", "%41", "%zz", "%C3", "%A4", "%c3%a4", "%E2%82%AC", "%2541", "a", "4", "ä", "€", "%00"]
ANY_BYTE = st.one_of(
    st.sampled_from(["%F0%9F%98%80", "%E0", "%ED", "%F4", "%8F", "%90", "%BF"]),
    st.integers(128, 255).map("%{:02X}".format),
)
ESCAPED = st.lists(st.none() | st.lists(st.sampled_from(PIECES) | ANY_BYTE, max_size=8).map("".join), max_size=12)


def encode(texts: list[str | None]) -> list[str | None]:
    return pl.DataFrame({"text": texts}, {"text": pl.String}).select(percent_encode(pl.col("text")))["text"].to_list()


def decode(texts: list[str | None]) -> list[str | None]:
    return pl.DataFrame({"text": texts}, {"text": pl.String}).select(percent_decode(pl.col("text")))["text"].to_list()


def plainly_decoded(text: str) -> str:
    """What decoding a text is: not where the result would not be UTF-8."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_a_column_is_encoded_as_python_does_text_by_text(texts: list[str | None]) -> None:
    assert encode(texts) == [None if text is None else quote(text, safe="") for text in texts]


@settings(max_examples=150, deadline=None)
@given(TEXTS | ESCAPED)
def test_a_column_is_decoded_as_python_does_text_by_text(texts: list[str | None]) -> None:
    assert decode(texts) == [None if text is None else plainly_decoded(text) for text in texts]


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_what_was_encoded_is_decoded_to_itself(texts: list[str | None]) -> None:
    assert decode(encode(texts)) == texts


@pytest.mark.parametrize(
    "text, result",
    [
        ("joe%40example.com", "joe@example.com"),
        ("M%C3%BCller", "Müller"),
        ("%E2%82%ac", "€"),
        ("100%", "100%"),
        ("%", "%"),
        ("%4", "%4"),
        ("%zz%4g%g4", "%zz%4g%g4"),
        ("%%41", "%A"),
        ("%2541", "%41"),  # once
        ("a+b", "a+b"),  # a plus is no space here
        ("%00", "\x00"),
        ("", ""),
    ],
)
def test_what_decoding_gives(text: str, result: str) -> None:
    assert decode([text]) == [result] == [unquote(text)]


@pytest.mark.parametrize("text", ["%E4", "a%41%FF", "%C3", "%C3%41", "%ED%A0%80"])
def test_a_text_of_which_the_result_would_not_be_utf8_stays_whole(text: str) -> None:
    assert decode([text, "%41"]) == [text, "A"]


def test_every_character_of_two_and_three_bytes_and_what_is_beside_them() -> None:
    """Each pair of bytes, and those of three whose second one not all can follow."""
    threes = [(first, second, 0x80) for first in (0xE0, 0xED, 0xEF) for second in range(256)]
    fours = [(first, second, 0x80, 0x80) for first in (0xF0, 0xF3, 0xF4, 0xF5) for second in range(256)]
    pairs = [(first, second) for first in range(0x80, 256) for second in range(0x30, 256)]
    texts = ["".join(f"%{byte:02x}" for byte in each) for each in (*pairs, *threes, *fours)]
    assert decode([*texts]) == [plainly_decoded(text) for text in texts]


def test_digits_in_the_next_text_are_none_of_this_one() -> None:
    assert decode(["a%", "41", "%4", "1", "%", "%41"]) == ["a%", "41", "%4", "1", "%", "A"]
    assert decode(["41%"]) == ["41%"]  # nor those of the first text any of the last one
    assert decode(["1", "%4"]) == ["1", "%4"]


def test_all_but_unreserved_characters_are_encoded() -> None:
    printable = "".join(map(chr, range(0x20, 0x7F)))
    (made,) = encode([printable])
    assert made == quote(printable, safe="")
    assert encode(["AZaz09-._~", "€", "a b"]) == ["AZaz09-._~", "%E2%82%AC", "a%20b"]


@pytest.mark.parametrize("change", [percent_encode, percent_decode])
def test_columns_of_nothing_stay(change: object) -> None:
    assert callable(change)
    for texts in ([], [None], [""], [None, None], ["", None, ""]):
        column = pl.Series("text", texts, pl.String)
        made = column.to_frame().select(change(pl.col("text")))["text"]
        assert made.to_list() == texts
        assert made.dtype == pl.String


def test_slices_and_chunks_give_the_same_as_whole_columns() -> None:
    texts = ["a b", None, "ü", "", "plain", "%41", "x/y", None]
    once = encode(texts)
    column = pl.Series("text", texts)
    in_chunks = pl.concat([column[:3], column[3:3], column[3:]], rechunk=False)
    assert in_chunks.n_chunks() > 1
    assert in_chunks.to_frame().select(percent_encode(pl.col("text")))["text"].to_list() == once
    assert in_chunks[1:-1].to_frame().select(percent_encode(pl.col("text")))["text"].to_list() == once[1:-1]
    back = in_chunks.to_frame().select(percent_decode(percent_encode(pl.col("text"))))["text"].to_list()
    assert back == texts
    assert column.to_list() == in_chunks.to_list() == texts, "what is given stays as it is"


def test_many_rows_in_the_streaming_engine() -> None:
    number = 300_000
    rows = pl.LazyFrame({"n": range(number)}).select(
        text=pl.when(pl.col("n") % 7 != 0).then(pl.format("a{}/ü", "n")).otherwise(pl.format("b{}", "n"))
    )
    made = rows.select("text", encoded=percent_encode(pl.col("text"))).with_columns(
        decoded=percent_decode(pl.col("encoded"))
    )
    frame = made.collect(engine="streaming")
    assert frame.height == number
    assert frame.filter(pl.col("decoded") != pl.col("text")).is_empty()
    assert frame["encoded"][1] == "a1%2F%C3%BC"
    assert frame["encoded"][7] == "b7"
