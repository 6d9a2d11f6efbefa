"""`aam-inbound match`: what it counts is what plain sets count, and what `convert` then writes; no ID is ever shown."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import importlib
import io
import json
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter import Match, match
from converter.commands import candidates
from converter.errors import ColumnError, DestinationError, EmptyInputError, InputError, JobError
from converter.jobs.sections.ids import Id
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.table import Input
from converter.report.matches import Tried
from converter.report.texts import percent
from converter.spec.ids import TRIMMED

from .conftest import Run as Running
from .errors import check_named, check_told, codes_of, raises
from .test_cli import command

cli = importlib.import_module("converter.cli.match")
module = importlib.import_module("converter.commands.match")  # `converter.match` itself is the function


def table(ids: Iterable[str], name: str = "id") -> bytes:
    """A CSV file with IDs in its first column, and something else in another."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([name, "a"])
    writer.writerows([id_, "x"] for id_ in ids)
    return text.getvalue().replace("\r\n", "\n").encode()


def listed(ids: Iterable[str]) -> bytes:
    return "".join(f"{id_}\n" for id_ in ["visitor", *ids]).encode()


def compared(folder: Path, crm: Iterable[str] | bytes, site: Iterable[str] | bytes, **options: Any) -> Match:
    """Write both sides and compare them."""
    (folder / "crm.csv").write_bytes(crm if isinstance(crm, bytes) else table(crm))
    (folder / "site.csv").write_bytes(site if isinstance(site, bytes) else listed(site))
    return match(str(folder / "crm.csv"), str(folder / "site.csv"), **options)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


NUMBERS = ["101", "2022", "30303", "4", "55", "6789"]


# --- each setting finds what it is for --------------------------------------------------------------------------

CASES: dict[str, tuple[Sequence[str], Sequence[str], dict[str, Any]]] = {
    "as they are": (["Ab1", "c2D", "E3"], ["Ab1", "c2D", "zz"], {}),
    "trimmed": ([" Ab1", "c2D\u00a0 ", "E3"], ["Ab1", "c2D", "E3"], {}),
    "lower": (["AB12", "Cd34", "ef56"], ["ab12", "cd34", "ef56"], {"case": "lower"}),
    "upper": (["ab12", "Cd34", "EF56"], ["AB12", "CD34", "EF56"], {"case": "upper"}),
    "decoded": (["caf%C3%A91", "a%20b2", "c3"], ["café1", "a b2", "c3"], {"decode": True}),
    "nfc": (["cafe\u03011", "o\u03082", "c3"], ["caf\u00e91", "\u00f62", "c3"], {"unicode": "nfc"}),
    "removed": (["AB-12.3", "CD-4.56", "E-7"], ["AB123", "CD456", "E7"], {"remove": "-."}),
    "some removed": (["AB-12.3", "CD-4.56", "E-7.8"], ["AB-123", "CD-456", "E-78"], {"remove": "."}),
    "zeros stripped": (["0012", "00345", "6789"], ["12", "345", "6789"], {"strip_zeros": True}),
    "padded": (["12", "345", "6789"], ["00000012", "00000345", "00006789"], {"pad": 8}),
    "stripped and padded": (["0000000012", "0000000345"], ["00012", "00345"], {"strip_zeros": True, "pad": 5}),
    "prefix cut": ([f"CUST-{n}" for n in NUMBERS], NUMBERS, {"cut_prefix": "CUST-"}),
    "suffix cut": ([f"{n}/shop" for n in NUMBERS], NUMBERS, {"cut_suffix": "/shop"}),
    "prefix added": (NUMBERS, [f"web_{n}" for n in NUMBERS], {"prefix": "web_"}),
    "suffix added": (NUMBERS, [f"{n}.shop" for n in NUMBERS], {"suffix": ".shop"}),
    "hashed": (["ab12", "cd34", "ef56"], [*map(sha256, ["ab12", "cd34"])], {"hash": "sha256"}),
    "addresses hashed": (
        ["Joe@Example.com ", "ann@example.org", "c3"],
        [*map(sha256, ["joe@example.com", "ann@example.org"])],
        {"type": "hashed_email", "hash": "sha256"},
    ),
    "hashed in lower case": (["AB12", "Cd34"], [*map(sha256, ["ab12", "cd34"])], {"case": "lower", "hash": "sha256"}),
    "one prefix for another": (
        [f" CUST-{n:>08}" for n in NUMBERS],
        [f"cust_{n}" for n in NUMBERS],
        {"cut_prefix": "CUST-", "strip_zeros": True, "prefix": "cust_"},
    ),
    "prefix cut and filled up": (
        [f"C-{n}" for n in NUMBERS],
        [f"{n:>08}" for n in NUMBERS],
        {"cut_prefix": "C-", "pad": 8},
    ),
    "removed in upper case": (
        ["ab-12-x", "cd-34-y", "ef-56-z"],
        ["AB12X", "CD34Y", "EF56Z"],
        {"case": "upper", "remove": "-"},
    ),
    "digits that all begin with": (
        [f"{10_000 + n * 7_919 % 90_000}" for n in range(40)],
        [f"49{10_000 + n * 7_919 % 90_000}" for n in range(40)],
        {"prefix": "49"},
    ),
}


