"""The kinds of inbound files: what a line is made of, which rules hold, which names they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import polars as pl

from converter.spec.ids import IdType
from converter.spec.limits import CONTENTS_PAGE
from converter.spec.names import Kind
from converter.spec.rules import ROW_RULES, Rule, id_rules, line_rules


class Signal(NamedTuple):
    """One signal of a line: literal text before and after a value, and whether the row has it.

    `value` is a String expression (the text between `before` and `after`, never null) or, for a constant,
    a text; `present` a Boolean expression, or `True` for a constant.
    """

    before: str
    value: pl.Expr | str
    after: str
    present: pl.Expr | bool = True


def pair(key: str, value: pl.Expr | str, present: pl.Expr | bool = True) -> Signal:
    """Return the signal `"key"="value"` (C2); the value has been cleaned already."""
    return Signal(f'"{key}"="', value, '"', present)


def data_line(id_: pl.Expr, signals: Sequence[Signal]) -> pl.Expr:
    r"""Return the line `ID<TAB>SIGNAL,SIGNAL…\n` (C1) as a String expression, null where `id_` is null.

    Formatting is much of what the engine does, and its cost goes by the number of texts that are joined, not
    by their length. So literals are merged: a signal is one text for its value and one for everything
    between it and the value before, which depends on what is present on either side.
    """
    template = _Template()
    template.add(id_)
    template.add("\t")
    ends = [_End(True, "", "")]
    for signal in signals:
        template.add(_bridge(ends, signal.before, signal.present))
        template.add(signal.value)
        ends = _ends_with(signal, ends)
    template.add(_bridge([_End(end.when, end.closing, "") for end in ends], "", True))
    template.add("\n")
    return template.expression()


class _End(NamedTuple):
    """How the line so far may end: if `when`, then with a value that `closing` closes.

    `joiner` is what must come between it and a further signal.
    """

    when: pl.Expr | bool
    closing: str
    joiner: str


def _ends_with(signal: Signal, ends: list[_End]) -> list[_End]:
    """Return the ways in which the line may end once `signal` is written; the first that holds counts."""
    if isinstance(signal.present, bool):
        return [_End(True, signal.after, ",")]
    last, *earlier = ends
    if (last.closing, last.joiner) != (signal.after, ","):
        return [_End(signal.present, signal.after, ","), *ends]
    if isinstance(last.when, bool):
        return ends
    return [_End(signal.present | last.when, signal.after, ","), *earlier]


def _bridge(ends: list[_End], before: str, present: pl.Expr | bool) -> pl.Expr | str:
    """Return the text between the value written last and the next one; nothing where that is absent."""
    *conditional, always = ends
    texts = always.closing + always.joiner + before
    if not conditional and isinstance(present, bool):
        return texts
    bridge = pl.lit(texts)
    for end in reversed(conditional):
        bridge = pl.when(end.when).then(pl.lit(end.closing + end.joiner + before)).otherwise(bridge)
    return bridge if isinstance(present, bool) else pl.when(present).then(bridge).otherwise(pl.lit(""))


class _Template:
    """A format string and its arguments, growing from left to right."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._arguments: list[pl.Expr] = []

    def add(self, text: pl.Expr | str) -> None:
        if isinstance(text, str) and not {"{", "}"} & set(text):
            self._text.append(text)
        else:  # braces are the format string's own marks
            self._text.append("{}")
            self._arguments.append(pl.lit(text) if isinstance(text, str) else text)

    def expression(self) -> pl.Expr:
        return pl.format("".join(self._text), *self._arguments)


class FileKind(NamedTuple):
    """A kind of inbound file: its line as an expression, its rules on IDs, rows and lines, its page."""

    name: Kind
    title: str
    page: str
    line: Callable[[pl.Expr, Sequence[Signal]], pl.Expr]
    id_rules: Callable[[IdType], tuple[Rule, ...]]
    row_rules: tuple[Rule, ...]
    line_rules: Callable[[int], tuple[Rule, ...]]


FILE_KINDS: dict[str, FileKind] = {
    "data": FileKind("data", "traits and signals of users", CONTENTS_PAGE, data_line, id_rules, ROW_RULES, line_rules),
}
