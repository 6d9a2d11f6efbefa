"""The contender `floor`: the finished lines through the same compressor on all cores, and nothing else.

No converter that compresses like ours can be faster than this: what is above it is the cost of converting. It reads
the lines as uncompressed text, and imports nothing of the converter, which would bring its libraries along.
"""

from __future__ import annotations

import struct
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from isal import isal_zlib

from benchmarks.contenders import Task

LEVEL = 2
MEMORY = 9
BLOCK_BYTES = 1 << 20
WINDOW_BYTES = 1 << 15
"""As `converter.parts.blocks` has them; a test holds that."""
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_END = b"\x03\x00"


def compress_lines(task: Task) -> None:
    """Compress the text at `task.path` in blocks into one gzip file."""
    under_way: deque[Future[tuple[bytes, int, int]]] = deque()
    crc32 = size = 0
    before = b""
    with (
        ThreadPoolExecutor(task.threads) as pool,
        task.path.open("rb", buffering=0) as text,
        task.target.open("wb", buffering=0) as file,
    ):
        file.write(_HEADER)
        while True:
            block = text.read(BLOCK_BYTES)
            if block:
                under_way.append(pool.submit(_compress, block, before))
                before = block[-WINDOW_BYTES:]
            if not under_way:
                break
            if not block or len(under_way) > 2 * task.threads:
                data, block_crc32, block_bytes = under_way.popleft().result()
                file.write(data)
                crc32 = isal_zlib.crc32_combine(crc32, block_crc32, block_bytes)
                size += block_bytes
        file.write(_END + struct.pack("<II", crc32, size & 0xFFFFFFFF))


def _compress(text: bytes, before: bytes) -> tuple[bytes, int, int]:
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS, MEMORY, zdict=before)
    data = compressor.compress(text) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)
    return data, isal_zlib.crc32(text), len(text)
