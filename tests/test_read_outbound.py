"""Outbound files, the way back: each form that Adobe's pages show, what control files say, and what becomes of the rest."""

from __future__ import annotations

import bz2
import gc
import gzip
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter import OutboundInput, OutboundReport, match, read_outbound
from converter.commands.outbound import contents, reading, writing
from converter.commands.progress import Progress
from converter.errors import (
    DestinationError,
    GuardError,
    InputError,
    JobError,
    LedgerError,
    StrictError,
    TooManyRejectsError,
)
from converter.spec import outbound
from converter.spec.outbound import OutboundName
from converter.spec.outbound_lines import SPACES, LineForm, detected
from converter.spec.outbound_templates import of_template

from .errors import check_named, check_told, raises
from .servers.s3 import S3Place, s3_place
from .test_cli import command, start

NAME = "S3_1234_20914_XYZCustomer_iter_1486140844000.sync"
TIME = datetime(2017, 2, 3, 16, 54, 4, tzinfo=UTC)
ID = "59767559181262060060278870901087098252"


def read(folder: Path, *files: str | Path, **options: Any) -> tuple[pl.DataFrame, OutboundReport]:
    """Read files, by default the folder `in`, into Parquet; the table and the report."""
    to = folder / "out.parquet"
    report = read_outbound([*files] or [folder / "in"], to, force=True, **options)
    return pl.read_parquet(to), report


def rows_of(frame: pl.DataFrame) -> list[tuple[str, list[int], list[int]]]:
    return frame.select("user_id", "segments", "removed_segments").rows()


def made(folder: Path, content: bytes | str, name: str = NAME) -> Path:
    (folder / "in").mkdir(exist_ok=True)
    path = folder / "in" / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def info(folder: Path, *files: Path, name: str = "x.info", **changed: Any) -> Path:
    """Write a control file as Adobe shows it: keys without quotes. `changed` are other values for all files."""
    entries = []
    for number, path in enumerate(files, 1):
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        facts = {
            "FileByteSize": len(data),
            "FileLineCount": text.count(b"\n"),
            "FileName": path.name,
            "FileSequenceNumber": number,
            "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        } | changed
        entries.append(",\n".join(f"      {key}: {json.dumps(value)}" for key, value in facts.items() if value != ""))
    files_text = ",\n".join(f"    {{\n{entry}\n    }}" for entry in entries)
    path = folder / "in" / name
    path.write_text(f"{{\n  Files: [\n{files_text}\n  ],\n  Totals: {{\n    TotalNumberFiles: {len(files)}\n  }}\n}}\n")
    return path


def assumed(report: OutboundReport) -> set[str]:
    return {rule.name for rule in report.assumed}


# --- names (O1 to O3) -------------------------------------------------------------------------------------------

NAMES: dict[str, tuple[str | None, int | None, int | None, str | None, str | None, datetime | None, int | None]] = {
    "S3_1234_20914_XYZCustomer_iter_1486140844000.sync.gz": ("s3", 1234, 20914, "XYZCustomer", "incremental", TIME, None),
    "S3_1234_20914_XYZCustomer_full_1486140844000001.sync.gz": ("s3", 1234, 20914, "XYZCustomer", "full", TIME, 1),
    "ftp_1234_45454_iter_1486140844000002.sync.gz": ("ftp", 1234, 45454, None, "incremental", TIME, 2),
    "ftp_1234_45454_iter_1486140844000-12.sync.gz": ("ftp", 1234, 45454, None, "incremental", TIME, 12),
    "http_215_888_iter_1486140844.sync": ("http", 215, 888, None, "incremental", TIME, None),
    "s3_215_888_full_1486140844001.sync": ("s3", 215, 888, None, "full", TIME.replace(microsecond=1000), None),
    "ftp_215_888_20915_iter_1486140844.sync": ("ftp", 215, 20915, None, "incremental", TIME, None),
    "ftp_215_888_77_iter_1486140844.sync": ("ftp", 215, 888, "77", "incremental", TIME, None),
    "ftp_215_888_77_a_b_iter_1486140844.sync": ("ftp", 215, 888, "77_a_b", "incremental", TIME, None),
    "ftp_215_888_iter_14861408440001.sync": ("ftp", 215, 888, None, "incremental", TIME, 1),
    "ftp_215_888_iter_20170203165404.sync": ("ftp", 215, 888, None, "incremental", TIME, None),
    "ftp_215_888_iter_20170203165404003.sync": ("ftp", 215, 888, None, "incremental", TIME, 3),
    "ftp_215_888_iter_201702031654.sync": ("ftp", 215, 888, None, "incremental", TIME.replace(second=0), None),
    "ftp_215_888_iter_2017-02-03-4.sync": ("ftp", 215, 888, None, "incremental", datetime(2017, 2, 3, tzinfo=UTC), 4),
    "ftp_215_888_full_20170203.sync.gz": ("ftp", 215, 888, None, "full", datetime(2017, 2, 3, tzinfo=UTC), None),
    "ftp_215_888_full_20179999.sync.gz": ("ftp", 215, 888, "full_20179999", None, None, None),
    "S3_1234_20914.SYNC": ("s3", 1234, 20914, None, None, None, None),
    "iter_1486140844000.sync": (None, None, None, None, "incremental", TIME, None),
    "1486140844000.sync": (None, None, None, None, None, TIME, None),
    "anything.sync": (None, None, None, "anything", None, None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_parsed_in_every_form(name: str) -> None:
    found = OutboundName.parse(name)
    parts = (found.sync_type, found.destination, found.data_source, found.alias, found.mode, found.time, found.split)
    assert parts == NAMES[name]


@pytest.mark.parametrize("name", ["x.csv", ".sync", "x.sync.zip", "x_1486140844000.info"])
def test_other_names_are_no_names_of_outbound_files(name: str) -> None:
    with pytest.raises(ValueError, match="O1"):
        OutboundName.parse(name)


def test_what_was_assumed_about_a_name_is_said() -> None:
    def names(name: str) -> list[str]:
        return [rule.name for rule in OutboundName.parse(name).assumed]

    assert names(NAME) == []
    assert names("ftp_1_2_iter_1486140844-1.sync") == ["time_seconds", "split_dashed"]
    assert names("ftp_1_2_iter_14861408440001.sync") == ["time_seconds", "split_seconds"]
    assert names("ftp_1_2_20915_20170203.sync") == ["time_date", "numbers_three"]
    assert names("ftp_1_2_iter.sync") == ["time_missing"]


@given(
    type_=st.sampled_from(["ftp", "http", "S3"]),
    numbers=st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)),
    alias=st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True).filter(lambda text: text not in ("full", "iter")),
    mode=st.sampled_from(["full", "iter"]),
    time=st.integers(10**12, 1_999_999_999_999),
    split=st.none() | st.integers(1, 99_999),
)
def test_a_name_of_adobes_syntax_is_parsed_to_what_it_was_made_of(
    type_: str, numbers: tuple[int, int], alias: str, mode: str, time: int, split: int | None
) -> None:
    end = "" if split is None else f"{split:03}"
    found = OutboundName.parse(f"{type_}_{numbers[0]}_{numbers[1]}_{alias}_{mode}_{time}{end}.sync.gz")
    assert (found.sync_type, found.destination, found.data_source) == (type_.lower(), *numbers)
    assert (found.alias, found.mode, found.split) == (alias, {"iter": "incremental"}.get(mode, mode), split)
    assert found.time is not None
    assert round(found.time.timestamp() * 1000) == time


