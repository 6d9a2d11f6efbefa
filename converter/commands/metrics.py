"""How the metrics of a run get into their file (`report.metrics`), which several jobs may share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from converter.delivery.atomic import AtomicFile
from converter.errors import Finding
from converter.jobs.job import Job, Transfer
from converter.jobs.paths import exists
from converter.report import SendReport
from converter.report.metrics import ForeignMetricsError, Owner, metrics_text

_LOCK_SECONDS = 5.0
_AGAIN_SECONDS = 0.02


def write_metrics(document: Job | Transfer, report: SendReport) -> list[Finding]:
    """Write the metrics of a run that has ended, if the job has a file for them; return a warning where that fails.

    The file is replaced at once. A collector never reads the new one before it is whole, since its name is hidden
    and has another suffix until then.
    """
    if document.report.metrics is None:
        return []
    path = Path(document.report.metrics)
    try:
        with _locked(path.with_name(f".{path.name}.lock")):
            earlier = path.read_text("utf-8") if exists(path) else ""
            text = metrics_text(_owner(document), report, earlier)
            file = AtomicFile(path, path.with_name(f".{path.name}.partial"), mode=0o644)
            try:
                file.write_whole(text.encode())
                file.publish()
            finally:
                file.discard()
    except OSError as error:
        return [_lost(document, error.strerror or type(error).__name__)]
    except (ForeignMetricsError, UnicodeDecodeError):
        return [_lost(document, "it has lines of another program, which would be lost")]
    return []


def _owner(document: Job | Transfer) -> Owner:
    command = "convert" if isinstance(document, Job) else "send"
    path = document.conceal_path(document.path) if document.path else ""
    if path:
        return Owner(command, Path(path).stem, path)
    if isinstance(document, Job):
        return Owner(command, "_".join(map(str, (document.output.kind, *document.dpids))), "")
    return Owner(command, "send", "")


def _lost(document: Job | Transfer, why: str) -> Finding:
    path = document.conceal_path(document.report.metrics or "")
    return Finding(
        "W-METRICS-LOST",
        f"The metrics '{path}' could not be written: {why}.",
        "Let report.metrics be a file of its own in a folder that exists and may be written.",
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file, so that runs which end together keep each other's lines. Raises `OSError`.

    It stays, so that it need not be known who removes it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(_AGAIN_SECONDS)
        yield
    finally:
        os.close(descriptor)
