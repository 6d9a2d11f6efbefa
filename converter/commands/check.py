"""The check of an inbound file that exists already, as it would be sent: its name, its size, its packing, its lines.

1. The name is taken apart; what it says, the content must be (N1 to N8).
2. The file is read in blocks, each counted, added to the checksum and, where it is gzip, unpacked. Of an encrypted
   file nothing more is known.
3. The running text is cut into stretches of whole lines. Of a line that is too long only so much is kept as shows
   that it is.
4. Each stretch is judged at once: the places of the bytes that matter are compared with those where lines end.

What is found depends on the file alone, never on the blocks. Nothing of the content is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from isal import isal_zlib

from converter.columns.privacy import personal
from converter.errors import InputError, redact
from converter.spec.files import (
    BLANK,
    BYTE_ORDER_MARK,
    CLEARS_USER,
    COLUMN_EMPTY,
    COLUMNS_WRONG,
    CRLF,
    EMPTY,
    ENDS_IN_SPACE,
    ENDS_IN_TAB,
    GZIP_CUT,
    GZIP_DAMAGED,
    GZIP_UNNAMED,
    HASHES_END_IN_TAB,
    HASHES_WRONG,
    ID_RULES,
    LINE_TOO_LONG,
    MASTER_DOUBTFUL,
    MOST_HASHES,
    NAME_WRONG,
    NO_NEWLINE,
    NOT_GZIP,
    NOT_THREE_FIELDS,
    NOT_TWO_FIELDS,
    NOT_UTF8,
    NUL,
    SIGNAL_EMPTY,
    STRAY_RETURN,
    TARGET_MISSING,
    TEXT_TOO_LARGE,
    TOO_LARGE,
    TYPE_MISSING,
    WITHOUT_ID,
    WITHOUT_SIGNAL,
    FileRule,
    Level,
)
from converter.spec.ids import GLOBAL_DATA_SOURCES, PLAIN_IN_ID
from converter.spec.limits import LINE_BYTES, PART_BYTES, PART_RAW_BYTES
from converter.spec.names import FileName

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

BLOCK_BYTES = 1 << 18  # measured: larger ones are no faster
_PACKED_BYTES = 1 << 16  # given to a decompressor at once: what follows a member's end is copied
_SLICE = 1 << 16  # so much stays in the nearest cache, and takes no fresh memory from the system
_NOWHERE: Places = np.zeros(0, np.int64)
_MAGIC = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"
_TAB, _NEWLINE, _RETURN, _SPACE, _QUOTE, _COMMA = b'\t\n\r ",'
_ENCRYPTED = (".gpg", ".pgp")
_UUIDS = 0  # the data source of Audience Manager's own IDs, which are of devices

# With these begins all that a rule on IDs is about, beside bytes below the space: U+0080 to U+009F begin with C2,
# U+FEFF with EF.
_DOUBTFUL_IN_ID = bytes({*range(_SPACE + 1, 0x80)} - {*PLAIN_IN_ID}) + b"\xc2\xef"


@dataclass(frozen=True)
class Problem:
    """A rule that a file breaks: its code, its name, what is wrong, and how serious that is.

    `line` is the first physical line that breaks it, counted from 1, and `lines` says how many do; nothing and 0
    where the rule is about the file as a whole.
    """

    code: str
    name: str
    text: str
    line: int | None
    lines: int
    level: Level


@dataclass(frozen=True)
class Checked:
    """What is known of a file once it is checked.

    `name` is nothing where it is not that of an inbound file; `bytes` and `crc32` are those of the file as it is;
    `lines` and `raw_bytes`, of its text, are nothing where it is encrypted or damaged.
    """

    name: FileName | None
    bytes: int
    crc32: int
    lines: int | None
    raw_bytes: int | None
    findings: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The findings for which the file should not be sent."""
        return tuple(found for found in self.findings if found.level == "error")


