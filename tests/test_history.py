"""`aam-inbound history` and `aam-inbound report`: what is made of reports afterwards; and all pages in a browser."""

from __future__ import annotations

import datetime
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from converter.commands.report_files import history, make_page
from converter.errors import DestinationError, InputError, TooManyRejectsError
from converter.jobs.sections.servers import S3
from converter.report.page import page_of

from .conftest import TIMESTAMP, Run
from .errors import check_told, raises
from .servers.chromium import axe, browser
from .servers.scripted_s3 import scripted_place
from .test_cli import command
from .test_page import HOSTILE, Parsed, check_alone, hostile_report
from .test_report_dir import changes

NOW = datetime.datetime(2026, 3, 31, 12, tzinfo=datetime.UTC)


def run_on(day: str, *, read: int = 10, rejected: int = 0, **changed: Any) -> dict[str, Any]:
    """A report of a run on a day."""
    return {
        "schema_version": 5,
        "version": "0.1.0",
        "name": f"ftp_dpm_1_{day}",
        "outcome": "done",
        "exit_code": 0,
        "error": None,
        "started": f"{day}T02:00:00.000+00:00",
        "ended": f"{day}T02:00:01.000+00:00",
        "seconds": 1.0,
        "parts": [],
        "records": {"read": read, "written": read - rejected, "rejected": {"id_missing": rejected}, "skipped": {}},
        **changed,
    }


def folder_of(path: Path, *reports: dict[str, Any]) -> Path:
    for number, report in enumerate(reports):
        (path / f"{report['name']}.{number:012}.report.json").write_text(json.dumps(report))
    return path


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    failed = {"outcome": "failed", "exit_code": 1, "error": {"code": "E-INPUT-MISSING", "message": "No.", "hint": ""}}
    sent = run_on("2026-03-29")
    del sent["records"]
    return folder_of(
        tmp_path,
        run_on("2026-01-01", schema_version=1),
        run_on("2026-03-28", read=200, rejected=50),
        run_on("2026-03-30", read=0, **failed),
        run_on("2026-03-31", schema_version=99, later={"key": []}),
        sent,
    )


# --- history ----------------------------------------------------------------------------------------------------


def test_runs_of_all_versions_are_listed_the_latest_first(reports: Path) -> None:
    found = history(reports, now=NOW)
    days = [run["started"][:10] for run in found.runs]
    assert days == ["2026-03-31", "2026-03-30", "2026-03-29", "2026-03-28", "2026-01-01"]
    run = found.runs[3]
    assert (run["read"], run["written"], run["rejected"], run["skipped"]) == (200, 150, 50, 0)
    assert found.runs[2]["read"] is None, "files were sent, and no rows read"
    assert (found.runs[1]["outcome"], found.runs[1]["error"]) == ("failed", "E-INPUT-MISSING")
    assert [run["schema_version"] for run in found.runs] == [99, 5, 5, 5, 1]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"parts": 1}', '{"outcome": "done", "started": 7}', "\x00"])
def test_what_is_no_report_is_named(content: str, reports: Path) -> None:
    (reports / "other.report.json").write_text(content)
    found = history(reports, now=NOW)
    assert (len(found.runs), found.unread) == (5, ["other.report.json"])
    code, out, error = command(reports, "history", ".")
    assert (code, len(out.splitlines())) == (0, 6)
    assert "Not read, since it is not a report of a run: other.report.json." in error


def test_an_empty_folder_and_none_have_no_runs(tmp_path: Path) -> None:
    for folder in (".", "nowhere"):
        code, out, error = command(tmp_path, "history", folder)
        assert (code, out, error) == (0, f"There are no reports of runs in '{folder}'.\n", "")
    code, out, _ = command(tmp_path, "history", "--json")
    assert (code, json.loads(out)["runs"]) == (0, [])


def test_a_file_is_no_report_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, error = command(tmp_path, "history", "file")
    assert code == 1
    check_told(error, "E-FOLDER-READ", "'file'", "Not a directory")


def test_history_as_json_and_as_a_page_say_the_same(run: Run) -> None:
    run.convert("id,a\nu1,x\n:,x\n")
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS"):
        run.convert(
            "id,a\nu1,x\n:,x\n,z\n", output={"timestamp": TIMESTAMP + 1}, report={"max_rejects": 0, "page": False}
        )
    code, out, _ = command(run.folder, "history", "reports", "--json", "--html", "page.html")
    listed = json.loads(out)["runs"]
    assert code == 0
    assert [each["outcome"] for each in listed] == ["refused", "done"]
    assert [each["page"] for each in listed] == [None, listed[1]["report"].replace(".json", ".html")]
    parsed = check_alone((run.folder / "page.html").read_bytes())
    shown = [{key: each[key] for key in listed[0]} for each in parsed.data["runs"]]
    assert shown == listed
    assert "2 runs in the last 30 days, 1 of them not done." in parsed.text
    assert "is refused (E-TOO-MANY-REJECTS)" in parsed.text
    code, _, error = command(run.folder, "history", "reports", "--html", "none/page.html")
    check_told(error, "E-PAGE-WRITE", "none/page.html")
    assert code == 1


