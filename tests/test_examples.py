"""Examples of a job: they are converted as a run converts them, compared, and recorded without personal data."""

from __future__ import annotations

import datetime
import json
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from converter import ExamplesReport, Job, check_examples, convert, record_examples
from converter.columns.privacy import personal_kind
from converter.columns.privacy.made import made_like, made_of_kind
from converter.commands import examples as examples_module
from converter.commands.examples import fates_of
from converter.errors import EmptyInputError, InputError, InternalError, JobError
from converter.jobs.examples import Example, as_text
from converter.jobs.job import Transfer
from converter.jobs.url_job import UrlJob
from converter.report.examples import Fate
from converter.rows.pipeline import convert_all
from converter.rows.records import Records
from converter.spec.rules import PERSONAL

from .conftest import Run
from .errors import raises
from .test_cli import command

JOB = """\
[input]
path = "crm.csv"
[id]
column = "id"
[record]
signals = ["a", { column = "b", key = "bb" }]
[output]
to = "out"
dpid = 1234
"""
GOOD = """
[[example]]
row = { id = "A1", a = "x", b = "y\\nz" }
line = "A1\\t\\"a\\"=\\"x\\",\\"bb\\"=\\"y z\\""
[[example]]
row = { a = "${UNSET}" }
reject = "id_missing"
[[example]]
row = { id = "A3" }
skip = "no_signal"
"""
WRONG = """
[[example]]
row = { id = "A4", a = "x" }
line = "A4\\t\\"a\\"=\\"y\\""
"""
CRM = "id,a,b\nK1000123,f,12\nK1000124,m,joe.planted@corp.example\nanna.planted@corp.example,x,\nNULL,y,1\nK1000125,,\n"


def write(folder: Path, examples: str = "", beside: str = "", job: str = JOB) -> Path:
    (folder / "crm.toml").write_text(job + examples)
    if beside:
        (folder / "crm.examples.toml").write_text(beside)
    return folder / "crm.toml"


def made(report: ExamplesReport) -> list[dict[str, Any]]:
    return [each.made.as_dict() for each in report.examples]


# --- checked ----------------------------------------------------------------------------------------------------


def test_examples_pass_where_the_job_does_what_they_say(way: str, tmp_path: Path) -> None:
    report = check_examples(write(tmp_path, GOOD, WRONG))
    assert [(Path(each.path or "").name, each.number, each.passed) for each in report.examples] == [
        ("crm.toml", 1, True),
        ("crm.toml", 2, True),
        ("crm.toml", 3, True),
        ("crm.examples.toml", 1, False),
    ]
    assert report.failed[0].made == Fate('A4\t"a"="x"')
    assert report.loops == (way == "loops")
    assert {each.name for each in tmp_path.iterdir()} == {"crm.toml", "crm.examples.toml"}


