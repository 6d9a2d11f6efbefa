"""What the rounds of `kill.py` convert: rows, the sections of their jobs, and the lines that each set of parts has then."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.spec.names import FileName

Row = tuple[str, str, int]
DPID = 1234
_GAID, _IDFA = 20914, 20915


def table_of(given: list[Row]) -> str:
    """The rows as they are in a table, without its header."""
    return "".join(f"{id_},{value},{trait}\n" for id_, value, trait in given)


@dataclass(frozen=True)
class Kind:
    """A kind of job. `output` and `sections` are added to the plain job; `id_of` gives the ID of a row by its number.

    `table` makes the text of the input of rows. `text` gives the text of a part. `sets` are the data sources in the
    names of the parts that a row goes to, by its number. `first_table` makes the table of the first day, where runs are
    those of the second one, and compare with the state that is left of the first.
    """

    output: Mapping[str, Any] = field(default_factory=lambda: {"dpid": DPID})
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    id_of: Callable[[int], str] = "user{:07d}".format
    table: Callable[[list[Row]], str] = table_of
    text: Callable[[bytes], bytes] = gzip.decompress
    sets: Callable[[int], tuple[int, ...]] = lambda number: (DPID,)
    first_table: Callable[[list[Row]], str] | None = None

    def rows(self, seed: int, count: int) -> list[Row]:
        """Rows with distinct IDs: the ID, a value, a trait."""
        drawn = random.Random(seed)
        return [(self.id_of(number), f"v{drawn.randrange(10**9)}", drawn.randrange(10**6)) for number in range(count)]

    def lines(self, given: list[Row]) -> dict[tuple[int, ...], Counter[bytes]]:
        """The lines that rows must become, by set."""
        found: dict[tuple[int, ...], Counter[bytes]] = {}
        for number, row in enumerate(given):
            found.setdefault(self.sets(number), Counter()).update(lines_of([row]))
        return found


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """A job file. JSON's texts, numbers and lists of them are TOML's as well."""

    def text(value: Any) -> str:
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{key} = {text(inner)}" for key, inner in value.items()) + "}"
        return json.dumps(value)

    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {text(value)}\n" for key, value in section.items())
        for name, section in sections.items()
    )


def lines_of(given: list[Row]) -> Counter[bytes]:
    """The lines that rows must become."""
    return Counter(f'{id_}\t"a"="{value}",d_sid={trait}'.encode() for id_, value, trait in given)


def set_of(name: str) -> tuple[int, ...]:
    """The data sources in the name of a part."""
    parsed = FileName.parse(name)
    return (*parsed.dpids, *([] if parsed.target is None else [parsed.target]))


PLAIN = Kind()


@contextlib.contextmanager
def _plain(folder: Path) -> Iterator[Kind]:
    yield PLAIN


@contextlib.contextmanager
def _pgp(folder: Path) -> Iterator[Kind]:
    from .gnupg import recipient_at_home

    with recipient_at_home() as recipient:
        recipient.make("somebody")
        key = recipient.export("somebody", folder / "somebody.asc")
        yield Kind(
            {"dpid": DPID, "compression": "pgp"},
            {"pgp": {"key": key}},
            text=recipient.decrypt,
        )


def _routed_id(number: int) -> str:
    id_ = str(uuid.UUID(int=number + (0xABCD << 112)))  # with letters, whose case tells the type
    return (f"user{number:07d}", id_, id_.upper())[number % 3]


@contextlib.contextmanager
def _route(folder: Path) -> Iterator[Kind]:
    route = {"crm": DPID, "gaid": {"target": DPID}, "idfa": {"target": DPID}}
    sets = ((DPID,), (_GAID, DPID), (_IDFA, DPID))
    yield Kind(
        {"route": route}, {"id": {"type": "auto"}}, id_of=_routed_id, sets=lambda number: sets[number % len(sets)]
    )


def _apart(given: list[Row]) -> str:
    """A table in which each user has two rows, far from one another."""
    return "".join(f"{id_},{value},\n" for id_, value, _ in given) + "".join(
        f"{id_},,{trait}\n" for id_, _, trait in given
    )


@contextlib.contextmanager
def _gathered(folder: Path) -> Iterator[Kind]:
    yield Kind(sections={"record": {"rows": "signal"}}, table=_apart)


# A feed that sends changes only: of the first day's users, a tenth is the same on the second day, a fifteenth is gone,
# and all others have another trait; as many as are gone are new.
DELTA = {"removals": True, "gone": "remove"}


def _shares(given: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """The users of the first day who are the same on the second one, those who are changed, and those who are gone."""
    same, gone = len(given) // 10, len(given) - len(given) // 15
    return given[:same], given[same:gone], given[gone:]


def second_day(given: list[Row]) -> list[Row]:
    """The rows of the second day, by those of the first one."""
    same, changed, gone = _shares(given)
    return [
        *same,
        *((id_, value, trait + 1) for id_, value, trait in changed),
        *((f"new{id_}", value, trait) for id_, value, trait in gone),
    ]


def changes_of(given: list[Row]) -> Counter[bytes]:
    """The lines of the second day, by the rows of the first one."""
    _, changed, gone = _shares(given)
    return Counter(
        [
            *(f'{id_}\t"a"="{value}",d_sid={trait + 1},d_unsid={trait}'.encode() for id_, value, trait in changed),
            *(f'new{id_}\t"a"="{value}",d_sid={trait}'.encode() for id_, value, trait in gone),
            *(f"{id_}\td_unsid={trait}".encode() for id_, _, trait in gone),
        ]
    )


class _SecondDay(Kind):
    """Runs of the second day."""

    def lines(self, given: list[Row]) -> dict[tuple[int, ...], Counter[bytes]]:
        return {(DPID,): changes_of(given)}


@contextlib.contextmanager
def _delta(folder: Path) -> Iterator[Kind]:
    yield _SecondDay(table=lambda given: table_of(second_day(given)), first_table=table_of)


KINDS: dict[str, Callable[[Path], AbstractContextManager[Kind]]] = {
    "plain": _plain,
    "pgp": _pgp,
    "route": _route,
    "gathered": _gathered,
    "delta": _delta,
}
