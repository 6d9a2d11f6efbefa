"""The compiled loops against slow twins in Python, with an unreadable page right behind, or before, every buffer.

    python -m tests.fuzz [--seconds 60] [--seed N]

Each case calls one entry with drawn input, sound or damaged. A read or a write outside of a buffer ends the process with
signal 11; its seed is printed before.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import itertools
import json
import mmap
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from converter import kernel
from converter.columns.buffers import Chunk, Views
from converter.kernel import sink
from converter.kernel.calls import Loops, SplitStructure
from converter.kernel.form import (
    CODES,
    CONSTANT,
    DROP,
    ESCAPED,
    HASHED_ADDRESS,
    ID_FORMS,
    INSIDE,
    KEPT,
    MOST_COMMA,
    NO_NULLS,
    NOT_HASHED,
    NULLS_IRREGULAR,
    PAIR,
    REJECT,
    REMOVED,
    SLACK,
    TRAITS,
    VALUES,
    Form,
    Grammar,
    Layout,
    LineId,
    LinePart,
    LineSteps,
)
from converter.kernel.keys import Keys
from converter.kernel.sink import NOT_JSON, NOT_UTF8, UNCERTAIN, Lines, Parsed
from converter.rows.delta import keyed
from converter.sources.cuts import Cuts
from converter.sources.json_rows import split

from . import objects
from .fuzz_columns import fuzz_columns
from .fuzz_earlier import fuzz_damaged, fuzz_earlier
from .fuzz_gather import fuzz_gather, fuzz_partition, fuzz_users
from .fuzz_known import fuzz_known
from .fuzz_lines import fuzz_checked_lines
from .fuzz_seen import fuzz_seen_users
from .scanner import PLAIN, scan

Bytes = npt.NDArray[np.uint8]
_PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
_kept: list[tuple[mmap.mmap, Bytes]] = []

KEYS = [b"id", b"a", b"b", b"t", b"c"]
COLUMNS = [*map(bytes.decode, KEYS), "o.p", "o.q.r"]
OBJECT_KEYS = Keys(COLUMNS, {objects.EXACT}, {"t", "c"}, {"b"})
ID = b"abcXYZ019-"
_IMPLAUSIBLE = re.compile(rb"^[=']|.[eE][+-][0-9]{1,3}$|[.,]0+$|^\{\{|^\$\{|\}\}$")
"""What is an implausible ID, and some that only resemble one: all of these are irregular."""
_HASH_OR_ADDRESS = re.compile(rb"[0-9A-Fa-f]{64}|[^@\s]+@[^@\s]+\.[^@\s]+")
TEXT = b"ab z"
ROW_KEYS = [b"k", b"k1", b"k2", b"key-2", b"k" * 63, b"k" * 64, b"k" * 65, b"j" * 64, b"k" * 90]
ITEM = objects.ITEM.encode()
BAD = [b'"', b"\n", b"\x01", b"@", b",", b"\xff", b"\r", b"\x7f", b"\xc2\x85\xc2\x9f", b"\xc2\xa9"]


class Guarded:
    """Memory of any size next to an unreadable page, at its end or at its start; stands for a pool."""

    def __init__(self, drawn: random.Random) -> None:
        self._drawn = drawn

    def lease(self, size: int) -> Bytes:
        """Return `size` bytes, filled with what nobody has written."""
        pages = -(-size // _PAGE) or 1
        memory = mmap.mmap(-1, (pages + 1) * _PAGE)
        whole = np.frombuffer(memory, np.uint8)
        at_end = self._drawn.random() < 0.7
        guard = whole.ctypes.data + (pages * _PAGE if at_end else 0)
        assert _libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(_PAGE), 0) == 0
        part = whole[pages * _PAGE - size : pages * _PAGE] if at_end else whole[_PAGE : _PAGE + size]
        part[:] = 0xA5
        _kept.append((memory, whole))
        return part

    def of(self, content: bytes) -> Bytes:
        """Return memory that holds the content."""
        memory = self.lease(len(content))
        memory[:] = np.frombuffer(content, np.uint8)
        return memory


def text_of(drawn: random.Random, alphabet: bytes, most: int, bad: float = 0.03) -> bytes:
    """A text, sometimes long, sometimes with a byte that makes a row irregular."""
    length = drawn.choice([0, 1, 3, 12, 13, 16, 31, 33, 63, 64, 65, 130, drawn.randrange(most)])
    text = bytes(drawn.choices(alphabet, k=min(length, most)))
    if drawn.random() < bad:
        at = drawn.randrange(len(text) + 1)
        text = text[:at] + drawn.choice(BAD) + text[at:]
    return text


def list_of(drawn: random.Random, alphabet: bytes) -> bytes:
    """Items of a list; seldom is one empty."""
    items = [text_of(drawn, alphabet, 20, 0.005) or b"7" for _ in range(drawn.choice([0, 1, 2, 5, 40]))]
    return b"|".join(items) + b"|" * (drawn.random() < 0.03)


class FormTwin(NamedTuple):
    """A form for rows of an ID, two values, a list of digits and a list of codes, and what it is made of."""

    form: Form
    ids: list[LineId]
    parts: list[LinePart]
    on_bad: int
    comma: bytes | None
    lead: bytes
    nulls: list[bytes]
    doubted: list[bytes]
    no_ids: list[bytes]
    clears: bool
    of_ids: list[FormTwin | None]

    def line(self, fields: list[bytes]) -> tuple[bytes, bool, Counter[str]]:
        """The line of a row, whether it must be left out, and what is counted if it is not."""
        counts: Counter[str] = Counter()
        if self.of_ids:
            own = self.of_ids[form_of_id(fields[0])]
            return own.line(fields) if own else (b"", True, counts)
        ids = [self._id(id_, fields[0], counts) for id_ in self.ids]
        wrong = any(0 in id_ for id_ in ids)
        signals, is_empty = [], True
        for number, part in enumerate(self.parts):
            value, prefix = fields[part.column], part.prefix
            if part.key_column >= 0:
                wrong |= fields[part.key_column] not in part.keys
                prefix += fields[part.key_column] + b'"="'
            if value and value in self.nulls and part.nulls != NO_NULLS and part.kind != CONSTANT:
                wrong |= part.nulls == NULLS_IRREGULAR
                value = b""
            is_empty &= not value and part.kind != CONSTANT
            if part.kind == CONSTANT:
                signals.append(part.prefix)
            elif not value:
                counts["missing"] += part.kind in (PAIR, VALUES)
            elif part.kind == PAIR:
                counts[f"doubted{number}"] += value in self.doubted
                wrong |= b"@" in value or value[0] == 0x1A
                value = self._changed(value, counts)
                wrong |= value is None
                signals += [prefix + value + b'"'] if value else []
            elif part.kind == VALUES:
                values, is_wrong = self._values(part, value, counts)
                wrong |= is_wrong
                signals += values
            else:
                items = value.split(b"|")
                signals += [part.prefix + item for item in items]
                wrong |= not all(items)
                wrong |= part.kind == TRAITS and not all(item.isdigit() for item in items)
                wrong |= any(byte <= 32 or byte > 126 or byte in b'",@' for byte in value)
        counts["signals"] = len(signals)
        line = self.lead + b"\t".join(ids) + b"\t" * bool(self.parts) + b",".join(signals) + b"\n"
        return line, wrong or (bool(self.parts) and not signals and not (self.clears and is_empty)), counts

    def _values(self, part: LinePart, text: bytes, counts: Counter[str]) -> tuple[list[bytes], bool]:
        """The pairs of a list of values, and whether the row must be left out."""
        separator = bytes([part.separator])
        wrong = separator != ITEM != text[:1] and (text[:1] in b"[{" or _may_be_space(text[0]))
        items = text[1:].split(ITEM) if text.startswith(ITEM) else text.split(separator)
        items = [item for item in items if item and item not in self.nulls]
        counts["missing"] += not items
        pairs = []
        for item in items:
            last = item.rstrip(bytes(range(0x80, 0xC0)))[-1:] or item[:1]
            last = last if item[-1] >= 0x80 and last[0] >= 0xC0 else item[-1:]
            wrong |= _may_be_space(item[0]) or _may_be_space(last[0]) or item in self.doubted
            wrong |= b"@" in item or item[0] == 0x1A
            changed = self._changed(item, counts)
            wrong |= changed is None
            pairs += [part.prefix + changed + b'"'] if changed else []
        return pairs, wrong

    def _id(self, id_: LineId, text: bytes, counts: Counter[str]) -> bytes:
        """An ID after its steps, with a NUL where it is irregular."""
        whole = text
        if not text or (text in self.nulls and id_.nulls):
            return b"\0"
        if id_.hashed != NOT_HASHED and text.strip(b" ") != text:
            return b"\0"
        if steps := id_.steps:
            if not all(0x20 < text[at] < 0x7F for at in (0, -1)):
                return b"\0"
            changes = {
                "cut_prefix": lambda text: text.removeprefix(steps.cut_prefix),
                "cut_suffix": lambda text: text.removesuffix(steps.cut_suffix),
                "remove": lambda text: bytes(byte for byte in text if steps.kept[byte] != REMOVED),
                "strip_zeros": lambda text: (text.lstrip(b"0") or text[-1:]) if steps.strip_zeros else text,
                "pad": lambda text: text.rjust(steps.pad, b"0") if text else b"\0",
            }
            for name, change in changes.items():
                changed = change(text)
                counts[name] += changed != text
                text = changed
                if name == "cut_suffix" and any(not steps.kept[byte] for byte in text):
                    return b"\0"
        mapped = text.translate(id_.table.tobytes())
        counts["case"] += mapped != text
        if id_.name and (whole == id_.name or mapped in self.no_ids or _IMPLAUSIBLE.search(mapped)):
            return b"\0"
        made = id_.prefix + mapped + id_.suffix
        if id_.hashed == HASHED_ADDRESS and not _HASH_OR_ADDRESS.fullmatch(made):
            return b"\0"
        if id_.hashed != NOT_HASHED:
            before = made
            is_hash = re.fullmatch(rb"[0-9A-Fa-f]{64}", made)
            made = made.lower() if is_hash else hashlib.sha256(made).hexdigest().encode()
            counts["hash"] += made != before
        return made

    def _changed(self, value: bytes, counts: Counter[str]) -> bytes | None:
        if re.search(rb'["\x00-\x1f\x7f]|\xc2[\x80-\x9f]', value):
            if self.on_bad == REJECT:
                return None
            counts["dropped" if self.on_bad == DROP else "cleaned"] += 1
            value = (
                b""
                if self.on_bad == DROP
                else re.sub(rb"(?:[\x00-\x1f\x7f]|\xc2[\x80-\x9f])+", b" ", value).replace(b'"', b"'")
            )
        if b"," in value and self.comma is not None:
            counts["commas"] += 1
            value = value.replace(b",", self.comma)
            return value if len(self.comma) <= MOST_COMMA and b"@" not in self.comma else None
        return value


_DEVICE = rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"


def form_of_id(id_: bytes) -> int:
    """What an ID is by its form: an index in `ID_FORMS`."""
    forms = rb"[0-9]{38}", rb"(?=.*[a-f])" + _DEVICE, rb"(?=.*[A-F])" + _DEVICE, rb"[0-9A-Fa-f]{64}"
    found = next((number for number, form in enumerate(forms) if re.fullmatch(form, id_)), ID_FORMS.index("other"))
    return ID_FORMS.index("gaid") if re.fullmatch(rb"[0-9-]*", id_) and re.fullmatch(_DEVICE, id_) else found


def _may_be_space(byte: int) -> bool:
    return byte <= 0x20 or byte in (0xC2, 0xE1, 0xE2, 0xE3)


def form_of(drawn: random.Random) -> FormTwin:
    """A form."""
    prefixes = [b'"a"="', b'"%b"="' % (b"k" * drawn.randrange(40)), b"d_sid=", b"ic="]
    parts = [
        LinePart(PAIR, 1, 0, prefixes[0], drawn.random() < 0.5),
        LinePart(PAIR, 2, 0, prefixes[1]),
        LinePart(TRAITS, 3, ord("|"), prefixes[2]),
        LinePart(CODES, 4, ord("|"), prefixes[3]),
        LinePart(CONSTANT, 0, 0, b'"c"="x"'),
        LinePart(PAIR, 2, 0, b'"', drawn.random() < 0.5, key_column=4, keys=drawn.sample(ROW_KEYS, drawn.randrange(6))),
        LinePart(VALUES, 2, drawn.choice(b" \x1fz"), prefixes[1]),
    ]
    parts = [replace(part, nulls=drawn.randrange(3)) for part in parts]
    parts = drawn.sample(parts, drawn.randrange(drawn.random() < 0.9, 8))
    own, upper = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    for byte in ID + b"e+.,'={}$" + drawn.choice([b"", b"@ "]):
        own[byte], upper[byte] = byte, bytes([byte]).upper()[0]
    tables = drawn.choice([[own], [own], [own, upper]])
    on_bad, comma = drawn.randrange(3), drawn.choice([None, None, b"", b";", b" and ", b"x" * 16, b"x" * 17, b"@"])
    ids = [id_of(drawn, table) for table in tables]
    nulls = drawn.choice([[], [], [b"id", b"a"], [b"7", b"a" * 63, b"a" * 64, b"b" * 130, b""]])
    lead = drawn.choice([b"", b"", b"gaid\t", b'"@\t,' * drawn.randrange(20)])
    doubted, no_ids = ([b"a", b"b ", b"id", b"A", b"ID"][: drawn.randrange(6)] for _ in range(2))
    longest = drawn.choice([30, 200, 10**6])
    words: dict[str, list[bytes]] = {"nulls": nulls, "doubted": doubted, "no_ids": no_ids}
    numbered, clears = (drawn.random() < 0.5 for _ in range(2))

    def twin_of(ids: list[LineId], of_ids: list[FormTwin | None]) -> FormTwin:
        forms = [each and each.form for each in of_ids]
        more = {"lead": lead, "on_bad": on_bad, "comma": comma, "numbered": numbered, "clears": clears, **words}
        form = Form(ids, parts, longest, of_ids=forms, **more)
        return FormTwin(form, ids, parts, on_bad, comma, lead, nulls, doubted, no_ids, clears, of_ids)

    of_ids: list[FormTwin | None] = []
    if drawn.random() < 0.3:
        each_ids = ([id_of(drawn, table) for table in drawn.choice([[own], [upper]])] for _ in ID_FORMS)
        of_ids = [twin_of(each, []) if drawn.random() < 0.8 else None for each in each_ids]
    return twin_of(ids, of_ids)


def id_of(drawn: random.Random, table: Bytes) -> LineId:
    """An ID with any steps."""
    steps = None
    if drawn.random() < 0.5:
        kept = np.zeros(256, np.uint8)
        kept[0x21:0x7F] = KEPT
        kept[ord(" ")] = drawn.choice([0, KEPT])
        kept[[*drawn.choice([b"", b"a0", b"-X "])]] = REMOVED
        cuts = (drawn.choice([b"", b"id", b"a", b"0", b"b" * 70]) for _ in range(2))
        steps = LineSteps(kept, *cuts, drawn.random() < 0.3, drawn.choice([0, 0, 1, 20, 200]))
    around = (drawn.choice([b"", b"", b"p", b"0" * 70]) for _ in range(2))
    name = drawn.choice([b"", b"id", b"a", b"b" * 70])
    more = {"nulls": drawn.randrange(2), "hashed": drawn.choice([NOT_HASHED, *range(3)])}
    return LineId(0, table, b"", False, drawn.randrange(3), steps, *around, name=name, **more)


def row_of(drawn: random.Random) -> list[bytes]:
    """The fields of a row."""
    return [
        drawn.choice([text_of(drawn, ID, 40), text_of(drawn, b"e+-.,01'={}$", 8), *_addresses(drawn)]) or b"id",
        text_of(drawn, TEXT, 200),
        drawn.choice([b"", b"", ITEM, b"[", b" "]) + text_of(drawn, TEXT + b"0123:-" + drawn.choice([b"", ITEM]), 90),
        list_of(drawn, b"0123456789"),
        drawn.choice([list_of(drawn, b"abc-_:"), *ROW_KEYS]),
    ]


def _addresses(drawn: random.Random) -> list[bytes]:
    """An address, a hash and other IDs of a form, or what only resembles them."""
    digits = drawn.choice([b"0123456789", b"01aF", b"0a", b"0F", b"0"])
    groups = drawn.choice([(8, 4, 4, 4, 12), (8, 4, 4, 4, 12), (8, 4, 4, 5, 11)])
    return [
        b"-".join(bytes(drawn.choices(digits, k=count)) for count in groups),
        bytes(drawn.choices(digits, k=drawn.choice([37, 38, 38]))),
        text_of(drawn, b"a@.. "[: drawn.choice([4, 4, 5])], 6, 0),
        bytes(drawn.choices(b"0aF", k=drawn.choice([63, 64, 65]))),
    ]


def check_lines(made: Lines, rows: list[list[bytes]], twin: FormTwin, indices: list[int]) -> None:
    """Fail unless each row either has its line or is left out, and those are left out that have to be."""
    lines = [made.memory[start:end].tobytes() for start, end in itertools.pairwise([0, *made.ends.tolist()])]
    left, all_counts, forms = set(indices), Counter[str](), []
    assert made.numbers is None or len(made.numbers) == len(lines)
    assert len(lines) + len(left) == len(rows)
    written = iter(lines)
    for index, row in enumerate(rows):
        line, wrong, counts = twin.line(row)
        if index in left:
            continue
        assert not wrong, row
        assert next(written) == line, row
        all_counts += counts
        forms.append(form_of_id(row[0]))
    assert made.forms is None or made.forms.tolist() == forms
    for name in ("signals", "missing", "dropped", "cleaned", "commas"):
        assert getattr(made, name) == all_counts[name], name
    assert made.doubted[: len(twin.parts)] == [all_counts[f"doubted{number}"] for number in range(len(twin.parts))]
    assert made.changed == {name: all_counts[name] for name in sink.STEPS}


def fuzz_cut(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Where texts can be cut."""
    pieces = [b"a" * 61, b'"', b"\n", b"b", b"\n\n", b"'", b"\\", b"\\" * 62]
    text = b"".join(drawn.choices(pieces, k=drawn.randrange(30)))
    grammar, _ = grammar_of(drawn)
    before = state = drawn.randrange(4) if grammar.meanings else drawn.randrange(2)
    ends = []
    for at in range(len(text)):
        byte, is_escaped = text[at : at + 1], state & ESCAPED
        if byte == b"\n" and not is_escaped and not state & INSIDE:
            ends.append(at + 1)
        state = (state ^ (byte == grammar.quote and not is_escaped)) & INSIDE
        state |= ESCAPED if grammar.meanings and byte == b"\\" and not is_escaped else 0
    given = memory.of(text)
    assert loops.count_quotes(given, grammar, before) == state
    assert loops.cut(given, grammar, before) == (min(ends, default=0), max(ends, default=0))
    for found in (Cuts(grammar, None), Cuts(grammar, loops)):
        if grammar.quote or grammar.meanings:
            assert found.state_after(given, before) == state
            first, last = text.find(b"\n") + 1, text.rfind(b"\n") + 1 or len(text)
            assert found.find(given, before) == (min(ends, default=first), max(ends, default=last))


