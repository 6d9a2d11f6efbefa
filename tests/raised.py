"""A plugin: all tests together reach every place where the package makes one of its errors.

Errors note where they are made, in a file that the processes of all tests and those forked from them share. Once all
tests have run, the places are compared with those in the source; a run of some of the tests is not judged. The tests of
Spark run alone, and are judged by the places in its package.
"""

from __future__ import annotations

import ast
import contextlib
import os
import sys
import tempfile
from pathlib import Path

import pytest

from converter import errors

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "converter"
KINDS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.Reported)}
REACHED: set[tuple[str, int]] = set()  # by this process
_VARIABLE = "AAM_TESTS_REACHED"


ELSEWHERE = {
    "cli/app.py:_usage_error",
    "cli/check.py:_check",
    "cli/init.py:_ask",
    "cli/init.py:_check_terminal",
    "cli/init.py:_mode",
    "cli/init.py:_number",
    "cli/init.py:_truth",
    "cli/init.py:write",
    "cli/examples.py:_check",
    "cli/log_file.py:_logging_to",
    "cli/many_jobs.py:_error_of",
    "delivery/unexpected.py:reported",
    "cli/outcome.py:_exit_code",
    "cli/files.py:write_file",
    "cli/files.py:output_at",
    "cli/read_outbound.py:read_outbound",
    "cli/foreseen.py:both",
    "cli/foreseen.py:with_traits",
    "cli/sync_urls.py:sync_urls",
    "cli/taxonomy.py:_job",
    "cli/taxonomy.py:_list",
    "cli/taxonomy.py:taxonomy",
    "commands/inbound_files.py:_entries",
    "delivery/atomic.py:rename_exclusively",
    "delivery/delivery.py:publish",
    "delivery/stops.py:release",
    "delivery/stops.py:within",
    "sources/origins/local.py:expand",
    "sources/parquet.py:_wrong_row_count",
}
"""Functions whose errors are made in processes of their own: by command lines, signals, other users, and sweeps."""


def places() -> set[tuple[str, int]]:
    """Return where errors are made: the module and the line; but for `ELSEWHERE`."""
    found: set[tuple[str, int]] = set()
    elsewhere: set[tuple[str, int]] = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        found |= _made_in(tree, path)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and f"{path.relative_to(PACKAGE)}:{node.name}" in ELSEWHERE:
                elsewhere |= _made_in(node, path)
    return found - elsewhere


def _made_in(tree: ast.AST, path: Path) -> set[tuple[str, int]]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {(str(path), call.lineno) for call in calls if getattr(call.func, "id", "") in KINDS}


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[_VARIABLE] = tempfile.mkstemp(prefix="reached-")[1]
        config.add_cleanup(lambda: Path(os.environ.pop(_VARIABLE)).unlink())
    shared = Path(os.environ[_VARIABLE])
    original = errors.Reported.__init__

    def noted(self: errors.Reported, code: str, message: str, hint: str = "") -> None:
        frame = sys._getframe(1)
        while frame.f_code.co_filename == errors.__file__ and frame.f_back:
            frame = frame.f_back
        place = (frame.f_code.co_filename, frame.f_lineno)
        if place not in REACHED:
            REACHED.add(place)
            with contextlib.suppress(OSError), shared.open("a") as file:  # some tests let the disk be full
                file.write(f"{place[0]}:{place[1]}\n")
        original(self, code, message, hint)

    errors.Reported.__init__ = noted  # type: ignore[method-assign]


def _judged(config: pytest.Config) -> set[tuple[str, int]]:
    """Return the places that a run has to reach."""
    if any(map(config.getoption, ("keyword", "markexpr", "collectonly", "maxfail", "share"))):
        return set()
    all_places = places()
    of_spark = {place for place in all_places if Path(place[0]).is_relative_to(PACKAGE / "spark")}
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        return all_places - of_spark if config.getoption("ignore_glob") else all_places
    is_spark = {Path(each).resolve() for each in config.args} == {*TESTS.glob("test_spark*.py")}
    return of_spark if is_spark else set()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    if hasattr(config, "workerinput"):
        return
    lines = (line.rpartition(":") for line in Path(os.environ[_VARIABLE]).read_text().splitlines())
    missed = sorted(_judged(config) - {(path, int(line)) for path, _, line in lines})
    if not missed:
        return
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    for path, line in missed:
        if terminal:
            terminal.write_line(f"No test reaches the error made at {Path(path).relative_to(PACKAGE.parent)}:{line}")
    if not exitstatus:  # else they may be missed because of tests that failed
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
