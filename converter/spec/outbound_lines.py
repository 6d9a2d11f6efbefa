"""The forms of the lines of outbound files: Adobe makes them from a template of each destination (O4).

`detected` finds the form by the first lines of a file; `outbound_templates` takes it from the template itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from converter.spec.files import FileRule
from converter.spec.outbound import (
    FIELDS_DOUBLE,
    FIELDS_DOUBLE_ONLY,
    FIELDS_JSON,
    FIELDS_OTHER,
    HEADER_ROW,
    LIST_ONLY,
    LIST_OTHER,
)

_FIRST = re.compile(r"[^\t\x01|;, ]+([\t\x01|;, ])")
"""An ID and what separates it from the segments."""
_LISTS = (",", "|", ";", "&", " ")


class Item(NamedTuple):
    """How an item of a list is made of several values, of which that with the index `segment` is the segment.

    `texts` stand before the first value, between values, and behind the last one: one more than there are values.
    """

    texts: tuple[str, ...]
    segment: int

    def pattern(self, separator: str, *, aliases: bool) -> str:
        """Return a regular expression for an item, whose group is the segment; no value has what separates them."""
        other = f"[^{re.escape(''.join(sorted({*separator, *''.join(self.texts)})))}]+"
        segment = other if aliases else "[0-9]{1,18}"
        values = [f"({segment})" if index == self.segment else other for index in range(len(self.texts) - 1)]
        return "".join(f"{re.escape(text)}{value}" for text, value in zip(self.texts, [*values, ""], strict=True))


class LineForm(NamedTuple):
    """How lines are parsed: `separator` between fields, `list_separator` between segments.

    Where both are the same, all that follows the ID is segments. `fields` is how many fields a line may have, and
    `id_`, `segments` and `removed` are the indices of those that are read, `None` where there is none. `has_header`:
    the first line is none of data. `json`: lines are JSON objects, and the rest does not matter. `item` says how the
    items of a list are made, `None` where they are segments alone.
    """

    separator: str = " "
    list_separator: str = ","
    fields: int = 3
    id_: int = 0
    segments: int | None = 1
    removed: int | None = 2
    has_header: bool = False
    quoted: bool = False
    json: bool = False
    item: Item | None = None
    assumed: tuple[FileRule, ...] = ()

    @property
    def is_list(self) -> bool:
        """Whether all that follows the ID is segments."""
        return self.separator == self.list_separator and not self.quoted

    @property
    def name(self) -> str:
        """What reports call it."""
        if self.json:
            return "json"
        name = f"{_named(self.separator)} between fields, {_named(self.list_separator)} between segments"
        return name if self.item is None else f"{name} of {len(self.item.texts) - 1} values"

    def pattern(self, *, aliases: bool) -> str:
        """Return a regular expression for a list of segments, which are numbers or, with `aliases`, any text.

        A space after a separator and a separator at the end are tolerated, but where a space separates fields: there
        they would make removed segments of others.
        """
        mark = re.escape(self.list_separator)
        item = self.item_pattern(aliases=aliases)
        if self.separator == " " and not self.is_list:
            return f"^(?:{item}(?:{mark}{item})*)?$"
        return f"^(?:{item}(?:{mark} ?{item})*)?(?:{mark})?$"

    def item_pattern(self, *, aliases: bool) -> str:
        """Return a regular expression for an item; where items have several values, its group is the segment."""
        if self.item:
            return self.item.pattern(self.list_separator, aliases=aliases)
        return f"[^{re.escape(self.list_separator)}]+" if aliases else "[0-9]{1,18}"


SPACES = LineForm()
"""The form of Adobe's syntax: `UUID<SPACE>SEGMENT,SEGMENT<SPACE>REMOVED,REMOVED`."""
JSON = LineForm(json=True, assumed=(FIELDS_JSON,))


def detected(lines: Sequence[str], *, aliases: bool = False) -> LineForm | None:
    """Return the form of the first lines of a file, which are not blank; `None` where they do not show it."""
    if not lines:
        return None
    if 2 * sum(line.startswith("{") for line in lines) > len(lines):
        has_header = not lines[0].startswith("{")
        return JSON._replace(has_header=has_header, assumed=(FIELDS_JSON, *[HEADER_ROW] * has_header))
    has_header = _is_header(lines[0], aliases=aliases)
    form = _by_separator(lines[has_header:]) or _by_separator(lines)
    if form is None:
        return None
    return form._replace(has_header=has_header, assumed=(*form.assumed, *[HEADER_ROW] * has_header))


