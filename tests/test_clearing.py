"""Rows without any value clear their users on request, if their number is confirmed (`record.empty`, C11)."""

from __future__ import annotations

from typing import Any

import pytest

from converter import convert
from converter.cli.command import run as run_command
from converter.cli.outcome import Messages
from converter.errors import GuardError, JobError
from converter.jobs.document import merge
from converter.report import Report

from .conftest import TIMESTAMP, Run
from .errors import check_named, raises

CLEAR: dict[str, Any] = {"record": {"empty": "clear"}, "output": {"mode": "overwrite"}}
CONFIRMED = merge(CLEAR, {"report": {"max_cleared": "100%"}})
WIDE: dict[str, Any] = {"record": {"signals": ["a", "b"], "traits": ["t"]}}


def cleared(run: Run, content: str, **changes: Any) -> Report:
    return run.convert(content, **merge(CONFIRMED, changes))


def test_c11_a_row_without_any_value_is_an_id_and_a_tab(run: Run) -> None:
    rows = "id,a,b,t\nu1,x,,\nu2,,,\nu3,NULL,,NULL\nu4,,,5|6\nu5,,,|\n"
    report = cleared(run, rows, **merge(WIDE, {"input": {"null_values": "NULL"}}))
    assert run.lines == ['u1\t"a"="x"', "u2\t", "u3\t", "u4\td_sid=5,d_sid=6", "u5\t"]
    assert report.records == {"read": 5, "written": 5, "rejected": {}, "skipped": {}, "cleared": 3}
    assert (report.signals["written"], report.signals["dropped"]) == (3, {"value_missing": 9})


@pytest.mark.parametrize(
    "row, changes",
    [
        ("u,,a@example.com,", {"privacy": {"signals": "drop"}}),
        ("u,,,abc", {}),
        ('u,"x""y",,', {"record": {"on_bad_value": "drop"}}),
        ('u,",",,', {"record": {"comma": ""}}),
    ],
)
def test_a_row_with_a_value_that_cannot_be_sent_clears_nobody(run: Run, row: str, changes: dict[str, Any]) -> None:
    report = cleared(run, f"id,a,b,t\n{row}\nv,x,,\n", **merge(WIDE, changes))
    assert run.lines == ['v\t"a"="x"']
    assert report.records == {"read": 2, "written": 1, "rejected": {}, "skipped": {"no_signal": 1}}


@pytest.mark.parametrize(
    "row, rule, changes",
    [
        ("u,,a@example.com,", "value_personal", {}),
        ('u,"x""y",,', "bad_value", {"record": {"on_bad_value": "reject"}}),
        ("u:1,,,", "id_forbidden_character", {}),
        (",,,", "id_missing", {}),
    ],
)
def test_a_row_that_breaks_a_rule_is_rejected_as_ever(run: Run, row: str, rule: str, changes: dict[str, Any]) -> None:
    report = cleared(run, f"id,a,b,t\n{row}\nv,x,,\n", **merge(WIDE, changes))
    assert report.records["rejected"] == {rule: 1}
    assert run.lines == ['v\t"a"="x"']


def test_with_a_constant_each_row_has_a_signal(run: Run) -> None:
    report = cleared(run, "id,a\nu1,\n", record={"signals": ["a", {"key": "k", "value": "v"}]})
    assert run.lines == ['u1\t"k"="v"']
    assert "cleared" not in report.records


def test_lines_of_oracle_data_cloud_keep_their_type(run: Run) -> None:
    device = "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE"
    cleared(
        run,
        f"id,t\n{device},\n",
        id={"type": "idfa"},
        record={"signals": [], "traits": ["t"]},
        output={"kind": "odc", "dpid": 20915, "target": 5},
    )
    assert run.lines == [f"idfa\t{device}\t"]


def test_ids_that_take_steps_and_routes_are_cleared_as_well(run: Run) -> None:
    device = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    run.job["output"] = {"to": str(run.out), "timestamp": TIMESTAMP, "route": {"crm": 1, "gaid": {"target": 1}}}
    report = cleared(run, f"id,a\nu1,\n{device},\nu2,x\n", id={"type": "auto"})
    assert report.records["cleared"] == 2
    assert sum(part.lines for part in report.parts) == 3
    run.job["output"] = {"to": str(run.out), "timestamp": TIMESTAMP, "dpid": 7}
    report = cleared(run, "id,a\n U%31 ,\n", id={"decode": True, "case": "lower"})
    assert report.records["cleared"] == 1


def test_the_number_is_confirmed(run: Run) -> None:
    run.write("id,a\nu1,\nu2,\nu3,x\nu4,x\n")
    for most in ("0", 1, "49.9%"):
        with raises(
            GuardError, "E-CLEARED", "2 of 4 rows", f"At most {most} ", "--yes", "Nothing was published"
        ) as raised:
            run.convert(**merge(CLEAR, {"report": {"max_cleared": most}}))
        assert raised.value.exit_code == 3
        assert run.files == []
        assert run.report["records"]["cleared"] == 2
        for path in (run.folder / "reports").iterdir():
            path.unlink()
    for number, most in enumerate((2, "50%")):
        output = {"output": {"timestamp": TIMESTAMP + number}}
        report = run.convert(**merge(CLEAR, merge(output, {"report": {"max_cleared": most}})))
        assert report.records["cleared"] == 2


@pytest.mark.parametrize(
    "flags, code", [([], 3), (["--max-cleared", "1"], 3), (["--max-cleared", "2"], 0), (["--yes"], 0)]
)
def test_the_command(run: Run, flags: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    run.write("id,a\nu1,\nu2,\nu3,x\n")
    job = run.folder / "job.toml"
    job.write_text(
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\nempty = "clear"\n[output]\n'
        'to = "out"\ndpid = 1234\nmode = "overwrite"\n'
    )
    assert run_command(["convert", str(job), "--dry-run", *flags], Messages.of([])) == code
    told = capsys.readouterr()
    check_named(told.out, "66.7%  users cleared")
    check_named(told.err, *(["E-CLEARED", "2 of 3 rows", "--dry-run"] if code else []))
    assert run_command(["convert", str(job), *flags], Messages.of([])) == code
    check_named(capsys.readouterr().out, *([] if code else ["2  users cleared"]))


def test_it_is_for_overwrite_alone_and_counted_before_anything_is_visible(run: Run) -> None:
    with raises(JobError, "E-JOB-INVALID", "record.empty", "'overwrite'", "C11"):
        run.make_job(record={"empty": "clear"})
    with raises(JobError, "E-JOB-INVALID", "record.rows"):
        run.make_job(**merge(CLEAR, {"record": {"rows": "signal"}}))
    with raises(JobError, "E-JOB-INVALID", "delta.state"):
        run.make_job(**merge(CLEAR, {"delta": {"state": "state"}}))
    each = {"output": {"publish": "each"}}
    with raises(JobError, "E-JOB-INVALID", "output.publish", "--yes"):
        run.make_job(**merge(CLEAR, each))
    run.write("id,a\nu1,\n")
    assert convert(run.make_job(**merge(CONFIRMED, each))).records["cleared"] == 1


def test_without_a_request_such_rows_are_skipped(run: Run) -> None:
    report = run.convert("id,a\nu1,\nu2,x\n", output={"mode": "overwrite"})
    assert report.records["skipped"] == {"no_signal": 1}
    assert run.lines == ['u2\t"a"="x"']
