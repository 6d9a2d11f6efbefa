"""IDs that no web site sends, and words for missing values among values: rejected, counted or allowed, on both ways."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest

from converter.errors import TooManyRejectsError
from converter.report import Report
from converter.spec.implausible import IMPLAUSIBLE, MISSING_IDS, MISSING_VALUES

from .conftest import Run
from .errors import check_named, codes_of, raises

WRONG = [
    *(("id_is_missing_word", text) for text in ("NULL", "\\N", "nan", "None", "#N/A", "undefined", "-", "(none)")),
    ("id_is_column_name", "id"),
    *(
        ("id_is_rounded_number", text)
        for text in ("1.23457E+15", "4.5E+14", '"1,2E+05"', "1E-5", "-7.1e+100", "1.0E+15")
    ),
    *(("id_is_decimal_number", text) for text in ("1001.0", "1001.000000", "-5.0", "0.0", '"12,0"')),
    *(("id_is_formula", text) for text in ('"=""0001"""', "=A1", "'0001")),
    ("id_is_damaged", "M\ufffdller-1"),
    *(("id_is_template", text) for text in ("{{id}}", "${user_id}", "%%ID%%", "<%= id %>", "crm-{{id}}", "{{id}}-x")),
]
PLAUSIBLE = [
    *(
        "nulla",
        "N",
        "Null-1",
        "nan1",
        "id1",
        "ID",
        "12e45678",
        "12e-x5",
        "e+15",
        "1e5",
        "E+15x",
        "1.5",
        "10.20",
        "v1.0a",
    ),
    *(
        "a=b",
        "x'y",
        "{550e8400-e29b}",
        "{id}",
        "a{b}",
        "$5",
        "100",
        "00",
        "0",
        "1.2.3",
        "550e8400-e29b-41d4-a716-446655440000",
    ),
]


def table(ids: list[str], values: list[str] | None = None) -> str:
    return "id,a\n" + "".join(f"{id_},{value}\n" for id_, value in zip(ids, values or ["x"] * len(ids), strict=True))


def converted(run: Run, content: str, **changes: Any) -> tuple[list[str], Report]:
    """Convert to a folder of its own; return the IDs that are written, and the report."""
    run.job["output"]["to"] = str(run.folder / f"out{len(list(run.folder.iterdir()))}")
    report = run.convert(content, **changes)
    text = b"".join(gzip.decompress(Path(part.url).read_bytes()) for part in report.parts).decode()
    return [line.partition("\t")[0] for line in text.splitlines()], report


@pytest.mark.parametrize("rule, id_", WRONG)
def test_an_id_that_no_web_site_sends_is_rejected_by_its_rule(run: Run, rule: str, id_: str) -> None:
    ids, report = converted(run, table(["u1", id_, "u2"]))
    assert (report.records["rejected"], ids) == ({rule: 1}, ["u1", "u2"])


def test_ids_that_only_resemble_them_are_written(run: Run) -> None:
    ids, report = converted(run, table(PLAUSIBLE))
    assert (report.records["rejected"], ids) == ({}, PLAUSIBLE)


WARNINGS = {
    "W-ID-IS-MISSING-WORD": "NULL",
    "W-ID-IS-COLUMN-NAME": "id",
    "W-ID-IS-ROUNDED-NUMBER": "1.2E+15",
    "W-ID-IS-DECIMAL-NUMBER": "1001.0",
    "W-ID-IS-FORMULA": "=A1",
    "W-ID-IS-DAMAGED": "M\ufffdller",
    "W-ID-IS-TEMPLATE": "{{id}}",
    "W-ID-HAS-SPACE": "30 rows",
}


def test_they_can_be_written_with_a_warning_or_without(run: Run) -> None:
    given = [*(f"u{number}" for number in range(30)), *WARNINGS.values()]
    ids, report = converted(run, table(given), id={"implausible": "warn"})
    assert (ids, sorted(codes_of(report.warnings))) == (given, sorted(WARNINGS))
    ids, report = converted(run, table(given), id={"implausible": "allow"})
    assert (ids, report.warnings) == (given, [])


