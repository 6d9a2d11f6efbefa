"""Values of keys, as validators of pydantic: sizes, numbers, lists and paths."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from converter.jobs.paths import expand_home

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_LEAST_BARE = 1000  # bytes, as a number without a unit
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")

Name = Annotated[str, Field(min_length=1)]
"""A text that is not empty."""
PathText = Annotated[str, AfterValidator(expand_home)]
"""A path, with its `~` expanded. `PathKey` marks the key beside it."""


def parse_size(size: object) -> object:
    """Return bytes for a text such as `"250MB"`; KB, MB, GB are powers of 1,000, KiB, MiB, GiB of 1,024.

    A text needs a unit, and so does a number below a thousand: `250` most likely means 250 of another one than bytes.
    """
    if isinstance(size, int) and 0 < size < _LEAST_BARE:
        raise ValueError(f'{size} are bytes: write the unit, such as "{size}MB", or "{size}B" for bytes')
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if not match or match[2].upper() not in _UNITS:
            raise ValueError('a size is a number with a unit, such as "250MB" or "1GiB"')
        if not match[2]:
            raise ValueError(f'a size needs a unit: "{match[1]}MB", or "{match[1]}B" for bytes')
        return int(Decimal(match[1]) * _UNITS[match[2].upper()])
    return size


def reject_bool(value: object) -> object:
    """Reject `true` and `false` where a number is needed: Python takes them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a whole number is needed")
    return value


def split_command(value: object) -> object:
    """Return the program and the arguments of a command in one text, in which quotes keep words together."""
    return shlex.split(value) if isinstance(value, str) else value


def as_list(value: object) -> object:
    """Return a single text, number or table as a list of one."""
    return [value] if isinstance(value, str | int | Mapping) else value


def check_one_password(settings: object, section: str) -> None:
    """Raise `ValueError` where a section names its password in two ways."""
    check_one_way(settings, section, ("password", "password_file", "password_command"))


def check_one_way(settings: object, section: str, keys: Iterable[str]) -> None:
    """Raise `ValueError` where a section sets two of some keys."""
    given = [key for key in keys if getattr(settings, key)]
    if len(given) > 1:
        raise ValueError(f"{section}.{given[0]} and {section}.{given[1]} are both set: leave one of them out.")


Command = Annotated[tuple[Name, ...], BeforeValidator(split_command, json_schema_input_type=str | list[str])]
"""A program and its arguments, or a text with both."""
Number = Annotated[int, BeforeValidator(reject_bool)]
"""A whole number."""
Dpid = Annotated[int, Field(ge=0), BeforeValidator(reject_bool)]
"""The number of a data source."""
Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=int | str), BeforeValidator(reject_bool)]
"""A number of bytes, from 1,000 on, or a text such as `"250MB"`."""