# --- lines (O4) -------------------------------------------------------------------------------------------------

EXPECTED = [(ID, [24, 26, 27], [25, 28]), ("b", [1], [])]
LINES: dict[str, tuple[str, list[Any], set[str]]] = {
    "one space": (f"{ID} 24,26,27 25,28\nb 1\n", EXPECTED, set()),
    "one space, empty lists": (f"{ID}  25\nb 1 \nc  \n", [(ID, [], [25]), ("b", [1], []), ("c", [], [])], set()),
    "two spaces": (f"{ID}  24,26,27  25,28\nb  1\n", EXPECTED, {"fields_double"}),
    "only two spaces": (f"{ID}  24\nb  1\n", [(ID, [24], []), ("b", [1], [])], {"fields_double", "fields_double_only"}),
    "spaces alone": (f"{ID} 24 25 26\nb 1\n", [(ID, [24, 25, 26], []), ("b", [1], [])], {"list_only"}),
    "tabs": (f"{ID}\t24,26,27\t25,28\nb\t1\t\n", EXPECTED, {"fields_other"}),
    "tabs and spaces": (f"{ID}\t24, 26, 27\t25, 28\nb\t1\n", EXPECTED, {"fields_other"}),
    "tabs and bars": (f"{ID}\t24|26|27\t25|28\nb\t1\n", EXPECTED, {"fields_other", "list_other"}),
    "start of heading": (f"{ID}\x0124,26,27\x0125,28\nb\x011\n", EXPECTED, {"fields_other"}),
    "a bar": (f"{ID}|24,26,27|25,28\nb|1\n", EXPECTED, {"fields_other"}),
    "a semicolon": (f"{ID};24,26,27;25,28\nb;1\n", EXPECTED, {"fields_other"}),
    "commas and bars": (f"{ID},24|26|27,25|28\nb,1\n", EXPECTED, {"fields_other", "list_other"}),
    "commas and quotes": (f'{ID},"24,26,27","25,28"\n"b","1",""\n', EXPECTED, {"fields_other"}),
    "commas alone": (f"{ID},24,26,27\nb,1\n", [(ID, [24, 26, 27], []), ("b", [1], [])], {"fields_other", "list_only"}),
    "a separator at the end": (f"{ID}\t24,26,27,\t25,28,\nb\t1,\n", EXPECTED, {"fields_other"}),
    "CRLF": (f"{ID} 24,26,27 25,28\r\nb 1\r\n", EXPECTED, set()),
    "blank lines": (f"\n{ID} 24,26,27 25,28\n\n  \nb 1\n\n", EXPECTED, set()),
    "a byte order mark": (f"\ufeff{ID} 24,26,27 25,28\nb 1\n", EXPECTED, set()),
    "no end": (f"{ID} 24,26,27 25,28\nb 1", EXPECTED, {"end_missing"}),
    "a header": (f"UUID\tSEGMENTS\tREMOVED\n{ID}\t24,26,27\t25,28\nb\t1\t\n", EXPECTED, {"fields_other", "header_row"}),
    "Adobe's header": (f"888\tfull.sync\n\n{ID}\t24,26,27\t25,28\nb\t1\n", EXPECTED, {"fields_other", "header_row"}),
    "JSON": (
        f'{{"AdvertiserId":"1", "TDID":"{ID}","Data":[{{"Name":"24"}},{{"Name":26}},{{"Name":"27"}},'
        '{"Name":"25","TtlInMinutes":0},{"Name":"28", "TtlInMinutes":0}]}\n{"UUID":"b","Data":[{"Name":"1"}]}\n',
        EXPECTED,
        {"fields_json"},
    ),
    "nothing": ("", [], set()),
    "leading zeros": ("007 008\n", [("007", [8], [])], set()),
    "other writing": ("Ünïcødé-€ 1 2\n", [("Ünïcødé-€", [1], [2])], set()),
}


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("form", LINES)
def test_lines_are_read_in_every_form(tmp_path: Path, form: str, packed: str) -> None:
    text, expected, said = LINES[form]
    made(tmp_path, text, NAME + packed)
    frame, report = read(tmp_path)
    assert rows_of(frame) == expected
    assert assumed(report) == said
    assert frame.schema == writing.schema(aliases=False)
    assert frame["time"].unique().to_list() == [TIME] * bool(expected)
    assert frame.select("destination", "data_source", "mode").unique().rows() == [(1234, 20914, "incremental")] * bool(
        expected
    )
    (file,) = report.files
    assert file.lines == file.rows + file.blank + file.headers
    assert report.ledger.read == report.ledger.written == len(expected)


