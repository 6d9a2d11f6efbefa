"""How errors and warnings are printed: with their code, so that they can be looked up."""

from __future__ import annotations

from converter.errors import Finding, Reported


def error_line(error: Reported) -> str:
    """Return an error as one line."""
    return f"Error [{error.code}]: {error}"


def warning_line(warning: Finding, text: str | None = None) -> str:
    """Return a warning as one line; `text` replaces its own text."""
    return f"Warning [{warning.code}]: {warning if text is None else text}"


def finding_line(finding: Finding) -> str:
    """Return a finding of `doctor` as one line, without a code if it is in order."""
    code = f"[{finding.code}] " if finding.code else ""
    return f"{finding.level:<8} {code}{finding}"
