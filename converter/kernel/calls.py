"""How the loops are called: with the addresses and sizes of arrays. The structures are those of `kernel.h`.

Arrays live as long as a call. What is returned are views of memory that a pool leases.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_int32, c_int64, c_uint8, c_void_p
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converter.columns.buffers import VIEW_BYTES, Chunk, Views
from converter.columns.pool import Bytes, Pool
from converter.kernel.checked import ENTRIES as CHECK_ENTRIES
from converter.kernel.checked import Doubted, LineForm, doubted
from converter.kernel.earlier import ENTRIES as EARLIER_ENTRIES
from converter.kernel.earlier import EarlierKeys
from converter.kernel.form import SLACK, Form, FormStructure, Grammar, Layout, LayoutStructure
from converter.kernel.gather import ENTRIES as GATHER_ENTRIES
from converter.kernel.gather import MEMORY as GATHER_MEMORY
from converter.kernel.gather import Gathered, Gathering, Partitioned
from converter.kernel.keys import Keys, KeysStructure
from converter.kernel.known import ENTRIES as KNOWN_ENTRIES
from converter.kernel.known import KnownFiles, unknown_lines
from converter.kernel.library import Library
from converter.kernel.seen import ENTRIES as SEEN_ENTRIES
from converter.kernel.seen import Seen, SeenStructure, see_users
from converter.kernel.sink import MEMORY, Lines, Parsed, Positions, Sink, Structure, Texts
from converter.kernel.texts import ENTRIES as TEXT_ENTRIES
from converter.kernel.texts import Values, fill_views
from converter.kernel.users import ENTRIES as USER_ENTRIES
from converter.kernel.users import UserSignals, user_signals


class _Views(ctypes.Structure):
    _fields_ = [
        ("views", c_void_p),
        ("rows", c_int64),
        ("buffers", c_void_p),
        ("sizes", c_void_p),
        ("buffer_count", c_int64),
        ("valid", c_void_p),
        ("valid_bytes", c_int64),
        ("first_valid", c_int64),
    ]


class SplitStructure(ctypes.Structure):
    """`struct aam_split`."""

    _fields_ = [
        ("depth", c_int64),
        ("written", c_int64),
        ("in_list", c_uint8),
        ("has_content", c_uint8),
        ("in_string", c_uint8),
        ("is_escaped", c_uint8),
        ("unused", c_uint8 * 4),
    ]


Hashes = npt.NDArray[np.uint64]

_SAMPLED = 4096  # texts
_ROOM_FOR_OTHERS = 8  # that lines are merged with: one in so many, without a copy
ENTRIES: dict[str, tuple[type[Any], ...]] = {
    "count_quotes": (c_void_p, c_int64, c_int32, c_int32, POINTER(c_int64)),
    "cut": (c_void_p, c_int64, c_int32, c_int32, c_int64, POINTER(c_int64), POINTER(c_int64)),
    "delimited": (c_void_p, c_int64, POINTER(LayoutStructure), POINTER(FormStructure), c_int32, POINTER(Structure)),
    "objects": (c_void_p, c_int64, POINTER(KeysStructure), POINTER(FormStructure), POINTER(Structure)),
    "split": (c_void_p, c_int64, c_void_p, c_int64, POINTER(SplitStructure)),
    "view_lines": (POINTER(_Views), c_int64, c_int64, POINTER(FormStructure), POINTER(Structure)),
    "line_fields": (c_void_p, c_int64, c_void_p, c_int64, c_int64, c_int64, c_void_p, c_int64),
    "merge_lines": (c_void_p, c_int64, c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_void_p, c_int64),
    "keyed_hashes": (c_void_p, c_int64, c_void_p, c_void_p, c_int64, c_int64, c_void_p, c_void_p),
    **TEXT_ENTRIES,
    **GATHER_ENTRIES,
    **USER_ENTRIES,
    **KNOWN_ENTRIES,
    **CHECK_ENTRIES,
    **EARLIER_ENTRIES,
    **SEEN_ENTRIES,
}
"""The entries of the library, and what each takes."""


class Loops:
    """The compiled loops. A text begins at the start of a row; `SLACK` bytes of memory must follow it."""

    def __init__(self, library: Library) -> None:
        self._entries = {name: library.entry(name, arguments) for name, arguments in ENTRIES.items()}
        self._pools = {name: Pool() for name in (*MEMORY, *GATHER_MEMORY, "texts")}

    def count_quotes(self, text: Bytes, grammar: Grammar, state: int) -> int:
        """Turn the state before a text, of `INSIDE` and `ESCAPED`, into that after it."""
        found = c_int64(state)
        self._call("count_quotes", text, len(text), *_marks(grammar), found)
        return found.value

    def cut(self, text: Bytes, grammar: Grammar, state: int) -> tuple[int, int]:
        """Return what follows the first newline of a text outside of quotes, and what follows the last one.

        Both are offsets, 0 where there is none; `state` is that before the text.
        """
        first, last = c_int64(), c_int64()
        self._call("cut", text, len(text), *_marks(grammar), state, first, last)
        return first.value, last.value

    def delimited(self, texts: Sequence[tuple[Bytes, int]], layout: Layout, form: Form | None, *, last: bool) -> Parsed:
        """Parse delimited texts, each with its size in bytes, which `SLACK` bytes must follow.

        Each text begins with a row, and ends with the newline of one; the last text need not, unless `last`. Where
        nothing of the last text was parsed, call again with more of it; if that is twice the longest row and nothing
        was parsed again, it is one line without an end. Raises `SystemError` where a text has no newline at its end, or
        not enough memory after it.
        """
        given = Texts(texts)
        rows = given.count_rows()
        sink = Sink(
            self._pools,
            lines=2 * given.size + rows * form.extra if form else 0,
            rows=rows,
            fields=layout.columns,
            columns=layout.columns,
            scratch=given.size + SLACK,
            form=form,
        )
        structure = form.structure if form else None
        sink.call(self._entries["delimited"], given.address, given.count, layout.structure, structure, last)
        return sink.parsed(given, with_lines=form is not None)

    def objects(self, texts: Sequence[tuple[Bytes, int]], keys: Keys, form: Form | None) -> Parsed:
        """Parse NDJSON texts, each with its size in bytes, which `SLACK` bytes must follow: lines of one object each.

        A line of the last text that has no end is not consumed; other texts must end with a newline.
        A value is a string without its escapes, or the text of a number, `true` or `false`; it is empty for null and
        where there is none. A list of such values, where `keys` allow one, is the text `["1", "x", null]`; where `form`
        has a list in its column, it is the items with the separator between them. Lines of which it is not certain what
        they mean are malformed by the rule `UNCERTAIN`, and so are those with values that `keys` do not allow.
        """
        given, columns = Texts(texts), len(keys.columns)
        rows = given.count_rows()
        made = given.size + rows * form.extra if form else 0
        sink = Sink(self._pools, lines=made, rows=rows, fields=keys.slots, columns=columns, form=form)
        structure = form.structure if form else None
        sink.call(self._entries["objects"], given.address, given.count, keys.structure, structure)
        return sink.parsed(given, with_lines=form is not None)

    def split(self, text: Bytes, state: SplitStructure) -> Bytes:
        """Return the next bytes of a JSON text with each row on one line; `state` is what was before them."""
        out = self._pools["texts"].lease(2 * len(text))
        self._call("split", text, len(text), out, len(out), state)
        return out[: state.written]

    def frame_lines(self, chunks: Sequence[Chunk], form: Form) -> Lines:
        """Turn the rows of a frame into lines. A null is an empty text."""
        rows = sum(chunk.rows for chunk in chunks)
        size = sum(_expected_bytes(column) for chunk in chunks for column in chunk.columns)
        columns = max((len(chunk.columns) for chunk in chunks), default=1)
        room = 2 * size + rows * form.extra
        sink = Sink(self._pools, lines=room, rows=rows, fields=columns, form=form)
        for chunk in chunks:
            views, _kept = _views_of(chunk)
            sink.call(self._entries["view_lines"], views, len(chunk.columns), chunk.rows, form.structure)
            sink.structure.at = 0
        return sink.lines()

    def column_texts(self, views: Bytes, values: Values, buffer: int) -> Bytes:
        """Write the views of the texts of a column; those too long for a view go to a buffer, which gets this number.

        Returns that buffer. Views of texts between offsets refer to `values.data` instead, from the first of the texts
        on, and those of indices to what the views in it refer to.
        """
        return fill_views(self._entries["column_texts"], self._pools["texts"], views, values, buffer)

    def fields(self, lines: Bytes, ends: Positions, columns: int, skipped: int) -> Chunk:
        """Return string views of fields of lines: `columns` of them after `skipped` ones; missing ones are empty."""
        views = np.empty((columns, len(ends) * VIEW_BYTES), np.uint8)
        ends = np.ascontiguousarray(ends)
        self._call("line_fields", lines, len(lines), ends, len(ends), skipped, columns, views, views.size)
        return Chunk(tuple(Views(column, (lines,)) for column in views), len(ends))

    def merge(self, made: Lines, others: Bytes, other_ends: Positions, positions: Positions) -> tuple[Bytes, Positions]:
        """Put the lines of `others` among those of `made`, other i before line `positions[i]`.

        Returns all lines, and where they end, in the memory of `made`: that is not to be used any more.
        """
        count, other_count = len(made.ends), len(other_ends)
        lines, ends = made.memory, made.ends_room
        own = int(made.ends[-1]) if count else 0
        size = own + (int(other_ends[-1]) if other_count else 0)
        if size > len(lines):  # lines of irregular rows may be longer than the room for them
            lines = np.empty(size, np.uint8)
            lines[:own] = made.memory[:own]
        if count + other_count > len(ends):
            ends = np.empty(count + other_count, np.int64)
            ends[:count] = made.ends
        other_ends, positions = np.ascontiguousarray(other_ends), np.ascontiguousarray(positions)
        self._call("merge_lines", lines, len(lines), ends, len(ends), count, others, other_ends, positions, other_count)
        return lines, ends[: count + other_count]

    def hashes(self, lines: Bytes, ends: Positions, skipped: int) -> npt.NDArray[np.uint64]:
        """Return the hash of the ID of each line, the field after `skipped` ones: that of `rows.spill.hashes_of`.

        `ends` are the offsets of the ends of lines, each after its newline.
        """
        hashes = self._pools["hashes"].lease(len(ends) * 8).view(np.uint64)
        ends = np.ascontiguousarray(ends)
        self._call("line_hashes", lines, len(lines), ends, len(ends), skipped, hashes, len(hashes))
        return hashes

    def count_signals(self, lines: Bytes, ends: Positions, skipped: int) -> int:
        """Return how many signals lines have: what is after the field after the first `skipped` ones."""
        found, ends = c_int64(), np.ascontiguousarray(ends)
        self._call("count_signals", lines, len(lines), ends, len(ends), skipped, found)
        return found.value

    def partition(self, lines: Bytes, ends: Positions, skipped: int, bits: int, shift: int) -> Partitioned:
        """Copy lines so that those are together whose IDs have the same `bits` of their hashes, from bit `shift` on.

        The groups are in the order of these bits, at most 16; lines of a group are in the order given.
        """
        return self._partition(lines, ends, self.hashes(lines, ends, skipped), bits, shift)

    def grouped(self, made: Lines, groups: Bytes, count: int) -> list[tuple[Lines, Positions]]:
        """Return the lines of each of `count` groups, in order, and which of all lines these are.

        `groups` has the group of each line. What lines count stays that of all. Lines that are all in one group are not
        copied.
        """
        empty = replace(made, memory=made.memory[:0], ends=made.ends[:0], ends_room=made.ends[:0])
        parts = [(empty, np.empty(0, np.int64))] * count
        present = np.flatnonzero(np.bincount(groups, minlength=count)).tolist()
        if len(present) == 1:
            parts[present[0]] = made, np.arange(len(groups))
        elif present:
            whole = self._partition(made.memory, made.ends, groups.astype(np.uint64), (count - 1).bit_length(), 0)
            starts = np.concatenate([[0], whole.ends])[whole.edges].tolist()
            for group in present:
                own = slice(*whole.edges[group : group + 2].tolist())
                ends = whole.ends[own] - starts[group]
                memory = whole.lines[starts[group] : starts[group + 1]]
                parts[group] = replace(made, memory=memory, ends=ends, ends_room=ends), whole.order[own]
        return parts

    def _partition(self, lines: Bytes, ends: Positions, hashes: Hashes, bits: int, shift: int) -> Partitioned:
        ends = np.ascontiguousarray(ends)
        size = int(ends[-1]) if len(ends) else 0
        made, names = self._pools["grouped"].lease(size), ("order", "grouped_ends")
        order, made_ends = (self._pools[name].lease(len(ends) * 8).view(np.int64) for name in names)
        edges, places = np.empty((2, (1 << bits) + 1), np.int64)
        groups = edges, places, len(edges), order, made_ends, len(order), made, len(made)
        self._call("partition_lines", lines, len(lines), ends, len(ends), hashes, bits, shift, *groups)
        return Partitioned(order, edges, made, made_ends)

    def gather_signals(
        self,
        lines: Bytes,
        ends: Positions,
        skipped: int,
        rank: Positions | None,
        *,
        reject_several: bool,
        most_line_bytes: int,
        most_lines: int,
    ) -> Gathered:
        """Gather the signals of users from their lines: each once, in the order of their bytes.

        `rank` says for each line how late it is. Then of several values of a key the latest one is written, of these
        the greatest; of an addition and a removal of a trait the later one, and neither (`CONFLICT`) where there is
        none. Without it all values of a key are written, or with `reject_several` none (`SEVERAL`). Lines have at most
        `most_line_bytes` bytes with their newline, or one signal, and users at most `most_lines` (`CUT`).
        """
        gathering = Gathering(
            self._pools,
            lines,
            ends,
            rank,
            skipped=skipped,
            by_signal=True,
            reject_several=reject_several,
            most_line_bytes=most_line_bytes,
            most_lines=most_lines,
        )
        return gathering.call(self._entries["gather"])

    def gather_lines(
        self,
        lines: Bytes,
        ends: Positions,
        skipped: int,
        at: npt.NDArray[np.uint64],
        *,
        drop_repeated: bool,
        most_lines: int,
    ) -> Gathered:
        """Gather the lines of users, those of each in the order of `at`.

        With `drop_repeated`, of equal lines only the first one is written (others are `REPEATED`); lines beyond
        `most_lines` of a user are `CUT`.
        """
        gathering = Gathering(
            self._pools, lines, ends, at, skipped=skipped, drop_repeated=drop_repeated, most_lines=most_lines
        )
        return gathering.call(self._entries["gather"])

    def keyed_hashes(self, text: Bytes, starts: Positions, ends: Positions, key: Hashes, field: int = -1) -> Hashes:
        """Return SipHash-2-4 of parts of a text, each from its start to its end: two words (UInt64) for each.

        `key` has two words as well. With a `field`, counted from 0, that of the field of each part which ends in a tab.
        """
        starts, ends = np.ascontiguousarray(starts), np.ascontiguousarray(ends)
        made = np.empty((len(starts), 2), np.uint64)
        self._call("keyed_hashes", text, len(text), starts, ends, len(starts), field, key, made)
        return made

    def user_signals(self, lines: Bytes, ends: Positions, firsts: Positions, skipped: int, key: Hashes) -> UserSignals:
        """Return the IDs of users, their traits, and hashes of what else they have.

        `firsts` are the indices of the first lines of users, and the number of lines; an ID is after `skipped` fields.
        `key` has two words.
        """
        return user_signals(self._entries["user_signals"], lines, ends, firsts, skipped, key)

    def unknown_lines(
        self, lines: Bytes, ends: Positions, skipped: int, key: Hashes, known: KnownFiles, *, is_again: bool
    ) -> Positions:
        """Return the indices of lines that are to be taken, and note of users what becomes of their lines.

        These are all but those that users had before who are not due, of equal ones the first. When the lines come
        again, they are those of such lines that are lacking. An ID is after `skipped` fields; `key` has two words.
        Threads may share `known`.
        """
        return unknown_lines(self._entries["known_lines"], lines, ends, skipped, key, known, is_again=is_again)

    def taken(self, lines: Bytes, ends: Positions, rows: Positions) -> tuple[Bytes, Positions]:
        """Return some lines, by their indices, in new memory, and where each ends."""
        ends, rows = np.ascontiguousarray(ends), np.ascontiguousarray(rows)
        size = int(np.diff(ends, prepend=0)[rows].sum())
        made, made_ends = np.empty(size, np.uint8), np.empty(len(rows), np.int64)
        self._call("take_lines", lines, len(lines), ends, len(ends), rows, len(rows), made, size, made_ends)
        return made, made_ends

    def doubted(self, text: Bytes, size: int, form: LineForm) -> Doubted:
        """Return the lines of an inbound file that may break a rule; all others break none.

        The text has `size` bytes and ends in a newline; `SLACK` bytes must follow it.
        """
        if len(text) < size + SLACK:
            raise SystemError("A compiled loop was called without the memory that it needs.")
        return doubted(self._entries["check_lines"], text, size, form)

    def see_users(self, text: Bytes, size: int, structure: SeenStructure, *, finds: bool) -> Seen:
        """Count the lines of users of an inbound file, or with `finds`, return those whose users may have too many.

        As for `doubted`, the text ends in a newline, and `SLACK` bytes must follow it.
        """
        if len(text) < size + SLACK:
            raise SystemError("A compiled loop was called without the memory that it needs.")
        return see_users(self._entries["see_users"], text, size, structure, finds=finds)

    def earlier_keys(self) -> EarlierKeys:
        """Return a table of keys that came before, without any."""
        return EarlierKeys(*(self._entries[name] for name in EARLIER_ENTRIES))

    def _call(self, name: str, *given: Any) -> None:
        """Call an entry that needs no more room. Raises `SystemError` where it refuses its arguments."""
        addresses = (each.ctypes.data if isinstance(each, np.ndarray) else each for each in given)
        if status := self._entries[name](*addresses):
            raise SystemError(f"A compiled loop was called in a wrong way ({status}).")


def _marks(grammar: Grammar) -> tuple[int, bool]:
    """Return the quote, 0 where there is none, and whether backslashes escape."""
    return ord(grammar.quote or b"\0"), bool(grammar.meanings)


def _expected_bytes(column: Views) -> int:
    """Return about how many bytes the texts of a column have; the views of nulls may say anything."""
    lengths = column.lengths
    every = max(len(lengths) // _SAMPLED, 1)
    expected = int(lengths[::every].sum(dtype=np.int64)) * every
    if column.valid is None:
        return expected
    return min(expected, sum(map(len, column.buffers)) + VIEW_BYTES * len(lengths))


def _views_of(chunk: Chunk) -> tuple[ctypes.Array[_Views], list[Any]]:
    """Return the columns of a chunk as the loops take them, and what has to live as long."""
    table = (_Views * len(chunk.columns))()
    kept: list[Any] = []
    for entry, column in zip(table, chunk.columns, strict=True):
        addresses = np.array([buffer.ctypes.data for buffer in column.buffers], np.int64)
        sizes = np.array([len(buffer) for buffer in column.buffers], np.int64)
        kept += [addresses, sizes]
        entry.views, entry.rows = column.views.ctypes.data, len(column.views) // VIEW_BYTES
        entry.buffers, entry.sizes, entry.buffer_count = addresses.ctypes.data, sizes.ctypes.data, len(sizes)
        if column.valid is not None:
            entry.valid, entry.valid_bytes = column.valid.ctypes.data, len(column.valid)
            entry.first_valid = column.first_valid
    return table, kept
