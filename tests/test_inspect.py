"""`aam-inbound inspect` and `init`: what they say of tables, and that the job which they write is a right one."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import json
import random
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from converter import Inspection, Job, inspect
from converter.cli.outcome import Messages, Outcome
from converter.errors import ConverterError, JobError
from converter.report.profiles import ColumnProfile

from .errors import raises
from .test_cli import command

convert = importlib.import_module("converter.cli.convert")  # `converter.convert` itself is the function
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
    with raises(JobError, "E-JOB-INVALID", "id is missing"):
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
@settings(max_examples=40, phases=[Phase.explicit, Phase.generate])
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
        assert error.code.startswith(("E-HEADER", "E-INPUT", "E-COLUMN")), error
        return
    assert inspection.job.id is not None
    is_accepted(inspection, folder / "job.toml")
