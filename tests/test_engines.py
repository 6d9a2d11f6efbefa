"""What is refused before anything runs on Spark, also where Spark or Java is missing."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from converter import Job, __version__, convert, spark
from converter.cli.app import app_for
from converter.commands.plan import Plan, open_input
from converter.delivery.destinations import Owner
from converter.delivery.destinations.folder import FolderDestination
from converter.errors import ConverterError, DestinationError, InputError, JobError, LedgerError, ResumeError
from converter.report import Report
from converter.rows.judging import FirstRows
from converter.rows.records import Records
from converter.sources.base import Span
from converter.sources.row_origins import RowOrigin
from converter.spark import conversion, engine, session, suppressed
from converter.spark.conversion import SparkConversion, assignment_of
from converter.spark.hashes import check_hashes
from converter.spark.messages import Assignment, RunFailedError, SharedFile, Staged, error_of_task, packed, unpacked
from converter.spark.shares import Sizes, shared_out, with_whole_files
from converter.spark.staging import open_files, stage
from converter.spark.support import check_job, check_origins
from converter.spark.tasks import check_version, rows_of_partition

from .conftest import Run
from .delta import delete_rows
from .errors import raises
from .gnupg import impostor
from .servers.s3 import s3_place
from .servers.sftp import SftpServer

UNSUPPORTED: dict[str, dict[str, Any]] = {
    "record.user_lines": {"record": {"signals": ["a"], "user_lines": "count"}},
    "output.publish": {"output": {"publish": "each"}},
    "output.bandwidth": {"output": {"bandwidth": "1MB"}},
    "input.rejects_of": {"input": {"rejects_of": "report.json"}},
    "report.traits": {"report": {"traits": "traits.json"}},
    "sftp.partial_suffix": {"output": {"to": "sftp://u@host/in"}, "sftp": {"partial_suffix": ""}},
    "ftp.partial_suffix": {"output": {"to": "ftp://u@host/in"}, "ftp": {"partial_suffix": ""}},
}


@pytest.mark.parametrize("reason", UNSUPPORTED)
def test_a_job_that_needs_one_machine_is_refused(reason: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=reason) as caught:
        spark.convert(Run(tmp_path).make_job(**UNSUPPORTED[reason]))
    assert caught.value.code == "E-SPARK-UNSUPPORTED"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ([{"column": "a", "type": "crm", "dpid": 12}, {"column": "b", "type": "hashed_email", "dpid": 13}], "gathered"),
        ([{"column": "a", "type": "uuid"}, {"column": "b", "type": "crm", "dpid": 12}], "counted"),
    ],
)
def test_kinds_of_files_that_need_one_machine_are_refused(columns: list[Any], why: str, tmp_path: Path) -> None:
    kind = "c2c-id-sync" if why == "gathered" else "id-sync"
    job = {"output": {"to": str(tmp_path / "out"), "kind": kind}, "sync": {"columns": columns}}
    with raises(JobError, "E-SPARK-UNSUPPORTED", kind):
        check_job(Job(**job))


def test_spark_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(session.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JobError) as caught:
        spark.convert(Run(tmp_path).make_job())
    assert caught.value.code == "E-SPARK-MISSING"


@pytest.mark.parametrize(("version", "is_enough"), [("3.5.9", False), ("4.0.0", True), ("4.3.0", True), ("10.1", True)])
def test_spark_that_is_too_old_is_said(version: str, is_enough: bool) -> None:
    if is_enough:
        session.check_spark(version)
        return
    with pytest.raises(JobError) as caught:
        session.check_spark(version)
    assert caught.value.code == "E-SPARK-VERSION"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('openjdk version "1.8.0_402"', "version 8"),
        ('openjdk version "11.0.22" 2024-01-16', "version 11"),
        ('openjdk version "17.0.15" 2025-04-15', None),
        ('java version "21" 2023-09-19 LTS', None),
        ("another program", None),
    ],
)
def test_java_that_is_too_old_is_said(
    answer: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{answer}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if message is None:
        session.check_java()
        return
    with pytest.raises(JobError, match=message) as caught:
        session.check_java()
    assert caught.value.code == "E-SPARK-JAVA"


def test_java_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError) as caught:
        session.check_java()
    assert caught.value.code == "E-SPARK-JAVA"


def test_the_error_of_a_task_comes_out_of_what_spark_says() -> None:
    error = RunFailedError.of(JobError("E-COLUMN-MISSING", "There is no column 'ä'.", "Name another."))
    found = error_of_task(f"Job aborted\nconverter.spark.messages.RunFailedError: {error}\n\tat org.apache.spark")
    assert isinstance(found, JobError)
    assert (found.code, found.message, found.hint) == ("E-COLUMN-MISSING", "There is no column 'ä'.", "Name another.")
    assert error_of_task("another text") is None
    assert error_of_task(f"{str(error)[:-20]}}}") is None  # which was cut off


def test_an_error_of_another_kind_is_one_of_the_package() -> None:
    error = RunFailedError.of(JobError("E-INTERNAL", "Unexpected failure."), "blocks.py, line 7")
    text = str(error).replace("JobError", "dict")
    found = error_of_task(text)
    assert type(found) is ConverterError
    assert found.message == "Unexpected failure. (blocks.py, line 7)"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("ModuleNotFoundError: No module named 'converter.spark'", "E-SPARK-PACKAGE"),
        ("The executor was lost: 'a secret value'", "E-SPARK-FAILED"),
        (f"ValueError: {RunFailedError.of(JobError('E-SQL', 'It is not SQL.'))}", "E-SQL"),
    ],
)
def test_what_spark_raises_becomes_an_error_with_a_code(said: str, code: str) -> None:
    error = engine.error_of(RuntimeError(said))
    assert error.code == code
    assert "secret" not in str(error)


def test_more_partitions_than_there_are_names_for_are_refused(tmp_path: Path) -> None:
    job = Run(tmp_path).make_job()
    few = Assignment(__version__, job, 0, datetime.date(2024, 1, 1), Owner(), FirstRows(), None, 2)
    assert rows_of_partition(packed(few), iter(()), 1).parts == []
    with pytest.raises(JobError) as caught:
        rows_of_partition(packed(few), iter(()), 2)
    assert caught.value.code == "E-SPARK-PARTITIONS"


def test_workers_with_another_version_are_noticed(tmp_path: Path) -> None:
    job = Run(tmp_path).make_job()
    older = Assignment("0.0.1", job, 0, datetime.date(2024, 1, 1), Owner(), FirstRows(), None, 1)
    with pytest.raises(ConverterError) as caught:
        check_version(older)
    assert caught.value.code == "E-SPARK-PACKAGE"


def staged_here(plan: Plan, on_wait: Callable[[], None], counted: int | None = None) -> tuple[list[Staged], int | None]:
    """Do the work of the tasks of a run in this process, one after the other, as many attempts as Spark may make."""
    assignment = unpacked(packed(assignment_of(plan, len(plan.origins))))
    staged = []
    shares = list(shared_out(open_input(assignment.job).sources, Sizes(1, 0), {}))
    for attempt in ("lost", "won"):
        for number, (_, files) in enumerate(shares):
            each = stage(assignment, number, 1, lambda records, of=files: open_files(assignment.job, records, of))
            staged += [unpacked(packed(each))] if attempt == "won" else []
        on_wait()
    return staged, counted


def convert_here(run: Run, run_tasks: Any = staged_here, **options: Any) -> Report:
    return convert(run.make_job(), engine=partial(SparkConversion, run_tasks), **options)


@pytest.fixture
def files(tmp_path: Path) -> Run:
    """Three files, one of them with a row that is rejected."""
    run = Run(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(3):
        rows = "".join(f"user-{number}-{row},{row}\n" for row in range(50))
        (tmp_path / "in" / f"{number}.csv").write_text(f"id,a\n{rows}" + ",1\n" * (number == 1))
    run.job["input"] = {"path": str(tmp_path / "in")}
    return run


def test_what_attempts_have_left_that_lost_is_removed(files: Run) -> None:
    report = convert_here(files)
    assert files.files == [part.name for part in report.parts]
    assert report.records["read"] == len(files.lines) + 1 == 151
    assert report.spark == files.report["spark"] == {"rows": None}


def test_tasks_read_what_the_log_of_a_table_says_of_a_file(tmp_path: Path) -> None:
    run, table = Run(tmp_path), tmp_path / "table"
    deltalake.write_deltalake(table, pa.table({"id": ["u0", "u1", "u2"]}))
    deltalake.write_deltalake(table, pa.table({"id": ["u3"], "a": ["x"]}), mode="append", schema_mode="merge")
    delete_rows(table, [1])
    run.job["input"] = {"path": str(table)}
    run.job["record"] |= {"traits": [1]}
    check_origins([source.origin for source in open_input(run.make_job()).sources])
    assert convert_here(run).records["read"] == 3
    assert sorted(run.lines) == ["u0\td_sid=1", "u2\td_sid=1", 'u3\t"a"="x",d_sid=1']


def test_parts_of_a_partition_are_numbered_in_steps(files: Run) -> None:
    files.job["output"] |= {"max_part_raw_bytes": "300B", "max_part_bytes": "300B"}
    report = convert_here(files)
    splits = [int(part.name.rsplit(".", 2)[1]) for part in report.parts]
    assert len(splits) > 6
    assert splits == sorted(set(splits))
    assert {(split - 1) % 3 for split in splits} == {0, 1, 2}
    assert sum(part.lines for part in report.parts) == len(files.lines) == 150


def test_a_partition_without_a_line_leaves_no_file(files: Run) -> None:
    (files.folder / "in" / "0.csv").write_text("id,a\n,1\n,2\n")
    report = convert_here(files)
    assert [part.name.rsplit(".", 2)[1] for part in report.parts] == ["2", "3"]
    assert report.records["rejected"] == {"id_missing": 3}


def test_more_rejects_than_the_file_has_room_for_are_counted(files: Run) -> None:
    for number in (0, 2):
        (files.folder / "in" / f"{number}.csv").write_text("id,a\n" + ",1\n" * 50 + "too,many,fields\n" * 20)
    files.job["report"]["rejects_file_rows"] = 60
    convert_here(files)
    rejects = files.rejects
    shutil.rmtree(files.folder / "reports")
    shutil.rmtree(files.out)
    convert(files.make_job())
    assert rejects == files.rejects
    assert rejects[-1]["kept"] == 60


def test_parts_of_tasks_are_renamed_on_a_server_and_others_removed(files: Run, sftp: SftpServer) -> None:
    files.job["output"]["to"] = sftp.url()
    files.job["sftp"] = {"known_hosts": sftp.known_hosts}
    report = convert_here(files)
    folder = sftp.root / "in" / "bound"
    assert sorted(path.name for path in folder.iterdir()) == sorted(part.name for part in report.parts)
    assert sum(gzip.decompress(path.read_bytes()).count(b"\n") for path in folder.iterdir()) == 150


def test_uploads_of_tasks_are_completed_by_the_driver_and_others_aborted(files: Run) -> None:
    with s3_place() as place:
        files.job["output"] |= {"to": f"s3://{place.bucket}/{place.prefix}", "partner": place.partner}
        files.job["s3"] = {"endpoint_url": place.endpoint, "addressing_style": "path"}
        report = convert_here(files)
        keys = [each["Key"] for each in place.client.list_objects_v2(Bucket=place.bucket)["Contents"]]
        assert sorted(key.rpartition("/")[2] for key in keys) == sorted(part.name for part in report.parts)
        assert "Uploads" not in place.client.list_multipart_uploads(Bucket=place.bucket)


def test_a_count_of_spark_that_differs_is_noticed_and_nothing_is_published(files: Run) -> None:
    with pytest.raises(LedgerError, match="150.*151"):
        convert_here(files, partial(staged_here, counted=150))
    assert files.files == []


def test_what_tasks_have_sent_is_removed_where_a_task_fails(files: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "_KILL_SECONDS", 0.1)

    def fail(plan: Plan, on_wait: Callable[[], None]) -> Any:
        staged_here(plan, on_wait)
        assert [name for name in files.files if name.endswith(".partial")]
        raise ConverterError("E-SPARK-FAILED", "Spark could not run the tasks.")

    with pytest.raises(ConverterError) as caught:
        convert_here(files, fail)
    assert caught.value.code == "E-SPARK-FAILED"
    assert files.files == []


@contextlib.contextmanager
def failing_after(count: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a folder fail once so many parts are visible."""
    publish, published = FolderDestination.publish, []

    def fail(self: FolderDestination, part: Any) -> None:
        if len(published) >= count:
            raise DestinationError("E-FOLDER-WRITE", "The disk has failed.")
        publish(self, part)
        published.append(part)

    with monkeypatch.context() as patched:
        patched.setattr(FolderDestination, "publish", fail)
        yield


