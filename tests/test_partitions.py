"""Folders named KEY=VALUE are columns of the files in them, in every format and on every road."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from converter import convert
from converter.errors import ColumnError
from converter.report import Report

from .conftest import Run
from .errors import raises

LONG = "a value of more than 12 bytes: " + "é" * 40
FOLDERS = {
    "country=DE/day=2024-01-31": ("DE", "2024-01-31"),
    "country=__HIVE_DEFAULT_PARTITION__/day=1": ("", "1"),
    "country=S%C3%A3o%20Paulo%2FSP/day=": ("São Paulo/SP", ""),
    f"country={LONG}/day=a=b": (LONG, "a=b"),
}
WRITE: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "csv": lambda table, path: table.write_csv(path),
    "csv.gz": lambda table, path: path.write_bytes(gzip.compress(table.write_csv().encode())),
    "tsv": lambda table, path: table.write_csv(path, separator="\t"),
    "ndjson": lambda table, path: table.write_ndjson(path),
    "json": lambda table, path: table.write_json(path),
    "parquet": lambda table, path: table.write_parquet(path),
    "arrow": lambda table, path: table.write_ipc(path, compat_level=pl.CompatLevel.newest()),
}


def run_of(run: Run, path: str, **changes: dict[str, object]) -> Report:
    job = run.make_job(
        **{"input": {"path": str(run.folder / path)}, "record": {"signals": ["day", "a", "country"]}, **changes}
    )
    return convert(job)


def expected(rows: int, first: int, values: tuple[str, str]) -> list[str]:
    country, day = values
    return [
        f"u{number}\t"
        + ",".join(
            f'"{key}"="{value}"' for key, value in (("day", day), ("a", f"x{number}"), ("country", country)) if value
        )
        for number in range(first, first + rows)
    ]


@pytest.mark.parametrize("path", ["t", "t/*/*/*", "t/**/*"])
@pytest.mark.parametrize("format_", WRITE)
def test_partitions_are_columns(run: Run, format_: str, path: str) -> None:
    lines = []
    for index, folder in enumerate(sorted(FOLDERS)):
        file = run.folder / "t" / folder / f"part.{format_}"
        file.parent.mkdir(parents=True)
        rows, first = 50 + index, 1000 * index
        ids = [f"u{number}" for number in range(first, first + rows)]
        WRITE[format_](pl.DataFrame({"id": ids, "a": [f"x{number}" for number in range(first, first + rows)]}), file)
        lines += expected(rows, first, FOLDERS[folder])
    report = run_of(run, path)
    assert run.lines == lines
    assert report.records["read"] == report.records["written"] == len(lines)


def test_irregular_and_malformed_rows_keep_their_numbers_and_partitions(run: Run) -> None:
    file = run.folder / "country=DE" / "part.csv"
    file.parent.mkdir()
    file.write_text('id,a\nu1,x\nu2\n u3 ,"q""q"\nu:4,x\nu5,y\n')
    run_of(run, "country=DE/part.csv", record={"signals": ["country", "a"]})
    assert run.lines == ['u1\t"country"="DE","a"="x"', 'u3\t"country"="DE","a"="q\'q"', 'u5\t"country"="DE","a"="y"']
    assert [(row["row"], row["rule"]) for row in run.rejects] == [
        (3, "row_too_short"),
        (5, "id_forbidden_character"),
    ]


def test_a_column_of_the_file_itself_counts(run: Run) -> None:
    file = run.folder / "country=DE" / "part.csv"
    file.parent.mkdir()
    file.write_text("id,country\nu1,AT\n")
    run_of(run, "country=DE/*.csv", record={"signals": ["country"]})
    assert run.lines == ['u1\t"country"="AT"']


def test_only_folders_that_directly_precede_a_file_are_partitions(run: Run) -> None:
    file = run.folder / "country=DE" / "other" / "day=1" / "part.csv"
    file.parent.mkdir(parents=True)
    file.write_text("id,a\nu1,x\n")
    with raises(ColumnError, "E-COLUMN-MISSING", "'country'", "'day'"):
        run_of(run, "country=DE/other/day=1/part.csv")


@pytest.mark.parametrize("format_", ["csv", "ndjson", "parquet"])
def test_partitions_can_be_ids_traits_and_in_conditions(run: Run, format_: str) -> None:
    for country in ("DE", "AT"):
        file = run.folder / "t" / f"country={country}" / "seg=11|12" / f"part.{format_}"
        file.parent.mkdir(parents=True)
        WRITE[format_](pl.DataFrame({"id": ["u1", "u2"], "a": ["x", "y"]}), file)
    run_of(
        run,
        "t",
        input={"path": str(run.folder / "t"), "filter": "country = 'DE'"},
        record={"signals": ["a"], "traits": ["seg"]},
    )
    assert run.lines == ['u1\t"a"="x",d_sid=11,d_sid=12', 'u2\t"a"="y",d_sid=11,d_sid=12']
    for file in run.out.iterdir():
        file.unlink()
    report = run_of(run, "t", id={"column": "country"}, record={"traits": ["seg"]})
    assert [line.partition("\t")[0] for line in run.lines] == ["AT", "AT", "DE", "DE"]
    assert report.records["read"] == 4


def test_small_files_of_many_partitions_are_not_mixed(run: Run) -> None:
    for number in range(40):
        file = run.folder / "t" / f"country=c{number:02}" / "part.csv"
        file.parent.mkdir(parents=True)
        file.write_text(f"id,a\nu{number},x\n")
    run_of(run, "t", record={"signals": ["country"]})
    assert run.lines == [f'u{number}\t"country"="c{number:02}"' for number in range(40)]
