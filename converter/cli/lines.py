"""How lines are printed: errors and warnings with a code that can be looked up, and numbers in a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from converter.errors import Finding, Reported


def error_line(error: Reported) -> str:
    """Return an error as one line."""
    return f"Error [{error.code}]: {error}"


def warning_line(warning: Finding) -> str:
    """Return a warning as one line."""
    return f"Warning [{warning.code}]: {warning}"


def finding_line(finding: Finding) -> str:
    """Return a finding of `doctor` as one line, without a code if it is in order."""
    code = f"[{finding.code}] " if finding.code else ""
    return f"{finding.level:<8} {code}{finding}"


def print_numbers(lines: Sequence[tuple[str, str]], file: TextIO | None = None) -> None:
    """Print lines of a number and its meaning, with the numbers aligned."""
    width = max(len(number) for number, _ in lines)
    for number, words in lines:
        print(f"{number:>{width}}  {words}", file=file)
