"""Addresses that synchronize IDs by HTTP: what they are, what becomes of the others, and where they go."""

from __future__ import annotations

import csv
import errno
import gzip
import html.parser
import importlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import converter
from converter import UrlJob, sync_urls
from converter.errors import (
    ConverterError,
    DestinationError,
    EmptyInputError,
    InputError,
    JobError,
    LedgerError,
    TooManyRejectsError,
)
from converter.jobs.document import merge
from converter.ledger import Ledger
from converter.sources.origins.local import LocalFile
from converter.spec.addresses import MACRO, SyncAddress
from converter.spec.rules import ID_IS_EMAIL

from .errors import check_named, check_told, raises
from .test_cli import command, start

REDIRECT = "https://example.com/sync?source=crm&id=${DD_UUID}"
START = "https://dpm.demdex.net/ibs:dpid=1234&dpuuid="
ODD = [
    "plain-1",
    "a b",
    "Müller",
    'say "hi"',
    "a,b",
    "back\\slash",
    "100%",
    "a/b?c=d&e",
    "€",
    "a+b",
    "-._~",
    "it's",
    "😀",
    "{}",
]


class Addresses:
    """A folder with a table of IDs, and a job for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, ids: list[str], name: str = "in.csv") -> Path:
        path = self.folder / name
        quoted = "".join('"{}"\n'.format(id_.replace('"', '""')) for id_ in ids)
        path.write_text(f"id\n{quoted}", newline="")
        return path

    def job(self, **changes: Any) -> UrlJob:
        data = {"input": {"path": str(self.folder / "in.csv")}, "id": {"column": "id"}, "output": {"dpid": 1234}}
        return UrlJob(**merge(data, changes))

    def made(self, job: UrlJob | None = None, **wanted: Any) -> tuple[bytes, Ledger]:
        """Write addresses into memory; what was written, and the ledger."""
        stream = io.BytesIO()
        ledger = sync_urls(job or self.job(), stream, **wanted)
        return stream.getvalue(), ledger

    def rows(self, ids: list[str], **wanted: Any) -> list[tuple[str, str]]:
        """Return the IDs and addresses of IDs, read as the form has them."""
        self.write(ids)
        text, ledger = self.made(**wanted)
        assert ledger.read == ledger.written == len(ids)
        if wanted.get("form") == "ndjson":
            return [tuple(json.loads(line).values()) for line in text.decode().splitlines()]
        header, *rows = csv.reader(io.StringIO(text.decode(), newline=""), strict=True)
        assert header == ["id", "image" if wanted.get("image") else "url"]
        return [(row[0], row[1]) for row in rows if len(row) == 2 or pytest.fail(str(row))]


@pytest.fixture
def addresses(way: str, tmp_path: Path) -> Addresses:
    return Addresses(tmp_path)


# --- what an address is -----------------------------------------------------------------------------------------


def test_an_address_is_as_adobe_has_it() -> None:
    assert SyncAddress(1234).before == START
    assert SyncAddress(1234).after == ""
    address = SyncAddress(1234, REDIRECT, 1, "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA.YAAA")
    assert address.before == START
    assert address.after == (
        "&redir=https%3A%2F%2Fexample.com%2Fsync%3Fsource%3Dcrm%26id%3D%24%7BDD_UUID%7D"
        "&gdpr=1&gdpr_consent=BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA.YAAA"
    )
    assert unquote(address.after.partition("&redir=")[2].partition("&")[0]) == REDIRECT
    assert SyncAddress(1, gdpr=0, gdpr_consent="a").after == "&gdpr=0&gdpr_consent=a"


@pytest.mark.parametrize(
    "redirect",
    [
        "example.com/${DD_UUID}",
        "//example.com/${DD_UUID}",
        "ftp://example.com/${DD_UUID}",
        "/sync?id=${DD_UUID}",
        "https:///${DD_UUID}",
        "https://?${DD_UUID}",
        "https://example.com/a b${DD_UUID}",
        "https://example.com/${DD_UUID}\n",
        "https%3A%2F%2Fexample.com%2F${DD_UUID}",
        "javascript:alert(1)//https://x/${DD_UUID}",
    ],
)
def test_a_redirect_is_a_whole_address(redirect: str) -> None:
    with pytest.raises(ValueError, match="redirect.*http://.*https://"):
        SyncAddress(1, redirect)


@pytest.mark.parametrize(
    "redirect", [f"http://example.com/?{MACRO}", f"HTTPS://u.example:8443/{MACRO}#x", f"https://é.example/ü{MACRO}"]
)
def test_other_redirects_are_encoded_as_a_whole(redirect: str) -> None:
    assert SyncAddress(1, redirect).after == "&redir=" + quote(redirect, safe="")


@pytest.mark.parametrize(
    "wanted, named",
    [
        ({"redirect": "https://example.com/?id="}, r"\$\{DD_UUID\}"),
        ({"redirect": "https://example.com/?id=${dd_uuid}"}, r"\$\{DD_UUID\}"),
        ({"gdpr": 1}, "gdpr.* gdpr_consent"),
        ({"gdpr": 0}, "gdpr.* gdpr_consent"),
        ({"gdpr_consent": "BOEFE"}, "gdpr.* gdpr_consent"),
        ({"gdpr": 2, "gdpr_consent": "BOEFE"}, "gdpr.* 1 .* 0"),
        ({"gdpr": -1, "gdpr_consent": "BOEFE"}, "gdpr.* 1 .* 0"),
        ({"gdpr": 1, "gdpr_consent": "a&b"}, "gdpr_consent.* Base64"),
        ({"gdpr": 1, "gdpr_consent": "a+b/c="}, "gdpr_consent.* Base64"),
        ({"dpid": 0}, "data source.* 1"),
        ({"dpid": -5}, "data source.* 1"),
    ],
)
def test_what_audience_manager_would_not_take_is_refused(wanted: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SyncAddress(**{"dpid": 1, **wanted})


def test_ids_of_several_types_have_no_one_address(addresses: Addresses) -> None:
    addresses.write(["a"])
    with raises(JobError, "E-ID-TYPE-AUTO", "id.type", "'auto'"):
        addresses.made(addresses.job(id={"type": "auto"}))


def test_a_wrong_address_is_a_wrong_job(addresses: Addresses) -> None:
    addresses.write(["a"])
    with raises(JobError, "E-SYNC-ADDRESS", "gdpr", "gdpr_consent") as wrong:
        addresses.made(gdpr=1)
    assert wrong.value.exit_code == 2


# --- what is written --------------------------------------------------------------------------------------------


def test_the_bytes_of_csv(addresses: Addresses) -> None:
    addresses.write(["plain-1", "a b", 'x"y', "a,b", "ü"])
    text, ledger = addresses.made()
    assert text.decode() == (
        f'id,url\nplain-1,{START}plain-1\na b,{START}a%20b\n"x""y",{START}x%22y\n"a,b",{START}a%2Cb\nü,{START}%C3%BC\n'
    )
    assert (ledger.read, ledger.written, dict(ledger.rejected)) == (5, 5, {})


def test_the_bytes_of_ndjson(addresses: Addresses) -> None:
    addresses.write(["plain-1", 'x"y\\z', "ü"])
    text, _ = addresses.made(form="ndjson", gdpr=0, gdpr_consent="C")
    assert text.decode() == (
        f'{{"id":"plain-1","url":"{START}plain-1&gdpr=0&gdpr_consent=C"}}\n'
        f'{{"id":"x\\"y\\\\z","url":"{START}x%22y%5Cz&gdpr=0&gdpr_consent=C"}}\n'
        f'{{"id":"ü","url":"{START}%C3%BC&gdpr=0&gdpr_consent=C"}}\n'
    )


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_odd_ids_come_back_as_they_are(form: str, addresses: Addresses) -> None:
    after = SyncAddress(1234, REDIRECT).after
    assert addresses.rows(ODD, form=form, redirect=REDIRECT) == [
        (id_, START + quote(id_, safe="") + after) for id_ in ODD
    ]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_an_image_has_the_address_as_its_source(form: str, addresses: Addresses) -> None:
    class Source(html.parser.HTMLParser):
        found: list[str | None]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag == "img"
            assert dict(attrs) | {"src": ""} == {"src": "", "width": "1", "height": "1", "alt": ""}
            self.found = [dict(attrs)["src"]]

    wanted: dict[str, Any] = {"form": form, "redirect": REDIRECT, "gdpr": 1, "gdpr_consent": "C"}
    plain = addresses.rows(ODD, **wanted)
    images = addresses.rows(ODD, image=True, **wanted)
    assert len(images) == len(plain) == len(ODD)
    for (id_, url), (same, image) in zip(plain, images, strict=True):
        parser = Source()
        parser.feed(image)
        assert (parser.found, same) == ([url], id_)


IDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters=":\ufeff@%"), min_size=1, max_size=20
)


@settings(max_examples=25, deadline=None)
@given(ids=st.lists(IDS.filter(lambda id_: any(mark.isalpha() for mark in id_)), min_size=1, max_size=5))
def test_any_ids_are_written_as_readers_take_them(ids: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    addresses = Addresses(tmp_path_factory.mktemp("any"))
    job = addresses.job(id={"trim": False, "implausible": "allow"}, report={"max_rejects": "0%"})
    addresses.write(ids)
    read = [(id_, START + quote(id_, safe="")) for id_ in ids]
    text = addresses.made(job)[0].decode()
    assert [tuple(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)] == [("id", "url"), *read]
    text = addresses.made(job, form="ndjson")[0].decode()
    assert [tuple(json.loads(line).values()) for line in text.split("\n")[:-1]] == read


# --- what becomes of rows ---------------------------------------------------------------------------------------


def test_ids_are_normalized_as_inbound_files_have_them(addresses: Addresses) -> None:
    addresses.write([" ID-Ab%20c ", "\u200bID-0%C3%9C"])
    job = addresses.job(id={"decode": True, "case": "lower", "cut_prefix": "ID-", "prefix": "x"})
    rows = addresses.made(job)[0].decode().splitlines()[1:]
    assert rows == [f"xab c,{START}xab%20c", f"x0ü,{START}x0%C3%BC"]


def test_addresses_of_people_are_hashed_where_that_is_asked(addresses: Addresses) -> None:
    addresses.write([" JohnDoe@example.com"])
    job = addresses.job(id={"type": "hashed_email", "hash": "sha256"})
    hashed = "55e79200c1635b37ad31a378c39feb12f120f116625093a19bc32fff15041149"
    assert addresses.made(job)[0].decode().splitlines()[1:] == [f"{hashed},{START}{hashed}"]


def test_device_ids_take_adobes_case_and_their_own_data_source(addresses: Addresses) -> None:
    id_ = "0F8FAD5B-D9CB-469F-A165-70867728950E"
    addresses.write([id_])
    job = addresses.job(id={"type": "gaid"}, output={"dpid": 20914})
    assert job.warnings == []
    assert f"dpid=20914&dpuuid={id_.lower()}\n" in addresses.made(job)[0].decode()
    (warning,) = addresses.job(id={"type": "gaid"}).warnings
    assert warning.code == "W-ID-TYPE-SOURCE"
    check_named(warning.message, "gaid", "20914")


def test_the_first_rows_tell_that_numbers_are_ids(addresses: Addresses) -> None:
    numbers = [f"{4_000_000_000_000_000 + 37 * number}" for number in range(500)]
    assert [id_ for id_, _ in addresses.rows(numbers)] == numbers


REJECTED = ["john@example.com", "a:b", "", "x%3Ay", "+49 (30) 1234567"]


def test_ids_that_inbound_files_may_not_hold_are_rejected_by_the_same_rules(addresses: Addresses) -> None:
    addresses.write(["good-1", *REJECTED[:4], "good-2"])
    text, ledger = addresses.made(addresses.job(report={"max_rejects": "4"}))
    assert [line.partition(",")[0] for line in text.decode().splitlines()] == ["id", "good-1", "good-2"]
    assert dict(ledger.rejected) == {"id_is_email": 1, "id_forbidden_character": 2, "id_missing": 1}
    assert (ledger.read, ledger.written) == (6, 2)


@pytest.mark.parametrize("asked, written, rejected", [("reject", ["b"], 2), ("report", ["Ab", "b", "aB"], 0)])
def test_ids_that_differ_by_case_alone_are_rejected_or_counted_where_that_is_asked(
    asked: str, written: list[str], rejected: int, addresses: Addresses
) -> None:
    addresses.write(["Ab", "b", "aB"])
    job = addresses.job(id={"case_collisions": asked}, report={"max_rejects": "100%"})
    text, ledger = addresses.made(job)
    assert [line.partition(",")[0] for line in text.decode().splitlines()[1:]] == written
    assert ledger.rejected["id_case_collision"] == rejected
    assert dict(ledger.warnings) == {"id_case_collision": 2}


def test_rows_that_cannot_be_taken_apart_are_counted(addresses: Addresses) -> None:
    (addresses.folder / "in.csv").write_text("id,x\na,1\nb\nc,2,3\nd,4\n")
    text, ledger = addresses.made(addresses.job(report={"max_rejects": "50%"}))
    assert text.decode().splitlines()[1:] == [f"a,{START}a", f"d,{START}d"]
    assert dict(ledger.rejected) == {"row_too_short": 1, "row_too_long": 1}


def test_too_many_rejects_are_an_error_that_counts_and_names_no_id(addresses: Addresses) -> None:
    addresses.write(["good", *REJECTED[:3], "bad@example.org"])
    counts = "4 rejected (id_is_email: 2 in column 'id', id_forbidden_character: 1 in column 'id', id_missing: 1"
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS", counts, ID_IS_EMAIL.hint) as many:
        addresses.made()
    assert many.value.exit_code == 3
    for id_ in REJECTED[:2]:
        assert id_ not in str(many.value)


def test_no_row_and_no_row_that_is_left_are_errors(addresses: Addresses) -> None:
    addresses.write([])
    with raises(EmptyInputError, "E-NO-ROWS"):
        addresses.made()
    addresses.write(["a:b", "c:d"])
    with raises(EmptyInputError, "E-NO-ROW-LEFT", "2 rejected (id_forbidden_character: 2 in column 'id')"):
        addresses.made(addresses.job(report={"max_rejects": "100%"}))


def test_a_row_that_is_lost_is_noticed(addresses: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("converter.commands.sync_urls")
    real = module.convert_sources

    def losing(*given: Any) -> Iterator[Any]:
        for converted in real(*given):
            converted.ledger.written -= 1
            yield converted

    monkeypatch.setattr(module, "convert_sources", losing)
    addresses.write(["a", "b"])
    path = addresses.folder / "urls.csv"
    with raises(LedgerError, "E-LEDGER", "2 rows", "1 written"):
        sync_urls(addresses.job(), path)
    assert [file.name for file in addresses.folder.iterdir()] == ["in.csv"]


# --- where rows come from ---------------------------------------------------------------------------------------


def test_files_of_all_formats_are_read_in_order(addresses: Addresses) -> None:
    folder = addresses.folder
    (folder / "1.csv.gz").write_bytes(gzip.compress(b"id\ncsv-1\n"))
    pl.DataFrame({"x": [0], "id": ["parquet-1"]}).write_parquet(folder / "2.parquet")
    (folder / "3.ndjson").write_text('{"id": "json-1"}\n{"id": "json-2"}\n')
    pl.DataFrame({"id": [17]}).write_ipc(folder / "4.arrow")
    text, ledger = addresses.made(addresses.job(input={"path": str(folder / "[1-4].*")}))
    ids = [line.partition(",")[0] for line in text.decode().splitlines()[1:]]
    assert ids == ["csv-1", "parquet-1", "json-1", "json-2", "17"]
    assert ledger.written == 5


def test_many_rows_keep_their_order_through_many_stretches(addresses: Addresses) -> None:
    ids = [f"customer/{number:07}" for number in range(300_000)]
    pl.DataFrame({"id": ids}).write_csv(addresses.folder / "in.csv")
    text, ledger = addresses.made(addresses.job(run={"threads": 3}))
    assert ledger.written == len(ids)
    lines = text.decode().splitlines()[1:]
    assert len(lines) == len(ids)
    assert lines[::1000] == [f"{id_},{START}{quote(id_, safe='')}" for id_ in ids[::1000]]
    assert lines == sorted(lines)


def test_a_missing_column_is_an_error_that_names_the_nearest(addresses: Addresses) -> None:
    addresses.write(["a"])
    with raises(ConverterError, "E-COLUMN-MISSING", "'idd'", "'id'?"):
        addresses.made(addresses.job(id={"column": "idd"}))


# --- the job ----------------------------------------------------------------------------------------------------

JOB = """
[input]
path = "in.csv"
[id]
column = "id"
case = "upper"
[record]
signals = ["not in the table"]
[output]
environment = "production"
partner = "acme"
dpid = 5
kind = "odc"
timestamp = 1366545717
[s3]
acl = "private"
[report]
dir = "elsewhere"
max_rejects = "60%"
[run]
threads = 2
"""


def test_the_job_file_of_a_table_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(JOB)
    job = UrlJob.load(tmp_path / "job.toml", {"output": {"dpid": 6}})
    assert (job.columns, job.dpids, job.report.max_rejects, job.run.threads) == (("id",), (6,), "60%", 2)
    assert job.id
    assert job.id.case == "upper"


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"id": {"colunm": "x"}}, ["id.colunm", "'column'?"]),
        ({"idd": {"column": "x"}}, ["idd", "'id'?"]),
        ({"output": {"dpidd": 1}}, ["output.dpidd", "'dpid'?"]),
        ({"output": 5}, ["output", "'5'", "[output]"]),
    ],
)
def test_keys_that_are_unknown_are_errors_all_the_same(
    changes: dict[str, Any], named: list[str], addresses: Addresses
) -> None:
    with raises(JobError, "E-JOB-INVALID", *named):
        addresses.job(**changes)


def test_an_id_and_a_data_source_are_needed() -> None:
    with raises(JobError, "E-JOB-INVALID", "id ", "--id COLUMN"):
        UrlJob(input={"path": "x"}, output={"dpid": 1}, sync={"columns": []})
    with raises(JobError, "E-JOB-INVALID", "output.dpid ", "--dpid NUMBER"):
        UrlJob(input={"path": "x"}, id={"column": "x"})


def test_sections_of_another_job_make_one() -> None:
    job = UrlJob(input={"path": "x"}, id={"column": "x"}, output={"dpid": 7})
    assert UrlJob(input=job.input, id=job.id, output=job.output) == job


def test_what_comes_from_the_environment_is_not_told(addresses: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "secret-place")
    with raises(InputError, "E-INPUT-MISSING", "'${PLACE}/in.csv'") as missing:
        addresses.made(addresses.job(input={"path": "${PLACE}/in.csv"}))
    assert "secret" not in str(missing.value)


# --- where addresses go -----------------------------------------------------------------------------------------


def test_a_file_appears_whole_in_a_folder_that_is_made(addresses: Addresses) -> None:
    addresses.write(["a"])
    path = addresses.folder / "made" / "urls.csv"
    ledger = sync_urls(addresses.job(), path)
    assert ledger.written == 1
    assert path.read_text() == f"id,url\na,{START}a\n"
    assert [file.name for file in path.parent.iterdir()] == ["urls.csv"]


def test_a_file_grows_under_another_name(addresses: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses.write(["a"])
    path, seen = addresses.folder / "urls.csv", []
    monkeypatch.setattr(
        LocalFile, "check_unchanged", lambda _: seen.append(sorted(file.name for file in addresses.folder.iterdir()))
    )
    sync_urls(addresses.job(), str(path))
    ((source, partial),) = seen
    assert (source, re.sub("[0-9a-f]{12}", "JOB", partial)) == ("in.csv", "urls.csv.JOB.partial")
    assert sorted(file.name for file in addresses.folder.iterdir()) == ["in.csv", "urls.csv"]


def test_a_file_is_never_overwritten(addresses: Addresses) -> None:
    addresses.write(["a"])
    path = addresses.folder / "urls.csv"
    path.write_text("mine")
    with raises(DestinationError, "E-OUTPUT-TAKEN", str(path)):
        sync_urls(addresses.job(), path)
    assert path.read_text() == "mine"
    with raises(DestinationError, "E-OUTPUT-TAKEN", "'.'"):
        sync_urls(addresses.job(), ".")
    partial = path.rename(f"{path}.0123456789ab.partial")
    with raises(DestinationError, "E-OUTPUT-IN-USE", str(path)):
        sync_urls(addresses.job(), path)
    assert partial.read_text() == "mine"


def test_a_file_that_comes_meanwhile_is_not_overwritten_either(
    addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses.write(["a"])
    path = addresses.folder / "urls.csv"
    monkeypatch.setattr(LocalFile, "check_unchanged", lambda _: path.write_text("mine"))
    with pytest.raises(DestinationError):
        sync_urls(addresses.job(), path)
    assert path.read_text() == "mine"
    assert sorted(file.name for file in addresses.folder.iterdir()) == ["in.csv", "urls.csv"]


def test_where_a_run_fails_no_file_is_left(addresses: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(file: LocalFile) -> None:
        raise InputError("E-INPUT-CHANGED", f"The input '{file.label}' changed.")

    addresses.write(["a:b"])
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS"):
        sync_urls(addresses.job(), addresses.folder / "urls.csv")
    addresses.write(["a"])
    monkeypatch.setattr(LocalFile, "check_unchanged", changed)
    with raises(InputError, "E-INPUT-CHANGED"):
        sync_urls(addresses.job(), addresses.folder / "urls.csv")
    assert [file.name for file in addresses.folder.iterdir()] == ["in.csv"]


class Full(io.RawIOBase):
    """A stream that fails with an error; where `late`, once everything has been written."""

    def __init__(self, error: OSError, *, late: bool = False) -> None:
        self.error = error
        self.late = late

    def write(self, data: Any) -> int:
        if not self.late:
            raise self.error
        return len(data)

    def flush(self) -> None:
        if not self.closed and self.late:
            self.late = False
            raise self.error


@pytest.mark.parametrize("late", [False, True])
def test_a_stream_that_fails_is_an_error_and_so_is_one_that_nobody_reads(late: bool, addresses: Addresses) -> None:
    addresses.write(["a"])
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with raises(DestinationError, "E-OUTPUT-WRITE", "No space left on device"):
        sync_urls(addresses.job(), Full(full, late=late))  # type: ignore[arg-type]
    with raises(DestinationError, "E-OUTPUT-CLOSED"):
        sync_urls(addresses.job(), Full(BrokenPipeError(errno.EPIPE, "broken"), late=late))  # type: ignore[arg-type]


# --- the command ------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text("id,a\ncustomer 1,x\ncustomer-2,y\n")
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path


FLAGS = ["--id", "id", "--dpid", "1234"]


def test_the_command_writes_to_standard_output_and_tells_on_standard_error(folder: Path) -> None:
    code, out, error = command(folder, "sync-urls", "in.csv", *FLAGS)
    assert (code, out) == (0, f"id,url\ncustomer 1,{START}customer%201\ncustomer-2,{START}customer-2\n")
    assert error == "2  rows read\n2  addresses written\n"
    assert {path.name for path in folder.iterdir()} == {"in.csv", "job.toml"}


def test_the_command_takes_a_job_file_alone_or_beside_tables(folder: Path) -> None:
    (folder / "other.csv").write_text("id\nb\nc@example.com\n")
    code, out, error = command(folder, "sync-urls", "job.toml", "--set", "id.case=lower", "--format", "ndjson")
    assert code == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["customer 1", "customer-2"]
    assert "dpid=5&dpuuid=customer%201" in out
    code, out, error = command(folder, "sync-urls", "other.csv", "--input", "in.csv", "--job", "job.toml")
    assert code == 0
    assert [line.partition(",")[0] for line in out.splitlines()] == ["id", "B", "CUSTOMER 1", "CUSTOMER-2"]
    assert error == "4  rows read\n3  addresses written\n1  rejected: id_is_email\n"


def test_the_command_writes_a_file_with_everything(folder: Path) -> None:
    code, out, _ = command(
        folder,
        *("sync-urls", "in.csv", *FLAGS, "--id-type", "crm", "--redirect", REDIRECT),
        *("--gdpr", "1", "--gdpr-consent", "CONSENT", "--image", "--output", "out/urls.csv", "--max-rejects", "0"),
    )
    assert (code, out) == (0, "")
    image, _ = (folder / "out/urls.csv").read_text().splitlines()[1:]
    assert image == (
        'customer 1,"<img src=""https://dpm.demdex.net/ibs:dpid=1234&amp;dpuuid=customer%201&amp;redir=https%3A%2F%2F'
        "example.com%2Fsync%3Fsource%3Dcrm%26id%3D%24%7BDD_UUID%7D&amp;gdpr=1&amp;gdpr_consent=CONSENT"
        '"" width=""1"" height=""1"" alt="""">"'
    )


