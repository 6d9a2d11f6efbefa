"""A run of the data source is kept by a process of the driver, between those of Spark that begin and end it."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from converter.errors import JobError
from converter.spark.keeper import _Keeper
from converter.spark.kept import Begun, Failed, KeptRun, Request
from converter.spark.messages import RunFailedError, error_of_task, packed, unpacked
from converter.spark.options import asked_by
from converter.spark.tasks import result_of, rows_of_partition

from .conftest import Run
from .doomed_source import DOOMED
from .servers.place import PARTIAL
from .spark_runs import options_of

ROWS = 5_000
_KEEPER = "from converter.spark.keeper import main; main()"


def table(partition: int) -> pa.Table:
    """Return the rows of a partition; its first one is rejected."""
    ids = ["x@example.com", *(f"user-{partition}-{row}" for row in range(ROWS))]
    return pa.table({"id": ids, "a": [str(row % 7) for row in range(len(ids))]})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path)
    made.job["output"]["max_part_raw_bytes"] = "30KB"
    del made.job["input"]
    return made


def request_of(run: Run, parent: int | None = None, **options: str) -> Request:
    given = {**options_of(run.make_job()), **options}
    return Request(given, bytes(table(0).schema.serialize()), parent or os.getpid())


def results(run: KeptRun) -> list[bytes]:
    """Return what two tasks make for a run."""
    assignment = run.begun.assignment
    assert assignment is not None
    works: list[Callable[[], Any]] = [
        lambda partition=partition: rows_of_partition(assignment, iter(table(partition).to_batches()), partition)
        for partition in range(2)
    ]
    return [result_of(work) for work in works]


def lines(run: Run) -> Counter[bytes]:
    """Return the lines of the visible parts."""
    parts = [path for path in run.out.iterdir() if not path.name.endswith(PARTIAL)]
    return Counter(line for path in parts for line in gzip.decompress(path.read_bytes()).splitlines())


class Keeper:
    """A keeper in a thread, and its answers."""

    def __init__(self, folder: Path, request: Request) -> None:
        self.answers: list[Begun | Failed] = []
        self._answered = threading.Event()
        keeper = _Keeper(request, str(folder / "run"), self._answer)
        self.thread = threading.Thread(target=keeper.run)
        self.thread.start()

    def _answer(self, text: bytes) -> None:
        self.answers.append(unpacked(text))
        self._answered.set()

    def first(self) -> Begun | Failed:
        assert self._answered.wait(60)
        return self.answers[0]


def begun(keeper: Keeper) -> KeptRun:
    answer = keeper.first()
    assert isinstance(answer, Begun)
    return KeptRun(answer)


def code_of(error: pytest.ExceptionInfo[RunFailedError]) -> str:
    found = error_of_task(str(error.value))
    assert found
    assert str(error.value).startswith(f"{found.code}: ")
    return found.code


def test_results_are_published_once_the_driver_commits(run: Run, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, request_of(run))
    kept = begun(keeper)
    made = results(kept)
    assert run.files != []
    assert lines(run) == Counter()
    kept.commit([*made, result_of(lambda: rows_of_partition(kept.begun.assignment or b"", iter(()), 2))])
    keeper.thread.join()
    assert sum(lines(run).values()) == 2 * ROWS
    assert run.report["records"]["read"] == 2 * ROWS + 2
    assert run.report["records"]["rejected"] == {"id_is_email": 2}
    kept.abort()  # as Spark may do; the run has ended
    assert sum(lines(run).values()) == 2 * ROWS


def test_a_task_without_a_result_is_noticed_and_nothing_is_published(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    from converter.spark.source import InboundWriter, TaskResult

    keeper = Keeper(tmp_path, request_of(run))
    kept = begun(keeper)
    writer = InboundWriter(kept)
    made: list[Any] = [TaskResult(each) for each in results(kept)]
    with pytest.raises(RunFailedError) as caught:
        writer.commit([*made, None])
    assert code_of(caught) == "E-LEDGER"
    writer.abort(made)  # as Spark does then
    keeper.thread.join()
    assert run.files == []


def test_a_run_that_is_aborted_leaves_nothing(run: Run, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, request_of(run))
    kept = begun(keeper)
    results(kept)
    kept.abort()
    keeper.thread.join()
    assert run.files == []
    assert run.report["error"]["code"] == "E-SPARK-FAILED"


def test_a_run_whose_driver_has_ended_leaves_nothing(run: Run, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        keeper = Keeper(tmp_path, request_of(run, parent.pid))
        results(begun(keeper))
        assert run.files != []
        parent.communicate()
    keeper.thread.join()
    assert run.files == []
    assert run.report["outcome"] == "stopped"


def test_a_run_that_cannot_begin_says_why(run: Run) -> None:
    with pytest.raises(RunFailedError) as caught:
        KeptRun.begin(request_of(run, **{"output.bandwidth": "1MB"}))
    assert code_of(caught) == "E-SPARK-UNSUPPORTED"
    with pytest.raises(RunFailedError) as caught:
        KeptRun.begin(request_of(run, **{"output.dpdi": "1"}))
    assert code_of(caught) == "E-JOB-INVALID"


@pytest.fixture
def doomed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let keepers be killed between two publications."""
    monkeypatch.setattr("converter.spark.kept._KEEPER", ["-c", DOOMED + _KEEPER])
    yield
    monkeypatch.undo()


def test_a_keeper_that_is_killed_while_it_publishes_is_finished(run: Run, doomed: None) -> None:
    kept = KeptRun.begin(request_of(run))
    with pytest.raises(RunFailedError) as caught:
        kept.commit(results(kept))
    assert code_of(caught) == "E-SPARK-FAILED"
    assert 0 < sum(lines(run).values()) < 2 * ROWS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("converter.spark.kept._KEEPER", ["-c", _KEEPER])
        again = KeptRun.begin(request_of(run, resume="true"))
    assert again.begun.assignment is None
    again.commit([])
    assert sum(lines(run).values()) == 2 * ROWS
    assert [name for name in run.files if name.endswith(PARTIAL)] == []


def test_a_job_is_given_by_options_a_file_and_a_text(run: Run, tmp_path: Path) -> None:
    options = options_of(run.make_job())
    text = "\n".join(f"{name} = {value}" for name, value in options.items())
    path = run.write(text, "job.toml")
    for given in (options, {"job": text}, {"job": str(path)}):
        asked = asked_by({**given, "output.dpid": "77", "strict": "True"})
        assert asked.job.dpids == (77,)
        assert asked.job.output.max_part_raw_bytes == 30_000
        assert (asked.strict, asked.resume, asked.accept_volume) == (True, False, False)
    with pytest.raises(JobError) as caught:
        asked_by({**options, "resume": "yes"})
    assert caught.value.code == "E-JOB-INVALID"
    with pytest.raises(JobError) as caught:
        asked_by({"job": "[output\n"})
    assert caught.value.code == "E-JOB-TOML"


def test_the_data_source_only_appends() -> None:
    pytest.importorskip("pyspark")
    from converter.spark import AamInbound

    with pytest.raises(RunFailedError) as caught:
        AamInbound({}).writer(None, overwrite=True)
    assert code_of(caught) == "E-SPARK-MODE"
    assert packed(caught.value)  # it goes from process to process
