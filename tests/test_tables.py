"""Typed tables: what a job does not use never disturbs it, what it uses has a text form or an error that names it."""

from __future__ import annotations

import datetime
import io
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from converter import convert
from converter.errors import ColumnError, EngineError, InputError
from converter.sources import parquet, tables
from converter.sources.base import Budget
from converter.sources.engine import collect
from converter.sources.opening import open_source
from converter.sources.origins.local import LocalFile

from .conftest import Run
from .errors import raises

NAMES = ["in.parquet", "in.arrow", "in.arrows"]
ONE = pa.array([1], pa.int64())
TWO_FIELDS = pa.StructArray.from_arrays([ONE, ONE], fields=[pa.field("f", pa.int64()), pa.field("f", pa.int64())])
MOMENT = 1_706_706_300


def written(path: Path, table: pa.Table) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        new = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
            writer.write_table(table)
    return path


def of(value: object, type_: pa.DataType) -> pa.Array:
    return pa.array([value], type_)


def union() -> pa.Array:
    return pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [ONE])


UNUSED: dict[str, Callable[[], pa.Array]] = {
    "decimal of 76 digits": lambda: of(Decimal("1" * 70), pa.decimal256(76, 2)),
    "struct with fields of one name": lambda: TWO_FIELDS,
    "a time zone that is none": lambda: of(MOMENT, pa.timestamp("us", "Z")),
    "list view": lambda: of([1], pa.list_view(pa.int64())),
    "binary": lambda: of(b"\xff", pa.binary()),
    "map": lambda: of([("a", 1)], pa.map_(pa.string(), pa.int64())),
    "duration": lambda: of(1, pa.duration("s")),
    "uuid": lambda: pa.ExtensionArray.from_storage(pa.uuid(), of(b"x" * 16, pa.binary(16))),
    "date of no calendar": lambda: of(2**31 - 1, pa.int32()).view(pa.date32()),
}
UNUSED_IN_ARROW: dict[str, Callable[[], pa.Array]] = {
    "interval": lambda: of((1, 2, 3), pa.month_day_nano_interval()),
    "union": union,
    "run-end encoded": lambda: pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["x"])),
    "decimal of negative scale": lambda: of(Decimal("1.2E+3"), pa.decimal128(10, -2)),
    "time of no day": lambda: of(2**40, pa.int64()).view(pa.time64("us")),
}
CASES = [(kind, name) for kind in UNUSED for name in NAMES] + [
    (kind, name) for kind in UNUSED_IN_ARROW for name in NAMES[1:]
]


@pytest.mark.parametrize("kind, name", CASES)
def test_a_column_of_any_type_that_no_job_uses_disturbs_nobody(tmp_path: Path, kind: str, name: str) -> None:
    run = Run(tmp_path)
    unused = {**UNUSED, **UNUSED_IN_ARROW}[kind]()
    path = written(run.folder / name, pa.table([unused, ["u1"], ["x"]], names=["unused", "id", "a"]))
    report = run.convert(input={"path": str(path)})
    assert run.lines == ['u1\t"a"="x"']
    assert report.records["read"] == 1


def test_a_logical_type_of_parquet_that_nobody_knows_disturbs_nobody(tmp_path: Path) -> None:
    run, file = Run(tmp_path), io.BytesIO()
    table = pa.table({"id": ["u1"], "a": ["x"], "unused": pa.array([5], pa.time32("ms"))})
    pq.write_table(table, file, store_schema=False)
    content = file.getvalue()
    time, other = b"unusedl\x7c", b"unusedl\x0c\x50"  # the logical type number 7, and number 40
    assert content.count(time) == 1
    length = int.from_bytes(content[-8:-4], "little") + 1
    changed = content[:-8].replace(time, other) + length.to_bytes(4, "little") + b"PAR1"
    run.convert(changed, "in.parquet")
    assert run.lines == ['u1\t"a"="x"']


