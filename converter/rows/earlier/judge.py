"""What becomes of lines by those before them: at once while the keys fit into memory, else once all lines came."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.kernel.calls import Loops
from converter.kernel.earlier import MOST_COUNT
from converter.kernel.gather import CUT, REPEATED, WRITTEN
from converter.rows.earlier.keys import LineKeys, partitions_of
from converter.rows.spill import Spill

Outcomes = npt.NDArray[np.uint8]

_KNOWN_SHARE = 2  # of the budget: for the keys in memory
_SPILL_SHARE = 4  # and for what is not partitioned yet
_USER = {"hash": pl.UInt64, "more": pl.UInt64}
_LINE = {"line": pl.UInt64, "more_of_line": pl.UInt64}
_OUTCOMES = {"row": pl.UInt64, "outcome": pl.UInt8, "hash": pl.UInt64}
_COMPARED = np.uint64((1 << 64) - 1 - MOST_COUNT)
"""The bits of the second word of a key by which it is compared."""


class Judge:
    """Says what becomes of lines: `REPEATED`, `CUT` or `WRITTEN`. Its methods run in one thread.

    `drops_repeated`: a line is written once. `most_lines`: how many lines of a user, without repeated ones, are not
    `over`; `None` if these are not counted. `cuts`: the others are not written. `memory` is the budget in bytes,
    `folder` that of the file. Close it. Raises `DestinationError` where the disk fails.
    """

    def __init__(
        self,
        loops: Loops | None,
        memory: int,
        folder: str | None,
        *,
        drops_repeated: bool,
        most_lines: int | None,
        cuts: bool,
    ) -> None:
        self._drops_repeated, self._most_lines, self._cuts = drops_repeated, most_lines, cuts
        self._known = loops.earlier_keys() if loops else None
        self._most_known = memory // _KNOWN_SHARE
        self.rows = 0
        """How many lines came of which `finish` will say what becomes of them."""
        self.over = 0
        """How many users have more lines than a user may; complete after `finish`."""
        self._spill = Spill(pl.col("hash"), memory // _SPILL_SHARE, folder)
        self._line = _LINE if drops_repeated and most_lines is not None else _USER
        schema = {**_USER, **self._line, "row": pl.UInt64}
        for table, columns in (("known", _USER), ("rows", schema), ("outcomes", _OUTCOMES)):
            self._spill.add(pl.DataFrame(schema=columns), table)

    def close(self) -> None:
        """Release memory and disk."""
        self._known = None
        self._spill.close()

    def judge(self, keys: LineKeys, count: int) -> Outcomes | None:
        """Take in the next `count` lines, and return what becomes of each; `None` where `finish` will say it."""
        if self._known and self._known.size > self._most_known:
            self.over = self._known.over
            for each in self._known.drain():
                self._spill.add(pl.DataFrame([partitions_of(each), each[:, 1]], schema=_USER), "known")
            self._known = None
        if self._known:
            outcomes = self._known.judge(*keys, count, self._most_lines or 0)
            return outcomes if self._cuts else np.where(outcomes == CUT, WRITTEN, outcomes).astype(np.uint8)
        given = [each for each in (keys.users, keys.lines) if each is not None]
        columns = [column for each in given for column in (partitions_of(each), each[:, 1] & _COMPARED)]
        row = np.arange(self.rows, self.rows + count, dtype=np.uint64)
        self._spill.add(pl.DataFrame([*columns, row], schema={**_USER, **self._line, "row": pl.UInt64}), "rows")
        self.rows += count
        return None

    def finish(self) -> Iterator[pl.DataFrame]:
        """Yield what becomes of lines that `judge` did not say it of: `row`, counted from 0 among them, and `outcome`.

        Those that are written are missing. A frame has no rows before those of earlier ones, but its rows are in any
        order.
        """
        if self._known:
            self.over = self._known.over
            return
        shift = 64 - self.rows.bit_length()  # so that partitions are in the order of the rows
        for known, rows in self._spill.partitions("known", "rows"):
            judged = self._judged(rows, known)
            self.over += int((judged["number"] == self._most_lines + 1).sum()) if self._most_lines is not None else 0
            others = judged.filter(pl.col("outcome") != WRITTEN)
            self._spill.add(others.select("row", "outcome", hash=pl.col("row") * (1 << shift)), "outcomes")
        for (outcomes,) in self._spill.partitions("outcomes"):
            yield outcomes.select("row", "outcome")

    def _judged(self, rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
        """Return the lines of a partition, in order: `row`, `outcome`, and the `number` of each among its user's."""
        count = (known["more"].to_numpy() & np.uint64(MOST_COUNT)).astype(np.int64)
        before = known.select("hash", more=known["more"].to_numpy() & _COMPARED, before=count)
        is_repeated = pl.lit(value=False)
        if self._drops_repeated:
            of_lines = before.rename(dict(zip(_USER, self._line, strict=True)))
            rows = rows.join(of_lines, on=[*self._line], how="left", maintain_order="left")
            is_repeated = pl.col("before").is_not_null() | ~pl.struct(*self._line).is_first_distinct()
        rows = rows.with_columns(is_repeated=is_repeated, before=None)
        number = pl.lit(0)
        if self._most_lines is not None:
            rows = rows.drop("before").join(before, on=[*_USER], how="left", maintain_order="left")
            number = (~pl.col("is_repeated")).cum_sum().over(*_USER).cast(pl.Int64) + pl.col("before").fill_null(0)
        number = pl.when(~pl.col("is_repeated")).then(number).otherwise(0)
        most = self._most_lines if self._most_lines is not None and self._cuts else None
        is_cut = pl.lit(value=False) if most is None else number > most
        outcome = pl.when("is_repeated").then(REPEATED).when(is_cut).then(CUT).otherwise(WRITTEN)
        return rows.select("row", outcome=outcome.cast(pl.UInt8), number=number)


class OutcomesInOrder:
    """What becomes of lines, by their rows, from what `Judge.finish` yields."""

    def __init__(self, frames: Iterator[pl.DataFrame]) -> None:
        self._frames = frames
        self._waiting = pl.DataFrame(schema={"row": pl.UInt64, "outcome": pl.UInt8})

    def take(self, start: int, count: int) -> Outcomes:
        """Return what becomes of `count` lines from row `start` on; rows before are not asked for any more."""
        end = start + count
        while not self._waiting.height or self._waiting["row"][-1] < end:
            if (frame := next(self._frames, None)) is None:
                break
            self._waiting = pl.concat([self._waiting, frame.sort("row")])
        taken = self._waiting[: int(self._waiting["row"].search_sorted(end))]
        self._waiting = self._waiting[taken.height :]
        outcomes = np.full(count, WRITTEN, np.uint8)
        outcomes[taken["row"].to_numpy() - np.uint64(start)] = taken["outcome"].to_numpy()
        return outcomes

    def end(self) -> None:
        """See all frames: those that are left have rows that are not asked for."""
        for _ in self._frames:
            pass
