"""What `--dry-run` shows of a sample of the rows, and warnings, which come before anything is published."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from converter import Job, convert
from converter.cli.command import run as run_command
from converter.cli.outcome import Messages
from converter.cli.preview import as_dict, preview_of, show
from converter.commands.estimate import Estimate, estimate_outcome
from converter.commands.plan import plan
from converter.errors import Finding, StrictError
from converter.jobs.document import merge
from converter.sources import sample

from .conftest import Run
from .errors import check_named, codes_of, raises

ROWS = 60_000
ALL = {"report": {"max_rejects": "100%"}}


def rows_of(bad: Callable[[int], bool], count: int = ROWS) -> pl.DataFrame:
    """Return a table in which some rows break a rule, by their number."""
    return pl.DataFrame(
        {
            "id": [f"u:{n}" if bad(n) else f"u{n:06}" for n in range(count)],
            "a": [f'x, {n % 7}\n"y"' for n in range(count)],
        }
    )


WRITERS: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    "in.csv": lambda table, path: table.write_csv(path),
    "in.ndjson": lambda table, path: table.write_ndjson(path),
    "in.parquet": lambda table, path: table.write_parquet(path, row_group_size=25_000),
    "one.parquet": lambda table, path: table.write_parquet(path, row_group_size=1_000_000),
    "small.parquet": lambda table, path: table.write_parquet(path, row_group_size=500),
    "in.arrow": lambda table, path: table.write_ipc(path, record_batch_size=700),
    "one.arrow": lambda table, path: table.write_ipc(path),
}


@pytest.fixture
def estimated(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Estimate]:
    """Return what an input, whose size counts as large, is estimated to come to."""
    monkeypatch.setattr(sample, "_WHOLE_BYTES", 1)
    monkeypatch.setattr(sample, "_BLOCK", 1 << 12)
    monkeypatch.setattr(sample, "_WINDOW", 1 << 10)
    monkeypatch.setattr(sample, "FIRST_BYTES", 1 << 12)

    def estimate(name: str, table: pl.DataFrame, least: int = 10_000) -> Estimate:
        WRITERS[name](table, run.folder / name)
        return estimate_outcome(plan(run.make_job(input={"path": str(run.folder / name)})), least)

    return estimate


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "bad, least, most",
    [
        (lambda n: n < 3000, 0.2, 0.34),  # the first rows
        (lambda n: n >= ROWS - 3000, 0.2, 0.34),  # the last ones
        (lambda n: abs(n - ROWS // 2) < 3000, 0.2, 0.34),
        (lambda n: n % 2 == 1, 0.45, 0.55),
        (lambda n: False, 0, 0),
    ],
    ids=["first", "last", "middle", "half", "none"],
)
def test_the_first_middle_and_last_rows_are_judged(
    estimated: Callable[..., Estimate], name: str, bad: Callable[[int], bool], least: float, most: float
) -> None:
    found = estimated(name, rows_of(bad))
    assert least <= found.rejected <= most
    assert not found.is_whole
    assert 10_000 <= found.ledger.read < ROWS / 2
    assert found.rows is not None
    assert abs(found.rows - ROWS) < ROWS * 0.1
    assert set(found.ledger.rejected) <= {"id_forbidden_character"}  # none is cut at its start or end


@pytest.mark.parametrize("name", WRITERS)
def test_a_small_input_is_judged_as_a_whole(
    estimated: Callable[..., Estimate], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_WHOLE_BYTES", 1 << 20)
    found = estimated(name, rows_of(lambda n: n % 4 == 0, 2000))
    assert (found.is_whole, found.rows, found.ledger.read) == (True, 2000, 2000)
    assert found.ledger.rejected == {"id_forbidden_character": 500}
    assert (found.rejected, found.skipped) == (0.25, 0)


@pytest.mark.parametrize("start, end", [(0, 0.2), (0.3, 0.6), (0.8, 1)])
def test_of_a_compressed_text_too_rows_at_three_places_are_judged(
    run: Run, monkeypatch: pytest.MonkeyPatch, start: float, end: float
) -> None:
    monkeypatch.setattr(sample, "_WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(sample, "_BLOCK", 1 << 16)
    draw, wrong = random.Random(1), range(round(start * ROWS), round(end * ROWS))
    rows = (f"u{':' * (number in wrong)}{number},{draw.randbytes(50).hex()}\n" for number in range(ROWS))
    path = run.folder / "in.csv.gz"
    path.write_bytes(gzip.compress(("id,a\n" + "".join(rows)).encode()))
    found = estimate_outcome(plan(run.make_job(input={"path": str(path)})), 2_000)
    assert (found.beginnings, found.is_whole) == ([], False)
    assert 2_000 <= found.ledger.read < ROWS // 2
    assert 0.2 < found.rejected < 0.6
    assert found.rows is not None
    assert abs(found.rows - ROWS) < ROWS * 0.1
    assert set(found.ledger.rejected) <= {"id_forbidden_character"}  # none is cut at its start or end


def test_of_a_very_large_compressed_text_the_first_rows_are_judged(
    run: Run, estimated: Callable[..., Estimate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_MOST_UNPACKED", 1000)
    path = run.folder / "in.csv.gz"
    path.write_bytes(gzip.compress(rows_of(lambda n: n < 15_000).write_csv().encode()))
    found = estimate_outcome(plan(run.make_job(input={"path": str(path)})))
    assert (found.beginnings, found.is_whole) == ([str(path)], False)
    assert 10_000 <= found.ledger.read < ROWS
    assert found.rejected > 0.9


def test_a_small_compressed_text_is_judged_as_a_whole(run: Run) -> None:
    path = run.folder / "in.csv.gz"
    path.write_bytes(gzip.compress(b"id,a\nu1,x\nu:2,x\n"))
    found = estimate_outcome(plan(run.make_job(input={"path": str(path)})))
    assert (found.is_whole, found.rows, found.rejected) == (True, 2, 0.5)


def test_of_many_inputs_some_are_judged_and_count_by_their_size(
    run: Run, estimated: Callable[..., Estimate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_MOST_INPUTS", 5)
    for number in range(9):
        rows_of(lambda n: number == 8, 30_000 if number == 8 else 1000).write_csv(run.folder / f"in{number}.csv")  # noqa: B023
    found = estimate_outcome(plan(run.make_job(input={"path": str(run.folder / "in*.csv")})))
    assert (found.inputs, found.is_whole) == (5, False)
    assert found.rejected > 0.8


def dry_run(run: Run, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    flags = ["--id", "id", "--signal", "a", "--dpid", "1234", "--to", str(run.out)]
    code = run_command(["convert", str(run.folder / "in.csv"), *flags, *more], Messages.of(more))
    return (code, *capsys.readouterr())


def test_a_table_with_half_of_its_ids_bad_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.write("id,a\n" + "".join(f"u{n},x\n" if n < 100 else f"j{n}@x.com,x\nu{n},\n" for n in range(200)))
    code, out, error = dry_run(run, capsys, "--dry-run")
    assert code == 3
    assert error.startswith("Error [E-TOO-MANY-REJECTS]: ")
    check_named(error, "33.3%", " 300 ", " 10% ", "id_is_email: 100 in column 'id'", "--dry-run")
    lines = {line.strip() for line in out.splitlines()}
    assert {"33.3%  written", "33.3%  rejected: id_is_email in column 'id'", "33.3%  skipped: no_signal"} <= lines
    assert run.files == []
    assert not (run.folder / "reports").exists()
    code, _, error = dry_run(run, capsys, "--dry-run", "--max-rejects", "50%")
    assert (code, error) == (0, "")
    assert dry_run(run, capsys, "--dry-run", "--max-rejects", "99")[0] == 3
    assert dry_run(run, capsys, "--dry-run", "--max-rejects", "100")[0] == 0


def test_the_estimate_is_in_the_object_as_well(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.write("id,a\nu1,x\n:,x\n,4111 1111 1111 1111\nu2,4111 1111 1111 1111\n")
    code, out, _ = dry_run(run, capsys, "--dry-run", "--json")
    told = json.loads(out)
    assert (code, told["exit_code"], told["outcome"], told["error"]["code"]) == (3, 3, "refused", "E-TOO-MANY-REJECTS")
    estimate = told["estimate"]
    assert (estimate["whole"], estimate["rows"], estimate["sampled"], estimate["rejected_share"]) == (True, 4, 4, 0.75)
    assert estimate["causes"] == [
        {"rule": "id_forbidden_character", "column": "id", "kind": "", "rows": 1},
        {"rule": "id_missing", "column": "id", "kind": "", "rows": 1},
        {"rule": "value_personal", "column": "a", "kind": "card", "rows": 1},
    ]


# --- warnings ---------------------------------------------------------------------------------------------------


def test_warnings_come_before_anything_is_published(run: Run) -> None:
    run.write("id,a\nu-1,x\n")
    told: list[tuple[str, bool]] = []

    def warn(findings: Any) -> None:
        told.extend((each.code, any(name.endswith(".gz") for name in run.files)) for each in findings)

    report = convert(run.make_job(id={"type": "maid"}), warn=warn)
    assert told == [("W-ID-TYPE-SOURCE", False), ("W-ID-WITH-HYPHEN", False)]
    assert codes_of(report.warnings) == [code for code, _ in told]


def test_strict_makes_warnings_errors(run: Run) -> None:
    run.write("id,a\nu-1,x\nu2,x\n")
    told: list[Finding] = []
    with raises(StrictError, "E-STRICT", "W-ID-TYPE-SOURCE") as raised:
        convert(run.make_job(id={"type": "maid"}), warn=told.extend, strict=True)
    assert raised.value.exit_code == 3
    # One that is known at the end alone is one as well.
    own = {"id": {"type": "maid"}, "output": {"dpid": 389146, "target": 1}}
    with raises(StrictError, "E-STRICT", "W-ID-WITH-HYPHEN"):
        convert(run.make_job(**own), warn=told.extend, strict=True)
    assert codes_of(told) == ["W-ID-TYPE-SOURCE", "W-ID-WITH-HYPHEN"]
    assert run.files == []
    run.write("id,a\nu2,x\n")
    assert convert(run.make_job(**own), strict=True).outcome == "done"


MAID = ("--id-type", "maid", "--report-dir")


@pytest.mark.parametrize("more", [(), ("--progress", "off"), ("--progress", "json"), ("--dry-run",), ("--json",)])
def test_warnings_are_on_standard_error_once(
    run: Run, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    run.write("id,a\nu1,x\n")
    code, out, error = dry_run(run, capsys, *MAID, str(run.folder / "reports"), *more)
    assert (code, error.count("W-ID-TYPE-SOURCE")) == (0, 2 if "json" in more else 1)
    assert out.count("W-ID-TYPE-SOURCE") == ("--json" in more)


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_quiet_silences_warnings_and_strict_refuses(
    run: Run, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    run.write("id,a\nu1,x\n")
    flags = (*MAID, str(run.folder / "reports"), *more)
    code, out, error = dry_run(run, capsys, *flags, "--strict")
    assert (code, run.files) == (3, [])
    check_named(error, "Warning [W-ID-TYPE-SOURCE]", "Error [E-STRICT]")
    code, out, error = dry_run(run, capsys, *flags, "--quiet")
    assert (code, error) == (0, "")
    assert bool(out) == bool(more)


USERS = "id,a,t,o\nu1,x,1,2024-01-02\nu2,y,2,2024-01-02\nu1,z,3,2024-01-01\nu:3,x,4,2024-01-01\n"


def shown(run: Run, capsys: pytest.CaptureFixture[str], **changes: Any) -> tuple[dict[str, Any], str]:
    """What a dry run gives as JSON, and what it prints."""
    run.write(USERS)
    path = run.folder / "job.json"
    path.write_text(json.dumps(merge(run.job, {"record": {"signals": ["a"], "traits": ["t"]}, **changes})))
    job = Job(**json.loads(path.read_text()))
    preview = preview_of(plan(job))
    show(preview)
    return as_dict(preview), " ".join(capsys.readouterr().out.split())


def test_of_users_who_are_gathered_their_lines_are_shown(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    made, text = shown(run, capsys, record={"signals": ["a"], "traits": ["t"], "rows": "signal", "order": "o"})
    found = {(each["fate"], each["signals"]) for each in made["first_rows"]}
    assert found == {
        ("written", '"a"="x",d_sid=1,d_sid=3'),
        ("written", '"a"="y",d_sid=2'),
        ("rejected: id_forbidden_character", None),
    }
    assert made["gathered"] is True
    assert "as lines of their users, who may have more rows further on" in text
    assert "a run may skip or reject more" in text


def test_rows_of_users_that_are_rejected_are_shown_with_the_reason(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"signals": ["a"], "traits": [], "rows": "signal", "many_values": "reject"}
    made, _ = shown(run, capsys, record=record)
    fates = [each["fate"] for each in made["first_rows"]]
    assert sorted(fates) == ["rejected: id_forbidden_character", *["rejected: several_values"] * 2, "written"]
    made, text = shown(run, capsys, delta={"state": str(run.folder / "state")})
    assert (made["gathered"], len(made["first_rows"])) == (False, 4)
    assert "Which users have not changed is not known" in text
