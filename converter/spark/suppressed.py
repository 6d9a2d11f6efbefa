"""The list of `input.suppress` on Spark: the driver reads it, and tasks get the hashes of its IDs with what they do."""

from __future__ import annotations

from typing import NamedTuple

from converter.errors import JobError
from converter.rows.suppression import Held, Suppression, pairs_of

_MOST = 1 << 22  # IDs, whose hashes are 64 MiB: Spark Connect takes messages of 128 MiB


class SentList(NamedTuple):
    """A list as tasks get it: the index of the ID in the line, and the hashes of its IDs, one after the other."""

    number: int
    pairs: bytes


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
    return SentList(suppression.number, pairs)


def received_list(sent: SentList | None, memory: int) -> Suppression | None:
    """Return a list that was sent, if there is one; its table may take so many bytes of `memory`."""
    return Suppression(Held(pairs_of(sent.pairs), memory), sent.number, ()) if sent else None