def quoted(drawn: random.Random, field: bytes, grammar: Grammar = PLAIN) -> bytes:
    """A field of delimited text."""
    quote, is_quoted = grammar.quote, any(byte in b"\",\r\n'" for byte in field) or drawn.random() < 0.2
    if grammar.meanings and (not quote or drawn.random() < 0.5):
        field = re.sub(rb"[\\,\r\n\"']", rb"\\\g<0>", field)
        return quote + field + quote if is_quoted else field
    return quote + field.replace(quote, quote * 2) + quote if is_quoted and quote else field


def fuzz_size(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Sizes that are not those of the text: refused, or within what there is."""
    form = form_of(drawn).form
    text = b"".join(b",".join(row_of(drawn)) + b"\n" for _ in range(3))
    given = memory.of(text + bytes(drawn.choices(b'"\n,x', k=drawn.randrange(SLACK + 1))))
    size = drawn.randrange(len(given) + 40)
    with contextlib.suppress(SystemError):
        loops.delimited(
            [(given, size)], Layout(grammar_of(drawn)[0], [0, 1, 2, 3, 4], 5, 1000), form, last=drawn.random() < 0.5
        )
    with contextlib.suppress(SystemError):
        loops.objects([(given, size)], OBJECT_KEYS, form)


PIECES = [b"a", b"bc", b",", b",", b"\n", b"\n", b'"', b'""', b'"x"', b'"y,z"', b'"p\nq"', b"\r\n", b"\r", b"\xff", b"x" * 70,
          "é".encode(), b"1,2,3\n", b'1,"2",3\n', b"1,2,3\r\n", b'x"y', b"\t", b'a,b,"c""d"\n', b'"' + b'a""' * 30 + b'"']  # fmt: skip
RULES = ("row_too_short", "row_too_long", "row_misquoted", "row_not_text", "", "", "row_torn")
OF_DIALECTS = [*PIECES, b"\\", b"\\\n", b'\\"', b"\\n", b"\\N", b"\\,", b"'", b"'a,b'", b"'x\ny'", b"#", b"#c\n", b"  ", b"\r\r\n", b"1,2,\r\n",
               b"\\\r", b'"c"d"\n', b'e",f\n', b'"g\\"', b"\\N,", b",,", b"\\b", b"\\" * 63, b"\\a" * 40, b'"' + b'\\"' * 40 + b'"']  # fmt: skip


def grammar_of(drawn: random.Random) -> tuple[Grammar, list[bytes]]:
    """A dialect, mostly the plain one, and pieces of its texts."""
    if drawn.random() < 0.3:
        return PLAIN, PIECES
    meanings = bytes({ord("n"): 10, ord("t"): 9, ord("b"): ord("\\")}.get(byte, byte) for byte in range(256))
    flags = [drawn.random() < 0.3 for _ in range(3)]
    bytes_ = drawn.choice([b'"', b"'", b""]), drawn.choice([b"", meanings]), drawn.choice([b"", b"#"])
    return Grammar(b",", *bytes_, *flags), OF_DIALECTS


def strings_of(views: Views) -> list[bytes]:
    """The texts of string views, which must be as Arrow wants them."""
    texts = []
    for view in views.views.reshape(-1, 16):
        length, prefix, buffer, offset = (int(each) for each in view.view(np.uint32))
        if length > 12:
            texts.append(views.buffers[buffer][offset : offset + length].tobytes())
            assert texts[-1][:4] == prefix.to_bytes(4, "little")
        else:
            texts.append(view[4 : 4 + length].tobytes())
            assert not view[4 + length :].any()
    return texts


class Twin:
    """What `tests.scanner` finds in texts, with row numbers that count through all of them."""

    def __init__(self, texts: list[bytes], fields: int, longest: int, grammar: Grammar = PLAIN) -> None:
        self.rows: list[tuple[int, list[bytes]]] = []
        self.malformed: list[tuple[int, str, bytes]] = []
        self.blank = newlines = 0
        for text in texts:
            rows, bad, blank = scan(text, fields, longest, grammar)
            self.rows += [(newlines + line, [field.encode() for field in row]) for line, row in rows]
            self.malformed += [(newlines + line, rule, of_row) for line, rule, of_row in bad]
            self.blank += blank
            newlines += text.count(b"\n")


def check_parsed(parsed: Parsed, given: list[Bytes], twin: Twin, slots: list[int]) -> list[tuple[int, int]]:
    """Fail unless the rows without a line, the malformed and the blank ones are those of the twin.

    Returns for each row the number of lines made before it, or -1 where it has a line itself, and its index.
    """
    bad = parsed.malformed
    texts = [
        given[text][start : start + length].tobytes()
        for text, start, length in zip(bad.texts.tolist(), bad.starts.tolist(), bad.lengths.tolist(), strict=True)
    ]
    rules = [RULES[rule] for rule in bad.rules.tolist()]
    assert list(zip(bad.numbers.tolist(), rules, texts, strict=True)) == twin.malformed
    assert (parsed.blank, parsed.rows) == (twin.blank, len(twin.rows))
    columns = [strings_of(views) for views in parsed.chunk.columns]
    kept = {number: row for row, number in enumerate(parsed.numbers.tolist())}
    assert len(kept) == parsed.chunk.rows
    made, where = 0, []
    if parsed.lines and parsed.lines.numbers is not None:
        assert parsed.lines.numbers.tolist() == [number for number, _ in twin.rows if number not in kept]
    for index, (number, row) in enumerate(twin.rows):
        if number not in kept:
            where.append((-1, index))
            made += 1
            continue
        where.append((made, index))
        assert parsed.positions[kept[number]] == made
        for field, slot in enumerate(slots):
            assert slot < 0 or columns[slot][kept[number]] == row[field], row
    assert len(kept) + made == parsed.rows
    return where


def fuzz_utf8(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Rows of text, whole or damaged, whose characters are anywhere in the windows of 64 bytes."""
    text = b""
    for _ in range(drawn.randrange(1, 4)):
        characters = drawn.choices(["a" * 30, "é", "€", "😀", "\x00"], k=drawn.randrange(60))
        row = bytearray("".join(["a" * drawn.randrange(64), *characters]).encode())
        if row and drawn.random() < 0.5:
            row[drawn.randrange(len(row))] = drawn.randrange(256)
        text += row[: drawn.randrange(len(row) + 1)] + b"\n"
    given = memory.of(text + bytes(drawn.choices(b"\x80\xbf\xffa", k=SLACK)))
    parsed = loops.delimited([(given, len(text))], Layout(PLAIN, [0], 1, 1 << 20), None, last=True)
    check_parsed(parsed, [given], Twin([text], 1, 1 << 20), [0])


def fuzz_text(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Texts of any pieces, as string views."""
    grammar, pieces = grammar_of(drawn)
    texts = [b"".join(drawn.choices(pieces, k=drawn.randrange(40))) for _ in range(drawn.randrange(1, 4))]
    texts = [text + b"\n" if text else text for text in texts]
    columns = drawn.randrange(3)
    slots = [*range(columns), *[-1] * drawn.randrange(not columns, 4 - columns)]
    drawn.shuffle(slots)
    longest = drawn.choice([3, 10, 30, 1 << 20])
    layout = Layout(grammar, slots, columns, longest)
    given = [memory.of(text + bytes(drawn.choices(b'"\n,x', k=SLACK))) for text in texts]
    parsed = loops.delimited([*zip(given, map(len, texts), strict=True)], layout, None, last=True)
    assert parsed.newlines == [text.count(b"\n") for text in texts]
    assert parsed.consumed == len(texts[-1])
    check_parsed(parsed, given, Twin(texts, len(slots), longest, grammar), slots)


def fuzz_blocks(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """A text in blocks: its rows do not depend on where they are cut."""
    grammar, pieces = grammar_of(drawn)
    dense = [bytes([each]) for each in b'""\n\n\r, a']  # a block often ends where more text tells what a quote is
    text = b"".join(drawn.choices(drawn.choice([pieces, dense]), k=drawn.randrange(40))) + b"\n"
    longest, start, size = drawn.choice([3, 10, 30, 1 << 20]), 0, 0
    layout, found, newlines = Layout(grammar, [0, 1, 2], 3, longest), [], 0
    while start < len(text):
        size = min(size + drawn.randrange(1, 30), len(text) - start)
        given = memory.of(text[start : start + size] + bytes(drawn.choices(b'"\n,x', k=SLACK)))
        parsed = loops.delimited([(given, size)], layout, None, last=start + size == len(text))
        twin = Twin([text[start : start + parsed.consumed]], 3, longest, grammar)
        check_parsed(parsed, [given], twin, [0, 1, 2])
        found += [(newlines + number, row) for number, row in twin.rows]
        found += [(newlines + number, rule) for number, rule, _ in twin.malformed]
        newlines += parsed.newlines[0]
        start, size = start + parsed.consumed, 0 if parsed.consumed else size
    whole = Twin([text], 3, longest, grammar)
    assert sorted(found, key=str) == sorted([*whole.rows, *((row, rule) for row, rule, _ in whole.malformed)], key=str)


def fuzz_lines(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Delimited texts become lines, but for rows that are irregular, or malformed."""
    form_twin = form_of(drawn)
    grammar, _ = grammar_of(drawn)
    rows = [row_of(drawn) for _ in range(drawn.randrange(12))]
    texts = [b"", b""]
    for row in rows:
        end = drawn.choice([b"\n", b"\r\n"])
        texts[drawn.randrange(2)] += b"u," + b",".join(quoted(drawn, each, grammar) for each in row) + end
    for number in range(2):
        cut = bytearray(texts[number])
        for _ in range(drawn.choice([0, 0, 0, 4])):
            if cut:
                cut[drawn.randrange(len(cut))] = drawn.choice(b'"",\n\rax')
        texts[number] = bytes(cut) + b"\n" * (not bytes(cut).endswith(b"\n"))
    slots = [-1, 0, 1, 2, 3, 4]
    given = [memory.of(text + bytes(drawn.choices(b'"\n,x', k=SLACK))) for text in texts]
    layout = Layout(grammar, slots, 5, 1 << 20)
    parsed = loops.delimited([*zip(given, map(len, texts), strict=True)], layout, form_twin.form, last=True)
    twin = Twin(texts, 6, 1 << 20, grammar)
    where = check_parsed(parsed, given, twin, slots)
    made = parsed.lines
    assert made is not None
    values = [row[1:] for _, row in twin.rows]
    check_lines(made, values, form_twin, [index for before, index in where if before >= 0])


def views_of(drawn: random.Random, memory: Guarded, texts: list[bytes]) -> Views:
    """String views of texts, in one or two buffers."""
    buffers, views = [b"", b""], b""
    for text in texts:
        if len(text) <= 12:
            views += len(text).to_bytes(4, "little") + text + bytes(12 - len(text))
            continue
        number = drawn.randrange(2)
        offset = len(buffers[number])
        buffers[number] += text
        views += b"".join(each.to_bytes(4, "little") for each in (len(text), 0, number, offset))
    if drawn.random() < 0.5:
        return Views(memory.of(views), tuple(memory.of(each) for each in buffers))
    first = drawn.randrange(20)  # nulls are empty texts, or views of anything
    bits = [drawn.randrange(2) for _ in range(first)] + [bool(text) or drawn.randrange(2) for text in texts]
    views = b"".join(views[16 * at : 16 * at + 16] if bit else b"\xff" * 16 for at, bit in enumerate(bits[first:]))
    valid = np.packbits(np.array(bits, np.bool_), bitorder="little").tobytes()
    return Views(memory.of(views), tuple(memory.of(each) for each in buffers), memory.of(valid), first)


def fuzz_views(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Columns of string views, sound or damaged."""
    twin = form_of(drawn)
    form = twin.form
    rows = [row_of(drawn) for _ in range(drawn.randrange(1, 12))]
    columns = tuple(views_of(drawn, memory, [row[column] for row in rows]) for column in range(5))
    if drawn.random() < 0.3:
        for _ in range(drawn.randrange(1, 4)):
            views = drawn.choice(columns).views
            # Not the high bytes of a length: room for so long texts would be made before.
            views[drawn.choice([at for at in range(len(views)) if at % 16 not in (2, 3)])] = drawn.randrange(256)
        with contextlib.suppress(SystemError):
            loops.frame_lines([Chunk(columns, len(rows))], form)
        return
    made = loops.frame_lines([Chunk(columns, len(rows))], form)
    check_lines(made, rows, twin, made.irregular.tolist())
    if made.numbers is not None:
        assert sorted([*made.numbers.tolist(), *made.irregular.tolist()]) == [*range(len(rows))]


def fuzz_merge(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Lines among others."""
    form = form_of(drawn).form
    rows = [[b"id", b"x", b"y", b"1", b"c"]] * drawn.randrange(1, 20)
    columns = tuple(views_of(drawn, memory, [row[column] for row in rows]) for column in range(5))
    made = loops.frame_lines([Chunk(columns, len(rows))], form)
    lines = [made.memory[start:end].tobytes() for start, end in itertools.pairwise([0, *made.ends.tolist()])]
    room = len(made.ends_room) - len(lines)
    others = [b"o" * drawn.randrange(300) + b"\n" for _ in range(drawn.randrange(room + 1))]
    before = sorted(drawn.randrange(len(lines) + 1) for _ in others)
    expected = b""
    for index in range(len(lines) + 1):
        expected += b"".join(other for other, at in zip(others, before, strict=True) if at == index)
        expected += lines[index] if index < len(lines) else b""
    ends = np.cumsum([*map(len, others)], dtype=np.int64)
    merged, merged_ends = loops.merge(made, memory.of(b"".join(others)), ends, np.array(before, np.int64))
    size = int(merged_ends[-1]) if len(merged_ends) else 0
    assert merged[:size].tobytes() == expected


def fuzz_grouped(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Lines in a few groups, one of which sometimes has all of them."""
    count = drawn.randrange(1, 6)
    lines = [text_of(drawn, ID, 40) + b"\n" for _ in range(drawn.randrange(20))]
    groups = np.array([drawn.randrange(count) * drawn.choice([0, 1, 1]) for _ in lines], np.uint8)
    ends, empty = np.cumsum([*map(len, lines)], dtype=np.int64), np.empty(0, np.int64)
    made = Lines(memory.of(b"".join(lines)), ends, ends, empty, empty, len(lines), {}, [], 0, 0, 0, 0, 0)
    for group, (own, order) in enumerate(loops.grouped(made, groups, count)):
        assert order.tolist() == np.flatnonzero(groups == group).tolist()
        edges = itertools.pairwise([0, *own.ends.tolist()])
        assert [own.memory[start:end].tobytes() for start, end in edges] == [lines[at] for at in order]


def fuzz_fields(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Where fields of lines are, some of which have fewer than are asked for."""
    skipped, columns = drawn.randrange(2), drawn.randrange(1, 4)
    lines = [[text_of(drawn, ID, 40) for _ in range(drawn.randrange(1, 6))] for _ in range(drawn.randrange(20))]
    text = [b"\t".join(fields) + b"\n" for fields in lines]
    ends = np.cumsum([len(line) for line in text], dtype=np.int64)
    chunk = loops.fields(memory.of(b"".join(text)), ends, columns, skipped)
    assert texts_of(chunk) == [[*fields[skipped:], *[b""] * columns][:columns] for fields in lines]


def texts_of(chunk: Chunk) -> list[list[bytes]]:
    """The rows of columns of string views."""
    columns = []
    for column in chunk.columns:
        columns.append([])
        for view in column.views.reshape(-1, 16):
            length, _, number, offset = view.view(np.uint32).tolist()
            text = view[4 : 4 + length] if length <= 12 else column.buffers[number][offset : offset + length]
            assert len(text) == length
            columns[-1].append(text.tobytes())
    return [list(row) for row in zip(*columns, strict=True)]


def json_line(drawn: random.Random, fields: list[bytes]) -> tuple[bytes, bool]:
    """An object of these fields among others, in any order, and whether it must be parsed."""
    members, is_plain = [], True
    for key, field in zip(KEYS, fields, strict=True):
        if b"\xff" in field:
            members.append((key, b'"' + field + b'"'))
            is_plain = False
        elif field.isdigit() and drawn.random() < 0.5:
            members.append((key, field))
        elif key in b"tc" and drawn.random() < 0.3:
            items = [objects.string_of(drawn, item.decode()) for item in field.split(b"|")] if field else []
            members.append((key, b"[" + b",".join(items) + b"]"))
            is_plain &= not any(each in field for each in (*BAD, b" "))
        elif key == b"b" and drawn.random() < 0.3:
            items = [objects.string_of(drawn, item.decode()) for item in field.split(b" ")]
            members.append((key, b"[" + b", ".join([*items, b"null", b"1.0", b"true"][: drawn.randrange(9)]) + b"]"))
            is_plain &= not any(each in field for each in (*BAD, ITEM))
        elif field or drawn.random() < 0.5:
            members.append((key, objects.string_of(drawn, field.decode())))
        elif drawn.random() < 0.5:
            members.append((key, b"null"))
    members = [(b'"' + key + b'"', value) for key, value in members]
    for _ in range(drawn.choice([0, 0, 1, 3])):
        others = [
            *objects.NUMBERS,
            *objects.NESTED,
            b"true",
            objects.string_of(drawn, 'x\n\u00e9"y' * drawn.randrange(9)),
        ]
        value = drawn.choice(others)
        key = b'"z%d"' % drawn.randrange(200)
        is_plain &= value != objects.NESTED[-1] and key not in dict(members)
        members.append((key, value))
    if drawn.random() < 0.4:
        inner = drawn.sample([b"p", b"q", b"id", b"s"], drawn.randrange(5))
        values = [b'"x"', b"5", b'{"r":"y"}', b'{"r":null,"z":[]}', b"{}", b"null", b"true"]
        value = drawn.choice([b"null", b'"x"', objects.object_of(drawn, [(b'"%b"' % key, drawn.choice(values)) for key in inner])])  # fmt: skip
        is_plain &= b'"p":{' not in value.translate(None, b" \t\r")
        members.append((b'"o"', value))
    if drawn.random() < 0.05:
        members.append((b'"o.p"', b'"whole"'))
    if drawn.random() < 0.2:
        drawn.shuffle(members)
    return objects.object_of(drawn, members), is_plain


def check_reason(line: bytes, rule: int) -> None:
    """Fail unless it is true why a line was not parsed."""
    if rule == UNCERTAIN:
        return
    assert rule in (NOT_JSON, NOT_UTF8)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        assert rule == NOT_UTF8, line
        return
    assert rule == NOT_JSON, line
    with contextlib.suppress(json.JSONDecodeError):  # then it is not JSON, as the loops say
        assert not isinstance(json.loads(text), dict), line


def fuzz_objects(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Lines of NDJSON, sound or damaged."""
    twin = form_of(drawn)
    form, parts = twin.form, twin.parts
    has_form = drawn.random() < 0.7
    lists: dict[str, str | None] = {"t": None, "c": None, "b": objects.ITEM}
    if has_form:
        lists |= {KEYS[part.column].decode(): "|" for part in parts if part.kind in (TRAITS, CODES)}
    lines, plain = [], []
    for _ in range(drawn.randrange(20)):
        line, is_plain = json_line(drawn, row_of(drawn))
        if drawn.random() < 0.2:
            line, is_plain = objects.damaged(drawn, line), False
        for each in line.split(b"\n"):
            lines.append(each if drawn.random() < 0.95 else drawn.choice([b"", b"\r"]))
            plain.append(is_plain)
    cut = drawn.randrange(len(lines) + 1)
    first, last = (b"".join(line + b"\n" for line in part) for part in (lines[:cut], lines[cut:]))
    rest = objects.damaged(drawn, b'{"a":1}').replace(b"\n", b"") * drawn.randrange(2)
    texts = [first, last + rest]
    given = [(memory.of(text + bytes(drawn.choices(b'"\n,x', k=SLACK))), len(text)) for text in texts]
    made = loops.objects(given, OBJECT_KEYS, form if has_form else None)
    assert list(made.newlines) == [text.count(b"\n") for text in texts]
    assert made.consumed == len(last)
    assert made.blank == sum(line in (b"", b"\r") for line in lines)
    doubtful = made.malformed.numbers.tolist()
    found = made.malformed
    for number, text, start, length, rule in zip(
        doubtful, found.texts, found.starts, found.lengths, found.rules, strict=True
    ):
        assert texts[text][start : start + length] == lines[number]
        assert not plain[number], lines[number]
        check_reason(lines[number], rule)
    rows = {}
    for number, line in enumerate(lines):
        if line not in (b"", b"\r") and number not in doubtful:
            try:
                rows[number] = [each.encode() for each in objects.parsed(line, COLUMNS, lists)]
            except objects.DoubtfulError as error:
                raise AssertionError(line) from error
    assert made.rows == len(rows)
    kept = made.numbers.tolist()
    assert texts_of(made.chunk) == [rows[number] for number in kept]
    before = [sum(each < number for each in rows) - index for index, number in enumerate(kept)]
    assert made.positions.tolist() == before
    if has_form:
        order = list(rows)
        check_lines(made.lines, list(rows.values()), twin, [order.index(number) for number in kept])
        if made.lines.numbers is not None:
            assert made.lines.numbers.tolist() == [number for number in rows if number not in kept]
    else:
        assert kept == list(rows)


def fuzz_split(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """JSON over any number of lines, sound or damaged, in pieces."""
    rows = [{"a": [1, {"b": 'x"\\]'}], "c": {}} for _ in range(drawn.randrange(4))]
    text = json.dumps(rows, indent=drawn.choice([None, 1])).encode()
    if drawn.random() < 0.3:
        text = b"\n".join(json.dumps(row, indent=drawn.choice([None, 2])).encode() for row in rows)
    if drawn.random() < 0.5:
        text = objects.damaged(drawn, text)
    state, slow = SplitStructure(), SplitStructure()
    at = 0
    while at < len(text):
        piece = text[at : at + drawn.randrange(1, 40)]
        assert loops.split(memory.of(piece), state).tobytes() == split(piece, slow), text
        at += len(piece)
    fields = ("depth", "in_list", "has_content", "in_string", "is_escaped")
    assert [getattr(state, name) for name in fields] == [getattr(slow, name) for name in fields], text


def fuzz_keyed_hashes(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Keyed hashes of parts of a text, or of a field of each, and places that are none."""
    field = drawn.choice([-1, -1, 0, 1])
    parts = [b"\t".join(text_of(drawn, ID, 90, 0) for _ in range(field + 2)) for _ in range(drawn.randrange(20))]
    edges = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    key = np.array([drawn.getrandbits(64), drawn.getrandbits(64)], np.uint64)
    made = loops.keyed_hashes(memory.of(b"".join(parts)), edges[:-1], edges[1:], key, field)
    wanted = parts if field < 0 else [part.split(b"\t")[field] for part in parts]
    joined = np.frombuffer(b"".join(wanted) + bytes(8), np.uint8)
    ends = np.cumsum([*map(len, wanted)], dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1]])[: len(ends)].astype(np.int64)
    assert (made == keyed._hashes(joined, starts, ends, key)).all() or not parts
    wrong = drawn.choice([(-1, 0), (0, len(parts) + int(edges[-1]) + 1), (2, 1)])
    places = [np.array([place], np.int64) for place in wrong]
    with contextlib.suppress(SystemError):
        loops.keyed_hashes(memory.of(b"".join(parts)), *places, key, field)
        raise AssertionError(f"{wrong} were no places")


ENTRIES: tuple[Callable[[Loops, random.Random, Guarded], None], ...] = (
    fuzz_utf8,
    fuzz_cut,
    fuzz_fields,
    fuzz_grouped,
    fuzz_text,
    fuzz_blocks,
    fuzz_lines,
    fuzz_size,
    fuzz_views,
    fuzz_merge,
    fuzz_objects,
    fuzz_split,
    fuzz_keyed_hashes,
    fuzz_columns,
    fuzz_partition,
    fuzz_gather,
    fuzz_users,
    fuzz_known,
    fuzz_checked_lines,
    fuzz_seen_users,
    fuzz_earlier,
    fuzz_damaged,
)


def fuzz(seconds: float, seed: int) -> int:
    """Run cases for so many seconds; return how many there were."""
    loops = kernel.load()
    assert loops, kernel.status()
    until, cases = time.monotonic() + seconds, 0
    own = loops._pools
    try:
        while time.monotonic() < until:
            drawn = random.Random(f"{seed} {cases}")
            memory = Guarded(drawn)
            sink._FEW = drawn.choice([1, 3, 64])  # what there is room for at first
            sink._SPARE = drawn.choice([SLACK, 4096])
            loops._pools = dict.fromkeys(own, memory)  # type: ignore[arg-type]
            try:
                ENTRIES[cases % len(ENTRIES)](loops, drawn, memory)
            except AssertionError as error:
                raise AssertionError(f"case {cases} of --seed {seed}: {error}") from error
            cases += 1
            _kept.clear()
    finally:
        loops._pools = own
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    print(f"--seed {given.seed}, loops {kernel.status()}", flush=True)
    print(f"{fuzz(given.seconds, given.seed):,} cases", flush=True)


if __name__ == "__main__":
    sys.exit(main())
