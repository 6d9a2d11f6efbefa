"""Blocks of text: the same rows wherever a text is cut, whatever it is read from, as a scanner finds byte by byte."""

from __future__ import annotations

import errno
import gzip
import io
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from converter import kernel
from converter.errors import ColumnError, InputError
from converter.jobs.sections.table import Input
from converter.kernel.calls import Loops
from converter.sources import base, delimited, texts
from converter.sources.base import Block, Budget
from converter.sources.delimited import DelimitedSource
from converter.sources.opening import open_sources
from converter.sources.origins.base import Origin
from converter.sources.tasks import tasks_of

from .conftest import malformed_rows
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
        found.malformed.extend((line + row, rule, text) for row, rule, text in malformed_rows(block.malformed))
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
        source.longest = 100
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
    source.longest = 100
    with raises(InputError, "E-LINE-ENDLESS", "in.csv"):
        in_turn(source, block, None)
    with raises(InputError, "E-LINE-ENDLESS", "in.csv"):
        in_threads(source, block, None)


# --- many inputs --------------------------------------------------------------------------------------------------


def by_origin(blocks: Sequence[Block]) -> dict[str, list[Any]]:
    """Return the rows and malformed rows of each input, with their line, in their order."""
    found: dict[str, list[Any]] = {}
    lines: dict[str, int] = {}
    for block in blocks:
        rows: list[Any] = list(zip(block.numbers.tolist(), block.rest.frame().rows(), strict=True))
        rows += [(row, rule) for row, rule, _ in malformed_rows(block.malformed)]
        start = 0
        for piece in block.pieces:
            label, end = piece.origin.label, start + piece.numbers
            first = lines.get(label, 0) - start
            found.setdefault(label, []).extend(
                (number + first, what) for number, what in sorted(rows, key=lambda row: row[0]) if start <= number < end
            )
            lines[label] = end + first
            start = end
        assert all(number < start for number, _ in rows)
    return found


def opened(files: dict[str, bytes], **more: Any) -> list[Any]:
    origins: list[Origin] = [Memory(content, label=label) for label, content in files.items()]
    return open_sources(origins, Input(path=("in.csv",)).model_copy(update=more), ("a", "b"))


def taken(sources: Sequence[Any], budget: Budget, loops: Loops | None) -> list[Block]:
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda task: task.parse(None), tasks_of(sources, ("b", "a"), loops, budget)))


