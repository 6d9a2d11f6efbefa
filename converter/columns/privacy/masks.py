"""How texts are masked in rejects and previews."""

from __future__ import annotations

import polars as pl

from converter.columns.privacy.forms import AT_SIGNS


def mask(text: pl.Expr) -> pl.Expr:
    """Mask a text (String): rows can be told apart, and nobody can be identified. Null stays null.

    `User123` becomes `Us…23`, `john@example.com` `jo…@…`; short texts keep less, texts below three characters nothing.
    At most two characters are kept at either end, and the part before an `@` is never kept whole.
    """
    length = text.str.len_chars()
    return (
        pl.when(text.str.contains(f"[{AT_SIGNS}]"))
        # Matches one more character than it keeps, so that a short name is not kept whole.
        .then(pl.format("{}…@…", text.str.extract(f"^([^{AT_SIGNS}]{{0,2}})[^{AT_SIGNS}]", 1).fill_null("")))
        .when(length >= 6)
        .then(pl.format("{}…{}", text.str.head(2), text.str.tail(2)))
        .when(length >= 3)
        .then(pl.format("{}…", text.str.head(1)))
        .when(length > 0)
        .then(pl.lit("…"))
        .otherwise(text)
    )
