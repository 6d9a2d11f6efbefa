"""Rows formatted by compiled loops (`converter.kernel`).

Nearly all rows of nearly all inputs break no rule and need no change: one pass over their bytes makes lines of them.
Irregular rows, of which this is not certain, are left to `Records.lines`. So the lines are the same either way: it only
affects the speed which rows are irregular.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from converter.columns.buffers import Text, chunks_of, frame_of, joined
from converter.columns.pool import Bytes
from converter.jobs.sections.ids import Id
from converter.kernel.calls import Loops
from converter.kernel.form import (
    CLEAN,
    CODES,
    CONSTANT,
    DROP,
    HASHED,
    HASHED_ADDRESS,
    KEPT,
    NO_NULLS,
    NULLS,
    NULLS_IRREGULAR,
    PAIR,
    REJECT,
    REMOVED,
    SCAN_CARDS,
    SCAN_NOTHING,
    SCAN_NUMBERS,
    TRAITS,
    VALUES,
    Form,
    LineId,
    LinePart,
    LineSteps,
)
from converter.kernel.sink import Lines, Positions
from converter.ledger import Ledger
from converter.rows.counters import tally_counters
from converter.rows.keys import sendable
from converter.rows.records import Records
from converter.rows.signals import constant_value, is_scanned
from converter.sources.base import Source
from converter.spec import rules
from converter.spec.ids import ID_TYPES, RECOGNIZED, IdType
from converter.spec.implausible import MISSING_IDS, MISSING_VALUES

_TYPES_OF_FORMS = ("uuid", "gaid", "idfa", "hashed_email", "crm")
"""The types of IDs by their forms, in the order in which the kernel counts these (`form.ID_FORMS`)."""
_HYPHEN = b"-"
_TO_HASH = bytes(code for code in range(0x21, 0x7F) if code != ord("%"))  # which might be decoded, or of a template
_NO_SET = 255
_MOST_KEYS = 4096  # that lines are made with, where keys are in a column
_CLEARED = b"\t\n"  # what lines without signals end in, and no others


class Made(NamedTuple):
    """What the kernel made of the rows of a block.

    `lines` are those of each set of files; a row that is left belongs before the line `positions` of its set. `ledger`
    counts what is in the lines. `rows`, if they were made of a frame, are the indices in it of the rows with a line.
    """

    lines: tuple[Lines, ...]
    positions: tuple[Positions, ...]
    ledger: Ledger
    rows: tuple[Positions, ...] = ()


class FastPath:
    """Formats the rows of a job."""

    def __init__(self, records: Records, loops: Loops) -> None:
        self._records = records
        self._loops = loops
        columns = list(records.aliases.values())
        self._columns = [*columns, *(name for name in records.fast_ids if name not in columns)]
        names = tuple(records.job.output.route) or RECOGNIZED if records.is_mixed else ()
        self._types = [RECOGNIZED.index(name) for name in names]
        self._id_types: Sequence[Sequence[IdType]] = [(ID_TYPES[name],) for name in names] or [records.id_types]
        self._forms = self._forms_with(frozenset())
        bytewise = [id_ for id_, is_bytewise in zip(records.job.ids, records.is_bytewise, strict=True) if is_bytewise]
        self._around = Counter(name for id_ in bytewise for name in ("prefix", "suffix") if getattr(id_, name))
        self._keyed = frozenset[str](), self._forms
        self._forms_of_inputs: dict[tuple[int, ...], Form] = {}
        self._set_of = np.array([names.index(name) if name in names else 0 for name in _TYPES_OF_FORMS], np.uint8)
        """The set of files for IDs of each type, where lines have forms."""

    def form_of(self, source: Source) -> Form | None:
        """Return the form of lines made of values as they stand in an input; `None` where other steps come before."""
        if self._records.takes_steps:
            return None
        nulls = self._nulls_of(source)
        if nulls not in self._forms_of_inputs:
            self._forms_of_inputs[nulls] = self._form_with(nulls)
        return self._forms_of_inputs[nulls]

    def _form_with(self, nulls: tuple[int, ...]) -> Form:
        """Return the form of lines where words for missing values mean this; of IDs of several types, that of all."""
        if not self._types:
            return _form(self._records, self._columns, self._records.id_types, nulls)
        names = [RECOGNIZED[number] for number in self._types]
        each = {name: _form(self._records, self._columns, [ID_TYPES[name]], nulls) for name in names}
        forms = [each.get(name) for name in _TYPES_OF_FORMS]
        return _form(self._records, self._columns, self._id_types[0], nulls, of_ids=forms)

    def _nulls_of(self, source: Source) -> tuple[int, ...]:
        """Return what the words for missing values mean in each of the job's columns."""
        columns = self._records.columns
        if not self._records.job.input.null_values:
            return (NO_NULLS,) * len(columns)
        lists = {each.tokens.column for each in self._records.lists} if source.json_lists else ()
        types = source.schema
        # Such a word may be the only item of a JSON list, which is a missing value only where it stands alone.
        return tuple(
            NO_NULLS if types[name] != pl.String else NULLS_IRREGULAR if name in lists else NULLS for name in columns
        )

    def made(self, lines: Lines) -> Made:
        """Return lines that were made with a form of the job."""
        ledger = _counts_of(lines)
        record = self._records.job.record
        columns = [*(signal.column for signal in record.signals), record.value_column]
        for column, count in zip(columns, lines.doubted, strict=False):
            if column is not None and count:
                ledger.missing_words[column] += count
        if self._records.job.record.empty == "clear":
            ledger.cleared = int(np.count_nonzero(lines.memory[lines.ends - len(_CLEARED)] == _CLEARED[0]))
        if len(lines.ends):
            ledger.ids_changed += Counter({name: count * len(lines.ends) for name, count in self._around.items()})
        if lines.forms is None:
            return Made((lines,), (lines.positions,), ledger)
        counts = np.bincount(lines.forms, minlength=len(_TYPES_OF_FORMS)).tolist()
        ledger.id_types += Counter(dict(zip(_TYPES_OF_FORMS, counts, strict=True)))
        if not self._records.job.output.route:  # then all IDs have to be of one type, which is seen at the end
            return Made((lines,), (lines.positions,), ledger)
        parts = self._loops.grouped(lines, self._set_of[lines.forms], len(self._types))
        positions = tuple(np.searchsorted(of_all, lines.positions) for _, of_all in parts)
        return Made(tuple(each for each, _ in parts), positions, ledger)

    def of_texts(self, texts: pl.DataFrame) -> tuple[Made, Positions]:
        """Format what `Records.fast_texts` gave; return also the indices of the rows that are left."""
        forms = self._forms_for(texts)
        made, left = self._of_types(texts, forms) if self._types else self._of_rows(texts, forms[0])
        counters = texts.select(column for column in texts.columns if "#" in column)
        if counters.width:
            # What steps have changed in rows that are left is counted where these are judged.
            changed = tally_counters(counters).ids_changed - tally_counters(counters[left]).ids_changed
            made = made._replace(ledger=made.ledger + Ledger(ids_changed=changed))
        return made, left

    def _forms_for(self, texts: pl.DataFrame) -> Sequence[Form]:
        """Return the forms of lines of each type of IDs, where keys are in a column with those that can be sent."""
        column = self._records.job.record.key_column
        if column is None:
            return self._forms
        known, forms = self._keyed
        keys = sendable(texts[self._records.aliases[column]], scanned=is_scanned(self._records.job, column))
        if not keys <= known and len(known | keys) <= _MOST_KEYS:
            forms = self._forms_with(known | keys)
            self._keyed = known | keys, forms  # at once, since other threads do so as well
        return forms

    def _forms_with(self, keys: frozenset[str]) -> list[Form]:
        return [_form(self._records, self._columns, each, keys=keys) for each in self._id_types]

    def _of_rows(self, texts: pl.DataFrame, form: Form) -> tuple[Made, Positions]:
        lines = self._loops.frame_lines(chunks_of(texts.select(self._columns)), form)
        made = self.made(lines)
        return made if lines.numbers is None else made._replace(rows=(lines.numbers,)), lines.irregular

    def _of_types(self, texts: pl.DataFrame, forms: Sequence[Form]) -> tuple[Made, Positions]:
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
            some = columns if len(rows) == len(of_rows) else columns[rows]
            made, left = self._of_rows(some, forms[number])
            lines.append(made.lines[0])
            with_line.append(np.delete(rows, left))
            ledger += made.ledger
            ledger.id_types += Counter({RECOGNIZED[self._types[number]]: len(with_line[-1])})
        are_left = np.ones(len(of_rows), np.bool_)
        are_left[np.concatenate(with_line)] = False
        left = np.flatnonzero(are_left)
        positions = tuple(np.searchsorted(each, left) for each in with_line)
        return Made(tuple(lines), positions, ledger, tuple(with_line)), left

    def text_of(self, made: Lines, others: Sequence[Text], positions: Positions) -> list[Text]:
        """Return the text of the lines, with the lines of `others` inserted, each before the line at its position.

        The text uses the memory of `made`, which must not be used any more.
        """
        if not others:
            return [Text((made.memory[: int(made.ends[-1])],), made.ends)] if len(made.ends) else []
        memory, ends = joined(others)
        memory, ends = self._loops.merge(made, memory, ends, positions)
        return [Text((memory[: int(ends[-1])],), ends)]

    def ids_of(self, texts: Sequence[Sequence[Text]]) -> pl.DataFrame:
        """Return the IDs of lines, as `Records.accepted` does. They refer to the memory of the lines."""
        return self._ids_of([(text.buffers[0], text.ends) for each in texts for text in each])

    def _ids_of(self, lines: Sequence[tuple[Bytes, Positions]]) -> pl.DataFrame:
        names = self._records.id_names
        return frame_of([self._loops.fields(*each, len(names), len(self._records.leads)) for each in lines], names)