def check_file(path: Path, block_bytes: int = BLOCK_BYTES) -> Checked:
    """Check an inbound file, of which `block_bytes` are read at once. Raises `InputError` where it cannot be read."""
    findings = _Findings()
    name = _name(path, findings)
    try:
        with path.open("rb") as file:
            packed = file.peek(len(_MAGIC))[: len(_MAGIC)] == _MAGIC
            blocks = _Blocks(iter(lambda: file.read(block_bytes), b""))
            encrypted = name is not None and name.extension in _ENCRYPTED
            text = None if encrypted else _judged(name, blocks, block_bytes, findings, packed=packed)
            for _ in blocks:  # what nobody wanted counts as well
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


class _Findings:
    """The rules that are broken so far."""

    def __init__(self) -> None:
        self._found: dict[FileRule, Problem] = {}

    def note(self, rule: FileRule, lines: Places | None = None) -> None:
        """Note a rule that the file breaks, or that some of its lines do: their numbers, each once, ascending."""
        if lines is None:
            self._found[rule] = Problem(rule.code, rule.name, rule.text, None, 0, rule.level)
        elif len(lines):
            before = self._found.get(rule)
            first, count = (before.line, before.lines) if before else (int(lines[0]), 0)
            self._found[rule] = Problem(rule.code, rule.name, rule.text, first, count + len(lines), rule.level)

    def add(self, others: _Findings) -> None:
        """Take over what was found elsewhere."""
        self._found |= others._found

    def in_order(self) -> tuple[Problem, ...]:
        """Return the errors and then the warnings, those about the whole file first, then by their first line."""
        return tuple(sorted(self._found.values(), key=lambda each: (each.level, each.line or 0, each.name)))


def _name(path: Path, findings: _Findings) -> FileName | None:
    """Take the name apart, and see whether its numbers go together."""
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


class _Blocks:
    """The blocks of a file, counted and added to its checksum as they are taken."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.bytes = self.crc32 = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.bytes += len(block)
            self.crc32 = isal_zlib.crc32(block, self.crc32)
            yield block


class _DamagedError(Exception):
    """The file cannot be unpacked; the rule says why."""

    def __init__(self, rule: FileRule) -> None:
        self.rule = rule


def _unpacked(blocks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Unpack gzip of one or more members, `most` bytes at a time. Raises `_DamagedError`."""
    member = None
    for block in blocks:
        for start in range(0, len(block), _PACKED_BYTES):
            packed = block[start : start + _PACKED_BYTES]
            while packed or member:
                member = member or isal_zlib.decompressobj(16 + isal_zlib.MAX_WBITS)
                try:
                    text = member.decompress(packed, most)
                except isal_zlib.error as error:  # type: ignore[misc]  # declared as an object, not as a class
                    raise _DamagedError(GZIP_DAMAGED) from error
                yield text
                if member.eof:
                    packed, member = member.unused_data, None
                    continue
                packed = member.unconsumed_tail
                if not packed and len(text) < most:  # else there may be more in the decompressor
                    break
    if member:
        raise _DamagedError(GZIP_CUT)