def test_lines_that_break_a_rule_are_rejected_and_no_id_is_shown(tmp_path: Path) -> None:
    secret = "jane.doe@example.com"
    lines = {
        b"good 1,2 3": None,
        b"\xff 1": "line_not_text",
        b"a\0b 1": "line_not_text",
        b" 1,2": "line_without_id",
        secret.encode(): "line_short",
        b"a 1 2 3": "line_long",
        secret.encode() + b" x": "segments_malformed",
        b"a 1,,2": "segments_malformed",
        b"a 1 -2": "segments_malformed",
        b"a 1, 2": "segments_malformed",
        b"a +1": "segments_malformed",
        b"a 1234567890123456789": "segments_malformed",
        b"last 9": None,
    }
    path = made(tmp_path, b"\n".join(lines) + b"\n")
    rejects = tmp_path / "rejects.ndjson"
    job = OutboundInput(input={"path": str(path)}, report={"max_rejects": "100%"})
    report = read_outbound(job, tmp_path / "out.parquet", rejects=rejects)
    assert rows_of(pl.read_parquet(tmp_path / "out.parquet")) == [("good", [1, 2], [3]), ("last", [9], [])]
    found = {each["row"]: each for each in map(json.loads, rejects.read_text().splitlines())}
    assert {row: each["rule"] for row, each in found.items()} == {
        number: rule for number, rule in enumerate(lines.values(), 1) if rule
    }
    assert {(each["file"], each["unit"], each["code"]) for each in found.values()} == {(str(path), "line", "O4")}
    assert report.ledger.read == 13 == report.ledger.written + report.ledger.rejects
    assert len(report.examples) == 10
    assert [each.code for each in report.warnings] == ["W-OUTBOUND-INFO", "W-OUTBOUND-REJECTED"]
    check_named(str(report.warnings[1]), "11 of 13", "line 2")
    assert secret not in json.dumps(report.as_dict()) + rejects.read_text()


def test_lines_of_json_that_are_wrong_are_rejected_alone(tmp_path: Path) -> None:
    lines = [
        '{"TDID":"a","Data":[{"Name":"1"}]}',
        '{"TDID":"b","Data":[{"Name":"1"}]',
        '{"TDID":"c","Data":"1"}',
        '{"TDID":"d"}',
        '{"Data":[{"Name":"1"}]}',
        '{"TDID":"e","Data":[{"Name":"x"}]}',
        '{"TDID":"f","Data":[{}]}',
        "[1]",
        '{"TDID":"g","Data":[]}',
    ]
    made(tmp_path, "\n".join(lines) + "\n")
    job = OutboundInput(input={"path": str(tmp_path / "in")}, report={"max_rejects": "7"})
    read_outbound(job, tmp_path / "out.parquet", rejects=tmp_path / "wrong")
    assert rows_of(pl.read_parquet(tmp_path / "out.parquet")) == [("a", [1], []), ("g", [], [])]
    rules = [json.loads(line)["rule"] for line in (tmp_path / "wrong").read_text().splitlines()]
    assert rules == ["line_not_json"] * 3 + ["line_without_id"] + ["segments_malformed"] * 2 + ["line_not_json"]


def test_aliases_are_text(tmp_path: Path) -> None:
    made(tmp_path, "UUID\tSEGMENTS\na\tsports fans,007\told one\nb\t\tx\n")
    frame, report = read(tmp_path, aliases=True)
    assert rows_of(frame) == [("a", ["sports fans", "007"], ["old one"]), ("b", [], ["x"])]
    assert "header_row" in assumed(report)
    assert frame.schema == writing.schema(aliases=True)
    made(
        tmp_path,
        '{"TDID":"a","Data":[{"Name":"x y"},{"Name":"","TtlInMinutes":0}]}\n{"TDID":"b","Data":[{"Name":"z"}]}',
    )
    job = OutboundInput(input={"path": str(tmp_path / "in")}, report={"max_rejects": 1})
    read_outbound(job, tmp_path / "out.csv", aliases=True)
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == [
        'b,z,"",2017-02-03T16:54:04.000Z,1234,20914,incremental'
    ]


def test_a_template_says_what_lines_cannot(tmp_path: Path) -> None:
    made(tmp_path, "1159\t0008\t17t0\t1\t24|26\n1159\t0009\t17t1\t1\t\n")
    line = '<PID><TAB><UUID><TAB><DP_UUID><TAB><SET_ATTRIBUTES><TAB><SEGMENT_LIST;separator="|">'
    frame, report = read(tmp_path, line=line)
    assert rows_of(frame) == [("0008", [24, 26], []), ("0009", [], [])]
    assert assumed(report) == set()
    made(tmp_path, "a  25\nb  26\n")
    frame, _ = read(tmp_path, line="<UUID> <SEGMENT_LIST> <REMOVED_SEGMENT_LIST>")
    assert rows_of(frame) == [("a", [], [25]), ("b", [], [26])]
    frame, _ = read(tmp_path, line="<UUID>  <REMOVED_SEGMENT_LIST>")
    assert rows_of(frame) == [("a", [], [25]), ("b", [], [26])]
    assert of_template('<DP_UUID> <SEGMENT_LIST;separator=" ">').is_list
    assert of_template("<UUID><COMMA><SEGMENT_LIST;separator=TAB>") == LineForm(",", "\t", 2, removed=None)
    assert of_template(" JSON ").json