def test_the_command_shows_differences_and_ends_with_1(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert command(tmp_path, "test", "crm.toml") == (0, "3 of 3 examples passed.\n", "")
    write(tmp_path, GOOD, WRONG)
    code, out, error = command(tmp_path, "test", "crm.toml")
    assert (code, error) == (1, "")
    assert out.splitlines() == [
        "crm.examples.toml: example 1",
        '  row  { id = "A4", a = "x" }',
        '  -    line = "A4\\t\\"a\\"=\\"y\\""',
        '  +    line = "A4\\t\\"a\\"=\\"x\\""',
        "3 of 4 examples passed.",
    ]
    code, out, _ = command(tmp_path, "test", "crm.toml", "--json")
    found = json.loads(out)
    assert (code, found["exit_code"], found["error"]["code"]) == (1, 1, "E-EXAMPLES-DIFFER")
    assert (found["passed"], found["failed"], found["examples"][3]["made"]) == (3, 1, {"line": 'A4\t"a"="x"'})
    code, out, _ = command(tmp_path, "test", "crm.toml", "--quiet", "--set", 'record.signals=[{key="a", value="y"}]')
    assert (code, out.count("example 1")) == (1, 1)  # the other one has become right


def test_a_job_without_examples_is_wrong(tmp_path: Path) -> None:
    with raises(JobError, "E-EXAMPLES-MISSING", "crm.examples.toml", "--record"):
        check_examples(write(tmp_path))


@pytest.mark.parametrize("example, named", [
    ({"row": {"id": "1"}}, 'line = "…"'),
    ({"row": {"id": "1"}, "line": "x", "reject": "id_missing"}, 'line = "…"'),
    ({"row": {"id": "1"}, "reject": "id_missing", "dpid": 7}, "dpid"),
    ({"row": {"id": {"x": 1}}, "line": "x"}, "example[0].row"),
    ({"lime": "x", "row": {}, "line": "x"}, "'line'"),
    ({"line": "x"}, "example[0].row is missing"),
])  # fmt: skip
def test_wrong_examples_are_named(example: dict[str, Any], named: str) -> None:
    with raises(JobError, "E-JOB-INVALID", named):
        Job(**tomllib.loads(JOB), example=[example])


def test_all_other_commands_ignore_examples(run: Run) -> None:
    write(run.folder, GOOD + WRONG)
    run.write(CRM, "crm.csv")
    job = Job.load(run.folder / "crm.toml")
    assert job.digest == Job.load(write(run.folder)).digest
    write(run.folder, GOOD + WRONG)
    assert "example" not in job.public()
    assert "A4" not in repr(job)
    assert Transfer.load(run.folder / "crm.toml").output.to == str(run.folder / "out")
    UrlJob.load(run.folder / "crm.toml")
    assert (
        "A4"
        not in Path(
            convert(Job.load(run.folder / "crm.toml", {"report": {"max_rejects": "100%"}})).report_path or ""
        ).read_text()
    )
    assert Job.model_json_schema()["properties"]["example"]["items"]["$ref"].endswith("/Example")


def test_the_file_beside_the_job_is_named_where_it_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path, beside="[input]\npath = 'x'\n")
    with raises(JobError, "E-JOB-INVALID", "crm.examples.toml", "input"):
        check_examples(path)
    (tmp_path / "crm.examples.toml").write_text("x = ")
    with raises(JobError, "E-JOB-TOML", "crm.examples.toml"):
        check_examples(path)


# --- the same as a run ------------------------------------------------------------------------------------------

NAUGHTY = [
    "plain", "", " ", "a,b", 'a"b', "a\tb", "a\nb", "a\rb", "a\r\nb", "ü", "'", "=", "x" * 300, "NULL", "null", "0",
    "007", "1.50", "joe@example.com", "+49 171 1234567", "4111111111111111", "\u202eabc", "😀", "${HOME}", "#x", "\\N",
    "{{x}}", "-", "a;b", "|", "a\x00b", "\ufeffx", "%40", "true",
]  # fmt: skip


@pytest.mark.parametrize("changes", [
    {},
    {"record": {"on_bad_value": "drop", "comma": ";"}, "id": {"case": "lower", "prefix": "p-"}},
    {"record": {"on_bad_value": "reject"}, "id": {"hash": "sha256", "type": "hashed_email"}},
    {"input": {"filter": "a <> 'a;b'", "computed": [{"name": "id", "sql": "concat(id, '-', a)"}], "null_values": ["0"]}},
], ids=["plain", "changed", "hashed", "sql"])  # fmt: skip
def test_examples_become_what_a_run_makes_of_them(run: Run, changes: dict[str, Any]) -> None:
    rows = [{"id": f"user-{n}", "a": text, "b": NAUGHTY[-n]} for n, text in enumerate(NAUGHTY)]
    rows += [{"id": text, "a": "x"} for text in NAUGHTY]
    quoted = [[row.get(name, "").replace('"', '""') for name in ("id", "a", "b")] for row in rows]
    text = "id,a,b\n" + "".join(",".join(f'"{value}"' for value in values) + "\n" for values in quoted)
    job = run.make_job(**{**changes, "record": {"signals": ["a", "b"], **changes.get("record", {})}})
    fates = fates_of(job, rows)
    run.write(text)
    report = convert(job)
    assert [fate.line for fate in fates if fate.line] == run.lines
    for fate in ("rejected", "skipped"):
        counts: dict[str, int] = {}
        for rule in filter(None, (getattr(each, {"rejected": "reject", "skipped": "skip"}[fate]) for each in fates)):
            counts[rule] = counts.get(rule, 0) + 1
        assert counts == report.records[fate]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.ndjson", "x.json", "x.parquet", "x.xlsx", "x.arrow"])
