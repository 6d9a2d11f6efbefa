"""Columns of Arrow as string views: the kernel's text of every value is the one that Polars makes (`as_text`)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from converter import kernel
from converter.columns import text
from converter.columns.buffers import VIEW_BYTES, Chunk, frame_of
from converter.columns.text import as_text
from converter.kernel.calls import Loops
from converter.sources import columns
from converter.sources.columns import views_of
from converter.sources.typed import series_of, type_of, validate

from .fuzz_columns import OUT_OF_RANGE

LOOPS = kernel.load()
ROWS = 3_000


def loops() -> Loops:
    assert LOOPS
    return LOOPS


def made(arrays: Sequence[pa.Array]) -> pl.Series:
    """The texts that the kernel makes of arrays."""
    rows = sum(map(len, arrays))
    views = views_of(loops(), arrays, np.full(VIEW_BYTES * rows, 0xA5, np.uint8))
    return frame_of([Chunk((views,), rows)], ["a"])["a"]


def expected(array: pa.Array) -> pl.Series:
    """The texts that Polars makes of an array."""
    validate(array)
    type_ = type_of(array.type)
    assert type_ is not None
    return (
        series_of("a", array).to_frame().select(as_text(pl.col("a"), "a", type_).fill_null("").alias("a")).to_series()
    )


def integers(width: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Integers of any size that fits so many bits."""
    generator = np.random.default_rng(width)
    size = generator.integers(0, width, ROWS)
    values = generator.integers(-(2**63), 2**63 - 1, ROWS, endpoint=True) >> (63 - size)
    return np.concatenate([values, [0, -1, 1, -(2 ** (width - 1)), 2 ** (width - 1) - 1]]).astype(np.int64)


