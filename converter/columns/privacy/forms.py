"""What the modules that recognize personal data share. Patterns are regular expressions in Rust syntax.

A detector takes texts (String, without nulls and without surrounding white space), and returns for each whether it is
personal data of its kind.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

Booleans = npt.NDArray[np.bool_]
Detector = Callable[[pl.Series], Booleans]

AT_SIGNS = "@\N{FULLWIDTH COMMERCIAL AT}\N{SMALL COMMERCIAL AT}"
"""Characters that are used as `@` in e-mail addresses."""


def contain(texts: pl.Series, pattern: str) -> Booleans:
    """Return which texts contain a pattern."""
    return texts.str.contains(pattern).to_numpy()


def detect_in(texts: pl.Series, pattern: str, detector: Detector) -> Booleans:
    """Return which texts contain a pattern and are detected; the detector gets only texts with the pattern."""
    candidates = texts.str.contains(pattern)
    detected = candidates.to_numpy(writable=True)
    if detected.any():
        detected[detected] = detector(texts.filter(candidates))
    return detected


def as_bytes(texts: pl.Series, width: int) -> npt.NDArray[np.uint8]:
    """Return ASCII texts of at most `width` characters as rows of a matrix of bytes, padded on the left with `0`."""
    joined = texts.str.pad_start(width, "0").str.join("").item()
    return np.frombuffer(joined.encode(), np.uint8).reshape(-1, width)
