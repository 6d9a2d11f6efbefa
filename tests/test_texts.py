"""Blocks of text: the same rows wherever a text is cut, whatever it is read from, as a scanner finds byte by byte."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from converter import kernel
from converter.errors import InputError
from converter.jobs.sections.table import Input
from converter.kernel.calls import Loops
from converter.sources import texts
from converter.sources.base import Block, Budget
from converter.sources.delimited import DelimitedSource
from converter.sources.origins.base import Origin

from .errors import raises
from .scanner import scan
from .test_structure import FINE, GOOD, PIECES, POLLUTED

COLUMNS = ("a", "b", "c")
LOOPS = [None, kernel.load()]
SIZES = [*range(1, 12), 16, 33, 64, 1 << 20]


class Memory(NamedTuple):
    """Bytes in memory, as an origin that can be read anywhere, or only once."""

    content: bytes
    rereadable: bool = True
    label: str = "in.csv"
    path: Path | None = None

    @property
    def size(self) -> int | None:
        return len(self.content) if self.rereadable else None

    @property
    def identity(self) -> str:
        return self.label

    def open(self) -> BinaryIO:
        return io.BytesIO(self.content)

    def read_at(self, start: int, stop: int) -> bytes:
        return self.content[start:stop]

    def fingerprint(self) -> None:
        return None

    def check_unchanged(self) -> None:
        pass


class Found(NamedTuple):
    """What blocks hold: rows with their line, malformed rows with line, rule and text, and the number of blank lines."""

    rows: list[tuple[int, list[str]]]
    malformed: list[tuple[int, str, bytes]]
    blank: int


def source_of(origin: Origin, columns: int = 3, block: int = 1 << 20, **more: Any) -> DelimitedSource:
    options = Input(path=("in.csv",), header=False, columns=COLUMNS[:columns])
    return DelimitedSource(origin, options.model_copy(update=more), block=block, longest_row=1 << 20)


def collected(blocks: Sequence[Block]) -> Found:
    """Join what blocks of one input hold, and check that what they say of themselves is true."""
    found = Found([], [], 0)
    line = 0
    for block in blocks:
        frame = block.rest.frame()
        assert block.rows == frame.height == block.rest.count == len(block.numbers)
        if block.rest.chunks is not None:
            assert sum(chunk.rows for chunk in block.rest.chunks) == block.rows
        found.rows.extend((line + int(n), list(row)) for n, row in zip(block.numbers, frame.rows(), strict=True))
        found.malformed.extend((line + row.row, row.rule.name, row.text) for row in block.malformed)
        assert all(row.length == len(row.text) for row in block.malformed)
        found = found._replace(blank=found.blank + block.blank)
        line += sum(piece.numbers for piece in block.pieces)
    return found


def in_turn(source: DelimitedSource, block: int, loops: Loops | None) -> list[Block]:
    source.most = block
    return [task.parse(None) for task in source.blocks(source.names, loops, Budget())]


def in_threads(source: DelimitedSource, block: int, loops: Loops | None) -> list[Block]:
    """Parse in threads that are started in order, where the first ones are the slowest."""
    source.most = block
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda task: task.parse(None), source.blocks(source.names, loops, Budget())))


def expected(content: bytes, columns: int) -> Found:
    return Found(*scan(content if content.endswith(b"\n") or not content else content + b"\n", columns))


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
@pytest.mark.parametrize("kind", ["ranges", "stream"])
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join),
    st.integers(1, 3),
    st.sampled_from(SIZES),
    st.sampled_from([1, 2, 5, 1 << 16]),
)
@example(b'1,2,3\n"', 1, 2, 1)
def test_rows_are_those_that_a_scanner_finds_wherever_the_text_is_cut(
    loops: Loops | None, kind: str, content: bytes, columns: int, block: int, window: int
) -> None:
    head = b"x" + b",x" * (columns - 1) + b"\n"  # so that a first row can be read
    content = head + content
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "WINDOW", window)
        source = source_of(Memory(content, rereadable=kind == "ranges"), columns)
        assert collected(in_turn(source, block, loops)) == expected(content, columns)
        assert collected(in_threads(source, block, loops)) == expected(content, columns)


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
@pytest.mark.parametrize("kind", ["ranges", "stream"])
@pytest.mark.parametrize("before, after", [(1, 3), (2, 2), (3, 0)], ids=["second", "middle", "last"])
@pytest.mark.parametrize("odd", [*POLLUTED, *FINE])
def test_a_row_that_is_not_plain_is_found_at_every_block_size(
    loops: Loops | None, kind: str, odd: str, before: int, after: int
) -> None:
    row = (POLLUTED.get(odd) or FINE[odd])[0]
    content = GOOD * before + row + GOOD * after
    source = source_of(Memory(content, rereadable=kind == "ranges"))
    for block in range(1, len(content) + 2):
        for text in (content, content[:-1], content.replace(b"\n", b"\r\n")):
            source = source_of(Memory(text, rereadable=kind == "ranges"))
            assert collected(in_turn(source, block, loops)) == expected(text, 3), block


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
def test_a_field_with_many_newlines_lies_across_many_cuts(loops: Loops | None) -> None:
    long = b'2,"' + b"line\n" * 300 + b'",y\n'
    for content in (GOOD + long + GOOD, GOOD + b'"' + GOOD + long * 3 + GOOD, GOOD + long + long[:-5]):
        for block in (7, 100, 1000):
            for source in (source_of(Memory(content)), source_of(Memory(content, rereadable=False))):
                assert collected(in_threads(source, block, loops)) == expected(content, 3)


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
@pytest.mark.parametrize("kind", ["ranges", "stream"])
def test_how_long_a_row_may_be_does_not_depend_on_blocks(loops: Loops | None, kind: str) -> None:
    fits = b'2,"' + b"y\n" * 45 + b'",y\n'
    too_long = b'2,"' + b"y\n" * 50 + b'",y\n'
    never = b'2,"' + b"y\n" * 500
    assert (len(fits), len(too_long)) == (97, 107)
    results = []
    for block in (1, 7, 50, 99, 100):
        source = source_of(Memory(GOOD + fits + too_long + GOOD + never, rereadable=kind == "ranges"))
        source._longest = 100
        results.append(collected(in_turn(source, block, loops)))
    assert all(result == results[0] for result in results)
    assert [line for line, _ in results[0].rows] == [0, 1, 98]
    # The quote that would close the row that is too long opens a field that text follows.
    misquoted = [line for line, rule, _ in results[0].malformed if rule == "row_misquoted"]
    assert misquoted == [47, 97, 99]


@pytest.mark.parametrize("kind", ["ranges", "stream"])
@pytest.mark.parametrize("block", [1, 50, 100])
def test_a_line_without_end_is_an_error_for_every_block_that_needs_it(kind: str, block: int) -> None:
    source = source_of(Memory(GOOD + b"2," + b"y" * 300 + b",z\n" + GOOD * 100, rereadable=kind == "ranges"))
    source._longest = 100
    with raises(InputError, "E-LINE-ENDLESS", "in.csv"):
        in_turn(source, block, None)
    with raises(InputError, "E-LINE-ENDLESS", "in.csv"):
        in_threads(source, block, None)
