"""What may happen to a run on a cluster: whatever it is, no row is lost, none is there twice, none too early."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.cluster import Cluster
from converter.errors import ConverterError

from .gate import Gate
from .servers.s3 import KEY, SECRET, S3Place, s3_place
from .servers.spark import session
from .spark_runs import PARTITIONS, ROWS, WAYS, Beside, Way, sql_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .servers.sftp import SftpServer


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    return Beside.of(tmp_path)


HELD = frozenset((partition, 0) for partition in range(PARTITIONS))


@pytest.fixture(scope="module")
def spark(_cluster: Cluster) -> Iterator[SparkSession]:
    """A session for all tests here, whose tasks may log in to the tests' S3."""
    access = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    with session(_cluster, {f"spark.executorEnv.{name}": text for name, text in access.items()}) as made:
        yield made


@pytest.mark.parametrize("what", ["executor", "worker"])
def test_f24_a_process_of_the_cluster_is_killed_half_way(
    cluster: Cluster, spark: SparkSession, beside: Beside, what: str
) -> None:
    gate = beside.gate(held=frozenset({(1, 0)}))
    with beside.converting(spark, gate) as report:
        worker, executor = cluster.at(gate.wait_for((1, 0)))
        assert beside.visible == []
        if what == "worker":
            worker.kill()
        else:
            os.kill(executor, signal.SIGKILL)
        beside.check(report.result())
    assert (1, 1) in gate.attempts


def test_nothing_is_visible_before_all_tasks_are_done(cluster: Cluster, spark: SparkSession, beside: Beside) -> None:
    gate = beside.gate(held=HELD)
    with beside.converting(spark, gate) as report:
        for attempt in sorted(HELD):
            gate.wait_for(attempt)
            assert beside.visible == []
            if attempt[0] < PARTITIONS - 1:
                gate.open(attempt)
        assert beside.visible == []
        gate.open((PARTITIONS - 1, 0))
        beside.check(report.result())


@pytest.mark.parametrize("way", WAYS)
def test_a_task_fails_twice(cluster: Cluster, spark: SparkSession, beside: Beside, way: Way) -> None:
    gate = beside.gate(failing=frozenset({(2, 0), (2, 1)}))
    with beside.converting(spark, gate, way=way) as report:
        beside.check(report.result())
    assert {number for partition, number in gate.attempts if partition == 2} == {0, 1, 2}


@pytest.mark.parametrize("way", WAYS)
def test_f3_a_task_that_always_fails_leaves_nothing(
    cluster: Cluster, spark: SparkSession, beside: Beside, way: Way
) -> None:
    gate = beside.gate(failing=frozenset((2, number) for number in range(4)))
    with beside.converting(spark, gate, way=way) as report:
        error = report.exception()
    assert isinstance(error, ConverterError)
    assert error.code == "E-SPARK-FAILED"
    assert beside.run.files == []
    logs = b"".join(path.read_bytes() for path in cluster.folder.glob("worker-*/work/*/*/std*"))
    assert b"as it is to do" in logs
    assert b"user-" not in logs
    with beside.converting(spark, beside.gate(), way=way) as report:
        beside.check(report.result())


@pytest.fixture
def small_disk(beside: Beside) -> Iterator[Path]:
    """An output folder of 64 KiB, less than the parts take."""
    beside.run.out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(beside.run.out)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a disk")
    yield beside.run.out
    subprocess.run(["umount", "--lazy", str(beside.run.out)], check=True)


def test_f22_the_disk_of_the_output_is_full(
    cluster: Cluster, spark: SparkSession, beside: Beside, small_disk: Path
) -> None:
    with beside.converting(spark, beside.gate()) as report:
        error = report.exception()
    assert isinstance(error, ConverterError)
    assert "No space left on device" in str(error)
    assert beside.run.files == []
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    with beside.converting(spark, beside.gate()) as report:
        beside.check(report.result())


GATHERED = {"record": {"rows": "signal"}}


@pytest.fixture
def gathering(spark: SparkSession) -> Iterator[None]:
    """Let as many tasks gather as there are partitions of a shuffle, though these are small."""
    spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    yield
    spark.conf.unset("spark.sql.adaptive.coalescePartitions.enabled")


