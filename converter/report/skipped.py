"""Examples of rows that are skipped, as reports have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.rows.skipped import FirstSkips, Place
from converter.spec import rules
from converter.spec.rules import Rule

_CODES = {rule.name: rule.code for rule in vars(rules).values() if isinstance(rule, Rule) and rule.skips}


def skipped_examples(skips: FirstSkips, where: Callable[[Place], tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the first rows of each rule as plain data, with `columns` where IDs may be shown.

    `where` gives the name of an input, and what the numbers of its rows count, by its place among all.
    """
    examples = []
    for rule, skip in skips:
        file, unit = where(skip.place)
        example = {"file": file, "row": skip.row, "unit": unit, "rule": rule, "code": _CODES[rule]}
        examples.append({**example, "columns": dict(skip.ids)} if skip.ids else example)
    return examples
