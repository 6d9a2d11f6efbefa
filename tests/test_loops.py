"""The compiled loops give what frames give, and a scanner finds byte by byte, wherever blocks are cut."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from converter import kernel
from converter.jobs.job import Job
from converter.kernel.form import SLACK, Grammar, Layout
from converter.ledger import Ledger
from converter.rows.blocks import Converter
from converter.rows.pipeline import convert_all
from converter.rows.records import Records
from converter.sources.base import Budget
from converter.sources.delimited import DelimitedSource
from converter.sources.origins.local import LocalFile

from .conftest import Run, converted, without_loops
from .examples import examples
from .fuzz import RULES, strings_of
from .scanner import PLAIN, scan
from .test_structure import GRAMMARS, ODD, PIECES, parse

GOOD = [
    b"u1,x,1|22\n",
    b"U2,,5\n",
    b"3-3,a b,7\n",
    '"u4",é,123456789|12345678|1234567\n'.encode(),
    b'u5,"x,y",1\r\n',
    b"u6,,4\n",
]
IRREGULAR = [b" u7 ,x,1\n", b",x,1\n", b"a@b.cd,x,1\n", b"u:8,x,1\n", b'u9,"a""b",1\n', b"u10,x,1||2\n", b"u11,x,|1\n", b"u12,x,1|\n",
       b"u13,x,1x\n", b"u14,x, 1\n", b'u15,"a\nb",1\n', b"u16,x\ty,1\n", b"0000,x,1\n", b"u17,,\n", "é,x,1\n".encode(),
       b"u18," + b"x" * 70 + b",1\n", b"u19,x,12345678|9\n", b"u20,x,123456789:\n", b"u%3A,x,1\n", b"%75%20,x,1\n", b"u,x,1\n", b"u3,x,1\n", b"00u10,x,1\n", b"000,x,1\n", b"u1u1,x,1\n", b"--,x,1\n", b"u-3 0,x,1\n", "ue\u0301,x,1\n".encode(), b"short\n", b"u21,x\n", b"u22,x,1,2\n", b"u23,x,1,2,3,4\n", b'u24,"x",1,"y\nz"\n', b"\n", b"\r\n", b"u25,x\r,1\n", b"u\r26,x,1\n", b"-,x,1\n", b"u-1,a,-1\n", b'"u""27",x,1\n',
       b"u28,joe@example.com,1\n", b"u29,4111111111111111,1\n", b"u30,4111111111111112,1\n", b"4111 1111 1111 1111,x,1\n", b"u31,+49 30 123456,1\n", b"u32,192.168.0.1,1\n",
       b"DE89370400440532013000,x,1\n", b"123-45-6789,x,1\n", b"u33,joe%40example.com,1\n", b"u34,2001:db8::1,1\n", b"u35,2024-01-31 13:05:00,1\n", b"+u36,(x),1\n"]  # fmt: skip


STEPS = st.fixed_dictionaries(
    {},
    optional={
        "decode": st.just(True),
        "trim": st.booleans(),
        "unicode": st.just("nfc"),
        "cut_prefix": st.sampled_from(["u", "U", "3-", "u1", " ", "%75", "é"]),
        "cut_suffix": st.sampled_from(["3", "1", "-3", "u1", "\t", "é"]),
        "remove": st.sampled_from(["u-", "3", "0 ", "-.:", '"', "é", "\r\n"]),
        "strip_zeros": st.just(True),
        "pad": st.sampled_from([1, 3, 4, 30, 70]),
        "prefix": st.sampled_from(["p-", "0", '"', "4111", "é", "'", "+49"]),
        "suffix": st.sampled_from(["z", "00", "@b.cd", "11111111111", "é"]),
    },
)


def parsed(
    data: bytes, columns: int, beyond: bytes = b'"\n"', grammar: Grammar = PLAIN, longest: int = 1 << 24
) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str, bytes]], int]:
    """Parse a text by the loops, as `test_structure.parse` does by numpy and Polars."""
    loops = kernel.load()
    assert loops
    memory = np.frombuffer(data + beyond * SLACK, np.uint8)  # what follows must not count
    found = loops.delimited([(memory, len(data))], Layout(grammar, range(columns), columns, longest), None, last=True)
    assert (found.consumed, found.newlines) == (len(data), [data.count(b"\n")])
    fields = [[text.decode() for text in strings_of(column)] for column in found.chunk.columns]
    bad = found.malformed
    texts = [data[start : start + length] for start, length in zip(bad.starts, bad.lengths, strict=True)]
    rows = [(number, list(row)) for number, row in zip(found.numbers.tolist(), zip(*fields, strict=True), strict=True)]
    return rows, [*zip(bad.numbers.tolist(), (RULES[rule] for rule in bad.rules), texts, strict=True)], found.blank


@examples(600)
@given(
    st.lists(st.sampled_from(ODD), max_size=30).map(lambda pieces: b"".join(pieces) + b"\n"),
    st.integers(1, 3),
    GRAMMARS,
    st.sampled_from([5, 30, 1 << 24]),
)
def test_rows_of_each_dialect_are_those_that_the_scanner_finds(
    data: bytes, columns: int, grammar: Grammar, longest: int
) -> None:
    assert parsed(data, columns, grammar=grammar, longest=longest) == scan(data, columns, longest, grammar)


@examples(400)
@given(st.lists(st.sampled_from([*PIECES, *GOOD, *IRREGULAR]), max_size=12).map(b"".join), st.integers(1, 3))
def test_rows_are_those_of_numpy_and_polars(data: bytes, columns: int) -> None:
    assert parsed(data + b"\n", columns) == parse(data + b"\n", columns, 1 << 20)


@pytest.mark.parametrize(
    "row", [b'"\nz",', b'"a\n', b'"\n",', b'a,"\nz",', b'"\n', b'""\n","', b'"a"b\n', b'"x\n"x', b'"\n""', b'","\n']
)
@pytest.mark.parametrize("end", [b'"x', b"", b'"'])
def test_no_text_is_read_again_and_again(row: bytes, end: bytes) -> None:
    loops = kernel.load()
    assert loops
    data = row * 400_000 + end + b"\n"
    memory = np.frombuffer(data + bytes(SLACK), np.uint8)
    start = time.process_time()
    for longest in (1 << 24, 1 << 16):
        for last in (True, False):
            loops.delimited([(memory, len(data))], Layout(PLAIN, [0], 1, longest), None, last=last)
    assert time.process_time() - start < 20, "if it were read from each of its lines, that would take minutes"


WELL_FORMED = ["a", "\0", "\x7f", "\x80", "é", "\u07ff", "\u0800", "€", "\ud7ff", "\ue000", "\uffff", "\U00010000", "😀", "\U0010ffff"]  # fmt: skip
BYTES = [bytes([byte]) for byte in (0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF)]  # fmt: skip


@examples(1000)
@given(
    st.integers(0, 130),
    st.lists(st.sampled_from([*(text.encode() for text in WELL_FORMED), *BYTES]), max_size=5).map(b"".join),
    st.sampled_from([b"", b"a", b"a" * 70, "é".encode() * 40]),
    st.sampled_from([b"\x80", b"\xbf", b"a", b"\xff"]),
)
def test_text_is_utf8_where_python_can_decode_it(before: int, text: bytes, after: bytes, beyond: bytes) -> None:
    row = b"a" * before + text + after
    for data in (row + b"\n", row + b"\n\xff\n"):  # judged as a whole, and row by row where that is not UTF-8
        assert rows_not_text(data, beyond) == undecodable(data)


def rows_not_text(data: bytes, beyond: bytes = b"\x80") -> list[bytes]:
    """Return the rows that are not UTF-8 as the loops judge them."""
    return [text for _, rule, text in parsed(data, 1, beyond)[1] if rule == "row_not_text"]


def undecodable(data: bytes) -> list[bytes]:
    """Return the lines that Python cannot decode."""
    return [line for line in data.split(b"\n") if line.decode(errors="replace").encode() != line]


def test_every_character_is_utf8_and_none_with_a_byte_changed_or_left_out() -> None:
    assert (
        rows_not_text("".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000).encode() + b"\n")
        == []
    )
    data = b"".join(
        bytes([first, second]) + rest + b"\n"
        for first in range(0x80, 0x100)
        for second in range(0x100)
        for rest in (b"", b"\x80", b"\xbf\xbf")
    )
    assert rows_not_text(data) == undecodable(data)


@pytest.mark.parametrize("character", ["é", "€", "😀"])
def test_a_character_is_judged_alike_wherever_it_is_in_a_window(character: str) -> None:
    rows = [
        b"a" * before + character.encode()[:size] + b"\n"
        for before in range(140)
        for size in range(1, len(character.encode()) + 1)
    ]
    for data in [*rows, b"".join(rows)]:
        assert rows_not_text(data) == undecodable(data)


@examples(250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_lines_rejects_and_counts_are_those_of_frames(
    data: st.DataObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = data.draw(st.lists(st.sampled_from(GOOD), min_size=40, max_size=60))
    # Few enough that most blocks go through the loops; parts of rows send them through frames, as a rule.
    for row in data.draw(
        st.lists(st.sampled_from(data.draw(st.sampled_from([IRREGULAR, IRREGULAR, IRREGULAR + PIECES]))), max_size=5)
    ):
        rows.insert(data.draw(st.integers(0, len(rows))), row)
    path = tmp_path / "in.csv"
    path.write_bytes(b"id,a,t\n" + b"".join(rows))
    id_type = data.draw(st.sampled_from(["crm", "crm", "maid", "vizio"]))
    signals = data.draw(
        st.sampled_from([["a"], ["a", {"key": "k", "value": "v"}], [{"column": "a", "key": "x"}, "a"], []])
    )
    job = Job(
        input={"path": str(path), "null_values": data.draw(st.sampled_from([[], [], ["a b", "x", "1", "u3"]]))},
        id={
            "column": "id",
            "type": id_type,
            "case": data.draw(st.sampled_from(["preserve", "lower", "upper"])),
            **data.draw(STEPS),
            **({"hash": data.draw(st.sampled_from([None, None, "sha256"]))} if id_type == "crm" else {}),
        },
        privacy=data.draw(st.sampled_from([{}, {"signals": "drop"}, {"signals": "allow"}, {"allow": ["a"]}])),
        record={
            "signals": signals,
            "traits": data.draw(st.sampled_from([["t"], [8, "t"]])),
            "comma": data.draw(st.sampled_from(["keep", "keep", ";"])),
            "on_bad_value": data.draw(st.sampled_from(["clean", "drop", "reject"])),
        },
        output={"to": str(tmp_path / "out"), "dpid": 1234},
    )
    most = data.draw(st.sampled_from([1000, 60]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "load", without_loops)
        expected = converted(DelimitedSource, path, job, most_line_bytes=most)
    assert converted(DelimitedSource, path, job, data.draw(st.sampled_from([1 << 20, 300, 97])), most) == expected


@pytest.mark.loops
def test_rows_whose_keys_are_in_a_column_have_lines_by_the_loops(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,key,value\n" + "".join(f"u{number},color,x{number}\n" for number in range(100)))
    job = Job(
        input={"path": str(path)},
        id={"column": "id"},
        record={"rows": "signal", "key_column": "key", "value_column": "value"},
        output={"to": str(tmp_path / "out"), "dpid": 1234},
    )
    records, loops = Records(job, 1000), kernel.load()
    (task,) = DelimitedSource(LocalFile.at(path), job.input).blocks(records.selection.columns, loops, Budget())
    parsed = Converter(records, loops, [], judges_only=False).parse(task, 0)
    assert parsed.made
    assert (parsed.left.height, len(parsed.made.lines[0].ends)) == (0, 100)


OF_TYPES = ["u1", "U-2", "0123abcd-0000-4000-8000-0123456789ab", "0123ABCD-0000-4000-8000-0123456789AB", "01234567-0000-4000-8000-0123456789Ab",
            "12345678-0000-4000-8000-012345678901", "9" * 38, "0a" * 32, "0A" * 32, "x" * 38, "x" * 36, "x" * 64]  # fmt: skip
OTHERS_OF_TYPES = ["u:1", "", " u3", "a@b.cd", "00000000-0000-0000-0000-000000000000", "NULL", "é", "%30", " 0123ABCD-0000-4000-8000-0123456789AB", "0" * 64]  # fmt: skip


@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.sampled_from(OF_TYPES), min_size=20, max_size=40),
    others=st.lists(st.sampled_from(OTHERS_OF_TYPES), max_size=4),
    id_=st.fixed_dictionaries(
        {"case": st.sampled_from(["preserve", "lower", "upper"])},
        optional={"decode": st.just(True), "trim": st.just(False)},
    ),
    route=st.sampled_from([("crm",), ("crm", "gaid", "idfa"), ("idfa", "hashed_email", "uuid", "crm"), ("gaid",), ()]),
    block=st.sampled_from([1 << 20, 300]),
)
def test_ids_of_several_types_are_routed_as_in_frames(
    tmp_path: Path, ids: list[str], others: list[str], id_: dict[str, Any], route: tuple[str, ...], block: int
) -> None:
    for number, other in enumerate(others):
        ids.insert(number * 7, other)
    path = tmp_path / "in.csv"
    path.write_text("id,a\n" + "".join(f"{id_},{'x' if number % 9 else ''}\n" for number, id_ in enumerate(ids)))
    routes = {
        name: {"target": 5} if name in ("gaid", "idfa") else {"dpid": number + 1} for number, name in enumerate(route)
    }
    job = Job(
        input={"path": str(path), "null_values": ["NULL"]},
        id={"column": "id", "type": "auto", **id_},
        record={"signals": ["a"]},
        output={"to": str(tmp_path / "out"), **({"route": routes} if route else {"dpid": 5})},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "load", without_loops)
        expected = of_sets(path, job, 1 << 20)
    assert of_sets(path, job, block) == expected


def of_sets(path: Path, job: Job, block: int) -> tuple[dict[int, bytes], list[Any], Ledger]:
    """Convert a text; return the lines of each set of files, the row numbers of rejects and the counts."""
    source, records = DelimitedSource(LocalFile.at(path), job.input, block=block), Records(job, 1000)
    rejects, ledger = list[Any](), Ledger()
    lines = dict.fromkeys(range(records.sets), b"")
    for each in convert_all(records, [source]):
        for number, parts in enumerate(each.texts):
            lines[number] += b"".join(bytes(buffer) for part in parts for buffer in part.buffers)
        rejects += [
            (int(row), reason)
            for _, rows, rejected, _ in each.rejects()
            for row, reason in zip(rows, rejected["reason"], strict=True)
        ]
        ledger += each.ledger
    return lines, rejects, ledger


UUIDS = ["0123abcd-0000-4000-8000-0123456789ab", "0123ABCD-0000-4000-8000-0123456789AB", "00000000-0000-0000-0000-000000000000",
         "0123abcd00000-4000-8000-0123456789ab", "0123abcd-0000-4000-8000-0123456789a", "0123abcg-0000-4000-8000-0123456789ab"]  # fmt: skip


@pytest.mark.parametrize("id_type", ["gaid", "idfa", "uuid", "hashed_email"])
def test_ids_of_a_type_are_judged_as_in_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, id_type: str) -> None:
    ids = [*UUIDS, "9" * 38, "9" * 37, "9" * 37 + "-", "a" * 64, "F" * 64, "f" * 63]
    path = tmp_path / "in.csv"
    good = {"gaid": UUIDS[0], "idfa": UUIDS[1], "uuid": "1" * 38, "hashed_email": "0a" * 32}[id_type]
    path.write_text("id,a\n" + "".join(f"{id_},x\n" for id_ in [*ids, *[good] * 100]))
    dpid = {"gaid": 20914, "idfa": 20915, "uuid": 0}.get(id_type, 5)
    job = Job(
        input={"path": str(path)},
        id={"column": "id", "type": id_type},
        record={"signals": ["a"]},
        output={"to": str(tmp_path / "out"), "dpid": dpid, **({"target": 5} if dpid > 5 else {})},
    )
    results = []
    for load in (kernel.load, without_loops):
        monkeypatch.setattr(kernel, "load", load)
        results.append(converted(DelimitedSource, path, job))
    assert results[0] == results[1]
    assert results[0][2].written > 100


def test_rejects_name_the_physical_line_also_after_newlines_in_quotes(run: Run) -> None:
    rows = b"".join(GOOD) * 10 + b'u15,"a\nb",1\n' + b"u:8,x,1\n" + b"".join(GOOD) * 10 + b",x,1\n"
    run.convert(b"id,a,t\n" + rows, record={"signals": ["a"], "traits": ["t"]})
    assert [(reject["row"], reject["rule"]) for reject in run.rejects] == [
        (64, "id_forbidden_character"),
        (125, "id_missing"),
    ]


def test_a_blank_line_is_no_row_where_there_is_one_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id\n" + "u1\n" * 30 + "\n" + "u2\r\n" * 30 + "\r\n" + '""\n')
    job = Job(
        input={"path": str(path)},
        id={"column": "id"},
        record={"traits": [7]},
        output={"to": str(tmp_path / "out"), "dpid": 1234},
    )
    results = []
    for load in (kernel.load, without_loops):
        monkeypatch.setattr(kernel, "load", load)
        results.append(converted(DelimitedSource, path, job))
    assert results[0] == results[1]
    assert (results[0][2].read, results[0][2].written, results[0][2].rejected) == (61, 60, {"id_missing": 1})