def doubles() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Floats of few digits, of many, of any exponent, whole, and the special ones."""
    generator = np.random.default_rng(1)
    few = generator.integers(-(10**7), 10**7, ROWS) / 10.0 ** generator.integers(0, 8, ROWS)
    whole = np.round(generator.random(ROWS) * 10.0 ** generator.integers(0, 20, ROWS))
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7976931348623157e308, 1e15, 1e16, 1e22, 2.0**-1022, 0.3]
    powers = [2.0**power for power in range(-60, 80)]
    return np.concatenate([few, whole, generator.random(ROWS), integers(64).view(np.float64), powers, special])


def decimals(digits: int) -> list[Decimal]:
    generator = random.Random(digits)
    return [Decimal(generator.randrange(-(10**size) + 1, 10**size)) for size in range(1, digits + 1) for _ in range(50)]


def moments(unit: str, zone: str | None) -> pa.Array:
    in_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    values = integers(64)
    values[: ROWS // 2] //= in_second
    values[: ROWS // 2] *= in_second
    return pa.array(values).view(pa.timestamp(unit, zone))


ARRAYS: dict[str, Callable[[], pa.Array]] = {
    **{f"int{bits}": lambda bits=bits: pa.array(integers(bits)).cast(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": lambda bits=bits: pa.array(integers(64).astype(f"uint{bits}")) for bits in (8, 16, 32, 64)},
    "double": lambda: pa.array(doubles()),
    "float": lambda: pa.array(doubles()[np.abs(doubles()) < 1e38].astype(np.float32)),
    "any float": lambda: pa.array(integers(32).astype(np.int32).view(np.float32)),
    "half": lambda: pa.array(integers(16).astype(np.int16).view(np.float16)),
    "bool": lambda: pa.array(integers(64) % 2 == 0),
    "date32": lambda: pa.array(np.append(integers(24), integers(32))).cast(pa.int32()).view(pa.date32()),
    "date64": lambda: pa.array(np.append(integers(50), integers(64))).view(pa.date64()),
    "time32[s]": lambda: pa.array(integers(20)).cast(pa.int32()).view(pa.time32("s")),
    "time32[ms]": lambda: pa.array(integers(28)).cast(pa.int32()).view(pa.time32("ms")),
    "time64[us]": lambda: pa.array(integers(38)).view(pa.time64("us")),
    "time64[ns]": lambda: pa.array(integers(48)).view(pa.time64("ns")),
    **{
        f"timestamp[{unit}, {zone}]": lambda unit=unit, zone=zone: moments(unit, zone)
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "Europe/Berlin")
    },
    "decimal128(38, 9)": lambda: pa.array([each.scaleb(-9) for each in decimals(29)], pa.decimal128(38, 9)),
    "decimal128(5, 5)": lambda: pa.array([each.scaleb(-5) for each in decimals(5)], pa.decimal128(5, 5)),
    "decimal128(38, 0)": lambda: pa.array(decimals(38), pa.decimal128(38, 0)),
    "decimal64": lambda: pa.array([each.scaleb(-2) for each in decimals(16)], pa.decimal64(18, 2)),
    "decimal256": lambda: pa.array([each.scaleb(-2) for each in decimals(70)], pa.decimal256(76, 2)),
    "null": lambda: pa.nulls(ROWS),
    "string": lambda: pa.array(["", "x", "twelve bytes", "thirteen byte", "é" * 6, "é" * 40, "\n"] * 50),
    "large_string": lambda: pa.array(["", "x", "twelve bytes", "thirteen byte"] * 50, pa.large_string()),
    "string_view": lambda: pa.array(["", "x", "twelve bytes", "thirteen byte"] * 50, pa.string_view()),
    "dictionary": lambda: pa.array(["red", None, "a text of some length"] * 50).dictionary_encode(),
    "dictionary of dates": lambda: pa.array(integers(14)).cast(pa.int32()).view(pa.date32()).dictionary_encode(),
    "uuid": lambda: pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(range(16))] * 9, pa.binary(16))),
    "json": lambda: pa.ExtensionArray.from_storage(pa.json_(), pa.array(["[1]", None, "{}"], pa.string())),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_texts_of_the_kernel_are_those_of_polars(kind: str) -> None:
    array = ARRAYS[kind]()
    assert made([array]).to_list() == expected(array).to_list()


@pytest.mark.parametrize("kind", ARRAYS)
def test_missing_values_are_empty_texts_wherever_an_array_starts(kind: str) -> None:
    array = ARRAYS[kind]()
    if not pa.types.is_null(array.type) and not isinstance(array.type, pa.BaseExtensionType):
        array = pa.concat_arrays([array[:9], pa.nulls(3, array.type), array[9:100]])
    parts = [array[:2], array[3:3], array[3:13], array[5:]]
    assert made(parts).to_list() == [each for part in parts for each in expected(part).to_list()]


def test_dates_that_cannot_be_written_have_one_text_everywhere() -> None:
    assert text.OUT_OF_RANGE == OUT_OF_RANGE
    days = pa.array([2_932_897, 2_932_896], pa.int32()).view(pa.date32())
    assert made([days]).to_list() == [text.OUT_OF_RANGE, "9999-12-31"]


def test_texts_of_more_memory_than_views_can_refer_to_are_in_several_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST_BYTES", 100)
    array = pa.array([f"a text of some length {number}" for number in range(50)])
    assert made([array]).to_list() == array.to_pylist()
    with pytest.raises(pa.ArrowInvalid):
        made([pa.array(["x" * 101])])


def test_numbers_of_many_digits_get_the_room_that_they_need() -> None:
    numbers = pa.array([5e-324, 1.7e308] * 2_000)
    assert made([numbers]).to_list() == expected(numbers).to_list()


def test_rows_that_are_taken_keep_their_texts() -> None:
    array = pa.array([None if number % 7 == 3 else f"{number} " * (number % 9) for number in range(100)])
    chunk = Chunk((views_of(loops(), [array], np.empty(1_600, np.uint8)),) * 2, 100)
    rows = np.array([0, 3, 99, 50, 50])
    taken = frame_of([chunk.take(rows)], ["a", "b"])
    assert taken["b"].to_list() == [array[row].as_py() or "" for row in rows.tolist()]
