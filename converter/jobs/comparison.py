"""What the command `match` compares."""

from __future__ import annotations

from typing import Any

from converter.jobs.places import InputFromServers
from converter.jobs.sections.ids import IdTypeName
from converter.jobs.sections.table import Input


class Comparison(InputFromServers):
    """A comparison of IDs: `input` has those of the CRM, as in a job, and `site` those of the web site."""

    input: Input
    site: Input
    id_type: IdTypeName = "crm"

    def __init__(self, /, **data: Any) -> None:  # for type checkers, which otherwise derive it from the fields
        super().__init__(**data)
