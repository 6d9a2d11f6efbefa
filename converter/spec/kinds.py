"""The kinds of inbound files: the form of their lines, and the rules that apply to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import polars as pl

from converter.spec.limits import COMBINED_PAGE, CONTENTS_PAGE, ID_SYNC_PAGE, ODC_PAGE
from converter.spec.names import Kind
from converter.spec.rules import (
    CASE_COLLISION,
    DATE_UNREADABLE,
    HASH_TOO_OLD,
    ROW_RULES,
    SKIPS,
    SYNC_ID_RULES,
    USER_RULES,
    IdRule,
    Rule,
    line_rules,
)


class FormattedSignal(NamedTuple):
    """A signal of a line: literal text before and after a value, and whether the row has it.

    `value` is the text between `before` and `after`: an expression (String without nulls) or, for a constant, a text.
    `present` is a Boolean expression, or `True` for a constant.
    """

    before: str
    value: pl.Expr | str
    after: str
    present: pl.Expr | bool = True


def pair(key: str | pl.Expr, value: pl.Expr | str, present: pl.Expr | bool = True) -> FormattedSignal:
    """Return the signal `"key"="value"` (C2) for a value that is clean; of a key in a column, the value is one too."""
    if isinstance(key, pl.Expr):
        pair = pl.concat_str(pl.lit('"'), key, pl.lit('"="'), value, pl.lit('"'))
        return FormattedSignal("", pl.when(present).then(pair).otherwise(pl.lit("")), "", present)
    return FormattedSignal(f'"{key}"="', value, '"', present)


def data_line(ids: Sequence[pl.Expr | str], signals: Sequence[FormattedSignal]) -> pl.Expr:
    r"""Return the line `ID<TAB>SIGNAL,SIGNAL…\n` (C1) as a String expression, null where an ID is null.

    For Oracle Data Cloud, `ids` are two texts: the type of the ID, and the ID (C13).

    Formatting takes much of the time of a query, in proportion to the number of texts that are joined, not to their
    length. So literals are merged: a signal is one text for its value, and one for all text between the value before
    and its own, which depends on which signals are present.
    """
    template = _Template()
    for id_ in ids:
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


def sync_line(ids: Sequence[pl.Expr | str], signals: Sequence[FormattedSignal]) -> pl.Expr:
    r"""Return the line `ID<TAB>ID…\n` (C14), null where an ID is null; it has no signals."""
    template = _Template()
    for number, id_ in enumerate(ids):
        template.add("\t" if number else "")
        template.add(id_)
    template.add("\n")
    return template.expression()


class _End(NamedTuple):
    """A way in which the line so far may end: if `when` is true, with a value that `closing` closes.

    `joiner` separates it from the next signal.
    """

    when: pl.Expr | bool
    closing: str
    joiner: str


def _ends_with(signal: FormattedSignal, ends: list[_End]) -> list[_End]:
    """Return the ways in which the line may end after `signal`; the first whose condition is true applies."""
    if isinstance(signal.present, bool):
        return [_End(True, signal.after, ",")]
    last, *earlier = ends
    if (last.closing, last.joiner) != (signal.after, ","):
        return [_End(signal.present, signal.after, ","), *ends]
    if isinstance(last.when, bool):
        return ends
    return [_End(signal.present | last.when, signal.after, ","), *earlier]


def _bridge(ends: list[_End], before: str, present: pl.Expr | bool) -> pl.Expr | str:
    """Return the text between the last value and the next one; empty where the next one is absent."""
    *conditional, always = ends
    texts = always.closing + always.joiner + before
    if not conditional and isinstance(present, bool):
        return texts
    bridge = pl.lit(texts)
    for end in reversed(conditional):
        bridge = pl.when(end.when).then(pl.lit(end.closing + end.joiner + before)).otherwise(bridge)
    return bridge if isinstance(present, bool) else pl.when(present).then(bridge).otherwise(pl.lit(""))


class _Template:
    """A format string and its arguments, built from left to right."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._arguments: list[pl.Expr] = []

    def add(self, text: pl.Expr | str) -> None:
        if isinstance(text, str) and not {"{", "}"} & set(text):
            self._text.append(text)
        else:  # braces have a meaning in format strings
            self._text.append("{}")
            self._arguments.append(pl.lit(text) if isinstance(text, str) else text)

    def expression(self) -> pl.Expr:
        return pl.format("".join(self._text), *self._arguments)


class FileKind(NamedTuple):
    """A kind of inbound file: its line as an expression, its rules on rows and lines, and its page.

    `id_rules` are further rules on IDs, beside those of their types; `trait` is the text before the ID of a trait to
    add; `compiled` says whether the kernel can make its lines; `late_rules` are those that stages apply, without
    expressions; `skips` are the reasons to skip a row that breaks no rule.
    """

    name: Kind
    title: str
    page: str
    line: Callable[[Sequence[pl.Expr | str], Sequence[FormattedSignal]], pl.Expr]
    row_rules: tuple[Rule, ...]
    line_rules: Callable[[int], tuple[Rule, ...]]
    id_rules: tuple[IdRule, ...] = ()
    trait: str = "d_sid="
    compiled: bool = False
    late_rules: tuple[Rule, ...] = ()
    skips: tuple[Rule, ...] = ()


FILE_KINDS: dict[Kind, FileKind] = {
    kind.name: kind
    for kind in (
        FileKind(
            "data",
            "traits and signals of users",
            CONTENTS_PAGE,
            data_line,
            ROW_RULES,
            line_rules,
            compiled=True,
            late_rules=(CASE_COLLISION, *USER_RULES),
            skips=SKIPS,
        ),
        FileKind(
            "odc",
            "traits of devices, for Oracle Data Cloud",
            ODC_PAGE,
            data_line,
            ROW_RULES,
            line_rules,
            trait="",
            compiled=True,
            late_rules=(CASE_COLLISION, *USER_RULES),
            skips=SKIPS,
        ),
        FileKind(
            "id-sync",
            "IDs of a user in several data sources",
            ID_SYNC_PAGE,
            sync_line,
            (),
            line_rules,
            SYNC_ID_RULES,
            compiled=True,
        ),
        FileKind(
            "c2c-id-sync",
            "hashed addresses of customers",
            COMBINED_PAGE,
            sync_line,
            (DATE_UNREADABLE,),
            line_rules,
            SYNC_ID_RULES,
            late_rules=(HASH_TOO_OLD,),
        ),
    )
}
