"""The workloads: what their tables look like, what every contender makes of them, and where they are kept.

Light on purpose: processes that are measured, and the one that measures them, import this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks import BenchmarkError

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "benchmarks" / "data"
RESULTS = ROOT / "benchmarks" / "results"
CHARTS = ROOT / "benchmarks" / "charts"
SEED = 1

ID = "crm_id"
"""The column of user IDs in the wide and the typed table."""
TRAIT_SEPARATOR = "|"
DPID = 1234
TIMESTAMP = 1_700_000_000
"""Fixed, so that every run gives files of the same names."""

Format = Literal["csv", "parquet"]
Type = Literal["text", "integer", "float", "date", "boolean"]


@dataclass(frozen=True)
class Workload:
    """A table and the lines that are made of it, one a row.

    A line has the ID (`id`), a key-value pair for each of `signals` and the traits of the column `traits`, in this
    order; what is missing is left out. Rows whose ID holds a colon or an '@' (in these tables, only e-mail addresses
    do) are rejected. `columns` are in the order of the file; `rows` are how many a whole measurement has;
    `contenders` can do the job.
    """

    name: str
    title: str
    format: Format
    rows: int
    id: str
    signals: tuple[str, ...]
    traits: str
    columns: Mapping[str, Type]
    contenders: tuple[str, ...]

    @property
    def used(self) -> list[str]:
        """The columns that lines are made of."""
        return [self.id, *self.signals, self.traits]


_ON_PARQUET = ("ours", "ours-no-rules", "floor", "duckdb", "duckdb-pigz", "chdb", "polars", "pandas", "python")
_ON_CSV = ("ours", "ours-no-rules", "floor", "duckdb", "duckdb-pigz", "chdb", "polars", "awk", "pandas", "python")
_WIDE_SIGNALS = ("gender", "city", "country", "age_band", "plan", "product", "revenue")
_WIDE_TRAITS = "trait_ids"
_WIDE: dict[str, Type] = dict.fromkeys(
    (ID, *_WIDE_SIGNALS, "last_purchase", "signup_channel", "internal_note", _WIDE_TRAITS), "text"
)
_TYPED: dict[str, Type] = {
    ID: "text",
    "age": "integer",
    "visits": "integer",
    "basket": "float",
    "score": "float",
    "signup": "date",
    "last_purchase": "date",
    "active": "boolean",
    "newsletter": "boolean",
    "clicks": "integer",
    "note": "text",
    "segment_id": "integer",
}

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "wide-csv",
            "CSV, 12 columns",
            "csv",
            10_000_000,
            ID,
            _WIDE_SIGNALS,
            _WIDE_TRAITS,
            _WIDE,
            _ON_CSV,
        ),
        Workload(
            "wide-parquet",
            "Parquet, the same 12 columns",
            "parquet",
            10_000_000,
            ID,
            _WIDE_SIGNALS,
            _WIDE_TRAITS,
            _WIDE,
            _ON_PARQUET,
        ),
        Workload(
            "long-csv",
            "CSV, a user and a trait a row",
            "csv",
            50_000_000,
            "user_id",
            (),
            "trait_id",
            {"user_id": "text", "trait_id": "text"},
            _ON_CSV,
        ),
        Workload(
            "typed-parquet",
            "Parquet, numbers, dates and truths",
            "parquet",
            10_000_000,
            ID,
            ("age", "visits", "basket", "score", "signup", "last_purchase", "active", "newsletter"),
            "segment_id",
            _TYPED,
            _ON_PARQUET,
        ),
    )
}


@dataclass(frozen=True)
class Input:
    """The file of a workload with so many rows from a seed; the same ones give the same file."""

    workload: Workload
    rows: int
    seed: int = SEED
    folder: Path = field(default=DATA)

    @property
    def path(self) -> Path:
        """Where the file is kept."""
        return self.folder / f"{self.workload.name}-{self.rows}-{self.seed}.{self.workload.format}"

    @classmethod
    def at(cls, path: Path) -> Input:
        """Return the input that a file's name says it is. Raises `BenchmarkError` where the name says nothing."""
        match = re.fullmatch(r"([a-z-]+)-([0-9]+)-([0-9]+)\.[a-z]+", path.name)
        if match and match[1] in WORKLOADS:
            named = cls(WORKLOADS[match[1]], int(match[2]), int(match[3]), path.parent)
            if named.path == path:
                return named
        known = ", ".join(WORKLOADS)
        raise BenchmarkError(
            f"'{path}' is neither a workload ({known}) nor the file of one, which is called WORKLOAD-ROWS-SEED.FORMAT."
        )
