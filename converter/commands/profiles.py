"""What a sample shows of the values of one column: their type, how many differ, what is personal or implausible.

Each different value is judged once, and counts as often as it occurs. Of very many, those that occur most are judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from converter.columns.lists import ITEM, values_of
from converter.columns.normalize import recognize_type
from converter.columns.privacy import mask, numbers_are_ids, personal_by_name, personal_kind
from converter.columns.text import as_text
from converter.report.profiles import ShownValue
from converter.sources.base import Source
from converter.spec.ids import RECOGNIZED, TRIMMED
from converter.spec.implausible import IMPLAUSIBLE, MISSING_VALUES
from converter.spec.rules import PERSONAL

_MOST_JUDGED = 20_000  # different values
_MOST_SHOWN = 5  # values
_LONGEST = 28  # characters of a value that is shown
_SHOWN_FROM = 3  # rows with a value from which on it is shown: what fewer have may identify somebody
_NEARLY_ALL = 0.95
_LEAST_OF_UNIQUE = 0.98  # of the values, that occur once: then most likely each row has another one

_DAY, _MONTH = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])"
_DATE = rf"(?:[12][0-9]{{3}}[-/.]{_MONTH}[-/.]{_DAY}|{_DAY}[-/.]{_DAY}[-/.](?:[12][0-9]{{3}}|[0-9]{{2}}))"
_CLOCK = r"[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
_TIME = rf"[ T]+{_CLOCK}\s*(?:[AaPp][Mm])?(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?"
_TYPES = (
    ("yes or no", "^(?i:true|false|yes|no|y|n|t|f|ja|nein|j|oui|non|si|sí|sim|não|0|1)$"),
    ("whole number", "^[+-]?(?:0|[1-9][0-9]*)$"),
    ("digits", "^[0-9]+$"),
    ("number", r"^[+-]?(?:[0-9]+(?:[.,][0-9]{3})*|)(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?$"),
    ("date", f"^{_DATE}$"),
    ("date and time", f"^{_DATE}{_TIME}$"),
    ("list", rf"(?s)^(?:{ITEM}.*|\s*\[.*\]\s*|\{{[^:{{}}]*\}})$"),
    ("object", r"(?s)^\s*\{.*\}\s*$"),
)
"""The types of texts, in the order in which they are tried: a name, and the pattern of their values."""
_TRUTHS = 2  # different values of a column of truths, at most

_KINDS = dict(
    zip(
        PERSONAL,
        (
            "e-mail addresses",
            "phone numbers",
            "payment cards",
            "bank accounts",
            "IP addresses",
            "social security numbers",
        ),
        strict=True,
    )
)
_IMPLAUSIBLE = {
    "id_is_missing_word": "words for missing values",
    "id_is_column_name": "the name of the column",
    "id_is_rounded_number": "numbers that a spreadsheet has rounded",
    "id_is_formula": "values that begin as a formula",
    "id_is_damaged": "replacement characters, from a wrong encoding",
    "id_is_template": "templates that were not filled in",
}
"""What is implausible in any column, by the names of `IMPLAUSIBLE`."""
_PLACEHOLDERS = (
    *("1900-01-01", "1970-01-01", "0001-01-01", "1899-12-30", "9999-12-31", "01.01.1900", "01.01.1970", "31.12.9999"),
    *("01/01/1900", "1/1/1900", "01/01/1970", "1/1/1970", "12/31/9999", "1900-01-01 00:00:00", "1970-01-01 00:00:00"),
)
_OFTEN = 0.05


class Facts(NamedTuple):
    """What the values of a column are.

    `rows` have been sampled, of which `filled` have a value. `values` has the `value`s (String) and how often each
    occurs (`count`), the most frequent ones first; `judged` are those of them that were judged. `forms` are the shares
    of IDs of types with a form of their own, by type. `kinds` are the shares of personal data, by kind. `missing` are
    words for missing values, and `doubts` sentences about what is implausible.
    """

    name: str
    type: str
    stored: str
    rows: int
    filled: int
    values: pl.DataFrame
    judged: pl.DataFrame
    forms: dict[str, float]
    by_name: str
    kinds: dict[str, float]
    missing: Sequence[str]
    doubts: Sequence[str]

    @property
    def unique(self) -> float:
        """How many different values there are for each row with one, from 0 to 1."""
        return self.values.height / max(self.filled, 1)

    @property
    def empty(self) -> float:
        """The share of rows without a value."""
        return 1 - self.filled / max(self.rows, 1)

    @property
    def personal(self) -> str:
        """What personal data the column seems to hold; empty where there is none."""
        if self.by_name:
            return f"{self.by_name}, by its name"
        if not self.kinds:
            return ""
        kind, share = max(self.kinds.items(), key=lambda item: item[1])
        return f"{_KINDS[kind]}, in {_share(share)} of its values"

    def share(self, pattern: str) -> float:
        """Return which share of the rows with a value match a regular expression, from 0 to 1."""
        return _weight(self.judged, pl.col("value").str.contains(pattern))

    def distinct(self, rows: int | None, *, is_whole: bool) -> int | None:
        """Return how many different values the whole table has, about, if it has `rows`.

        Values that were seen once stand for as many others as the square root of the share of rows that were read
        tells, which is wrong by no larger factor (Charikar et al., 2000); where nearly all are, each row has its own.
        """
        different = self.values.height
        if is_whole or rows is None or not self.filled:
            return different if is_whole or not different else None
        filled = round(rows * self.filled / max(self.rows, 1))
        once = int((self.values["count"] == 1).sum())
        if once >= _LEAST_OF_UNIQUE * self.filled:
            return max(round(filled * self.unique), different)
        return min(different - once + round(once * math.sqrt(filled / self.filled)), max(filled, different))


def texts_of(name: str, pieces: Sequence[tuple[Source, pl.DataFrame]]) -> pl.Series:
    """Return a column of sampled rows as texts (String), null where a value is missing; lists as `columns.lists`.

    Raises `ColumnError` for types without a text form.
    """
    parts = [pl.Series(name, [], pl.String)]
    for source, frame in pieces:
        text = as_text(pl.col(name), name, frame.schema[name], ITEM)
        if name in source.lists and frame.schema[name] == pl.String:
            text = values_of(text)
        parts.append(frame.lazy().select(text.alias(name)).collect().to_series())
    return pl.concat(parts, rechunk=True)


def facts_of(name: str, stored: pl.DataType, texts: pl.Series) -> Facts:
    """Return the facts of a column by its sampled texts (String), with the type that it has in the input."""
    trimmed = texts.rename("value").str.strip_chars(TRIMMED)
    filled = trimmed.drop_nulls().filter(trimmed.drop_nulls() != "")
    values = filled.value_counts().sort(["count", "value"], descending=[True, False])
    judged = values.head(_MOST_JUDGED)
    kinds = _kinds(judged)
    missing = judged.filter(pl.col("value").is_in(list(MISSING_VALUES)))["value"].to_list()
    kept = judged.filter(~pl.col("value").is_in(list(MISSING_VALUES)))
    type_ = _type_of(stored, kept)
    return Facts(
        name,
        type_,
        "text" if stored == pl.String else str(stored),
        len(texts),
        len(filled),
        values,
        judged,
        _forms(judged),
        personal_by_name(name) or "",
        kinds,
        missing,
        list(_doubts(name, judged, len(texts), type_)),
    )


def shown_values(facts: Facts) -> list[ShownValue]:
    """Return the most frequent values, masked where they may identify somebody.

    That are all of a column that seems to be personal, and those that hardly any row has.
    """
    is_personal = pl.lit(value=bool(facts.personal))
    first = facts.values.head(_MOST_SHOWN).with_columns(masked=is_personal | (pl.col("count") < _SHOWN_FROM))
    rows = first.with_columns(text=pl.when(pl.col("masked")).then(mask(pl.col("value"))).otherwise(pl.col("value")))
    return [
        ShownValue(_short(text), count / facts.filled, masked)
        for text, count, masked in rows.select("text", "count", "masked").rows()
    ]


def _type_of(stored: pl.DataType, judged: pl.DataFrame) -> str:
    """Return the type of the values of a column; `text` where they have none."""
    if isinstance(stored, pl.List | pl.Array):
        return "list"
    if stored == pl.Boolean:
        return "yes or no"
    if stored.is_integer():
        return "whole number"
    if stored.is_numeric():
        return "number"
    if stored == pl.Date:
        return "date"
    if stored.is_temporal():
        return "date and time"
    if not judged.height:
        return "empty"
    for name, pattern in _TYPES:
        if name == "yes or no" and judged.height > _TRUTHS:
            continue
        if _weight(judged, pl.col("value").str.contains(pattern)) >= _NEARLY_ALL:
            return name
    return "text"


def _forms(judged: pl.DataFrame) -> dict[str, float]:
    """Return the share of IDs of each type that is recognized by its form, from 0 to 1."""
    types = judged.select("count", type=recognize_type(pl.col("value")))
    total = max(int(judged["count"].sum()), 1)
    found = types.group_by("type").agg(pl.col("count").sum()).rows()
    return {RECOGNIZED[type_]: count / total for type_, count in found if type_ is not None}


def _kinds(judged: pl.DataFrame) -> dict[str, float]:
    """Return the share of personal data of each kind."""
    cards = not numbers_are_ids(judged["value"])
    kinds = judged.select("count", kind=personal_kind(pl.col("value"), cards=cards))
    total = max(int(judged["count"].sum()), 1)
    found = kinds.drop_nulls("kind").group_by("kind").agg(pl.col("count").sum()).sort("kind").rows()
    return {PERSONAL[kind]: count / total for kind, count in found}


def _doubts(name: str, judged: pl.DataFrame, rows: int, type_: str) -> Iterator[str]:
    """Yield what is implausible about the values of a column."""
    if not judged.height:
        yield "no row has a value"
        return
    for each in IMPLAUSIBLE:
        if words := _IMPLAUSIBLE.get(each.name):
            applies = each.applies(pl.col("value"), pl.col("value"), name)
            if each.name == "id_is_missing_word":
                applies = pl.col("value").is_in(list(MISSING_VALUES))
            if share := _weight(judged, applies):
                yield f"{words}, in {_share(share)} of its values"
    if type_.startswith("date") and (share := _weight(judged, pl.col("value").is_in(list(_PLACEHOLDERS)))) > _OFTEN:
        yield f"dates that stand for none, such as 1900-01-01, in {_share(share)} of its values"
    if judged.height == 1 and rows >= 2 * _SHOWN_FROM:
        yield "one value in all rows that have any"


def _weight(judged: pl.DataFrame, applies: pl.Expr) -> float:
    """Return for which share of the rows with a value an expression (Boolean) is true."""
    total = int(judged["count"].sum())
    found = judged.lazy().filter(applies).select(pl.col("count").sum()).collect().item()
    return int(found or 0) / max(total, 1)


def _short(text: str) -> str:
    """Return a value on one short line, with all characters printable."""
    items = text.removeprefix(ITEM).replace(ITEM, ", ")
    shown = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in items[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _share(share: float) -> str:
    """Return a share with a digit more where it is small."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
