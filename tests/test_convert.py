"""Whole runs: the ledger, the report, the rejects, and runs that must not deliver."""

from __future__ import annotations

import errno
import gc
import gzip
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from converter import __version__, convert
from converter.errors import (
    DestinationError,
    EmptyInputError,
    InputError,
    JobError,
    LedgerError,
    TooManyRejectsError,
)
from converter.jobs.run_files import report_path
from converter.kernel.form import Form
from converter.ledger import Ledger
from converter.rows import blocks, pipeline
from converter.rows.fast_path import FastPath
from converter.sources.base import Block, Rest, Task
from converter.sources.delimited import DelimitedSource

from .conftest import TIMESTAMP, Run
from .errors import raises, told

ROWS = "id,a\n" + "".join(f"u{number},x\n" for number in range(100))


def test_the_report_says_what_was_read_written_and_rejected(run: Run) -> None:
    report = run.convert(ROWS + "a:b,x\n,x\nu,\n", output={"max_part_raw_bytes": "500B"})
    assert report.records == {
        "read": 103, "written": 100,
        "rejected": {"id_forbidden_character": 1, "id_missing": 1}, "skipped": {"no_signal": 1},
    }  # fmt: skip
    written = run.report
    assert written["schema_version"] == 5
    assert written["version"] == __version__
    assert written["records"] == report.records
    assert written["signals"] == {"written": 100, "dropped": {}, "changed": {}}
    assert written["input"] == [{"path": str(run.folder / "in.csv"), "bytes": (run.folder / "in.csv").stat().st_size}]
    assert written["job"]["output"]["dpid"] == 1234
    assert written["outcome"] == "done"
    assert written["seconds"] >= 0
    assert written["bytes_per_second"] > 0
    for part in written["parts"]:
        data = Path(part["url"]).read_bytes()
        assert part["name"] == Path(part["url"]).name
        assert part["bytes"] == len(data)
        assert part["sha256"] == hashlib.sha256(data).hexdigest()
        assert part["raw_bytes"] == len(gzip.decompress(data))
    assert sum(part["lines"] for part in written["parts"]) == 100
    assert json.loads(report.to_json()) == written


def test_rejects_name_file_line_rule_and_the_columns_of_the_job_masked(run: Run) -> None:
    content = 'id,a,secret\njohn.doe@example.com,"two\nlines",s\nu1,x,s\nUser:123,value,s\n,v,s\n'
    run.convert(content)
    at = {"file": str(run.folder / "in.csv"), "unit": "line"}
    assert run.rejects == [
        {**at, "row": 2, "rule": "id_is_email", "code": "I3", "columns": {"id": "jo…@…", "a": "tw…es"}},
        {**at, "row": 5, "rule": "id_forbidden_character", "code": "I6", "columns": {"id": "Us…23", "a": "v…"}},
        {**at, "row": 6, "rule": "id_missing", "code": "C1", "columns": {"id": "", "a": "…"}},
    ]


def test_rejects_of_several_typed_files_name_file_and_row(run: Run) -> None:
    for name in ("one", "two"):
        table = pl.DataFrame(
            {"id": ["a:b" if n % 40_000 == 39_999 else f"{name}{n}" for n in range(100_000)], "a": "x"}
        )
        table.write_parquet(run.folder / f"{name}.parquet", row_group_size=30_000)
    report = run.convert(input={"path": str(run.folder / "*.parquet")})
    rejected = {"id_forbidden_character": 4}
    assert report.records == {"read": 200_000, "written": 199_996, "rejected": rejected, "skipped": {}}
    assert {row["unit"] for row in run.rejects} == {"row"}
    assert [(Path(row["file"]).stem, row["row"]) for row in run.rejects] == [
        ("one", 40_000), ("one", 80_000), ("two", 40_000), ("two", 80_000),
    ]  # fmt: skip


