"""The driver of a job on a cluster, as a program: `spark` starts it, and measures it from outside.

It says when it is ready, and when it is done; each time it waits for a line, while the processes of the cluster can be
measured. Ready means that executors run: what they take for that is the cluster's, not the job's.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.workloads import DPID, TIMESTAMP, TRAIT_SEPARATOR, WORKLOADS, Workload

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from converter import Job

_SLOTS = 64  # tasks, for a start: more than a small cluster has


@dataclass(frozen=True)
class SparkTask:
    """What a driver has to do: the input's folder of Parquet files, an empty folder, the level of gzip."""

    way: str
    workload: str
    path: str
    folder: str
    level: str
    settings: Mapping[str, str]

    @property
    def of(self) -> Workload:
        """The workload."""
        return WORKLOADS[self.workload]


def main() -> None:
    """Do what the argument, a task as JSON, says."""
    task = SparkTask(**json.loads(sys.argv[1]))
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(task.way)
    for name, value in task.settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.range(_SLOTS, numPartitions=_SLOTS).selectExpr("sum(id)").collect()
    _say("ready")
    WAYS[task.way](spark, task)
    _say("done")
    spark.stop()


def _say(word: str) -> None:
    """Say a word to the process that measures, and wait for its answer."""
    print(word, flush=True)
    sys.stdin.readline()


def _from_files(spark: SparkSession, task: SparkTask) -> None:
    """Run ours, which reads the files in its tasks."""
    from converter.spark import convert as convert_on_spark

    convert_on_spark(_job(task), spark)


def _from_frame(spark: SparkSession, task: SparkTask) -> None:
    """Run ours, which gets the rows that Spark has read."""
    from converter.spark import convert as convert_on_spark

    convert_on_spark(_job(task), frame=spark.read.parquet(task.path).select(*task.of.used))


def _job(task: SparkTask) -> Job:
    from converter import Job

    workload = task.of
    return Job(
        input={"path": task.path},
        id={"column": workload.id},
        record={"signals": list(workload.signals), "traits": [workload.traits]},
        output={"to": task.folder, "dpid": DPID, "timestamp": TIMESTAMP},
        report={"dir": task.folder + "-report"},
    )


def _by_sql(spark: SparkSession, task: SparkTask) -> None:
    """Make the same lines by expressions of Spark SQL, compressed by its gzip."""
    lines = _lines(spark.read.parquet(task.path), task.of)
    lines.write.option("compression", "gzip").option("zlib.compress.level", task.level).text(task.folder + "-sql")
    folder = Path(task.folder)
    folder.mkdir(parents=True)
    for path in Path(task.folder + "-sql").glob("part-*.gz"):  # without checksums and the mark of success
        path.rename(folder / path.name)
    shutil.rmtree(task.folder + "-sql")


def _lines(table: DataFrame, workload: Workload) -> DataFrame:
    """Return the lines. What is missing is null, and leaves its item null; `concat_ws` leaves that out."""
    from pyspark.sql import functions as f

    items: list[Column] = [
        f.concat(f.lit(f'"{name}"="'), f.col(name).cast("string"), f.lit('"')) for name in workload.signals
    ]
    traits = f.replace(f.col(workload.traits), f.lit(TRAIT_SEPARATOR), f.lit(",d_sid="))
    items.append(f.concat(f.lit("d_sid="), traits))
    id_ = f.col(workload.id)
    accepted = table.where(~id_.contains(":") & ~id_.contains("@"))
    return accepted.select(f.concat(id_, f.lit("\t"), f.concat_ws(",", *items)).alias("value"))


WAYS: dict[str, Callable[[SparkSession, SparkTask], None]] = {
    "ours": _from_files,
    "ours-frame": _from_frame,
    "sql": _by_sql,
}


if __name__ == "__main__":
    main()
