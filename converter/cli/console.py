"""The console of rich, for tables."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

_WIDTH_OF_NO_TERMINAL = 1000


class _Trimmed:
    """What is printed, without the spaces that tables put at the ends of lines: who copies lines takes them along."""

    def __init__(self, content: ConsoleRenderable) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(self._content, options, pad=False):
            while line and not line[-1].text.strip():
                line.pop()
            if line:
                *before, last = line
                yield from before
                yield Segment(last.text.rstrip(), last.style, last.control)
            yield Segment.line()


class _Trimming(RenderHook):
    """Trims all that a console prints."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Trimmed(each) for each in renderables]


def console() -> Console:
    """Return a console on standard output that prints names and paths unchanged, and no spaces at the ends of lines.

    They are never read as markup, and not truncated where there is no terminal.
    """
    made = Console(highlight=False, markup=False, emoji=False)
    made.push_render_hook(_Trimming())
    if not made.is_terminal:
        made.width = _WIDTH_OF_NO_TERMINAL
    return made


def error_console() -> Console:
    """Return a console on standard error, for progress."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)
