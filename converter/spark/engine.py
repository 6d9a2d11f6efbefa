"""Runs a job on Spark, from the driver.

1. What needs one machine is refused, then everything is checked and planned as on one machine.
2. The input is shared out: files, gathered in their order, and parts of large ones, or the partitions of a DataFrame as
   they are.
3. Tasks run as `mapInArrow`, twice with a shuffle between where lines depend on all rows of a user. Their messages are
   collected: Spark gives one for each partition, however often it has tried that. A thread waits for them, so that
   signals and progress go on.
4. `SparkConversion` takes them, proves the counts, and publishes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from converter.commands.convert import convert as convert_with
from converter.commands.plan import Plan
from converter.delivery.threads import run_in_thread
from converter.errors import ConverterError
from converter.jobs.events import tell
from converter.jobs.job import Job
from converter.report import Report
from converter.rows.delta.past import FILES
from converter.rows.stages.collisions import joined_ids
from converter.rows.users.split import RANGE_BITS
from converter.sources.base import Span
from converter.spark.conversion import SparkConversion, assignment_of
from converter.spark.frames import first_rows, used_columns
from converter.spark.hashes import has_first_pass
from converter.spark.messages import MOST_PARTITIONS, Share, Staged, error_of_task, packed, unpacked
from converter.spark.moving import MOVED, gather_lines, join_ids, split_files, split_ids, split_rows
from converter.spark.session import open_session
from converter.spark.shares import Sizes, ranges_of_texts, shared_out, spans_of_tables, spans_of_texts, with_whole_files
from converter.spark.support import check_job, check_origins, is_gathered, is_shuffled
from converter.spark.tasks import RESULT, convert_files, convert_rows, scan_ranges

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Batches = Callable[[Iterator[Any]], Iterator[Any]]
"""What `mapInArrow` takes."""
_TICK = 0.5  # seconds
_STOP_SECONDS = 10.0


def convert(
    job: Job | str | os.PathLike[str],
    session: SparkSession | None = None,
    *,
    frame: DataFrame | None = None,
    master: str | None = None,
    **options: Any,
) -> Report:
    """Convert as a job or a job file says, in tasks of Spark, and return the report.

    `session` is one of Spark, by default the one that there is, or a new one at `master`. `frame` is a DataFrame to
    read instead of `input.path`: its first rows are asked for beforehand, so it is computed in part twice. `options`
    are those of `converter.convert`, but for `input` and `rejects_of`. Files of `input.path` have to be seen by all
    machines of the cluster under the same path, and so has a destination that is a folder. Raises a `ConverterError`,
    as `converter.convert` does, with the error of a task that has failed too often.
    """
    job = Job.of(job)
    check_job(job, shuffles=True)
    # Spark says so of any function of Arrow, for which it uses nothing of pandas.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    if frame is None:
        session = session or open_session(master)
        return convert_with(job, engine=partial(SparkConversion, partial(_run_on_files, session)), **options)
    with _errors_of_spark():
        rows = used_columns(job, frame)
    engine = partial(SparkConversion, partial(_run_on_rows, rows))
    return convert_with(job, input=first_rows(rows), engine=engine, **options)


@contextlib.contextmanager
def _errors_of_spark() -> Iterator[None]:
    """Raise what Spark raises inside as an error of this package, also where its JVM has ended."""
    try:
        yield
    except (ConverterError, AssertionError):
        raise
    except Exception as error:
        raise error_of(error) from error


@_errors_of_spark()
def _run_on_rows(frame: DataFrame, plan: Plan, on_wait: Callable[[], None]) -> tuple[Sequence[Staged], int]:
    """Let tasks convert the partitions of a DataFrame, whose rows Spark counts too."""
    from pyspark.sql import Observation
    from pyspark.sql.functions import count, lit

    observation = Observation()
    counted = frame.observe(observation, count(lit(1)).alias("rows"))
    assignment = packed(assignment_of(plan, _stride(plan, MOST_PARTITIONS)))
    if is_shuffled(plan.job):
        tasks = _shuffled(counted, partial(split_rows, assignment), partial(gather_lines, assignment, of_rows=True))
    else:
        tasks = counted.mapInArrow(partial(convert_rows, assignment), RESULT)
    staged = _collected(frame.sparkSession, tasks, on_wait)
    _check_ranges(staged)
    _check_files(staged, plan)
    return staged, int(observation.get["rows"])


@_errors_of_spark()
def _run_on_files(session: SparkSession, plan: Plan, on_wait: Callable[[], None]) -> tuple[Sequence[Staged], None]:
    """Let tasks convert the files of a plan. Their rows are counted in the files themselves."""
    check_origins(plan.origins)
    return _OnFiles(session, plan, on_wait).run(), None


class _OnFiles:
    """Lets tasks convert the files of a plan, each a share of them."""

    def __init__(self, session: SparkSession, plan: Plan, on_wait: Callable[[], None]) -> None:
        self._session, self._plan, self._on_wait = session, plan, on_wait
        sizes = Sizes.of(session)
        self._shares = list(shared_out(plan.sources, sizes, self._spans(sizes)))

    def run(self) -> list[Staged]:
        """Return what tasks have made of all shares."""
        job = self._plan.job
        assigned = assignment_of(self._plan, _stride(self._plan, len(self._shares)))
        first: list[Staged] = []
        if has_first_pass(job):
            assignment = packed(assigned)
            first = self._run(partial(split_ids, assignment), partial(join_ids, assignment))
            parts = [each.colliding for each in first if each.colliding is not None]
            assigned = replace(assigned, colliding=joined_ids(parts, job.run.memory))
        assignment = packed(assigned)
        if is_shuffled(job):
            staged = self._run(partial(split_files, assignment), partial(gather_lines, assignment, of_rows=False))
        else:
            staged = self._run(partial(convert_files, assignment))
        if sorted(each.partition for each in staged if not each.ranges) != [each.partition for each in self._shares]:
            raise AssertionError("Spark gives each partition once")
        _check_files(staged, self._plan)
        return [*first, *staged]

    def _spans(self, sizes: Sizes) -> dict[int, list[Span]]:
        """Divide large files: tasks scan those that are texts."""
        spans = spans_of_tables(self._plan.sources, sizes)
        if ranges := ranges_of_texts(self._plan.sources, sizes):
            scan = partial(scan_ranges, packed(assignment_of(self._plan, 1)), packed(ranges))
            scans = self._numbers(len(ranges)).mapInArrow(scan, RESULT)
            spans |= spans_of_texts(self._plan.sources, ranges, _collected(self._session, scans, self._on_wait))
        return spans

    def _run(self, function: Callable[..., Iterator[Any]], after: Batches | None = None) -> list[Staged]:
        """Run a function on all shares, and one after a shuffle, if there is one.

        Where a span ends inside a row, its file becomes one share. What is shuffled is then made again as a whole.
        """
        staged = self._run_on(self._shares, function, after)
        if torn := frozenset().union(*(each.torn for each in staged)):
            tell("torn", f"{len(torn):,} files cannot be parsed in spans, so each of them is read again, by one task.")
            self._shares, whole = with_whole_files(self._shares, torn)
            again = self._run_on(self._shares if after else whole, function, after)
            kept = {each.partition for each in self._shares} - {each.partition for each in again}
            staged = again if after else [each for each in staged if each.partition in kept] + again
        _check_ranges(staged)
        return staged

    def _run_on(
        self, shares: Sequence[Share], function: Callable[..., Iterator[Any]], after: Batches | None
    ) -> list[Staged]:
        work = partial(function, packed(shares))
        numbers = self._numbers(len(shares))
        tasks = _shuffled(numbers, work, after) if after else numbers.mapInArrow(work, RESULT)
        return _collected(self._session, tasks, self._on_wait)

    def _numbers(self, count: int) -> DataFrame:
        """Return so many numbers, from 0, each in a partition of its own."""
        return self._session.range(0, count, 1, count)


def _stride(plan: Plan, partitions: int) -> int:
    """Return how many partitions may have parts: those of the input, or ranges of hashes where lines are gathered."""
    return 1 << RANGE_BITS if is_gathered(plan.job) else partitions


def _shuffled(frame: DataFrame, split: Batches, gather: Batches) -> DataFrame:
    """Let tasks split lines, and others gather them. Spark joins small partitions, but splits no range."""
    return frame.mapInArrow(split, MOVED).repartition("range").mapInArrow(gather, RESULT)


def _check_ranges(staged: Sequence[Staged]) -> None:
    """Check that no user was gathered twice."""
    if sum(len(each.ranges) for each in staged) != len(set().union(*(each.ranges for each in staged))):
        raise AssertionError("Spark gives all rows of a range to one task")


def _check_files(staged: Sequence[Staged], plan: Plan) -> None:
    """Check that all files of a state were compared, if there is one."""
    if plan.comparison and staged and set().union(*(each.ranges for each in staged)) != set(range(FILES)):
        raise AssertionError("Spark gives each file of the state to a task")


def _collected(session: SparkSession, frame: DataFrame, on_wait: Callable[[], None]) -> list[Any]:
    """Run tasks and return their messages; whatever ends the wait cancels them."""
    tag = f"aam-inbound-{secrets.token_hex(8)}"

    def collect() -> list[Any]:
        session.addTag(tag)
        try:
            return list(frame.collect())
        finally:
            session.removeTag(tag)

    tasks: list[Future[Any]] = []
    try:
        task = run_in_thread(collect, tasks)
        while wait([task], _TICK).not_done:
            on_wait()
        return [unpacked(bytes(row["staged"])) for row in task.result()]
    except BaseException:
        if tasks and not tasks[0].done():
            with contextlib.suppress(Exception):  # the session may be gone
                session.interruptTag(tag)
            wait(tasks, _STOP_SECONDS)
        raise


def error_of(error: Exception) -> ConverterError:
    """Return what Spark raised as an error of this package: that of a task, where one has failed too often."""
    text = str(error)
    if found := error_of_task(text):
        return found
    if "No module named 'converter" in text:
        return ConverterError(
            "E-SPARK-PACKAGE",
            "The workers of Spark lack the package aam-inbound-converter.",
            "Install it for the Python of the workers (PYSPARK_PYTHON), in the version of the driver.",
        )
    condition = getattr(error, "getCondition", lambda: None)() or type(error).__name__
    return ConverterError(
        "E-SPARK-FAILED",
        f"Spark could not run the tasks ({condition}).",
        "Its log says why, and so does --debug; the same command with --resume makes all parts again.",
    )
