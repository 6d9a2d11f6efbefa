"""What one line of NDJSON means, object by object: slow, and right for every line.

1. Numbers are put in quotes, since they may begin with zeros; then the text must be JSON. So numbers keep their digits.
2. The keys and values of the object are found by the tokens of its text, which is known to be JSON by then.
3. The values of the columns are turned into text, unless they are of a kind that the column may not have.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence

import orjson
import polars as pl

from converter.columns.lists import ITEM
from converter.columns.utf8 import is_utf8
from converter.kernel.keys import Keys, Node
from converter.spec.rules import ID_NOT_EXACT, ROW_NOT_JSON, ROW_NOT_TEXT, ROW_REPEATS_KEY, VALUE_NESTED, Rule

_NUMBER = rb"-?[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
_NUMBER_OR_END = re.compile(
    # What precedes it: a string, closed or up to the end of the line; what is not a value, such as a number as a key.
    rb'((?:[^"\n0-9-]++|"(?:[^"\\\n]++|\\[^\n])*+\\?+(?:"|(?=\n))|-(?![0-9])|' + _NUMBER + rb"(?=[ \t\r]*+:))*+)"
    rb"(" + _NUMBER + rb"|\n)"
)
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]')
_WHOLE = re.compile(rb"-?[0-9]+")
_IN_NO_ITEM = re.compile(r'[",\\\x00-\x1f]')
_UNUSABLE = "\x1a"  # which no item may hold


class RuleError(Exception):
    """A line breaks a rule."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.name)
        self.rule = rule


def quoted_numbers(text: bytes) -> bytes:
    """Return lines of JSON, each with its newline, with all numbers in quotes."""
    return _NUMBER_OR_END.sub(rb'\1"\2"', text).replace(b'"\n"', b"\n")


def is_object(line: bytes) -> bool:
    """Return whether a line with its numbers in quotes is an object."""
    with contextlib.suppress(orjson.JSONDecodeError):  # then it is none
        return isinstance(orjson.loads(line), dict)
    return False


def values_of(line: bytes, keys: Keys) -> list[str | None]:
    """Return the texts of the columns in a line, null where there is none. Raises `RuleError`."""
    if not is_object(quoted_numbers(line + b"\n")):
        raise RuleError(ROW_NOT_JSON if is_utf8(line) else ROW_NOT_TEXT)
    found: dict[int, bytes] = {}
    _find(line, keys.root, found)
    return [
        _text_of(found.get(slot, found.get(fallback, b"null")), keys, name)
        for slot, (name, fallback) in enumerate(zip(keys.columns, keys.fallbacks, strict=True))
    ]


def frame_of_lines(lines: Sequence[bytes], keys: Keys) -> tuple[pl.DataFrame, list[Rule | None]]:
    """Return the rows of lines that break no rule, with the columns of `keys`, and the rule that each line breaks."""
    rows: list[list[str | None]] = []
    rules: list[Rule | None] = []
    for line in lines:
        try:
            rows.append(values_of(line, keys))
            rules.append(None)
        except RuleError as error:  # as a row of its own below
            rules.append(error.rule)
    columns = zip(*rows, strict=True) if rows else [()] * len(keys.columns)
    series = [pl.Series(name, each, pl.String) for name, each in zip(keys.columns, columns, strict=True)]
    return pl.DataFrame(series), rules


def _find(text: bytes, node: Node, found: dict[int, bytes]) -> None:
    """Add the values of an object, as JSON by their slots, and those of the objects in it that are read."""
    seen = set()
    for key, value in _members(text):
        if key in seen:
            raise RuleError(ROW_REPEATS_KEY)
        seen.add(key)
        if key in node.values:
            found[node.values[key]] = value
        if key in node.nodes:
            if value.startswith(b"["):
                raise RuleError(VALUE_NESTED)
            if value.startswith(b"{"):
                _find(value, node.nodes[key], found)


def _members(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the keys of an object and their values, as JSON."""
    key, start, depth = b"", 0, 0
    for token in _TOKEN.finditer(text):
        byte = token[0][:1]
        if byte in b"}]":
            depth -= 1
        if depth == 1 and byte == b'"' and not start:
            key = token[0]
        elif depth == 1 and byte == b":":
            start = token.end()
        elif start and (depth == 0 or (depth == 1 and byte == b",")):
            yield orjson.loads(key), text[start : token.start()].strip()
            start = 0
        if byte in b"{[":
            depth += 1


def _text_of(value: bytes, keys: Keys, name: str) -> str | None:
    """Return the text of a value of a column that is given as JSON; null for null. Raises `RuleError`."""
    start = value[:1]
    if start == b'"':
        return str(orjson.loads(value))
    if start == b"n":
        return None
    if start == b"[" and name in keys.lists:
        return f"[{', '.join(map(_item_of, _items(value)))}]"
    if start == b"[" and name in keys.values:
        return "".join(f"{ITEM}{_value_of(item)}" for item in _items(value) if item[:1] != b"n")
    if start in (b"[", b"{"):
        raise RuleError(VALUE_NESTED)
    if name in keys.exact and not _WHOLE.fullmatch(value):
        raise RuleError(ID_NOT_EXACT)
    return value.decode()


def _items(value: bytes) -> Iterator[bytes]:
    """Yield the items of a list, as JSON. Raises `RuleError` where one is a list or an object."""
    start = 1
    for token in _TOKEN.finditer(value, 1):
        byte = token[0][:1]
        if byte in b"{[":
            raise RuleError(VALUE_NESTED)
        if byte in b",]":
            if item := value[start : token.start()].strip():
                yield item
            start = token.end()


def _value_of(item: bytes) -> str:
    """Return an item of a list of values."""
    return str(orjson.loads(item)).replace(ITEM, _UNUSABLE) if item[:1] == b'"' else item.decode()


def _item_of(item: bytes) -> str:
    """Return an item of a list as it stands in a text of the whole list. One that no line could hold stays unusable."""
    if item[:1] in b"tfn":
        return item.decode()
    text = str(orjson.loads(item)) if item[:1] == b'"' else item.decode()
    return f'"{_IN_NO_ITEM.sub(_UNUSABLE, text)}"'
