"""Rows formatted by compiled loops (`converter.kernel`).

Nearly all rows of nearly all inputs break no rule and need no change: one pass over their bytes makes lines of them.
Irregular rows, of which this is not certain, are left to `Records.lines`. So the lines are the same either way: it only
affects the speed which rows are irregular.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.buffers import Text, chunks_of
from converter.kernel import calls
from converter.kernel.calls import Form, LineId, LinePart, Lines, Loops
from converter.ledger import Ledger
from converter.rows.records import Records
from converter.rows.signals import constant_value, is_scanned
from converter.spec import rules

_HYPHEN = b"-"


class FastPath:
    """Formats rows of a job."""

    def __init__(self, records: Records, loops: Loops) -> None:
        self._loops = loops
        self._texts = None if records.by_bytes else records.text_columns
        columns = records.columns
        id_column = self._texts.index("id0") if self._texts else columns.index(records.job.ids[0].column)
        self._form = _form(records, columns, id_column)

    def of_frame(self, frame: pl.DataFrame) -> Lines:
        """Format a frame that `Records.texts` returned."""
        return self._loops.frame_lines(
            chunks_of(frame if self._texts is None else frame.select(self._texts)), self._form
        )

    def text_of(self, made: Lines, others: Sequence[Text], positions: npt.NDArray[np.int64]) -> list[Text]:
        """Return the text of the lines, with the lines of `others` inserted, each before the line at its position.

        The text uses the memory of `made`, which must not be used any more.
        """
        if not others:
            return [Text((made.memory[: int(made.ends[-1])],), made.ends)] if len(made.ends) else []
        memory, ends = _joined(others)
        memory, ends = self._loops.merge(made, memory, ends, positions)
        return [Text((memory[: int(ends[-1])],), ends)]


def counts_of(made: Lines) -> Ledger:
    """Count the signals of the lines, the IDs whose case was changed, and the values that are missing or changed."""
    ledger = Ledger(signals_written=made.signals)
    if made.changed:
        ledger.ids_changed["case"] = made.changed
    for counts, rule, count in (
        (ledger.signals_dropped, rules.VALUE_MISSING, made.missing),
        (ledger.signals_dropped, rules.VALUE_DROPPED, made.dropped),
        (ledger.signals_changed, rules.VALUE_CLEANED, made.cleaned),
        (ledger.signals_changed, rules.COMMA_REPLACED, made.commas),
    ):
        if count:
            counts[rule.name] = count
    return ledger


def _form(records: Records, columns: Sequence[str], id_column: int) -> Form:
    """Return the form of the job's lines, for columns in this order; `id_column` may be an index beyond them."""
    signals = []
    for signal in records.job.record.signals:
        start = f'"{signal.key}"="'
        if signal.column is None:
            text = f'{start}{constant_value(records.job, signal.value or "")}"'
            signals.append(LinePart(calls.CONSTANT, 0, 0, text.encode()))
        else:
            scan = is_scanned(records.job, signal.column)
            signals.append(LinePart(calls.PAIR, columns.index(signal.column), 0, start.encode(), scan))
    for each in records.lists:
        tokens = each.tokens
        if tokens.column is None:
            signals.append(LinePart(calls.CONSTANT, 0, 0, f"{each.prefix}{tokens.value}".encode()))
        else:
            kind = calls.TRAITS if each.counter == "not_digits" else calls.CODES
            signals.append(LinePart(kind, columns.index(tokens.column), ord(tokens.separator), each.prefix.encode()))
    (type_,) = records.id_types
    case = "preserve" if not records.by_bytes else type_.case or records.job.ids[0].case
    id_bytes = np.zeros(256, np.uint8)
    for byte in range(128):
        given = bytes([byte])
        cased = given.lower() if case == "lower" else given.upper() if case == "upper" else given
        if cased in type_.plain or (type_.groups and given == _HYPHEN):
            id_bytes[byte] = cased[0]
    id_scan = calls.SCAN_NOTHING if type_.groups else calls.SCAN_CARDS if records.cards else calls.SCAN_NUMBERS
    shape = _HYPHEN.join(b"x" * count for count in type_.groups)
    record = records.job.record
    return Form(
        [LineId(id_column, id_bytes, shape, type_.device, id_scan)],
        signals,
        records.most_line_bytes,
        on_bad={"reject": calls.REJECT, "drop": calls.DROP, "clean": calls.CLEAN}[record.on_bad_value],
        comma=None if record.comma == "keep" else record.comma.encode(),
    )


def _joined(texts: Sequence[Text]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Join texts in memory."""
    memory = np.concatenate([buffer for text in texts for buffer in text.buffers])
    lengths = [int(text.ends[-1]) for text in texts]
    starts = np.cumsum([0, *lengths[:-1]])
    return memory, np.concatenate([text.ends + start for text, start in zip(texts, starts, strict=True)])
