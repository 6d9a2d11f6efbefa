"""Converts sources to lines: in workers, in order, with bounded memory.

1. A source gives tasks. A worker runs each: it parses a block of the input, and the kernel makes the lines of its
   regular rows (`blocks`, `fast_path`).
2. Irregular rows of some blocks together, and all rows where there is no kernel, go through the query of `records`, in
   a worker as well.
3. A stage that takes rows stands between judging and formatting: then all rows are judged by the query, go through the
   stages in a thread of their own, and are formatted in workers. Other stages see the IDs of what was written.
4. Where lines depend on all rows of a user, workers keep them by the hash of the user, and gather them once all
   blocks were read (`users`). Where they depend on earlier ones alone, they are left out in the order of the input
   (`earlier`).
5. Blocks come out in the order of the input. Only then it is known how many rows were before them: the main thread adds
   that up, and does nothing else. The rows that come out are counted against those that the source counted in the
   input, so that no row is lost unnoticed.

Tasks are started in order, and may wait for earlier ones; nothing else that workers run waits for anything.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from converter import kernel
from converter.columns.buffers import FEW_ROWS
from converter.jobs.job import Job
from converter.rows import stages
from converter.rows.batches import Converted, Judged, Numbered, numbered
from converter.rows.blocks import Converter, FailedBlockError, Parsed
from converter.rows.chosen import Place
from converter.rows.delta.stage import Changes
from converter.rows.earlier.stage import LineLimits
from converter.rows.records import Records
from converter.rows.skipped import WantedSkips
from converter.rows.stages.base import Stage, StageResults
from converter.rows.users.stage import Gathering
from converter.rows.users.taken import TakenLines
from converter.sources.base import Budget, Source, Task
from converter.sources.origins.base import Origin, total_size
from converter.sources.tasks import tasks_of

_GROUPS = 2  # of blocks that are judged at the same time: each block holds memory
_FULL = 4  # batches that wait for a stage
_Result = TypeVar("_Result")


def convert_sources(
    job: Job,
    records: Records,
    sources: Sequence[Source],
    results: StageResults,
    first_pass: Callable[[Converted], bool] = lambda _: False,
    changes: Changes | None = None,
) -> Generator[Converted]:
    """Convert the sources, through the stages that the job needs, and yield their blocks in order.

    `results` are complete at the end. The sources are read twice if a stage must see all rows before any can be
    written; then `first_pass` is called with each block of the first time, which ends where that returns true. With
    `changes`, only these are written. Closing the iterator stops the workers. Raises `InputError` where an input is
    damaged, `LedgerError` where rows are lost, and what the stages raise.
    """
    with contextlib.ExitStack() as opened:
        used: list[Stage] = []
        for kind in stages.STAGES:
            if kind.applies(job):
                used.append(kind(job, records, results))
                opened.callback(used[-1].close)
        first = [stage for stage in used if stage.needs_first_pass]
        if first:
            with contextlib.closing(convert_all(records, sources, first)) as batches:
                any(map(first_pass, batches))
            for stage in first:
                records = stage.refine(records)
        others = [stage for stage in used if stage not in first]
        limits = None
        if LineLimits.applies(job):
            limits = opened.enter_context(contextlib.closing(LineLimits(records, kernel.load(), results)))
        with contextlib.closing(convert_all(records, sources, others, changes, limits)) as batches:
            yield from batches


def convert_all(
    records: Records,
    sources: Sequence[Source],
    used: Sequence[Stage] = (),
    changes: Changes | None = None,
    limits: LineLimits | None = None,
    taken: TakenLines | None = None,
) -> Generator[Converted]:
    """Convert the sources once, through the stages that are `used`. Raises what `convert_sources` raises.

    `taken` takes the lines, where they are to be gathered elsewhere.
    """
    threads = records.job.threads
    # Lines of a block are there twice that are made of views of all columns, or split.
    is_twice = records.takes_steps or records.sets > 1
    budget = Budget(threads, records.job.run.memory // (2 if is_twice else 1))
    taking = [stage for stage in used if stage.takes_rows]
    seeing = [stage for stage in used if not stage.takes_rows]
    loops = kernel.load()
    gathering = taken
    with (
        contextlib.ExitStack() as opened,
        # One more than there are threads, so that there is work while one waits for another.
        ThreadPoolExecutor(threads + 1, thread_name_prefix="convert") as pool,
        ThreadPoolExecutor(1, thread_name_prefix="stages") as aside,
        contextlib.closing(tasks_of(sources, records.selection.columns, loops, budget)) as tasks,
    ):
        try:
            is_first_pass = any(stage.needs_first_pass for stage in used)  # of which no line is kept
            if changes:
                changes.begin(records.sets, pool, again=all(source.origin.rereadable for source in sources))
            if not taken and (records.job.record.gathers or changes) and not is_first_pass:
                size = total_size(source.origin for source in sources)
                gathering = opened.enter_context(contextlib.closing(Gathering(records, loops, budget, size, changes)))
            wanted = WantedSkips()
            converter = Converter(records, loops, seeing, gathering, limits, wanted=wanted, judges_only=bool(taking))

            def parsing(tasks: Iterator[Task]) -> Iterator[Parsed]:
                started = (pool.submit(converter.parse, *each) for each in _placed(tasks, records))
                return _numbered(_in_order(started, budget.ahead, at_once=False))

            def convert_again() -> Iterator[Converted]:
                with contextlib.closing(tasks_of(sources, records.selection.columns, loops, budget)) as tasks:
                    yield from _converted(converter, parsing(tasks), pool, budget.ahead)

            parsed = parsing(tasks)
            if taking:
                judged = _in_order((pool.submit(converter.judge, block) for block in parsed), budget.ahead)
                staged = _staged(judged, taking, aside)
                converted = _in_order((pool.submit(converter.format, batch) for batch in staged), budget.ahead)
            else:
                converted = _converted(converter, parsed, pool, budget.ahead)
            converted = _seen(_noted(converted, wanted), seeing, aside)
            if limits:
                converted = _limited(converted, limits, pool, aside)
            gathered = partial(_gathered, pool=pool, most=budget.ahead, again=convert_again)
            yield from gathered(converted, gathering) if gathering else converted
        finally:
            for executor in (pool, aside):
                executor.shutdown(wait=True, cancel_futures=True)


def gather_taken(gathering: Gathering, budget: Budget) -> Generator[Converted]:
    """Yield what the users come to whose lines were taken from elsewhere. Closing the iterator stops the workers."""
    with ThreadPoolExecutor(budget.threads + 1, thread_name_prefix="convert") as pool:
        try:
            for gathered in _in_order(gathering.finish(pool), budget.ahead):
                yield from gathered
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _placed(tasks: Iterator[Task], records: Records) -> Iterator[tuple[Task, int, Place | None]]:
    """Yield tasks with their numbers, and with their places, where these are needed before the blocks are in order."""
    place: Place | None = None
    for number, task in enumerate(tasks):
        place = Place(place) if records.chosen else None
        yield task, number, place


def _in_order(started: Iterable[Future[_Result]], most: int, *, at_once: bool = True) -> Iterator[_Result]:
    """Yield the results of calls in order. Up to `most` of them are started before the first one is awaited.

    With `at_once`, a result is yielded once it is there; else so many calls are always under way.
    """
    running: deque[Future[_Result]] = deque()
    for future in started:
        running.append(future)
        while running and (len(running) >= most or (at_once and running[0].done())):
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _converted(converter: Converter, parsed: Iterator[Parsed], pool: Executor, most: int) -> Iterator[Converted]:
    """Convert blocks, some together: to plan a query takes longer than to judge a few rows."""

    def groups() -> Iterator[Future[list[Converted]]]:
        group: list[Parsed] = []
        for block in parsed:
            if group and not block.is_like(group[0]):
                yield pool.submit(converter.convert, group)
                group = []
            group.append(block)
            rows = sum(each.left.height for each in group)
            if len(group) == most or rows >= FEW_ROWS or not rows:
                yield pool.submit(converter.convert, group)
                group = []
        if group:
            yield pool.submit(converter.convert, group)

    for group in _in_order(groups(), _GROUPS):
        yield from group


def _gathered(
    batches: Iterator[Converted],
    gathering: TakenLines,
    pool: Executor,
    most: int,
    again: Callable[[], Iterator[Converted]],
) -> Iterator[Converted]:
    """Yield blocks whose lines are taken, and then what they are gathered to; `again` converts all blocks again."""
    for batch in batches:
        gathering.add(batch.block)
        yield batch
    if gathering.lacks_lines():
        for _ in again():  # they were counted before
            pass
    for gathered in _in_order(gathering.finish(pool), most):
        yield from gathered


def _limited(batches: Iterator[Converted], limits: LineLimits, pool: Executor, aside: Executor) -> Iterator[Converted]:
    """Leave out lines because of earlier ones; then yield those that had to wait."""
    judged = _in_order((aside.submit(limits.judge, batch) for batch in batches), _GROUPS)
    yield from _in_order((pool.submit(limits.settle, each) for each in judged), _GROUPS)
    waiting = limits.waiting()
    entries = iter(lambda: aside.submit(next, waiting, None).result(), None)
    for released in _in_order((pool.submit(limits.release, *each) for each in entries), _GROUPS):
        yield from released


def _numbered(blocks: Iterator[Parsed]) -> Iterator[Parsed]:
    """Add to blocks which row number of each input they begin with. Raises `InputError` where a row has failed."""
    end: tuple[Origin | None, int] = (None, 1)
    try:
        for block in blocks:
            firsts, end = numbered(block.block.pieces, *end)
            yield block._replace(block=Numbered(block.block.pieces, firsts))
    except FailedBlockError as error:
        raise error.located(numbered(error.block.pieces, *end)[0]) from error.__cause__


def _staged(judged: Iterator[Judged], taking: Sequence[Stage], aside: Executor) -> Iterator[Judged]:
    """Send batches through stages that take rows, one after the other."""
    batches = judged
    for stage in taking:
        batches = _through(batches, stage, aside)
    yield from batches


def _through(batches: Iterator[Judged], stage: Stage, aside: Executor) -> Iterator[Judged]:
    """Send batches through a stage, which runs aside."""
    for fed in _in_order((aside.submit(lambda each: list(stage.feed(each)), batch) for batch in batches), _FULL):
        yield from fed
    finished = stage.finish()
    while (batch := aside.submit(next, finished, None).result()) is not None:
        yield batch


def _noted(batches: Iterator[Converted], wanted: WantedSkips) -> Iterator[Converted]:
    """Note which rows that are skipped have come in the order of the input."""
    for batch in batches:
        wanted.note(batch.skipped)
        yield batch


def _seen(batches: Iterator[Converted], seeing: Sequence[Stage], aside: Executor) -> Iterator[Converted]:
    """Show batches to stages that see IDs, which run aside."""
    waiting: deque[Future[None]] = deque()
    for batch in batches:
        for stage, prepared in zip(seeing, batch.seen, strict=True):
            waiting.append(aside.submit(stage.see, prepared))
        while len(waiting) > _FULL * len(seeing):
            waiting.popleft().result()
        yield batch._replace(seen=())
    for each in waiting:
        each.result()
    for stage in seeing:
        aside.submit(lambda each: list(each.finish()), stage).result()
