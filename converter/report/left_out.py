"""Files of the input that are not read: what is said and reported about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from converter.sources.origins.base import LeftOut

_NOTICED = (
    ("empty", "1 empty file of the input is", "{:,} empty files of the input are"),
    (
        "foreign",
        "1 file that has no name of an outbound file is",
        "{:,} files that have no names of outbound files are",
    ),
    ("subfolder", "1 folder in the input is", "{:,} folders in the input are"),
    (
        "special",
        "1 entry of the input that is not a regular file is",
        "{:,} entries of the input are not regular files, and",
    ),
)
"""Reasons why files are not read that users might miss, with how one and how many of them are called."""
_MOST_NAMED, _MOST_PATHS = 3, 100


def by_reason(left_out: Sequence[LeftOut]) -> list[Mapping[str, Any]]:
    """Return what the report says about files that were not read."""
    paths: dict[str, list[str]] = {}
    for path, reason in left_out:
        paths.setdefault(reason, []).append(path)
    return [
        {"reason": reason, "files": len(those), "paths": those[:_MOST_PATHS]} for reason, those in sorted(paths.items())
    ]


def left_out_notices(left_out: Sequence[LeftOut]) -> list[str]:
    """Return sentences about files that are not read and might be missed."""
    sentences = []
    for reason, one, many in _NOTICED:
        names = [PurePath(path).name for path, found in left_out if found == reason]
        if names:
            shown = ", ".join(f"'{name}'" for name in names[:_MOST_NAMED]) + ", …" * (len(names) > _MOST_NAMED)
            sentences.append(f"{one if len(names) == 1 else many.format(len(names))} not read: {shown}.")
    return sentences
