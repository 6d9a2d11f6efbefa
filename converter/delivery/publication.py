"""How a run ends: its parts become visible, then the files that it leaves beside them, in one fixed order.

The journal has the names of these files, so a run that resumes this one publishes the rest in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from converter.delivery import stops
from converter.delivery.delivery import Delivery
from converter.delivery.hold import Hold
from converter.delivery.journal import Journal, RunRecord
from converter.delivery.run_files import RunFiles
from converter.errors import DestinationError


class Artifact(Protocol):
    """A file that a run leaves beside its parts, such as a report. Methods raise `DestinationError`."""

    name: str
    """What the journal calls it."""

    def prepare(self) -> None:
        """Write the whole file, invisible, so that another process can publish it."""
        ...

    def publish(self) -> None:
        """Give the file its name, in place of an older one. Where it has its name already, nothing is done."""
        ...

    def discard(self) -> None:
        """Remove the file unless it is published. Never raises."""
        ...


class ArtifactFile:
    """An artifact with a given content; without, it is one that an earlier run has prepared.

    `code` is that of errors, `what` it is in their messages, and `hint` what to do about them.
    """

    def __init__(
        self,
        files: RunFiles,
        name: str,
        content: bytes = b"",
        *,
        mode: int = 0o666,
        code: str = "E-REPORT-WRITE",
        what: str = "report",
        hint: str = "Choose another folder with report.dir.",
    ) -> None:
        self.name = name
        self.url = files.url(name)
        """What messages call it."""
        self._file = files.new(name, mode)
        self._content = content
        self._code, self._what, self._hint = code, what, hint

    def prepare(self) -> None:
        """Write the content under a partial name."""
        try:
            self._file.write_whole(self._content)
        except OSError as error:
            raise self._error(error) from error

    def publish(self) -> None:
        """Give the file its name."""
        try:
            if self._file.is_prepared():
                self._file.publish()
        except OSError as error:
            raise self._error(error) from error

    def discard(self) -> None:
        """Remove the file unless it is published."""
        self._file.discard()

    def _error(self, error: OSError) -> DestinationError:
        message = f"Cannot write the {self._what} '{self.url}': {error.strerror or error}."
        return DestinationError(self._code, message, self._hint)


def publish_run(
    run: RunRecord,
    delivery: Delivery,
    journal: Journal,
    hold: Hold,
    artifacts: Sequence[Artifact],
    *,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Publish the parts, all of which have arrived, then the prepared artifacts, in order; and finish the journal.

    `report` is the run's, for the journal; None where that has it already. Raises `DestinationError`, and
    `StoppedError` where a signal came before all parts were visible.
    """
    stops.hold()  # from here on a message says what is visible
    if report is not None:
        journal.note("publishing", report=report, artifacts=[artifact.name for artifact in artifacts])
    delivery.publish()
    for artifact in artifacts:
        journal.confirm()
        artifact.publish()
    hold.release()  # before the run is done: a process that finds it done cleans up nothing
    journal.finish(run)
