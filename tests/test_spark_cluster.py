"""The cluster that tests of Spark share: where it listens, that it recovers, and the server of Spark Connect."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.cluster import Cluster

from .gate import Gate
from .servers.spark import connect_server, session

ROWS, PARTITIONS = 8_000, 4


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


def test_the_cluster_listens_on_this_machine_alone(cluster: Cluster) -> None:
    with session(cluster) as spark:
        assert spark.range(100, numPartitions=PARTITIONS).count() == 100
        daemons = [each.process.pid for each in (cluster.master, *cluster.workers)]
        executors = cluster.executors()
        assert len(executors) == 2
        assert listening([*daemons, *executors]) == {"127.0.0.1"}


def test_a_task_runs_again_where_its_process_was_killed(cluster: Cluster, tmp_path: Path) -> None:
    gate = Gate(tmp_path, held=frozenset({(1, 0)}))
    table = f"SELECT id, repeat('x', 200) AS text FROM range(0, {ROWS}, 1, {PARTITIONS})"
    with session(cluster) as spark, ThreadPoolExecutor(1) as pool:
        rows = spark.sql(table).mapInArrow(gate, "id long, text string")
        found = pool.submit(rows.selectExpr("count(*)", "sum(id)").collect)
        _, executor = cluster.at(gate.wait_for((1, 0)))
        os.kill(executor, signal.SIGKILL)
        assert found.result() == [(ROWS, ROWS * (ROWS - 1) // 2)]
    assert (1, 1) in gate.attempts


def test_a_server_of_spark_connect_is_an_application(cluster: Cluster) -> None:
    program = (
        "import sys\nfrom pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()\n"
        "print(spark.range(1000, numPartitions=4).count())\nspark.stop()\n"
    )
    server = connect_server(cluster)
    try:
        command = [sys.executable, "-c", program, f"sc://127.0.0.1:{server.port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "1000\n"), done.stderr
    finally:
        server.stop()