@pytest.mark.parametrize("name", NAMES)
def test_columns_that_nobody_uses_may_share_a_name(tmp_path: Path, name: str) -> None:
    run = Run(tmp_path)
    path = written(run.folder / name, pa.table([["u1"], ["x"], ["y"], ["z"]], names=["id", "a", "b", "b"]))
    run.convert(input={"path": str(path)})
    assert run.lines == ['u1\t"a"="x"']


UNREADABLE = {
    "struct": lambda: TWO_FIELDS,
    "list_view": UNUSED["list view"],
    "map": UNUSED["map"],
    "duration[s]": UNUSED["duration"],
    "month_day_nano_interval": UNUSED_IN_ARROW["interval"],
    "dense_union": union,
    "run_end_encoded": UNUSED_IN_ARROW["run-end encoded"],
    "list of struct": lambda: pa.ListArray.from_arrays([0, 1], TWO_FIELDS),
    "decimal128(10, -77)": lambda: of(None, pa.decimal128(10, -77)),
    "decimal256(10, 1000)": lambda: of(None, pa.decimal256(10, 1000)),
}


@pytest.mark.parametrize("type_", UNREADABLE)
@pytest.mark.parametrize("key", ["id", "a"])
def test_a_column_that_is_used_but_has_no_text_form_is_named_with_its_type(
    tmp_path: Path, key: str, type_: str
) -> None:
    run = Run(tmp_path)
    columns = {"id": pa.array(["u1"]), "a": pa.array(["x"]), key: UNREADABLE[type_]()}
    path = written(run.folder / "in.arrow", pa.table(columns))
    with pytest.raises(ColumnError) as raised:
        run.convert(input={"path": str(path)})
    assert (raised.value.code, raised.value.exit_code) == ("E-COLUMN-TYPE", 2)
    assert f"'{key}'" in raised.value.message
    assert f" {type_}," in raised.value.message
    assert run.files == []


