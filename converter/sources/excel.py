"""Sheets of Excel workbooks (.xlsx), read row by row by openpyxl, as the text that is shown (`shown`).

Each row of a sheet becomes a line of JSON; the header and empty rows are empty lines. So lines are numbered as rows are
in Excel, and what follows is the road of NDJSON. Memory holds the texts that cells share, whose size is checked before.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Generator, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Literal

import orjson

from converter.errors import Finding, InputError, JobError, redact
from converter.jobs.sections.table import Input
from converter.sources.ndjson import NdjsonSource
from converter.sources.origins.base import Origin
from converter.sources.reshaped import Reshaped
from converter.sources.shown import shown
from converter.sources.texts import Body

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

_MOST_SHARED = 256 << 20  # bytes of XML, which take about twice the memory
_MOST_SHEET = 8 << 30  # bytes of XML: more than a million rows of a hundred columns
_SHARED = re.compile(r"xl/(?:sharedStrings|styles|workbook)\.xml|.*\.rels", re.IGNORECASE)
_ROWS = 512
_FIRST_ROWS = 100  # in which a sheet that holds data has some


class _Book:
    """A workbook, opened. Raises `InputError` where it is none, is damaged, or is too large."""

    def __init__(self, origin: Origin) -> None:
        from openpyxl import load_workbook  # here, since few inputs are workbooks

        self.origin = origin
        self._raw: IO[bytes] = origin.open()
        try:
            self._check_sizes()
            self.book: Workbook = _quietly(load_workbook, self._raw, read_only=True, data_only=True, keep_links=False)
        except BaseException as error:
            self._raw.close()
            if isinstance(error, InputError) or not isinstance(error, Exception):
                raise
            raise damaged_workbook(origin, error) from error

    def close(self) -> None:
        """Close the input."""
        self.book.close()
        self._raw.close()

    def _check_sizes(self) -> None:
        with zipfile.ZipFile(self._raw) as archive:
            members = archive.infolist()
        shared = sum(member.file_size for member in members if _SHARED.fullmatch(member.filename))
        largest = max((member.file_size for member in members), default=0)
        if shared > _MOST_SHARED or largest > _MOST_SHEET:
            raise InputError(
                "E-SHEET-LARGE",
                f"The workbook '{self.origin.label}' is too large to be read: its texts take {shared >> 20:,} MiB, and "
                f"its largest sheet {largest >> 20:,} MiB.",
                "Save the sheet as CSV in UTF-8 (in Excel: Save As, CSV UTF-8), and give that file.",
            )
        self._raw.seek(0)

    def sheet(self, wanted: str | int | None) -> ReadOnlyWorksheet:
        """Return a sheet by its name or its number from 1; by default the first one that is not hidden."""
        sheets = self.book.worksheets
        names = [sheet.title for sheet in sheets]
        if isinstance(wanted, int) and 1 <= wanted <= len(sheets):
            return sheets[wanted - 1]
        if str(wanted) in names:
            return sheets[names.index(str(wanted))]
        if wanted is None and sheets:
            return next((sheet for sheet in sheets if sheet.sheet_state == "visible"), sheets[0])
        raise JobError(
            "E-SHEET-MISSING",
            f"The workbook '{self.origin.label}' has no sheet {wanted!r}.",
            f"Its sheets are {', '.join(repr(redact(name)) for name in names)}. Set input.sheet to a name or a number "
            "from 1.",
        )

    def others(self, taken: ReadOnlyWorksheet) -> list[str]:
        """Return the names of the other sheets that are not hidden and have cells."""
        others = [sheet for sheet in self.book.worksheets if sheet is not taken and sheet.sheet_state == "visible"]
        return [sheet.title for sheet in others if _has_cells(sheet)]


def _quietly(function: Any, *given: Any, **named: Any) -> Any:
    """Call openpyxl without its warnings about what a workbook has beside its cells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*given, **named)


def _has_cells(sheet: ReadOnlyWorksheet) -> bool:
    rows = _quietly(list, sheet.iter_rows(max_row=_FIRST_ROWS, values_only=True))
    return any(value is not None for row in rows for value in row)


def _rows_of(sheet: ReadOnlyWorksheet) -> Iterator[list[str | None]]:
    """Yield the texts of all rows, of empty ones as well."""
    sheet.reset_dimensions()  # what a sheet says of its size may be wrong
    for row in sheet.iter_rows():
        yield [_text_of(cell) for cell in row]


