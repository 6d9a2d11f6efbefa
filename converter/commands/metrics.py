"""How the metrics of a run get into their file (`report.metrics`), which several jobs may share."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from converter.delivery.atomic import AtomicFile
from converter.delivery.run_files.containers import why_here
from converter.errors import Finding
from converter.jobs.job import Job, Transfer
from converter.jobs.paths import exists, is_file, is_folder
from converter.report import SendReport
from converter.report.metrics import ForeignMetricsError, Owner, metrics_text, samples_in

_LOCK_SECONDS = 5.0
_AGAIN_SECONDS = 0.02
_FOREIGN = "it has lines of another program, which would be lost"


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
            text = metrics_text(_owner(document), report, _earlier(path))
            file = AtomicFile(path, path.with_name(f".{path.name}.partial"), mode=0o644)
            try:
                file.write_whole(text.encode())
                file.publish()
            finally:
                file.discard()
    except OSError as error:
        return [_lost(document, error.strerror or type(error).__name__)]
    except (ForeignMetricsError, UnicodeDecodeError):
        return [_lost(document, _FOREIGN)]
    return []


def check_metrics(document: Job | Transfer) -> list[Finding]:
    """Return whether the metrics of a job can be written, if it has a file for them; leave nothing there."""
    if document.report.metrics is None:
        return []
    path = Path(document.report.metrics)
    shown = document.conceal_path(document.report.metrics)
    if why := _why_lost(path):
        return [_lost(document, why, "cannot be")]
    written = Finding("", f"The metrics can be written to '{shown}'.")
    if why := why_here(path.parent):
        warning = Finding(
            "W-METRICS-VANISH",
            f"This process is in a container, and the folder of the metrics '{shown}' {why}: no collector outside of "
            "the container finds them, and the time of the last success is lost with it.",
            "Let report.metrics be on a volume that the collector reads.",
        )
        return [written, warning]
    return [written]


def _why_lost(path: Path) -> str:
    """Return why metrics cannot be written to a path, as the rest of a sentence; empty where they can."""
    if not is_folder(path.parent):
        return f"'{path.parent}' is not a folder" if exists(path.parent) else f"there is no folder '{path.parent}'"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return "the folder cannot be written"
    try:
        list(samples_in(_earlier(path)))
    except OSError as error:
        return error.strerror or type(error).__name__
    except (ForeignMetricsError, UnicodeDecodeError):
        return _FOREIGN
    return ""


def _earlier(path: Path) -> str:
    """Return the metrics that are there, empty where there are none. Raises `OSError`, and `UnicodeDecodeError`."""
    if not exists(path):
        return ""
    if not is_file(path):
        raise OSError(errno.EINVAL, "it is not a regular file")  # reading a pipe would wait
    return path.read_text("utf-8")


def _owner(document: Job | Transfer) -> Owner:
    command = "convert" if isinstance(document, Job) else "send"
    path = document.conceal_path(document.path) if document.path else ""
    if path:
        return Owner(command, Path(path).stem, path)
    if isinstance(document, Job):
        return Owner(command, "_".join(map(str, (document.output.kind, *document.dpids))), "")
    return Owner(command, "send", "")


def _lost(document: Job | Transfer, why: str, verb: str = "could not be") -> Finding:
    path = document.conceal_path(document.report.metrics or "")
    return Finding(
        "W-METRICS-LOST",
        f"The metrics '{path}' {verb} written: {why}.",
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
