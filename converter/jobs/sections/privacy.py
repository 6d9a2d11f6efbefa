"""What happens to personal data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from converter.jobs.document import Section
from converter.jobs.values import Name, as_list


class Privacy(Section):
    """What happens to personal data."""

    signals: Literal["block", "drop", "allow"] = "block"
    """For a value that is personal data (an e-mail address, a phone, card, account or social security number, an IP
    address): `block` rejects the row, `drop` omits the pair, `allow` writes it."""
    allow: Annotated[tuple[Name, ...], BeforeValidator(as_list, json_schema_input_type=str | tuple[Name, ...])] = ()
    """Columns that are not scanned for personal data: of signals neither their names nor their values, of IDs their
    names."""
