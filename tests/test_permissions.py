"""Files and folders that may not be read or written: one sentence with a code, and nothing half done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .errors import check_told
from .test_cli import ENVIRONMENT, JOB, NAMED, files

# Root may do everything, unless that is taken away; then its files are like those of anybody.
PLAIN = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
pytestmark = pytest.mark.skipif(
    bool(PLAIN) and shutil.which("setpriv") is None, reason="needs setpriv, or another user"
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a job, a folder `closed` that may not be looked into, and one `fixed` that may not be changed."""
    for place in (tmp_path, tmp_path / "closed", tmp_path / "fixed"):
        place.mkdir(exist_ok=True)
        (place / "in.csv").write_text("id,a\ncustomer-0001,x\ncustomer-0002,y\n")
        (place / "job.toml").write_text(JOB)
        (place / NAMED).write_text('customer-0001\t"a"="x"\n')
    for suffix in ("csv", "parquet", "arrow", "ndjson"):
        (tmp_path / f"unreadable.{suffix}").write_text("id,a\ncustomer-0001,x\n")
        (tmp_path / f"unreadable.{suffix}").chmod(0)
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "in.csv").write_text("id,a\ncustomer-0001,x\n")
    (tmp_path / "listed").chmod(0o400)
    (tmp_path / "closed").chmod(0)
    (tmp_path / "fixed").chmod(0o500)
    yield tmp_path
    (tmp_path / "closed").chmod(0o700)
    (tmp_path / "listed").chmod(0o700)
    (tmp_path / "fixed").chmod(0o700)


def command(folder: Path, *args: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*PLAIN, sys.executable, "-m", "converter", *args],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


CONVERT = ["convert", "job.toml"]
SYNC = ["sync-urls", "in.csv", "--id", "id", "--dpid", "12345"]
SEND = ["send", NAMED, "--to", "sent"]
DENIED: list[tuple[list[str], int, str]] = [
    ([*CONVERT, "--input", "unreadable.csv"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "closed"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "closed/in.csv"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "closed/*.csv"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "closed/deeper/*.csv"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "closed/deeper/in.csv"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "*/in.csv"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "**/in.csv"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "unreadable.csv", "--dry-run"], 1, "E-INPUT-READ"),
    (["convert", "closed/job.toml"], 2, "E-JOB-READ"),
    ([*CONVERT, "--to", "closed"], 1, "E-FOLDER-WRITE"),
    ([*CONVERT, "--to", "closed/out"], 1, "E-FOLDER-WRITE"),
    ([*CONVERT, "--to", "closed/deeper/out"], 1, "E-FOLDER-WRITE"),
    ([*CONVERT, "--to", "fixed"], 1, "E-FOLDER-WRITE"),
    ([*CONVERT, "--to", "fixed/deeper/out"], 1, "E-FOLDER-WRITE"),
    ([*CONVERT, "--to", "closed/out", "--dry-run"], 1, "E-FOLDER-WRITE"),
    ([*CONVERT, "--report-dir", "closed"], 1, "E-REPORT-FOLDER"),
    ([*CONVERT, "--report-dir", "closed/reports"], 1, "E-REPORT-FOLDER"),
    ([*CONVERT, "--report-dir", "closed/deeper/reports"], 1, "E-REPORT-FOLDER"),
    ([*CONVERT, "--report-dir", "fixed"], 1, "E-REPORT-FOLDER"),
    ([*CONVERT, "--report-dir", "fixed/deeper"], 1, "E-REPORT-FOLDER"),
    ([*CONVERT, "--input", "unreadable.parquet"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "unreadable.arrow"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "unreadable.ndjson"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "listed"], 1, "E-INPUT-READ"),
    ([*CONVERT, "--input", "listed/*.csv"], 1, "E-INPUT-READ"),
    (["match", "unreadable.csv", "in.csv"], 1, "E-INPUT-READ"),
    (["match", "in.csv", "closed/in.csv"], 1, "E-INPUT-READ"),
    (["match", "closed", "in.csv"], 1, "E-INPUT-READ"),
    (["match", "in.csv", "in.csv", "--html", "closed/page.html"], 1, "E-PAGE-WRITE"),
    (["match", "in.csv", "in.csv", "--html", "fixed/page.html"], 1, "E-PAGE-WRITE"),
    (["send", "closed/in.csv", "--to", "sent"], 1, "E-INPUT-READ"),
    (["send", "unreadable.csv", "--no-check", "--to", "sent"], 1, "E-FILE-READ"),
    (["send", NAMED, "--to", "closed/out"], 1, "E-FOLDER-WRITE"),
    ([*SEND, "--job", "closed/job.toml"], 2, "E-JOB-READ"),
    ([*SEND, "--set", "report.dir=closed/reports"], 1, "E-REPORT-FOLDER"),
    (["sync-urls", "closed/in.csv", *SYNC[2:]], 1, "E-INPUT-READ"),
    ([*SYNC, "-o", "closed/urls.csv"], 1, "E-FOLDER-WRITE"),
    ([*SYNC, "-o", "fixed/urls.csv"], 1, "E-FOLDER-WRITE"),
    ([*SYNC, "-o", "closed/deeper/urls.csv"], 1, "E-FOLDER-WRITE"),
    ([*CONVERT, "--set", "output.compression=pgp", "--set", "pgp.key=closed/key"], 1, "E-PGP-KEY-READ"),
    (["convert", "closed/job.toml", "job.toml"], 2, "E-JOB-READ"),
    (["check", "closed/in.csv"], 1, "E-INPUT-READ"),
    (["check", "closed"], 1, "E-INPUT-READ"),
    (["check", NAMED, "--traits", "closed/traits.json"], 1, "E-TRAITS"),
    (["inspect", "closed/in.csv"], 1, "E-INPUT-READ"),
    (["inspect", "in.csv", "--write-job", "closed/new.toml"], 1, "E-JOB-WRITE"),
    (["inspect", "in.csv", "--write-job", "fixed/new.toml"], 1, "E-JOB-WRITE"),
    (["read-outbound", "closed/in.csv", "--to", "sent.csv"], 1, "E-INPUT-READ"),
    (["read-outbound", NAMED, "--to", "closed/sent.csv"], 1, "E-OUTPUT-WRITE"),
    (["taxonomy", "closed/in.csv"], 1, "E-INPUT-READ"),
    (["taxonomy", NAMED, "--csv", "closed/all.csv"], 1, "E-FOLDER-WRITE"),
    (["receipt", "closed/mail.eml"], 1, "E-RECEIPT-READ"),
    (["test", "closed/job.toml"], 2, "E-JOB-READ"),
    (["report", "closed/x.report.json"], 1, "E-REPORT-READ"),
    (["history", "closed"], 1, "E-FOLDER-READ"),
]


