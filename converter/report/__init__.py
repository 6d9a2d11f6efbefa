"""What is told about a run: the report as data and JSON, the rejects, and words for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from converter.delivery.atomic import AtomicFile
from converter.errors import DestinationError, Finding
from converter.ledger import Ledger
from converter.parts.packer import Part
from converter.rows.stages import StageResults

SCHEMA_VERSION = 1
Outcome = Literal["done", "nothing to do", "refused", "failed"]


@dataclass(frozen=True)
class Report:
    """What a run did.

    `job` is the job without secrets; `input` the files with their sizes in bytes; `records` says how many rows
    were `read` and `written`, and how many `rejected` or `skipped` by the name of the rule: those rejected break it,
    those skipped break none and have nothing to send. `signals` says how many were `written`, and how many `dropped`
    or `changed` by the name of the rule; `ids` how many were `changed` by the name of the step that changed them, and
    where types are told apart of which `types` they are. `encrypted_for` is the fingerprint of the key that parts are
    encrypted for, if they are. `report_path` and `rejects_path` are where this report and the rejects are. `outcome` is
    `refused` where more rows were rejected than may be, `failed` where none was left to send, and `nothing to do` where
    an earlier run is finished: `name` and the paths are that one's then, and all counts are 0.
    Always `read = written + sum(rejected) + sum(skipped)`.
    """

    name: str
    job: Mapping[str, Any]
    input: list[Mapping[str, Any]]
    records: Mapping[str, Any]
    ids: Mapping[str, Any]
    signals: Mapping[str, Any]
    parts: list[Part]
    seconds: float
    bytes_per_second: int
    outcome: Outcome
    version: str
    report_path: str
    rejects_path: str
    encrypted_for: str | None = None
    warnings: list[Finding] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> bytes:
        """Return the report as a JSON document."""
        return orjson.dumps(self.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        first = {"schema_version": self.schema_version, "version": self.version, "name": self.name}
        return {**first, **asdict(self), "warnings": [warning.as_dict() for warning in self.warnings]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """Return the report that `as_dict` gave."""
        parts = [Part(**part) for part in data["parts"]]
        warnings = [Finding(each["code"], each["message"], each["hint"]) for each in data["warnings"]]
        return cls(**{**data, "parts": parts, "warnings": warnings})


def records_of(ledger: Ledger) -> dict[str, Any]:
    """Return what the report says about rows."""
    return {
        "read": ledger.read,
        "written": ledger.written,
        "rejected": dict(sorted(ledger.rejected.items())),
        "skipped": dict(sorted(ledger.skipped.items())),
    }


def rule_warnings(counts: Mapping[str, int], what: str = "rows") -> list[Finding]:
    """Return what rules, by name, have found in how many rows, or other things, that were written all the same."""
    return [
        Finding(f"W-{name.upper().replace('_', '-')}", f"{name}: {count:,} {what}.")
        for name, count in sorted(counts.items())
    ]


def ids_of(ledger: Ledger, found: StageResults) -> dict[str, Any]:
    """Return what the report says about the IDs of rows that were written: how many were changed, by step.

    Where the job asks for it, also their `types`, their `case_collisions`, and how many are `over_limit`, by rule.
    """
    said: dict[str, Any] = {"changed": dict(sorted(ledger.ids_changed.items()))}
    if ledger.id_types:
        said["types"] = dict(sorted(ledger.id_types.items()))
    if found.collisions:
        said["case_collisions"] = found.collisions._asdict()
    if found.over_limit:
        said["over_limit"] = found.over_limit
    return said


def signals_of(ledger: Ledger) -> dict[str, Any]:
    """Return what the report says about signals."""
    return {
        "written": ledger.signals_written,
        "dropped": dict(sorted(ledger.signals_dropped.items())),
        "changed": dict(sorted(ledger.signals_changed.items())),
    }


class ReportFile:
    """A report in a file, under a partial name until it is published. Raises `DestinationError`."""

    def __init__(self, path: Path) -> None:
        self._file = AtomicFile(path)

    def write(self, report: Report) -> None:
        """Bring the report to the disk, out of sight."""
        try:
            self._file.write(report.to_json())
        except OSError as error:
            raise cannot_write(self._file.path, error) from error

    def publish(self) -> None:
        """Give the file its name."""
        try:
            self._file.publish()
        except OSError as error:
            self._file.discard()
            raise cannot_write(self._file.path, error) from error

    def discard(self) -> None:
        """Remove what is not published."""
        self._file.discard()


def write_report(path: Path, report: Report) -> ReportFile:
    """Write a report under a partial name."""
    file = ReportFile(path)
    file.write(report)
    return file


def cannot_write(path: Path, error: OSError) -> DestinationError:
    """Return the error that a report or its rejects cannot be written."""
    return DestinationError(
        "E-REPORT-WRITE",
        f"Cannot write the report '{path}': {error.strerror or error}.",
        "Choose another folder with report.dir.",
    )
