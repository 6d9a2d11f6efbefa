"""What the modules that recognize personal data share. Patterns are regular expressions in Rust syntax.

A detector takes texts (String, without nulls, `plain`), and returns for each whether it is personal data of its kind.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.spec.ids import TRIMMED

Booleans = npt.NDArray[np.bool_]
Detector = Callable[[pl.Series], Booleans]

AT_SIGNS = "@\N{FULLWIDTH COMMERCIAL AT}\N{SMALL COMMERCIAL AT}"
"""Characters that are used as `@` in e-mail addresses."""


MARKS = "['\"`\u2018-\u201f\u00b4\u00ab\u00bb;,.!?]{0,3}"
"""Punctuation around a text: spreadsheets put an apostrophe before it, lists and sentences end with more."""

_HIDDEN = (0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_SPACES = (0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
_HYPHENS = (*range(0x2010, 0x2016), 0x2212)
_FULL_WIDTH = range(0xFF01, 0xFF5F)
_SEEN = {
    **{chr(code): "" for code in _HIDDEN},
    **{chr(code): " " for code in _SPACES},
    **{chr(code): "-" for code in _HYPHENS},
    **{chr(code): chr(code - _FULL_WIDTH[0] + ord("!")) for code in _FULL_WIDTH},
}
DISGUISED = f"[{''.join(_SEEN)}]"
"""Characters that nobody sees, such as bidirectional marks, and other forms of spaces, hyphens and ASCII."""


def plain(texts: pl.Series) -> pl.Series:
    """Return texts without disguise: invisible characters, other forms of ASCII, and what is around the text."""
    disguised = texts.str.contains(DISGUISED)
    if disguised.any():
        seen = texts.filter(disguised).str.replace_many(list(_SEEN), list(_SEEN.values()))
        texts = texts.clone().scatter(disguised.arg_true(), seen)
    texts = texts.str.strip_chars(TRIMMED)
    return texts.str.replace(f"^{MARKS}", "").str.replace(f"{MARKS}$", "")


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
