"""Reports as pages: one HTML file each, which asks no other place for anything.

1. The texts of a report are `cleaned`: short, and with no character that is invisible or turns the text around it.
2. A module for each kind of report turns it into what its template shows: `runs`, `checks`, `matches`, `histories`.
3. `engine` renders the template, with every value escaped. Where a page would be too large, it shows less, and says so.

To add a kind: a module, a template in `templates/`, and a line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jinja2 import UndefinedError

from converter.report.page.checks import check_shown
from converter.report.page.engine import MOST, Room, rendered
from converter.report.page.histories import history_shown
from converter.report.page.matches import match_shown
from converter.report.page.runs import run_shown

Shown = Callable[[Mapping[str, Any], Room], dict[str, Any]]


class Kind(NamedTuple):
    """A kind of report: the key that only such reports have, and what its template shows of one."""

    key: str
    template: str
    shown: Shown


KINDS = (
    Kind("runs", "history.html.j2", history_shown),
    Kind("candidates", "match.html.j2", match_shown),
    Kind("files", "check.html.j2", check_shown),
    Kind("parts", "run.html.j2", run_shown),
)


def page_of(report: Mapping[str, Any]) -> bytes:
    """Return the page of a report in plain data, as its `as_dict` or a file of it has it, of any version.

    It has at most 250,000 bytes. Raises `ValueError` where it is not a report.
    """
    kind = next((kind for kind in KINDS if kind.key in report), None)
    if kind is None:
        raise ValueError("no known report")
    for room in MOST:
        try:
            page = rendered(kind.template, kind.shown(report, room))
        except (AttributeError, KeyError, TypeError, UndefinedError) as error:
            raise ValueError("keys of another form") from error
        if len(page) <= room.page_bytes:
            break
    return page
