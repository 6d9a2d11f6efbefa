"""What is given as input by mistake is named for what it is, by its content."""

from __future__ import annotations

import gzip
import io
import json
import socket
import tarfile
import zipfile

import polars as pl
import pytest

from converter.errors import ColumnError, InputError

from .conftest import Run
from .errors import raises

CSV = b"id,a\n1,x\n2,y\n"
ROWS = [{"id": "1", "a": "x"}, {"id": "2", "a": "y"}]


def archive(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, CSV)
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        file.addfile(tarfile.TarInfo("crm.csv"))
    return content.getvalue()


def table(format_: str) -> bytes:
    content = io.BytesIO()
    frame = pl.DataFrame(ROWS)
    frame.write_parquet(content) if format_ == "parquet" else frame.write_ipc(content, compat_level=None)
    return content.getvalue()


WORKBOOK = archive("docProps/app.xml", "xl/workbook.xml")
HTML = b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"
HOLDS: dict[str, tuple[bytes, str, str, str]] = {  # the content, the code, what names it, and what to do
    "old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "E-INPUT-CONTENT", "(.xls)", "CSV UTF-8"),
    "OpenDocument": (archive("mimetype", "content.xml"), "E-INPUT-CONTENT", "OpenDocument", "CSV UTF-8"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c" + bytes(99), "E-INPUT-PACKED", "7-Zip", "Extract"),
    "RAR": (b"Rar!\x1a\x07\x01\0" + bytes(99), "E-INPUT-PACKED", "RAR", "Extract"),
    "compress": (b"\x1f\x9d\x90" + bytes(99), "E-INPUT-PACKED", "(.Z)", "Decompress"),
    "old lz4": (b"\x02\x21\x4c\x18" + bytes(99), "E-INPUT-PACKED", "lz4 of the old kind", "Decompress"),
    "tar": (tarred(), "E-INPUT-PACKED", "tar", "Extract"),
    "tar in gzip": (gzip.compress(tarred()), "E-INPUT-PACKED", "tar", "Extract"),
    "workbook in gzip": (gzip.compress(WORKBOOK), "E-INPUT-PACKED", "packed twice", "Unpack"),
    "PGP": (b"-----BEGIN PGP MESSAGE-----\n\nhQ\n", "E-INPUT-CONTENT", "PGP", "gpg --decrypt"),
    "binary PGP": (b"\x85\x02\x0c\x03" + bytes(range(200)), "E-INPUT-CONTENT", "PGP", "gpg --decrypt"),
    "HTML": (HTML, "E-INPUT-CONTENT", "HTML", "login"),
    "XML": (b'\xef\xbb\xbf<?xml version="1.0"?>\n<rows/>\n', "E-INPUT-CONTENT", "XML", "CSV"),
}


@pytest.mark.parametrize("name", ["in.csv", "in.data", "in.parquet", "in.ndjson"])
@pytest.mark.parametrize("kind", HOLDS)
def test_what_is_not_a_table_is_named(run: Run, kind: str, name: str) -> None:
    content, code, what, hint = HOLDS[kind]
    with raises(InputError, code, f"{name}'", what, hint):
        run.convert(content, name)


@pytest.mark.parametrize(
    "content, format_",
    [
        (CSV, "csv"),
        (gzip.compress(CSV), "csv"),
        (archive("crm.csv"), "csv"),
        (table("parquet"), "parquet"),
        (table("arrow"), "arrow"),
        (b'{"id":"1"}\n', "ndjson"),
        (WORKBOOK, "excel"),
        (json.dumps(ROWS).encode(), "json"),
        (json.dumps(ROWS, indent=2).encode("utf-16"), "json"),
        (json.dumps(ROWS[0], indent=2).encode(), "json"),
    ],
    ids=[
        "csv",
        "csv in gzip",
        "csv in zip",
        "parquet",
        "arrow",
        "ndjson",
        "workbook",
        "JSON array",
        "pretty JSON in UTF-16",
        "JSON object",
    ],
)
def test_a_table_of_another_format_names_that_one(run: Run, content: bytes, format_: str) -> None:
    hint = f"--set input.format={format_}"
    with raises(InputError, "E-FORMAT-UNKNOWN", hint):
        run.convert(content, "in.data")
    for other in {"csv", "parquet", "ndjson", "arrow"} - {format_} - ({"ndjson"} if format_ == "json" else set()):
        with raises(InputError, "E-INPUT-CONTENT", f"{other} because", "name", hint):
            run.convert(content, f"in.{other}")
        with raises(InputError, "E-INPUT-CONTENT", f"{other} because", "input.format", hint):
            run.convert(content, f"in.{format_}", input={"format": other})


@pytest.mark.parametrize("content", [b"", b"\x07\x08\x0e\x0f" * 99], ids=["nothing", "noise"])
def test_what_is_not_clear_is_not_named(run: Run, content: bytes) -> None:
    with raises(InputError, "E-FORMAT-UNKNOWN" if content else "E-INPUT-EMPTY", "in.data"):
        run.convert(content, "in.data")


def test_a_folder_without_tables_names_what_it_holds(run: Run) -> None:
    (run.folder / "exports").mkdir()
    (run.folder / "exports" / "crm.xls").write_bytes(WORKBOOK)
    with raises(InputError, "E-INPUT-MISSING", "'crm.xls'", "exports/*'"):
        run.convert(input={"path": str(run.folder / "exports")})


def test_sockets_and_devices_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path, what in {"socket": "a socket", "/dev/null": "a device"}.items():
            with raises(InputError, "E-INPUT-SPECIAL", f"'{path}'", what):
                run.convert(input={"path": path})


@pytest.mark.parametrize(
    "row",
    [
        "1001,John,x",
        "ann@example.com,Ann,x",
        "2024-01-31,x,y",
        "6D92078A-8246-4BA4-AE5B-76104861E7DC,x,y",
        f"{'ab' * 32},x,y",
    ],
    ids=["number", "e-mail", "date", "device", "hash"],
)
def test_a_first_row_of_values_is_no_header_and_is_not_shown(run: Run, row: str) -> None:
    with raises(ColumnError, "E-HEADER-MISSING", "in.csv'", " 3 ", "input.header=false", "input.columns=[") as raised:
        run.convert(f"{row}\n{row}\n")
    assert not [value for value in row.split(",") if len(value) > 1 and value in str(raised.value)]


def test_a_header_with_numbers_is_one_where_a_name_is_near(run: Run) -> None:
    with raises(ColumnError, "E-COLUMN-MISSING", "'ID'?", "'2023'"):
        run.convert("ID,2023\n1,x\n", id={"column": "iD"}, record={"signals": ["y2023"]})


def test_a_header_where_there_should_be_none_is_not_sent(run: Run) -> None:
    with raises(ColumnError, "E-HEADER-UNEXPECTED", "in.csv'", "input.header"):
        run.convert(b"ID, a\n1,x\n", input={"header": False, "columns": ["id", "a"]})
    assert run.files == []


def test_several_names_in_one_are_given_one_by_one(run: Run) -> None:
    with raises(ColumnError, "E-COLUMN-MISSING", "'t;a'", "'t' and 'a'", "--signal t --signal a"):
        run.convert(b"id,t,a\n1,x,y\n", record={"traits": ["t;a"]})


def test_all_missing_columns_are_named(run: Run) -> None:
    with raises(ColumnError, "E-COLUMN-MISSING", "'x'", "also lacks 'y', 'z'", "'id', 'a'"):
        run.convert(CSV, id={"column": "x"}, record={"signals": ["y", "z"]})
