"""Names of outbound files, the files that Audience Manager sends, and the rules that they are read by (O1 to O5).

Adobe's pages contradict each other: each form that one of them shows is read, and what is then assumed is a named value
here, which the report names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from converter.spec.files import FileRule
from converter.spec.ids import GLOBAL_DATA_SOURCES

_FOLDER = "integration/receiving-audience-data/batch-outbound-transfers/"
FILES_PAGE = f"{_FOLDER}outbound-file-name-contents.md"
INFO_PAGE = f"{_FOLDER}transfer-control-files.md"
MACROS_PAGE = f"{_FOLDER}outbound-template-macros.md"
EXAMPLES_PAGE = f"{_FOLDER}outbound-macro-examples.md"

SyncMode = Literal["full", "incremental"]

# What is assumed about names.
NUMBERS_THREE = FileRule(
    "O1",
    "numbers_three",
    "Of three numbers in a name, the last one is read as the data source, and the first as the destination.",
    EXAMPLES_PAGE,
    "warning",
)
TIME_SECONDS = FileRule("O2", "time_seconds", "The time in a name is read as seconds.", MACROS_PAGE, "warning")
TIME_DATE = FileRule("O2", "time_date", "The date in a name is read as UTC.", MACROS_PAGE, "warning")
TIME_MISSING = FileRule("O2", "time_missing", "A name has no time: it is null.", FILES_PAGE, "warning")
SPLIT_DASHED = FileRule("O3", "split_dashed", "The digits after a dash are the number of a part.", INFO_PAGE, "warning")
SPLIT_SECONDS = FileRule(
    "O3", "split_seconds", "The digits after 10 digits of a time are the number of a part.", FILES_PAGE, "warning"
)
NAME_UNKNOWN = FileRule(
    "O1",
    "name_unknown",
    "A name is not that of an outbound file: time, destination, data source and mode are null.",
    FILES_PAGE,
    "warning",
)

# What is assumed about lines.
FIELDS_DOUBLE = FileRule(
    "O4", "fields_double", "Two spaces separate fields, as in Adobe's example.", FILES_PAGE, "warning"
)
FIELDS_DOUBLE_ONLY = FileRule(
    "O4",
    "fields_double_only",
    "Every line has one pair of spaces: what follows is read as segments, not as removed ones.",
    FILES_PAGE,
    "warning",
)
FIELDS_OTHER = FileRule("O4", "fields_other", "Tabs or another character separate fields.", MACROS_PAGE, "warning")
FIELDS_JSON = FileRule(
    "O4",
    "fields_json",
    "Lines are JSON: segments with `TtlInMinutes` 0 are read as removed ones.",
    EXAMPLES_PAGE,
    "warning",
)
LIST_OTHER = FileRule("O4", "list_other", "Another character than a comma separates segments.", MACROS_PAGE, "warning")
LIST_ONLY = FileRule(
    "O4",
    "list_only",
    "All that follows the ID is read as segments, since one character separates all of it.",
    EXAMPLES_PAGE,
    "warning",
)
HEADER_ROW = FileRule("O4", "header_row", "The first line is read as a header.", MACROS_PAGE, "warning")
END_MISSING = FileRule(
    "O4", "end_missing", "The last line has no end: the file may have been cut off.", FILES_PAGE, "warning"
)

# What is assumed about control files.
MD5_UNUSABLE = FileRule(
    "O5", "md5_unusable", "An md5 is none, as in Adobe's example: it is not compared.", INFO_PAGE, "warning"
)
TOTALS_DIFFER = FileRule(
    "O5", "totals_differ", "The totals are not the sums of the files: the files are compared.", INFO_PAGE, "warning"
)
LINES_OF_DATA = FileRule(
    "O5", "lines_of_data", "The number of lines is that without header and blank lines.", INFO_PAGE, "warning"
)
UNPACKED = FileRule(
    "O5",
    "unpacked",
    "A file was decompressed or compressed after the transfer: only its lines are compared.",
    INFO_PAGE,
    "warning",
)

# Why a line is rejected.
LINE_NOT_TEXT = FileRule("O4", "line_not_text", "The line is not UTF-8, or has a NUL character.", FILES_PAGE)
LINE_WITHOUT_ID = FileRule("O4", "line_without_id", "The line has no user ID.", FILES_PAGE)
LINE_SHORT = FileRule("O4", "line_short", "The line has nothing after the ID, not even a separator.", FILES_PAGE)
LINE_LONG = FileRule(
    "O4", "line_long", "The line has more fields than the ID, segments and removed segments.", FILES_PAGE
)
SEGMENTS_MALFORMED = FileRule(
    "O4", "segments_malformed", "A segment is missing, or no number of at most 18 digits.", FILES_PAGE
)
LINE_NOT_JSON = FileRule("O4", "line_not_json", "The line is not a JSON object with segments.", EXAMPLES_PAGE)
LINE_RULES = (LINE_NOT_TEXT, LINE_WITHOUT_ID, LINE_SHORT, LINE_LONG, SEGMENTS_MALFORMED, LINE_NOT_JSON)
"""In the order in which they are applied."""

_SECONDS, _MILLISECONDS = 10, 13  # digits
_LEAST_SPLIT = 3  # digits
_DATES = {14: "%Y%m%d%H%M%S", 12: "%Y%m%d%H%M", 8: "%Y%m%d"}
_SUFFIX = re.compile(r"\.sync(?:\.gz)?", re.IGNORECASE)
_MODES: dict[str, SyncMode] = {"full": "full", "iter": "incremental"}
_SYNC_TYPES = ("ftp", "http", "s3", "sftp", "https")
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_TIME = re.compile(r"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8,})(?:-(?P<split>[0-9]{1,9}))?", re.ASCII)


class _Moment(NamedTuple):
    """A time, the digits that say it, the split number after them, and what was assumed."""

    time: datetime
    digits: str
    split: str
    assumed: tuple[FileRule, ...] = ()


@dataclass(frozen=True)
class OutboundName:
    """The name of an outbound file, parsed; what it does not say is `None`.

    `destination` and `data_source` are numbers, `time` is in UTC. `transfer` is what the names of all parts of a
    transfer have in common. `assumed` are the rules that say how it was read.
    """

    transfer: str
    sync_type: str | None = None
    destination: int | None = None
    data_source: int | None = None
    alias: str | None = None
    mode: SyncMode | None = None
    time: datetime | None = None
    split: int | None = None
    assumed: tuple[FileRule, ...] = ()

    @classmethod
    def parse(cls, name: str) -> OutboundName:
        """Parse a name `[SYNC_TYPE][_DID][_MASTER_DPID][_PID_ALIAS][_SYNC-MODE][_TIMESTAMP]SPLITNUM.sync[.gz]` (O1).

        Raises `ValueError` where it does not end in `.sync` or `.sync.gz`.
        """
        match = re.fullmatch(rf"(?P<stem>.*){_SUFFIX.pattern}", name, re.IGNORECASE | re.DOTALL)
        if not match or not match["stem"]:
            raise ValueError(f"'{name}' is not the name of an outbound file, which ends in .sync or .sync.gz (O1).")
        return cls._of_stem(match["stem"])

    @property
    def info_names(self) -> tuple[str, str]:
        """The names that the control file may have: in Adobe's example it has another mode than its files (O5)."""
        other = re.sub("_(full|iter)(?=_)", lambda match: "_iter" if match[1] == "full" else "_full", self.transfer)
        return f"{self.transfer}.info", f"{other}.info"

    @classmethod
    def _of_stem(cls, stem: str) -> OutboundName:
        parts = stem.split("_")
        moment = _moment(parts[-1])
        mode: SyncMode | None = None
        if moment:
            parts[-1] = moment.digits
        transfer = "_".join(parts)
        if moment:
            parts.pop()
        if parts and parts[-1].lower() in _MODES:
            mode = _MODES[parts.pop().lower()]
        sync_type = parts.pop(0).lower() if parts and parts[0].lower() in _SYNC_TYPES else None
        numbers: list[int] = []
        while parts and _NUMBER.fullmatch(parts[0]) and len(numbers) < 3:
            numbers.append(int(parts.pop(0)))
        assumed = moment.assumed if moment else (TIME_MISSING,)
        destination, data_source, *rest = [*numbers, None, None][: max(len(numbers), 2)]
        if rest and rest[0] in GLOBAL_DATA_SOURCES:
            data_source = rest[0]
            assumed = (*assumed, NUMBERS_THREE)
        elif rest:  # an alias that is a number
            parts.insert(0, str(rest[0]))
        return cls(
            transfer,
            sync_type,
            destination,
            data_source,
            "_".join(parts) or None,
            mode,
            moment.time if moment else None,
            int(moment.split) if moment and moment.split else None,
            assumed,
        )


