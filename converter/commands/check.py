"""The check of an inbound file that exists already, before it is sent: its name, size, compression and lines.

1. The name is parsed; the content must fit to it (N1 to N8).
2. The file is read in blocks, which are counted, added to the checksum and decompressed. Nothing more is known of an
   encrypted file.
3. The text is cut into chunks of whole lines, and each chunk is checked at once (`converter.parts.line_checks`),
   several of them at the same time.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np

from converter import kernel
from converter.errors import InputError
from converter.parts.id_patterns import forms_text
from converter.parts.line_checks import ChunkFound, LineChecker
from converter.parts.line_pairs import PairCounters
from converter.parts.line_users import ExactCounts, MixedLines, UserCounters
from converter.parts.problems import Problem, Problems
from converter.parts.reader import CountedBlocks, DamagedError, InboundText, gunzip
from converter.report.foreseen import figures_of
from converter.sources.origins.base import Origin
from converter.sources.packings import PACKINGS, packing_of
from converter.spec.environments import PICKUPS
from converter.spec.files import (
    EMPTY,
    FOLDER_WRONG,
    GZIP_UNNAMED,
    ID_FORM_WRONG,
    IDS_MIXED,
    MASTER_DOUBTFUL,
    NAME_WRONG,
    NO_NEWLINE,
    NOT_ENCRYPTED,
    NOT_GZIP,
    PACKED_OTHERWISE,
    TARGET_MISSING,
    TEXT_TOO_LARGE,
    TIMESTAMP_SHORT,
    TOO_LARGE,
    TYPES_MIXED,
    USER_OVER,
    USERS_UNCOUNTED,
    UTF_16,
    ZERO_DOUBTFUL,
)
from converter.spec.ids import GLOBAL_DATA_SOURCES
from converter.spec.limits import PART_BYTES, PART_RAW_BYTES
from converter.spec.names import WITH_SIGNALS, FileName

BLOCK_BYTES = 1 << 20  # measured: smaller ones take longer, larger ones as long
_AHEAD = 2  # chunks of a file that are checked at the same time, beside the one that is waited for
_HEAD_BYTES = 64
_ENCRYPTED = (".gpg", ".pgp")
_OPENPGP = re.compile(rb"[\x80-\xff]|-----BEGIN PGP MESSAGE")
_UUIDS = 0  # the data source of Audience Manager's own IDs, which are of devices
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Checked:
    """What is known of a file after the check.

    `name` is `None` where it is not that of an inbound file. `bytes` and `crc32` are those of the file as it is;
    `lines` and `raw_bytes` are those of its text, `None` where it is encrypted or damaged. `figures` are numbers of the
    receipt of Audience Manager, as far as they are known, by the keys of `converter.spec.receipts`.
    """

    name: FileName | None
    bytes: int
    crc32: int
    lines: int | None
    raw_bytes: int | None
    findings: tuple[Problem, ...]
    figures: Mapping[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The findings because of which the file should not be sent."""
        return tuple(found for found in self.findings if found.level == "error")


class Workers(NamedTuple):
    """What checks chunks of lines, how many bytes are read at a time, and where the lines of users are counted.

    Without a `pool`, the calling thread checks; without `counters`, users are not looked at, and without `pairs`, IDs
    that belong together are not counted.
    """

    pool: Executor | None = None
    block_bytes: int = BLOCK_BYTES
    counters: UserCounters | None = None
    pairs: PairCounters | None = None


def name_of(origin: Origin) -> str:
    """Return the name of a file, without its folders."""
    if origin.path:
        return origin.path.name
    path = urlsplit(origin.label).path if origin.label.lower().startswith("http") else origin.label
    name = path.rpartition("/")[2]
    return unquote(name) if path is not origin.label else name


ALONE = Workers()


