"""What tests ask of errors: their code and the names that matter to the user, never the sentence around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from converter.cli.trace import traced
from converter.errors import Finding, Reported

E = TypeVar("E", bound=Reported)


@contextmanager
def raises(kind: type[E], code: str, *named: str) -> Iterator[pytest.ExceptionInfo[E]]:
    """Expect an error of a kind with a code, whose message or hint names all of `named`."""
    with pytest.raises(kind) as raised:
        yield raised
    assert raised.value.code == code, raised.value
    check_named(str(raised.value), *named)


def check_named(text: str, *named: str) -> None:
    """Check that a text names what it should."""
    assert [each for each in named if each not in text] == [], text


def codes_of(found: Iterable[Finding]) -> list[str]:
    """Return the codes of findings, without what is in order."""
    return [each.code for each in found if each.code]


def told(error: BaseException) -> str:
    """Return all that the command line tells of an error, with `--debug`."""
    return "".join(traced(error)) + str(error)


def check_told(text: str, code: str, *named: str) -> None:
    """Check that what a command wrote to standard error is one error, on one line, that names all of `named`."""
    assert text.startswith(f"Error [{code}]: "), text
    assert text.endswith("\n"), text
    assert text.count("\n") == 1, text
    check_named(text, *named)
