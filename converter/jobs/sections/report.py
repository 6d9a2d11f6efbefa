"""What is reported about a run."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import field_validator

from converter.jobs.document import Section
from converter.jobs.paths import PathKey, is_url
from converter.jobs.values import PathText


class ReportOptions(Section):
    """What is reported about a run."""

    dir: Annotated[PathText, PathKey(stays=is_url)] = "reports"
    """The folder for the report, the rejects, the journal and its lock; by default beside the job file."""
    max_rejects: str = "10%"
    """The maximum number or percentage of rejected rows. If more are rejected, nothing is published: most likely a
    column is the wrong one. Skipped rows do not count."""
    show_rows: bool = False
    """Whether the rejects contain the text of malformed rows; the file is then private (mode 0600)."""

    @field_validator("dir")
    @classmethod
    def _local(cls, folder: str) -> str:
        if is_url(folder):
            raise ValueError("reports and journals are written to a local folder")
        return folder

    @field_validator("max_rejects", mode="before", json_schema_input_type=int | str)
    @classmethod
    def _number_or_percent(cls, most: object) -> object:
        text = str(most).strip()
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%|[0-9]+", text)
        if not match or (match[1] and float(match[1]) > 100):
            raise ValueError('a number of rows, such as 1000, or a percentage, such as "10%"')
        return text

    def allows(self, rejected: int, read: int) -> bool:
        """Whether a run may be published with `rejected` of `read` rows rejected."""
        if self.max_rejects.endswith("%"):
            return rejected * 100 <= Decimal(self.max_rejects[:-1]) * read
        return rejected <= int(self.max_rejects)
