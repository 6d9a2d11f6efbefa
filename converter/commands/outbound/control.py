"""Control files (`.info`): what Audience Manager says about the files of a transfer, and whether these are so (O5).

Adobe shows them as JSON with keys that are not quoted; quoted ones are read too. The names of keys are compared without
their case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from converter.errors import InputError
from converter.sources.origins.base import Origin
from converter.sources.packings import SUFFIXES
from converter.sources.streams import TextStream
from converter.spec.files import FileRule
from converter.spec.outbound import LINES_OF_DATA, MD5_UNUSABLE, TOTALS_DIFFER, UNPACKED

_MOST_BYTES = 64 << 20
_TEXT_OR_KEY = re.compile(r'("(?:[^"\\]|\\.)*")|([A-Za-z_]\w*)(?=\s*:)')
_LAST_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')
_MD5 = re.compile("[0-9a-f]{32}")


class Expected(NamedTuple):
    """What a control file says about a file: `None` where it does not. `info` is the label of the control file."""

    info: str
    name: str
    bytes: int | None
    lines: int | None
    md5: str | None
    assumed: tuple[FileRule, ...] = ()


class Found(NamedTuple):
    """What a file is: its name, bytes, lines, the lines without header and blank ones, and the checksum, if any."""

    name: str
    bytes: int
    lines: int
    rows: int
    md5: str | None


class Control(NamedTuple):
    """A control file: what it says about its files, and what was assumed about it."""

    label: str
    files: tuple[Expected, ...]
    assumed: tuple[FileRule, ...] = ()


def read_control(origin: Origin) -> Control:
    """Read a control file. Raises `InputError` where it is none."""
    with TextStream(origin) as stream:
        memory = bytearray(min(origin.size or _MOST_BYTES, _MOST_BYTES) + 1)
        text = bytes(memory[: stream.readinto(memoryview(memory))])
    try:
        content = json.loads(_as_json(text.decode("utf-8-sig")))
        entries = _of(content, "files")
        files = tuple(_expected(origin.label, entry) for entry in entries)
        totals = _of(content, "totals") if "totals" in _keys(content) else {}
        return Control(origin.label, files, () if _is_sum(totals, files) else (TOTALS_DIFFER,))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            "E-OUTBOUND-INFO",
            f"The control file '{origin.label}' cannot be read: it is not as Adobe describes it, or is cut off (O5).",
            "Get it again, or read the files without comparing them: --no-verify.",
        ) from error


def differences(expected: Expected, found: Found) -> tuple[list[str], tuple[FileRule, ...]]:
    """Return in words how a file differs from what its control file says, and what was assumed to compare them."""
    assumed = list(expected.assumed)
    different = []
    if expected.name != found.name:
        assumed.append(UNPACKED)
    else:
        if expected.bytes is not None and expected.bytes != found.bytes:
            different.append(f"it has {found.bytes:,} bytes, not {expected.bytes:,}")
        if expected.md5 is not None and expected.md5 != found.md5:
            different.append(f"its md5 is {found.md5}, not {expected.md5}")
    if expected.lines is not None and expected.lines != found.lines:
        if expected.lines == found.rows:
            assumed.append(LINES_OF_DATA)
        else:
            different.append(f"it has {found.lines:,} lines, not {expected.lines:,}")
    return different, tuple(assumed)


def without_packing(name: str) -> str:
    """Return a name without the suffix that says how it is compressed."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _as_json(text: str) -> str:
    """Quote the keys of a text that are not, and remove commas after the last items."""
    quoted = _TEXT_OR_KEY.sub(lambda match: match[1] or f'"{match[2]}"', text)
    return _LAST_COMMA.sub(lambda match: match[1] or "", quoted)


def _keys(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in content.items()}


def _of(content: Mapping[str, Any], key: str) -> Any:
    return _keys(content)[key]


def _expected(label: str, entry: Mapping[str, Any]) -> Expected:
    of = _keys(entry)
    md5 = None if of.get("md5") is None else str(of["md5"]).lower()
    is_usable = md5 is None or _MD5.fullmatch(md5)
    return Expected(
        label,
        str(of["filename"]).rpartition("/")[2],
        _count(of.get("filebytesize")),
        _count(of.get("filelinecount")),
        md5 if is_usable else None,
        () if is_usable else (MD5_UNUSABLE,),
    )


def _count(value: Any) -> int | None:
    return None if value is None else int(str(value))


def _is_sum(totals: Mapping[str, Any], files: tuple[Expected, ...]) -> bool:
    """Return whether the totals, as far as there are any, are those of the files."""
    of = _keys(totals)
    sums: dict[str, int | None] = {"totalnumberfiles": len(files)}
    for key, counts in (
        ("totalbytesize", [each.bytes for each in files]),
        ("totalnumberlines", [each.lines for each in files]),
    ):
        known = [count for count in counts if count is not None]
        sums[key] = sum(known) if len(known) == len(counts) else None
    return all(of.get(key) is None or total is None or _count(of[key]) == total for key, total in sums.items())
