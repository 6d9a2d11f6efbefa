"""Where a line breaks a rule: the first byte that does, for the few lines that are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import polars as pl

from converter.columns.privacy import personal_kind
from converter.parts.id_patterns import PATTERNS, patterns_of, types_of
from converter.parts.line_pairs import relations_of
from converter.spec import files, signals
from converter.spec.limits import DERIVED_CHARACTERS, LINE_BYTES
from converter.spec.names import FileName
from converter.spec.rules import PERSONAL

ColumnOf = Callable[[bytes], int | None]
"""Returns the index of the first byte that breaks a rule, without the line ending."""

_OF_ANY: dict[files.FileRule, ColumnOf] = {
    files.LINE_TOO_LONG: lambda _: LINE_BYTES.value - 1,
    files.BYTE_ORDER_MARK: lambda _: 0,
    files.NOT_UTF8: lambda line: _no_text_at(line),
    files.NUL: lambda line: line.index(b"\0"),
    files.STRAY_RETURN: lambda line: line.index(b"\r"),
    files.CRLF: len,
    files.BLANK: lambda _: 0,
    files.TYPE_MISSING: lambda _: 0,
    files.TYPES_MIXED: lambda _: 0,
    files.WITHOUT_SIGNAL: len,
    files.CLEARS_USER: len,
    files.ENDS_IN_SPACE: lambda line: len(line) - 1,
    files.ENDS_IN_TAB: lambda line: len(line) - 1,
    files.HASHES_END_IN_TAB: lambda line: len(line) - 1,
}


class LineColumns:
    """Finds where lines of a file with a name break rules.

    `forms` are expressions of the forms of the first fields of a line, empty where any text may do.
    """

    def __init__(self, name: FileName, forms: Sequence[str]) -> None:
        self._forms = forms
        self._has_signals = name.kind in ("data", "odc")
        self._fields = 2 if name.kind == "odc" else 1  # before the signals
        self._most = len(forms) + self._has_signals
        self._of: dict[files.FileRule, ColumnOf] = {
            files.NOT_TWO_FIELDS: self._beyond_fields,
            files.NOT_THREE_FIELDS: self._beyond_fields,
            files.COLUMNS_WRONG: self._beyond_fields,
            files.HASHES_WRONG: self._beyond_fields,
            files.COLUMN_EMPTY: self._empty_field,
            files.WITHOUT_ID: lambda line: _field_starts(line)[self._fields - 1],
            files.IDS_MIXED: lambda line: _field_starts(line)[self._fields - 1],
            files.USER_OVER: lambda line: _field_starts(line)[self._fields - 1],
            files.ID_FORM_WRONG: self._wrong_form,
            files.SIGNAL_WRONG: self._in_signals(signals.unparsable_at),
            files.TRAIT_WRONG: self._in_signals(signals.trait_without_number_at),
            files.TRAIT_REMOVED: self._in_signals(signals.removal_at),
            files.KEY_WITH_DASHES: self._in_signals(signals.dash_at),
            files.KEY_DOUBTFUL: self._in_signals(signals.unusable_key_at),
            files.SIGNAL_SPACED: self._in_signals(signals.space_at),
            files.SIGNAL_EMPTY: self._in_signals(signals.empty_at),
            files.SIGNAL_LONG: self._in_signals(lambda text: signals.long_at(text, DERIVED_CHARACTERS.value)),
            files.VALUE_IS_EMAIL: self._in_signals(lambda text: _personal_at(text, email=True)),
            files.VALUE_IS_PERSONAL: self._in_signals(lambda text: _personal_at(text, email=False)),
            **{rule: partial(self._matching_id, name=name, broken=rule) for rule in PATTERNS},
            **{each.rule: partial(_field_start, each.column) for each in reversed(relations_of(name))},
            **{file_rule: partial(self._broken_id, rejects=rule.rejects) for rule, file_rule in files.ID_RULES},
        }

    def of(self, rule: files.FileRule, line: bytes) -> int | None:
        """Return the first byte, counted from 1, that breaks a rule; `None` where that cannot be said."""
        if rule not in self._of:
            return column_of_any(rule, line)
        index = self._of[rule](line)
        return None if index is None else index + 1

    def _beyond_fields(self, line: bytes) -> int:
        """Return the start of the first field that is too much; the end of the line where one is missing."""
        starts = _field_starts(line)
        return starts[self._most] - 1 if len(starts) > self._most else len(line)

    def _empty_field(self, line: bytes) -> int | None:
        fields = line.split(b"\t")
        return next((at for at, field in zip(_field_starts(line), fields, strict=True) if not field), None)

    def _wrong_form(self, line: bytes) -> int | None:
        fields = line.split(b"\t")
        fields[-1] = fields[-1].rstrip(b" ")  # which is a rule of its own
        for at, field, form in zip(_field_starts(line), fields, self._forms, strict=False):
            if form and not re.fullmatch(form.encode(), field):
                return at
        return None

    def _matching_id(self, line: bytes, name: FileName, broken: files.FileRule) -> int | None:
        fields, types = line.split(b"\t"), types_of(name)
        for index in range(self._fields - 1, self._fields if self._has_signals else len(fields)):
            type_ = types[(index - self._fields + 1) % len(types)]
            pattern = dict(patterns_of(type_, name.kind)).get(broken)
            if pattern and re.search(pattern.encode(), fields[index]):
                return _field_starts(line)[index]
        return None

    def _broken_id(self, line: bytes, rejects: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> int | None:
        fields = line.split(b"\t")[: self._fields if self._has_signals else None]
        ids = pl.Series("id", [field.decode(errors="replace") for field in fields])
        broken = pl.Series([False] * len(ids))
        for texts in (ids, ids.str.strip_chars()):
            kind = personal_kind(pl.col("id"), cards=False)
            broken |= texts.to_frame("id").select(rejects(pl.col("id"), kind).fill_null(value=False)).to_series()
        first = self._fields - 1 if self._has_signals else 0  # the type of an ID is none
        return next((_field_starts(line)[field] for field in range(first, len(fields)) if broken[field]), None)

    def _in_signals(self, find: Callable[[str], int | None]) -> ColumnOf:
        """Return what finds the byte for the character that `find` gives of signals."""

        def column_of(line: bytes) -> int | None:
            *fields, text = line.decode(errors="replace").split("\t", self._fields)
            at = find(text)
            if at is None:
                return None
            # Replacement characters have another length than the bytes that they stand for.
            before = "\t".join([*fields, text[:at]])
            return len(line.decode(errors="surrogateescape")[: len(before)].encode(errors="surrogateescape"))

        return column_of


def column_of_any(rule: files.FileRule, line: bytes) -> int | None:
    """Return the first byte, counted from 1, that breaks a rule on lines of any file; `None` for other rules."""
    index = _OF_ANY[rule](line) if rule in _OF_ANY else None
    return None if index is None else index + 1


def _no_text_at(line: bytes) -> int | None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _field_starts(line: bytes) -> list[int]:
    return [0, *(match.end() for match in re.finditer(b"\t", line))]


def _field_start(number: int, line: bytes) -> int | None:
    starts = _field_starts(line)
    return starts[number] if number < len(starts) else None


def _personal_at(text: str, *, email: bool) -> int | None:
    found = list(re.finditer(signals.IN_PAIR, text))
    values = pl.Series("value", [match[1].strip(' "') for match in found], pl.String).to_frame()
    kinds = values.select(personal_kind(pl.col("value"), cards=False)).to_series()
    for match, kind in zip(found, kinds, strict=True):
        if kind is not None and (kind == PERSONAL.index("email")) is email:
            return match.start(1)
    return None
