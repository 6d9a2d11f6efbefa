"""IDs that no web site sends *(ours)*: words for missing values, names of columns, and what spreadsheets make of IDs.

Audience Manager accepts them as users, so that all rows of such an ID become one user. They are judged after the steps
of normalization, but before a prefix and a suffix are added, and before hashing. `may_be_implausible` in
`kernel/lines.c` is true for all texts that the rules here apply to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from converter.spec.ids import TRIMMED

MISSING_VALUES = (
    *("null", "Null", "NULL", "(null)", "(NULL)", "<null>", "<NULL>", "[null]", "[NULL]", "\\N", "None"),
    *("nan", "NaN", "NAN", "-nan", "-NaN", "NaT", "<NA>", "n/a", "N/A"),
    *("#N/A", "#NA", "#NULL!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#DIV/0!"),
    *("undefined", "Undefined", "UNDEFINED", "(blank)", "(empty)", "(not set)"),
)
"""Words that databases, spreadsheets and programs write where a value is missing."""
MISSING_IDS = (
    *MISSING_VALUES,
    *("nil", "NIL", "none", "NONE", "(none)", "NA", "n.a.", "N.A.", "-", "--", "?"),
    *("unknown", "Unknown", "UNKNOWN", "missing"),
)
"""These, and words that may be meant as values, but not as IDs."""

FEWEST_SPACELESS = 20
"""How many of the first IDs show whether IDs have spaces: where hardly any has, one with a space is not an ID."""


class Implausible(NamedTuple):
    """Why an ID is implausible: the name and the hint of the rule.

    `applies` takes the ID (String) before a prefix, a suffix and a hash, the text in the input (String), and the name
    of its column.
    """

    name: str
    hint: str
    applies: Callable[[pl.Expr, pl.Expr, str], pl.Expr]


IMPLAUSIBLE = (
    Implausible(
        "id_is_missing_word",
        "The user ID is a word for a missing value: list it in input.null_values.",
        lambda id_, _, __: id_.is_in(list(MISSING_IDS)),
    ),
    Implausible(
        "id_is_column_name",
        "The user ID is the name of its column: the header is there again, where files were joined.",
        lambda _, text, column: text.str.strip_chars(TRIMMED) == column,
    ),
    Implausible(
        "id_is_rounded_number",
        "A spreadsheet has rounded the user ID, as to 1.23457E+15: export its column as text.",
        lambda id_, _, __: id_.str.contains(r"^[+-]?[0-9]+(?:[.,][0-9]+)?[eE][+-][0-9]{1,3}$"),
    ),
    Implausible(
        "id_is_decimal_number",
        'The user ID is a number with decimals, as 1001.0: cut them off (id.cut_suffix = ".0"), or export it as text.',
        lambda id_, _, __: id_.str.contains(r"^[+-]?[0-9]+[.,]0+$"),
    ),
    Implausible(
        "id_is_formula",
        "The user ID begins with the sign of a formula or of text in a spreadsheet: remove it (id.cut_prefix and "
        "id.cut_suffix, or id.remove).",
        lambda id_, _, __: id_.str.contains("^[=']"),
    ),
    Implausible(
        "id_is_damaged",
        "The user ID contains a replacement character (U+FFFD): it was read in a wrong encoding before.",
        lambda id_, _, __: id_.str.contains("\ufffd", literal=True),
    ),
    Implausible(
        "id_is_template",
        "The user ID is a template that was not filled in, as {{id}}: correct the export.",
        lambda id_, _, __: id_.str.contains(r"^(?:\{\{|\$\{|<%|%%)|(?:\}\}|%>|%%)$"),
    ),
    Implausible(
        "id_has_space",
        "The user ID contains a space, as hardly any of the first IDs does: most likely it is a footer.",
        lambda id_, _, __: id_.str.contains(" ", literal=True),
    ),
)
"""Reasons for which an ID is implausible, in the order in which they are applied; the last one if `spaceless`."""


def implausible_reason(id_: pl.Expr, text: pl.Expr, column: str, *, spaceless: bool) -> pl.Expr:
    """Return why an ID is implausible: an index in `IMPLAUSIBLE` (UInt8), or null.

    `text` is what stands in its `column` of the input; `spaceless`: hardly any of the first IDs has a space.
    """
    reason: pl.Expr = pl.lit(None, pl.UInt8)
    for index, each in reversed([*enumerate(IMPLAUSIBLE)][: None if spaceless else -1]):
        reason = pl.when(each.applies(id_, text, column)).then(pl.lit(index, pl.UInt8)).otherwise(reason)
    return reason
