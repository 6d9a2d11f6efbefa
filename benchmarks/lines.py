"""Compares outputs by their lines, whatever files and compressed blocks these are in; streaming."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from benchmarks.measure import outputs

_READ = 1 << 20


@dataclass(frozen=True)
class Digest:
    """What an output's lines come to: how many, of how many bytes, and two hashes.

    `unordered` is the same for the same lines in any order; it holds within this process only.
    """

    lines: int
    text_bytes: int
    sha256: str
    unordered: int

    def same_lines(self, other: Digest) -> bool:
        """Whether both have the same lines, each as often, in any order."""
        return (self.lines, self.text_bytes, self.unordered) == (other.lines, other.text_bytes, other.unordered)


def digest(folder: Path) -> Digest:
    """Read the output in `folder` and return its digest."""
    ordered = hashlib.sha256()
    lines = size = unordered = 0
    for block in _whole_lines(folder):
        ordered.update(block)
        size += len(block)
        found = block.splitlines(keepends=True) if block.isascii() else _split(block)
        lines += len(found)
        # A sum, not an exclusive or: that would not see a line that comes twice.
        unordered = (unordered + sum(map(hash, found))) % 2**64
    return Digest(lines, size, ordered.hexdigest(), unordered)


def lines_of(folder: Path) -> Iterator[bytes]:
    """Yield the lines of the output in `folder`, each with its newline."""
    for block in _whole_lines(folder):
        yield from _split(block)


def first_difference(one: Path, other: Path) -> tuple[int, int | None]:
    """Compare two outputs in order: return how many lines are equal, and the number of the first that is not."""
    equal = 0
    for ours, theirs in zip_longest(lines_of(one), lines_of(other)):
        if ours != theirs:
            return equal, equal + 1
        equal += 1
    return equal, None
