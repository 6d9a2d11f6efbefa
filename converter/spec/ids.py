"""The types of user IDs: the form and case that Adobe requires, and the data source that each belongs to."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from converter.spec.limits import GLOBAL_SOURCES_PAGE, HASHING_PAGE, IDS_PAGE

Case = Literal["preserve", "lower", "upper"]

_UUID = (8, 4, 4, 4, 12)

PLAIN_IN_ID = bytes(code for code in range(0x21, 0x7F) if code not in b":%@")
"""ASCII characters of which an ID of any text breaks no rule, and needs no step of normalization except the case."""

FORBIDDEN_IN_ID = r"[:\p{Cc}\x{FEFF}]|%3[Aa]"
"""What no user ID may contain: a colon, also percent-encoded, control characters (tab, newline …), a byte order mark.

The mark occurs in the middle of a file where files that each began with one were joined; no web site sends it.
"""


TRIMMED = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029"
    "\u202f\u205f\u3000\u180e\u200b\u200c\u200d\u2060\ufeff"
)
"""The characters trimmed from both ends of an ID: Unicode white space, zero-width characters, byte order marks."""


OF_AUDIENCE_MANAGER = ("uuid", "ecid")
"""The types of the IDs that Audience Manager itself gives to devices. They have one form."""


class IdType(NamedTuple):
    """A type of user ID.

    A normalized ID consists of `characters` (as in the brackets of a regular expression; empty where all are allowed
    that `FORBIDDEN_IN_ID` does not match), in `groups` of these lengths separated by hyphens, or in any number;
    `describe` is a description of this. `case` is the case that Adobe requires, `None` where it is the customer's
    choice; `dpid` the global data source, `None` where the data source is the customer's own; `device` says whether it
    is a device advertising ID; `doubtful` is a text that is accepted with a warning.
    """

    name: str
    title: str
    characters: str
    groups: tuple[int, ...]
    describe: str
    page: str
    dpid: int | None = None
    case: Case | None = None
    device: bool = False
    doubtful: str | None = None

    @property
    def of_device(self) -> bool:
        """Whether it identifies a device: an advertising ID, or Audience Manager's own."""
        return self.device or self.name in OF_AUDIENCE_MANAGER

    @property
    def form(self) -> str | None:
        """A regular expression (Rust syntax) that a normalized ID must match, `None` where any text may do."""
        if not self.characters:
            return None
        groups = "-".join(f"[{self.characters}]{{{count}}}" for count in self.groups) or f"[{self.characters}]+"
        return f"^{groups}$"

    @property
    def plain(self) -> bytes:
        """ASCII characters of which a normalized ID breaks no rule, except possibly that on its form."""
        if not self.characters:
            return PLAIN_IN_ID
        allowed = (byte for byte in PLAIN_IN_ID if re.match(f"[{self.characters}]", chr(byte)))
        return bytes(byte for byte in allowed if chr(byte) != self.doubtful)


_LOWER = "8-4-4-4-12 lower-case hexadecimal digits"
_UPPER = "8-4-4-4-12 upper-case hexadecimal digits"
_LETTERS = "letters and digits"
_OWN = "any text without a colon (or %3A), tab, newline or other control character"
_HASH = "64 lower-case hexadecimal digits (SHA-256 of the trimmed, lower-cased address)"
_SHARED = GLOBAL_SOURCES_PAGE

ID_TYPES: dict[str, IdType] = {
    type_.name: type_
    for type_ in (
        IdType("crm", "DPUUID, the customer's own ID", "", (), _OWN, IDS_PAGE),
        IdType("uuid", "Audience Manager UUID", "0-9", (38,), "38 decimal digits", IDS_PAGE, 0),
        IdType("ecid", "Experience Cloud ID (MID)", "0-9", (38,), "38 decimal digits", IDS_PAGE),
        IdType("gaid", "Google advertising ID (Android)", "0-9a-f", _UUID, _LOWER, IDS_PAGE, 20914, "lower", True),
        IdType("idfa", "Apple ID for advertisers (iOS)", "0-9A-F", _UUID, _UPPER, IDS_PAGE, 20915, "upper", True),
        IdType("rida", "Roku ID for advertising", "0-9a-f", _UUID, _LOWER, _SHARED, 121963, "lower", True),
        IdType("maid", "Microsoft advertising ID", "0-9A-Za-z-", (), _LETTERS, _SHARED, 389146, None, True, "-"),
        IdType("tifa", "Samsung ID for advertising", "0-9A-Za-z-", (), _LETTERS, _SHARED, 963906, None, True, "-"),
        IdType("fire", "Amazon Fire TV advertising ID", "0-9a-f", _UUID, _LOWER, _SHARED, 488258, "lower", True),
        IdType("lgudid", "LG device ID", "0-9a-f", _UUID, _LOWER, _SHARED, 1171485, "lower", True),
        IdType("vizio", "Vizio ID for advertising", "0-9A-Za-z", (), _LETTERS, _SHARED, 1171489, None, True),
        IdType("hashed_email", "SHA-256 of an e-mail address", "0-9a-f", (64,), _HASH, HASHING_PAGE, None, "lower"),
    )
}
"""The types of user IDs, by name."""

AUTO = IdType("auto", "an ID whose type is recognized by its form", "", (), "any text", IDS_PAGE)
"""The type of a column with IDs of several types. Audience Manager has no such type."""

RECOGNIZED = ("uuid", "gaid", "idfa", "hashed_email", "crm")
"""The types that are recognized by their forms, in this order: an ID of none of the forms is the customer's own.

Device IDs in capital letters are Apple's, all others Google's; IDs of other devices have the same form."""

_DEVICE = "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
FORMS = {
    "uuid": "^[0-9]{38}$",
    "gaid": f"^{_DEVICE}$",
    "idfa": "^[0-9A-F-]*[A-F][0-9A-F-]*$",
    "hashed_email": "^[0-9A-Fa-f]{64}$",
}
"""Regular expressions for `RECOGNIZED`; that of Apple's IDs applies only to IDs of the form of Google's."""
FORM_LENGTHS = {"uuid": 38, "gaid": 36, "idfa": 36, "hashed_email": 64}
"""How many bytes an ID of each of these forms has."""


def type_of(name: str) -> IdType:
    """Return a type by its name; `auto` is one."""
    return AUTO if name == AUTO.name else ID_TYPES[name]


GLOBAL_DATA_SOURCES: dict[int, IdType] = {t.dpid: t for t in ID_TYPES.values() if t.dpid and t.device}
"""Data sources shared by all customers (N4: their files must name a target). DPID 0 is not among them."""

ODC_TYPES = {"idfa": "idfa", "gaid": "gaid"}
"""The first field of lines for Oracle Data Cloud, by the type of their IDs (C13). Adobe names the type of Android IDs,
but not its literal *(ours)*."""
