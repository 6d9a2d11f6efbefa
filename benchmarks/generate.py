"""Generates the workloads: the same seed and number of rows give the same rows.

Rows are made in chunks, each from a random stream of its own, so memory is bounded and a longer file begins
with the rows of a shorter one (but for `long-csv`, which has five rows a user at any length). The streams are
numpy's: a later version of it may draw others.
"""

from __future__ import annotations

import datetime as dt
import gzip
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks import BenchmarkError
from benchmarks.workloads import ID, TRAIT_SEPARATOR, Input, Suffix

_CHUNK = 480_000  # a multiple of 3, so that every chunk quotes exactly a third of its lines
_ROW_GROUP = 120_000  # some 10 MB; a chunk is a whole number of them
_IDS = 10**10
_STEP = 3**18  # shares no factor with 10^10: places become IDs that look random and are unique
_BAD_IDS = 0.0002
_PRIME = 1_000_003
_ROWS_OF_USER = 5

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
_PLANS_WITH_QUOTES = ['basic "monthly"', '"standard", yearly', 'premium "plus" monthly', '5" premium']
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
_SKEW, _SKEWED_USERS = 0.1, 100
_EMPTY = {"gender": 0.10, "product": 0.05, "revenue": 0.03}
_NULL = {
    "age": 0.10,
    "visits": 0.02,
    "basket": 0.05,
    "score": 0.05,
    "signup": 0.01,
    "last_purchase": 0.20,
    "active": 0.02,
    "newsletter": 0.02,
    "segment_id": 0.05,
}

_Places = npt.NDArray[np.int64]


def generate(table: Input) -> None:
    """Write the workload's input. It appears when it is complete."""
    if not 0 < table.rows <= _IDS:
        raise BenchmarkError(f"--rows is {table.rows:,}; from 1 to {_IDS:,} are possible.")
    table.folder.mkdir(parents=True, exist_ok=True)
    partial_ = table.path.with_name(table.path.name + ".partial")
    try:
        if table.workload.file_rows:
            shutil.rmtree(partial_, ignore_errors=True)  # of a run that was killed
            partial_.mkdir()
            _write_files(partial_, _frames(table), table.workload.file_rows)
        else:
            _WRITERS[table.workload.suffix](partial_, _frames(table))
        partial_.replace(table.path)
    finally:
        if partial_.is_dir():
            shutil.rmtree(partial_)
        partial_.unlink(missing_ok=True)


def _frames(table: Input) -> Iterator[pl.DataFrame]:
    chunk = _chunks(table)
    columns = list(table.workload.columns)
    for first in range(0, table.rows, _CHUNK):
        yield chunk(first, table.seed).select(columns).head(table.rows - first)


def _write_csv(path: Path, frames: Iterator[pl.DataFrame]) -> None:
    with path.open("wb") as file:
        _write_rows(file, frames)


def _write_gzip(path: Path, frames: Iterator[pl.DataFrame]) -> None:
    """Write one gzip member, as `gzip` does."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
        _write_rows(cast("IO[bytes]", file), frames)


def _write_rows(file: IO[bytes], frames: Iterator[pl.DataFrame]) -> None:
    for place, frame in enumerate(frames):
        frame.write_csv(file, include_header=not place, quote_style="necessary")


def _write_files(folder: Path, frames: Iterator[pl.DataFrame], rows: int) -> None:
    """Write files of so many rows, each with a header."""
    slices = (each for frame in frames for each in frame.iter_slices(rows))
    for number, each in enumerate(slices):
        each.write_csv(folder / f"{number:06}.csv", quote_style="necessary")


def _write_ndjson(path: Path, frames: Iterator[pl.DataFrame]) -> None:
    """Write an object a row; all values are strings, missing ones null."""
    with path.open("wb") as file:
        for frame in frames:
            frame.write_ndjson(file)


def _write_parquet(path: Path, frames: Iterator[pl.DataFrame]) -> None:
    """Write one row group after the other, in Snappy as most writers do by themselves."""
    import pyarrow.parquet as pq  # here, since only half of the workloads need it

    first = next(frames).to_arrow(compat_level=pl.CompatLevel.oldest())
    with pq.ParquetWriter(path, first.schema, compression="snappy") as writer:
        writer.write_table(first, _ROW_GROUP)
        for frame in frames:
            writer.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), _ROW_GROUP)


def _wide(first: int, seed: int, third: Sequence[str]) -> pl.DataFrame:
    """Return the rows of the wide table from `first` on, a chunk of them; a third has a plan of `third`."""
    rng = np.random.default_rng([seed, first])
    place = _draw(rng, len(_PLACES))
    drawn = {
        ID: _ids(_numbers(np.arange(first, first + _CHUNK), seed), rng),
        "gender": _pick(rng, _GENDERS),
        "city": _at([city for city, _ in _PLACES], place),
        "country": _at([country for _, country in _PLACES], place),
        "age_band": _pick(rng, _AGE_BANDS),
        "plan": _plans(rng, third),
        "product": _pick(rng, _PRODUCTS),
        "revenue": _amounts(rng),
        "last_purchase": _pick(rng, _DAYS),
        "signup_channel": _pick(rng, _CHANNELS),
        "internal_note": _pick(rng, _NOTES),
    }
    traits = pl.DataFrame({str(number): _pick(rng, _TRAITS) for number in range(_TRAITS_IN_ROW)})
    drawn["trait_ids"] = traits.select(pl.concat_str(pl.all(), separator=TRAIT_SEPARATOR)).to_series()
    # Null, not an empty text: that would be written with quotes.
    return _with_gaps(rng, drawn, _EMPTY)


def _typed(first: int, seed: int) -> pl.DataFrame:
    """Return the rows of the typed table from `first` on, a chunk of them."""
    rng = np.random.default_rng([seed, first])
    drawn = {
        ID: _ids(_numbers(np.arange(first, first + _CHUNK), seed), rng),
        "age": pl.Series(rng.integers(18, 96, _CHUNK, dtype=np.int32)),
        "visits": pl.Series(rng.integers(0, 3_000, _CHUNK)),
        "basket": _decimals(rng, 500, 250_000),
        "score": _decimals(rng, -10_000, 10_000),
        "signup": _days(rng, dt.date(2012, 1, 1), 4_000),
        "last_purchase": _days(rng, dt.date(2023, 1, 1), 1_000),
        "active": pl.Series(rng.random(_CHUNK) < 0.7),
        "newsletter": pl.Series(rng.random(_CHUNK) < 0.3),
        "clicks": pl.Series(rng.integers(0, 1_000_000, _CHUNK)),
        "note": _pick(rng, _NOTES),
        "segment_id": _pick(rng, _TRAITS).cast(pl.Int64),
    }
    return _with_gaps(rng, drawn, _NULL)


def _pairs(first: int, seed: int, *, users: int, skewed: bool) -> pl.DataFrame:
    """Return rows of the long table from `first` on, a chunk of them: a user drawn from so many, and a trait.

    If they are `skewed`, a tenth is of some users only.
    """
    rng = np.random.default_rng([seed, first])
    places = rng.integers(0, users, _CHUNK)
    if skewed:
        places = np.where(rng.random(_CHUNK) < _SKEW, places % _SKEWED_USERS, places)
    numbers = _numbers(places, seed)
    return pl.DataFrame({"user_id": _ids(numbers), "trait_id": _pick(rng, _TRAITS)})


def _numbers(places: _Places, seed: int) -> _Places:
    """Return a number for each place, which looks random and is no other place's."""
    start = int(np.random.default_rng(seed).integers(_IDS))
    return (places * _STEP + start) % _IDS