@pytest.mark.parametrize(
    "args, exit_code, told, named",
    [
        (["in.csv", "--id", "id"], 2, "E-JOB-INVALID", ["output.dpid "]),
        (["in.csv", "--dpid", "5"], 2, "E-JOB-INVALID", ["id ", "--id COLUMN"]),
        (["--id", "id", "--dpid", "5"], 2, "E-JOB-INVALID", ["input.path ", "--input FILE"]),
        (["in.csv", *FLAGS, "--redirect", "https://example.com/?id="], 2, "E-SYNC-ADDRESS", ["${DD_UUID}"]),
        (["in.csv", *FLAGS, "--gdpr", "1"], 2, "E-SYNC-ADDRESS", ["gdpr", "gdpr_consent"]),
        (["in.csv", *FLAGS, "--set", "id.kase=lower"], 2, "E-JOB-INVALID", ["id.kase", "'case'?"]),
        (["in.csv", *FLAGS, "--max-rejects", "x"], 2, "E-JOB-INVALID", ["report.max_rejects", "'x'"]),
        (["in.csv", *FLAGS, "--output", "in.csv"], 1, "E-OUTPUT-TAKEN", ["'in.csv'"]),
        (["inn.csv", *FLAGS], 1, "E-INPUT-MISSING", ["'inn.csv'", "'in.csv'?"]),
        (["rejected.csv", *FLAGS], 3, "E-TOO-MANY-REJECTS", ["1 row was read, 1 rejected (id_is_email: 1"]),
        (["rejected.csv", *FLAGS, "--max-rejects", "100%"], 1, "E-NO-ROW-LEFT", ["id_is_email: 1"]),
    ],
)
def test_what_is_wrong_is_one_sentence_and_an_exit_code(
    args: list[str], exit_code: int, told: str, named: list[str], folder: Path
) -> None:
    (folder / "rejected.csv").write_text("id\njohn@example.com\n")
    ended, _, error = command(folder, "sync-urls", *args)
    assert ended == exit_code
    check_told(error, told, *named)
    assert "john" not in error


