"""Objects as rows: kinds of values, keys inside objects, arrays, and objects over several lines."""

from __future__ import annotations

import gzip
import json

import polars as pl
import pytest

from converter.errors import ColumnError, InputError, JobError
from converter.sources import json_rows

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


@pytest.mark.parametrize("value", ["[[]]", '{"n":1}', "{}", '{"first_name":"Xxxx","birthdate":"1990-01-01"}'])
def test_a_value_is_no_object(run: Run, value: str) -> None:
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
        '{"id":"u2","z":1,"a":"x","z":1}',
        '{"id":"u2","z":1,"a":"x", "z" : 2}',
        '{"id":"u2","z":[1],"a":"x","z":{"y":1}}',
        '{"id":"u2","a":"x","o":{"b":1,"z":1,"z":2}}',
    ],
)
def test_a_key_that_is_there_twice_makes_a_row_malformed(run: Run, line: str) -> None:
    more = {"record": {"signals": ["a", {"column": "o.b", "key": "b"}]}, "input": {"columns": ["o.b"]}}
    run.convert((WHOLE + line + "\n").encode(), "in.ndjson", **more)
    assert rejected(run) == [(2, "row_repeats_key")]


def test_keys_of_objects_that_are_not_used_are_not_compared(run: Run) -> None:
    run.convert(b'{"id":"u1","a":"x","o":{"b":1,"b":2},"l":[{"c":1,"c":1}]}\n', "in.ndjson")
    assert run.lines == ['u1\t"a"="x"']


@pytest.mark.parametrize("count", [100, 127, 128, 129, 300, 3000])
def test_keys_are_compared_however_many_there_are(run: Run, count: int) -> None:
    others = [f'"k{number}":{number}' for number in range(count)]
    lines = [
        ",".join(others),
        ",".join([*others, '"k0":1']),
        ",".join([*others, f'"k{count - 1}" :1']),
        ", ".join(others),
        ",".join(reversed(others)),
        ",".join([*others[:2], *others[1:]]),
    ]
    run.convert("".join(f'{{"id":"u{n}","a":"x",{line}}}\n' for n, line in enumerate(lines)).encode(), "in.ndjson")
    assert run.lines == [f'u{number}\t"a"="x"' for number in (0, 3, 4)]
    assert rejected(run) == [(number, "row_repeats_key") for number in (2, 3, 6)]


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


ROWS = [{"id": "u1", "a": "x, ]}"}, {"id": 2, "a": 'y "\\', "z": [{"id": [1]}, None]}, {"id": "u3", "a": "é\n"}]
LINES = ['u1\t"a"="x, ]}"', '2\t"a"="y \'\\"', 'u3\t"a"="é "']
ARRAYS = {
    "on one line": json.dumps(ROWS),
    "a row on a line": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    "over many lines": json.dumps(ROWS, indent=2),
    "CRLF": json.dumps(ROWS, indent=2).replace("\n", "\r\n"),
    "one after the other": "".join(json.dumps([row], indent=1) + "\n" for row in ROWS),
    "a comma at the end": json.dumps(ROWS)[:-1] + ",]",
    "objects over many lines": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "objects without space": "\n" + json.dumps(ROWS[0], indent=2) + "".join(map(json.dumps, ROWS[1:])),
    "objects with commas": ",\n".join(json.dumps(row, indent=2) for row in ROWS),
}


@pytest.mark.parametrize("name", ["in.json", "in.ndjson", "in.json.gz"])
@pytest.mark.parametrize("kind", ARRAYS)
def test_rows_are_the_items_of_lists_and_objects_over_many_lines(run: Run, kind: str, name: str) -> None:
    content = ARRAYS[kind].encode()
    report = run.convert(gzip.compress(content) if name.endswith(".gz") else content, name)
    assert run.lines == LINES
    assert report.records["read"] == len(ROWS)


