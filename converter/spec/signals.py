"""The grammar of signals in data files (C2), as regular expressions of Rust's syntax, which Python reads as well.

A signal is `d_sid=N`, `d_unsid=N`, an integration code (`N`, `N:0`, `N:-1`, `ic=CODE`), or a key and a value, each with
or without double quotes. Spaces around `=` and after `,` are tolerated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_OF_TRAITS = ("d_sid", "d_unsid")
_CODE = "[0-9]+(?::0|:-1)?"
_END = r"\r?\n"
_GOOD_KEY = "[0-9]*[A-Za-z_][A-Za-z0-9_-]*"  # C16
_ANY_KEY = '[^"\\t\\n\\r,= ](?:[^"\\t\\n\\r,=]*[^"\\t\\n\\r,= ])?'
_QUOTED_KEY = '"[^"\\t\\n\\r]+"'
_NO_NUMBER = r'(?:"[0-9]*[^0-9"]|[^0-9" ]|[0-9]+ *[^0-9, \r\n])'  # the start of a value
_VALUE = '(?:"[^"\\t\\n\\r]+"|[^"\\t\\n\\r, ](?:[^"\\t\\n\\r,]*[^"\\t\\n\\r, ])?)'


def _line(before: str, signal: str, *, spaces: bool = True) -> str:
    """Return what matches a line with fields `before` the signals; there may be commas without a signal."""
    space = " *" if spaces else ""
    comma = f"{space},{space}"
    return f"^{before}{space}(?:,{space})*{signal}(?:{comma}(?:,{space})*{signal})*{space}(?:,{space})*{_END}$"


def _signal(quoted: str, plain: str, *, spaces: bool = True) -> str:
    equals = " *= *" if spaces else "="
    return f"(?:(?:{quoted}|{plain}){equals}{_VALUE}|{_CODE})"


_ANY = _signal(_QUOTED_KEY, _ANY_KEY)
_DASHLESS = _signal('"[^"\\t\\n\\r-][^"\\t\\n\\r]*"', '[^"\\t\\n\\r,= -](?:[^"\\t\\n\\r,=]*[^"\\t\\n\\r,= ])?')
_USABLE = _signal(f'"-*{_GOOD_KEY}"', f"-*{_GOOD_KEY}")
# No key that begins with `d_`, since one of a trait has digits alone: such lines take the long way.
_PLAIN_KEY = "(?:[0-9]*[A-Za-ce-z_][A-Za-z0-9_-]*|[0-9]+d[A-Za-z0-9_-]*|d(?:[A-Za-z0-9-][A-Za-z0-9_-]*)?)"


def plain(before: str, *, removals: bool) -> str:
    """Return what matches a whole line, with its newline, in which no rule on signals finds anything; most lines.

    `before` matches the fields before the signals, with their tabs; `removals` says whether traits may be removed (C4).
    """
    trait = "d_(?:un)?sid" if removals else "d_sid"
    signal = f'(?:"{_PLAIN_KEY}"="[^"\\t\\n\\r]+"|{trait}=[0-9]+|{_PLAIN_KEY}={_VALUE}|{_CODE})'
    return f"^{before}{signal}(?:,{signal})*\\n$"


def parsable(before: str) -> str:
    """Return what matches a whole line whose signals can be parsed; commas without a signal are a rule of their own."""
    return _line(before, _ANY)


def spaceless(before: str) -> str:
    """Return what matches such a line without spaces between signals and around `=`."""
    return _line(before, _signal(_QUOTED_KEY, _ANY_KEY, spaces=False), spaces=False)


def dashless(before: str) -> str:
    """Return what matches such a line whose keys begin with no dash (C5)."""
    return _line(before, _DASHLESS)


def usable(before: str) -> str:
    """Return what matches such a line whose keys trait rules can name, after leading dashes (C16)."""
    return _line(before, _USABLE)


def with_trait_without_number(before: str) -> str:
    """Return what matches such a line, up to a trait whose ID is not a number (C3)."""
    return f"{_up_to(before, 'd_(?:un)?sid')}{_NO_NUMBER}"


def with_removal(before: str) -> str:
    """Return what matches such a line, up to the removal of a trait (C4)."""
    return _up_to(before, "d_unsid")


IN_PAIR = f"= *({_VALUE})"
"""The value of a pair; where signals can be parsed, of every one."""


PAIR = f"^({_QUOTED_KEY}|{_ANY_KEY}) *= *({_VALUE})$"
"""A signal alone that is a pair, without spaces around it: its key and its value, each with its quotes."""
CODE = f"^{_CODE}$"
"""A signal alone that is a bare number: an integration code; in files of Oracle Data Cloud a trait ID (C13)."""
REMOVED = "^([0-9]+)(?::0|:-1)$"
"""A bare number that removes its trait."""
PIECE = '(?:"[^"]*"|[^",])+|"[^,]*'
"""A signal among others, as long as it may be: a comma inside quotes belongs to it."""
QUOTES_WITHOUT_COMMA = r'^(?:[^"]|"[^",]*")*$'
"""The signals of a line in which no comma is inside quotes."""


def _up_to(before: str, key: str) -> str:
    return f'^{before}(?: *(?:{_ANY})? *,)* *(?:"{key}"|{key}) *= *'


_ONE = re.compile(f" *(?:(?P<key>{_QUOTED_KEY}|{_ANY_KEY}) *= *(?P<value>{_VALUE})|(?P<code>{_CODE}))? *(?P<comma>,|$)")


def _each(signals: str) -> Iterator[re.Match[str]]:
    """Yield the signals of a line, as far as they can be parsed; of empty ones, all groups but the comma are `None`."""
    at = 0
    while at < len(signals):
        match = _ONE.match(signals, at)
        if match is None or match.end() == at:
            return
        yield match
        at = match.end()


# These return the index of the first character that breaks a rule, in the signals of a line; `None` if none does.


def unparsable_at(signals: str) -> int | None:
    """Find the first signal that cannot be parsed."""
    at = max((match.end() for match in _each(signals)), default=0)
    return at if at < len(signals) else None


def trait_without_number_at(signals: str) -> int | None:
    """Find the first ID of a trait that is not a number (C3)."""
    return next(
        (
            match.start("value")
            for match in _each(signals)
            if (match["key"] or "").strip('"') in _OF_TRAITS and not re.fullmatch('"?[0-9]+"?', match["value"])
        ),
        None,
    )


def removal_at(signals: str) -> int | None:
    """Find the first removal of a trait (C4)."""
    return _key_at(signals, lambda key: key == "d_unsid")


def dash_at(signals: str) -> int | None:
    """Find the first key that begins with a dash (C5)."""
    return _key_at(signals, lambda key: key.startswith("-"))


def unusable_key_at(signals: str) -> int | None:
    """Find the first key that no trait rule can name, after leading dashes (C16)."""
    return _key_at(signals, lambda key: not re.fullmatch(f"-*{_GOOD_KEY}", key))


def space_at(signals: str) -> int | None:
    """Find the first space that belongs to no key or value."""
    for match in _each(signals):
        kept = [match.span(group) for group in ("key", "value", "code") if match[group] is not None]
        for at in range(*match.span()):
            if signals[at] == " " and not any(start <= at < end for start, end in kept):
                return at
    return None


def empty_at(signals: str) -> int | None:
    """Find the first comma without a signal before or after it."""
    for match in _each(signals):
        if match["key"] is None and match["code"] is None:
            return match.start("comma")
    return len(signals) - 1 if signals.endswith(",") else None


def long_at(signals: str, most: int) -> int | None:
    """Find the first key or value of more than `most` characters (C15); traits are not of this kind."""
    for match in _each(signals):
        if (match["key"] or "").strip('"') in _OF_TRAITS:
            continue
        for group in ("key", "value"):
            if len((match[group] or "").strip('"')) > most:
                return match.start(group)
    return None


def _key_at(signals: str, is_it: Callable[[str], bool]) -> int | None:
    for match in _each(signals):
        if match["key"] is not None and is_it(match["key"].strip('"')):
            return match.start("key") + match["key"].startswith('"')
    return None