@pytest.mark.parametrize(
    "line",
    [
        "",
        "<UUID>",
        "<UUID><SEGMENT_LIST>",
        "<SEGMENT_LIST> <REMOVED_SEGMENT_LIST>",
        "<UUID><TAB><SEGMENT_LIST> <REMOVED_SEGMENT_LIST>",
        "<UUID><TAB><SEGMENT_LIST>.",
        '<UUID> <SEGMENT_LIST;separator=" "> <REMOVED_SEGMENT_LIST>',
        '<UUID> <SEGMENT_LIST;separator="|"> <REMOVED_SEGMENT_LIST;separator=";">',
        "<UUID> <SEGMENT_LIST:{seg|<seg.sid>}>",
        "<UUID> <SEGMENT_LIST:{seg|<seg.type>};separator=COMMA>",
        "<UUID> <SEGMENT_LIST:{seg|<seg.type><seg.sid>};separator=COMMA>",
        '<UUID>,<SEGMENT_LIST:{seg|<seg.type>,<seg.sid>};separator="|">',
        '<UUID> <SEGMENT_LIST:{seg|<seg.sid>,<other.sid>};separator="|"> <REMOVED_SEGMENT_LIST>',
        "<TAB><UUID><TAB><SEGMENT_LIST>",
        "<DP_UUID><TAB><DP_UUID_LIST;separator=TAB><TAB><SEGMENT_LIST>",
        "<DP_UUID><TAB><DP_UUID_LIST;separator=TAB>",
        '<UUID>,<DPUUIDS;format="dpids=1|maxMappings=0|format=json">,<SEGMENT_LIST;separator="|">',
        '{"user":"<DP_UUID>"}',
    ],
)
def test_a_template_that_is_none_is_an_error(tmp_path: Path, line: str) -> None:
    made(tmp_path, "a 1\n")
    with raises(JobError, "E-OUTBOUND-LINE"):
        read(tmp_path, line=line)


