"""Lists in columns of text: items with a separator between them, or as PostgreSQL and JSON write them."""

from __future__ import annotations

import contextlib

import orjson
import polars as pl

ITEM = "\x1f"
"""What stands before each item in the text of a list of values. It is a control character, which no value keeps."""
_UNUSABLE = "\x1a"  # stands for what no item may hold

_LIST = r"(?s)^\s*(?:\{.*\}|\[.*\])\s*$"
_ITEM = r""""(?:[^"\\]|\\.)*"|[^\s,{}\[\]"][^,{}\[\]"]*"""
_JSON_WITH_ESCAPES = r"(?s)^\s*\[.*\\"


def joined_values(items: pl.Expr) -> pl.Expr:
    """Return the texts of lists of values (List of String, whose nulls are left out), null where there is none."""
    item = pl.element().str.replace_all(ITEM, _UNUSABLE, literal=True)
    return items.list.eval(pl.lit(ITEM) + item).list.join("", ignore_nulls=True)


def codes_of(text: pl.Expr, separator: str) -> pl.Expr:
    """Turn the text of a list of JSON or PostgreSQL, `[1, 2]` or `{1,2}`, into items with a separator between them.

    Missing items (`null`, `NULL`) are left out, and what no item may hold makes it one that cannot be sent.
    """
    is_list = text.str.contains(_LIST)
    items = _items_of(pl.when(is_list).then(text))
    items = items.list.eval(pl.element().str.strip_chars('"').str.replace_all('[",]', _UNUSABLE))
    return pl.when(is_list).then(items.list.join(separator)).otherwise(text)


def values_of(text: pl.Expr) -> pl.Expr:
    """Turn the text of a list of JSON or PostgreSQL into that of a list of values, with `ITEM` before each of them."""
    is_list, has_escapes = text.str.contains(_LIST), text.str.contains(_JSON_WITH_ESCAPES)
    items = _items_of(pl.when(is_list & ~has_escapes).then(text))
    quoted = pl.element().str.starts_with('"')
    inside = pl.element().str.slice(1, pl.element().str.len_chars() - 2).str.replace_all(r"\\(.)", "$1")
    items = items.list.eval(pl.when(quoted).then(inside).otherwise(pl.element()))
    escaped = pl.when(is_list & has_escapes).then(text).map_batches(_of_json, return_dtype=pl.String)
    return pl.coalesce(escaped, joined_values(items), text)


def _items_of(text: pl.Expr) -> pl.Expr:
    """Return the items in the texts of lists (List of String), with their quotes, without those that are missing."""
    item = pl.element().str.strip_chars()
    return text.str.extract_all(_ITEM).list.eval(item.filter(item.str.to_lowercase() != "null"))


def _of_json(texts: pl.Series) -> pl.Series:
    """Return the texts of lists of values for lists of JSON, null for what is none; for those with escapes."""
    return pl.Series(texts.name, [text and _joined(text) for text in texts.to_list()], pl.String)


def _joined(text: str) -> str | None:
    with contextlib.suppress(orjson.JSONDecodeError):  # then it is none
        items = orjson.loads(text)
        if all(isinstance(item, str | int | None) for item in items):
            shown = (
                item if isinstance(item, str) else orjson.dumps(item).decode() for item in items if item is not None
            )
            return "".join(f"{ITEM}{item.replace(ITEM, _UNUSABLE)}" for item in shown)
    return None
