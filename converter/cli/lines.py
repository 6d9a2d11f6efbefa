"""How errors and warnings stand on the terminal: their code, so that they can be looked up, and their sentence."""

from __future__ import annotations

from converter.errors import Finding, Reported


def error_line(error: Reported) -> str:
    """Return an error as one line."""
    return f"Error [{error.code}]: {error}"


def warning_line(warning: Finding, text: str | None = None) -> str:
    """Return a warning as one line, with its own text or with one that conceals more."""
    return f"Warning [{warning.code}]: {warning if text is None else text}"


def finding_line(finding: Finding) -> str:
    """Return what `doctor` found as one line; what is in order has no code."""
    code = f"[{finding.code}] " if finding.code else ""
    return f"{finding.level:<8} {code}{finding}"
