"""What is personal, and how it is masked, wherever a row is shown.

- `values`: texts that are personal data by what they look like;
- `columns`: columns that hold personal data by what they are called;
- `masks`: what is left of a text where a row is shown.

`docs/privacy.md` says what is found, and how often.
"""

from __future__ import annotations

from converter.columns.privacy.columns import named_personal
from converter.columns.privacy.masks import mask
from converter.columns.privacy.values import are_personal, numbers_are_ids, personal

__all__ = ["are_personal", "mask", "named_personal", "numbers_are_ids", "personal"]
