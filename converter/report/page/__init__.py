"""Reports as pages: one HTML file each, which asks no other place for anything.

1. The texts of a report are `cleaned`: short, and with no character that is invisible or turns the text around it.
2. A module for each kind of report turns it into what its page shows: `runs`, `checks`, `matches`, `histories`.
3. Its module in `html` draws that, with every value escaped. Where a page would be too large, it shows less, and says
   so.

To add a kind: a module here, one in `html/`, and a function and a line in `KINDS` below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from converter.report.page.room import MOST, Room

# The modules of each kind are loaded where it is made, since runs make one page and start quickly.


def _history(report: Mapping[str, Any], room: Room) -> bytes:
    from converter.report.page.histories import history_shown
    from converter.report.page.html.history import history_page

    return history_page(history_shown(report, room))


def _match(report: Mapping[str, Any], room: Room) -> bytes:
    from converter.report.page.html.match import match_page
    from converter.report.page.matches import match_shown

    return match_page(match_shown(report, room))


def _check(report: Mapping[str, Any], room: Room) -> bytes:
    from converter.report.page.checks import check_shown
    from converter.report.page.html.check import check_page

    return check_page(check_shown(report, room))


def _run(report: Mapping[str, Any], room: Room) -> bytes:
    from converter.report.page.html.run import run_page
    from converter.report.page.runs import run_shown

    return run_page(run_shown(report, room))


class Kind(NamedTuple):
    """A kind of report: the key that only such reports have, and what makes the page of one."""

    key: str
    made: Callable[[Mapping[str, Any], Room], bytes]


KINDS = (Kind("runs", _history), Kind("candidates", _match), Kind("files", _check), Kind("parts", _run))


def page_of(report: Mapping[str, Any]) -> bytes:
    """Return the page of a report in plain data, as its `as_dict` or a file of it has it, of any version.

    It has at most 250,000 bytes. Raises `ValueError` where it is not a report.
    """
    kind = next((kind for kind in KINDS if kind.key in report), None)
    if kind is None:
        raise ValueError("no known report")
    for room in MOST:
        try:
            page = kind.made(report, room)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("keys of another form") from error
        if len(page) <= room.page_bytes:
            break
    return page