def test_json_may_be_of_another_encoding(run: Run) -> None:
    run.convert(json.dumps(ROWS, ensure_ascii=False).encode("utf-16"), "in.json")
    assert run.lines == LINES


def test_lines_of_json_are_read_as_lines_whatever_their_suffix(run: Run) -> None:
    run.convert(WHOLE + "{bad\n" + WHOLE, "in.json")
    assert [(row["row"], row["unit"], row["rule"]) for row in run.rejects] == [(2, "line", "row_not_json")]
    assert len(run.lines) == 2


def test_what_is_no_object_in_a_list_is_rejected_with_its_number(run: Run) -> None:
    items = [
        '{"id":"u1","a":"x"}',
        "7",
        "null",
        '"text"',
        "[]",
        '{"id":"u2" "a":1}',
        '{"id":"u\n3"}',
        '{"id":"u4","a":"y"}',
    ]
    run.convert("[" + " ,\n".join(items) + "]\n trailing", "in.json")
    assert [(row["row"], row["unit"], row["rule"]) for row in run.rejects] == [
        (number, "row", "row_not_json") for number in (2, 3, 4, 5, 6, 7, 9)
    ]
    assert run.lines == ['u1\t"a"="x"', 'u4\t"a"="y"']


@pytest.mark.parametrize("cut", ["]", "1}]", ',"z":1}]', 'x","z'])
def test_a_list_that_is_cut_off_is_damaged(run: Run, cut: str) -> None:
    text = json.dumps([*ROWS[:2], {"id": "u3", "a": "x", "z": 1}]).replace(" ", "")
    with raises(InputError, "E-INPUT-DAMAGED", "in.json'", "row 3"):
        run.convert(text[: text.rindex(cut)], "in.json")
    assert run.files == []


@pytest.mark.parametrize("content", ["[]", "[\n]\n"])
def test_an_empty_list_has_no_rows(run: Run, content: str) -> None:
    with raises(InputError, "E-INPUT-EMPTY", "in.json'"):
        run.convert(content, "in.json")


def test_rows_in_a_list_inside_of_an_object_are_named(run: Run) -> None:
    with raises(ColumnError, "E-COLUMN-MISSING", "'results'", "jq"):
        run.convert(json.dumps({"next": None, "results": ROWS}, indent=2), "in.json")


def test_a_long_list_is_read_in_pieces(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "_PIECE", 1000)
    rows = [{"id": f"u{number}", "a": "é" * (number % 50), "z": ["]", {"q": '"'}]} for number in range(3000)]
    report = run.convert(json.dumps(rows, indent=1, ensure_ascii=False), "in.json")
    assert report.records["read"] == 3000
    assert len(run.lines) == sum(bool(row["a"]) for row in rows)


LISTS = {
    "{100,200}": ([100, 200], 0),
    "[100, 200]": ([100, 200], 0),
    ' {"1" , NULL,2} ': ([1, 2], 0),
    '["7", null, 8]': ([7, 8], 0),
    '{"1,2",3}': ([3], 1),
    "{x,3}": ([3], 1),
    "{{1,2},{3}}": ([1, 2, 3], 0),
    "{}": ([], 0),
    "[null]": ([], 0),
    "{9}": ([9], 0),
    "{1|2": ([2], 1),
    "1|2": ([1, 2], 0),
}


@pytest.mark.parametrize("name", ["in.csv", "in.ndjson", "in.parquet"])
def test_lists_of_postgresql_and_json_in_texts_are_lists_of_traits(run: Run, name: str) -> None:
    frame = pl.DataFrame({"id": [f"u{number}" for number in range(len(LISTS))], "a": "x", "t": list(LISTS)})
    path = run.folder / name
    {"csv": frame.write_csv, "ndjson": frame.write_ndjson, "parquet": frame.write_parquet}[name[3:]](path)
    report = run.convert(input={"path": str(path)}, record={"signals": ["a"], "traits": ["t"]})
    expected = [(",".join(['"a"="x"', *(f"d_sid={item}" for item in items)])) for items, _ in LISTS.values()]
    assert [line.partition("\t")[2] for line in run.lines] == expected
    assert report.signals["dropped"] == {"trait_not_digits": sum(wrong for _, wrong in LISTS.values())}


