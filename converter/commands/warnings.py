"""Warnings of a run: told as soon as they are known, once each, or errors where the user wants that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from converter.errors import Finding, StrictError


class Warnings:
    """Tells warnings by calling `tell` with new ones. If `strict`, these are errors."""

    def __init__(self, tell: Callable[[Sequence[Finding]], None] | None = None, *, strict: bool = False) -> None:
        self._tell = tell or (lambda _: None)
        self._strict = strict
        self._told: set[Finding] = set()

    def add(self, findings: Iterable[Finding]) -> None:
        """Tell those that were not told before. Raises `StrictError` if warnings are errors."""
        new = [each for each in dict.fromkeys(findings) if each not in self._told]
        if not new:
            return
        self._told.update(new)
        self._tell(new)
        if self._strict:
            raise strict_error(new)


def strict_error(findings: Sequence[Finding]) -> StrictError:
    """Return the error that there are warnings, which are errors."""
    codes = ", ".join(dict.fromkeys(each.code for each in findings))
    return StrictError(
        "E-STRICT",
        f"With --strict, warnings are errors: {codes}. {findings[0].message}",
        f"{findings[0].hint} Nothing was published.".lstrip(),
    )