class _Text:
    """The running text of a file: cut into stretches of whole lines, and counted."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._texts = texts
        self.bytes = self.lines = 0
        self.filled = False
        """Whether there is a line that is not blank."""
        self.whole = True
        """Whether the last line ends in a newline."""

    def stretches(self, size: int) -> Iterator[bytes]:
        """Yield stretches of `size` bytes or somewhat more; each ends in a newline, if need be in one of its own."""
        longer = LINE_BYTES.value + 1  # so much of a line shows that it is too long
        lines: list[memoryview | bytes] = []
        tail: list[memoryview | bytes] = []
        held = tail_bytes = 0
        for text in self._texts:
            self.bytes += len(text)
            view = memoryview(text)
            if end := text.rfind(b"\n") + 1:
                lines += [*tail, view[:end]]
                held += tail_bytes + end
                tail, tail_bytes = [], 0
            if rest := view[end : end + longer - tail_bytes]:
                tail.append(rest)
                tail_bytes += len(rest)
            if held >= size:
                yield b"".join(lines)
                lines, held = [], 0
        self.whole = not tail
        if tail:
            lines += [*tail, b"\n"]
        if lines:
            yield b"".join(lines)


def _judged(
    name: FileName | None, blocks: Iterable[bytes], block_bytes: int, findings: _Findings, *, packed: bool
) -> _Text | None:
    """Judge the lines of a file; nothing where it is damaged, since nobody can tell then what it holds."""
    text = _Text(_unpacked(blocks, block_bytes) if packed else blocks)
    found = _Findings()
    judge = _Judge(name, text, found)
    try:
        for stretch in text.stretches(block_bytes):
            judge.judge(stretch)
    except _DamagedError as error:
        findings.note(error.rule)
        return None
    if not text.whole:
        found.note(NO_NEWLINE, np.array([text.lines]))
    findings.add(found)
    return text


class _Lines(NamedTuple):
    """Lines of a text: their numbers, where they start, stop and end (with the newline), and whether they are blank.

    The tabs of line i are `tabs[first[i]]` and those after it, `counts[i]` in all; `controls` are the places of all
    bytes below the space, and `control` says which it is.
    """

    text: bytes
    array: Bytes
    numbers: Places
    starts: Places
    stops: Places
    ends: Places
    blank: Truths
    tabs: Places
    first: Places
    counts: Places
    controls: Places
    control: Bytes

    @classmethod
    def of(cls, text: bytes, number: int) -> _Lines:
        """Find what stands where in a text that ends in a newline; its first line has this number."""
        array = np.frombuffer(text, np.uint8)
        controls = _places(len(array), lambda part: array[part] < _SPACE)  # one search for all: it takes the time
        control = array[controls]
        is_end, is_tab = control == _NEWLINE, control == _TAB
        ends = controls[is_end]
        starts = _shifted(ends + 1)
        stops = ends - ((array[ends - 1] == _RETURN) & (ends > starts))
        until = np.cumsum(is_tab)[is_end]
        first = _shifted(until)
        numbers = np.arange(number, number + len(ends))
        blank = starts == stops
        return cls(
            text, array, numbers, starts, stops, ends, blank, controls[is_tab], first, until - first, controls, control
        )


class _Judge:
    """Judges lines by the kind of their file; where that is not known, by what holds for any file."""

    def __init__(self, name: FileName | None, text: _Text, findings: _Findings) -> None:
        self._name = name
        self._text = text
        self._note = findings.note

    def judge(self, stretch: bytes) -> None:
        """Judge the next lines."""
        lines = _Lines.of(stretch, self._text.lines + 1)
        self._text.lines += len(lines.ends)
        lengths = lines.ends + 1 - lines.starts
        if int(lengths.max()) > LINE_BYTES.value:  # they are left out of all that follows
            self._text.filled = True
            short = lengths <= LINE_BYTES.value
            self._note(LINE_TOO_LONG, lines.numbers[~short])
            if not short.any():
                return
            left = _Lines.of(lines.array[np.repeat(short, lengths)].tobytes(), 0)
            lines = left._replace(numbers=lines.numbers[short])
        if lines.numbers[0] == 1 and lines.text.startswith(_MARK):
            self._note(BYTE_ORDER_MARK, lines.numbers[:1])
            lines = _Lines.of(lines.text[len(_MARK) :], 1)._replace(numbers=lines.numbers)
        self._judge_lines(lines)

    def _judge_lines(self, lines: _Lines) -> None:
        def numbers_of(places: Places) -> Places:
            return lines.numbers[_once(np.searchsorted(lines.ends, places))]

        if not lines.text.isascii() and not _is_utf8(lines.text):
            self._note(NOT_UTF8, numbers_of(_not_utf8(lines.array)))
        if len(lines.controls) > len(lines.ends) + len(lines.tabs):
            self._note(NUL, numbers_of(lines.controls[lines.control == 0]))
            returns = lines.controls[lines.control == _RETURN]
            self._note(STRAY_RETURN, numbers_of(returns[lines.array[returns + 1] != _NEWLINE]))
            self._note(CRLF, lines.numbers[lines.stops < lines.ends])
        self._note(BLANK, lines.numbers[lines.blank])
        self._text.filled = self._text.filled or not lines.blank.all()
        if self._name:
            judge = self._judge_signals if self._name.kind in ("data", "odc") else self._judge_columns
            judge(lines, self._name)

    def _judge_signals(self, lines: _Lines, name: FileName) -> None:
        """Judge lines of signals: an ID, or a type and an ID, and then the signals."""
        array, typed = lines.array, name.kind == "odc"
        right = lines.counts == 1 + typed
        self._note(NOT_THREE_FIELDS if typed else NOT_TWO_FIELDS, lines.numbers[~right & ~lines.blank])
        numbers, starts, stops = lines.numbers[right], lines.starts[right], lines.stops[right]
        tabs = lines.tabs[lines.first[right] + typed]  # before the signals
        if typed:
            before = lines.tabs[lines.first[right]]
            self._note(TYPE_MISSING, numbers[starts == before])
            starts = before + 1
        self._note(WITHOUT_ID, numbers[starts == tabs])
        none = tabs + 1 == stops
        self._note(CLEARS_USER if name.mode == "overwrite" else WITHOUT_SIGNAL, numbers[none])
        gaps = (array[tabs + 1] == _COMMA) | (array[stops - 1] == _COMMA)
        commas, after = array[:-1], array[1:]
        places = _places(len(commas), lambda part: (commas[part] == _COMMA) & (after[part] == _COMMA))
        if len(places):
            gaps |= _gaps(array, places, tabs, stops)
        self._note(SIGNAL_EMPTY, numbers[gaps])
        self._judge_ids(lines, numbers, starts, tabs)

    def _judge_columns(self, lines: _Lines, name: FileName) -> None:
        """Judge lines of IDs that belong together."""
        hashes = name.kind == "c2c-id-sync"
        last = lines.array[lines.stops - 1]
        in_tab = ~lines.blank & (last == _TAB)
        self._note(HASHES_END_IN_TAB if hashes else ENDS_IN_TAB, lines.numbers[in_tab])
        self._note(ENDS_IN_SPACE, lines.numbers[~lines.blank & (last == _SPACE)])
        columns = lines.counts + 1 - in_tab  # the tab at the end is told already
        least, most = (2, 1 + MOST_HASHES) if hashes else (len(name.dpids),) * 2
        right = ~lines.blank & (columns >= least) & (columns <= most)
        self._note(HASHES_WRONG if hashes else COLUMNS_WRONG, lines.numbers[~right & ~lines.blank])
        between = np.repeat(right, lines.counts)
        between[(lines.first + lines.counts - 1)[in_tab]] = False
        tabs = lines.tabs[between]
        ends_line = np.zeros(int(columns[right].sum()), np.bool_)  # of each column
        ends_line[np.cumsum(columns[right]) - 1] = True
        starts, stops = np.empty((2, len(ends_line)), np.int64)
        stops[ends_line], stops[~ends_line] = (lines.stops - in_tab)[right], tabs
        begins_line = np.roll(ends_line, 1)
        starts[begins_line], starts[~begins_line] = lines.starts[right], tabs + 1
        numbers = np.repeat(lines.numbers[right], columns[right])
        self._note(COLUMN_EMPTY, _once(numbers[starts == stops]))
        self._judge_ids(lines, numbers, starts, stops)

    def _judge_ids(self, lines: _Lines, numbers: Places, starts: Places, stops: Places) -> None:
        """Judge IDs, of which the numbers of their lines are given: the few that hold a doubtful byte, by the rules."""
        places = _doubtful(lines)
        of_id = np.searchsorted(stops, places, side="right")
        places, of_id = places[of_id < len(stops)], of_id[of_id < len(stops)]
        doubtful = _once(of_id[places >= starts[of_id]])
        if not len(doubtful):
            return
        ids = _cut_out(lines.array, starts[doubtful], stops[doubtful])
        for rule, file_rule in ID_RULES:
            rejects = rule.rejects(pl.col("id"), personal(pl.col("id")))
            # White space around an ID hides nothing, and where it is a control character it counts itself.
            broken = [
                each.to_frame("id").select(rejects.fill_null(value=False)).to_series()
                for each in (ids, ids.str.strip_chars())
            ]
            self._note(file_rule, _once(numbers[doubtful[(broken[0] | broken[1]).to_numpy()]]))


def _shifted(ends: Places) -> Places:
    """Return where each begins, where one ends with the next one's begin."""
    return np.concatenate([np.zeros(1, ends.dtype), ends[:-1]])


