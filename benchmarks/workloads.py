"""The workloads: what their tables look like, what every contender makes of them, and where they are kept.

Light on purpose: processes that are measured, and the one that measures them, import this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from benchmarks import BenchmarkError

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "benchmarks" / "data"
RESULTS = ROOT / "benchmarks" / "results"
TRIALS = DATA / "trials"
CHARTS = ROOT / "docs" / "charts"
SEED = 1

ID = "crm_id"
"""The column of user IDs in the wide and the typed table."""
TRAIT_SEPARATOR = "|"
DPID = 1234
TIMESTAMP = 1_700_000_000
"""Fixed, so that every run gives files of the same names."""

Format = Literal["csv", "ndjson", "parquet"]
Suffix = Literal["csv", "csv.gz", "ndjson", "parquet", "files"]
Type = Literal["text", "integer", "float", "date", "boolean"]


@dataclass(frozen=True)
class Workload:
    """A table and the lines that are made of it, one a row.

    A line has the ID (`id`), a key-value pair for each of `signals` and the traits of the column `traits`, in this
    order; missing values are left out. Rows whose ID contains a colon or an '@' (in these tables, only e-mail addresses
    do) are rejected. `columns` are in the order of the file; `rows` is the number of rows of a full measurement, and
    `row_bytes` about how many bytes each takes on disk; `contenders` can do the job.

    In the columns `quoted`, values contain double quotes, which lines have as single quotes. If `file_rows` is not 0,
    the input is a folder of files with so many rows each, and `suffix` is `files`. With `gathered`, a line has all
    traits of a user, each once, sorted as text; users may be in any order.
    """

    name: str
    title: str
    format: Format
    rows: int
    row_bytes: int
    id: str
    signals: tuple[str, ...]
    traits: str
    columns: Mapping[str, Type]
    contenders: tuple[str, ...]
    suffix: Suffix
    quoted: tuple[str, ...] = ()
    file_rows: int = 0
    gathered: bool = False

    @property
    def used(self) -> list[str]:
        """The columns that lines are made of."""
        return [self.id, *self.signals, self.traits]


_EVERYWHERE = ("ours", "ours-no-rules", "floor", "duckdb", "duckdb-pigz", "chdb", "polars", "pandas", "python")
_ON_CSV = (*_EVERYWHERE, "awk")
_GATHERING = ("ours", "floor", "duckdb-pigz", "chdb", "polars", "sort", "python")
_BESIDE_PLAIN = ("ours", "ours-on-plain", *_ON_CSV[1:])
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


def _wide(
    name: str,
    title: str,
    format_: Format,
    contenders: tuple[str, ...],
    *,
    row_bytes: int,
    suffix: Suffix | None = None,
    rows: int = 10_000_000,
    quoted: tuple[str, ...] = (),
    file_rows: int = 0,
) -> Workload:
    """Return a workload with the wide table."""
    return Workload(
        name,
        title,
        format_,
        rows,
        row_bytes,
        ID,
        _WIDE_SIGNALS,
        _WIDE_TRAITS,
        _WIDE,
        contenders,
        suffix or format_,
        quoted,
        file_rows,
    )


def _long(name: str, title: str, contenders: tuple[str, ...] = _ON_CSV, *, gathered: bool = False) -> Workload:
    """Return a workload with the long table."""
    columns: dict[str, Type] = {"user_id": "text", "trait_id": "text"}
    return Workload(
        name, title, "csv", 50_000_000, 19, "user_id", (), "trait_id", columns, contenders, "csv", gathered=gathered
    )


PLAIN = "wide-csv"
"""The workload with the wide table in one plain file."""
WORKLOADS = {
    workload.name: workload
    for workload in (
        _wide(PLAIN, "CSV, 12 columns", "csv", _ON_CSV, row_bytes=128),
        _wide("wide-parquet", "Parquet, the same 12 columns", "parquet", _EVERYWHERE, row_bytes=38),
        _long("long-csv", "CSV, a user and a trait a row"),
        Workload(
            "typed-parquet",
            "Parquet, numbers, dates and booleans",
            "parquet",
            10_000_000,
            50,
            ID,
            ("age", "visits", "basket", "score", "signup", "last_purchase", "active", "newsletter"),
            "segment_id",
            _TYPED,
            _EVERYWHERE,
            "parquet",
        ),
        _wide("csv-gz", "CSV, 12 columns, gzipped", "csv", _BESIDE_PLAIN, row_bytes=36, suffix="csv.gz"),
        _wide(
            "ndjson",
            "NDJSON, the same 12 columns",
            "ndjson",
            ("ours", "ours-on-plain", *_EVERYWHERE[1:]),
            row_bytes=300,
        ),
        _wide("quoted", "CSV, escaped quotes in a third of the rows", "csv", _ON_CSV, row_bytes=131, quoted=("plan",)),
        _wide(
            "many-files",
            "CSV, 12 columns, in 2,000 files",
            "csv",
            _BESIDE_PLAIN,
            row_bytes=128,
            suffix="files",
            rows=5_000_000,
            file_rows=2_500,
        ),
        _long("gathered", "CSV, a user and a trait a row, gathered by users", _GATHERING, gathered=True),
        _long("skewed", "The same, a tenth of the rows of 100 users", _GATHERING, gathered=True),
    )
}

INSTALL_ROWS = 1_000_000
"""Rows of the runs in a new environment."""
ON_CORES = (PLAIN, "wide-parquet", "ndjson", "gathered")
"""Workloads by which the use of cores is measured."""
ON_SPARK = "wide-parquet"
"""The workload that runs on a cluster."""


@dataclass(frozen=True)
class Input:
    """The input of a workload with so many rows from a seed: a file, or a folder of files. The same ones are equal."""

    workload: Workload
    rows: int
    seed: int = SEED
    folder: Path = field(default=DATA)

    @property
    def path(self) -> Path:
        """Where the file or folder is kept."""
        return self.folder / f"{self.workload.name}-{self.rows}-{self.seed}.{self.workload.suffix}"

    @property
    def plain(self) -> Input:
        """The same rows as one plain CSV file."""
        return replace(self, workload=WORKLOADS[PLAIN])

    @classmethod
    def at(cls, path: Path) -> Input:
        """Return the input that a path names. Raises `BenchmarkError` if it names none."""
        found = cls._named(path)
        if found:
            return found
        known = ", ".join(WORKLOADS)
        raise BenchmarkError(
            f"'{path}' is neither a workload ({known}) nor the file of one, which is called WORKLOAD-ROWS-SEED.SUFFIX."
        )

    @classmethod
    def is_one(cls, path: Path) -> bool:
        """Whether the name of a path is that of an input."""
        return cls._named(path) is not None

    @classmethod
    def _named(cls, path: Path) -> Input | None:
        match = re.fullmatch(r"([a-z-]+)-([0-9]+)-([0-9]+)\.[a-z.]+", path.name)
        if not match or match[1] not in WORKLOADS:
            return None
        named = cls(WORKLOADS[match[1]], int(match[2]), int(match[3]), path.parent)
        return named if named.path == path else None


def files_of(path: Path) -> list[Path]:
    """Return the files of an input in their order: a folder's, or the file itself."""
    return sorted(path.iterdir()) if path.is_dir() else [path]
