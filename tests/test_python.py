"""The library as programs and notebooks use it: what they may give, what they get, and what type checkers know."""

from __future__ import annotations

import asyncio
import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import converter
from converter import Job, JobError, TooManyRejectsError, Transfer, UrlJob, convert, doctor, match, send, sync_urls
from converter.errors import EmptyInputError
from converter.jobs.sections.ids import UserId

from .errors import raises

ROOT = Path(__file__).parent.parent
CSV = "crm_id,gender,city\ncustomer-1,f,Bern\ncustomer-2,m,Basel\nann@example.com,f,Bern\n"
JOB = """
[input]
path = "exports/crm.csv"
[id]
column = "crm_id"
[record]
signals = ["gender"]
[output]
to = "out"
dpid = 1234
[report]
max_rejects = "50%"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("exports").mkdir()
    Path("exports/crm.csv").write_text(CSV)
    Path("job.toml").write_text(JOB)
    Path("site_ids.csv").write_text("visitor\ncustomer-1\ncustomer-3\n")
    return tmp_path


def sections(**changes: Any) -> dict[str, Any]:
    return {
        "input": {"path": "exports/crm.csv"},
        "id": {"column": "crm_id"},
        "record": {"signals": ["gender"]},
        "output": {"to": "out", "dpid": 1234},
        "report": {"max_rejects": "50%"},
        **changes,
    }


def test_the_documentation_runs_as_it_is_written(folder: Path) -> None:
    Path("exports/crm.csv").write_text(CSV.replace("ann@example.com", "customer-3"))
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    assert len(blocks) >= 6
    for block in blocks:
        exec(block, names)
    assert names["report"].records["written"] == 2
    assert names["matched"].as_dict()["recommended"]["matched"] == 2
    assert Path("urls.csv").read_text().count("\n") == 4
    assert {part.suffix for part in Path("sent").iterdir()} == {".gz"}


def test_a_job_file_is_given_by_its_path(folder: Path) -> None:
    assert not [each for each in doctor(Path("job.toml")) if each.level == "error"]
    for path in ("job.toml", Path("job.toml"), folder / "job.toml"):
        assert convert(path).records["written"] == 2
    assert sync_urls(Path("job.toml"), "urls.csv").written == 2
    (part, *_) = (folder / "out").iterdir()
    Path("send.toml").write_text('[output]\nto = "sent"\n')
    assert [each.name for each in send(part, Path("send.toml")).parts] == [part.name]


def test_a_job_is_taken_where_a_part_of_it_is_needed(folder: Path) -> None:
    job = Job(**sections())
    assert UrlJob.of(job).columns == ("crm_id",)
    assert Transfer.of(job).output.to == "out"
    assert Job.of(job) is job


def test_paths_may_be_objects(folder: Path) -> None:
    job = Job(**sections(input={"path": [Path("exports") / "crm.csv"]}, output={"to": Path("out"), "dpid": 1234}))
    assert job == Job(**sections(input={"path": ["exports/crm.csv"]}))
    assert job.public()["output"]["to"] == "out"
    assert match(Path("exports/crm.csv"), Path("site_ids.csv")).as_dict()["as_is"]["matched"] == 1


def test_whole_numbers_of_libraries_are_numbers() -> None:
    assert Job(**sections(output={"to": "out", "dpid": np.int64(5)})).dpids == (5,)


def test_sections_may_be_objects() -> None:
    assert Job(**sections(id=UserId(column="crm_id"))) == Job(**sections())


FRAME = pl.DataFrame({"crm_id": ["secret-customer"]})


@pytest.mark.parametrize(
    "given, named",
    [
        (FRAME, ["polars.DataFrame", "write_parquet"]),
        (FRAME.lazy(), ["polars.LazyFrame", "sink_parquet"]),
        (pa.table({"crm_id": ["secret-customer"]}), ["pyarrow.Table", "write_table"]),
        (FRAME["crm_id"], ["polars.Series", "list(…)"]),
        (object(), ["builtins.object"]),
    ],
    ids=["DataFrame", "LazyFrame", "Table", "Series", "object"],
)
def test_what_is_no_path_is_named_and_not_shown(folder: Path, given: Any, named: list[str]) -> None:
    for call in (
        lambda: convert(given),
        lambda: doctor(given),
        lambda: send("x", given),
        lambda: Job(**sections(input={"path": given})),
        lambda: Job(**sections(record={"signals": [given]})),
        lambda: match(given, "site_ids.csv"),
    ):
        with raises(JobError, "E-ARGUMENT", *named) as raised:
            call()
        assert "secret" not in str(raised.value)


def test_a_dictionary_in_place_of_a_job_names_the_job(folder: Path) -> None:
    with raises(JobError, "E-ARGUMENT", "builtins.dict", "a Job"):
        convert(sections())  # type: ignore[arg-type]


def test_a_table_in_place_of_a_job_file_names_the_key(folder: Path) -> None:
    with raises(JobError, "E-JOB-TOML", "exports/crm.csv'", "input.path"):
        convert("exports/crm.csv")


def test_too_many_rejects_come_with_their_report(folder: Path) -> None:
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS") as raised:
        convert(Job.load("job.toml", {"report": {"max_rejects": 0}}))
    report = raised.value.report
    assert report.records["rejected"] == {"id_is_email": 1}
    assert report.outcome == "refused"
    assert Path(report.rejects_path).exists()
    assert Path(report.report_path).read_bytes() == report.to_json()


def test_no_row_left_comes_with_its_report(folder: Path) -> None:
    Path("exports/crm.csv").write_text("crm_id,gender\nann@example.com,f\n")
    with raises(EmptyInputError, "E-NO-ROW-LEFT") as raised:
        convert(Job.load("job.toml", {"report": {"max_rejects": "100%"}}))
    assert raised.value.report.records["rejected"] == {"id_is_email": 1}
    assert JobError("E-USAGE", "").report is None


def test_a_notebook_runs_jobs_inside_its_event_loop(folder: Path) -> None:
    async def cell() -> int:
        written: int = convert("job.toml").records["written"]
        return written

    assert asyncio.run(cell()) == 2


def test_the_public_names_are_listed_before_they_are_imported() -> None:
    code = "import converter, sys; print(*dir(converter)); print('polars' in sys.modules)"
    names, loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.splitlines()
    assert set(converter.__all__) <= set(names.split())
    assert not [name for name in names.split() if not name.startswith("__") and name not in converter.__all__]
    assert loaded == "False"


OTHER_TYPES = {
    "BinaryIO",
    "Callable",
    "Engine",
    "None",
    "Path",
    "PathLike",
    "Sequence",
    "Form",
    "Frame",
    "IdTypeName",
    "Files",
}
"""Those of Python, and names of unions and of literals."""


def test_the_types_of_public_functions_are_public() -> None:
    functions = [getattr(converter, name) for name in converter.__all__]
    functions = [each for each in functions if inspect.isfunction(each)]
    assert len(functions) > 10
    for function in functions:
        signature = inspect.signature(function)
        annotations = [signature.return_annotation, *(each.annotation for each in signature.parameters.values())]
        types = set(re.findall(r"\b[A-Z]\w+", " ".join(annotations))) - OTHER_TYPES
        assert types <= set(converter.__all__), function.__name__


def test_help_shows_the_functions_and_the_sections_of_a_job() -> None:
    shown = pydoc.render_doc(converter, renderer=pydoc.plaintext)
    assert [name for name in converter.__all__ if not (name.startswith("__") or name in shown)] == []
    assert "Convert as a job or a job file says" in shown
    parameters = inspect.signature(Job).parameters
    assert list(parameters) == list(Job.model_fields)
    assert {name for name, each in parameters.items() if each.default is each.empty} == {"output"}


RIGHT = """
from pathlib import Path
import polars as pl
from converter import Job, TooManyRejectsError, convert
from converter.jobs.sections.ids import UserId
job = Job(
    input={"path": Path("crm.csv"), "null_values": ["NULL"]},
    id={"column": "crm_id", "type": "crm", "pad": 8},
    record={"signals": ["a", {"column": "b", "key": "c"}], "traits": [1, "t"]},
    output={"to": Path("out"), "dpid": 1, "max_part_bytes": "250MB", "route": {"crm": 1234}},
    run={"threads": 2},
)
other = Job(input={"path": ["a.csv", Path("b.csv")]}, id=UserId(column="crm_id"), output={"to": "out"})
framed = Job(id={"column": "crm_id"}, record={"signals": ["a"]}, output={"to": "out", "dpid": 1})
frame = pl.DataFrame({"crm_id": ["1"], "a": ["x"]})
try:
    print(convert(Path("job.toml")).records, convert(framed, input=frame).rejects().height)
    convert(framed, input=frame.lazy(), strict=True)
    convert(framed, input=frame.to_arrow())
