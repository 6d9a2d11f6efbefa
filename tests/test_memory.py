"""Memory is leased again once nothing refers to it, and not before."""

from __future__ import annotations

import gc

from converter.columns.pool import Bytes, Pool


def address(memory: Bytes) -> int:
    return memory.ctypes.data


def test_memory_is_reused_once_the_last_reference_is_gone() -> None:
    pool = Pool()
    memory = pool.lease(1000)
    first = address(memory)
    part = memory[10:20]
    view = part.data
    del memory, part
    gc.collect()
    assert address(pool.lease(1000)) != first, "a view of a slice of it is alive"
    del view
    gc.collect()
    assert address(pool.lease(500)) == first


def test_memory_that_is_too_small_is_not_leased() -> None:
    pool = Pool()
    pool.lease(10)
    gc.collect()
    assert len(pool.lease(1000)) == 1000
    assert len(pool.lease(5)) == 5
