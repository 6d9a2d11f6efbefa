"""The signals of lines as columns (C2): a chunk of lines becomes a frame, without Python for each line.

Signals are read as Audience Manager reads them: spaces around them and quotes are no part of keys and values, nor are
dashes before a key (C5). Most files repeat few signals in many lines, so that they are parsed once each.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import polars as pl

from converter.columns.privacy import mask, personal_kind
from converter.columns.utf8 import is_utf8
from converter.spec import signals as grammar
from converter.spec.limits import LINE_BYTES
from converter.spec.rules import PERSONAL


class LineSignals(NamedTuple):
    """The lines of a chunk: how many are not blank, which of them are `malformed`, and their signals.

    `ids` are the IDs of all lines that are not blank (String), `malformed` whether a line lacks the fields of its kind
    of file, or is too long (Boolean). `signals` has a row for each signal of the others: the index of its `line`
    (UInt32) and the `signal` (String) as it is written.
    """

    ids: pl.Series
    malformed: pl.Series
    signals: pl.DataFrame


def signals_in(text: bytes, leads: int = 1) -> LineSignals:
    """Return the signals of lines, each after `leads` fields, of which the last one is the ID.

    What is not UTF-8 is read as replacement characters.
    """
    decoded = text.decode(errors="replace") if not (text.isascii() or is_utf8(text)) else text.decode()
    line = pl.Series("text", [decoded.removeprefix("\ufeff").removesuffix("\n")]).str.split("\n").explode()
    lines = line.to_frame().select(pl.col("text").str.strip_suffix("\r")).filter(pl.col("text") != "")
    fields = pl.col("text").str.split_exact("\t", leads).struct
    lines = lines.with_row_index("line").select(
        "line",
        fields.field(f"field_{leads - 1}").fill_null("").alias("id"),
        fields.field(f"field_{leads}").fill_null("").alias("signals"),
        malformed=(pl.col("text").str.count_matches("\t", literal=True) != leads)
        | (pl.col("text").str.len_bytes() >= LINE_BYTES.value),
    )
    lines = lines.with_columns(pl.col("malformed") | (pl.col("id") == ""))
    whole = lines.filter(~pl.col("malformed")).select("line", "signals")
    has_commas = ~whole["signals"].str.contains(grammar.QUOTES_WITHOUT_COMMA)
    split = whole.select("line", signal=pl.col("signals").str.split(","))
    if has_commas.any():
        split = pl.concat(
            [
                split.filter(~has_commas),
                whole.filter(has_commas).select("line", signal=pl.col("signals").str.extract_all(grammar.PIECE)),
            ]
        )
    found = split.explode("signal").filter(pl.col("signal").str.strip_chars(" ") != "")
    return LineSignals(lines["id"], lines["malformed"], found)


def parsed(signals: pl.Series, *, codes: str = "ic") -> pl.DataFrame:
    """Return the `key` and the `value` (String) of signals; null where one cannot be parsed.

    A bare number has the key `codes`.
    """
    text = pl.col("signal").str.strip_chars(" ")
    pair = text.str.extract_groups(grammar.PAIR).struct
    is_code = text.str.contains(grammar.CODE)
    return (
        signals.alias("signal")
        .to_frame()
        .select(
            pl.when(is_code)
            .then(pl.lit(codes))
            .otherwise(_bare(pair.field("1")).str.strip_chars_start("-"))
            .alias("key"),
            pl.when(is_code).then(text).otherwise(_bare(pair.field("2"))).alias("value"),
        )
    )


def masked(pairs: pl.DataFrame) -> tuple[pl.DataFrame, Counter[str]]:
    """Mask keys and values that look like personal data; `pairs` are `key`, `value` (String) and `count`, distinct.

    Returns them, distinct again, and how many signals have such texts, by kind. As for `check`, bare numbers may be
    anything here: those that might be cards are no personal data.
    """
    kinds = pairs.select(personal_kind(pl.col(name), cards=False) for name in ("key", "value"))
    personal: Counter[str] = Counter()
    kind = kinds["value"].fill_null(kinds["key"])
    if kind.null_count() == len(kind):
        return pairs, personal
    for number, count in pairs.select(kind, "count").drop_nulls().iter_rows():
        personal[PERSONAL[number]] += count
    hidden = [
        pl.when(kinds[name].is_not_null()).then(mask(pl.col(name))).otherwise(pl.col(name)).alias(name)
        for name in ("key", "value")
    ]
    return pairs.with_columns(hidden).group_by("key", "value").agg(pl.col("count").sum()), personal


def _bare(text: pl.Expr) -> pl.Expr:
    """Return a text without the quotes around it."""
    return pl.when(text.str.starts_with('"')).then(text.str.strip_prefix('"').str.strip_suffix('"')).otherwise(text)
