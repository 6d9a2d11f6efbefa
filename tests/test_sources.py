"""Every format gives the same lines; damaged inputs give one clear sentence, malformed rows are rejected with their number."""

from __future__ import annotations

import datetime
import gzip
import itertools
import sys
import zlib
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from converter.errors import ColumnError, ConverterError, InputError, JobError
from converter.jobs.sections.table import Input
from converter.sources import ndjson, tables
from converter.sources.base import Budget
from converter.sources.delimited import DelimitedSource
from converter.sources.opening import open_source
from converter.sources.origins.local import LocalFile
from converter.sources.streams import TextStream

from .conftest import Run, malformed_rows
from .errors import raises

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CSV = b'id,a,b\n1,x,"y, z"\n2,\xc3\xa9,\n3,007,12.30\n'
LINES = ['1\t"a"="x","b"="y, z"', '2\t"a"="é"', '3\t"a"="007","b"="12.30"']
BOTH = {"record": {"signals": ["a", "b"]}}
TABLE = pl.DataFrame({"id": ["1", "2", "3"], "a": ["x", "é", "007"], "b": ["y, z", None, "12.30"]})
NDJSON = b'{"id": 1, "a": "x", "b": "y, z"}\n{"id": "2", "a": "\\u00e9"}\n{"b": 12.30, "a": "007", "id": 3}\n'


