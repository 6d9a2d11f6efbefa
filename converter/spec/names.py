"""File names of every kind that Audience Manager accepts, built and parsed (N1 to N8)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from converter.spec.misnamed import example_for, first_wrong, respelled

Kind = Literal["data", "id-sync", "c2c-id-sync", "odc"]
WITH_SIGNALS: tuple[Kind, ...] = ("data", "odc")
"""The kinds of files that hold signals."""
OF_IDS: tuple[Kind, ...] = ("id-sync", "c2c-id-sync")
"""The kinds of files that hold IDs alone."""
Mode = Literal["sync", "overwrite"]
Extension = Literal["", ".gz", ".gpg", ".pgp"]

MOST_STEM_BYTES = 207
"""The longest stem of a name *(ours)*: a file's name has at most 255 bytes, and suffixes follow the stem."""

_EXTENSIONS: dict[str, Extension] = {extension: extension for extension in get_args(Extension)}
_NUMBER = r"(?:0|[1-9][0-9]*)"
_SPLIT_EXTENSION = rf"(?:\.(?P<split>{_NUMBER}))?(?P<extension>\.gz|\.gpg|\.pgp)?"
_TAIL = rf"_(?P<timestamp>[0-9]{{10}})\.(?P<mode>sync|overwrite){_SPLIT_EXTENSION}"
_TAIL_OF_IDS = rf"_(?P<timestamp>[0-9]{{10}})\.(?P<mode>sync){_SPLIT_EXTENSION}"
_PATTERNS: dict[Kind, re.Pattern[str]] = {
    "data": re.compile(rf"ftp_dpm_(?P<dpids>{_NUMBER})(?:_(?P<target>{_NUMBER}))?{_TAIL}", re.ASCII),
    "odc": re.compile(rf"ftp_dpm_odc_(?P<dpids>{_NUMBER})(?:_(?P<target>{_NUMBER}))?{_TAIL}", re.ASCII),
    "id-sync": re.compile(rf"adobe_id_(?P<dpids>{_NUMBER}(?:_{_NUMBER})+){_TAIL_OF_IDS}", re.ASCII),
    "c2c-id-sync": re.compile(rf"c2c_id_(?P<dpids>{_NUMBER}_{_NUMBER}){_TAIL_OF_IDS}", re.ASCII),
}
_PREFIXES: dict[Kind, str] = {
    "data": "ftp_dpm",
    "odc": "ftp_dpm_odc",
    "id-sync": "adobe_id",
    "c2c-id-sync": "c2c_id",
}
STARTS_OF_IDS = tuple(f"{_PREFIXES[kind]}_" for kind in OF_IDS)
"""How the names of files that hold IDs alone begin."""


@dataclass(frozen=True)
class FileName:
    """The name of an inbound file, parsed.

    `dpids` are the data sources of the IDs (data, odc: one; id-sync: the master and one for each further column;
    c2c-id-sync: two); `target` is the data source that the traits belong to; `timestamp` is UNIX seconds, UTC; `split`
    is the number of the part, counted from 1. `str()` returns the name; `parse` is the reverse.

    Raises `ValueError` with a message for a name that Audience Manager would not accept.
    """

    kind: Kind
    dpids: tuple[int, ...]
    timestamp: int
    mode: Mode = "sync"
    target: int | None = None
    split: int | None = None
    extension: Extension = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"'{self.kind}' is not a kind of inbound file; the kinds are {', '.join(_PREFIXES)}.")
        if self.mode not in get_args(Mode) or (self.mode == "overwrite" and self.kind.endswith("id-sync")):
            raise ValueError(f"A file of kind {self.kind} cannot have the mode '{self.mode}' (N1, N6).")
        if self.extension not in get_args(Extension):
            raise ValueError(f"'{self.extension}' is not an extension of inbound files: .gz, .gpg or .pgp (N8).")
        most = {"data": 1, "odc": 1, "c2c-id-sync": 2}.get(self.kind)
        least = 2 if self.kind.endswith("id-sync") else 1
        if len(self.dpids) < least or (most and len(self.dpids) > most):
            raise ValueError(f"A file of kind {self.kind} cannot have {len(self.dpids)} data sources (N1, N6).")
        if min(self.dpids) < 0 or (self.target is not None and self.target < 0):
            raise ValueError("The number of a data source is never negative (N1).")
        if self.target is not None and self.kind.endswith("id-sync"):
            raise ValueError("An ID synchronization file has no target data source (N6).")
        if not 0 <= self.timestamp < 10**10:
            raise ValueError(f"The timestamp {self.timestamp} does not have 10 digits (N2).")
        if self.split is not None and self.split < 0:
            raise ValueError("The split number is never negative (N3).")

    def __str__(self) -> str:
        numbers = [*self.dpids, *([] if self.target is None else [self.target])]
        middle = "_".join(map(str, numbers))
        split = "" if self.split is None else f".{self.split}"
        return f"{_PREFIXES[self.kind]}_{middle}_{self.timestamp:010d}.{self.mode}{split}{self.extension}"

    @property
    def stem(self) -> str:
        """The name without split number and extension, which all parts of a run share."""
        return str(replace(self, split=None, extension=""))

    @property
    def probe(self) -> str:
        """The name of a file that tests whether a destination can be written: the same for all runs."""
        return f"{self.stem.rpartition('_')[0]}.probe"

    def has_part(self, name: str) -> bool:
        """Return whether a file name is that of a part of the same run."""
        try:
            return self.parse(name).stem == self.stem
        except ValueError:
            return False

    def part(self, number: int) -> FileName:
        """Return the name of part `number`, counted from 1 (N3)."""
        return replace(self, split=number)

    @classmethod
    def parse(cls, name: str) -> FileName:
        """Parse a file name. Raises `ValueError` where it is not a name of an inbound file (N1 to N8)."""
        for kind, pattern in _PATTERNS.items():
            if match := pattern.fullmatch(name):
                groups = match.groupdict()
                return cls(
                    kind=kind,
                    dpids=tuple(map(int, groups["dpids"].split("_"))),
                    timestamp=int(groups["timestamp"]),
                    mode="overwrite" if groups["mode"] == "overwrite" else "sync",
                    target=None if groups.get("target") is None else int(groups["target"]),
                    split=None if groups["split"] is None else int(groups["split"]),
                    extension=_EXTENSIONS[groups["extension"] or ""],
                )
        raise ValueError(_wrong(name))

    @classmethod
    def meant_by(cls, name: str) -> FileName | None:
        """Return the name that was most likely meant by one with frequent mistakes, `None` where none is likely."""
        text = respelled(name)
        return cls.parse(text) if text and _is_name(text) else None


def stem_of(name: str) -> str:
    """Return what the names of all parts of a set begin with; a file with another name is a set of its own."""
    try:
        return FileName.parse(name).stem
    except ValueError:
        return name


def _wrong(name: str) -> str:
    """Return what is wrong with a name, and what it should be."""
    at, expected = first_wrong(name)
    character = name[at : at + 1]
    shown = character if character.isprintable() else ascii(character)[1:-1]  # it may control a terminal
    there = f"'{shown}' stands in place of" if character else "it ends before"
    meant = FileName.meant_by(name)
    hint = f"Perhaps '{meant}' is meant" if meant else f"Names are as {example_for(name)}"
    return f"'{name}' is not the name of an inbound file: at character {at + 1}, {there} {expected}. {hint}."


def _is_name(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in _PATTERNS.values())