def _text_of(cell: Any) -> str | None:
    value = cell.value
    if value is None or isinstance(value, str):  # of any format: finding it takes a while
        return value or None
    return shown(value, cell.number_format or "")


class SheetRows(Reshaped):
    """The rows of a sheet as lines of JSON, with these names of columns. The first `skipped` rows are empty lines."""

    def __init__(self, origin: Origin, wanted: str | int | None, names: Sequence[str], skipped: int) -> None:
        super().__init__()
        self._book = _Book(origin)
        sheet = self._book.sheet(wanted)
        self._most = sheet.max_row or 0
        self._size = origin.size or 0
        self._names, self._skipped = names, skipped
        self._rows = _rows_of(sheet)
        self._read = 0
        self._ended = False

    def close(self) -> None:
        """Close the input."""
        self._book.close()

    @property
    def position(self) -> int:
        """About how many bytes of the input have been read, by its rows."""
        if self._ended:
            return self._size
        return min(self._size * self._read // self._most, self._size) if self._most else 0

    def next_piece(self) -> memoryview:
        """Return some rows."""
        try:
            lines = _quietly(list, self._lines())
        except (InputError, JobError, MemoryError):
            raise
        except Exception as error:  # of openpyxl, and of what reads zip and XML for it: there is no common class
            raise damaged_workbook(self._book.origin, error) from error
        self._ended = len(lines) < _ROWS
        return memoryview(b"".join(lines))

    def _lines(self) -> Generator[bytes]:
        for _, row in zip(range(_ROWS), self._rows, strict=False):
            self._read += 1
            values = {name: text for name, text in zip(self._names, row, strict=False) if text is not None}
            yield orjson.dumps(values) + b"\n" if values and self._read > self._skipped else b"\n"


def damaged_workbook(origin: Origin, error: BaseException) -> InputError:
    """Return the error that a workbook cannot be read."""
    return InputError(
        "E-INPUT-DAMAGED",
        f"The workbook '{origin.label}' is damaged, or no Excel workbook ({type(error).__name__}).",
        "Open it in Excel and save it again as .xlsx, or save the sheet as CSV UTF-8.",
    )


class ExcelSource(NdjsonSource):
    """One sheet of a workbook; its first row that is not empty names the columns."""

    has_header = True
    columns_hint = ""
    unit: Literal["line", "row"] = "row"

    def __init__(self, origin: Origin, options: Input) -> None:
        self.origin = origin
        book = _Book(origin)
        try:
            sheet = book.sheet(options.sheet)
            others = book.others(sheet) if options.sheet is None else []
            names, skipped = _quietly(_header_of, sheet, options)
        except (InputError, JobError, MemoryError):
            raise
        except Exception as error:  # of openpyxl, and of what reads zip and XML for it: there is no common class
            raise damaged_workbook(origin, error) from error
        finally:
            book.close()
        self.names = tuple(names)
        self.layout = ExcelSource
        self.findings = [_others_unread(origin, sheet.title, others)] if others else []
        self.body = Body(origin, "utf-8", 0, 0, None, reshape=_Opener(options.sheet, self.names, skipped))


def _header_of(sheet: ReadOnlyWorksheet, options: Input) -> tuple[Sequence[str], int]:
    """Return the names of the columns, and how many rows are before the first row with values."""
    if not options.header:
        return options.columns, options.skip_lines
    for number, row in enumerate(_rows_of(sheet), 1):
        if number > options.skip_lines and any(text is not None for text in row):
            while row[-1] is None:
                row.pop()
            return [(text or "").strip() for text in row], number
    return (), 0


def _others_unread(origin: Origin, taken: str, others: Sequence[str]) -> Finding:
    names = ", ".join(repr(redact(name)) for name in others)
    return Finding(
        "W-SHEETS-UNREAD",
        f"Of the workbook '{origin.label}' only the sheet '{redact(taken)}' is read; {names} also hold data.",
        "Set input.sheet to the name of the sheet, or to its number from 1.",
    )


class _Opener:
    """Opens the rows of a sheet of any workbook."""

    def __init__(self, wanted: str | int | None, names: Sequence[str], skipped: int) -> None:
        self._given = (wanted, names, skipped)

    def __call__(self, origin: Origin) -> SheetRows:
        return SheetRows(origin, *self._given)