def stream(path: Path) -> None:
    table = TABLE.to_arrow()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    "name, content",
    [
        ("in.csv", CSV),
        ("in.CSV", CSV),
        ("in.csv.gz", gzip.compress(CSV)),
        ("in.csv.gz", gzip.compress(CSV[:20]) + gzip.compress(CSV[20:])),
        ("in.csv.zst", zstd.compress(CSV)),
        ("in.csv.zst", zstd.compress(CSV[:20]) + zstd.compress(CSV[20:])),
        ("packed-but-not-named-so.csv", gzip.compress(CSV)),
        ("in.txt", CSV.replace(b'"y, z"', b"y, z").replace(b",", b";").replace(b"y;", b"y,")),
        ("in.tsv", CSV.replace(b'"y, z"', b"y- z").replace(b",", b"\t").replace(b"y-", b"y,")),
        ("in.csv", CSV.replace(b"\n", b"\r\n")),
        ("in.csv", CSV[:-1]),
        ("in.csv", b"\xef\xbb\xbf" + CSV),
        ("in.csv", CSV.decode().encode("utf-16")),
        ("in.csv", b"\n\n" + CSV + b"\n"),
        ("in.ndjson", NDJSON),
        ("in.jsonl.gz", gzip.compress(NDJSON)),
        ("in.ndjson", NDJSON.replace(b"\n", b"\r\n\n")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_formats_give_the_same_lines_in_whatever_they_are_packed(run: Run, name: str, content: bytes) -> None:
    report = run.convert(content, name, **BOTH)
    assert run.lines == LINES
    assert report.records == {"read": 3, "written": 3, "rejected": {}, "skipped": {}}


@pytest.mark.parametrize(
    "name, write",
    [
        ("in.parquet", TABLE.write_parquet),
        ("in.pq", lambda path: TABLE.write_parquet(path, compression="snappy", row_group_size=1)),
        ("in.arrow", TABLE.write_ipc),
        ("in.feather", lambda path: TABLE.write_ipc(path, compression="lz4")),
        ("in.arrows", stream),
        ("in.arrow", stream),
    ],
)
def test_typed_formats_give_the_same_lines(run: Run, name: str, write) -> None:  # type: ignore[no-untyped-def]
    write(run.folder / name)
    run.convert(input={"path": str(run.folder / name)}, **BOTH)
    assert run.lines == LINES


def test_other_encodings_are_read_where_the_job_names_them(run: Run) -> None:
    run.convert(CSV.decode().encode("cp1252"), input={"encoding": "cp1252"}, **BOTH)
    assert run.lines == LINES


def test_a_file_without_header_takes_the_names_of_the_job(run: Run) -> None:
    run.convert(CSV.partition(b"\n")[2], input={"header": False, "columns": ["id", "a", "b"]}, **BOTH)
    assert run.lines == LINES


def test_null_values_count_as_missing_in_ids_and_values(run: Run) -> None:
    report = run.convert('id,a,b\n1,NULL,\\N\n2,"NULL",x\nNULL,x,x\n', input={"null_values": ["NULL", "\\N"]}, **BOTH)
    assert run.lines == ['2\t"b"="x"']
    assert report.records["rejected"] == {"id_missing": 1}
    assert report.records["skipped"] == {"no_signal": 1}


def test_files_are_matched_by_column_name_and_read_in_order(run: Run) -> None:
    (run.folder / "data").mkdir()
    run.write("b,id,a\n2,1,1\n", "data/one.csv")
    run.write("id;other;a;b\n2;?;1;2\n", "data/two.csv")
    TABLE.tail(1).write_parquet(run.folder / "data" / "z.parquet")
    expected = ['1\t"a"="1","b"="2"', '2\t"a"="1","b"="2"', LINES[2]]
    for path in (
        [str(run.folder / "data" / "*.csv"), str(run.folder / "data" / "*.parquet")],
        [str(run.folder / "data" / name) for name in ("one.csv", "two.csv", "z.parquet")],
        str(run.folder / "data" / "*.[cp]*"),
    ):
        run.convert(input={"path": path}, **BOTH)
        assert run.lines == expected
        for file in run.out.iterdir():
            file.unlink()


def test_typed_values_have_one_documented_text_form(run: Run) -> None:
    utc = datetime.UTC
    columns = {
        "id": ([1, 2], pl.Int64),
        "int": ([-5, 2**62], pl.Int64),
        "float": ([12.5, 1e21], pl.Float64),
        "tiny": ([1.25e-7, float("nan")], pl.Float64),
        "single": ([0.1, float("inf")], pl.Float32),
        "decimal": ([Decimal("12.30"), Decimal("-0.01")], pl.Decimal(10, 2)),
        "bool": ([True, False], pl.Boolean),
        "date": ([datetime.date(2024, 1, 31), None], pl.Date),
        "when": ([datetime.datetime(2024, 1, 31, 13, 5), datetime.datetime(2024, 1, 31, 13, 5, 0, 250_000)], pl.Datetime("us")),
        "zoned": ([datetime.datetime(2024, 1, 31, 13, 5, tzinfo=utc)] * 2, pl.Datetime("us", "Europe/Berlin")),
        "time": ([datetime.time(13, 5), datetime.time(0, 0, 1)], pl.Time),
        "category": (["x", "y"], pl.Categorical),
        "traits": ([[7, 8], [None, 9]], pl.List(pl.Int32)),
    }  # fmt: skip
    table = pl.DataFrame({name: pl.Series(values, dtype=type_) for name, (values, type_) in columns.items()})
    table.write_parquet(run.folder / "in.parquet")
    signals = [name for name in columns if name not in ("id", "traits")]
    run.convert(input={"path": str(run.folder / "in.parquet")}, record={"signals": signals, "traits": ["traits"]})
    assert run.lines == [
        '1\t"int"="-5","float"="12.5","tiny"="0.000000125","single"="0.1","decimal"="12.30","bool"="true",'
        '"date"="2024-01-31","when"="2024-01-31 13:05:00","zoned"="2024-01-31 13:05:00Z","time"="13:05:00",'
        '"category"="x",d_sid=7,d_sid=8',
        '2\t"int"="4611686018427387904","float"="1000000000000000000000","decimal"="-0.01","bool"="false",'
        '"when"="2024-01-31 13:05:00.250","zoned"="2024-01-31 13:05:00Z","time"="00:00:01","category"="y",d_sid=9',
    ]


def test_bad_values_in_typed_formats_are_found_in_the_finished_text(run: Run) -> None:
    pl.DataFrame({"id": ["1", "2", "3"], "a": ['q"q', "fine", "t\tt"]}).write_parquet(run.folder / "in.parquet")
    report = run.convert(input={"path": str(run.folder / "in.parquet")})
    assert run.lines == ['1\t"a"="q\'q"', '2\t"a"="fine"', '3\t"a"="t t"']
    assert report.signals["changed"] == {"value_cleaned": 2}


@pytest.mark.parametrize("type_", [pl.Float64, pl.Boolean, pl.Date, pl.List(pl.String)])
def test_a_column_that_cannot_keep_ids_is_refused(run: Run, type_: pl.DataType) -> None:
    pl.DataFrame({"id": pl.Series([None], dtype=type_), "a": ["x"]}).write_parquet(run.folder / "in.parquet")
    with raises(ColumnError, "E-COLUMN-TYPE", "'id'", str(type_)):
        run.convert(input={"path": str(run.folder / "in.parquet")})


def test_a_list_is_no_id(run: Run) -> None:
    pl.DataFrame({"id": [["1"]], "a": [1]}).write_parquet(run.folder / "in.parquet")
    with raises(ColumnError, "E-COLUMN-TYPE", "'id'", "List"):
        run.convert(input={"path": str(run.folder / "in.parquet")})


def test_ndjson_keeps_every_digit_and_takes_lists_of_traits(run: Run) -> None:
    content = (
        '{"id": 68079982765673198504052656074456196039, "a": 12.30, "t": [1, 2]}\n'
        '{"id": "x\\"y", "a": 9223372036854775808, "t": ["3","4"]}\n'
        '{"id": "2", "a": true, "t": "5|6"}\n'
        '{"id": "-3", "a": "a \\\\\\" 4, {b}: 5", "t": []}\n'
        '{"id": "4", "a": null, "t": 7}\n'
        '{"id":"5","a":-1.5e-7}\n'
    )
    run.convert(content, "in.ndjson", record={"signals": ["a"], "traits": ["t"]})
    assert run.lines == [
        '68079982765673198504052656074456196039\t"a"="12.30",d_sid=1,d_sid=2',
        'x"y\t"a"="9223372036854775808",d_sid=3,d_sid=4',
        '2\t"a"="true",d_sid=5,d_sid=6',
        '-3\t"a"="a \\\' 4, {b}: 5"',
        "4\td_sid=7",
        '5\t"a"="-1.5e-7"',
    ]


def test_f32_ndjson_lines_that_are_no_object_are_rejected_with_their_number(run: Run) -> None:
    content = b'{"id":"1","a":"x"}\n{"id":"2","a":\n\n[1]\nnull\n{"id":"3","a":"\xff"}\n{"id":"4"} {"id":"5"}\n{"id":"6","a":"y"}\n'
    report = run.convert(content, "in.ndjson")
    assert run.lines == ['1\t"a"="x"', '6\t"a"="y"']
    rejected = {"row_not_json": 4, "row_not_text": 1}
    assert report.records == {"read": 7, "written": 2, "rejected": rejected, "skipped": {}}
    assert [(row["row"], row["rule"]) for row in run.rejects] == [
        (2, "row_not_json"),
        (4, "row_not_json"),
        (5, "row_not_json"),
        (6, "row_not_text"),
        (7, "row_not_json"),
    ]


def test_f32_a_key_that_comes_late_is_read_where_the_job_names_it(run: Run) -> None:
    content = '{"id":"1"}\n' * 2000 + '{"id":"2","a":"late"}\n'
    with raises(ColumnError, "E-COLUMN-MISSING", "'a'"):
        run.convert(content, "in.ndjson")
    run.convert(content, "in.ndjson", input={"columns": ["a"]})
    assert run.lines == ['2\t"a"="late"']


DAMAGED = {
    "truncated gzip": ("in.csv.gz", gzip.compress(CSV * 1000)[:-20], "E-INPUT-DAMAGED"),
    "wrong checksum": ("in.csv.gz", gzip.compress(CSV)[:-8] + b"\1\2\3\4" + gzip.compress(CSV)[-4:], "E-INPUT-DAMAGED"),
    "junk after the end": ("in.csv.gz", gzip.compress(CSV) + b"junk", "E-INPUT-DAMAGED"),
    "truncated zstd": ("in.csv.zst", zstd.compress(CSV * 1000)[:-9], "E-INPUT-DAMAGED"),
    "bzip2": ("in.csv", b"BZh91AY&SY", "E-INPUT-DAMAGED"),
    "zip": ("in.csv", b"PK\x03\x04....", "E-INPUT-DAMAGED"),
    "no file at all": ("in.csv", b"", "E-INPUT-EMPTY"),
    "header only": ("in.csv", b"id,a\n", "E-NO-ROWS"),
    "CR-only": ("in.csv", b"id,a\r1,x\r2,y\r", "E-LINE-ENDS"),
    "an open quote in the header": ("in.csv", b'id,"a\n1,x\n', "E-HEADER-QUOTES"),
    "UTF-16 without a mark": ("in.csv", CSV.decode().encode("utf-16-le"), "E-HEADER-NUL"),
    "a header in another encoding": ("in.csv", "id,a,größe\n1,x,2\n".encode("cp1252"), "E-INPUT-ENCODING"),
    "broken UTF-16": ("in.csv", b"\xff\xfei\0d\0,\0a\0\n\0\x00\xd8", "E-INPUT-ENCODING"),
    "no Parquet": ("in.parquet", b"PAR1 but not really", "E-INPUT-DAMAGED"),
    "no Arrow": ("in.arrow", b"ARROW1 but not really", "E-INPUT-DAMAGED"),
    "no Arrow stream": ("in.arrow", b"\xff\xff\xff\xff not at all", "E-INPUT-DAMAGED"),
    "an unknown suffix": ("in.pdf", b"?", "E-FORMAT-UNKNOWN"),
    "Parquet in gzip": ("in.parquet.gz", gzip.compress(b"?"), "E-INPUT-PACKED"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_f27_to_f33_damaged_input_is_one_sentence_with_the_files_name_and_sends_nothing(run: Run, kind: str) -> None:
    name, content, code = DAMAGED[kind]
    with raises(InputError, code) as raised:
        run.convert(content, name)
    assert kind == "header only" or name in str(raised.value)
    assert run.files == []


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7, 0.95])
def test_f33_flipped_bytes_in_parquet_are_one_sentence_or_harmless(run: Run, place: float) -> None:
    path = run.folder / "in.parquet"
    pl.DataFrame({"id": [f"user{n}" for n in range(5000)], "a": [str(n % 7) for n in range(5000)]}).write_parquet(path)
    content = bytearray(path.read_bytes())
    start = int(len(content) * place)
    for offset in range(start, start + 8):
        content[offset % len(content)] ^= 0xFF
    path.write_bytes(content)
    try:
        report = run.convert(input={"path": str(path)})
    except ConverterError as error:
        assert error.exit_code == 1
        assert "user" not in str(error)
        assert run.files == []
    else:
        assert report.records["read"] == 5000


def test_f30_a_missing_column_names_the_nearest(run: Run) -> None:
    with raises(ColumnError, "E-COLUMN-MISSING", "'crm_id'", "'CRM-ID'?", "'CRM-ID', 'a'"):
        run.convert("CRM-ID,a\n1,x\n", id={"column": "crm_id"})


def test_f30_a_column_that_is_there_twice_is_refused_where_it_is_used(run: Run) -> None:
    with raises(ColumnError, "E-COLUMN-REPEATED", "'a'"):
        run.convert("id,a,a\n1,x,y\n")
    run.convert("id,a,z,z\n1,x,y,y\n")
    assert run.lines == ['1\t"a"="x"']


def test_columns_of_the_job_and_of_the_file_must_be_as_many(run: Run) -> None:
    with raises(ColumnError, "E-HEADER-FIELDS", " 3 ", "input.columns", " 2"):
        run.convert(CSV, input={"header": False, "columns": ["id", "a"]})


def test_places_that_cannot_be_read_yet_are_refused(run: Run) -> None:
    with raises(JobError, "E-INPUT-REMOTE"):
        run.convert(input={"path": "scp://host/key"})


def test_paths_that_name_nothing_say_so(run: Run) -> None:
    run.write(CSV, "crm.csv")
    (run.folder / "empty").mkdir()
    for path, named in {
        "crn.csv": ["crn.csv'", "'crm.csv'?"],
        "*.parquet": ["*.parquet'"],
        "empty": ["empty'"],
    }.items():
        with raises(InputError, "E-INPUT-MISSING", *named):
            run.convert(input={"path": str(run.folder / path)})


def test_f28_rows_that_cannot_be_taken_apart_are_rejected_without_their_text(run: Run) -> None:
    content = b'id,a\n1,x\n2\n3,x,y\n4,"x\n5,\xff\n6,"two\nlines"\n7\n'
    report = run.convert(content)
    assert run.lines == ['1\t"a"="x"', '6\t"a"="two lines"']
    assert report.records["rejected"] == {"row_misquoted": 1, "row_not_text": 1, "row_too_long": 1, "row_too_short": 2}
    assert run.rejects == [
        {
            "file": str(run.folder / "in.csv"),
            "row": 3,
            "unit": "line",
            "rule": "row_too_short",
            "code": "F1",
            "length": 1,
            "lines": 1,
        },
        {
            "file": str(run.folder / "in.csv"),
            "row": 4,
            "unit": "line",
            "rule": "row_too_long",
            "code": "F2",
            "length": 5,
            "lines": 1,
        },
        {
            "file": str(run.folder / "in.csv"),
            "row": 5,
            "unit": "line",
            "rule": "row_misquoted",
            "code": "F3",
            "length": 4,
            "lines": 1,
        },
        {
            "file": str(run.folder / "in.csv"),
            "row": 6,
            "unit": "line",
            "rule": "row_not_text",
            "code": "C9",
            "length": 3,
            "lines": 1,
        },
        {
            "file": str(run.folder / "in.csv"),
            "row": 9,
            "unit": "line",
            "rule": "row_too_short",
            "code": "F1",
            "length": 1,
            "lines": 1,
        },
    ]


def test_the_text_of_such_rows_is_kept_where_asked_and_only_for_the_owner(run: Run) -> None:
    run.convert("id,a\n1,x\nsecret\n", report={"show_rows": True})
    assert run.rejects[0]["text"] == "secret"
    (path,) = (run.folder / "reports").glob("*.rejects.ndjson.gz")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_row_may_be_longer_than_a_block_and_one_without_end_is_rejected(run: Run) -> None:
    long = "y" * 3000
    path = run.write(f'id,a\n1,"{long}"\n2,x\n3,"open\n' + "4,x\n" * 2000)
    job = run.make_job()
    source = DelimitedSource(LocalFile.at(path), job.input, block=256, longest_row=4096)
    blocks = [task.parse(None) for task in source.blocks(("id", "a"), None, Budget())]
    rows = [row for block in blocks for row in block.rest.frame().rows()]
    assert rows == [("1", long), ("2", "x")] + [("4", "x")] * 2000
    before = itertools.accumulate((piece.numbers for block in blocks for piece in block.pieces), initial=0)
    pairs = zip(before, blocks, strict=False)
    malformed = [(start + row, rule) for start, block in pairs for row, rule, _ in malformed_rows(block.malformed)]
    assert malformed == [(3, "row_misquoted")]


HEADERS = {
    "short": b"id,a\n",
    "blank lines before it": b"\r\n" * 200_000 + b"id,a\n",
    "long": b"id," + b"x" * 100_000 + b",a\n",
    "with newlines": b'id,"' + b"two\n" * 25_000 + b'lines",a\n',
    "with quotes where reading continues": b'id,"' + b'""' * 50_000 + b'",a\n',
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_is_found_whatever_its_length_and_no_more_is_read_than_for_that(
    run: Run, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = HEADERS[kind]
    path = run.write(header + b"1,x,y\n" * 500_000)
    asked = []
    original = TextStream.readinto
    monkeypatch.setattr(
        TextStream, "readinto", lambda stream, buffer: (asked.append(len(buffer)), original(stream, buffer))[1]
    )
    source = DelimitedSource(LocalFile.at(path), run.make_job(input={"separator": ","}).input)
    assert (source.body.skipped, source.body.lines) == (len(header), header.count(b"\n"))
    assert (source.names[0], source.names[-1]) == ("id", "a")
    assert len(header) <= sum(asked) <= max(2 * len(header), 1 << 16)


def test_compressed_sizes_are_what_progress_counts(run: Run) -> None:
    seen = []
    content = gzip.compress(b"id,a\n" + b"1,x\n" * 100_000)
    assert zlib.crc32(content)
    from converter import convert

    run.write(content, "in.csv.gz")
    convert(run.make_job(input={"path": str(run.folder / "in.csv.gz")}), progress=seen.append)
    assert seen[-1].bytes_read == seen[-1].bytes_total == len(content)
    assert seen[-1].rows == 100_000


@pytest.mark.parametrize("path, why", [("gone.csv", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path, path: str, why: str) -> None:
    with raises(InputError, "E-INPUT-READ", why):
        TextStream(LocalFile(tmp_path / path, 1, 1))
    with raises(InputError, "E-INPUT-READ", "gone.csv'", "No such file"):
        LocalFile.at(tmp_path / "gone.csv")


@pytest.mark.parametrize("name", ["gone.parquet", "gone.arrow"])
def test_a_table_that_cannot_be_opened_is_an_error(tmp_path: Path, name: str) -> None:
    with raises(InputError, "E-INPUT-READ", name, "No such file"):
        open_source(LocalFile(tmp_path / name, 1, 1), Input(path=(name,)), ())


@pytest.mark.skipif(sys.platform != "linux", reason="such a file is at hand on Linux only")
def test_a_file_that_the_system_cannot_read_is_an_error(tmp_path: Path) -> None:
    with raises(InputError, "E-INPUT-READ", "'/proc/self/mem'", "Input/output error"):
        TextStream(LocalFile(Path("/proc/self/mem"), 1, 1))


def test_a_line_without_an_end_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "_LONGEST_LINE", 1 << 20)
    content = b'{"id": "1", "a": "x"}\n{"id": "' + b"x" * (1 << 24)
    with raises(InputError, "E-LINE-ENDLESS", "1 MiB"):
        run.convert(content, name="in.ndjson")
    path = run.write(b"id,a\nu,x\n" + b"x" * 5000)
    source = DelimitedSource(LocalFile.at(path), run.make_job().input, block=128, longest_row=1000)
    with raises(InputError, "E-LINE-ENDLESS"):
        [task.parse(None) for task in source.blocks(("id", "a"), None, Budget())]


def test_a_file_of_which_every_row_needs_care_is_converted_to_its_end(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_BLOCK_ROWS", 16)
    path = run.folder / "in.parquet"
    table = pl.DataFrame({"id": [f" é{number}" for number in range(200)], "a": ["x"] * 200})
    table.write_parquet(path, row_group_size=50)
    run.convert(input={"path": str(path)})
    assert run.lines == [f'é{number}\t"a"="x"' for number in range(200)]
