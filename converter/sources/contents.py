"""What an input holds, by its first bytes: a workbook, an archive, a web page, or a table of another format.

Errors name it: nothing here is read unless an input cannot be opened as what its name or `input.format` says.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from converter.errors import InputError
from converter.jobs.sections.table import Format
from converter.sources.origins.base import Origin

_EXPORT = "Export the table as CSV, NDJSON or Parquet, and give that file."
_SHEET = "Save the sheet as CSV in UTF-8 (in Excel: Save As, CSV UTF-8), and give that file."
_EXTRACT = "Extract it, and give the files inside."
_DECOMPRESS = "Decompress it, or compress it as gzip or zstd."


class Content(NamedTuple):
    """What an input holds: its name with an article, and what to do with it.

    `format` is the format to read it as, if there is one. `packed`: it is an archive, or compressed.
    """

    name: str
    hint: str = _EXPORT
    format: Format | None = None
    packed: bool = False


_WORKBOOK = Content("an Excel workbook (.xlsx)", format="excel")
ZIP = Content("a zip archive", _EXTRACT, packed=True)
"""An archive, which formats of text are read from."""
_MAGIC: tuple[tuple[bytes, Content], ...] = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\x02\x21\x4c\x18", Content("compressed as lz4 of the old kind", _DECOMPRESS, packed=True)),
    (b"\x1f\x9d", Content("compressed by compress (.Z)", _DECOMPRESS, packed=True)),
    (b"\xff\x06\0\0sNaPpY", Content("compressed as Snappy", _DECOMPRESS, packed=True)),
    (b"LZIP", Content("compressed as lzip", _DECOMPRESS, packed=True)),
    (b"\x89LZO\0\r\n\x1a\n", Content("compressed as lzop", _DECOMPRESS, packed=True)),
    (b"7z\xbc\xaf\x27\x1c", Content("a 7-Zip archive", _EXTRACT, packed=True)),
    (b"Rar!\x1a\x07", Content("a RAR archive", _EXTRACT, packed=True)),
    (b"PAR1", Content("a Parquet file", format="parquet")),
    (b"ARROW1", Content("an Arrow file", format="arrow")),
    (b"\xff\xff\xff\xff", Content("an Arrow stream", format="arrow")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Content("an old Excel workbook (.xls), or one with a password", _SHEET)),
    (b"Obj\x01", Content("an Avro file")),
    (b"ORC", Content("an ORC file")),
    (b"SQLite format 3\0", Content("an SQLite database")),
    (b"%PDF-", Content("a PDF document")),
)
MOST_MAGIC = 512
"""How many of the first bytes of an input show what it is."""

_PGP = Content("encrypted with PGP", "Decrypt it: gpg --decrypt FILE > DECRYPTED.")
_PGP_START = re.compile(rb"-----BEGIN PGP MESSAGE|\x84.\x03|\x85..\x03", re.DOTALL)
_TAR = Content("a tar archive", _EXTRACT, packed=True)
_TAR_MAGIC = slice(257, 262)
_JSON = Content("JSON", format="json")
_HTML = Content(
    "an HTML page", "Was a login or error page saved instead of the export? Get the file again, or export it as CSV."
)
_XML = Content("an XML document")
_NDJSON = Content("NDJSON", format="ndjson")
_TEXT = Content("delimited text", format="csv")
_HTML_START = re.compile(rb"<(?:!doctype html|html|head|body|table|meta|script)\b", re.IGNORECASE)
_XML_START = re.compile(rb"<\?xml|<[a-z][\w:.-]*[\s>]", re.IGNORECASE)
_LINES = 20  # the first ones, of which one has to be an object


def packed_content(start: bytes) -> Content | None:
    """Return what a file is compressed as, by its first bytes, where that cannot be read; `None` for any other file."""
    found = _by_magic(start)
    return found if found and found.packed else None


def content_of(start: bytes, text: bytes, origin: Origin) -> Content | None:
    """Return what an input holds; `None` where that is not clear.

    `start` are its first bytes, and `text` those of its text: decompressed and decoded, if it is of text at all.
    """
    found = _by_magic(start)
    if found is ZIP:
        return of_zip(_names_in_zip(origin)) or _by_magic(text) or _of_text(text) or ZIP
    return found or _by_magic(text) or _of_text(text)


def _by_magic(start: bytes) -> Content | None:
    if start[_TAR_MAGIC] == b"ustar":
        return _TAR
    if _PGP_START.match(start):
        return _PGP
    return next((content for magic, content in _MAGIC if start.startswith(magic)), None)


def of_zip(names: Sequence[str]) -> Content | None:
    """Return what a zip with files of these names is, if it is not an archive but the document of an office program."""
    if any(name.startswith("xl/") for name in names):
        return _WORKBOOK
    if names and names[0] == "mimetype":
        return Content("an OpenDocument file, such as a sheet of LibreOffice", _SHEET)
    return None


def _names_in_zip(origin: Origin) -> Sequence[str]:
    # What cannot be listed is still a zip archive, by its first bytes.
    with contextlib.suppress(OSError, zipfile.BadZipFile, ValueError), origin.open() as stream:
        return zipfile.ZipFile(stream).namelist()
    return ()


def _of_text(text: bytes) -> Content | None:
    """Return what a text holds, by its first bytes."""
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _HTML_START.match(text):
        return _HTML
    if _XML_START.match(text):
        return _XML
    if re.match(rb"\[\s*[\[{\"\]0-9]", text):
        return _JSON
    if any(_is_object(line) for line in text.split(b"\n")[:_LINES]):
        return _NDJSON
    if re.match(rb"\{\s*[\"}]", text):
        return _JSON
    # A line at least: what is left of a file that was cut off may be a few letters.
    return _TEXT if b"\n" in text and not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text) else None


def _is_object(line: bytes) -> bool:
    with contextlib.suppress(orjson.JSONDecodeError):  # then it is none
        return isinstance(orjson.loads(line), dict)
    return False


def wrong_content(label: str, content: Content, format_: Format | None = None, *, named: bool = True) -> InputError:
    """Return the error that an input holds something that is not of its format.

    `named`: its name says the format, not `input.format`; `format_` is `None` where neither does.
    """
    if content.packed:
        return InputError("E-INPUT-PACKED", f"The input '{label}' is {content.name}.", content.hint)
    if content.format is None:
        return InputError(
            "E-INPUT-CONTENT", f"The input '{label}' is {content.name}, which cannot be read.", content.hint
        )
    if format_ is None:
        return InputError(
            "E-FORMAT-UNKNOWN",
            f"The format of the input '{label}' is not known from its name.",
            f"It looks like {content.name}: --set input.format={content.format}.",
        )
    reason = "its name" if named else "input.format"
    return InputError(
        "E-INPUT-CONTENT",
        f"The input '{label}' is {content.name}, but is read as {format_} because of {reason}.",
        f"Set the right format: --set input.format={content.format}.",
    )