TEXTS: dict[str, tuple[Callable[[], pa.Array], str]] = {
    "decimal of 76 digits": (lambda: of(Decimal("-" + "7" * 74 + ".05"), pa.decimal256(76, 2)), "-" + "7" * 74 + ".05"),
    "small decimal": (lambda: of(Decimal("0.000000000000000012"), pa.decimal256(60, 18)), "0.000000000000000012"),
    "decimal of few digits": (lambda: of(Decimal("1.50"), pa.decimal256(10, 2)), "1.50"),
    "decimal of more scale than digits": (
        lambda: pa.Array.from_buffers(pa.decimal128(2, 5), 1, [None, pa.py_buffer((12).to_bytes(16, "little"))]),
        "0.00012",
    ),
    "decimal in 32 bits": (lambda: of(Decimal("1.50"), pa.decimal32(5, 2)), "1.50"),
    "decimal of negative scale": (lambda: of(Decimal("1.2E+3"), pa.decimal128(10, -2)), "1200"),
    "time zone that is none": (lambda: of(MOMENT, pa.timestamp("s", "Z")), "2024-01-31 13:05:00Z"),
    "seconds": (lambda: of(MOMENT, pa.timestamp("s")), "2024-01-31 13:05:00"),
    "date in milliseconds": (lambda: of(datetime.date(2024, 1, 31), pa.date64()), "2024-01-31"),
    "date in broken milliseconds": (lambda: of(-1, pa.int64()).view(pa.date64()), "1969-12-31"),
    "time": (lambda: of(datetime.time(13, 5), pa.time32("s")), "13:05:00"),
    "last moment": (lambda: of(253_402_300_799_999, pa.timestamp("ms")), "9999-12-31 23:59:59.999"),
    "first day": (lambda: of(datetime.date(1, 1, 1), pa.date32()), "0001-01-01"),
    "string view": (lambda: of("a text that is long enough", pa.string_view()), "a text that is long enough"),
    "large string": (lambda: of("x", pa.large_string()), "x"),
    "dictionary": (lambda: of("x", pa.string()).dictionary_encode(), "x"),
    "dictionary of numbers": (lambda: ONE.dictionary_encode(), "1"),
    "uuid": (
        lambda: pa.ExtensionArray.from_storage(pa.uuid(), of(bytes(range(16)), pa.binary(16))),
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
    ),
    "json": (lambda: pa.ExtensionArray.from_storage(pa.json_(), of("[1]", pa.string())), "[1]"),
    "half": (lambda: of(np.float16(1.5), pa.float16()), "1.5"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_every_type_that_is_read_has_its_text_form(tmp_path: Path, kind: str) -> None:
    make, text = TEXTS[kind]
    run = Run(tmp_path)
    path = written(run.folder / "in.arrows", pa.table({"id": ["u1"], "a": make()}))
    run.convert(input={"path": str(path)}, privacy={"signals": "allow"})
    assert run.lines == [f'u1\t"a"="{text}"']


def test_a_time_zone_whose_name_is_no_text_is_a_time_zone(tmp_path: Path) -> None:
    run = Run(tmp_path)
    path = written(
        run.folder / "in.arrow", pa.table({"id": ["u1"], "a": of(MOMENT, pa.timestamp("s", "Europe/Berlin"))})
    )
    content = path.read_bytes()
    assert b"Europe/Berlin" in content
    run.convert(content.replace(b"Europe/Berlin", b"Europe/B\xffrlin"), "in.arrow")
    assert run.lines == ['u1\t"a"="2024-01-31 13:05:00Z"']


@pytest.mark.parametrize("index", [pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.int64()])
def test_dictionaries_of_any_index_are_read_with_what_is_missing(tmp_path: Path, index: pa.DataType) -> None:
    run = Run(tmp_path)
    words = pa.array([f"w{number}" for number in range(127)] + [None])
    indices = pa.array([*range(127), None, 127] if index != pa.int8() else [*range(127), None, None], index)
    column = pa.DictionaryArray.from_arrays(indices, words if index != pa.int8() else words[:127])
    table = pa.table({"id": [f"u{number}" for number in range(129)], "a": column, "b": ["x"] * 129})
    path = written(run.folder / "in.arrow", table)
    report = run.convert(input={"path": str(path)}, record={"signals": ["a", "b"]})
    assert run.lines[126:] == ['u126\t"a"="w126","b"="x"', 'u127\t"b"="x"', 'u128\t"b"="x"']
    assert report.signals["dropped"] == {"value_missing": 2}


def test_a_dictionary_without_entries_is_all_missing(tmp_path: Path) -> None:
    run = Run(tmp_path)
    column = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int8()), pa.array([], pa.string()))
    path = written(run.folder / "in.arrow", pa.table({"id": ["u1", "u2"], "a": column, "b": ["x", "y"]}))
    run.convert(input={"path": str(path)}, record={"signals": ["a", "b"]})
    assert run.lines == ['u1\t"b"="x"', 'u2\t"b"="y"']


@pytest.mark.parametrize(
    "items",
    [
        pa.array([[7, None, 8], None], pa.list_(pa.int32())),
        pa.array([["7", None, "8"], None], pa.large_list(pa.string_view())),
        pa.array([["7", None, "8"], None], pa.list_(pa.string(), 3)),
        pa.ListArray.from_arrays(pa.array([0, 3, 3], pa.int32()), pa.array(["7", None, "8"]).dictionary_encode()),
    ],
    ids=lambda items: str(items.type)[:30],
)
def test_lists_of_traits_of_any_kind_are_read(tmp_path: Path, items: pa.Array) -> None:
    run = Run(tmp_path)
    path = written(run.folder / "in.arrow", pa.table({"id": ["u1", "u2"], "a": ["x", "y"], "t": items}))
    run.convert(input={"path": str(path)}, record={"traits": ["t"]})
    assert run.lines == ['u1\t"a"="x",d_sid=7,d_sid=8', 'u2\t"a"="y"']


