"""Rows that are left out by a condition, and computed columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from converter import ConverterError, InputError, JobError, Report, match
from converter.commands.estimate import estimate_outcome
from converter.commands.plan import plan
from converter.errors import ColumnError
from converter.jobs.comparison import Comparison
from converter.jobs.job import Job
from converter.rows.records import Records
from converter.rows.sql import FUNCTIONS, columns_of
from converter.sources.delimited import DelimitedSource

from .conftest import Run, converted
from .errors import raises

ROOT = Path(__file__).parent.parent
ROWS = "id,a,b,t\nu1,gold,10.5,1\nu2,silver,,2\nu3,,7,3\nu4,gold,99,4\n"


def skipped(report: Report) -> dict[str, int]:
    return dict(report.records["skipped"])


def test_rows_for_which_the_condition_is_not_true_are_skipped_and_counted(run: Run) -> None:
    report = run.convert(ROWS, input={"filter": "a = 'gold' AND b > '2'"})
    assert run.lines == ['u4\t"a"="gold"']
    assert report.records == {
        "read": 4,
        "written": 1,
        "rejected": {},
        "skipped": {"filter_unknown": 1, "filtered_out": 2},
    }


def test_a_missing_value_is_null_in_sql(run: Run) -> None:
    report = run.convert(
        "id,a,b,t\nu1,gold,NULL,1\nu2,silver,,2\nu3,tin,7,3\n", input={"filter": "b IS NULL", "null_values": "NULL"}
    )
    assert [line[:2] for line in run.lines] == ["u1", "u2"]
    assert skipped(report) == {"filtered_out": 1}


def test_columns_are_computed_in_order_and_used_like_others(run: Run) -> None:
    computed = [
        {"name": "a", "sql": "upper(a)"},
        {"name": "user", "sql": "'x-' || id"},
        {"name": "rich", "sql": "TRY_CAST(b AS DOUBLE) > 50 OR a = 'SILVER'"},
        {"name": "traits", "sql": "concat_ws('|', t, '7')"},
        {"name": "unused", "sql": "lower(b)"},
    ]
    changes: dict[str, Any] = {
        "input": {"computed": computed, "filter": "(a IS DISTINCT FROM 'GOLD') OR rich"},
        "id": {"column": "user", "case": "upper"},
        "record": {"signals": ["a", "rich"], "traits": ["traits"]},
    }
    report = run.convert(ROWS, **changes)
    assert run.lines == [
        'X-U2\t"a"="SILVER","rich"="true",d_sid=2,d_sid=7',
        "X-U3\td_sid=3,d_sid=7",
        'X-U4\t"a"="GOLD","rich"="true",d_sid=4,d_sid=7',
    ]
    assert skipped(report) == {"filtered_out": 1}


def test_rejects_of_selected_rows_keep_their_lines(run: Run) -> None:
    report = run.convert(
        "id,a\nu1,x\nno@example.com,y\nu3,z\nshort\n,y\n", input={"filter": "a <> 'x'", "computed": []}
    )
    assert [(each["row"], each["rule"]) for each in run.rejects] == [
        (3, "id_is_email"),
        (5, "row_too_short"),
        (6, "id_missing"),
    ]
    assert report.records["read"] == 5 == 1 + 3 + 1


def test_columns_of_tables_have_their_types(run: Run) -> None:
    path = run.folder / "in.parquet"
    pl.DataFrame(
        {
            "id": ["u1", "u2", "u3"],
            "a": [1, 20, None],
            "d": pl.Series(["2024-01-05", "2023-12-31", "2024-02-01"]).str.to_date(),
            "l": [["7"], ["8", "9"], []],
        }
    ).write_parquet(path)
    run.convert(
        input={
            "path": str(path),
            "filter": "d >= DATE '2024-01-01' OR a > 10",
            "computed": [{"name": "year", "sql": "year(d)"}, {"name": "many", "sql": "array_length(l) > 1"}],
        },
        record={"signals": ["a", "year", "many", "d"], "traits": ["l"]},
    )
    assert run.lines == [
        'u1\t"a"="1","year"="2024","many"="false","d"="2024-01-05",d_sid=7',
        'u2\t"a"="20","year"="2023","many"="true","d"="2023-12-31",d_sid=8,d_sid=9',
        'u3\t"year"="2024","many"="false","d"="2024-02-01"',
    ]


def test_blocks_make_no_difference(way: str, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    rows = [f"u{n},{'gold' if n % 3 else ''},{n % 50}" for n in range(3000)]
    path.write_text("id,a,b\n" + "\n".join(rows) + "\n")
    job = Job(
        input={
            "path": str(path),
            "filter": "TRY_CAST(b AS INT) BETWEEN 10 AND 30",
            "computed": [{"name": "c", "sql": "COALESCE(a, 'none') || '-' || b"}],
        },
        id={"column": "id"},
        record={"signals": ["c"]},
        output={"to": str(tmp_path), "dpid": 1},
    )
    found = [converted(DelimitedSource, path, job, block) for block in (1 << 9, 1 << 13, 1 << 20)]
    assert found[0] == found[1] == found[2]
    text, _, ledger = found[0]
    assert text.count(b"\n") == ledger.written == 21 * 60
    assert text.startswith(b'u10\t"c"="gold-10"\n')
    ledger.check()


@pytest.mark.parametrize(
    ("sql", "code", "words"),
    [
        ("sum(b) > 3", "E-SQL", "SUM"),
        ("lowr(a) = 'x'", "E-SQL", "did you mean 'lower'"),
        ("b > max(b)", "E-SQL", "MAX"),
        ("b > ALL(b)", "E-SQL", "ALL"),
        ("row_number() OVER (ORDER BY b) > 1", "E-SQL", "ROW_NUMBER"),
        ("a IN (SELECT a FROM self)", "E-SQL", "SELECT"),
        ("now() > '2023'", "E-SQL", "NOW"),
        ("CURRENT_DATE > DATE '2024-01-01'", "E-SQL", "CURRENT_DATE"),
        ("CAST(a AS DATE) > DATE '2024-01-01'", "E-SQL", "STRPTIME"),
        ("a::timestamp IS NULL", "E-SQL", "TIMESTAMP"),
        ("a.b = 'x'", "E-SQL", "double quotes"),
        ("a = 'x' -- and more", "E-SQL", "a comment at character 9"),
        ("a = 'x", "E-SQL", "at character 5"),
        ("a = 'x'; DROP", "E-SQL", "at character 8"),
        ("\"^a.*$\" = 'x'", "E-SQL", "pattern"),
        ("a = 'x' and", "E-SQL", "input.filter cannot be used"),
        ("a > 5", "E-SQL", "'a' is String"),
        ("a", "E-SQL", "String"),
        ('a = "gold"', "E-COLUMN-MISSING", "'gold'"),
        ("ids = 'x'", "E-COLUMN-MISSING", "did you mean 'id'"),
    ],
)
def test_sql_that_is_wrong_or_depends_on_other_rows_is_refused(tmp_path: Path, sql: str, code: str, words: str) -> None:
    run = Run(tmp_path)
    with pytest.raises(JobError) as raised:
        run.convert(ROWS, input={"filter": sql})
    assert raised.value.code == code
    assert words in str(raised.value)
    assert run.files == []


def test_wrong_computed_columns_are_named(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for sql, code in (("upper(nope)", "E-COLUMN-MISSING"), ("count(a)", "E-SQL"), ("a + 1", "E-SQL")):
        with pytest.raises(JobError, match="'x'") as raised:
            run.convert(ROWS, input={"computed": [{"name": "x", "sql": sql}]}, record={"signals": ["x"]})
        assert raised.value.code == code
    with pytest.raises(JobError, match="twice"):
        run.make_job(input={"computed": [{"name": "x", "sql": "a"}, {"name": "x", "sql": "b"}]})


def test_ids_may_not_be_computed_as_floats(tmp_path: Path) -> None:
    with pytest.raises(ColumnError) as raised:
        Run(tmp_path).convert(ROWS, input={"computed": [{"name": "id", "sql": "CAST(b AS DOUBLE)"}]})
    assert raised.value.code == "E-COLUMN-TYPE"


def test_a_computed_column_without_a_text_form_is_named(tmp_path: Path) -> None:
    days = "STRPTIME(a, '%Y-%m-%d') - STRPTIME(b, '%Y-%m-%d')"
    with pytest.raises(ColumnError, match="'x'") as raised:
        Run(tmp_path).convert(ROWS, input={"computed": [{"name": "x", "sql": days}]}, record={"signals": ["x"]})
    assert raised.value.code == "E-COLUMN-TYPE"
    assert "Duration" in raised.value.message


def test_a_value_that_cannot_be_cast_is_an_error_without_the_value(run: Run) -> None:
    with pytest.raises(InputError) as raised:
        run.convert(ROWS, input={"computed": [{"name": "n", "sql": "CAST(a AS DOUBLE)"}], "filter": "n > 1"})
    assert raised.value.code == "E-SQL-VALUE"
    assert "input.computed of 'n'" in str(raised.value)
    assert "TRY_CAST" in raised.value.hint
    assert "gold" not in str(raised.value)
    assert run.files == []


@pytest.mark.parametrize("block", [1 << 16, 1 << 30])
def test_the_first_row_with_such_a_value_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr("converter.sources.base._MOST_BLOCK", block)
    monkeypatch.setattr("converter.sources.base._LEAST_BLOCK", min(block, 1 << 16))
    rows = [f"u{number},{number}" for number in range(20_000)]
    rows[14_000] = rows[14_001] = rows[19_000] = "u,n/a"
    computed = {"computed": [{"name": "n", "sql": "CAST(a AS DOUBLE)"}, {"name": "m", "sql": "n + 1"}]}
    used = {"record": {"signals": ["m"]}}
    with raises(InputError, "E-SQL-VALUE", "input.computed", "'n'", "14,002", "in.csv"):
        run.convert("id,a\n" + "\n".join(rows), input=computed, **used)
    run.write("id,a\nu,1\n", "1.csv")
    run.write("id,a\nu,1\n\nu,x\n", "2.csv")
    files = [str(run.folder / name) for name in ("1.csv", "2.csv")]
    with raises(InputError, "E-SQL-VALUE", "4", "2.csv"):
        run.convert(input={"path": files, **computed}, **used)
    pl.DataFrame({"id": ["u", "v", "w"], "a": ["1", "2", "x"]}).write_parquet(run.folder / "in.parquet")
    with raises(InputError, "E-SQL-VALUE", "row 3", "in.parquet"):
        run.convert(input={"path": str(run.folder / "in.parquet"), **computed}, **used)


def test_what_is_computed_from_personal_data_is_not_sent(tmp_path: Path) -> None:
    run = Run(tmp_path)
    computed = [{"name": "x", "sql": "upper(email)"}, {"name": "y", "sql": "left(x, 2)"}]
    with pytest.raises(JobError) as raised:
        run.convert("id,email\nu1,a@example.com\n", input={"computed": computed}, record={"signals": ["y"]})
    assert raised.value.code == "E-PERSONAL-COLUMN"
    with pytest.raises(JobError) as raised:
        run.convert("id,email\nu1,a@example.com\n", input={"computed": computed}, id={"column": "x"})
    assert raised.value.code == "E-PERSONAL-COLUMN"
    changes: dict[str, Any] = {"input": {"computed": computed}, "record": {"signals": ["y"]}}
    run.convert("id,email\nu1,a@example.com\n", **changes, privacy={"allow": ["y"]})
    assert run.lines == ['u1\t"y"="A@"']


def test_personal_values_of_computed_columns_are_found(run: Run) -> None:
    with pytest.raises(ConverterError) as raised:
        run.convert(
            "id,a\nu1,anna\n",
            input={"computed": [{"name": "c", "sql": "a || '@example.com'"}]},
            record={"signals": ["c"]},
        )
    assert "value_personal" in str(raised.value)


def test_a_run_without_selected_rows_fails(run: Run) -> None:
    with pytest.raises(ConverterError) as raised:
        run.convert(ROWS, input={"filter": "a = 'nothing'"})
    assert "filtered_out: 3" in str(raised.value)


def test_a_dry_run_counts_and_shows_selected_rows(run: Run) -> None:
    run.write(ROWS)
    planned = plan(run.make_job(input={"filter": "a = 'GOLD'", "computed": [{"name": "a", "sql": "upper(a)"}]}))
    estimate = estimate_outcome(planned)
    assert estimate.ledger.skipped == {"filtered_out": 1, "filter_unknown": 1}
    assert estimate.ledger.read == 4
    assert estimate.skipped == 0.5
    assert planned.preview(5)["line"].to_list() == ['u1\t"a"="GOLD"\n', 'u4\t"a"="GOLD"\n']


def test_match_takes_a_condition_and_computed_ids(run: Run) -> None:
    crm, site = run.write(ROWS, "crm.csv"), run.write("id\nX-u1\nX-u4\n", "site.csv")
    options = {"path": str(crm), "filter": "a = 'gold'", "computed": [{"name": "full", "sql": "'X-' || id"}]}
    given = Comparison(input=options, site={"path": str(site)})
    found = match(given.input, given.site, column="full").as_dict()
    assert (found["crm"], found["as_is"]["matched"]) == (2, 2)


def test_columns_that_sql_names_are_found() -> None:
    def names(sql: str) -> list[str]:
        return [column.name for column in columns_of(sql, "key")]

    assert names("CAST(x AS DOUBLE PRECISION) > 1 AND y::int = 2") == ["x", "y"]
    assert names("date >= DATE '2024-01-01' AND month = month(day)") == ["date", "month", "day"]
    assert names('EXTRACT(YEAR FROM d) = 2024 AND "home ""city""" = \'it\'\'s\'') == ["d", 'home "city"']
    assert names(
        "CASE WHEN (a) THEN (b) ELSE (c) END AND left = 'x' AND e IN (1) AND CAST(f AS DECIMAL(10, 2)) > 1"
    ) == [
        *"abc",
        "left",
        "e",
        "f",
    ]


