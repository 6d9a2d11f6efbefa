"""The schemas that are printed hold for what runs leave, and for nothing else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import converter
from converter import ConverterError, Job, convert, send
from converter.jobs.document import merge
from converter.jobs.job import Transfer
from converter.report import Report, SendReport
from converter.report.schemas import MODELS, ReportModel, SendModel, schema_of

from .test_cli import command

JOB: dict[str, Any] = {
    "input": {"path": "in.csv"},
    "id": {"column": "id"},
    "record": {"signals": ["a"], "traits": ["t"]},
    "output": {"to": "out", "dpid": 1234},
    "report": {"max_rejects": "100%"},
}
TABLE = "id,a,t\n customer-1,x,1\nCUSTOMER-1,,x\ncustomer-1,NULL,2\njoe@example.com,x,1\ntoo,short\n,x,1\n"
RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "page and rows": {"report": {"page": True, "show_rows": True}},
    "gathered": {"record": {"rows": "signal", "many_values": "keep"}},
    "changes": {"delta": {"state": "state"}},
    "collisions": {"id": {"case_collisions": "report"}},
    "types": {"id": {"type": "auto"}, "output": {"route": {"crm": 1234}, "dpid": None}},
    "encodings": {"input": {"encoding": "auto"}},
    "few rejects": {"report": {"rejects_file_rows": 1}},
    "refused": {"report": {"max_rejects": 0}},
    "no input": {"input": {"path": "none.csv"}},
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text(TABLE)


def reports() -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in Path("reports").glob("*.report.json")]


@pytest.mark.parametrize("name", RUNS)
def test_reports_and_rejects_are_as_their_schemas_say(name: str) -> None:
    data = merge(JOB, RUNS[name])
    data["output"] = {key: value for key, value in data["output"].items() if value is not None}
    try:
        convert(Job(**data))
    except ConverterError as error:
        assert error.code in ("E-TOO-MANY-REJECTS", "E-INPUT-MISSING")
    (report,) = reports()
    jsonschema.validate(report, schema_of("report"))
    for path in Path("reports").glob("*.rejects.ndjson.gz"):
        lines = gzip.decompress(path.read_bytes()).splitlines()
        assert lines
        for line in lines:
            jsonschema.validate(json.loads(line), schema_of("rejects"))


def test_the_report_of_send_is_as_its_schema_says() -> None:
    convert(Job(**JOB))
    send(Path("out"), Transfer(output={"to": "elsewhere"}))
    (report,) = (each for each in reports() if each["name"].startswith("send"))
    jsonschema.validate(report, schema_of("send-report"))
    report["parts"][0]["lines"] = "many"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, schema_of("send-report"))


def test_a_key_more_or_less_is_found() -> None:
    convert(Job(**JOB))
    (report,) = reports()
    for changed in ({**report, "new": 1}, {key: value for key, value in report.items() if key != "series"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, schema_of("report"))


def test_the_models_have_the_keys_of_the_reports() -> None:
    for model, kind in ((ReportModel, Report), (SendModel, SendReport)):
        assert set(model.model_fields) == set(kind.__dataclass_fields__)


@pytest.mark.parametrize("name", MODELS)
def test_the_command_prints_the_schema(name: str, tmp_path: Path) -> None:
    code, out, error = command(tmp_path, "schema", name)
    assert (code, error) == (0, "")
    assert json.loads(out) == schema_of(name)
    assert json.loads(command(tmp_path, "schema", "--json")[1])["schema"] == converter.Job.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(json.loads(out))
