"""The rules on existing files and their lines, as named values.

Adobe accepts some forms that are never written here, as its own samples show: these are warnings. The code, name and
page of a rule of `rules.py` are taken from there.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from converter.spec.limits import (
    COMBINED_PAGE,
    COMPRESSION_PAGE,
    CONTENTS_PAGE,
    DERIVED_CHARACTERS,
    DERIVED_PAGE,
    ENCRYPTION_PAGE,
    FAQ_PAGE,
    GLOBAL_SOURCES_PAGE,
    ID_SYNC_PAGE,
    LINE_BYTES,
    NAMES_PAGE,
    ODC_PAGE,
    PART_BYTES,
    PART_RAW_BYTES,
    USER_LINES,
)
from converter.spec.rules import (
    CUSTOMER_OVER_LIMIT,
    CUSTOMERS_OF_DEVICE,
    DEVICE_OVER_LIMIT,
    DEVICES_OF_CUSTOMER,
    ID_ALL_ZERO,
    ID_DOUBTFUL,
    ID_ENCODED,
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

Level = Literal["error", "warning", "hint"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The levels, the worst first. A hint is about what matters to some uses alone, and never fails a check."""

MOST_HASHES = 10
"""How many hashed addresses a customer ID may have, in a line (N6) and in a batch (I4)."""


class FileRule(NamedTuple):
    """A rule on a file: its code, its name, the problem where it is broken, its page, its level, and what to do."""

    code: str
    name: str
    text: str
    page: str
    level: Level = "error"
    fix: str = ""


def _of(rule: Rule | IdRule, text: str, fix: str) -> FileRule:
    return FileRule(rule.code, rule.name, text, rule.page, fix=fix)


# Rules on the file.
NAME_WRONG = FileRule(
    "N1",
    "name_wrong",
    "The name is not a name of an inbound file.",
    NAMES_PAGE,
    fix="Rename the file: ftp_dpm_DPID[_TARGET]_TIMESTAMP.sync or .overwrite, [.SPLIT] and [.gz].",
)
TIMESTAMP_SHORT = FileRule(
    "N2",
    "timestamp_short",
    "The timestamp has 9 digits, as in some examples of Adobe, instead of 10.",
    NAMES_PAGE,
    "warning",
    fix="Use the UNIX time of today, in seconds.",
)
FOLDER_WRONG = FileRule(
    "N5",
    "folder_wrong",
    "The key in the bucket of Audience Manager is not PARTNER/date=YYYY-MM-DD/NAME.",
    NAMES_PAGE,
    fix="Put the file below the folder of your company, in that of the day (UTC).",
)
ZERO_DOUBTFUL = FileRule(
    "N6",
    "zero_doubtful",
    "Data source 0 is that of Audience Manager's own IDs in names of ID synchronization alone.",
    NAMES_PAGE,
    "warning",
    fix="Name your own data source, whose inbound key is the Audience Manager ID.",
)
TARGET_MISSING = FileRule(
    "N4",
    "target_missing",
    "The IDs are of a global data source, so the name must contain the data source that the traits belong to.",
    GLOBAL_SOURCES_PAGE,
    fix="Put the data source of the traits after that of the IDs: ftp_dpm_DPID_TARGET_TIMESTAMP.",
)
MASTER_DOUBTFUL = FileRule(
    "C14",
    "master_doubtful",
    "The first data source in the name is not one of device IDs: synchronization may fail.",
    ID_SYNC_PAGE,
    "warning",
    fix="Put the data source of the device IDs first, in the name and in each line.",
)
NAME_TWICE = FileRule(
    "N2",
    "name_twice",
    "Another of the files has the same name.",
    NAMES_PAGE,
    fix="Give one of them a later timestamp, or another split number.",
)
BOTH_MODES = FileRule(
    "T2",
    "both_modes",
    "The files have .sync and .overwrite files for one data source, which may be processed in either order.",
    FAQ_PAGE,
    fix="Send one of them, and the other once the first has been processed.",
)
EMPTY = FileRule("C10", "file_empty", "The file has no lines.", CONTENTS_PAGE, fix="Leave the file out.")
TOO_LARGE = FileRule(
    PART_BYTES.code,
    "file_too_large",
    f"The file has more than {PART_BYTES.value:,} bytes.",
    PART_BYTES.page,
    fix="Split the file: NAME.sync.1.gz, NAME.sync.2.gz …",
)
TEXT_TOO_LARGE = FileRule(
    PART_RAW_BYTES.code,
    "text_too_large",
    f"The file has more than {PART_RAW_BYTES.value:,} bytes before compression.",
    PART_RAW_BYTES.page,
    fix="Split the file: NAME.sync.1.gz, NAME.sync.2.gz …",
)
GZIP_UNNAMED = FileRule(
    "Z1",
    "gzip_unnamed",
    "The file is gzip, but its name does not end in .gz: rename it.",
    COMPRESSION_PAGE,
    fix="Add .gz to the name.",
)
NOT_GZIP = FileRule(
    "Z1",
    "not_gzip",
    "The name ends in .gz, but the file is not gzip.",
    COMPRESSION_PAGE,
    fix="Compress the file with gzip, or take .gz from the name.",
)
PACKED_OTHERWISE = FileRule(
    "Z1",
    "packed_otherwise",
    "The file is compressed, but not by gzip, which alone is accepted.",
    COMPRESSION_PAGE,
    fix="Extract the file, and compress it with gzip.",
)
NOT_ENCRYPTED = FileRule(
    "N8",
    "not_encrypted",
    "The name ends in .gpg or .pgp, but the file is not encrypted by OpenPGP.",
    ENCRYPTION_PAGE,
    fix="Encrypt the file, or take the ending from the name; gzip may not be added.",
)
GZIP_CUT = FileRule(
    "Z1",
    "gzip_cut",
    "The gzip data is truncated, or followed by data that is not gzip.",
    COMPRESSION_PAGE,
    fix="Copy the file again, completely, or write it again.",
)
GZIP_DAMAGED = FileRule(
    "Z1",
    "gzip_damaged",
    "The gzip data is corrupt: its checksum or structure is wrong, or it is followed by data that is not gzip.",
    COMPRESSION_PAGE,
    fix="Copy the file again, or write it again.",
)
BYTE_ORDER_MARK = FileRule(
    "C9",
    "byte_order_mark",
    "The file begins with a byte order mark, which becomes part of the first ID.",
    NAMES_PAGE,
    fix="Write the file as UTF-8 without a byte order mark.",
)
UTF_16 = FileRule(
    "C9",
    "utf_16",
    "The file is UTF-16, by its byte order mark: its lines are not checked.",
    NAMES_PAGE,
    fix="Write the file as UTF-8.",
)

