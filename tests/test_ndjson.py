"""NDJSON gives the same rows by the loop and by Polars, wherever blocks are cut."""

from __future__ import annotations

import gzip
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter import kernel
from converter.jobs.job import Job
from converter.kernel.calls import Loops
from converter.kernel.form import SLACK
from converter.sources.base import Roles
from converter.sources.ndjson import NdjsonSource
from converter.sources.origins.local import LocalFile
from converter.sources.texts import Rows

from . import objects
from .conftest import converted, malformed_rows, without_loops
from .test_faults import SOUND, WRONG_LINES

COLUMNS = ["id", "a", "t", "o.p", "o.q.r"]
LONG = 2000  # bytes: longer lines are left to other tests
LINES = [line for line in [*WRONG_LINES, *(line.encode() for line, _ in SOUND.values())] if len(line) < LONG]
VALUES = [*objects.NUMBERS, *objects.NESTED, b"true", b"false", b"null", b'""', b'"x"', b'"1|2"', b'"12 %"', b'["1","2"]', b"[1 , 2,null]", b'[" 3"]', b'["x\\n"]', b'["4,5"]', b'["[6"]',
          b'{"p":"x"}', b'{"p":[1]}', b'{ "q" : {"r":7,"r":8} }', b'{"p":1,"q":{"r":"y","s":{}},"p":2}', b'{"p":{}}', b'{"q":[]}', b'[["7"],8]', b'[{"p":1}]', b'[tr]', b"[1,]",
          b"[[7]]", b"[ ]", b'"\xc3\xa9"', b'"\xff"', b'"\\ud83d\\ude00"', b'"\\ud83d"', b'"\\ud83d\\u0041"', b'"\\ud83d\\ud83d"', b'"\\ud83d\\n"', b'"\\u00g1"', b'"\\u00e9\\"\\\\"', b'"a@b.cd"', b'"x\ty"', b"-", b"1.", b"nul", b'"open']  # fmt: skip
KEYS = [b'"o"', b'"o.p"', b'"id"', b'"a"', b'"t"', b'"z"', b'"id2"', b'"\\u0061"', b'""', b"7", b'"\xff"']
BLANK = [b"", b"\r", b" "]


@st.composite
def lines_of(draw: st.DrawFn) -> list[bytes]:
    """Lines, most of which are objects with the same keys in the same order."""
    drawn = random.Random(draw(st.integers(0, 1 << 32)))
    lines = []
    usual = drawn.choice([0.5, 0.9, 0.99])
    for _ in range(drawn.randrange(30)):
        if drawn.random() < 0.05:
            lines.append(drawn.choice(LINES + BLANK))
            continue
        keys = (
            [b'"id"', b'"a"', b'"z"', b'"t"'] if drawn.random() < usual else drawn.choices(KEYS, k=drawn.randrange(6))
        )
        values = [b'"u%d"' % drawn.randrange(99) if drawn.random() < usual else drawn.choice(VALUES) for _ in keys]
        line = objects.object_of(drawn, list(zip(keys, values, strict=True)))
        lines.append(objects.damaged(drawn, line) if drawn.random() < 0.1 * (1 - usual) else line)
    return [part for line in lines for part in line.split(b"\n")]


def rows_of(loops: Loops | None, texts: Sequence[bytes]) -> tuple[Any, ...]:
    source = NdjsonSource.__new__(NdjsonSource)
    source.origin = LocalFile(Path("in.ndjson"), 1, 1)
    source.roles = Roles(frozenset(["id"]), frozenset(["t"]))
    given = [(np.frombuffer(text + b'"' * SLACK, np.uint8), len(text)) for text in texts]
    rows: Rows = source.parser(COLUMNS, loops).parse(given, None, last=True)
    frame = rows.rest.frame().fill_null("")
    assert (frame.height, rows.rest.count, len(rows.numbers)) == (rows.rows,) * 3
    assert frame.columns == COLUMNS
    places = rows.newlines, rows.consumed, rows.blank, rows.numbers.tolist()
    return frame.rows(), malformed_rows(rows.malformed), *places


@settings(max_examples=400, deadline=None)
@given(lines_of(), st.integers(0, 30), st.sampled_from([b"", b'{"id":"cut']))
def test_the_loop_gives_what_polars_gives(lines: list[bytes], cut: int, rest: bytes) -> None:
    first, second = (b"".join(line + b"\n" for line in part) for part in (lines[:cut], lines[cut:]))
    texts = [first, second + rest]
    expected = rows_of(None, texts)
    assert rows_of(kernel.load(), texts) == expected
    assert expected[2:4] == ([first.count(b"\n"), second.count(b"\n")], len(second))
    assert len(expected[0]) + len(expected[1]) + expected[4] == len(lines)


@pytest.mark.parametrize("line", [*LINES, *(b'{"id":"u","a":%b,"z":%b,"t":%b}' % ((each,) * 3) for each in VALUES)])
def test_each_kind_of_line_is_judged_alike(line: bytes) -> None:
    texts = [b'{"id":"u1","a":"x"}\n' + line + b'\n{"id":"u2","a":"y"}\n']
    assert rows_of(kernel.load(), texts) == rows_of(None, texts)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines_of(), st.data())
def test_lines_rejects_and_counts_are_those_of_polars(tmp_path: Path, lines: list[bytes], data: st.DataObject) -> None:
    path = tmp_path / "in.ndjson"
    content = b"".join(line + b"\n" for line in lines) + data.draw(st.sampled_from([b"", b'{"id":1,"a":2}']))
    path.write_bytes(data.draw(st.sampled_from([bytes, bytes, gzip.compress]))(content))
    job = Job(
        input={
            "path": str(path),
            "columns": COLUMNS,
            "null_values": data.draw(st.sampled_from([[], [], ["x"]])),
        },
        id={"column": "id", **data.draw(st.sampled_from([{}, {}, {"pad": 4}]))},
        record={
            "signals": data.draw(st.sampled_from([["a"], ["a", "t"], []])),
            "traits": data.draw(st.sampled_from([["t"], [8, "t"], [{"column": "t", "separator": ","}]])),
            "on_bad_value": data.draw(st.sampled_from(["clean", "drop", "reject"])),
        },
        output={"to": str(tmp_path / "out"), "dpid": 1234},
        run={"threads": data.draw(st.sampled_from([1, 3]))},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "load", without_loops)
        expected = converted(NdjsonSource, path, job)
    for block in (1 << 20, data.draw(st.sampled_from([97, 300, 13]))):
        assert converted(NdjsonSource, path, job, block) == expected
