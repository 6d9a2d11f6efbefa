"""The rules, as named values. A rule's name is the key in reports, rejects, messages and documentation.

Rules on rows are Polars expressions over the columns that `converter.records` prepares:

- `id`: the normalised user ID (String), null where there is none;
- `bad_value`: whether a value holds what no value may (Boolean);
- `any_signal`: whether the row has a signal (Boolean);
- `line`: the line that the row would be, with its newline (String).

A row is rejected by the first rule that rejects it. Rules on signals and on rows that cannot be taken apart
have no expression here: they are applied where the signal is formatted, or where the file is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from converter.spec.ids import FORBIDDEN_IN_ID, IdType
from converter.spec.limits import (
    CONTENTS_PAGE,
    FAQ_PAGE,
    IDS_PAGE,
    LINE_BYTES,
    NAMES_PAGE,
)

OURS = "README.md"


class Rule(NamedTuple):
    """One rule: its code, its name, what to do about it, its page, and where it has one its expression.

    `rejects` is a Boolean expression over a row, true where the rule rejects it; null counts as false.
    """

    code: str
    name: str
    hint: str
    page: str
    rejects: pl.Expr | None = None


# Rows, in the order in which they are asked.
ID_MISSING = Rule("C1", "id_missing", "The row has no user ID.", CONTENTS_PAGE, pl.col("id").is_null())
ID_IS_EMAIL = Rule(
    "I3",
    "id_is_email",
    'The user ID is an e-mail address: hash it first (id.type = "hashed_email").',
    FAQ_PAGE,
    pl.col("id").str.contains(r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
)
ID_FORBIDDEN_CHARACTER = Rule(
    "I6",
    "id_forbidden_character",
    "The user ID holds a colon (or %3A), a tab, a newline, a control character or a byte order mark.",
    IDS_PAGE,
    pl.col("id").str.contains(FORBIDDEN_IN_ID),
)
ID_ALL_ZERO = Rule(
    "I2",
    "id_all_zero",
    "The device ID is all zeros: the device has opted out.",
    OURS,
    pl.col("id").str.contains(r"^[0-]+$"),
)
BAD_VALUE = Rule(
    "C6",
    "bad_value",
    "A value holds a tab, a newline, another control character or a double quote.",
    CONTENTS_PAGE,
    pl.col("bad_value"),
)
NO_SIGNAL = Rule("C1", "no_signal", "No signal is left in the row.", CONTENTS_PAGE, ~pl.col("any_signal"))


def id_wrong_form(type_: IdType) -> Rule:
    """Return the rule that an ID has the form of its type."""
    wrong = None if type_.form is None else ~pl.col("id").str.contains(type_.form)
    return Rule("I7", "id_wrong_form", f"The user ID is not {type_.describe}.", type_.page, wrong)


def line_too_long(most: int) -> Rule:
    """Return the rule that a line has at most `most` bytes, its newline included."""
    return Rule(
        LINE_BYTES.code,
        "line_too_long",
        f"The line would be longer than {most:,} bytes.",
        LINE_BYTES.page,
        pl.col("line").str.len_bytes() > most,
    )


def line_fits_no_part(most: int) -> Rule:
    """Return the rule that a line fits into a part of its own, of at most `most` bytes of text *(ours)*."""
    return Rule(
        "Z1",
        "line_fits_no_part",
        f"The line, longer than {most:,} bytes, fits into no part: raise the limits.",
        NAMES_PAGE,
        pl.col("line").str.len_bytes() > most,
    )


def id_rules(type_: IdType) -> tuple[Rule, ...]:
    """Return the rules on a normalised ID, in the order in which they are asked."""
    rules = [ID_MISSING, ID_IS_EMAIL, ID_FORBIDDEN_CHARACTER]
    if type_.device:
        rules.append(ID_ALL_ZERO)
    if type_.form:
        rules.append(id_wrong_form(type_))
    return tuple(rules)


ROW_RULES = (BAD_VALUE, NO_SIGNAL)
"""The rules of a data file on the signals of a row, in the order in which they are asked."""


def line_rules(most_bytes: int) -> tuple[Rule, ...]:
    """Return the rules on a finished line. `most_bytes` is what a part can hold; below C8 it is a rule of its own."""
    rules = (line_too_long(LINE_BYTES.value),)
    return rules if most_bytes >= LINE_BYTES.value else (*rules, line_fits_no_part(most_bytes))


def first_reason(rules: Sequence[Rule], offset: int = 0) -> pl.Expr:
    """Return the place (UInt8) of the first rule that rejects the row, counted from `offset`, null where none does."""
    reason: pl.Expr = pl.lit(None, pl.UInt8)
    for place, rule in reversed(list(enumerate(rules, offset))):
        if rule.rejects is not None:
            reason = pl.when(rule.rejects).then(pl.lit(place, pl.UInt8)).otherwise(reason)
    return reason


# Signals: left out, or changed, and counted; the row stays.
VALUE_MISSING = Rule("C6", "value_missing", "The value is missing, so the pair is left out.", CONTENTS_PAGE)
VALUE_CLEANED = Rule(
    "C6",
    "value_cleaned",
    "Control characters became a space, double quotes a single quote.",
    CONTENTS_PAGE,
)
VALUE_DROPPED = Rule("C6", "value_dropped", "The value held a control character or a double quote.", CONTENTS_PAGE)
COMMA_REPLACED = Rule("C2", "comma_replaced", "A comma in the value was replaced.", CONTENTS_PAGE)
TRAIT_NOT_DIGITS = Rule("C3", "trait_not_digits", "A trait ID is digits only.", CONTENTS_PAGE)
CODE_NOT_CLEAN = Rule(
    "C2", "integration_code_not_clean", "An integration code holds no quote and no control character.", CONTENTS_PAGE
)

# IDs that are accepted, with a word in the report.
ID_DOUBTFUL = Rule("I7", "id_with_hyphen", "The ID holds a hyphen, where Adobe says letters and digits.", OURS)

# Rows that cannot be taken apart, found where the file is read.
ROW_TOO_SHORT = Rule("F1", "row_too_short", "The row has fewer fields than the header.", OURS)
ROW_TOO_LONG = Rule("F2", "row_too_long", "The row has more fields than the header.", OURS)
ROW_MISQUOTED = Rule("F3", "row_misquoted", "The row's double quotes do not pair up.", OURS)
ROW_NOT_TEXT = Rule("C9", "row_not_text", "The row is not valid in the input's encoding.", NAMES_PAGE)
ROW_NOT_JSON = Rule("F4", "row_not_json", "The line is not one JSON object.", OURS)

SOURCE_RULES = {rule.name: rule for rule in (ROW_TOO_SHORT, ROW_TOO_LONG, ROW_MISQUOTED, ROW_NOT_TEXT, ROW_NOT_JSON)}
"""The rules on rows that cannot be taken apart, by name."""