def test_lists_in_texts_are_lists_of_codes(run: Run) -> None:
    texts = ["{gold,x-1}", '["gold", null, "a,b"]', "gold", "{NULL}", "go{ld", '{"a""b",c}']
    frame = pl.DataFrame({"id": [f"u{number}" for number in range(len(texts))], "a": "x", "t": texts})
    frame.write_csv(run.folder / "in.csv")
    run.convert(record={"signals": ["a"], "integration_codes": ["t"]})
    written = [line.partition('"x"')[2] for line in run.lines]
    assert written == [",ic=gold,ic=x-1", ",ic=gold", ",ic=gold", "", ",ic=go{ld", ",ic=a,ic=b,ic=c"]


def test_lists_of_json_keep_to_what_their_items_are(run: Run) -> None:
    lists = ["[1,2]", '["1,2",3]', '["4\\n5",null,true]', "[ ]", '["6|7"]', '"{8,9}"']
    lines = [f'{{"id":"u{number}","a":"x","t":{text}}}' for number, text in enumerate(lists)]
    report = run.convert("\n".join(lines), "in.ndjson", record={"signals": ["a"], "traits": ["t"]})
    written = [line.partition('"x"')[2].replace(",d_sid=", " ") for line in run.lines]
    assert written == [" 1 2", " 3", "", "", " 6 7", " 8 9"]
    assert report.signals["dropped"] == {"trait_not_digits": 3}


@pytest.mark.parametrize(
    ("head", "is_so"),
    [
        (b"[", True),
        (b'\xef\xbb\xbf \n[{"a":1}]', True),
        (b'{"a":1}\n{', False),
        (b'{\n"a":1\n}', True),
        (b'{"a":\n1}{"a":2}', True),
        (b'{\n"a":[' + b"1,\n" * 50, True),
        (b'{"a":1,\n"b":' + b'"x' * 50, True),
        (b'{"a":1}{"a":2}\n', False),
        (b'{"a":007}\n{"a":008}\n', False),
        (b'{"a":"cut\n{"a":1}\n', False),
        (b'{"a":1,]}}\n{"a":[}\n', False),
        (b'"text"\n[1]', False),
        (b"", False),
    ],
)
def test_rows_are_lines_unless_the_start_shows_that_they_are_not(head: bytes, is_so: bool) -> None:
    assert json_rows.is_split(head) == is_so


def test_a_key_that_comes_late_is_told_with_the_setting_that_helps(run: Run) -> None:
    rows = '{"id":"u1","a":"x"}\n' * 1000 + '{"id":"late","a":"y","z":"seen"}\n'
    told = "E-COLUMN-MISSING", "'z'", "Only its first 1,000 rows", "input.columns"
    with raises(ColumnError, *told):
        run.convert(rows.encode(), "in.ndjson", record={"signals": ["a", "z"]})
    for sql in ({"filter": "z = 'seen'"}, {"computed": [{"name": "a", "sql": "upper(z)"}]}):
        with raises(ColumnError, *told):
            run.convert(rows.encode(), "in.ndjson", input=sql)
    run.convert(rows.encode(), "in.ndjson", record={"signals": ["z"]}, input={"columns": ["z"], "filter": "z = 'seen'"})
    assert run.lines == ['late\t"z"="seen"']


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_objects_may_have_a_comma_after_each(run: Run, end: str) -> None:
    rows = ['{"id":"u1","a":"x"},', '{"id":"u2","a":"y"},', '{"id":"u3","a":"z"}']
    run.convert(end.join(rows).encode(), "in.ndjson")
    assert run.lines == ['u1\t"a"="x"', 'u2\t"a"="y"', 'u3\t"a"="z"']