def test_a_run_that_fails_between_two_publications_is_finished_without_tasks(
    files: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing_after(1, monkeypatch), pytest.raises(DestinationError) as caught:
        convert_here(files)
    assert len(caught.value.visible) == 1
    assert len([name for name in files.files if name.endswith(".partial")]) == 2
    report = convert_here(files, None, resume=True)
    assert files.files == [part.name for part in report.parts]
    assert len(files.lines) == 150


def test_a_run_that_fails_before_it_publishes_is_begun_again_under_its_names(
    files: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    del files.job["output"]["timestamp"]
    with failing_after(0, monkeypatch), pytest.raises(DestinationError):
        convert_here(files)
    name = files.files[0].partition(".")[0]
    next(files.out.glob("*.partial")).unlink()  # so that all of them have to be made again
    with pytest.raises(ConverterError) as caught:
        convert(files.make_job(), resume=True)
    assert caught.value.code == "E-RESUME-ENGINE"
    report = convert_here(files, resume=True)
    assert files.files == [part.name for part in report.parts]
    assert {part.name.partition(".")[0] for part in report.parts} == {name}
    assert len(files.lines) == 150


def test_parts_that_disappear_once_others_are_visible_are_not_made_again(
    files: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing_after(1, monkeypatch), pytest.raises(DestinationError):
        convert_here(files)
    next(files.out.glob("*.partial")).unlink()
    with pytest.raises(ConverterError) as caught:
        convert_here(files, resume=True)
    assert caught.value.code == "E-RESUME-PARTS"


def test_a_run_of_one_machine_is_not_resumed_on_spark(files: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with failing_after(0, monkeypatch), pytest.raises(DestinationError):
        convert(files.make_job())
    for part in files.out.glob("*.partial"):
        part.unlink()
    with pytest.raises(ConverterError) as caught:
        convert_here(files, resume=True)
    assert caught.value.code == "E-RESUME-ENGINE"


def test_input_that_tasks_cannot_share_is_refused(files: Run) -> None:
    origins = [RowOrigin("a query", 0, rereadable=True)]
    with pytest.raises(InputError) as caught:
        check_origins(origins)
    assert caught.value.code == "E-SPARK-INPUT"


def test_a_file_that_a_worker_does_not_see_is_named(files: Run) -> None:
    job = files.make_job()
    missing = SharedFile(0, str(files.folder / "other.csv"), {})
    with pytest.raises(InputError, match=r"other\.csv") as caught:
        open_files(job, Records(job, 1000), [missing])
    assert caught.value.code == "E-SPARK-INPUT"
    other = SharedFile(0, str(files.folder / "in" / "0.csv"), {"size": 1})
    with pytest.raises(InputError) as caught:
        open_files(job, Records(job, 1000), [other])
    assert caught.value.code == "E-INPUT-CHANGED"


def suppressing(run: Run) -> dict[str, Any]:
    """Return keys of a job whose list has two of the users of each file."""
    ids = "".join(f"user-{number}-{row}\n" for number in range(3) for row in (4, 44))
    return {**run.job["input"], "suppress": {"path": str(run.write(f"id\n{ids}", "list.csv")), "column": "id"}}


def test_rows_of_a_list_are_skipped_by_tasks(files: Run) -> None:
    files.job["input"] = suppressing(files)
    report = convert_here(files)
    assert report.records["skipped"] == {"suppressed": 6}
    assert len(files.lines) == 144
    assert not {line.partition("\t")[0] for line in files.lines} & {"user-0-4", "user-2-44"}


def test_a_list_that_is_too_long_to_be_sent_is_refused(files: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    files.job["input"] = suppressing(files)
    monkeypatch.setattr(suppressed, "_MOST", 5)
    with raises(JobError, "E-SPARK-UNSUPPORTED", "6 user IDs", "at most 5"):
        convert_here(files)
    assert files.files == []


def test_a_worker_that_makes_other_hashes_is_noticed() -> None:
    with raises(ConverterError, "E-SPARK-PACKAGE", "hashes", "polars"):
        check_hashes((1, 2))


@pytest.mark.parametrize(("most", "shares"), [(1, [[0], [1], [2]]), (1500, [[0, 1], [2]]), (1 << 20, [[0, 1, 2]])])
def test_files_are_gathered_in_order(files: Run, most: int, shares: list[list[int]]) -> None:
    sources = open_input(files.make_job()).sources
    found = [[file.number for file in share.files] for share in shared_out(sources, Sizes(most, 0), {})]
    assert found == shares


def test_a_file_whose_rows_lie_across_its_spans_becomes_one_share(files: Run) -> None:
    sources = open_input(files.make_job()).sources
    spans = {1: [Span(0, 9, 0), Span(9, 20, 2), Span(20, 30, 3)], 2: [Span(0, 50, 0)]}
    shares = list(shared_out(sources, Sizes(1 << 20, 0), spans))
    assert [[(file.number, file.span) for file in share.files] for share in shares] == [
        [(0, None)],
        *([(1, span)] for span in spans[1]),
        [(2, None)],
    ]
    whole, of_file = with_whole_files(shares, {1})
    assert [(share.partition, [file.number for file in share.files]) for share in whole] == [
        (0, [0]),
        (1, [1]),
        (4, [2]),
    ]
    assert of_file == [whole[1]]
    assert whole[1].files[0].span is None


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--engine", "flink"], "flink"), (["--master", "yarn"], "--engine")]
)
def test_options_that_do_not_fit_together_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(JobError, match=message) as caught:
        CliRunner().invoke(app_for(), ["convert", "job.toml", *arguments], catch_exceptions=False)
    assert caught.value.code == "E-USAGE"


def test_a_worker_with_another_key_is_noticed(files: Run, tmp_path: Path) -> None:
    def other(plan: Plan, on_wait: Callable[[], None]) -> Any:
        assignment = replace(assignment_of(plan, 1), key="0" * 40)
        stage(assignment, 0, 1, lambda records: {})

    files.job["output"]["compression"] = "pgp"
    with impostor(tmp_path) as gpg:
        files.job["pgp"] = {"key": gpg.key()}
        with pytest.raises(ResumeError) as caught:
            convert_here(files, other)
    assert caught.value.code == "E-RESUME-KEY"
