"""The events of runs, for the standard logging module: all of them are records of the logger `converter`.

A record has the name of its event as `event`, and values that programs may want as the mapping `facts`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from converter.errors import Finding, Reported

LOGGER = logging.getLogger("converter")
LOGGER.addHandler(logging.NullHandler())  # else logging prints warnings by itself

Conceal = Callable[[str], str]


def tell(event: str, message: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log an event; values from the environment are concealed inside `concealed_events`."""
    LOGGER.log(level, "%s", message, extra={"event": event, "facts": facts})


def tell_warnings(warnings: Iterable[Finding]) -> None:
    """Log warnings."""
    for each in warnings:
        tell("warning", str(each), level=logging.WARNING, code=each.code)


def tell_error(error: Reported) -> None:
    """Log the error that ends a run or a command."""
    facts: dict[str, Any] = {"code": error.code, "exit_code": error.exit_code}
    if error.report:
        facts["report"] = error.report.report_path
    tell("error", str(error), level=logging.ERROR, **facts)


@contextlib.contextmanager
def concealed_events(conceal: Conceal, conceal_path: Conceal) -> Iterator[None]:
    """Conceal values from the environment in what is logged inside: `conceal_path` in names, `conceal` in warnings."""

    def change(record: logging.LogRecord) -> bool:
        hide = conceal if record.levelno >= logging.WARNING else conceal_path
        record.msg, record.args = hide(record.getMessage()), ()
        if facts := getattr(record, "facts", None):
            shown = {name: hide(value) if isinstance(value, str) else value for name, value in facts.items()}
            record.__dict__["facts"] = shown
        return True

    LOGGER.addFilter(change)
    try:
        yield
    finally:
        LOGGER.removeFilter(change)
