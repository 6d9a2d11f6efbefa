"""Origins that give rows and have no bytes: frames, queries of databases, tables of which a log knows the rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, BinaryIO

from converter.jobs.sections.table import Input
from converter.sources.base import Source


class RowOrigin:
    """An origin without bytes. `rereadable` says whether its rows can be read more than once."""

    size: int | None = None
    path = None

    def __init__(self, label: str, identity: Hashable, *, rereadable: bool) -> None:
        self.label = label
        self.identity = identity
        self.rereadable = rereadable

    def open(self) -> BinaryIO:
        """Raise `OSError`."""
        raise OSError("it has rows, and no bytes")

    def read_at(self, start: int, stop: int) -> bytes:
        """Raise `OSError`."""
        raise OSError("it has rows, and no bytes")

    def fingerprint(self) -> Mapping[str, Any] | None:
        """Return `None`: most rows cannot be recognized, so that a run of them cannot be resumed."""
        return None

    def check_unchanged(self) -> None:
        """Do nothing: what is read does not change meanwhile."""


class Queried(RowOrigin):
    """An origin that is named in `input.path`, and opened by what `[input]` says about its rows."""

    def open_rows(self, options: Input) -> Source:
        """Open it. Raises `InputError` where it cannot be read, and `JobError` where the settings are wrong."""
        raise NotImplementedError
