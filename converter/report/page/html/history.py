"""The page of the runs of a report folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from converter.report.page.html.elements import Node, a, h2, li, ol, p, rect, section, span, svg, td, tr
from converter.report.page.html.frame import framed
from converter.report.page.html.pieces import file_name, filtered, link_to, listing
from converter.report.texts import counted, number, when

_COLUMNS = ("Begun", "Run", "Outcome", "Read", "Written", "Rejected", "Skipped", "Seconds")
_KEYS = ("written", "rejected", "skipped")


def history_page(shown: Mapping[str, Any]) -> bytes:
    """Return the page of what `history_shown` gives."""
    runs = shown["runs"]
    content: list[Node] = [
        section[
            h2["Rows a day"],
            p[
                ([span(f"key {name}"), f" {name}, "] for name in _KEYS[:-1]),
                span("key skipped"),
                " skipped; a day with a run that is not done is marked with !",
            ],
            ol("days")[map(_day, shown["days"])],
        ],
        section[
            h2["Runs"],
            filtered("runs"),
            p("none", hidden=True)["No run on this page."],
            runs and listing("Runs", _COLUMNS, map(_run, runs)),
        ],
    ]
    end = p["The reports in ", file_name(shown["folder"]), f", until {shown['data']['until']}."]
    return framed(shown, content, end)


def _day(each: Mapping[str, Any]) -> Markup:
    words = (
        f"{each['day']}: {counted(each['runs'], 'run')}, {number(each['written'])} rows written, "
        f"{number(each['rejected'])} rejected, {number(each['skipped'])} skipped, "
        f"{counted(each['failed'], 'run')} not done"
    )
    bars: Node = (rect(bar["fate"], width="24", y=str(bar["top"]), height=str(bar["height"])) for bar in each["bars"])
    return li[
        a(href=link_to("day", each["day"]))[
            span("words")[words],
            svg(aria_hidden="true", focusable="false", viewBox="0 0 24 100", preserveAspectRatio="none")[
                rect("ground", width="24", height="100"), bars
            ],
            span(aria_hidden="true")[f"{each['day'][8:]}{'!' if each['failed'] else ''}"],
        ]
    ]


def _run(each: Mapping[str, Any]) -> Markup:
    outcome = a(href=link_to("fate", each["outcome"]))[each["outcome"]]
    return tr(data_day=each["day"], data_fate=each["outcome"], data_rule="")[
        td[when(each["started"])],
        td[a(href=each["link"])[each["name"]] if each["link"] else each["name"]],
        td[outcome, each["error"] and f" {each['error']}"],
        (td("count")["–" if each[key] is None else number(each[key])] for key in ("read", *_KEYS)),
        td("count")[str(each["seconds"])],
    ]
