"""A part is written, hashed and encrypted by a thread of its own, so that the next one can be begun meanwhile.

The thread that cuts the text only hands over blocks. It hears of what was written, and of errors, through one queue.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple, Protocol, TypeAlias

from isal import isal_zlib

from converter.parts.part import Buffer, Part, PartWriter


class Filter(Protocol):
    """What the bytes of one part go through before they are sent. It passes them on in a thread of its own."""

    def write(self, data: Buffer) -> None:
        """Take the next bytes. Raises the error of earlier ones."""
        ...

    def finish(self) -> None:
        """Return when all bytes have been passed on."""
        ...

    def interrupt(self) -> None:
        """Let calls of `write` and `finish`, by another thread, raise soon. Never raises."""
        ...

    def abort(self) -> None:
        """Stop: nothing more is passed on. Never raises, and does nothing after `finish`."""
        ...


Encrypt: TypeAlias = "Callable[[Callable[[Buffer], None]], Filter]"
"""Begins the filter of a part, which passes its output to the given function."""


class Summary(NamedTuple):
    """What is known of a part once its text is complete; `packed_bytes` are its bytes before they are encrypted."""

    name: str
    url: str
    lines: int
    raw_bytes: int
    text_crc32: int
    packed_bytes: int


class News(NamedTuple):
    """What the thread of a part tells: bytes that it has written, the finished part, or its error."""

    written: int = 0
    part: Part | None = None
    error: BaseException | None = None


class _AbortedError(Exception):
    """The part is not finished, since the run has failed."""


class PartThread:
    """Writes a part to `writer`, through a filter where there is `encrypt`.

    `run` is called by a thread of the part, and the other methods by the one that fills it. A part is finished after
    the one `before` it. `check` raises an error where a part as sent cannot be what was written.
    """

    def __init__(
        self,
        writer: PartWriter,
        encrypt: Encrypt | None,
        before: PartThread | None,
        news: SimpleQueue[News],
        check: Callable[[Summary, int], None],
    ) -> None:
        self._writer = writer
        self._encrypt = encrypt
        self._filter: Filter | None = None
        self._before = before
        self._news = news
        self._check = check
        self._blocks: SimpleQueue[Buffer | Summary] = SimpleQueue()
        self._aborted = False
        self._ended = threading.Event()
        self._crc32 = 0
        self._sha256 = hashlib.sha256()
        self.bytes = 0
        """How many bytes have been sent so far."""

    def put(self, data: Buffer) -> None:
        """Hand over the next bytes of the part."""
        self._blocks.put(data)

    def finish(self, summary: Summary) -> None:
        """Let the thread complete the part; all its bytes were handed over."""
        self._blocks.put(summary)

    def abort(self) -> None:
        """Let the thread end soon, without the part."""
        self._aborted = True
        self._blocks.put(b"")  # else it might wait for one
        if self._filter:
            self._filter.interrupt()

    def run(self) -> None:
        """Write the part, and tell what happens."""
        try:
            self._write()
        except BaseException as error:
            if self._filter:
                self._filter.abort()
            self._news.put(News(error=error))
            if not self._aborted:
                self._writer.fail(error)
            self._aborted = True
        finally:
            self._ended.set()

    def _write(self) -> None:
        if self._encrypt:
            self._filter = self._encrypt(self._send)
        write = self._filter.write if self._filter else self._send
        while not isinstance(block := self._blocks.get(), Summary):
            self._raise_if_aborted()
            write(block)
            self._news.put(News(written=len(block)))
        if self._filter:
            self._filter.finish()
        self._check(block, self.bytes)
        if self._before:  # so that parts are complete in order, in the journal too
            self._before._ended.wait()
            self._aborted = self._aborted or self._before._aborted
            self._before = None
        self._raise_if_aborted()
        part = Part(
            block.name, block.url, block.lines, block.raw_bytes, self.bytes,
            f"{self._crc32:08x}", self._sha256.hexdigest(),
        )  # fmt: skip
        self._writer.finish(part, block.text_crc32)
        self._news.put(News(part=part))

    def _raise_if_aborted(self) -> None:
        if self._aborted:
            raise _AbortedError

    def _send(self, data: Buffer) -> None:
        self._writer.write(data)
        self._sha256.update(data)
        self._crc32 = isal_zlib.crc32(data, self._crc32)
        self.bytes += len(data)
