"""Rows formatted by compiled loops (`converter.kernel`).

Nearly all rows of nearly all inputs break no rule and need no change: one pass over their bytes makes lines of them.
Irregular rows, of which this is not certain, are left to `Records.lines`. So the lines are the same either way: it only
affects the speed which rows are irregular.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns.buffers import Text, chunks_of, frame_of
from converter.columns.pool import Bytes
from converter.kernel.calls import Loops
from converter.kernel.form import (
    CLEAN,
    CODES,
    CONSTANT,
    DROP,
    PAIR,
    REJECT,
    SCAN_CARDS,
    SCAN_NOTHING,
    SCAN_NUMBERS,
    TRAITS,
    Form,
    LineId,
    LinePart,
)
from converter.kernel.sink import Lines, Positions
from converter.ledger import Ledger
from converter.rows.counters import tally_counters
from converter.rows.records import Records
from converter.rows.signals import constant_value, is_scanned
from converter.spec import rules
from converter.spec.ids import ID_TYPES, RECOGNIZED, IdType

_HYPHEN = b"-"
_NO_SET = 255


class Made(NamedTuple):
    """What the kernel made of the rows of a block.

    `lines` are those of each set of files; a row that is left belongs before the line `positions` of its set. `ledger`
    counts what is in the lines.
    """

    lines: tuple[Lines, ...]
    positions: tuple[Positions, ...]
    ledger: Ledger


class FastPath:
    """Formats the rows of a job."""

    def __init__(self, records: Records, loops: Loops) -> None:
        self._records = records
        self._loops = loops
        columns = list(records.aliases.values())
        self._columns = [*columns, *(name for name in records.fast_ids if name not in columns)]
        names = tuple(records.job.output.route) or RECOGNIZED if records.is_mixed else ()
        self._types = [RECOGNIZED.index(name) for name in names]
        forms: Sequence[Sequence[IdType]] = [(ID_TYPES[name],) for name in names] or [records.id_types]
        self._forms = [_form(records, self._columns, types) for types in forms]

    @property
    def form(self) -> Form | None:
        """The form of lines made of values as they stand in the input; `None` where other steps come before."""
        return None if self._records.takes_steps else self._forms[0]

    def made(self, lines: Lines) -> Made:
        """Return lines that were made with `form`."""
        return Made((lines,), (lines.positions,), _counts_of(lines))

    def of_texts(self, texts: pl.DataFrame) -> tuple[Made, Positions]:
        """Format what `Records.fast_texts` gave; return also the indices of the rows that are left."""
        made, left = self._of_types(texts) if self._types else self._of_rows(texts, self._forms[0])
        # What steps have changed in rows that are left is counted where these are judged.
        changed = tally_counters(texts).ids_changed - tally_counters(texts[left]).ids_changed
        return made._replace(ledger=made.ledger + Ledger(ids_changed=changed)), left

    def _of_rows(self, texts: pl.DataFrame, form: Form) -> tuple[Made, Positions]:
        lines = self._loops.frame_lines(chunks_of(texts.select(self._columns)), form)
        return self.made(lines), lines.irregular

    def _of_types(self, texts: pl.DataFrame) -> tuple[Made, Positions]:
        """Format IDs of several types, each with the form of its own, for the set that it goes to."""
        if self._records.job.output.route:
            sets = list(range(len(self._types)))
            of_rows = texts["route"].fill_null(_NO_SET).to_numpy()
        else:  # then all IDs have to be of one type
            of_rows = texts["type"].fill_null(_NO_SET).to_numpy()
            sets = [int(np.bincount(of_rows, minlength=_NO_SET)[:_NO_SET].argmax())]
        columns = texts.select(self._columns)
        lines, with_line, ledger = [], [], Ledger()
        for number in sets:
            rows = np.flatnonzero(of_rows == number)
            made, left = self._of_rows(columns if len(rows) == len(of_rows) else columns[rows], self._forms[number])
            lines.append(made.lines[0])
            with_line.append(np.delete(rows, left))
            ledger += made.ledger
            ledger.id_types += Counter({RECOGNIZED[self._types[number]]: len(with_line[-1])})
        are_left = np.ones(len(of_rows), np.bool_)
        are_left[np.concatenate(with_line)] = False
        left = np.flatnonzero(are_left)
        return Made(tuple(lines), tuple(np.searchsorted(each, left) for each in with_line), ledger), left

    def text_of(self, made: Lines, others: Sequence[Text], positions: Positions) -> list[Text]:
        """Return the text of the lines, with the lines of `others` inserted, each before the line at its position.

        The text uses the memory of `made`, which must not be used any more.
        """
        if not others:
            return [Text((made.memory[: int(made.ends[-1])],), made.ends)] if len(made.ends) else []
        memory, ends = _joined(others)
        memory, ends = self._loops.merge(made, memory, ends, positions)
        return [Text((memory[: int(ends[-1])],), ends)]

    def ids_of(self, texts: Sequence[Sequence[Text]]) -> pl.DataFrame:
        """Return the IDs of lines, as `Records.accepted` does. They refer to the memory of the lines."""
        names = self._records.id_names
        lines = [(text.buffers[0], text.ends) for each in texts for text in each]
        return frame_of([self._loops.fields(*each, len(names), len(self._records.leads)) for each in lines], names)


def _counts_of(made: Lines) -> Ledger:
    """Count the signals of the lines, the values that were changed or left out, and the IDs whose case was changed."""
    ledger = Ledger(signals_written=made.signals)
    for counts, name, count in (
        (ledger.ids_changed, "case", made.changed),
        (ledger.signals_dropped, rules.VALUE_MISSING.name, made.missing),
        (ledger.signals_dropped, rules.VALUE_DROPPED.name, made.dropped),
        (ledger.signals_changed, rules.VALUE_CLEANED.name, made.cleaned),
        (ledger.signals_changed, rules.COMMA_REPLACED.name, made.commas),
    ):
        if count:
            counts[name] = count
    return ledger


def _form(records: Records, columns: Sequence[str], types: Sequence[IdType]) -> Form:
    """Return the form of the job's lines whose IDs are of these types, for columns with these names in queries."""
    numbers = {name: columns.index(alias) for name, alias in records.aliases.items()}
    signals = []
    for signal in records.job.record.signals:
        start = f'"{signal.key}"="'
        if signal.column is None:
            text = f'{start}{constant_value(records.job, signal.value or "")}"'
            signals.append(LinePart(CONSTANT, 0, 0, text.encode()))
        else:
            scan = is_scanned(records.job, signal.column)
            signals.append(LinePart(PAIR, numbers[signal.column], 0, start.encode(), scan))
    for each in records.lists:
        tokens = each.tokens
        if tokens.column is None:
            signals.append(LinePart(CONSTANT, 0, 0, f"{each.prefix}{tokens.value}".encode()))
        else:
            kind = TRAITS if each.counter == "not_digits" else CODES
            signals.append(LinePart(kind, numbers[tokens.column], ord(tokens.separator), each.prefix.encode()))
    ids = []
    for number, (name, type_) in enumerate(zip(records.fast_ids, types, strict=True)):
        shape = _HYPHEN.join(b"x" * count for count in type_.groups)
        id_scan = SCAN_NOTHING if type_.groups else SCAN_CARDS if records.cards else SCAN_NUMBERS
        id_bytes = _id_bytes(type_, records.fast_case(number, type_))
        ids.append(LineId(columns.index(name), id_bytes, shape, type_.device, id_scan))
    record = records.job.record
    return Form(
        ids,
        signals,
        records.most_line_bytes,
        lead="".join(f"{each}\t" for each in records.leads).encode(),
        on_bad={"reject": REJECT, "drop": DROP, "clean": CLEAN}[record.on_bad_value],
        comma=None if record.comma == "keep" else record.comma.encode(),
    )


def _id_bytes(type_: IdType, case: str) -> Bytes:
    """Return what is written for each byte of an ID of a type, 0 where it may be no plain ID."""
    id_bytes = np.zeros(256, np.uint8)
    for byte in range(128):
        if byte == ord('"'):  # which is special in all of a line
            continue
        given = bytes([byte])
        cased = given.lower() if case == "lower" else given.upper() if case == "upper" else given
        if cased in type_.plain or (type_.groups and given == _HYPHEN):
            id_bytes[byte] = cased[0]
    return id_bytes


def _joined(texts: Sequence[Text]) -> tuple[Bytes, Positions]:
    """Join texts in memory."""
    memory = np.concatenate([buffer for text in texts for buffer in text.buffers])
    lengths = [int(text.ends[-1]) for text in texts]
    starts = np.cumsum([0, *lengths[:-1]])
    return memory, np.concatenate([text.ends + start for text, start in zip(texts, starts, strict=True)])
