"""Parts: the text of all together, cut at line ends, within their limits, the same for any batches and threads."""

from __future__ import annotations

import gzip
import itertools
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.columns import buffers as memory
from converter.columns.buffers import texts_of
from converter.parts.blocks import Cutter, Level, compress
from converter.parts.packer import Limits, Packer
from converter.parts.part import Part

from .conftest import Run


@pytest.fixture(scope="module", autouse=True, params=["as it lies", "copied"])
def short(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether text is taken as it lies in memory, or short and copied."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_SHORT", 0 if request.param == "as it lies" else 1 << 60)
        yield


class Memory:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.whole = False

    def write(self, data: bytes) -> None:
        assert not self.whole
        self.data += data

    def finish(self, part: Part, text_crc32: int) -> None:
        assert part.bytes == len(self.data)
        assert text_crc32 == zlib.crc32(gzip.decompress(self.data) if self.data[:2] == b"\x1f\x8b" else self.data)
        self.whole = True

    def fail(self, error: BaseException) -> None:
        raise AssertionError from error


def pack(
    batches: list[pl.Series], limits: Limits, threads: int, level: Level = "balanced"
) -> tuple[list[Part], list[bytes]]:
    written: list[Memory] = []

    def create(number: int) -> Memory:
        assert number == len(written) + 1
        written.append(Memory())
        return written[-1]

    cutter = Cutter(limits.block_bytes, limits.part_text)
    with Packer(limits, threads, create, lambda number: (f"part {number}", f"place {number}"), level) as packer:
        for batch in batches:
            for block in cutter.feed(texts_of(batch)):
                packer.add(*block)
        for block in cutter.finish():
            packer.add(*block)
        parts = packer.finish()
    assert all(part.whole for part in written)
    return parts, [part.data for part in written]


def split(lines: list[str], sizes: list[int]) -> list[pl.Series]:
    """Cut lines into batches of the given sizes, again and again."""
    batches, place, turn = [], 0, 0
    while place < len(lines):
        batches.append(pl.Series(lines[place : place + sizes[turn % len(sizes)]], dtype=pl.String))
        place += sizes[turn % len(sizes)]
        turn += 1
    return batches


LINES = st.lists(st.text(alphabet="ab,é\t\"'😀", max_size=60).map(lambda text: text + "\n"), min_size=1, max_size=60)


@settings(max_examples=150, deadline=None)
@given(
    lines=LINES,
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    part_bytes=st.integers(400, 1500),
    raw_bytes=st.integers(300, 2000),
    compressed=st.booleans(),
    threads=st.integers(1, 3),
    level=st.sampled_from(["fast", "balanced", "small"]),
)
def test_parts_hold_all_lines_in_order_within_their_limits_whatever_the_batches_and_threads(
    lines: list[str], sizes: list[int], part_bytes: int, raw_bytes: int, compressed: bool, threads: int, level: Level
) -> None:
    limits = Limits(part_bytes, raw_bytes, compressed)
    parts, data = pack(split(lines, sizes), limits, threads, level)
    texts = [gzip.decompress(part) if compressed else part for part in data]
    assert b"".join(texts).decode() == "".join(lines)
    assert all(text.endswith(b"\n") for text in texts), "cut at line ends and never empty"
    assert all(len(part) <= part_bytes and len(text) <= raw_bytes for part, text in zip(data, texts, strict=True))
    assert [(part.bytes, part.raw_bytes, part.lines) for part in parts] == [
        (len(part), len(text), text.count(b"\n")) for part, text in zip(data, texts, strict=True)
    ]
    assert [part.crc32 for part in parts] == [f"{zlib.crc32(part):08x}" for part in data]
    assert pack(split(lines, [7]), limits, 1, level)[1] == data, "the same bytes"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_text_of_lines_is_theirs_in_whatever_order_they_lie_in_memory(data: st.DataObject) -> None:
    batches = split(data.draw(LINES), data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=4)))
    lines = pl.concat(batches, rechunk=False)
    rows = data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=1, max_size=80))
    rows = data.draw(st.sampled_from([rows, list(range(len(lines))), sorted(set(rows))]))
    taken = lines.gather(rows)
    for text in texts_of(taken):
        assert b"".join(bytes(buffer) for buffer in text.buffers).decode() == "".join(taken)
        assert text.ends.tolist() == list(itertools.accumulate(len(line.encode()) for line in taken))