def _once(places: Places) -> Places:
    """Leave out what is there already; the places ascend."""
    once: Places = places[np.diff(places, prepend=-1) != 0]
    return once


def _gaps(array: Bytes, places: Places, tabs: Places, stops: Places) -> Truths:
    """Say of each line whether one of the places is in its signals, outside quotes."""
    line = np.searchsorted(stops, places)
    inside = line < len(stops)
    places, line = places[inside], line[inside]
    quotes = np.flatnonzero(array == _QUOTE)
    quoted = np.searchsorted(quotes, places) - np.searchsorted(quotes, tabs[line])
    gaps = np.zeros(len(tabs), np.bool_)
    gaps[line[(places > tabs[line]) & (quoted & 1 == 0)]] = True
    return gaps


def _doubtful(lines: _Lines) -> Places:
    """Return the places of all bytes that a rule on IDs could be about."""
    there = [byte for byte in _DOUBTFUL_IN_ID if byte in lines.text]  # much faster than to compare each
    places = _places(len(lines.array), lambda part: _any_of(lines.array[part], there)) if there else _NOWHERE
    if len(lines.controls) > len(lines.ends) + len(lines.tabs):
        others = lines.controls[(lines.control != _TAB) & (lines.control != _NEWLINE)]
        places = np.sort(np.concatenate([places, others]))
    return places


