"""Regular delimited text, formatted by compiled loops (`converter.kernel`): no frame is made of it.

What `converter.quick` does for any frame, done in one pass over the bytes: plain rows become lines, and the odd ones
are left to `Records.lines`, so both ways give the same lines. It is for what large files are made of nearly always:
IDs, values, lists of traits and constants, each as it stands. Other jobs go the other way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from converter.ledger import Ledger
from converter.parts import Text
from converter.records import Records
from converter.sources import Block, lost
from converter.sources.structure import is_utf8
from converter.spec import rules

_MANY = 8  # one row in so many odd: then the other way is better
_MARKED = b"-"  # in the shape of an ID, where a hyphen must stand


@dataclass(frozen=True)
class Formatted:
    """What became of a block: its plain rows as lines, and the odd rows.

    The lines stand in `memory`, and end at `ends`. `odd_text` is the text of the odd rows, of which row i begins at
    the newline `odd_lines[i]` of it, and at the newline `lines[i]` of the block; its own line, if it gets one, comes
    before the line `places[i]`. `ledger` counts the signals of the lines.
    """

    memory: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    odd_text: bytes
    odd_lines: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    ledger: Ledger


class Compiled:
    """Formats the blocks of files with the columns `names` and a separator."""

    def __init__(self, records: Records, names: Sequence[str], separator: str, loops: ModuleType) -> None:
        self._loops = loops
        self._separator = np.uint8(ord(separator))
        self._columns = len(names)
        job = records.job
        kinds, columns, marks, before = [], [], [], []
        for signal in job.record.signals:
            start = f'"{signal.key}"="'
            kinds.append(loops.CONSTANT if signal.column is None else loops.PAIR)
            columns.append(0 if signal.column is None else names.index(signal.column))
            marks.append(0)
            before.append(start if signal.column else f'{start}{signal.value}"')
        for each in records.lists:
            kinds.append(loops.CONSTANT if each.tokens.column is None else loops.LIST)
            columns.append(0 if each.tokens.column is None else names.index(each.tokens.column))
            marks.append(ord(each.tokens.separator))
            before.append(each.prefix if each.tokens.column else f"{each.prefix}{each.tokens.value}")
        texts = [text.encode() for text in before]
        self._kinds = np.array(kinds, np.uint8)
        self._of_column = np.array(columns, np.int64)
        self._marks = np.array(marks, np.uint8)
        self._before_at = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        self._before = self._words(b"".join(texts))
        self._id_column = names.index(job.id.column)
        needed = {
            self._id_column,
            *(column for column, kind in zip(columns, kinds, strict=True) if kind != loops.CONSTANT),
        }
        self._needed = np.array([place in needed for place in range(len(names))])
        type_ = records.id_type
        self._id_shape = np.frombuffer(_MARKED.join(b"x" * count for count in type_.groups), np.uint8)
        self._id_bytes = np.zeros(256, np.uint8)
        for byte in range(128):
            text = bytes([byte])
            cased = text.lower() if records.case == "lower" else text.upper() if records.case == "upper" else text
            if cased in type_.plain or (type_.groups and text == _MARKED):
                self._id_bytes[byte] = cased[0]
        self._id_not_zero = type_.device
        self._most_line = records.most_line_bytes
        self._line_extra = 2 + len(texts) * 2 + int(self._before_at[-1])

    @staticmethod
    def suits(records: Records) -> bool:
        """Say whether the loops can do the job at all."""
        return (
            not records.job.input.null_values
            and records.job.record.comma == "keep"
            and all(each.wrong == "not_digits" or each.tokens.column is None for each in records.lists)
        )

    def format(self, block: Block) -> Formatted | None:
        """Format a block; nothing where it is not UTF-8, or many of its rows are odd."""
        loops = self._loops
        if not is_utf8(block.memory[: block.size]):
            return None
        # Longer than most lines are; rows for which there is no room left are odd.
        room = 2 * block.size + block.rows * self._line_extra
        memory = np.empty(room + loops.SLACK, np.uint8)
        ends = np.empty(block.rows, np.int64)
        odd = np.empty((block.rows, 5), np.int64)
        rows, made, odds, signals, missing = loops.to_lines(
            block.memory,
            loops.words_of(block.memory),
            block.size,
            self._separator,
            self._columns,
            self._needed,
            self._id_column,
            self._id_bytes,
            self._id_shape,
            self._id_not_zero,
            self._kinds,
            self._of_column,
            self._marks,
            self._before,
            self._before_at,
            self._most_line,
            memory,
            loops.words_of(memory),
            room,
            ends,
            odd,
        )
        if rows != block.rows:
            raise lost(block.file, block.rows, rows)
        if odds * _MANY > rows:
            return None
        ends, odd = ends[:made], odd[:odds]
        text = block.memory.data
        odd_text = b"".join(text[start:end] for start, end in odd[:, [loops.START, loops.END]].tolist())
        ledger = Ledger(signals_written=signals)
        if missing:
            ledger.signals_dropped[rules.VALUE_MISSING.name] = missing
        odd_lines = np.cumsum(odd[:, loops.LINES]) - odd[:, loops.LINES]
        return Formatted(memory, ends, odd_text, odd_lines, odd[:, loops.LINE], odd[:, loops.PLACE], ledger)

    def text_of(self, formatted: Formatted, others: Sequence[Text], places: npt.NDArray[np.int64]) -> list[Text]:
        """Return the text of the lines, with other lines among them: each before the line at its place."""
        lines = Text((formatted.memory[: int(formatted.ends[-1]) if len(formatted.ends) else 0],), formatted.ends)
        if not others:
            return [lines] if len(lines.ends) else []
        memory, ends = _joined(others)
        target = np.empty(len(lines.buffers[0]) + len(memory), np.uint8)
        target_ends = np.empty(len(lines.ends) + len(ends), np.int64)
        self._loops.merged(lines.buffers[0], lines.ends, memory, ends, places, target, target_ends)
        return [Text((target,), target_ends)]

    def _words(self, text: bytes) -> npt.NDArray[np.uint64]:
        words: npt.NDArray[np.uint64] = self._loops.words_of(np.frombuffer(text + bytes(self._loops.SLACK), np.uint8))
        return words


def _joined(texts: Sequence[Text]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Join texts in memory."""
    memory = np.concatenate([buffer for text in texts for buffer in text.buffers])
    lengths = [int(text.ends[-1]) for text in texts]
    starts = np.cumsum([0, *lengths[:-1]])
    return memory, np.concatenate([text.ends + start for text, start in zip(texts, starts, strict=True)])
