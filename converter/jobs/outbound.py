"""What the command `read-outbound` reads."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from converter.errors import JobError
from converter.jobs.places import InputFromServers
from converter.jobs.sections.report import ReportOptions
from converter.jobs.sections.table import Input

_KEYS = {"path", "retry_seconds"}


class OutboundInput(InputFromServers):
    """Outbound files: `input.path` names them, as in a job; `report.max_rejects` says how many lines may be wrong."""

    input: Input
    report: ReportOptions = Field(default_factory=ReportOptions)

    def __init__(self, /, **data: Any) -> None:  # for type checkers, which otherwise derive it from the fields
        super().__init__(**data)
        if others := self.input.model_fields_set - _KEYS:
            raise JobError(
                "E-INPUT-KEY",
                f"input.{min(others)} says how tables are read, not outbound files.",
                "How their lines are parsed is found by itself, or set with --line.",
            )