def _ids(numbers: _Places, rng: np.random.Generator | None = None) -> pl.Series:
    """Return IDs, a few of which no inbound file may hold: e-mail addresses, and IDs with a colon.

    Which ones is drawn, or, where a user comes more than once, told by the number.
    """
    digits = pl.Series(numbers).cast(pl.String).str.zfill(len(str(_IDS - 1)))
    drawn = pl.Series(rng.random(_CHUNK) if rng else numbers % _PRIME / _PRIME)
    return pl.select(
        pl.when(drawn < _BAD_IDS / 2)
        .then(pl.format("user.{}@example.com", digits))
        .when(drawn < _BAD_IDS)
        .then(pl.format("U:{}", digits))
        .otherwise(pl.format("U{}", digits))
    ).to_series()


def _with_gaps(rng: np.random.Generator, drawn: dict[str, pl.Series], shares: dict[str, float]) -> pl.DataFrame:
    """Return the columns as a frame, a share of some of them null."""
    gaps = [
        pl.when(pl.Series(rng.random(_CHUNK) >= share)).then(pl.col(name)).alias(name) for name, share in shares.items()
    ]
    return pl.DataFrame(drawn).with_columns(gaps)


def _plans(rng: np.random.Generator, third: Sequence[str]) -> pl.Series:
    """Return plans: one of every three rows, at a place that varies, has one of `third`, which will be quoted."""
    quoted = np.arange(_CHUNK) % 3 == np.repeat(rng.integers(0, 3, _CHUNK // 3), 3)
    plain = _draw(rng, len(_PLANS))
    other = len(_PLANS) + _draw(rng, len(third))
    return _at([*_PLANS, *third], np.where(quoted, other, plain))


def _amounts(rng: np.random.Generator) -> pl.Series:
    cents = pl.Series(rng.integers(500, 250_000, _CHUNK))
    return pl.select(pl.format("{}.{}", cents // 100, (cents % 100).cast(pl.String).str.zfill(2))).to_series()


def _decimals(rng: np.random.Generator, least: int, most: int) -> pl.Series:
    """Return floats from so many hundredths to so many, none of which ends in a zero.

    So the shortest digits that give the number back are the two decimals, whatever writes them.
    """
    tenths = rng.integers(least // 10, most // 10, _CHUNK)
    return pl.Series((tenths * 10 + rng.integers(1, 10, _CHUNK)) / 100)


def _days(rng: np.random.Generator, first: dt.date, count: int) -> pl.Series:
    start = (first - dt.date(1970, 1, 1)).days
    return pl.Series((start + _draw(rng, count)).astype(np.int32)).cast(pl.Date)


def _draw(rng: np.random.Generator, count: int) -> _Places:
    return rng.integers(0, count, _CHUNK)


def _pick(rng: np.random.Generator, values: Sequence[str]) -> pl.Series:
    return _at(values, _draw(rng, len(values)))


def _at(values: Sequence[str], places: _Places) -> pl.Series:
    return pl.Series(values).gather(pl.Series(places))


def _chunks(table: Input) -> Callable[[int, int], pl.DataFrame]:
    """Return the function that makes chunks of a workload."""
    if table.workload.columns.keys() == {"user_id", "trait_id"}:
        users = -(-table.rows // _ROWS_OF_USER)
        return partial(_pairs, users=users, skewed=table.workload.name == "skewed")
    if table.workload.name == "typed-parquet":
        return _typed
    return partial(_wide, third=_PLANS_WITH_QUOTES if table.workload.quoted else _PLANS_WITH_COMMA)


_WRITERS: dict[Suffix, Callable[[Path, Iterator[pl.DataFrame]], None]] = {
    "csv": _write_csv,
    "csv.gz": _write_gzip,
    "ndjson": _write_ndjson,
    "parquet": _write_parquet,
}
