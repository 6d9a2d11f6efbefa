"""What is personal, and how it is masked, wherever a row is shown."""

from __future__ import annotations

import polars as pl


def masked(text: pl.Expr) -> pl.Expr:
    """Return a text (String) in a form that tells rows apart and gives nobody away.

    `User123` becomes `Us…23`, `john@example.com` `jo…@…`; of short texts less is left, of those below three
    characters nothing.
    """
    length = text.str.len_chars()
    return (
        pl.when(text.str.contains("@", literal=True))
        .then(pl.format("{}…@…", text.str.extract(r"^([^@]{0,2})", 1)))
        .when(length >= 6)
        .then(pl.format("{}…{}", text.str.head(2), text.str.tail(2)))
        .when(length >= 3)
        .then(pl.format("{}…", text.str.head(1)))
        .when(length > 0)
        .then(pl.lit("…"))
        .otherwise(text)
    )
