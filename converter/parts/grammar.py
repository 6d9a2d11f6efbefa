"""The rules on what fields of lines contain: the form of IDs by their data source, and the grammar of signals.

One expression matches whole lines that break none of them. Only the others, mostly few, meet the rules one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.privacy import personal_kind
from converter.kernel.checked import IdShape, LineForm
from converter.parts.id_patterns import type_of
from converter.spec import signals
from converter.spec.files import (
    ID_FORM_WRONG,
    KEY_DOUBTFUL,
    KEY_WITH_DASHES,
    MOST_HASHES,
    SIGNAL_LONG,
    SIGNAL_SPACED,
    SIGNAL_WRONG,
    TRAIT_REMOVED,
    TRAIT_WRONG,
    VALUE_IS_EMAIL,
    VALUE_IS_PERSONAL,
    FileRule,
)
from converter.spec.ids import GLOBAL_DATA_SOURCES, ID_TYPES
from converter.spec.limits import DERIVED_CHARACTERS, LINE_BYTES
from converter.spec.names import FileName
from converter.spec.rules import PERSONAL

_LONG = '(?:[=,\\t] *"[^"\\t\\n\\r]{N}|[^",\\t\\n\\r]{N})'.replace("N", str(DERIVED_CHARACTERS.value + 1))
_FIELD = r"[^\t\n\r]+"
_ANY_FIELD = r"[^\t\n]*\t"
_END = r"\t?\r?\n"
_BEHIND = r"(?:\t| *\r?\n)"  # an ID; spaces at the end of a line are a rule of their own
_FORMS = {source: type_.form for source, type_ in GLOBAL_DATA_SOURCES.items()} | {0: ID_TYPES["uuid"].form}


class Broken(NamedTuple):
    """A rule, and the lines that break it (a Boolean for each line of the chunk)."""

    rule: FileRule
    lines: npt.NDArray[np.bool_]


class Grammar:
    """The rules for files with a name."""

    def __init__(self, name: FileName) -> None:
        self._name = name
        self._fields = 2 if name.kind == "odc" else 1  # before the signals
        if name.kind in ("data", "odc"):
            before = _ANY_FIELD * (self._fields - 1) + _form(name.dpids[0], own=_FIELD) + r"\t"
            self._plain = signals.plain(before, removals=name.mode == "sync")
            self._forms = ["", _FORMS.get(name.dpids[0]) or ""][-self._fields :]
            self._whole = f"^(?:{_ANY_FIELD}){{{self._fields}}}[^\\t\\r\\n]+\\r?\\n$"
        else:
            hash_ = ID_TYPES["hashed_email"].form
            if name.kind == "c2c-id-sync":
                self._forms = [_FORMS.get(name.dpids[0]) or "", *[hash_ or ""] * MOST_HASHES]
                others = f"(?:\\t{_bare(hash_)}){{1,{MOST_HASHES}}}"
                self._plain = f"^{_form(name.dpids[0], own=_FIELD)}{others}\\n$"
                self._whole = f"^{_FIELD}(?:\\t{_FIELD}){{1,{MOST_HASHES}}}{_END}$"
            else:
                self._forms = [_FORMS.get(dpid) or "" for dpid in name.dpids]
                self._plain = "^" + r"\t".join(_form(dpid, own=_FIELD) for dpid in name.dpids) + r"\n$"
                self._whole = f"^{_FIELD}(?:\\t{_FIELD}){{{len(name.dpids) - 1}}}{_END}$"

    @property
    def forms(self) -> list[str]:
        """Expressions of the forms of the first fields of a line, empty where any text may do."""
        return [form and _bare(form) for form in self._forms]

    def line_form(self) -> LineForm:
        """Return what the compiled loop takes for lines that break no rule."""
        name, types = self._name, [type_of(dpid) for dpid in self._name.dpids]
        if name.kind == "odc":
            types = [ID_TYPES["crm"], *types]  # the type of the ID stands before it, and may be any text
        elif name.kind == "c2c-id-sync":
            types = [types[0], ID_TYPES["hashed_email"]]
        return LineForm(
            [IdShape(type_.plain, type_.groups, scan=not type_.characters) for type_ in types],
            len(types),
            1 + MOST_HASHES if name.kind == "c2c-id-sync" else len(types),
            longest=LINE_BYTES.value,
            has_signals=name.kind in ("data", "odc"),
            removes=name.mode == "sync",
        )

    def broken(self, text: bytes, starts: npt.NDArray[np.int64], *, is_text: bool) -> Iterator[Broken]:
        """Yield the rules that lines break. `starts` are where lines start in the text, which ends in a newline."""
        lines = _series_of(text, starts, is_text=is_text)
        if self._name.kind in ("data", "odc"):
            for rule, personal in self._personal_values(lines):
                if personal.any():
                    yield Broken(rule, personal.to_numpy())
        rest = ~lines.str.contains(self._plain)
        if self._name.kind in ("data", "odc"):
            rest |= _may_be_long(lines)
        if not rest.any():
            return
        rest &= lines.str.contains(self._whole)  # the number of fields is a rule of its own
        few = lines.filter(rest)
        indices = np.flatnonzero(rest.to_numpy())

        def noted(rule: FileRule, broken: pl.Series) -> Iterator[Broken]:
            if broken.any():
                mask = np.zeros(len(lines), np.bool_)
                mask[indices[broken.to_numpy()]] = True
                yield Broken(rule, mask)

        if any(self._forms):
            yield from noted(ID_FORM_WRONG, self._wrong_forms(few))
        if self._name.kind in ("data", "odc"):
            for rule, broken in self._signal_rules(few):
                yield from noted(rule, broken)

    def _wrong_forms(self, lines: pl.Series) -> pl.Series:
        """Return whether an ID of each line has another form than that of its data source."""
        wrong = pl.repeat(False, len(lines), eager=True)
        for number, form in enumerate(self._forms):
            if form:
                before = f"^(?:{_ANY_FIELD}){{{number}}}"
                is_right = lines.str.contains(f"{before}{_bare(form)}{_BEHIND}")
                wrong |= lines.str.contains(f"{before}{_FIELD}") & ~is_right
        return wrong

    def _signal_rules(self, lines: pl.Series) -> Iterator[tuple[FileRule, pl.Series]]:
        before = _ANY_FIELD * self._fields
        parsed = lines.str.contains(signals.parsable(before))
        yield SIGNAL_WRONG, ~parsed
        yield TRAIT_WRONG, parsed & lines.str.contains(signals.with_trait_without_number(before))
        if self._name.mode == "overwrite":
            yield TRAIT_REMOVED, parsed & lines.str.contains(signals.with_removal(before))
        yield KEY_WITH_DASHES, parsed & ~lines.str.contains(signals.dashless(before))
        yield KEY_DOUBTFUL, parsed & ~lines.str.contains(signals.usable(before))
        yield SIGNAL_SPACED, parsed & ~lines.str.contains(signals.spaceless(before))
        if (suspects := parsed & _may_be_long(lines)).any():
            texts = lines.filter(suspects).str.replace(f"^{before}", "").str.strip_chars_end("\r\n")
            found = [signals.long_at(text, DERIVED_CHARACTERS.value) is not None for text in texts]
            yield SIGNAL_LONG, suspects.scatter(suspects.arg_true(), pl.Series(found, dtype=pl.Boolean))

    def _personal_values(self, lines: pl.Series) -> Iterator[tuple[FileRule, pl.Series]]:
        """Yield the rules on values, and the lines that break them."""
        is_whole = lines.str.contains(self._whole)
        texts = lines.str.replace(f"^{_ANY_FIELD * self._fields}", "")
        values = pl.DataFrame({"value": texts.str.extract_all(signals.IN_PAIR)}).with_row_index("line")
        value = pl.col("value").str.strip_prefix("=").str.strip_chars(' "')
        # Bare numbers may be anything here: those that might be cards are not counted.
        found = values.explode("value").select("line", kind=personal_kind(value, cards=False))
        are_email = pl.col("kind") == PERSONAL.index("email")
        for rule, is_it in ((VALUE_IS_EMAIL, are_email), (VALUE_IS_PERSONAL, ~are_email)):
            yield rule, is_whole & values["line"].is_in(found.filter(is_it)["line"].implode())


def _may_be_long(lines: pl.Series) -> pl.Series:
    """Return whether a key or a value of each line may be longer than those of derived signals."""
    return (lines.str.len_bytes() > DERIVED_CHARACTERS.value) & lines.str.contains(_LONG)


def _bare(form: str | None) -> str:
    """Return an expression without its anchors."""
    return (form or _FIELD).removeprefix("^").removesuffix("$")


def _form(dpid: int, *, own: str) -> str:
    """Return what matches the IDs of a data source: `own` where these are the customer's."""
    return _bare(_FORMS.get(dpid) or own)


def _series_of(text: bytes, starts: npt.NDArray[np.int64], *, is_text: bool) -> pl.Series:
    """Return lines as a Series of String, with their newlines; what is not text has replacement characters."""
    if not is_text:
        return pl.Series([line + "\n" for line in text.decode(errors="replace").split("\n")[:-1]])
    import pyarrow as pa  # here, since it takes a while: most files have plain lines alone

    ends = np.append(starts, len(text)).astype(np.int32)
    array = pa.StringArray.from_buffers(len(starts), pa.py_buffer(ends), pa.py_buffer(text))
    return pl.Series(values=array)
