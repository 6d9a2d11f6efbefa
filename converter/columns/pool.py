"""Memory for large buffers, reused: fresh memory costs a page fault for every page."""

from __future__ import annotations

import contextlib
import mmap
import weakref

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
_STEP = 1 << 20  # bytes: sizes are rounded up to it, so that memory of one lease fits the next


class Pool:
    """Leases memory, and reuses it once nothing refers to it anymore. Threads may share it.

    The memory is mapped from the system and returned there: the allocator would be left fragmented by these sizes.
    """

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def lease(self, size: int) -> Bytes:
        """Return `size` bytes, not initialized. Raises `MemoryError`.

        The lease ends when the array and all views of it are gone.
        """
        with contextlib.suppress(IndexError):  # another thread took the last one: map fresh memory
            while self._free:
                memory = self._free.pop()
                if len(memory) >= size:
                    return self._lease(memory, size)
        try:
            pages = mmap.mmap(-1, -(-(size or 1) // _STEP) * _STEP)
        except OSError as error:  # elsewhere an `OSError` means that a file is damaged
            raise MemoryError from error
        return self._lease(memoryview(pages), size)

    def _lease(self, memory: memoryview, size: int) -> Bytes:
        array = np.frombuffer(memory, np.uint8)
        # All views of the array have it as their base, since the memory below it is not an array.
        weakref.finalize(array, self._free.append, memory).atexit = False
        return array[:size]
