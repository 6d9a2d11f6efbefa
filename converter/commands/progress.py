"""How far a run is, and how long the rest takes."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

_WINDOW = 30.0  # seconds over which a rate is taken: S3 takes pieces of megabytes, which may take many seconds each
_MOST_POINTS = 60

Phase = Literal["connecting", "comparing", "converting", "sending", "confirming", "publishing", "reading"]


@dataclass(frozen=True)
class Progress:
    """How far a run is: bytes of the input, rows so far, parts made and arrived, bytes written and sent, seconds.

    `rows` is how many of those read were written, rejected or skipped; None where files are sent that exist already.
    `bytes_written` are those of parts, of which `bytes_sent` are on their way or have arrived. `phase` is what the run
    does: it connects, compares IDs before it converts, converts, only sends the rest, waits for the destination to
    confirm what was sent, or publishes; or it reads files that were received. `waiting` names what it waits for, if it
    does; `waiting_seconds` is how long a
    pause takes. `share` is how much of all that is to be read and sent is done, 0 to 1, and `seconds_left` an estimate;
    None where they are not known.
    """

    bytes_read: int = 0
    bytes_total: int | None = None
    rows: int | None = 0
    rejected: int = 0
    skipped: int = 0
    parts: int = 0
    arrived: int = 0
    bytes_written: int = 0
    bytes_sent: int = 0
    retries: int = 0
    phase: Phase = "connecting"
    waiting: str = ""
    waiting_seconds: float | None = None
    share: float | None = None
    seconds: float = 0.0
    seconds_left: float | None = None


class Point(NamedTuple):
    """How far a run was after so many seconds: rows so far, bytes of the input read, and bytes sent."""

    seconds: float
    rows: int
    bytes_read: int
    bytes_sent: int


class Track:
    """How far a run was over its time, in at most 60 points."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._last: Point | None = None
        self._step = 0.05  # seconds from one point to the next, at least

    def add(self, progress: Progress) -> None:
        """Take the progress of now."""
        seconds = round(progress.seconds, 3)
        self._last = Point(seconds, progress.rows or 0, progress.bytes_read, progress.bytes_sent)
        if self._points and seconds < self._points[-1].seconds + self._step:
            return
        self._points.append(self._last)
        if len(self._points) >= _MOST_POINTS:
            self._points, self._step = self._points[::2], 2 * self._step

    def points(self) -> list[Point]:
        """Return the points, with the last one that was taken."""
        is_new = self._last is not None and self._points[-1] != self._last
        return [*self._points, self._last] if self._last and is_new else list(self._points)


class Pace:
    """Estimates how long a run takes, by how fast it has read and sent for some time."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()  # when, bytes read, bytes sent

    def judge(self, progress: Progress, now: float | None = None) -> Progress:
        """Return progress with its share and the seconds that are left. `now` is in seconds, the clock's if None."""
        now = time.monotonic() if now is None else now
        self._seen.append((now, progress.bytes_read, progress.bytes_sent))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()
        if not progress.bytes_total:
            return progress
        read = min(progress.bytes_read / progress.bytes_total, 1.0)
        sent = min(progress.bytes_sent / progress.bytes_written, 1.0) if progress.bytes_written else 1.0
        return replace(progress, share=read * sent, seconds_left=self._seconds_left(progress, read))

    def _seconds_left(self, progress: Progress, read: float) -> float | None:
        """Return the longer of the times that reading and sending the rest take; `read` is the share that was read."""
        (began, first_read, first_sent), (now, last_read, last_sent) = self._seen[0], self._seen[-1]
        if not read or progress.phase in ("confirming", "publishing"):  # how long that takes depends on the server
            return None
        to_read = (progress.bytes_total or 0) - progress.bytes_read
        to_send = progress.bytes_written / read - progress.bytes_sent
        left = 0.0
        for rest, done in ((to_read, last_read - first_read), (to_send, last_sent - first_sent)):
            if rest >= 1:
                if not done:  # it stands still
                    return None
                left = max(left, rest * (now - began) / done)
        return left
