"""Rows that cannot be parsed, in columns: there may be as many of them as there are rows."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from converter.columns.pool import Bytes
from converter.kernel import sink
from converter.spec import rules
from converter.spec.rules import SOURCE_RULES, Rule

RowNumbers = npt.NDArray[np.int64]
_MOST_NOT_TEXT, _MOST_BYTES = 50, 1 << 12
_NEWLINE = ord("\n")
RULES = tuple(SOURCE_RULES.values())
_RULE_OF = {
    sink.TOO_SHORT: rules.ROW_TOO_SHORT,
    sink.TOO_LONG: rules.ROW_TOO_LONG,
    sink.MISQUOTED: rules.ROW_MISQUOTED,
    sink.NOT_UTF8: rules.ROW_NOT_TEXT,
    sink.NOT_JSON: rules.ROW_NOT_JSON,
    sink.TORN: rules.ROW_TORN,
    sink.UNCERTAIN: rules.ROW_NOT_JSON,  # unless another parser says something else
}
_INDEX_OF = np.array([RULES.index(_RULE_OF[reason]) for reason in range(len(_RULE_OF))])


@dataclass(frozen=True, slots=True)
class MalformedRows:
    """Rows that cannot be parsed, in order.

    For each of them: its row number, counted from 0 at the start of the block; the rule that it breaks, as its index in
    `RULES`; and its text, which has so many bytes from `starts` on in one of the `buffers`.
    """

    numbers: RowNumbers
    rules: RowNumbers
    buffers: tuple[Bytes, ...]
    of_buffer: RowNumbers
    starts: RowNumbers
    lengths: RowNumbers
    lines: RowNumbers = field(default_factory=lambda: np.empty(0, np.int64))
    """How many lines each row has, once it is detached from its text."""
    not_text: bytes = b""
    """Some of those that are not in the encoding of the input, also where their texts are not kept."""

    @classmethod
    def of_loops(cls, found: sink.Malformed, texts: Sequence[tuple[Bytes, int]]) -> MalformedRows:
        """Return the rows that the loops found in these texts, whose memory they refer to."""
        buffers = tuple(text for text, _ in texts)
        return cls(found.numbers, _INDEX_OF[found.rules], buffers, found.texts, found.starts, found.lengths)

    @classmethod
    def of_rows(cls, rows: Sequence[tuple[int, Rule, bytes]]) -> MalformedRows:
        """Return rows, given with their row numbers, rules and texts."""
        lengths = _array([len(text) for _, _, text in rows])
        return cls(
            _array([number for number, _, _ in rows]),
            _array([RULES.index(rule) for _, rule, _ in rows]),
            (np.frombuffer(b"".join(text for _, _, text in rows), np.uint8),),
            np.zeros_like(lengths),
            np.cumsum(lengths) - lengths,
            lengths,
        )

    @classmethod
    def joined(cls, parts: Sequence[MalformedRows]) -> MalformedRows:
        """Return the rows of several parts, one after the other."""
        firsts = itertools.accumulate((len(part.buffers) for part in parts), initial=0)
        return cls(
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.rules for part in parts]),
            tuple(buffer for part in parts for buffer in part.buffers),
            np.concatenate([part.of_buffer + first for part, first in zip(parts, firsts, strict=False)]),
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.lengths for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: slice | RowNumbers) -> MalformedRows:
        """Return some of the rows."""
        return MalformedRows(
            self.numbers[rows],
            self.rules[rows],
            self.buffers,
            self.of_buffer[rows],
            self.starts[rows],
            self.lengths[rows],
            self.lines[rows] if len(self.lines) else self.lines,
            self.not_text,
        )

    def moved(self, numbers: RowNumbers) -> MalformedRows:
        """Return the same rows with other row numbers."""
        return replace(self, numbers=numbers)

    def texts(self) -> list[bytes]:
        """Return the texts of the rows."""
        places = zip(self.of_buffer.tolist(), self.starts.tolist(), self.lengths.tolist(), strict=True)
        return [self.buffers[buffer][start : start + length].tobytes() for buffer, start, length in places]

    def detached(self, *, with_texts: bool) -> MalformedRows:
        """Return the rows with copies of their texts, or without: then they do not keep the memory of a block."""
        if not len(self):
            return replace(self, buffers=())
        lines = self._count_lines()
        first = np.flatnonzero(self.rules == RULES.index(rules.ROW_NOT_TEXT))[:_MOST_NOT_TEXT]
        not_text = b"\n".join(text[:_MOST_BYTES] for text in self.take(first).texts() if text)
        if not with_texts:
            return replace(self, buffers=(), lines=lines, not_text=not_text)
        texts = self.texts()
        lengths = self.lengths
        buffers = (np.frombuffer(b"".join(texts), np.uint8),)
        starts = np.cumsum(lengths) - lengths
        of_buffer = np.zeros_like(lengths)
        return replace(self, buffers=buffers, of_buffer=of_buffer, starts=starts, lines=lines, not_text=not_text)

    def _count_lines(self) -> RowNumbers:
        lines = np.ones_like(self.lengths)
        for number, buffer in enumerate(self.buffers):
            rows = np.flatnonzero(self.of_buffer == number)
            breaks = np.flatnonzero(buffer == _NEWLINE)
            starts, lengths = self.starts[rows], self.lengths[rows]
            lines[rows] += np.searchsorted(breaks, starts + lengths) - np.searchsorted(breaks, starts)
        return lines

    def counts(self) -> Counter[str]:
        """Count the rows by the names of their rules."""
        counts = np.bincount(self.rules, minlength=len(RULES)).tolist()
        return Counter({rule.name: count for rule, count in zip(RULES, counts, strict=True) if count})


def _array(numbers: Sequence[int]) -> RowNumbers:
    return np.array(numbers, np.int64)


NONE = MalformedRows.of_rows([])
