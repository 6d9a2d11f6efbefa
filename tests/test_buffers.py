"""Texts in columns: views become frames, whether few or many, and keep what they refer to."""

from __future__ import annotations

import gc

import numpy as np
import polars as pl
import pytest

from converter.columns import buffers
from converter.columns.buffers import Chunk, chunks_of, frame_of

TEXTS = ["", "a", "twelve bytes", "é" * 6, "more than twelve bytes", "😀" * 20, "x" * 1000, '"quoted, in part"']


@pytest.mark.parametrize("few", [0, 1 << 20], ids=["by arrow", "decoded"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_frame_has_the_texts_of_its_chunks(few: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "FEW_ROWS", few)
    frame = pl.DataFrame({"a": TEXTS, "b": TEXTS[::-1]})
    chunks = [chunk for _ in range(count) for chunk in chunks_of(frame)]
    found = frame_of(chunks, ("b", "c"))
    assert found.schema == {"b": pl.String, "c": pl.String}
    assert found["b"].to_list() == TEXTS * count
    assert found["c"].to_list() == TEXTS[::-1] * count


def test_a_frame_keeps_the_memory_that_it_refers_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "FEW_ROWS", 0)
    (chunk,) = chunks_of(pl.DataFrame({"a": TEXTS}))
    copied = Chunk(
        tuple(column._replace(buffers=tuple(map(np.copy, column.buffers))) for column in chunk.columns), chunk.rows
    )
    found = frame_of([copied], ("a",))
    del copied
    gc.collect()
    assert found["a"].to_list() == TEXTS
