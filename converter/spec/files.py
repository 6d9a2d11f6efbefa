"""The rules on existing files and their lines, as named values.

Adobe accepts some forms that are never written here, as its own samples show: these are warnings. The code, name and
page of a rule of `rules.py` are taken from there.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from converter.spec.limits import (
    COMBINED_PAGE,
    COMPRESSION_PAGE,
    CONTENTS_PAGE,
    FAQ_PAGE,
    GLOBAL_SOURCES_PAGE,
    ID_SYNC_PAGE,
    LINE_BYTES,
    NAMES_PAGE,
    ODC_PAGE,
    PART_BYTES,
    PART_RAW_BYTES,
)
from converter.spec.rules import (
    ID_FORBIDDEN_CHARACTER,
    ID_IS_CARD,
    ID_IS_EMAIL,
    ID_IS_IBAN,
    ID_IS_IP,
    ID_IS_PHONE,
    ID_IS_SSN,
    ID_MISSING,
    KEY_UNUSABLE,
    NO_SIGNAL,
    OURS,
    ROW_NOT_TEXT,
    VALUE_PERSONAL,
    IdRule,
    Rule,
    line_too_long,
)

Level = Literal["error", "warning"]

MOST_HASHES = 10
"""How many hashed addresses a customer ID may have, in a line (N6) and in a batch (I4)."""


class FileRule(NamedTuple):
    """A rule on a file: its code, its name, the problem where it is broken, its page, and its level."""

    code: str
    name: str
    text: str
    page: str
    level: Level = "error"


def _of(rule: Rule | IdRule, text: str = "") -> FileRule:
    return FileRule(rule.code, rule.name, text or rule.hint, rule.page)


# Rules on the file.
NAME_WRONG = FileRule("N1", "name_wrong", "The name is not a name of an inbound file.", NAMES_PAGE)
TARGET_MISSING = FileRule(
    "N4",
    "target_missing",
    "The IDs are of a global data source, so the name must contain the data source that the traits belong to.",
    GLOBAL_SOURCES_PAGE,
)
MASTER_DOUBTFUL = FileRule(
    "C14",
    "master_doubtful",
    "The first data source in the name is not one of device IDs: synchronization may fail.",
    ID_SYNC_PAGE,
    "warning",
)
NAME_TWICE = FileRule("N2", "name_twice", "Another of the files has the same name.", NAMES_PAGE)
BOTH_MODES = FileRule(
    "T2",
    "both_modes",
    "The files have .sync and .overwrite files for one data source, which may be processed in either order.",
    FAQ_PAGE,
)
EMPTY = FileRule("C10", "file_empty", "The file has no lines.", CONTENTS_PAGE)
TOO_LARGE = FileRule(
    PART_BYTES.code, "file_too_large", f"The file has more than {PART_BYTES.value:,} bytes.", PART_BYTES.page
)
TEXT_TOO_LARGE = FileRule(
    PART_RAW_BYTES.code,
    "text_too_large",
    f"The file has more than {PART_RAW_BYTES.value:,} bytes before compression.",
    PART_RAW_BYTES.page,
)
GZIP_UNNAMED = FileRule(
    "Z1", "gzip_unnamed", "The file is gzip, but its name does not end in .gz: rename it.", COMPRESSION_PAGE
)
NOT_GZIP = FileRule("Z1", "not_gzip", "The name ends in .gz, but the file is not gzip.", COMPRESSION_PAGE)
GZIP_CUT = FileRule(
    "Z1", "gzip_cut", "The gzip data is truncated, or followed by data that is not gzip.", COMPRESSION_PAGE
)
GZIP_DAMAGED = FileRule(
    "Z1",
    "gzip_damaged",
    "The gzip data is corrupt: its checksum or structure is wrong, or it is followed by data that is not gzip.",
    COMPRESSION_PAGE,
)
BYTE_ORDER_MARK = FileRule(
    "C9", "byte_order_mark", "The file begins with a byte order mark, which becomes part of the first ID.", NAMES_PAGE
)

# Rules on lines of any file.
LINE_TOO_LONG = _of(
    line_too_long(LINE_BYTES.value), f"The line, with its newline, is longer than {LINE_BYTES.value:,} bytes."
)
NOT_UTF8 = _of(ROW_NOT_TEXT, "The line is not UTF-8.")
NUL = FileRule("C9", "nul", "The line contains a NUL byte.", NAMES_PAGE)
STRAY_RETURN = FileRule(
    "C1", "stray_return", "The line contains a carriage return: lines end in a newline.", CONTENTS_PAGE
)
CRLF = FileRule(
    "C1",
    "carriage_return_newline",
    "The line ends in a carriage return and a newline instead of a newline alone.",
    CONTENTS_PAGE,
    "warning",
)
NO_NEWLINE = FileRule("C1", "no_last_newline", "The last line does not end in a newline.", CONTENTS_PAGE, "warning")
BLANK = FileRule("C1", "line_blank", "The line is blank.", CONTENTS_PAGE, "warning")

# Rules on lines of data files, including those for Oracle Data Cloud.
NOT_TWO_FIELDS = FileRule(
    "C1", "not_two_fields", "The line is not an ID, a tab and signals: it has no tab, or several.", CONTENTS_PAGE
)
NOT_THREE_FIELDS = FileRule(
    "C13", "not_three_fields", "The line is not a type, an ID and signals, separated by tabs.", ODC_PAGE
)
TYPE_MISSING = FileRule("C13", "type_missing", "The line has no type of ID.", ODC_PAGE)
WITHOUT_ID = _of(ID_MISSING, "The line has no user ID.")
WITHOUT_SIGNAL = _of(NO_SIGNAL, "The line has no signal.")
CLEARS_USER = FileRule(
    "C11",
    "clears_user",
    "The line has no signal: in an .overwrite file it deletes all signals of the user in the data source.",
    OURS,
    "warning",
)
ID_FORM_WRONG = FileRule(
    "I1",
    "id_form_wrong",
    "The ID does not have the form of its data source, which the name of the file tells.",
    GLOBAL_SOURCES_PAGE,
)
SIGNAL_WRONG = FileRule(
    "C2",
    "signal_wrong",
    "A signal is neither a trait ID (d_sid=1), an integration code (ic=1) nor a key and a value (key=value).",
    CONTENTS_PAGE,
)
TRAIT_WRONG = FileRule("C3", "trait_wrong", "A trait ID (d_sid, d_unsid) is not a number.", CONTENTS_PAGE)
TRAIT_REMOVED = FileRule(
    "C4",
    "trait_removed",
    "The line removes a trait (d_unsid), which has no effect in an .overwrite file.",
    CONTENTS_PAGE,
    "warning",
)
KEY_WITH_DASHES = FileRule(
    "C5", "key_with_dashes", "A key begins with a dash, which Audience Manager leaves out.", CONTENTS_PAGE, "warning"
)
KEY_DOUBTFUL = FileRule(
    KEY_UNUSABLE.code,
    "key_unusable",
    "A key has other characters than letters, digits, '-' and '_', or only digits: no trait rule can name it.",
    KEY_UNUSABLE.page,
    "warning",
)
SIGNAL_SPACED = FileRule(
    "C2",
    "signal_spaced",
    "There are spaces around '=' or ',', which belong to no key or value.",
    CONTENTS_PAGE,
    "warning",
)
SIGNAL_EMPTY = FileRule(
    "C1", "signal_empty", "The line has a comma without a signal before or after it.", CONTENTS_PAGE, "warning"
)

# Rules on lines of ID synchronization files.
COLUMNS_WRONG = FileRule(
    "C14",
    "columns_wrong",
    "The number of columns of the line differs from the number of data sources in the name.",
    ID_SYNC_PAGE,
)
HASHES_WRONG = FileRule(
    "N6",
    "hashes_wrong",
    f"The line is not a customer ID and 1 to {MOST_HASHES} hashes, separated by tabs.",
    COMBINED_PAGE,
)
COLUMN_EMPTY = FileRule(
    "C14",
    "column_empty",
    "A column of the line is empty: two tabs follow each other, or the line begins with one.",
    ID_SYNC_PAGE,
)
ENDS_IN_SPACE = FileRule(
    "C14", "ends_in_space", "The line ends in a space, so Audience Manager would not process it.", ID_SYNC_PAGE
)
ENDS_IN_TAB = FileRule(
    "C14", "ends_in_tab", "The line ends in a tab, so Audience Manager would not process it.", ID_SYNC_PAGE
)
HASHES_END_IN_TAB = FileRule(
    "C14", "hashes_end_in_tab", "The line ends in a tab, which only Adobe's own sample does.", COMBINED_PAGE, "warning"
)

VALUE_IS_EMAIL = FileRule(
    VALUE_PERSONAL.code, "value_is_email", "A value is an e-mail address, or holds one.", VALUE_PERSONAL.page
)
VALUE_IS_PERSONAL = FileRule(
    VALUE_PERSONAL.code,
    "value_personal",
    "A value looks like a phone, card, account or social security number, or an IP address.",
    VALUE_PERSONAL.page,
    "warning",
)

ID_RULES = tuple(
    (rule, _of(rule))
    for rule in (ID_IS_EMAIL, ID_IS_PHONE, ID_IS_CARD, ID_IS_IBAN, ID_IS_IP, ID_IS_SSN, ID_FORBIDDEN_CHARACTER)
)
"""The rules that apply to IDs of any type, each as a rule on rows and as one on files."""
