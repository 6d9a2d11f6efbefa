"""NDJSON: one JSON object a line. Numbers keep the digits they are written with.

The kernel parses objects of which it is certain what they mean; `objects` parses the others. Without the kernel, Polars
parses lines that are plain: it would parse `12.30` as a number and return `12.3`, and lose digits beyond its number
types, so numbers are put in quotes before, and every value is text. A line that is not one JSON object is rejected with
its number; it is found when Polars cannot parse the text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from converter.columns.pool import Bytes
from converter.errors import EngineError, InputError, redact
from converter.jobs.sections.table import Input
from converter.kernel.calls import Loops
from converter.kernel.form import Form, Grammar
from converter.kernel.keys import MOST_NODES, Keys
from converter.kernel.sink import UNCERTAIN
from converter.sources.base import Rest
from converter.sources.engine import collect
from converter.sources.json_rows import JsonRows, is_split
from converter.sources.malformed import NONE, MalformedRows, RowNumbers
from converter.sources.objects import frame_of_lines, quoted_numbers
from converter.sources.origins.base import Origin
from converter.sources.reshaped import LineStream
from converter.sources.streams import TextStream
from converter.sources.texts import Body, Parser, Rows, TextSource
from converter.spec.rules import Rule

_LONGEST_LINE = 64 << 20
_HEAD = 1 << 20
_SAMPLE = 1000
_MOST_DEPTH = 8  # of objects inside objects whose keys are columns
_SPACES = rb"[ \t\r]*"


class NdjsonSource(TextSource):
    """One input of JSON objects; its columns are the keys of the first thousand, and those that the job names.

    Where they are not one on each line, as its start shows, they are put on lines while they are read (`json_rows`).
    """

    json_lists = True

    def __init__(self, origin: Origin, options: Input, *, block: int = sys.maxsize) -> None:
        self.origin = origin
        self.most = block
        names = dict.fromkeys(options.columns)
        with TextStream(origin, options.encoding, options.member) as stream:
            self.body = Body(origin, options.encoding, 0, 0, stream.offset, options.member)
            head = _head_of(stream)
        if is_split(head):
            self.unit = "row"
            self.body = self.body._replace(start=None, reshape=partial(_rows_of, options=options))
            with self.body.open() as lines:
                head = _head_of(lines)
        rows: list[object] = []
        lists: set[str] = set()
        for line in head.split(b"\n")[:_SAMPLE]:
            with contextlib.suppress(orjson.JSONDecodeError):  # no object: the row is rejected when it is read
                rows.append(orjson.loads(line))
                found = dict(_keys_in(rows[-1]))
                names.update(dict.fromkeys(found))
                lists.update(name for name, value in found.items() if isinstance(value, list))
        self.lists = frozenset(lists)
        self.columns_hint = _hint_of(rows)
        self.names = tuple(names)
        self.layout = NdjsonSource  # all inputs are parsed alike

    def parser(self, columns: Sequence[str], loops: Loops | None) -> Parser:
        """Return what parses its lines."""
        return _Parser(self.origin, Keys(columns, *self.roles), loops)


def _keys_in(value: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Yield the keys of an object, and those of objects in it as `key.inner`, with their values."""
    for key, inner in value.items() if isinstance(value, dict) and depth < _MOST_DEPTH else ():
        yield prefix + key, inner
        yield from _keys_in(inner, f"{prefix}{key}.", depth + 1)


def _hint_of(rows: Sequence[object]) -> str:
    """Return what helps where a column is missing in rows that begin with these."""
    if len(rows) == 1 and isinstance(rows[0], dict):
        for key, value in rows[0].items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                return f"Its rows seem to be in '{redact(key)}': extract them (jq -c '.[\"{redact(key)}\"][]' FILE). "
    return f"Only its first {_SAMPLE:,} rows show them: name a key that appears later in input.columns. "


def _rows_of(origin: Origin, options: Input) -> JsonRows:
    return JsonRows(TextStream(origin, options.encoding, options.member))


def _head_of(stream: LineStream) -> bytes:
    """Return the start of an input: a megabyte, or more where the first line is longer."""
    head = b""
    buffer = bytearray(_HEAD)
    while b"\n" not in head and len(head) <= _LONGEST_LINE and (count := stream.readinto(memoryview(buffer))):
        head += buffer[:count]
    return head


