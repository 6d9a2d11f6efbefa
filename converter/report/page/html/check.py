"""The page of a check of inbound files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from converter.report.page.html.elements import Node, a, code, div, h2, h3, li, p, section, span, ul
from converter.report.page.html.frame import framed
from converter.report.page.html.pieces import file_name, filtered, link_to, receipt
from converter.report.texts import counted, number, size


def check_page(shown: Mapping[str, Any]) -> bytes:
    """Return the page of what `check_shown` gives."""
    data = shown["data"]
    content: list[Node] = [
        ul("fates")[
            li[_count(data["files"], "file", "#")],
            li[_count(data["errors"], "error", link_to("fate", "error"))],
            li[_count(data["warnings"], "warning", link_to("fate", "warning"))],
        ],
        filtered("findings"),
        map(_file, shown["files"]),
        receipt(shown["foreseen"]),
    ]
    return framed(shown, content)


def _count(count: int, noun: str, address: str) -> Markup:
    digits, noun = counted(count, noun).split(" ", 1)
    return a(href=address)[span("number")[digits], f" {noun}"]


def _file(file: Mapping[str, Any]) -> Markup:
    lines = "" if file["lines"] is None else f", {counted(file['lines'], 'line')}"
    return section[
        h2[file_name(file["path"])],
        p[f"{size(file['bytes'])}{lines}"],
        [_finding(each) for each in file["findings"]] or p["No rule is broken."],
    ]


def _finding(each: Mapping[str, Any]) -> Markup:
    lines, fix = each["lines"], each.get("fix")
    return div("finding", data_fate=each["level"], data_rule=each["name"])[
        h3[f"{each['level']}: ", a(href=link_to("rule", each["name"]))[each["name"]], f" ({each['code']})"],
        p[each["text"], bool(lines) and f" In {counted(lines, 'line')}.", fix and f" {fix}"],
        each["examples"] and ul[map(_example, each["examples"])],
    ]


def _example(each: Mapping[str, Any]) -> Node:
    column = f", byte {number(each['column'])}" if each["column"] else ""
    return li[f"line {number(each['line'])}{column}: ", code[each["shape"]]]
