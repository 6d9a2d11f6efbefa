"""How parts get to a destination whole or not at all, whatever happens on their way.

1. What is made of a part goes into a spool, a file without a name, and a sender sends it on from there while it grows.
   (A folder needs no spool: parts are written in place.)
2. At most `uploads` parts are made or on their way at once: a slow destination slows everything down.
3. What may pass is tried again, from the part's first byte, with growing pauses; what will not ends the run at once.
4. What happens is noted in the journal, and what has arrived stays out of sight until it is published.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol, TypeVar

from converter.delivery import stops
from converter.delivery.destinations import Owner, Settings, open_destination
from converter.delivery.destinations.base import Arrived, Destination, Incoming
from converter.delivery.journal import Journal, Past, Try
from converter.delivery.retry import Patience
from converter.errors import LOST, DestinationError, Finding, Reported, StoppedError, TransientError
from converter.jobs.job import Job, Transfer
from converter.parts.packer import Part, PartWriter
from converter.spec.names import FileName

_CHUNK = 1 << 18  # bytes: what is read of a spool stays in the processor's cache
# Who sends SIGTERM sends SIGKILL half a minute later, as a rule: a run that is over has ended before that.
_LEAVE_SECONDS = 5.0
_CLEAN_SECONDS = 10.0
_CLOSE_SECONDS = 3.0
_BETWEEN_LOOKS = 0.1  # seconds: how soon a signal is seen that is noted only
_T = TypeVar("_T")


def destination_of(document: Job | Transfer, sent: datetime.date, most_bytes: int, owner: Owner) -> Destination:
    """Return where files go. `sent` is the day of sending, in UTC; a file has at most `most_bytes`."""
    output = document.output
    return open_destination(
        output.url, Settings(sent, output.partner, most_bytes, document.s3, document.ftp, document.sftp, owner)
    )


def delivery_of(document: Job | Transfer, destination: Destination, journal: Journal, sets: int = 1) -> Delivery:
    """Return a delivery as a job asks for it. Of each of so many sets of parts one may be under way all the time."""
    output = document.output
    return Delivery(
        destination,
        journal,
        uploads=output.uploads + sets - 1,
        retry_seconds=output.retry_seconds,
        bandwidth=output.bandwidth,
        each=output.publish == "each",
        folder=document.run.spill_dir,
    )


def warnings_of(findings: Iterable[Finding]) -> list[Finding]:
    """Return the warnings among what a check found. Raises `DestinationError` where it found an error."""
    warnings = []
    for finding in findings:
        if finding.level == "error":
            raise DestinationError(*finding)
        if finding.level == "warning":
            warnings.append(finding)
    return warnings


def run_in_thread(work: Callable[[], _T], tasks: list[Future[Any]] | None = None) -> Future[_T]:
    """Do work in a thread of its own, for which nobody has to wait; its task is in `tasks` before it begins.

    An error that a signal raises must not come up within a library's code: boto3 takes it for a broken connection, and
    tries again. And a server that hangs keeps nobody who can let go of the thread.
    """
    task: Future[_T] = Future()

    def do() -> None:
        if not task.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:
            task.set_exception(error)
        else:
            task.set_result(result)

    thread = threading.Thread(target=do, name="delivery", daemon=True)
    if tasks is not None:
        tasks.append(task)
    try:
        thread.start()
    except BaseException:
        if task.cancel() and tasks is not None:  # a signal came first: nobody is to wait for what does not begin
            tasks.remove(task)
        raise
    return task


def closed(destination: Destination) -> None:
    """Give the connections of a destination back, as far as that can be done soon."""
    if destination.direct:
        destination.close()
    else:
        wait([run_in_thread(destination.close)], _CLOSE_SECONDS)


class Replay(Protocol):
    """Bytes that can be read as often as need be."""

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield all bytes, from the first on. Each chunk is good until the next one."""
        ...


class _StoppedError(Exception):
    """The run is over, and what works for it is to let go."""


