"""Progress on a terminal of any width: what the run does, a bar, the time that is left, and figures below.

It is drawn several times a second, also while the run waits: so pauses and the time that is left count down.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from converter.cli.figures import facts_of
from converter.commands.progress import Progress

_WIDEST_BAR = 40
_DONE, _OPEN = "━", "╌"
_GAP = "  "


class Bar:
    """What is drawn; `update` takes what is new."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._at = time.monotonic()

    def update(self, progress: Progress) -> None:
        """Show this from now on."""
        self._progress, self._at = progress, time.monotonic()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, none of which is wider than the terminal."""
        del console
        progress = _later(self._progress, time.monotonic() - self._at)
        width = options.max_width
        left = "" if progress.seconds_left is None else f"{_clock(progress.seconds_left)} left"
        share = "" if progress.share is None else f"{int(progress.share * 100):>3}%"
        ends = [each for each in (share, left) if each]
        room = min(width - sum(len(each) + 1 for each in (progress.phase, *ends)), _WIDEST_BAR)
        head = Text(f"{progress.phase} ", no_wrap=True, overflow="ellipsis")
        if progress.share is not None and room > 0:
            done = int(room * progress.share)
            head.append(_DONE * done, "green").append(_OPEN * (room - done), "dim").append(" ")
        yield head.append(" ".join(ends))
        if progress.waiting:
            seconds = "" if progress.waiting_seconds is None else f"{progress.waiting_seconds:.0f} s "
            yield Text(f"waiting {seconds}for {progress.waiting}", style="yellow")
        for line in _filled([*facts_of(progress), _clock(progress.seconds)], width):
            yield Text(line, no_wrap=True, overflow="ellipsis")


def _later(progress: Progress, seconds: float) -> Progress:
    """Return progress as it is most likely some seconds later."""
    pause, left = progress.waiting_seconds, progress.seconds_left
    return dataclasses.replace(
        progress,
        waiting_seconds=None if pause is None else max(pause - seconds, 0.0),
        # It counts down to a second: what takes longer than estimated is not done.
        seconds_left=None if left is None else max(left - seconds, min(left, 1.0)),
        seconds=progress.seconds + seconds,
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _filled(words: Iterable[str], width: int) -> Iterator[str]:
    """Yield lines that are filled with words, which are not divided."""
    line = ""
    for word in words:
        if line and len(line) + len(_GAP) + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line}{_GAP}{word}" if line else word
    yield line
