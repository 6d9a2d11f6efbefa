"""Fixtures for all tests."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from converter import Job, convert, kernel
from converter.columns import buffers, utf8
from converter.jobs.document import merge
from converter.ledger import Ledger
from converter.report import Report
from converter.rows.pipeline import convert_all
from converter.rows.records import Records
from converter.sources.delimited import DelimitedSource
from converter.sources.malformed import RULES, MalformedRows
from converter.sources.ndjson import NdjsonSource
from converter.sources.origins.local import LocalFile

from .installed import SUITE
from .servers.process import stop_all

if TYPE_CHECKING:
    from benchmarks.cluster import Cluster

    from .servers.ftp import FtpServer
    from .servers.sftp import SftpServer

pytest_plugins = ["tests.raised", "tests.unsteady"]
TIMESTAMP = 1_366_545_717


_KERNEL_ONLY = {*SUITE, "tests/test_benchmarks.py", "tests/test_build.py"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes as well")
    parser.addoption("--share", type=float, help="run a share of the modules, such as 0.1, drawn anew each day")
    parser.addoption("--share-seed", type=int, help="draw the same share again")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        assert kernel.load() or os.environ.get("AAM_KERNEL") == "off", kernel.status()
    if config.option.share_seed is None:
        config.option.share_seed = date.today().toordinal()  # in each worker by itself


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.share:
        terminalreporter.write_line(f"--share {config.option.share} --share-seed {config.option.share_seed}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not kernel.load():
        # Those of the fixture `way` run without the loops as well, whenever they run.
        kept = (item for item in items if "way" not in item.fixturenames and not item.get_closest_marker("loops"))
        _keep(config, items, {item for item in kept if _module(item) not in _KERNEL_ONLY})
    if config.option.share:
        modules = sorted(set(map(_module, items)))
        generator = random.Random(config.option.share_seed)
        drawn = {module for module in modules if generator.random() < config.option.share}
        _keep(config, items, {item for item in items if _module(item) in drawn})
    if not config.option.slow:
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


def _module(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _keep(config: pytest.Config, items: list[pytest.Item], wanted: set[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = [item for item in items if item in wanted]


settings.register_profile("tests", deadline=None)  # machines are busy at times
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _servers() -> Iterator[None]:
    """Stop the servers that tests have shared."""
    yield
    stop_all()


@dataclass
class Run:
    """A folder to run jobs in, with a job that uses the columns `id`, `a`, `b` and `t`."""

    folder: Path
    job: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.job = {
            "input": {"path": str(self.folder / "in.csv")},
            "id": {"column": "id"},
            "record": {"signals": ["a"]},
            "output": {"to": str(self.folder / "out"), "dpid": 1234, "timestamp": TIMESTAMP},
            "report": {"dir": str(self.folder / "reports"), "max_rejects": "100%"},
        }

    def write(self, content: str | bytes, name: str = "in.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def make_job(self, **changes: Any) -> Job:
        return Job(**merge(self.job, changes))

    def convert(
        self, content: str | bytes | None = None, name: str = "in.csv", *, resume: bool = False, **changes: Any
    ) -> Report:
        """Write the input, convert it, and return the report."""
        if content is not None:
            changes = merge({"input": {"path": str(self.write(content, name))}}, changes)
        return convert(self.make_job(**changes), resume=resume)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def files(self) -> list[str]:
        """The names of the files in the output folder."""
        return sorted(file.name for file in self.out.iterdir()) if self.out.exists() else []

    @property
    def text(self) -> bytes:
        """The text of all parts, in order."""
        parts = sorted(self.out.glob("*"), key=lambda part: int(part.name.removesuffix(".gz").rpartition(".")[2]))
        return b"".join(
            gzip.decompress(part.read_bytes()) if part.suffix == ".gz" else part.read_bytes() for part in parts
        )

    @property
    def lines(self) -> list[str]:
        """The lines of all parts, without newlines."""
        return self.text.decode().split("\n")[:-1]

    @property
    def rejects(self) -> list[dict[str, Any]]:
        """The rejected rows, as the file of rejects has them."""
        (path,) = (self.folder / "reports").glob("*.rejects.ndjson.gz")
        return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]

    @property
    def report(self) -> dict[str, Any]:
        """The report as it was written: that of the run that is done, or else that of the last one that failed."""
        paths = list((self.folder / "reports").glob("*.report.json"))
        done = [path for path in paths if ".failed-" not in path.name]
        path = done[0] if done else max(paths, key=lambda path: path.stat().st_mtime_ns)
        report = json.loads(path.read_bytes())
        assert isinstance(report, dict)
        return report


def malformed_rows(malformed: MalformedRows) -> list[tuple[int, str, bytes]]:
    """Return malformed rows: their row number, the name of their rule, and their text."""
    names = [RULES[rule].name for rule in malformed.rules.tolist()]
    return list(zip(malformed.numbers.tolist(), names, malformed.texts(), strict=True))


def converted(
    kind: type[DelimitedSource | NdjsonSource], path: Path, job: Job, block: int = 1 << 20, most_line_bytes: int = 1000
) -> tuple[bytes, list[Any], Ledger]:
    """Convert one text, read `block` bytes at a time; return its lines, its rejects and the counts."""
    source = kind(LocalFile.at(path), job.input, block=block)
    job = job.model_copy(update={"report": job.report.model_copy(update={"show_rows": True})})
    text, rejects, ledger = b"", [], Ledger()
    records = Records(job, most_line_bytes)
    source.roles = records.roles
    for each in convert_all(records, [source]):
        text += b"".join(bytes(buffer) for texts in each.texts for part in texts for buffer in part.buffers)
        for _, rows, rejected, malformed in each.rejects():
            rejects += [(int(row), *rest) for row, rest in zip(rows, rejected["reason", "c0"].rows(), strict=True)]
            rejects += malformed_rows(malformed)
        ledger += each.ledger
    return text, sorted(rejects, key=str), ledger


def without_loops() -> None:
    """Stands for `kernel.load` where the loops were not built."""


@pytest.fixture(params=["frames", "loops"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether rows go through the query, as where the loops were not built, or through the loops."""
    large = request.param == "loops"
    if not large:
        monkeypatch.setattr(kernel, "load", without_loops)
    for module in (buffers, utf8):  # arrow as well is for what is not short
        monkeypatch.setattr(module, "_SHORT", 0 if large else 1 << 60)
    return str(request.param)


@pytest.fixture
def run(way: str, tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.fixture
def fresh_run(way: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Run]:
    """For tests that run more than one job: a folder each."""
    return lambda: Run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[FtpServer]:
    from .servers.ftp import ftp_server  # here: the tests of an installed wheel have no servers

    (tmp_path / "ftp").mkdir()
    with ftp_server(tmp_path / "ftp") as server:
        yield server


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[SftpServer]:
    from .servers.sftp import sftp_server

    (tmp_path / "sftp").mkdir()
    with sftp_server(tmp_path / "sftp") as server:
        yield server


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Cluster]:
    from .servers.spark import spark_cluster

    with spark_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster: Cluster) -> Cluster:
    """A cluster of Spark whose workers run, whatever tests have done to them."""
    _cluster.revive()
    return _cluster