except TooManyRejectsError as error:
    print(error.report.records)
"""
WRONG = {
    'Job(input={"path": "a"}, output={"to": "b"}, idd={"column": "c"})': 'keyword argument "idd" for "Job"',
    'Job(input={"path": "a"})': 'Missing named argument "output"',
    'Job(input={"pth": "a"}, output={"to": "b"})': 'Argument "input" to "Job"',
    'Job(input={"path": "a"}, output={"to": "b", "mode": "replace"})': 'Argument "output" to "Job"',
    'Job(input={"path": "a"}, output={"to": "b", "dpid": "x"})': 'Argument "output" to "Job"',
    "convert(5)": 'Argument 1 to "convert"',
    "convert(framed, input=5)": 'Argument "input" to "convert"',
    'convert(framed, input="crm.csv")': 'Argument "input" to "convert"',
    'convert(framed, input={"crm_id": ["1"]})': 'Argument "input" to "convert"',
}


def test_mypy_knows_the_keys_of_jobs_without_plugins(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(RIGHT + "\n".join(WRONG) + "\n")
    options = ["--strict", "--follow-imports=silent", "--ignore-missing-imports", f"--config-file={tmp_path / 'none'}"]
    (tmp_path / "none").write_text("[mypy]\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, f"--cache-dir={tmp_path / 'cache'}", str(program)],
        capture_output=True,
        text=True,
        env={"MYPYPATH": str(ROOT), "PATH": "", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    errors = dict(re.findall(r"program\.py:(\d+): error: (.*)", done.stdout))
    first = RIGHT.count("\n") + 1
    assert sorted(map(int, errors)) == list(range(first, first + len(WRONG))), done.stdout
    for line, expected in enumerate(WRONG.values(), first):
        assert expected in errors[str(line)]