LASTING = 'separator=","'
ADOBES_JSON = (
    '{"AdvertiserId":"<PIDALIAS>", "DataCenterId": 2,"TDID":"<DP_UUID>","Data":[<SEGMENT_LIST:{seg|<OPEN_CURLY_BRACKET>'
    f'"Name":"<seg.alias>"<CLOSE_CURLY_BRACKET>}}; {LASTING}><if(SEGMENT_LIST && REMOVED_SEGMENT_LIST)><COMMA><endif>'
    '<REMOVED_SEGMENT_LIST:{seg|<OPEN_CURLY_BRACKET>"Name":"<seg.alias>","TtlInMinutes":0<CLOSE_CURLY_BRACKET>}; '
    f"{LASTING}>]}}"
)
TEMPLATES = {
    "items of Adobe's example": (
        "<PID><TAB><UUID><TAB><DP_UUID><TAB><SET_ATTRIBUTES><TAB><OPT_OUT><TAB><SEGMENT_LIST:"
        "{seg|<seg.type>,<seg.alias>,<OUTPUT_ATTRIBUTE_VALUE>,<seg.lastUpdateTime>&}>",
        "1159\t0008\t17t0\t1\t0\t5,103714,1,1344114661000&5,103713,1,1343250661000\n1159\tb\t17t1\t1\t0\t\n",
        [("0008", [103714, 103713], []), ("b", [], [])],
    ),
    "items with one separator": (
        '<UUID> <SEGMENT_LIST:{seg|<seg.type>,<seg.sid>}; separator=","> <REMOVED_SEGMENT_LIST:{seg|<seg.type>,<seg.sid>}; '
        'separator=",">',
        "a 5,24,5,26 5,25\nb  5,28\n",
        [("a", [24, 26], [25]), ("b", [], [28])],
    ),
    "items in brackets": (
        '<UUID>|<SEGMENT_LIST:{s|<OPEN_CURLY_BRACKET><s.sid>@<s.lastUpdateTime><CLOSE_CURLY_BRACKET>};separator=",">',
        "a|{24@1344114661},{26@1344114662}\nb|{1@2},\n",
        [("a", [24, 26], []), ("b", [1], [])],
    ),
    "traits that are not read": (
        '<DP_UUID><TAB><TRAIT_LIST:{trait|<trait.Id>,<trait.lastRealized>};separator="|"><TAB><SEGMENT_LIST>',
        "a\t1,2|3,4\t24,26\n",
        [("a", [24, 26], [])],
    ),
    "Adobe's header": (
        '<DP_UUID><TAB><SEGMENT_LIST;separator="|">',
        "888\tfull.sync\na\t24|26\n",
        [("a", [24, 26], [])],
    ),
    "JSON": (
        ADOBES_JSON,
        'UUID and segments\n{"AdvertiserId":"1", "DataCenterId": 2,"TDID":"a","Data":[{"Name":"4321"},'
        '{"Name":"987","TtlInMinutes":0}]}\n',
        [("a", [4321], [987])],
    ),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_of_adobes_pages_are_read(tmp_path: Path, name: str) -> None:
    template, text, expected = TEMPLATES[name]
    made(tmp_path, text)
    frame, report = read(tmp_path, line=template)
    assert rows_of(frame) == expected
    assert report.ledger.read == report.ledger.written == len(expected)
    assert assumed(report) == ({"header_row"} if text.count("\n") > len(expected) else set())


def test_items_that_are_not_as_their_template_says_are_rejected(tmp_path: Path) -> None:
    lines = ["a 5,24|5,26", "b 5|24", "c 5,x", "d 5,24,1", "e ,24", "f 5,24|", "g 5,24||5,25"]
    path = made(tmp_path, "\n".join(lines) + "\n")
    job = OutboundInput(input={"path": str(path)}, report={"max_rejects": "100%"})
    line = '<UUID> <SEGMENT_LIST:{seg|<seg.type>,<seg.sid>};separator="|">'
    report = read_outbound(job, tmp_path / "out.parquet", line=line)
    assert rows_of(pl.read_parquet(tmp_path / "out.parquet")) == [("a", [24, 26], [])]
    assert report.ledger.rejected == {"segments_malformed": 6}
    report = read_outbound(job, tmp_path / "names.parquet", line=line, aliases=True)
    assert pl.read_parquet(tmp_path / "names.parquet")["segments"].to_list() == [["24", "26"], ["x"]]
    assert report.files[0].form == "a space between fields, a bar between segments of 2 values"


def test_a_part_that_shows_no_form_has_that_of_an_earlier_one(tmp_path: Path) -> None:
    made(tmp_path, "a 1 2\nb  3\n", "s3_1_2_iter_1486140844000001.sync")
    made(tmp_path, "c  4\n", "s3_1_2_iter_1486140844000002.sync")
    made(tmp_path, "", "s3_1_2_iter_1486140844000003.sync")
    made(tmp_path, "d  5\n", "s3_1_2_iter_1486140845000001.sync")
    frame, report = read(tmp_path)
    assert rows_of(frame) == [("a", [1], [2]), ("b", [], [3]), ("c", [], [4]), ("d", [5], [])]
    assert [file.form[:5] for file in report.files] == ["a spa", "a spa", "", "two s"]


ids = st.text(
    st.characters(codec="utf-8", exclude_characters=' \t\n\r\0|;,\x01"{}', exclude_categories=["C", "Z"]), min_size=1
)
lists = st.lists(st.integers(0, 10**18 - 1), max_size=5)
FORMS = [("\t", ","), ("\t", "|"), ("|", ","), (";", ","), (" ", ","), ("  ", ","), (",", "|"), ("\x01", ",")]


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(ids, lists, lists), min_size=1, max_size=30),
    form=st.sampled_from(FORMS),
    end=st.sampled_from(["\n", "\r\n"]),
    block=st.integers(1, 400),
    format_=st.sampled_from(writing.FORMATS),
)
def test_what_is_written_as_lines_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, list[int], list[int]]],
    form: tuple[str, str],
    end: str,
    block: int,
    format_: writing.Format,
) -> None:
    folder = tmp_path_factory.mktemp("made")
    separator, mark = form
    lines = [separator.join([id_, mark.join(map(str, now)), mark.join(map(str, gone))]) for id_, now, gone in rows]
    path = made(folder, "".join(f"{line}{end}" for line in lines))
    info(folder, path)
    listed = f';separator="{mark}"'
    template = separator.join(["<UUID>", f"<SEGMENT_LIST{listed}>", f"<REMOVED_SEGMENT_LIST{listed}>"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_HEAD_BYTES", block)  # blocks are no larger then
        patch.setattr(reading, "_MOST_BLOCK", block)
        to = folder / f"out.{format_}"
        report = read_outbound(folder / "in", to, line=template)
    assert report.ledger.read == report.ledger.written == len(rows)
    assert table_of(to, format_) == rows


def table_of(path: Path, format_: str) -> list[tuple[str, list[int], list[int]]]:
    if format_ == "parquet":
        return rows_of(pl.read_parquet(path))
    if format_ == "ndjson":
        found = map(json.loads, path.read_text().split("\n")[:-1])
        return [(each["user_id"], each["segments"], each["removed_segments"]) for each in found]
    frame = pl.read_csv(path, schema_overrides=dict.fromkeys(("user_id", "segments", "removed_segments"), pl.String))
    split = [
        [[int(item) for item in text.split(",") if item] for text in row[1:3]] for row in frame.fill_null("").rows()
    ]
    return [(id_, *each) for id_, each in zip(frame["user_id"].to_list(), split, strict=True)]


# --- control files (O5) -----------------------------------------------------------------------------------------


def test_files_are_compared_with_their_control_file(tmp_path: Path) -> None:
    files = [made(tmp_path, f"a{part} {part} 9\n\n", f"ftp_1_2_full_1500727351632-{part}.sync.gz") for part in (1, 2)]
    where = info(tmp_path, *files, name="ftp_1_2_iter_1500727351632.info")
    frame, report = read(tmp_path)
    assert [file.info for file in report.files] == [str(where)] * 2
    assert [file.differences for file in report.files] == [[], []]
    assert rows_of(frame) == [("a1", [1], [9]), ("a2", [2], [9])]
    assert report.warnings == []
    # It is found beside files that are named alone, though its name has another mode, as in Adobe's example.
    frame, report = read(tmp_path, files[1])
    assert (report.files[0].info, report.missing) == (str(where), [])
    assert report.warnings == []
    _, report = read(tmp_path, files[1], verify=False)
    assert report.files[0].info is None
    assert report.warnings == []


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"md5": "0" * 32}, "md5"),
        ({"FileByteSize": 5}, "bytes, not 5"),
        ({"FileLineCount": 7}, "lines, not 7"),
        ({"FileLineCount": "7", "md5": ""}, "lines, not 7"),
    ],
)
def test_a_file_that_differs_is_refused(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    path = made(tmp_path, "a 1\nb 2\n", NAME + ".gz")
    info(tmp_path, path, **changed)
    with raises(GuardError, "E-OUTBOUND-DIFFERS", path.name, named) as raised:
        read(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"in"}
    assert isinstance(raised.value.report, OutboundReport)
    (differences,) = (file.differences for file in raised.value.report.files)
    assert len(differences) == 1
    frame, _ = read(tmp_path, verify=False)
    assert frame.height == 2


def test_a_file_that_is_not_there_yet_is_refused(tmp_path: Path) -> None:
    """A control file may come before its files."""
    files = [made(tmp_path, "a 1\n", f"s3_1_2_full_148614084400000{part}.sync") for part in range(1, 6)]
    info(tmp_path, *files)
    for path in files[1:]:
        path.unlink()
    with raises(GuardError, "E-OUTBOUND-DIFFERS", "4 files", "missing"):
        read(tmp_path)


def test_cut_files_are_noticed(tmp_path: Path) -> None:
    path = made(tmp_path, "a 1,2\nb 3,45\n")
    info(tmp_path, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])  # `b 3,4` is a row that could be right
    with raises(GuardError, "E-OUTBOUND-DIFFERS", "bytes"):
        read(tmp_path)
    (tmp_path / "in" / "x.info").unlink()
    _, report = read(tmp_path)
    assert [each.code for each in report.warnings] == ["W-OUTBOUND-INFO", "W-OUTBOUND-CUT"]
    assert assumed(report) == {"end_missing"}
    with raises(StrictError, "E-STRICT", "W-OUTBOUND-INFO", "1 more"):
        read(tmp_path, strict=True)
    packed = made(tmp_path, "a 1\n" * 1000, NAME + ".gz")
    packed.write_bytes(packed.read_bytes()[:-9])
    with raises(InputError, "E-INPUT-DAMAGED", packed.name):
        read(tmp_path, packed)


