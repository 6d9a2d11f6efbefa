"""The compiled loops on frames give what the query gives; they read no further than they may, and are kept whole."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter import kernel
from converter.columns.buffers import Chunk, Text, Views, chunks_of
from converter.jobs.job import Job
from converter.jobs.sections.record import Signal
from converter.kernel import calls, checked, earlier, form, gather, keys, known, seen, sink, texts, users
from converter.kernel.calls import Loops
from converter.kernel.library import FOLDER, NAME
from converter.kernel.sink import Lines
from converter.rows.blocks import Converter
from converter.rows.fast_path import FastPath
from converter.rows.judging import FirstRows
from converter.rows.records import Records
from converter.rows.stages import Stage, StageResults
from converter.sources.base import Block, Budget, Piece, Rest, Task
from converter.sources.origins.local import LocalFile
from converter.sources.tables import TableSource
from converter.spec.implausible import MISSING_IDS

from .examples import examples
from .test_privacy import disguised

LOOPS = kernel.load()
CHARACTERS = 'aB1| ,"\t\x01\x7f\x85©é@.:-0'
IDS = st.text(alphabet="aB10-", min_size=1, max_size=20) | st.text(alphabet=CHARACTERS, max_size=6)
VALUES = st.text(alphabet="aB1 é", max_size=40) | st.text(alphabet=CHARACTERS, max_size=4)
ITEMS = st.lists(
    st.sampled_from(["1", "22", "x-1", " 3", "", '"', "é", "4,4", "5" * 70, "123456789"]), max_size=15
).map("|".join)
ROWS = st.lists(st.tuples(IDS, VALUES, VALUES, ITEMS, ITEMS), max_size=12)


STEPS: list[dict[str, Any]] = [
    {"pad": 6},
    {"remove": "-0 "},
    {"cut_prefix": "a", "cut_suffix": "B"},
    {"strip_zeros": True},
    {"prefix": "p-", "suffix": "S"},
    {"decode": True},
    {"unicode": "nfc"},
    {"hash": "sha256"},
    {"decode": True, "cut_prefix": " ", "remove": ".", "strip_zeros": True, "pad": 4, "prefix": "x", "unicode": "nfc"},
]


HASHED: list[list[dict[str, Any]]] = [[], [], [STEPS[0]], [STEPS[1], STEPS[4]], [STEPS[2], STEPS[3], STEPS[5]]]
"""Steps before a hash."""


@st.composite
def ids(draw: st.DrawFn) -> dict[str, Any]:
    id_: dict[str, Any] = {
        "type": draw(st.sampled_from(["crm", "crm", "vizio", "maid", "uuid", "gaid", "auto"])),
        "case": draw(st.sampled_from(["preserve", "lower", "upper"])),
        "trim": draw(st.booleans()),
    }
    steps = draw(st.sampled_from([{}, *STEPS]))
    if id_["type"] == "auto":
        steps = {name: steps[name] for name in ("decode", "unicode") if name in steps}
    elif id_["type"] == "gaid":
        id_["case"] = "preserve"
    if "hash" in steps:
        id_["type"] = draw(st.sampled_from(["crm", "hashed_email"]))
        id_["case"] = "preserve"
        steps = steps | {name: each for other in draw(st.sampled_from(HASHED)) for name, each in other.items()}
    return id_ | steps


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    lists = [{"column": "a", "key": "words", "separator": " "}, {"column": "t", "key": "items", "separator": "|"}]
    signals: list[Any] = draw(
        st.lists(st.sampled_from(["a", "b", {"column": "a", "key": "again" * 5}, *lists]), max_size=3, unique_by=str)
    )
    if draw(st.booleans()):
        signals.insert(draw(st.integers(0, len(signals))), {"key": "k", "value": "one, two"})
    id_ = draw(ids())
    output: dict[str, Any] = {"to": "out"}
    if id_["type"] == "auto" and draw(st.booleans()):
        output["route"] = {"gaid": {"target": 2}, "crm": {"dpid": 1}, "uuid": {"dpid": 3}}
    elif id_["type"] == "gaid" and draw(st.booleans()):
        output |= {"kind": "odc", "dpid": 20914, "target": 2, "odc_type": draw(st.sampled_from(["", "android"]))}
    else:
        output |= {"dpid": 1234} | ({"target": 2} if id_["type"] == "gaid" else {})
    of_rows = {"rows": "signal", "key_column": "id", "value_column": "b"} if draw(st.booleans()) else {}
    return Job(
        input={"path": "in.csv", "null_values": draw(st.sampled_from([[], [], ["a"], ["NULL", "-", "1"]]))},
        id={"column": "id", **id_},
        record={
            **of_rows,
            "signals": signals,
            "traits": draw(st.sampled_from([["t"], ["t", 7], []])) if signals else ["t"],
            "integration_codes": draw(
                st.sampled_from([[], ["c"], [{"column": "c", "separator": "|"}, {"value": "z"}]])
            ),
            "comma": draw(st.sampled_from(["keep", "", ";"])),
            "on_bad_value": draw(st.sampled_from(["clean", "drop", "reject"])),
        },
        privacy={"signals": draw(st.sampled_from(["block", "drop", "allow"]))},
        output=output,
    )


@st.composite
def sync_jobs(draw: st.DrawFn) -> Job:
    steps = draw(st.lists(st.sampled_from([{}, {}, *STEPS[:7]]), min_size=3, max_size=3))
    columns = [
        {"column": "id", "type": "gaid"},
        {"column": "a", "type": "crm", "dpid": 1, "case": draw(st.sampled_from(["preserve", "upper"])), **steps[1]},
        {"column": "b", "type": draw(st.sampled_from(["crm", "maid"])), "dpid": 2, **steps[2]},
    ]
    return Job(
        input={"path": "in.csv", "null_values": draw(st.sampled_from([[], ["a"]]))},
        sync={"columns": columns},
        output={"to": "out", "kind": "id-sync"},
    )


class Given(TableSource):
    """A source of one frame."""

    def __init__(self, frame: pl.DataFrame) -> None:
        super().__init__(LocalFile(Path("in.parquet"), 1, 1), frame.to_arrow().schema, lambda *_: None)  # type: ignore[arg-type, return-value]
        self._frame = frame

    def blocks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        rows = self._frame.height
        block = Block((Piece(self.origin, rows, 1),), rows, Rest.of_frame(self._frame), np.arange(rows))
        yield Task(self, lambda form: block)


class Sees(Stage):
    """Sees the IDs of all lines."""

    def __init__(self, job: Job, records: Records, results: StageResults) -> None:
        pass


def results(records: Records, source: Given, loops: Loops | None) -> list[Any]:
    """Return what becomes of rows: the lines of each set, the rejected rows, the counts, and the IDs of all lines."""
    sees = Sees(records.job, records, StageResults())
    converter = Converter(records, loops, [sees], judges_only=False)
    (task,) = source.blocks(records.columns, loops, Budget())
    parsed = converter.parse(task, 0)
    (each,) = converter.convert([parsed])
    lines = [[bytes(buffer) for text in texts for buffer in text.buffers] for texts in each.texts]
    ends = [[int(end) for text in texts for end in text.ends] for texts in each.texts]
    rejected = each.rejected["reason", "c0"].rows()
    return [
        [b"".join(texts) for texts in lines],
        [len(each) for each in ends],
        each.rows.tolist(),
        rejected,
        each.ledger,
        sorted(each.seen[0].rows()),
    ]


@examples(700)
@given(ROWS, jobs() | sync_jobs(), st.sampled_from([10_000, 60]))
def test_lines_rejects_and_counts_are_those_of_the_query(rows: list[tuple[str, ...]], job: Job, most: int) -> None:
    records = Records(job, most)
    frame = pl.DataFrame(rows, schema=dict.fromkeys(["id", "a", "b", "t", "c"], pl.String), orient="row")
    source = Given(pl.concat([frame.head(3), frame.slice(3)], rechunk=False))  # in two chunks
    assert results(records, source, None) == results(records, source, LOOPS)


LISTED = st.text(alphabet=CHARACTERS + "\x1f\x85\xa0\u2003Ö[{", max_size=4) | st.sampled_from(
    ["NULL", "N/A", "a@example.com", "4111111111111111", "x" * 70, None]
)


@examples(500)
@given(st.lists(st.tuples(st.lists(LISTED, max_size=5) | st.none(), LISTED), min_size=1, max_size=12), jobs())
def test_lists_of_values_give_the_same_on_both_ways(
    rows: list[tuple[list[str | None] | None, str | None]], job: Job
) -> None:
    record = job.record.model_copy(
        update={
            "signals": (
                Signal(column="l", key="list"),
                *job.record.signals,
                Signal(column="s", key="texts", separator="|"),
                Signal(column="s", key="whole"),
            )
        }
    )
    if job.output.kind != "data" or job.output.route:
        return
    job = job.model_copy(update={"record": record})
    each = [
        {"id": f"u{n}", "a": "a b", "b": "x", "t": "1|2", "c": "z", "l": listed, "s": text}
        for n, (listed, text) in enumerate(rows)
    ]
    schema = {**dict.fromkeys(["id", "a", "b", "t", "c", "s"], pl.String), "l": pl.List(pl.String)}
    source = Given(pl.DataFrame(each, schema=schema))
    records = Records(job, 10_000).with_lists([source], [source])
    assert results(records, source, None) == results(records, source, LOOPS)


@examples(600)
@given(
    disguised(),
    st.sampled_from([("", ""), (",", "."), ("\t", " "), ("\x85", " "), ("'", "'"), ('"', "'")]),
    st.sampled_from(["keep", "", ".", "-", " "]),
    st.sampled_from(["clean", "drop", "reject"]),
)
def test_personal_data_in_disguise_is_found_on_both_ways(
    given: tuple[str, str], spaced: tuple[str, str], comma: str, on_bad_value: str
) -> None:
    _, text = given
    value = text.replace(spaced[1], spaced[0]) if spaced[1] else text
    job = Job(
        input={"path": "in.csv"},
        id={"column": "id"},
        record={"signals": ["a", "b"], "comma": comma, "on_bad_value": on_bad_value},
        output={"to": "out", "dpid": 1234},
    )
    source = Given(pl.DataFrame({"id": ["u1", text, "u3"], "a": [value, "x", text], "b": ["y", "", "z"]}))
    records = Records(job, 10_000)
    made = results(records, source, LOOPS)
    assert results(records, source, None) == made
    assert 1 in made[2], "an ID that is personal data is written"
    assert 2 in made[2] or (on_bad_value, comma) != ("clean", "keep"), "a value that is personal data is written"


NEAR_IMPLAUSIBLE = st.one_of(
    st.sampled_from(MISSING_IDS),
    st.from_regex(r"[+-]?[0-9]{1,3}[.,]?[0-9]{0,3}[eE]?[+-]?[0-9]{0,4}", fullmatch=True),
    st.from_regex(r"[0-9]{0,4}[.,]?0{0,4}", fullmatch=True),
    st.text("=' {}$%<>id.0Nu", max_size=6),
)
"""IDs that are implausible, and such that differ by little."""


@examples(300)
@given(
    st.lists(st.tuples(NEAR_IMPLAUSIBLE, st.sampled_from(["", "", "x", "0", "'", "}"])), min_size=1, max_size=30),
    st.sampled_from([{}, {}, *STEPS]),
    st.sampled_from(["reject", "warn", "allow"]),
)
def test_implausible_ids_are_found_on_both_ways(
    drawn: list[tuple[str, str]], steps: dict[str, Any], implausible: str
) -> None:
    job = Job(
        input={"path": "in.csv"},
        id={"column": "id", **steps, "implausible": implausible},
        record={"signals": ["a"]},
        output={"to": "out", "dpid": 1234} if steps.get("type") != "auto" else {"to": "out", "route": {"crm": {"dpid": 1}}},
    )  # fmt: skip
    ids = [id_ + more for id_, more in drawn]
    source = Given(pl.DataFrame({"id": ids, "a": [id_ for id_, _ in drawn]}))
    records = Records(job, 10_000, found=FirstRows(spaceless=frozenset(range(len(ids) % 2))))
    assert results(records, source, None) == results(records, source, LOOPS)


def test_the_road_leaves_only_rows_to_the_query_that_are_irregular() -> None:
    plain = ["38400000-8cf0-11bd-b23e-10b96e40000d", "A" * 8, "0007", "x" * 64]
    frame = pl.DataFrame({"id": [*plain, "u:", " u"], "a": "x", "b": "y,", "t": "1", "c": "2"})
    for steps in ({}, *STEPS[:-1], {"type": "auto"}):
        job = Job(
            input={"path": "in", "null_values": ["NULL"]},
            id={"column": "id", **steps},
            record={"signals": ["a", "b"], "traits": ["t"], "comma": " "},
            output={"to": "out", "dpid": 1234} if "type" not in steps else {"to": "out", "route": {"crm": {"dpid": 1}, "gaid": {"target": 2}}},
        )  # fmt: skip
        source = Given(frame)
        (task,) = source.blocks(job.columns, LOOPS, Budget())
        parsed = Converter(Records(job, 10_000), LOOPS, [], judges_only=False).parse(task, 0)
        assert parsed.left.height <= 2, steps
        assert parsed.made is not None


@pytest.mark.parametrize(
    ("id_", "plain", "others", "changed"),
    [
        (
            {"type": "hashed_email"},
            ["joe@example.com", "JOE@b.co.uk", "0a" * 32, "0A" * 32],
            ["joe", "a@b@c.d", "@b.c"],
            2,
        ),
        ({"type": "crm"}, ["joe@example.com", 'a:"b"', "a b", "0A" * 32], ["a%b", "é", "=x", " a", "NULL"], 4),
        ({"type": "crm", "pad": 9, "prefix": "a-"}, ["joe@example.com", "a b", "7"], ["a%b", "a ", "1.0"], 3),
    ],
)
def test_the_road_hashes_ids_that_are_plain(
    id_: dict[str, Any], plain: list[str], others: list[str], changed: int
) -> None:
    job = Job(
        input={"path": "in"},
        id={"column": "id", "hash": "sha256", **id_},
        record={"signals": ["a"]},
        output={"to": "out", "dpid": 1234},
    )
    (task,) = Given(pl.DataFrame({"id": [*plain, *others], "a": "x"})).blocks(job.columns, LOOPS, Budget())
    parsed = Converter(Records(job, 10_000), LOOPS, [], judges_only=False).parse(task, 0)
    assert parsed.left["id"].to_list() == others
    assert parsed.made
    (lines,) = parsed.made.lines
    ends = lines.ends.tolist()
    texts = [lines.memory[start:end].tobytes() for start, end in itertools.pairwise([0, *ends])]
    assert all(re.fullmatch(rb'[0-9a-f]{64}\t"a"="x"\n', text) for text in texts)
    assert parsed.made.ledger.ids_changed["hash"] == changed


def test_the_road_takes_ids_of_several_types_from_the_input() -> None:
    assert LOOPS
    ids = ["u1", "38400000-8cf0-11bd-b23e-10b96e40000d", "38400000-8CF0-11BD-B23E-10B96E40000D", "1" * 38, "u2"]
    frame = pl.DataFrame({"id": ids, "a": "x"})
    job = Job(
        input={"path": "in"},
        id={"column": "id", "type": "auto"},
        record={"signals": ["a"]},
        output={"to": "out", "route": {"gaid": {"target": 2}, "crm": {"dpid": 1}, "idfa": {"target": 2}}},
    )
    road = FastPath(Records(job, 10_000), LOOPS)
    form = road.form_of(Given(frame))
    assert form
    made = road.made(LOOPS.frame_lines(chunks_of(frame), form))
    texts = [lines.memory[: lines.ends[-1]].tobytes() for lines in made.lines]
    expected = [ids[1:2], [ids[0], ids[4]], ids[2:3]]
    assert texts == ["".join(f'{id_}\t"a"="x"\n' for id_ in each).encode() for each in expected]
    assert [positions.tolist() for positions in made.positions] == [[1], [1], [1]]
    assert made.ledger.id_types == {"gaid": 1, "idfa": 1, "crm": 2}


def test_the_road_leaves_only_those_rows_to_the_query_whose_key_cannot_be_sent() -> None:
    keys = ["color", "size-2", "_x", "email", "d_sid", "123", "-x", "", "price!", "color"]
    frame = pl.DataFrame({"id": [f"u{number}" for number in range(len(keys))], "key": keys, "value": "x"})
    job = Job(
        input={"path": "in"},
        id={"column": "id"},
        record={"rows": "signal", "key_column": "key", "value_column": "value"},
        output={"to": "out", "dpid": 1234},
    )
    (task,) = Given(frame).blocks(job.columns, LOOPS, Budget())
    parsed = Converter(Records(job, 10_000), LOOPS, [], judges_only=False).parse(task, 0)
    assert parsed.left["key"].to_list() == keys[3:9]
    assert parsed.made
    (lines,) = parsed.made.lines
    assert lines.memory[: lines.ends[0]].tobytes() == b'u0\t"color"="x"\n'


def compiled(**record: Any) -> FastPath:
    assert LOOPS
    job = Job(input={"path": "in"}, id={"column": "id"}, record=record, output={"to": "out", "dpid": 1234})
    return FastPath(Records(job, 10_000), LOOPS)


def test_structures_have_the_sizes_that_the_loops_know() -> None:
    assert LOOPS
    library = ctypes.CDLL(str(os.environ.get("AAM_KERNEL") or FOLDER / NAME))
    structures = [form._Part, form._Id, form.FormStructure, form.LayoutStructure, calls._Views]
    sizes = [*map(ctypes.sizeof, structures), 4 * 8, ctypes.sizeof(sink.Structure), 6 * 8, 3 * 8]
    sizes += [ctypes.sizeof(texts._Column), ctypes.sizeof(texts._Texts), ctypes.sizeof(form._Steps)]
    sizes += [ctypes.sizeof(keys.KeyStructure), ctypes.sizeof(keys.KeysStructure)]
    sizes += [ctypes.sizeof(calls.SplitStructure), gather._ROW_BYTES, gather._ENTRY_BYTES["items"]]
    sizes += map(ctypes.sizeof, [gather.GatherStructure, users.KeptStructure, users.UsersStructure])
    sizes += map(ctypes.sizeof, [known.PastStructure, known.KnownStructure])
    sizes += map(ctypes.sizeof, [checked.ShapeStructure, checked.LineFormStructure, checked.DoubtedStructure])
    sizes += map(ctypes.sizeof, [earlier.SegmentStructure, earlier.EarlierStructure, seen.SeenStructure])
    assert [*(ctypes.c_int64 * 28).in_dll(library, "aam_sizes")] == sizes


def lines_of(form: FastPath, frame: pl.DataFrame) -> Lines:
    texts = frame.rename({name: f"c{index}" for index, name in enumerate(frame.columns)})
    made, left = form.of_texts(texts)
    (lines,) = made.lines
    assert left.tolist() == lines.irregular.tolist()
    return lines


def test_plain_rows_are_not_irregular() -> None:
    frame = pl.DataFrame({"id": ["U1", "U2"], "a": ["x", ""], "b": ["1,5", "é" * 30], "t": ["1|2", "3" * 200]})
    made = lines_of(compiled(signals=["a", "b"], traits=["t"]), frame)
    assert not len(made.irregular)
    assert (made.signals, made.missing) == (6, 1)


@pytest.mark.parametrize(
    ("record", "line", "counts"),
    [
        ({}, '"a"="x \'y\' z","b"=","', (2, 0, 1, 0)),
        ({"on_bad_value": "drop", "comma": ""}, "", (0, 1, 0, 1)),
        ({"on_bad_value": "drop"}, '"b"=","', (1, 1, 0, 0)),
        ({"comma": " or "}, '"a"="x \'y\' z","b"=" or "', (2, 0, 1, 1)),
        ({"on_bad_value": "reject"}, "", (0, 0, 0, 0)),
    ],
)
def test_values_are_changed_by_the_loops(record: dict[str, Any], line: str, counts: tuple[int, ...]) -> None:
    frame = pl.DataFrame({"id": ["U"], "a": ['x\r\n"y" z'], "b": [","]})
    made = lines_of(compiled(signals=["a", "b"], **record), frame)
    assert b"".join(made.memory[:end].tobytes() for end in made.ends) == (f"U\t{line}\n" if line else "").encode()
    assert not line or (made.signals, made.dropped, made.cleaned, made.commas) == counts


def test_a_pair_gets_its_key_from_a_column_if_it_is_known() -> None:
    assert LOOPS
    table = np.arange(256, dtype=np.uint8)
    keys = [b"k%d" % number for number in range(300)]
    part = form.LinePart(form.PAIR, 1, 0, b'"', key_column=2, keys=keys)
    lines = form.Form([form.LineId(0, table)], [part, form.LinePart(form.TRAITS, 3, ord("|"), b"d_sid=")], 1000)
    rows = [("k0", "x", "1"), ("k299", "a,b", ""), ("k300", "x", "1"), ("K1", "x", ""), ("", "x", "1"), ("k7", "", "5"), ("k300", "", "5")]  # fmt: skip
    frame = pl.DataFrame({"id": "u", "value": [row[1] for row in rows], "key": [row[0] for row in rows], "t": [row[2] for row in rows]})  # fmt: skip
    made = LOOPS.frame_lines(chunks_of(frame), lines)
    assert made.irregular.tolist() == [2, 3, 4, 6]
    text = made.memory[: made.ends[-1]].tobytes()
    assert text == b'u\t"k0"="x",d_sid=1\nu\t"k299"="a,b"\nu\td_sid=5\n'
    assert (made.signals, made.missing) == (4, 1)


def test_a_frame_in_chunks_gives_the_same_lines_as_in_one() -> None:
    texts = {"id": [f"U{n}" if n % 5 else "U:" for n in range(40)], "a": [f"x{n}" * (n % 9) for n in range(40)]}
    whole = pl.DataFrame(texts)
    chunked = pl.concat([whole[:7], whole[7:8], whole[:0], whole[8:31], whole[31:]], rechunk=False)
    form = compiled(signals=["a"])
    (one, other) = (lines_of(form, frame) for frame in (whole, chunked))
    assert chunked.n_chunks() > 3
    assert len(one.irregular) == 12
    assert one.memory[: one.ends[-1]].tobytes() == other.memory[: other.ends[-1]].tobytes()
    for name in ("ends", "irregular", "positions"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert (one.rows, one.signals, one.missing) == (other.rows, other.signals, other.missing)


@pytest.mark.parametrize("bad", [b'"', b"\x1f"])
@pytest.mark.parametrize("length", [1, 12, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130])
def test_a_value_that_ends_with_its_page_is_read_to_its_end_and_no_further(length: int, bad: bytes) -> None:
    page = np.frombuffer(mmap.mmap(-1, mmap.PAGESIZE), np.uint8)
    good = (b"0123456789" * 20)[:length]
    form = compiled(signals=["a"], traits=["t"]).form_of(Given(pl.DataFrame()))
    for value, made_lines in ((good, 1), (good[:-1] + bad, 0)):
        page[-length:] = np.frombuffer(value, np.uint8)
        inline = Views(np.frombuffer((1).to_bytes(4, "little") + b"u" + bytes(11), np.uint8), ())
        view = b"".join(number.to_bytes(4, "little") for number in (length, 0, 0, mmap.PAGESIZE - length))
        if length <= 12:
            view = length.to_bytes(4, "little") + value + bytes(12 - length)
        column = Views(np.frombuffer(view, np.uint8), (page,))
        assert LOOPS
        assert form
        made = LOOPS.frame_lines([Chunk((inline, column, column), 1)], form)
        assert len(made.ends) == made_lines
        if made_lines:
            assert made.memory[: made.ends[0]].tobytes() == b'u\t"a"="%b",d_sid=%b\n' % (value, value)


def test_lists_of_short_items_get_the_room_that_they_need() -> None:
    frame = pl.DataFrame({"id": ["u1", "u2", "u3"], "t": ["1", "|".join("1" * 900), "2"]})
    made = lines_of(compiled(traits=["t"]), frame)
    assert not len(made.irregular)
    lines = made.memory[: made.ends[-1]].tobytes().splitlines()
    assert lines[1] == b"u2\t" + b",".join([b"d_sid=1"] * 900)


@pytest.mark.parametrize("most", [1, 5, 300])  # where the lines of irregular rows are long, there is no room for them
def test_lines_are_put_among_others(most: int) -> None:
    generator = random.Random(most)
    form = compiled(signals=["a"])
    for _ in range(100):
        odd = [generator.random() < generator.choice([0.03, 0.3, 1]) for _ in range(generator.randrange(1, 70))]
        values = ["x" * generator.randrange(1, 40) for _ in odd]
        others = [b"odd %d" % place * generator.randrange(most) + b"\n" for place, each in enumerate(odd) if each]
        left = iter(others)
        lines = [
            next(left) if each else b'U\t"a"="%b"\n' % value.encode() for each, value in zip(odd, values, strict=True)
        ]
        made = lines_of(form, pl.DataFrame({"id": ["U:" if each else "U" for each in odd], "a": values}))
        text = Text((np.frombuffer(b"".join(others), np.uint8),), np.cumsum([*map(len, others)], dtype=np.int64))
        (text,) = form.text_of(made, [text] if others else [], made.positions)
        assert text.buffers[0].tobytes() == b"".join(lines)
        assert text.ends.tolist() == list(itertools.accumulate(map(len, lines)))
