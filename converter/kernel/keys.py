"""The keys of JSON objects that are read, in the structures of `kernel.h`.

A column is the value of a key of its name. Where there is no such key, `a.b` is that of the key `b` in the object of
`a`. The objects that are read are nodes of a tree, of which number 0 is the object of the line.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Sequence
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint8

MOST_NODES = 32
NO_LIST, CODES, VALUES = range(3)
"""Whether a key may hold a list, and of what."""
_DOT = "."


class KeyStructure(ctypes.Structure):
    """`struct aam_key`."""

    _fields_ = [
        ("start", c_char_p),
        ("length", c_int64),
        ("parent", c_int32),
        ("node", c_int32),
        ("slot", c_int32),
        ("column", c_int32),
        ("is_exact", c_uint8),
        ("list", c_uint8),
        ("unused", c_uint8 * 6),
    ]


class KeysStructure(ctypes.Structure):
    """`struct aam_keys`."""

    _fields_ = [
        ("keys", POINTER(KeyStructure)),
        ("count", c_int64),
        ("slots", c_int64),
        ("columns", c_int64),
        ("nodes", c_int64),
        ("fallbacks", POINTER(c_int32)),
    ]


class Node:
    """An object that is read: the slots of its `values`, and the objects in it that are read, by their keys."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.nodes: dict[str, Node] = {}


class Keys:
    """The keys that are read for some columns.

    Columns that are `exact` take texts and whole numbers alone. Only those of `lists` may hold lists, of codes, and
    those of `values`, of values: a text is made of each, with the codes in quotes, or a byte before each value. The
    value of column i is in slot i, or else in slot `fallbacks[i]`, unless that is -1. `root` is the object of a line.
    """

    def __init__(
        self,
        columns: Sequence[str],
        exact: Collection[str] = (),
        lists: Collection[str] = (),
        values: Collection[str] = (),
    ) -> None:
        self.columns, self.exact = tuple(columns), frozenset(exact)
        self.lists, self.values = frozenset(lists), frozenset(values)
        self.root = Node()
        self.root.values = {name: slot for slot, name in enumerate(columns)}
        self.fallbacks = [-1] * len(columns)
        self.slots = len(columns)
        for number, name in enumerate(columns):
            *path, key = name.split(_DOT)
            if path and all((*path, key)):
                node = self.root
                for each in path:
                    node = node.nodes.setdefault(each, Node())
                self.fallbacks[number] = node.values[key] = self.slots
                self.slots += 1
        self._entries: list[KeyStructure] = []
        self._kept: list[bytes] = []
        self.nodes = 1
        self._add(self.root, 0)
        self._table = (KeyStructure * len(self._entries))(*self._entries)
        self._fallbacks = (c_int32 * len(columns))(*self.fallbacks)
        self.structure = KeysStructure(
            self._table, len(self._entries), self.slots, len(columns), self.nodes, self._fallbacks
        )

    def _add(self, node: Node, number: int) -> None:
        """Add the keys of a node, and those of the nodes in it."""
        for name, slot in node.values.items():
            column = slot if slot < len(self.columns) else self.fallbacks.index(slot)
            of_column = self.columns[column]
            kind = CODES if of_column in self.lists else VALUES if of_column in self.values else NO_LIST
            flags = {"is_exact": of_column in self.exact, "list": kind}
            self._enter(name, number, slot=slot, column=column, **flags)
        for name, inner in node.nodes.items():
            inner_number = self.nodes
            self.nodes += 1
            self._enter(name, number, node=inner_number)
            self._add(inner, inner_number)

    def _enter(self, name: str, parent: int, **given: int) -> None:
        text = name.encode()
        self._kept.append(text)  # as long as the structure refers to it
        self._entries.append(KeyStructure(text, len(text), parent=parent, **given))
