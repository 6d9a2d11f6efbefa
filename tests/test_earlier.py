"""Lines that are left out because of earlier ones: as a plain model says, in the order of the input, for any memory."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter import kernel
from converter.columns.buffers import Text
from converter.errors import DestinationError
from converter.kernel import earlier
from converter.rows import spill_file
from converter.rows.earlier import stage as stage_module
from converter.rows.earlier.held import HeldLines, Stored
from converter.rows.earlier.judge import Judge, OutcomesInOrder
from converter.rows.earlier.keys import KeyMaker
from converter.rows.users.lines import RowsOfLines

from . import users_model
from .conftest import Run
from .errors import codes_of, raises

_BOTH = {"frames": None, **({"loops": kernel.load()} if kernel.load() else {})}
LOOPS = pytest.mark.parametrize("loops", _BOTH.values(), ids=_BOTH)
MOST = 200


def texts_of(rows: Sequence[users_model.Line]) -> list[list[Text]]:
    lines = [f"{id_}\t{','.join(signals)}\n".encode() for id_, signals in rows]
    return [[Text((np.frombuffer(b"".join(lines), np.uint8),), np.cumsum([*map(len, lines)], dtype=np.int64))]]


def judged(judge: Judge, maker: KeyMaker, rows: Sequence[users_model.Line], step: int) -> list[str]:
    """What a judge says of rows that come in batches."""
    found: list[Any] = []
    waiting = []
    for start in range(0, len(rows), step):
        batch = rows[start : start + step]
        (keys,) = maker.keyed(texts_of(batch), []).keys
        first = judge.rows
        outcomes = judge.judge(keys, len(batch))
        if outcomes is None:
            waiting.append((first, len(batch)))
        else:
            assert not waiting
            found += outcomes.tolist()
    in_order = OutcomesInOrder(judge.finish())
    for first, count in waiting:
        found += in_order.take(first, count).tolist()
    in_order.end()
    return [users_model.OUTCOMES[each] for each in found]


def shrink(monkeypatch: pytest.MonkeyPatch | pytest.MonkeyPatch) -> None:
    """Let the first tables be small, so that they grow."""
    monkeypatch.setattr(earlier, "_FIRST_ROOM", 80)


# --- what becomes of lines ------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "é", "4"]), st.sampled_from([["d_sid=1"], ["d_sid=2"], ["d_sid=1", "ic=x"]])
    ),
    min_size=1,
    max_size=40,
)


@LOOPS
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=ROWS,
    most=st.sampled_from([None, 1, 2, 3]),
    drops=st.booleans(),
    memory=st.sampled_from([0, 1 << 30]),
    step=st.sampled_from([1, 7, 40]),
)
def test_lines_are_judged_as_the_model_does(
    loops: Any, rows: Any, most: int | None, drops: bool, memory: int, step: int
) -> None:
    if most is None and not drops:
        return
    model = users_model.by_lines(rows, most_lines=most or 1 << 60, drops=drops)
    maker = KeyMaker(0, of_lines=drops, of_users=most is not None)
    for cuts in (True, False):
        judge = Judge(loops, memory, None, drops_repeated=drops, most_lines=most, cuts=cuts)
        try:
            wanted = model.outcomes if cuts else [each.replace("cut", "written") for each in model.outcomes]
            assert judged(judge, maker, rows, step) == wanted
            over = {rows[row][0] for row, outcome in enumerate(model.outcomes) if outcome == "cut"}
            assert judge.over == len(over)
        finally:
            judge.close()


@LOOPS
@pytest.mark.parametrize("memory", [1 << 14, 400_000, 700_000, 1 << 30])
def test_nothing_depends_on_where_memory_ends(
    loops: Any, memory: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shrink(monkeypatch)
    drawn = random.Random(5)
    rows = [(f"user-{int(drawn.paretovariate(0.2)) % 9_999}", [f"d_sid={drawn.randrange(300)}"]) for _ in range(20_000)]
    model = users_model.by_lines(rows, most_lines=MOST, drops=True)
    assert min(Counter(model.outcomes)[each] for each in ("cut", "repeated", "written")) > 300
    judge = Judge(loops, memory, str(tmp_path), drops_repeated=True, most_lines=MOST, cuts=True)
    try:
        assert judged(judge, KeyMaker(0, of_lines=True, of_users=True), rows, 1_000) == model.outcomes
        assert (judge.rows == 0) == (memory == 1 << 30 and loops is not None)
        if loops:
            assert judge.rows < len(rows) or memory == 1 << 14, "some of them were judged in memory"
    finally:
        judge.close()


@LOOPS
def test_one_user_may_have_all_lines(loops: Any) -> None:
    rows = [("u", [f"d_sid={number}"]) for number in range(200_000)]
    judge = Judge(loops, 1 << 30, None, drops_repeated=True, most_lines=MOST, cuts=True)
    start = time.process_time()
    found = judged(judge, KeyMaker(0, of_lines=True, of_users=True), rows, 20_000)
    assert Counter(found) == {"written": MOST, "cut": len(rows) - MOST}
    assert time.process_time() - start < 10, "in quadratic time it would take minutes"
    judge.close()


def test_an_id_of_another_set_is_another_user() -> None:
    rows = [("u", ["d_sid=1"])]
    keyed = KeyMaker(0, of_lines=True, of_users=True).keyed(texts_of(rows) + texts_of(rows), [])
    first, second = ({*map(tuple, [*keys.lines, *keys.users])} for keys in keyed.keys)
    assert not first & second
    assert len(first) == 2


def test_lines_are_held_in_memory_and_then_on_disk(tmp_path: Path) -> None:
    texts = texts_of([("u", [f"d_sid={number}"]) for number in range(1_000)])
    (lines,) = KeyMaker(0, of_lines=True, of_users=False).keyed(texts, [RowsOfLines(np.arange(1_000))]).lines
    held = HeldLines(2 * lines.size + 1, str(tmp_path))
    kept = [held.hold(lines) for _ in range(4)]
    assert [isinstance(each, Stored) for each in kept] == [False, False, True, True]
    assert 0 < held.bytes_on_disk < 2 * lines.size
    for each in kept:
        assert [part.tolist() for part in held.take(each)[:3]] == [part.tolist() for part in lines[:3]]
    assert list(tmp_path.iterdir()) == []
    held.close()


# --- runs -----------------------------------------------------------------------------------------------------------


def table_of(rows: int, seed: int = 1) -> tuple[str, list[users_model.Line]]:
    """A table of which some rows are rejected by other rules, and the lines that its others come to."""
    drawn = random.Random(seed)
    cells = []
    for _ in range(rows):
        id_ = f"u{int(drawn.paretovariate(0.2)) % 5_000}" if drawn.random() < 0.99 else "me@mail.com"
        cells.append((id_, f"v{drawn.randrange(300)}" + ('"' if drawn.random() < 0.05 else "")))
    quoted = ((id_, '"' + value.replace('"', '""') + '"') for id_, value in cells)
    lines = [(id_, [f'"a"="{value.replace(chr(34), chr(39))}"']) for id_, value in cells if "@" not in id_]
    return "id,a\n" + "".join(f"{id_},{value}\n" for id_, value in quoted), lines


@pytest.mark.parametrize(
    "record",
    [
        {"user_lines": "enforce"},
        {"repeated": "drop"},
        {"user_lines": "enforce", "repeated": "drop"},
        {"user_lines": "count", "repeated": "drop"},
        {"user_lines": "count"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("way")
def test_runs_give_the_same_for_any_memory_and_threads(
    run: Run, record: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink(monkeypatch)
    table, rows = table_of(40_000)
    most = MOST if "user_lines" in record else 1 << 60
    model = users_model.by_lines(rows, most_lines=most, drops="repeated" in record)
    gone = {"repeated", *(["cut"] if record.get("user_lines") == "enforce" else [])}
    wanted = [
        f"{id_}\t{signals[0]}" for (id_, signals), fate in zip(rows, model.outcomes, strict=True) if fate not in gone
    ]
    found = set()
    for number, (memory, threads) in enumerate([("1GB", 1), ("1MB", 3), ("2MB", 2)]):
        run.job["report"]["dir"] = str(run.folder / f"reports{number}")
        run.job["output"]["to"] = str(run.folder / f"out{number}")
        report = run.convert(
            table,
            record=record,
            output={"max_part_raw_bytes": 200_000, "compression": "none"},
            run={"memory": memory, "threads": threads, "spill_dir": str(run.folder)},
        )
        parts = sorted((run.folder / f"out{number}").iterdir(), key=lambda part: int(part.name.rpartition(".")[2]))
        assert "".join(part.read_text() for part in parts).splitlines() == wanted
        (rejects,) = (run.folder / f"reports{number}").glob("*.rejects.ndjson.gz")
        counts = Counter(model.outcomes)
        records = report.records
        assert records["read"] == 40_000
        assert records["written"] == len(wanted)
        assert records["rejected"].get("user_over_limit", 0) == (counts["cut"] if "cut" in gone else 0)
        assert records["skipped"].get("row_repeated", 0) == counts["repeated"]
        dropped = {"signal_cut": model.signals["cut"] * ("cut" in gone), "signal_repeated": model.signals["repeated"]}
        assert {name: report.signals["dropped"].get(name, 0) for name in dropped} == dropped
        assert report.signals["written"] == len(wanted)
        over = {rows[row][0] for row, outcome in enumerate(model.outcomes) if outcome == "cut"}
        of_counted = {"user_over_limit": len(over)} if record.get("user_lines") == "count" else None
        assert report.ids.get("over_limit") == of_counted
        assert len(parts) > 1
        assert len(report.skipped_examples) == 10 * ("repeated" in record)
        found.add(
            (str(report.skipped_examples), rejects.read_bytes(), *((part.name, part.read_bytes()) for part in parts))
        )
    assert len(found) == 1


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("memory", ["1MB", "1GB"])
def test_rejected_rows_say_where_they_are(run: Run, memory: str) -> None:
    run.write("id,a\n" + "".join(f"u1,{number}\n" for number in range(MOST - 1)), "1.csv")
    run.write('id,a\n\nu2,"x\ny"\nu1,last\nbad@mail.com,x\nu1,more\nu2,z\nu1,"and more"""\n', "2.csv")
    run.job["input"] = {"path": [str(run.folder / "1.csv"), str(run.folder / "2.csv")]}
    report = run.convert(record={"user_lines": "enforce"}, run={"memory": memory})
    assert run.lines[-3:] == ['u2\t"a"="x y"', 'u1\t"a"="last"', 'u2\t"a"="z"']
    found = [(Path(each["file"]).name, each["row"], each["rule"]) for each in run.rejects]
    assert found == [
        ("2.csv", 6, "id_is_email"),
        ("2.csv", 7, "user_over_limit"),
        ("2.csv", 9, "user_over_limit"),
    ]
    assert [each["columns"]["a"] for each in run.rejects[1:]] == ["", ""]
    assert report.records["read"] == MOST + 5


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("memory", ["1MB", "1GB"])
def test_sets_of_files_have_their_own_lines(run: Run, memory: str) -> None:
    device = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
    route = {"crm": {"dpid": 1}, "idfa": {"target": 1}}
    run.job["output"].pop("dpid")
    run.convert(
        f"id,a\nu1,x\n{device},y\nu1,x\n{device},y\n{device},z\n",
        id={"type": "auto"}, record={"repeated": "drop"}, run={"memory": memory},
        output={"route": route, "compression": "none"},
    )  # fmt: skip
    texts = sorted(path.read_text() for path in run.out.iterdir())
    assert texts == [f'{device}\t"a"="y"\n{device}\t"a"="z"\n', 'u1\t"a"="x"\n']


