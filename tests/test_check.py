"""The command `check`: files of any program, what they break together, and in which forms that is reported."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from converter import check
from converter.errors import InputError, JobError

from .conftest import Run
from .errors import raises
from .test_cli import command
from .test_inbound import DATA, GOOD, OVERWRITE

BAD = b'john@example.com\t"name"="Anna 1984",x\n'


def put(folder: Path, *files: tuple[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files:
        (folder / name).write_bytes(content)
    return folder


def broken(folder: Path) -> dict[str, list[str]]:
    return {Path(file.path).name: [each.name for each in file.findings] for file in check(folder).files}


def test_what_convert_writes_breaks_no_rule(run: Run) -> None:
    rows = "".join(f"user{n},v{n % 913},{n % 13}\n" for n in range(20_000))
    run.convert("id,a,t\n" + rows, record={"signals": ["a"], "traits": ["t"]}, output={"max_part_raw_bytes": "300KB"})
    report = check(run.out)
    assert len(report.files) > 1
    assert report.counts.total() == 0
    assert sum(file.lines or 0 for file in report.files) == 20_000


def test_all_files_of_a_folder_are_checked_but_those_that_are_hidden(tmp_path: Path) -> None:
    put(tmp_path / "in", (DATA, GOOD), ("crm.csv", b"id,a\n"), (".hidden", b"x"))
    (tmp_path / "in" / "folder").mkdir()
    assert broken(tmp_path / "in") == {"crm.csv": ["name_wrong"], DATA: []}


def test_t2_both_modes_of_a_data_source_and_names_that_are_there_twice_are_found(tmp_path: Path) -> None:
    one = put(tmp_path / "one", (DATA, GOOD), ("ftp_dpm_99_1366545717.overwrite", GOOD))
    other = put(tmp_path / "other", (OVERWRITE, GOOD), ("ftp_dpm_99_1366545717.overwrite", GOOD))
    found = [[each.name for each in file.findings] for file in check([one, other]).files]
    assert found == [["both_modes"], ["name_twice"], ["both_modes"], ["name_twice"]]


def test_the_first_lines_are_shown_where_they_break_a_rule_and_nothing_of_them_can_be_read(tmp_path: Path) -> None:
    put(tmp_path / "in", (DATA + ".gz", gzip.compress(GOOD * 3 + BAD * 20)))
    (file,) = check(tmp_path / "in").files
    found = {each.name: each for each in file.findings}
    assert found.keys() == {"id_is_email", "signal_wrong"}
    wrong = found["signal_wrong"]
    assert (wrong.line, wrong.lines, wrong.code, wrong.level) == (4, 20, "C2", "error")
    assert [each.line for each in wrong.examples] == list(range(4, 14))
    assert {each.column for each in wrong.examples} == {BAD.index(b"x\n") + 1}
    assert {each.shape for each in wrong.examples} == {'aaaa@aaaaaaa.aaa\\t"aaaa"="aaaa 0000",a'}
    assert wrong.page.endswith(".md")


def test_what_cannot_be_checked_is_an_error(tmp_path: Path) -> None:
    with raises(JobError, "E-CHECK-NO-FILES"):
        check(put(tmp_path / "empty"))
    with raises(InputError, "E-INPUT-MISSING"):
        check(tmp_path / "*.gz")
    with raises(InputError, "E-INPUT-READ"):
        check([tmp_path / DATA])


@pytest.mark.parametrize(
    "content, options, code",
    [(GOOD, [], 0), (GOOD + b"\n", [], 0), (GOOD + b"\n", ["--strict"], 3), (BAD, [], 3), (GOOD, ["--strict"], 0)],
)
def test_the_exit_code_says_whether_a_rule_is_broken(
    tmp_path: Path, content: bytes, options: list[str], code: int
) -> None:
    put(tmp_path / "in", (DATA, content))
    assert command(tmp_path, "check", "in", *options)[0] == code


def test_a_check_in_json_counts_no_warnings_as_0_and_becomes_a_page(tmp_path: Path) -> None:
    put(tmp_path / "in", (DATA, GOOD))
    _, out, _ = command(tmp_path, "check", "in", "--json", "--html", "check.html")
    assert json.loads(out)["warnings"] == 0
    (tmp_path / "check.json").write_text(out)
    assert command(tmp_path, "report", "check.json")[0] == 0
    for name in ("check.html", "check.report.html"):
        page = re.sub("<[^>]*>", "", (tmp_path / name).read_text())
        assert "1 file" in page
        assert "1 files" not in page


def test_json_ndjson_and_junit_have_the_same_findings_and_no_personal_data(tmp_path: Path) -> None:
    put(tmp_path / "in", (DATA, GOOD + BAD), ("ftp_dpm_99_1366545717.sync", GOOD))
    _, out, err = command(tmp_path, "check", "in", "--json", "--junit", "check.xml")
    found = json.loads(out)
    assert (found["exit_code"], found["outcome"], found["errors"]) == (3, "refused", 2)
    assert found["error"]["code"] == "E-CHECK-RULES"
    names = [each["name"] for each in found["files"][0]["findings"]]
    _, lines, _ = command(tmp_path, "check", "in", "--ndjson")
    assert [(each["name"], each["line"]) for each in map(json.loads, lines.splitlines())] == [
        (name, 2) for name in names
    ]
    suite = ElementTree.parse(tmp_path / "check.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    (failure,) = suite.iter("failure")
    assert all(name in str(failure.text) for name in names)
    _, shown, _ = command(tmp_path, "check", "in")
    assert all(name in shown for name in names)
    for text in (out, err, lines, shown, (tmp_path / "check.xml").read_text()):
        assert "john" not in text
        assert "Anna" not in text


def test_quiet_shows_errors_alone(tmp_path: Path) -> None:
    put(tmp_path / "in", (DATA, GOOD + b"\n" + BAD), ("ftp_dpm_99_1366545717.sync", GOOD + b"\n"))
    _, shown, _ = command(tmp_path, "check", "in", "--quiet")
    assert "signal_wrong" in shown
    assert "line_blank" not in shown
    assert "ftp_dpm_99" not in shown
    assert command(tmp_path, "check", "in/ftp_dpm_99_1366545717.sync", "--quiet")[:2] == (0, "")


def test_a_junit_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "in", (DATA, GOOD))
    code, _, err = command(tmp_path, "check", "in", "--junit", "none/check.xml")
    assert code == 1
    assert "E-FOLDER-WRITE" in err


def test_files_beside_inbound_files_are_left_out_of_folders_and_those_of_days_are_in_them(tmp_path: Path) -> None:
    beside = ("a.report.json", "a.rejects.ndjson.gz", "a.journal", "_SUCCESS", f"{DATA}.processed", f"{DATA}.md5")
    folder = put(tmp_path / "in", (DATA, GOOD), *((name, b"x") for name in beside))
    put(folder / "date=2026-11-28", (OVERWRITE.replace("1234", "99"), GOOD))
    report = check(folder)
    assert [Path(file.path).name for file in report.files] == [OVERWRITE.replace("1234", "99"), DATA]
    assert sorted(Path(path).name for path in report.left_out) == sorted(beside)
    assert report.as_dict()["left_out"] == list(report.left_out)
    _, shown, _ = command(tmp_path, "check", "in")
    assert "6 other files in these folders" in shown
    assert broken(put(tmp_path / "one", ("_SUCCESS", GOOD)) / "_SUCCESS") == {"_SUCCESS": ["name_wrong"]}


def test_findings_have_what_to_do_and_where(tmp_path: Path) -> None:
    put(tmp_path / "in", (DATA, b"u\ta=b\n"))
    (file,) = check(put(tmp_path / "in", (DATA, b'u\ta=b,"c!"="1"\n'))).files
    (found,) = file.findings
    assert found.fix.endswith(".")
    assert [(each.line, each.column) for each in found.examples] == [(1, 8)]
    _, shown, _ = command(tmp_path, "check", "in")
    assert "1 line\n" in shown
    assert found.fix in shown


def test_hints_fail_nothing(tmp_path: Path) -> None:
    put(tmp_path / "in", (DATA, b"u\ta=" + b"x" * 229 + b"\n"))
    code, shown, _ = command(tmp_path, "check", "in", "--strict")
    assert code == 0
    assert "1 file: 0 errors, 0 warnings, 1 hint" in shown


def test_chunks_are_checked_at_the_same_time_and_reported_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converter.commands.check.BLOCK_BYTES", 1 << 12)
    content = b"".join(b"user%d\ta=%d%s\n" % (n, n, b",x" * (n % 5000 == 7)) for n in range(60_000))
    put(tmp_path / "in", (DATA, content))
    reports = [check(tmp_path / "in", threads=threads) for threads in (1, 2, 7)]
    assert reports[0] == reports[1] == reports[2]
    assert [each.line for each in reports[0].files[0].findings[0].examples] == [5000 * n + 8 for n in range(10)]


def test_names_that_control_a_terminal_are_escaped(tmp_path: Path) -> None:
    names = ["a\x1b[31mred.sync", DATA + "\n", "\u202e.gz", os.fsdecode(b"\xff.sync")]
    put(tmp_path / "in", *((name, GOOD) for name in names))
    code, out, _ = command(tmp_path, "check", "in", "--junit", "junit.xml")
    assert code == 3
    assert [mark for mark in out if not mark.isprintable() and mark != "\n"] == []
    assert len([line for line in out.splitlines() if line.startswith("in/")]) == len(names)
    suite = ElementTree.fromstring((tmp_path / "junit.xml").read_bytes())
    assert sorted(case.get("name", "") for case in suite)[0] == "in/\\u202e.gz"