@pytest.mark.parametrize("crm, site, expected", CASES.values(), ids=CASES)
def test_the_simplest_settings_that_match_most_are_recommended(
    tmp_path: Path, crm: Sequence[str], site: Sequence[str], expected: dict[str, Any]
) -> None:
    found = compared(tmp_path, crm, site)
    assert found.recommended.id == {"column": "id", "type": "crm", **expected}
    assert found.recommended.exact
    assert found.recommended.matched == len(made(found.recommended.id, crm) & set(site)) > 0
    assert (found.crm, found.site) == (len(set(crm)), len(set(site)))
    assert found.as_is.matched == len(set(crm) & set(site))
    assert found.recommended.rate == round(found.recommended.matched / found.crm, 6)
    assert found.as_is in found.candidates
    assert found.recommended in found.candidates


def made(id_: Any, texts: Iterable[str]) -> set[str | None]:
    """What settings make of IDs."""
    given = Id(**id_)
    return {made_of(given, text) for text in texts}


def made_of(given: Id, text: str) -> str | None:
    """What settings make of an ID: the steps in plain Python."""
    if given.decode:
        text = re.sub(
            rb"%([0-9A-Fa-f]{2})", lambda digits: bytes([int(digits[1], 16)]), text.encode()
        ).decode()  # fmt: skip
    if given.trim:
        text = text.strip(TRIMMED)
    if given.unicode == "nfc":
        text = unicodedata.normalize("NFC", text)
    text = text.removeprefix(given.cut_prefix).removesuffix(given.cut_suffix)
    text = "".join(mark for mark in text if mark not in given.remove)
    if given.strip_zeros and text:
        text = text[:-1].lstrip("0") + text[-1] if text.strip("0") == "" else text.lstrip("0")
    if given.pad and text:
        text = text.rjust(given.pad, "0")
    case = "lower" if given.type == "hashed_email" else given.case
    text = {"lower": str.lower, "upper": str.upper, "preserve": str}[case](text)
    if not text:
        return None
    text = given.prefix + text + given.suffix
    if given.hash and (given.type == "crm" or "@" in text):
        return sha256(text)
    return text


def test_each_setting_that_changes_something_is_among_the_candidates(tmp_path: Path) -> None:
    crm = [" 00A-1", "00b-2", "c%2D3", "0e\u0301-44"]
    found = compared(tmp_path, crm, ["A-1", "000000b-2", "x"])
    tried = [each.id for each in found.candidates]
    for alone in (
        {},
        {"trim": False},
        {"case": "lower"},
        {"case": "upper"},
        {"decode": True},
        {"unicode": "nfc"},
        {"strip_zeros": True},
        {"remove": "-"},
    ):
        assert {"column": "id", "type": "crm", **alone} in tried
    assert [each.matched for each in found.candidates] == sorted((c.matched for c in found.candidates), reverse=True)


def test_what_the_sites_ids_show_is_tried(tmp_path: Path) -> None:
    crm = [f"{n:03}" for n in range(300)]
    found = compared(tmp_path, crm, [f"web-{n:06}" for n in range(150, 450)])
    assert found.recommended.id == {"column": "id", "type": "crm", "pad": 6, "prefix": "web-"}
    assert found.recommended.matched == 150


def test_what_no_id_may_hold_is_never_put_before_one(tmp_path: Path) -> None:
    found = compared(tmp_path, NUMBERS, [f"web:{n}" for n in NUMBERS])
    assert found.recommended.matched == 0
    assert codes_of(found.warnings) == ["W-MATCH-NONE"]