def check_file(origin: Origin, workers: Workers = ALONE) -> Checked:
    """Check an inbound file. Raises `InputError` where it cannot be read."""
    findings = Problems()
    name = _check_name(name_of(origin), origin.label, findings)
    with _reading(origin) as file:
        head = _head_of(file)
        blocks = CountedBlocks(_blocks_of(head, file, workers.block_bytes))
        encrypted = name is not None and name.extension in _ENCRYPTED
        packed = _packing_of(name, head, findings)
        text = None
        if not encrypted and packed in (None, "gzip"):
            text = _check_lines(name, blocks, workers, findings, packed=packed is not None)
        for _ in blocks:  # the rest counts as well
            pass
    if not blocks.bytes or (text and not text.filled):
        findings.note(EMPTY)
    if blocks.bytes > PART_BYTES.value:
        findings.note(TOO_LARGE)
    if text and text.bytes > PART_RAW_BYTES.value:
        findings.note(TEXT_TOO_LARGE)
    lines, raw_bytes = (text.lines, text.bytes) if text else (None, None)
    forms = forms_text(name) if name else ""
    found = [replace(each, text=forms) if each.name == ID_FORM_WRONG.name else each for each in findings.in_order()]
    figures = figures_of(text.received, name.dpids[0]) if text and name and name.kind in WITH_SIGNALS else {}
    return Checked(name, blocks.bytes, blocks.crc32, lines, raw_bytes, tuple(found), figures)


@contextlib.contextmanager
def _reading(origin: Origin) -> Iterator[BinaryIO]:
    try:
        with origin.open() as file:
            yield file
    except OSError as error:
        why = error.strerror or error
        raise InputError("E-FILE-READ", f"The file '{origin.label}' cannot be read: {why}.") from error


def _head_of(file: BinaryIO) -> bytes:
    """Return the first bytes of a file, fewer where it is shorter."""
    head = b""
    while len(head) < _HEAD_BYTES and (more := file.read(_HEAD_BYTES - len(head))):
        head += more
    return head


def _blocks_of(head: bytes, file: BinaryIO, size: int) -> Iterator[bytes]:
    while head:
        yield head[:size]
        head = head[size:]
    yield from iter(lambda: file.read(size), b"")


def _check_name(text: str, label: str, findings: Problems) -> FileName | None:
    """Parse the name, and check that its numbers fit together."""
    try:
        name = FileName.parse(text)
    except ValueError as error:
        short = _short_name(text)
        if short is None:
            findings.note(NAME_WRONG._replace(text=str(error).replace(f"'{text}'", "This")))  # it is shown above
            return None
        findings.note(TIMESTAMP_SHORT)
        name = short
    if name.kind in WITH_SIGNALS:
        if name.dpids[0] in GLOBAL_DATA_SOURCES and name.target is None:
            findings.note(TARGET_MISSING)
        if name.dpids[0] == _UUIDS:
            findings.note(ZERO_DOUBTFUL)
    if name.kind == "id-sync" and name.dpids[0] not in (_UUIDS, *GLOBAL_DATA_SOURCES):
        findings.note(MASTER_DOUBTFUL)
    if not _is_in_its_folder(label):
        findings.note(FOLDER_WRONG)
    return name


def _short_name(text: str) -> FileName | None:
    """Return a name whose timestamp has 9 digits."""
    try:
        return FileName.parse(re.sub(r"_([0-9]{9}\.)", r"_0\1", text, count=1))
    except ValueError:
        return None


def _is_in_its_folder(label: str) -> bool:
    """Return whether a key in a bucket of Audience Manager is `PARTNER/date=YYYY-MM-DD/NAME` (N5)."""
    bucket, _, key = label.removeprefix("s3://").partition("/")
    if not label.startswith("s3://") or bucket not in {pickup.bucket for pickup in PICKUPS.values()}:
        return True
    found = re.fullmatch(r"[^/]+/date=([0-9]{4}-[0-9]{2}-[0-9]{2})/[^/]+", key)
    try:
        return bool(found and datetime.date.fromisoformat(found[1]))
    except ValueError:
        return False


