"""What `state.json` says: whose state it is, the run that wrote it, and its files with their sizes and checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import orjson

from converter.delivery.state_places import RECORD
from converter.delivery.state_places.base import GENERATION
from converter.errors import StateError

VERSION = 2
_NEW = (
    "Restore it from a copy, or name another place in delta.state: then a run sends all users, and begins a new state."
)


@dataclass(frozen=True)
class StateFile:
    """A file of a state: the set of files and the range of hashes that it is for, and its size.

    `at` is the generation where it is, if it is not the one of the record.
    """

    set: int
    number: int
    users: int
    bytes: int
    crc32: int
    at: str = ""

    @property
    def name(self) -> str:
        """Its name in its generation."""
        return f"{self.set}-{self.number:02}.parquet"


@dataclass(frozen=True)
class StateRecord:
    """What `state.json` says.

    `kind`, `sources` (each with `dpid` and `target`) and `mode` are those of the files that were sent; `lines` is the
    digest of what decided on their lines. `run` wrote the state on a `day` (UTC, as in ISO 8601). `counts` says what
    became of users then. The state has the `traits` of users, and their `ids`, where the job asks for it; `salt` tells
    its salt from others.
    """

    generation: int
    run: str
    day: str
    kind: str
    sources: list[dict[str, int | None]]
    mode: str
    lines: str
    salt: str
    traits: bool
    ids: bool
    users: int
    counts: Mapping[str, int]
    files: list[StateFile] = field(default_factory=list)

    @property
    def place(self) -> str:
        """The name of its generation in a folder."""
        return f"{GENERATION}{self.generation}"

    @property
    def kept(self) -> set[tuple[str, str]]:
        """Where its files are: the generation and the name of each."""
        return {(file.at or self.place, file.name) for file in self.files}

    def to_json(self) -> bytes:
        """Return the record as a JSON document."""
        facts = asdict(self)
        facts["files"] = [{name: value for name, value in each.items() if value != ""} for each in facts["files"]]
        return orjson.dumps({"version": VERSION, **facts}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def parse(cls, data: bytes, place: str) -> StateRecord:
        """Return the record that a document has, of the state at a place.

        Raises `StateError` where it is damaged, or of another version.
        """
        try:
            facts = orjson.loads(data)
            version = facts.pop("version")
            if version != VERSION:
                raise StateError(
                    "E-STATE-VERSION",
                    f"The state '{place}' is of version {version}, but this program writes and reads {VERSION}.",
                    "Use the program that wrote it, or name another place in delta.state: then a run sends all users.",
                )
            files = [StateFile(**each) for each in facts.pop("files")]
            return cls(**facts, files=files)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged(place, f"'{RECORD}' is not what was written") from error


def salt_id(salt: bytes) -> str:
    """Return what tells a salt from others."""
    return hashlib.sha256(salt).hexdigest()[:12]


def damaged(place: str, why: str) -> StateError:
    """Return the error that the state at a place is damaged."""
    return StateError("E-STATE-DAMAGED", f"The state '{place}' is damaged: {why}.", _NEW)