# Rules on lines of any file.
LINE_TOO_LONG = _of(
    line_too_long(LINE_BYTES.value),
    f"The line, with its newline, is longer than {LINE_BYTES.value:,} bytes.",
    "Give its signals to several lines of the same user.",
)
NOT_UTF8 = _of(ROW_NOT_TEXT, "The line is not UTF-8.", "Write the file as UTF-8.")
NUL = FileRule(
    "C9",
    "nul",
    "The line contains a NUL byte.",
    NAMES_PAGE,
    fix="Take the NUL bytes out; the file may be in another encoding than UTF-8.",
)
STRAY_RETURN = FileRule(
    "C1",
    "stray_return",
    "The line contains a carriage return: lines end in a newline.",
    CONTENTS_PAGE,
    fix="End lines in a newline alone, and take carriage returns out of values.",
)
CRLF = FileRule(
    "C1",
    "carriage_return_newline",
    "The line ends in a carriage return and a newline instead of a newline alone.",
    CONTENTS_PAGE,
    "warning",
    fix="End lines in a newline alone.",
)
NO_NEWLINE = FileRule(
    "C1",
    "no_last_newline",
    "The last line does not end in a newline.",
    CONTENTS_PAGE,
    "warning",
    fix="End the last line in a newline.",
)
BLANK = FileRule("C17", "line_blank", "The line is blank.", CONTENTS_PAGE, "warning", fix="Take blank lines out.")