class Gated(Memory):
    """Waits in a call until the gate is open."""

    def __init__(self, call: str, gate: threading.Event) -> None:
        super().__init__()
        self._call, self._gate = call, gate

    def write(self, data: bytes) -> None:
        assert self._call != "write" or self._gate.wait(10)
        super().write(data)

    def finish(self, part: Part, text_crc32: int) -> None:
        assert self._call != "finish" or self._gate.wait(10)
        super().finish(part, text_crc32)


BLOCK = bytes(999_999) + b"\n"
A_BLOCK_EACH = Limits(10**9, len(BLOCK), compressed=False)


def test_the_next_part_is_written_while_the_one_before_it_is_completed() -> None:
    gate = threading.Event()
    written = [Gated("finish", gate), Memory(), Memory(), Memory()]
    with Packer(A_BLOCK_EACH, 1, lambda number: written[number - 1], lambda _: ("", "")) as packer:
        for _ in written:
            packer.add([BLOCK], 1)
        while packer._blocks:
            packer._place_block()
        while not written[2].data:
            time.sleep(0.01)
        assert packer.parts == []
        assert not written[1].whole, "parts are completed in order"
        gate.set()
        assert [part.raw_bytes for part in packer.finish()] == [len(BLOCK)] * 4


def test_what_waits_for_a_slow_writer_is_bounded() -> None:
    gate, added = threading.Event(), itertools.count()
    written = Gated("write", gate)

    def add_all() -> None:
        for _ in range(40):
            packer.add([BLOCK], 1)
            next(added)
        packer.finish()

    with Packer(Limits(10**9, 10**9, compressed=False), 1, lambda _: written, lambda _: ("", "")) as packer:
        adding = threading.Thread(target=add_all)
        adding.start()
        adding.join(0.5)
        assert adding.is_alive()
        assert next(added) < 25
        gate.set()
        adding.join(20)
    assert written.data == BLOCK * 40


class Full(Memory):
    """Takes a few bytes, and no more."""

    failure: BaseException | None = None

    def write(self, data: bytes) -> None:
        if self.data:
            raise OSError(28, "No space left on device")
        super().write(data)

    def fail(self, error: BaseException) -> None:
        self.failure = error


def test_an_error_of_a_writer_is_raised_soon_and_ends_all_threads() -> None:
    before, full = threading.active_count(), Full()

    def pack_lines() -> None:
        with Packer(A_BLOCK_EACH, 2, lambda _: full, lambda _: ("", "")) as packer:
            for _ in range(1000):
                packer.add([b"a line\n"], 1)
                time.sleep(0.01)

    with pytest.raises(OSError) as raised:
        pack_lines()
    assert full.failure is raised.value
    assert threading.active_count() == before


def noise(count: int, length: int) -> list[str]:
    generator = random.Random(7)
    return ["".join(chr(generator.randrange(0x21, 0x7F)) for _ in range(length)) + "\n" for _ in range(count)]


@pytest.mark.parametrize("part_bytes", [1_000, 70_000, 200_000])
def test_a_part_keeps_its_limit_also_where_nothing_compresses(part_bytes: int) -> None:
    lines = noise(400, 700)
    _, data = pack([pl.Series(lines)], Limits(part_bytes, 10**9, compressed=True), 2)
    assert max(map(len, data)) <= part_bytes
    assert b"".join(map(gzip.decompress, data)).decode() == "".join(lines)


def test_a_smaller_level_is_smaller() -> None:
    generator = random.Random(1)
    lines = pl.Series(
        [f'{generator.randrange(10**9)}\t"a"="{generator.randrange(100)} years"\n' for _ in range(20_000)]
    )
    limits = Limits(10**9, 10**9, compressed=True)
    small, balanced, fast = (pack([lines], limits, 1, level)[0][0].bytes for level in ("small", "balanced", "fast"))
    assert small * 1.05 < balanced < fast


