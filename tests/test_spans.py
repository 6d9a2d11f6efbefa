"""Spans of a text, each parsed by itself, are the rows of the text; or it is noticed that one ends inside a row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from converter.jobs.sections.table import Input
from converter.kernel.calls import Loops
from converter.sources import spans, texts
from converter.sources.base import Budget
from converter.sources.ndjson import NdjsonSource
from converter.sources.spans import ranges, scan, spans_of
from converter.sources.tasks import tasks_of
from converter.sources.texts import TextSource, TornSpanError

from .test_structure import GOOD, PIECES
from .test_texts import LOOPS, SIZES, Found, Memory, collected, expected, in_turn, source_of

HEAD = b"x,x,x\n"


def divided(source: TextSource, most: int, loops: Loops | None) -> list[TextSource]:
    """Return spans of a text as sources."""
    scans = [(each, scan(source, *each, loops)) for each in ranges(source, most)]
    return [source.within(span) for span in spans_of(source, scans)]


def together(found: list[Found]) -> Found:
    """Return what spans hold together. Their lines are those of the whole text."""
    return Found(
        [row for each in found for row in each.rows],
        [row for each in found for row in each.malformed],
        sum(each.blank for each in found),
    )


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join),
    st.integers(1, 60),
    st.sampled_from(SIZES),
    st.sampled_from([1, 5, 20, 1 << 16]),
    st.sampled_from([1, 7, 1 << 20]),
)
@example(b'1,"2\n2",3\n' * 9, 10, 4, 20, 7)
def test_spans_have_the_rows_of_the_text_or_are_torn(
    loops: Loops | None, content: bytes, most: int, block: int, window: int, read: int
) -> None:
    content = HEAD + content
    with pytest.MonkeyPatch.context() as patch:
        for module in (texts, spans):
            patch.setattr(module, "WINDOW", window)
        patch.setattr(spans, "_READ_BYTES", read)
        within = divided(source_of(Memory(content)), most, loops)
        try:
            found = [collected(in_turn(each, block, loops)) for each in within]  # type: ignore[arg-type]
        except TornSpanError:
            assert len(within) > 1
            return
    assert together(found) == expected(content, 3)


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
@pytest.mark.parametrize(
    "row, more",
    [
        (b'1,"2\n2, ""2""\n\n",3\r\n', {}),
        (b"1,2,3\n", {"quote": ""}),
        (b'1,"2\\"\n\\\\",3\n', {"escape": "backslash"}),
        (b'1,"2\\\n2",3\n', {"escape": "backslash"}),
    ],
    ids=["quotes", "none", "escapes", "escaped"],
)
def test_a_text_whose_quotes_are_those_of_values_is_never_torn(
    loops: Loops | None, row: bytes, more: dict[str, Any]
) -> None:
    content = row * 300
    whole = collected(in_turn(source_of(Memory(content), **more), 1 << 20, loops))
    assert len(whole.rows) == 300
    for most in range(len(row) - 3, len(row) + 4):
        within = divided(source_of(Memory(content), **more), most, loops)
        assert len(within) > 150
        assert together([collected(in_turn(each, 50, loops)) for each in within]) == whole  # type: ignore[arg-type]


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
def test_a_span_that_ends_in_a_value_is_torn(loops: Loops | None) -> None:
    """A quote that is not one of a value makes newlines in values look like those of rows."""
    content = GOOD + b'1,5" of rain,3\n' + b'1,"2\n2",3\n' * 30
    within = divided(source_of(Memory(content)), 100, loops)
    assert len(within) > 3
    with pytest.raises(TornSpanError):
        [in_turn(each, 1 << 20, loops) for each in within]  # type: ignore[arg-type]


def test_spans_are_read_by_themselves_though_they_are_small() -> None:
    source = source_of(Memory(b"1,2,3\n" * 100))
    within = divided(source, 50, None)
    assert len(within) > 10
    tasks = list(tasks_of(within, source.names, None, Budget()))
    assert together([collected([task.parse(None) for task in tasks])]).rows[-1] == (
        99 + sum(each.before for each in within),
        ["1", "2", "3"],
    )


@pytest.mark.parametrize("loops", LOOPS, ids=["python", "loops"])
def test_spans_of_json_begin_after_any_newline(loops: Loops | None) -> None:
    lines = [f'{{"a": "{number}"}}' for number in range(200)]
    source = NdjsonSource(Memory("\n".join(lines).encode(), label="in.ndjson"), Input(path=("in.ndjson",)))
    within = divided(source, 40, loops)
    assert len(within) > 40
    found = [[task.parse(None) for task in each.blocks(("a",), loops, Budget())] for each in within]
    rows = together([collected(blocks) for blocks in found]).rows
    assert rows == [(number, [str(number)]) for number in range(200)]
