"""`aam-inbound inspect` and `init`: what they say of tables, and that the job which they write is a right one."""

from __future__ import annotations

import csv
import fcntl
import gzip
import importlib
import io
import json
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from converter import Inspection, Job, Reading, inspect
from converter.cli.outcome import Messages, Outcome
from converter.errors import ConverterError, DestinationError, InputError, JobError
from converter.jobs.toml import as_toml
from converter.report.profiles import ColumnProfile

from .errors import check_told, raises
from .test_cli import ENVIRONMENT, command

convert = importlib.import_module("converter.cli.convert")  # `converter.convert` itself is the function
choices = importlib.import_module("converter.commands.choices")
module = importlib.import_module("converter.commands.inspect")

DPID = 1234


def table(columns: dict[str, Sequence[object]], separator: str = ",") -> str:
    """A CSV file with these columns."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def write(folder: Path, content: str | bytes, name: str = "crm.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def dry_run(job: Path) -> Outcome:
    """What `convert JOB --dry-run --dpid 1234` does."""
    outcome = convert._dry_run(Job.load(job, {"output": {"dpid": DPID}}), Messages(quiet=True), strict=False)
    assert isinstance(outcome, Outcome)
    return outcome


def is_accepted(inspection: Inspection, path: Path) -> dict[str, Any]:
    """Write the job, and check that a dry run accepts it as it is; return the job."""
    inspection.write_job(path)
    job = tomllib.loads(path.read_text())
    assert job == inspection.job.settings(path)
    outcome = dry_run(path)
    assert outcome.error is None, (outcome.error, path.read_text())
    return job


def column(inspection: Inspection, name: str) -> ColumnProfile:
    (found,) = [each for each in inspection.columns if each.name == name]
    return found


def uses(inspection: Inspection) -> dict[str, str]:
    return {each.name: each.use for each in inspection.columns}


def people(rows: int, seed: int = 1) -> dict[str, list[object]]:
    """Thirty columns as of an unknown CRM."""
    draw = random.Random(seed)
    columns: dict[str, list[object]] = {
        "Kundennummer": [f"K{number:07}" for number in range(rows)],
        "Anrede": [draw.choice(["Frau", "Herr", ""]) for _ in range(rows)],
        "Vorname": [draw.choice(["Anna", "Jörg", "Zoë"]) for _ in range(rows)],
        "Nachname": [draw.choice(["Müller", "Meier"]) for _ in range(rows)],
        "E-Mail": [f"user{number}@example.com" for number in range(rows)],
        "Telefon": [f"+49 30 {1000000 + number}" for number in range(rows)],
        "Geburtsdatum": [f"19{draw.randint(40, 99)}-0{draw.randint(1, 9)}-11" for _ in range(rows)],
        "Straße": [f"Weg {number}" for number in range(rows)],
        "Stadt": [draw.choice(["Köln", "Wien", "Zürich"]) for _ in range(rows)],
        "Land": [draw.choice(["DE", "AT", "CH"]) for _ in range(rows)],
        "Umsatz": [f"{draw.randint(0, 10**6) / 100:.2f}".replace(".", ",") for _ in range(rows)],
        "Bestellungen": [draw.randint(0, 30) for _ in range(rows)],
        "Newsletter": [draw.choice(["ja", "nein", "NULL"]) for _ in range(rows)],
        "Interessen": ["|".join(draw.sample(["sport", "auto", "reise", "kochen"], 2)) for _ in range(rows)],
        "trait_ids": ["|".join(str(draw.randint(8100000, 8100040)) for _ in range(2)) for _ in range(rows)],
        "letzter Kauf": [f"2024-0{draw.randint(1, 9)}-{draw.randint(10, 28)}" for _ in range(rows)],
        "Notiz": [f"Text mit vielen Wörtern {draw.random()}" for _ in range(rows)],
        "leer": [""] * rows,
        'mit "Anführung"': [draw.choice("abc") for _ in range(rows)],
        "a=b, c": [draw.choice("xy") for _ in range(rows)],
    }
    for number in range(10):
        columns[f"merkmal_{number}"] = [draw.randint(0, number) for _ in range(rows)]
    return columns


# --- what is found ----------------------------------------------------------------------------------------------


def test_an_unknown_table_of_thirty_columns_has_a_right_job_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, table(people(3000), ";").encode("cp1252"))
    inspection = inspect("crm.csv")
    (file,) = inspection.files
    assert (file.format, file.encoding, file.separator, file.header) == ("csv", "cp1252", ";", True)
    assert (inspection.rows, inspection.rows_exact, len(inspection.columns)) == (3000, True, 30)
    found = uses(inspection)
    assert found["Kundennummer"] == "id"
    assert found["Stadt"] == found["Umsatz"] == found["merkmal_3"] == found["a=b, c"] == "signal"
    assert found["Interessen"] == "list"
    assert found["trait_ids"] == "traits"
    personal = ("Vorname", "Nachname", "E-Mail", "Telefon", "Geburtsdatum", "Straße")
    assert {found[name] for name in (*personal, "Notiz", "leer", "letzter Kauf")} == {"none"}
    assert all(column(inspection, name).personal for name in personal)
    job = is_accepted(inspection, tmp_path / "job.toml")
    assert job["input"] == {"path": "crm.csv", "encoding": "cp1252", "null_values": ["NULL"]}
    assert job["id"] == {"column": "Kundennummer", "type": "crm"}
    assert {"column": "a=b, c", "key": "a_b_c"} in job["record"]["signals"]
    assert job["record"]["traits"] == [{"column": "trait_ids", "separator": "|"}]


def test_an_id_in_which_some_personal_data_has_strayed_is_the_id(tmp_path: Path) -> None:
    """The rows with it are rejected, as the dry run says."""
    found = inspect(Path(__file__).parent.parent / "sample_data" / "crm.csv")
    assert found.ids[0].column == "crm_id"
    assert 0 < found.ids[0].rejected < 0.02
    uses = {column.name: column.use for column in found.columns}
    assert (uses["crm_id"], uses["trait_ids"]) == ("id", "traits")
    assert all(value.masked for column in found.columns if column.name == "crm_id" for value in column.values)


def test_no_value_that_may_be_personal_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path, table(people(500), ";"))
    shown = json.dumps(inspect(path).as_dict(), ensure_ascii=False)
    code, out, errors = command(tmp_path, "inspect", str(path), "--write-job", "job.toml")
    assert code == 0, errors
    shown += out + errors + (tmp_path / "job.toml").read_text()
    for value in ("K0000001", "user1@", "1000001", "Müller", "Anna", "Weg 17", "Wörtern"):
        assert value not in shown
    assert "Zürich" in out
    assert "Zürich" not in (tmp_path / "job.toml").read_text()


@pytest.mark.parametrize(
    "values, type_",
    [
        (["1", "20", "300"], "whole number"),
        (["007", "01", "2"], "digits"),
        (["1.5", "2,25", "-3"], "number"),
        (["2024-01-31", "2024-12-01", "2023-02-02"], "date"),
        (["31.01.2024", "01.12.2024", "2.2.23"], "date"),
        (["2024-01-31 10:00:00", "2024-12-01T11:00", "2023-02-02 1:00"], "date and time"),
        (["true", "false", "true"], "yes or no"),
        (["[1, 2]", "{3,4}", "[]"], "list"),
        (["a", "b", "c d"], "text"),
        (["", " ", ""], "empty"),
    ],
)
def test_types_are_those_of_the_values(values: list[str], type_: str, tmp_path: Path) -> None:
    path = write(tmp_path, table({"id": range(3), "x": values}))
    assert column(inspect(path), "x").type == type_


def test_types_of_typed_tables_are_known(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "customer_id": list(range(100)),
            "score": [number / 7 for number in range(100)],
            "day": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 4, 9), eager=True),
            "traits": [[8100000 + number % 3, 8100010] for number in range(100)],
            "tags": [["a", "b"]] * 100,
            "nested": [{"inner": 1}] * 100,
            "bytes": [b"x"] * 100,
        }
    )
    frame.write_parquet(tmp_path / "crm.parquet")
    inspection = inspect(tmp_path / "crm.parquet")
    assert [each.type for each in inspection.columns[:5]] == ["whole number", "number", "date", "list", "list"]
    assert uses(inspection) == {
        "customer_id": "id",
        "score": "signal",
        "day": "none",
        "traits": "traits",
        "tags": "list",
        "nested": "none",
        "bytes": "signal",
    }
    assert "nested.inner" in column(inspection, "nested").why
    assert is_accepted(inspection, tmp_path / "job.toml")["record"]["traits"] == [{"column": "traits"}]


IDS: dict[str, tuple[dict[str, list[object]], dict[str, object] | None]] = {
    "by its name": ({"plz": [1] * 50, "user_id": list(range(50))}, {"column": "user_id", "type": "crm"}),
    "alone": ({"wert": [f"x{n}" for n in range(50)]}, {"column": "wert", "type": "crm"}),
    "of another thing": ({"order_id": list(range(50)), "total": [1, 2] * 25}, None),
    "only dates": ({"day": [f"2024-01-{n % 28 + 1:02}" for n in range(50)]}, None),
    "only words": ({"city": ["Wien", "Graz"] * 25, "tier": ["a", "b"] * 25}, None),
    "an ECID": ({"ecid": [f"{n:038}" for n in range(50)]}, {"column": "ecid", "type": "ecid"}),
    "a UUID of Adobe": ({"aam": [f"{n:038}" for n in range(50)]}, {"column": "aam", "type": "uuid"}),
    "of Android": (
        {"GAID": [f"00000000-0000-4000-8000-{n:012x}" for n in range(50)]},
        {"column": "GAID", "type": "gaid"},
    ),
    "of Apple": (
        {"device_ad_id": [f"AB000000-0000-4000-8000-{n:012X}" for n in range(50)]},
        {"column": "device_ad_id", "type": "idfa"},
    ),
    "a UUID of a CRM": (
        {"customer": [f"00000000-0000-4000-8000-{n:012x}" for n in range(50)]},
        {"column": "customer", "type": "crm"},
    ),
    "hashed": ({"email_sha256": [f"{n:064x}" for n in range(50)]}, {"column": "email_sha256", "type": "hashed_email"}),
    "an address": (
        {"tier": ["a", "b"] * 25, "email": [f"u{n}@example.com" for n in range(50)]},
        {"column": "email", "type": "hashed_email", "hash": "sha256"},
    ),
    "made decimals": (
        {"customer_id": [f"{1000 + n}.0" for n in range(50)]},
        {"column": "customer_id", "type": "crm", "cut_suffix": ".0"},
    ),
    "on several rows": ({"customer_id": [n // 5 for n in range(50)]}, {"column": "customer_id", "type": "crm"}),
    "a phone number": ({"phone": [f"+49 30 {1000000 + n}" for n in range(50)]}, None),
}


@pytest.mark.parametrize("name", IDS)
def test_the_id_is_found(name: str, tmp_path: Path) -> None:
    columns, expected = IDS[name]
    inspection = inspect(write(tmp_path, table(columns)))
    assert (inspection.job.id.section if inspection.job.id else None) == expected, inspection.ids
    if expected:
        assert is_accepted(inspection, tmp_path / "job.toml")["id"] == expected
        assert all(each.why for each in inspection.ids)
        return
    inspection.write_job(tmp_path / "job.toml")
    text = (tmp_path / "job.toml").read_text()
    assert "No column is plausible as the ID" in text
    assert "# [id]" in text
    with raises(JobError, "E-JOB-INVALID", "--id"):
        dry_run(tmp_path / "job.toml")


# --- the job is right, whatever the table ------------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=12) | st.sampled_from(
    ["id", "name", "e-mail", "d_sid", "ic", "-x", "a,b", 'say "x"', "line\nbreak", "${HOME}", "traits", "1"]
)
VALUES: list[Callable[[random.Random, int], object]] = [
    lambda draw, row: f"K{row:06}",
    lambda draw, row: row,
    lambda draw, row: f"{row:036x}"[:8] + f"-0000-4000-8000-{row:012x}",
    lambda draw, row: draw.choice(["a", "b", "c"]),
    lambda draw, row: draw.choice(["sport|auto", "auto", "reise|sport"]),
    lambda draw, row: f"{draw.randint(8100000, 8100009)}|{draw.randint(8100000, 8100009)}",
    lambda draw, row: f"user{row}@example.com" if draw.random() < 0.3 else "x",
    lambda draw, row: f"2024-01-{draw.randint(10, 28)}",
    lambda draw, row: draw.choice(["", "NULL", "x"]),
    lambda draw, row: draw.randint(0, 10**9) / 100,
    lambda draw, row: draw.choice(["[1, 2]", '["a"]', "{x}", '{"a": 1}']),
    lambda draw, row: "".join(chr(draw.randint(32, 0x2FF)) for _ in range(20)),
    lambda draw, row: "4111 1111 1111 1111",
    lambda draw, row: 'a "quoted" \t value\nwith lines',
    lambda draw, row: "",
]
FORMATS = ["csv", "semicolon", "tsv", "gzip", "utf-16", "ndjson", "parquet", "arrow"]


def stored(folder: Path, columns: dict[str, list[object]], format_: str) -> Path:
    """Write a table in a format."""
    if format_ in ("parquet", "arrow"):
        frame = pl.DataFrame(dict(columns.items()), strict=False)
        path = folder / f"crm.{format_}"
        frame.write_parquet(path) if format_ == "parquet" else frame.write_ipc(path)
        return path
    if format_ == "ndjson":
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        return write(folder, "".join(f"{json.dumps(row)}\n" for row in rows), "crm.ndjson")
    if format_ == "tsv":  # where it has no quotes, no value holds a line end
        columns = {
            name: [str(value).translate({9: 32, 10: 32, 34: 39}) for value in values]
            for name, values in columns.items()
        }
        columns = {name.translate({9: 32, 10: 32, 34: 39}): values for name, values in columns.items()}
    text = table(columns, {"semicolon": ";", "tsv": "\t"}.get(format_, ","))
    if format_ == "gzip":
        return write(folder, gzip.compress(text.encode()), "crm.csv.gz")
    return write(
        folder, text.encode("utf-16" if format_ == "utf-16" else "utf-8"), "crm.tsv" if format_ == "tsv" else "crm.csv"
    )


@given(
    names=st.lists(NAMES, min_size=1, max_size=8, unique=True),
    kinds=st.lists(st.sampled_from(range(len(VALUES))), min_size=8, max_size=8),
    rows=st.integers(1, 120),
    format_=st.sampled_from(FORMATS),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_the_job_of_any_table_is_accepted_as_it_is(
    names: list[str], kinds: list[int], rows: int, format_: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw, folder = random.Random(seed), tmp_path_factory.mktemp("any")
    columns: dict[str, list[object]] = {"crm_id": [f"C{row}" for row in range(rows)]}
    columns |= {
        name: [VALUES[kind](draw, row) for row in range(rows)] for name, kind in zip(names, kinds, strict=False)
    }
    path = stored(folder, columns, format_)
    try:
        inspection = inspect(path)
    except ConverterError as error:
        assert error.code.startswith(("E-HEADER", "E-INPUT", "E-COLUMN", "E-LINE-ENDS")), error
        return
    assert inspection.job.id is not None
    is_accepted(inspection, folder / "job.toml")


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_settings_are_valid_toml_with_any_text(settings_: dict[str, str]) -> None:
    assert tomllib.loads(f"section = {as_toml(settings_)}")["section"] == settings_


def test_columns_that_make_a_run_reject_rows_are_left_out_of_the_job(tmp_path: Path) -> None:
    phones = [f"+49 30 {1000000 + number % 4}|+49 30 {1000000 + number % 3}" for number in range(200)]
    inspection = inspect(write(tmp_path, table({"crm_id": range(200), "a": ["x", "y"] * 100, "reached": phones})))
    assert uses(inspection) == {"crm_id": "id", "a": "signal", "reached": "none"}
    assert "value_personal" in column(inspection, "reached").why
    is_accepted(inspection, tmp_path / "job.toml")


def test_a_table_with_ids_alone_gets_a_constant_signal(tmp_path: Path) -> None:
    inspection = inspect(write(tmp_path, "crm_id\n" + "".join(f"C{number}\n" for number in range(30))))
    job = is_accepted(inspection, tmp_path / "job.toml")
    assert job["record"] == {"signals": [{"key": "in_crm", "value": "yes"}]}


def test_a_first_row_with_values_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(f"C{number},u{number}@example.com,{number % 3}\n" for number in range(30)))
    inspection = inspect(path)
    assert [each.name for each in inspection.columns] == ["column_1", "column_2", "column_3"]
    assert inspection.rows == 30
    assert len(inspection.notes) == 1
    assert "example" not in json.dumps(inspection.as_dict())
    assert is_accepted(inspection, tmp_path / "job.toml")["input"]["header"] is False
    assert inspect(Reading(input={"path": str(path), "header": True})).rows == 29
    named = write(tmp_path, "a,b\n" + "1,2\n" * 5, "named.csv")
    assert (inspect(named).rows, inspect(named, no_header=True).rows) == (5, 6)


def test_columns_that_cannot_be_named_are_left_out_with_the_reason(tmp_path: Path) -> None:
    text = "crm_id,,twice,twice,${HOME},a\n" + "".join(f"C{number},1,2,3,4,{number % 2}\n" for number in range(30))
    inspection = inspect(write(tmp_path, text))
    found = uses(inspection)
    assert {name for name, use in found.items() if use == "none"} == {"", "twice", "${HOME}"}
    assert is_accepted(inspection, tmp_path / "job.toml")["record"]["signals"] == ["a"]


# --- rows, files, places ----------------------------------------------------------------------------------------


def test_rows_of_a_large_file_are_estimated_and_counted_in_full(tmp_path: Path) -> None:
    rows = "".join(f"C{number:08},{'x' * (20 + number % 7)},{number % 5}\n" for number in range(900_000))
    path = write(tmp_path, f"crm_id,text,tier\n{rows}")
    began = time.process_time()
    inspection = inspect(path)
    assert time.process_time() - began < 20
    assert not inspection.rows_exact
    assert inspection.rows is not None
    assert abs(inspection.rows - 900_000) < 20_000
    assert 10_000 <= inspection.sampled < 300_000
    distinct = column(inspection, "crm_id").distinct
    assert distinct is not None
    assert abs(distinct - 900_000) < 20_000
    assert column(inspection, "tier").distinct == 5
    full = inspect(path, full=True)
    assert (full.rows, full.rows_exact) == (900_000, True)


def test_columns_are_those_that_all_files_have(tmp_path: Path) -> None:
    write(tmp_path, table({"crm_id": range(10), "a": [1] * 10, "b": [2] * 10}), "one.csv")
    write(tmp_path, table({"a": [1] * 10, "crm_id": range(10, 20)}), "two.csv")
    inspection = inspect(str(tmp_path / "*.csv"))
    assert (inspection.file_count, inspection.rows) == (2, 20)
    assert uses(inspection) == {"crm_id": "id", "a": "signal", "b": "none"}
    assert "two.csv" in column(inspection, "b").why
    is_accepted(inspection, tmp_path / "job.toml")
    write(tmp_path, table({"c": [1]}), "three.csv")
    with raises(InputError, "E-INSPECT-NO-COLUMN"):
        inspect(str(tmp_path / "*.csv"))


def test_of_very_many_files_some_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FILES", 5)
    for number in range(20):
        write(tmp_path, table({"crm_id": range(10), "a": [1] * 10}), f"{number:02}.csv")
    inspection = inspect(str(tmp_path))
    assert (len(inspection.files), inspection.file_count, inspection.rows_exact) == (5, 20, False)
    assert inspection.rows == 200
    assert inspect(str(tmp_path), full=True).rows == 200


def test_files_in_different_encodings_have_a_job_that_finds_them(tmp_path: Path) -> None:
    words = ["schön", "größer", "übel", "fähig", "möglich", "Straße", "Mühe", "Käse", "Höhe", "süß"] * 3
    text = table({"crm_id": range(30), "wort": words})
    write(tmp_path, text, "one.csv")
    write(tmp_path, text.encode("cp1252"), "two.csv")
    assert is_accepted(inspect(str(tmp_path / "*.csv")), tmp_path / "job.toml")["input"]["encoding"] == "auto"


@pytest.mark.parametrize("full", [False, True])
def test_a_pipe_is_inspected(full: bool, tmp_path: Path) -> None:
    flags = ["--full"] if full else []
    with subprocess.Popen(
        [sys.executable, "-m", "converter", "inspect", "-", "--format", "csv", "--json", *flags],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        out, _ = process.communicate(table({"crm_id": range(500), "a": [1] * 500}).encode(), timeout=60)
    found = json.loads(out)
    assert (found["exit_code"], found["rows"], found["ids"][0]["id"]["column"]) == (0, 500, "crm_id")


def test_a_database_is_inspected_without_its_password(tmp_path: Path) -> None:
    import duckdb

    with duckdb.connect(str(tmp_path / "crm.duckdb")) as connection:
        connection.execute("CREATE TABLE crm AS SELECT range AS customer_id, range % 3 AS tier FROM range(500)")
    reading = Reading(input={"path": f"duckdb:///{tmp_path}/crm.duckdb", "table": "crm"}, ftp={"password": "hunter22"})
    inspection = inspect(reading)
    assert uses(inspection) == {"customer_id": "id", "tier": "signal"}
    inspection.write_job(tmp_path / "job.toml")
    text = (tmp_path / "job.toml").read_text()
    assert "hunter22" not in text + json.dumps(inspection.as_dict())
    assert tomllib.loads(text)["ftp"] == {"password": "${PASSWORD}"}


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with raises(InputError, "E-INPUT-EMPTY", "crm.csv"):
        inspect(write(tmp_path, ""))
    with raises(InputError, "E-INPUT-MISSING", "none.csv"):
        inspect(tmp_path / "none.csv")
    with raises(JobError, "E-JOB-INVALID", "input.path"):
        inspect(Reading())


def test_keys_of_objects_in_json_are_columns(tmp_path: Path) -> None:
    rows = (json.dumps({"crm_id": f"C{n}", "at": {"city": ["Wien", "Graz"][n % 2]}}) + "\n" for n in range(30))
    inspection = inspect(write(tmp_path, "".join(rows), "crm.ndjson"))
    assert uses(inspection) == {"crm_id": "id", "at": "none", "at.city": "signal"}
    signal_ = {"column": "at.city", "key": "at_city"}
    assert is_accepted(inspection, tmp_path / "job.toml")["record"]["signals"] == [signal_]


def test_titles_above_the_header_are_noted(tmp_path: Path) -> None:
    path = write(tmp_path, "Report\n" + table({"crm_id": range(30), "a": [1] * 30}))
    assert "input.skip_lines" in inspect(path).notes[0]
    assert inspect(Reading(input={"path": str(path), "skip_lines": 1})).job.id is not None


def test_a_damaged_table_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "crm.parquet"
    pl.DataFrame({"crm_id": range(1000)}).write_parquet(path, compression="uncompressed")
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36  # the header of the first page
    path.write_bytes(content)
    with raises(InputError, "E-INPUT-DAMAGED", "crm.parquet"):
        inspect(path)


def test_files_with_different_types_have_no_id_that_one_of_them_does_not_keep(tmp_path: Path) -> None:
    pl.DataFrame({"crm_id": list(range(30)), "a": [1] * 30}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"crm_id": [0.5] * 30, "a": [1] * 30}).write_parquet(tmp_path / "b.parquet")
    assert inspect(str(tmp_path)).job.id is None


def test_what_a_job_may_not_have_is_refused(tmp_path: Path) -> None:
    columns = {"crm_id": range(30), "email": [f"u{n}@example.com" for n in range(30)], "day": ["2024-01-01"] * 30}
    job = inspect(write(tmp_path, table(columns))).job
    crm_id, email, day = job.columns
    for wrong in (
        lambda: choices.column_named(job, "4"),
        lambda: choices.with_id(job, day),
        lambda: choices.with_id(job, email._replace(name="phone")),
        lambda: choices.with_type(job, "cookie"),
        lambda: choices.with_type(choices.with_id(job, email), "crm") and choices.with_columns(job, [email]),
        lambda: choices.with_columns(job, [day._replace(stored="")]),
    ):
        with raises(JobError, "E-JOB-INVALID"):
            wrong()
    hashed = choices.with_id(job, choices.column_named(job, "2"))
    assert hashed.id is not None
    assert hashed.id.section == {"column": "email", "type": "hashed_email", "hash": "sha256"}
    assert {each.name: each.use for each in hashed.columns} == {"crm_id": "none", "email": "id", "day": "signal"}
    assert choices.with_columns(hashed, [crm_id]).record == {"signals": ["crm_id"]}


def test_a_table_without_rows_is_described(tmp_path: Path) -> None:
    inspection = inspect(write(tmp_path, "crm_id,a\n"))
    assert (inspection.rows, inspection.job.id) == (0, None)
    assert {each.type for each in inspection.columns} == {"empty"}
    inspection.write_job(tmp_path / "job.toml")


# --- the job file -----------------------------------------------------------------------------------------------


def test_no_file_is_replaced(tmp_path: Path) -> None:
    inspection = inspect(write(tmp_path, table({"crm_id": range(30)})))
    path = write(tmp_path, "mine", "job.toml")
    with raises(JobError, "E-JOB-TAKEN", "job.toml"):
        inspection.write_job(path)
    assert path.read_text() == "mine"
    inspection.write_job(path, replace=True)
    assert "crm_id" in path.read_text()
    (tmp_path / "link.toml").symlink_to("nowhere")
    with raises(JobError, "E-JOB-TAKEN"):
        inspection.write_job(tmp_path / "link.toml")
    with raises(DestinationError, "E-JOB-WRITE", "missing"):
        inspection.write_job(tmp_path / "missing" / "job.toml")
    assert not list(tmp_path.glob("*.partial"))


def test_a_file_that_appears_while_the_job_is_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inspection = inspect(write(tmp_path, table({"crm_id": range(30)})))
    path = write(tmp_path, "mine", "job.toml")
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    with raises(JobError, "E-JOB-TAKEN", "job.toml"):
        inspection.write_job(path)
    assert path.read_text() == "mine"


def test_paths_in_the_job_are_relative_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "data").mkdir()
    write(tmp_path / "data", table({"crm_id": range(30), "a": [1] * 30}), "crm [1].csv")
    monkeypatch.chdir(tmp_path)
    inspection = inspect("data/crm [1].csv")
    assert is_accepted(inspection, Path("jobs/job.toml"))["input"]["path"] == "../data/crm [1].csv"


# --- the command line -------------------------------------------------------------------------------------------


def test_json_is_what_python_returns(tmp_path: Path) -> None:
    path = write(tmp_path, table({"crm_id": range(30), "a": [1, 2, 3] * 10}))
    code, out, _ = command(tmp_path, "inspect", str(path), "--json", "--write-job", "job.toml")
    found = json.loads(out)
    expected = {"job_file": "job.toml", "outcome": "done", "exit_code": 0, "error": None, "warnings": []}
    assert code == 0
    assert found == json.loads(json.dumps({**inspect(path).as_dict(), **expected}))
    code, out, _ = command(tmp_path, "inspect", str(path), "--json", "--write-job", "job.toml")
    assert (code, json.loads(out)["error"]["code"]) == (2, "E-JOB-TAKEN")


HOSTILE = {
    "crm_id": [f"C{number}" for number in range(30)],
    "\x1b[31mred": ["\x1b]0;title\x07", "b", "c"] * 10,
    "[bold]x[/]": ["[red]y", "\u202ez", ":smile:"] * 10,
    "a very long name of a column that has no end " * 3: ["a long value without an end " * 9, "b", "c"] * 10,
}


@pytest.mark.parametrize("width", [40, 80, 120, None])
def test_hostile_names_and_values_are_shown_as_text_in_any_width(width: int | None, tmp_path: Path) -> None:
    write(tmp_path, table(HOSTILE))
    if width is None:
        code, out, _ = command(tmp_path, "inspect", "crm.csv")
    else:
        code, out = Terminal(tmp_path, ["inspect", "crm.csv"], width).end()
        assert max(map(len, plain(out).splitlines())) <= width
    assert code == 0
    assert "\x1b]0" not in out
    assert "\x1b[31mred" not in out
    assert "\u202e" not in out
    shown = "".join(plain(out).split())
    assert "[bold]x[/]" in shown
    assert "[red]y" in shown


def plain(text: str) -> str:
    """A text without the colors of a terminal, in lines."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, folder: Path, args: list[str], width: int = 100) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "converter", *args],
            cwd=folder,
            env=ENVIRONMENT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
        )
        os.close(slave)
        self.shown, self._read = "", 0

    def wait(self, text: str) -> None:
        """Read until a text is shown, after the one that was waited for before."""
        end = time.monotonic() + 60
        while (at := self.shown.find(text, self._read)) < 0:
            assert time.monotonic() < end, f"{text!r} is not in {self.shown[self._read :]!r}"
            if select.select([self.master], [], [], 1)[0]:
                self.shown += os.read(self.master, 65536).decode(errors="replace")
        self._read = at + len(text)

    def answer(self, question: str, *lines: str) -> None:
        """Wait for a question, and answer it."""
        self.wait(question)
        for line in lines:
            os.write(self.master, f"{line}\n".encode())

    def end(self) -> tuple[int, str]:
        """Read to the end; the exit code, and all that was shown."""
        end = time.monotonic() + 60
        try:
            while select.select([self.master], [], [], max(end - time.monotonic(), 0))[0]:
                if not (block := os.read(self.master, 65536)):
                    break
                self.shown += block.decode(errors="replace")
        except OSError:  # Linux says so at the end
            pass
        os.close(self.master)  # a command that still asks is hung up
        return self.process.wait(60), self.shown


