"""Dialects of delimited text: files that programs have written, what surrounds rows, and rows that are not what they seem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converter import kernel
from converter.errors import ColumnError, InputError, JobError
from converter.jobs.job import Job
from converter.jobs.sections.table import DIALECTS, Input
from converter.kernel.calls import Loops
from converter.sources.base import Budget
from converter.sources.delimited import DelimitedSource
from converter.sources.origins.local import LocalFile

from .conftest import Run, malformed_rows
from .errors import raises

FOLDER = Path(__file__).parent / "data" / "dialects"
LOOPS = [None, kernel.load()]
ROWS = {
    "U1": ("plain", "Rome"),
    "U2": ("", "Oslo"),  # NULL
    "U3": ("", "Lima"),
    "U4": ("tab\there", "Bonn"),
    "U5": ("line\nbreak", "Bonn"),
    "U6": ("C:\\new\\table", "Bonn"),
    "U7": ('say "hi"', "Bonn"),
    "U8": ("it's", "Bonn"),
    "U9": ("a|b,c;d", "Bonn"),
    "U10": ("\\N", "Bonn"),
    "U11": ("ends in \\", "Bonn"),
    "U12": ("cr\rlf\n", "Bonn"),
    "U13": ("é€", "Bonn"),
    "U14": ('"quoted"', "Bonn"),
}
OF_POSTGRES = ROWS | {"U15": ("\b\fv", "Bonn"), "U16": ("\\.", "Bonn")}
OF_MYSQL = ROWS | {"U15": ("x\0y\x1a", "Bonn")}
NAMES = {"header": False, "columns": ("id", "note", "city")}


def found(path: Path, loops: Loops | None, block: int = 1 << 20, **options: Any) -> tuple[dict[str, Any], list[Any]]:
    """Return the rows of a text by their ID, and its malformed rows."""
    tabs = path.suffix == ".tsv"
    source = DelimitedSource(LocalFile.at(path), Input(path=(str(path),), **options), tabs=tabs, block=block)
    rows, malformed, line = {}, [], 0
    for task in source.blocks(source.names, loops, Budget()):
        parsed = task.parse(None)
        rows |= {row[0]: row[1:] for row in parsed.rest.frame().rows()}
        malformed += [(line + number + 1, rule, text) for number, rule, text in malformed_rows(parsed.malformed)]
        line += sum(piece.numbers for piece in parsed.pieces)
    return rows, malformed


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
@pytest.mark.parametrize("block", [1 << 20, 1, 7, 40])
@pytest.mark.parametrize(
    "name, options, expected",
    [
        ("postgres.txt", {"dialect": "postgres", **NAMES}, OF_POSTGRES),
        ("postgres_header.txt", {"dialect": "postgres"}, OF_POSTGRES),
        ("postgres.csv", {}, OF_POSTGRES),
        ("postgres.csv", {"dialect": "bigquery"}, OF_POSTGRES),
        ("postgres.csv", {"dialect": "excel"}, OF_POSTGRES),
        ("mysql.txt", {"dialect": "mysql", **NAMES}, OF_MYSQL),
        ("mysql_quoted.csv", {"dialect": "mysql", "separator": ",", "quote": '"', **NAMES}, OF_MYSQL),
        ("mysql_batch.tsv", {"dialect": "mysql"}, OF_MYSQL | {"U2": ("NULL", "Oslo")}),
        ("duckdb.csv", {}, ROWS),
        ("duckdb_escape.csv", {"quote": "'", "escape": "backslash"}, ROWS | {"U10": ("", "Bonn")}),
    ],
)
def test_what_a_program_has_written_is_read_as_it_was(
    name: str, options: dict[str, Any], expected: dict[str, Any], loops: Loops | None, block: int
) -> None:
    assert found(FOLDER / name, loops, block, **options) == (expected, [])


def test_an_explicit_key_overrides_that_of_the_dialect() -> None:
    assert DIALECTS["redshift"]["separator"] == "|"
    options = Input(path=("x",), dialect="redshift", separator=",")
    assert (options.separator, options.quote, options.escape) == (",", '"', "backslash")
    with raises(JobError, "E-JOB-INVALID", "input.dialect"):
        Job(input={"path": "x", "dialect": "oracle"}, id={"column": "id"}, output={"to": "o", "dpid": 1})


TEXTS: dict[str, tuple[bytes, dict[str, Any], dict[str, Any], list[Any]]] = {
    # text, options, rows, malformed rows
    "redshift": (
        b'"1"|"{\\"k\\":\\"v\\"}"|"a\\\nb\\|c\\\\"\n"2"|"5\\""|\\N\n',
        {"dialect": "redshift", **NAMES},
        {"1": ('{"k":"v"}', "a\nb|c\\"), "2": ('5"', "")},
        [],
    ),
    "redshift without quotes": (
        b"1|a\\|b|c\\\nd\n2|n\\n|\\\\N\n",
        {"dialect": "redshift", "quote": "none", **NAMES},
        {"1": ("a|b", "c\nd"), "2": ("nn", "\\N")},
        [],
    ),
    "hive": (
        b"1\x01a\\\x01b\x01x\\ny\n2\x01\\N\x01t\\t\n",
        {"dialect": "hive", **NAMES},
        {"1": ("a\x01b", "x\ny"), "2": ("", "tt")},
        [],
    ),
    "letters stay after backslashes": (
        b'id,note,city\n1,"C:\\new, \\"x\\" \\\\",\\t\n',
        {"escape": "backslash"},
        {"1": ('C:\\new, "x" \\', "\\t")},
        [],
    ),
    "an escape at the end": (
        b"1\ta\tb\n2\ta\tb\\\n",
        {"dialect": "mysql", **NAMES},
        {"1": ("a", "b")},
        [(2, "row_misquoted", b"2\ta\tb\\")],
    ),
    "an escaped return": (b"1\ta\tb\\\r\r\n", {"dialect": "mysql", **NAMES}, {"1": ("a", "b\r")}, []),
    "single quotes": (
        b"id,note,city\n1,'a,\"b''',c\"\n2,\"x,y\n",
        {"quote": "'"},
        {"1": ("a,\"b'", 'c"'), "2": ('"x', "y")},
        [],
    ),
    "no quotes": (b'id,note,city\n1,"a,b"\n', {"quote": "none"}, {"1": ('"a', 'b"')}, []),
    "lines to skip": (
        b'Report "x\n\n2024\nid,note,city\n1,a\n2,b,c\n',
        {"skip_lines": 3},
        {"2": ("b", "c")},
        [(5, "row_too_short", b"1,a")],
    ),
    "lines to skip without a header": (
        b"Report\n1,a,b\n2\n",
        {"skip_lines": 1, **NAMES},
        {"1": ("a", "b")},
        [(3, "row_too_short", b"2")],
    ),
    "comments": (
        b'# a "\n\nid,note,city\n#x\n1,#,"\n#y"\n# "\n2,b,c\n3\n',
        {"comment": "#"},
        {"1": ("#", "\n#y"), "2": ("b", "c")},
        [(9, "row_too_short", b"3")],
    ),
    "a line that names the separator": (b"sep=;\r\nid;note;city\r\n1;a,b;c\r\n", {}, {"1": ("a,b", "c")}, []),
    "the same in quotes": (
        b'"sep=|"\nid|note|city\n1|a,b|c\n2\n',
        {},
        {"1": ("a,b", "c")},
        [(4, "row_too_short", b"2")],
    ),
    "a separator that rows show": (
        b"id;note (a,b,c);city\n1;1,5;x\n2;2,5;y\n",
        {},
        {"1": ("1,5", "x"), "2": ("2,5", "y")},
        [],
    ),
    "an empty last field in rows": (
        b"id,note,city\n1,a,b,\n2,c,d\n3,e,f,g\n4,i,j,\n",
        {},
        {"1": ("a", "b"), "4": ("i", "j")},
        [(3, "row_too_short", b"2,c,d"), (4, "row_too_long", b"3,e,f,g")],
    ),
    "an empty last field in one row": (
        b"id,note,city\n1,a,b\n2,c, d,\n",
        {},
        {"1": ("a", "b")},
        [(3, "row_too_long", b"2,c, d,")],
    ),
    "an empty last field without a header": (b"1,a,b,\r\n2,c,d,\r\n", NAMES, {"1": ("a", "b"), "2": ("c", "d")}, []),
    "an empty last name": (b"id,note,city,\n1,a,b\n2,c,d,\n", {}, {"1": ("a", "b")}, [(3, "row_too_long", b"2,c,d,")]),
    "CR CR LF": (b'id,note,city\r\r\n1,a,b\r\r\n2,"c","d"\r\r\n\r\r\n', {}, {"1": ("a", "b"), "2": ("c", "d")}, []),
    "spaces that the header has too": (
        b'id, note, city\n1, "a, b" , c d \n2,e,"f"\n',
        {},
        {"1": ("a, b", "c d "), "2": ("e", "f")},
        [],
    ),
    "spaces that stay": (b"id, note, city\n1, a, b\n", {"skip_spaces": False}, {"1": (" a", " b")}, []),
    "spaces before quotes that stay": (
        b'id,note,city\n1, "a", b\n2, "a, b"\n',
        {},
        {"1": (' "a"', " b")},
        [(3, "row_misquoted", b'2, "a, b"')],
    ),
    "a line break without quotes": (
        b"id,note,city\r\n1,a,b\n900,c,d\r\n2,e,f\r\n3,a\n901,x\r\n4,g,h",
        {},
        {"2": ("e", "f"), "4": ("g", "h")},
        [(2, "row_torn", b"1,a,b\n900,c,d\r"), (5, "row_torn", b"3,a\n901,x\r")],
    ),
    "LF alone after a header that ends in CR LF": (
        b"id,note,city\r\n1,a,b\n2,c,d\n",
        {},
        {"1": ("a", "b"), "2": ("c", "d")},
        [],
    ),
    "lines that belong to a broken row": (
        b'id,note,city\n1,"The "big" order:\n900,call back,Rome\ndone",Oslo\n2,a,b\n',
        {},
        {"2": ("a", "b")},
        [(2, "row_misquoted", b'1,"The "big" order:\n900,call back,Rome\ndone",Oslo')],
    ),
    "lines that do not belong to a broken row": (
        b'id,note,city\n1,"a,b\n2,"c",d\n3,"e"f,g\n4,x,"y"\n5,5" x,6"\n',
        {},
        {"2": ("c", "d"), "4": ("x", "y"), "5": ('5" x', '6"')},
        [(2, "row_misquoted", b'1,"a,b'), (4, "row_misquoted", b'3,"e"f,g')],
    ),
    "two readings": (
        b'id,note,city\n1,9.9"Pillow, large"\n2,5" pipe,6"\n3,5",6"\n4,a"b"c,d"\n5,"x\\",y"\n6,"x\\",y\n',
        {},
        {"2": ('5" pipe', '6"'), "3": ('5"', '6"'), "4": ('a"b"c', 'd"'), "6": ("x\\", "y")},
        [(2, "row_misquoted", b'1,9.9"Pillow, large"'), (6, "row_misquoted", b'5,"x\\",y"')],
    ),
}


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
@pytest.mark.parametrize("block", [1 << 20, 1, 7, 25])
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_as_its_dialect_says(name: str, loops: Loops | None, block: int, tmp_path: Path) -> None:
    text, options, rows, malformed = TEXTS[name]
    path = tmp_path / "in.csv"
    path.write_bytes(text)
    assert found(path, loops, block, **options) == (rows, malformed)


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
@pytest.mark.parametrize(
    "text, options, rows",
    [
        (b'id\tnote\tcity\n1\t"a\tb\n2\tc"\t"d"\n', {}, {"1": ('"a', "b"), "2": ('c"', '"d"')}),
        (b'id\t"note"\tcity\n1\t"a\tb"\tc\n', {}, {"1": ("a\tb", "c")}),
        (b'id\tnote\tcity\n1\t"a\tb"\tc\n', {"quote": '"'}, {"1": ("a\tb", "c")}),
        (b'id\t"note"\tcity\n1\t"a\tb\n', {"quote": "none"}, {"1": ('"a', "b")}),
    ],
)
def test_quotes_of_tsv_are_text_unless_its_header_has_some(
    text: bytes, options: dict[str, Any], rows: dict[str, Any], loops: Loops | None, tmp_path: Path
) -> None:
    path = tmp_path / "in.tsv"
    path.write_bytes(text)
    assert found(path, loops, **options)[0] == rows


def test_a_header_after_titles_is_found_and_the_error_says_how_to_skip_them(run: Run) -> None:
    text = b'"Contact report"\n"Generated 2024-05-01"\n\nid;a\nU1;x\n'
    with raises(ColumnError, "E-HEADER-LATER", "line 4", "input.skip_lines=3"):
        run.convert(text)
    run.convert(text, input={"skip_lines": 3})
    assert run.lines == ['U1\t"a"="x"']


def test_a_first_row_with_escaped_quotes_names_the_key_that_reads_them(run: Run) -> None:
    text = b'"U1"|"{\\"k\\":1}"\n"U2"|"x"\n'
    keys = {"header": False, "columns": ["id", "a"], "separator": "|"}
    with raises(InputError, "E-HEADER-QUOTES", "input.escape"):
        run.convert(text, input=keys)
    run.convert(text, input={**keys, "escape": "backslash"})
    assert run.lines == ['U1\t"a"="{\'k\':1}"', 'U2\t"a"="x"']


@pytest.mark.parametrize(
    "key, value",
    [
        ("quote", "`"),
        ("escape", "slash"),
        ("comment", "//"),
        ("comment", '"'),
        ("skip_lines", -1),
        ("separator", "\n"),
    ],
)
def test_keys_that_cannot_be_meant_are_errors(key: str, value: object, run: Run) -> None:
    with raises(JobError, "E-JOB-INVALID", f"input.{key}"):
        run.make_job(input={key: value})


@pytest.mark.parametrize(
    "keys",
    [
        {"separator": "'", "quote": "'"},
        {"separator": "#", "comment": "#"},
        {"separator": "\\", "escape": "backslash"},
        {"separator": " ", "skip_spaces": True},
    ],
)
def test_one_character_has_one_meaning(keys: dict[str, object], run: Run) -> None:
    with raises(JobError, "E-JOB-INVALID", "input.separator"):
        run.make_job(input=keys)


def test_values_with_line_breaks_are_counted(run: Run) -> None:
    report = run.convert(b'id,a,b\nU1,"x\ny\nz",1\nU2,"x\ny","\n"\nU3,x,y\nU4,"\n"\n')
    assert report.records["line_breaks"] == 3