def _moment(text: str) -> _Moment | None:
    """Return the time and the split number at the end of a name, if that is what a text is (O2, O3)."""
    match = _TIME.fullmatch(text)
    if not match:
        return None
    digits, dashed = match["time"], match["split"]
    found = _date(digits) or _number(digits)
    if found is None:
        return None
    if dashed is None:
        return found
    # What would be a split number that is glued to the time is part of that, since there is one after a dash.
    return found._replace(split=dashed, assumed=(*found.assumed, SPLIT_DASHED))


def _date(text: str) -> _Moment | None:
    if not text.startswith("20"):
        return None
    if "-" in text:
        time = _parsed(text, "%Y-%m-%d")
        return _Moment(time, text, "", (TIME_DATE,)) if time else None
    for size, form in _DATES.items():
        split = text[size:]
        is_split = size == max(_DATES) and len(split) >= _LEAST_SPLIT
        if (not split or is_split) and len(text) >= size and (time := _parsed(text[:size], form)):
            return _Moment(time, text[:size], split, (TIME_DATE,))
    return None


def _parsed(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def _number(digits: str) -> _Moment | None:
    """Return the time of a UNIX timestamp, whose last digits may be a split number of 3 digits or more."""
    if len(digits) < _SECONDS:
        return None
    is_seconds = len(digits) < _MILLISECONDS or _MILLISECONDS < len(digits) < _MILLISECONDS + _LEAST_SPLIT
    size = _SECONDS if is_seconds else _MILLISECONDS
    split = digits[size:]
    try:
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            milliseconds=int(digits[:size]) * (1000 if is_seconds else 1)
        )
    except OverflowError:
        return None
    if not is_seconds:
        return _Moment(time, digits[:size], split)
    return _Moment(time, digits[:size], split, (TIME_SECONDS, SPLIT_SECONDS) if split else (TIME_SECONDS,))
