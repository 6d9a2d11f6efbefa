"""Columns with lists of values: each value becomes a pair, in every format, by the loops and by the query."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from converter import Job, JobError, convert

from .conftest import TIMESTAMP, Run
from .errors import raises

LIST = {"column": "a", "key": "k", "separator": "|"}


def pairs(*values: str) -> str:
    return ",".join(f'"k"="{value}"' for value in values)


def of_user(run: Run) -> dict[str, str]:
    return dict(line.split("\t") for line in run.lines)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('["x","y, z"]', pairs("x", "y, z")),
        ('[ "x" , "x" ]', pairs("x", "x")),
        ("[1,2.50,-0,true,null]", pairs("1", "2.50", "-0", "true")),
        ('["", "  ", "\\u00a0", "\\u00e4 b"]', pairs("ä b")),
        ('[" x ", "|"]', pairs("x", "|")),
        ('["a\\"b\\\\", "t\\tu"]', pairs("a'b\\", "t u")),
        ('["a\\u001fb"]', pairs("a b")),
        ('"x"', pairs("x")),
        ('"x|y"', pairs("x|y")),
        ('"[\\"x\\"]"', pairs("['x']")),
        ("7", pairs("7")),
    ],
)
def test_a_list_of_json_gives_a_pair_for_each_value(run: Run, value: str, written: str) -> None:
    rows = '{"id":"u1","a":["first"]}\n' + f'{{"id":"u2","a":{value}}}\n'
    run.convert(rows.encode(), "in.ndjson", record={"signals": [{"column": "a", "key": "k"}]})
    assert of_user(run) == {"u1": pairs("first"), "u2": written}


@pytest.mark.parametrize("value", ["[]", "[null]", '[""]', "null"])
def test_a_list_without_values_is_a_missing_value(run: Run, value: str) -> None:
    rows = '{"id":"u1","a":["x","y"]}\n' + f'{{"id":"u2","a":{value}}}\n{{"id":"u3"}}\n'
    report = run.convert(rows.encode(), "in.ndjson")
    assert run.lines == ['u1\t"a"="x","a"="y"']
    assert report.records["skipped"] == {"no_signal": 2}
    record = {"signals": ["a", {"key": "c", "value": "1"}]}
    report = run.convert(rows.encode(), "in.ndjson", record=record, output={"timestamp": TIMESTAMP + 1})
    assert report.signals["dropped"] == {"value_missing": 2}
    assert report.signals["written"] == 5


@pytest.mark.parametrize("value", ['[["x"]]', '[{"n":1}]', '{"n":1}', "{}"])
def test_lists_and_objects_in_lists_are_rejected(run: Run, value: str) -> None:
    rows = '{"id":"u1","a":["x"]}\n' + f'{{"id":"u2","a":{value}}}\n'
    run.convert(rows.encode(), "in.ndjson")
    assert of_user(run) == {"u1": '"a"="x"'}
    assert [(row["row"], row["rule"]) for row in run.rejects] == [(2, "value_nested")]


def test_lists_that_come_late_need_a_separator(run: Run) -> None:
    rows = '{"id":"u","a":"x"}\n' * 1000 + '{"id":"late","a":["x","y"]}\n'
    run.convert(rows.encode(), "in.ndjson")
    assert [(row["row"], row["rule"]) for row in run.rejects] == [(1001, "value_nested")]
    run.convert(
        rows.encode(), "in.ndjson", record={"signals": [LIST]}, output={"timestamp": TIMESTAMP + 1, "to": str(run.folder / "o")}
    )  # fmt: skip
    (part,) = (run.folder / "o").iterdir()
    assert gzip.decompress(part.read_bytes()).decode().splitlines()[-1] == f"late\t{pairs('x', 'y')}"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("x|y", pairs("x", "y")),
        (" x | | y|", pairs("x", "y")),
        ("x", pairs("x")),
        ("Müller|Österreich|à", pairs("Müller", "Österreich", "à")),
        ('"[""x"", 1, null]"', pairs("x", "1")),
        ('"[""a\\""b"", ""\\u00e4""]"', pairs("a'b", "ä")),
        ('"{x,NULL,""y, z""}"', pairs("x", "y, z")),
        ('"{""a\\""b\\\\""}"', pairs("a'b\\")),
        ("[x", pairs("[x")),
        ("[not\\json]", pairs("[not\\json]")),
    ],
)
def test_a_text_is_split_at_the_separator(run: Run, text: str, written: str) -> None:
    run.convert(f"id,a\nu1,{text}\n", record={"signals": [LIST]})
    assert of_user(run) == {"u1": written}


def test_without_a_separator_a_text_is_one_value(run: Run) -> None:
    run.convert('id,a\nu1,x|y\nu2,"[1, 2]"\nu3,"{1,2}"\n')
    assert of_user(run) == {"u1": '"a"="x|y"', "u2": '"a"="[1, 2]"', "u3": '"a"="{1,2}"'}


@pytest.mark.parametrize("fixed", [False, True])
def test_lists_of_parquet_give_a_pair_for_each_value(run: Run, fixed: bool) -> None:
    texts: list[Any] = [["x|y", "z"], None, ["ä", None]] if not fixed else [["x|y", "z"], None, ["ä", ""]]
    numbers: list[Any] = [[1, 2], [3, 4], None]
    types = (pl.Array(pl.String, 2), pl.Array(pl.Int64, 2)) if fixed else (pl.List(pl.String), pl.List(pl.Int64))
    frame = pl.DataFrame({"id": ["u1", "u2", "u3"], "a": texts, "n": numbers}, schema={"id": pl.String, "a": types[0], "n": types[1]})  # fmt: skip
    frame.write_parquet(run.folder / "in.parquet")
    run.convert(input={"path": str(run.folder / "in.parquet")}, record={"signals": [{**LIST, "separator": None}, "n"]})
    expected = {"u1": f'{pairs("x|y", "z")},"n"="1","n"="2"', "u2": '"n"="3","n"="4"', "u3": pairs("ä")}
    assert of_user(run) == expected


def test_a_frame_may_have_lists(run: Run) -> None:
    frame = pl.DataFrame({"id": ["u1", "u2"], "a": [["x", "y"], []], "d": [[7, None], None]})
    job = Job(
        id={"column": "id"},
        record={"signals": ["a", "d"]},
        output={"to": str(run.out), "dpid": 1},
        report={"dir": str(run.folder / "reports")},
    )
    convert(job, input=frame)
    assert of_user(run) == {"u1": '"a"="x","a"="y","d"="7"'}


def test_computed_lists_are_split(run: Run) -> None:
    run.convert("id,a\nu1,x-y\n", input={"computed": [{"name": "a", "sql": "STRING_TO_ARRAY(a, '-')"}]})
    assert of_user(run) == {"u1": '"a"="x","a"="y"'}


def test_each_value_is_judged_by_itself(run: Run) -> None:
    rows = 'id,a\nu1,x|ann@example.com|y\nu2,4111 1111 1111 1111\nu3,x|NULL|NULL\nu4,q"r|s\n'
    report = run.convert(rows, record={"signals": [LIST]}, privacy={"signals": "drop"})
    assert of_user(run) == {"u1": pairs("x", "y"), "u3": pairs("x", "NULL", "NULL"), "u4": pairs("q'r", "s")}
    assert report.signals["dropped"] == {"value_personal_dropped": 1}
    assert report.signals["changed"] == {"value_cleaned": 1}
    assert report.signals["missing_words"] == {"a": 2}
    blocked = run.convert(rows, record={"signals": [LIST]}, output={"timestamp": TIMESTAMP + 1})
    assert blocked.records["rejected"] == {"value_personal": 2}


def test_words_for_missing_values_are_left_out(run: Run) -> None:
    run.convert("id,a\nu1,x|NULL\nu2,NULL\n", record={"signals": [LIST]}, input={"null_values": ["NULL"]})
    assert of_user(run) == {"u1": pairs("x")}


@pytest.mark.parametrize(
    ("on_bad_value", "written"), [("clean", pairs("x;1", "b c")), ("drop", pairs("x;1")), ("reject", None)]
)
def test_bad_values_and_commas_of_lists(run: Run, on_bad_value: str, written: str | None) -> None:
    rows = b'{"id":"u1","a":["x,1","b\\tc"]}\n{"id":"u2","a":"y"}\n'
    record = {"signals": [{"column": "a", "key": "k"}], "on_bad_value": on_bad_value, "comma": ";"}
    report = run.convert(rows, "in.ndjson", record=record)
    assert of_user(run) == {"u2": pairs("y"), **({"u1": written} if written else {})}
    assert report.records["rejected"] == ({} if written else {"bad_value": 1})


def test_a_list_may_be_of_values_and_of_traits(run: Run) -> None:
    record = {"signals": [{"column": "a", "key": "k"}], "traits": ["a"]}
    run.convert(b'{"id":"u1","a":[1,2]}', "in.ndjson", record=record)
    assert run.lines == [f"u1\t{pairs('1', '2')},d_sid=1,d_sid=2"]


def test_a_list_with_many_values_is_one_line(run: Run) -> None:
    values = [f"value {number}" for number in range(3_000)]
    run.convert(
        json.dumps({"id": "u1", "a": values}).encode(), "in.ndjson", record={"signals": [{"column": "a", "key": "k"}]}
    )
    assert of_user(run) == {"u1": pairs(*values)}
    too_many = json.dumps({"id": "u1", "a": values * 3}) + '\n{"id":"u2","a":"x"}'
    report = run.convert(too_many, "in.ndjson", output={"timestamp": TIMESTAMP + 1})
    assert report.records["rejected"] == {"line_too_long": 1}


def test_a_separator_is_one_character(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for signal in (
        {"column": "a", "separator": "||"},
        {"column": "a", "separator": "x"},
        {"column": "a", "separator": ""},
    ):
        with raises(JobError, "E-JOB-INVALID", "separator"):
            run.make_job(record={"signals": [signal]})
    with raises(JobError, "E-JOB-INVALID", "'k'", "separator"):
        run.make_job(record={"signals": [{"key": "k", "value": "x|y", "separator": "|"}]})
