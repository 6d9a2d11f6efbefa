"""A driver that is killed, and the same command with --resume, which finishes what is to be finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cluster import Cluster, java_of

from .doomed import KILLED, Moment, start
from .servers.spark import driver_environment
from .spark_runs import PARTITIONS, ROWS, Beside, sql_of, write_job

_SECONDS = 300.0
_HELD = """
import sys
from pathlib import Path
from converter import spark
from converter.errors import ConverterError
from converter.spark.session import open_session
from tests.gate import Gate
url, query, job, files, folder, reports = sys.argv[1:]
gate = Gate(Path(folder), Path(reports), frozenset({(1, 0)}))
session = open_session(url)
frame = session.sql(query).mapInArrow(gate, "id string, a string")
for given in ({"job": job, "frame": frame}, {"job": job, "frame": frame}, {"job": files, "session": session}):
    try:
        spark.convert(**given)
    except ConverterError as error:
        print(error.code)
"""


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    return Beside.of(tmp_path)


def command(beside: Beside, cluster: Cluster) -> list[str]:
    """Return the command that runs the job on the cluster."""
    return ["convert", str(write_job(beside.run)), "--engine", "spark", "--master", cluster.url, "--quiet"]


def ended(beside: Beside, cluster: Cluster, moment: Moment | None, *options: str) -> tuple[int | None, str]:
    """Run the command, which dies at a moment; return its exit code and what it said."""
    said = beside.run.folder / "said"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in driver_environment(cluster, beside.run.folder / "conf").items():
            patch.setenv(name, value)
        process = start([*command(beside, cluster), *options], said, moment)
        process.join(_SECONDS)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode, said.read_text()


@pytest.mark.parametrize("event", ["arrived", "publishing"])
def test_f1_a_driver_that_is_killed_is_finished(cluster: Cluster, beside: Beside, event: str) -> None:
    code, said = ended(beside, cluster, Moment(event=event))
    assert code in KILLED, said
    assert beside.visible == []
    assert beside.run.files != []
    code, said = ended(beside, cluster, None, "--resume")
    assert code == 0, said
    beside.check()


def test_a_jvm_that_is_killed_is_an_error_of_spark(cluster: Cluster, beside: Beside) -> None:
    files = write_job(beside.run).rename(beside.run.folder / "files.toml")
    beside.run.job["input"] = {}
    gate, job = beside.gate(), write_job(beside.run)
    given = [cluster.url, sql_of(ROWS, PARTITIONS), *map(str, (job, files, gate.folder, gate.reports))]
    environment = driver_environment(cluster, beside.run.folder / "conf")
    with subprocess.Popen([sys.executable, "-c", _HELD, *given], env=environment, stdout=subprocess.PIPE) as driver:
        gate.wait_for((1, 0))
        os.kill(java_of(driver.pid), signal.SIGKILL)
        said, _ = driver.communicate(timeout=_SECONDS)
    assert said.split() == [b"E-SPARK-FAILED"] * 3  # the latter two have no JVM to begin with
    assert beside.visible == []
