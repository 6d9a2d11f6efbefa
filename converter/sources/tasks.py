"""The tasks of many sources, in order: small files are gathered, and streams are read and unpacked ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from functools import partial

from converter.columns.pool import Pool
from converter.kernel.calls import Loops
from converter.sources.base import Budget, Source, Task
from converter.sources.texts import TextSource, TextTasks, parse_gathered

_MOST_GATHERED = 1000  # files


def tasks_of(sources: Sequence[Source], columns: Sequence[str], loops: Loops | None, budget: Budget) -> Generator[Task]:
    """Yield the tasks of all sources, in order; their blocks have `columns`. Closing it ends all reading.

    As many sources as there are threads are begun before they are needed: a stream is read in a thread of its own.
    """
    pool = Pool()
    begun: deque[TextTasks | Iterator[Task]] = deque()
    try:
        for group in _gathered(sources, loops, budget):
            begun.append(_begin(group, columns, loops, budget, pool))
            if len(begun) == budget.threads:
                yield from begun[0]
                begun.popleft()
        while begun:
            yield from begun[0]
            begun.popleft()
    finally:
        for tasks in begun:
            if isinstance(tasks, TextTasks | Generator):
                tasks.close()


def _begin(
    group: Sequence[Source], columns: Sequence[str], loops: Loops | None, budget: Budget, pool: Pool
) -> TextTasks | Iterator[Task]:
    """Return the tasks of sources that belong together: one task if they are several."""
    first = group[0]
    if not isinstance(first, TextSource):
        return iter(first.blocks(columns, loops, budget))
    if len(group) == 1:
        return TextTasks(first, columns, loops, first.block(budget, loops), pool, ahead=True)
    texts = [source for source in group if isinstance(source, TextSource)]
    return iter([Task(first, partial(parse_gathered, texts, first.whole_parser(columns, loops), pool))])


def _gathered(sources: Sequence[Source], loops: Loops | None, budget: Budget) -> Iterator[list[Source]]:
    """Yield sources alone, or together those that follow each other, have one layout, and are small."""
    group: list[Source] = []
    layout, room = None, 0
    for source in sources:
        # A span of a text is read alone, since it may turn out to end inside a row.
        size = source.body.size if isinstance(source, TextSource) and source.body.stop is None else None
        same = size is not None and size <= room and isinstance(source, TextSource) and source.layout == layout
        if group and not (same and len(group) < _MOST_GATHERED):
            yield group
            group = []
        if not group:
            layout, room = None, 0
            if isinstance(source, TextSource):
                layout, room = source.layout, source.block(budget, loops)
        group.append(source)
        room -= room if size is None else size
    if group:
        yield group