def _counts_of(made: Lines) -> Ledger:
    """Count the signals of the lines, the values that were changed or left out, and the IDs that steps have changed."""
    ledger = Ledger(signals_written=made.signals, ids_changed=+Counter(made.changed))
    for counts, name, count in (
        (ledger.signals_dropped, rules.VALUE_MISSING.name, made.missing),
        (ledger.signals_dropped, rules.VALUE_DROPPED.name, made.dropped),
        (ledger.signals_changed, rules.VALUE_CLEANED.name, made.cleaned),
        (ledger.signals_changed, rules.COMMA_REPLACED.name, made.commas),
    ):
        if count:
            counts[name] = count
    return ledger


def _form(
    records: Records,
    columns: Sequence[str],
    types: Sequence[IdType],
    nulls: Sequence[int] = (),
    keys: Collection[str] = (),
    of_ids: Sequence[Form | None] = (),
) -> Form:
    """Return the form of the job's lines whose IDs are of these types, for columns with these names in queries.

    `nulls` says what the words for missing values mean in each column; by default, they are values like others. Where
    keys are in a column, rows with others than `keys` are irregular. `of_ids` are the forms of lines by that of their
    IDs (`_TYPES_OF_FORMS`), if there are several.
    """
    nulls = nulls or [NO_NULLS] * len(columns)
    ids = [_line_id(records, number, type_, columns, nulls) for number, type_ in enumerate(types)]
    record = records.job.record
    return Form(
        ids,
        _parts(records, columns, nulls, keys),
        records.most_line_bytes,
        lead="".join(f"{each}\t" for each in records.leads).encode(),
        on_bad={"reject": REJECT, "drop": DROP, "clean": CLEAN}[record.on_bad_value],
        comma=None if record.comma == "keep" else record.comma.encode(),
        nulls=[word.encode() for word in records.job.input.null_values],
        doubted=[word.encode() for word in MISSING_VALUES],
        no_ids=[word.encode() for word in MISSING_IDS],
        numbered=records.traces_lines,
        clears=record.empty == "clear",
        of_ids=of_ids,
    )


