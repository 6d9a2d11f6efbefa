"""What must not go wrong with the input: each row comes out as it stands, or is rejected with its line, or the run stops.

`f27` and so on are the faults: 27 packing, 28 rows, 29 encodings, 30 headers, 31 nothing to send, 32 NDJSON,
33 typed files, 34 odd text.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from converter.errors import ColumnError, ConverterError, EmptyInputError, EngineError, InputError, ResourcesError
from converter.sources import engine, ndjson, tables
from converter.sources.base import Budget
from converter.sources.delimited import DelimitedSource
from converter.sources.ndjson import NdjsonSource
from converter.sources.origins.local import LocalFile

from . import reference
from .conftest import Run, converted
from .errors import check_named, check_told, raises
from .scanner import scan

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROWS = b"".join(b"u%d,x,1\n" % number for number in range(200))
CSV = b"id,a,b\n" + ROWS
NDJSON = b"".join(b'{"id":"u%d","a":"x"}\n' % number for number in range(200))
TEXTS = {"in.csv": CSV, "in.tsv": CSV.replace(b",", b"\t"), "in.ndjson": NDJSON}
LINES = [f'u{number}\t"a"="x"' for number in range(200)]


def blocks_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Have files read in blocks of so many bytes."""
    for source in (DelimitedSource, NdjsonSource):
        monkeypatch.setitem(source.__init__.__kwdefaults__ or {}, "block", size)


# --- 27: packing ------------------------------------------------------------------------------------------------


def checked(text: bytes) -> bytes:
    return zstd.compress(text, options={zstd.CompressionParameter.checksum_flag: 1})


def wrong(packed: bytes, place: int) -> bytes:
    """Change one byte, counted from the end."""
    changed = bytearray(packed)
    changed[-place] ^= 0x10
    return bytes(changed)


