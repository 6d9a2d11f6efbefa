"""How often personal data is detected, how often other texts are mistaken for it, and the cost of the scan.

`python -m benchmarks.privacy` prints the tables of `docs/privacy.md`. IDs are made from a seed, numbers of cards and
accounts are published ones, and phone numbers are the examples of the package `phonenumbers`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks import published
from benchmarks.table import table
from benchmarks.workloads import SEED
from converter.columns.privacy import numbers_are_ids, personal_kind
from converter.spec.rules import PERSONAL

SURVEYED = 1000
"""Rows by which it is decided whether bare numbers of a column are IDs."""
_BATCH = 100_000

_MADE = {
    "#": "0123456789",
    "~": "0123456789abcdef",
    "^": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "*": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
}
"""What the marks of a shape stand for; all else stands for itself."""

SHAPES = {
    "8 digits": "########",
    "10 digits": "##########",
    "12 digits": "############",
    "16 digits": "################",
    "10 digits, with leading zeros": "000#######",
    "CUST-000123": "CUST-######",
    "UUID": "~~~~~~~~-~~~~-4~~~-a~~~-~~~~~~~~~~~~",
    "32 hexadecimal digits": "~" * 32,
    "18 characters, as in Salesforce": "003" + "*" * 15,
    "123-456-789": "###-###-###",
    "C-12345678": "C-########",
    "AB12345678": "^^########",
    "AB and 20 digits": "^^####################",
    "ABC-123-DEF": "^^^-###-^^^",
    "user_12345678": "user_########",
    "milliseconds since 1970": "17###########",
    "15 digits": "###############",
    "19 digits": "1##################",
    "20 digits": "####################",
    "38 digits": "#" * 38,
    "64 hexadecimal digits": "~" * 64,
    "22 characters, Base64": "*" * 22,
    "26 capital letters and digits": "01" + "^#" * 12,
    "20240131-000123": "202401##-######",
    "1234-5678-9012": "####-####-####",
    "123.456.789": "###.###.###",
    "123/456/789": "###/###/###",
    "Nr. 123456789": "Nr. #########",
}
"""Shapes of IDs, by what they are called."""

ALIKE = {
    "1234-5678-9012-3456": "####-####-####-####",
    "123-45-6789": "###-##-####",
    "1.2.3.4": "#.#.#.#",
    "(12) 345678": "(1#) 3#####",
}
"""Shapes of IDs that are taken for personal data, at times or always, since personal data has the same."""

VALUES = (
    "female",
    "male",
    "18-24",
    "25-34",
    "Berlin",
    "São Paulo",
    "premium",
    "2024-01-31",
    "12.50",
    "true",
    "web",
    "A;B",
)
"""Values of signals."""


class Finding(NamedTuple):
    """Texts, how many of them were taken for personal data, and the CPU seconds that a million took."""

    name: str
    texts: int
    found: int
    seconds: float

    @property
    def share(self) -> float:
        """The share that was found."""
        return self.found / self.texts


def made(shape: str, rows: int, seed: int = SEED) -> pl.Series:
    """Return IDs of a shape (String), the same for the same seed."""
    random = np.random.default_rng(seed)
    characters = np.empty((rows, len(shape)), np.uint8)
    for place, mark in enumerate(shape):
        choice = np.frombuffer(_MADE.get(mark, mark).encode(), np.uint8)
        characters[:, place] = choice[random.integers(0, len(choice), rows)]
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(len(shape)), rows, [None, pa.py_buffer(characters.tobytes())]
    )
    return pl.Series(fixed.cast(pa.binary()).cast(pa.large_string()))


def measured(name: str, texts: pl.Series, *, cards: bool | None = None) -> Finding:
    """Look for personal data as in a column of a table, in batches.

    `cards` is whether bare numbers may be cards: decided by the first texts, where it is None.
    """
    if cards is None:
        cards = not numbers_are_ids(texts.head(SURVEYED))
    found, times = 0, []
    judgment = personal_kind(pl.col("text"), cards=cards)
    for batch in texts.to_frame("text").iter_slices(_BATCH):
        started = time.process_time()
        judged = batch.select(judgment).to_series()
        times.append((time.process_time() - started) / batch.height)
        found += judged.count()
    return Finding(name, len(texts), found, statistics.median(times) * 1e6)


def kinds(texts: Iterable[str]) -> list[str | None]:
    """Return what kind of personal data each text is."""
    places = pl.DataFrame({"text": list(texts)}).select(personal_kind(pl.col("text"))).to_series()
    return [None if place is None else PERSONAL[place] for place in places]


def recalled() -> list[Finding]:
    """Look for published examples; what is found as another kind does not count."""
    groups: dict[str, tuple[str, list[str]]] = {
        "phone numbers, written and dialed": ("phone", published.phones()),
        "cards": ("card", published.cards()),
        "cards, in fours": ("card", [_in_fours(number, " ") for number in published.cards()]),
        "cards, in fours with hyphens": ("card", [_in_fours(number, "-") for number in published.cards()]),
        "IBANs": ("iban", published.ibans()),
        "IBANs, in fours": ("iban", [_in_fours(number, " ") for number in published.ibans()]),
    }
    return [
        Finding(name, len(texts), sum(found == kind for found in kinds(texts)), 0.0)
        for name, (kind, texts) in groups.items()
    ]


def _in_fours(text: str, separator: str) -> str:
    return separator.join(text[at : at + 4] for at in range(0, len(text), 4))


def costly(rows: int) -> dict[str, Callable[[], pl.Series]]:
    """Return columns that are nothing but personal data, and a column of values."""
    phones = pl.Series(published.phones())
    return {
        "values of signals": lambda: pl.Series(VALUES).sample(rows, with_replacement=True, seed=SEED),
        "e-mail addresses": lambda: made("*******.#######@example.com", rows),
        "phone numbers of one country": lambda: made("+49 30 1######", rows),
        "phone numbers of all countries": lambda: phones.sample(rows, with_replacement=True, seed=SEED),
        "16 digits, as cards": lambda: made(SHAPES["16 digits"], rows),
        "texts that begin like an IBAN": lambda: made("DE####################", rows),
        "IP addresses": lambda: made("10.1#.2#.1##", rows),
    }


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.privacy", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of each shape (default: %(default)s)")
    rows = parser.parse_args().rows
    measured("warm", made(SHAPES["UUID"], _BATCH))
    ids = [measured(name, made(shape, rows)) for name, shape in SHAPES.items()]
    _show(f"IDs of {rows:,} rows each, that are not personal", ids)
    _show("what looks like personal data", [measured(name, made(shape, rows)) for name, shape in ALIKE.items()])
    _show("published examples", recalled())
    others = [measured(name, texts(), cards=True) for name, texts in costly(rows).items()]
    _show("what the scan costs", others)


def _show(title: str, findings: list[Finding]) -> None:
    cells = [
        [each.name, f"{each.texts:,}", f"{each.found:,}", f"{each.share:.3%}", f"{each.seconds:.3f}"]
        for each in findings
    ]
    print(table([title, "texts", "found", "share", "CPU s / million"], cells), end="\n\n")


if __name__ == "__main__":
    main()