def test_what_few_ids_begin_with_is_not_told(tmp_path: Path) -> None:
    found = compared(tmp_path, ["anna.smith-1", "x2"], ["anna.smith-1-web", "ben.jones-1"])
    assert "anna" not in json.dumps(found.as_dict()) + found.to_html()
    addresses = [f"anna{n}@example.com" for n in range(30)]
    assert "anna" not in json.dumps(compared(tmp_path, addresses, addresses).as_dict())


# --- what is counted ---------------------------------------------------------------------------------------------


def test_ids_are_counted_once_and_missing_ones_not_at_all(tmp_path: Path) -> None:
    found = compared(tmp_path, ["Ab1", "Ab1", "", "c2D", "AB1"], ["Ab1", "Ab1", "", "zz"])
    assert (found.crm, found.site, found.as_is.matched) == (3, 2, 1)
    assert found.as_is.rate == round(1 / 3, 6)


def test_ids_that_become_the_same_match_once(tmp_path: Path) -> None:
    found = compared(tmp_path, ["AB1", "Ab1", "aB1", "CD2"], ["ab1", "cd2"])
    assert found.recommended.id["case"] == "lower"
    assert (found.recommended.matched, found.recommended.rate) == (2, 0.5)


def test_null_values_are_missing(tmp_path: Path) -> None:
    (tmp_path / "crm.csv").write_bytes(table(["NULL", "Ab1"]))
    (tmp_path / "site.csv").write_bytes(listed(["NULL", "Ab1"]))
    found = match(Input(path=(str(tmp_path / "crm.csv"),), null_values=("NULL",)), str(tmp_path / "site.csv"))
    assert (found.crm, found.site, found.as_is.matched) == (1, 2, 1)


def test_what_convert_would_reject_does_not_match(tmp_path: Path) -> None:
    ids = ["joe@example.com", "a:1", "b%3A2", "tab\t3", "good-4", "good-5"]
    (tmp_path / "both.csv").write_bytes(table(ids))
    found = match(str(tmp_path / "both.csv"), str(tmp_path / "both.csv"))
    assert (found.crm, found.as_is.matched, found.recommended.matched) == (6, 2, 2)


def test_ids_of_a_type_must_have_its_form(tmp_path: Path) -> None:
    device = "38400000-8CF0-11BD-B23E-10B96E40000D"
    ids = [device, "38400000-8cf0-11bd-b23e-10b96e40000e", "no-device", "00000000-0000-0000-0000-000000000000"]
    found = compared(tmp_path, ids, [*map(str.lower, ids), *map(str.upper, ids)], type_="gaid")
    assert found.recommended.id == {"column": "id", "type": "gaid"}
    assert found.recommended.matched == 2
    assert not any("case" in each.id for each in found.candidates)  # it is the type's
    assert found.other_types == {}


def test_ids_that_differ_by_case_alone_are_counted_and_shown_masked(tmp_path: Path) -> None:
    crm = ["Customer1", "customer1", "CUSTOMER1", "other22", "Ünal33", "ünal33", "single4"]
    found = compared(tmp_path, crm, ["x"])
    assert found.case_collisions.ids == 5
    assert found.case_collisions.examples == [["CU…R1", "Cu…r1", "cu…r1"], ["Ün…33", "ün…33"]]


def test_ids_that_look_like_those_of_another_type_are_counted(tmp_path: Path) -> None:
    crm = [
        "12345678901234567890123456789012345678",
        "38400000-8cf0-11bd-b23e-10b96e40000d",
        " 38400000-8cf0-11bd-b23e-10b96e40000e",
        "38400000-8CF0-11BD-B23E-10B96E40000F",
        sha256("x"),
        "x" * 36,
    ]
    found = compared(tmp_path, crm, ["x"])
    assert found.other_types == {"uuid": 1, "gaid": 2, "idfa": 1, "hashed_email": 1}
    assert codes_of(found.warnings) == ["W-MATCH-NONE"]
    most = compared(tmp_path, crm[1:3], crm[1:3])
    (warning,) = most.warnings
    assert warning.code == "W-MATCH-TYPE"
    check_named(str(warning), "--id-type gaid")


