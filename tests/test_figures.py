"""The numbers of the receipt that are known without a list of traits: in reports, checks and pages."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter import Job, check, convert, foresee, kernel, receipt
from converter.report import Report
from converter.report.page import page_of

from .conftest import Run
from .test_inbound import C2C, DATA, DEVICE, GOOD, LONG, ODC, OVERWRITE, PAIR, SYNC, UUID
from .test_kinds import sync_job

OF_DEVICES = "ftp_dpm_20914_1_1366545717.sync"
OF_UUIDS = "ftp_dpm_0_1366545717.sync"
FIGURES = [
    "records_received",
    "format_errors",
    "invalid_aam_id",
    "invalid_device_id",
    "records_processed",
    "total_signals",
    "stored_records_at_most",
]
IDS = ["u", "", "a:b", "é", UUID.decode(), DEVICE.decode(), DEVICE.decode().upper(), "idfa"]
SIGNALS = [
    *("a=b", '"a"="b, c"', "d_sid=1", "d_unsid=2", "ic=x", "12", "12:0", "12:-1", "12:2", 'a="b"c', "=", "a=", '"', " a=b "),
    *("d_sid=x", "-a=1", "x", "", "a=j@x.org", "a=" + "x" * 300, "\r"),
]  # fmt: skip
LINES = st.builds(
    lambda ids, signals: "\t".join([*ids, ",".join(signals)]),
    st.lists(st.sampled_from(IDS), max_size=3),
    st.lists(st.sampled_from(SIGNALS), max_size=4),
)


@given(
    lines=st.lists(st.one_of(LINES, st.just("")), max_size=12),
    name=st.sampled_from([DATA, OVERWRITE, ODC, OF_DEVICES, OF_UUIDS]),
    loops=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_check_counts_what_is_foreseen_with_traits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], name: str, *, loops: bool
) -> None:
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in lines), newline="")
    (tmp_path / "traits.csv").write_text("sid\n1\n")
    with monkeypatch.context() as patch:
        if not loops:
            patch.setattr(kernel, "load", lambda: None)
        found = check(path)
    wanted = foresee(path, tmp_path / "traits.csv").figures if any(lines) else dict.fromkeys(FIGURES, 0)
    same = {key: wanted[key] for key in FIGURES if key != "stored_records_at_most"}
    assert {key: found.figures[key] for key in same} == same
    errors = sum(same[key] for key in ("format_errors", "invalid_aam_id", "invalid_device_id"))
    assert found.figures["stored_records_at_most"] == same["records_processed"] - errors


def test_lines_that_are_too_long_are_malformed(tmp_path: Path) -> None:
    (tmp_path / DATA).write_bytes(LONG + GOOD)
    good = GOOD.count(b"\n")
    assert dict(check(tmp_path).figures) | {"total_signals": 0} == dict(
        zip(FIGURES, [good + 1, 1, 0, 0, good + 1, 0, good], strict=True)
    )


def test_what_is_not_known_is_absent(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD)
    files = {SYNC: PAIR, C2C: b"", DATA + ".gz": packed, "crm.csv": b"id,a\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    report = check(tmp_path)
    assert {Path(file.path).name: list(file.figures) for file in report.files if file.figures} == {
        DATA + ".gz": FIGURES
    }
    assert report.as_dict()["foreseen"] == {"figures": report.figures}
    (tmp_path / (OVERWRITE + ".gz")).write_bytes(packed[:-3])
    report = check(tmp_path)
    assert report.figures == {}
    assert report.as_dict()["foreseen"] is None


ROWS = "id,a,b,t\n" + "".join(f"u{n % 70},v{n % 3},{n % 5 or ''},{n % 9}\n" for n in range(300))
JOBS: list[dict[str, Any]] = [
    {"record": {"signals": ["a", "b"], "traits": ["t"], "removed_traits": [7]}},
    {"record": {"signals": ["a", "b"], "rows": "signal"}, "run": {"threads": 2}},
    {
        "record": {"signals": ["b"], "empty": "clear"},
        "output": {"mode": "overwrite"},
        "report": {"max_cleared": "100%"},
    },
    {"record": {"signals": ["a"], "user_lines": "enforce", "repeated": "drop"}},
]


@pytest.mark.parametrize("job", JOBS)
def test_reports_of_runs_have_what_a_check_of_their_files_finds(run: Run, job: dict[str, Any]) -> None:
    report = run.convert(ROWS, **job)
    assert report.foreseen == {"figures": check(run.out).figures}
    assert report.foreseen["figures"]["records_received"] == sum(part.lines for part in report.parts)
    assert run.report["foreseen"] == report.foreseen


def test_files_of_ids_have_no_figures(run: Run) -> None:
    run.write(f"aam,crm\n{UUID.decode()},u\n")
    report = convert(Job(**sync_job(run)))
    assert report.parts
    assert report.foreseen is None


def mail(run: Run, report: Report, **figures: int) -> Path:
    path = run.folder / "mail.txt"
    numbers = "".join(f"{key.replace('_', ' ')}: {value}\n" for key, value in figures.items())
    path.write_text(f"File names:\n{report.parts[0].name}\n\n{numbers}")
    return path


def test_a_receipt_is_compared_with_what_was_foreseen(run: Run) -> None:
    (run.folder / "traits.csv").write_text("sid,traitRule\n1,a == v1\n")
    report = run.convert(ROWS, report={"traits": str(run.folder / "traits.csv")})
    assert report.foreseen is not None
    figures = report.foreseen["figures"]
    assert figures["no_trait_realized"] == 200
    right = {key: figures[key] for key in ("records_received", "total_signals", "no_trait_realized")}
    found = receipt(mail(run, report, **right), reports=[str(report.report_path)])
    assert [(each.expected, each.verdict) for each in found.compared] == [
        (300, "as expected"),
        (200, "a loss"),
        (300, "as expected"),
    ]
    less = mail(run, report, **right | {"no_trait_realized": 150, "total_unused_signals": 500})
    found = receipt(less, reports=[str(report.report_path)])
    assert {each.figure.key: each.verdict for each in found.compared if each.verdict != "as expected"} == {
        "no_trait_realized": "a loss",
        "total_unused_signals": "differs",
    }


def test_pages_show_the_numbers(run: Run) -> None:
    report = run.convert(ROWS)
    for page in (page_of(report.as_dict()), page_of(check(run.out).as_dict())):
        assert b"What the receipt will say" in page
        assert b"Stored Records, at most" in page
