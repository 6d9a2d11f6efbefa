"""The lines of a run are compared with a list of traits while they are written (`report.traits`).

A few workers look at blocks of text, and what they have seen is taken in the order of the blocks, so that the numbers
depend on the text alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from converter.ledger import Ledger
from converter.parts.blocks import Pieces, joined
from converter.parts.received import Received
from converter.spec.names import WITH_SIGNALS

if TYPE_CHECKING:
    from converter.commands.foreseeing import Foreseeing, Seen
    from converter.commands.plan import Plan

_WORKERS = 2
_WAITING = 4  # blocks, each of which holds memory
_MOST_LOST = 100  # signals in the report


def _look(each: Foreseeing, text: Pieces) -> Seen:
    return each.look(bytes(joined(text)))


class RunTraits:
    """What the receipt will say about the files of a run; without a list of traits, no line is read."""

    def __init__(self, plan: Plan) -> None:
        self._each: list[Foreseeing] = []
        self._under_way: deque[tuple[Foreseeing, Future[Seen]]] = deque()
        self._have_signals = all(name.kind in WITH_SIGNALS for name in plan.names)
        if plan.traits is None:
            return
        from converter.commands.foreseeing import FileOf, Foreseeing, TraitIndex  # here, since few jobs need it

        index = TraitIndex(plan.traits, time.time())
        self._each = [Foreseeing(index, FileOf.of(name)) for name in plan.names]
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="traits")

    def seen(self, blocks: Iterable[tuple[Pieces, int]], number: int) -> Iterator[tuple[Pieces, int]]:
        """Yield the blocks of the set `number`, which are compared on the way."""
        for block in blocks:
            if self._each:
                each = self._each[number]
                self._under_way.append((each, self._pool.submit(_look, each, block[0])))
                while len(self._under_way) > _WAITING:
                    self._take()
            yield block

    def finish(self) -> None:
        """Wait for what is being compared."""
        while self._under_way:
            self._take()

    def close(self) -> None:
        """Stop the workers."""
        if self._each:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _take(self) -> None:
        each, seen = self._under_way.popleft()
        each.take(seen.result())

    def as_dict(self, ledger: Ledger | None) -> Mapping[str, Any] | None:
        """Return what the report says about the receipt.

        Without a list of traits, that is what the `ledger` of a run that is done shows; `None` where there are no
        signals, or no ledger.
        """
        if self._each:
            first, *others = self._each
            return first.merge(others).as_dict(_MOST_LOST)
        if ledger is None or not self._have_signals:
            return None
        from converter.report.foreseen import figures_of  # here, since a run starts sooner without it

        return {"figures": figures_of(Received(ledger.lines, signals=ledger.signals_written), None)}