def _line_id(records: Records, number: int, type_: IdType, columns: Sequence[str], nulls: Sequence[int]) -> LineId:
    """Return an ID of a line, by its number; see `_form`."""
    id_, is_bytewise = records.job.ids[number], records.is_bytewise[number]
    column = columns.index(records.fast_ids[number])
    case = type_.case or id_.case if is_bytewise else "preserve"
    is_judged = is_bytewise and not type_.groups and records.doubts[number] != "allow"
    column_name = id_.column.encode() if is_judged else b""
    if id_.hash and is_bytewise:
        plain = _TO_HASH if number in records.found.spaceless else _TO_HASH + b" "
        hashed = HASHED_ADDRESS if id_.type == "hashed_email" else HASHED
        line_id = LineId(column, _id_bytes(plain, case), nulls=nulls[column], name=column_name, hashed=hashed)
    else:
        plain = type_.plain + (_HYPHEN if type_.groups else b"")
        shape = _HYPHEN.join(b"x" * count for count in type_.groups)
        scan = SCAN_NOTHING if type_.groups else _scan_of(records, f"id{number}")
        id_bytes = _id_bytes(plain, case)
        line_id = LineId(column, id_bytes, shape, type_.device, scan, nulls=nulls[column], name=column_name)
    return _with_steps(line_id, id_, plain) if is_bytewise else line_id


