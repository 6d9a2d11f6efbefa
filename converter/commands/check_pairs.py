"""IDs of synchronization files that have more others than Audience Manager keeps (I4, I5), over all files of a run.

1. While the files are checked, the lines of each ID are counted, in limited memory (`converter.parts.line_pairs`).
2. Where a counter is above a limit, the files are read once more. Their pairs of such IDs are partitioned on disk.
3. A partition at a time, the line is found in which an ID has one different other too many.
4. For the few of these lines that are shown, files are read until there.

An ID with very many lines does not fill a partition: of each chunk no more pairs of it are kept than show that it is
above the limit, and once one chunk has shown it no more at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from converter import kernel
from converter.commands.check import read_again
from converter.jobs.sections.run import RunOptions
from converter.parts.line_checks import LineChecker
from converter.parts.line_pairs import PAIR, PairCounters, Relation, relations_of
from converter.parts.problems import MOST_EXAMPLES, Positions, Problem, Problems
from converter.rows.spill import Spill
from converter.sources.origins.base import Origin
from converter.spec.files import FileRule
from converter.spec.names import FileName

_MOST_DONE = 1 << 16  # IDs
_ID = ["key", "more"]
_NO_LINES = pl.DataFrame(schema={"file": pl.UInt32, "line": pl.Int64})


class SyncFile(NamedTuple):
    """A file of a run, with its name."""

    origin: Origin
    name: FileName


def pairs_over(files: Sequence[SyncFile], counters: PairCounters, run: RunOptions) -> list[list[Problem]]:
    """Return for each file the lines with which IDs have too many others; the files are those of one stem, in order.

    Raises `InputError`, and `DestinationError` where the disk is full.
    """
    found: list[list[Problem]] = [[] for _ in files]
    relations = relations_of(files[0].name)
    with Spill(pl.col("key"), run.memory, run.spill_dir) as spill:
        _take(files, relations, counters, spill)
        over: dict[FileRule, list[pl.DataFrame]] = {}
        for number, relation in enumerate(relations):
            over.setdefault(relation.rule, []).extend(_over(spill, str(number), relation))
    for rule, frames in over.items():
        lines = pl.concat([_NO_LINES, *frames])
        for index in lines["file"].unique().sort().to_list():
            numbers = lines.filter(pl.col("file") == index)["line"].unique().sort()
            found[index].append(_problem(files[index], rule, numbers))
    return found


def _take(files: Sequence[SyncFile], relations: Sequence[Relation], counters: PairCounters, spill: Spill) -> None:
    """Add the pairs of IDs that may have too many others to a table for each relation."""
    done = [pl.DataFrame(schema=dict.fromkeys(_ID, pl.UInt64)) for _ in relations]
    for number in range(len(relations)):
        spill.add(pl.DataFrame(schema={**PAIR, "file": pl.UInt32}), str(number))
    for index, file in enumerate(files):
        for chunk, before in read_again(file.origin):
            for number, relation in enumerate(relations):
                pairs = counters.pairs(file.name, chunk, relation)
                if pairs.height:
                    few, done[number] = _few(pairs, relation.most, done[number])
                    of_file = pl.lit(index, pl.UInt32).alias("file")
                    spill.add(few.with_columns(pl.col("line") + before, of_file), str(number))


def _few(pairs: pl.DataFrame, most: int, done: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the pairs of a chunk that matter, and the IDs that need no more pairs.

    Of an ID these are its first different ones, one more than it may have.
    """
    if done.height:
        pairs = pairs.join(done, on=_ID, how="anti", maintain_order="left")
    few = _ranked(pairs).filter(pl.col("rank") <= most)
    new = few.filter(pl.col("rank") == most).select(_ID)
    return few.drop("rank"), pl.concat([done, new]).head(_MOST_DONE)


def _ranked(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the first of each pair, with how many different others its ID has before."""
    first = pairs.unique([*_ID, "value"], keep="first", maintain_order=True)
    return first.with_columns(rank=pl.int_range(pl.len()).over(_ID))


def _over(spill: Spill, table: str, relation: Relation) -> Iterator[pl.DataFrame]:
    """Yield the `file`s and `line`s in which IDs have one other too many."""
    for (pairs,) in spill.partitions(table):
        yield _ranked(pairs).filter(pl.col("rank") == relation.most).select("file", "line")


def _problem(file: SyncFile, rule: FileRule, lines: pl.Series) -> Problem:
    """Return what the lines of a file break, with the first of them as examples."""
    shown: Positions = lines.head(MOST_EXAMPLES).to_numpy()
    checker = LineChecker(file.name, kernel.load())
    problems = Problems()
    for chunk, before in read_again(file.origin):
        count = chunk.count(b"\n")
        found = Problems()
        checker.note_lines(found, rule, chunk, shown[(shown > before) & (shown <= before + count)] - before)
        problems.add(found, before)
        if before + count >= int(np.max(shown)):
            break
    (problem,) = problems.in_order()
    return replace(problem, lines=len(lines))