class Spool:
    """The bytes of a part, read while they are written.

    They are in a file without a name, which goes with the process, and which only its user could have read.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder or tempfile.gettempdir()
        try:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise self._cannot(error) from error
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._size = 0
        self._whole = self._stopped = False

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes. Raises `DestinationError` where there is no room for them. Once it is closed nobody wants them."""
        view, place = memoryview(data), self._size
        with self._writing:
            if self._file.closed:
                return
            try:
                while view:
                    written = os.pwrite(self._file.fileno(), view, place)
                    view, place = view[written:], place + written
            except OSError as error:
                raise self._cannot(error) from error
        with self._changed:
            self._size = place
            self._changed.notify_all()

    def finish(self) -> None:
        """Say that no more will come."""
        with self._changed:
            self._whole = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Let those who read go."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def chunks(self) -> Iterator[memoryview]:
        """Yield all bytes from the first on, as they come. Each chunk is good until the next one."""
        place, buffer = 0, memoryview(bytearray(_CHUNK))
        while True:
            with self._changed:
                while not (self._stopped or self._whole or self._size > place):
                    self._changed.wait()
                if self._stopped:
                    raise _StoppedError
                size, whole = self._size, self._whole
            while place < size:
                count = os.preadv(self._file.fileno(), [buffer[: size - place]], place)
                place += count
                yield buffer[:count]
            if whole and place == self._size:
                return

    def close(self) -> None:
        """Give the room back."""
        with self._writing:  # else its number might be another file's by the time that is written to
            self._file.close()

    def _cannot(self, error: OSError) -> DestinationError:
        return DestinationError(
            "E-SPOOL-WRITE",
            f"Cannot keep a part in '{self._folder}' while it is sent: {error.strerror or error}.",
            "Free some space there, or choose another folder with run.spill_dir.",
        )


class Throttle:
    """Lets so many bytes a second pass, those of all senders together."""

    def __init__(self, bytes_a_second: int | None, sleep: Callable[[float], None]) -> None:
        self._rate = bytes_a_second
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int) -> None:
        """Wait until so many bytes may pass."""
        if self._rate is None:
            return
        with self._lock:
            begin = max(self._free_at, time.monotonic())
            self._free_at = begin + count / self._rate
        self._sleep(begin - time.monotonic())