def test_init_asks_for_the_rest(tmp_path: Path) -> None:
    write(tmp_path, table(people(200), ";"))
    write(tmp_path, "mine", "job.toml")
    terminal = Terminal(tmp_path, ["init"])
    terminal.answer("The table", "nowhere.csv")
    terminal.answer("E-INPUT-MISSING", "crm.csv")
    terminal.answer("user IDs [Kundennummer]: ", "Stadtt")
    terminal.answer("'Stadt'", "1")
    terminal.answer("[crm]: ", "")
    terminal.answer("Enter for: ", "Stadt, E-Mail")
    terminal.answer("must not be sent", "Stadt,trait_ids,Notiz")
    terminal.answer("(DPID): ", "many")
    terminal.answer("(DPID): ", "1234")
    terminal.answer("[out]: ", "")
    terminal.answer("[sync]: ", "append")
    terminal.answer("[sync]: ", "")
    terminal.answer("[job.toml]: ", "")
    terminal.answer("Replace it?", "n")
    terminal.answer("[job.toml]: ", "first")
    code, shown = terminal.end()
    assert code == 0, shown
    assert (tmp_path / "job.toml").read_text() == "mine"
    job = tomllib.loads((tmp_path / "first.toml").read_text())
    assert job["id"] == {"column": "Kundennummer", "type": "crm"}
    assert job["record"]["signals"] == ["Stadt", "Notiz"]
    assert job["record"]["traits"] == [{"column": "trait_ids", "separator": "|"}]
    assert job["output"] == {"dpid": 1234, "to": "out", "mode": "sync"}
    code, _, errors = command(tmp_path, "convert", "first.toml")
    assert code == 0, errors


