"""A cluster of Spark: a master and two workers, in processes of their own, and a server of Spark Connect beside them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.cluster import Cluster, daemon_environment, home, missing

from . import required
from .process import Program, shared

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CORES = 2  # of each worker
MEMORY = "1100m"  # of each worker: an executor of each of two applications
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.efficiency.enabled": "false",
}
"""Settings with which a task that takes longer than half of the others has a second attempt soon."""
_SMALL = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "500",  # each partition of a small table has several batches
    "spark.sql.files.maxPartitionBytes": "1",  # each file is a partition
}
_CONNECT = "org.apache.spark.sql.connect.service.SparkConnectServer"


@contextlib.contextmanager
def spark_cluster() -> Iterator[Cluster]:
    """Start a cluster, and stop it; skip or fail the test where Java or pyspark is missing."""
    if absent := missing():
        required(absent)
    with tempfile.TemporaryDirectory(prefix="spark-", ignore_cleanup_errors=True) as folder:
        made = Cluster(Path(folder), cores=CORES, memory=MEMORY)
        try:
            yield made
        finally:
            made.stop()


@contextlib.contextmanager
def session(cluster: Cluster, settings: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """Open a session of this process on the cluster, with small batches, and close it."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for name, value in {**cluster.settings(), **_SMALL, **(settings or {})}.items():
        builder = builder.config(name, value)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in daemon_environment().items():
            patch.setenv(name, value)
        made = builder.getOrCreate()
        try:
            yield made
        finally:
            made.stop()


def driver_environment(cluster: Cluster, folder: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a driver that is another process: it finds the same settings in a file in `folder`."""
    given = {**cluster.settings(), **_SMALL, **(settings or {})}
    folder.mkdir(exist_ok=True)
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in given.items()))
    return {**daemon_environment(), "SPARK_CONF_DIR": str(folder)}


def connect_server(cluster: Cluster) -> Program:
    """Start the server of Spark Connect, for all tests of this process; it is an application of the cluster."""

    def command(folder: Path, port: int) -> list[str]:
        binding = {"spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": str(port)}
        settings = {**cluster.settings(cores=2), **binding, "spark.local.dir": str(folder)}
        options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
        return ["bash", str(home() / "bin" / "spark-submit"), *options, "--class", _CONNECT, "spark-internal"]

    # The memory of daemons would be that of this one too, which is a driver.
    return shared("spark-connect", command, {**daemon_environment(), "SPARK_DAEMON_MEMORY": "512m"})