@pytest.mark.parametrize(
    "steps, id_, written",
    [
        ({"cut_suffix": ".0"}, "1001.0", "1001"),
        ({"cut_prefix": "'"}, "'0001", "0001"),
        ({"remove": '="'}, '"=""0001"""', "0001"),
        ({"remove": "{}"}, "{{7}}", "7"),
        ({"prefix": "crm-"}, "1001.0", None),
        ({"suffix": "-x"}, "NULL", None),
        ({"prefix": "ä"}, "NULL", None),
        ({"hash": "sha256"}, "NULL", None),
        ({"hash": "sha256"}, "u2", hashlib.sha256(b"u2").hexdigest()),
        ({"cut_prefix": "x"}, "xNULL", None),
        ({"case": "lower"}, "1.23457E+15", None),
        ({"case": "upper"}, "nULl", None),
        ({"case": "lower"}, "nULl", None),
        ({"case": "preserve"}, "nULl", "nULl"),
        ({"case": "upper", "remove": "-"}, "n-ULl", None),
        ({"pad": 12}, "id", None),
        ({"cut_suffix": "é"}, "--", None),
        ({"cut_suffix": "é"}, "NULLé", None),
        ({"cut_prefix": "é"}, "é1001.0", None),
        ({"remove": "éx"}, "xié", "i"),
        ({"remove": "é", "case": "upper"}, "nuéLl", None),
        ({"remove": "é"}, "id", None),
        ({"cut_suffix": "é", "prefix": "u"}, "NULLé", None),
    ],
)
def test_they_are_judged_after_the_steps_but_before_what_is_added(
    run: Run, steps: dict[str, Any], id_: str, written: str | None
) -> None:
    ids, report = converted(run, table([id_, "12"]), id=steps)
    assert (report.records["written"], report.records["read"]) == (2 if written else 1, 2)
    assert (ids[0] == written) == bool(written)


def test_the_steps_of_null_values_come_before(run: Run) -> None:
    _, report = converted(run, table(["NULL", "u1"]), input={"null_values": ["NULL"]})
    assert report.records["rejected"] == {"id_missing": 1}


def test_ids_of_a_type_with_a_form_are_judged_by_that_alone(run: Run) -> None:
    gaid = "38400000-8cf0-11bd-b23e-10b96e40000d"
    ids, report = converted(run, table(["NULL", gaid]), id={"type": "gaid"}, output={"dpid": 20914, "target": 1234})
    assert (ids, report.records["rejected"]) == ([gaid], {"id_wrong_form": 1})


def test_a_header_in_the_middle_is_no_user_even_with_a_mark(run: Run) -> None:
    _, report = converted(run, table(["u1", "\ufeffid", " id ", "u2"]))
    assert report.records["rejected"] == {"id_is_column_name": 2}


def test_a_footer_is_rejected_where_no_other_id_has_a_space(run: Run) -> None:
    given = [f"u{number}" for number in range(30)]
    ids, report = converted(run, table([*given, "30 rows in all"]))
    assert (report.records["rejected"], ids) == ({"id_has_space": 1}, given)
    given = [f"user {number}" for number in range(30)]
    assert converted(run, table([*given, "30 rows in all"]))[1].records["rejected"] == {}
    assert converted(run, table(["u1", "u 2"]))[1].records["rejected"] == {}, "too few to tell"


def test_the_error_says_what_mends_it_and_not_that_the_column_is_wrong(run: Run) -> None:
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS") as raised:
        run.convert(table(["1001.0", "1002.0"]), report={"max_rejects": "10%"})
    check_named(str(raised.value), "id.cut_suffix")
    assert "wrong column" not in str(raised.value)


def test_words_for_missing_values_are_sent_counted_and_told(run: Run) -> None:
    values = ["NULL", "N/A", "", "x", "NULL", "nulls", '"#N/A"']
    content = table([f"u{number}" for number in range(len(values))], values)
    _, report = converted(run, content)
    assert report.signals["missing_words"] == {"a": 4}
    assert codes_of(report.warnings) == ["W-MISSING-WORDS"]
    check_named(str(report.warnings[0]), "4 values", "'a'", "input.null_values")
    _, report = converted(run, content, input={"null_values": ["NULL", "N/A", "#N/A"]})
    assert ("missing_words" in report.signals, report.warnings) == (False, [])


def test_words_of_rejected_rows_and_of_other_columns_do_not_count(run: Run) -> None:
    content = "id,a,b\nu1,NULL,x\nu:2,NULL,x\nu3,y,NULL\nu4,x,NULL\n"
    _, report = converted(run, content, record={"signals": ["a", "b"]})
    assert report.signals["missing_words"] == {"a": 1, "b": 2}


def test_words_are_counted_in_as_many_columns_as_there_are(run: Run) -> None:
    names = [f"c{number}" for number in range(70)]
    rows = "".join(f"u{row},{','.join(['NULL' if row != 1 else 'x'] * len(names))}\n" for row in range(3))
    _, report = converted(run, f"id,{','.join(names)}\n{rows}", record={"signals": names})
    assert report.signals["missing_words"] == dict.fromkeys(names, 2)


def test_words_that_are_no_values_are_no_ids_either() -> None:
    assert set(MISSING_VALUES) < set(MISSING_IDS)


def test_each_reason_has_a_rule_and_a_hint() -> None:
    assert len({each.name for each in IMPLAUSIBLE}) == len(IMPLAUSIBLE)
    assert all(each.hint.endswith(".") for each in IMPLAUSIBLE)
