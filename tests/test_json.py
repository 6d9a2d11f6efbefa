"""Objects as rows: kinds of values, keys inside of objects, arrays, and objects over several lines."""

from __future__ import annotations

import pytest

from converter.errors import ColumnError, JobError

from .conftest import Run
from .errors import raises

WHOLE = '{"id":"u1","a":"x"}\n'


def rejected(run: Run) -> list[tuple[int, str]]:
    return [(row["row"], row["rule"]) for row in run.rejects]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("true", "id_not_exact"),
        ("false", "id_not_exact"),
        ("1001.0", "id_not_exact"),
        ("1e3", "id_not_exact"),
        ("-0.5", "id_not_exact"),
        ('["123"]', "value_nested"),
        ("[]", "value_nested"),
        ("{}", "value_nested"),
        ('{"id":"u"}', "value_nested"),
        ("null", "id_missing"),
    ],
)
def test_an_id_is_a_text_or_a_whole_number(run: Run, value: str, rule: str) -> None:
    run.convert(
        (WHOLE + f'{{"id":{value},"a":"y"}}\n' + '{"id":-1001,"a":"z"}\n' + '{"id":007,"a":"z"}').encode(), "in.ndjson"
    )
    assert rejected(run) == [(2, rule)]
    assert run.lines == ['u1\t"a"="x"', '-1001\t"a"="z"', '007\t"a"="z"']


@pytest.mark.parametrize(
    "value", ["[1, 2.50]", "[]", '{"n":1}', "{}", '{"first_name":"Xxxx","birthdate":"1990-01-01"}']
)
def test_a_value_is_no_object_and_no_list(run: Run, value: str) -> None:
    run.convert((WHOLE + f'{{"id":"u2","a":{value}}}\n').encode(), "in.ndjson")
    assert rejected(run) == [(2, "value_nested")]
    assert run.lines == ['u1\t"a"="x"']


@pytest.mark.parametrize(("value", "text"), [("true", "true"), ("-2.50", "-2.50"), ("1E5", "1E5"), ('"[1]"', "[1]")])
def test_values_are_truths_and_numbers_as_they_stand(run: Run, value: str, text: str) -> None:
    run.convert((WHOLE + f'{{"id":"u2","a":{value}}}\n').encode(), "in.ndjson")
    assert run.lines == ['u1\t"a"="x"', f'u2\t"a"="{text}"']


@pytest.mark.parametrize(
    "line",
    [
        '{"id":"u2","a":"x","a":"y"}',
        '{"id":"u2","a":"x","id":"u3"}',
        '{"id":"u2","a":null,"\\u0061":"y"}',
        '{"id":"u2","a":"x","o":{"b":1},"o":{}}',
        '{"id":"u2","a":"x","o":null,"o":{"b":1}}',
        '{"id":"u2","a":"x","o":{"b":1,"b":1}}',
    ],
)
def test_a_key_that_is_there_twice_makes_a_row_malformed(run: Run, line: str) -> None:
    more = {"record": {"signals": ["a", {"column": "o.b", "key": "b"}]}, "input": {"columns": ["o.b"]}}
    run.convert((WHOLE + line + "\n").encode(), "in.ndjson", **more)
    assert rejected(run) == [(2, "row_repeats_key")]


def test_keys_inside_of_objects_are_columns(run: Run) -> None:
    lines = [
        '{"id":"u1","p":{"city":"Rome","more":{"deep":7,"list":[1,2]}}}',
        '{"p":{"more":{"list":["3"],"x":{}},"city":"Oslo","z":[{}]},"id":"u2"}',
        '{"id":"u3","p":null}',
        '{"id":"u4","p":"text","p.city":"Bonn"}',
        '{"id":"u5","p.city":"Wien","p":{"city":"not this one","more":{"deep":"\\u00e4"}}}',
        '{"id":"u6","p":{"city":{"name":"Graz"}}}',
        '{"id":"u7","p":[{"city":"Prag"}]}',
        '{"id":"u8" , "p" : { "more" : { } , "city" : "Lyon" } }',
    ]
    signals = [{"column": "p.city", "key": "city"}, {"column": "p.more.deep", "key": "deep"}]
    record = {"signals": signals, "traits": ["p.more.list"]}
    run.convert("\n".join(lines).encode(), "in.ndjson", record=record)
    assert run.lines == [
        'u1\t"city"="Rome","deep"="7",d_sid=1,d_sid=2',
        'u2\t"city"="Oslo",d_sid=3',
        'u4\t"city"="Bonn"',
        'u5\t"city"="Wien","deep"="ä"',
        'u8\t"city"="Lyon"',
    ]
    assert rejected(run) == [(6, "value_nested"), (7, "value_nested")]


def test_many_objects_are_read_without_the_loops(run: Run) -> None:
    names = [f"o{number}" for number in range(40)]
    line = "{" + '"id":"u",' + ",".join(f'"{name}":{{"a":1}}' for name in names) + "}"
    signals = [{"column": f"{name}.a", "key": name} for name in names]
    run.convert(line.encode(), "in.ndjson", record={"signals": signals})
    assert run.lines == ["u\t" + ",".join(f'"{name}"="1"' for name in names)]


def test_personal_data_is_found_by_the_name_of_a_key_inside_of_an_object(run: Run) -> None:
    with raises(JobError, "E-PERSONAL-COLUMN", "profile.first_name"):
        run.convert(b'{"id":"u","profile":{"first_name":"X"}}', "in.ndjson", record={"signals": ["profile.first_name"]})


def test_a_key_that_appears_late_needs_its_name_in_the_job(run: Run) -> None:
    content = (WHOLE * 1000 + '{"id":"u2","late":"y"}\n').encode()
    with raises(ColumnError, "E-COLUMN-MISSING", "'late'", "1,000 rows", "input.columns"):
        run.convert(content, "in.ndjson", record={"signals": ["late"]})
    run.convert(content, "in.ndjson", record={"signals": ["late"]}, input={"columns": ["late"]})
    assert run.lines == ['u2\t"late"="y"']
