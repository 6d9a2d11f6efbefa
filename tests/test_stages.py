"""Stages see rows before lines are final: they compose, in the order of `STAGES`, and release what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from converter.errors import ColumnError
from converter.jobs.job import Job
from converter.rows import stages
from converter.rows.pipeline import Converted
from converter.rows.records import Records
from converter.rows.stages.base import Stage, StageResults

from .conftest import Run
from .errors import raises

ROWS = "id,a\n" + "".join(f"u{number},x{number}\n" for number in range(9))
calls: list[Any] = []


class Count(Stage):
    """Counts the rows that are to be written."""

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        calls.append("count")
        self._rows = 0

    @classmethod
    def applies(cls, job: Job) -> bool:
        return True

    def feed(self, batch: Converted) -> Iterator[Converted]:
        self._rows += batch.accepted.height
        yield batch

    def finish(self) -> Iterator[Converted]:
        calls.append(self._rows)
        yield from ()

    def close(self) -> None:
        calls.append("closed")


class HoldBack(Count):
    """Holds all lines back until the input is read."""

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        calls.append("hold back")
        self._held: list[Converted] = []

    def feed(self, batch: Converted) -> Iterator[Converted]:
        self._held.append(batch)
        yield batch._replace(texts=[[]], accepted=batch.accepted.clear(), ledger=replace(batch.ledger, lines=0))

    def finish(self) -> Iterator[Converted]:
        for batch in self._held:
            ledger = replace(batch.ledger, read=0, written=0, signals_written=0)
            yield batch._replace(rejected=pl.DataFrame(), ledger=ledger)


class Known(Count):
    """Rejects the ID `U3`, which it knows after a first pass."""

    needs_first_pass = True

    def refine(self, records: Records) -> Records:
        return records.replace(colliding=pl.Series(["u3"]))


@pytest.fixture
def with_stages(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(*added: type[Stage]) -> None:
        calls.clear()
        monkeypatch.setattr(stages, "STAGES", (*stages.STAGES, *added))

    return use


def test_stages_compose_in_their_order_whatever_they_hold_back(run: Run, with_stages: Any) -> None:
    with_stages(Count, HoldBack, Count)
    run.convert(ROWS)
    assert run.lines == [f'u{number}\t"a"="x{number}"' for number in range(9)]
    assert calls == ["count", "hold back", "count", 9, 9, "closed", "closed", "closed"]


def test_a_stage_may_need_all_rows_first(run: Run, with_stages: Any) -> None:
    with_stages(Known, Count)
    run.convert(ROWS.replace("u3", "U3"))
    assert len(run.lines) == 8
    assert [row["rule"] for row in run.rejects] == ["id_case_collision"]
    assert calls == ["count", "count", 9, 8, "closed", "closed"]


def test_stages_are_closed_also_where_a_run_fails(run: Run, with_stages: Any) -> None:
    class Fails(Count):
        def feed(self, batch: Converted) -> Iterator[Converted]:
            raise ColumnError("E-COLUMN-TYPE", "The stage failed.")
            yield batch

    with_stages(Count, Fails)
    with raises(ColumnError, "E-COLUMN-TYPE", "The stage failed."):
        run.convert(ROWS)
    assert calls == ["count", "count", "closed", "closed"]
    assert run.files == []


JOBS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lists": {"record": {"traits": [{"column": "t", "separator": "|"}], "on_bad_value": "clean", "comma": "."}},
    "mixed": {
        "id": {"type": "auto"},
        "output": {"route": {"crm": {"dpid": 1}, "gaid": {"target": 2}}},
    },
}


@pytest.mark.parametrize("name", JOBS)
def test_rows_can_be_judged_first_and_formatted_later(run: Run, name: str) -> None:
    if name == "mixed":
        del run.job["output"]["dpid"]
    records = Records(run.make_job(**JOBS[name]), 300)
    ids = ["u1", "a:b", "", "x" * 301, "38400000-8cf0-11bd-b23e-10b96e40000d", "Ü"]
    table = pl.DataFrame({"id": ids, "a": ["x", "y,", "", "z", 'q"', "a@b.com"], "t": ["1|2", "", "x", "3", "", "4|"]})
    texts = records.texts(table.lazy(), table.schema, json_lists=False)
    judged = records.judge(texts).collect()
    assert records.format(judged.lazy()).collect().equals(records.lines(texts).collect())
