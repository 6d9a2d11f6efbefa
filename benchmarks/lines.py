"""Compares outputs by their lines, whatever files and compressed blocks these are in; streaming."""

from __future__ import annotations

import gzip
import hashlib
import io
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
        mine = (self.lines, self.text_bytes, self.unordered)
        return mine == (other.lines, other.text_bytes, other.unordered)


def digest(folder: Path) -> Digest:
    """Read the output in `folder` and return its digest."""
    ordered = hashlib.sha256()
    lines = size = unordered = 0
    for file in outputs(folder):
        rest = b""
        with gzip.open(file) as text:
            while block := text.read(_READ):
                ordered.update(block)
                size += len(block)
                *whole, rest = (rest + block).split(b"\n")
                lines += len(whole)
                unordered += sum(map(hash, whole))
        if rest:  # a last line without its newline is a line too, and another one than with it
            lines += 1
            unordered += hash((rest,))
    # A sum, not an exclusive or: that would not see a line that comes twice.
    return Digest(lines, size, ordered.hexdigest(), unordered % 2**64)


def first_difference(one: Path, other: Path) -> tuple[int, bool]:
    """Return how many lines of two outputs are equal from the start, and whether one then differs."""
    equal = 0
    for mine, theirs in zip_longest(lines_of(one), lines_of(other)):
        if mine != theirs:
            return equal, True
        equal += 1
    return equal, False


def lines_of(folder: Path) -> Iterator[bytes]:
    """Yield the lines of an output, each with its end."""
    for file in outputs(folder):
        # The buffer around it finds lines much faster than the gzip file does by itself.
        with gzip.open(file) as text, io.BufferedReader(text, _READ) as buffered:
            yield from buffered