def test_f24_a_worker_is_killed_while_lines_are_gathered(
    cluster: Cluster, spark: SparkSession, gathering: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its tasks have shuffled is lost with it, and made again."""
    beside = Beside.of(tmp_path, **GATHERED)
    gate = beside.gate(held=frozenset({(1, 0)}))
    monkeypatch.setattr("converter.spark.engine.gather_lines", gate.gather)
    with beside.converting(spark, Gate(beside.run.folder, beside.run.folder)) as report:
        worker, _ = cluster.at(gate.wait_for((1, 0)))
        assert beside.visible == []
        worker.kill()
        gate.open((1, 0))
        beside.check(report.result())


def test_f1_a_save_that_is_killed_between_two_publications_is_finished(
    cluster: Cluster, spark: SparkSession, beside: Beside
) -> None:
    from .doomed_source import DoomedSource

    frame = spark.sql(sql_of(ROWS, PARTITIONS))
    with pytest.raises(ConverterError) as caught:
        beside.save(frame, DoomedSource)
    assert caught.value.code == "E-SPARK-FAILED"
    assert 0 < len(beside.visible) < len(beside.run.files)
    beside.save(frame, resume="true")
    beside.check()


@pytest.fixture
def place() -> Iterator[S3Place]:
    with s3_place() as made:
        yield made


def test_lines_that_are_gathered_arrive_on_s3(
    cluster: Cluster, spark: SparkSession, tmp_path: Path, place: S3Place
) -> None:
    beside = Beside.of(tmp_path, **GATHERED)
    beside.run.job["output"]["to"] = f"s3://{place.bucket}/in"
    beside.run.job["s3"] = {"endpoint_url": place.endpoint, "addressing_style": "path", "part_size": "5MiB"}
    beside.convert(spark.sql(sql_of(ROWS, PARTITIONS)))
    text = b"".join(map(gzip.decompress, objects_of(place).values())).decode()
    assert Counter(text.split("\n")[:-1]) == beside.lines
    assert place.client.list_multipart_uploads(Bucket=place.bucket).get("Uploads", []) == []


def test_lines_that_are_gathered_arrive_by_sftp(
    cluster: Cluster, spark: SparkSession, tmp_path: Path, sftp: SftpServer
) -> None:
    beside = Beside.of(tmp_path, **GATHERED)
    beside.run.job["output"]["to"] = sftp.url("/in")
    beside.run.job["sftp"] = {"known_hosts": sftp.known_hosts}
    (sftp.root / "in").mkdir()
    beside.convert(spark.sql(sql_of(ROWS, PARTITIONS)))
    parts = sorted((sftp.root / "in").iterdir())
    assert [path.name for path in parts if path.suffix != ".gz"] == []
    lines = b"".join(gzip.decompress(path.read_bytes()) for path in parts).decode().split("\n")[:-1]
    assert Counter(lines) == beside.lines


def test_f14_uploads_of_attempts_that_were_killed_are_aborted(
    cluster: Cluster, spark: SparkSession, beside: Beside, place: S3Place
) -> None:
    gate = beside.gate(held=frozenset({(3, 0)}))
    beside.run.job["output"]["to"] = f"s3://{place.bucket}/in"
    beside.run.job["s3"] = {"endpoint_url": place.endpoint, "addressing_style": "path", "part_size": "5MiB"}
    with beside.converting(spark, gate) as report:
        _, executor = cluster.at(gate.wait_for((3, 0)))
        assert objects_of(place) == {}
        os.kill(executor, signal.SIGKILL)
        report.result()
    text = b"".join(map(gzip.decompress, objects_of(place).values())).decode()
    assert Counter(text.split("\n")[:-1]) == beside.lines
    assert place.client.list_multipart_uploads(Bucket=place.bucket).get("Uploads", []) == []


def objects_of(place: S3Place) -> dict[str, bytes]:
    """Return all objects, with what is in them."""
    keys = [each["Key"] for each in place.client.list_objects_v2(Bucket=place.bucket).get("Contents", [])]
    return {key: place.client.get_object(Bucket=place.bucket, Key=key)["Body"].read() for key in keys}
