"""Columns of IDs are judged by their names, and by what their first rows hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converter import doctor, sync_urls
from converter.commands.plan import plan
from converter.errors import Finding, JobError, StrictError

from .conftest import Run
from .errors import check_named, codes_of, raises


def table(ids: list[str], column: str = "id") -> str:
    return f'"{column}",a\n' + "".join(f'"{each}",x\n' for each in ids)


@pytest.mark.parametrize("column", ["Last Name", "Birthday", "Street", "Nachname", "e-mail", "msisdn", "card_number"])
def test_i3_a_column_of_ids_with_a_name_of_personal_data_is_refused(run: Run, column: str) -> None:
    content = table([f"u{number}" for number in range(100)], column)
    with raises(JobError, "E-PERSONAL-COLUMN", f"'{column}'", "privacy.allow") as raised:
        run.convert(content, id={"column": column})
    assert raised.value.exit_code == 2
    assert run.files == []
    assert run.convert(content, id={"column": column}, privacy={"allow": column}).records["written"] == 100


@pytest.mark.parametrize(
    "column, id_",
    [
        ("crm_id", {}),
        ("customer_number", {}),
        ("hashed_email", {}),
        ("email", {"type": "hashed_email", "hash": "sha256"}),
        ("email", {"type": "hashed_email"}),
        ("phone", {"hash": "sha256"}),
    ],
)
def test_names_of_ids_and_of_what_is_hashed_are_accepted(run: Run, column: str, id_: dict[str, Any]) -> None:
    ids = [f"{number:064x}" for number in range(100)]
    assert run.convert(table(ids, column), id={"column": column, **id_}).records["written"] == 100


@pytest.mark.parametrize(
    "ids, code, named",
    [
        (["u1"] * 50, "W-ID-REPEATED", " 50 rows"),
        (["gold", "silver", "bronze"] * 100, "W-ID-REPEATED", " 3 "),
        ([f"Main Street {number}" for number in range(50)], "W-ID-WORDS", "words"),
        ([f"Anna Nr. {number}" for number in range(50)], "W-ID-WORDS", "words"),
        ([f"19{number:02}-0{number % 9 + 1}-12" for number in range(50, 99)], "W-ID-WORDS", "dates"),
        ([f"12.0{number % 9 + 1}.19{number:02}" for number in range(50, 99)], "W-ID-WORDS", "dates"),
    ],
)
def test_a_column_that_holds_no_ids_is_warned_of(run: Run, ids: list[str], code: str, named: str) -> None:
    report = run.convert(table(ids))
    assert codes_of(report.warnings) == [code]
    check_named(report.warnings[0].message, "'id'", named)
    assert codes_of(plan(run.make_job(output={"timestamp": None})).warnings) == [code]
    assert code in codes_of(doctor(run.make_job()))


def test_addresses_of_such_a_column_are_written_with_a_warning_or_not_at_all(run: Run, tmp_path: Path) -> None:
    run.write(table(["u1"] * 50))
    told: list[Finding] = []
    sync_urls(run.make_job(), tmp_path / "urls.csv", warn=told.extend)
    assert codes_of(told) == ["W-ID-REPEATED"]
    with raises(StrictError, "E-STRICT"):
        sync_urls(run.make_job(), tmp_path / "none.csv", strict=True)
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize(
    "ids",
    [
        ["u1"] * 5,  # too few to tell
        [f"u{number // 20}" for number in range(400)],  # some rows for each user
        [f"user {number}" for number in range(2)],
        [f"20240131-{number:06}" for number in range(50)],
        [f"1234 5678 {number:04}" for number in range(50)],
        [f"AB {number:06}" if number % 3 == 0 else f"{number:06}" for number in range(50)],
    ],
)
def test_a_column_that_holds_ids_is_not_warned_of(run: Run, ids: list[str]) -> None:
    assert codes_of(run.convert(table(ids)).warnings) == []


def test_ecid_is_a_type_whose_form_is_checked(run: Run) -> None:
    report = run.convert(table(["1" * 38, "2" * 37]), id={"type": "ecid"})
    assert report.records["rejected"] == {"id_wrong_form": 1}
    assert (run.lines, report.warnings) == (["1" * 38 + '\t"a"="x"'], [])
