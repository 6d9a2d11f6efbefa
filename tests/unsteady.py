"""A plugin: with `--reruns`, tests that failed and then passed are shown with why they failed; more than a few are a failure.

Machines that run all tests are busy: a server, a browser or a clock may be late. What fails each time still fails.
"""

from __future__ import annotations

import pytest

MOST = 5  # tests that may fail at first, of all


def _tried_again(config: pytest.Config) -> list[pytest.TestReport]:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    return list(terminal.stats.get("rerun", [])) if terminal else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    names = {report.nodeid for report in _tried_again(session.config)}
    if len(names) > MOST and not exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tried = _tried_again(config)
    for report in tried:
        terminalreporter.section(f"failed, and was tried again: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
    if len({report.nodeid for report in tried}) > MOST:
        terminalreporter.write_line(f"More than {MOST} tests failed at first: that is no accident.", red=True)
