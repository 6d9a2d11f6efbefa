"""Whether what was read is right: files are as their control files say, and few lines are wrong."""

from __future__ import annotations

from collections.abc import Sequence

from converter.commands.outbound.control import Found, differences
from converter.commands.outbound.finding import FoundFiles
from converter.errors import Finding, GuardError, StrictError, TooManyRejectsError
from converter.jobs.sections.report import ReportOptions
from converter.report.outbound import OutboundReport
from converter.spec.outbound import END_MISSING

_MOST_NAMED = 3  # differences or files in a message


def complete(report: OutboundReport, found: FoundFiles, *, verify: bool) -> None:
    """Compare the files with what is said about them, and warn of what was not."""
    report.ledger.check()
    of_controls = {control.label: control.assumed for control in found.controls}
    for described, file in zip(report.files, found.files, strict=True):
        if file.expected is not None:
            rows = described.lines - described.blank - described.headers
            seen = Found(file.file_name, described.bytes, described.lines, rows, described.md5)
            described.differences, assumed = differences(file.expected, seen)
            described.assumed += assumed + of_controls.get(file.expected.info, ())
    alone = [file.path for file in report.files if file.info is None]
    if verify and alone:
        report.warnings.append(
            Finding(
                "W-OUTBOUND-INFO",
                f"{_files(len(alone))} in no control file (.info), so sizes, lines and checksums were not compared: "
                f"{_named(alone)}.",
                "Give the control file as well, or the folder that it is in.",
            )
        )
    cut = [file.path for file in report.files if END_MISSING in file.assumed]
    if cut:
        hint = "If no control file confirms its size, get it again."
        message = f"{_files(len(cut))} without a newline at the end, and may have been cut off: {_named(cut)}."
        report.warnings.append(Finding("W-OUTBOUND-CUT", message, hint))
    if report.ledger.rejects:
        first = report.examples[0]
        report.warnings.append(
            Finding(
                "W-OUTBOUND-REJECTED",
                f"{report.ledger.rejects:,} of {report.ledger.read:,} lines were rejected, the first in line "
                f"{first.line:,} of '{first.file}' ({first.rule}).",
                "--rejects FILE writes the numbers of all of them." if report.rejects_path is None else "",
            )
        )


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count:,} files are"


def _named(paths: Sequence[str]) -> str:
    return ", ".join(f"'{path}'" for path in paths[:_MOST_NAMED]) + ", …" * (len(paths) > _MOST_NAMED)


def check(options: ReportOptions, report: OutboundReport, consequence: str, *, strict: bool) -> None:
    """Raise an error where files differ from control files, too many lines are wrong, or, if `strict`, are warnings.

    These are `GuardError`, `TooManyRejectsError` and `StrictError`, with the report; `consequence` is a sentence.
    """
    error: GuardError | TooManyRejectsError | StrictError | None = None
    different = [f"'{file.path}': {' and '.join(file.differences)}" for file in report.files if file.differences]
    different += [f"'{name}' is missing" for name in report.missing]
    if different:
        more = ", …" * (len(different) > _MOST_NAMED)
        error = GuardError(
            "E-OUTBOUND-DIFFERS",
            f"{len(different):,} file{'s differ' if len(different) > 1 else ' differs'} from the control files: "
            f"{', '.join(different[:_MOST_NAMED])}{more}.",
            f"Wait until the transfer is complete, or get the files again; --no-verify does not compare. {consequence}",
        )
    elif not options.allows(report.ledger.rejects, report.ledger.read):
        error = TooManyRejectsError(
            "E-TOO-MANY-REJECTS",
            f"{report.ledger.summary()}; at most {options.max_rejects} may be rejected (--max-rejects).",
            f"Are the lines as their template says, which --line sets? {consequence}",
        )
    elif strict and report.warnings:
        first, count = report.warnings[0], len(report.warnings)
        more = f" ({count - 1} more)" if count > 1 else ""
        error = StrictError(
            "E-STRICT", f"[{first.code}] {first.message}{more}", f"--strict makes it an error. {consequence}"
        )
    if error:
        error.report = report
        raise error