def _places(size: int, test: Callable[[slice], Truths]) -> Places:
    """Return the places for which a test holds, which is asked for a slice at a time: what it makes stays small."""
    starts = range(0, size, _SLICE)
    return np.concatenate([_NOWHERE, *(np.flatnonzero(test(slice(at, at + _SLICE))) + at for at in starts)])


def _any_of(array: Bytes, wanted: Sequence[int]) -> Truths:
    """Say of each byte whether it is one of those."""
    found: Truths = array == wanted[0]
    for byte in wanted[1:]:
        found |= array == byte
    return found


def _cut_out(array: Bytes, starts: Places, stops: Places) -> pl.Series:
    """Return texts, none of which holds a newline, as a column."""
    lengths = stops - starts + 1  # and what stands behind each
    ends = np.cumsum(lengths)
    text = array[np.arange(ends[-1]) + np.repeat(starts - ends + lengths, lengths)]
    text[ends - 1] = _NEWLINE
    return pl.Series([text[:-1].tobytes().decode(errors="replace")]).str.split("\n").explode()


def _is_utf8(text: bytes) -> bool:
    try:
        pl.Series([text], dtype=pl.Binary).cast(pl.String)  # several times as fast as Python's own decoding
    except pl.exceptions.ComputeError:
        return False
    return True


def _not_utf8(text: Bytes) -> Places:
    """Return places in a text of lines that are not UTF-8, one or more in every line that is not.

    The well-formed byte sequences are those of table 3-7 of the Unicode standard. What is cut off at a line's end
    does not touch the next line.
    """
    inside = text != _NEWLINE
    high, two, three, four = (text >= least for least in (0x80, 0xC0, 0xE0, 0xF0))
    expected = np.zeros(len(text), np.bool_)
    expected[1:] |= two[:-1]
    expected[2:] |= three[:-2] & inside[1:-1]
    expected[3:] |= four[:-3] & inside[1:-2] & inside[2:-1]
    after = np.append(text[1:], np.uint8(_NEWLINE))
    wrong = expected != (high & ~two)
    wrong |= (two & (text < 0xC2)) | (text >= 0xF5)
    for byte, least, most in ((0xE0, 0xA0, 0xBF), (0xED, 0x80, 0x9F), (0xF0, 0x90, 0xBF), (0xF4, 0x80, 0x8F)):
        wrong |= (text == byte) & ((after < least) | (after > most))
    return np.flatnonzero(wrong)