def test_what_adobe_leaves_open_is_assumed_and_said(tmp_path: Path) -> None:
    path = made(tmp_path, "UUID\tSEGMENTS\n\na\t1\nb\t2\n")
    info(tmp_path, path, FileLineCount=2, md5="983g634be2ad5263c6a6c4958bf61d9f")
    where = tmp_path / "in" / "x.info"
    where.write_text(where.read_text().replace("TotalNumberFiles: 1", "TotalNumberFiles: 4,"))
    _, report = read(tmp_path)
    assert assumed(report) == {"fields_other", "header_row", "md5_unusable", "lines_of_data", "totals_differ"}
    assert [(rule.code, count) for rule, count in report.assumed.items()] == [("O4", 1)] * 2 + [("O5", 1)] * 3
    # A file that was decompressed by the user has another size.
    path = made(tmp_path, "a 1\n", NAME + ".gz")
    info(tmp_path, path)
    made(tmp_path, "a 1\n")
    path.unlink()
    _, report = read(tmp_path)
    assert assumed(report) == {"unpacked"}


def test_a_control_file_is_read_as_json_as_well(tmp_path: Path) -> None:
    path = made(tmp_path, "a 1\n")
    text = {"files": [{"filename": f"x/{path.name}", "FILELINECOUNT": "1"}], "Totals": {"TotalNumberLines": 1}}
    (tmp_path / "in" / "y.info").write_text("\ufeff" + json.dumps(text))
    _, report = read(tmp_path)
    assert (report.files[0].info, report.files[0].differences, assumed(report)) == (
        str(path.with_name("y.info")),
        [],
        set(),
    )


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{Files: 3}", "{Files: [{}]}", '{Files: [{FileName: "a", FileByteSize: "x"}]}', "\xff"]
)
def test_a_control_file_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    path = made(tmp_path, "a 1\n")
    beside = tmp_path / "in" / NAME.replace(".sync", ".info")
    beside.write_bytes(text.encode("latin-1"))
    for what in (tmp_path / "in", path):
        with raises(InputError, "E-OUTBOUND-INFO", beside.name, "--no-verify"):
            read(tmp_path, what)
    assert read(tmp_path, verify=False)[0].height == 1


# --- which files are read ---------------------------------------------------------------------------------------


def test_of_a_mixed_folder_outbound_files_are_read(tmp_path: Path) -> None:
    made(tmp_path, "a 1\n")
    made(tmp_path, "b 2\n", "ftp_dpm_1234_1366545717.sync")  # an inbound file
    made(tmp_path, "c 3\n", "notes.txt")
    made(tmp_path, "d 4\n", ".hidden.sync")
    path = made(tmp_path, b"", "s3_1_2_full_1486140844.sync.bz2")
    path.write_bytes(bz2.compress(b"e 5\n"))
    frame, report = read(tmp_path, tmp_path / "in", tmp_path / "in" / "*.sync")
    assert frame["user_id"].to_list() == ["a", "e"]
    assert frame["time"].to_list() == [TIME, TIME]
    left_out = {Path(each.path).name: each.reason for each in report.left_out}
    assert left_out == {
        "ftp_dpm_1234_1366545717.sync": "foreign",
        "notes.txt": "foreign",
        ".hidden.sync": "hidden",
    }
    frame, report = read(tmp_path, tmp_path / "in" / "notes.txt")
    assert rows_of(frame) == [("c", [3], [])]
    assert frame.select("time", "destination", "data_source", "mode").row(0) == (None,) * 4
    assert assumed(report) == {"name_unknown"}
    with raises(InputError, "E-OUTBOUND-INBOUND", "N1"):
        read(tmp_path, tmp_path / "in" / "ftp_dpm_1234_1366545717.sync")


def test_where_there_is_no_outbound_file_that_is_an_error(tmp_path: Path) -> None:
    path = made(tmp_path, "a 1\n")
    where = info(tmp_path, path)
    with raises(InputError, "E-INPUT-MISSING"):
        read(tmp_path, where)
    with raises(InputError, "E-INPUT-MISSING"):
        read(tmp_path, tmp_path / "none")
    with raises(InputError, "E-INPUT-MISSING", "/**/*'"):
        read(tmp_path, tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"in"}


def test_keys_of_tables_are_errors() -> None:
    with raises(JobError, "E-INPUT-KEY", "input.format"):
        OutboundInput(input={"path": "x", "format": "csv"})


def test_a_line_without_an_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MOST_LINE", 2 << 20)
    made(tmp_path, "a" * (5 << 20))
    with raises(InputError, "E-LINE-ENDLESS", NAME):
        read(tmp_path)


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = made(tmp_path, "a 1\n")

    def change(_: Progress) -> None:
        path.write_bytes(b"a 1\nb 2\n")

    with raises(InputError, "E-INPUT-CHANGED", NAME):
        read(tmp_path, progress=change)


def test_too_many_wrong_lines_are_refused(tmp_path: Path) -> None:
    made(tmp_path, "a 1\n" * 8 + "x\n")
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS", "line_short", "--line"):
        read(tmp_path, rejects=tmp_path / "rejects.ndjson")
    assert {each.name for each in tmp_path.iterdir()} == {"in", "rejects.ndjson"}