def test_the_page_has_the_last_30_days(reports: Path) -> None:
    parsed = check_alone(page_of(history(reports, now=NOW).as_dict()))
    assert parsed.names().count("svg") == 30
    assert "2026-03-28: 1 run, 150 rows written, 50 rejected, 0 skipped, 0 runs not done" in parsed.text
    assert "1 run before 2026-03-02" in parsed.text
    many = history(folder_of(reports, *(run_on("2026-03-27") for _ in range(500))), now=NOW)
    text = check_alone(page_of(many.as_dict())).text
    assert "2026-03-27: 500 runs, 5,000 rows written" in text
    assert "of 504 runs in the table; the bars have all" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_of_runs_are_only_text(text: str, reports: Path) -> None:
    report = run_on("2026-03-31", name=text, outcome=text, error={"code": text})
    (reports / "a.report.json").write_text(json.dumps(report))
    found = history(reports, now=NOW).as_dict()
    check_alone(page_of({**found, "folder": text}))
    _, out, _ = command(reports, "history", ".")
    assert not {"\x00", "\x1b", "\u202e", "\u2066"} & set(out)


def test_reports_on_s3_are_listed_and_get_pages(run: Run) -> None:
    with scripted_place() as place:
        settings = changes(place)
        report = run.convert("id,a\nu1,x\n:,x\n", **settings)
        s3 = S3(**settings["s3"])
        (listed,) = history(settings["report"]["dir"], s3).runs
        assert (listed["name"], listed["rejected"]) == (report.name, 1)
        path = make_page(report.report_path or "", s3)
        assert path == (report.report_path or "").replace(".json", ".html")
        (key,) = [key for key in place.server.objects if key.endswith(".html")]
        assert check_alone(place.server.objects[key]).data["records"] == report.records


# --- report -----------------------------------------------------------------------------------------------------


def test_the_page_of_a_report_is_made_again(run: Run) -> None:
    report = run.convert("id,a\nu1,x\n:,x\n")
    (page,) = (run.folder / "reports").glob("*.report.html")
    first = page.read_bytes()
    page.unlink()
    code, out, _ = command(run.folder, "report", report.report_path or "")
    assert (code, out) == (0, f"{page}\n")
    assert page.read_bytes() == first
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    code, out, _ = command(run.folder, "report", report.report_path or "", "--json")
    assert json.loads(out)["pages"] == [str(page)]


@pytest.mark.parametrize(
    "content, why",
    [("{", "not JSON"), ("[]", "not an object"), ("{}", "no known report"), ('{"parts": []}', "another form")],
)
def test_what_is_no_report_gets_no_page(content: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    code, _, error = command(tmp_path, "report", "a.json")
    assert code == 1
    check_told(error, "E-REPORT-READ", "'a.json'", why)
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
    with raises(InputError, "E-REPORT-READ"):
        make_page(tmp_path / "none.report.json")
    with raises(InputError, "E-REPORT-READ"):
        make_page(tmp_path)
    with raises(InputError, "E-FOLDER-READ", "a.json"):
        history(tmp_path / "a.json")


def test_a_page_that_cannot_be_written_is_an_error(reports: Path) -> None:
    report = min(reports.glob("*.report.json"))
    report.with_suffix(".html").mkdir()
    with raises(DestinationError, "E-PAGE-WRITE"):
        make_page(report)


def test_what_check_and_match_print_has_pages(tmp_path: Path) -> None:
    (tmp_path / "ftp_dpm_1_1366545717.sync").write_text("joe@example.com\ta\nu1\ta = b\n")
    (tmp_path / "crm.csv").write_text("id\nU1\nU2\n")
    (tmp_path / "site.csv").write_text("id\nu1\nu3\n")
    for args, title in (
        (["check", "ftp_dpm_1_1366545717.sync"], "Errors found: "),
        (["match", "crm.csv", "site.csv"], "50.0 % of the CRM's IDs match (1 of 2)."),
    ):
        _, out, _ = command(tmp_path, *args, "--json", "--html", "page.html")
        (tmp_path / "printed.json").write_text(out)
        page = make_page(tmp_path / "printed.json")
        parsed = check_alone(Path(page).read_bytes())
        assert title in parsed.text
        assert Parsed((tmp_path / "page.html").read_bytes()).text == parsed.text


# --- in a browser -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind, with what each can have."""
    run = Run(tmp_path_factory.mktemp("pages"))
    rows = "".join(f"u{number},x\n" for number in range(100))
    run.convert(f"id,a\n{rows}:1,x\n:2,<b>y</b>\n,x\nu9,\nu9,x,y\n", id={"case": "upper"})
    report = run.report
    report["pace"] = [
        {"seconds": at, "rows": at * 10, "bytes_read": at**2 * 1000, "bytes_sent": at * 700} for at in range(12)
    ]
    report["warnings"] = [{"level": "warning", "code": "W-X", "message": "A warning.", "hint": "A hint."}]
    check = run.folder / "ftp_dpm_1_1366545717.sync"
    check.write_text("joe@example.com\ta\nu1\ta = b\n")
    (run.folder / "site.csv").write_text("id\nU1\nu3\n")
    command(run.folder, "check", check.name, "--html", "check.html")
    command(run.folder, "match", "in.csv", "site.csv", "--html", "match.html")
    command(run.folder, "history", "reports", "--html", "history.html")
    hostile = hostile_report(report, "</script><img src=x onerror=document.title='hacked'>")
    found = {name: run.folder / f"{name}.html" for name in ("check", "match", "history", "run", "hostile")}
    found["run"].write_bytes(page_of(report))
    found["hostile"].write_bytes(page_of(hostile))
    return found


def opened(chromium: Any, path: Path, **options: Any) -> tuple[Any, list[str]]:
    """A page in a window of its own, and what it asks for and complains about."""
    seen: list[str] = []
    page = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}).new_page()
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
    page.goto(path.as_uri())
    return page, seen