class Delivery:
    """Brings the parts of a run to a destination.

    `each` publishes every part as soon as it is whole. `bandwidth` is in bytes a second, `retry_seconds` for how long
    to wait, in all, for what may pass: in pauses, and for a server that does not go on. The first failure of any part
    is raised by whatever is called next.
    """

    def __init__(
        self,
        destination: Destination,
        journal: Journal,
        *,
        uploads: int,
        retry_seconds: float,
        bandwidth: int | None = None,
        each: bool = False,
        folder: str | None = None,
    ) -> None:
        self.destination = destination
        self._journal = journal
        self._uploads = uploads
        self._patience = Patience(retry_seconds, self._sleep)
        self._each = each
        self._folder = folder
        self._over = threading.Event()
        self._throttle = Throttle(bandwidth, self._sleep)
        self._slots = threading.Semaphore(uploads)
        self._tasks: list[Future[Any]] = []
        self._is_left = False
        self._failure: BaseException | None = None
        self._spools: set[Spool] = set()
        self._in_place: dict[int, Incoming] = {}
        self._tries: dict[int, list[Try]] = defaultdict(list)
        self._expected: dict[int, tuple[int, int]] = {}
        self._unsure: set[str] = set()  # names of which something may have begun that nobody knows
        self.arrived: dict[int, Arrived] = {}
        """Parts that are there whole, by number."""
        self.published: set[int] = set()
        self.unseen: list[str] = []
        """Parts of an earlier run that are taken for there, since nobody can see."""
        self._won: set[str] = set()  # the stems of which a part is visible: nobody else has them
        self._winning = threading.Lock()

    def take_over(self, past: Past) -> None:
        """Go on where an earlier run was: keep what is there whole, and remove the rest of it."""
        try:
            self._interruptibly(lambda: self._take_over(past))
        except BaseException:
            self._let_go()
            self._close()
            raise

    def _take_over(self, past: Past) -> None:
        self._tries = past.tries
        for number, part in past.arrived.items():
            is_there = self.retrying(self.destination.holds, part)
            if is_there is None:
                self.unseen.append(part.name)
            if is_there is not False:
                self.arrived[number] = part
        self.published = past.published & set(self.arrived)  # those that are gone are sent again
        self._won = {_stem_of(self.arrived[number].name) for number in self.published}
        for name, state in self._leftovers(self.arrived):
            self.retrying(self.destination.discard, name, state)
        self._sweep(past)
        for number in set(self._tries) - set(self.arrived):
            del self._tries[number]

    def give_up(self, past: Past) -> None:
        """Remove what an earlier run has left, as far as it is not published and that can be done."""
        self._tries, self.published = past.tries, past.published
        self.arrived = {number: part for number, part in past.arrived.items() if number in past.published}
        with contextlib.suppress(DestinationError):  # what stays is never visible, and the new run goes first
            self._interruptibly(lambda: self._sweep(past))
        self.discard()

    def _sweep(self, past: Past) -> None:
        """Remove what was begun by a run that died before it could note how that is found again.

        Only a run that named its parts itself knows all of their names: others may be sending some of them.
        """
        for name in past.run.names:
            self.retrying(self.destination.sweep, FileName.parse(name), list(self.arrived.values()))

    def create(self, number: int, name: str) -> PartWriter:
        """Begin a part; wait until one of those before has arrived, where too many are on their way."""
        if self.destination.direct:
            self._in_place[number] = self._begun(number, name)
            return _InPlace(self, number, self._in_place[number])
        self._slots.acquire()
        self.raise_failure()
        spool = Spool(self._folder)
        self._spools.add(spool)
        self._submit(spool, number, name)
        return _Spooled(self, number, spool)

    def send(self, replay: Replay, number: int, part: Part) -> None:
        """Send what exists already; wait where too many are on their way."""
        self._slots.acquire()
        self.raise_failure()
        self.made(number, part, 0)
        self._submit(replay, number, part.name)

    def made(self, number: int, part: Part, text_crc32: int) -> None:
        """Note that a part is made."""
        self._expected[number] = part.bytes, int(part.crc32, 16)
        self._journal.note("made", number=number, text_crc32=text_crc32, **asdict(part))

    def has_arrived(self, number: int, arrived: Arrived) -> None:
        """Note that a part is there whole."""
        self._in_place.pop(number, None)
        self._journal.note("arrived", number=number, **asdict(arrived))
        self.arrived[number] = arrived
        if self._each:
            self._publish(number)

    def has_lost(self, error: Reported) -> bool:
        """Say whether an error is that another run has the names, before anything of this one was visible."""
        return error.code in LOST and not self.published

    def raise_failure(self) -> None:
        """Raise what has gone wrong with any part so far."""
        if self._failure:
            raise self._failure

    def wait(self, seconds: float) -> bool:
        """Wait, at most so long, until all parts have arrived; say whether they have."""
        waiting = wait(self._tasks, seconds, FIRST_EXCEPTION).not_done
        self.raise_failure()
        return not waiting

    def publish(self) -> None:
        """Make all parts visible that are not yet, several at once, so that it is soon over.

        One of each set goes first, alone: who loses a name to another run has nothing visible then. A signal ends this,
        unless all are visible by the time that what was under way has ended.
        """
        if number := stops.asked():
            raise StoppedError(number)
        waiting = sorted(set(self.arrived) - self.published)
        firsts: dict[str, int] = {}
        for number in waiting:
            firsts.setdefault(_stem_of(self.arrived[number].name), number)
        alone = [firsts[stem] for stem in sorted(set(firsts) - self._won)]  # sorted: two runs begin with the same
        others = [number for number in waiting if number not in alone]
        self._publish_side_by_side([alone])
        count = 1 if self.destination.direct else self._uploads
        self._publish_side_by_side([others[first::count] for first in range(min(count, len(others)))])

    def _publish_side_by_side(self, turns: Sequence[Sequence[int]]) -> None:
        tasks = [run_in_thread(partial(self._publish_all, numbers), self._tasks) for numbers in turns if numbers]
        while wait(tasks, _BETWEEN_LOOKS, FIRST_EXCEPTION).not_done:
            self.raise_failure()
            if number := stops.asked():
                self._let_go()
                if set(self.arrived) - self.published:
                    raise StoppedError(number)
                return
        self.raise_failure()

    @property
    def is_out(self) -> bool:
        """Whether all that has arrived is visible."""
        return not set(self.arrived) - self.published

    def close(self) -> None:
        """End; what has arrived stays, published or for another run."""
        self._let_go()
        self._clean_up(self.arrived)

    def discard(self) -> bool:
        """End, and remove everything that is not published; say whether that could be done."""
        has_gone = self._let_go()
        return self._clean_up(self.published) and has_gone

    def retrying(self, call: Callable[..., _T], *arguments: object) -> _T:
        """Call, and again where that may help. Raises `DestinationError`."""
        if self._over.is_set():
            raise _StoppedError
        if self.destination.direct:  # there is nothing that may pass
            return call(*arguments)
        return self._patience.retrying(call, *arguments)

    def _interruptibly(self, work: Callable[[], None]) -> None:
        """Do work that asks the destination, and meanwhile listen for signals."""
        if self.destination.direct:
            work()
            return
        task = run_in_thread(work, self._tasks)
        task.result()
        self._tasks.remove(task)

    def _publish_all(self, numbers: Iterable[int]) -> None:
        """Publish parts, unless another one could not be published."""
        for number in numbers:
            self.raise_failure()
            try:
                self._publish(number)
            except BaseException as error:
                self._failure = self._failure or error
                raise

    def _publish(self, number: int) -> None:
        part = self.arrived[number]
        stem = _stem_of(part.name)
        with self._winning if stem not in self._won else contextlib.nullcontext():
            if stem not in self._won:
                self.raise_failure()  # who has lost the first part shows no other
            try:
                self.retrying(self.destination.publish, part)
            except BaseException as error:
                if isinstance(error, DestinationError) and error.visible:  # what failed came after that
                    self.published.add(number)
                self._failure = self._failure or error
                raise
            self._won.add(stem)
        self.published.add(number)
        self._journal.note("published", number=number)

    def _submit(self, replay: Replay, number: int, name: str) -> None:
        run_in_thread(lambda: self._send(replay, number, name), self._tasks)  # the slots bound how many there are

    def _send(self, replay: Replay, number: int, name: str) -> None:
        try:
            self.has_arrived(number, self.retrying(self._attempt, replay, number, name))
        except BaseException as error:
            self._failure = self._failure or error
            raise
        finally:
            if isinstance(replay, Spool):
                replay.close()
                self._spools.discard(replay)
            self._slots.release()

    def _attempt(self, replay: Replay, number: int, name: str) -> Arrived:
        """Send a part from its first byte on."""
        incoming = self._begun(number, name)
        try:
            for chunk in replay.chunks():
                if self._over.is_set():
                    raise _StoppedError
                self._throttle.take(len(chunk))
                self._patience.moves()  # until now the server has waited for us
                incoming.write(chunk)
            self._patience.moves()
            arrived = incoming.finish()
            if self._over.is_set():
                raise _StoppedError
            if (arrived.bytes, arrived.crc32) != self._expected[number]:
                raise TransientError(
                    "E-PART-CHANGED",
                    f"'{name}' arrived with other bytes than were sent.",
                    "Nothing of it is visible; it is sent again.",
                )
        except BaseException:
            if not self._is_left:  # another run may have this part by now
                incoming.abort()
            raise
        return arrived

    def _begun(self, number: int, name: str) -> Incoming:
        """Begin a part at the destination, and note it."""
        tries = self._tries[number]
        tries.append((name, {}))  # before there is anything, so that a signal at any moment finds what to remove
        try:
            incoming = self.destination.create(name)
        except DestinationError as error:
            tries.pop()  # there is nothing, or what is there is not ours
            if isinstance(error, TransientError):
                self._unsure.add(name)  # the answer alone may be lost
            raise
        tries[-1] = name, dict(incoming.state)
        try:
            self._journal.note("began", number=number, name=name, state=tries[-1][1])
        except BaseException:
            incoming.abort()
            raise
        return incoming

    def _leftovers(self, kept: Collection[int]) -> Iterator[Try]:
        """Yield what may be left of parts, but for the tries by which some have arrived."""
        for number, tries in self._tries.items():
            last = tries[-1] if number in kept and tries else None
            for each in tries:
                # Where tries of a part are not told apart, the last one has replaced the others.
                if each != last:
                    yield each

    def _let_go(self) -> bool:
        """End what goes on, and say whether that has ended: a server that hangs is not waited for, and once only."""
        if self._over.is_set():
            return not self._is_left
        self._over.set()
        for spool in list(self._spools):
            spool.stop()
        self._is_left = bool(wait(self._tasks, _LEAVE_SECONDS).not_done)
        for spool in list(self._spools):  # of those that did not begin
            spool.close()
        for incoming in self._in_place.values():
            incoming.abort()
        return not self._is_left

    def _clean_up(self, kept: Collection[int]) -> bool:
        """Remove leftovers as far as that can be done soon: what the run failed of is what is told."""
        leftovers, late = list(self._leftovers(kept)), threading.Event()
        self._unsure |= {name for name, state in leftovers if not state}  # they hang, or hung when it was time to go

        def clean() -> bool:
            is_clean = True
            for name, state in leftovers:
                if late.is_set():
                    return False
                try:
                    self.destination.discard(name, state)
                except DestinationError:
                    is_clean = False
            return self._swept(kept) and is_clean

        if self.destination.direct:
            return clean()
        task = run_in_thread(clean)
        wait([task], _CLEAN_SECONDS)
        late.set()
        return task.done() and task.result()

    def _swept(self, kept: Collection[int]) -> bool:
        """Remove what was begun without an answer, and close the destination; say whether that could be done."""
        kept_parts = [part for number, part in self.arrived.items() if number in kept]
        try:
            for stem in {FileName.parse(name).stem for name in self._unsure}:
                self.destination.sweep(FileName.parse(stem), kept_parts)
        except (DestinationError, ValueError):  # files that are sent unchecked may have any name
            return False
        finally:
            self._close()
        return True

    def _close(self) -> None:
        closed(self.destination)

    def _sleep(self, seconds: float) -> None:
        if seconds > 0 and self._over.wait(seconds):
            raise _StoppedError


def _stem_of(name: str) -> str:
    """Return what all parts of a set share; other names are sets of their own."""
    try:
        return FileName.parse(name).stem
    except ValueError:
        return name


class _InPlace:
    """A part that is written where it stays."""

    def __init__(self, delivery: Delivery, number: int, incoming: Incoming) -> None:
        self._delivery = delivery
        self._number = number
        self._incoming = incoming
        self.write = incoming.write

    def finish(self, part: Part, text_crc32: int) -> None:
        self._delivery.made(self._number, part, text_crc32)
        self._delivery.has_arrived(self._number, self._incoming.finish())


class _Spooled:
    """A part that is sent from a spool."""

    def __init__(self, delivery: Delivery, number: int, spool: Spool) -> None:
        self._delivery = delivery
        self._number = number
        self._spool = spool

    def write(self, data: bytes | memoryview) -> None:
        self._delivery.raise_failure()
        self._spool.write(data)

    def finish(self, part: Part, text_crc32: int) -> None:
        self._delivery.made(self._number, part, text_crc32)
        self._spool.finish()