# Rules on lines of data files, including those for Oracle Data Cloud.
NOT_TWO_FIELDS = FileRule(
    "C1",
    "not_two_fields",
    "The line is not an ID, a tab and signals: it has no tab, or several.",
    CONTENTS_PAGE,
    fix="Write ID, tab, signals with commas between them.",
)
NOT_THREE_FIELDS = FileRule(
    "C13",
    "not_three_fields",
    "The line is not a type, an ID and signals, separated by tabs.",
    ODC_PAGE,
    fix="Write type, tab, ID, tab, signals with commas between them.",
)
TYPE_MISSING = FileRule(
    "C13",
    "type_missing",
    "The line has no type of ID.",
    ODC_PAGE,
    fix="Begin the line with the type of the ID, such as idfa.",
)
WITHOUT_ID = _of(ID_MISSING, "The line has no user ID.", "Take the line out, or add the ID.")
WITHOUT_SIGNAL = _of(NO_SIGNAL, "The line has no signal.", "Take the line out, or add a signal.")
CLEARS_USER = FileRule(
    "C11",
    "clears_user",
    "The line has no signal: in an .overwrite file it deletes all signals of the user in the data source.",
    OURS,
    "warning",
    fix="Take the line out, unless the user is to be cleared.",
)
ID_FORM_WRONG = FileRule(
    "I1",
    "id_form_wrong",
    "The ID does not have the form of its data source.",
    GLOBAL_SOURCES_PAGE,
    fix="Send the IDs under the data source of their type, and in its case.",
)
DEVICE_ZERO = _of(ID_ALL_ZERO, ID_ALL_ZERO.hint, "Take the line out.")
DEVICE_HYPHEN = _of(ID_DOUBTFUL, ID_DOUBTFUL.hint, "Send the ID as the device tells it.")._replace(level="warning")
_SPACED = "The ID begins or ends with a space, which belongs to it: it is another user."
ID_SPACED = FileRule("C12", "id_spaced", _SPACED, FAQ_PAGE, "warning", fix="Take it out, unless the web site sends it.")
SYNC_ENCODED = _of(ID_ENCODED, "The ID is percent-encoded.", "Decode the ID: synchronization does not.")
SIGNAL_WRONG = FileRule(
    "C2",
    "signal_wrong",
    "A signal is neither a trait ID (d_sid=1), an integration code (ic=1) nor a key and a value (key=value).",
    CONTENTS_PAGE,
    fix='Quote values with commas or quotes in them: "key"="value".',
)
TRAIT_WRONG = FileRule(
    "C3",
    "trait_wrong",
    "A trait ID (d_sid, d_unsid) is not a number.",
    CONTENTS_PAGE,
    fix="Name traits by their numbers.",
)
TRAIT_REMOVED = FileRule(
    "C4",
    "trait_removed",
    "The line removes a trait (d_unsid), which has no effect in an .overwrite file.",
    CONTENTS_PAGE,
    "warning",
    fix="Take the removal out, or send it in a .sync file.",
)
KEY_WITH_DASHES = FileRule(
    "C5",
    "key_with_dashes",
    "A key begins with a dash, which Audience Manager leaves out.",
    CONTENTS_PAGE,
    "warning",
    fix="Take the dashes out.",
)
KEY_DOUBTFUL = FileRule(
    KEY_UNUSABLE.code,
    "key_unusable",
    "A key has other characters than letters, digits, '-' and '_', or only digits: no trait rule can name it.",
    KEY_UNUSABLE.page,
    "warning",
    fix="Name the key by letters, digits, dashes and underscores, not by digits alone.",
)
SIGNAL_SPACED = FileRule(
    "C2",
    "signal_spaced",
    "There are spaces around '=' or ',', which belong to no key or value.",
    CONTENTS_PAGE,
    "warning",
    fix="Take the spaces out.",
)
SIGNAL_EMPTY = FileRule(
    "C1",
    "signal_empty",
    "The line has a comma without a signal before or after it.",
    CONTENTS_PAGE,
    "warning",
    fix="Take the comma out.",
)
SIGNAL_LONG = FileRule(
    "C15",
    "signal_long",
    f"A key or a value is longer than {DERIVED_CHARACTERS.value} characters, which no derived signal can be made of.",
    DERIVED_PAGE,
    "hint",
    fix="Shorten it, if derived signals are to use it.",
)

IDS_MIXED = FileRule(
    "I1",
    "ids_mixed",
    "The ID has the form of another type than that of the first line: a file has IDs of one type.",
    CONTENTS_PAGE,
    "warning",
    fix="Write a file for each type of ID, under its data source.",
)
TYPES_MIXED = FileRule(
    "C13",
    "types_mixed",
    "The type is another one than that of the first line: a file has one.",
    ODC_PAGE,
    fix="Write a file for each type.",
)
USER_OVER = FileRule(
    USER_LINES.code,
    "user_over_limit",
    f"The user has {USER_LINES.value} lines before this one, in the files of one timestamp: it is discarded.",
    USER_LINES.page,
    "warning",
    fix="Give the signals of a user to fewer, longer lines.",
)

USERS_UNCOUNTED = FileRule(
    USER_LINES.code,
    "users_uncounted",
    f"Users may have more than {USER_LINES.value} lines. Not all of these could be counted, as they are too many, or "
    "the file can be read only once: there may be more such lines than are shown.",
    USER_LINES.page,
    "hint",
    fix="Check the file where it can be read twice, with fewer others.",
)

