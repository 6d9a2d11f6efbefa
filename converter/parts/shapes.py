"""What lines look like, without what they say."""

from __future__ import annotations

from collections.abc import Sequence

from converter.columns.buffers import Text

_MOST_CHARACTERS = 60
_MOST_LINES = 10


def shape_of(line: bytes) -> str:
    """Return what a line looks like: letters are `a`, digits `0`, and what cannot be printed is escaped."""
    text = line[: 4 * _MOST_CHARACTERS].decode(errors="replace")
    marks = ["a" if mark.isalpha() else "0" if mark.isdigit() else mark for mark in text[:_MOST_CHARACTERS]]
    shape = "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in marks)
    return shape + "…" * (len(text) > _MOST_CHARACTERS)


def first_shapes(sets: Sequence[Sequence[Text]]) -> list[str]:
    """Return what the first lines look like, at most 10, of the first set of files that has any."""
    text = next((text for texts in sets for text in texts if len(text.ends)), None)
    if text is None:
        return []
    ends = text.ends[:_MOST_LINES].tolist()
    spans = zip([0, *ends], ends, strict=False)
    return [shape_of(b"".join(text.between(start, end)).removesuffix(b"\n")) for start, end in spans]