class _Parser:
    """Parses NDJSON. `origin` is what messages name."""

    grammar: Grammar | None = None

    def __init__(self, origin: Origin, keys: Keys, loops: Loops | None) -> None:
        self._origin = origin
        self._keys = keys
        self._loops = loops
        self.longest = _LONGEST_LINE
        self._plain = [_plain_value(name, keys) for name in keys.columns]

    def endless(self, text: bytes) -> Rows:
        """Raise the error that a line is too long."""
        del text
        raise InputError(
            "E-LINE-ENDLESS",
            f"The input '{self._origin.label}' has a line of more than {_LONGEST_LINE >> 20} MiB without end.",
            "Is it NDJSON, one JSON object a line?",
        )

    def parse(self, texts: Sequence[tuple[Bytes, int]], form: Form | None, *, last: bool) -> Rows:
        """Parse the lines of texts; the last text may end inside a line."""
        del last
        if not self._loops or self._keys.nodes > MOST_NODES:
            return self._parse_slowly([text[:size].tobytes().split(b"\n") for text, size in texts])
        parsed = self._loops.objects(texts, self._keys, form)
        numbers, rest = parsed.numbers, Rest.of_chunks([parsed.chunk], self._keys.columns)
        blank, newlines, consumed, lines = parsed.blank, parsed.newlines, parsed.consumed, parsed.lines
        rows = Rows(parsed.rows, rest, numbers, NONE, blank, newlines, consumed, lines)
        others = parsed.malformed
        if not len(others):
            return rows
        uncertain = np.flatnonzero(others.rules == UNCERTAIN)
        malformed = MalformedRows.of_loops(others, texts)
        judged = malformed.take(uncertain).texts()
        frame, broken = frame_of_lines(judged, self._keys)
        is_sound = _are_none(broken)
        sound = uncertain[is_sound]
        malformed = malformed.take(np.delete(np.arange(len(others)), uncertain))
        malformed = malformed.joined([malformed, _malformed(judged, others.numbers[uncertain], broken)])
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
        frame, broken = self._judge(judged)
        malformed = _malformed(judged, numbers, broken)
        consumed = sum(len(line) + 1 for line in texts[-1][:-1]) if texts else 0
        rest, blank = Rest.of_frame(frame), len(lines) - len(numbers)
        return Rows(frame.height, rest, numbers[_are_none(broken)], malformed, blank, newlines, consumed)

    def _judge(self, lines: Sequence[bytes]) -> tuple[pl.DataFrame, list[Rule | None]]:
        """Parse lines: the plain ones by Polars, if it can parse them together, and all others one by one."""
        plain = np.array([self._is_plain(line) for line in lines], np.bool_)
        if plain.any():
            text = b"".join(line + b"\n" for line, is_plain in zip(lines, plain.tolist(), strict=True) if is_plain)
            with contextlib.suppress(InputError, EngineError):  # one of them is not an object
                frame = self._frame(quoted_numbers(text))
                if frame.height == np.count_nonzero(plain):
                    others = np.flatnonzero(~plain)
                    slow, broken_slow = frame_of_lines([lines[other] for other in others.tolist()], self._keys)
                    broken = np.full(len(lines), None, np.object_)
                    broken[others] = broken_slow
                    sound = others[_are_none(broken_slow)]
                    order = np.argsort(np.concatenate([np.flatnonzero(plain), sound]))
                    return pl.concat([frame, slow], rechunk=True)[order], broken.tolist()
        return frame_of_lines(lines, self._keys)

    def _is_plain(self, line: bytes) -> bool:
        """Return whether a line, if it is an object, has no object or list in it, and no key twice.

        IDs are texts or whole numbers.
        """
        if b"\\" in line or b"[" in line or line.count(b"{") != 1 or self._keys.nodes > 1 or _repeats_key(line):
            return False
        return all(
            (count := line.count(key)) == 0 or (count == 1 and (exact is None or bool(exact.search(line))))
            for key, exact in self._plain
        )

    def _frame(self, text: bytes) -> pl.DataFrame:
        schema = dict.fromkeys(self._keys.columns, pl.String)
        return collect(self._origin, pl.scan_ndjson(text, schema=schema)) if text else pl.DataFrame(schema=schema)


def _repeats_key(line: bytes) -> bool:
    """Return whether an object without escapes, lists and objects in it has a key twice."""
    texts = line.split(b'"')  # by turns outside and inside quotes
    keys = [key for key, behind in zip(texts[1::2], texts[2::2], strict=False) if behind.lstrip().startswith(b":")]
    return len(set(keys)) < len(keys)


def _plain_value(name: str, keys: Keys) -> tuple[bytes, re.Pattern[bytes] | None]:
    """Return the key of a column as it stands in lines, and the pattern of it with a value that is exact, if needed."""
    key = b'"' + name.encode() + b'"'
    exact = re.compile(re.escape(key) + _SPACES + b":" + _SPACES + rb"(?:[\"n]|-?[0-9]+" + _SPACES + b"[,}])")
    return key, exact if name in keys.exact else None


def _are_none(rules: Sequence[Rule | None]) -> npt.NDArray[np.bool_]:
    return np.array([rule is None for rule in rules], np.bool_)


def _malformed(lines: Sequence[bytes], numbers: RowNumbers, rules: Sequence[Rule | None]) -> MalformedRows:
    """Return the lines that break a rule."""
    each = zip(lines, numbers.tolist(), rules, strict=True)
    return MalformedRows.of_rows([(number, rule, line) for line, number, rule in each if rule is not None])
