"""A plugin: all tests together reach every place where the package makes one of its errors.

Errors note where they are made. Once all tests have run, in however many processes, the places are compared with
those in the source; a run of some of the tests is not judged.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from converter import errors

PACKAGE = Path(__file__).parent.parent / "converter"
KINDS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.Reported)}
REACHED: set[tuple[str, int]] = set()


ELSEWHERE = {
    "cli/app.py:_usage_error",
    "cli/command.py:_internal",
    "cli/outcome.py:_exit_code",
    "cli/sync_urls.py:sync_urls",
    "cli/sync_urls.py:_destination",
    "commands/send.py:_expand",
    "delivery/atomic.py:rename_exclusively",
    "delivery/delivery.py:publish",
    "delivery/stops.py:within",
    "sources/engine.py:start",
    "sources/origins/local.py:expand",
    "sources/parquet.py:_wrong_row_count",
    "sources/tables.py:mapped_errors",
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
    original = errors.Reported.__init__

    def noted(self: errors.Reported, code: str, message: str, hint: str = "") -> None:
        frame = sys._getframe(1)
        while frame.f_code.co_filename == errors.__file__ and frame.f_back:
            frame = frame.f_back
        REACHED.add((frame.f_code.co_filename, frame.f_lineno))
        original(self, code, message, hint)

    errors.Reported.__init__ = noted  # type: ignore[method-assign]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    REACHED.update(map(tuple, getattr(node, "workeroutput", {}).get("reached", [])))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["reached"] = sorted(REACHED)
        return
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    everything = everything and not any(map(config.getoption, ("keyword", "markexpr", "collectonly", "maxfail")))
    missed = sorted(places() - REACHED)
    if not everything or not missed or exitstatus:
        return
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    for path, line in missed:
        if terminal:
            terminal.write_line(f"No test reaches the error made at {Path(path).relative_to(PACKAGE.parent)}:{line}")
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
