"""What inputs are packed as: compressed, or a zip archive. The first bytes say it, not the name.

To add a packing, write a function that opens a stream of it, and list it in `PACKINGS` with the bytes it begins with
and the suffixes of its names. What is packed is read from start to end, in limited memory, and checked by its
checksums; what follows its end is an error, unless that is another compressed stream of its kind.
"""

from __future__ import annotations

import fnmatch
import gzip
import io
import re
import sys
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

from isal import igzip, isal_zlib

from converter.errors import InputError, redact
from converter.sources.contents import of_zip, wrong_content

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    import zipfile

_BLOCK = 1 << 18
_MOST_MEMORY = 256 << 20  # that unpacking may take: what needs more was packed by rare settings
_MOST_NAMED = 5
_ENCRYPTED = 0x1
_END, _END_BYTES = b"PK\x05\x06", 22  # of a zip archive, without its comment


class UnpackError(Exception):
    """What is packed is damaged."""


DAMAGED: tuple[type[Exception], ...] = (
    EOFError, gzip.BadGzipFile, zlib.error, isal_zlib.error, zstd.ZstdError, UnpackError,
)  # type: ignore[assignment] # fmt: skip
"""What streams raise where what is packed is damaged, or needs too much memory; `EOFError` where it is cut off."""


class Packed(NamedTuple):
    """The bytes of a packed input, what messages call it, and `input.member`."""

    raw: IO[bytes]
    label: str
    member: str | None


class Packing(NamedTuple):
    """A packing: what it begins with, the suffixes of its names, and a function that opens a stream of what is in it.

    The function raises `InputError` where that cannot be read.
    """

    start: re.Pattern[bytes]
    suffixes: tuple[str, ...]
    open: Callable[[Packed], IO[bytes]]


def packing_of(start: bytes) -> Packing | None:
    """Return what an input is packed as, by its first bytes."""
    return next((packing for packing in PACKINGS.values() if packing.start.match(start)), None)


class _Decompressor(Protocol):
    """What the decompressors of bz2, lzma and lz4 have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes: ...


class _Streams(io.RawIOBase):
    """The text of compressed streams that follow each other, as `begin` decompresses them; `error` is what it raises.

    The readers of the standard library ignore what follows the last stream. `padded`: zeros may stand between streams.
    """

    def __init__(
        self, raw: IO[bytes], begin: Callable[[], _Decompressor], error: type[Exception], *, padded: bool = False
    ) -> None:
        self._raw = raw
        self._begin = begin
        self._error = error
        self._padded = padded
        self._stream = begin()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            packed = b""
            if self._stream.eof:
                packed = self._next_stream()
                if not packed:
                    return 0
                self._stream = self._begin()
            elif self._stream.needs_input:
                packed = self._raw.read(_BLOCK)
                if not packed:
                    raise EOFError
            try:
                data = self._stream.decompress(packed, len(buffer))
            except self._error as error:
                raise UnpackError(str(error)) from error
        buffer[: len(data)] = data
        return len(data)

    def _next_stream(self) -> bytes:
        """Return the start of the stream that follows; nothing at the end."""
        packed = self._stream.unused_data or self._raw.read(_BLOCK)
        while self._padded and packed and not packed.strip(b"\0"):
            packed = self._raw.read(_BLOCK)
        return packed.lstrip(b"\0") if self._padded else packed


def _open_gzip(packed: Packed) -> IO[bytes]:
    return igzip.IGzipFile(fileobj=packed.raw, mode="rb")  # type: ignore[no-untyped-call, return-value]


def _open_zstd(packed: Packed) -> IO[bytes]:
    return zstd.ZstdFile(packed.raw, "rb")  # type: ignore[return-value]


def _open_bz2(packed: Packed) -> IO[bytes]:
    import bz2  # here, as the others below: few inputs need one

    return io.BufferedReader(_Streams(packed.raw, bz2.BZ2Decompressor, OSError))


def _open_xz(packed: Packed) -> IO[bytes]:
    import lzma

    def begin() -> _Decompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)

    return io.BufferedReader(_Streams(packed.raw, begin, lzma.LZMAError, padded=True))


def _open_lz4(packed: Packed) -> IO[bytes]:
    import lz4.frame  # type: ignore[import-untyped]

    return io.BufferedReader(_Streams(packed.raw, lz4.frame.LZ4FrameDecompressor, RuntimeError))


def _open_zip(packed: Packed) -> IO[bytes]:
    import zipfile

    try:
        archive = zipfile.ZipFile(packed.raw)
        _check_alone(archive, packed)
        info = archive.getinfo(_member(archive.namelist(), packed))
        if info.flag_bits & _ENCRYPTED:
            raise InputError(
                "E-INPUT-PACKED", f"The zip archive '{packed.label}' is encrypted.", "Extract it with its password."
            )
        return io.BufferedReader(_Member(archive.open(info)))
    except zipfile.BadZipFile as error:
        raise UnpackError(str(error)) from error
    except NotImplementedError as error:
        raise InputError(
            "E-INPUT-PACKED",
            f"The zip archive '{packed.label}' uses a method of compression that cannot be read.",
            "Extract it, and give the file inside.",
        ) from error


def _check_alone(archive: zipfile.ZipFile, packed: Packed) -> None:
    """Raise `InputError` where bytes stand before or after an archive, such as another one, which would be ignored."""
    packed.raw.seek(-_END_BYTES - len(archive.comment), io.SEEK_END)
    if min((info.header_offset for info in archive.infolist()), default=0) or packed.raw.read(4) != _END:
        raise InputError(
            "E-INPUT-PACKED",
            f"The input '{packed.label}' is a zip archive with something before or after it, such as another archive.",
            "Give each archive as a file of its own.",
        )


class _Member(io.RawIOBase):
    """A file of a zip archive, whose errors are those of damaged inputs."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        import lzma
        import zipfile

        try:
            return self._stream.readinto(buffer)  # type: ignore[attr-defined, no-any-return]
        except (zipfile.BadZipFile, lzma.LZMAError) as error:
            raise UnpackError(str(error)) from error


