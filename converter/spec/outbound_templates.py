"""Templates of the lines of outbound files, in Adobe's notation (O4): `<UUID><TAB><SEGMENT_LIST;separator="|">`.

1. A template is cut into macros and the texts between them.
2. Macros that stand for a character join these texts: what separates the fields must be the same between all of them.
3. The others are fields: the ID, the lists of segments, and those that are not read.

A list may say how each of its items is made, `<SEGMENT_LIST:{seg|<seg.type>,<seg.sid>};separator="|">`: then items have
several values, of which one is the segment.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from converter.spec.outbound_lines import JSON, Item, LineForm

_IDS = ("UUID", "DP_UUID", "MCID", "DPUUID")
_SEGMENTS, _REMOVED = "SEGMENT_LIST", "REMOVED_SEGMENT_LIST"
_CHARACTERS = {
    "TAB": "\t",
    "ASCII_SOH": "\x01",
    "COMMA": ",",
    "SPACE": " ",
    "OPEN_CURLY_BRACKET": "{",
    "CLOSE_CURLY_BRACKET": "}",
}
_MACRO = re.compile(
    r"<\s*(?P<name>[A-Z_]+)\s*"
    r"(?::\s*\{\s*(?P<variable>\w+)\s*\|(?P<item>[^}]*)\}\s*)?"
    r"(?:;\s*(?P<option>separator|format)\s*=\s*(?:\"(?P<text>[^\"]+)\"|(?P<character>[A-Z_]+))\s*)?>"
)
_VALUE = re.compile(r"<\s*(?P<name>\w+(?:\.\w+)?)\s*>")
_SEGMENT_VALUES = ("sid", "segmentid", "csegid", "alias")
_JSON_KEYS = re.compile(
    r'"(?:TDID|UUID|DP_UUID|MCID|uuid|id)"\s*:\s*"<(?:UUID|DP_UUID|MCID|DPUUID)>".*"Data"\s*:\s*\[\s*<'
    r'(?:REMOVED_)?SEGMENT_LIST\s*:.*"Name"\s*:',
    re.DOTALL,
)


class _List(NamedTuple):
    """How a list of segments is written."""

    separator: str
    item: Item | None


def of_template(template: str) -> LineForm:
    """Return the form that a template gives; `json` stands for JSON objects with the keys of Adobe's example.

    The first of UUID, DP_UUID and MCID is the ID; other macros are fields that are not read. Raises `ValueError`, which
    says why, where lines of the template cannot be read.
    """
    text = template.strip()
    if text.lower() == "json":
        return JSON._replace(assumed=())
    if text.startswith(("{", "<OPEN_CURLY_BRACKET>")):
        if not _JSON_KEYS.search(text.replace("<OPEN_CURLY_BRACKET>", "{")):
            raise ValueError('JSON needs an ID such as "TDID":"<DP_UUID>", and "Data":[…] of objects with "Name"')
        return JSON._replace(assumed=())
    macros = list(_MACRO.finditer(template))
    fields, separators = _fields(template, macros)
    names = [match["name"] for match in fields]
    lists = {_list_of(match) for match in fields if match["name"] in (_SEGMENTS, _REMOVED)}
    ids = [name for name in names if name in _IDS]
    if len(separators) > 1 or not ids or not lists:
        raise ValueError(
            "it needs an ID such as <UUID>, <SEGMENT_LIST> or <REMOVED_SEGMENT_LIST>, and one separator between all "
            'fields, as in <UUID><TAB><SEGMENT_LIST;separator=","><TAB><REMOVED_SEGMENT_LIST>'
        )
    if len(lists) > 1:
        raise ValueError("the lists of segments and of removed ones must have the same separator and the same items")
    separator, (of_lists,) = separators.pop(), lists
    _check_others(fields, separator)
    segments = names.index(_SEGMENTS) if _SEGMENTS in names else None
    removed = names.index(_REMOVED) if _REMOVED in names else None
    form = LineForm(
        separator, of_lists.separator, len(names), names.index(ids[0]), segments, removed, item=of_lists.item
    )
    if form.is_list and (len(names) != 2 or form.id_ != 0):
        raise ValueError("if one character separates fields and segments, it must have the ID and one list")
    if separator in (of_lists.item.texts if of_lists.item else ()):
        raise ValueError("what separates fields must not separate the values of a segment as well")
    return form


def _fields(template: str, macros: list[re.Match[str]]) -> tuple[list[re.Match[str]], set[str]]:
    """Return the macros that are fields, and what separates them."""
    fields: list[re.Match[str]] = []
    separators: set[str] = set()
    between, at = "", 0
    for match in macros:
        between += template[at : match.start()]
        at = match.end()
        if match["name"] in _CHARACTERS:
            between += _CHARACTERS[match["name"]]
            continue
        if fields and not between:
            raise ValueError(f"nothing separates <{match['name']}> from what precedes it")
        if between and not fields:
            raise ValueError(f"nothing may stand before <{match['name']}>, the first field")
        separators |= {between} - {""}
        fields.append(match)
        between = ""
    if (between + template[at:]).strip(" \r\n") or not separators:
        raise ValueError("it must be macros such as <UUID>, and what separates them")
    return fields, separators


def _list_of(match: re.Match[str]) -> _List:
    """Return how a list of segments is written; what ends each item separates them, if nothing else does."""
    given = match["text"] or _CHARACTERS.get(match["character"] or "", match["character"])
    if match["item"] is None:
        return _List(given or ",", None)
    item = _item(match["item"], match["variable"])
    if given:
        return _List(given, item)
    if not item.texts[-1]:
        raise ValueError(f'nothing separates the items of <{match["name"]}>: give it a separator=","')
    return _List(item.texts[-1], Item((*item.texts[:-1], ""), item.segment))


def _item(text: str, variable: str) -> Item:
    """Return what an item is made of."""
    texts, values, at = [""], list[str](), 0
    for match in _VALUE.finditer(text):
        texts[-1] += text[at : match.start()]
        at = match.end()
        if match["name"] in _CHARACTERS:
            texts[-1] += _CHARACTERS[match["name"]]
            continue
        if values and not texts[-1]:
            raise ValueError(f"nothing separates <{match['name']}> from what precedes it")
        values.append(match["name"])
        texts.append("")
    texts[-1] += text[at:]
    found = [index for index, name in enumerate(values) if _is_segment(name, variable)]
    if len(found) != 1:
        raise ValueError(f"each item of a list needs its segment once, such as <{variable}.sid>")
    return Item(tuple(texts), found[0])


def _is_segment(name: str, variable: str) -> bool:
    owner, _, value = name.partition(".")
    return owner == variable and value.lower() in _SEGMENT_VALUES


def _check_others(fields: list[re.Match[str]], separator: str) -> None:
    """Raise `ValueError` where a field that is not read would have what separates fields."""
    for match in fields:
        if match["name"] in (_SEGMENTS, _REMOVED):
            continue
        text = match["text"] or _CHARACTERS.get(match["character"] or "", "")
        if (match["option"] == "separator" and text == separator) or (match["option"] == "format" and separator == ","):
            raise ValueError(f"<{match['name']}> has what separates the fields, so that these cannot be told apart")
