"""The log file of a command (`--log-file`): the events of its run with their times, as text or as JSON lines."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from converter.cli.outcome import Messages, Outcome, Work
from converter.delivery.unexpected import reported
from converter.errors import Finding, JobError
from converter.jobs.events import LOGGER, tell_error

_JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        code = getattr(record, "facts", {}).get("code")
        mark = f"[{code}] " if code else ""
        text = " ".join(record.getMessage().split("\n"))
        return f"{_time(record)} {record.levelname:<7} {mark}{text}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        first = {"time": _time(record), "level": record.levelname.lower(), "event": getattr(record, "event", "")}
        return json.dumps({**first, "message": record.getMessage(), **getattr(record, "facts", {})}, default=str)


class _LogFile(logging.FileHandler):
    """Appends lines to a file. `failure` is the first error of that."""

    failure: BaseException | None = None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Keep the error: the run matters more than its log."""
        del record
        self.failure = self.failure or sys.exc_info()[1]


def _time(record: logging.LogRecord) -> str:
    return datetime.datetime.fromtimestamp(record.created).astimezone().isoformat("T", "milliseconds")


def logged(path: str | None, work: Work) -> Work:
    """Return work that logs what happens to a file, if there is a path."""

    def do(messages: Messages) -> Outcome:
        with _logging_to(path, messages) if path else contextlib.nullcontext():
            return work(messages)

    return do


@contextlib.contextmanager
def _logging_to(path: str, messages: Messages) -> Iterator[None]:
    """Log what happens inside, also the error that ends it. Raises `JobError` where the file cannot be opened."""
    try:
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise JobError(
            "E-LOG-FILE", f"The log file '{path}' cannot be written: {error.strerror or error}.", "Choose another path."
        ) from error
    handler.setFormatter(_Json() if Path(path).suffix.lower() in _JSON_SUFFIXES else _Text())
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    except BaseException as error:
        tell_error(reported(error))
        raise
    finally:
        LOGGER.removeHandler(handler)
        try:
            handler.close()
        except OSError as error:
            handler.failure = error
        if handler.failure:
            messages.warn([Finding("W-LOG-LOST", f"Lines of the log '{path}' could not be written.")])