def member_of(packed: Packed) -> str:
    """Return the name of the file of a zip archive that is read. Raises `InputError` where that is not one."""
    import zipfile

    try:
        return _member(zipfile.ZipFile(packed.raw).namelist(), packed)
    except zipfile.BadZipFile as error:
        raise UnpackError(str(error)) from error


def _member(names: list[str], packed: Packed) -> str:
    label, member = packed.label, packed.member
    if member is None and (content := of_zip(names)):
        raise wrong_content(label, content)
    files = [name for name in names if not name.endswith("/") and not _is_hidden(name)]
    found = [name for name in files if member is None or _matches(name, member)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"'{redact(name)}'" for name in (found or files)[:_MOST_NAMED])
    more = ", …" * (len(found or files) > _MOST_NAMED)
    if found:
        what = f"has {len(found):,} files" + (f" that match '{member}'" if member else "") + f": {shown}{more}"
    elif files:
        what = f"has no file '{member}', but {shown}{more}"
    else:
        what = "has no files"
    raise InputError(
        "E-INPUT-MEMBER",
        f"The zip archive '{label}' {what}.",
        "Name the one to read (--set input.member=NAME), or extract the archive, and give its files.",
    )


def _is_hidden(name: str) -> bool:
    """Return whether a file is one of those that macOS adds, or is hidden otherwise."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _matches(name: str, member: str) -> bool:
    return name == member or any(fnmatch.fnmatchcase(each, member) for each in (name, PurePosixPath(name).name))


def too_large(error: BaseException) -> bool:
    """Return whether unpacking would need more memory than is allowed."""
    return "memory" in str(error).lower()


PACKINGS: dict[str, Packing] = {
    "gzip": Packing(re.compile(rb"\x1f\x8b"), (".gz", ".gzip"), _open_gzip),
    # Parallel compressors put a frame before the first one that says how long that is.
    "zstd": Packing(re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), (".zst", ".zstd"), _open_zstd),
    "bzip2": Packing(re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), (".bz2",), _open_bz2),
    "xz": Packing(re.compile(rb"\xfd7zXZ\0"), (".xz",), _open_xz),
    "lz4": Packing(re.compile(rb"\x04\x22\x4d\x18"), (".lz4",), _open_lz4),
    "zip": Packing(re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)"), (".zip",), _open_zip),
}
SUFFIXES = tuple(suffix for packing in PACKINGS.values() for suffix in packing.suffixes)
