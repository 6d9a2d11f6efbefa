"""The slow twin of the loop that makes texts of columns (`texts.c`): Python's own text of each value."""

from __future__ import annotations

import contextlib
import datetime
import math
import random
import struct
from decimal import Context, Decimal
from typing import TYPE_CHECKING

from converter.columns.buffers import VIEW_BYTES, Views
from converter.columns.pool import Bytes
from converter.kernel.calls import Loops
from converter.kernel.texts import (
    BOOLEAN,
    DATE,
    DECIMAL,
    FLOAT,
    INDEX,
    MOMENT,
    TEXT,
    TIME,
    UNSIGNED,
    UTC,
    Values,
)

if TYPE_CHECKING:
    from tests.fuzz import Guarded

OUT_OF_RANGE = "\x1a(out of range)"
_WIDTHS = {FLOAT: (4, 8), DATE: (4, 8), TIME: (4, 8), MOMENT: (4, 8), UTC: (4, 8), TEXT: (4, 8), DECIMAL: (16,)}
_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_DAY = 86_400


def text_of(type_: int, width: int, unit: int, raw: bytes) -> str:
    """The text of a value, by its bytes."""
    if type_ == FLOAT:
        return float_text(raw)
    number = int.from_bytes(raw, "little", signed=type_ != UNSIGNED)
    if type_ == DECIMAL:
        return format(Decimal(number).scaleb(-unit, Context(prec=200)), "f")
    if type_ == DATE:
        return day_text(number if width == 4 else number // (1_000 * _DAY))
    if type_ == TIME:
        return time_text(number, unit) if 0 <= number < _DAY * unit else OUT_OF_RANGE
    if type_ in (MOMENT, UTC):
        day = day_text(number // (_DAY * unit))
        if day == OUT_OF_RANGE or number in (-(2**63), 2**63 - 1):
            return OUT_OF_RANGE
        return f"{day} {time_text(number % (_DAY * unit), unit)}{'Z' * (type_ == UTC)}"
    return str(number)


def day_text(day: int) -> str:
    return datetime.date.fromordinal(day + _EPOCH).isoformat() if -719_162 <= day <= 2_932_896 else OUT_OF_RANGE


def time_text(number: int, unit: int) -> str:
    seconds, fraction = divmod(number, unit)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    digits = f"{fraction * 1_000_000_000 // unit:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{text}.{digits}" if digits else text


def float_text(raw: bytes) -> str:
    """The shortest digits that give a float back: of a single one, those that Python finds by trying."""
    kind, most = ("<f", 13) if len(raw) == 4 else ("<d", 16)
    (number,) = struct.unpack(kind, raw)
    if not math.isfinite(number):
        return ""
    if len(raw) == 8 or number == 0:
        text = repr(number)
    else:
        text = next(text for digits in range(10) if _is_single(text := f"{number:.{digits}e}", raw))
    text = format(Decimal(text), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if "." in text or len(text.lstrip("-")) > most else f"{text}.0"


def _is_single(text: str, raw: bytes) -> bool:
    try:
        return struct.pack("<f", float(text)) == raw
    except OverflowError:
        return False


def value_of(drawn: random.Random, type_: int, width: int) -> bytes:
    """The bytes of a value: any, a small number, or a float of few digits."""
    kind = drawn.random()
    if kind < 0.3:
        return drawn.randbytes(width)
    if type_ == FLOAT:
        number = drawn.choice(
            [drawn.randrange(-(10**7), 10**7) / 10 ** drawn.randrange(7), 10.0 ** drawn.randrange(-30, 30)]
        )
        return struct.pack("<f" if width == 4 else "<d", number)
    size = drawn.choice([8, 20, 33, 52, 8 * width - 1])
    number = drawn.randrange(-(1 << min(size, 8 * width - 1)), 1 << min(size, 8 * width - 1))
    number -= number % drawn.choice([1, 1, 1_000, 10**6]) if type_ in (TIME, MOMENT, UTC) and number > 10**6 else 0
    return (number % (1 << 8 * width)).to_bytes(width, "little")


def bits_of(bits: list[bool]) -> bytes:
    """Bits as Arrow has them, the first one lowest."""
    return bytes(sum(bit << at for at, bit in enumerate(bits[start : start + 8])) for start in range(0, len(bits), 8))


def decoded(views: Views) -> list[str]:
    """The texts of views. Fails where an unused byte of a short one is not 0."""
    found = []
    for start in range(0, len(views.views), VIEW_BYTES):
        length, prefix, buffer, offset = struct.unpack("<I4sII", views.views[start : start + VIEW_BYTES].tobytes())
        if length <= 12:
            text = views.views[start + 4 : start + VIEW_BYTES].tobytes()
            assert not any(text[length:]), text
            found.append(text[:length].decode())
        else:
            text = views.buffers[buffer][offset : offset + length].tobytes()
            assert text[:4] == prefix
            found.append(text.decode())
    return found


def fuzz_columns(loops: Loops, drawn: random.Random, memory: Guarded) -> None:
    """Columns of every type, sound or damaged, from any value on."""
    type_ = drawn.randrange(UTC + 1)
    width = drawn.choice(_WIDTHS.get(type_, (1, 2, 4, 8)))
    unit = drawn.randrange(39) if type_ == DECIMAL else drawn.choice(_UNITS)
    start, rows = drawn.randrange(20), drawn.randrange(40)
    there = [drawn.random() < 0.8 for _ in range(start + rows)]
    data, buffers = b"", []
    if type_ == TEXT:
        values = ["x" * drawn.choice([0, 1, 7, 8, 9, 12, 13, 40]) + "é" * drawn.randrange(2) for _ in there]
        data = "".join(values).encode()
        edges = [0]
        for value in values:
            edges.append(edges[-1] + len(value.encode()))
        raw = b"".join(edge.to_bytes(width, "little") for edge in edges)
        buffers = [memory.of(data[edges[start] :])]
    elif type_ == INDEX:
        entries = [drawn.choice(["", "red", "a text of some length"]) for _ in range(1 + drawn.randrange(100))]
        long = memory.of(b"a text of some length")
        buffers = [long]
        for entry in entries:
            short = entry.encode().ljust(12, b"\0")
            data += (
                struct.pack("<I12s", len(entry), short)
                if len(entry) <= 12
                else struct.pack("<I4sII", 21, b"a te", 0, 0)
            )
        indices = [drawn.randrange(len(entries)) for _ in there]
        values = [entries[index] for index in indices]
        raw = b"".join(index.to_bytes(width, "little") for index in indices)
    elif type_ == BOOLEAN:
        truths = [drawn.random() < 0.5 for _ in there]
        values, raw = [str(truth).lower() for truth in truths], bits_of(truths)
    else:
        parts = [value_of(drawn, type_, width) for _ in there]
        values, raw = [text_of(type_, width, unit, part) for part in parts], b"".join(parts)
    validity = memory.of(bits_of(there)) if drawn.random() < 0.5 else None
    given = Values(type_, width, start, rows, memory.of(raw), validity, memory.of(data), unit)
    views = memory.lease(VIEW_BYTES * rows)
    if drawn.random() < 0.3:
        _fuzz_damaged(loops, drawn, given, views)
        return
    made = loops.column_texts(views, given, 0)
    expected = [value if validity is None or is_there else "" for value, is_there in zip(values, there, strict=True)]
    found = decoded(Views(views, (made,) if len(made) else tuple(buffers)))
    assert found == expected[start:], (type_, width, unit, found, expected[start:])


def _fuzz_damaged(loops: Loops, drawn: random.Random, given: Values, views: Bytes) -> None:
    """Sizes, bytes or types that are not what they have to be: refused, or read within what there is."""
    kind = drawn.randrange(4)
    if kind == 0 and len(given.values):
        given.values[drawn.randrange(len(given.values))] = drawn.randrange(256)
    elif kind == 1:
        given = given._replace(rows=drawn.choice([-1, given.rows + 1, 2**40, 2**62]))
    elif kind == 2:
        given = given._replace(start=drawn.choice([-1, given.start + 1, 2**40, 2**62]))
    else:
        given = given._replace(
            type=drawn.choice([given.type, drawn.randrange(-1, UTC + 2)]),
            width=drawn.choice([0, 1, 2, 3, 4, 8, 16]),
            unit=drawn.choice([0, -1, 7, 129, given.unit]),
        )
    with contextlib.suppress(SystemError):
        loops.column_texts(views, given, drawn.choice([0, 2**40]))
