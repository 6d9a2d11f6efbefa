"""Where a text can be cut: after newlines that end rows, as far as counting its quotes can tell."""

from __future__ import annotations

import re

import numpy as np

from converter.columns.pool import Bytes
from converter.kernel.calls import Loops
from converter.kernel.form import ESCAPED, INSIDE, Grammar

_SLICE = 1 << 16  # bytes that stay in the first cache
_ESCAPE = re.compile(rb"\\.", re.DOTALL)


class Cuts:
    """Finds cuts of texts of one grammar; where there is none, each newline ends a row.

    The state before a text, which is 0 at its start, is whether its first byte is `INSIDE` quotes, or `ESCAPED`.
    """

    def __init__(self, grammar: Grammar | None, loops: Loops | None) -> None:
        self._grammar = grammar if grammar and (grammar.quote or grammar.meanings) else None
        self._loops = loops

    def state_after(self, text: Bytes, state: int) -> int:
        """Return the state after a text, given that before it."""
        if not self._grammar:
            return 0
        if self._loops:
            return self._loops.count_quotes(text, self._grammar, state)
        if self._grammar.meanings:
            content, escaped = self._without_escapes(text.tobytes(), state)
            return (state ^ self._quotes(content, 0, len(content))) & INSIDE | escaped
        quote = ord(self._grammar.quote)
        parts = (text[at : at + _SLICE] == quote for at in range(0, len(text), _SLICE))
        return (state + sum(int(np.count_nonzero(part)) for part in parts)) & INSIDE

    def find(self, window: Bytes, state: int) -> tuple[int, int]:
        """Return where to cut early and late in a text, given the state before it.

        That is after the first and the last newline outside of quotes; or else after the first and the last one; or
        else at the start and at the end.
        """
        text = window.tobytes()
        first, last = 0, 0
        if self._grammar and self._loops:
            first, last = self._loops.cut(window, self._grammar, state)
        elif self._grammar:
            first, last = self._find(self._without_escapes(text, state)[0], state & INSIDE)
        return first or text.find(b"\n") + 1, last or text.rfind(b"\n") + 1 or len(text)

    def _find(self, text: bytes, quotes: int) -> tuple[int, int]:
        first = last = start = 0
        while end := text.find(b"\n", start) + 1:
            quotes += self._quotes(text, start, end)
            if quotes % 2 == 0:
                first, last = first or end, end
            start = end
        return first, last

    def _without_escapes(self, text: bytes, state: int) -> tuple[bytes, int]:
        """Blank escaped bytes, and return whether the byte after the text is one."""
        assert self._grammar  # noqa: S101 - for the type checker
        if not self._grammar.meanings:
            return text, 0
        if state & ESCAPED and text:
            text = b" " + text[1:]
        text = _ESCAPE.sub(b"  ", text)
        return text, ESCAPED if text.endswith(b"\\") or (state & ESCAPED and not text) else 0

    def _quotes(self, text: bytes, start: int, end: int) -> int:
        quote = self._grammar.quote if self._grammar else b""
        return text.count(quote, start, end) if quote else 0
