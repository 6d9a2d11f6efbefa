"""The lines of inbound files that are plain, against the grammar as a regular expression."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from converter.kernel.calls import Loops
from converter.kernel.checked import IdShape, LineForm
from converter.kernel.form import SLACK
from converter.spec import signals
from converter.spec.ids import ID_TYPES

from .fuzz_gather import Memory

_PIECES = [
    *"\t\t\t,,,,\"\"\"==:-_ adkz09AFZ@+.%\r\0\x7f",
    *("a=b", '"k-1"="v, w"', "d_sid=1", "d_unsid=22", "d_x=1", "d=1", "1d_=2", "123", "7:0", "8:-1", "8:-2", "ic=1:0"),
    *("é", "\x85", "x" * 60, '"a"="' + "y, " * 30 + '"', "0" * 38, "0f8fad5b-d9cb-469f-a165-70867728950e", "ab" * 32),
    *("j@x.org", "+49 30 1234567", "192.0.2.1", "\n"),
]  # fmt: skip
_TYPES = [*(ID_TYPES[name] for name in ("crm", "uuid", "gaid", "idfa", "hashed_email", "maid"))]
_LONG = re.compile(r'[^",=]{200}')  # a value that may have 229 bytes
_ZEROS = "0" * 8  # an ID that begins so may be one of zeros
_HARMLESS = re.compile(r'[A-Za-z_=",\t\n é-]*')


def fuzz_checked_lines(loops: Loops, drawn: random.Random, memory: Memory) -> None:
    """A plain line matches the grammar; a line that does is plain, unless it may be personal data."""
    types = drawn.choices(_TYPES, k=drawn.choice([1, 1, 1, 2, 3]))
    has_signals, removes = drawn.random() < 0.7, drawn.random() < 0.5
    least = most = len(types)
    if not has_signals and drawn.random() < 0.3:
        most += drawn.randrange(4)
    longest = drawn.choice([40, 102_400])
    shapes = [IdShape(type_.plain, type_.groups, scan=not type_.characters) for type_ in types]
    form = LineForm(shapes, least, most, longest=longest, has_signals=has_signals, removes=removes)
    ids = [_expression(shape) for shape in [*shapes, *[shapes[-1]] * (most - least)]]
    if has_signals:
        wanted = re.compile(signals.plain("\t".join(ids) + "\t", removals=removes))
    else:
        wanted = re.compile("^" + "\t".join(ids[:least]) + "".join(f"(?:\t{each}" for each in ids[least:])
                            + ")?" * (most - least) + "\n$")  # fmt: skip
    text = "".join(drawn.choices(_PIECES, k=drawn.choice([0, 3, 20, 200]))) + "\n"
    some = ["u", "0" * 38, "0f8fad5b-d9cb-469f-a165-70867728950e", "ab" * 32, "A-9"]
    for _ in range(drawn.randrange(4)):
        pairs = drawn.choices(["a=b", '"k-1"="v, w"', "d_sid=1", "d_unsid=22", "123", "7:0", "ic=x"], k=3)
        text += "\t".join([*drawn.choices(some, k=len(types)), *[",".join(pairs)] * has_signals]) + "\n"
    content = text.encode()
    buffer = memory.of(content + bytes(SLACK))
    found = loops.doubted(buffer, len(content), form)
    lines = [line + "\n" for line in text.split("\n")[:-1]]
    ends = [*itertools.accumulate(len(line.encode()) for line in lines)]
    doubted = found.numbers.tolist()
    assert found.lines == len(lines)
    assert found.ends.tolist() == [ends[number] for number in doubted]
    assert found.starts.tolist() == [ends[number] - len(lines[number].encode()) for number in doubted]
    plain = [line for number, line in enumerate(lines) if number not in doubted]
    of_plain = ("".join(re.split('"[^"]*"', line)) for line in plain)  # commas in quotes are no ends of signals
    assert found.signals == (sum(1 + line.count(",") for line in of_plain) if has_signals else 0)
    for number, line in enumerate(lines):
        fits = bool(wanted.search(line)) and len(line.encode()) <= longest
        if number not in doubted:
            assert fits, line
            assert "j@x.org" not in line.split("\t", len(types))[-1] or not has_signals, line
        elif (
            fits
            and _ZEROS not in line
            and not _LONG.search(line)
            and (not any(each.scan for each in shapes) or _HARMLESS.fullmatch(line))
        ):
            assert has_signals, line
            assert not _HARMLESS.fullmatch(line), line
    if content.rstrip(b"\n"):
        with pytest.raises(SystemError):
            loops.doubted(buffer, len(content.rstrip(b"\n")), form)  # no newline at the end
    with pytest.raises(SystemError):
        loops.doubted(buffer, len(content) + 1, form)  # nothing after
    wrong = LineForm([IdShape(b"a\n")], 1, 1, longest=longest, has_signals=has_signals, removes=removes)
    with pytest.raises(SystemError):
        loops.doubted(buffer, len(content), wrong)
    assert loops.doubted(memory.of(bytes(SLACK)), 0, form).lines == 0


def _expression(shape: IdShape) -> str:
    """Return a regular expression of an ID."""
    allowed = "[" + re.escape(shape.allowed.decode()) + "]"
    return "-".join(f"{allowed}{{{count}}}" for count in shape.groups) or f"{allowed}+"
