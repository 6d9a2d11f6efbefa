"""Examples of rows that are skipped: the first ones of each reason, where they are, and their IDs, masked."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from converter import Job, convert
from converter.report.page import page_of
from converter.rows.skipped import MOST_SKIPPED, FirstSkips, SkippedRows
from converter.sources.delimited import DelimitedSource

from .conftest import TIMESTAMP, Run
from .test_page import check_alone

ROWS = 4000


def examples_of(report: Any) -> dict[str, list[tuple[str, int, Any]]]:
    """The examples by rule: file, row, and columns."""
    found = defaultdict(list)
    for each in report.skipped_examples:
        found[each["rule"]].append((Path(each["file"]).name, each["row"], each.get("columns")))
    return dict(found)


def fate_of(number: int) -> str:
    """What becomes of a row of the table below."""
    if number % 5 == 0:
        return "filter_unknown"
    if number % 7 == 0:
        return "filtered_out"
    if number % 11 == 0:
        return "suppressed"
    if number % 13 == 0:
        return "no_signal"
    return "row_repeated" if number >= ROWS // 2 else "written"


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_rows_of_each_reason_are_examples(run: Run, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DelimitedSource.__init__.__kwdefaults__ or {}, "block", 1500)
    texts, wanted, counts = ["id,a,n\n", "id,a,n\n\n"], defaultdict(list), Counter[str]()
    starts = [2, 3]
    run.write("id\n" + "".join(f"customer-{number:04}\n" for number in range(0, ROWS // 2, 11)), "list.csv")
    for number in range(ROWS):
        half, user = divmod(number, ROWS // 2)
        fate = fate_of(user) if not half or fate_of(user) != "written" else "row_repeated"
        n = {"filter_unknown": "", "filtered_out": "0"}.get(fate, "1")
        texts[half] += f"customer-{user:04},{'' if fate == 'no_signal' else user},{n}\n"
        counts[fate] += 1
        if len(wanted[fate]) < MOST_SKIPPED:
            ids = None if fate == "suppressed" else {"id": f"cu…{user % 100:02}"}
            wanted[fate].append((f"{half + 1}.csv", starts[half] + user, ids))
    paths = [str(run.write(text, f"{number}.csv")) for number, text in enumerate(texts, 1)]
    report = run.convert(
        input={
            "path": paths,
            "filter": "CAST(n AS INT) > 0",
            "suppress": {"path": str(run.folder / "list.csv"), "column": "id"},
        },
        record={"repeated": "drop"},
        run={"threads": threads},
    )
    del wanted["written"]
    assert report.records["skipped"] == {name: counts[name] for name in sorted(wanted)}
    assert examples_of(report) == wanted
    assert {(each["rule"], each["code"]) for each in report.skipped_examples} == {
        ("filter_unknown", "S2"),
        ("filtered_out", "S1"),
        ("suppressed", "S3"),
        ("no_signal", "C1"),
        ("row_repeated", "S5"),
    }


def test_nothing_but_the_place_is_known_of_users_who_are_suppressed(run: Run) -> None:
    run.write("id\nperson-of-the-list\n", "list.csv")
    suppress = {"path": str(run.folder / "list.csv"), "column": "id"}
    run.convert("id,a\nu1,x\nperson-of-the-list,value-of-the-list\n", input={"suppress": suppress})
    (example,) = run.report["skipped_examples"]
    assert example == {
        "file": str(run.folder / "in.csv"), "row": 3, "unit": "line", "rule": "suppressed", "code": "S3"
    }  # fmt: skip
    for path in (run.folder / "reports").iterdir():
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        assert not {b"person-of", b"pe\xe2\x80\xa6", b"value-of"} & {
            part for part in (b"person-of", b"pe\xe2\x80\xa6", b"value-of") if part in text
        }, path


@pytest.mark.parametrize("memory", ["1MB", "1GB"])
def test_rows_of_gathered_users_say_where_they_are(run: Run, memory: str) -> None:
    paths = []
    for file in range(2):
        rows = "".join(f"user-{number % 500:04},{number},{file * 10_000 + number}\n" for number in range(2000))
        paths.append(str(run.write(f"id,a,n\n{rows}", f"{file}.csv")))
    record = {"rows": "signal", "order": "n", "order_format": "number"}
    report = run.convert(input={"path": paths}, record=record, run={"memory": memory, "spill_dir": str(run.folder)})
    assert report.records["skipped"] == {"row_superseded": 3000}
    assert examples_of(report) == {
        "row_superseded": [("0.csv", number + 2, {"id": f"us…{number:02}"}) for number in range(10)]
    }


def test_rows_that_are_not_converted_again_are_examples(run: Run) -> None:
    rows = "".join(f"customer{':-'[number % 2]}{number:02},x\n" for number in range(40))
    first = run.convert(f'id,a\nuser-0,"x"y\n{rows}', input={"quote": "none"})
    assert first.records["rejected"] == {"id_forbidden_character": 20}
    corrected = run.make_job(id={"remove": ":"}, output={"timestamp": TIMESTAMP + 1})
    again = convert(corrected, rejects_of=first.report_path)
    assert again.records["skipped"] == {"not_rejected": 21}
    assert examples_of(again) == {
        "not_rejected": [
            ("in.csv", 2, None),  # which cannot be parsed as it is read now
            *(("in.csv", number + 3, {"id": f"cu…{number:02}"}) for number in range(1, 19, 2)),
        ]
    }


def test_ids_that_are_computed_or_not_texts_are_shown(run: Run) -> None:
    pl.DataFrame({"number": [123456, 234567], "a": ["x", "y"]}).write_parquet(run.folder / "in.parquet")
    computed = [{"name": "user", "sql": "CONCAT('user-', number)"}]
    report = run.convert(
        input={"path": str(run.folder / "in.parquet"), "filter": "a = 'x'", "computed": computed},
        id={"column": "user"},
    )
    assert report.skipped_examples == [
        {
            "file": str(run.folder / "in.parquet"), "row": 2, "unit": "row", "rule": "filtered_out", "code": "S1",
            "columns": {"user": "us…67"},
        }
    ]  # fmt: skip


def test_rows_with_several_ids_show_all_of_them(tmp_path: Path) -> None:
    device = "6d92078a-8246-4ba4-ae5b-76104861e7dc"
    (tmp_path / "in.csv").write_text(f"device,user,ok\n{device},customer-1,1\n{device},customer-2,0\n")
    job = Job(
        input={"path": str(tmp_path / "in.csv"), "filter": "ok = '1'"},
        sync={"columns": [{"column": "device", "type": "gaid"}, {"column": "user", "dpid": 1234, "type": "crm"}]},
        output={"to": str(tmp_path / "out"), "kind": "id-sync"},
        report={"dir": str(tmp_path / "reports")},
    )  # fmt: skip
    report = convert(job)
    assert [each["columns"] for each in report.skipped_examples] == [{"device": "6d…dc", "user": "cu…-2"}]


def test_users_who_are_unchanged_are_counted_only(run: Run) -> None:
    job = {"delta": {"state": str(run.folder / "state")}}
    rows = "id,a\nu1,x\nu2,y\n"
    run.convert(rows, **job)
    report = run.convert(f"{rows}u3,\nu4,z\n", **job, output={"timestamp": TIMESTAMP + 1})
    assert report.records["skipped"] == {"no_signal": 1, "unchanged": 2}
    assert examples_of(report) == {"no_signal": [("in.csv", 4, {"id": "…"})]}
    parsed = check_alone(page_of(report.as_dict()))
    assert "2 rows of users who are unchanged: whole users are compared, not rows" in parsed.text


def test_a_page_shows_them_and_says_how_many_others_there_are(run: Run) -> None:
    run.write("id\ncustomer-13\n", "list.csv")
    rows = "".join(f"customer-{number:02},\n" for number in range(14)) + "customer-20,x\n"
    suppress = {"path": str(run.folder / "list.csv"), "column": "id"}
    report = run.convert(f"id,a\n{rows}", input={"suppress": suppress}).as_dict()
    parsed = check_alone(page_of(report))
    assert "no_signal line 2 " in parsed.text
    assert "id : cu…00" in parsed.text
    assert "no_signal line 12" not in parsed.text
    assert "suppressed line 15 " in parsed.text
    assert "(not shown)" in parsed.text
    assert "3 skipped rows: the first 10 of each reason are shown" in parsed.text
    fates = [
        attributes.get("data-fate") for tag, attributes in parsed.elements if tag == "tr" and "data-rule" in attributes
    ]
    assert fates == ["skipped"] * 11


def test_the_first_rows_are_kept_whatever_the_order_in_which_they_come() -> None:
    generator = np.random.default_rng(1)
    rows = [(file, row) for file in range(3) for row in range(40)]
    first, second = FirstSkips(), FirstSkips()
    for index in generator.permutation(len(rows)).tolist():
        file, row = rows[index]
        kept = first if index % 2 else second
        kept.add((file, 7), SkippedRows("row_repeated", np.array([row]), [{"id": str(row)}]))
    first.merge(second, lambda place: (place[0], 7))
    assert [(rule, skip.place, skip.row, skip.ids) for rule, skip in first] == [
        ("row_repeated", (0, 7), row, {"id": str(row)}) for row in range(MOST_SKIPPED)
    ]
