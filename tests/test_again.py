"""The rows that an earlier run rejected are converted again, and no others (`input.rejects_of`)."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from converter import Job, convert
from converter.cli.command import run as run_command
from converter.cli.outcome import Messages
from converter.commands import again
from converter.commands.estimate import estimate_outcome
from converter.commands.plan import plan
from converter.errors import ConverterError, InputError, JobError
from converter.report import Report
from converter.rows.chosen import Ranges
from converter.sources import texts
from converter.sources.delimited import DelimitedSource
from converter.sources.ndjson import NdjsonSource

from .conftest import TIMESTAMP, Run
from .errors import check_named, raises

CORRECTED = {"id": {"remove": ":"}, "output": {"timestamp": TIMESTAMP + 1}}
ROWS = 3000


def is_bad(number: int) -> bool:
    return number % 7 == 3


def table(rows: int = ROWS) -> pl.DataFrame:
    """Return rows of which one in seven is rejected, unless colons are removed."""
    ids = [f"u:{number}" if is_bad(number) else f"u{number}" for number in range(rows)]
    return pl.DataFrame({"id": ids, "a": [f'x, {number}\n"y"' if number % 3 else "x" for number in range(rows)]})


def again_of(run: Run, report: Report, /, **changes: Any) -> Report:
    """Convert the rejects of a run."""
    job = run.make_job(**{**CORRECTED, **changes})
    return convert(job, rejects_of=report.report_path)


def new_lines(run: Run, before: list[str]) -> list[str]:
    lines = run.lines
    for line in before:
        lines.remove(line)
    return lines


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "in.ndjson", "in.json", "in.parquet", "in.arrow"])
def test_the_rejected_rows_alone_are_converted_in_every_format(
    run: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in (DelimitedSource, NdjsonSource):
        monkeypatch.setitem(source.__init__.__kwdefaults__ or {}, "block", 5000)
    monkeypatch.setattr(texts, "WINDOW", 256)
    path, rows = run.folder / name, table()
    if name.endswith("parquet"):
        rows.write_parquet(path, row_group_size=500)
    elif name.endswith("arrow"):
        rows.write_ipc(path, record_batch_size=300)
    elif name == "in.json":
        path.write_text(json.dumps(rows.to_dicts(), indent=1))
    else:
        text = (rows.write_ndjson() if "json" in name else rows.write_csv()).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    run.job["input"]["path"] = str(path)
    first = convert(run.make_job())
    before = run.lines
    second = again_of(run, first)
    bad = sum(map(is_bad, range(ROWS)))
    assert first.records["rejected"] == {"id_forbidden_character": bad}
    assert second.records == first.records | {
        "written": bad, "rejected": {}, "skipped": {"not_rejected": ROWS - bad}
    }  # fmt: skip
    assert second.ids["changed"] == {"remove": bad}
    assert [line.split("\t")[0] for line in new_lines(run, before)] == [f"u{n}" for n in range(ROWS) if is_bad(n)]


def test_what_is_still_wrong_is_rejected_again_and_may_be_converted_a_third_time(run: Run) -> None:
    first = run.convert("id,a\nu1,x\nu:2,x\nu3,\nu:4@x.com,x\n")
    second = again_of(run, first, id={"remove": ":", "implausible": "allow"})
    assert second.records == {
        "read": 4, "written": 1, "rejected": {"id_is_email": 1}, "skipped": {"not_rejected": 2}
    }  # fmt: skip
    third = again_of(
        run,
        second,
        id={
            "remove": ":@.",
        },
        output={"timestamp": TIMESTAMP + 2},
    )
    assert third.records == {"read": 4, "written": 1, "rejected": {}, "skipped": {"not_rejected": 3}}
    assert sorted(run.lines) == ['u1\t"a"="x"', 'u2\t"a"="x"', 'u4xcom\t"a"="x"']


def test_several_files_and_small_ones_that_are_read_together(run: Run) -> None:
    folder = run.folder / "many"
    folder.mkdir()
    for number in range(20):
        bad = "u:5,x\n" * (number % 3)
        (folder / f"{number:02}.csv").write_text(f"id,a\nu{number},x\n{bad}v{number},x\n")
    run.job["input"]["path"] = str(folder)
    first = convert(run.make_job())
    second = again_of(run, first)
    assert second.records["written"] == first.records["rejected"]["id_forbidden_character"] == 19
    assert second.records["skipped"] == {"not_rejected": 40}


def test_rows_that_could_not_be_parsed_are_read_by_other_settings(run: Run) -> None:
    content = 'id,a\nu1,x\nu2,"y\nu3,z\nu4,"1 or 2" or\nu5,"v\n'
    first = run.convert(content)
    assert first.records["rejected"] == {"row_misquoted": 5 - first.records["written"]}
    before = run.lines
    second = again_of(run, first, input={"quote": "none"})
    assert second.records["written"] == 5 - len(before)
    assert second.records["skipped"] == {"not_rejected": len(before)}
    assert sorted(line.split("\t")[0] for line in run.lines) == ["u1", "u2", "u3", "u4", "u5"]


def test_all_lines_of_a_row_that_could_not_be_parsed_are_read(run: Run) -> None:
    first = run.convert(b"id,a\r\nu1,x\r\nu2,y\nz,z\r\nu3,x\r\n", report={"max_rejects": "100%"})
    (reject,) = run.rejects
    assert (reject["rule"], reject["row"], reject["lines"]) == ("row_torn", 3, 2)
    assert first.rejects()["lines"].to_list() == [2]
    path = first.rejects_path or ""
    ranges = again._ranges(path, Path(path).read_bytes(), [again._Input(reject["file"], source_of(run))], 1)
    assert [each.tolist() for each in ranges[reject["file"]][:2]] == [[3], [5]]


def source_of(run: Run) -> Any:
    (source,) = plan(run.make_job(output={"timestamp": TIMESTAMP + 5})).sources
    return source


def test_where_rows_begin_elsewhere_nothing_is_published(run: Run) -> None:
    first = run.convert("id,a\nu1,'x\nu:2,y\nu3,z'\n")
    files = run.files
    with raises(InputError, "E-REJECTS-ROWS", "1 of"):
        again_of(run, first, input={"quote": "'"})
    assert run.files == files
    quoted = run.convert('id,a\nu1,"x\ny"\nu:2,y\n', output={"timestamp": TIMESTAMP + 3})
    with raises(JobError, "E-REJECTS-OF", "input.quote", "line breaks"):
        again_of(run, quoted, input={"quote": "none"})


@pytest.mark.parametrize("threads", [1, 4])
def test_it_works_with_filters_lists_routes_and_two_passes(run: Run, threads: int) -> None:
    run.write("id\nu2\n", "list.csv")
    uuid = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    ids = ["u1", "u:2", "u:3", "u:4", uuid, "u:5"]
    run.write("id,a\n" + "".join(f"{id_},{number}\n" for number, id_ in enumerate(ids)))
    first = convert(run.make_job(run={"threads": threads}))
    second = again_of(
        run,
        first,
        run={"threads": threads},
        input={"filter": "a <> '2'", "suppress": {"path": str(run.folder / "list.csv"), "column": "id"}},
        id={"remove": ":", "case_collisions": "reject"},
    )
    skipped = {"filtered_out": 1, "not_rejected": 2, "suppressed": 1}
    assert second.records == {"read": 6, "written": 2, "rejected": {}, "skipped": skipped}


def test_rows_of_routes_keep_their_files(run: Run) -> None:
    run.job["id"]["type"] = "auto"
    run.job["output"] = {"to": str(run.out), "route": {"crm": 1234, "gaid": {"target": 1234}}, "timestamp": TIMESTAMP}
    uuid = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    rows = f'id,a\nu1,x\nu2,"x""y"\n{uuid},"x""y"\n{uuid},x\n'
    first = run.convert(rows, record={"on_bad_value": "reject"})
    second = convert(run.make_job(output={"timestamp": TIMESTAMP + 1}), rejects_of=first.report_path)
    assert second.ids["types"] == {"crm": 1, "gaid": 1}
    assert second.records == {"read": 4, "written": 2, "rejected": {}, "skipped": {"not_rejected": 2}}


def test_synchronization_files_are_made_of_rejects_too(run: Run) -> None:
    device = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeee"
    run.write("gaid,crm\n" + "".join(f"{device}{n},{'u:' if n % 2 else 'u'}{n}\n" for n in range(6)))
    columns = [{"column": "gaid", "type": "gaid"}, {"column": "crm", "type": "crm", "dpid": 7}]
    base = {"input": run.job["input"], "report": run.job["report"]}
    output = {"to": str(run.out), "kind": "id-sync", "timestamp": TIMESTAMP}
    first = convert(Job(**base, output=output, sync={"columns": columns}))
    columns[1]["remove"] = ":"
    later = {**output, "timestamp": TIMESTAMP + 1}
    second = convert(Job(**base, output=later, sync={"columns": columns}), rejects_of=first.report_path)
    assert second.records == {"read": 6, "written": 3, "rejected": {}, "skipped": {"not_rejected": 3}}
    assert len(run.lines) == 6


def test_it_can_be_resumed_and_has_names_of_its_own(run: Run) -> None:
    first = run.convert("id,a\nu1,x\nu:2,x\n")
    job = run.make_job(**CORRECTED)
    second = convert(job, rejects_of=first.report_path)
    assert convert(job, rejects_of=first.report_path, resume=True).outcome == "nothing to do"
    assert convert(run.make_job(), resume=True).outcome == "nothing to do"
    names = [Path(path or "").name for each in (first, second) for path in (each.report_path, each.rejects_path)]
    assert len(set(names)) == 4


def test_a_dry_run_says_what_becomes_of_them(run: Run) -> None:
    first = run.convert("id,a\nu1,x\nu:2,x\nu:3@x.de,x\n")
    job = run.make_job(**CORRECTED, input={"rejects_of": first.report_path})
    estimate = estimate_outcome(plan(job))
    assert (estimate.is_whole, estimate.ledger.written, dict(estimate.ledger.rejected)) == (True, 1, {"id_is_email": 1})
    assert plan(job).preview().height == 0


def test_the_command(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    first = run.convert("id,a\nu1,x\nu:2,x\n")
    report = os.path.relpath(first.report_path or "", run.folder)
    monkeypatch.chdir(run.folder)
    flags = ["--id", "id", "--signal", "a", "--to", "out", "--dpid", "1234", "--set", 'id.remove=":"']
    assert run_command(["convert", "in.csv", *flags, "--rejects-of", report], Messages.of([])) == 0
    check_named(capsys.readouterr().out, "1  skipped: not_rejected")


# --- what is refused ----------------------------------------------------------------------------------------------


def edited(report: Report, **changes: Any) -> None:
    path = Path(report.report_path or "")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


@pytest.fixture
def rejected(run: Run) -> Report:
    """Return the report of a run with a reject."""
    return run.convert("id,a\nu1,x\nu:2,x\n")


def test_another_input_is_named_with_what_changed(run: Run, rejected: Report) -> None:
    path = run.write("id,a\nu1,x\nu:2,x\nu3,x\n")
    with raises(InputError, "E-REJECTS-INPUT", f"'{path}' has 21 bytes, not 16"):
        again_of(run, rejected)
    run.write("id,a\nu1,x\nu:2,x\n")
    os.utime(path, ns=(1, 1))
    with raises(InputError, "E-REJECTS-INPUT", str(path), "written"):
        again_of(run, rejected)
    other = run.write("id,a\nu1,x\nu:2,x\n", "other.csv")
    with raises(InputError, "E-REJECTS-INPUT", str(path), str(other)):
        again_of(run, rejected, input={"path": str(other)})


def test_an_input_that_can_be_read_once_has_no_rejects_to_convert(run: Run, rejected: Report) -> None:
    edited(rejected, fingerprints=[])
    with raises(InputError, "E-REJECTS-INPUT", "pipe"):
        again_of(run, rejected)


def test_a_capped_rejects_file_is_refused(run: Run) -> None:
    first = run.convert("id,a\nu1,x\nu:2,x\nu:3,x\n", report={"rejects_file_rows": 1})
    with raises(InputError, "E-REJECTS-CAPPED", "all 2 rows", "rejects_file_rows"):
        again_of(run, first)


DAMAGED = ((b'{"file":"x"', -9), (b"[1\n", None), (b"", None))


@pytest.mark.parametrize(
    "content", [None, b"junk", *(gzip.compress(text, mtime=0)[:end] for text, end in DAMAGED)], ids=range(5)
)
def test_a_missing_or_damaged_rejects_file_is_refused(run: Run, rejected: Report, content: bytes | None) -> None:
    path = Path(rejected.rejects_path or "")
    path.write_bytes(content) if content is not None else path.unlink()
    with raises(InputError, "E-REJECTS-READ", path.name):
        again_of(run, rejected)


def test_rejects_of_an_unknown_file_or_counted_otherwise_are_refused(run: Run, rejected: Report) -> None:
    path = Path(rejected.rejects_path or "")
    (reject,) = run.rejects
    path.write_bytes(gzip.compress(json.dumps({**reject, "file": "other.csv"}).encode()))
    with raises(InputError, "E-REJECTS-READ"):
        again_of(run, rejected)
    path.write_bytes(gzip.compress(json.dumps({**reject, "unit": "row"}).encode()))
    with raises(InputError, "E-REJECTS-ROWS", "row", "line"):
        again_of(run, rejected)


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"schema_version": 1}, "version 1"),
        ({"outcome": "refused"}, "refused"),
        ({"job_path": "/other/job.toml", "name": "ftp_dpm_99_1366545717.sync"}, "another job ('/other/job.toml')"),
        ({"name": "ftp_dpm_99_1366545717.sync"}, "another job"),
        ({"name": "send_1366545717"}, "is damaged"),
        ({"job": {}}, "is damaged"),
        ({"records": {"rejected": {}}}, "rejected no row"),
    ],
)
def test_a_report_that_cannot_be_used_is_refused(
    run: Run, rejected: Report, changes: dict[str, Any], named: str
) -> None:
    edited(rejected, **changes)
    with raises(JobError, "E-REJECTS-OF", named):
        again_of(run, rejected)


def test_rejected_rows_of_gathered_users_do_not_replace_the_others(run: Run) -> None:
    run.job["record"]["rows"] = "signal"
    first = run.convert("id,a\nu1,x\nu:2,x\nu:2,y\n", output={"mode": "overwrite"})
    with raises(JobError, "E-REJECTS-OF", "'overwrite'"):
        again_of(run, first, output={"mode": "overwrite", "timestamp": TIMESTAMP + 1})
    first = run.convert("id,a\nu1,x\nu:2,x\nu:2,y\n", output={"dpid": 7})
    second = again_of(run, first, output={"dpid": 7, "timestamp": TIMESTAMP + 1})
    assert second.records["written"] == 2
    assert (second.records["users"], second.records["skipped"]) == (1, {"not_rejected": 1})


def test_a_state_knows_no_rejects(run: Run, rejected: Report) -> None:
    with raises(JobError, "E-REJECTS-OF", "delta.state"):
        again_of(run, rejected, delta={"state": str(run.folder / "state")})


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_what_is_no_report_is_refused(run: Run, rejected: Report, content: str | None) -> None:
    path = Path(rejected.report_path or "")
    path.unlink() if content is None else path.write_text(content)
    with raises(ConverterError, "E-REJECTS-OF", path.name):
        again_of(run, rejected)


def test_the_rejects_are_found_beside_the_report_wherever_that_is(run: Run, rejected: Report) -> None:
    folder = run.folder / "moved"
    folder.mkdir()
    moved = [
        Path(path or "").rename(folder / Path(path or "").name)
        for path in (rejected.report_path, rejected.rejects_path)
    ]
    assert convert(run.make_job(**CORRECTED), rejects_of=moved[0]).records["written"] == 1


def test_ranges_end_where_the_next_one_begins() -> None:
    ranges = Ranges.of(np.array([7, 3, 4]), np.array([0, 5, 2]))
    assert ranges.contain(np.arange(1, 10)).tolist() == [False, False, True, True, True, False, True, False, False]
    assert ranges.found.all()
    assert Ranges.of(np.array([3]), np.array([2])).contain(np.array([4])).tolist() == [True]
