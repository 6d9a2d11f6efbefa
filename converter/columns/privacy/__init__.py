"""Personal data: how it is recognized, and how rows are masked.

- `values` recognizes texts by their form, with one module for each kind that needs check digits or numbering plans;
- `columns` recognizes columns by their names;
- `masks` masks texts in rejects and previews.

`docs/privacy.md` says what is recognized, and how often IDs are mistaken for it.
"""

from __future__ import annotations

from converter.columns.privacy.columns import personal_by_name
from converter.columns.privacy.masks import mask
from converter.columns.privacy.values import numbers_are_ids, personal_kind, personal_kinds

__all__ = ["mask", "numbers_are_ids", "personal_by_name", "personal_kind", "personal_kinds"]