def _packing_of(name: FileName | None, head: bytes, findings: Problems) -> str | None:
    """Return what a file is packed as, by its first bytes, and note where its name says something else."""
    extension = name.extension if name else None
    packing = packing_of(head)
    packed = next((each for each, of_it in PACKINGS.items() if of_it is packing), None)
    if extension in _ENCRYPTED:
        if head and not _OPENPGP.match(head):
            findings.note(NOT_ENCRYPTED)
        return None
    if packed not in (None, "gzip"):
        findings.note(PACKED_OTHERWISE._replace(text=f"The file is {packed}: only gzip is accepted."))
    elif packed and extension == "":
        findings.note(GZIP_UNNAMED)
    elif not packed and extension == ".gz":
        findings.note(NOT_GZIP)
    return packed


def _check_lines(
    name: FileName | None, blocks: Iterable[bytes], workers: Workers, findings: Problems, *, packed: bool
) -> InboundText | None:
    """Check the lines of a file; return `None` where it is damaged, since its content is unknown then."""
    text = InboundText(gunzip(blocks, workers.block_bytes) if packed else blocks)
    found = Problems()
    checker = LineChecker(name, kernel.load(), workers.counters, workers.pairs)
    mixed = MixedLines(name) if name else None
    try:
        for chunk, each in _in_order(checker, text.chunks(workers.block_bytes), workers.pool):
            if name and mixed and each.seen:
                rule = TYPES_MIXED if name.kind == "odc" else IDS_MIXED
                checker.note_lines(each.problems, rule, chunk, mixed.take(chunk, each.seen))
            found.add(each.problems, text.lines)
            text.lines += each.lines
            text.filled = text.filled or each.filled
            text.received = text.received.plus(each.received)
    except DamagedError as error:
        findings.note(error.rule)
        return None
    if not text.whole:
        found.note(NO_NEWLINE, np.array([text.lines]))
    findings.add(found)
    return text


def _in_order(
    checker: LineChecker, chunks: Iterable[bytes], pool: Executor | None
) -> Iterator[tuple[bytes, ChunkFound]]:
    """Yield chunks, in their order, and what they break. Raises `DamagedError` where the first one is not text."""
    waiting: deque[tuple[bytes, Future[ChunkFound]]] = deque()
    for number, chunk in enumerate(chunks):
        if not number and chunk.startswith(_UTF_16):
            raise DamagedError(UTF_16)
        if pool is None:
            yield chunk, checker.check(chunk, first=not number)
            continue
        waiting.append((chunk, pool.submit(checker.check, chunk, first=not number)))
        if len(waiting) > _AHEAD:
            chunk, found = waiting.popleft()
            yield chunk, found.result()
    for chunk, found in waiting:
        yield chunk, found.result()


def users_over(origin: Origin, name: FileName, counters: UserCounters, exact: ExactCounts) -> Problems:
    """Return the lines of a file that users have beyond the limit (C7), by reading it once more.

    `exact` has counted the lines of files before it. Raises `InputError`.
    """
    problems = Problems()
    checker = LineChecker(name, kernel.load())
    for chunk, before in read_again(origin):
        found = Problems()
        checker.note_lines(found, USER_OVER, chunk, exact.over(counters.see(name, chunk, finds=True)))
        problems.add(found, before)
        if exact.is_full:
            problems.note(USERS_UNCOUNTED)
            break
    return problems


def read_again(origin: Origin) -> Iterator[tuple[bytes, int]]:
    """Yield the chunks of a file that has been checked, and how many lines are before each. Raises `InputError`."""
    with _reading(origin) as file:
        head = _head_of(file)
        blocks = _blocks_of(head, file, BLOCK_BYTES)
        text = InboundText(gunzip(blocks, BLOCK_BYTES) if packing_of(head) else blocks)
        for chunk in text.chunks(BLOCK_BYTES):
            yield chunk, text.lines
            text.lines += chunk.count(b"\n")
