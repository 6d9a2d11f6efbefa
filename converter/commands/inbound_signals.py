"""The lines of inbound files that exist, in chunks, for what reads their signals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple

from converter.commands.check import name_of
from converter.errors import Finding, InputError
from converter.kernel.form import SLACK
from converter.parts.reader import DamagedError, InboundText, gunzip
from converter.sources.origins.base import Origin
from converter.spec.names import WITH_SIGNALS, FileName

CHUNK_BYTES = 4 << 20
_READ_BYTES = 1 << 20
_MAGIC = b"\x1f\x8b"
_ENCRYPTED = (".gpg", ".pgp")


class Chunk(NamedTuple):
    """Whole lines, and what they are like: the number of fields before signals, and the key of bare numbers."""

    text: bytes
    leads: int
    codes: str


def parsed_name(origin: Origin) -> FileName | None:
    """Return the name of an inbound file, parsed; `None` where it is none."""
    try:
        return FileName.parse(name_of(origin))
    except ValueError:
        return None


def why_unread(origin: Origin) -> Finding | None:
    """Return why the signals of a file cannot be read, by its name, if they cannot."""
    name, label = parsed_name(origin), origin.label
    if name and name.kind not in WITH_SIGNALS:
        return Finding("W-NO-SIGNALS", f"The file '{label}' holds IDs alone, and no signals: it was not read.")
    if name and name.extension in _ENCRYPTED:
        return Finding("W-NO-SIGNALS", f"The file '{label}' is encrypted: its signals were not read.")
    return None


def chunks_of(origin: Origin) -> Iterator[Chunk]:
    """Yield the lines of an inbound file, in chunks that depend on the file alone. Raises `InputError`."""
    name = parsed_name(origin)
    is_odc = name is not None and name.kind == "odc"
    try:
        with origin.open() as file:
            head = file.read(_READ_BYTES)
            blocks = chain([head], iter(partial(file.read, _READ_BYTES), b""))
            text = InboundText(gunzip(blocks, _READ_BYTES) if head.startswith(_MAGIC) else blocks)
            for chunk in text.chunks(CHUNK_BYTES):
                yield Chunk(chunk[:-SLACK], 2 if is_odc else 1, "d_sid" if is_odc else "ic")
    except OSError as error:
        why = error.strerror or error
        raise InputError("E-FILE-READ", f"The file '{origin.label}' cannot be read: {why}.") from error
    except DamagedError as error:
        raise InputError("E-INPUT-DAMAGED", f"The file '{origin.label}' is damaged: {error.rule.text}") from error
