"""Pieces of several pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from converter.report.page.html.elements import (
    Node,
    a,
    bdi,
    div,
    h2,
    li,
    p,
    rect,
    section,
    span,
    strong,
    svg,
    table,
    tbody,
    th,
    thead,
    tr,
    ul,
)
from converter.report.texts import number


def file_name(path: str) -> Markup:
    """Return a path, which is text of its own whatever the direction of its characters."""
    return bdi("file")[path]


def link_to(kind: str, name: str) -> str:
    """Return the address that shows only what belongs to a `kind` (`rule`, `fate`, `day`) of this name."""
    return f"#{kind}={quote(name)}"


def bar(share: float, of: str) -> Markup:
    """Return a bar that is filled to a share of 0 to 100, in the color of a fate."""
    return svg("bar", aria_hidden="true", focusable="false")[
        rect("ground", width="100%", height="100%"), rect(of, x="0%", width=f"{share}%", height="100%")
    ]


def counts(items: Sequence[Mapping[str, Any]], of: str, *, linked: bool = False) -> Markup:
    """Return counts by name, with bars and what the names mean; where `linked`, a click shows what belongs to one.

    `of` is the fate of those that have none of their own.
    """
    return ul("counts")[(_count(each, each.get("fate"), of, linked=linked) for each in items)]


def _count(each: Mapping[str, Any], fate: str | None, of: str, *, linked: bool) -> Markup:
    name = a("name", href=link_to("rule", each["name"])) if linked else span("name")
    return li(data_fate=fate or of, data_rule=each["name"])[
        name[each["name"]],
        span("count")[number(each["count"]), fate and f" {fate}"],
        bar(each["width"], fate or of),
        each["text"] and span("text")[each["text"], each["code"] and [" ", span("code")[f"({each['code']})"]]],
    ]


def listing(name: str, columns: Sequence[str], rows: Iterable[Node]) -> Markup:
    """Return a table that scrolls where it is too wide."""
    return div("scroll", role="region", aria_label=name, tabindex="0")[
        table[thead[tr[(th(scope="col")[column] for column in columns)]], tbody[rows]]
    ]


def warned(items: Sequence[Mapping[str, Any]]) -> Node:
    """Return warnings, if there are any."""
    return (
        items
        and section[
            h2["Warnings"],
            ul[(li[strong[each["code"]], f" {each['message']} {each['hint']}"] for each in items)],
        ]
    )


def filtered(what: str) -> Markup:
    """Return what the script says of the filter, once there is one."""
    return p("filter", hidden=True)[span(id="filter", role="status"), " ", a(href="#")[f"Show all {what}"]]


def receipt(figures: Sequence[tuple[str, int]]) -> Node:
    """Return the numbers that the receipt of Audience Manager will have, by their labels, if any are known."""
    if not figures:
        return None
    return section[
        h2["What the receipt will say"],
        p["Numbers of Audience Manager, as far as they are known."],
        ul("plain")[(li[span("count")[number(count)], f" {label}"] for label, count in figures)],
    ]
