"""What tests ask of errors: their code and the names that matter to the user, never the sentence around them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

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


def only_report(folder: Path) -> dict[str, Any]:
    """Return the report of a run that failed, which has to be all that is in the folder of reports, with its page."""
    (path,) = folder.glob("*.failed-1.report.json")
    assert {each.name for each in folder.iterdir()} == {path.name, path.name.replace(".json", ".html")}
    report = json.loads(path.read_bytes())
    assert isinstance(report, dict)
    assert report["exit_code"] > 0
    return report


def check_told(text: str, code: str, *named: str) -> None:
    """Check that what a command wrote to standard error is one error, on one line, that names all of `named`."""
    assert text.startswith(f"Error [{code}]: "), text
    assert text.endswith("\n"), text
    assert text.count("\n") == 1, text
    check_named(text, *named)