def test_examples_have_the_format_of_the_input(way: str, name: str) -> None:
    job = Job(
        input={"path": name}, id={"column": "id"}, record={"signals": ["a", "n"]}, output={"to": "out", "dpid": 1}
    )
    rows = [{"id": "A1", "a": "x", "n": 1}, {"a": "y"}, {"id": "A3", "n": 25}]
    assert fates_of(job, rows) == [  # type: ignore[arg-type] # dictionaries are invariant
        Fate('A1\t"a"="x","n"="1"'), Fate(reject="id_missing"), Fate('A3\t"n"="25"')
    ]  # fmt: skip


def test_values_with_types_are_those_of_a_table(way: str) -> None:
    job = Job(
        input={"path": "x.parquet", "filter": "day > DATE '2024-01-01'"},
        id={"column": "id"},
        record={"signals": ["day", "ok"], "traits": ["t"]},
        output={"to": "out", "dpid": 1},
    )
    day, early = datetime.date(2024, 5, 1), datetime.date(2023, 5, 1)
    rows = [{"id": "A1", "day": day, "ok": True, "t": (7, 8)}, {"id": "A2", "day": early, "t": (9,)}]
    assert fates_of(job, rows) == [
        Fate('A1\t"day"="2024-05-01","ok"="true",d_sid=7,d_sid=8'), Fate(skip="filtered_out")
    ]  # fmt: skip
    with raises(JobError, "E-EXAMPLE-VALUES", "'ok'"):
        fates_of(job, [{"id": "A1", "ok": True}, {"id": "A2", "ok": "yes"}])


def test_a_row_of_a_gathered_user_is_the_line_of_a_user_without_others(way: str) -> None:
    job = Job(
        input={"path": "x.csv"},
        id={"column": "id"},
        record={"rows": "signal", "key_column": "k", "value_column": "v", "order": "d", "traits": [5]},
        output={"to": "out", "dpid": 1},
    )
    rows = [
        {"id": "A1", "k": "a", "v": "x", "d": "2024-01-01"},
        {"id": "A1", "k": "a", "v": "y", "d": "2024-01-02"},
        {"id": "", "k": "a", "v": "y", "d": "2024-01-02"},
    ]
    assert fates_of(job, rows) == [
        Fate('A1\t"a"="x",d_sid=5'), Fate('A1\t"a"="y",d_sid=5'), Fate(reject="id_missing")
    ]  # fmt: skip


def test_lines_of_other_rows_and_runs_do_not_matter(way: str, tmp_path: Path) -> None:
    state = {"state": str(tmp_path / "state")}
    for record, delta in (({"repeated": "drop", "user_lines": "enforce"}, {}), ({}, state)):
        job = Job(
            input={"path": "x.csv"},
            id={"column": "id"},
            record={"signals": ["a"], **record},  # type: ignore[typeddict-item]
            delta=delta,  # type: ignore[arg-type]
            output={"to": "out", "dpid": 1},
        )
        assert fates_of(job, [{"id": "A1", "a": "x"}] * 250) == [Fate('A1\t"a"="x"')] * 250
    assert not (tmp_path / "state").exists()


