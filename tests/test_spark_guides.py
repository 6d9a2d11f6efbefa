"""The guides of `docs/spark-clusters.md` that can be followed here: spark-submit and Spark Connect."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from benchmarks.cluster import Cluster, home
from benchmarks.workloads import ROOT

from .servers.process import Program
from .servers.spark import connect_server, driver_environment
from .spark_runs import PARTITIONS, ROWS, Beside, sql_of, write_job

PROGRAM = ROOT / "examples" / "spark" / "aam_inbound.py"
_SECONDS = 600.0
_ON_CONNECT = """
import pathlib, sys
from pyspark.sql import SparkSession
from converter import spark
url, query, first, second = sys.argv[1:]
session = SparkSession.builder.remote(url).getOrCreate()
frame = session.sql(query)
spark.convert(first, frame=frame)
session.dataSource.register(spark.AamInbound)
frame.write.format("aam_inbound").mode("append").option("job", pathlib.Path(second).read_text()).save()
"""


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    return Beside.of(tmp_path)


def ended(command: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command; return its exit code, and what it says: spark-submit gives errors as output."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS)
    return done.returncode, done.stdout + done.stderr


def test_spark_submit_runs_the_command(cluster: Cluster, beside: Beside) -> None:
    environment = driver_environment(cluster, beside.run.folder / "conf")
    submit = ["bash", str(home() / "bin" / "spark-submit"), "--master", cluster.url]
    submit += ["--conf", f"spark.pyspark.python={sys.executable}", str(PROGRAM)]
    code, said = ended([*submit, "convert", str(write_job(beside.run)), "--engine", "spark", "--quiet"], environment)
    assert code == 0, said
    beside.check()
    again = [*submit, "convert", str(beside.run.folder / "missing.toml"), "--engine", "spark"]
    code, said = ended(again, environment)
    assert (code, "E-JOB-MISSING" in said) == (2, True), said


def without_java(folder: Path) -> dict[str, str]:
    """Return an environment of this package whose path is a folder without programs."""
    kept = {name: text for name, text in os.environ.items() if name != "JAVA_HOME"}
    return {**kept, "PATH": str(folder), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def connect(_cluster: Cluster) -> Iterator[Program]:
    _cluster.revive()
    server = connect_server(_cluster)
    yield server
    server.stop()


def test_spark_connect_runs_the_command_without_java(
    cluster: Cluster, beside: Beside, connect: Program, tmp_path: Path
) -> None:
    environment = without_java(tmp_path)
    command = [sys.executable, "-m", "converter", "convert", str(write_job(beside.run)), "--quiet"]
    code, said = ended([*command, "--engine", "spark", "--master", f"sc://127.0.0.1:{connect.port}"], environment)
    assert code == 0, said
    beside.check()


def test_spark_connect_converts_and_writes_dataframes_without_java(
    cluster: Cluster, connect: Program, tmp_path: Path
) -> None:
    runs = []
    for name in ("converted", "written"):
        folder = tmp_path / name
        folder.mkdir()
        runs.append(Beside.of(folder))
        runs[-1].run.job["input"] = {}
    jobs = [str(write_job(each.run)) for each in runs]
    command = [sys.executable, "-c", _ON_CONNECT, f"sc://127.0.0.1:{connect.port}", sql_of(ROWS, PARTITIONS), *jobs]
    code, said = ended(command, without_java(tmp_path))
    assert code == 0, said
    for each in runs:
        each.check()
