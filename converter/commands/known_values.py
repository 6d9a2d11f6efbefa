"""The list of keys and values that are known: what data has beside them, and what differs from them by case alone."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import orjson
import polars as pl

from converter.columns.tally import Tally
from converter.errors import InputError
from converter.report.taxonomy import Unknown

ANY = "*"
"""The value of a list that stands for any value of its key."""
_FORM = (
    "It is a CSV file with the columns key and value, such as `aam-inbound taxonomy --csv` writes it, or JSON: "
    '{"gender": ["female", "male"]}, or what `aam-inbound taxonomy --json` prints. The value * stands for any.'
)
_MOST_SHOWN = 1000  # keys and values that are reported, of the most frequent ones


class KnownValues:
    """A list of keys and values, and how often data has others. Raises `InputError` where it cannot be read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        pairs = list(_pairs_of(Path(path)))
        self._any = pl.Series("key", sorted({key for key, value in pairs if value == ANY}), pl.String)
        schema = {"key": pl.String, "value": pl.String}
        self._known = pl.DataFrame(pairs, schema=schema, orient="row").filter(pl.col("value") != ANY).unique()
        self._unknown = Tally()

    def add(self, counts: pl.DataFrame) -> None:
        """Take in the counts of a block, as `Tally.add` does."""
        others = counts.filter(~pl.col("key").is_in(self._any.implode()))
        self._unknown.add(others.join(self._known, on=["key", "value"], how="anti"))

    def signals(self) -> int:
        """Return in how many signals a key or a value is that the list does not have, in any case."""
        return int(self._unknown.totals()["total"].sum()) + self._unknown.other_keys

    def unknown(self) -> tuple[list[Unknown], list[Unknown], int]:
        """Return the most frequent keys and values that the list does not have, and those in another case.

        The number is of the signals with the latter, at least.
        """
        lower = [pl.col(name).str.to_lowercase().alias(f"lower_{name}") for name in ("key", "value")]
        known = self._known.sort("key", "value").with_columns(lower).unique(["lower_key", "lower_value"], keep="first")
        listed = pl.concat([self._any, self._known["key"]]).unique().sort()
        keys = pl.DataFrame({"known_key": listed, "lower_key": listed.str.to_lowercase()}).unique(
            "lower_key", keep="first", maintain_order=True
        )
        is_any = pl.col("known_key").is_in(self._any.implode())
        found = (
            self._unknown.counts()
            .with_columns(lower)
            .join(known.rename({"value": "known_value"}).drop("key"), on=["lower_key", "lower_value"], how="left")
            .join(keys, on="lower_key", how="left")
            .with_columns(pl.when(is_any).then(pl.col("value")).otherwise(pl.col("known_value")).alias("known_value"))
            .sort("count", "key", "value", descending=[True, False, False])
        )
        has = pl.col("known_value").is_not_null()
        return (
            list(map(_unknown_of, found.filter(~has).head(_MOST_SHOWN).iter_rows(named=True))),
            list(map(_unknown_of, found.filter(has).head(_MOST_SHOWN).iter_rows(named=True))),
            int(found.filter(has)["count"].sum()),
        )


def _unknown_of(row: Mapping[str, Any]) -> Unknown:
    known = None if row["known_value"] is None else (row["known_key"], row["known_value"])
    return Unknown(row["key"], row["value"], row["count"], known)


def _pairs_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the keys and values of a list."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            "E-TAXONOMY-LIST", f"The list '{path}' cannot be read: {error.strerror or error}.", _FORM
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("E-TAXONOMY-LIST", f"The list '{path}' is not UTF-8.", _FORM) from error
    pairs = _in_json(text, path) if text.lstrip().startswith(("{", "[")) else _in_csv(text, path)
    yield from pairs


def _in_csv(text: str, path: Path) -> Iterator[tuple[str, str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not {"key", "value"} <= set(reader.fieldnames or ()):
        _fail(path, "has no columns 'key' and 'value'")
    try:
        for row in reader:
            yield row["key"] or "", row["value"] or ""
    except csv.Error:
        _fail(path, f"cannot be parsed at line {reader.line_num}")


def _in_json(text: str, path: Path) -> Iterator[tuple[str, str]]:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        _fail(path, f"is not JSON at line {error.lineno}")
    if isinstance(data, dict) and isinstance(data.get("keys"), list):
        try:
            yield from ((key["key"], each["value"]) for key in data["keys"] for each in key["values"])
        except (TypeError, KeyError):
            _fail(path, "is JSON of another form")
        return
    if not isinstance(data, dict):
        _fail(path, "is JSON of another form")
    for key, values in data.items():
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            _fail(path, "is JSON of another form")
        yield from ((key, each) for each in values)


def _fail(path: Path, what: str) -> NoReturn:
    raise InputError("E-TAXONOMY-LIST", f"The list '{path}' {what}.", _FORM)