def test_lines_have_their_data_source_where_there_are_several(way: str, tmp_path: Path) -> None:
    job = tomllib.loads(JOB) | {"id": {"column": "id", "type": "auto"}, "output": {"to": "out"}}
    job["output"]["route"] = {"crm": 7, "gaid": {"dpid": 20914, "target": 7}}
    device = "8d7d0b4e-6c0e-4a3d-9c53-2c8b8b1f0a11"
    example = [
        {"row": {"id": "A1", "a": "x"}, "line": 'A1\t"a"="x"', "dpid": 7},
        {"row": {"id": device, "a": "x"}, "line": f'{device}\t"a"="x"', "dpid": 7},
        {"row": {"id": device, "a": "x"}, "line": f'{device}\t"a"="x"'},
    ]
    report = check_examples(Job(**job, example=example))
    assert [each.passed for each in report.examples] == [True, False, True]
    assert report.failed[0].made.dpid == 20914


@pytest.mark.parametrize("kind, columns, line", [
    ("id-sync", [{"column": "u", "type": "uuid"}, {"column": "c", "type": "crm", "dpid": 9}], "1" * 38 + "\tA1"),
    ("c2c-id-sync", [{"column": "c", "type": "crm", "dpid": 9}, {"column": "m", "type": "hashed_email", "dpid": 10}], "A1\t" + "ab" * 32),
], ids=["id-sync", "c2c-id-sync"])  # fmt: skip
def test_examples_of_synchronization_files(way: str, kind: str, columns: list[Any], line: str) -> None:
    job = Job(input={"path": "x.csv"}, sync={"columns": columns}, output={"to": "out", "kind": kind})  # type: ignore[typeddict-item]
    rows = [{"u": "1" * 38, "c": "A1", "m": "ab" * 32}, {"c": "", "u": "", "m": ""}]
    written, rejected = fates_of(job, rows)
    assert written.line == line
    assert rejected.reject == "id_missing"


def test_the_example_for_which_sql_fails_is_named(way: str) -> None:
    job = Job(
        input={"path": "x.csv", "filter": "CAST(a AS INT) > 1"},
        id={"column": "id"},
        record={"signals": ["a"]},
        output={"to": "out", "dpid": 1},
    )
    with raises(InputError, "E-SQL-VALUE", "example 2", "the examples"):
        fates_of(job, [{"id": "A1", "a": "2"}, {"id": "A2", "a": "x"}])


def test_a_difference_between_the_loops_and_the_query_is_a_bug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    other = Records(Job.load(path, {"record": {"signals": ["b", "a"]}}), 1000)
    monkeypatch.setattr(examples_module, "convert_all", lambda _, sources: convert_all(other, sources))
    with raises(InternalError, "E-EXAMPLES-ROADS", "lines"):
        check_examples(path)
    other = Records(Job.load(path, {"privacy": {"allow": ["a"]}, "id": {"column": "a"}}), 1000)
    (tmp_path / "crm.toml").write_text(
        JOB + GOOD.split("[[example]]")[0] + '[[example]]\nrow = { a = "x" }\nskip = "x"\n'
    )
    with raises(InternalError, "E-EXAMPLES-ROADS"):
        check_examples(path)


# --- recorded ---------------------------------------------------------------------------------------------------


def test_recorded_examples_pass_and_hold_nothing_personal(way: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "crm.csv").write_text(CRM)
    recorded = record_examples(path, 10)
    assert (recorded.examples, recorded.left_out) == (5, 0)
    text = (tmp_path / "crm.examples.toml").read_text()
    for personal in ("K10001", "1000123", "planted", "corp"):
        assert personal not in text
    assert '"12"' in text
    report = check_examples(path)
    assert report.passed
    assert [each.reject or each.skip for each in (each.made for each in report.examples)] == [
        None, "value_personal", "id_is_email", "id_is_missing_word", "no_signal"
    ]  # fmt: skip


