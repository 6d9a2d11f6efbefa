"""Delivers the parts of a run to a destination, whole or not at all, whatever fails on the way.

1. A part is written into a spool, an unnamed file, and a sender sends it from there while it grows.
   (A folder needs no spool: parts are written in place.)
2. At most `uploads` parts are under way at once, so a slow destination slows the whole run down.
3. A transient error is retried, from the part's first byte, with growing pauses; a permanent one ends the run at once.
4. Every step is noted in the journal, and what has arrived stays invisible until it is published.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import asdict
from typing import Any, TypeVar

from converter.delivery import stops
from converter.delivery.destinations.base import Arrived, Destination, PartUpload
from converter.delivery.growing import GrowingPart
from converter.delivery.held import HeldParts, changed
from converter.delivery.journal import Attempt, Notes, PastRun
from converter.delivery.spool import PartSource, Replay, Spool
from converter.delivery.threads import close_connections, run_in_thread
from converter.delivery.throttle import Throttle
from converter.errors import LOST, DestinationError, Reported, StoppedError, TransientError
from converter.jobs.events import tell
from converter.parts.part import Part, PartWriter
from converter.remote.pauses import RunEndedError
from converter.remote.retry import Patience, Retries
from converter.spec.names import FileName, stem_of

# A process manager that sends SIGTERM usually sends SIGKILL half a minute later: a run has to end before that.
_STOP_SECONDS = 5.0
_CLEAN_SECONDS = 10.0
_TICK_SECONDS = 0.5
_POLL_SECONDS = 0.1  # how soon a signal is noticed that was only noted
_T = TypeVar("_T")


class Delivery:
    """Delivers the parts of a run to a destination.

    At most `uploads` parts are under way at once. `each` publishes every part as soon as it has arrived. `bandwidth` is
    in bytes a second. `retry_seconds` bounds the time spent on transient errors: pauses, and waits for a server that
    does not respond. `folder` is where spools are, the system's folder of temporary files if None. The first failure of
    any part is raised by the next call.
    """

    def __init__(
        self,
        destination: Destination,
        journal: Notes,
        *,
        uploads: int,
        retry_seconds: float,
        bandwidth: int | None = None,
        each: bool = False,
        folder: str | None = None,
        retries: Retries | None = None,
    ) -> None:
        self.destination = destination
        self._journal = journal
        self._uploads = uploads
        self._patience = Patience(retry_seconds, self._sleep, retries)
        self._each = each
        self._folder = folder
        self._ended = threading.Event()
        self._throttle = Throttle(bandwidth, self._sleep)
        self._slots = threading.Semaphore(uploads)
        self._tasks: list[Future[Any]] = []
        self._sent: dict[int, int] = {}
        self.on_wait: Callable[[], None] = lambda: None
        """Called now and then while a call waits, in the thread of that call."""
        self.waits_for = ""
        """What a call waits for."""
        self._has_hung = False  # whether tasks were still running when the delivery ended
        self._is_left = False  # whether another run has taken over what is at the destination
        self._failure: BaseException | None = None
        self._spools: set[Spool] = set()
        self._in_place: dict[int, PartUpload] = {}
        self._attempts: dict[int, list[Attempt]] = defaultdict(list)
        self._expected: dict[int, tuple[int, int]] = {}
        self._held = HeldParts(destination)
        self._unsure: set[str] = set()  # names under which an upload may have begun whose state is not known
        self.arrived: dict[int, Arrived] = {}
        """Parts that have arrived whole, by number."""
        self.published: set[int] = set()
        self.made: dict[int, Part] = {}
        """Parts all bytes of which are known, by number."""
        self.unseen: list[str] = []
        """Parts of an earlier run that count as arrived, since the destination does not show whether they are there."""
        self._won: set[str] = set()  # the stems of which a part is visible: no other run has them
        self._winning = threading.Lock()

    def resume(self, past: PastRun) -> None:
        """Continue an earlier run: keep what has arrived, and remove what else is left of it."""
        try:
            self._interruptibly(lambda: self._resume(past))
        except BaseException:
            self._stop()
            close_connections(self.destination)
            raise

    def _resume(self, past: PastRun) -> None:
        self._attempts = past.attempts
        self.made = {number: part for number, (part, _) in past.made.items()}
        for number, part in past.arrived.items():
            is_there = self.retrying(self.destination.holds, part)
            if is_there is None:
                self.unseen.append(part.name)
            if is_there is not False:
                self.arrived[number] = part
                self._sent[number] = part.bytes
        self.published = past.published & set(self.arrived)  # parts that have disappeared are sent again
        self._won = {stem_of(self.arrived[number].name) for number in self.published}
        for name, state in self._leftovers(self.arrived):
            self.retrying(self.destination.discard, name, state)
        self._sweep(past)
        for number in set(self._attempts) - set(self.arrived):
            del self._attempts[number]

    def abandon(self, past: PastRun) -> None:
        """Remove what an earlier run has left and not published, as far as that succeeds."""
        self._attempts, self.published = past.attempts, past.published
        self.arrived = {number: part for number, part in past.arrived.items() if number in past.published}
        with contextlib.suppress(DestinationError):  # what stays is never visible, and the new run matters more
            self._interruptibly(lambda: self._sweep(past))
        self.discard()

    def _sweep(self, past: PastRun) -> None:
        """Remove uploads that a run began and died before it could note their state.

        That is possible only for a run that chose its own names: files to send may be named by several runs.
        """
        for name in past.run.names:
            self.retrying(self.destination.sweep, FileName.parse(name), list(self.arrived.values()))

    def create(self, number: int, name: str) -> PartWriter:
        """Return the writer of a part, which begins the part. Blocks while too many other ones are under way."""
        if not self.destination.direct:
            self._take_slot()
        return GrowingPart(self, number, name)

    def begin(self, number: int, name: str) -> PartUpload | Spool:
        """Begin a part: where it stays, or in a spool, from which it is sent meanwhile."""
        if self.destination.direct:
            self._in_place[number] = self._begin(number, name)
            return self._in_place[number]
        spool = Spool(self._folder)
        self._spools.add(spool)
        self._submit(spool, number, name)
        return spool

    def send(self, source: PartSource, number: int, name: str) -> None:
        """Send a part that exists already. Blocks until another one has arrived where too many are under way.

        Small parts may be sent when they are published: see `held`.
        """
        if not self._each and self._held.add(number, name, source):
            self.note_made(number, source.part(), 0)
            return
        self._take_slot()
        self._submit(source, number, name, lambda: self.note_made(number, source.part(), 0))

    def _take_slot(self) -> None:
        """Wait until fewer parts than allowed are under way. Raises the failure of one."""
        try:
            while not self._slots.acquire(timeout=_TICK_SECONDS):
                self.waits_for = "the destination to take parts"
                self.on_wait()
        finally:
            self.waits_for = ""
        self.raise_failure()

    @property
    def bytes_sent(self) -> int:
        """How many bytes of parts are sent, without those of attempts that failed."""
        return sum(list(self._sent.values()))

    def note_made(self, number: int, part: Part, text_crc32: int) -> None:
        """Note that all bytes of a part are known; `text_crc32` is the CRC-32 of its text."""
        self._expected[number] = part.bytes, int(part.crc32, 16)
        self.made[number] = part
        self._journal.note("made", flush=False, number=number, text_crc32=text_crc32, **asdict(part))

    def adopt(self, number: int, part: Part, text_crc32: int, arrived: Arrived) -> None:
        """Take a part that another process has made and sent, and note it as if it had been made here."""
        self._attempts[number].append((arrived.name, dict(arrived.state)))
        self._journal.note("began", flush=False, number=number, name=arrived.name, state=dict(arrived.state))
        self.note_made(number, part, text_crc32)
        self.note_arrived(number, arrived)

    def note_arrived(self, number: int, arrived: Arrived) -> None:
        """Note that a part has arrived whole, and publish it if each one is published at once."""
        self._in_place.pop(number, None)
        self._journal.note("arrived", flush=self._each, number=number, **asdict(arrived))  # publishing all flushes all
        self.arrived[number] = arrived
        tell("part_arrived", f"'{arrived.name}' has arrived: {arrived.bytes:,} bytes.", bytes=arrived.bytes)
        if self._each:
            self._publish(number)

    def is_lost(self, error: Reported) -> bool:
        """Return whether an error says that another run has the names, and nothing of this run is visible."""
        return error.code in LOST and not self.published

    def raise_failure(self) -> None:
        """Raise the first failure of any part, if there is one."""
        if self._failure:
            raise self._failure

    def fail(self, error: BaseException) -> None:
        """Raise an error of a part that cannot be made in the next call, and in one that waits."""
        self._failure = self._failure or error
        self._slots.release()

    def wait(self, seconds: float) -> bool:
        """Wait for at most `seconds` until all parts have arrived; return whether they have."""
        waiting = wait(self._tasks, seconds, FIRST_EXCEPTION).not_done
        self.raise_failure()
        return not waiting

    def publish(self) -> None:
        """Publish all parts that have arrived or are held, several at once so that it takes little time.

        One part of each set is published first, alone: a run that loses a name to another one has nothing visible then.
        A signal stops this, unless all parts are visible once the calls under way have returned.
        """
        if number := stops.asked():
            raise StoppedError(number)
        if not self.destination.direct:
            self.on_wait()  # all has arrived, which was not said yet
        waiting = sorted(self.waiting)
        firsts: dict[str, int] = {}
        for number in waiting:
            firsts.setdefault(stem_of(self._name_of(number)), number)
        alone = [firsts[stem] for stem in sorted(set(firsts) - self._won)]  # sorted: two runs begin with the same one
        others = [number for number in waiting if number not in alone]
        self._publish_in_threads([alone])
        count = 1 if self.destination.direct else self._uploads
        self._publish_in_threads([others[first::count] for first in range(min(count, len(others)))])

    def _publish_in_threads(self, turns: Sequence[Sequence[int]]) -> None:
        tasks = [
            run_in_thread(functools.partial(self._publish_turn, numbers), self._tasks) for numbers in turns if numbers
        ]
        while wait(tasks, _POLL_SECONDS, FIRST_EXCEPTION).not_done:
            self.on_wait()
            self.raise_failure()
            if number := stops.asked():
                self._stop()
                if not self.is_visible:
                    raise StoppedError(number)
                return
        self.raise_failure()

    @property
    def is_visible(self) -> bool:
        """Whether all parts that have arrived or are held are published."""
        return not self.waiting

    @property
    def waiting(self) -> set[int]:
        """The numbers of the parts to publish."""
        return {*self.arrived, *self._held.parts} - self.published

    def close(self) -> None:
        """End the delivery; parts that have arrived stay, published or for a run that resumes this one."""
        self._stop()
        self._clean_up(self.arrived)

    def discard(self) -> bool:
        """End the delivery and remove all that is not published; return whether that succeeded."""
        has_stopped = self._stop()
        is_clean = self._clean_up(self.published) and has_stopped
        if is_clean:
            self.arrived = {number: part for number, part in self.arrived.items() if number in self.published}
        return is_clean

    def leave(self) -> None:
        """End the delivery, and leave all that is at the destination: another run continues this one."""
        self._is_left = True
        self._stop()
        close_connections(self.destination)

    def visible_parts(self) -> list[Part]:
        """Return the parts that are published, in order."""
        return [self.made[number] for number in sorted(self.published) if number in self.made]

    def retrying(self, call: Callable[..., _T], *arguments: object) -> _T:
        """Call, and retry on transient errors. Raises `DestinationError`."""
        if self._ended.is_set():
            raise RunEndedError
        if self.destination.direct:  # its errors are all permanent
            return call(*arguments)
        return self._patience.retrying(call, *arguments)

    def _interruptibly(self, work: Callable[[], None]) -> None:
        """Do work that calls the destination; a signal interrupts the wait for it."""
        if self.destination.direct:
            work()
            return
        task = run_in_thread(work, self._tasks)
        while wait([task], _TICK_SECONDS).not_done:
            self.on_wait()
        task.result()
        self._tasks.remove(task)

    def _publish_turn(self, numbers: Iterable[int]) -> None:
        """Publish parts one after the other, until another thread fails."""
        for number in numbers:
            self.raise_failure()
            try:
                self._publish(number)
            except BaseException as error:
                self._failure = self._failure or error
                raise

    def _publish(self, number: int) -> None:
        name = self._name_of(number)
        stem = stem_of(name)
        with self._winning if stem not in self._won else contextlib.nullcontext():
            if stem not in self._won:
                self.raise_failure()  # a run that lost the first part of a set publishes no other
            try:
                self.retrying(self._journal.confirm)
                if number in self.arrived:
                    self.retrying(self.destination.publish, self.arrived[number])
                else:
                    self.note_arrived(number, self.retrying(self._publish_at_once, number))
            except BaseException as error:
                if isinstance(error, DestinationError) and error.visible:  # it failed after the part became visible
                    self.published.add(number)
                self._failure = self._failure or error
                raise
            self._won.add(stem)
        self.published.add(number)
        self._journal.note("published", number=number)
        tell("part_published", f"'{self.destination.url(name)}' is visible.")

    def _publish_at_once(self, number: int) -> Arrived:
        """Send a part that is held, and make it visible, by one request."""
        data, crc32 = self._held.read(number)
        if (len(data), crc32) != self._expected[number]:
            raise changed(self._name_of(number))
        self._throttle.take(len(data))
        self._patience.progressed()
        self._sent[number] = len(data)
        return self._held.publish(number, data, crc32)

    def _name_of(self, number: int) -> str:
        return self.arrived[number].name if number in self.arrived else self._held.parts[number].name

    def _submit(self, replay: Replay, number: int, name: str, on_read: Callable[[], None] = lambda: None) -> None:
        send = functools.partial(self._send, replay, number, name, on_read)
        run_in_thread(send, self._tasks)  # `_slots` bounds the number of threads

    def _send(self, replay: Replay, number: int, name: str, on_read: Callable[[], None]) -> None:
        try:
            self.note_arrived(number, self.retrying(self._attempt, replay, number, name, on_read))
        except BaseException as error:
            self._failure = self._failure or error
            raise
        finally:
            if isinstance(replay, Spool):
                replay.close()
                self._spools.discard(replay)
            self._slots.release()

    def _attempt(self, replay: Replay, number: int, name: str, on_read: Callable[[], None]) -> Arrived:
        """Send a part once, from its first byte; `on_read` is called once all of it was read."""
        self._sent[number] = 0
        upload = self._begin(number, name)
        try:
            for chunk in replay.chunks():
                if self._ended.is_set():
                    raise RunEndedError
                self._throttle.take(len(chunk))
                self._patience.progressed()  # until now the server has waited for this side
                upload.write(chunk)
                self._sent[number] += len(chunk)
            if number not in self._expected:
                on_read()
            self._patience.progressed()
            arrived = upload.finish()
            if self._ended.is_set():
                raise RunEndedError
            if (arrived.bytes, arrived.crc32) != self._expected[number]:
                raise changed(name)
        except BaseException:
            if not (self._has_hung or self._is_left):  # else another run may have this part by now
                upload.abort()
            raise
        return arrived

    def _begin(self, number: int, name: str) -> PartUpload:
        """Begin a part at the destination, and note it."""
        attempts = self._attempts[number]
        attempts.append((name, {}))  # first, so that whenever a signal comes it is known what to remove
        try:
            upload = self.destination.create(name)
        except DestinationError as error:
            attempts.pop()  # there is nothing, or what is there belongs to another run
            if isinstance(error, TransientError):
                self._unsure.add(name)  # only the answer may have been lost
            raise
        attempts[-1] = name, dict(upload.state)
        try:
            self._journal.note("began", number=number, name=name, state=attempts[-1][1])
        except BaseException:
            upload.abort()
            raise
        tell("part_begun", f"'{name}' is begun, attempt {len(attempts):,}.", attempt=len(attempts))
        return upload

    def _leftovers(self, kept: Collection[int]) -> Iterator[Attempt]:
        """Yield the attempts that may have left something, but for those by which `kept` parts have arrived."""
        for number, attempts in self._attempts.items():
            last = attempts[-1] if number in kept and attempts else None
            for attempt in attempts:
                # Where attempts of a part have the same state, the last one has replaced the others.
                if attempt != last:
                    yield attempt

    def _stop(self) -> bool:
        """End all tasks, once, and return whether they have ended: a server that hangs is not waited for."""
        if self._ended.is_set():
            return not self._has_hung
        self._ended.set()
        for spool in list(self._spools):
            spool.stop()
        self._has_hung = bool(wait(self._tasks, _STOP_SECONDS).not_done)
        for spool in list(self._spools):  # those whose task did not begin
            spool.close()
        for upload in self._in_place.values() if not self._is_left else ():
            upload.abort()
        return not self._has_hung

    def _clean_up(self, kept: Collection[int]) -> bool:
        """Remove leftovers within a few seconds; return whether that succeeded. Errors are not raised."""
        leftovers, late = list(self._leftovers(kept)), threading.Event()
        self._unsure |= {name for name, state in leftovers if not state}  # their call of `create` has not returned

        def clean() -> bool:
            is_clean = True
            for name, state in leftovers:
                if late.is_set():
                    return False
                try:
                    self.destination.discard(name, state)
                except DestinationError:
                    is_clean = False
            return self._sweep_unsure(kept) and is_clean

        if self.destination.direct:
            return clean()
        task = run_in_thread(clean)
        wait([task], _CLEAN_SECONDS)
        late.set()
        return task.done() and task.result()

    def _sweep_unsure(self, kept: Collection[int]) -> bool:
        """Remove uploads whose state is not known, and close the destination; return whether that succeeded."""
        kept_parts = [part for number, part in self.arrived.items() if number in kept]
        try:
            for stem in {FileName.parse(name).stem for name in self._unsure}:
                self.destination.sweep(FileName.parse(stem), kept_parts)
        except (DestinationError, ValueError):  # files that are sent unchecked may have any name
            return False
        finally:
            close_connections(self.destination)
        return True

    def _sleep(self, seconds: float) -> None:
        if seconds > 0 and self._ended.wait(seconds):
            raise RunEndedError
