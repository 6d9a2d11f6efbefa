"""Lines of NDJSON, drawn, and what a slow twin of the loop gives for them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
NUMBERS = [b"0", b"-0", b"007", b"12.50", b"-5e-7", b"1E400", b"9" * 40, b"0.0"]
SPACES = [b"", b"", b"", b"", b" ", b"\t", b"  ", b"\r"]
NESTED = [b"{}", b"[]", b'[1,{"b":["\\n",null]}]', b'{"id":{"a":[]}}', b"[" * 70 + b"]" * 70]
ITEM = "\x1f"
EXACT = "id"
DAMAGE = b'{}[]",:\\u0dDd8 \n\t\x00\xff\xc3\xa9-+.eEtnf1'


class DoubtfulError(Exception):
    """The twin does not parse the line."""


def spaced(drawn: random.Random, *tokens: bytes) -> bytes:
    """The tokens with white space between them."""
    return b"".join(each for token in tokens for each in (token, drawn.choice(SPACES)))


def string_of(drawn: random.Random, text: str) -> bytes:
    """A JSON string, some of its characters escaped."""
    if drawn.random() < 0.5:
        return json.dumps(text, ensure_ascii=drawn.random() < 0.5).encode()
    escaped = "".join(
        json.dumps(each, ensure_ascii=False)[1:-1] if each < " " or each in '"\\' else each for each in text
    )
    return b'"' + escaped.encode() + b'"'


def object_of(drawn: random.Random, members: Sequence[tuple[bytes, bytes]]) -> bytes:
    """An object with these keys and values (both JSON), white space between them."""
    tokens = [b"{"]
    for number, (key, value) in enumerate(members):
        tokens += [b","] * (number > 0) + [key, b":", value]
    return spaced(drawn, *tokens, b"}")


def damaged(drawn: random.Random, line: bytes) -> bytes:
    """The line with a few bytes changed, removed or repeated."""
    changed = bytearray(line)
    for _ in range(drawn.randrange(1, 4)):
        at = drawn.randrange(len(changed) + 1)
        until = at + drawn.choice([0, 0, 1, 1, 1, 5])
        changed[at:until] = bytes(drawn.choices(DAMAGE, k=drawn.choice([0, 1, 1, 2])))
    return bytes(changed)


def parsed(line: bytes, columns: Sequence[str], lists: Mapping[str, str | None]) -> list[str]:
    """The values of columns in one object, slowly. Raises `DoubtfulError` where it is not an object, or must be judged.

    `lists` are the columns that may hold lists, with what separates their items; `ITEM` is what stands before values.
    `EXACT` holds whole numbers only.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise DoubtfulError from error
    twin = _Twin(text)
    members = twin.members(depth=0)
    twin.spaces()
    if twin.at != len(text):
        raise DoubtfulError
    values = _values(members, columns)
    return ["" if values[name] is None else _text_of(name, values[name], lists) for name in columns]


def _values(members: list[tuple[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    """The values of columns: those of their keys, or else those of keys in objects."""
    values: dict[str, Any] = dict.fromkeys(columns)
    found: dict[str, Any] = {}
    for key, value in members:
        if key in found:
            raise DoubtfulError
        found[key] = value
    for name in columns:
        head, _, rest = name.partition(".")
        if name in found:
            values[name] = found[name]
        elif rest and isinstance(found.get(head), tuple):
            values[name] = _values(found[head][0], [rest])[rest]
        elif rest and isinstance(found.get(head), list):
            raise DoubtfulError
        if name == EXACT and (isinstance(values[name], bool) or _is_fraction(values[name])):
            raise DoubtfulError
    return values


def _is_fraction(value: Any) -> bool:
    return isinstance(value, Number) and not value.removeprefix("-").isdigit()


def _text_of(name: str, value: Any, lists: Mapping[str, str | None]) -> str:
    if isinstance(value, list) and name in lists:
        items = [json.dumps(each) if each is None or isinstance(each, bool) else each for each in value]
        if not all(isinstance(each, str) for each in items):
            raise DoubtfulError
        separator = lists[name]
        if separator == ITEM:
            return "".join(f"{ITEM}{item}" for each, item in zip(value, items, strict=True) if each is not None)
        if separator is not None:
            if None in value:
                raise DoubtfulError
            return separator.join(items)
        quoted = [f'"{item}"' if isinstance(each, str) else item for each, item in zip(value, items, strict=True)]
        return f"[{', '.join(quoted)}]"
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return str(value)
    raise DoubtfulError


class Number(str):
    """The text of a number."""

    __slots__ = ()


class _Twin:
    """A parser of JSON: objects are lists of pairs in a tuple, numbers their text."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def spaces(self) -> None:
        while self.text[self.at : self.at + 1] in (" ", "\t", "\r"):
            self.at += 1

    def takes(self, token: str) -> bool:
        self.spaces()
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> str:
        self.spaces()
        if not (found := pattern.match(self.text, self.at)):
            raise DoubtfulError
        self.at = found.end()
        return found[0]

    def string(self) -> str:
        value = json.loads(self.match(STRING))
        if any("\ud800" <= each <= "\udfff" for each in value):
            raise DoubtfulError
        return str(value)

    def members(self, depth: int) -> list[tuple[str, Any]]:
        if not self.takes("{"):
            raise DoubtfulError
        found: list[tuple[str, Any]] = []
        while not self.takes("}"):
            if found and not self.takes(","):
                raise DoubtfulError
            key = self.string()
            if not self.takes(":"):
                raise DoubtfulError
            found.append((key, self.value(depth + 1)))
        return found

    def value(self, depth: int) -> Any:
        self.spaces()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.takes(word):
                return value
        start = self.text[self.at : self.at + 1]
        if start == '"':
            return self.string()
        if start == "{":
            return (self.members(depth),)
        if start != "[":
            return Number(self.match(NUMBER))
        self.takes("[")
        items: list[Any] = []
        while not self.takes("]"):
            if items and not self.takes(","):
                raise DoubtfulError
            items.append(self.value(depth + 1))
        return items
