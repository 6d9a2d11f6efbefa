"""Every row read is written, rejected or skipped: rows that have nothing to send are fine, and no rejects."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import Any

import polars as pl
import pytest

from converter import convert
from converter.commands.progress import Progress
from converter.errors import EmptyInputError, LedgerError, TooManyRejectsError
from converter.ledger import Ledger
from converter.rows.records import Records
from converter.spec import rules
from converter.spec.kinds import FILE_KINDS

from .conftest import Run

SPARSE = "id,a\n" + "".join(f"u{number},{'' if number % 3 == 0 else 'x'}\n" for number in range(3000))
WRITTEN = [f'u{number}\t"a"="x"' for number in range(3000) if number % 3]


def fates(run: Run) -> tuple[dict[str, int], dict[str, int]]:
    return run.report["records"]["rejected"], run.report["records"]["skipped"]


@pytest.mark.parametrize("name", ["in.csv", "in.ndjson", "in.parquet"])
@pytest.mark.parametrize("id_", [{}, {"suffix": "-x"}, {"case_collisions": "reject"}])
def test_rows_with_nothing_to_send_are_skipped_and_need_no_allowance(run: Run, name: str, id_: dict[str, str]) -> None:
    table = pl.read_csv(run.write(SPARSE))
    if name == "in.ndjson":
        table.write_ndjson(run.folder / name)
    elif name == "in.parquet":
        table.write_parquet(run.folder / name)
    run.convert(input={"path": str(run.folder / name)}, id=id_, report={"max_rejects": 0})
    suffix = id_.get("suffix", "")
    assert run.lines == [line.replace("\t", f"{suffix}\t") for line in WRITTEN]
    assert run.report["records"] == {"read": 3000, "written": 2000, "rejected": {}, "skipped": {"no_signal": 1000}}
    assert run.rejects == []


def test_skipped_rows_do_not_move_other_rows(run: Run) -> None:
    rng = random.Random(7)
    kinds = {
        "good": "u{},x",
        "skipped": "u{},",
        "rejected": "u:{},x",
        "both": "u:{},",
        "bad": "u{}",
        "quoted": '"u{}",y',
    }
    fate = rng.choices(list(kinds), k=5000)
    run.convert("id,a\n" + "".join(kinds[each].format(number) + "\n" for number, each in enumerate(fate)))
    assert run.lines == [
        f'u{number}\t"a"="{"y" if each == "quoted" else "x"}"'
        for number, each in enumerate(fate)
        if each in ("good", "quoted")
    ]
    names = {"rejected": "id_forbidden_character", "both": "id_forbidden_character", "bad": "row_too_short"}
    assert [(row["row"], row["rule"]) for row in run.rejects] == [
        (number + 2, names[each]) for number, each in enumerate(fate) if each in names
    ]
    rejected, skipped = fates(run)
    assert skipped == {"no_signal": fate.count("skipped")}
    assert rejected["id_forbidden_character"] == fate.count("rejected") + fate.count("both")


@pytest.mark.parametrize(
    "row, rule, changes",
    [
        (",", "id_missing", {}),
        ("u:1,", "id_forbidden_character", {}),
        ("USER,", "id_case_collision", {"id": {"case_collisions": "reject"}}),
        ("u" * 102_400 + ",", "line_too_long", {}),
        ("u" * 400 + ",", "line_fits_no_part", {"output": {"max_part_raw_bytes": "300B"}}),
        ('u,"a""b"', "bad_value", {"record": {"on_bad_value": "reject"}}),
        ("u,joe@example.com", "value_personal", {}),
    ],
)
def test_a_row_that_breaks_a_rule_is_rejected_whether_it_has_signals_or_not(
    run: Run, row: str, rule: str, changes: dict[str, Any]
) -> None:
    run.convert(f"id,a\nuser,x\nUser,x\nv,x\n{row}\nw,\n", **changes)
    rejected, skipped = fates(run)
    assert rejected.pop(rule) == (3 if rule == "id_case_collision" else 1)
    assert (rejected, skipped) == ({}, {"no_signal": 1})
    assert [reject["rule"] for reject in run.rejects if reject["row"] == 5] == [rule]
    assert [reject["row"] for reject in run.rejects if reject["row"] == 6] == []


def test_no_row_that_is_left_is_an_error_that_counts_what_became_of_them(run: Run) -> None:
    with pytest.raises(EmptyInputError) as raised:
        run.convert("id,a\nu1,\nu:2,\nu3,\n")
    assert (raised.value.code, raised.value.exit_code) == ("E-NO-ROW-LEFT", 1)
    assert "1 rejected (id_forbidden_character: 1 in column 'id') and 2 skipped (no_signal: 2)" in raised.value.message
    assert run.files == []
    assert run.report["outcome"] == "failed"
    assert fates(run) == ({"id_forbidden_character": 1}, {"no_signal": 2})
    assert [row["row"] for row in run.rejects] == [3]


def test_all_rows_skipped_is_an_error_without_rejects(run: Run) -> None:
    with pytest.raises(EmptyInputError) as raised:
        run.convert("id,a\nu1,\nu2,\n", report={"max_rejects": 0})
    assert (raised.value.code, raised.value.exit_code) == ("E-NO-ROW-LEFT", 1)
    assert "2 skipped (no_signal: 2)" in raised.value.message
    assert "rejected" not in raised.value.message
    assert run.files == []
    assert fates(run) == ({}, {"no_signal": 2})


def test_rejects_are_measured_without_the_skipped_rows_and_go_before_nothing_left(run: Run) -> None:
    content = "id,a\n" + "u,\n" * 98 + "u:1,x\n" + "u:2,x\n"
    with pytest.raises(TooManyRejectsError) as raised:
        run.convert(content, report={"max_rejects": 1})
    assert (raised.value.code, raised.value.exit_code) == ("E-TOO-MANY-REJECTS", 3)
    # the advice is on what is rejected, not on the most frequent fate
    assert rules.ID_FORBIDDEN_CHARACTER.hint in raised.value.hint
    with pytest.raises(EmptyInputError):
        run.convert(content, report={"max_rejects": 2})
    run.convert(content + "u,x\n", report={"max_rejects": 2})
    assert run.lines == ['u\t"a"="x"']


def test_progress_counts_every_row(run: Run) -> None:
    run.write(SPARSE + "u:1,x\n")
    seen: list[Progress] = []
    convert(run.make_job(), progress=seen.append)
    assert (seen[-1].rows, seen[-1].rejected, seen[-1].skipped) == (3001, 1, 1000)


def test_the_command_tells_rejected_from_skipped(run: Run) -> None:
    run.write("id,a\nu1,x\nu2,\nu:3,x\n")
    arguments = [str(run.folder / "in.csv"), "--id", "id", "--dpid", "1", "--signal", "a", "--to", str(run.out)]
    command = [sys.executable, "-m", "converter", "convert", *arguments, "--max-rejects", "50%"]
    shown = subprocess.run([*command, "--dry-run"], cwd=run.folder, capture_output=True, text=True, check=True).stdout
    assert {"skipped: no_signal", "rejected: id_forbidden_character"} <= {line.strip() for line in shown.splitlines()}
    told = subprocess.run(command, cwd=run.folder, capture_output=True, text=True, check=True).stdout
    assert {("1", "skipped: no_signal"), ("1", "rejected: id_forbidden_character")} <= {
        (number, words) for number, _, words in (line.strip().partition("  ") for line in told.splitlines())
    }
    (path,) = (run.folder / "reports").glob("*.report.json")
    assert json.loads(path.read_bytes())["records"]["skipped"] == {"no_signal": 1}


def test_ledgers_add_up_with_what_was_skipped() -> None:
    ledger = Ledger(read=4, written=1)
    ledger.rejected["id_missing"] += 1
    ledger.skipped["no_signal"] += 1
    with pytest.raises(LedgerError):
        ledger.check()
    other = Ledger(read=1)
    other.skipped["no_signal"] += 2
    both = ledger + other
    both.check()
    assert (both.accounted, both.rejects, both.skips) == (5, 1, 3)


def test_reasons_to_skip_a_row_come_last(run: Run) -> None:
    for kind in FILE_KINDS.values():
        assert all(rule.skips and rule.applies is not None for rule in kind.skips)
        assert not any(rule.skips for rule in (*kind.row_rules, *kind.line_rules(1), *kind.late_rules))
    asked = [rule.skips for rule in Records(run.make_job(), 1000).rules]
    assert asked == sorted(asked)
    assert all(not rule.skips for rule in rules.SOURCE_RULES.values())