# Marks alone stand for missing IDs.
IDS = st.lists(
    st.text("aAbB019-_ ", min_size=1, max_size=6).filter(lambda id_: id_.strip("-_ ")), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(crm=IDS, site=IDS)
def test_every_count_is_that_of_plain_sets(
    tmp_path_factory: pytest.TempPathFactory, crm: list[str], site: list[str]
) -> None:
    found = compared(tmp_path_factory.mktemp("match"), crm, table(site, "visitor"))
    assert (found.crm, found.site) == (len(set(crm)), len(set(site)))
    assert found.as_is.matched == len(set(crm) & set(site))
    assert len(found.candidates) >= 1
    for each in found.candidates:
        assert each.exact
        expected = made(each.id, crm) & set(site)
        assert each.matched == len(expected - {None}), each
    best = max(each.matched for each in found.candidates)
    assert found.recommended.matched == best
    folded = [id_.lower() for id_ in set(crm)]
    assert found.case_collisions.ids == sum(folded.count(id_) > 1 for id_ in folded)


# --- large inputs: samples, and partitions on disk -------------------------------------------------------------


def many(count: int) -> tuple[list[str], list[str]]:
    """IDs of a CRM and of a site: of three quarters the site writes the capitals small."""
    crm = [f"User{number:06}" if number % 4 else f"user{number:06}" for number in range(count)]
    return crm, [f"user{number:06}" for number in range(count // 2, 3 * count // 2)]


@pytest.mark.parametrize("memory", [10**6, 10**9])
def test_what_a_sample_estimates_is_told_from_what_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.setattr(module, "_MOST_SAMPLED", 500)
    crm, site = many(12_000)
    found = compared(tmp_path, [*crm, *crm[:3_000]], site, run=RunOptions(memory=memory))
    assert (found.crm, found.site, found.as_is.matched) == (12_000, 12_000, 1_500)
    assert found.recommended.id == {"column": "id", "type": "crm", "case": "lower"}
    assert (found.recommended.matched, found.recommended.exact, found.as_is.exact) == (6_000, True, True)
    estimated = [each for each in found.candidates if not each.exact]
    assert estimated
    for each in found.candidates:
        right = len(made(each.id, crm) & set(site))
        assert each.matched == right if each.exact else abs(each.matched - right) < 0.1 * found.crm


def test_the_result_is_the_same_for_any_budget_and_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_SAMPLED", 1_000)
    crm, site = many(12_000)
    crm += [id_.upper() for id_ in crm[:50]]
    results = [
        compared(tmp_path, ids, site, run=RunOptions(memory=memory, threads=threads))
        for ids, memory, threads in ((crm, 10**9, 1), (crm, 10**6, 2), (crm[::-1], 10**6, 3))
    ]
    assert results[0] == results[1] == results[2]
    assert results[0].case_collisions.ids == 100


def test_a_sample_is_cut_where_there_are_many_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FORMS", 1_000)
    crm, site = many(1_000)
    found = compared(tmp_path, crm, site)
    assert found.recommended.matched == 500
    assert not all(each.exact for each in found.candidates)


def test_where_nothing_matches_only_the_plain_settings_are_counted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_SAMPLED", 100)
    found = compared(tmp_path, [f"A{n}-x" for n in range(1_000)], [sha256(f"{n}")[:20] for n in range(1_000)])
    exact = [each.id for each in found.candidates if each.exact]
    assert {"column": "id", "type": "crm"} in exact


def test_an_id_in_nearly_every_row_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    add = module.Spill.add

    def counting(self: Any, rows: pl.DataFrame, table: str) -> None:
        kept.append(rows.height)
        add(self, rows, table)

    monkeypatch.setattr(module.Spill, "add", counting)
    found = compared(tmp_path, ["Ab1"], ["anonymous"] * 50_000 + ["Ab1"])
    assert (found.site, found.as_is.matched) == (2, 1)
    assert sum(kept) < 100


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    crm, site = many(20_000)
    with raises(DestinationError, "E-SPILL-WRITE", "run.spill_dir"):
        compared(tmp_path, crm, site, run=RunOptions(memory=10**6, spill_dir=str(tmp_path / "none")))


# --- the promise ---------------------------------------------------------------------------------------------------

ODD = ["joe@example.com", "a:1", "4111111111111111", "+49 30 123456", "", "ok-1", "OK-2"]

SITUATIONS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    **{name: (crm, site) for name, (crm, site, _) in CASES.items()},
    "rules in play": ([*ODD, " Ab1 ", "Cd%2D2"], [*ODD, "Ab1", "cd-2"]),
    "rules in play, lower": ([*ODD, "AB1", "CD2", "EF3"], [*map(str.lower, ODD), "ab1", "cd2", "ef3"]),
    "numbers like those of cards": (
        [f"{n:016}" for n in range(4_000_000_000_000_000, 4_000_000_000_000_200)],
        [f"{n:016}" for n in range(4_000_000_000_000_100, 4_000_000_000_000_300)],
    ),
    "IDs that become the same": (["ab1", "AB1", "Ab1 ", "cd2"], ["AB1", "CD2"]),
    "many": many(3_000),
}


@pytest.mark.parametrize("crm, site", SITUATIONS.values(), ids=SITUATIONS)
def test_what_convert_writes_is_what_was_promised(
    way: str, tmp_path: Path, crm: Sequence[str], site: Sequence[str]
) -> None:
    found = compared(tmp_path, crm, table(site, "visitor"))
    assert len(written_by(found.recommended.id, crm, tmp_path) & set(site)) == found.recommended.matched > 0
    assert set(tomllib.loads(found.block())["id"].items()) == set(found.recommended.id.items())


def test_what_convert_writes_of_ids_as_they_are_is_what_was_promised(tmp_path: Path) -> None:
    crm, site = [*ODD, " Ab1 ", "Cd2"], [*ODD, " Ab1 ", "cd2"]
    found = compared(tmp_path, crm, table(site, "visitor"))
    assert len(written_by({"column": "id", "trim": False}, crm, tmp_path) & set(site)) == found.as_is.matched > 0


def written_by(id_: Mapping[str, Any], crm: Sequence[str], folder: Path) -> set[str]:
    """The IDs that `convert` writes with these settings."""
    running = Running(folder)
    with contextlib.suppress(EmptyInputError):  # all are rejected
        running.convert(table(crm), id=dict(id_))
    return {line.partition("\t")[0] for line in running.lines} if running.files else set()


ODD_IDS = st.lists(
    st.one_of(
        st.text("aAbB01-_.% :@éÉ\u0301\u00a0\tßſ\ufeff", max_size=8),
        st.sampled_from([*ODD, "a%40b.cd", "%3a1", "C-0012", "c-12", "078-05-1120", "10.0.0.1"]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(crm=ODD_IDS, more=ODD_IDS, change=st.sampled_from([str.lower, str.upper, str.strip, lambda id_: f"web-{id_}"]))
def test_the_promise_holds_for_any_ids(
    tmp_path_factory: pytest.TempPathFactory, crm: list[str], more: list[str], change: Callable[[str], str]
) -> None:
    folder = tmp_path_factory.mktemp("match")
    crm, site = ["one-1", *crm], ["one-1", *more, *map(change, crm)]
    found = compared(folder, crm, table(site, "visitor"))
    assert len(written_by(found.recommended.id, crm, folder) & set(site)) == found.recommended.matched
    (folder / "out").rename(folder / "first")
    assert len(written_by({"column": "id", "trim": False}, crm, folder) & set(site)) == found.as_is.matched


# --- odd input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfid,a\nAb1,x\nCd2,y\n",
        b"id,a\r\nAb1,x\r\nCd2,y\r\n",
        b'"id","a"\n"Ab1","x"\n"Cd2","y, and\nz"\n',
        gzip.compress(b"id,a\nAb1,x\nCd2,y"),
        "id;a\nAb1;x\nCd2;y\n".encode("utf-16"),
        b"id,a\nAb1,x\nshort\nCd2,y\nlo,n,g\n",
    ],
    ids=["byte order mark", "CRLF", "quoted", "gzip", "UTF-16", "bad rows"],
)
def test_text_is_read_as_convert_reads_it(tmp_path: Path, content: bytes) -> None:
    found = compared(tmp_path, content, ["Ab1", "Cd2"])
    assert (found.crm, found.as_is.matched) == (2, 2)
    assert codes_of(found.warnings) == ["W-MATCH-ROWS"] * (b"short" in content)
    assert all(warning.message.startswith("2 rows of '") for warning in found.warnings)


def test_tables_folders_and_globs_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    pl.DataFrame({"number": [1, 2, None]}).write_parquet(folder / "one.parquet")
    pl.DataFrame({"number": [3, 4]}).write_parquet(folder / "two.parquet")
    for number in (1, 2):
        (tmp_path / f"crm-{number}.ndjson").write_text(
            f'{{"id": "{number}"}}\n{{"id": "{number + 2}"}}\n{{"id": null}}\n'
        )
    found = match(str(tmp_path / "crm-*.ndjson"), str(folder))
    assert (found.crm, found.site, found.as_is.matched) == (4, 4, 4)


def test_the_same_file_on_both_sides_matches_whole(tmp_path: Path) -> None:
    (tmp_path / "crm.csv").write_bytes(table(["Ab1", "c2", "D3"]))
    found = match(str(tmp_path / "crm.csv"), str(tmp_path / "crm.csv"))
    assert (found.as_is.matched, found.as_is.rate, found.recommended.id) == (3, 1.0, {"column": "id", "type": "crm"})


def test_a_column_is_chosen_by_name(tmp_path: Path) -> None:
    crm = b"a,crm_id\nx,Ab1\ny,Cd2\n"
    found = compared(tmp_path, crm, b"day,visitor\n1,Ab1\n", column="crm_id", site_column="visitor")
    assert (found.as_is.matched, found.recommended.id["column"]) == (1, "crm_id")


def test_a_column_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with raises(ColumnError, "E-COLUMN-MISSING", "'visitr'", "'visitor'?"):
        compared(tmp_path, ["a"], ["a"], site_column="visitr")


def test_a_column_of_fractions_holds_no_ids(tmp_path: Path) -> None:
    (tmp_path / "crm.csv").write_bytes(table(["1"]))
    pl.DataFrame({"id": [1.5]}).write_parquet(tmp_path / "site.parquet")
    with raises(ColumnError, "E-COLUMN-TYPE", "'id'", "Float64"):
        match(str(tmp_path / "crm.csv"), str(tmp_path / "site.parquet"))


@pytest.mark.parametrize("content", [b"", b"id,a\n", b"id,a\n,x\n"], ids=["no byte", "no row", "no ID"])
def test_a_side_without_ids_is_an_error(tmp_path: Path, content: bytes) -> None:
    code, hints = ("E-MATCH-NO-IDS", ("--no-header", "--site-no-header")) if content else ("E-INPUT-EMPTY", ("", ""))
    with raises(InputError, code, "crm.csv", hints[0]):
        compared(tmp_path, content, ["a"])
    with raises(InputError, code, "site.csv", hints[1]):
        compared(tmp_path, ["a"], content)


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    packed = gzip.compress(table(NUMBERS * 1_000))
    with raises(InputError, "E-INPUT-DAMAGED", "crm."):
        compared(tmp_path, packed[:-20], ["a"])


def test_a_damaged_table_is_an_error(tmp_path: Path) -> None:
    pl.DataFrame({"id": [f"id-{n}" for n in range(50_000)]}).write_parquet(tmp_path / "crm.parquet")
    content = bytearray((tmp_path / "crm.parquet").read_bytes())
    content[100:2_000] = bytes(1_900)
    (tmp_path / "crm.parquet").write_bytes(content)
    (tmp_path / "site.csv").write_bytes(listed(["a"]))
    with raises(InputError, "E-INPUT-DAMAGED", "crm."):
        match(str(tmp_path / "crm.parquet"), str(tmp_path / "site.csv"))


# --- files without header ------------------------------------------------------------------------------------------


def test_a_list_without_header_is_read_when_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "site.txt").write_text("".join(f"{n}\n" for n in range(1_000, 1_010)))
    (tmp_path / "crm.csv").write_text("".join(f"x,{n}\n" for n in range(1_000, 1_010)))
    crm = module.without_header(str(tmp_path / "crm.csv"))
    site = module.without_header(str(tmp_path / "site.txt"))
    found = match(crm, site, column="column_2")
    assert (found.crm, found.site, found.as_is.matched) == (10, 10, 10)
    assert found.recommended.id["column"] == "column_2"


def test_tables_keep_the_names_of_their_columns(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a"]}).write_parquet(tmp_path / "crm.parquet")
    assert module.without_header(str(tmp_path / "crm.parquet")) == Input(path=(str(tmp_path / "crm.parquet"),))


@pytest.mark.parametrize(
    "ids",
    [
        [f"{n}" for n in range(12_340, 12_360)],
        [f"C-{n}" for n in range(12_340, 12_360)],
        [sha256(str(n))[:32] for n in range(20)],
        [f"joe{n}@example.com" for n in range(20)],
    ],
    ids=["numbers", "with letters", "hexadecimal", "addresses"],
)
def test_a_first_row_that_looks_like_an_id_is_an_error_and_not_shown(tmp_path: Path, ids: list[str]) -> None:
    content = "".join(f"{id_}\n" for id_ in ids).encode()
    with raises(ColumnError, "E-MATCH-HEADER") as raised:
        compared(tmp_path, ["a", "b"], content)
    assert "--site-no-header" in raised.value.hint
    assert ids[0] not in str(raised.value)
    assert compared(tmp_path, ["a", "b"], content, site_column=ids[0]).site == len(ids) - 1


@pytest.mark.parametrize("name", ["id", "crm_id", "user2", "field_2024", "kundennummer"])
def test_usual_names_of_columns_do_not_look_like_ids(tmp_path: Path, name: str) -> None:
    assert compared(tmp_path, table([f"{n:08}" for n in range(50)], name), ["a"]).crm == 50
    assert compared(tmp_path, table([f"ab{n:04}" for n in range(50)], name), ["a"]).crm == 50


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    crm, site = many(300)
    (tmp_path / "crm.csv").write_bytes(table([*crm, "joe.doe@example.com", "USER000007"]))
    (tmp_path / "site.txt").write_text("".join(f"{id_}\n" for id_ in [*site, "joe.doe@example.com"]))
    return tmp_path


def test_json_is_all_that_is_printed(folder: Path) -> None:
    code, out, error = command(folder, "match", "crm.csv", "site.txt", "--site-no-header", "--json")
    assert (code, error) == (0, "")
    found = json.loads(out)
    assert list(found) == [
        "crm", "site", "as_is", "recommended", "candidates", "case_collisions", "other_types", "left_out",
        "outcome", "exit_code", "error", "warnings",
    ]  # fmt: skip
    assert found["as_is"] == {"matched": 37, "rate": round(37 / 302, 6)}
    assert found["recommended"] == {
        "id": {"column": "id", "type": "crm", "case": "lower"},
        "matched": 150,
        "rate": round(150 / 302, 6),
    }
    assert found["candidates"][0] == {**found["recommended"], "steps": ["trimmed", "lower case"], "exact": True}
    assert found["case_collisions"] == {"count": 2, "examples": [["US…07", "Us…07"]]}


def test_the_table_says_how_to_go_on(folder: Path) -> None:
    code, out, error = command(folder, "match", "crm.csv", "site.txt", "--site-no-header", "--id", "id")
    assert (code, error) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    assert "302  distinct IDs in the CRM" in lines
    assert "150  match as recommended (49.7 %)" in lines
    assert "150  49.7 %  trimmed, lower case" in lines
    assert out.endswith('\n\n[id]\ncolumn = "id"\ntype = "crm"\ncase = "lower"\n')


def test_no_id_is_shown_anywhere(folder: Path) -> None:
    shown = ""
    for more in ([], ["--json"], ["--html", "page.html"], ["--debug"]):
        shown += "".join(map(str, command(folder, "match", "crm.csv", "site.txt", "--site-no-header", *more)))
    shown += "".join(map(str, command(folder, "match", "crm.csv", "site.txt")))  # whose first row is an ID
    shown += (folder / "page.html").read_text()
    assert len(shown) > 3_000
    assert not re.search(r"(?i)user0\d|joe\.doe|example\.com", shown)


def test_the_page_needs_nothing_else_and_is_escaped(folder: Path) -> None:
    (folder / "crm.csv").write_bytes(table(["<b>1</b>", "A&2", "a&2"], "<script>id"))
    code, _, error = command(folder, "match", "crm.csv", "site.txt", "--site-no-header", "--html", "page.html")
    assert (code, error.startswith("Warning [W-MATCH-NONE]: ")) == (0, True)
    page = (folder / "page.html").read_text()
    assert "&lt;script&gt;id" in page
    assert "<script>id" not in page
    assert page.count("<script") == 2, "its own, and its data"
    assert "://" not in page
    assert "src=" not in page
    assert not (folder / "page.html.partial").exists()


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    found = compared(tmp_path, ["Ab1"], ["Ab1"])
    with raises(DestinationError, "E-PAGE-WRITE", "none/page.html'", "No such file", "--html"):
        found.write_html(tmp_path / "none" / "page.html")
    (tmp_path / "page.html").mkdir()
    with raises(DestinationError, "E-PAGE-WRITE"):
        found.write_html(tmp_path / "page.html")
    assert not (tmp_path / "page.html.partial").exists()
    (tmp_path / "page.html").rmdir()
    found.write_html(tmp_path / "page.html")
    found.write_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == found.to_html()


def test_settings_of_either_side_and_of_the_run(folder: Path) -> None:
    (folder / "site.txt").write_bytes("x#visitor\n1#Zoë1\n1#NULL\n".encode("utf-16-le"))
    (folder / "crm.csv").write_bytes("id;a\nZoë1;x\nNULL;x\n".encode("cp1252"))
    changes = ["input.encoding=cp1252", "site.encoding=utf-16-le", "site.separator=#", "input.null_values=NULL"]
    options = [part for change in [*changes, "run.memory=1MB", "run.threads=1"] for part in ("--set", change)]
    code, out, error = command(folder, "match", "crm.csv", "site.txt", "--site-id", "visitor", "--json", *options)
    assert (code, error) == (0, "")
    assert (json.loads(out)["crm"], json.loads(out)["as_is"]["matched"]) == (1, 1)


@pytest.mark.parametrize(
    "arguments, told, named",
    [
        (["--set", "inputs.encoding=x"], "E-JOB-INVALID", ["inputs", "'input'?"]),
        (["--set", "run.memory=1KB"], "E-JOB-INVALID", ["run.memory", "'1KB'", "1000000"]),
        (["--id-type", "giad"], "E-JOB-INVALID", ["id_type", "'giad'", "'gaid'?"]),
        (["--id-type", "auto"], "E-JOB-INVALID", ["id_type", "'auto'", "'crm', 'uuid'"]),
        (["--id", "none"], "E-COLUMN-MISSING", ["'none'"]),
    ],
)
def test_what_is_wrong_with_the_command_is_one_sentence(
    folder: Path, arguments: list[str], told: str, named: list[str]
) -> None:
    code, out, error = command(folder, "match", "crm.csv", "site.txt", "--site-no-header", *arguments)
    assert (code, out) == (2, "")
    check_told(error, told, *named)


def test_variables_of_the_environment_are_not_shown(folder: Path) -> None:
    arguments = ["match", "${PLACE}/none.csv", "site.txt"]
    code, _, error = command(folder, *arguments, PLACE="/very/secret/place")
    assert code == 1
    check_told(error, "E-INPUT-MISSING", "${PLACE}/none.csv")
    assert "secret" not in error


def test_a_warning_of_bad_rows_hides_variables_too(folder: Path) -> None:
    with (folder / "crm.csv").open("ab") as file:
        file.write(b"one,two,three\n")
    arguments = ["match", "${PLACE}/crm.csv", "site.txt", "--site-no-header"]
    code, _, error = command(folder, *arguments, PLACE=str(folder))
    assert code == 0
    assert error.startswith("Warning [W-MATCH-ROWS]: 1 row of '${PLACE}/crm.csv' ")
    assert error.count("\n") == 1


def test_a_terminal_gets_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(tmp_path, ["[b]1", "Ab2"], ["[B]1", "AB2"])
    cli._draw(found)
    shown = capsys.readouterr().out
    for line in [*found.summary(), *found.table(), *([line] for line in found.block().splitlines())]:
        for part in line:
            assert part in shown
    assert f"\n\nRecommended, for the job file:\n\n{found.block()}\n" in shown


# --- small parts -----------------------------------------------------------------------------------------------------


def test_shares_are_rounded_but_never_to_nothing_or_all() -> None:
    assert [percent(rate) for rate in (0, 0.0001, 0.123, 0.99951, 1)] == [
        "0.0 %", "below 0.1 %", "12.3 %", "above 99.9 %", "100.0 %",
    ]  # fmt: skip


def test_settings_are_quoted_as_toml_wants_it() -> None:
    odd = 'a"b\\c\x7fü'
    tried = Tried({"column": odd, "pad": 8, "strip_zeros": True}, [], 0, 0.0, exact=True)
    found = Match(1, 1, tried, tried, [tried], module.Collisions(0, []), {}, [])
    assert tomllib.loads(found.block())["id"] == {"column": odd, "pad": 8, "strip_zeros": True}


def test_candidates_are_few_and_the_simple_ones_first() -> None:
    crm = pl.Series("id", [f" CUST-0{n}.{n % 7}/shop" for n in range(1_000)])
    site = pl.Series("id", [f"web_{n:08}-x" for n in range(1_000)])
    found = candidates.candidates("id", "crm", crm, site, 300)
    assert len(found) == len(set(found)) == 300
    counts = [len(candidates.settings_of(id_)) for id_ in found]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert found[0] == Id(column="id")


def test_job_errors_of_the_library_are_those_of_jobs(tmp_path: Path) -> None:
    with raises(JobError, "E-INPUT-REMOTE"):
        match("scp://host/in.csv", str(tmp_path / "site.csv"))
