"""The benchmark of Spark measures what it says: the same lines, and CPU seconds that are those of the processes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import BenchmarkError, spark
from benchmarks.cluster import Cluster, missing, used_by
from benchmarks.machine import describe
from benchmarks.spark import ALONE, OURS, SQL, OnSpark, Use, Way, summary
from benchmarks.workloads import ON_SPARK, WORKLOADS, Input

from .servers import required


def test_spark_sql_makes_our_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if absent := missing():
        required(absent)
    monkeypatch.setattr(spark, "DATA", tmp_path)
    source = Input(WORKLOADS[ON_SPARK], 4_000, folder=tmp_path)
    spark.spark(source, 1, tmp_path / "spark.json", names=(OURS, SQL))
    found = json.loads((tmp_path / "spark.json").read_bytes())
    assert [way["name"] for way in found["ways"]] == [ALONE, OURS, SQL]
    for way in found["ways"][1:]:
        (run,) = way["runs"]
        assert min(run["driver_jvm"], run["executors_jvm"], run["output_bytes"]) > 0
    assert found["ways"][1]["runs"][0]["executors_python"] > 0


def way(name: str, wall: float, python: float, jvm: float, start: float) -> Way:
    run = Use(wall, 0.5, 0.25, jvm, python, 1_000, 0)
    return Way(name, [run] * 3, [replace(run, executors_python=start, executors_jvm=0)])


def test_the_start_is_not_counted() -> None:
    alone = Way(ALONE, [Use(2, 0, 11, 0, 0, 1_000, 0)], [Use(1, 0, 1, 0, 0, 1_000, 0)])
    ways = [alone, way(OURS, 5, 13, 4, 1), way(SQL, 15, 0, 30, 0)]
    result = OnSpark(ON_SPARK, 1_000_000, 16, "BEST_SPEED", ways, describe(), "4.3.0")
    assert (result.cpu_ratio, result.speed) == (1.2, 3.0)
    assert "3.00 times" in summary(result)
    assert "1.20 times" in summary(result)


def test_what_a_driver_takes_is_that_of_its_processes() -> None:
    burn = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}], check=True)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        assert driver.stdout
        driver.stdout.readline()
        used = used_by(driver.pid)
        driver.communicate()
    assert used.jvm == 0
    assert used.python >= 0.29


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BenchmarkError, match="[Jj]ava"):
        Cluster(tmp_path, cores=1, memory="1g")