def with_header(form: LineForm, lines: Sequence[str], *, aliases: bool) -> LineForm:
    """Return a form that is given, for a file with these first lines, of which the first one may be a header."""
    if not _has_header(form, lines, aliases=aliases):
        return form
    return form._replace(has_header=True, assumed=(*form.assumed, HEADER_ROW))


def _has_header(form: LineForm, lines: Sequence[str], *, aliases: bool) -> bool:
    if len(lines) < 2:
        return False
    if form.json:
        return lines[1].startswith("{") and not lines[0].startswith("{")
    if aliases:
        return _is_header(lines[0], aliases=True)
    fields = lines[0].split(form.separator)
    index = form.removed if form.segments is None else form.segments
    text = fields[-1 if index is None else min(index, len(fields) - 1)]
    return re.search("[A-Za-z]", text) is not None and not re.search("[0-9]", text)


def _is_header(line: str, *, aliases: bool) -> bool:
    """Return whether a line names its fields: what follows the first one has letters, and no number."""
    if aliases:
        return re.search("uuid|segment", line, re.IGNORECASE) is not None
    rest = (match := _FIRST.match(line)) and line[match.end() :]
    return bool(rest and re.search("[A-Za-z]", rest) and not re.search(r"\b[0-9]+\b", rest))


def _by_separator(lines: Sequence[str]) -> LineForm | None:
    """Return the form by the character that ends most IDs."""
    firsts = Counter(match[1] for line in lines if (match := _FIRST.match(line)))
    if not firsts or 2 * firsts.total() <= len(lines):
        return None
    separator = firsts.most_common(1)[0][0]
    if separator == " ":
        return _by_spaces(lines)
    if separator == "," and 2 * sum('"' in line for line in lines) > len(lines):
        return LineForm(separator, ",", quoted=True, assumed=(FIELDS_OTHER,))
    rest = [line.partition(separator)[2] for line in lines]
    list_separator = _list_separator(rest, [mark for mark in _LISTS if mark != separator])
    if list_separator is None and max(text.count(separator) for text in rest) > 1:
        return LineForm(separator, separator, 2, removed=None, assumed=(FIELDS_OTHER, LIST_ONLY))
    assumed = (FIELDS_OTHER,) if list_separator in (",", None) else (FIELDS_OTHER, LIST_OTHER)
    return LineForm(separator, list_separator or ("|" if separator == "," else ","), assumed=assumed)


def _by_spaces(lines: Sequence[str]) -> LineForm | None:
    """Return the form of lines that are separated by spaces: by one, as in Adobe's syntax, or by two."""
    single = sum(re.match(r"[^ ]+ (?! )", line) is not None for line in lines)
    double = sum(re.match(r"[^ ]+  [^ ]+  [^ ]", line) is not None for line in lines)
    gaps = sum(re.match(r"[^ ]+  [^ ]+ *$", line) is not None for line in lines)
    if double > single:
        return SPACES._replace(separator="  ", assumed=(FIELDS_DOUBLE,))
    if gaps and not single:
        return SPACES._replace(separator="  ", assumed=(FIELDS_DOUBLE, FIELDS_DOUBLE_ONLY))
    rest = [line.partition(" ")[2] for line in lines]
    marks = Counter(mark for text in rest for mark in _LISTS if mark in text)
    if not marks[","] and any(re.search("[0-9] [0-9]+ [0-9]", text) for text in rest):
        return SPACES._replace(list_separator=" ", fields=2, removed=None, assumed=(LIST_ONLY,))
    list_separator = _list_separator(rest, _LISTS[:-1]) or ","
    return SPACES._replace(list_separator=list_separator, assumed=(LIST_OTHER,) * (list_separator != ","))


def _list_separator(texts: Sequence[str], marks: Sequence[str]) -> str | None:
    counts = [(sum(mark in text for text in texts), -number, mark) for number, mark in enumerate(marks)]
    count, _, mark = max(counts)
    return mark if count else None


def _named(mark: str) -> str:
    names = {" ": "a space", "  ": "two spaces", "\t": "a tab", "\x01": "SOH", ",": "a comma", "|": "a bar"}
    return names.get(mark, f"'{mark}'")
