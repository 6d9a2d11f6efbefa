"""Parsing delimited text: every row is found, or reported with its physical line, wherever blocks are cut."""

from __future__ import annotations

import csv
import io

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.columns import utf8
from converter.columns.utf8 import is_utf8
from converter.kernel.form import Grammar
from converter.sources.structure import Structure

from .scanner import PLAIN, scan

PIECES = [b"a", b"bc", b",", b",", b"\n", b"\n", b'"', b'""', b'"x"', b'"y,z"', b'"p\nq"', b"\r\n", b"\r", b"\xff",
          "é".encode(), b"1,2,3\n", b'1,"2",3\n', b"1,2,3\r\n", b'x"y', b"\t", b" ", b'a,b,"c""d"\n', b"\xef\xbb\xbf"]  # fmt: skip


def parse(
    data: bytes, columns: int, block: int, grammar: Grammar = PLAIN, longest: int = 1 << 24
) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str, bytes]], int]:
    """Parse a text in blocks of `block` bytes, and read the rows with Polars."""
    structure = Structure(grammar, columns, longest)
    separator = grammar.separator.decode()
    schema = {str(number): pl.String() for number in range(columns)}
    rows, bad = [], []
    line = place = blank = 0
    rest = b""
    while True:
        new = data[place : place + block - len(rest)]
        place += len(new)
        last = place >= len(data)
        rest += new
        parsed = structure.parse(rest, last=last)
        if parsed.text:
            text = b"\xef\xbb\xbf" + parsed.text if parsed.text.startswith(b"\xef\xbb\xbf") else parsed.text
            scanned = pl.scan_csv(
                text, has_header=False, schema=schema, separator=separator, empty_string_is_null=False
            )
            frame = scanned.collect()
            rows += [(line + at, list(fields)) for at, fields in zip(parsed.lines, frame.rows(), strict=True)]
        bad += [(line + each.line, each.rule.name, each.text) for each in parsed.malformed]
        blank += parsed.blank
        line += parsed.newlines
        rest = rest[parsed.consumed :]
        if last and not rest:
            return rows, bad, blank
        if not parsed.consumed:
            assert not last, "the last block is always done with"
            block *= 2


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=30).map(lambda pieces: b"".join(pieces) + b"\n"),
    st.integers(1, 3),
    st.integers(2, 20),
)
def test_what_is_found_is_what_a_scanner_finds_byte_by_byte_wherever_blocks_are_cut(
    data: bytes, columns: int, block: int
) -> None:
    expected = scan(data, columns)
    assert parse(data, columns, 1 << 20) == expected
    assert parse(data, columns, block) == expected


@pytest.mark.parametrize("text", [b'""a\n"\r\n', b'"p\nq"\r1,2\n"\r\n\n', b'\n\n""\r""\n"\r\n', b'"a" a ""\n" \r\n'])
@pytest.mark.parametrize("skips_spaces", [False, True])
def test_a_quote_that_a_block_ends_after_waits_for_what_tells_whether_it_closes_a_field(
    text: bytes, skips_spaces: bool
) -> None:
    grammar = PLAIN._replace(skips_spaces=skips_spaces)
    expected = scan(text, 2, grammar=grammar)
    assert all(parse(text, 2, block, grammar) == expected for block in range(1, len(text)))


MEANINGS = bytes({ord("n"): 10, ord("t"): 9, ord("b"): ord("\\")}.get(byte, byte) for byte in range(256))
GRAMMARS = st.builds(
    Grammar,
    separator=st.sampled_from([b",", b"|"]),
    quote=st.sampled_from([b'"', b'"', b"'", b""]),
    meanings=st.sampled_from([b"", MEANINGS]),
    comment=st.sampled_from([b"", b"", b"#"]),
    skips_spaces=st.booleans(),
    is_crlf=st.booleans(),
    empty_last=st.booleans(),
)
ODD = [*PIECES, b"\\", b"\\\n", b'\\"', b"\\n", b"\\N", b"\\,", b"'", b"'a,b'", b"'x\ny'", b"|", b"#", b"#c\n", b"  ", b"\r\r\n",
       b"a|b|c\r\n", b"1,2,\r\n", b"\\\r", b'"c"d"\n', b'e",f\n', b'"g\\"', b"\\N,", b",,", b"\\bx"]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.sampled_from(ODD), max_size=30).map(lambda pieces: b"".join(pieces) + b"\n"),
    st.integers(1, 3),
    st.integers(2, 20),
    GRAMMARS,
    st.sampled_from([5, 30, 1 << 24]),
)
def test_each_dialect_is_parsed_as_the_scanner_parses_it(
    data: bytes, columns: int, block: int, grammar: Grammar, longest: int
) -> None:
    expected = scan(data, columns, longest, grammar)
    assert parse(data, columns, 1 << 20, grammar, longest) == expected
    assert parse(data, columns, max(block, longest if longest < 100 else 0), grammar, longest) == expected


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.text(alphabet='ab,"\n\r\té ', max_size=5), min_size=3, max_size=3), min_size=1, max_size=20)
)
def test_what_a_csv_writer_writes_is_read_as_it_was(rows: list[list[str]]) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    found, bad, _ = parse(file.getvalue().encode(), 3, 64)
    assert [fields for _, fields in found] == rows
    assert bad == []


