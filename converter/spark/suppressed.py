"""The list of `input.suppress` on Spark: the driver reads it, and tasks get the hashes of its IDs with what they do."""

from __future__ import annotations

import platform
from typing import NamedTuple

import polars as pl

from converter.errors import ConverterError, JobError
from converter.rows.suppression import Held, Suppression, hashes_of_ids, pairs_of

_MOST = 1 << 22  # IDs, whose hashes are 64 MiB: Spark Connect takes messages of 128 MiB
_KNOWN = "known-1"


class SentList(NamedTuple):
    """A list as tasks get it: the index of the ID in the line, and the hashes of its IDs, one after the other.

    `known` are the hashes of a known text, by which a machine finds out whether it makes the same ones.
    """

    number: int
    pairs: bytes
    known: tuple[int, ...]


def check_size(suppression: Suppression | None) -> None:
    """Raise `JobError` where a list is too long to be sent."""
    if suppression and len(suppression) > _MOST:
        raise JobError(
            "E-SPARK-UNSUPPORTED",
            f"The list of input.suppress has {len(suppression):,} user IDs, but at most "
            f"{_MOST:,} can be sent to each task.",
            "Run the job on one machine, without --engine spark; or leave the rows out of the DataFrame.",
        )


def sent_list(suppression: Suppression | None) -> SentList | None:
    """Return a list as it is sent, if there is one."""
    if suppression is None:
        return None
    pairs = b"".join(part.tobytes() for part in suppression.held.parts())
    return SentList(suppression.number, pairs, _known_hashes())


def received_list(sent: SentList | None, memory: int) -> Suppression | None:
    """Return a list that was sent, whose table may take so many bytes of `memory`.

    Raises `ConverterError` where this machine makes other hashes than the driver.
    """
    if sent is None:
        return None
    if sent.known != _known_hashes():
        raise ConverterError(
            "E-SPARK-PACKAGE",
            f"{platform.node()} makes other hashes of user IDs than the driver, so input.suppress would fail there.",
            "Install the same version of polars on all machines, which have processors of the same kind.",
        )
    return Suppression(Held(pairs_of(sent.pairs), memory), sent.number, ())


def _known_hashes() -> tuple[int, ...]:
    return pl.DataFrame({"id0": [_KNOWN]}).select(hashes_of_ids()).row(0)