FILES = {
    "plain": b"a,b\n1,x\n2,y\n",
    "again": b"a,b\n3,x\n4,y\n",
    "no newline at the end": b"a,b\n5,x\n6,y",
    "header only": b"a,b\n",
    "malformed at its end": b"a,b\n7,x\n8\n",
    "malformed at its start": b'a,b\n"9" ,x\n\n10,y\r\n',
    "open at its end": b'a,b\n11,x\n12,"y',
    "blank lines before it": b"\n\na,b\n13,x\n14\n",
    "another order": b"b,a\nx,15\ny,16\n",
    "more columns": b"c,a,b\n?,17,x\n?,18\n",
    "semicolons": b"a;b\n19;x,\n20;y\n",
    "CR LF": b"a,b\r\n21,x\r\n22,y\r\n",
    "byte order mark": b"\xef\xbb\xbfa,b\n23,x\n24,y\n",
    "quoted header": b'"a","b"\n25,x\n26,y\n',
    "longer header": b"a,bb,b\n27,?,x\n28\n",
    "last": b"a,b\n29,x\n30,y\n",
}


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
@pytest.mark.parametrize("block", [1, 13, 30, 60, 1 << 20])
@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_many_files_are_read_as_each_of_them_alone(
    loops: Loops | None, block: int, packed: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_LEAST_BLOCK", 1)
    monkeypatch.setattr(base, "_MOST_BLOCK", block)
    files = {label + ".csv": packed(content) for label, content in FILES.items()}
    alone = {}
    for label, content in files.items():
        alone |= by_origin(taken(opened({label: content}), Budget(2), None))
    blocks = taken(opened(files), Budget(3), loops)
    assert by_origin(blocks) == alone
    assert list(by_origin(blocks)) == list(files)
    read = Counter[str]()
    for block_ in blocks:
        read.update({piece.origin.label: piece.size for piece in block_.pieces})
    assert read == {label: len(content) for label, content in files.items()}
    rows = [fields for found in alone.values() for _, fields in found if isinstance(fields, tuple)]
    assert [int(a) for _, a in rows] == sorted({*range(1, 31)} - {8, 9, 12, 14, 18, 28})


def test_small_files_with_one_header_come_together_and_the_header_is_parsed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads = []
    original = delimited.read_head
    monkeypatch.setattr(delimited, "read_head", lambda *given, **more: heads.append(1) or original(*given, **more))
    files = {f"{number}.csv": b"a,b\n%d,x\n" % number for number in range(100)}
    blocks = taken(opened(files), Budget(2), kernel.load())
    assert (len(heads), len(blocks)) == (1, 1)
    assert len(blocks[0].pieces) == 100


def test_a_column_that_is_missing_in_one_of_many_files_is_an_error() -> None:
    with raises(ColumnError, "E-COLUMN-MISSING", "2.csv", "'b'"):
        opened({"1.csv": b"a,b\n1,x\n", "2.csv": b"a,c\n1,x\n", "3.csv": b"a,b\n1,x\n"})


class Counted(Memory):
    """An origin that knows how many streams of it are open."""

    open_ones: ClassVar[list[str]] = []

    def open(self) -> BinaryIO:
        origin = self

        class Stream(io.BytesIO):
            def close(self) -> None:
                if not self.closed:
                    origin.open_ones.remove(origin.label)
                super().close()

        self.open_ones.append(self.label)
        return Stream(self.content)


def test_as_many_streams_are_read_ahead_as_there_are_threads_and_all_are_closed() -> None:
    content = gzip.compress(b"a,b\n" + b"1,x\n" * 400_000)
    origins: list[Origin] = [Counted(content, label=f"{number}.csv.gz") for number in range(6)]
    sources = open_sources(origins, Input(path=("in.csv",)), ("a", "b"))
    assert Counted.open_ones == []
    before = threading.active_count()
    tasks = tasks_of(sources, ("a", "b"), kernel.load(), Budget(3, 10**7))
    assert next(tasks).parse(None).pieces[0].origin.label == "0.csv.gz"
    assert sorted(Counted.open_ones) == ["0.csv.gz", "1.csv.gz", "2.csv.gz"]
    tasks.close()
    assert Counted.open_ones == []
    assert threading.active_count() == before


class Broken(Memory):
    """An origin that cannot be read beyond some place."""

    def read_at(self, start: int, stop: int) -> bytes:
        if start > 1000:
            raise OSError(errno.EIO, "Input/output error")
        return super().read_at(start, stop)


def test_where_a_block_cannot_be_read_all_that_wait_for_it_fail() -> None:
    source = source_of(Broken(GOOD * 1000))
    source.most = 300
    tasks = list(source.blocks(source.names, kernel.load(), Budget()))
    with ThreadPoolExecutor(len(tasks)) as pool:
        results = [pool.submit(task.parse, None) for task in tasks]
        errors = [result.exception(timeout=60) for result in results]
    assert [error is None for error in errors] == [True] * 4 + [False] * (len(tasks) - 4)
    assert all(isinstance(error, InputError) and error.code == "E-INPUT-READ" for error in errors[4:])


def test_what_a_stream_raises_comes_after_its_blocks() -> None:
    content = gzip.compress(b"a,b\n" + random.Random(1).randbytes(1 << 20).hex().encode() + b"\n")
    cut = Memory(content[: len(content) // 2], label="in.csv.gz")
    (source,) = open_sources([cut], Input(path=("in.csv",)), ("a", "b"))
    source.most = 1 << 16
    tasks = tasks_of([source], ("a", "b"), None, Budget(2))
    assert next(tasks)
    with raises(InputError, "E-INPUT-DAMAGED", "in.csv.gz"):
        list(tasks)


def test_a_file_that_is_shorter_than_it_was_is_read_to_its_end() -> None:
    source = source_of(Memory(GOOD * 100))
    source.body = source.body._replace(origin=Shorter(GOOD * 100))
    for block in (50, 1 << 16):
        assert len(collected(in_threads(source, block, kernel.load())).rows) == 30


class Shorter(Memory):
    """An origin that lost most of its bytes since it was opened."""

    def read_at(self, start: int, stop: int) -> bytes:
        return super().read_at(start, min(stop, len(GOOD) * 30))


@pytest.mark.parametrize("threads, memory", [(1, 10**6), (2, 512 * 10**6), (16, 512 * 10**6), (1024, 512 * 10**6)])
def test_blocks_under_way_fit_into_a_part_of_the_memory(threads: int, memory: int) -> None:
    budget = Budget(threads, memory)
    assert budget.block == base._LEAST_BLOCK or budget.block * budget.ahead * 4 <= memory
    assert Budget(2).block > Budget(16).block > Budget(64).block