GOOD = b"1,x,y\n"
POLLUTED = {
    "short": (b"2,x\n", "row_too_short"),
    "long": (b"2,x,y,z\n", "row_too_long"),
    "torn": (b"2,\n", "row_too_short"),
    "open quote": (b'2,"x,y\n', "row_misquoted"),
    "text after a quote": (b'2,"x"z,y\n', "row_misquoted"),
    "not UTF-8": (b"2,\xff,y\n", "row_not_text"),
    "long with quotes": (b'2,"a,b",y,z\n', "row_too_long"),
    "short with a newline": (b'2,"a\nb"\n', "row_too_short"),
}
FINE = {
    "quote in an unquoted field": (b'2,15" screen,y\n', ["2", '15" screen', "y"]),
    "quotes around a part": (b'2,a "b" c,y\n', ["2", 'a "b" c', "y"]),
    "escaped quotes": (b'2,"say ""hi""",y\n', ["2", 'say "hi"', "y"]),
    "newline inside": (b'2,"a\nb",y\n', ["2", "a\nb", "y"]),
    "CRLF": (b"2,x,y\r\n", ["2", "x", "y"]),
    "CRLF after a quote": (b'2,x,"y"\r\n', ["2", "x", "y"]),
    "carriage return in a field": (b"2,x\r,y\n", ["2", "x\r", "y"]),
    "empty fields": (b',,""\n', ["", "", ""]),
}


@pytest.mark.parametrize("block", [1 << 20, 7, 16])
@pytest.mark.parametrize("before, after", [(0, 3), (2, 2), (3, 0)], ids=["first", "middle", "last"])
@pytest.mark.parametrize("kind", POLLUTED)
def test_f28_a_polluted_row_is_reported_with_its_line_and_costs_no_other(
    kind: str, before: int, after: int, block: int
) -> None:
    row, rule = POLLUTED[kind]
    rows, bad, _ = parse(GOOD * before + row + GOOD * after, 3, block)
    assert [(line, rule_) for line, rule_, _ in bad] == [(before, rule)]
    assert bad[0][2] == row[:-1]
    shift = row.count(b"\n")
    assert [line for line, _ in rows] == [*range(before), *range(before + shift, before + shift + after)]


@pytest.mark.parametrize("block", [1 << 20, 7, 16])
@pytest.mark.parametrize("kind", FINE)
def test_f28_an_odd_but_sound_row_is_read_as_it_stands(kind: str, block: int) -> None:
    row, fields = FINE[kind]
    rows, bad, _ = parse(GOOD + row + GOOD, 3, block)
    assert [found for _, found in rows] == [["1", "x", "y"], fields, ["1", "x", "y"]]
    assert bad == []


def test_short_and_long_rows_that_add_up_are_both_noticed() -> None:
    _, bad, _ = parse(b"1,2\n1,2,3,4\n", 3, 1 << 20)
    assert [rule for _, rule, _ in bad] == ["row_too_short", "row_too_long"]


def test_blank_lines_are_no_rows() -> None:
    rows, bad, blank = parse(b"1,x,y\n\n\r\n2,x,y\n\n", 3, 1 << 20)
    assert [line for line, _ in rows] == [0, 3]
    assert (bad, blank) == ([], 3)


@pytest.mark.parametrize("short", [0, 1 << 20], ids=["by arrow", "decoded"])
@pytest.mark.parametrize(
    "text, is_",
    [
        (b"", True),
        ("aé€😀\0".encode(), True),
        (b"\xff", False),
        (b"a\xc3", False),
        (b"\xc0\xaf", False),
        (b"\xed\xa0\x80", False),
        (b"\xf4\x90\x80\x80", False),
    ],
)
def test_text_is_utf8_or_not_however_long_it_is(
    text: bytes, is_: bool, short: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utf8, "_SHORT", short)
    assert is_utf8(text) is is_
    assert is_utf8(np.frombuffer(text, np.uint8)) is is_