def test_warnings_are_told(folder: Path) -> None:
    (folder / "in.csv").write_text("id\na-1\nb2\n")
    code, _, error = command(folder, "sync-urls", "in.csv", *FLAGS, "--id-type", "maid")
    assert code == 0
    warnings = [line for line in error.splitlines() if line.startswith("Warning ")]
    assert [line.partition(":")[0] for line in warnings] == ["Warning [W-ID-TYPE-SOURCE]", "Warning [W-ID-WITH-HYPHEN]"]
    check_named(warnings[0], "maid", "389146", "output.dpid", "1234")
    check_named(warnings[1], "id_with_hyphen: 1 ")


def test_a_pipe_that_nobody_reads_ends_the_command_quietly(folder: Path) -> None:
    with (folder / "large.csv").open("w") as table:
        table.write("id\n" + "".join(f"customer-{number}\n" for number in range(200_000)))
    process = start(folder, "sync-urls", "large.csv", *FLAGS)
    assert process.stdout
    assert process.stderr
    assert process.stdout.readline() == "id,url\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == 1


def test_without_standard_output_a_file_is_asked_for(folder: Path) -> None:
    line = f"exec '{sys.executable}' -m converter sync-urls in.csv {' '.join(FLAGS)} >&-"
    done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    check_told(done.stderr, "E-STDOUT", "--output FILE")


def test_the_help_does_without_the_large_libraries(tmp_path: Path) -> None:
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nfrom converter.cli.app import app_for\ntry: app_for()(['sync-urls', '--help'])\nexcept SystemExit: pass\n"
            "print('LOADED', {'polars', 'numpy', 'pyarrow'} & set(sys.modules))",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.splitlines()[-1] == "LOADED set()"
    assert "${DD_UUID}" in shown


def test_the_library_has_the_function_also_once_its_module_is_loaded() -> None:
    importlib.import_module("converter.commands.sync_urls")
    assert converter.sync_urls is sync_urls
    assert callable(sync_urls)
