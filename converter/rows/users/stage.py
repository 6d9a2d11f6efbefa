"""The stage that gathers whole users: lines go in by blocks of the input, and come out user by user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from threading import Event

import numpy as np
import polars as pl

from converter.columns.buffers import Text
from converter.kernel.calls import Loops
from converter.kernel.gather import CONFLICT, CUT, REPEATED, SEVERAL, SUPERSEDED, WRITTEN, Gathered
from converter.ledger import Ledger
from converter.rows.batches import Converted, Numbered
from converter.rows.delta.past import BITS, FILES
from converter.rows.delta.stage import Changes, file_of
from converter.rows.records import Records
from converter.rows.skipped import MOST_SKIPPED, SkippedRows
from converter.rows.users.gather import OUTCOMES, REJECTS, SKIPS, GatherOptions, gather
from converter.rows.users.lines import UserLines, ids_of
from converter.rows.users.partitions import TIMES_INPUT, LinePartitions, Partition
from converter.rows.users.taken import TakenLines, WherePlaced
from converter.rows.users.whole import WholeUsers
from converter.sources.base import Budget, Piece
from converter.sources.malformed import NONE
from converter.spec import rules

_TIMES_SIZE = 8  # as much memory as its lines, and more, takes a partition while it is gathered
_LEAST_BYTES = 1 << 16  # of a partition
_MOST_REJECTED = 1 << 15  # rows in a batch

_SIGNALS = {
    SUPERSEDED: rules.SIGNAL_SUPERSEDED,
    CONFLICT: rules.SIGNAL_CONFLICT,
    SEVERAL: rules.SIGNAL_SEVERAL,
    CUT: rules.SIGNAL_CUT,
    REPEATED: rules.SIGNAL_REPEATED,
}


class Gathering(TakenLines):
    """Gathers the lines of a job's users: once they are taken, `finish` yields what the users come to.

    `size` is that of the input in bytes, where it is known. With `changes`, only these are passed on. `where` knows the
    places of rows where lines come without their blocks.
    """

    def __init__(
        self,
        records: Records,
        loops: Loops | None,
        budget: Budget,
        size: int | None,
        changes: Changes | None = None,
        where: WherePlaced | None = None,
    ) -> None:
        job = records.job
        self._records = records
        skipped = len(records.leads)
        self._options = GatherOptions.of(records)
        most = max(budget.memory // (_TIMES_SIZE * budget.ahead), _LEAST_BYTES)
        expected = None if size is None else TIMES_INPUT * size
        if changes and changes.knows_lines:  # most lines are omitted; where they are not, partitions are too large
            expected, most = 0, max(most // 2, _LEAST_BYTES)
        least = BITS if changes else 0  # so that a partition is of one file of the state
        sets = [
            LinePartitions(
                most, expected, budget.memory, job.run.spill_dir, skipped=skipped, loops=loops, least_bits=least
            )
            for _ in range(records.sets)
        ]
        super().__init__(sets, loops)
        self._counts_users = job.gathers  # where lines are only left out, they are not those of whole users
        self._where = where or self._places
        self._changes = changes
        self._is_repeated = False

    def take_lines(self, number: int, lines: UserLines) -> None:
        """Take in lines of the set with a number, but for those of which nothing has changed."""
        super().take_lines(number, self._changes.unknown(number, lines, self._loops) if self._changes else lines)

    def lacks_lines(self) -> bool:
        """Return whether all blocks have to come once more, since lines were omitted as known that are needed."""
        self._is_repeated = self._changes is not None and self._changes.lacks_lines()
        return self._is_repeated

    def finish(self, pool: Executor) -> Iterator[Future[list[Converted]]]:
        """Yield the calls that gather partitions, in order."""
        for number, partitions in enumerate(self._sets):
            done, ends = 0, list[Event]()  # files of the state that are done, and what is under way of the next one
            for partition in partitions.partitions(pool):
                yield from self._finish_files(pool, number, range(done, file_of(partition.hashes)), ends)
                done = file_of(partition.hashes)
                future = pool.submit(self._gathered, number, partition)
                ends.append(end := Event())
                future.add_done_callback(lambda _, end=end: end.set())  # type: ignore[misc] # of the default
                yield future
            yield from self._finish_files(pool, number, range(done, FILES), ends)

    def _finish_files(
        self, pool: Executor, number: int, files: range, ends: list[Event]
    ) -> Iterator[Future[list[Converted]]]:
        """Yield the calls that finish files of a state, if there is one, once others have come to their `ends`."""
        for file in files:
            if self._changes is None or file not in self._changes.files:
                continue
            yield pool.submit(self._finished, number, file, tuple(ends))
            ends.clear()

    def _finished(self, number: int, file: int, ends: Sequence[Event]) -> list[Converted]:
        """Finish a file of the state: what is left of it are users who are gone."""
        assert self._changes is not None  # noqa: S101 - for the type checker: only then this is called
        for end in ends:
            end.wait()
        users, ledger = self._changes.finish(number, file)
        return [self._batch(users, ledger)]

    def _gathered(self, number: int, partition: Partition) -> list[Converted]:
        """Gather a partition."""
        lines = self._sets[number].take(partition)
        if self._is_repeated:
            lines = lines.distinct()
        made = gather(lines, self._options, self._loops)
        users = WholeUsers(Text((made.text,), made.ends, made.users), made.users, made.rows, partition.hashes, number)
        ledger = self._ledger_of(made)
        if self._changes:
            users, counted = self._changes.pass_on(users)
            ledger = replace(ledger, signals_written=0) + counted
        return [*self._rejected(lines, made), *self._skipped(lines, made), self._batch(users, ledger)]

    def _ledger_of(self, made: Gathered) -> Ledger:
        """Count what became of rows and signals."""
        rows = np.bincount(made.outcomes, minlength=OUTCOMES).tolist()

        def counted(all_rules: Mapping[int, rules.Rule], counts: Sequence[int]) -> Counter[str]:
            return +Counter({rule.name: counts[outcome] for outcome, rule in all_rules.items()})

        return Ledger(
            written=rows[WRITTEN],
            rejected=counted(REJECTS, rows),
            skipped=counted(SKIPS, rows),
            signals_written=made.signals[WRITTEN],
            signals_dropped=counted(_SIGNALS, made.signals),
        )

    def _rejected(self, lines: UserLines, made: Gathered) -> Iterator[Converted]:
        """Yield the rejected rows of each input: they have the ID, in place of all columns, which are not kept."""
        chosen = np.flatnonzero(np.isin(made.outcomes, list(REJECTS)))
        if not len(chosen):
            return
        reasons = np.zeros(max(REJECTS) + 1, np.uint16)
        for outcome, rule in REJECTS.items():
            reasons[outcome] = self._records.index_of(rule)
        texts = lines.texts()
        for origin, indices, numbers in self._where.by_origin(lines.at[chosen]):
            block = Numbered([Piece(origin, 0, 0)], [0])
            for start in range(0, len(indices), _MOST_REJECTED):
                part = slice(start, start + _MOST_REJECTED)
                rows = chosen[indices[part]]
                ids = ids_of(texts.gather(pl.Series(rows)), self._options.skipped)
                rejected = self._records.described_by_ids(ids, reasons[made.outcomes[rows]])
                yield Converted(block, [[] for _ in self._sets], rejected, numbers[part], NONE, Ledger())

    def _skipped(self, lines: UserLines, made: Gathered) -> Iterator[Converted]:
        """Yield the first of the rows that are skipped."""
        for outcome, rule in SKIPS.items():
            rows = np.flatnonzero(made.outcomes == outcome)
            if len(rows) > MOST_SKIPPED:
                rows = rows[np.argpartition(lines.at[rows], MOST_SKIPPED)[:MOST_SKIPPED]]
            first = lines.taken(rows, self._loops)
            ids = ids_of(first.texts(), self._options.skipped).to_frame(self._records.job.ids[0].column)
            for origin, indices, numbers in self._where.by_origin(first.at):
                block = Numbered([Piece(origin, 0, 0)], [0])
                nothing, skipped = self._records.none_described, SkippedRows.of(rule.name, numbers, ids[indices])
                texts: list[list[Text]] = [[] for _ in self._sets]
                yield Converted(block, texts, nothing, np.zeros(0, np.int64), NONE, Ledger(), skipped=[skipped])

    def _batch(self, users: WholeUsers, ledger: Ledger) -> Converted:
        """Return lines as a batch that has no rows of its own."""
        ledger.lines = len(users.text.ends)
        if self._counts_users:
            ledger.users = len(users.rows)
        sets = range(len(self._sets))
        texts = [[users.text] if number == users.set and len(users.text.ends) else [] for number in sets]
        block = Numbered([], [])
        return Converted(block, texts, self._records.none_described, np.zeros(0, np.int64), NONE, ledger)
