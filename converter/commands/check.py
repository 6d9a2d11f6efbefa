"""The check of an inbound file that exists already, before it is sent: its name, size, compression and lines.

1. The name is parsed; the content must fit to it (N1 to N8).
2. The file is read in blocks, which are counted, added to the checksum and decompressed. Nothing more is known of an
   encrypted file.
3. The text is cut into chunks of whole lines, and each chunk is checked at once (`converter.parts.line_checks`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converter import kernel
from converter.errors import InputError, redact
from converter.parts.line_checks import LineChecker, Problem, Problems
from converter.parts.reader import CountedBlocks, DamagedError, InboundText, gunzip
from converter.spec.files import (
    EMPTY,
    GZIP_UNNAMED,
    MASTER_DOUBTFUL,
    NAME_WRONG,
    NO_NEWLINE,
    NOT_GZIP,
    TARGET_MISSING,
    TEXT_TOO_LARGE,
    TOO_LARGE,
)
from converter.spec.ids import GLOBAL_DATA_SOURCES
from converter.spec.limits import PART_BYTES, PART_RAW_BYTES
from converter.spec.names import FileName

BLOCK_BYTES = 1 << 20  # measured: smaller ones take longer, larger ones as long
_MAGIC = b"\x1f\x8b"
_ENCRYPTED = (".gpg", ".pgp")
_UUIDS = 0  # the data source of Audience Manager's own IDs, which are of devices


@dataclass(frozen=True)
class Checked:
    """What is known of a file after the check.

    `name` is `None` where it is not that of an inbound file. `bytes` and `crc32` are those of the file as it is;
    `lines` and `raw_bytes` are those of its text, `None` where it is encrypted or damaged.
    """

    name: FileName | None
    bytes: int
    crc32: int
    lines: int | None
    raw_bytes: int | None
    findings: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The findings because of which the file should not be sent."""
        return tuple(found for found in self.findings if found.level == "error")


def check_file(path: Path, block_bytes: int = BLOCK_BYTES) -> Checked:
    """Check an inbound file, reading `block_bytes` at a time. Raises `InputError` where it cannot be read."""
    findings = Problems()
    name = _check_name(path, findings)
    try:
        with path.open("rb") as file:
            packed = file.peek(len(_MAGIC))[: len(_MAGIC)] == _MAGIC
            blocks = CountedBlocks(iter(lambda: file.read(block_bytes), b""))
            encrypted = name is not None and name.extension in _ENCRYPTED
            text = None if encrypted else _check_lines(name, blocks, block_bytes, findings, packed=packed)
            for _ in blocks:  # the rest counts as well
                pass
    except OSError as error:
        raise InputError("E-FILE-READ", f"The file '{path}' cannot be read: {error.strerror or error}.") from error
    if name and packed and not name.extension:
        findings.note(GZIP_UNNAMED)
    if name and not packed and name.extension == ".gz":
        findings.note(NOT_GZIP)
    if not blocks.bytes or (text and not text.filled):
        findings.note(EMPTY)
    if blocks.bytes > PART_BYTES.value:
        findings.note(TOO_LARGE)
    if text and text.bytes > PART_RAW_BYTES.value:
        findings.note(TEXT_TOO_LARGE)
    return Checked(
        name,
        blocks.bytes,
        blocks.crc32,
        text.lines if text else None,
        text.bytes if text else None,
        findings.in_order(),
    )


def _check_name(path: Path, findings: Problems) -> FileName | None:
    """Parse the name, and check that its numbers fit together."""
    try:
        name = FileName.parse(path.name)
    except ValueError as error:
        findings.note(NAME_WRONG._replace(text=str(error).replace(path.name, redact(path.name))))
        return None
    if name.kind in ("data", "odc") and name.dpids[0] in GLOBAL_DATA_SOURCES and name.target is None:
        findings.note(TARGET_MISSING)
    if name.kind == "id-sync" and name.dpids[0] not in (_UUIDS, *GLOBAL_DATA_SOURCES):
        findings.note(MASTER_DOUBTFUL)
    return name


def _check_lines(
    name: FileName | None, blocks: Iterable[bytes], block_bytes: int, findings: Problems, *, packed: bool
) -> InboundText | None:
    """Check the lines of a file; return `None` where it is damaged, since its content is unknown then."""
    text = InboundText(gunzip(blocks, block_bytes) if packed else blocks)
    found = Problems()
    checker = LineChecker(name, text, found, kernel.load())
    try:
        for chunk in text.chunks(block_bytes):
            checker.check(chunk)
    except DamagedError as error:
        findings.note(error.rule)
        return None
    if not text.whole:
        found.note(NO_NEWLINE, np.array([text.lines]))
    findings.add(found)
    return text
