"""Texts and numbers as pages show them; nothing that comes from a table or a report can be more than text there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_UNITS = ("KB", "MB", "GB", "TB")
# What cannot be seen: control characters, and those that change the direction of the text around them.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def visible(text: object, most: int) -> str:
    """Return a text of at most `most` characters and an ellipsis, with characters that are invisible escaped."""
    text = str(text)
    short = text[:most] + "…" * (len(text) > most)
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", short)


def cleaned(value: Any, most: int) -> Any:
    """Return plain data whose texts, and keys of mappings, are `visible`."""
    if isinstance(value, str):
        return visible(value, most)
    if isinstance(value, Mapping):
        return {visible(key, most): cleaned(each, most) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(each, most) for each in value]
    return value


def size(count: float) -> str:
    """Return a number of bytes as text, in powers of 1,000."""
    if count < 1000:
        return f"{count:,.0f} bytes"
    power = sum(count >= 1000**each for each in range(1, len(_UNITS) + 1))
    return f"{count / 1000**power:,.1f} {_UNITS[power - 1]}"


def number(count: float) -> str:
    """Return a count as text."""
    return f"{count:,}"


def percent(rate: float) -> str:
    """Return a share as people say it; what is not all is never called all, nor what is not nothing nothing."""
    if 0 < rate < 0.0005:
        return "below 0.1 %"
    return "above 99.9 %" if 0.9995 <= rate < 1 else f"{rate:.1%}".replace("%", " %")


def counted(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun, in the plural unless it is 1."""
    return " ".join(figure(count, noun, nouns=nouns))


def figure(count: int, noun: str, rest: str = "", *, nouns: str = "") -> tuple[str, str]:
    """Return a count, and its noun, in the plural unless it is 1, with the `rest` after it: a line of a summary."""
    return f"{count:,}", f"{noun if count == 1 else nouns or noun + 's'}{rest}"


def when(moment: object) -> str:
    """Return a time in ISO 8601 as people read it: without fractions of a second."""
    text = str(moment or "")
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(.*)$", r"\1 \2 \3", text).strip()
