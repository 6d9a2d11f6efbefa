"""Forms of texts, as regular expressions (Rust syntax), and what the modules that judge texts share.

A judge takes texts (String, without nulls and without white space around them), and says of each whether it is one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

Truths = npt.NDArray[np.bool_]
Judge = Callable[[pl.Series], Truths]

AT_SIGNS = "@\N{FULLWIDTH COMMERCIAL AT}\N{SMALL COMMERCIAL AT}"
"""What stands for `@` in an e-mail address."""


def contain(texts: pl.Series, form: str) -> Truths:
    """Say which texts hold a form."""
    return texts.str.contains(form).to_numpy()


def of_form(texts: pl.Series, form: str, judge: Judge) -> Truths:
    """Say which texts hold a form and pass a judge, who sees no others."""
    fits = texts.str.contains(form)
    found = fits.to_numpy(writable=True)
    if found.any():
        found[found] = judge(texts.filter(fits))
    return found


def as_bytes(texts: pl.Series, width: int) -> npt.NDArray[np.uint8]:
    """Return ASCII texts of at most `width` characters as the rows of a matrix of bytes, with `0` before short ones."""
    joined = texts.str.pad_start(width, "0").str.join("").item()
    return np.frombuffer(joined.encode(), np.uint8).reshape(-1, width)
