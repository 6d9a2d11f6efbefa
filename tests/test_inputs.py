"""Of a folder or a set of files nothing is left out in silence: it is read, or named with a reason, or an error."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import zipfile
from pathlib import Path

import polars as pl
import pytest

from converter import convert, doctor, match
from converter.errors import ColumnError, Finding, InputError, StrictError

from .conftest import Run
from .errors import check_named, codes_of, raises
from .test_cli import command

CSV = b"id,a\nu1,x\n"
OTHER = b"id,a\nu2,y\n"
HEADLESS = {"header": False, "columns": ["id", "a"], "format": "csv"}


class Told:
    """What a run of a folder says: notices, and warnings."""

    def __init__(self, run: Run, path: str | list[str], files: dict[str, bytes], **changes: object) -> None:
        self.notices: list[str] = []
        self.warnings: list[Finding] = []
        for name, content in files.items():
            file = run.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        paths = [str(run.folder / each) for each in ([path] if isinstance(path, str) else path)]
        self.job = run.make_job(input={"path": paths, **changes})
        self.report = convert(self.job, notify=self.notices.append, warn=self.warnings.extend)
        self.left_out = {
            each["reason"]: sorted(Path(path).name for path in each["paths"]) for each in self.report.left_out
        }


def test_each_file_of_a_folder_is_read_or_has_a_reason(run: Run) -> None:
    files = {
        "t/a.csv": CSV,
        "t/b.CSV.bz2": bz2.compress(OTHER),
        "t/_SUCCESS": b"",
        "t/.a.csv.crc": b"crc",
        "t/a.csv.crc": b"crc",
        "t/a.csv.metadata": b"athena",
        "t/_committed_12": b"{}",
        "t/_backup.csv": CSV,
        "t/.DS_Store": b"x",
        "t/export.done": b"",
        "t/empty.csv": b"",
        "t/empty.csv.gz": gzip.compress(b""),
        "t/empty.csv.xz": lzma.compress(b""),
        "t/old/c.csv": CSV,
        "t/export-manifest.json": b'{"entries": []}',
    }
    told = Told(run, "t", files)
    assert run.lines == ['u1\t"a"="x"', 'u2\t"a"="y"']
    assert told.left_out == {
        "checksum": [".a.csv.crc", "a.csv.crc"],
        "empty": ["empty.csv", "empty.csv.gz", "empty.csv.xz", "export.done"],
        "hidden": [".DS_Store", "_backup.csv"],
        "manifest": ["export-manifest.json"],
        "marker": ["_SUCCESS", "_committed_12", "a.csv.metadata"],
        "subfolder": ["old"],
    }
    assert sum(each["files"] for each in told.report.left_out) == len(files) - 2
    assert run.report["left_out"] == told.report.left_out
    check_named("\n".join(told.notices), "4 empty files", "1 folder", "'old'")
    assert told.warnings == []


def test_what_is_left_out_is_in_the_summary(run: Run) -> None:
    from converter.report.terminal import summary

    told = Told(run, "t", {"t/a.csv": CSV, "t/b.csv": b""})
    assert ("1", "file not read: empty") in summary(told.report)


@pytest.mark.parametrize(
    "name, content", [("part-00002", CSV), ("notes.md", b"x"), ("b.csv.rar", b"x"), ("z.zip", b"PK\x03\x04")]
)
def test_unknown_files_of_a_folder_are_an_error(run: Run, name: str, content: bytes) -> None:
    with raises(InputError, "E-FOLDER-MIXED", "t'", f"'{name}'", "'a.csv'", "/t/*.csv'", "input.format"):
        Told(run, "t", {"t/a.csv": CSV, f"t/{name}": content})
    assert run.files == []
    assert Told(run, "t/*.csv", {}).report.records["written"] == 1


def test_several_formats_in_a_folder_are_an_error(run: Run) -> None:
    files = {"t/a.csv": CSV, "t/b.csv.gz": gzip.compress(CSV), "t/c.jsonl": b'{"id":"u3","a":"z"}\n'}
    globs = ("/t/*.csv'", "/t/*.csv.gz'", "/t/*.jsonl'")
    with raises(InputError, "E-FOLDER-MIXED", "2 csv", "1 ndjson", *globs):
        Told(run, "t", files)
    assert Told(run, ["t/*.csv", "t/*.jsonl"], {}).report.records["written"] == 2


def test_a_zip_archive_in_a_folder_has_the_format_of_its_file(run: Run) -> None:
    (run.folder / "t").mkdir()
    with zipfile.ZipFile(run.folder / "t" / "export.zip", "w") as archive:
        archive.writestr("crm.csv", OTHER)
    assert Told(run, "t", {"t/a.csv": CSV}).report.records["written"] == 2


def test_a_format_of_the_job_is_that_of_all_files(run: Run) -> None:
    manifest = json.dumps({"entries": [{"url": "s3://b/t/0000_part_00"}, {"url": "s3://b/t/0001_part_00"}]}).encode()
    files = {"t/0000_part_00": b"u1,x\n", "t/0001_part_00": b"u2,y\n", "t/manifest": manifest}
    told = Told(run, "t", files, **HEADLESS)
    assert run.lines == ['u1\t"a"="x"', 'u2\t"a"="y"']
    assert (told.left_out, told.warnings) == ({"manifest": ["manifest"]}, [])


def test_files_that_a_manifest_lists_and_that_are_missing_are_told(run: Run) -> None:
    manifest = json.dumps({"entries": [{"url": "s3://b/t/0000_part_00"}, {"url": "s3://b/t/0001_part_00"}]}).encode()
    told = Told(run, "t", {"t/0000_part_00": b"u1,x\n", "t/manifest": manifest}, **HEADLESS)
    assert codes_of(told.warnings) == ["W-FOLDER-UNFINISHED"]
    check_named(str(told.warnings[0]), "manifest'", "'0001_part_00'")


@pytest.mark.parametrize("content", [b"id,a\nu3,z\n", b"[1]"], ids=["text", "list"])
def test_a_file_called_manifest_that_is_none_is_read(run: Run, content: bytes) -> None:
    files = {"t/0000": b"id,a\nu1,x\n", "t/manifest": b"id,a\nu2,y\n"}
    assert Told(run, "t", files, format="csv").left_out == {}
    assert len(run.lines) == 2


UNFINISHED = {
    "temporary": {"t/part-00000.csv": CSV, "t/_temporary/0/part-00001.csv": OTHER},
    "no success": {"t/part-00000-6f2c.csv": CSV},
    "of Hadoop": {"t/part-r-00000.csv": CSV},
    "not committed": {"t/a.csv": CSV, "t/_started_7": b"", "t/_committed_6": b"{}"},
    "partitions": {"t/c=x/part-00000.csv": CSV, "t/_temporary/0/x": b""},
}


@pytest.mark.parametrize("files", UNFINISHED.values(), ids=UNFINISHED)
@pytest.mark.parametrize("path", ["t", "t/**/*.csv"])
def test_a_folder_that_is_not_finished_is_told_and_stops_a_strict_run(
    run: Run, files: dict[str, bytes], path: str
) -> None:
    told = Told(run, path, files)
    assert codes_of(told.warnings) == ["W-FOLDER-UNFINISHED"]
    check_named(str(told.warnings[0]), "/t'")
    assert run.lines == ['u1\t"a"="x"']
    assert "W-FOLDER-UNFINISHED" in codes_of(doctor(told.job))
    for file in run.out.iterdir():
        file.unlink()
    with raises(StrictError, "E-STRICT", "W-FOLDER-UNFINISHED"):
        convert(told.job, strict=True)
    assert run.files == []


@pytest.mark.parametrize("more", ["_SUCCESS", "_committed_7"])
def test_a_folder_that_is_finished_is_not_told(run: Run, more: str) -> None:
    told = Told(run, "t", {"t/part-00000.csv": CSV, "t/_started_7": b"", f"t/{more}": b"", "t/_committed_7": b""})
    assert told.warnings == []


TABLES = {
    "Delta Lake": ("t", "_delta_log/00000000000000000000.json"),
    "Iceberg": ("t/data", "metadata/v1.metadata.json"),
    "Hudi": ("t", ".hoodie/hoodie.properties"),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("partition", ["", "/c=x"])
def test_tables_with_a_log_are_not_read_as_loose_files(run: Run, kind: str, partition: str) -> None:
    folder, log = TABLES[kind]
    files = {f"{folder}{partition}/a.csv": CSV, f"t/{log}": b"{}"}
    paths = [f"{folder}{partition}/*.csv", "t/**/*.csv"]
    if kind != "Delta Lake":
        paths += [folder, f"{folder}{partition}"]
    for path in paths:
        with raises(InputError, "E-FOLDER-TABLE", "/t", kind, "input.path" if kind == "Delta Lake" else "Export"):
            Told(run, path, files)
    assert run.files == []
    assert Told(run, f"{folder}{partition}/a.csv", {}).report.records["written"] == 1  # it is named on purpose


def test_empty_files_are_an_error_where_the_job_says_so_or_all_are(run: Run) -> None:
    files = {"t/a.csv": CSV, "t/b.csv": b"", "t/c.csv.gz": gzip.compress(b"")}
    told = Told(run, "t/*", files)
    assert told.left_out == {"empty": ["b.csv", "c.csv.gz"]}
    with raises(InputError, "E-INPUT-EMPTY", "b.csv'"):
        Told(run, "t/*", {}, empty="error")
    with raises(InputError, "E-INPUT-EMPTY", "b.csv'"):
        Told(run, "t/[bc]*", {})


def test_a_glob_leaves_out_what_programs_write_beside_tables(run: Run) -> None:
    files = {
        "t/a.csv": CSV,
        "t/_SUCCESS": b"",
        "t/a.csv.md5": b"x",
        "t/manifest": b'{"entries": []}',
        "t/_b.csv": OTHER,
    }
    told = Told(run, "t/*", files)
    assert told.left_out == {"checksum": ["a.csv.md5"], "manifest": ["manifest"], "marker": ["_SUCCESS"]}
    assert len(run.lines) == 2  # a name with _ is read where a glob names it


def test_links_to_one_file_are_named(run: Run) -> None:
    (run.folder / "t").mkdir()
    (run.folder / "t" / "b.csv").symlink_to("a.csv")
    (run.folder / "t" / "gone.csv").symlink_to("nothing.csv")
    os.mkfifo(run.folder / "t" / "pipe.csv")
    told = Told(run, "t", {"t/a.csv": CSV})
    assert told.left_out == {"repeated": ["b.csv"], "special": ["gone.csv", "pipe.csv"]}


def test_a_folder_of_folders_names_a_glob(run: Run) -> None:
    with raises(InputError, "E-INPUT-MISSING", "'2024'", "t/**/*'"):
        Told(run, "t", {"t/2024/a.csv": CSV})


def test_the_file_of_a_set_whose_columns_or_types_differ_is_named(run: Run) -> None:
    with raises(ColumnError, "E-COLUMN-MISSING", "b.csv'", "'a'"):
        Told(run, "t", {"t/a.csv": CSV, "t/b.csv": b"id,b\nu2,y\n"})
    (run.folder / "p").mkdir()
    pl.DataFrame({"id": ["u1"], "a": ["x"]}).write_parquet(run.folder / "p" / "a.parquet")
    pl.DataFrame({"id": [1.0, None], "a": ["x", "y"]}).write_parquet(run.folder / "p" / "b.parquet")
    with raises(ColumnError, "E-COLUMN-TYPE", "b.parquet'", "'id'"):
        Told(run, "p", {})
    assert run.files == []


def test_every_command_tells_what_is_not_read(tmp_path: Path) -> None:
    for name, content in {"t/a.csv": CSV, "t/empty.csv": b"", "t/old/b.csv": CSV, "t/_SUCCESS": b""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    dry = "convert", "t", "--id", "id", "--dpid", "1", "--signal", "a", "--to", "out", "--dry-run"
    urls = "sync-urls", "t", "--id", "id", "--dpid", "1", "-o", "urls.csv"
    for args in (dry, urls, ("match", "t", "t/a.csv", "--id", "id")):
        exit_code, out, error = command(tmp_path, *args, "--json")
        assert exit_code == 0, error
        check_named(error, "1 empty file", "'empty.csv'", "1 folder", "'old'")
        found = {each["reason"]: each["files"] for each in json.loads(out)["left_out"]}
        assert found == {"empty": 1, "marker": 1, "subfolder": 1}


def test_a_comparison_warns_about_a_folder_that_is_not_finished(tmp_path: Path) -> None:
    (tmp_path / "t" / "_temporary").mkdir(parents=True)
    (tmp_path / "t" / "part-00000.csv").write_bytes(CSV)
    (tmp_path / "ids.csv").write_bytes(CSV)
    assert "W-FOLDER-UNFINISHED" in codes_of(match(tmp_path / "t", tmp_path / "ids.csv").warnings)


@pytest.mark.parametrize("names", [["plain", "trailing", "named", "unix"], ["trailing", "unix", "plain", "named"]])
def test_each_file_of_a_set_says_how_its_rows_end(run: Run, names: list[str]) -> None:
    files = {
        "plain": "id,a\r\nu1,x\r\nu2,\r\nu2,x\r\n",
        "trailing": "id,a\r\nu3,x,\r\nu4,,\r\n",
        "named": "id,a,\r\nu5,x,\r\n",
        "unix": "id,a\r\n" + "u6,x\n" * 30,
    }
    paths = [str(run.write(files[name], f"{name}.csv")) for name in names]
    report = run.convert(input={"path": paths})
    assert {line.partition("\t")[0] for line in run.lines} == {"u1", "u2", "u3", "u5", "u6"}
    assert report.records["rejected"] == {}
    assert report.records["skipped"] == {"no_signal": 2}


def test_names_have_no_invisible_characters_around_them(run: Run) -> None:
    run.convert("\ufeff\u200bid\u200b,\u00a0a \u200b\nu1,x\n")
    assert run.lines == ['u1\t"a"="x"']
