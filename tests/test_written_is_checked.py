"""Whatever `convert` writes passes `check`: jobs and rows are drawn, and what the files break is compared.

No file may have an error. Warnings are those that the run has given itself, or that follow from what its job asks for.
The numbers of the receipt that the report has are those that the check counts.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from converter import CheckReport, Job, Report, check, convert
from converter.errors import EmptyInputError
from converter.spec.ids import ID_TYPES

from .conftest import TIMESTAMP, Run

UUIDS = ["0" * 37 + "1", "7" * 38, "1" * 37, "0" * 38]
DEVICES = [
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "0F8FAD5B-D9CB-469F-A165-70867728950E",
    "11111111-1111-1111-1111-111111111111",
    "00000000-0000-0000-0000-000000000000",
]
HASHES = [f"{number:064x}" for number in range(10**63, 10**63 + 13)] + ["F" * 64]
OWN = [
    "u1",
    "u2",
    "U1",
    "Zoë",
    "9" * 300,
    "a b",
    "a%3Ab",
    "a:b",
    "j@x.org",
    "+49 30 1234567",
    "4111111111111111",
    "a,b",
    '"',
]
STRAY = ["", " ", "NULL", "\u200b", "x\ty", "x\ny", "x\rz", "\ufeffx", "\x7f", "\x85", "😀" * 3, "{{id}}", "=1+1"]
IDS = {
    "crm": OWN + STRAY + UUIDS[:2] + HASHES[:1],
    "uuid": UUIDS + STRAY,
    "gaid": DEVICES + STRAY,
    "idfa": DEVICES + STRAY,
    "maid": ["a1", "A-1", "a_1", *STRAY],
    "hashed_email": [*HASHES, *STRAY],
    "auto": [*UUIDS[:2], *DEVICES[:2], *HASHES[:2], *OWN[:4], *STRAY],
}
VALUES = [
    *("x", "y, z", ",", ",,", '"', 'a"b', " x ", "=", "a=b", "-", ":", "12", "12:0", "d_sid=1", "ic=2", "0", "é" * 115),
    *("v" * 228, "v" * 229, "w" * 200_000, "j@x.org", "see j@x.org, please", "+49 30 1234567", "203.0.113.7", *STRAY),
]
TRAITS = ["1", "2|3", "4|x", "|", "", "99999999999999999999", "-1", "1.0", " 5 ", "6,7", "5:0"]
KEYS = ["k", "k-1", "1k", "k k", "kä", "12", "K" * 229, "d_x"]


def columns_of(*names: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)


SIGNALS = st.lists(
    st.one_of(
        st.sampled_from(["a", "b"]),
        st.builds(
            lambda column, key: {"column": column, "key": key}, st.sampled_from(["a", "b"]), st.sampled_from(KEYS)
        ),
        st.builds(
            lambda separator: {"column": "b", "key": "s", "separator": separator}, st.sampled_from(["|", ",", ";"])
        ),
        st.just({"key": "constant", "value": "v, w"}),
    ),
    min_size=1,
    max_size=3,
    unique_by=str,
)
LISTS = st.lists(st.sampled_from(["t", {"column": "t", "separator": ","}, 42]), max_size=2, unique_by=str)
CODES = st.lists(st.sampled_from(["c", {"value": "code-1"}, {"value": "77"}]), max_size=2, unique_by=str)


@st.composite
def records(draw: st.DrawFn, mode: str) -> dict[str, Any]:
    record: dict[str, Any] = {
        "signals": draw(SIGNALS),
        "traits": draw(LISTS),
        "integration_codes": draw(CODES),
        "on_bad_value": draw(st.sampled_from(["clean", "drop", "reject"])),
        "comma": draw(st.sampled_from(["keep", ";", ""])),
    }
    if mode == "sync" and draw(st.booleans()):
        record["removed_traits"] = draw(st.lists(st.sampled_from(["r", 43]), max_size=2, unique_by=str))
    clears = mode == "overwrite" and draw(st.booleans())
    if clears:
        record["empty"] = "clear"
    if not clears and draw(st.booleans()):
        record["rows"] = "signal"
        record["many_values"] = draw(st.sampled_from(["keep", "reject"]))
        if draw(st.booleans()):
            record |= {"key_column": "k", "value_column": "b"}
            record["signals"] = draw(st.just(["a"]) | st.just([]))
    else:
        record["user_lines"] = draw(st.sampled_from(["off", "count", "enforce"]))
        record["repeated"] = draw(st.sampled_from(["keep", "drop"]))
    return record


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    """A job, without its paths."""
    kind = draw(st.sampled_from(["data", "data", "data", "odc", "id-sync", "c2c-id-sync"]))
    output: dict[str, Any] = {
        "kind": kind,
        "timestamp": TIMESTAMP,
        "compression": draw(st.sampled_from(["gzip", "none"])),
        "max_part_raw_bytes": draw(st.sampled_from(["200KB", "1MB", "1GB"])),
    }
    job: dict[str, Any] = {
        "output": output,
        "report": {"max_rejects": "100%", "max_cleared": "100%"},
        "run": {"threads": draw(st.sampled_from([1, 2]))},
        "privacy": {"signals": draw(st.sampled_from(["block", "drop", "allow"]))},
    }
    implausible = draw(st.sampled_from(["reject", "allow"]))
    if kind == "id-sync":
        customers = [
            {"column": "id2", "dpid": 55, "implausible": implausible},
            {"column": "id3", "type": "hashed_email", "dpid": 56},
        ]
        first = draw(st.sampled_from([{"column": "id", "type": "gaid"}, {"column": "id", "type": "uuid"}]))
        return job | {"sync": {"columns": [first, *customers[: draw(st.integers(1, 2))]]}}
    if kind == "c2c-id-sync":
        return job | {
            "sync": {"columns": [{"column": "id2", "dpid": 55}, {"column": "id3", "type": "hashed_email", "dpid": 56}]}
        }
    type_ = draw(st.sampled_from(["idfa", "gaid"] if kind == "odc" else sorted(IDS)))
    job["id"] = {"column": "id", "type": type_, "implausible": implausible, "case": "preserve"}
    if type_ == "crm":
        job["id"] |= draw(st.sampled_from([{}, {"case": "lower"}, {"pad": 5}, {"prefix": "p-"}, {"decode": True}]))
    mode = output["mode"] = draw(st.sampled_from(["sync", "overwrite"]))
    if type_ == "auto":
        output["route"] = {
            "crm": 1234,
            "uuid": 77,
            "hashed_email": 88,
            "gaid": {"target": 1234},
            "idfa": {"target": 1234},
        }
    elif type_ in ("gaid", "idfa", "maid") and kind == "data":
        output |= {"dpid": ID_TYPES[type_].dpid, "target": 1234}
    else:
        output["dpid"] = 1234
    job["record"] = draw(records(mode))
    return job


@st.composite
def tables(draw: st.DrawFn, job: dict[str, Any]) -> str:
    """Rows of a table for a job: few users, some of them with very many rows."""
    ids = IDS[job["id"]["type"]] if "id" in job else [*UUIDS, *DEVICES, *STRAY]
    cells = {"id": ids, "id2": OWN + STRAY + ["u"], "id3": HASHES + STRAY}
    cells |= {
        "a": VALUES,
        "b": [*VALUES, "p|q", "p;q"],
        "t": TRAITS,
        "r": TRAITS,
        "c": ["c1", "1", "1:0", "x y", ""],
        "k": KEYS,
    }
    row = st.tuples(*(st.sampled_from(texts) for texts in cells.values()), st.sampled_from([1] * 9 + [250]))
    rows = draw(st.lists(row, min_size=2, max_size=12))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(cells)
    for *texts, times in rows:
        for number in range(times):
            values = dict(zip(cells, texts, strict=True))
            if times > 1:
                values |= {"id2": f"u{number}", "a": f"v{number}"}
            writer.writerow(values.values())
    return text.getvalue()


def allowed(job: dict[str, Any], report: Report) -> dict[str, bool]:
    """Return the findings that a run may lead to, and whether they are expected of this one."""
    codes = {warning.code for warning in report.warnings}
    allows = job["privacy"]["signals"] == "allow"
    return {
        "clears_user": report.records.get("cleared", 0) > 0,
        "user_over_limit": job.get("record", {}).get("user_lines") == "off" or "W-USER-OVER-LIMIT" in codes,
        "id_with_hyphen": "W-ID-WITH-HYPHEN" in codes,
        "ids_mixed": job.get("id", {}).get("type") in ("crm", "auto"),
        "key_unusable": "W-KEY-UNNAMEABLE" in codes,
        "value_is_email": allows,
        "value_personal": allows,
        "customer_over_limit": "W-CUSTOMER-OVER-LIMIT" in codes,
        "device_over_limit": "W-DEVICE-OVER-LIMIT" in codes,
        "signal_long": True,
    }


@settings(
    max_examples=30,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_what_is_written_passes(fresh_run: Callable[[], Run], data: st.DataObject) -> None:
    job = data.draw(jobs())
    table = data.draw(tables(job))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.csv").write_text(table, newline="")
        paths = {"input": {"path": str(folder / "in.csv")}}
        whole = {**job, **paths, "output": {**job["output"], "to": str(folder / "out")}}
        whole["report"] = {**job["report"], "dir": str(folder / "reports")}
        try:
            report = convert(Job(**whole))
        except EmptyInputError:
            return
        found = check(folder / "out")
    compare(job, report, found)


def compare(job: dict[str, Any], report: Report, found: CheckReport) -> None:
    may_be = allowed(job, report)
    findings = {each.name for file in found.files for each in file.findings}
    assert {name for name in findings if not may_be.get(name)} == set()
    assert (report.foreseen or {}).get("figures", {}) == found.figures
    assert sum(part.lines for part in report.parts) == sum(file.lines or 0 for file in found.files)