def test_a_block_refers_to_the_one_before_it_in_its_part_and_to_none_of_another_part() -> None:
    text = "".join(noise(40, 700)).encode()
    written: list[Memory] = []

    def create(_: int) -> Memory:
        written.append(Memory())
        return written[-1]

    with Packer(Limits(10**9, 3 * len(text), compressed=True), 2, create, lambda number: ("", "")) as packer:
        for _ in range(5):
            packer.add([text], 40)
        packer.finish()
    assert [gzip.decompress(part.data) for part in written] == [text * 3, text * 2]
    alone = len(compress(text, 40).data)
    assert [len(part.data) // alone for part in written] == [1, 1], "a text is there once in a part"


def test_a_part_fills_well() -> None:
    lines = [f'{number}\t"a"="value {number % 97}"\n' for number in range(200_000)]
    _, data = pack([pl.Series(lines)], Limits(100_000, 10**9, compressed=True), 2)
    assert len(data) > 5
    assert min(map(len, data[:-1])) > 85_000


def test_a_part_is_one_gzip_member_without_time_and_name() -> None:
    _, (data,) = pack([pl.Series(["1\tx\n"] * 300_000)], Limits(10**9, 10**9, compressed=True), 2)
    assert data[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    decompressor = zlib.decompressobj(wbits=31)
    assert len(decompressor.decompress(data)) == 300_000 * 4
    assert decompressor.eof
    assert decompressor.unused_data == b""


def test_what_does_not_compress_is_stored_and_no_larger_than_the_bound() -> None:
    text = random.Random(1).randbytes(200_000)
    block = compress(text, 1)
    assert len(block.data) <= len(text) + 5 * 4
    assert zlib.decompressobj(wbits=-15).decompress(block.data + b"\x03\0") == text


def test_the_text_of_lines_is_taken_without_a_copy_where_it_lies_in_order() -> None:
    lines = pl.select(pl.format("{}\tsome line that is long enough\n", pl.int_range(5000))).to_series()
    texts = texts_of(lines)
    assert b"".join(b"".join(text.between(0, int(text.ends[-1]))) for text in texts).decode() == "".join(
        lines.to_list()
    )


REARRANGED: dict[str, Callable[[pl.Series], pl.Series]] = {
    "as it is": lambda lines: lines,
    "reversed": lambda lines: lines.reverse(),
    "filtered": lambda lines: lines.filter(pl.Series(range(len(lines))) % 3 == 0),
    "sliced": lambda lines: lines.slice(100, 333),
    "with short lines": lambda lines: pl.Series([line if n % 2 else "a\n" for n, line in enumerate(lines)]),
    "with nulls": lambda lines: pl.Series([line if n % 2 else None for n, line in enumerate(lines)]),
    "nulled afterwards": lambda lines: pl.select(
        pl.when(pl.int_range(pl.len()) % 5 != 0).then(lines.alias("x"))
    ).to_series(),
    "all null": lambda lines: pl.Series([None] * len(lines), dtype=pl.String),
    "in chunks": lambda lines: pl.concat([lines, lines.reverse(), lines.slice(5, 1)], rechunk=False),
    "empty": lambda lines: lines.head(0),
}


@pytest.mark.parametrize("how", REARRANGED)
def test_the_text_of_lines_is_right_however_the_engine_laid_them_out(how: str) -> None:
    lines = REARRANGED[how](pl.Series([f"{number}\t{'x' * (number % 50)}\n" for number in range(1000)]))
    text = b"".join(b"".join(text.between(0, int(text.ends[-1]))) for text in texts_of(lines))
    assert text.decode() == "".join(lines.drop_nulls().to_list())


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_parts_are_numbered_from_1_and_named_alike(run: Run, compression: str) -> None:
    content = "id,a\n" + "".join(f"{number},x{number}\n" for number in range(1000))
    report = run.convert(content, output={"max_part_raw_bytes": 5000, "compression": compression})
    end = ".gz" if compression == "gzip" else ""
    names = [f"ftp_dpm_1234_1366545717.sync.{number}{end}" for number in range(1, len(report.parts) + 1)]
    assert [part.name for part in report.parts] == names
    assert run.files == sorted(names)
    assert len(names) > 2
    assert run.lines == [f'{number}\t"a"="x{number}"' for number in range(1000)]
