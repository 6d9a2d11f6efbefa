"""The bytes of inputs: any part of them, or their text as UTF-8: plain or packed (`packings`), in any encoding."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import weakref
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO

from converter.columns.pool import Bytes
from converter.errors import InputError
from converter.sources.contents import MOST_MAGIC, packed_content, wrong_content
from converter.sources.origins.base import Origin, check_rereadable
from converter.sources.packings import DAMAGED, PACKINGS, Packed, packing_of, too_large

BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
"""Byte order marks, and the encodings that they mean."""
_BLOCK = 1 << 20
_MOST_BOM = 4  # bytes


class TextStream:
    """The text of an input as UTF-8, without byte order mark, read once from start to end.

    `member` is the file to read where it is a zip archive. Raises `InputError` where the input cannot be read, is
    damaged, or is not in its encoding.
    """

    def __init__(self, origin: Origin, encoding: str = "utf-8", member: str | None = None) -> None:
        self.origin = origin
        self._member = member
        self._ended = False
        with self._mapped_errors():
            self._raw: IO[bytes] = origin.open()
        self._unpacked: IO[bytes] = self._raw
        try:
            with self._mapped_errors():
                start = self._unpack()
        except BaseException:
            self.close()
            raise
        bom, marked = next(((bom, name) for bom, name in BOMS if start.startswith(bom)), (b"", encoding))
        same = codecs.lookup(marked).name in ("utf-8", "utf-8-sig", "ascii")
        self.marked = marked if bom else None
        """The encoding that a byte order mark says."""
        self._start = start[len(bom) :] if same else start
        self.offset = len(bom) if same and self._unpacked is self._raw and origin.rereadable else None
        """Where the text begins in the input, if its bytes stand there as they are and can be read anywhere."""
        self._transcoder = None if same else _Transcoder(self, marked)

    def __enter__(self) -> TextStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the input."""
        self._unpacked.close()
        self._raw.close()

    @property
    def position(self) -> int:
        """How many bytes of the input itself have been read, packed as they are."""
        if self._ended and self.origin.size is not None:
            return self.origin.size  # a zip archive has more after its files
        position = self._raw.tell()
        # A file that grows meanwhile is reported at the end of the run.
        return position if self.origin.size is None else min(position, self.origin.size)

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` until the input ends; return the number of bytes, 0 at the end."""
        fill = self._transcoder.readinto if self._transcoder else self.readinto_encoded
        filled = 0
        while filled < len(buffer) and (count := fill(buffer[filled:])):
            filled += count
        return filled

    def skip(self, size: int) -> None:
        """Read `size` bytes of the text, or to its end."""
        buffer = memoryview(bytearray(min(size, _BLOCK)))
        while size and (count := self.readinto(buffer[:size])):
            size -= count

    def readinto_encoded(self, buffer: memoryview) -> int:
        """Read once from the input, unpacked but in its own encoding."""
        if self._start:
            count = min(len(self._start), len(buffer))
            buffer[:count] = self._start[:count]
            self._start = self._start[count:]
            return count
        with self._mapped_errors():
            read: int = self._unpacked.readinto(buffer)  # type: ignore[attr-defined]
        self._ended = not read and len(buffer) > 0
        return read

    @contextlib.contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        """Turn errors of the system and of unpacking into those of the input."""
        try:
            yield
        except DAMAGED as error:
            raise self._damaged(error) from error
        except OSError as error:
            raise _unreadable(self.origin, error) from error

    def _unpack(self) -> bytes:
        """Open what the input is packed as; return the start of its text."""
        start = self._raw.read(MOST_MAGIC)
        self._raw.seek(0)
        packing = packing_of(start)
        if packing:
            if packing is PACKINGS["zip"]:
                need = "the list of the files in a zip archive is at its end"
                check_rereadable([self.origin], need, "Extract it first.")
            self._unpacked = packing.open(Packed(self._raw, self.origin.label, self._member))
            start = self._unpacked.read(MOST_MAGIC)
            if packing_of(start):
                raise InputError(
                    "E-INPUT-PACKED", f"The input '{self.origin.label}' is packed twice.", "Unpack it once."
                )
        if content := packed_content(start):
            raise wrong_content(self.origin.label, content)
        return start if packing else self._raw.read(_MOST_BOM)

    def _damaged(self, error: BaseException) -> InputError:
        if too_large(error):
            return InputError(
                "E-INPUT-PACKED",
                f"The input '{self.origin.label}' was compressed so that unpacking it needs too much memory.",
                "Compress it again, with a smaller window (without --long, --ultra or --lzma2=dict).",
            )
        cut = isinstance(error, EOFError)
        what = "it is cut off, or something follows its end" if cut else "its checksum or its structure is wrong"
        return InputError(
            "E-INPUT-DAMAGED",
            f"The compressed input '{self.origin.label}' is damaged: {what}.",
            "Get the file again; nothing was published.",
        )


class Ranges:
    """Reads any part of an origin into memory; threads may share it. Raises `InputError`.

    A local file is open until the object is gone.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._file: BinaryIO | None = None
        self._read_into: Callable[[memoryview, int], int] | None = getattr(origin, "read_into", None)
        if origin.path is not None:
            try:
                self._file = origin.open()
            except OSError as error:
                raise _unreadable(origin, error) from error
            weakref.finalize(self, self._file.close)

    @property
    def waits(self) -> bool:
        """Whether reading waits for a server, so that it should begin before it is needed."""
        return self._read_into is not None

    def read(self, memory: Bytes, start: int) -> int:
        """Fill memory with the bytes from `start`; return how many there were, fewer at the end."""
        filled = 0
        try:
            while filled < len(memory) and (count := self._read(memory[filled:].data, start + filled)):
                filled += count
        except OSError as error:
            raise _unreadable(self._origin, error) from error
        return filled

    def _read(self, view: memoryview, start: int) -> int:
        if self._file is not None:
            return os.preadv(self._file.fileno(), [view], start)
        if self._read_into is not None:
            return self._read_into(view, start)
        data = self._origin.read_at(start, start + len(view))
        view[: len(data)] = data
        return len(data)


def _unreadable(origin: Origin, error: OSError) -> InputError:
    return InputError("E-INPUT-READ", f"The input '{origin.label}' cannot be read: {error.strerror or error}.")


class _Transcoder:
    """Converts another encoding to UTF-8, block by block."""

    def __init__(self, stream: TextStream, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = io.BytesIO()
        self._consumed = 0
        self._ended = False

    def readinto(self, buffer: memoryview) -> int:
        while not (count := self._ready.readinto(buffer)) and not self._ended:
            block = bytearray(_BLOCK)
            size = self._stream.readinto_encoded(memoryview(block))
            self._ended = size == 0
            try:
                text = self._decoder.decode(bytes(block[:size]), final=self._ended).encode("utf-8")
            except UnicodeError as error:
                # Some codecs do not report the position; some return surrogates, which UTF-8 cannot encode.
                raise InputError(
                    "E-INPUT-ENCODING",
                    f"The input '{self._stream.origin.label}' is not {self._encoding} near byte "
                    f"{self._consumed + getattr(error, 'start', 0):,} of its text.",
                    "Set input.encoding to what the file is written in.",
                ) from error
            self._consumed += size
            self._ready = io.BytesIO(text)
        return count