# Rules on lines of ID synchronization files.
HASHES_OVER = FileRule(
    "I4",
    "hashes_over_limit",
    f"With this line, a customer ID has more than {MOST_HASHES} hashed addresses in the files of one timestamp: the "
    "newest are kept.",
    COMBINED_PAGE,
    "warning",
    fix="Leave the oldest addresses of the customer out.",
)
PAIRS_UNCOUNTED = FileRule(
    CUSTOMER_OVER_LIMIT.code,
    "pairs_uncounted",
    "IDs may have more others than are kept (I4, I5), which could not be counted: the file can be read only once.",
    CUSTOMER_OVER_LIMIT.page,
    "hint",
    fix="Check the file where it can be read twice.",
)
CUSTOMER_OVER = FileRule(
    CUSTOMER_OVER_LIMIT.code,
    CUSTOMER_OVER_LIMIT.name,
    f"With this line, a customer ID has more than {DEVICES_OF_CUSTOMER} device IDs in the files of one timestamp: the "
    "latest are kept.",
    CUSTOMER_OVER_LIMIT.page,
    "warning",
    fix="Look whether the ID is that of one customer, and not of a household, a test or a default.",
)
DEVICE_OVER = FileRule(
    DEVICE_OVER_LIMIT.code,
    DEVICE_OVER_LIMIT.name,
    f"With this line, a device ID has more than {CUSTOMERS_OF_DEVICE} customer IDs in the files of one timestamp: the "
    "latest are kept.",
    DEVICE_OVER_LIMIT.page,
    "warning",
    fix="Look whether the ID is that of one device, and not of a shared device, a test or a default.",
)
COLUMNS_WRONG = FileRule(
    "C14",
    "columns_wrong",
    "The number of columns of the line differs from the number of data sources in the name.",
    ID_SYNC_PAGE,
    fix="Write one ID for each data source in the name, in their order.",
)
HASHES_WRONG = FileRule(
    "N6",
    "hashes_wrong",
    f"The line is not a customer ID and 1 to {MOST_HASHES} hashes, separated by tabs.",
    COMBINED_PAGE,
    fix="Write a customer ID and its 1 to 10 newest hashes.",
)
COLUMN_EMPTY = FileRule(
    "C14",
    "column_empty",
    "A column of the line is empty: two tabs follow each other, or the line begins with one.",
    ID_SYNC_PAGE,
    fix="Take the line out, or add the ID.",
)
ENDS_IN_SPACE = FileRule(
    "C14",
    "ends_in_space",
    "The line ends in a space, so Audience Manager would not process it.",
    ID_SYNC_PAGE,
    fix="Take the space out.",
)
ENDS_IN_TAB = FileRule(
    "C14",
    "ends_in_tab",
    "The line ends in a tab, so Audience Manager would not process it.",
    ID_SYNC_PAGE,
    fix="Take the tab out.",
)
HASHES_END_IN_TAB = FileRule(
    "C14",
    "hashes_end_in_tab",
    "The line ends in a tab, which only Adobe's own sample does.",
    COMBINED_PAGE,
    "warning",
    fix="Take the tab out.",
)

VALUE_IS_EMAIL = FileRule(
    VALUE_PERSONAL.code,
    "value_is_email",
    "A value is an e-mail address, or holds one.",
    VALUE_PERSONAL.page,
    fix="Take the value out, or hash it (SHA-256) if it is an ID.",
)
VALUE_IS_PERSONAL = FileRule(
    VALUE_PERSONAL.code,
    "value_personal",
    "A value looks like a phone, card, account or social security number, or an IP address.",
    VALUE_PERSONAL.page,
    "warning",
    fix="Take the value out if it is what it looks like.",
)

_HASHED = "Hash the address: SHA-256 of it, trimmed and in lower case."
_OTHER_ID = "Send another ID of the user, which is not personal."

ID_RULES = tuple(
    (rule, _of(rule, text, fix))
    for rule, text, fix in (
        (ID_IS_EMAIL, "The user ID is an e-mail address.", _HASHED),
        *((rule, rule.hint, _OTHER_ID) for rule in (ID_IS_PHONE, ID_IS_CARD, ID_IS_IBAN, ID_IS_IP, ID_IS_SSN)),
        (ID_FORBIDDEN_CHARACTER, ID_FORBIDDEN_CHARACTER.hint, "Send the ID without it, as the web site does."),
    )
)
"""The rules that apply to IDs of any type, each as a rule on rows and as one on files."""
