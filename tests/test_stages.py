"""Stages see rows before lines are final: they compose, in the order of `STAGES`, and release what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from converter.errors import ColumnError
from converter.jobs.job import Job
from converter.ledger import Ledger
from converter.rows import stages
from converter.rows.batches import Judged
from converter.rows.formatting import folded_hashes
from converter.rows.records import Records
from converter.rows.stages.base import Stage, StageResults
from converter.sources.malformed import NONE
from converter.spec.rules import CASE_COLLISION, REASON

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

    def prepare(self, ids: pl.DataFrame) -> pl.DataFrame:
        return ids.select(pl.len())

    def see(self, prepared: pl.DataFrame) -> None:
        self._rows += prepared.item()

    def finish(self) -> Iterator[Judged]:
        calls.append(self._rows)
        yield from ()

    def close(self) -> None:
        calls.append("closed")


class HoldBack(Count):
    """Holds all rows back until the input is read, and rejects that of the ID `u5`."""

    takes_rows = True

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        calls.append("hold back")
        self._held: list[Judged] = []
        self._reason = records.index_of(CASE_COLLISION)

    def feed(self, batch: Judged) -> Iterator[Judged]:
        self._held.append(batch._replace(malformed=NONE, ledger=Ledger()))
        yield batch._replace(frame=batch.frame.clear(), rows=batch.rows[:0])

    def finish(self) -> Iterator[Judged]:
        for batch in self._held:
            reason = pl.when(pl.col("id0") == "u5").then(pl.lit(self._reason, REASON)).otherwise("reason")
            yield batch._replace(frame=batch.frame.with_columns(reason=reason))


class Twice(Count):
    """Makes one row of two that have the same ID."""

    takes_rows = True

    def feed(self, batch: Judged) -> Iterator[Judged]:
        frame = batch.frame.with_columns(rows=pl.len().over("id0")).with_row_index().unique("id0", maintain_order=True)
        yield batch._replace(frame=frame, rows=batch.rows[frame["index"].to_numpy()])


class Known(Count):
    """Rejects the ID `U3`, which it knows after a first pass."""

    needs_first_pass = True

    def refine(self, records: Records) -> Records:
        return records.rejecting(pl.DataFrame({"id": ["u3"]}).select(folded_hashes(pl.col("id"))))


@pytest.fixture
def with_stages(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(*added: type[Stage]) -> None:
        calls.clear()
        monkeypatch.setattr(stages, "STAGES", (*stages.STAGES, *added))

    return use


def test_stages_compose_in_their_order_whatever_they_hold_back(run: Run, with_stages: Any) -> None:
    with_stages(Count, HoldBack, Count)
    report = run.convert(ROWS + "too,many,fields\nu:,bad\n")
    assert run.lines == [f'u{number}\t"a"="x{number}"' for number in range(9) if number != 5]
    assert calls == ["count", "hold back", "count", 8, 8, "closed", "closed", "closed"]
    assert report.records["read"] == 11
    assert sorted((row["row"], row["rule"]) for row in run.rejects) == [
        (7, "id_case_collision"),
        (11, "row_too_long"),
        (12, "id_forbidden_character"),
    ]


def test_a_row_may_stand_for_several_of_the_input(run: Run, with_stages: Any) -> None:
    with_stages(Twice, Count)
    report = run.convert("id,a\nu1,x\nu2,y\nu1,z\n")
    assert run.lines == ['u1\t"a"="x"', 'u2\t"a"="y"']
    assert report.records["written"] == 3
    assert calls == ["count", "count", 0, 2, "closed", "closed"]


def test_a_stage_may_need_all_rows_first(run: Run, with_stages: Any) -> None:
    with_stages(Known, Count)
    run.convert(ROWS.replace("u3", "U3"))
    assert len(run.lines) == 8
    assert [row["rule"] for row in run.rejects] == ["id_case_collision"]
    assert calls == ["count", "count", 9, 8, "closed", "closed"]


def test_stages_are_closed_also_where_a_run_fails(run: Run, with_stages: Any) -> None:
    class Fails(Count):
        def see(self, prepared: pl.DataFrame) -> None:
            raise ColumnError("E-COLUMN-TYPE", "The stage failed.")

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
    texts = records.texts(table, SimpleNamespace(json_lists=False, schema=table.schema))  # type: ignore[arg-type]
    judged = records.judge(texts).collect()
    assert records.format(judged.lazy()).collect().equals(records.lines(texts).collect())
