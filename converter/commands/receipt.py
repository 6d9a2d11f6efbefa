"""The capability `receipt`: a receipt of Audience Manager is read, and set beside the reports of what was sent."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from converter.delivery.run_files import run_files_at, run_files_of
from converter.errors import InputError
from converter.jobs.job import Transfer
from converter.jobs.sections.servers import S3
from converter.remote.retry import Patience
from converter.report.history import reports_in
from converter.report.mails import MOST_BYTES
from converter.report.receipt_text import receipt_in
from converter.report.receipts import ReceiptReport, RunFacts, bare_name, compare

_PATIENCE = 10.0  # seconds: the user is waiting


def receipt(
    mail: str | os.PathLike[str],
    *,
    reports: Sequence[str | os.PathLike[str]] = (),
    job: Transfer | str | os.PathLike[str] | None = None,
    report_dir: str | os.PathLike[str] = "reports",
) -> ReceiptReport:
    """Read the receipt in a mail, and compare it with the reports of the runs whose files it names.

    `mail` is the path of the mail as it was saved (.eml), or of its text; `-` is standard input. `reports` are paths of
    reports; by default they are those in the report folder of `job`, or in `report_dir`. Raises `InputError` where the
    mail cannot be read or has no receipt, and where a report that is named cannot be read.
    """
    label = "standard input" if os.fspath(mail) == "-" else f"the mail '{os.fspath(mail)}'"
    try:
        found = receipt_in(_read(mail, label))
    except ValueError as error:
        raise InputError(
            "E-RECEIPT-READ", f"There is no mail that can be read in {label}: {error}.", "Save its text in a file."
        ) from error
    if found is None:
        raise InputError(
            "E-RECEIPT-NONE",
            f"There is no receipt in {label}: it has none of the lines of one, such as 'Records received: 1000'.",
            "Save the mail of Audience Manager as it is (.eml), or its text.",
        )
    names = {bare_name(each.name) for each in found.files}
    given = (_report_at(Path(path)) for path in reports) if reports else _reports(job, os.fspath(report_dir))
    facts = [each for each in given if reports or any(bare_name(file.name) in names for file in each.files)]
    return compare(found, facts, all_runs=bool(reports))


def _read(mail: str | os.PathLike[str], label: str) -> bytes:
    """Return the content of a mail. Raises `InputError` where it is too large to be a receipt, or cannot be read."""
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if os.fspath(mail) == "-" else Path(mail).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError("E-RECEIPT-READ", f"Reading {label} failed: {reason}.") from error
    if len(content) > MOST_BYTES:
        raise InputError(
            "E-RECEIPT-SIZE",
            f"There are more than {MOST_BYTES:,} bytes in {label}: that is not a receipt.",
            "Save the mail without other mails and attachments.",
        )
    return content


def _reports(job: Transfer | str | os.PathLike[str] | None, folder: str) -> Iterator[RunFacts]:
    """Yield the facts of all reports in a folder, by default that of a job."""
    files = run_files_at(folder, S3(), Patience(_PATIENCE)) if job is None else run_files_of(Transfer.of(job))
    with contextlib.closing(files):
        for report in reports_in(files):
            with contextlib.suppress(KeyError, TypeError, ValueError):  # it was edited
                yield RunFacts.of(report)


def _report_at(path: Path) -> RunFacts:
    try:
        report: Mapping[str, Any] = orjson.loads(path.read_bytes())
        return RunFacts.of(report)
    except OSError as error:
        why = error.strerror or type(error).__name__
    except (KeyError, TypeError, ValueError):
        why = "it is not a report of a run"
    raise InputError("E-RECEIPT-REPORT", f"The report '{path}' cannot be read: {why}.")
