"""The page of a report as a file: an artifact of a run, or beside a report of a run that failed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converter.delivery.publication import ArtifactFile
from converter.delivery.run_files import FAILURES, FolderFiles, RunFiles
from converter.errors import DestinationError
from converter.jobs.paths import is_folder

PRIVATE = 0o600
"""The mode of pages: they are made to be opened, and the folder may be open to others."""


class PageFile(ArtifactFile):
    """The page of a report, which is made when it is prepared. `report` is plain data."""

    def __init__(self, files: RunFiles, name: str, report: Mapping[str, Any]) -> None:
        super().__init__(files, name, mode=PRIVATE, what="page")
        self._report = report

    def prepare(self) -> None:
        """Make the page, and write it under a partial name."""
        try:
            self._content = _made(self._report)
        except OSError as error:  # its style or script cannot be read
            raise self._error(error) from error
        super().prepare()


def write_page(files: RunFiles, name: str, report: Mapping[str, Any]) -> None:
    """Write the page of a run that failed, as far as that succeeds: the error of the run is the one to report."""
    with contextlib.suppress(*FAILURES, MemoryError, ImportError):
        files.create(name, _made(report), mode=PRIVATE)


def write_html(path: Path, page: bytes) -> None:
    """Write a page, in place of an older one, in a folder that is there. Raises `DestinationError`."""
    hint = "Choose another file with --html."
    if not is_folder(path.parent):
        raise DestinationError("E-PAGE-WRITE", f"Cannot write the page '{path}': No such file or directory.", hint)
    file = ArtifactFile(FolderFiles(path.parent), path.name, page, code="E-PAGE-WRITE", what="page", hint=hint)
    try:
        file.prepare()
        file.publish()
    except BaseException:
        file.discard()
        raise


def _made(report: Mapping[str, Any]) -> bytes:
    from converter.report.page import page_of  # here, since not every run makes one

    return page_of(report)