def test_dates_of_int96_are_those_that_were_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    moment = datetime.datetime(9999, 12, 31, 1, 2, 3)
    table = pa.table({"id": ["u1"], "a": pa.array([moment], pa.timestamp("us"))})
    pq.write_table(table, run.folder / "in.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
    run.convert(input={"path": str(run.folder / "in.parquet")})
    assert run.lines == ['u1\t"a"="9999-12-31 01:02:03"']


# --- values out of range ------------------------------------------------------------------------------------------

OUT_OF_RANGE = {
    "date": pa.array([2**31 - 1, -(2**31), 2_932_897, -719_163], pa.int32()).view(pa.date32()),
    "date64": pa.array([2**63 - 1, -(2**63), 2**62, -(2**62)], pa.int64()).view(pa.date64()),
    "seconds": pa.array([2**63 - 1, -(2**63), 253_402_300_800, -(2**50)], pa.timestamp("s", "UTC")),
    "microseconds": pa.array([2**63 - 1, -(2**63) + 1, 253_402_300_800_000_000, -(2**60)], pa.timestamp("us")),
    "time": pa.array([86_400, -1, 2**31 - 1, -(2**31)], pa.int32()).view(pa.time32("s")),
    "time64": pa.array([86_400_000_000_000, -1, 2**63 - 1, -(2**63)], pa.int64()).view(pa.time64("ns")),
}


IN_PARQUET = ("date", "microseconds", "time64")  # the others it holds as another type


@pytest.mark.parametrize(
    "kind, name", [*((kind, "in.arrow") for kind in OUT_OF_RANGE), *((kind, "in.parquet") for kind in IN_PARQUET)]
)
def test_a_date_that_cannot_be_written_is_dropped_and_counted(tmp_path: Path, kind: str, name: str) -> None:
    run = Run(tmp_path)
    column = OUT_OF_RANGE[kind]
    table = pa.table({"id": ["u1", "u2", "u3", "u4"], "a": column, "b": ["x"] * 4})
    path = written(run.folder / name, table)
    report = run.convert(input={"path": str(path)}, record={"signals": ["a", "b"]})
    assert run.lines == [f'u{number}\t"b"="x"' for number in range(1, 5)]
    assert report.signals["dropped"] == {"value_out_of_range": 4}


@pytest.mark.parametrize("on_bad_value, signals", [("reject", ["a", "b"]), ("clean", ["a"]), ("drop", ["a"])])
def test_a_row_with_such_a_date_is_rejected_with_its_number_where_that_is_asked_for_or_nothing_is_left(
    tmp_path: Path, on_bad_value: str, signals: list[str]
) -> None:
    run = Run(tmp_path)
    days = pa.array([19_753, 2**31 - 1], pa.int32()).view(pa.date32())
    path = written(run.folder / "in.parquet", pa.table({"id": ["u1", "u2"], "a": days, "b": ["x", "y"]}))
    report = run.convert(input={"path": str(path)}, record={"signals": signals, "on_bad_value": on_bad_value})
    assert [line.partition("\t")[0] for line in run.lines] == ["u1"]
    assert report.records["rejected"] == {"bad_value": 1}
    assert [(row["row"], row["rule"]) for row in run.rejects] == [(2, "bad_value")]


# --- damaged files ------------------------------------------------------------------------------------------------

ROWS = pa.table({"id": ["user1", "user2", "user3"], "a": ["aa", None, "cc"], "unused": ["b1", "b2", "b3"]})


def ipc(compression: str | None = None) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_file(file, ROWS.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(ROWS)
    return file.getvalue()


def test_text_in_an_arrow_file_that_is_not_utf8_is_damage_where_it_is_used(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(InputError) as raised:
        run.convert(ipc().replace(b"user2", b"use\xff2"), "in.arrow")
    assert raised.value.code == "E-INPUT-DAMAGED"
    assert run.files == []
    run.convert(ipc().replace(b"b1b2b3", b"b1\xff2b3"), "in.arrow")
    assert len(run.lines) == 2


def test_offsets_in_an_arrow_file_are_validated(tmp_path: Path) -> None:
    run = Run(tmp_path)
    offsets = np.array([0, 5, 10, 15], np.int32).tobytes()
    content = ipc()
    assert content.count(offsets) == 1
    with pytest.raises(InputError) as raised:
        run.convert(content.replace(offsets, np.array([0, 5, 2**30, 15], np.int32).tobytes()), "in.arrow")
    assert raised.value.code == "E-INPUT-DAMAGED"
    assert run.files == []


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_no_number_of_rows_in_an_arrow_file_can_lose_any(tmp_path: Path, compression: str | None) -> None:
    content, run, told = ipc(compression), Run(tmp_path), []
    three, two = (np.array([number], np.int64).tobytes() for number in (3, 2))
    places = [place for place in range(0, len(content), 4) if content[place : place + 8] == three]
    for place in places:  # that of the batch, and one for each column
        try:
            run.convert(content[:place] + two + content[place + 8 :], "in.arrow")
        except InputError as error:
            told.append(error.code)
            assert run.files == []
    assert told == ["E-INPUT-DAMAGED"] * 3
    assert len(places) == 4
    assert len(run.lines) == 2  # what is wrong with a column that is not used; one value is missing


def test_an_allocation_of_an_impossible_size_is_damage_and_no_crash(tmp_path: Path) -> None:
    rows, file = 3_000, io.BytesIO()
    table = pa.table({"id": [f"user{number}" for number in range(rows)], "a": ["x"] * rows})
    with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    content = bytearray(file.getvalue())
    length = np.array([4 * (rows + 1)], np.int64).tobytes()  # of the offsets, before they were compressed
    content[content.index(length) + 7] = 0x20
    (tmp_path / "in.arrow").write_bytes(content)
    flags = ["--dpid", "1", "--id", "id", "--signal", "a", "--to", "out"]
    done = subprocess.run(
        [sys.executable, "-m", "converter", "convert", "in.arrow", *flags],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "[E-INPUT-DAMAGED]" in done.stderr


def test_checksums_of_pages_are_verified(tmp_path: Path) -> None:
    run = Run(tmp_path)
    file = io.BytesIO()
    pq.write_table(
        ROWS, file, compression="none", use_dictionary=False, write_page_checksum=True, write_statistics=False
    )
    content = file.getvalue()
    assert content.count(b"user2") == 1
    with pytest.raises(InputError) as raised:
        run.convert(content.replace(b"user2", b"user7"), "in.parquet")
    assert raised.value.code == "E-INPUT-DAMAGED"
    assert run.files == []


def test_a_compression_that_is_not_read_is_no_damage(tmp_path: Path) -> None:
    run = Run(tmp_path)
    file = io.BytesIO()
    pq.write_table(ROWS, file, compression="snappy", use_dictionary=False, write_statistics=False)
    # LZO, which is in the standard of Parquet: the codec is a number in the footer, after the path and before the values.
    changed = file.getvalue().replace(b"\x19\x18\x02id\x15\x02\x16\x06", b"\x19\x18\x02id\x15\x06\x16\x06")
    assert changed != file.getvalue()
    with pytest.raises(InputError) as raised:
        run.convert(changed, "in.parquet")
    assert raised.value.code == "E-INPUT-UNSUPPORTED"


# --- how it is read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_pieces_are_bounded_and_numbered_in_the_order_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tables, "_BLOCK_ROWS", 16)
    monkeypatch.setattr(parquet, "_FIRST_ROWS", 8)
    run = Run(tmp_path)
    values = [f"{number} " + "x" * (number % 9) for number in range(100)]
    bad = [None if number in (3, 77) else f"u{number}" for number in range(100)]
    path = written(run.folder / name, pa.table({"id": bad, "a": values, "b": ["red", "blue"] * 50}))
    report = run.convert(input={"path": str(path)}, record={"signals": ["a", "b"]})
    assert [line.partition("\t")[0] for line in run.lines] == [each for each in bad if each]
    assert [row["row"] for row in run.rejects] == [4, 78]
    assert report.records["read"] == 100


@pytest.mark.parametrize("name", NAMES)
def test_small_groups_and_batches_come_together(tmp_path: Path, name: str) -> None:
    table = pa.table({"id": [f"u{number}" for number in range(1_000)], "a": ["red", "blue"] * 500})
    path = tmp_path / name
    if name == "in.parquet":
        pq.write_table(table, path, row_group_size=10)
    else:
        new = pa.ipc.new_file if name == "in.arrow" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=10)
    job = Run(tmp_path).make_job(input={"path": str(path)})
    (task,) = open_source(LocalFile.at(path), job.input, ("id", "a")).blocks(("id", "a"), None, Budget())
    block = task.parse(None)
    frame = block.rest.frame()
    assert (block.rows, frame.height, frame.n_chunks()) == (1_000, 1_000, 1)
    assert frame["id"].to_list() == table.column("id").to_pylist()
    assert frame["a"].to_list() == table.column("a").to_pylist()


def test_rows_of_long_texts_come_in_smaller_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BLOCK_BYTES", 1 << 16)
    path = written(tmp_path / "in.parquet", pa.table({"id": [f"{number:01000}" for number in range(4_000)]}))
    source = parquet.open_parquet(LocalFile.at(path), Run(tmp_path).make_job().input)
    rows = [task.parse(None).rows for task in source.blocks(("id",), None, Budget())]
    assert sum(rows) == 4_000
    assert max(rows) < 80


# --- read by several workers --------------------------------------------------------------------------------------


def _large_group(folder: Path, rows: int = 20_000) -> Path:
    """A file of one row group whose texts stop being a dictionary in its middle."""
    words = [f"word {number % 50 if number < rows // 2 else number}" for number in range(rows)]
    table = pa.table(
        {
            "id": [f"u{number}" if number % 997 else None for number in range(rows)],
            "a": words,
            "b": pa.array([number / 8 if number % 3 else None for number in range(rows)]),
        }
    )
    path = folder / "in.parquet"
    pq.write_table(table, path, dictionary_pagesize_limit=2_000, data_page_size=1_000, write_page_checksum=True)
    assert pq.read_metadata(path).num_row_groups == 1
    return path


@pytest.mark.parametrize("threads", [1, 5])
@pytest.mark.parametrize("most", [700, 4_096, 1 << 17])
def test_neither_threads_nor_the_size_of_shares_change_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, most: int
) -> None:
    monkeypatch.setattr(tables, "_BLOCK_ROWS", most)
    run = Run(tmp_path)
    path = _large_group(tmp_path)
    report = run.convert(input={"path": str(path)}, record={"signals": ["a", "b"]}, run={"threads": threads})
    rows = pq.read_table(path).to_pylist()
    expected = [
        f'{row["id"]}\t"a"="{row["a"]}"' + (f',"b"="{row["b"]}"' if row["b"] is not None else "")
        for row in rows
        if row["id"]
    ]
    assert run.lines == expected
    assert [row["row"] for row in run.rejects] == [number + 1 for number, row in enumerate(rows) if not row["id"]]
    assert report.records["read"] == len(rows)


@pytest.mark.parametrize("column", ["id", "a", "b"])
def test_a_part_that_cannot_be_read_ends_the_run_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    monkeypatch.setattr(tables, "_BLOCK_ROWS", 500)
    run, path = Run(tmp_path), _large_group(tmp_path)
    (chunk,) = (
        each
        for number in range(3)
        if (each := pq.read_metadata(path).row_group(0).column(number)).path_in_schema == column
    )
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        run.convert(input={"path": str(path)}, record={"signals": ["a", "b"]}, run={"threads": 4})
    assert raised.value.code in ("E-INPUT-DAMAGED", "E-INPUT-UNSUPPORTED")
    assert run.files == []


def test_texts_that_mean_a_missing_value_are_for_columns_of_text(run: Run) -> None:
    table = pa.table({"id": ["u1", "u2"], "a": ["0", "1"], "b": [0, 1], "c": pa.array([0.0, 1.5])})
    path = written(run.folder / "in.parquet", table)
    run.convert(input={"path": str(path), "null_values": ["0", "0.0"]}, record={"signals": ["a", "b", "c"]})
    assert run.lines == ['u1\t"b"="0","c"="0.0"', 'u2\t"a"="1","b"="1","c"="1.5"']


def test_columns_are_read_in_the_order_of_parts_whoever_asks_first(tmp_path: Path) -> None:
    path = _large_group(tmp_path)
    source = parquet.open_parquet(LocalFile.at(path), Run(tmp_path).make_job().input)
    shares = list(source._read(("id", "a"), tables.Bounds(1_500, 1 << 30)))
    with ThreadPoolExecutor(len(shares)) as pool:
        late = [pool.submit(share.read) for share in reversed(shares[1:])]
        first = shares[0].read()
        read = [first, *(each.result(60) for each in reversed(late))]
    for number, name in enumerate(("id", "a")):
        values = [value for share in read for array in share[number] for value in array.to_pylist()]
        assert values == pq.read_table(path).column(name).to_pylist()
    assert [sum(map(len, share[0])) for share in read] == [share.rows for share in shares]


def test_spans_of_a_file_are_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    table = pa.table({"id": [f"u{number}" for number in range(1_000)]})
    pq.write_table(table, path, row_group_size=90)
    source = parquet.open_parquet(LocalFile.at(path), Run(tmp_path).make_job().input)
    spans = source.spans(path.stat().st_size // 4)
    assert [(each.start, each.before) for each in spans] == [(0, 0), (2, 180), (4, 360), (6, 540), (8, 720), (10, 900)]
    assert spans[-1].stop == 12
    assert source.spans(path.stat().st_size) == [(0, 12, 0)]
    ids, numbers = [], []
    for span in spans:
        within = source.within(span)
        blocks = [task.parse(None) for task in within.blocks(("id",), None, Budget())]
        ids += [id_ for block in blocks for id_ in (block.rest.frame()["id"].to_list() if block.rows else [])]
        numbers.append(sum(piece.numbers for block in blocks for piece in block.pieces))
        assert within.rows == sum(block.rows for block in blocks)
    assert ids == table.column("id").to_pylist()
    assert numbers == [180, 360, 540, 720, 900, 1_000]


# --- forked processes ---------------------------------------------------------------------------------------------


def _codes(folder: str, pipe: object) -> None:
    from converter.errors import ConverterError

    run = Run(Path(folder))
    try:
        convert(run.make_job())
        code = ""
    except ConverterError as error:
        code = error.code
    pipe.send(code)  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("way, code", [("fork", "E-FORKED"), ("spawn", "")])
def test_a_process_forked_after_a_run_says_so_instead_of_hanging(tmp_path: Path, way: str, code: str) -> None:
    run = Run(tmp_path)
    run.convert("id,a\nu1,x\n", output={"to": str(tmp_path / "first")})
    context = multiprocessing.get_context(way)
    ours, theirs = context.Pipe()
    process = context.Process(target=_codes, args=(str(tmp_path), theirs))
    process.start()
    try:
        assert ours.poll(60), "it hangs"
        assert ours.recv() == code
        assert threading.active_count() >= 1
    finally:
        process.kill()
        process.join()


# --- errors of Polars ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        pl.col("a").cast(pl.Int64),  # InvalidOperationError
        pl.col("b"),  # ColumnNotFoundError
        pl.col("a").dt.year(),  # SchemaError or the like
        pl.col("a").map_batches(lambda _: pl.Series([1, 2, 3])).str.to_date(),
    ],
    ids=["operation", "column", "type", "shape"],
)
def test_what_the_engine_cannot_compute_is_no_damage(tmp_path: Path, query: pl.Expr) -> None:
    file = LocalFile(tmp_path / "in.parquet", 1, 1)
    with pytest.raises(EngineError) as raised:
        collect(file, pl.LazyFrame({"a": ["john.doe@example.com", "x"]}).select(query))
    assert (raised.value.code, raised.value.exit_code) == ("E-ENGINE", 1)
    assert "john" not in str(raised.value)
    assert "Error" in raised.value.message


BYTES = [b"x", b"\xff", None, "é".encode(), b"abc"[:1], b"\xc3"]
KINDS_OF_BYTES: dict[str, Callable[[], pa.Array]] = {
    "binary": lambda: pa.array(BYTES),
    "large": lambda: pa.array(BYTES, pa.large_binary()),
    "view": lambda: pa.array(BYTES, pa.binary_view()),
    "dictionary": lambda: pa.array(BYTES).dictionary_encode(),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS_OF_BYTES)
def test_bytes_are_text_and_rows_in_which_they_are_none_are_rejected(run: Run, kind: str, name: str) -> None:
    values = KINDS_OF_BYTES[kind]()
    ids = pa.array([f"u{number}".encode() for number in range(5)] + [b"u5\xff"])
    path = written(run.folder / name, pa.table({"id": ids, "a": values, "b": ["1"] * 6, "unused": [b"\xff"] * 6}))
    report = run.convert(input={"path": str(path)}, record={"signals": ["a", "b"]})
    assert run.lines == ['u0\t"a"="x","b"="1"', 'u2\t"b"="1"', 'u3\t"a"="é","b"="1"', 'u4\t"a"="a","b"="1"']
    assert [(row["row"], row["rule"]) for row in run.rejects] == [(2, "row_not_text"), (6, "row_not_text")]
    assert report.records["read"] == 6


def test_bytes_of_one_size_are_text(run: Run) -> None:
    table = pa.table({"id": pa.array([b"u01", b"u\xff2"], pa.binary(3)), "a": ["x", "y"]})
    run.convert(input={"path": str(written(run.folder / "in.parquet", table))})
    assert run.lines == ['u01\t"a"="x"']


STRUCTS = [
    {"city": "Rome", "more": {"deep": 7, "traits": [1, 2]}},
    None,
    {"city": None, "more": None},
    {"city": "Oslo", "more": {"deep": None, "traits": None}},
]


@pytest.mark.parametrize("name", NAMES)
def test_fields_of_structs_are_columns_unless_there_is_a_column_of_that_name(run: Run, name: str) -> None:
    table = pa.table({"id": ["u1", "u2", "u3", "u4"], "p": STRUCTS, "p.city": ["a", None, "c", None], "q": STRUCTS})
    path = written(run.folder / name, table)
    signals = [{"column": f"{column}.city", "key": f"{column}_city"} for column in "pq"]
    record = {"signals": [*signals, {"column": "q.more.deep", "key": "deep"}], "traits": ["q.more.traits"]}
    run.convert(input={"path": str(path)}, record=record)
    assert run.lines == [
        'u1\t"p_city"="a","q_city"="Rome","deep"="7",d_sid=1,d_sid=2',
        'u3\t"p_city"="c"',
        'u4\t"q_city"="Oslo"',
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_struct_and_a_field_that_is_missing_are_named(run: Run, name: str) -> None:
    path = written(run.folder / name, pa.table({"id": ["u1"], "p": STRUCTS[:1]}))
    with raises(ColumnError, "E-COLUMN-TYPE", "'p'", "struct", "'p.city'"):
        run.convert(input={"path": str(path)}, record={"signals": ["p"]})
    for missing in ("p.town", "p.city.name", "p."):
        with raises(ColumnError, "E-COLUMN-MISSING", repr(missing)):
            run.convert(input={"path": str(path)}, record={"signals": [missing]})


@pytest.mark.parametrize("view", [False, True])
def test_a_share_without_a_row_that_is_text_has_none(run: Run, view: bool) -> None:
    texts = pa.array(["x", "y"], pa.string_view() if view else pa.string())
    path = written(run.folder / "in.arrow", pa.table({"id": [b"\xff", b"\xfe"], "a": texts, "t": [[1], [2]]}))
    with raises(InputError, "E-NO-ROW-LEFT", "row_not_text: 2"):
        run.convert(input={"path": str(path)}, record={"signals": ["a"], "traits": ["t"]})
