"""Packages that only some inputs need: extras of this one."""

from __future__ import annotations

from converter.errors import JobError


def missing_package(label: str, package: str, extra: str) -> JobError:
    """Return the error that a package is missing which an input needs."""
    return JobError(
        "E-INPUT-PACKAGE",
        f"The input '{label}' needs the package '{package}', which is not installed.",
        f"Install it: pip install 'aam-inbound-converter[{extra}]'.",
    )