GZIP_TRAILER, ZSTD_CHECKSUM = 8, 4
NO_DEFLATE = gzip.compress(b"")[:2] + b"\7" + gzip.compress(b"")[3:]
UNPACKED_WRONGLY: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "cut in the header": (gzip.compress, lambda packed: packed[:5]),
    "cut after the header": (gzip.compress, lambda packed: packed[:10]),
    "cut in the data": (gzip.compress, lambda packed: packed[: len(packed) // 2]),
    "without trailer": (gzip.compress, lambda packed: packed[:-GZIP_TRAILER]),
    "without its last byte": (gzip.compress, lambda packed: packed[:-1]),
    "wrong checksum": (gzip.compress, lambda packed: wrong(packed, 8)),
    "wrong length": (gzip.compress, lambda packed: wrong(packed, 1)),
    "wrong method": (gzip.compress, lambda packed: NO_DEFLATE),
    "text after the end": (gzip.compress, lambda packed: packed + b"u9,x,1\n"),
    "one byte after the end": (gzip.compress, lambda packed: packed + b"\n"),
    "a second member that is cut": (gzip.compress, lambda packed: packed + packed[:-20]),
    "a second member of but two bytes": (gzip.compress, lambda packed: packed + packed[:2]),
    "a second member with a wrong checksum": (gzip.compress, lambda packed: packed + wrong(packed, 8)),
    "zstd after the end": (gzip.compress, lambda packed: packed + zstd.compress(b"u9,x,1\n")),
    "zstd cut in the header": (checked, lambda packed: packed[:4]),
    "zstd cut in the data": (checked, lambda packed: packed[: len(packed) // 2]),
    "zstd without checksum that has one": (checked, lambda packed: packed[:-ZSTD_CHECKSUM]),
    "zstd with a wrong checksum": (checked, lambda packed: wrong(packed, 1)),
    "text after zstd": (checked, lambda packed: packed + b"u9,x,1\n"),
    "zeros after zstd": (checked, lambda packed: packed + bytes(8)),
    "a second frame that is cut": (checked, lambda packed: packed + packed[:-9]),
    "a second frame with a wrong checksum": (checked, lambda packed: packed + wrong(packed, 1)),
}


@pytest.mark.parametrize("kind", UNPACKED_WRONGLY)
def test_f27_what_cannot_be_unpacked_to_its_end_is_an_error_with_the_files_name(
    fresh_run: Callable[[], Run], kind: str
) -> None:
    pack, damage = UNPACKED_WRONGLY[kind]
    for name in ("in.csv", "in.ndjson"):
        run = fresh_run()
        with raises(InputError, "E-INPUT-DAMAGED", f"{name}.packed'") as raised:
            run.convert(damage(pack(TEXTS[name])), name + ".packed", input={"format": name[3:]})
        assert raised.value.exit_code == 1
        assert run.files == []


def test_f27_gzip_cut_at_any_byte_is_noticed(tmp_path: Path) -> None:
    packed = gzip.compress(b"id,a\n" + b"u1,x\n" * 20)
    path = tmp_path / "in.csv.gz"
    for size in range(2, len(packed)):
        path.write_bytes(packed[:size])
        with raises(InputError, "E-INPUT-DAMAGED", path.name):
            list(
                DelimitedSource(LocalFile.at(path), Run(tmp_path).make_job().input).blocks(("id", "a"), None, Budget())
            )


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_f27_many_members_are_one_file_wherever_rows_are_torn_between_them(
    run: Run, pack: Callable[[bytes], bytes], name: str
) -> None:
    text = TEXTS[name]
    members = [text[start : start + 97] for start in range(0, len(text), 97)]
    run.convert(b"".join(map(pack, [b"", *members, b""])), name)
    assert run.lines == LINES


def test_f27_zeros_that_fill_up_a_gzip_file_are_no_junk(run: Run) -> None:
    run.convert(gzip.compress(CSV) + bytes(512), "in.csv.gz")
    assert run.lines == LINES


# --- 28: rows that are short, long, torn, misquoted, not text -----------------------------------------------------

GOOD = [b"u1,x,1\n", b'u2,"a,b",2\n', b"u3,,\n", '"u4",é,\r\n'.encode(), b'u5,"x",5\n', b"u6,a b,6\n"]
CONSTANT = {"signals": ["a", {"key": "k", "value": "v"}]}
POLLUTED = {
    "one field": (b"bad\n", "row_too_short"),
    "two fields": (b"bad,x\n", "row_too_short"),
    "torn after a separator": (b"bad,\n", "row_too_short"),
    "two fields and CRLF": (b"bad,x\r\n", "row_too_short"),
    "another separator": (b"bad;x;1\n", "row_too_short"),
    "a space": (b" \n", "row_too_short"),
    "one quoted empty field": (b'""\n', "row_too_short"),
    "the end mark of old systems": (b"\x1a\n", "row_too_short"),
    "a quoted separator too many": (b'bad,"x,1"\n', "row_too_short"),
    "short with a newline in quotes": (b'bad,"a\nb"\n', "row_too_short"),
    "four fields": (b"bad,x,1,2\n", "row_too_long"),
    "a separator at the end": (b"bad,x,1,\n", "row_too_long"),
    "two rows in one": (b"bad,x,1bad,x,1\n", "row_too_long"),
    "rows that end in CR alone": (b"bad,x,1\rbad,x,1\rbad,x,1\n", "row_too_long"),
    "long with a newline in quotes": (b'bad,"a\nb",1,2\n', "row_too_long"),
    "a quote that is never closed": (b'bad,"x,1\n', "row_misquoted"),
    "a quote that is never opened": (b'bad,"x"",1\n', "row_misquoted"),
    "text after a closing quote": (b'bad,"x"z,1\n', "row_misquoted"),
    "a space after a closing quote": (b'bad,"x" ,1\n', "row_misquoted"),
    "a return after a closing quote": (b'bad,"x"\r,1\n', "row_misquoted"),
    "an ID that is not UTF-8": (b"b\xe4d,x,1\n", "row_not_text"),
    "a signal that is not UTF-8": (b"bad,\xff,1\n", "row_not_text"),
    "another column that is not UTF-8": (b"bad,x,\xff\n", "row_not_text"),
    "a character cut short": (b"bad,x,\xe2\x82\n", "row_not_text"),
    "half of a surrogate pair": (b"bad,\xed\xa0\x80,1\n", "row_not_text"),
    "a character in too many bytes": (b"bad,\xc0\xaf,1\n", "row_not_text"),
    "short and not UTF-8": (b"bad,\xff\n", "row_not_text"),
}
PLACES = {"first": 0, "middle": 9, "last": 18, "last without a newline": 18}


@pytest.mark.parametrize(
    "place, packed", [*((place, False) for place in PLACES), ("first", True), ("last without a newline", True)]
)
def test_f28_a_polluted_row_is_rejected_with_its_line_and_all_others_are_written(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: str, packed: bool
) -> None:
    good = GOOD * 3
    before, after = b"".join(good[: PLACES[place]]), b"".join(good[PLACES[place] :])
    fields: list[list[str]] = []
    files, expected = [], []
    for number, (polluted, rule) in enumerate(POLLUTED.values()):
        body = before + polluted + after
        rows, bad, _ = scan(body, 3)
        fields += [found for _, found in rows]
        content = b"id,a,b\n" + (body[:-1] if place == "last without a newline" else body)
        path = run.write(gzip.compress(content) if packed else content, f"{number:03}.csv" + ".gz" * packed)
        assert [(line, found) for line, found, _ in bad] == [(before.count(b"\n"), rule)]
        files.append(str(path))
        expected.append((str(path), 2 + before.count(b"\n"), rule, len(polluted) - 1))
    blocks_of(monkeypatch, 4096 if packed else 97)
    report = run.convert(input={"path": files}, record={"signals": ["a", "b", {"key": "k", "value": "v"}]})
    assert [(row["file"], row["row"], row["rule"], row["length"]) for row in run.rejects] == expected
    assert not any("columns" in row or "text" in row for row in run.rejects)
    named = (dict(zip(("id", "a", "b"), found, strict=True)) for found in fields)
    assert [f"{line}\n" for line in run.lines] == list(reference.lines(named, run.report["job"]))
    assert len(run.lines) == len(good) * len(POLLUTED) == report.records["written"]
    assert report.records["read"] == report.records["written"] + len(POLLUTED)
    assert sum(report.records["rejected"].values()) == len(POLLUTED)


@pytest.mark.parametrize("kind", POLLUTED)
def test_f28_a_polluted_row_is_found_wherever_a_block_ends_in_it(run: Run, kind: str) -> None:
    polluted, rule = POLLUTED[kind]
    before = b"".join(GOOD)
    path = run.write(b"id,a,b\n" + before + polluted + b"".join(GOOD) * 2)
    for inside in {len(polluted) // 2, len(polluted) - 1}:
        text, rejects, ledger = converted(
            DelimitedSource, path, run.make_job(record=CONSTANT), len(before) + inside + 1
        )
        assert text.count(b"\n") == 18
        assert rejects == [(8, rule, polluted[:-1])]
        assert (ledger.read, ledger.written) == (19, 18)


def test_f28_all_kinds_of_polluted_rows_in_one_file_are_rejected_in_its_order(
    fresh_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A quote that is not closed is closed by the next one, wherever that is: such rows are for the test above.
    kinds = [kind for kind, (row, _) in POLLUTED.items() if row.count(b'"') % 2 == 0]
    body = b"".join(b"".join(GOOD) * 4 + POLLUTED[kind][0] for kind in kinds)
    rows, bad, _ = scan(body, 3)
    assert len(bad) == len(kinds)
    for block in (1 << 20, 500):
        blocks_of(monkeypatch, block)
        run = fresh_run()
        report = run.convert(b"id,a,b\n" + body, record=CONSTANT)
        assert len(run.lines) == len(rows) == report.records["written"]
        assert [(reject["row"], reject["rule"]) for reject in run.rejects] == [
            (2 + line, rule) for line, rule, _ in bad
        ]
        assert report.records["read"] == len(rows) + len(bad)


ONE_COLUMN = {
    "a separator": (b"bad,x\n", "row_too_long"),
    "an open quote": (b'"bad\n', "row_misquoted"),
    "not UTF-8": (b"b\xff\n", "row_not_text"),
    "an empty field in quotes": (b'""\n', "id_missing"),
    "spaces": (b"  \n", "id_missing"),
    "rows that end in CR alone": (b"bad\rbad\rbad\n", "id_forbidden_character"),
    "a newline in quotes": (b'"bad\nbad"\n', "id_forbidden_character"),
    "a NUL": (b"b\0d\n", "id_forbidden_character"),
}


@pytest.mark.parametrize("kind", ONE_COLUMN)
def test_f28_polluted_rows_of_one_column_are_rejected_with_their_line(run: Run, kind: str) -> None:
    row, rule = ONE_COLUMN[kind]
    report = run.convert(b"id\n" + b"u1\n\n\r\n" * 10 + row + b"u2\r\n" * 10, record={"signals": [], "traits": [7]})
    assert run.lines == ["u1\td_sid=7"] * 10 + ["u2\td_sid=7"] * 10
    breaks = {"line_breaks": 1} if kind == "a newline in quotes" else {}
    assert report.records == {"read": 21, "written": 20, "rejected": {rule: 1}, "skipped": {}, **breaks}
    assert [(reject["row"], reject["rule"]) for reject in run.rejects] == [(32, rule)]


TABS = {
    "short": (b"bad\tx\n", "row_too_short"),
    "long": (b"bad\tx\t1\t\n", "row_too_long"),
    "an open quote": (b'bad\t"x\t1\n', "row_misquoted"),
    "text after a quote": (b'bad\t"x"z\t1\n', "row_misquoted"),
    "not UTF-8": (b"bad\tx\t\xff\n", "row_not_text"),
    "commas": (b"bad,x,1\n", "row_too_short"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", TABS)
def test_f28_polluted_rows_between_tabs_are_rejected_with_their_line(run: Run, kind: str, packed: bool) -> None:
    row, rule = TABS[kind]
    good = b'u1\ta,b\t1\n"u2"\t"tab\tin it"\t2\r\n' * 10
    content = b"id\ta\tb\n" + good + row + good
    report = run.convert(
        gzip.compress(content) if packed else content, "in.tsv.gz" if packed else "in.tsv", input={"quote": '"'}
    )
    assert run.lines == ['u1\t"a"="a,b"', 'u2\t"a"="tab in it"'] * 20
    assert report.records == {"read": 41, "written": 40, "rejected": {rule: 1}, "skipped": {}}
    assert [(reject["row"], reject["rule"]) for reject in run.rejects] == [(22, rule)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("content", ["id,a\r1,x\r2,y\r", "id\r1\r2", '"id","a"\r"1","x"\r"2","y"', "\r\rid,a\r1,x\r"])
def test_f28_lines_that_end_in_cr_alone_stop_the_run_in_any_encoding(run: Run, content: str, encoding: str) -> None:
    with raises(InputError, "E-LINE-ENDS", "in.csv.gz'"):
        run.convert(gzip.compress(content.encode(encoding)), "in.csv.gz", input={"encoding": encoding})
    assert run.files == []


def test_f28_lines_that_end_in_cr_alone_after_a_sound_header_are_rejected(run: Run) -> None:
    report = run.convert(b"id,a\n" + b"u1,x\n" * 20 + b"u2,x\ru3,x\ru4,x\r")
    assert report.records == {"read": 21, "written": 20, "rejected": {"row_too_long": 1}, "skipped": {}}
    assert run.rejects[0]["row"] == 22


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_f28_line_ends_may_be_mixed_and_the_last_one_missing(run: Run, end: bytes) -> None:
    report = run.convert(b"id,a\r\n" + b'u1,x\r\nu2,"x"\nu3,x\nu4,"x"\r\n' * 10 + b'u5,"x"' + end)
    assert run.lines == [f'u{number}\t"a"="x"' for number in (1, 2, 3, 4)] * 10 + ['u5\t"a"="x"']
    assert report.records["rejected"] == {}


# --- The first row --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header, first",
    [
        (b'id,15" tv,a\n', 2),
        (b'id,"b\nc",a\n', 3),
        (b'"id","b\r\nc ""d""","a"\r\n', 3),
        (b'\n\r\nid,"x;y;z;w",a\n', 4),
        (b'id,tv 15" | 17" | 19",a\n', 2),
        (b"id," + b"x" * 200_000 + b",a\n", 2),
        (b'id,"' + b"x\n" * 100_000 + b'",a\n', 100_002),
    ],
    ids=["inches", "newline", "all quoted", "blank lines", "other separators", "a long name", "a name of many lines"],
)
def test_f28_the_first_row_is_taken_apart_by_the_rules_of_all_others(run: Run, header: bytes, first: int) -> None:
    run.convert(header + b'u1,9" tv,x\n' * 20 + b"bad,x\n" + b'u:8,9" tv,x\n')
    assert run.lines == ['u1\t"a"="x"'] * 20
    assert [reject["row"] for reject in run.rejects] == [first + 20, first + 21]


@pytest.mark.parametrize(
    "row, written",
    [
        (b'u0,"two\nlines"\n', "two lines"),
        (b'u0,"re\rturn"\r\n', "re turn"),
        (b'u0,15" tv\n', "15' tv"),
        (b'u0,"x;y;z;w"\n', "x;y;z;w"),
        (b"u0," + b"x" * 150_000 + b"\n", None),
    ],
)
def test_f28_without_a_header_the_first_row_is_a_row_like_all_others(run: Run, row: bytes, written: str | None) -> None:
    run.convert(row + b'u1,9" tv\n' * 20 + b"bad\n", input={"header": False, "columns": ["id", "a"]})
    assert run.lines == ([f'u0\t"a"="{written}"'] if written else []) + ['u1\t"a"="9\' tv"'] * 20
    found = [(reject["row"], reject["rule"]) for reject in run.rejects]
    assert found == ([] if written else [(1, "line_too_long")]) + [(21 + row.count(b"\n"), "row_too_short")]


@pytest.mark.parametrize("first", [b'id,"a"b\n', b'id,"a\n', b'"id,a\n', b'id,"a" \n', b'id,"a""\n'])
def test_f28_a_first_row_that_is_misquoted_stops_the_run(run: Run, first: bytes) -> None:
    with raises(InputError, "E-HEADER-QUOTES", "in.csv'"):
        run.convert(first + b"u1,x\n" * 20)
    assert run.files == []


def test_f28_a_first_row_without_an_end_stops_the_run(run: Run) -> None:
    path = run.write(b"id,a" + b"x" * (1 << 20) + b"\nu,x\n")
    with raises(InputError, "E-LINE-ENDLESS", "in.csv'", "1 MiB"):
        DelimitedSource(LocalFile.at(path), run.make_job().input, longest_row=100)


def test_f26_a_file_that_lost_its_header_since_it_was_opened_is_read_to_its_end(run: Run) -> None:
    path = run.write(CSV)
    source = DelimitedSource(LocalFile.at(path), run.make_job().input)
    path.write_bytes(b"id")
    assert sum(task.parse(None).rows for task in source.blocks(("id", "a"), None, Budget())) == 0


# --- 29: encodings, NUL, byte order marks -------------------------------------------------------------------------

MARKED = {
    "utf-8": b"\xef\xbb\xbf",
    "utf-16-le": b"\xff\xfe",
    "utf-16-be": b"\xfe\xff",
    "utf-32-le": b"\xff\xfe\0\0",
    "utf-32-be": b"\0\0\xfe\xff",
}


@pytest.mark.parametrize("name", [*TEXTS, "in.csv.gz", "in.csv.zst"])
@pytest.mark.parametrize("encoding", MARKED)
def test_f29_a_byte_order_mark_tells_the_encoding_whatever_the_job_says(
    tmp_path: Path, encoding: str, name: str
) -> None:
    run = Run(tmp_path)
    text = TEXTS[name.removesuffix(".gz").removesuffix(".zst")].decode()
    content = MARKED[encoding] + text.replace("x", "é😀").encode(encoding)
    if name.endswith(".gz"):
        content = gzip.compress(content)
    if name.endswith(".zst"):
        content = zstd.compress(content)
    run.convert(content, name, input={"encoding": "cp1252"})
    assert run.lines == [line.replace("x", "é😀") for line in LINES]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.csv.gz"])
def test_f29_wide_characters_without_a_mark_stop_the_run_unless_the_job_names_them(
    fresh_run: Callable[[], Run], encoding: str, name: str
) -> None:
    text = "\n" + TEXTS[name.removesuffix(".gz")].decode()
    content = gzip.compress(text.encode(encoding)) if name.endswith(".gz") else text.encode(encoding)
    run = fresh_run()
    with raises(InputError, "E-HEADER-NUL", f"{name}'", "UTF-16", "input.encoding"):
        run.convert(content, name)
    assert run.files == []
    run = fresh_run()
    run.convert(content, name, input={"encoding": encoding})
    assert run.lines == LINES


def test_f29_rows_of_another_encoding_keep_their_lines(run: Run) -> None:
    run.convert(("id,a\n" + 'u1,"é\n"\n' * 20 + "bad\n").encode("utf-16"))
    assert run.lines == ['u1\t"a"="é "'] * 20
    assert [(reject["row"], reject["rule"]) for reject in run.rejects] == [(42, "row_too_short")]


@pytest.mark.parametrize(
    "content, encoding",
    [
        (b"\xff\xfe" + CSV.decode().encode("utf-16-le")[:-1], "utf-8"),
        (b"\xff\xfe" + CSV.decode().encode("utf-16-le") + b"\0\xd8,\0", "utf-8"),
        (CSV + b"u\x81,x,1\n", "cp1252"),
        (CSV + b"u\x80,x,1\n", "ascii"),
        (CSV + b"+2AA-,x,1\n", "utf-7"),
        (CSV + b"\\ud800,x,1\n", "unicode_escape"),
        (CSV, "punycode"),
    ],
    ids=["half a character", "half a pair", "cp1252", "ascii", "utf-7", "escapes", "punycode"],
)
def test_f29_what_is_not_in_the_encoding_is_rejected_or_stops_the_run(run: Run, content: bytes, encoding: str) -> None:
    if encoding == "ascii":  # which is UTF-8 as well
        report = run.convert(content, input={"encoding": encoding})
        assert report.records == {"read": 201, "written": 200, "rejected": {"row_not_text": 1}, "skipped": {}}
        return
    with raises(InputError, "E-INPUT-ENCODING", "in.csv'", " byte "):
        run.convert(content, input={"encoding": encoding})
    assert run.files == []


@pytest.mark.parametrize(
    "header", [b"id,a,gr\xf6\xdfe\n", b'id,a,"gr\xf6\xdfe"\n', b"\n\nid,a\xff,b\n", b"i\xffd,a,b\n"]
)
def test_f29_a_header_that_is_not_utf8_stops_the_run(run: Run, header: bytes) -> None:
    with raises(InputError, "E-INPUT-ENCODING", "in.csv'", "UTF-8", "input.encoding"):
        run.convert(header + ROWS)
    assert run.files == []


@pytest.mark.parametrize("header", [b"id,a\0,b\n", b"\0id,a,b\n", b"\n\r\nid,a,\0b\n", b"\0\n", b"\0"])
def test_f29_a_nul_in_the_header_stops_the_run(run: Run, header: bytes) -> None:
    with raises(InputError, "E-HEADER-NUL", "in.csv'"):
        run.convert(header + ROWS if header.endswith(b"\n") else header)
    assert run.files == []


def test_f29_a_nul_in_a_field_is_a_control_character_like_others(run: Run) -> None:
    report = run.convert(CSV + b"u\0,x,1\nu1,x\0z,1\nu2,x,\0\nu3,\0,1\n")
    assert run.lines[200:] == ['u1\t"a"="x z"', 'u2\t"a"="x"', 'u3\t"a"=" "']
    assert [(reject["row"], reject["rule"]) for reject in run.rejects] == [(202, "id_forbidden_character")]
    assert report.signals["changed"] == {"value_cleaned": 2}


def test_f29_a_byte_order_mark_inside_a_file_gets_into_no_id(
    fresh_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = b"\xef\xbb\xbf"
    for block in (1 << 20, len(ROWS) // 2):
        blocks_of(monkeypatch, block)
        run = fresh_run()
        report = run.convert(mark + CSV + mark + b"u1,x,1\nu2," + mark + b",1\n" + mark + CSV)
        # The header that is there again is not a user.
        rejected = {"id_is_column_name": 1}
        assert report.records == {"read": 404 - 1, "written": 404 - 2, "rejected": rejected, "skipped": {}}
        assert report.ids == {"changed": {"trim": 1}}
        assert run.lines[200:202] == ['u1\t"a"="x"', 'u2\t"a"="\ufeff"']
        assert not any(line.startswith("\ufeff") for line in run.lines)


def test_f29_a_byte_order_mark_inside_ndjson_is_rejected(run: Run) -> None:
    run.convert(b"\xef\xbb\xbf" + NDJSON + b"\xef\xbb\xbf" + NDJSON, "in.ndjson")
    assert run.lines == LINES + LINES[1:]
    assert [(reject["row"], reject["rule"]) for reject in run.rejects] == [(201, "row_not_json")]


# --- 30: headers --------------------------------------------------------------------------------------------------


def typed(path: Path, table: pa.Table) -> None:
    """Write a table in the format that the name tells."""
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return
    new = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table)


TYPED = ["in.parquet", "in.arrow", "in.arrows"]


@pytest.mark.parametrize("name", TYPED)
def test_f30_columns_that_share_a_name_are_refused_in_typed_files(tmp_path: Path, name: str) -> None:
    run = Run(tmp_path)
    typed(run.folder / name, pa.table([["u1"], ["x"], ["y"]], names=["id", "a", "a"]))
    with raises(ColumnError, "E-COLUMN-REPEATED", f"{name}'", "'a'"):
        run.convert(input={"path": str(run.folder / name)})
    assert run.files == []


@pytest.mark.parametrize("header", ['id,"a",a', "id,a, a ", 'id,a,"a "', "id,\ta,a"])
@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz"])
def test_f30_columns_that_share_a_name_are_refused_however_it_is_written(run: Run, header: str, name: str) -> None:
    content = f"{header}\nu1,x,y\n".encode()
    with raises(ColumnError, "E-COLUMN-REPEATED", f"{name}'", "'a'"):
        run.convert(gzip.compress(content) if name.endswith("gz") else content, name)
    assert run.files == []


@pytest.mark.parametrize("name", [*TEXTS, *TYPED])
@pytest.mark.parametrize(
    "changes, named",
    [
        ({"id": {"column": "ID"}}, ["'ID'", "'id'?"]),
        ({"record": {"signals": ["home_town"]}}, ["'home_town'", "'id', 'a'"]),
        ({"record": {"signals": [], "traits": ["A "]}}, ["'A '", "'a'?"]),
    ],
)
def test_f30_a_missing_or_renamed_column_is_named_with_the_nearest(
    run: Run, name: str, changes: dict[str, Any], named: list[str]
) -> None:
    if name in TEXTS:
        run.write(TEXTS[name], name)
    else:
        typed(run.folder / name, pa.table({"id": ["u1"], "a": ["x"]}))
    with raises(ColumnError, "E-COLUMN-MISSING", f"{name}'", *named) as raised:
        run.convert(input={"path": str(run.folder / name)}, **changes)
    assert raised.value.exit_code == 2
    assert run.files == []


def test_f30_a_column_missing_in_the_second_file_stops_the_run_before_the_first(run: Run) -> None:
    paths = [str(run.write("id,a\nu1,x\n", "one.csv")), str(run.write("id,A\nu2,x\n", "two.csv"))]
    with raises(ColumnError, "E-COLUMN-MISSING", "two.csv'", "'a'", "'A'?"):
        run.convert(input={"path": paths})
    assert run.files == []


def test_f30_f35_names_are_shown_short_visible_and_without_addresses(run: Run) -> None:
    with raises(ColumnError, "E-COLUMN-MISSING") as raised:
        run.convert("i\ufeffd,t\u202ext,john.doe@example.com," + "x" * 1000 + ',"two\nlines"\nu1,x,1,2,3\n')
    message = str(raised.value)
    check_named(message, "'id'", r"'i\ufeffd'", r"'i\ufeffd', 't\u202ext', '…@…',", r"'two\nlines'")
    assert "x" * 61 not in message
    assert "example" not in message


# --- 31: nothing to send ------------------------------------------------------------------------------------------

NO_ROWS = {
    "in.csv": b"id,a",
    "in.csv.gz": gzip.compress(b"id,a\r\n\r\n"),
    "in.csv.zst": zstd.compress(b"id,a\n"),
    "in.tsv": b"\xef\xbb\xbfid\ta\n",
    "in.txt": '"id";"a"\n'.encode("utf-16"),
}


@pytest.mark.parametrize("name", NO_ROWS)
def test_f31_a_header_alone_is_an_error_and_nothing_is_sent(run: Run, name: str) -> None:
    with raises(EmptyInputError, "E-NO-ROWS", "(C10)"):
        run.convert(NO_ROWS[name], name)
    assert run.files == []


@pytest.mark.parametrize("name", TYPED)
def test_f31_columns_without_rows_are_an_error_and_nothing_is_sent(tmp_path: Path, name: str) -> None:
    run = Run(tmp_path)
    typed(run.folder / name, pa.table({"id": pa.array([], pa.string()), "a": pa.array([], pa.string())}))
    with raises(EmptyInputError, "E-NO-ROWS", "(C10)"):
        run.convert(input={"path": str(run.folder / name)})
    assert run.files == []


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.ndjson"])
@pytest.mark.parametrize(
    "content",
    [b"\n", b"\r\n\n\n", b"\xef\xbb\xbf", gzip.compress(b""), zstd.compress(b"\n")],
    ids=["a blank line", "blank lines", "a mark", "gzip", "zstd"],
)
def test_f31_a_file_with_nothing_in_it_is_an_error_with_its_name(run: Run, name: str, content: bytes) -> None:
    with raises(InputError, "E-INPUT-EMPTY", f"{name}'"):
        run.convert(content, name)
    assert run.files == []


@pytest.mark.parametrize(
    "content, name, rule",
    [
        (b"id,a\nshort\n", "in.csv", "row_too_short: 1"),
        (b"id,a\nu:1,x\n,x\nu:2,x\n", "in.csv", "id_forbidden_character: 2"),
        (b"id\ta\nu1\t\n", "in.tsv", "no_signal: 1"),
        (b'{"id":"u1","a":""}\n', "in.ndjson", "no_signal: 1"),
        (b'{"id"}\n', "in.ndjson", "row_not_json: 1"),
    ],
)
def test_f31_no_row_that_survives_is_an_error_that_names_the_rule(
    run: Run, content: bytes, name: str, rule: str
) -> None:
    with raises(EmptyInputError, "E-NO-ROW-LEFT", rule, "(C10)"):
        run.convert(content, name, input={"columns": ["id", "a"] if name.endswith("ndjson") else []})
    assert run.files == []
    assert run.report["parts"] == []
    assert run.report["records"]["written"] == 0


# --- 32: NDJSON ---------------------------------------------------------------------------------------------------

NO_OBJECTS = {
    "cut after a key": b'{"id":',
    "cut in a text": b'{"id":"bad","a":"x',
    "cut before its end": b'{"id":"bad","a":"x"',
    "cut in a number": b'{"id":"bad","a":1.',
    "cut in an escape": b'{"id":"bad","a":"\\',
    "a list": b'["bad"]',
    "a text": b'"bad"',
    "a number": b"7",
    "null": b"null",
    "spaces": b"   ",
    "a control character": b"\x1a",
    "two objects": b'{"id":"bad","a":"x"} {"id":"bad","a":"x"}',
    "objects that end in CR alone": b'{"id":"bad","a":"x"}\r{"id":"bad","a":"x"}',
    "a comma after it": b'{"id":"bad","a":"x"},',
    "a comma too many": b'{"id":"bad","a":"x",}',
    "a bracket too many": b'{"id":"bad","a":"x"}}',
    "single quotes": b"{'id':'bad','a':'x'}",
    "a comment": b'{"id":"bad","a":"x"} // x',
    "no colon": b'{"id" "bad","a":"x"}',
    "no comma": b'{"id":"bad" "a":"x"}',
    "a key that is a number": b'{"id":"bad","a":"x",7:"x"}',
    "a key that is a number and a space": b'{"id":"bad","a":"x",7 :"x"}',
    "a minus alone": b'{"id":"bad","a":-}',
    "two minuses": b'{"id":"bad","a":--5}',
    "a minus inside": b'{"id":"bad","a":1-2}',
    "a plus": b'{"id":"bad","a":+5}',
    "a point without digits before": b'{"id":"bad","a":.5}',
    "a point without digits after": b'{"id":"bad","a":5.}',
    "two points": b'{"id":"bad","a":1.2.3}',
    "an exponent without digits": b'{"id":"bad","a":1e}',
    "a date": b'{"id":"bad","a":2024-01-31}',
    "a hexadecimal number": b'{"id":"bad","a":0x1f}',
    "a number and a word": b'{"id":"bad","a":5true}',
    "a number and a text": b'{"id":"bad","a":5"x"}',
    "two numbers": b'{"id":"bad","a":5 5}',
    "not a number": b'{"id":"bad","a":NaN}',
    "infinity": b'{"id":"bad","a":-Infinity}',
    "a wrong number in another column": b'{"id":"bad","a":"x","z":[1,{"y":1.}]}',
    "a word": b'{"id":"bad","a":nil}',
    "half a word": b'{"id":"bad","a":tru}',
    "an unknown escape": b'{"id":"bad","a":"\\q"}',
    "half a surrogate pair": b'{"id":"bad","a":"\\ud83d"}',
    "the other half": b'{"id":"bad","a":"\\uDE00"}',
    "halves the wrong way round": b'{"id":"bad","a":"\\ude00\\ud83d"}',
    "half a pair in another column": b'{"id":"bad","a":"x","z":"\\ud83dx"}',
    "a tab in a text": b'{"id":"bad","a":"x\ty"}',
    "a NUL in a text": b'{"id":"bad","a":"x\0y"}',
    "a NUL after it": b'{"id":"bad","a":"x"}\0',
    "brackets that are never closed": b'{"id":"bad","a":"x","z":' + b"[" * 20_000,
    "nesting without measure": b'{"id":"bad","a":"x","z":' + b"[" * 3000 + b"]" * 3000 + b"}",
}
NOT_TEXT = {
    "an ID that is not UTF-8": b'{"id":"\xff","a":"x"}',
    "a value that is not UTF-8": b'{"id":"bad","a":"\xe4"}',
    "a key that is not UTF-8": b'{"id":"bad","a":"x","\xff":1}',
    "another column that is not UTF-8": b'{"id":"bad","a":"x","z":["\xff"]}',
    "half a surrogate pair in bytes": b'{"id":"bad","a":"\xed\xa0\x80"}',
    "a character in too many bytes": b'{"id":"bad","a":"\xc0\xaf"}',
    "no JSON either": b"\xff\xfe",
}
GOOD_JSON = b'{"id":"u1","a":"x"}\r\n\n{"id":250,"a":-7, "z":[1,{"y":"\\ud83d\\ude00"}]}\n{"a":"\\"5, {","id":"u3"}\n'


WRONG_LINES = dict.fromkeys(NO_OBJECTS.values(), "row_not_json") | dict.fromkeys(NOT_TEXT.values(), "row_not_text")
GOOD_LINES = ['u1\t"a"="x"', '250\t"a"="-7"', 'u3\t"a"="\'5, {"']


@pytest.mark.parametrize("after", [GOOD_JSON, GOOD_JSON + b"[]\n", b""], ids=["alone", "with another", "at the end"])
def test_f32_a_line_that_is_no_object_is_rejected_with_its_number_whatever_stands_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bytes
) -> None:
    blocks_of(monkeypatch, 1 << 16)  # more than a file: large ones cost time to make
    run = Run(tmp_path)
    files, expected = [], []
    for number, (line, rule) in enumerate(WRONG_LINES.items()):
        path = str(run.write(GOOD_JSON + line + b"\n" * bool(after) + after, f"{number:03}.ndjson"))
        files.append(path)
        expected.append((path, 5, rule, len(line)))
        if after.endswith(b"[]\n"):
            expected.append((path, 10, "row_not_json", 2))
    report = run.convert(input={"path": files})
    assert [(row["file"], row["row"], row["rule"], row["length"]) for row in run.rejects] == expected
    assert run.lines == GOOD_LINES * (2 if after else 1) * len(files)
    assert report.records["read"] == len(run.lines) + len(expected)


@pytest.mark.parametrize("block", [1 << 20, 100], ids=["one block", "many blocks"])
def test_f32_all_lines_that_are_no_objects_are_rejected_wherever_blocks_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    blocks_of(monkeypatch, block)
    run = Run(tmp_path)
    short = {line: rule for line, rule in WRONG_LINES.items() if len(line) < 1000}
    run.convert(b"".join(GOOD_JSON + line + b"\n" for line in short), "in.ndjson")
    assert [(row["row"], row["rule"]) for row in run.rejects] == [
        (5 * number, rule) for number, rule in enumerate(short.values(), 1)
    ]
    assert run.lines == GOOD_LINES * len(short)


SOUND = {
    "2^63": ('{"id":9223372036854775808,"a":9223372036854775808}', '9223372036854775808\t"a"="9223372036854775808"'),
    "2^64": ('{"id":18446744073709551616,"a":1}', '18446744073709551616\t"a"="1"'),
    "-2^63-1": ('{"id":"u","a":-9223372036854775809}', 'u\t"a"="-9223372036854775809"'),
    "1e400": ('{"id":"u","a":1e400}', 'u\t"a"="1e400"'),
    "a tiny number": ('{"id":"u","a":-1.5E-400}', 'u\t"a"="-1.5E-400"'),
    "400 digits": ('{"id":"u","a":' + "9" * 400 + "}", 'u\t"a"="' + "9" * 400 + '"'),
    "zeros before digits": ('{"id":007,"a":-05.50,"z":0012e007}', '007\t"a"="-05.50"'),
    "zeros": ('{"id":"u","a":0,"z":[-0,0.0,0e0,10]}', 'u\t"a"="0"'),
    "a number before spaces": ('{"id" : 5 , "a" : 1.0 }', '5\t"a"="1.0"'),
    "colons after numbers in texts": ('{"id":"u","a":"7","z":"1:2 3 :4"}', 'u\t"a"="7"'),
    "a type that changes": ('{"id":77,"a":true}', '77\t"a"="true"'),
    "a key that comes late": ('{"late":1,"a":"x","id":"u","later":{}}', 'u\t"a"="x"'),
    "an escaped key": ('{"\\u0069d":"u","\\u0061":"x"}', 'u\t"a"="x"'),
    "an emoji as a pair": ('{"id":"u","a":"\\ud83d\\ude00\\uD83D\\uDE00"}', 'u\t"a"="😀😀"'),
    "a backslash before what looks like half a pair": ('{"id":"u","a":"\\\\ud83d"}', 'u\t"a"="\\ud83d"'),
    "an escaped NUL": ('{"id":"u","a":"x\\u0000y"}', 'u\t"a"="x y"'),
    "much nesting": ('{"id":"u","a":"x","z":' + "[" * 1000 + "]" * 1000 + "}", 'u\t"a"="x"'),
    "CRLF": ('{"id":"u","a":"x"}\r', 'u\t"a"="x"'),
    "a megabyte beside it": ('{"z":"' + "y" * (2 << 20) + '","id":"u","a":"x"}', 'u\t"a"="x"'),
}


@pytest.mark.parametrize("beside", ["", "\n{bad\n", "\n007\n", '\n{"id":"\n'])
def test_f32_a_sound_line_is_written_whatever_stands_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    blocks_of(monkeypatch, 1 << 16)
    run = Run(tmp_path)
    files = [str(run.write(line + beside, f"{number:03}.ndjson")) for number, (line, _) in enumerate(SOUND.values())]
    report = run.convert(input={"path": files, "columns": ["id", "a"]})
    assert run.lines == [written for _, written in SOUND.values()]
    assert [(row["file"], row["row"]) for row in run.rejects] == [(path, 2) for path in files if beside]
    assert report.records["read"] == len(run.lines) + len(run.rejects)


@pytest.mark.parametrize(
    "line, rule",
    [
        ('{"id":null,"a":"x"}', "id_missing"),
        ('{"a":"x"}', "id_missing"),
        ("{}", "id_missing"),
        ('{"id":{"k":"v"},"a":"x"}', "value_nested"),
        ('{"id":"u\\u0000","a":"x"}', "id_forbidden_character"),
    ],
)
def test_f32_a_type_that_changes_is_judged_by_the_rules(tmp_path: Path, line: str, rule: str) -> None:
    run = Run(tmp_path)
    run.convert(GOOD_JSON + line.encode(), "in.ndjson")
    assert len(run.lines) == 3
    assert [(reject["row"], reject["rule"]) for reject in run.rejects] == [(5, rule)]


def test_f32_the_names_are_found_where_the_first_line_is_longer_than_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ndjson, "_HEAD", 10)
    run = Run(tmp_path)
    run.convert(GOOD_JSON, "in.ndjson")
    assert len(run.lines) == 3


# --- 33: typed files ----------------------------------------------------------------------------------------------

TABLE = pl.DataFrame({"id": [f"user{number:04}" for number in range(400)], "a": ["x", "été", None, "zz"] * 100})
WRITERS: dict[str, Callable[[io.BytesIO], object]] = {
    "in.parquet": lambda file: TABLE.write_parquet(file, row_group_size=100),
    "snappy.parquet": lambda file: TABLE.write_parquet(file, compression="snappy", use_pyarrow=True),
    "plain.parquet": lambda file: TABLE.write_parquet(file, compression="uncompressed"),
    "in.arrow": TABLE.write_ipc,
    "packed.arrow": lambda file: TABLE.write_ipc(file, compression="lz4"),
    "in.arrows": TABLE.write_ipc_stream,
    "packed.arrows": lambda file: TABLE.write_ipc_stream(file, compression="zstd"),
}


def written_as(name: str) -> bytes:
    file = io.BytesIO()
    WRITERS[name](file)
    return file.getvalue()


@pytest.mark.parametrize("name", WRITERS)
def test_f33_a_typed_file_cut_anywhere_is_one_sentence_and_sends_nothing(tmp_path: Path, name: str) -> None:
    content, run = written_as(name), Run(tmp_path)
    size = len(content)
    for cut in {1, 4, 8, 20, size // 4, size // 2, size - 400, size - 20, size - 8, size - 4, size - 1}:
        with raises(InputError, "E-INPUT-DAMAGED", f"{name}'") as raised:
            run.convert(content[:cut], name)
        assert raised.value.exit_code == 1
        assert "\n" not in str(raised.value)
    assert run.files == []


@pytest.mark.parametrize("name", WRITERS)
def test_f33_a_typed_file_with_changed_bytes_is_one_sentence_or_whole(tmp_path: Path, name: str) -> None:
    content, outcomes = written_as(name), set()
    for number in range(16):
        run = Run(tmp_path / str(number))
        run.folder.mkdir()
        changed = bytearray(content)
        place = (number * 7919) % len(content) if number % 2 else len(content) - 8 - number * 37
        for offset in range(place, min(place + 1 + number % 5, len(content))):
            changed[offset] ^= 0x81 if number % 3 else 0xFF
        try:
            report = run.convert(bytes(changed), name)
        except ConverterError as error:
            outcomes.add("error")
            assert error.exit_code in (1, 2)
            assert "user0" not in str(error)
            assert run.files == []
        else:
            outcomes.add("whole")
            assert report.records["read"] == 400
            skipped = sum(report.records["skipped"].values())
            assert len(run.lines) + len(run.rejects) + skipped == 400  # and the lines are UTF-8
    assert "error" in outcomes


@pytest.mark.parametrize(
    "content", [bytes(1000), b"PAR1" + bytes(100) + b"PAR1", b"PAR1", b"ARROW1\0\0" + bytes(100) + b"ARROW1"]
)
@pytest.mark.parametrize("name", ["in.parquet", "in.arrow", "in.arrows"])
def test_f33_zeros_and_marks_alone_are_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    run = Run(tmp_path)
    is_other = content.startswith(b"ARROW1" if name.endswith("parquet") else b"PAR1")
    with raises(InputError, "E-INPUT-CONTENT" if is_other else "E-INPUT-DAMAGED", f"{name}'"):
        run.convert(content, name)
    assert run.files == []


@pytest.mark.parametrize("length", [0, 1, 1 << 20, (1 << 31) - 1, (1 << 32) - 1])
def test_f33_a_footer_of_an_impossible_length_is_one_sentence(tmp_path: Path, length: int) -> None:
    run = Run(tmp_path)
    content = written_as("in.parquet")
    with raises(InputError, "E-INPUT-DAMAGED", "in.parquet'"):
        run.convert(content[:-8] + length.to_bytes(4, "little") + b"PAR1", "in.parquet")
    assert run.files == []


def test_f33_a_column_name_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    run = Run(tmp_path)
    table = pa.table({"id": ["u1"], "a": ["x"], "größe": ["y"]})
    for name in TYPED:
        typed(run.folder / name, table)
        content = (run.folder / name).read_bytes()
        assert "größe".encode() in content
        with raises(InputError, "E-INPUT-DAMAGED", f"{name}'"):
            run.convert(content.replace("größe".encode(), b"gr\xff\xff\xff\xffe"), name)
    assert run.files == []


def stream_of(*tables: pa.Table) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_stream(file, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    return file.getvalue()


STREAM_TABLE = pa.table({"id": ["user1", "user2"], "a": ["value-of-1", "value-of-2"]})
WITHOUT_END = stream_of(STREAM_TABLE, STREAM_TABLE)[:-8]
NOT_ENDED = {
    "no end mark": WITHOUT_END,
    "cut between batches": stream_of(STREAM_TABLE)[:-8],
    "an end mark of zeros": WITHOUT_END + bytes(8),
    "another stream after its end": stream_of(STREAM_TABLE) + stream_of(STREAM_TABLE),
    "a byte after its end": stream_of(STREAM_TABLE) + b"\n",
}


@pytest.mark.parametrize("kind", NOT_ENDED)
def test_f33_a_stream_cut_between_batches_or_followed_by_another_is_an_error(tmp_path: Path, kind: str) -> None:
    run = Run(tmp_path)
    with raises(InputError, "E-INPUT-DAMAGED", "in.arrows'"):
        run.convert(NOT_ENDED[kind], "in.arrows")
    assert run.files == []
    run.convert(stream_of(STREAM_TABLE, STREAM_TABLE), "in.arrows")
    assert len(run.lines) == 4


@pytest.mark.parametrize(
    "place, found",
    [
        ("an offset", b"\0\0\0\0\5\0\0\0\x0a\0\0\0"),
        ("an offset of large texts", b"\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
        ("a text", b"user1user2"),
    ],
)
def test_f33_wrong_offsets_and_text_in_a_stream_are_one_sentence_and_no_crash(
    tmp_path: Path, place: str, found: bytes
) -> None:
    table = STREAM_TABLE
    if "large" in place:
        table = table.cast(pa.schema([("id", pa.large_string()), ("a", pa.large_string())]))
    content = stream_of(table)
    assert content.count(found) == 1
    damage = b"us\xff\xff" + found[4:] if place == "a text" else found[:8] + b"\xff\xff\xff\x7f" + found[12:]
    run = Run(tmp_path)
    with raises(InputError, "E-INPUT-DAMAGED", "in.arrows'", "(ArrowInvalid)"):
        run.convert(content.replace(found, damage), "in.arrows")
    assert run.files == []


@pytest.mark.parametrize("name", TYPED)
def test_f33_a_panic_at_rows_that_are_not_damaged_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def panic(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("not a boundary in 'john.doe@example.com'")

    run = Run(tmp_path)
    typed(run.folder / name, STREAM_TABLE)
    monkeypatch.setattr(tables, "validate", panic)
    with raises(EngineError, "E-ENGINE", f"{name}'", "(PanicException)") as raised:
        run.convert(input={"path": str(run.folder / name)})
    assert raised.value.exit_code == 1
    assert "john" not in str(raised.value)
    assert "damaged" not in str(raised.value)


@pytest.mark.parametrize("name", TYPED)
def test_f33_what_is_not_read_of_a_format_is_told_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise pa.ArrowNotImplementedError("an encoding of 'john.doe@example.com'")

    run = Run(tmp_path)
    typed(run.folder / name, STREAM_TABLE)
    monkeypatch.setattr(tables, "validate", unknown)
    with raises(InputError, "E-INPUT-UNSUPPORTED", f"{name}'") as raised:
        run.convert(input={"path": str(run.folder / name)})
    assert "john" not in str(raised.value)
    assert run.files == []


def test_a_run_in_a_process_forked_after_another_run_is_told_how_to_start_it(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,a\n1,x\n")
    code = (
        "import os, converter\n"
        "from converter.errors import EngineError\n"
        "def run(number):\n"
        "    output = {'to': 'out', 'dpid': 1, 'timestamp': 1366545717 + number}\n"
        "    id_, record = {'column': 'id'}, {'signals': ['a']}\n"
        "    converter.convert(converter.Job(input={'path': 'in.csv'}, id=id_, record=record, output=output))\n"
        "run(0)\n"
        "if child := os.fork():\n"
        "    os.waitpid(child, 0)\n"
        "else:\n"
        "    try: run(1)\n"
        "    except EngineError as error: print(error.code, 'spawn' in error.hint, flush=True)\n"
        "    os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "E-FORKED True\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ftp_dpm_1_1366545717.sync.1.gz"]


def test_f33_what_libraries_print_when_they_panic_is_not_shown(tmp_path: Path) -> None:
    typed(tmp_path / "in.parquet", STREAM_TABLE)
    code = (
        "import os, sys, polars as pl\n"
        "from converter.cli import main\n"
        "from converter.sources import tables\n"
        "def panic(*_, **__):\n"
        "    os.write(2, b'thread panicked at john.doe@example.com')\n"
        "    raise pl.exceptions.PanicException('panicked')\n"
        "tables.validate = panic\n"
        "sys.argv = ['aam-inbound', 'convert', 'in.parquet', *sys.argv[1:]]\n"
        "main()\n"
    )
    flags = ["--dpid", "1", "--id", "id", "--signal", "a", "--to", "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, *flags], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    check_told(done.stderr, "E-ENGINE", "'in.parquet'", "(PanicException)")
    assert list(tmp_path.glob("out/*")) == []


def refuse(thread: threading.Thread, start: Callable[[threading.Thread], None] = threading.Thread.start) -> None:
    if thread.name == "engine":
        raise RuntimeError("can't start new thread")
    start(thread)


def panic(*_: object, **__: object) -> NoReturn:
    raise pl.exceptions.PanicException("OS can't spawn worker thread")


def wait(*_: object, **__: object) -> NoReturn:
    while True:
        time.sleep(1)


@pytest.mark.parametrize(
    ("of", "name", "fault"),
    [(threading.Thread, "start", refuse), (pl.LazyFrame, "collect", panic), (pl.LazyFrame, "collect", wait)],
)
def test_an_engine_without_threads_is_told_before_anything_is_written(
    of: object, name: str, fault: object, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write("id,a\n1,x\na@b.de,y\n")
    engine._start.cache_clear()
    monkeypatch.setattr(engine, "_START_TIMEOUT", 0.05)
    monkeypatch.setattr(of, name, fault)
    with raises(ResourcesError, "E-THREADS"):
        run.convert()
    left = [path.name for path in run.folder.rglob("*") if path.is_file()]
    assert [name for name in left if not name.endswith((".report.json", ".report.html"))] == ["in.csv"]
    monkeypatch.undo()
    run.convert()


# --- 34: odd text -------------------------------------------------------------------------------------------------

NAUGHTY = [
    ",", ";", "|", "\t", "a,b;c|d\te", ",,,", '"', '""', '"""', 'a"b', '"a"', '","', '"\n"', "'", "\\", '\\"', "\\n", "\\N",
    "a\nb", "a\r\nb", "a\rb", "a\n", "\na", "a\n\n\nb", "line,\"quote\"\n,next", "a\x00b", "a\x01b", "a\x1bb", "a\x7fb", "a\x0bb",
    "a\x85b", "a\u2028b", "a\u00a0b", "a\u200bb", "a\ufeffb", "a\ufffdb", "a\uffffb", "a\U0010ffffb",
    "א", "שלום עולם", "\u202eevil\u202c", "\u2066iso\u2069", "مرحبا", "日本語", "e\u0301", "Ω≈ç√∫", "ﬃ", "İıſẞ", "Z͑ͫ̓ͪ̂ͫ̽a",
    "😀", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏿", "#️⃣", "𝓤𝓷𝓲", "a" * 300, "é" * 300, "😀" * 300,
    "NULL", "null", "None", "nan", "-0", "007", "1e400", "0x1f", "1,5", "12.30", "true", "=1+1", "=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1",
    "%3A", "%3a", "a:b", "%00", "%0a", "&amp;", "<script>", "${HOME}", "$(id)", "{{7*7}}", "%s%n", "'; DROP TABLE x; --", "../../etc",
    "john@example.com", "a@b", "[1,2]", '{"k":1}', "{}", "[]", " a ", "a b", "d_sid=1", '"a"="b"', "ic=x", "-a", "=", "a=b",
]  # fmt: skip
NAUGHTY_JOB = {"signals": ["a", {"column": "id", "key": "of_id"}, {"key": "k", "value": "v"}]}


def naughty_rows() -> list[dict[str, str]]:
    """Each text as an ID, and as a value."""
    rows = [{"id": text, "a": "x", "z": text} for text in NAUGHTY]
    return rows + [{"id": f"u{number}", "a": text, "z": text} for number, text in enumerate(NAUGHTY)]


def as_delimited(rows: list[dict[str, str]], separator: str, end: str) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


NAUGHTY_FILES: dict[str, Callable[[list[dict[str, str]]], bytes]] = {
    "in.csv": lambda rows: as_delimited(rows, ",", "\n"),
    "crlf.csv": lambda rows: as_delimited(rows, ",", "\r\n"),
    "pipes.txt": lambda rows: as_delimited(rows, "|", "\n"),
    "in.tsv": lambda rows: as_delimited(rows, "\t", "\n"),
    "in.ndjson": lambda rows: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(),
    "ascii.ndjson": lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode(),
}


def check_naughty(run: Run, name: str, rows: list[dict[str, str]], on_bad_value: str = "clean") -> None:
    if name in NAUGHTY_FILES:
        run.write(NAUGHTY_FILES[name](rows), name)
    else:
        typed(run.folder / name, pa.Table.from_pylist(rows))
    record = NAUGHTY_JOB | {"on_bad_value": on_bad_value}
    # The reference knows nothing of IDs that are implausible.
    changes = {"privacy": {"signals": "allow"}, "id": {"implausible": "allow"}}
    run.convert(input={"path": str(run.folder / name)}, record=record, **changes)
    expected = list(reference.lines(rows, run.report["job"]))
    assert [f"{line}\n" for line in run.lines] == [line for line in expected if line]
    assert len(run.rejects) == expected.count(None) > 0
    assert sum(run.report["records"]["skipped"].values()) == expected.count("")


@pytest.mark.parametrize(
    "name, on_bad_value",
    [*((name, "clean") for name in NAUGHTY_FILES), ("in.csv", "drop"), ("in.csv", "reject")],
)
def test_f34_odd_texts_come_out_as_the_rules_say_or_are_rejected(
    fresh_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch, name: str, on_bad_value: str
) -> None:
    rows = naughty_rows()
    check_naughty(fresh_run(), name, rows, on_bad_value)
    blocks_of(monkeypatch, 10_000)
    # Each of them among plain rows, so that the loops format what is around it.
    plain = {"id": "p", "a": "x", "z": "y"}
    check_naughty(fresh_run(), name, [each for row in rows for each in (*[plain] * 9, row)], on_bad_value)


@pytest.mark.parametrize("name", TYPED)
def test_f34_odd_texts_in_typed_files_come_out_as_the_rules_say_or_are_rejected(tmp_path: Path, name: str) -> None:
    check_naughty(Run(tmp_path), name, naughty_rows())


@pytest.mark.parametrize("name", ["in.csv", "in.ndjson", "in.parquet"])
def test_f34_a_megabyte_in_a_field_is_rejected_by_rule_or_left_out(run: Run, name: str) -> None:
    large = "é,\n" * 250_000
    rows = [
        {"id": "u1", "a": "x", "z": "y"},
        {"id": "u2", "a": large, "z": "y"},
        {"id": "u3", "a": "x", "z": large},
        {"id": large.replace("\n", "."), "a": "x", "z": "y"},
        {"id": "u5", "a": "x", "z": "y"},
    ]
    if name in NAUGHTY_FILES:
        run.write(NAUGHTY_FILES[name](rows), name)
    else:
        typed(run.folder / name, pa.Table.from_pylist(rows))
    run.convert(input={"path": str(run.folder / name)})
    assert run.lines == ['u1\t"a"="x"', 'u3\t"a"="x"', 'u5\t"a"="x"']
    delimited = name == "in.csv"
    assert [(row["row"], row["rule"]) for row in run.rejects] == [
        (3 if delimited else 2, "line_too_long"),
        (5 + 500_000 if delimited else 4, "line_too_long"),
    ]
    (path,) = (run.folder / "reports").glob("*.rejects.ndjson.gz")
    assert len(gzip.decompress(path.read_bytes())) < 2000, "what is rejected is masked, not copied"
