"""What is done about personal data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from converter.jobs.document import Section
from converter.jobs.values import Name, as_list


class Privacy(Section):
    """What is done about personal data."""

    signals: Literal["block", "drop", "allow"] = "block"
    """For a value that is an e-mail address, a phone, card, account or social security number or an IP address:
    reject the row, drop the pair, or write it all the same."""
    allow: Annotated[tuple[Name, ...], BeforeValidator(as_list, json_schema_input_type=str | tuple[Name, ...])] = ()
    """Columns that are not looked at, whatever their names and values say."""
