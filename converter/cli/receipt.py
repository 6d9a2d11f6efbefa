"""`aam-inbound receipt`."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work

if TYPE_CHECKING:
    from converter.report.receipts import Compared, ReceiptReport

_MOST_FILES = 10  # of a list; JSON has all
_WIDTH, _LEAST_WIDTH = 100, 30


def receipt(
    mail: Annotated[str, typer.Argument(metavar="MAIL", help="The mail as it was saved (.eml), its text, or -.")],
    *,
    report: Annotated[
        list[str] | None,
        typer.Option(
            "--report", metavar="REPORT.json", help="A report to compare with, in place of the folder; repeatable."
        ),
    ] = None,
    job_file: Annotated[
        str | None, typer.Option("--job", metavar="JOB.toml", help="Job file, whose report folder is searched.")
    ] = None,
    report_dir: Annotated[
        str | None, typer.Option("--report-dir", metavar="FOLDER", help="Folder of reports to search. [reports]")
    ] = None,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Read the receipt that Audience Manager sends by mail, and compare it with the reports of what was sent.

    Shows each number beside the one that the reports let expect, what it means, and what to do where they differ.
    The exit code is 0 if the receipt can be read.

    \b
    Examples:
      aam-inbound receipt receipt.eml
      aam-inbound receipt receipt.txt --report reports/ftp_dpm_1234_1366545717.sync.0123456789ab.report.json
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug  # `Messages.of` reads them
    return partial(_compare, mail, report or (), job_file, report_dir)


def _compare(
    mail: str, reports: Sequence[str], job_file: str | None, report_dir: str | None, messages: Messages
) -> Outcome:
    del messages
    from converter.commands.receipt import receipt as run
    from converter.jobs.job import Transfer

    job = None
    if job_file is not None:
        job = Transfer.load(job_file, {"report": {"dir": report_dir}} if report_dir else None)
    found = run(mail, reports=reports, job=job, report_dir=report_dir or "reports")
    return Outcome(fields=found.as_dict(), show=partial(_show, found), prints_only=True)


def _show(found: ReceiptReport) -> None:
    print("\n".join(_lines(found)))


def _lines(found: ReceiptReport) -> Iterator[str]:
    receipt = found.receipt
    if receipt.started or receipt.ended:
        yield f"Processed from {receipt.started or '?'} to {receipt.ended or '?'} (the mail names no time zone)."
    yield from _table(found)
    yield ""
    yield from _files(found)
    for each in found.compared:
        if each.verdict in ("differs", "a loss"):
            yield ""
            yield from _paragraph(each, found)
    if receipt.repeated:
        yield ""
        yield f"Several numbers are in the mail for: {', '.join(receipt.repeated)}. The first ones are shown."


def _table(found: ReceiptReport) -> Iterator[str]:
    rows = [("receipt", "expected", "")]
    marks = {"differs": "  <- differs", "a loss": "  <- a loss"}
    for each in found.compared:
        rows.append((_number(each.received), _number(each.expected), each.figure.label + marks.get(each.verdict, "")))
    rows += [(_number(value), "", f"{label}  (unknown)") for label, value in found.receipt.unknown.items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for first, second, label in rows:
        yield f"{first:>{widths[0]}}  {second:>{widths[1]}}  {label}".rstrip()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _files(found: ReceiptReport) -> Iterator[str]:
    from converter.report.texts import counted

    files, runs = found.receipt.files, found.runs
    known = len(files) - len(found.foreign)
    found_in = (
        f"{known:,} of them in {counted(len(runs), 'report')} of runs" if runs else "and no report of them was found"
    )
    yield f"{counted(len(files), 'file')} in the receipt, {found_in}."
    yield from _list(
        "No report has",
        [each.name for each in found.foreign],
        "another program or machine has sent them, or its report is elsewhere.",
    )
    yield from _list(
        "The receipt does not name",
        [each.name for each in found.missing],
        "another receipt may, or they are not processed yet.",
    )


def _list(what: str, names: Sequence[str], why: str) -> Iterator[str]:
    from converter.report.texts import counted

    if names:
        yield f"{what} {counted(len(names), 'file')}: {why}"
        yield from (f"  {name}" for name in names[:_MOST_FILES])
        if len(names) > _MOST_FILES:
            yield f"  … and {len(names) - _MOST_FILES:,} more (--json has all)"


def _paragraph(each: Compared, found: ReceiptReport) -> Iterator[str]:
    """Yield what a number means, and what to do."""
    from converter.spec.receipts import RECORDS_PROCESSED, STORED_RECORDS, TOTAL_SIGNALS, TOTAL_UNUSED_SIGNALS

    whole = TOTAL_SIGNALS if each.figure is TOTAL_UNUSED_SIGNALS else RECORDS_PROCESSED
    total = found.receipt.figures.get(whole.key)
    if each.expected is not None:
        head = f"{each.figure.label}: {each.received - each.expected:+,}."
    elif total and each.received <= total:
        of_what = "signals" if whole is TOTAL_SIGNALS else "records"
        head = f"{each.figure.label}: {each.received / total:.1%} of the {of_what}."
    else:
        head = f"{each.figure.label}: {each.received:,}."
    if each.figure is STORED_RECORDS:
        head += " Adobe's own sample differs as well; a small difference is not an error."
    text = f"{head} {each.figure.meaning} {each.figure.advice}".strip()
    width = max(min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDTH), _LEAST_WIDTH)
    yield from textwrap.wrap(text, width, subsequent_indent="  ")