def test_a_line_that_is_lost_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "a 1\nb 2\n")
    original = reading.with_name
    monkeypatch.setattr(reading, "with_name", lambda frame, name: original(frame.head(1), name))
    with raises(LedgerError, "E-LEDGER"):
        read(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"in"}


# --- the output -------------------------------------------------------------------------------------------------


def test_formats_hold_the_same(tmp_path: Path) -> None:
    made(tmp_path, f"{ID} 24,26 25\nb  1\n")
    for name in ("out.parquet", "out.pq", "out.csv", "out.ndjson", "out.jsonl"):
        report = read_outbound(tmp_path / "in", tmp_path / name)
        assert table_of(tmp_path / name, report.output_format) == [(ID, [24, 26], [25]), ("b", [], [1])]
    read_outbound(tmp_path / "in", tmp_path / "table", output_format="csv")
    assert (tmp_path / "table").read_bytes() == (tmp_path / "out.csv").read_bytes()
    stream = io.BytesIO()
    read_outbound(tmp_path / "in", stream)
    assert stream.getvalue() == (tmp_path / "out.ndjson").read_bytes()
    assert json.loads(stream.getvalue().splitlines()[0])["time"] == "2017-02-03T16:54:04.000Z"


@pytest.mark.parametrize("to, given", [("x.txt", None), ("x", None), ("x.csv", "excel"), ("-", "parquet")])
def test_a_format_that_is_not_known_is_an_error(to: str, given: str | None) -> None:
    with raises(JobError, "E-OUTBOUND-FORMAT", "--format"):
        writing.format_of(to, given)


def test_nothing_is_replaced_without_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "a 1\n")
    to = tmp_path / "out.csv"
    to.write_text("mine")
    with raises(DestinationError, "E-OUTPUT-TAKEN", "--force"):
        read_outbound(tmp_path / "in", to)
    with raises(DestinationError, "E-OUTPUT-TAKEN", "a folder"):
        read_outbound(tmp_path / "in", tmp_path / "in", output_format="csv", force=True)
    with raises(DestinationError, "E-OUTPUT-TAKEN", "no file"):
        read_outbound(tmp_path / "in", "/dev/null", output_format="csv", force=True)
    with raises(DestinationError, "E-OUTPUT-WRITE", "no/out.csv': No such file"):
        read_outbound(tmp_path / "in", tmp_path / "no" / "out.csv")
    assert to.read_text() == "mine"
    read_outbound(tmp_path / "in", to, force=True)
    assert to.read_text().startswith("user_id,")
    to.unlink()

    def make(_: Progress) -> None:
        to.write_text("mine")

    with raises(DestinationError, "E-OUTPUT-TAKEN", "meanwhile"):
        read_outbound(tmp_path / "in", to, progress=make)
    assert to.read_text() == "mine"
    assert {each.name for each in tmp_path.iterdir()} == {"in", "out.csv"}


def test_one_run_writes_a_file_and_what_a_dead_one_left_is_replaced(tmp_path: Path) -> None:
    made(tmp_path, "a 1\n")
    to = tmp_path / "out.csv"
    left = tmp_path / ".out.csv.partial"
    left.write_text("left by a run that was killed, and longer than what is written now" * 9)
    other = writing.Output(to, force=False)
    other.open()
    with raises(DestinationError, "E-OUTPUT-IN-USE"):
        read_outbound(tmp_path / "in", to)
    other.close()
    read_outbound(tmp_path / "in", to)
    assert to.read_text().count("\n") == 2
    assert not left.exists()


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_what_a_run_that_failed_has_not_written_goes_into_no_other_file(tmp_path: Path, name: str) -> None:
    """The descriptor of its output is that of the next file that is opened."""
    path = made(tmp_path, "a 1\n")

    def change(_: Progress) -> None:
        path.write_bytes(b"a 1\nb 2\n")

    gc.disable()
    try:
        with raises(InputError, "E-INPUT-CHANGED") as raised:
            read_outbound(path, tmp_path / name, progress=change)
        with (tmp_path / "other").open("wb"):
            raised.value.__traceback__ = None
            del raised
            gc.collect()
    finally:
        gc.enable()
    assert (tmp_path / "other").read_bytes() == b""


class _Full(io.BytesIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, data: Any, /) -> int:
        raise self.error


@pytest.mark.parametrize("format_", ["csv", "ndjson"])
@pytest.mark.parametrize(
    "error, code", [(BrokenPipeError(), "E-OUTPUT-CLOSED"), (OSError(28, "full"), "E-OUTPUT-WRITE")]
)
def test_errors_of_the_stream_are_those_of_the_output(tmp_path: Path, format_: str, error: OSError, code: str) -> None:
    made(tmp_path, "a 1\n")
    with raises(DestinationError, code):
        read_outbound(tmp_path / "in", _Full(error), output_format=format_)