def lose_a_row(original: Any) -> Any:
    """A reader that loses a row after it was counted."""

    def shorter(parse: Callable[[Form | None], Block], form: Form | None) -> Block:
        block = parse(form)
        lines = replace(block.lines, ends=block.lines.ends[1:]) if block.lines else None
        return block._replace(rest=Rest.of_frame(block.rest.frame().slice(1)), lines=lines)

    def tasks(*given: Any) -> Iterator[Task]:
        for task in original(*given):
            yield task._replace(parse=partial(shorter, task.parse))

    return tasks


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_row_lost_inside_the_reader_is_an_error_and_nothing_is_sent(
    run: Run, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(pipeline, "tasks_of", lose_a_row(pipeline.tasks_of))
    path = run.write(ROWS)
    if kind == "parquet":
        path = run.folder / "in.parquet"
        pl.read_csv(run.write(ROWS)).write_parquet(path)
    with raises(LedgerError, "E-LEDGER", path.name, "100 ", "99 "):
        run.convert(input={"path": str(path)})
    assert run.files == []


def test_a_ledger_that_does_not_add_up_is_an_error() -> None:
    ledger = Ledger(read=10, written=7)
    ledger.rejected["id_missing"] = 2
    ledger.skipped["no_signal"] = 3
    with raises(LedgerError, "E-LEDGER", "10 ", "7 ", "3 ", "2 rows"):
        ledger.check()
    (ledger + Ledger(read=2)).check()


def test_a_line_lost_where_rows_become_text_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    original = blocks.texts_of
    monkeypatch.setattr(blocks, "texts_of", lambda lines: original(lines.head(-1)))
    monkeypatch.setattr(FastPath, "text_of", lambda *_: original(pl.Series(["a line of some length\n"] * 99)))
    with raises(LedgerError, "E-LEDGER", "100 ", "99 ", "1 rows"):
        run.convert(ROWS)
    assert run.files == []


def test_lines_lost_on_their_way_into_the_parts_are_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from converter.parts.blocks import Cutter

    monkeypatch.setattr(Cutter, "finish", lambda cutter: iter(()))
    with raises(LedgerError, "E-LEDGER", "100 lines", " 0"):
        run.convert(ROWS)
    assert run.files == []


@pytest.mark.parametrize("most, published", [("10%", True), ("9%", False), (10, True), (9, False), ("0", False)])
def test_more_rejects_than_allowed_deliver_nothing_and_say_which_rule(run: Run, most: str, published: bool) -> None:
    content = "id,a\n" + "u,x\n" * 90 + ",x\n" * 10
    if published:
        assert run.convert(content, report={"max_rejects": most}).outcome == "done"
        return
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS", "100 rows", "10 rejected", "id_missing: 10") as raised:
        run.convert(content, report={"max_rejects": most})
    assert raised.value.exit_code == 3
    assert run.files == []
    assert run.report["outcome"] == "refused"
    assert run.report["parts"] == []
    assert len(run.rejects) == 10


@pytest.mark.parametrize(
    "content, code",
    [
        ("id,a\n", "E-NO-ROWS"),
        ("id,a\n\n\n", "E-NO-ROWS"),
        ("id,a\n,x\n", "E-NO-ROW-LEFT"),
        ("id,a\nshort\n", "E-NO-ROW-LEFT"),
    ],
)
def test_f31_c10_no_row_or_none_left_is_an_error_and_nothing_is_sent(run: Run, content: str, code: str) -> None:
    with raises(EmptyInputError, code):
        run.convert(content)
    assert run.files == []


def test_f26_an_input_that_changes_during_the_run_is_noticed(run: Run) -> None:
    path = run.write(ROWS)

    def append(_: object) -> None:
        with path.open("a") as file:
            file.write("late,x\n")

    with raises(InputError, "E-INPUT-CHANGED", str(path)):
        convert(run.make_job(), progress=append)
    assert run.files == []


def test_f36_one_timestamp_a_run_now_where_the_job_has_none(run: Run) -> None:
    before = int(time.time())
    report = run.convert(ROWS, output={"timestamp": None, "max_part_raw_bytes": "300B"})
    stamps = {int(part.name.split("_")[3].split(".")[0]) for part in report.parts}
    assert len(report.parts) > 1
    assert len(stamps) == 1
    assert before <= stamps.pop() <= time.time()


def test_n4_the_target_is_in_the_name(run: Run) -> None:
    report = run.convert(ROWS, output={"target": 77, "mode": "overwrite"})
    assert report.name == "ftp_dpm_1234_77_1366545717.overwrite"


def test_f35_nothing_personal_is_in_errors_reports_and_rejects(run: Run) -> None:
    planted = ["john.doe@example.com", "Doe: John", "+1 555 0100 200"]
    content = "id,a\n" + "".join(f'"{text}","{text}"\n' for text in planted[:2]) + f'u1,"{planted[2]}"\n"{planted[0]}\n'
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS") as raised:
        run.convert(content, report={"max_rejects": 0})
    said = str(raised.value) + json.dumps(run.report) + json.dumps(run.rejects, ensure_ascii=False)
    for text in planted:
        assert text not in said
    assert "example" not in said.replace('"examples"', "").replace('"skipped_examples"', "")


def test_f35_a_secret_from_the_environment_is_in_no_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = run.folder / "hush-hush"
    monkeypatch.setenv("SECRET_FOLDER", str(secret))
    run.convert(ROWS, output={"to": "${SECRET_FOLDER}"})
    assert run.report["job"]["output"]["to"] == "${SECRET_FOLDER}"
    assert "hush-hush" not in json.dumps(run.report)
    with raises(DestinationError, "E-NAME-TAKEN", "'${SECRET_FOLDER}'") as raised:
        run.convert(ROWS, output={"to": "${SECRET_FOLDER}"})
    assert "hush-hush" not in told(raised.value)


def test_100_000_rows_of_many_blocks_keep_their_order(run: Run) -> None:
    content = "id,a\n" + "".join(f"{number},{'y' * (number % 300)}x\n" for number in range(100_000))
    run.convert(content, output={"max_part_bytes": 300_000})
    assert [int(line.partition("\t")[0]) for line in run.lines] == list(range(100_000))
    assert all(part.stat().st_size <= 300_000 for part in run.out.iterdir())


def test_a_column_that_is_complete_at_first_and_not_later_is_written_rightly(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DelimitedSource.__init__.__kwdefaults__ or {}, "block", 1000)
    content = "id,a,b\n" + "".join(f"{n},x,{'' if n % 77 == 76 else 'y'}\n" for n in range(2000))
    report = run.convert(content, record={"signals": ["a", "b"]})
    assert run.lines == [f'{n}\t"a"="x"' + ("" if n % 77 == 76 else ',"b"="y"') for n in range(2000)]
    assert report.signals["dropped"] == {"value_missing": 25}


def test_memory_maps_and_descriptors_are_given_back(run: Run) -> None:
    def descriptors() -> int:
        gc.collect()  # what earlier tests have left in cycles
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    run.convert(ROWS, output={"timestamp": 1366545718})
    before = descriptors()
    for number in range(5):
        run.convert(gzip.compress(ROWS.encode()), "in.csv.gz", output={"timestamp": 1366545720 + number})
    assert descriptors() <= before + 1


def test_a_report_that_cannot_be_written_is_an_error_and_nothing_is_sent(run: Run) -> None:
    path = Path(report_path(run.make_job(), f"ftp_dpm_1234_{TIMESTAMP}.sync"))
    (path.with_name(f"{path.name}.partial") / "in the way").mkdir(parents=True)
    with raises(DestinationError, "E-REPORT-WRITE", path.name, os.strerror(errno.EISDIR)):
        run.convert(ROWS)
    assert run.files == []


def test_a_destination_of_a_scheme_that_is_not_known_is_an_error(run: Run) -> None:
    with raises(JobError, "E-TO-SCHEME", "gopher://"):
        run.convert(ROWS, output={"to": "gopher://somewhere/a"})
    with raises(JobError, "E-TO-SCHEME", "'file'?"):
        run.convert(ROWS, output={"to": "fil://somewhere/a"})


@pytest.mark.parametrize(
    "url, meant",
    [
        ("https://bucket.s3.eu-west-1.amazonaws.com/in/aam/", "'s3://bucket/in/aam'?"),
        ("https://s3-eu-west-1.amazonaws.com/bucket/in", "'s3://bucket/in'?"),
        ("https://my.bucket.s3.amazonaws.com", "'s3://my.bucket'?"),
        ("https://minio.example.com/bucket", "s3.endpoint_url"),
        ("s3a://bucket/in", "'s3'?"),
        ("scp://host/in", "'sftp'?"),
    ],
)
def test_urls_that_are_no_destinations_name_the_one_that_is_meant(run: Run, url: str, meant: str) -> None:
    with raises(JobError, "E-TO-SCHEME", f"'{url}'", meant):
        run.convert(ROWS, output={"to": url})


@pytest.mark.parametrize(
    "url, what", [("s3://", "bucket"), ("sftp:///inbound", "host"), ("ftp://user@:x/inbound", "host")]
)
def test_a_destination_without_a_host_is_an_error(run: Run, url: str, what: str) -> None:
    with raises(JobError, "E-TO-MALFORMED", what):
        run.convert(ROWS, output={"to": url})


def test_rejects_are_in_the_order_of_the_file_whatever_they_are_for(run: Run) -> None:
    content = "id,a\n" + "u,x\n" * 100 + "u:1,x\nshort\nu:2,x\n" + 'u,"x"y\n' + "u:3,x\n"
    run.convert(content)
    assert [reject["row"] for reject in run.rejects] == [102, 103, 104, 105, 106]


def test_files_with_odd_rows_and_without_come_out_in_their_order(run: Run) -> None:
    """Odd rows wait for those of neighbors, but never for those of another file."""
    kinds = ["u{n},x\n", " u{n} ,x\n", "u:{n},x\n", 'u{n},"x"y"\nu{n},z\n', "u{n},x\n é{n} ,y\n"]
    paths, expected, rejected = [], [], []
    for number in range(15):
        text = kinds[number % 5].format(n=number)
        paths.append(str(run.write("id,a\n" + text, f"{number:02}.csv")))
        expected += {
            0: [f"u{number}\tx"], 1: [f"u{number}\tx"], 2: [], 3: [f"u{number}\tz"], 4: [f"u{number}\tx", f"é{number}\ty"],
        }[number % 5]  # fmt: skip
        rejected += [(f"{number:02}", 2)] if number % 5 in (2, 3) else []
    run.convert(input={"path": paths})
    assert [line.replace('"a"="', "").rstrip('"') for line in run.lines] == expected
    assert [(Path(row["file"]).stem, row["row"]) for row in run.rejects] == rejected
