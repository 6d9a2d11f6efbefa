"""Generates the workload `wide-csv`: the same seed and number of rows give the same bytes.

Rows are made in chunks, each from a random stream of its own, so memory is bounded and a longer file begins
with the rows of a shorter one. (The streams are numpy's: a later version of it may draw others.)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks import BenchmarkError
from benchmarks.workload import COLUMNS, ID, SEED, TRAIT_SEPARATOR, TRAITS

_CHUNK = 480_000  # a multiple of 3, so that every chunk quotes exactly a third of its lines
_IDS = 10**10
_STEP = 3**18  # shares no factor with 10^10: places become IDs that look random and are unique
_BAD_IDS = 0.0002

_PLACES = (
    ("São Paulo", "BR"),
    ("Rio de Janeiro", "BR"),
    ("München", "DE"),
    ("Köln", "DE"),
    ("Berlin", "DE"),
    ("Kraków", "PL"),
    ("Łódź", "PL"),
    ("Warszawa", "PL"),
    ("Zürich", "CH"),
    ("Genève", "CH"),
    ("Malmö", "SE"),
    ("Göteborg", "SE"),
    ("København", "DK"),
    ("Århus", "DK"),
    ("Oslo", "NO"),
    ("Paris", "FR"),
    ("Orléans", "FR"),
    ("Lyon", "FR"),
    ("London", "GB"),
    ("Leeds", "GB"),
    ("Madrid", "ES"),
    ("Málaga", "ES"),
    ("Porto", "PT"),
    ("Lisboa", "PT"),
    ("Milano", "IT"),
    ("New York", "US"),
    ("Chicago", "US"),
    ("Boston", "US"),
    ("Montréal", "CA"),
    ("東京", "JP"),
)
_GENDERS = ["female"] * 24 + ["male"] * 24 + ["other"] * 2
_AGE_BANDS = ["18-24", "25-34", "35-44", "45-54", "55-64", "65+"]
_PLANS = ["free", "basic", "standard", "premium", "business"]
_PLANS_WITH_COMMA = ["basic, monthly", "standard, yearly", "premium, monthly", "premium, yearly"]
_PRODUCTS = ["phone", "tablet", "laptop", "headphones", "smart watch", "e-reader", "camera", "game console"]
_CHANNELS = ["web", "app", "store", "partner", "phone", "event"]
_NOTES = [
    "called back twice last month",
    "prefers e-mail",
    "asked for a printed invoice",
    "moved house in spring",
    "none",
    "long-time customer of ours",
    "returned one item",
    "newsletter only",
]
_DAYS = [str(dt.date(2023, 1, 1) + dt.timedelta(days)) for days in range(1000)]
_TRAITS = [str(number) for first in (210_000, 4_100_000) for number in range(first, first + 250 * 997, 997)]
_TRAITS_IN_ROW = 4
_EMPTY = {"gender": 0.10, "product": 0.05, "revenue": 0.03}

_Places = npt.NDArray[np.int64]


def generate(path: Path, rows: int, seed: int = SEED) -> None:
    """Write the workload to `path`. The file appears when it is whole."""
    if not 0 < rows <= _IDS:
        raise BenchmarkError(f"--rows is {rows:,}; from 1 to {_IDS:,} are possible.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            for first in range(0, rows, _CHUNK):
                frame = _chunk(first, seed).head(rows - first)
                frame.write_csv(file, include_header=not first, quote_style="necessary")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _chunk(first: int, seed: int) -> pl.DataFrame:
    """Return the rows from `first` on, a chunk of them."""
    rng = np.random.default_rng([seed, first])
    place = _draw(rng, len(_PLACES))
    drawn = {
        ID: _ids(rng, first, seed),
        "gender": _pick(rng, _GENDERS),
        "city": _at([city for city, _ in _PLACES], place),
        "country": _at([country for _, country in _PLACES], place),
        "age_band": _pick(rng, _AGE_BANDS),
        "plan": _plans(rng),
        "product": _pick(rng, _PRODUCTS),
        "revenue": _amounts(rng),
        "last_purchase": _pick(rng, _DAYS),
        "signup_channel": _pick(rng, _CHANNELS),
        "internal_note": _pick(rng, _NOTES),
    }
    traits = pl.DataFrame({str(number): _pick(rng, _TRAITS) for number in range(_TRAITS_IN_ROW)})
    drawn[TRAITS] = traits.select(pl.concat_str(pl.all(), separator=TRAIT_SEPARATOR)).to_series()
    # Null, not an empty text: that would be written with quotes.
    empty = [
        pl.when(pl.Series(rng.random(_CHUNK) >= share)).then(pl.col(name)).alias(name) for name, share in _EMPTY.items()
    ]
    return pl.DataFrame(drawn).with_columns(empty).select(COLUMNS)


def _ids(rng: np.random.Generator, first: int, seed: int) -> pl.Series:
    """Return unique IDs, a few of which no inbound file may hold: e-mail addresses, and IDs with a colon."""
    start = int(np.random.default_rng(seed).integers(_IDS))
    numbers = (np.arange(first, first + _CHUNK, dtype=np.int64) * _STEP + start) % _IDS
    digits = pl.Series(numbers).cast(pl.String).str.zfill(len(str(_IDS - 1)))
    drawn = pl.Series(rng.random(_CHUNK))
    return pl.select(
        pl.when(drawn < _BAD_IDS / 2)
        .then(pl.format("user.{}@example.com", digits))
        .when(drawn < _BAD_IDS)
        .then(pl.format("U:{}", digits))
        .otherwise(pl.format("U{}", digits))
    ).to_series()


def _plans(rng: np.random.Generator) -> pl.Series:
    """Return plans: one of every three rows, at a place that varies, has a comma and will be quoted."""
    quoted = np.arange(_CHUNK) % 3 == np.repeat(rng.integers(0, 3, _CHUNK // 3), 3)
    plain = _draw(rng, len(_PLANS))
    with_comma = len(_PLANS) + _draw(rng, len(_PLANS_WITH_COMMA))
    return _at([*_PLANS, *_PLANS_WITH_COMMA], np.where(quoted, with_comma, plain))


def _amounts(rng: np.random.Generator) -> pl.Series:
    cents = pl.Series(rng.integers(500, 250_000, _CHUNK))
    return pl.select(pl.format("{}.{}", cents // 100, (cents % 100).cast(pl.String).str.zfill(2))).to_series()


def _draw(rng: np.random.Generator, count: int) -> _Places:
    return rng.integers(0, count, _CHUNK)


def _pick(rng: np.random.Generator, values: Sequence[str]) -> pl.Series:
    return _at(values, _draw(rng, len(values)))


def _at(values: Sequence[str], places: _Places) -> pl.Series:
    return pl.Series(values).gather(pl.Series(places))
