"""Delta tables: the rows of a version come out, on this machine and on servers."""

from __future__ import annotations

import builtins
import datetime
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import deltalake
import numpy as np
import pyarrow as pa
import pytest

from converter import convert, kernel
from converter.commands.plan import open_input
from converter.errors import InputError, JobError
from converter.jobs.access import Access
from converter.jobs.sections.clouds import Az, Gs
from converter.jobs.sections.servers import S3
from converter.jobs.sections.table import Input
from converter.remote.objects import Entry
from converter.sources.base import Budget
from converter.sources.opening import find_origins
from converter.sources.parquet import ParquetSource

from .conftest import Run
from .delta import commit, delete_rows, protocol
from .errors import raises
from .servers.azurite import azure_place
from .servers.google import google_place
from .servers.s3 import s3_place


def _table(**columns: Any) -> pa.Table:
    return pa.table(columns)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Versions 0 to 3: two rows, one more in a partition with a name of its own, one with a new column, one deleted."""
    folder = tmp_path / "crm table"
    deltalake.write_deltalake(folder, _table(id=["u1", "u2"], a=["x", "y"], day=["1", "2"]), partition_by=["day"])
    deltalake.write_deltalake(folder, _table(id=["u3"], a=["z"], day=["a b/c"]), mode="append")
    new = pa.table({"id": ["u4"], "a": [None], "day": pa.array([None], pa.string()), "new": ["n"]})
    deltalake.write_deltalake(folder, new.cast(pa.schema([(name, pa.string()) for name in new.column_names])),
                              mode="append", schema_mode="merge")  # fmt: skip
    deltalake.DeltaTable(folder).delete("id = 'u1'")
    return folder


@pytest.fixture(params=["folder", "s3", "gs", "az"])
def place(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[str, dict[str, Any], Access]]:
    """The table at a place: its path, the sections of a job, and how it is read."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if request.param == "folder":
        yield str(folder), {}, Access()
    elif request.param == "s3":
        with s3_place() as s3:
            for name, path in files.items():
                s3.client.put_object(Bucket=s3.bucket, Key=f"crm/{name}", Body=path.read_bytes())
            settings = {"endpoint_url": s3.endpoint, "addressing_style": "path", "timeout": 10}
            yield f"s3://{s3.bucket}/crm", {"s3": settings}, Access(s3=S3(**settings))  # type: ignore[arg-type]
    else:
        made = google_place() if request.param == "gs" else azure_place()
        for name, path in files.items():
            made.put(f"crm/{name}", path.read_bytes())
        sections: dict[str, Any] = {"gs": Gs, "az": Az}
        access = {key: sections[key](**value) for key, value in made.settings.items()}
        yield f"{made.url}/crm", made.settings, Access(**access)


def _lines(run: Run, path: str, sections: dict[str, Any], **more: Any) -> list[str]:
    """Return what each user has, by user."""
    given = {"path": path, **more} if path.startswith("/") else {"path": path, "format": "delta", **more}
    convert(run.make_job(input=given, record={"signals": ["a", "day", "new"]}, **sections))
    return sorted(run.lines)


def test_the_current_rows_come_out(run: Run, place: tuple[str, dict[str, Any], Access]) -> None:
    path, sections, _ = place
    assert _lines(run, path, sections) == ['u2\t"a"="y","day"="2"', 'u3\t"a"="z","day"="a b/c"', 'u4\t"new"="n"']


def test_rows_of_a_version_come_out(run: Run, place: tuple[str, dict[str, Any], Access]) -> None:
    path, sections, access = place
    more: dict[str, Any] = {} if path.startswith("/") else {"format": "delta"}
    counts = [len(find_origins(Input(path=(path,), version=version, **more), access)) for version in range(4)]
    assert counts == [2, 3, 4, 3]
    convert(run.make_job(input={"path": path, "version": 0, **more}, record={"signals": ["a"]}, **sections))
    assert sorted(run.lines) == ['u1\t"a"="x"', 'u2\t"a"="y"']
    with raises(InputError, "E-DELTA-VERSION", "version 99", "input.version"):
        find_origins(Input(path=(path,), version=99, **more), access)


