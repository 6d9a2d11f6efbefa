"""Receipts of Audience Manager: mails of all forms are read, and compared with the reports of what was sent."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from converter import receipt, send
from converter.errors import InputError
from converter.report import mails
from converter.report.receipt_text import Receipt, receipt_in
from converter.spec.receipts import ERRORS, FIGURES, RECEIPT_PAGE, figure_of, stored_by

from .conftest import Run
from .errors import check_told, raises
from .test_cli import command

DATA = Path(__file__).parent / "data" / "receipts"
SMALL = "Records received: 3\nRecords processed: 3\n"
CRM = "id,a,b\nK1,f,12\nK2,m,\nK3,x,y\n"


def read(mail: bytes | str) -> Receipt:
    found = receipt_in(mail.encode() if isinstance(mail, str) else mail)
    assert found
    return found


# --- mails ------------------------------------------------------------------------------------------------------


def test_a_receipt_as_text_is_read() -> None:
    found = read((DATA / "plain.eml").read_bytes())
    assert found.partner == "77"
    assert found.files == [("ftp_dpm_1234_1366545717.sync.1", "2013-04-21")]
    shown = [figure.label for figure in FIGURES if figure.key in found.figures]
    assert len(shown) == 14
    assert found.figures["total_users_failed_validation"] == 0
    assert (found.figures["records_received"], found.figures["total_signals"]) == (3, 5)
    assert found.unknown == {"Total cookies refreshed": 12}
    assert (found.started, found.ended) == ("2013-04-21 18:07:49", "2013-04-21 18:45:02")
    assert found.repeated == []


def test_a_receipt_in_html_is_read_from_tables_and_blocks() -> None:
    found = read((DATA / "html.eml").read_bytes())
    assert [each.name for each in found.files] == [
        "ftp_dpm_1234_1366545717.sync.1",
        "ftp_dpm_1234_1366545717.sync.2.gz.processed",
    ]
    assert found.figures == {
        "records_received": 40_669_900,
        "format_errors": 0,
        "invalid_aam_id": 112,
        "no_matching_aam_id": 0,
        "no_trait_realized": 26_730_823,
        "records_processed": 40_669_900,
        "stored_records": 13_938_958,
        "percent_success": 98.5,
        "total_devices": 21,
        "total_signals": 918_878_926,
    }
    assert found.unknown == {"Something new": 7}
    assert (found.partner, found.started, found.ended) == ("77", "2013-04-21 18:07:49", None)


def test_a_quoted_text_without_headers_is_read() -> None:
    found = read((DATA / "quoted.txt").read_bytes())
    assert [each.name for each in found.files] == ["ftp_dpm_1234_1366545717.sync.1", "ftp_dpm_99_1366545717.overwrite"]
    assert found.figures == {"records_received": 1000, "invalid_lines": 3, "records_processed": 999}
    assert found.repeated == ["Records received"]


@pytest.mark.parametrize(
    "charset",
    ["utf-8", "utf-16", "iso-8859-1", "windows-1252", "shift_jis", "x-unknown", "zlib", "punycode", "utf-8\x00"],
)
@pytest.mark.parametrize("encoding", ["8bit", "base64"])
def test_all_charsets_are_read_or_taken_for_utf_8(charset: str, encoding: str) -> None:
    name = charset if charset in ("utf-16", "iso-8859-1", "windows-1252", "shift_jis") else "utf-8"
    content = SMALL.encode(name)
    content = base64.encodebytes(content) if encoding == "base64" else content
    head = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n"
    assert read(head.encode() + content).figures == {"records_received": 3, "records_processed": 3}


@pytest.mark.parametrize("mail", [
    b"",
    b"\n\n\n",
    b"id,a\n1,2\n",
    b"Subject: hello\n\nRecords received: 3\n",  # one number alone is not a receipt
    b"Records received: many\nRecords processed: none\n",
    bytes(range(256)) * 100,
    b"Content-Type: multipart/mixed; boundary=x\n\n--x\n",
    b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!!!",
    b"Content-Type: text/html; charset*0*=utf-8''%E2%82\n\n<table><tr><td>Records received<td>x",
], ids=range(9))  # fmt: skip
def test_what_has_no_receipt_is_an_error(tmp_path: Path, mail: bytes) -> None:
    (tmp_path / "mail.eml").write_bytes(mail)
    with raises(InputError, "E-RECEIPT-NONE", "mail.eml", ".eml"):
        receipt(tmp_path / "mail.eml")


HOSTILE = {
    "declarations": "<!" * 400_000,
    "comments": "<!--" * 200_000,
    "tags": "<a " * 300_000,
    "attributes": "<a " + "b='" * 300_000,
    "instructions": "<?" * 400_000,
    "ends": "</" * 400_000,
    "entities": "&#" * 400_000,
    "blocks": "<div>" * 200_000,
    "labels": "a" * 900_000,
    "spaces": "Records received" + " " * 900_000,
    "colons": "Records received" + ":\t" * 400_000 + "x",
    "digits": "Records received: " + "1,000" * 150_000,
    "slashes": "s3n://" + "a/" * 400_000,
    "names": "ftp_dpm_" * 100_000,
    "quotes": "> " * 400_000,
    "partners": "Partner: (" * 90_000,
}


@pytest.mark.parametrize("kind", ["plain", "html"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_take_little_time(name: str, kind: str) -> None:
    started = time.process_time()
    receipt_in(f"Content-Type: text/{kind}\n\n{HOSTILE[name]}".encode())
    assert time.process_time() - started < 10


def test_mails_that_are_too_deep_or_too_large_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "mail.eml"
    path.write_bytes(b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)))
    with raises(InputError, "E-RECEIPT-READ", "mail.eml", "malformed"):
        receipt(path)
    path.write_bytes(SMALL.encode() + b" " * mails.MOST_BYTES)
    with raises(InputError, "E-RECEIPT-SIZE", "mail.eml", "10,000,000"):
        receipt(path)
    with raises(InputError, "E-RECEIPT-READ", str(tmp_path)):
        receipt(tmp_path)


def test_a_receipt_is_found_among_many_parts_and_large_ones() -> None:
    large = "--x\nContent-Type: text/plain\n\n" + "Records received: 9\n" * 60_000
    other = "--x\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA\n" * 50
    mail = f"Content-Type: multipart/mixed; boundary=x\n\n{large}\n{other}--x\nContent-Type: text/plain\n\n{SMALL}\n--x--\n"
    assert read(mail).figures["records_received"] == 3


# --- beside reports ---------------------------------------------------------------------------------------------


def mail(run: Run, names: list[str], **figures: Any) -> Path:
    labels = {figure.key: figure.label for figure in FIGURES}
    files = "\n".join(f"s3n://bucket/2013-04-21/{name}" for name in names)
    numbers = "\n".join(f"{labels[key]}: {value}" for key, value in figures.items())
    path = run.folder / "mail.txt"
    path.write_text(f"File name:\n{files}\n\n{numbers}\n")
    return path


def verdicts(found: Any) -> dict[str, tuple[float | None, str]]:
    return {each.figure.key: (each.expected, each.verdict) for each in found.compared}


def test_numbers_are_compared_with_the_reports_of_the_files(run: Run) -> None:
    report = run.convert(CRM, record={"signals": ["a", "b"]})
    (part,) = report.parts
    right = {"records_received": 3, "records_processed": 3, "total_signals": 5, "format_errors": 0}
    found = receipt(mail(run, [part.name.removesuffix(".gz")], **right), report_dir=run.folder / "reports")
    assert verdicts(found) == {
        "records_received": (3, "as expected"),
        "format_errors": (0, "as expected"),
        "records_processed": (3, "as expected"),
        "total_signals": (5, "as expected"),
    }
    assert (found.runs, found.foreign, found.missing, found.differing) == ([report.name], [], [], [])
    wrong = {"records_received": 2, "records_processed": 3, "total_signals": 4, "no_trait_realized": 1}
    found = receipt(mail(run, [part.name], **wrong), reports=[report.report_path or ""])
    assert [each.figure.key for each in found.differing] == ["records_received", "records_processed", "total_signals"]
    assert verdicts(found)["no_trait_realized"] == (None, "a loss")
    assert all(each["advice"] for each in found.as_dict()["compared"])


def test_files_of_others_and_files_that_are_missing_are_named(run: Run) -> None:
    report = run.convert("id,a\n" + "K0000,x\n" * 30, output={"max_part_raw_bytes": "100B", "compression": "none"})
    names = [part.name for part in report.parts]
    assert len(names) > 1
    found = receipt(
        mail(run, [names[0], "ftp_dpm_99_1366545717.overwrite"], records_received=3, records_processed=3),
        report_dir=run.folder / "reports",
    )
    assert [each.name for each in found.foreign] == ["ftp_dpm_99_1366545717.overwrite"]
    assert [each.name for each in found.missing] == names[1:]
    assert verdicts(found)["records_received"] == (None, "not compared")  # there are lines of others
    found = receipt(mail(run, names[:1], records_received=3, records_processed=3), report_dir=run.folder / "reports")
    assert verdicts(found)["records_received"][0] == report.parts[0].lines


def test_files_that_are_converted_and_then_sent_count_once(run: Run) -> None:
    report = run.convert(CRM, record={"signals": ["a", "b"]})
    job = {"output": {"to": str(run.folder / "sent")}, "report": {"dir": str(run.folder / "reports")}}
    from converter import Transfer

    sent = send([part.url for part in report.parts], Transfer(**job))  # type: ignore[arg-type]
    path = mail(run, [report.parts[0].name], records_received=3, records_processed=3, total_signals=5)
    found = receipt(path, job=Transfer(**job))  # type: ignore[arg-type]
    assert set(found.runs) == {report.name, sent.name}
    assert found.differing == []
    assert verdicts(found)["total_signals"] == (5, "as expected")


def test_stored_records_follow_from_the_others(run: Run) -> None:
    figures = {"records_received": 40_669_900, "format_errors": 0, "invalid_aam_id": 112, "no_matching_aam_id": 0,
               "no_trait_realized": 26_730_823, "records_processed": 40_669_900, "stored_records": 13_938_958}  # fmt: skip
    found = receipt(mail(run, [], **figures), report_dir=run.folder)
    assert verdicts(found)["stored_records"] == (13_938_965, "differs")  # as in the sample of Adobe
    assert stored_by({each.key: 1 for each in ERRORS}) is None


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"name": 1}', b'{"name": "x", "parts": [{}]}'])
def test_a_report_that_is_none_is_an_error(run: Run, content: bytes | None) -> None:
    path = run.folder / "x.report.json"
    if content is not None:
        path.write_bytes(content)
    with raises(InputError, "E-RECEIPT-REPORT", "x.report.json"):
        receipt(mail(run, [], records_received=3, records_processed=3), reports=[path])
    assert receipt(mail(run, [], records_received=3, records_processed=3), report_dir=run.folder).runs == []


def test_labels_are_known_in_any_case_and_spacing() -> None:
    assert all(figure_of(label.upper()) is figure for figure in FIGURES for label in (figure.label, *figure.others))
    assert figure_of(" no  matching aam-id ") is figure_of("No Matching AAM ID")
    assert figure_of("Records") is None
    assert len({figure.key for figure in FIGURES}) == len(FIGURES)
    assert all(figure.meaning and figure.page.endswith(".md") for figure in FIGURES)
    assert RECEIPT_PAGE.endswith("inbound-receipt-message.md")


# --- the command ------------------------------------------------------------------------------------------------


def test_the_command_shows_numbers_and_says_what_to_do(run: Run) -> None:
    run.convert(CRM, record={"signals": ["a", "b"]})
    code, out, error = command(run.folder, "receipt", str(DATA / "plain.eml"))
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert "      3         3  Records received" in lines
    assert "      1            No Matching AAM ID  <- a loss" in lines
    assert "     12            Total cookies refreshed  (unknown)" in lines
    assert "1 file in the receipt, 1 of them in 1 report of runs." in lines
    assert "No Matching AAM ID: 33.3% of the records." in out
    code, out, _ = command(run.folder, "receipt", str(DATA / "plain.eml"), "--json", "--report-dir", "none")
    found = json.loads(out)
    assert (code, found["runs"], found["foreign"]) == (
        0,
        [],
        [{"name": "ftp_dpm_1234_1366545717.sync.1", "day": "2013-04-21"}],
    )
    assert found["receipt"]["figures"]["total_devices"] == 4
    code, out, error = command(run.folder, "receipt", str(run.folder / "in.csv"))
    assert (code, out) == (1, "")
    check_told(error, "E-RECEIPT-NONE", "in.csv")


def test_the_report_folder_is_that_of_the_job(run: Run) -> None:
    run.convert(CRM, record={"signals": ["a", "b"]})
    (run.folder / "job.toml").write_text('[output]\nto = "out"\n[report]\ndir = "reports"\n')
    (run.folder / "elsewhere").mkdir()
    code, out, _ = command(run.folder / "elsewhere", "receipt", str(DATA / "plain.eml"), "--job", "../job.toml")
    assert (code, "1 of them in 1 report" in out) == (0, True)
    code, out, _ = command(
        run.folder, "receipt", str(DATA / "plain.eml"), "--job", "job.toml", "--report-dir", "elsewhere"
    )
    assert (code, "no report of them was found" in out) == (0, True)
