"""IDs that the loops hash, by the instructions of the processor or in plain C, against the library of Python."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import polars as pl
import pytest

from converter.columns.buffers import chunks_of
from converter.kernel.form import HASHED, HASHED_ADDRESS, Form, LineId

from .test_kernel_gather import OF_VARIANTS

VISIBLE = bytes(range(0x21, 0x7F))
PLAIN = np.array([byte if byte in VISIBLE else 0 for byte in range(256)], np.uint8)


def hashed(variant: str, ids: list[str], how: int = HASHED, **around: bytes) -> tuple[list[str], int]:
    """Return what is written for IDs, and how many have changed."""
    loops = OF_VARIANTS[variant]
    assert loops
    form = Form([LineId(0, PLAIN, hashed=how, **around)], [], 10**6)
    lines = loops.frame_lines(chunks_of(pl.DataFrame({"id": ids})), form)
    assert not len(lines.irregular)
    ends = [0, *lines.ends.tolist()]
    texts = [lines.memory[start : end - 1].tobytes().decode() for start, end in itertools.pairwise(ends)]
    return texts, lines.changed["hash"]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.loops
@pytest.mark.parametrize("variant", OF_VARIANTS)
def test_ids_of_any_length_are_hashed(variant: str) -> None:
    ids = ["".join(chr(VISIBLE[(at * at + length) % len(VISIBLE)]) for at in range(length)) for length in range(1, 400)]
    assert hashed(variant, ids) == ([*map(sha256, ids)], len(ids))


@pytest.mark.loops
@pytest.mark.parametrize("variant", OF_VARIANTS)
def test_what_is_written_around_an_id_is_hashed_with_it(variant: str) -> None:
    ids = ["x" * length for length in range(1, 70)]
    expected = [sha256(f"crm-{id_}-web") for id_ in ids]
    assert hashed(variant, ids, prefix=b"crm-", suffix=b"-web") == (expected, len(ids))


@pytest.mark.loops
@pytest.mark.parametrize("how", [HASHED, HASHED_ADDRESS])
@pytest.mark.parametrize("variant", OF_VARIANTS)
def test_a_hash_stays_in_lower_case(variant: str, how: int) -> None:
    ids = ["0123456789abcdef" * 4, "0123456789ABCDEF" * 4, "joe@example.com"]
    assert hashed(variant, ids, how) == (["0123456789abcdef" * 4] * 2 + [sha256(ids[2])], 2)