_ARGUMENTS = {
    "array_contains": "l, '1'",
    "array_get": "l, 1",
    "array_to_string": "l, ','",
    "cast": "n AS VARCHAR",
    "try_cast": "s AS INT",
    "concat_ws": "'-', s, s",
    "date_part": "'year', d",
    "date_trunc": "'month', d",
    "extract": "YEAR FROM d",
    "if": "n = 1, 'x', 'y'",
    "strftime": "d, '%Y'",
    "strptime": "i, '%Y-%m-%d'",
    "split_part": "s, '-', 1",
    "substr": "s, 1, 2",
    "substring": "s, 1, 2",
    "replace": "s, 'b', 'z'",
    "regexp_replace": "s, 'b', 'z'",
    "lpad": "s, 5, '0'",
    "rpad": "s, 5, '0'",
    **dict.fromkeys(("coalesce", "concat", "ifnull", "nullif"), "s, 'x'"),
    **dict.fromkeys(("ends_with", "starts_with", "strpos", "regexp_like", "string_to_array"), "s, 'b'"),
    **dict.fromkeys(("left", "right"), "s, 2"),
    **dict.fromkeys(("greatest", "least", "mod", "div", "pow", "power", "log"), "n, 2"),
    **dict.fromkeys(("round", "truncate"), "f, 1"),
    **dict.fromkeys(("ceil", "ceiling", "exp", "floor", "ln", "log10", "log2", "sqrt", "sign", "trunc", "abs"), "f"),
    **dict.fromkeys(("day", "dayofweek", "month", "quarter", "week", "year"), "d"),
}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_functions_give_the_same_for_a_row_in_any_block(function: str) -> None:
    rows = pl.DataFrame(
        {
            "s": ["abc", "x-y", None, "12", "ÄÖ", " b "],
            "i": ["2024-01-05", None, "2020-02-29", "1999-12-31", "2024-01-05", "2021-01-01"],
            "n": [1, 2, 3, None, 5, 6],
            "f": [1.5, 0.3, None, 2.0, 10.25, 0.5],
            "d": pl.Series(["2024-01-05", "2024-02-03", None, "2023-01-01", "2020-02-29", "2021-01-01"]).str.to_date(),
            "l": [["1", "2"], ["3"], None, [], ["x"], ["1", "1"]],
        }
    )
    default = "l" if function.startswith("array") else "s"
    query = f"SELECT *, ({function}({_ARGUMENTS.get(function, default)})) AS x FROM self"
    whole = rows.lazy().sql(query).collect()["x"]
    alone = pl.concat(row.lazy().sql(query).collect() for row in rows.iter_slices(1))["x"]
    if function == "array_unique":  # in any order, but in the same one
        assert whole.list.len().to_list() == alone.list.len().to_list()
    else:
        assert whole.to_list() == alone.to_list()


