"""The rules on rows, as named values. The name of a rule is its key in reports, rejects, messages and documentation.

Rules on rows are Polars expressions over the columns that `converter.rows` prepares:

- `id0`, `id1` …: the normalized user IDs of the line (String), null where there is none;
- `personal0`, `personal1` …: which kind of personal data these are (UInt8, an index in `PERSONAL`), or null;
- `implausible0`, `implausible1` …: why they are implausible (UInt8, an index in `IMPLAUSIBLE`), or null;
- `personal_value`: whether a value is personal data that must not be sent (Boolean);
- `bad_value`: whether a value cannot be written (Boolean);
- `bad_date`: whether its date cannot be read (Boolean), in rows of `c2c-id-sync`;
- `bad_key`, `personal_key`: whether the key in `record.key_column` cannot be used, or names personal data (Boolean),
  where the job has one;
- `bad_order`: whether the value of `record.order` cannot be read (Boolean), where the job has one;
- `any_signal`: whether the row has a signal, or has a line without one (Boolean);
- `line`: the line of the row, with its newline (String).

A row is rejected by the first rule that it breaks. A row that breaks none but has nothing to send is skipped, by the
first of `SKIPS` that applies. Rules on signals and on malformed rows have no expression here: they are applied where
signals are formatted, and where files are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import polars as pl

from converter.spec.ids import AUTO, FORBIDDEN_IN_ID, IdType
from converter.spec.implausible import IMPLAUSIBLE
from converter.spec.limits import (
    COMBINED_PAGE,
    CONTENTS_PAGE,
    FAQ_PAGE,
    ID_SYNC_PAGE,
    IDS_PAGE,
    LINE_BYTES,
    NAMES_PAGE,
    USAGE_PAGE,
    USER_LINES,
)

OURS = "README.md"
REASON = pl.UInt16
"""The type of `reason`, the index of a rule among those of a job: each column of IDs has some of its own."""
_NESTED = 32  # rules


class Rule(NamedTuple):
    """A rule on rows or signals: its code, its name, a hint on what to do, and the page it comes from.

    `applies` is a Boolean expression over a row, true where the row breaks the rule; null counts as false. A rule with
    `skips` cannot be broken: it is a reason not to write a row that breaks no rule. `id_` is the index of the ID in the
    line that the rule is on, `None` where it is on something else.
    """

    code: str
    name: str
    hint: str
    page: str
    applies: pl.Expr | None = None
    skips: bool = False
    id_: int | None = None


class IdRule(NamedTuple):
    """A rule on user IDs: `rejects` takes the normalized ID (String) and its kind of personal data (UInt8)."""

    code: str
    name: str
    hint: str
    page: str
    rejects: Callable[[pl.Expr, pl.Expr], pl.Expr]

    def of(self, number: int) -> Rule:
        """Return the rule on one ID of a line, by its index."""
        applies = self.rejects(pl.col(f"id{number}"), pl.col(f"personal{number}"))
        return Rule(self.code, self.name, self.hint, self.page, applies, id_=number)


PERSONAL = ("email", "phone", "card", "iban", "ip", "ssn")
"""The kinds of personal data that texts are scanned for, in this order."""


def _is(kind: str) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    return lambda _, personal: personal == PERSONAL.index(kind)


# Rules on user IDs, in the order in which they are applied.
ID_MISSING = IdRule("C1", "id_missing", "The row has no user ID.", CONTENTS_PAGE, lambda id_, _: id_.is_null())
ID_IS_EMAIL = IdRule(
    "I3",
    "id_is_email",
    'The user ID is an e-mail address: hash it first (id.type = "hashed_email", id.hash = "sha256").',
    FAQ_PAGE,
    _is("email"),
)
ID_IS_PHONE = IdRule("I3", "id_is_phone", "The user ID is a phone number.", FAQ_PAGE, _is("phone"))
ID_IS_CARD = IdRule("I3", "id_is_card", "The user ID is the number of a payment card.", FAQ_PAGE, _is("card"))
ID_IS_IBAN = IdRule("I3", "id_is_iban", "The user ID is the number of a bank account (IBAN).", FAQ_PAGE, _is("iban"))
ID_IS_IP = IdRule("I3", "id_is_ip", "The user ID is an IP address.", FAQ_PAGE, _is("ip"))
ID_IS_SSN = IdRule("I3", "id_is_ssn", "The user ID is a US social security number.", FAQ_PAGE, _is("ssn"))
ID_FORBIDDEN_CHARACTER = IdRule(
    "I6",
    "id_forbidden_character",
    "The user ID contains a colon (or %3A), a tab, a newline, a control character or a byte order mark.",
    IDS_PAGE,
    lambda id_, _: id_.str.contains(FORBIDDEN_IN_ID),
)
ID_ALL_ZERO = IdRule(
    "I2",
    "id_all_zero",
    "The device ID is all zeros: the device has opted out.",
    OURS,
    lambda id_, _: id_.str.contains(r"^[0-]+$"),
)
ID_ENCODED = IdRule(
    "C14",
    "id_encoded",
    "The user ID is percent-encoded: decode it first (decode = true).",
    ID_SYNC_PAGE,
    lambda id_, _: id_.str.contains("%[0-9A-Fa-f]{2}"),
)
ID_ENDS_IN_SPACE = IdRule(
    "C14",
    "id_ends_in_space",
    "The user ID ends in a space, so its line would not be processed (trim = true).",
    ID_SYNC_PAGE,
    lambda id_, _: id_.str.ends_with(" "),
)
ID_NOT_ROUTED = IdRule(
    "I1",
    "id_not_routed",
    "The user ID is of a type for which output.route names no data source.",
    CONTENTS_PAGE,
    lambda id_, _: pl.col("route").is_null(),
)
DEVICE_ALL_ZERO = ID_ALL_ZERO._replace(rejects=lambda id_, _: id_.str.contains("^0{8}-(0{4}-){3}0{12}$"))
"""The same rule for columns with IDs of several types."""
CASE_COLLISION = Rule(
    "C12",
    "id_case_collision",
    "The user ID differs from another one only by case: find out which one the web site sends.",
    FAQ_PAGE,
)
DATE_UNREADABLE = Rule(
    "I4",
    "date_unreadable",
    "The date of the row is in no known form: name its form in sync.date_format.",
    COMBINED_PAGE,
    pl.col("bad_date"),
)
HASH_TOO_OLD = Rule("I4", "hash_too_old", "The customer has ten newer addresses.", COMBINED_PAGE)
SYNC_ID_RULES = (ID_ENCODED, ID_ENDS_IN_SPACE)
"""Further rules on the IDs of synchronization files."""

# Rules on rows, in the order in which they are applied.
BAD_VALUE = Rule(
    "C6",
    "bad_value",
    "A value contains a tab, a newline, another control character or a double quote, or is a date or time that cannot "
    "be written.",
    CONTENTS_PAGE,
    pl.col("bad_value"),
)

# Rules on rows of a user together (`rows.users`), in the order in which they are applied.
TRAIT_CONFLICT = Rule(
    "U1",
    "trait_conflict",
    "Rows of the user both add and remove a trait: say which row is the latest (record.order).",
    OURS,
)
SEVERAL_VALUES = Rule(
    "U2",
    "several_values",
    "The user has several values of one key: say which row is the latest (record.order), or set record.many_values = "
    '"keep".',
    OURS,
)
USER_OVER_LIMIT = Rule(
    USER_LINES.code,
    "user_over_limit",
    f"The user has more than {USER_LINES.value} lines, of which Audience Manager would discard the last ones.",
    USER_LINES.page,
)
ORDER_UNREADABLE = Rule(
    "U5",
    "order_unreadable",
    "The value of record.order is not a number or date like the first ones: name its form in record.order_format.",
    OURS,
    pl.col("bad_order"),
)
USER_RULES = (TRAIT_CONFLICT, SEVERAL_VALUES, USER_OVER_LIMIT)

# Reasons to skip a row, in the order in which they are applied.
NO_SIGNAL = Rule("C1", "no_signal", "The row has no signal to send.", CONTENTS_PAGE, ~pl.col("any_signal"), skips=True)
FILTERED_OUT = Rule("S1", "filtered_out", "The condition of input.filter is false for the row.", OURS, skips=True)
FILTER_UNKNOWN = Rule(
    "S2",
    "filter_unknown",
    "The condition of input.filter is NULL for the row, because a value is missing: say with IS NULL or COALESCE what "
    "is meant.",
    OURS,
    skips=True,
)
SUPPRESSED = Rule("S3", "suppressed", "The user ID is in the list of input.suppress.", OURS, skips=True)
ROW_SUPERSEDED = Rule(
    "S4", "row_superseded", "A later row of the user says something else for all that this one says.", OURS, skips=True
)
ROW_REPEATED = Rule("S5", "row_repeated", "An earlier row gives the same line (record.repeated).", OURS, skips=True)
UNCHANGED = Rule("S6", "unchanged", "What is sent for the user has not changed (delta.state).", OURS, skips=True)
NOT_REJECTED = Rule(
    "S7", "not_rejected", "The row is not one that the run of input.rejects_of has rejected.", OURS, skips=True
)
SKIPS = (NO_SIGNAL,)
"""The reasons to skip a row of a data file that breaks no rule."""


def id_wrong_form(type_: IdType) -> IdRule:
    """Return the rule that an ID must have the form of its type."""
    return IdRule(
        "I7",
        "id_wrong_form",
        f"The user ID is not {type_.describe}.",
        type_.page,
        lambda id_, _: ~id_.str.contains(type_.form or ""),
    )


def line_too_long(most: int) -> Rule:
    """Return the rule that a line has at most `most` bytes, including its newline."""
    return Rule(
        LINE_BYTES.code,
        "line_too_long",
        f"The line would be longer than {most:,} bytes.",
        LINE_BYTES.page,
        pl.col("line").str.len_bytes() > most,
    )


def line_fits_no_part(most: int) -> Rule:
    """Return the rule that a line fits into a part, which has at most `most` bytes of text *(ours)*."""
    return Rule(
        "Z1",
        "line_fits_no_part",
        "The line fits into no part: raise output.max_part_bytes or output.max_part_raw_bytes.",
        NAMES_PAGE,
        pl.col("line").str.len_bytes() > most,
    )


def implausible_rules(number: int = 0) -> tuple[Rule, ...]:
    """Return the rules that an ID is implausible, in the order in which they are applied."""
    reason = pl.col(f"implausible{number}")
    return tuple(
        Rule("I8", each.name, each.hint, OURS, reason == index, id_=number) for index, each in enumerate(IMPLAUSIBLE)
    )


def id_rules(type_: IdType, number: int = 0, *, implausible: bool = False) -> tuple[Rule, ...]:
    """Return the rules on a normalized ID, in the order in which they are applied.

    `number` is the index of the ID in the line; `implausible`: an ID that no web site sends breaks a rule. An ID that
    must have the form of a hash or of a device ID cannot be personal data, except for an address that was not hashed.
    """
    rules, doubted = [ID_MISSING, ID_IS_EMAIL], implausible_rules(number) if implausible else ()
    if not type_.groups:
        rules += [ID_IS_PHONE, ID_IS_CARD, ID_IS_IBAN, ID_IS_IP, ID_IS_SSN]
    before, rules = [rule.of(number) for rule in rules], [ID_FORBIDDEN_CHARACTER]
    if type_.device:
        rules.append(ID_ALL_ZERO)
    if type_ is AUTO:
        rules += [DEVICE_ALL_ZERO, ID_NOT_ROUTED]
    if type_.form:
        rules.append(id_wrong_form(type_))
    return (*before, *doubted, *(rule.of(number) for rule in rules))


VALUE_PERSONAL = Rule(
    "I3",
    "value_personal",
    "A value is an e-mail address, a phone, card, account or social security number or an IP address: leave its column "
    "out, or list it in privacy.allow if it is not personal.",
    FAQ_PAGE,
    pl.col("personal_value"),
)

KEY_UNUSABLE = Rule(
    "C16",
    "key_unusable",
    "The key in record.key_column is missing, has other characters than letters, digits, dashes and underscores, is "
    "digits alone, begins with a dash, or has another meaning (d_sid, d_unsid, ic).",
    "features/traits/trait-key-name-requirements.md",
    pl.col("bad_key"),
)
KEY_PERSONAL = Rule(
    "I3",
    "key_personal",
    "The key in record.key_column stands for personal data, by its name: leave its rows out, or list the column in "
    "privacy.allow if it is not personal.",
    FAQ_PAGE,
    pl.col("personal_key"),
)
KEY_RULES = (KEY_UNUSABLE, KEY_PERSONAL)
"""The rules on the key of a row that has one, in the order in which they are applied."""

ROW_RULES = (VALUE_PERSONAL, BAD_VALUE)
"""The rules of a data file on the signals of a row, in the order in which they are applied."""


def line_rules(most_bytes: int) -> tuple[Rule, ...]:
    """Return the rules on a finished line. `most_bytes` is what a part can hold: a rule of its own if less than C8."""
    rules = (line_too_long(LINE_BYTES.value),)
    return rules if most_bytes >= LINE_BYTES.value else (*rules, line_fits_no_part(most_bytes))


def first_reason(rules: Sequence[Rule], offset: int = 0) -> pl.Expr:
    """Return the index (`REASON`) of the first rule that applies to a row, counted from `offset`, null where none does.

    Rules are combined in groups: Polars fails on an expression of hundreds of nested rules.
    """
    indexed = [(index, rule.applies) for index, rule in enumerate(rules, offset) if rule.applies is not None]
    reasons = []
    for start in range(0, len(indexed), _NESTED):
        reason: pl.Expr = pl.lit(None, REASON)
        for index, applies in reversed(indexed[start : start + _NESTED]):
            reason = pl.when(applies).then(pl.lit(index, REASON)).otherwise(reason)
        reasons.append(reason)
    return reasons[0] if len(reasons) == 1 else pl.coalesce(*reasons, pl.lit(None, REASON))


# Rules on signals, which are left out or changed, and counted; the row stays.
VALUE_MISSING = Rule("C6", "value_missing", "The value is missing, so its pair is not written.", CONTENTS_PAGE)
VALUE_PERSONAL_DROPPED = Rule("I3", "value_personal_dropped", "The value was personal data.", FAQ_PAGE)
VALUE_CLEANED = Rule(
    "C6",
    "value_cleaned",
    "Control characters were replaced by a space, double quotes by a single quote.",
    CONTENTS_PAGE,
)
VALUE_DROPPED = Rule("C6", "value_dropped", "The value contained a control character or a double quote.", CONTENTS_PAGE)
VALUE_OUT_OF_RANGE = Rule(
    "C6",
    "value_out_of_range",
    "The value is a date or time outside the years 0001 to 9999 or outside a day, which cannot be written.",
    OURS,
)
COMMA_REPLACED = Rule("C2", "comma_replaced", "A comma in the value was replaced.", CONTENTS_PAGE)
TRAIT_NOT_DIGITS = Rule("C3", "trait_not_digits", "A trait ID must consist of digits.", CONTENTS_PAGE)
CODE_NOT_CLEAN = Rule(
    "C2",
    "integration_code_not_clean",
    "An integration code must not contain quotes or control characters.",
    CONTENTS_PAGE,
)

# Rules on signals of a user together (`rows.users`), which are left out and counted.
SIGNAL_REPEATED = Rule("U3", "signal_repeated", "Another row of the user has the same signal.", OURS)
SIGNAL_SUPERSEDED = Rule(
    "U4",
    "signal_superseded",
    "A later row of the user has another value of its key, or the opposite of its trait.",
    OURS,
)
SIGNAL_CONFLICT = Rule("U1", "signal_conflict", "Rows of the user both add and remove the trait.", OURS)
SIGNAL_SEVERAL = Rule("U2", "signal_several", "The user has several values of its key.", OURS)
SIGNAL_CUT = Rule(USER_LINES.code, "signal_cut", f"It is beyond line {USER_LINES.value} of the user.", USER_LINES.page)

# IDs that are accepted with a warning in the report.
ID_DOUBTFUL = Rule(
    "I7", "id_with_hyphen", "The ID contains a hyphen, but Adobe documents letters and digits only.", OURS
)

# IDs that are mapped to more others than Audience Manager keeps, with a warning in the report.
DEVICES_OF_CUSTOMER = 100
CUSTOMERS_OF_DEVICE = 10
CUSTOMER_OVER_LIMIT = Rule(
    "I5",
    "customer_over_limit",
    f"The customer ID has more than {DEVICES_OF_CUSTOMER} device IDs: Audience Manager keeps the latest ones.",
    USAGE_PAGE,
)
DEVICE_OVER_LIMIT = Rule(
    "I5",
    "device_over_limit",
    f"The device ID has more than {CUSTOMERS_OF_DEVICE} customer IDs: Audience Manager keeps the latest ones.",
    USAGE_PAGE,
)

# Malformed rows, found where files are read.
ROW_TOO_SHORT = Rule("F1", "row_too_short", "The row has fewer fields than the header.", OURS)
ROW_TOO_LONG = Rule("F2", "row_too_long", "The row has more fields than the header.", OURS)
ROW_MISQUOTED = Rule("F3", "row_misquoted", "The quotes of the row are not balanced, or can be read in two ways.", OURS)
ROW_NOT_TEXT = Rule("C9", "row_not_text", "The row is not valid in the input's encoding.", NAMES_PAGE)
ROW_TORN = Rule("F5", "row_torn", "The row holds a line feed without quotes, where rows end in CR LF.", OURS)
ROW_NOT_JSON = Rule("F4", "row_not_json", "The row is not one JSON object.", OURS)
ROW_REPEATS_KEY = Rule("F6", "row_repeats_key", "A key is more than once in an object.", OURS)
VALUE_NESTED = Rule(
    "F7",
    "value_nested",
    "An object or a list is where an ID or a value belongs: name a key in the object (such as profile.city). Lists are "
    "values of a signal if the first 1,000 rows show them, or if it has a separator.",
    OURS,
)
ID_NOT_EXACT = Rule(
    "F8",
    "id_not_exact",
    "The user ID is true, false or a number with a fraction or an exponent: export IDs as texts or whole numbers.",
    OURS,
)

SOURCE_RULES = {
    rule.name: rule
    for rule in (
        ROW_TOO_SHORT,
        ROW_TOO_LONG,
        ROW_MISQUOTED,
        ROW_TORN,
        ROW_NOT_TEXT,
        ROW_NOT_JSON,
        ROW_REPEATS_KEY,
        VALUE_NESTED,
        ID_NOT_EXACT,
    )
}
"""The rules on malformed rows, by name."""


def hint_of(name: str, rules: Sequence[Rule]) -> str:
    """Return the hint of a rule by its name, among `rules` and those on malformed rows; empty where there is none."""
    return next((rule.hint for rule in (*rules, *SOURCE_RULES.values()) if rule.name == name), "")