@pytest.mark.parametrize("name", ["check", "match", "history", "run", "hostile"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_ask_for_nothing_and_fit(name: str, width: int, chromium: Any, pages: dict[str, Path]) -> None:
    page, seen = opened(chromium, pages[name], viewport={"width": width, "height": 800})
    assert seen == [pages[name].as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("h1").inner_text()
    assert "hacked" not in page.evaluate("document.title").replace("document.title='hacked'", "")
    page.context.close()


@pytest.mark.parametrize("name", ["check", "match", "history", "run"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(name: str, scheme: str, chromium: Any, pages: dict[str, Path]) -> None:
    script = axe()
    for width in (360, 1280):
        size = {"width": width, "height": 800}
        page, _ = opened(chromium, pages[name], viewport=size, color_scheme=scheme, bypass_csp=True)
        page.evaluate(script)
        page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = page.evaluate("(tags) => axe.run({runOnly: tags})", tags)
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
        assert len(found["passes"]) > 15
        page.context.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_a_click_filters_and_the_filter_stands_in_the_address(
    width: int, chromium: Any, pages: dict[str, Path]
) -> None:
    page, _ = opened(chromium, pages["run"], viewport={"width": width, "height": 800})
    rows = page.locator("tr[data-rule]:visible")
    expect(rows).to_have_count(5)
    page.get_by_role("link", name="id_forbidden_character").click()
    expect(page).to_have_url(re.compile("#rule=id_forbidden_character$"))
    expect(rows).to_have_count(2)
    expect(page.locator("#filter")).to_have_text("Only rule id_forbidden_character: 2 shown.")
    expect(page.locator("[aria-current]")).to_have_count(1)
    page.get_by_role("link", name="1 skipped").click()
    expect(page).to_have_url(re.compile("#fate=skipped$"))
    expect(rows).to_have_count(1)
    expect(page.get_by_role("region", name="Skipped rows")).to_contain_text("no_signal")
    expect(page.get_by_text("None of the rows on this page.")).to_have_count(2)
    expect(page.get_by_text("None of the rows on this page.").locator("visible=true")).to_have_count(1)
    page.go_back()
    expect(rows).to_have_count(2)
    page.reload()
    expect(rows).to_have_count(2)
    page.get_by_role("link", name="Show all reasons and rows").click()
    expect(rows).to_have_count(5)
    page.context.close()


def test_pages_are_used_by_keyboard(chromium: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(chromium, pages["run"])
    names = []
    for _ in range(40):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.innerText.split('\\n')[0]"))
        if names[-1] == "id_missing":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#rule=id_missing$"))
    expect(page.locator("tr[data-rule]:visible")).to_have_count(1)
    page.context.close()


def test_a_day_of_the_history_is_chosen(chromium: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(chromium, pages["history"])
    rows = page.locator("tr[data-day]:visible")
    expect(rows).to_have_count(1)
    page.locator("ol.days a").first.click()
    expect(rows).to_have_count(0)
    page.locator("ol.days a").last.click()
    expect(page).to_have_url(re.compile("#day="))
    expect(rows).to_have_count(1)
    page.context.close()


def test_pages_are_printed_with_all_of_the_job(chromium: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(chromium, pages["run"])
    expect(page.get_by_text("max_part_bytes").first).not_to_be_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(page.get_by_text("max_part_bytes").first).to_be_visible()
    assert page.pdf()[:5] == b"%PDF-"
    page.context.close()


def test_pages_say_all_without_their_script(chromium: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(chromium, pages["run"], java_script_enabled=False)
    expect(page.locator("tr[data-rule]:visible")).to_have_count(5)
    page.context.close()
