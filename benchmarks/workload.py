"""What the workload `wide-csv` looks like, and what every contender makes of it.

Light on purpose: processes that are measured, and the one that measures them, import this.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "benchmarks" / "data"
RESULTS = ROOT / "benchmarks" / "results"

WIDE_CSV = "wide-csv"
ROWS = 10_000_000
SEED = 1

ID = "crm_id"
SIGNALS = ("gender", "city", "country", "age_band", "plan", "product", "revenue")
TRAITS = "trait_ids"
TRAIT_SEPARATOR = "|"
COLUMNS = (ID, *SIGNALS, "last_purchase", "signup_channel", "internal_note", TRAITS)
"""The columns in the order of the file. A line has the ID, the signals in this order and then the traits."""

DPID = 1234
TIMESTAMP = 1_700_000_000
"""Fixed, so that every run gives files of the same names."""


def file_name(rows: int) -> str:
    """Return the name of the workload's file with so many rows."""
    return f"{WIDE_CSV}-{rows}.csv"
