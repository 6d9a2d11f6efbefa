"""What a run leaves of itself, however it ends: its report, and its events in the log."""

from __future__ import annotations

import contextlib
import datetime
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from converter.commands.metrics import write_metrics
from converter.delivery import stops
from converter.delivery.delivery import Delivery
from converter.delivery.publication import Artifact, ArtifactFile
from converter.delivery.run_files import RunFiles, run_files_of
from converter.delivery.unexpected import note_report, reported
from converter.errors import DestinationError, Finding, Reported
from converter.jobs.events import tell, tell_warnings
from converter.jobs.job import Job, Transfer
from converter.jobs.run_files import page_name
from converter.remote.retry import Retries
from converter.report import SendReport, report_files, write_failed
from converter.sources.origins.base import Origin, total_size

_Kind = TypeVar("_Kind", bound=SendReport)


def _now() -> datetime.datetime:
    return datetime.datetime.now().astimezone()


@dataclass
class Account:
    """What is known of a run so far.

    `report_name` is that of its report among `files` when it is done. `describe` returns its report, `warnings` are
    what was found before it. Once the run `has_begun` it leaves a report also where the job is wrong.
    """

    document: Job | Transfer
    files: RunFiles = field(init=False)
    report_name: str = field(init=False)
    describe: Callable[[Reported | None], SendReport] = field(init=False)
    warnings: list[Finding] = field(default_factory=list)
    delivery: Delivery | None = None
    has_begun: bool = False
    retries: Retries = field(default_factory=Retries)
    started: datetime.datetime = field(default_factory=_now)
    since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.files = run_files_of(self.document, self.retries)

    def facts(self, size: int, error: Reported | None) -> dict[str, Any]:
        """Return what the reports of all runs have; `size` are the bytes of the input that were read."""
        document, delivery = self.document, self.delivery
        seconds = time.monotonic() - self.since
        return {
            "job": document.public(),
            "job_path": document.conceal_path(document.path) if document.path else None,
            "host": platform.node(),
            "place": document.place,
            "outcome": error.outcome if error else "done",
            "exit_code": error.exit_code if error else 0,
            "error": self._error(error) if error else None,
            "hidden_parts": len(set(delivery.arrived) - delivery.published) if delivery and error else 0,
            "started": self.started.isoformat("T", "milliseconds"),
            "ended": _now().isoformat("T", "milliseconds"),
            "seconds": round(seconds, 3),
            "bytes_per_second": round(size / max(seconds, 1e-3)),
            "retries": self.retries.counts,
        }

    def _error(self, error: Reported) -> dict[str, str]:
        hidden = [self.document.conceal(text) for text in (error.message, error.hint)]
        return dict(zip(("code", "message", "hint"), (error.code, *hidden), strict=True))

    def files_of(self, report: SendReport) -> list[ArtifactFile]:
        """Return the files of the final report, in the order in which they are published."""
        return report_files(self.files, self.report_name, report, page=self.document.report.page)

    def prepared_files(self, name: str | None = None) -> list[Artifact]:
        """Return these files as a process has prepared them; `name` is that of the report, of this run if None."""
        name = name or self.report_name
        return [ArtifactFile(self.files, each) for each in (page_name(name), name)]

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Write the report of a run that fails inside, and note it on the error."""
        try:
            yield
        except BaseException as error:
            stops.hold()
            failure = reported(error)
            if self.has_begun or failure.exit_code != 2:  # else the job is wrong, and no run was started
                report = self.describe(failure)
                report.warnings.extend(write_metrics(self.document, report))
                report = self._write_failed(report)
                error.report = report  # type: ignore[attr-defined] # on any error: `reported` takes it from there
                note_report(error)
            raise
        finally:
            del self.describe  # it refers to what refers to this, and to open files

    def _write_failed(self, report: SendReport) -> SendReport:
        page = self.document.report.page
        return write_failed(self.files, self.report_name, report, self.document.conceal_path, page=page)


def noticing(notify: Callable[[str], None] | None) -> Callable[[str], None]:
    """Return a function that passes sentences to `notify`, if there is one, and logs them."""

    def notice(text: str) -> None:
        tell("notice", text)
        if notify:
            notify(text)

    return notice


def tell_start(document: Job | Transfer, name: str, origins: Sequence[Origin]) -> None:
    """Log that a run begins, and its input."""
    path, size = document.path, total_size(origins)
    tell("begin", f"The run {name} begins{f', by the job {path!r}' if path else ''}.", run=name, job=path)
    bytes_ = "of unknown size" if size is None else f"of {size:,} bytes"
    tell("input", f"The input has {len(origins):,} files {bytes_}.", files=len(origins), bytes=size)


def end_report(account: Account, report: _Kind) -> _Kind:
    """Write the metrics and the final report of a run that is done, with its true end; log that, and return it.

    A report that says so was published with the parts; where this one cannot be written, that one stays.
    """
    report.warnings.extend(write_metrics(account.document, report))
    files = account.files_of(report)
    with contextlib.suppress(DestinationError):  # see above
        for file in files:
            file.prepare()
        for file in files:
            file.publish()
    for file in files:
        file.discard()
    tell_warnings(report.warnings)
    count, retries = len(report.parts), sum(report.retries.values())
    message = f"The run {report.name} is {report.outcome}: {count:,} parts, {retries:,} retries, {report.seconds:,} s."
    tell("end", message, run=report.name, parts=count, retries=retries, seconds=report.seconds)
    return report
