"""Rows whose user ID is in a list are skipped: the list is normalized as the IDs of the job, and held exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from converter import InputError, Job, JobError, convert
from converter.commands.estimate import estimate_outcome
from converter.commands.plan import plan
from converter.errors import ColumnError, DestinationError, ResumeError
from converter.rows.spill_file import SpillFile
from converter.rows.suppression import Held, Pairs, Suppression, hashes_of_ids

from .conftest import TIMESTAMP, Run
from .errors import raises

ROWS = "id,a\nu1,x\nU2,y\nu3,z\nbad:1,x\nu5,\n"


def listed(run: Run, content: str | bytes, name: str = "list.csv", **options: Any) -> dict[str, Any]:
    return {"suppress": {"path": str(run.write(content, name)), "column": "id", **options}}


def test_rows_of_the_list_are_skipped_and_counted(run: Run) -> None:
    report = run.convert(ROWS, input=listed(run, "why,id\nx,u3\ny,u5\nz,u9\n"))
    assert run.lines == ['u1\t"a"="x"', 'U2\t"a"="y"']
    assert report.records["skipped"] == {"suppressed": 2}
    assert report.records["rejected"] == {"id_forbidden_character": 1}
    assert [row["row"] for row in run.rejects] == [5]
    assert report.warnings == []


def test_ids_of_the_list_are_normalized_as_those_of_the_job(run: Run) -> None:
    given: dict[str, Any] = {"id": {"case": "upper", "cut_prefix": "u", "pad": 4, "prefix": "X-"}}
    run.convert(ROWS, input=listed(run, "id\n u3\u200b\nu002\n"), **given)
    assert [line.partition("\t")[0] for line in run.lines] == ["X-0001", "X-00U2"]


def test_hashed_addresses_are_compared_by_their_hashes(run: Run) -> None:
    run.convert(
        "id,a\nann@example.com,x\nbob@example.com,y\n",
        input=listed(run, "mail\n ANN@example.com\n", column="mail"),
        id={"type": "hashed_email", "hash": "sha256"},
    )
    assert [line[-5:] for line in run.lines] == ['"="y"']


def test_the_list_may_be_of_any_format_and_several_files(run: Run) -> None:
    pl.DataFrame({"user": ["u1"], "ok": [False]}).write_parquet(run.folder / "list-1.parquet")
    pl.DataFrame({"user": ["U2", "u3"], "ok": [False, True]}).write_parquet(run.folder / "list-2.parquet")
    path = str(run.folder / "list-*.parquet")
    report = run.convert(ROWS, input={"suppress": {"path": path, "column": "user", "filter": "NOT ok"}})
    assert run.lines == ['u3\t"a"="z"']
    assert report.records["skipped"] == {"suppressed": 2, "no_signal": 1}


def test_a_condition_comes_before_the_list(run: Run) -> None:
    report = run.convert(ROWS, input={"filter": "a <> 'z'", **listed(run, "id\nu1\nu3\n")})
    assert run.lines == ['U2\t"a"="y"']
    assert report.records["skipped"] == {"suppressed": 1, "filtered_out": 1, "filter_unknown": 1}


def test_rows_of_the_list_without_a_valid_id_are_told(run: Run) -> None:
    report = run.convert(ROWS, input=listed(run, "id\nu1\n\nbad:1\nann@example.com\n"))
    assert [finding.code for finding in report.warnings] == ["W-SUPPRESS-INVALID"]
    assert all(word in report.warnings[0].message for word in ("2 of 3 ", "id_is_email", "id_forbidden_character"))
    with raises(InputError, "E-SUPPRESS-INVALID", "id_is_email", "input.suppress.column"):
        run.convert(input=listed(run, "id\nann@example.com\n"), output={"timestamp": TIMESTAMP + 1})


def test_a_list_that_suppresses_nothing_is_told(run: Run) -> None:
    report = run.convert(ROWS, input=listed(run, "id\nX1\nX2\n"))
    assert [finding.code for finding in report.warnings] == ["W-SUPPRESS-UNUSED"]
    empty = run.convert(input=listed(run, "id\n"), output={"timestamp": TIMESTAMP + 1})  # nobody has opted out
    assert empty.warnings == []


def test_wrong_lists_are_errors(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with raises(ColumnError, "E-COLUMN-MISSING", "'ident'", "'id'"):
        run.convert(ROWS, input=listed(run, "id\nu1\n", column="ident"))
    with raises(InputError, "E-INPUT-MISSING", "nowhere.csv"):
        run.convert(ROWS, input={"suppress": {"path": str(tmp_path / "nowhere.csv"), "column": "id"}})
    with raises(JobError, "E-JOB-INVALID", "input.suppress.column"):
        run.make_job(input={"suppress": {"path": "list.csv"}})
    with raises(JobError, "E-JOB-INVALID", "input.suppress.colum "):
        run.make_job(input={"suppress": {"path": "list.csv", "column": "id", "colum": "x"}})
    assert run.files == []


def test_a_list_that_does_not_fit_into_memory_is_kept_in_a_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Held] = []
    real = Suppression.__init__
    monkeypatch.setattr(
        Suppression, "__init__", lambda self, held, *others: (made.append(held), real(self, held, *others))[1]
    )
    listed_ids = "id\n" + "".join(f"u{number % 30_000}\n" for number in range(40_000))
    rows = "id,a\n" + "".join(f"u{number},x\n" for number in range(0, 60_000, 3))
    lines = []
    for number, memory in enumerate(("1MB", "100MB")):
        options = {"input": listed(run, listed_ids), "run": {"memory": memory}}
        report = run.convert(rows, **options, output={"timestamp": TIMESTAMP + number, "to": str(run.folder / memory)})
        assert report.records["skipped"] == {"suppressed": 10_000}
        lines.append(report.records["written"])
    assert lines == [10_000, 10_000]
    assert [len(held) for held in made] == [30_000, 30_000]
    assert [isinstance(held.where, SpillFile) for held in made] == [True, False]


def test_a_list_that_does_not_fit_on_disk_is_an_error(run: Run) -> None:
    listed_ids = "id\n" + "".join(f"u{number}\n" for number in range(40_000))
    missing = str(run.folder / "nowhere")
    with raises(DestinationError, "E-SPILL-WRITE", missing, "run.spill_dir"):
        run.convert(ROWS, input=listed(run, listed_ids), run={"memory": "1MB", "spill_dir": missing})


def test_an_id_of_a_synchronization_file_is_chosen(fresh_run: Callable[[], Run]) -> None:
    crm = [{"column": "a", "type": "uuid"}, {"column": "b", "type": "crm", "dpid": 5, "case": "lower"}]
    rows = "a,b\n" + "".join(f"{n:038},C{n}\n" for n in range(4))
    for column, value, left in (("", f"{2:038}", [0, 1, 3]), ("b", "c3", [0, 1, 2]), ("a", f"{1:038}", [0, 2, 3])):
        run = fresh_run()
        run.write(rows)
        job = Job(
            input={"path": str(run.folder / "in.csv"), **listed(run, f"id\n{value}\n", sync_column=column)},
            sync={"columns": crm},
            output={"to": str(run.out), "kind": "id-sync"},
            report={"dir": str(run.folder / "reports")},
        )
        convert(job)
        assert [line[-2:] for line in run.lines] == [f"c{n}" for n in left]
    with raises(JobError, "E-JOB-INVALID", "'c'"):
        convert(_with_column(job, "c"))


def _with_column(job: Job, column: str) -> Job:
    suppress = job.input.suppress
    assert suppress is not None
    options = job.input.model_copy(update={"suppress": suppress.model_copy(update={"sync_column": column})})
    return job.model_copy(update={"input": options})


def test_gathered_addresses_are_suppressed(run: Run) -> None:
    rows = "c,m\n" + "".join(f"C{n % 3},u{n}@example.com\n" for n in range(9))
    hashed = {"column": "m", "type": "hashed_email", "hash": "sha256", "dpid": 6}
    run.write(rows)
    job = Job(
        input={"path": str(run.folder / "in.csv"), **listed(run, "id\nC1\n")},
        sync={"columns": [{"column": "c", "type": "crm", "dpid": 5}, hashed]},
        output={"to": str(run.out), "kind": "c2c-id-sync"},
        report={"dir": str(run.folder / "reports")},
    )
    report = convert(job)
    assert sorted(line[:2] for line in run.lines) == ["C0", "C2"]
    assert report.records == {"read": 9, "written": 6, "rejected": {}, "skipped": {"suppressed": 3}}


def test_paths_of_lists_are_relative_to_the_job_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.folder / "jobs").mkdir()
    (run.folder / "jobs" / "list.csv").write_text("id\nu1\n")
    monkeypatch.setenv("AAM_LIST", "list")
    (run.folder / "jobs" / "job.toml").write_text(
        '[input]\npath = "../in.csv"\n[input.suppress]\npath = "${AAM_LIST}.csv"\ncolumn = "id"\n[id]\ncolumn = "id"\n'
        '[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1\n'
    )
    run.write("id,a\nu1,x\nu2,y\n")
    monkeypatch.chdir(run.folder)
    report = convert("jobs/job.toml")
    assert report.records["skipped"] == {"suppressed": 1}
    assert (
        Job.load("jobs/job.toml").digest != Job.load("jobs/job.toml", {"input": {"suppress": {"column": "x"}}}).digest
    )


def test_a_changed_list_is_a_changed_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.write(ROWS)
    options = listed(run, "id\nu1\n")
    assert run.convert(input=options).outcome == "done"
    again = convert(run.make_job(input=options), resume=True)
    assert again.outcome == "nothing to do"
    assert [Path(each["path"]).name for each in again.input] == ["in.csv"]
    listed(run, "id\nu1\nu3\n")
    job = run.make_job(input=options, output={"to": str(run.folder / "out"), "timestamp": None, "dpid": 1234})
    monkeypatch.setattr("converter.commands.conversion.publish_run", _stop)
    with pytest.raises(KeyboardInterrupt):
        convert(job)
    monkeypatch.undo()
    listed(run, "id\nu1\nU2\nu3\n")
    with raises(ResumeError, "E-RESUME-INPUT"):
        convert(job, resume=True)


def _stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_dry_run_counts_suppressed_rows(run: Run) -> None:
    run.write(ROWS)
    planned = plan(run.make_job(input=listed(run, "id\nu1\n")))
    assert estimate_outcome(planned).ledger.skipped == {"suppressed": 1, "no_signal": 1}
    assert 'u1\t"a"="x"\n' not in planned.preview(5)["line"].to_list()


def held_in(where: str, pairs: Pairs) -> Suppression:
    if where == "memory":
        return Suppression(Held(pairs, 1 << 30), 0, [])
    file = SpillFile()
    file.append(memoryview(pairs.tobytes()))
    return Suppression(Held(file, 1 << 30 if where == "file" else 1), 0, [])


PLACES = pytest.mark.parametrize("where", ["memory", "file", "file with a small table"])


@PLACES
def test_ids_with_equal_first_hashes_are_told_apart(where: str) -> None:
    last = (1 << 64) - 1
    pairs = np.array([[7, 3], [7, 1], [7, 2], [1 << 63, 5], [last, 6]], np.uint64)
    held = held_in(where, pairs)
    first = np.array([7, 7, 7, 8, 1 << 63, 1 << 63, last, last, 7], np.uint64)
    second = np.array([2, 4, 3, 3, 5, 6, 6, 7, 1], np.uint64)
    assert held.contains(first, second).tolist() == [0, 2, 4, 6, 8]
    assert held_in(where, pairs[:0]).contains(first, second).tolist() == []


@PLACES
def test_many_ids_are_found_as_a_set_finds_them(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converter.rows.suppression._READ_PAGES", 7)
    monkeypatch.setattr("converter.rows.suppression._AT_ONCE", 1_000)
    generator = np.random.default_rng(1)
    known, asked = generator.integers(0, 1 << 40, 20_000), generator.integers(0, 1 << 40, 50_000)
    asked[::7] = generator.choice(known, len(asked[::7]))
    known_ids, asked_ids = (pl.DataFrame({"id0": [f"{n:x}" for n in each]}) for each in (known, asked))
    pairs = known_ids.select(hashes_of_ids()).unique().sort("hash0").to_numpy(order="c")
    hashes = asked_ids.select(hashes_of_ids())
    found = held_in(where, pairs).contains(hashes["hash0"].to_numpy(), hashes["hash1"].to_numpy())
    assert found.tolist() == np.flatnonzero(np.isin(asked, known)).tolist()
