"""Reports as pages: they say what the report says, ask no other place for anything, and show any value as text only."""

from __future__ import annotations

import json
import os
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from converter import Transfer, convert, send
from converter.commands.progress import Progress, Track
from converter.commands.retention import remove_old
from converter.delivery.run_files import FolderFiles
from converter.errors import DestinationError, EmptyInputError, InputError, TooManyRejectsError
from converter.jobs.job import DIGITS
from converter.report.page import page_of
from converter.report.texts import visible

from .conftest import Run
from .errors import raises
from .servers.scripted_s3 import scripted_place
from .test_report_dir import changes
from .test_resume import KilledError, die_at

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><b onmouseover=alert(1)>",
    "line\u2028separator\u2029end",
    "\u202eright-to-left\u2066",
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "nul\x00\x1b[31m",
]


class Parsed(HTMLParser):
    """A page: its elements, its text, its links, and the data of its script."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.json = ""
        self._inside: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        inside = self._inside[-1] if self._inside else ""
        if inside == "script" and self.elements[-1][1].get("type") == "application/json":
            self.json += data
        elif inside not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def data(self) -> dict[str, Any]:
        found = json.loads(self.json)
        assert isinstance(found, dict)
        return found

    def names(self) -> list[str]:
        return [tag for tag, _ in self.elements]


def page_in(folder: Path) -> Path:
    (path,) = folder.glob("*.report.html")
    return path


def report_of(run: Run, content: str = "id,a\nu1,x\n:,x\n,y\n", **changes: Any) -> dict[str, Any]:
    """The report of a small run, as it is written."""
    run.convert(content, **changes)
    return run.report


def check_alone(page: bytes) -> Parsed:
    """Check that a page is small, valid, runs only its own script, and loads nothing."""
    assert len(page) <= 250_000
    parsed = Parsed(page)
    assert parsed.names().count("script") == 2, "its data and its own"
    assert not {"img", "iframe", "object", "embed", "form", "base", "video", "audio"} & set(parsed.names())
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert "src" not in attributes
        if "href" in attributes:
            assert tag == "link" or (attributes["href"] or "#").startswith(("#", "./")), attributes
    policies = [each.get("content") for tag, each in parsed.elements if each.get("http-equiv")]
    assert len(policies) == 1
    assert "default-src 'none'" in str(policies[0])
    assert "unsafe" not in str(policies[0])
    assert not re.search(rb"url\(|@import", page)
    return parsed


# --- the page of a run ------------------------------------------------------------------------------------------


def test_the_page_has_the_numbers_of_the_report(run: Run) -> None:
    report = report_of(run, "id,a\nu1,x\n:,x\n,y\nu2,\n u3 ,z\n", id={"case": "upper"})
    parsed = check_alone(page_in(run.folder / "reports").read_bytes())
    for name in ("records", "ids", "signals", "outcome", "exit_code", "seconds", "started", "ended", "name"):
        assert parsed.data[name] == report[name]
    records = report["records"]
    assert (records["read"], records["written"]) == (5, 2)
    assert parsed.data["lines"] == sum(part["lines"] for part in report["parts"]) == 2
    assert parsed.data["bytes"] == sum(part["bytes"] for part in report["parts"])
    assert "Done: 2 of 5 rows are written, in 1 part; 2 rejected, 1 skipped." in parsed.text
    assert f"--rejects-of {report['report_path']}" in parsed.text
    for name in (*records["rejected"], *records["skipped"], *report["ids"]["changed"]):
        assert name in parsed.text
        assert report["meanings"][name]["text"] in parsed.text
    for part in report["parts"]:
        assert part["url"] in parsed.text
    links = [each["href"] for tag, each in parsed.elements if tag == "a"]
    assert f"./{Path(report['rejects_path']).name}" in links


def test_a_run_leaves_no_page_where_the_job_says_so(run: Run) -> None:
    with raises(EmptyInputError, "E-NO-ROWS"):
        run.convert("id,a\n", report={"page": False})
    run.convert("id,a\nu1,x\n", report={"page": False})
    assert not list((run.folder / "reports").glob("*.html"))


def test_the_page_is_private_and_goes_with_its_report(run: Run) -> None:
    report = run.convert("id,a\nu1,x\n")
    path = page_in(run.folder / "reports")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name == Path(report.report_path or "").name.replace(".json", ".html")
    job = run.make_job(report={"keep": "1d"})
    for each in (run.folder / "reports").iterdir():
        os.utime(each, (0, 0))
    for number in range(6):  # those of the newest six runs stay
        newer = path.with_name(path.name.replace("1366545717", f"136654571{number}").replace(".html", ".json"))
        newer.write_bytes(Path(report.report_path or "").read_bytes())
    files = FolderFiles(run.folder / "reports")
    assert remove_old(files, job, job.digest[:DIGITS]) == []
    assert not path.exists()
    assert not Path(report.report_path or "").exists() or "1366545717" in newer.name


def test_runs_that_are_refused_or_fail_leave_a_page(run: Run) -> None:
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS"):
        run.convert("id,a\nu1,x\n:,x\n", report={"max_rejects": 0})
    page = page_in(run.folder / "reports")
    assert page.name.endswith(".failed-1.report.html")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    parsed = check_alone(page.read_bytes())
    assert parsed.data["outcome"] == "refused"
    assert "Refused: 2 rows were read, 1 rejected" in parsed.text
    assert "Nothing was published" in parsed.text
    assert "id_forbidden_character" in parsed.text
    with raises(EmptyInputError, "E-NO-ROWS"):
        run.convert("id,a\n")
    (second,) = (run.folder / "reports").glob("*.failed-2.report.html")
    assert "Failed: The input has no rows" in check_alone(second.read_bytes()).text


def test_a_run_without_input_leaves_a_page(run: Run) -> None:
    with raises(InputError, "E-INPUT-MISSING"):
        run.convert()
    assert "Failed: " in check_alone(page_in(run.folder / "reports").read_bytes()).text


def test_a_page_that_cannot_be_written_does_not_hide_the_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converter.report.page_file._made", lambda _: exec("raise OSError(28, 'full')"))
    with raises(InputError, "E-INPUT-MISSING"):
        run.convert()
    with raises(DestinationError, "E-REPORT-WRITE"):
        run.convert("id,a\nu1,x\n")
    assert run.files == []


@pytest.mark.parametrize("where", ["publishing", "published"])
def test_a_run_that_died_while_it_published_gets_its_page(
    run: Run, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    with monkeypatch.context() as patch:
        die_at(patch, where)
        with pytest.raises(KilledError):
            run.convert("id,a\nu1,x\n")
    report = run.convert(resume=True)
    page = page_in(run.folder / "reports")
    assert check_alone(page.read_bytes()).data["seconds"] == report.seconds
    assert not [each for each in (run.folder / "reports").iterdir() if each.name.endswith(".partial")]


def test_what_a_run_that_was_abandoned_has_prepared_is_removed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        die_at(patch, "publishing")
        run.write("id,a\nu1,x\n")
        with pytest.raises(KilledError):
            convert(run.make_job(output={"timestamp": None}), now=1_366_545_717)
    assert len(list((run.folder / "reports").glob("*1366545717*.partial"))) == 3
    convert(run.make_job(output={"timestamp": None}), now=1_366_545_800)
    left = sorted(each.name for each in (run.folder / "reports").iterdir())
    assert not [name for name in left if "1366545717" in name and name.endswith(".partial")], left


def test_pages_are_on_s3_with_their_reports(run: Run) -> None:
    with scripted_place() as place:
        settings = changes(place)
        run.convert("id,a\nu1,x\n:,x\n", **settings)
        (name,) = [key for key in place.server.objects if key.endswith(".report.html")]
        assert name.startswith("reports/crm/")
        assert not [key for key in place.server.objects if key.endswith(".partial")]
        report = json.loads(place.server.objects[name.replace(".html", ".json")])
        page = check_alone(place.server.objects[name])
        assert page.data["records"] == report["records"]


def test_files_that_are_sent_have_a_page(tmp_path: Path) -> None:
    name = "ftp_dpm_1_1366545717.sync"
    (tmp_path / name).write_text('customer-0001\t"a"="x"\n')
    transfer = Transfer(output={"to": str(tmp_path / "out")}, report={"dir": str(tmp_path / "reports")})
    send(tmp_path / name, transfer)
    parsed = check_alone(page_in(tmp_path / "reports").read_bytes())
    assert "Done: 1 file sent." in parsed.text
    assert "records" not in parsed.data


def test_the_report_has_the_first_examples_of_each_rule_masked(run: Run) -> None:
    rows = "".join(f":secret{number},x\n,value{number}\n" for number in range(40))
    report = report_of(run, f"id,a\nu1,x\n{rows}u2,x,y,z\n", report={"show_rows": True})
    rules = [each["rule"] for each in report["examples"]]
    assert {rule: rules.count(rule) for rule in rules} == {
        "id_forbidden_character": 10,
        "id_missing": 10,
        "row_too_long": 1,
    }
    assert [each["row"] for each in report["examples"] if each["rule"] == "id_missing"][:3] == [4, 6, 8]
    assert "secret" not in json.dumps(report["examples"])
    assert not [each for each in report["examples"] if "text" in each], "not even with report.show_rows"
    assert report["examples"] == [
        {key: value for key, value in each.items() if key != "text"}
        for each in run.rejects
        if each["row"] <= 22 or each["rule"] == "row_too_long"
    ]
    assert report["first_lines"] == [r'a0\t"a"="a"']


def test_examples_do_not_depend_on_blocks(run: Run) -> None:
    rows = "".join(f"u{number},x\n:{number},x\n,y\n" for number in range(3000))
    first = report_of(run, f"id,a\n{rows}")["examples"]
    assert len(first) == 20
    assert [each["row"] for each in first[:4]] == [3, 4, 6, 7]


def test_how_far_a_run_was_is_kept_in_few_points() -> None:
    track = Track()
    assert track.points() == []
    for number in range(100_000):
        track.add(Progress(seconds=number / 100, rows=number, bytes_read=10 * number))
    points = track.points()
    assert len(points) <= 61
    assert (points[0].seconds, points[-1].seconds, points[-1].rows) == (0, 999.99, 99_999)
    assert points == sorted(points)


# --- hostile and large reports ----------------------------------------------------------------------------------


def hostile_report(report: dict[str, Any], text: str) -> dict[str, Any]:
    """The report with a text in place of each of its texts, and of each name that comes from a table or a job."""

    def changed(value: Any) -> Any:
        if isinstance(value, str):
            return text
        if isinstance(value, dict):
            return {key: changed(each) for key, each in value.items()}
        return [changed(each) for each in value] if isinstance(value, list) else value

    hostile = changed(report)
    for fate in ("rejected", "skipped"):
        hostile["records"][fate] = {text: 3}
    hostile["examples"] = [{**each, "columns": {text: text}} for each in hostile["examples"]]
    hostile["meanings"] = {text: {"code": text, "text": text}}
    hostile["job"] = {text: {text: [text, {text: text}]}}
    return hostile


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values_are_only_text(text: str, run: Run) -> None:
    report = hostile_report(report_of(run), text)
    parsed = check_alone(page_of(report))
    assert set(parsed.names()) == set(check_alone(page_of(run.report)).names())
    shown = visible(text, 300)
    assert " ".join(shown.split()) in parsed.text
    assert parsed.data["name"] == shown
    page = page_of(report).decode()
    assert not re.search("[\x00-\x08\x0b-\x1f\u2028-\u202e\u2066-\u2069]", page)


def test_pages_are_small_whatever_the_report_has(run: Run) -> None:
    report = report_of(run)
    long = "x" * 100_000
    part = report["parts"][0]
    example = {**report["examples"][0], "file": long, "columns": {f"{number}{long}": long for number in range(8)}}
    large = {
        **report,
        "parts": [{**part, "url": f"{long}{number}"} for number in range(3000)],
        "input": [{"path": long, "bytes": 1}] * 3000,
        "warnings": [{"level": "warning", "code": "W-X", "message": long, "hint": long}] * 1000,
        "records": {**report["records"], "rejected": {f"rule_{number}": 1000 for number in range(90)}},
        "examples": [{**example, "rule": f"rule_{number % 90}"} for number in range(200)],
        "job": {name: {f"{number}{long}": long for number in range(2000)} for name in ("input", "output")},
        "first_lines": [long] * 10,
        "report_path": long,
    }
    parsed = check_alone(page_of(large))
    assert parsed.data["parts"] == 3000, "its numbers are of all"
    omitted = parsed.text.partition("What this page leaves out")[2]
    assert "of 3,000 parts" in omitted
    assert "rejected rows" in omitted


@pytest.mark.parametrize("known", [{}, {"schema_version": 1}, {"schema_version": 99, "new": {"key": [1]}}])
def test_reports_of_other_versions_have_pages(known: dict[str, Any], run: Run) -> None:
    report = report_of(run)
    later = {
        "schema_version",
        "meanings",
        "examples",
        "skipped_examples",
        "first_lines",
        "pace",
        "spark",
        "complete",
        "retries",
    }
    old = {key: value for key, value in report.items() if key not in later} | known
    parsed = check_alone(page_of(old))
    assert parsed.data["records"] == report["records"]


@pytest.mark.parametrize("data", [{}, {"parts": 1}, {"parts": [1], "outcome": "done"}, {"files": [{}]}])
def test_what_is_no_report_has_no_page(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        page_of(data)