@pytest.mark.parametrize("format_", writing.FORMATS)
def test_the_output_depends_neither_on_threads_nor_on_blocks(
    tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in (1, 2, 3):
        lines = [f"user-{number} {','.join(map(str, range(number % 40)))} {number}\n" for number in range(5000 * part)]
        made(tmp_path, "".join(lines) + "wrong\n" * 9, f"s3_1_2_full_1486140844000{part:03}.sync{'.gz' * (part % 2)}")
    monkeypatch.setattr(writing, "_GROUP_BYTES", 1 << 19)
    written = set()
    for threads, block in ((1, 1 << 12), (2, 1 << 16), (3, 1 << 20)):
        monkeypatch.setattr(reading, "_HEAD_BYTES", 1 << 12)
        monkeypatch.setattr(reading, "_MOST_BLOCK", block)
        job = OutboundInput(input={"path": str(tmp_path / "in")}, run={"threads": threads})
        wrong = tmp_path / "wrong.ndjson"
        report = read_outbound(job, tmp_path / "out", output_format=format_, force=True, rejects=wrong)
        written.add(((tmp_path / "out").read_bytes(), wrong.read_bytes(), json.dumps(report.as_dict())))
        assert report.ledger.written == 30_000
    assert len(written) == 1
    if format_ == "parquet":
        assert len(pl.scan_parquet(tmp_path / "out").collect()) == 30_000


def test_match_reads_the_ids(tmp_path: Path) -> None:
    made(tmp_path, "Ab1 1\nc2D 2\nzz 3\n")
    read(tmp_path)
    (tmp_path / "crm.csv").write_text("id\nAb1\nc2D\nE3\n")
    found = match(str(tmp_path / "crm.csv"), str(tmp_path / "out.parquet"))
    assert found.as_dict()["as_is"]["matched"] == 2


# --- S3, memory, the command line -------------------------------------------------------------------------------


@pytest.fixture
def s3() -> Iterator[S3Place]:
    with s3_place() as place:
        yield place


def _objects(place: S3Place, files: Sequence[Path]) -> None:
    for path in files:
        place.client.put_object(Bucket=place.bucket, Key=f"out/date=2017-02-03/{path.name}", Body=path.read_bytes())


def test_a_prefix_on_s3_is_read_as_a_folder(tmp_path: Path, s3: S3Place) -> None:
    files = [made(tmp_path, f"a{part} {part}\n" * 999, f"s3_1_2_full_148614084400000{part}.sync.gz") for part in (1, 2)]
    where = info(tmp_path, *files, name="s3_1_2_full_1486140844000.info")
    _objects(s3, [*files, where])
    local, _ = read(tmp_path)
    for path in (f"s3://{s3.bucket}/out/", f"s3://{s3.bucket}/out/date=2017-02-03/{files[0].name}"):
        job = OutboundInput(
            input={"path": path}, s3={"endpoint_url": s3.endpoint, "addressing_style": "path", "timeout": 10}
        )
        report = read_outbound(job, tmp_path / "out.parquet", force=True)
        frame = pl.read_parquet(tmp_path / "out.parquet")
        assert frame.equals(local.head(frame.height))
        assert [file.info for file in report.files] == [f"s3://{s3.bucket}/out/date=2017-02-03/{where.name}"] * len(
            report.files
        )
        assert report.warnings == []
    assert frame.height == 999


@pytest.mark.slow
def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    code = f"""
import gzip, resource
from converter import read_outbound
path = {str(tmp_path)!r} + "/s3_1_2_full_1486140844000.sync.gz"
block = "".join(f"{{number:038}} 105955,101183,101180,101179,105956 105{{number % 999}}\\n" for number in range(100_000))
with gzip.open(path, "wb", 1) as file:
    for _ in range(80):
        file.write(block.encode())
for name in ("out.parquet", "out.ndjson", "out.csv"):
    report = read_outbound(path, {str(tmp_path)!r} + "/" + name)
print(report.ledger.written, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    written, peak = map(int, out.split())
    assert written == 8_000_000
    assert peak < 512_000, "KiB, where the rows take 650 MB"


def test_the_command_reads_a_folder(tmp_path: Path) -> None:
    path = made(tmp_path, "a 1,2 3\nb  4\n", "ftp_1_2_full_1486140844-1.sync.gz")
    info(tmp_path, path)
    code, out, error = command(tmp_path, "read-outbound", "in", "--to", "out.csv")
    assert (code, error) == (0, "")
    check_named(out, "2  rows", "1  compared", "Assumed", "(O3 split_dashed)", "(O2 time_seconds)")
    code, out, _ = command(tmp_path, "read-outbound", "in", "--to", "out.csv", "--force", "--json")
    found = json.loads(out)
    assert (code, found["outcome"], found["records"]) == (0, "done", {"read": 2, "written": 2, "rejected": {}})
    code, out, error = command(tmp_path, "read-outbound", "in", "--to", "-")
    assert [json.loads(line)["user_id"] for line in out.splitlines()] == ["a", "b"]
    check_named(error, "2  rows")
    code, out, error = command(tmp_path, "read-outbound", "in", "--to", "-", "--format", "csv", "--quiet")
    assert (code, out, error) == (0, (tmp_path / "out.csv").read_text(), "")
    code, out, error = command(tmp_path, "read-outbound", "in", "--to", "-", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "E-USAGE")
    code, out, error = command(tmp_path, "read-outbound", "in", "--to", "out.csv")
    assert code == 1
    check_told(error, "E-OUTPUT-TAKEN", "out.csv")
    info(tmp_path, path, md5="0" * 32)
    code, out, error = command(tmp_path, "read-outbound", "in", "--to", "new.csv")
    assert code == 3
    check_told(error, "E-OUTBOUND-DIFFERS", path.name)
    code, out, error = command(tmp_path, "read-outbound", "in", "--to", "new.csv", "--json")
    found = json.loads(out)
    assert (code, found["outcome"], len(found["files"])) == (3, "refused", 1)
    assert {each.name for each in tmp_path.iterdir()} == {"in", "out.csv"}


def test_a_closed_standard_output_is_no_traceback(tmp_path: Path) -> None:
    made(tmp_path, "a 1\n" * 200_000)
    process = start(tmp_path, "read-outbound", "in", "--to", "-", "--quiet")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


def test_a_standard_output_that_is_closed_before_is_an_error(tmp_path: Path) -> None:
    made(tmp_path, "a 1\n")
    line = f"{sys.executable} -m converter read-outbound in --to - >&-"
    done = subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    check_told(done.stderr, "E-STDOUT", "--to")


def test_files_of_other_forms_have_the_form_of_the_syntax() -> None:
    assert detected([]) is None
    assert detected(["no separator"[:2]]) is None
    assert detected(["a 1"]) == SPACES
    assert SPACES.name == "a space between fields, a comma between segments"
    assert {rule.level for rule in outbound.LINE_RULES} == {"error"}
