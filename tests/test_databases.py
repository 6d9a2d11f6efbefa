"""Databases as inputs: PostgreSQL, SQLite, DuckDB, and others by their driver."""

from __future__ import annotations

import csv
import io
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pytest

from converter import InputError, Job, JobError, convert, kernel
from converter.commands.match import match
from converter.commands.progress import Progress
from converter.errors import ColumnError, ConverterError
from converter.jobs.sections.table import Input
from converter.sources.base import first_rows
from converter.sources.opening import find_origins, open_source, open_sources
from converter.sources.origins import once

from .conftest import Run
from .errors import raises, told
from .servers.postgresql import PASSWORD, USER, postgresql_server, psql, url_of
from .servers.process import Program
from .test_cli import ENVIRONMENT

ROWS = [(f"u{n}", f"c{n % 7}" if n % 3 else None, n) for n in range(3000)]
LINES = [f"u{n}\t" + (f'"a"="c{n % 7}",' if n % 3 else "") + f'"n"="{n}"' for n in range(3000)]
TABLE = "CREATE TABLE crm (id text, a text, n int, unused text)"
RECORD = {"signals": ["a", "n"]}


_filled: set[int] = set()


@pytest.fixture
def server() -> Program:
    found = postgresql_server()
    if found.process.pid not in _filled:
        fill(found)
        _filled.add(found.process.pid)
    return found


def fill(server: Program) -> None:
    values = ", ".join("('{}', {}, {}, 'x')".format(id_, f"'{a}'" if a else "NULL", n) for id_, a, n in ROWS)
    psql(server, f"DROP TABLE IF EXISTS crm; {TABLE}; INSERT INTO crm VALUES {values}")


def of_postgresql(folder: Path) -> str:
    del folder
    return url_of(postgresql_server())


def of_sqlite(folder: Path) -> str:
    with sqlite3.connect(folder / "crm.db") as made:
        made.execute(TABLE)
        made.executemany("INSERT INTO crm VALUES (?, ?, ?, 'x')", ROWS)
    made.close()
    return f"sqlite:///{folder}/crm.db"


def of_duckdb(folder: Path) -> str:
    with duckdb.connect(str(folder / "crm.duckdb")) as made:
        made.execute(TABLE)
        made.register("rows", pa.Table.from_arrays(list(map(pa.array, zip(*ROWS, strict=True))), ["id", "a", "n"]))
        made.execute("INSERT INTO crm SELECT id, a, n, 'x' FROM rows")
    return f"duckdb:///{folder}/crm.duckdb"


KINDS: dict[str, Callable[[Path], str]] = {"postgresql": of_postgresql, "sqlite": of_sqlite, "duckdb": of_duckdb}


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        request.getfixturevalue("server")
    return KINDS[str(request.param)](tmp_path)


def job_of(run: Run, url: str, **changes: Any) -> Job:
    options = changes.pop("input", {"table": "crm"})
    return run.make_job(**{"record": RECORD, **changes, "input": {"path": url, **options}})


def texts_of(url: str, query: str, columns: list[str] | None = None, **options: Any) -> list[list[str]]:
    """Return the first rows of a query as the texts that are converted."""
    table = Input(path=url, query=query, **options)
    names = columns or list(open_source(find_origins(table)[0], table, ()).names)
    found = first_rows(open_sources(find_origins(table), table, tuple(names)), names, 100)
    assert found
    return [[("" if value is None else str(value)) for value in row] for row in found[1].collect().rows()]


# --- All kinds --------------------------------------------------------------------------------------------------


def test_tables_are_converted(run: Run, url: str) -> None:
    seen: list[Progress] = []
    report = convert(job_of(run, url), progress=seen.append)
    assert run.lines == LINES
    assert report.records == {"read": 3000, "written": 3000, "rejected": {}, "skipped": {}}
    assert {each.bytes_total for each in seen} == {None}
    assert seen[-1].rows == 3000
    assert report.input[0]["path"] == url.replace(PASSWORD, "***")