@pytest.mark.parametrize("memory", ["1MB", "1GB"])
def test_users_are_counted_where_only_changes_are_sent(run: Run, memory: str) -> None:
    table = "id,a\n" + "".join(f"u{number % 2},{number}\n" for number in range(450))
    changes = {"record": {"user_lines": "count"}, "delta": {"state": str(run.folder / "state")}}
    report = run.convert(table, **changes, run={"memory": memory})
    assert report.ids["over_limit"] == {"user_over_limit": 2}
    assert "W-USER-OVER-LIMIT" in codes_of(report.warnings)
    assert report.records["written"] == 450


@pytest.mark.usefixtures("way")
def test_lines_are_left_out_where_only_changes_are_sent(run: Run) -> None:
    table = "id,a\n" + "".join(f"u{number % 2},{number // 4}\n" for number in range(900)) + "u3,x\nu3,x\n"
    record = {"user_lines": "enforce", "repeated": "drop"}
    report = run.convert(table, record=record, delta={"state": str(run.folder / "state")})
    assert Counter(line.partition("\t")[0] for line in run.lines) == {"u0": MOST, "u1": MOST, "u3": 1}
    assert report.records["rejected"] == {"user_over_limit": 50}
    assert report.records["skipped"] == {"row_repeated": 451}
    assert report.ids.get("over_limit") is None


