"""What is left of a text where a row is shown."""

from __future__ import annotations

import polars as pl

from converter.columns.privacy.forms import AT_SIGNS


def mask(text: pl.Expr) -> pl.Expr:
    """Return a text (String) in a form that tells rows apart and gives nobody away, null where it is null.

    `User123` becomes `Us…23`, `john@example.com` `jo…@…`; of short texts less is left, of those below three
    characters nothing. No more than two characters are ever left at either end, and of what stands before an `@`
    never all.
    """
    length = text.str.len_chars()
    return (
        pl.when(text.str.contains(f"[{AT_SIGNS}]"))
        # One more character than is shown, so that a short name does not stand there whole.
        .then(pl.format("{}…@…", text.str.extract(f"^([^{AT_SIGNS}]{{0,2}})[^{AT_SIGNS}]", 1).fill_null("")))
        .when(length >= 6)
        .then(pl.format("{}…{}", text.str.head(2), text.str.tail(2)))
        .when(length >= 3)
        .then(pl.format("{}…", text.str.head(1)))
        .when(length > 0)
        .then(pl.lit("…"))
        .otherwise(text)
    )
