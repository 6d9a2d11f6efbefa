"""The page of a comparison of IDs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from converter.report.page.html.elements import Node, h2, li, pre, section, span, td, tr, ul
from converter.report.page.html.frame import framed
from converter.report.page.html.pieces import bar, listing, warned
from converter.report.texts import number, percent


def match_page(shown: Mapping[str, Any]) -> bytes:
    """Return the page of what `match_shown` gives."""
    content: list[Node] = [
        section[
            h2["IDs"],
            ul("plain")[(li[span("count")[count], f" {words}"] for count, words in shown["facts"])],
        ],
        warned(shown["warnings"]),
        section[
            h2["Recommended"],
            pre(tabindex="0", role="region", aria_label="Recommended settings")[shown["block"]],
        ],
        section[
            h2["What was tried"],
            listing(
                "What was tried",
                ("How", "IDs that match", "Of the CRM's"),
                map(_candidate, shown["candidates"]),
            ),
        ],
        shown["collisions"]
        and section[h2["IDs that differ by case alone"], ul[(li[each] for each in shown["collisions"])]],
    ]
    return framed(shown, content)


def _candidate(each: Mapping[str, Any]) -> Markup:
    return tr[
        td[each["words"]],
        td("count")["" if each["exact"] else "about ", number(each["matched"])],
        td[percent(each["rate"]), bar(each["width"], "written")],
    ]
