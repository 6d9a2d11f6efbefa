"""What is reported about a run: the report as data and JSON, the rejects, and text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from converter._version import __version__
from converter.delivery.publication import ArtifactFile
from converter.errors import Finding
from converter.ledger import Ledger
from converter.parts.writing import Part
from converter.rows.stages import StageResults

SCHEMA_VERSION = 1
Outcome = Literal["done", "nothing to do", "refused", "failed"]


@dataclass(frozen=True, kw_only=True)
class SendReport:
    """What a run that sends files did.

    `name` is that of the run; `job` the job without secrets; `input` the files with their sizes in bytes; `parts` are
    the files that were sent. `seconds` is how long it took, `bytes_per_second` of the input. `report_path` is where
    this report is. `outcome` is `nothing to do` where an earlier run is finished: `name` and the path are of that run
    then, and there are no parts.
    """

    name: str
    job: Mapping[str, Any]
    input: list[Mapping[str, Any]]
    parts: list[Part]
    seconds: float
    bytes_per_second: int
    outcome: Outcome
    version: str = __version__
    report_path: str
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
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the report that `as_dict` gave."""
        parts = [Part(**part) for part in data["parts"]]
        warnings = [Finding(each["code"], each["message"], each["hint"]) for each in data["warnings"]]
        return cls(**{**data, "parts": parts, "warnings": warnings})


@dataclass(frozen=True, kw_only=True)
class Report(SendReport):
    """What a run that converts did: what a `SendReport` has, and more.

    `records` says how many rows were `read` and `written`, and how many `rejected` or `skipped` by the name of the
    rule: rejected rows break it, skipped ones break none and have nothing to send. `ids` says how many were `changed`
    by the name of the step that changed them, and where types are recognized how many there are of each of the `types`.
    `signals` says how many were `written`, and how many `dropped` or `changed` by the name of the rule. `rejects_path`
    is where the rejects are. `encrypted_for` is the fingerprint of the key that parts are encrypted for, if any.
    `outcome` may also be `refused` where more rows were rejected than allowed, and `failed` where none was left. A run
    that is not `complete` was refused before the end of its input.
    Always `read = written + sum(rejected) + sum(skipped)`.
    """

    records: Mapping[str, Any]
    ids: Mapping[str, Any]
    signals: Mapping[str, Any]
    rejects_path: str
    encrypted_for: str | None = None
    complete: bool = True


def records_of(ledger: Ledger) -> dict[str, Any]:
    """Return what the report says about rows."""
    return {
        "read": ledger.read,
        "written": ledger.written,
        "rejected": dict(sorted(ledger.rejected.items())),
        "skipped": dict(sorted(ledger.skipped.items())),
    }


def rule_warnings(counts: Mapping[str, int], what: str = "rows") -> list[Finding]:
    """Return warnings for the counts of rows (or `what`), by rule, that were written although a rule applied."""
    return [
        Finding(f"W-{name.upper().replace('_', '-')}", f"{name}: {count:,} {what}.")
        for name, count in sorted(counts.items())
    ]


def ids_of(ledger: Ledger, found: StageResults) -> dict[str, Any]:
    """Return what the report says about the IDs of rows that were written: how many were changed, by step.

    Where the job asks for it, also their `types`, their `case_collisions`, and how many are `over_limit`, by rule.
    """
    data: dict[str, Any] = {"changed": dict(sorted(ledger.ids_changed.items()))}
    if ledger.id_types:
        data["types"] = dict(sorted(ledger.id_types.items()))
    if found.collisions:
        data["case_collisions"] = found.collisions._asdict()
    if found.over_limit:
        data["over_limit"] = found.over_limit
    return data


def signals_of(ledger: Ledger) -> dict[str, Any]:
    """Return what the report says about signals."""
    return {
        "written": ledger.signals_written,
        "dropped": dict(sorted(ledger.signals_dropped.items())),
        "changed": dict(sorted(ledger.signals_changed.items())),
    }


def report_file(path: Path, report: SendReport) -> ArtifactFile:
    """Return the file of a report, to be prepared and published."""
    return ArtifactFile(path, report.to_json())
