"""Whichever attempts of tasks fail, or are slow and have others beside them, the lines are those of one machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.cluster import Cluster

from .servers.spark import SPECULATION, session
from .spark_runs import WAYS, Beside, Way, sql_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MOST_PARTITIONS = 9


@pytest.fixture(scope="module")
def spark(_cluster: Cluster) -> Iterator[SparkSession]:
    _cluster.revive()
    with session(_cluster, SPECULATION) as made:
        yield made


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    return Beside.of(tmp_path)


def test_a_slow_task_has_a_second_attempt_beside_it(spark: SparkSession, beside: Beside) -> None:
    gate = beside.gate(held=frozenset({(3, 0)}))
    with beside.converting(spark, gate) as report:
        gate.wait_for((3, 1))
        beside.check(report.result())
    assert gate.attempts >= {(3, 0), (3, 1)}


@pytest.mark.parametrize("way", WAYS)
def test_both_attempts_of_a_slow_task_come_to_their_end(spark: SparkSession, beside: Beside, way: Way) -> None:
    """They end at about the same time, so both may have sent all of their parts."""
    gate = beside.gate(held=frozenset({(3, 0), (3, 1)}))
    with beside.converting(spark, gate, way=way) as report:
        gate.wait_for((3, 1))
        for number in (0, 1):
            gate.open((3, number))
        beside.check(report.result())


def test_a_slow_task_whose_lines_are_shuffled_has_a_second_attempt(spark: SparkSession, tmp_path: Path) -> None:
    beside = Beside.of(tmp_path, record={"rows": "signal"})
    gate = beside.gate(held=frozenset({(3, 0)}))
    with beside.converting(spark, gate) as report:
        gate.wait_for((3, 1))
        beside.check(report.result())


@given(
    rows=st.integers(1, 6_000),
    partitions=st.integers(1, MOST_PARTITIONS),
    part_bytes=st.integers(20_000, 2_000_000),
    failing=st.dictionaries(st.integers(0, MOST_PARTITIONS - 1), st.integers(1, 2), max_size=3),
    repartitioned=st.booleans(),
)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_lines_are_those_of_one_machine(
    spark: SparkSession, rows: int, partitions: int, part_bytes: int, failing: dict[int, int], repartitioned: bool
) -> None:
    from converter.spark import convert as convert_on_spark

    # An attempt that lost may write for a moment longer.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        attempts = frozenset((partition, number) for partition, most in failing.items() for number in range(most))
        beside = Beside.of(folder, rows, output={"max_part_raw_bytes": f"{part_bytes}B"})
        frame = spark.sql(sql_of(rows, partitions))
        if repartitioned:
            frame = frame.repartition(partitions, "id")
        frame = frame.mapInArrow(beside.gate(failing=attempts), "id string, a string")
        beside.check(convert_on_spark(beside.job_of_frame(), frame=frame))
