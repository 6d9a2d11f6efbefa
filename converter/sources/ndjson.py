"""NDJSON: one JSON object a line. Numbers keep the digits they are written with.

The kernel parses objects of which it is certain what they mean. Polars parses the others, and all without the kernel.
Polars would parse `12.30` as a number and return `12.3`, and lose digits beyond its number types. So numbers are put in
quotes before, and every value is text. A line that is not one JSON object is rejected with its number; it is found when
Polars cannot parse the text. Half a surrogate pair, which Polars would accept, is searched for before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from converter.columns.pool import Bytes
from converter.columns.utf8 import is_utf8
from converter.errors import EngineError, InputError
from converter.jobs.sections.table import Input
from converter.kernel.calls import Loops
from converter.kernel.form import Form
from converter.kernel.sink import UNCERTAIN
from converter.sources.base import Rest, rows_lost
from converter.sources.engine import collect
from converter.sources.malformed import NONE, MalformedRows, RowNumbers
from converter.sources.origins.base import Origin
from converter.sources.streams import TextStream
from converter.sources.texts import Body, Parser, Rows, TextSource
from converter.spec.rules import ROW_NOT_JSON, ROW_NOT_TEXT

_LONGEST_LINE = 64 << 20
_HEAD = 1 << 20
_SAMPLE = 1000
_NUMBER = rb"-?[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
_NUMBER_OR_END = re.compile(
    # What precedes it: a string, closed or up to the end of the line; what is no value, such as a number as a key.
    rb'((?:[^"\n0-9-]++|"(?:[^"\\\n]++|\\[^\n])*+\\?+(?:"|(?=\n))|-(?![0-9])|' + _NUMBER + rb"(?=[ \t\r]*+:))*+)"
    rb"(" + _NUMBER + rb"|\n)"
)
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")


class NdjsonSource(TextSource):
    """One NDJSON input; its columns are the keys of the first thousand lines, and those that the job names."""

    json_lists = True
    nullable = True

    def __init__(self, origin: Origin, options: Input, *, block: int = sys.maxsize) -> None:
        self.origin = origin
        self.most = block
        names = dict.fromkeys(options.columns)
        with TextStream(origin, options.encoding) as stream:
            self.body = Body(origin, options.encoding, 0, 0, stream.offset)
            head = _head_of(stream)
        for line in head.split(b"\n")[:_SAMPLE]:
            with contextlib.suppress(orjson.JSONDecodeError):  # no object: the row is rejected when it is read
                value = orjson.loads(line)
                names.update(dict.fromkeys(value if isinstance(value, dict) else ()))
        self.names = tuple(names)
        self.layout = NdjsonSource  # all inputs are parsed alike

    def parser(self, columns: Sequence[str], loops: Loops | None) -> Parser:
        """Return what parses its lines."""
        return _Parser(self.origin, tuple(columns), loops)


def _head_of(stream: TextStream) -> bytes:
    """Return the start of an input: a megabyte, or more where the first line is longer."""
    head = b""
    buffer = bytearray(_HEAD)
    while b"\n" not in head and len(head) <= _LONGEST_LINE and (count := stream.readinto(memoryview(buffer))):
        head += buffer[:count]
    return head


class _Parser:
    """Parses NDJSON. `origin` is what messages name."""

    quoted = False

    def __init__(self, origin: Origin, columns: Sequence[str], loops: Loops | None) -> None:
        self._origin = origin
        self._columns = tuple(columns)
        self._loops = loops
        self.longest = _LONGEST_LINE

    def endless(self, text: bytes) -> Rows:
        """Raise the error that a line is too long."""
        del text
        raise InputError(
            "E-LINE-ENDLESS",
            f"The input '{self._origin.label}' has a line of more than {_LONGEST_LINE >> 20} MiB without end.",
            "Is it NDJSON, one JSON object a line?",
        )

    def parse(self, texts: Sequence[tuple[Bytes, int]], form: Form | None, *, last: bool) -> Rows:
        """Parse the lines of texts; the last text may end inside of a line."""
        del last
        if not self._loops:
            return self._parse_slowly([text[:size].tobytes().split(b"\n") for text, size in texts])
        parsed = self._loops.objects(texts, [name.encode() for name in self._columns], form)
        numbers, rest = parsed.numbers, Rest.of_chunks([parsed.chunk], self._columns)
        blank, newlines, consumed, lines = parsed.blank, parsed.newlines, parsed.consumed, parsed.lines
        rows = Rows(parsed.rows, rest, numbers, NONE, blank, newlines, consumed, lines)
        others = parsed.malformed
        if not len(others):
            return rows
        uncertain = np.flatnonzero(others.rules == UNCERTAIN)
        malformed = MalformedRows.of_loops(others, texts)
        judged = malformed.take(uncertain).texts()
        frame, is_object = self._judge(judged)
        sound = uncertain[is_object]
        malformed = malformed.take(np.delete(np.arange(len(others)), uncertain))
        malformed = malformed.joined([malformed, _malformed(judged, others.numbers[uncertain], is_object)])
        rows = rows._replace(malformed=malformed.take(np.argsort(malformed.numbers)))
        if not frame.height:
            return rows
        numbers = np.concatenate([numbers, others.numbers[sound]])
        order = np.argsort(numbers)
        if lines:
            positions = np.concatenate([parsed.positions, others.positions[sound]])[order]
            total = lines.rows + frame.height
            lines = dataclasses.replace(lines, irregular=numbers[order], positions=positions, rows=total)
        rest = Rest.of_frame(pl.concat([rest.frame(), frame], rechunk=True)[order])
        return rows._replace(rows=rows.rows + frame.height, rest=rest, numbers=numbers[order], lines=lines)

    def _parse_slowly(self, texts: list[list[bytes]]) -> Rows:
        """Parse texts, given as their lines, without the kernel; what follows the last newline is not consumed."""
        newlines = [len(lines) - 1 for lines in texts]
        lines = [line for each in texts for line in each[:-1]]
        numbers = np.flatnonzero([line not in (b"", b"\r") for line in lines])
        judged = [lines[number] for number in numbers.tolist()]
        frame, is_object = self._judge(judged)
        malformed = _malformed(judged, numbers, is_object)
        consumed = sum(len(line) + 1 for line in texts[-1][:-1]) if texts else 0
        rest, blank = Rest.of_frame(frame), len(lines) - len(numbers)
        return Rows(frame.height, rest, numbers[is_object], malformed, blank, newlines, consumed)

    def _judge(self, lines: Sequence[bytes]) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
        """Parse lines by Polars. Returns those that are one JSON object each, and which these are."""
        text = b"".join(line + b"\n" for line in lines)
        text = _NUMBER_OR_END.sub(rb'\1"\2"', text).replace(b'"\n"', b"\n")
        if not ((b"\\ud" in text or b"\\uD" in text) and _HALF_PAIR.search(text)):
            with contextlib.suppress(InputError, EngineError):  # then lines are judged one by one, below
                frame = self._frame(text)
                if frame.height == len(lines):
                    return frame, np.ones(len(lines), np.bool_)
        quoted = text.split(b"\n")[:-1]
        is_object = np.array([_is_object(line) for line in quoted], np.bool_)
        objects = [line + b"\n" for line, is_sound in zip(quoted, is_object.tolist(), strict=True) if is_sound]
        frame = self._frame(b"".join(objects))
        if frame.height != len(objects):
            raise rows_lost(self._origin, len(objects), frame.height)
        return frame, is_object

    def _frame(self, text: bytes) -> pl.DataFrame:
        schema = dict.fromkeys(self._columns, pl.String)
        return collect(self._origin, pl.scan_ndjson(text, schema=schema)) if text else pl.DataFrame(schema=schema)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _malformed(lines: Sequence[bytes], numbers: RowNumbers, is_object: npt.NDArray[np.bool_]) -> MalformedRows:
    """Return the lines that are no objects."""
    return MalformedRows.of_rows(
        [
            (number, ROW_NOT_JSON if is_utf8(line) else ROW_NOT_TEXT, line)
            for line, number, is_sound in zip(lines, numbers.tolist(), is_object.tolist(), strict=True)
            if not is_sound
        ]
    )