def test_the_version_of_a_time_is_read(folder: Path) -> None:
    times = [each["timestamp"] for each in deltalake.DeltaTable(folder).history()][::-1]
    for version, time in enumerate(times):
        at = datetime.datetime.fromtimestamp(time / 1000, datetime.UTC).isoformat()
        expected = find_origins(Input(path=(str(folder),), version=version))
        assert [each.label for each in find_origins(Input(path=(str(folder),), at=at))] == [
            each.label for each in expected
        ]
    oldest = datetime.datetime.fromtimestamp(times[0] // 1000, datetime.UTC).isoformat()
    with raises(InputError, "E-DELTA-VERSION", "2013-04-21", oldest):
        find_origins(Input(path=(str(folder),), at="2013-04-21"))
    with raises(JobError, "E-INPUT-KEY", "input.at"):
        find_origins(Input(path=(str(folder),), at="yesterday"))


def test_a_version_is_named_in_one_way(run: Run, folder: Path) -> None:
    with raises(JobError, "E-JOB-INVALID", "input.version", "input.at"):
        run.make_job(input={"path": str(folder), "version": 0, "at": "2024-05-01"})


def test_a_log_is_read_from_its_last_checkpoint_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = deltalake.DeltaTable(folder)
    table.create_checkpoint()
    new = _table(id=["u9"], a=["q"], day=["9"], new=["n"])
    deltalake.write_deltalake(folder, new, mode="append")
    with s3_place() as s3:
        for path in folder.rglob("*"):
            if path.is_file():
                s3.client.put_object(Bucket=s3.bucket, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())
        access = Access(s3=S3(endpoint_url=s3.endpoint, addressing_style="path"))
        read: list[str] = []
        opened = _opened_of_s3(monkeypatch, read)
        assert len(find_origins(Input(path=(f"s3://{s3.bucket}/",), format="delta"), access)) == 4
        assert opened is read
        assert sorted(name.partition("/")[2][18:] for name in read) == ["03.checkpoint.parquet", "03.json", "04.json"]
        first = find_origins(Input(path=(f"s3://{s3.bucket}/",), format="delta", version=1), access)
        assert len(first) == 3


def _opened_of_s3(monkeypatch: pytest.MonkeyPatch, read: list[str]) -> list[str]:
    """Note the names of the objects of logs that are opened."""
    from converter.remote.s3_objects import BucketObjects

    open_ = BucketObjects.open

    def noted(self: BucketObjects, entry: Entry, start: int, stop: int | None) -> Any:
        if "_delta_log/" in entry.name and entry.name not in read:
            read.append(entry.name)
        return open_(self, entry, start, stop)

    monkeypatch.setattr(BucketObjects, "open", noted)
    return read


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_files_that_are_missing_are_reported(place: tuple[str, dict[str, Any], Access], folder: Path) -> None:
    path, _, access = place
    client = boto3.client("s3", endpoint_url=access.s3.endpoint_url)
    bucket = path.split("/")[2]
    (name,) = [file.relative_to(folder).as_posix() for file in folder.glob("day=2/*.parquet")]
    client.delete_object(Bucket=bucket, Key=f"crm/{name}")
    with raises(InputError, "E-INPUT-MISSING", name):
        find_origins(Input(path=(path,), format="delta"), access)
    with raises(InputError, "E-DELTA-MISSING", f"s3://{bucket}/none"):
        find_origins(Input(path=(f"s3://{bucket}/none",), format="delta"), access)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A table of the users 0 to 999, with rows that break a rule, in row groups of 128 rows."""
    folder = tmp_path / "users"
    ids = ["a b" if number % 100 == 50 else f"u{number}" for number in range(1000)]
    settings = deltalake.WriterProperties(max_row_group_size=128)
    deltalake.write_deltalake(folder, _table(id=ids, n=list(range(1000))), writer_properties=settings)
    return folder


@pytest.mark.parametrize(
    "deleted",
    [[0], [999], range(999), range(1, 1000), range(0, 1000, 2), range(100, 400), range(1, 130), [50, 127, 128, 149]],
)
@pytest.mark.parametrize("is_typed", [False, True])
def test_rows_that_a_deletion_vector_deletes_are_left_out(
    run: Run, users: Path, deleted: Sequence[int], *, is_typed: bool
) -> None:
    delete_rows(users, deleted)
    kept = sorted({*range(1000)} - {*deleted})
    given = {"path": str(users)} | ({"filter": "n >= 0"} if is_typed else {})
    records = convert(run.make_job(input=given, record={"signals": ["n"]})).records
    assert (records["read"], sum(records["rejected"].values())) == (len(kept), sum(row % 100 == 50 for row in kept))
    assert run.lines == [f'u{row}\t"n"="{row}"' for row in kept if row % 100 != 50]
    assert [each["row"] for each in run.rejects] == [row + 1 for row in kept if row % 100 == 50]


def test_row_groups_that_are_read_alone_know_their_deleted_rows(run: Run, users: Path) -> None:
    delete_rows(users, deleted := [0, 127, *range(130, 300), 999])
    (source,) = open_input(run.make_job(input={"path": str(users)}, record={"signals": ["n"]})).sources
    assert isinstance(source, ParquetSource)
    groups = [source.within(span) for span in source.spans(1)]
    assert [group.rows for group in groups] == [
        len({*range(start, min(start + 128, 1000))} - {*deleted}) for start in range(0, 1000, 128)
    ]
    numbers = [
        block.numbers + sum(piece.numbers for piece in before.pieces)
        for group in groups[1:]
        for before, block in itertools.pairwise(
            task.parse(None) for task in group.blocks(["id"], kernel.load(), Budget())
        )
    ]
    assert np.concatenate(numbers).tolist() == sorted({*range(128, 1000)} - {*deleted})


def test_a_table_is_another_one_once_other_rows_are_deleted(users: Path) -> None:
    def prints() -> list[Any]:
        return [each.fingerprint() for each in find_origins(Input(path=(str(users),)))]

    seen = [prints()]
    for rows in ([1], [1, 2]):
        delete_rows(users, rows)
        seen.append(prints())
    assert len({json.dumps(each) for each in seen}) == len(seen)


def test_a_table_of_which_all_rows_are_deleted_is_empty(run: Run, users: Path) -> None:
    delete_rows(users, range(1000))
    with raises(InputError, "E-NO-ROWS"):
        convert(run.make_job(input={"path": str(users)}, record={"signals": ["n"]}))


def test_a_version_before_rows_were_deleted_has_them(run: Run, users: Path) -> None:
    delete_rows(users, [1])
    assert (
        convert(run.make_job(input={"path": str(users), "version": 1}, record={"signals": ["n"]})).records["read"]
        == 1000
    )


def test_deletion_vectors_of_a_table_on_a_server_are_read(run: Run, users: Path) -> None:
    delete_rows(users, range(3, 1000))
    with s3_place() as s3:
        for path in users.rglob("*"):
            if path.is_file():
                key = f"crm/{path.relative_to(users).as_posix()}"
                s3.client.put_object(Bucket=s3.bucket, Key=key, Body=path.read_bytes())
        settings = {"endpoint_url": s3.endpoint, "addressing_style": "path", "timeout": 10}
        given = {"path": f"s3://{s3.bucket}/crm", "format": "delta"}
        convert(run.make_job(input=given, record={"signals": ["n"]}, s3=settings))
    assert run.lines == ['u0\t"n"="0"', 'u1\t"n"="1"', 'u2\t"n"="2"']


@pytest.mark.parametrize("is_missing", [False, True])
def test_nothing_is_read_where_deletion_vectors_cannot_be(users: Path, *, is_missing: bool) -> None:
    file = delete_rows(users, [1, 2, 3])
    if is_missing:
        file.unlink()
    else:
        file.write_bytes(b"\x01" + bytes(len(file.read_bytes()) - 1))
    with raises(InputError, "E-INPUT-DAMAGED", str(users), "PURGE"):
        find_origins(Input(path=(str(users),)))


def test_tables_whose_columns_have_other_names_in_files_are_refused(folder: Path) -> None:
    log = folder / "_delta_log/00000000000000000002.json"
    (data,) = [json.loads(line)["metaData"] for line in log.read_text().splitlines() if '"metaData"' in line]
    commit(folder, protocol("columnMapping"))
    assert len(find_origins(Input(path=(str(folder),)))) == 3
    schema = json.loads(data["schemaString"])
    for number, field in enumerate(schema["fields"], 1):
        field["metadata"] = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": field["name"]}
    mapped = {**data, "schemaString": json.dumps(schema), "configuration": {"delta.columnMapping.mode": "name"}}
    commit(folder, {"metaData": mapped})
    with raises(InputError, "E-DELTA-FEATURE", "columnMapping"):
        find_origins(Input(path=(str(folder),)))


def test_tables_with_files_elsewhere_are_refused(folder: Path) -> None:
    log = folder / "_delta_log/00000000000000000001.json"
    (add,) = [json.loads(line)["add"] for line in log.read_text().splitlines() if '"add"' in line]
    commit(folder, {"add": {**add, "path": "s3://other/x.parquet"}})
    with raises(InputError, "E-DELTA-FEATURE", "s3://other/x.parquet"):
        find_origins(Input(path=(str(folder),)))


def test_tables_without_rows_or_a_log_are_errors(folder: Path, tmp_path: Path) -> None:
    deltalake.DeltaTable(folder).delete()
    with raises(InputError, "E-INPUT-EMPTY", str(folder)):
        find_origins(Input(path=(f"file://{folder}",)))
    for path in (str(tmp_path), "https://host/crm", "sftp://host/crm"):
        with raises(InputError, "E-DELTA-MISSING", path):
            find_origins(Input(path=(path,), format="delta"))
    (tmp_path / "in.csv").write_text("id,a\nu1,x\n")
    with raises(JobError, "E-INPUT-KEY", "input.version"):
        find_origins(Input(path=(str(tmp_path / "in.csv"),), version=0))


def test_without_the_package_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_ = builtins.__import__

    def none(name: str, *args: Any, **more: Any) -> Any:
        if name == "deltalake":
            raise ImportError(name)
        return import_(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", none)
    with raises(JobError, "E-INPUT-PACKAGE", "aam-inbound-converter[delta]"):
        find_origins(Input(path=(str(folder),)))
