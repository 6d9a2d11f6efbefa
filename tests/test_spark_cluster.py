"""Machines of a cluster: they listen on this machine alone, and others do what one with a full disk cannot do."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.cluster import Cluster

from .servers.spark import session
from .spark_runs import PARTITIONS, ROWS, Beside, sql_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_EXCLUDING = {"spark.excludeOnFailure.enabled": "true"}
_FOLDERS = 64  # in which Spark puts the files of a disk


@pytest.fixture(scope="module")
def spark(_cluster: Cluster) -> Iterator[SparkSession]:
    """A session for all tests here, which gives a task that has failed to another executor."""
    _cluster.revive()
    with session(_cluster, _EXCLUDING) as made:
        assert made.range(100, numPartitions=PARTITIONS).count() == 100
        yield made


def listening(pids: list[int]) -> set[str]:
    """Return the addresses at which processes listen."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(link.readlink()))
    found = set()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                raw = bytes.fromhex(fields[1].partition(":")[0])
                words = [raw[at : at + 4][::-1] for at in range(0, len(raw), 4)]
                found.add(socket.inet_ntop(family, b"".join(words)).removeprefix("::ffff:"))
    return found


def test_the_cluster_listens_on_this_machine_alone(cluster: Cluster, spark: SparkSession) -> None:
    daemons = [each.process.pid for each in (cluster.master, *cluster.workers)]
    executors = cluster.executors()
    assert len(executors) == 2
    assert listening([*daemons, *executors]) == {"127.0.0.1"}


@pytest.fixture
def full_disk(cluster: Cluster, spark: SparkSession) -> Iterator[Path]:
    """A disk of 16 KiB in place of that on which the second worker's tasks put what they shuffle."""
    (folder,) = cluster.folder.glob("worker-1/local/spark-*/executor-*/blockmgr-*")
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a disk")
    for number in range(_FOLDERS):  # those that are there Spark does not make again
        (folder / f"{number:02x}").mkdir()
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_f22_the_disk_of_a_worker_is_full_while_lines_are_shuffled(
    cluster: Cluster, spark: SparkSession, full_disk: Path, tmp_path: Path
) -> None:
    beside = Beside.of(tmp_path, record={"rows": "signal"})
    beside.check(beside.convert(spark.sql(sql_of(ROWS, PARTITIONS))))
    logs = b"".join(path.read_bytes() for path in cluster.folder.glob("worker-1/work/*/*/stderr"))
    assert b"No space left on device" in logs
