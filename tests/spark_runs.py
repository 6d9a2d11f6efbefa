"""A job that runs on a cluster while a test disturbs it, beside the same job on one machine."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from converter import Job
from converter.jobs.document import merge
from converter.report import Report

from .conftest import Run
from .gate import Gate
from .servers.place import PARTIAL

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Way = Literal["convert", "save"]
WAYS: tuple[Way, ...] = get_args(Way)
ROWS, PARTITIONS = 8_000, 4
PART_BYTES = "200KB"
"""Of text: each partition has several parts."""
_LETTERS = "ghijklmnop"  # for digits: no value looks like a number of a phone or a card
_SQL = f"""
    SELECT
        CASE WHEN n % 500 = 7 THEN concat('bad:', n) WHEN n % 500 = 9 THEN '' ELSE concat('user-', n) END AS id,
        CASE WHEN n % 90 = 3 THEN NULL ELSE translate(repeat(sha2(CAST(n AS string), 256), 3), '0123456789', '{_LETTERS}') END AS a
    FROM (SELECT id AS n FROM range(0, {{rows}}, 1, {{partitions}}))
"""


def value_of(number: int) -> tuple[str, str]:
    """Return the ID and the signal of a row, empty where it has none."""
    id_ = {7: f"bad:{number}", 9: ""}.get(number % 500, f"user-{number}")
    text = hashlib.sha256(str(number).encode()).hexdigest() * 3
    return id_, "" if number % 90 == 3 else text.translate(str.maketrans("0123456789", _LETTERS))


def write(rows: int, folder: Path, files: int = PARTITIONS) -> None:
    """Write the table as CSV, in several files."""
    folder.mkdir()
    each = -(-rows // files)
    for number in range(files):
        part = map(value_of, range(number * each, min(rows, (number + 1) * each)))
        (folder / f"{number}.csv").write_text("id,a\n" + "".join(f"{id_},{a}\n" for id_, a in part))


def sql_of(rows: int, partitions: int) -> str:
    """Return the query of the table."""
    return _SQL.format(rows=rows, partitions=partitions)


@dataclass
class Beside:
    """A run on the cluster in a folder of its own, and what the same job gives on one machine."""

    run: Run
    lines: Counter[str]
    records: Mapping[str, Any]
    rejects: Counter[str]

    @classmethod
    def of(cls, folder: Path, rows: int = ROWS, **changes: Any) -> Beside:
        """Run the job on one machine."""
        write(rows, folder / "in")
        alone, beside = Run(folder / "alone"), Run(folder / "spark")
        for each in (alone, beside):
            each.folder.mkdir()
            each.job["input"]["path"] = str(folder / "in")
            each.job["output"]["max_part_raw_bytes"] = PART_BYTES
            each.job = merge(each.job, changes)
        alone.convert()
        return cls(beside, Counter(alone.lines), alone.report["records"], rejected(alone))

    @property
    def visible(self) -> list[str]:
        """The names of files that Audience Manager would take."""
        return [name for name in self.run.files if not name.endswith(PARTIAL)]

    def check(self, report: Report | None = None) -> None:
        """Check that all rows are there, each once, and nothing else."""
        assert Counter(self.run.lines) == self.lines
        assert [name for name in self.run.files if name.endswith(PARTIAL)] == []
        written = self.run.report
        assert written["records"] == self.records
        assert report is None or report.records == self.records
        assert rejected(self.run) == self.rejects
        numbers = [int(name.removesuffix(".gz").rpartition(".")[2]) for name in self.run.files]
        assert len(set(numbers)) == len(numbers) == len(written["parts"])

    @contextlib.contextmanager
    def converting(
        self, spark: SparkSession, gate: Gate, *, rows: int = ROWS, way: Way = "convert"
    ) -> Iterator[Future[Report | None]]:
        """Convert the table after the gate while the test does something; yield what will be the report, if any."""
        with ThreadPoolExecutor(1) as pool:
            frame = spark.sql(sql_of(rows, PARTITIONS)).mapInArrow(gate, "id string, a string")
            yield pool.submit(self.convert if way == "convert" else self.save, frame)

    def convert(self, frame: DataFrame) -> Report:
        """Convert a DataFrame."""
        from converter.spark import convert as convert_on_spark

        return convert_on_spark(self.job_of_frame(), frame=frame)

    def save(self, frame: DataFrame, source: type | None = None, **options: str) -> None:
        """Write a DataFrame by the data source. Raises the error that Spark tells of, as one of this package."""
        from pyspark.errors import PySparkException

        from converter.spark import AamInbound
        from converter.spark.engine import error_of

        session: Any = frame.sparkSession
        session._jvm.SparkSession.setActiveSession(session._jsparkSession)  # Spark finds data sources in the active one
        session.dataSource.register(source or AamInbound)
        given = {**options_of(self.job_of_frame()), **options}
        try:
            frame.write.format("aam_inbound").mode("append").options(**given).save()
        except PySparkException as error:
            raise error_of(error) from error

    def job_of_frame(self) -> Job:
        """Return the job without the path of its input, which a frame takes the place of."""
        return Job(**{**self.run.job, "input": {}})

    def gate(self, **attempts: frozenset[tuple[int, int]]) -> Gate:
        """Return a gate for the run; `attempts` are those that are held, or that fail."""
        folder = self.run.folder / "gate"
        folder.mkdir(exist_ok=True)
        return Gate(folder, self.run.folder / "reports", **attempts)


def rejected(run: Run) -> Counter[str]:
    """Return the rules that rejected rows break, with how many rows break each."""
    found: Counter[str] = Counter()
    for path in (run.folder / "reports").glob("*.rejects.ndjson.gz"):
        found.update(json.loads(line)["rule"] for line in gzip.decompress(path.read_bytes()).splitlines())
    return found


def options_of(job: Job) -> dict[str, str]:
    """Return a job as options of the data source."""
    return {
        f"{section}.{key}": json.dumps(value) for section, keys in job._given.items() for key, value in keys.items()
    }


def write_job(run: Run) -> Path:
    """Write the job file of a run; return its path."""
    path = run.folder / "job.toml"
    lines = [
        f"{section}.{key} = {json.dumps(value)}" for section, keys in run.job.items() for key, value in keys.items()
    ]
    path.write_text("\n".join(lines))
    return path