@pytest.mark.parametrize("user_lines", ["off", "enforce"])
def test_a_disk_that_is_full_while_lines_wait_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, user_lines: str
) -> None:
    usage = SimpleNamespace(free=spill_file._RESERVE + 2_000_000, total=1 << 40, used=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(stage_module, "_HELD_SHARE", 1 << 20)
    table, _ = table_of(30_000)
    run.write(table)
    record = {"user_lines": user_lines, "repeated": "drop"}
    run.convert(record=record, run={"memory": "1MB", "spill_dir": str(run.folder)})  # there is room
    assert len(run.files) == 1
    usage.free = spill_file._RESERVE + 10
    with raises(DestinationError, "E-SPILL-WRITE", "run.spill_dir"):
        run.convert(
            record=record, run={"memory": "1MB", "spill_dir": str(run.folder)}, output={"to": str(run.folder / "2")}
        )
    assert not (run.folder / "2").exists() or not [*(run.folder / "2").iterdir()]


def test_the_first_rows_are_shown_without_those_that_are_left_out(run: Run) -> None:
    from converter.commands.plan import plan

    run.write("id,a\nu1,x\nu1,x\nme@mail.com,x\nme@mail.com,x\n" + "u2,y\n" + "".join(f"u1,{n}\n" for n in range(MOST)))
    found = plan(run.make_job(record={"user_lines": "enforce", "repeated": "drop"})).preview(300)
    assert found.height == 3 + MOST + 1
    reasons = found["reason"].to_list()
    assert [each is None for each in reasons] == [True, False, False, *[True] * MOST, False]
    plain = plan(run.make_job()).preview(300)
    assert plain.height == MOST + 5
    assert isinstance(found, pl.DataFrame)