def test_functions_are_documented() -> None:
    page = (ROOT / "docs" / "rows.md").read_text()
    listed = page.partition("The functions are")[2].partition("beside the operators")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == FUNCTIONS


def test_words_that_are_refused_may_be_names(run: Run) -> None:
    run.convert("id,order,a\nu1,1,x\nu2,2,y\n", input={"filter": "\"order\" = '2'"})
    assert run.lines == ['u2\t"a"="y"']


def test_records_read_only_what_is_needed(tmp_path: Path) -> None:
    job = Run(tmp_path).make_job(
        input={"filter": "b > '1'", "computed": [{"name": "x", "sql": "t"}, {"name": "y", "sql": "c"}]},
        record={"signals": ["a", "x"]},
    )
    records = Records(job, 1000)
    assert records.columns == ("id", "a", "x")
    assert records.selection.columns == ("id", "a", "t", "b")


def test_inputs_of_a_set_are_selected_alike(fresh_run: Callable[[], Run]) -> None:
    run = fresh_run()
    run.write("id,a,b\nu1,x,1\n", "1.csv")
    run.write("b,id,a\n1,u2,y\n2,u3,z\n", "2.csv")
    report = run.convert(input={"path": str(run.folder / "*.csv"), "filter": "b = '1'"})
    assert run.lines == ['u1\t"a"="x"', 'u2\t"a"="y"']
    assert skipped(report) == {"filtered_out": 1}