def _parts(records: Records, columns: Sequence[str], nulls: Sequence[int], keys: Collection[str]) -> list[LinePart]:
    """Return the parts of lines after the ID."""
    numbers = {name: columns.index(alias) for name, alias in records.aliases.items()}
    signals = []
    for number, signal in enumerate(records.job.record.signals):
        start = f'"{signal.key}"="'
        if signal.column is None:
            text = f'{start}{constant_value(records.job, signal.value or "")}"'
            signals.append(LinePart(CONSTANT, 0, 0, text.encode()))
        else:
            column, separator = numbers[signal.column], records.value_lists.get(number)
            kind, scan = VALUES if separator else PAIR, _scan_of_value(records, signal.column)
            signals.append(LinePart(kind, column, ord(separator or "\0"), start.encode(), scan, nulls[column]))
    record = records.job.record
    if record.key_column and record.value_column:
        column, key = numbers[record.value_column], numbers[record.key_column]
        scan, words = _scan_of_value(records, record.value_column), [each.encode() for each in keys]
        signals.append(LinePart(PAIR, column, 0, b'"', scan, nulls[column], key, words))
    for each in records.lists:
        tokens = each.tokens
        if tokens.column is None:
            signals.append(LinePart(CONSTANT, 0, 0, f"{each.prefix}{tokens.value}".encode()))
        else:
            kind = TRAITS if each.counter == "not_digits" else CODES
            column = numbers[tokens.column]
            prefix = each.prefix.encode()
            signals.append(LinePart(kind, column, ord(tokens.separator), prefix, nulls=nulls[column]))
    return signals


def _scan_of(records: Records, name: str) -> int:
    """Return how closely an ID or a value is scanned for personal data, by its name in queries."""
    return SCAN_NUMBERS if name in records.found.numbers else SCAN_CARDS


def _scan_of_value(records: Records, column: str) -> int:
    return _scan_of(records, records.aliases[column]) if is_scanned(records.job, column) else SCAN_NOTHING


def _with_steps(line_id: LineId, id_: Id, plain: bytes) -> LineId:
    """Return an ID of a line, of these bytes, with the steps of the job, those of `_id_bytes` aside."""
    prefix, suffix, removed = id_.prefix.encode(), id_.suffix.encode(), id_.remove.encode()
    if not set(prefix + suffix) <= set(plain):
        return dataclasses.replace(line_id, table=np.zeros(256, np.uint8))  # all IDs are irregular
    steps = None
    if id_.cut_prefix or id_.cut_suffix or removed or id_.strip_zeros or id_.pad:
        kept = np.zeros(256, np.uint8)
        kept[0x21:0x7F] = KEPT
        if b" " in plain:
            kept[ord(" ")] = KEPT
        kept[np.frombuffer(removed, np.uint8)] = REMOVED
        if id_.decode:
            kept[ord("%")] = 0
        steps = LineSteps(kept, id_.cut_prefix.encode(), id_.cut_suffix.encode(), id_.strip_zeros, id_.pad or 0)
    return dataclasses.replace(line_id, steps=steps, prefix=prefix, suffix=suffix)


def _id_bytes(plain: bytes, case: str) -> Bytes:
    """Return what is written for each byte of an ID in this case, 0 where that is none of the `plain` ones."""
    id_bytes = np.zeros(256, np.uint8)
    for byte in range(128):
        given = bytes([byte])
        cased = given.lower() if case == "lower" else given.upper() if case == "upper" else given
        if cased in plain:
            id_bytes[byte] = cased[0]
    return id_bytes