@pytest.mark.parametrize("args, exit_code, told", DENIED, ids=[" ".join(args) for args, *_ in DENIED])
def test_what_may_not_be_read_or_written_is_one_sentence(
    args: list[str], exit_code: int, told: str, folder: Path
) -> None:
    before = {path for path in files(folder) if not path.startswith("closed")}
    code, _, error = command(folder, *args)
    said = "".join(line for line in error.splitlines(keepends=True) if not line.startswith(("Checking ", "Checked ")))
    check_told(said, told)
    assert code == exit_code
    after = {path for path in files(folder) if not path.startswith("closed")}
    assert {path for path in after if ".failed-1.report." not in path} == before


@pytest.mark.parametrize(
    "setting, told",
    [
        ("input.path=unreadable.csv", "E-INPUT-READ"),
        ("input.path=closed", "E-INPUT-READ"),
        ("input.path=closed/in.csv", "E-INPUT-READ"),
        ("input.path=closed/*.csv", "E-INPUT-READ"),
        ("output.to=closed/out", "E-FOLDER-WRITE"),
        ("output.to=fixed/out", "E-FOLDER-WRITE"),
        ("report.dir=closed/reports", "E-REPORT-FOLDER"),
        ("report.dir=fixed/reports", "E-REPORT-FOLDER"),
    ],
)
def test_doctor_finds_what_may_not_be_read_or_written(setting: str, told: str, folder: Path) -> None:
    code, out, _ = command(folder, "doctor", "job.toml", "--set", setting, "--json")
    findings = json.loads(out)["findings"]
    assert code == 1
    assert told in {finding["code"] for finding in findings if finding["level"] == "error"}
    assert any(finding["level"] == "ok" for finding in findings), "the others are looked at all the same"