NUMBERS = {
    "sqlite": "WITH RECURSIVE t(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t LIMIT 3000000) "
    "SELECT 'user-' || n AS id, printf('%0200d', n) AS a FROM t",
    "duckdb": "SELECT 'user-' || n AS id, lpad(n::text, 200, '0') AS a FROM range(3000000) t(n)",
}
MEASURED = """
import resource, sys
from converter import Job, convert
report = convert(Job.load(sys.argv[1]))
print(report.records["written"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", NUMBERS)
def test_memory_does_not_grow_with_the_rows_of_a_query(kind: str, tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text(
        f"""
        input.path = "{KINDS[kind](tmp_path)}"
        input.query = "{NUMBERS[kind]}"
        id.column = "id"
        record.signals = ["a"]
        output = {{ to = "{tmp_path}/out", dpid = 1234 }}
        """
    )
    done = subprocess.run([sys.executable, "-c", MEASURED, job], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written, peak = map(int, done.stdout.split())
    assert written == 3_000_000
    assert peak < 550_000, f"{peak} KiB, where the rows take 640 MB"


def test_queries_are_converted_in_their_order(run: Run, url: str) -> None:
    query = "SELECT id, a, n FROM crm WHERE n % 2 = 0 ORDER BY n DESC -- the last ones first"
    convert(job_of(run, url, input={"query": query}))
    assert run.lines == LINES[-2::-2]


def test_a_semicolon_at_the_end_is_none_of_the_query(run: Run, url: str) -> None:
    convert(job_of(run, url, input={"query": "SELECT * FROM crm;\n"}))
    assert run.lines == LINES


def test_rows_are_filtered_and_rejected_by_their_number(run: Run, url: str) -> None:
    query = "SELECT CASE WHEN n = 2 THEN 'a b@c.de' ELSE id END AS id, a, n FROM crm ORDER BY n"
    report = convert(job_of(run, url, input={"query": query, "filter": "a IS NOT NULL"}))
    assert report.records["skipped"] == {"filtered_out": 1000}
    (reject,) = run.rejects
    assert (reject["row"], reject["unit"]) == (3, "row")
    assert PASSWORD not in str(reject)


def test_a_query_is_read_twice_where_that_is_needed(run: Run, url: str) -> None:
    query = "SELECT CASE WHEN n = 7 THEN 'U8' ELSE id END AS id, a, n FROM crm ORDER BY n"
    changes: dict[str, Any] = {"id": {"column": "id", "case_collisions": "reject"}}
    report = convert(job_of(run, url, input={"query": query}, **changes))
    assert report.records["rejected"] == {"id_case_collision": 2}


def test_a_query_that_writes_is_refused(run: Run, url: str) -> None:
    for query in (
        "DELETE FROM crm",
        "INSERT INTO crm VALUES ('x', 'y', 1, '') RETURNING *",
        "SELECT * FROM crm; DELETE FROM crm",
        "SELECT 1) AS x; DELETE FROM crm; SELECT * FROM (SELECT * FROM crm",
    ):
        with pytest.raises(ConverterError) as raised:  # SQLite leaves out what is after the first statement
            convert(job_of(run, url, input={"query": query}))
        assert raised.value.code in ("E-DATABASE-READ", "E-COLUMN-MISSING")
    assert run.files == []
    convert(job_of(run, url))
    assert run.lines == LINES


def test_missing_tables_and_columns_are_named(run: Run, url: str) -> None:
    with raises(InputError, "E-DATABASE-READ", "none"):
        convert(job_of(run, url, input={"table": "none"}))
    with raises(ColumnError, "E-COLUMN-MISSING", "'a'", "n"):
        convert(job_of(run, url, input={"query": "SELECT id, n FROM crm"}))


def test_the_rows_must_be_named_in_one_way(run: Run, url: str) -> None:
    for options in ({}, {"table": "crm", "query": "SELECT 1"}):
        with raises(JobError, "E-DATABASE-ROWS", "input.query", "input.table"):
            convert(job_of(run, url, input=options))


def test_a_run_of_a_database_begins_anew(run: Run, url: str) -> None:
    for number in range(2):
        output = {"timestamp": 1_400_000_000 + number}
        job = job_of(run, url, output={**run.job["output"], **output})
        assert convert(job, resume=True).outcome == "done"
    bad = {"query": "SELECT CASE WHEN n = 2 THEN 'a b' ELSE id END AS id, a, n FROM crm"}
    job = job_of(run, url, input=bad, output={**run.job["output"], "timestamp": 1_400_000_009})
    report = convert(job)
    path = next((run.folder / "reports").glob("*1400000009*.report.json"))
    assert report.records["rejected"]
    with raises(InputError, "E-REJECTS-INPUT", "database"):
        convert(job_of(run, url, input={**bad, "rejects_of": str(path)}))


def test_a_list_to_suppress_can_be_a_query(run: Run, url: str) -> None:
    suppress = {"path": url, "query": "SELECT id FROM crm WHERE n < 2990", "column": "id"}
    report = convert(job_of(run, url, input={"table": "crm", "suppress": suppress}))
    assert run.lines == LINES[2990:]
    assert report.records["skipped"] == {"suppressed": 2990}


def test_ids_of_a_query_are_compared(tmp_path: Path, url: str) -> None:
    site = tmp_path / "site.csv"
    site.write_text("id\n" + "\n".join(f"u{n}" for n in range(1000)) + "\n")
    found = match(Input(path=url, table="crm"), Input(path=str(site)), column="id", site_column="id")
    assert found.recommended.matched == 1000


def test_other_inputs_take_no_query(run: Run) -> None:
    run.write("id,a\n1,x\n")
    for key in ("query", "table"):
        with raises(JobError, "E-INPUT-KEY", f"input.{key}"):
            convert(run.make_job(input={"path": str(run.folder / "in.csv"), key: "crm"}))


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_mysql_is_refused_with_a_recipe(run: Run, scheme: str) -> None:
    with raises(JobError, "E-INPUT-REMOTE", "mariadb --batch", "input.dialect", "***"):
        convert(job_of(run, f"{scheme}://me:{PASSWORD}@host/shop"))


# --- Files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_files_that_are_not_there_or_no_database_are_named(run: Run, kind: str) -> None:
    for path in (f"{kind}:///{run.folder}/none.db", f"{kind}://crm.db"):
        with raises(InputError, "E-INPUT-MISSING", f"{kind}:////"):
            convert(job_of(run, path))
    run.write("id,a\n" * 1000, "text.db")
    with raises(InputError, "E-DATABASE-READ" if kind == "sqlite" else "E-DATABASE-CONNECT"):
        convert(job_of(run, f"{kind}:///{run.folder}/text.db"))


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_relative_files_are_relative_to_the_job_file(run: Run, kind: str) -> None:
    KINDS[kind](run.folder)
    suffix = "db" if kind == "sqlite" else "duckdb"
    (run.folder / "job.toml").write_text(
        f'input = {{ path = "{kind}:///crm.{suffix}", table = "crm" }}\nid = {{ column = "id" }}\n'
        'record = { signals = ["a", "n"] }\noutput = { to = "out", dpid = 1234 }\n'
    )
    convert(Job.load(run.folder / "job.toml"))
    assert run.lines == LINES


def test_values_of_sqlite_are_those_of_its_shell(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as made:
        made.execute("CREATE TABLE t (a, b REAL, c TEXT)")
        made.executemany("INSERT INTO t VALUES (NULL, NULL, NULL)", [()] * 2000)
        rows = [("007", 1, "ü"), (7, 0.1, ""), (1.5, -2.0, "x\ny"), (b"bytes", 1e20, "z")]
        made.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    made.close()
    found = texts_of(f"sqlite:///{tmp_path}/x.db", "SELECT * FROM t WHERE c IS NOT NULL")
    assert found == [["007", "1.0", "ü"], ["7", "0.1", ""], ["1.5", "-2.0", "x\ny"], ["bytes", "1.0e+20", "z"]]


def test_types_may_change_within_a_column_of_sqlite(run: Run) -> None:
    with sqlite3.connect(run.folder / "x.db") as made:
        made.execute("CREATE TABLE t (id, a)")
        made.executemany("INSERT INTO t VALUES (?, NULL)", [(f"u{n}",) for n in range(200_000)])
        made.execute("INSERT INTO t VALUES ('v', x'ff00')")
        made.execute("INSERT INTO t VALUES ('w', 'text')")
    made.close()
    report = convert(job_of(run, f"sqlite:///{run.folder}/x.db", input={"table": "t"}, record={"signals": ["a"]}))
    assert run.lines == ['w\t"a"="text"']
    assert report.records["rejected"] == {"row_not_text": 1}


def test_types_of_duckdb() -> None:
    query = (
        "SELECT 1.50::DECIMAL(9,2) d, uuid '11111111-2222-3333-4444-555555555555' u, [1, 2] l, 'x'::ENUM('x') e, "
        "INTERVAL 90 MINUTE i, 'ab'::BLOB b, '101'::BIT t, MAP {'k': 1} m, {'city': 'Graz'} s, "
        "TIMESTAMP '2024-01-02 03:04:05' ts, 170141183460469231731687303715884105::HUGEINT h"
    )
    columns = ["d", "u", "e", "i", "b", "t", "m", "s.city", "ts", "h"]
    (row,) = texts_of("duckdb:///:memory:", query, columns)
    assert row == [
        "1.50", "11111111-2222-3333-4444-555555555555", "x", "01:30:00", "ab", "101", "{k=1}", "Graz",
        "2024-01-02 03:04:05", "170141183460469231731687303715884105",
    ]  # fmt: skip


def test_duckdb_queries_files(run: Run) -> None:
    path = run.write("id,a,n\nu0,x,0\n", "in.csv")
    convert(job_of(run, "duckdb:///:memory:", input={"query": f"SELECT * FROM '{path}'"}))
    assert run.lines == ['u0\t"a"="x","n"="0"']


def test_values_are_in_no_message(run: Run) -> None:
    query = "SELECT id, a, CAST(id AS INT) n FROM crm"
    with raises(InputError, "E-DATABASE-READ", "ConversionException") as raised:
        convert(job_of(run, of_duckdb(run.folder), input={"query": query}))
    assert "u0" not in str(raised.value)


# --- PostgreSQL -------------------------------------------------------------------------------------------------

VALUES = {
    "small": "7::int2", "whole": "-5::int4", "large": "9007199254740993::int8", "real": "0.1::float4",
    "double": "1.5::float8", "exact": "12.30::numeric(9,2)", "huge": "1e30::numeric", "nan": "'NaN'::numeric",
    "text": "E'x,\"y\\n'", "name": "'n'::name", "padded": "'c'::char(5)", "json": "'{\"a\": 1}'::json",
    "jsonb": "'{\"b\":2,\"a\":1}'::jsonb", "uuid": "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid",
    "bytes": "'\\x00ff61'::bytea", "stamp": "'2024-01-02 03:04:05.678'::timestamp", "day": "'2024-02-29'::date",
    "time": "'03:04:05'::time", "zoned_time": "'03:04:05+01'::timetz", "mood": "'happy'::mood",
    "money": "'$1,234.50'::money", "interval": "'1 day 2 hours'::interval", "address": "'10.0.0.1/8'::inet",
    "mac": "'08:00:2b:01:02:03'::macaddr", "bits": "B'101'", "point": "'(1,2)'::point", "range": "'[1,5)'::int4range",
    "oid": "4294967295::oid", "letter": "'h'::\"char\"", "domain": "'d'::word", "search": "'a b'::tsvector",
    "nothing": "NULL::text", "no_number": "NULL::numeric", "empty": "''",
}  # fmt: skip


def test_values_are_those_that_copy_writes(server: Program) -> None:
    psql(server, "DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('sad', 'happy')")
    psql(server, "DROP DOMAIN IF EXISTS word; CREATE DOMAIN word AS text")
    query = "SELECT " + ", ".join(f'{value} AS "{name}"' for name, value in VALUES.items())
    copied = psql(server, f"COPY ({query}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)")
    (expected,) = csv.reader(io.StringIO(copied, newline=""))
    (found,) = texts_of(url_of(server), query)
    assert dict(zip(VALUES, found, strict=True)) == dict(zip(VALUES, expected, strict=True))


def test_values_that_have_another_text_than_copy_writes(server: Program) -> None:
    query = "SELECT true b, '2024-01-02 03:04:05+02'::timestamptz t, 1e-7::float8 f"
    assert texts_of(url_of(server), query) == [["true", "2024-01-02 01:04:05Z", "0.0000001"]]


def test_texts_do_not_depend_on_the_settings_of_the_server(run: Run, server: Program) -> None:
    psql(server, f"ALTER ROLE {USER} SET TimeZone = 'Asia/Tokyo'; ALTER ROLE {USER} SET DateStyle = 'German'")
    psql(server, f"ALTER ROLE {USER} SET bytea_output = 'escape'; ALTER ROLE {USER} SET client_encoding = 'LATIN1'")
    query = "SELECT 'ü' AS id, '{2024-01-02}'::date[] AS a, '2024-01-02 03:04:05Z'::timestamptz AS n, '\\x61'::bytea x"
    try:
        record = {"signals": [{"column": "a", "separator": ","}, "n", "x"]}
        convert(job_of(run, url_of(server), input={"query": query}, record=record))
    finally:
        psql(server, f"ALTER ROLE {USER} RESET ALL")
    assert run.lines == ['ü\t"a"="2024-01-02","n"="2024-01-02 03:04:05Z","x"="\\x61"']


HOSTILE = [
    "\ufeffBZh9", "x\ty", "x\ny", "x\\y", "\\N", "", None, "\r", "x\r\n", '"', "'", "ü", "a,b", "{1,2}", "\\", "\\.", "copied",
]  # fmt: skip


def test_rows_that_come_as_text_are_those_of_columns(run: Run, server: Program) -> None:
    with psycopg.connect(url_of(server)) as connection:
        connection.execute("DROP TABLE IF EXISTS hostile")
        connection.execute("CREATE TABLE hostile (n int, t text, b bool, x numeric)")
        rows = [(n, text, n % 2 == 0, f"{n}.50") for n, text in enumerate(HOSTILE)]
        connection.cursor().executemany("INSERT INTO hostile VALUES (%s, %s, %s, %s)", rows)
    order = "ORDER BY hostile.n"
    for columns in (["t"], ["t", "n"], ["n", "x", "b", "t"]):
        query = f"SELECT {', '.join(columns)}, {{}} AS more FROM hostile {order}"
        # A moment is none of the types that come as text.
        as_columns = texts_of(url_of(server), query.format("now()"), [*columns, "more"])
        assert texts_of(url_of(server), query.format("1"), columns) == [row[:-1] for row in as_columns]
    assert [row[-1] for row in as_columns] != [row[-2] for row in as_columns]
    assert [row[-2] for row in as_columns] == [text or "" for text in HOSTILE]
    report = convert(job_of(run, url_of(server), input={"query": f"SELECT t AS id, t AS a, n FROM hostile {order}"}))
    numbers = [reject["row"] for reject in run.rejects]
    assert {reject["unit"] for reject in run.rejects} == {"row"}
    assert (len(run.lines), numbers) == (report.records["written"], sorted(numbers))
    assert {6, 7} < set(numbers), "the empty ID and the missing one"
    assert report.records["read"] == len(HOSTILE)


def test_rows_that_are_missing_but_for_their_number_are_rows(run: Run, server: Program) -> None:
    report = convert(
        job_of(
            run,
            url_of(server),
            input={"query": "SELECT NULL::text AS id UNION ALL SELECT 'u'"},
            record={"signals": [], "traits": [{"value": "7"}]},
        )
    )
    assert report.records["rejected"] == {"id_missing": 1}
    assert run.lines == ["u\td_sid=7"]


def accepts_one_connection(server: Program) -> str:
    psql(
        server,
        "DROP ROLE IF EXISTS single; CREATE ROLE single LOGIN PASSWORD 'x' CONNECTION LIMIT 1; GRANT SELECT ON crm TO single",
    )
    return url_of(server).replace(f"{USER}:{PASSWORD}", "single:x")


def test_one_connection_is_enough(run: Run, server: Program) -> None:
    url = accepts_one_connection(server)
    try:
        convert(job_of(run, url))
    finally:
        psql(server, "DROP OWNED BY single; DROP ROLE single")
    assert run.lines == LINES


def test_texts_come_over_a_connection_of_their_own(run: Run, server: Program) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counted'"
    for column, connections in (("repeat('x', 9)", 2 if kernel.load() else 1), ("now()", 1)):
        most: list[int] = []
        job = job_of(
            run,
            f"{url_of(server)}?application_name=counted",
            input={"query": f"SELECT id, {column} AS a, n FROM crm"},
            output={**run.job["output"], "timestamp": 1_400_000_000 + len(column)},
        )
        convert(job, progress=lambda _, most=most: most.append(int(psql(server, count))))
        assert max(most) == connections
        until = time.monotonic() + 60
        while psql(server, count) != "0\n":  # a server takes a moment to see that a connection is closed
            assert time.monotonic() < until
            time.sleep(0.05)


def test_more_than_what_is_kept_is_read_again(run: Run, server: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_KEPT_BYTES", 1000)
    query = "SELECT CASE WHEN n = 7 THEN 'U8' ELSE id END AS id, a, n FROM crm ORDER BY n"
    report = convert(
        job_of(run, url_of(server), input={"query": query}, id={"column": "id", "case_collisions": "reject"})
    )
    assert report.records["rejected"] == {"id_case_collision": 2}
    assert report.records["written"] == 2998


def test_arrays_are_lists(run: Run, server: Program) -> None:
    query = "SELECT 'u' AS id, ARRAY[1,2,NULL]::int8[] AS t, ARRAY['x','y'] AS a, ARRAY[1.50]::numeric[] AS n"
    record = {"traits": ["t"], "signals": [{"column": "a", "separator": ","}, {"column": "n", "separator": ","}]}
    convert(job_of(run, url_of(server), input={"query": query}, record=record))
    assert run.lines == ['u\t"a"="x","a"="y","n"="1.50",d_sid=1,d_sid=2']


def test_moments_that_have_no_date_are_rejected(run: Run, server: Program) -> None:
    query = "SELECT 'u1' AS id, 'infinity'::timestamp AS a, '-infinity'::date AS n UNION ALL SELECT 'u2', now(), now()"
    report = convert(job_of(run, url_of(server), input={"query": query}))
    assert report.records["rejected"] == {"bad_value": 1}
    assert report.records["written"] == 1


def test_names_of_tables(run: Run, server: Program) -> None:
    psql(server, 'DROP SCHEMA IF EXISTS "My.S" CASCADE; CREATE SCHEMA "My.S"; CREATE TABLE "My.S"."T""x" AS TABLE crm')
    convert(job_of(run, url_of(server), input={"table": '"My.S"."T""x"'}))
    assert run.lines == LINES


def test_a_function_that_writes_is_refused(run: Run, server: Program) -> None:
    psql(
        server,
        "CREATE OR REPLACE FUNCTION writes() RETURNS text LANGUAGE plpgsql AS $$ BEGIN DELETE FROM crm; RETURN 'x'; END $$",
    )
    with raises(InputError, "E-DATABASE-READ", "read-only"):
        convert(job_of(run, url_of(server), input={"query": "SELECT writes() AS id, '' AS a, 1 AS n"}))
    with raises(InputError, "E-DATABASE-READ", "read-write"):
        off = "SELECT set_config('transaction_read_only', 'off', false) AS id, '' AS a, 1 AS n"
        convert(job_of(run, url_of(server), input={"query": off}))
    assert psql(server, "SELECT count(*) FROM crm") == "3000\n"


def test_all_that_is_read_is_of_one_state(run: Run, server: Program) -> None:
    psql(server, "DROP TABLE IF EXISTS moving; CREATE TABLE moving AS SELECT 'U1' AS id, 'x' AS a, 1 AS n")
    options = Input(path=url_of(server), table="moving")
    (source,) = open_sources(find_origins(options), options, ("id",))
    for columns in (["id"], ["id", "a"], ["id", "a", "n"]):  # each time, the query is run again
        first = first_rows([source], columns, 20)
        psql(server, "INSERT INTO moving SELECT 'u1', 'y', 2 FROM generate_series(1, 10)")
        assert first
        assert first[1].collect()["id"].to_list() == ["U1"]


def test_what_the_server_says_has_no_values(run: Run, server: Program) -> None:
    query = "SELECT id, a, ('secret-' || id)::int AS n FROM crm"
    with raises(InputError, "E-DATABASE-READ", "values") as raised:
        convert(job_of(run, url_of(server), input={"query": query}))
    assert "secret" not in str(raised.value)
    with raises(InputError, "E-DATABASE-READ", "42P01", "nowhere"):
        convert(job_of(run, url_of(server), input={"query": "SELECT * FROM nowhere"}))


LONG = "SELECT 'u' || i AS id, repeat('x', 100) AS a, i AS n FROM (SELECT generate_series(1, 2000000) AS i) s"


@pytest.mark.parametrize("how", ["server", "backend"])
def test_a_lost_connection_is_an_error(run: Run, server: Program, how: str) -> None:
    ended = threading.Event()

    def end(progress: Progress) -> None:
        if progress.rows and not ended.is_set():
            ended.set()
            if how == "server":
                server.stop()
            else:
                psql(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY (%'")

    with raises(InputError, "E-DATABASE-READ", "lost"):
        convert(job_of(run, url_of(server), input={"query": LONG}), progress=end)
    assert ended.is_set()
    assert run.files == []
    assert run.report["outcome"] == "failed"


def test_servers_and_users_that_are_none_are_named(run: Run, server: Program) -> None:
    wrong = url_of(server, password="Zz9-wrong")
    with raises(InputError, "E-DATABASE-CONNECT", "authentication") as raised:
        convert(job_of(run, wrong))
    assert "Zz9" not in told(raised.value)
    with raises(InputError, "E-DATABASE-CONNECT", "refused"):
        convert(job_of(run, f"postgresql://{USER}:{PASSWORD}@127.0.0.1:9/postgres"))
    with raises(InputError, "E-DATABASE-CONNECT") as raised:
        convert(job_of(run, f"postgresql://{USER}:Zz9%zz@127.0.0.1:9/postgres"))
    assert "Zz9" not in str(raised.value)


def test_passwords_come_from_where_users_keep_them(run: Run, server: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = url_of(server, password=None)
    (run.folder / "password").write_text(PASSWORD + "\n")
    passfile = run.folder / "pgpass"
    passfile.write_text(f"127.0.0.1:*:*:{USER}:{PASSWORD}\n")
    passfile.chmod(0o600)
    ways: list[tuple[str, dict[str, Any]]] = [
        (bare, {"password": PASSWORD}),
        (bare, {"password_file": str(run.folder / "password")}),
        (bare, {"password_command": f"cat {run.folder}/password"}),
        (f"{bare}?password={PASSWORD}", {}),
        (f"{bare}?passfile={passfile}", {}),
    ]
    for number, (url, options) in enumerate(ways):
        output = {**run.job["output"], "timestamp": 1_400_000_000 + number}
        job = job_of(run, url, input={"table": "crm", **options}, output=output)
        assert convert(job).records["written"] == 3000
        assert PASSWORD not in str(job.public())
        assert PASSWORD not in "".join(path.read_text() for path in (run.folder / "reports").glob("*report.json"))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert convert(job_of(run, bare)).records["written"] == 3000
    with raises(JobError, "E-JOB-INVALID", "input.password"):
        job_of(run, bare, input={"table": "crm", "password": "x", "password_file": "y"})


def test_another_password_is_the_same_job(run: Run) -> None:
    jobs = [
        job_of(run, "postgresql://me@host/db"),
        job_of(run, "postgresql://me:other@host/db"),
        job_of(run, "postgresql://me@host/db", input={"table": "crm", "password": "other"}),
    ]
    assert len({job.digest for job in jobs}) == 1
    assert job_of(run, "postgresql://me@host/db", input={"table": "other"}).digest != jobs[0].digest


def test_a_signal_stops_the_query(tmp_path: Path, server: Program) -> None:
    for query in ("SELECT pg_sleep(100)::text AS id, 'x' AS a, 1 AS n", LONG.replace("2000000", "50000000")):
        command = [sys.executable, "-m", "converter", "convert", url_of(server), "--id", "id", "--dpid", "1234"]
        command += ["--signal", "a", "--to", "out", "--set", f"input.query={query}"]
        # Where tests run in the background, SIGINT is ignored.
        default = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(command, preexec_fn=default, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE)
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY (%' AND state = 'active'"
        until = time.monotonic() + 60
        while psql(server, running) == "0\n" and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        while psql(server, running) != "0\n":
            assert time.monotonic() < until
            time.sleep(0.05)
    assert not list(tmp_path.glob("out/*"))


def test_a_dry_run_reads_the_first_rows(tmp_path: Path, server: Program) -> None:
    command = [sys.executable, "-m", "converter", "convert", url_of(server), "--id", "id", "--dpid", "1234"]
    command += [
        "--signal",
        "a",
        "--to",
        "out",
        "--dry-run",
        "--set",
        f"input.query={LONG.replace('2000000', '500000000')}",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "only the first ones were read" in done.stdout


# --- Drivers ----------------------------------------------------------------------------------------------------


def test_other_drivers_are_named(run: Run) -> None:
    of_sqlite(run.folder)
    url = f"file://{run.folder}/crm.db"
    query = {"query": "SELECT id, a, n FROM crm WHERE a IS NOT NULL", "driver": "adbc_driver_sqlite"}
    convert(job_of(run, url, input=query))
    assert run.lines == [line for line in LINES if '"a"' in line]
    with raises(JobError, "E-DATABASE-ROWS", "input.query"):
        convert(job_of(run, url, input={"table": "crm", "driver": "adbc_driver_sqlite"}))
    with raises(InputError, "E-DATABASE-CONNECT"):
        convert(job_of(run, url, input={"query": "SELECT 1", "driver": "no_such_driver"}))


@pytest.mark.parametrize(
    "url, module, extra",
    [("postgres://h/d", "adbc_driver_postgresql", "postgres"), ("sqlite:///x", "adbc_driver_sqlite", "sqlite"), ("duckdb:///x", "duckdb", "duckdb")],
)  # fmt: skip
def test_missing_packages_are_named(
    run: Run, url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [name for name in sys.modules if name.startswith("converter.sources.databases.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with raises(JobError, "E-INPUT-PACKAGE", module, f"pip install 'aam-inbound-converter[{extra}]'"):
        convert(job_of(run, url))