def test_init_replaces_a_file_when_asked_to(tmp_path: Path) -> None:
    write(tmp_path, table({"crm_id": range(30), "a": [1, 2, 3] * 10}))
    write(tmp_path, "mine", "job.toml")
    terminal = Terminal(tmp_path, ["init", "crm.csv"])
    for question, answer in (
        ("[crm_id]: ", ""),
        ("[crm]: ", ""),
        ("Enter for: ", ""),
        ("(DPID): ", "1234"),
        ("[out]: ", "out"),
        ("[sync]: ", "overwrite"),
        ("[job.toml]: ", ""),
        ("Replace it?", "perhaps"),
        ("E-JOB-INVALID", "y"),
    ):
        terminal.answer(question, answer)
    code, shown = terminal.end()
    assert code == 0, shown
    assert tomllib.loads((tmp_path / "job.toml").read_text())["record"] == {"signals": ["a"]}


def test_init_stops_by_ctrl_c_and_ctrl_d_and_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, table({"crm_id": range(30), "a": [1, 2, 3] * 10}))
    for key, code_, told in ((b"\x03", 128 + signal.SIGINT, "E-STOPPED"), (b"\x04", 2, "E-INIT-ENDED")):
        terminal = Terminal(tmp_path, ["init", "crm.csv"])
        terminal.wait("[crm_id]: ")
        os.write(terminal.master, key)
        code, shown = terminal.end()
        assert (code, told in shown) == (code_, True), shown
        assert "Traceback" not in shown
    assert [path.name for path in tmp_path.iterdir()] == ["crm.csv"]


def test_init_without_a_terminal_says_what_to_do(tmp_path: Path) -> None:
    code, out, errors = command(tmp_path, "init", "crm.csv")
    assert (code, out) == (2, "")
    check_told(errors, "E-INIT-TERMINAL", "aam-inbound inspect", "--write-job")
    code, out, errors = command(tmp_path, "init", "--json")
    assert json.loads(out)["error"]["code"] == "E-INIT-TERMINAL"
