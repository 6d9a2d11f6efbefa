"""The cluster that tests of Spark share listens on this machine alone."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from benchmarks.cluster import Cluster

from .servers.spark import session

PARTITIONS = 4


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
