"""Sheets of Excel: their cells as text as shown, which sheet is read, and what is damaged or too large."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import openpyxl
import pytest

from converter.commands.plan import plan
from converter.errors import ColumnError, InputError, JobError
from converter.sources import excel
from converter.sources.shown import shown

from .conftest import Run
from .errors import codes_of, raises

Rows = Sequence[Sequence[Any]]
ROWS: Rows = [["id", "a"], ["u1", "x"], ["u2", "y"]]


def workbook(sheets: dict[str, Rows], change: Callable[[Any], None] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                sheet.cell(number, column, value)
    if change:
        change(book)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def changed(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The workbook with its files changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


DATE, MOMENT = datetime.datetime(2024, 1, 31), datetime.datetime(2024, 1, 31, 13, 5)


@pytest.mark.parametrize(
    ("value", "format_", "text"),
    [
        ("007", "General", "007"),
        ("", "General", None),
        (None, "General", None),
        (701, "00000", "00701"),
        (-7, "000", "-007"),
        (12.3, "0.00", "12.30"),
        (12.3, "0.0##", "12.3"),
        (2.5, "0", "3"),
        (-2.5, "0", "-3"),
        (1.005, "0.00", "1.01"),
        (0.15, "0%", "15%"),
        (0.1234, "0.0%", "12.3%"),
        (1234567.5, "#,##0.00", "1234567.50"),
        (1234.5, "[$€-407]#,##0.00;[Red]-#,##0.00", "1234.50"),
        (1234.5, '_-"EUR" * #,##0.00_-', "1234.50"),
        (1001, "General", "1001"),
        (1001.0, "General", "1001"),
        (1001.0, "@", "1001"),
        (0.1 + 0.2, "General", "0.3"),
        (1e-7, "General", "0.0000001"),
        (999_999_999_999_999.0, "General", "999999999999999"),
        (1.234567e15, "General", "1.23457E+15"),
        (1.5e15, "General", "1.5E+15"),
        (1_234_567_890_123_450, "General", "1.23457E+15"),
        (1_234_567_890_123_456, "General", "1234567890123456"),
        (12345678901234567890, "0", "12345678901234567890"),
        (1.234567e15, "0.00E+00", "1.23E+15"),
        (123456789, "000-00-0000", "123456789"),
        (0.5, "# ?/?", "0.5"),
        (True, "General", "true"),
        (False, "General", "false"),
        (DATE, "mm-dd-yy", "2024-01-31"),
        (DATE, 'dd". "mmmm yyyy;@', "2024-01-31"),
        (DATE, "[$-409]yyyy\\-mm\\-dd hh:mm", "2024-01-31 00:00:00"),
        (MOMENT, "mm-dd-yy", "2024-01-31 13:05:00"),
        (MOMENT - datetime.timedelta(microseconds=1), "mm-dd-yy", "2024-01-31 13:05:00"),
        (datetime.time(13, 5, 0, 1), "h:mm", "13:05:00"),
        (datetime.timedelta(hours=26, minutes=3), "[h]:mm", "26:03:00"),
    ],
)
def test_cells_are_text_as_shown(value: object, format_: str, text: str | None) -> None:
    assert shown(value, format_) == text


def test_a_sheet_is_read_with_the_formats_of_its_cells(run: Run) -> None:
    def formatted(book: Any) -> None:
        sheet = book["crm"]
        sheet["A2"].number_format, sheet["B2"].number_format, sheet["C2"].number_format = "00000", "0%", "dd.mm.yyyy"

    rows = [["id", "a", "b", "t"], [701, 0.15, DATE, "1|2"], ["007", None, True, 3], ["u3", "x", "#N/A", None]]
    report = run.convert(workbook({"crm": rows}, formatted), "in.xlsx", record={"signals": ["a", "b"], "traits": ["t"]})
    assert run.lines == [
        '00701\t"a"="15%","b"="2024-01-31",d_sid=1,d_sid=2',
        '007\t"b"="true",d_sid=3',
        'u3\t"a"="x","b"="#N/A"',
    ]
    assert report.records["read"] == 3


def test_rows_are_numbered_as_in_excel_and_empty_ones_are_none(run: Run) -> None:
    rows = [[], [None, "id", " a "], [], [None, "u1", "x"], [None, None, None], [None, "a@b.example", "y", "beside it"]]
    report = run.convert(workbook({"crm": rows}), "in.xlsx")
    assert run.lines == ['u1\t"a"="x"']
    assert [(row["row"], row["unit"], row["rule"]) for row in run.rejects] == [(6, "row", "id_is_email")]
    assert report.records["read"] == 2


def test_long_sheets_are_read_whatever_they_say_of_their_size(run: Run) -> None:
    rows = [["id", "a"], *([f"u{number}", number] for number in range(2000))]

    def shrunk(name: str, content: bytes) -> bytes:
        return content.replace(b'<dimension ref="A1:B2001"', b'<dimension ref="A1:B3"')

    report = run.convert(changed(workbook({"crm": rows}), shrunk), "in.xlsx")
    assert report.records["read"] == 2000
    assert run.lines[-1] == 'u1999\t"a"="1999"'


def test_a_formula_is_its_stored_value(run: Run) -> None:
    def computed(name: str, content: bytes) -> bytes:
        return content.replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>").replace(
            b"<f>1+1</f><v/>", b"<f>1+1</f><v>2</v>"
        )

    rows = [["id", "a"], ["u1", "=1+1"], ["u2", "=2+2"]]
    run.convert(
        changed(workbook({"crm": rows}), computed), "in.xlsx", record={"signals": ["a", {"key": "k", "value": "v"}]}
    )
    assert run.lines == ['u1\t"a"="2","k"="v"', 'u2\t"k"="v"']


SHEETS = {"notes": [["x"]], "crm": ROWS, "empty": [], "2024": [["id", "a"], ["u9", "z"]]}


def hide_notes(book: Any) -> None:
    book["notes"].sheet_state = "hidden"


@pytest.mark.parametrize(("sheet", "last"), [("crm", "u2"), (2, "u2"), (4, "u9"), ("2024", "u9"), (2024, "u9")])
def test_a_sheet_is_chosen_by_its_name_or_number(run: Run, sheet: str | int, last: str) -> None:
    run.convert(workbook(SHEETS), "in.xlsx", input={"sheet": sheet})
    assert run.lines[-1].startswith(last)


def test_the_first_sheet_that_is_not_hidden_is_read_and_others_are_told(run: Run) -> None:
    path = run.write(workbook(SHEETS, hide_notes), "in.xlsx")
    found = plan(run.make_job(input={"path": str(path)})).findings
    assert codes_of(found) == ["W-SHEETS-UNREAD"]
    assert "'crm'" in found[0].message
    assert "'2024' also" in found[0].message
    assert plan(run.make_job(input={"path": str(path), "sheet": "crm"})).findings == []


@pytest.mark.parametrize("sheet", ["other", 5, 0])
def test_a_sheet_that_is_missing_is_named_with_those_that_there_are(run: Run, sheet: str | int) -> None:
    with raises(JobError, "E-SHEET-MISSING", repr(sheet), "'notes', 'crm', 'empty', '2024'"):
        run.convert(workbook(SHEETS), "in.xlsx", input={"sheet": sheet})


def test_columns_are_named_by_the_first_row_or_by_the_job(run: Run) -> None:
    with raises(ColumnError, "E-COLUMN-MISSING", "'a'", "'id', 'b'"):
        run.convert(workbook({"crm": [["id", "b"], ["u1", 1]]}), "in.xlsx")
    with raises(ColumnError, "E-COLUMN-REPEATED", "'a'"):
        run.convert(workbook({"crm": [["id", "a", "a"], ["u1", 1, 2]]}), "in.xlsx")
    run.convert(workbook({"crm": ROWS[1:]}), "in.xlsx", input={"header": False, "columns": ["id", "a"]})
    assert run.lines == ['u1\t"a"="x"', 'u2\t"a"="y"']


@pytest.mark.parametrize("rows", [[], [["id", "a"]]])
def test_a_sheet_without_rows_is_an_error(run: Run, rows: Rows) -> None:
    with pytest.raises(InputError) as raised:
        run.convert(workbook({"crm": rows}), "in.xlsx")
    assert raised.value.code == ("E-NO-ROWS" if rows else "E-INPUT-EMPTY")


def test_a_workbook_of_another_name_is_read_if_the_format_is_given(run: Run) -> None:
    with raises(InputError, "E-INPUT-CONTENT", "Excel", "input.format=excel"):
        run.convert(workbook({"crm": ROWS}), "in.csv")
    run.convert(workbook({"crm": ROWS}), "in.csv", input={"format": "excel"})
    assert len(run.lines) == 2


def test_rows_before_the_header_are_left_out(run: Run) -> None:
    rows = [["Export of", "today"], [], *ROWS]
    run.convert(workbook({"crm": rows}), "in.xlsx", input={"skip_lines": 1})
    assert run.lines == ['u1\t"a"="x"', 'u2\t"a"="y"']


def unclosed(name: str, content: bytes) -> bytes:
    return content[: len(content) // 2] if name.endswith("sheet1.xml") else content


DAMAGED = {
    "cut off": lambda: workbook({"crm": ROWS})[:-500],
    "XML that is cut off": lambda: changed(workbook({"crm": ROWS}), unclosed),
    "no workbook in a zip": lambda: changed(workbook({"crm": ROWS}), lambda name, content: b"x"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_workbook_is_named(run: Run, kind: str) -> None:
    with pytest.raises(InputError) as raised:
        run.convert(DAMAGED[kind](), "in.xlsx")
    assert raised.value.code in ("E-INPUT-DAMAGED", "E-INPUT-PACKED")
    assert "in.xlsx'" in raised.value.message
    assert run.files == []


def test_what_is_cut_off_after_the_first_rows_is_damaged(run: Run) -> None:
    rows = [["id", "a"], *([f"u{number}", number] for number in range(3000))]
    with raises(InputError, "E-INPUT-DAMAGED", "in.xlsx'"):
        run.convert(changed(workbook({"crm": rows}), unclosed), "in.xlsx")
    assert run.files == []


@pytest.mark.parametrize("bound", ["_MOST_SHARED", "_MOST_SHEET"])
def test_a_workbook_that_would_take_too_much_memory_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(excel, bound, 1000)
    with raises(InputError, "E-SHEET-LARGE", "in.xlsx'", "CSV"):
        run.convert(workbook({"crm": ROWS}), "in.xlsx")