def test_typed_rows_are_recorded(way: str, tmp_path: Path) -> None:
    path = write(tmp_path, job=JOB.replace("crm.csv", "crm.parquet"))
    columns = {
        "id": [4_000_000_001, 4_000_000_002],
        "a": [datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), None],
        "b": [1.5, None],
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "crm.parquet")
    assert record_examples(path, 10).examples == 2
    report = check_examples(path)
    assert report.passed
    assert "4000000001" not in (tmp_path / "crm.examples.toml").read_text()
    assert '"a"="2024-01-02' in str(report.examples[0].made.line)


def test_variables_are_recorded_by_their_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_SOURCE", "planted-secret")
    path = write(tmp_path, job=JOB.replace('["a"', '[{ key = "s", value = "${SECRET_SOURCE}" }, "a"'))
    (tmp_path / "crm.csv").write_text(CRM)
    record_examples(path, 2)
    text = (tmp_path / "crm.examples.toml").read_text()
    assert "planted" not in text
    assert "${SECRET_SOURCE}" in text
    assert check_examples(path).passed


def test_examples_that_are_there_are_replaced_only_by_force(tmp_path: Path) -> None:
    path = write(tmp_path, beside=WRONG)
    (tmp_path / "crm.csv").write_text(CRM)
    with raises(JobError, "E-EXAMPLES-KEPT", "--force"):
        record_examples(path)
    assert (tmp_path / "crm.examples.toml").read_text() == WRONG
    code, out, error = command(tmp_path, "test", "crm.toml", "--record", "2", "--force")
    assert (code, out, error) == (0, "2 examples written to 'crm.examples.toml'.\n", "")
    assert check_examples(path).passed
    assert {each.name for each in tmp_path.iterdir()} == {"crm.csv", "crm.toml", "crm.examples.toml"}


def test_examples_that_cannot_be_recorded_leave_nothing(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "crm.csv").write_text("id,a,b\n")
    with raises(EmptyInputError, "E-NO-ROWS"):
        record_examples(path)
    (tmp_path / "crm.csv").write_text(CRM)
    (tmp_path / "crm.examples.toml.partial").mkdir()
    with raises(JobError, "E-EXAMPLES-WRITE", "crm.examples.toml"):
        record_examples(path)
    with raises(JobError, "E-ARGUMENT"):
        record_examples(Job(**tomllib.loads(JOB)))
    assert not (tmp_path / "crm.examples.toml").exists()


def test_made_values_are_of_the_kind_that_they_stand_for() -> None:
    texts = [made_of_kind(kind, number) for kind in PERSONAL for number in range(100)]
    kinds = pl.DataFrame({"t": texts}).select(personal_kind(pl.col("t"))).to_series().to_list()
    assert [PERSONAL[kind] for kind in kinds] == [kind for kind in PERSONAL for _ in range(100)]


@pytest.mark.parametrize("text", ["A-1b", "0123456789", "8d7d0b4e-6c0e-4a3d-9c53-2c8b8b1f0a11", "ABCDEF0123", "Äö 7_x"])
def test_made_texts_have_the_form_of_those_that_they_stand_for(text: str) -> None:
    def form(each: str) -> list[str]:
        return ["0" if mark.isdigit() else "A" if mark.isupper() else "a" if mark.islower() else mark for mark in each]

    found = {made_like(text) for _ in range(100)}
    assert {tuple(form(each)) for each in found} == {tuple(form(text))}
    assert len(found) > 5
    if len(text) > 8 and text.isalnum():
        assert all(int(each, 16) >= 0 for each in found)


def test_examples_are_written_as_toml_reads_them() -> None:
    row = {
        'a "b".c': "x\t\x7f\x00\"\\\n\u2028ü", "n": 1, "f": 1e300, "ok": True, "list": (1, 2), "": "",
        "day": datetime.date(2024, 1, 2), "at": datetime.datetime(2024, 1, 2, 3, 4, 5, 6, datetime.UTC),
    }  # fmt: skip
    example = Example(row=row, line="x\ty")
    (again,) = tomllib.loads(as_text([example]))["example"]
    assert Example(**again) == example
