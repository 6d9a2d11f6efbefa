"""The page of a run of `convert` or `send`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from converter.report.page.html.elements import (
    Node,
    a,
    bdi,
    br,
    code,
    dd,
    details,
    div,
    dl,
    dt,
    figcaption,
    figure,
    h2,
    h3,
    li,
    p,
    polyline,
    pre,
    rect,
    section,
    span,
    summary,
    svg,
    td,
    tr,
    ul,
)
from converter.report.page.html.frame import framed
from converter.report.page.html.pieces import bar, counts, file_name, filtered, link_to, listing, receipt, warned
from converter.report.texts import counted, number, size, when


def run_page(shown: Mapping[str, Any]) -> bytes:
    """Return the page of what `run_shown` gives."""
    report, reasons = shown["report"], shown["reasons"]
    content: list[Node] = [
        shown["fates"] and _rows(shown["fates"], report),
        reasons
        and section[
            h2["Why rows were rejected or skipped"],
            filtered("reasons and rows"),
            counts(reasons, "rejected", linked=True),
        ],
        (shown["examples"] or report["rejects_path"]) and _examples(shown["examples"], report),
        shown["skipped"] and _skipped(shown["skipped"]),
        shown["first_lines"] and _first_lines(shown["first_lines"]),
        shown["changes"]
        and section[
            h2["Changes"],
            ul("plain")[(li[span("count")[number(count)], f" {words}"] for words, count in shown["changes"]),],
        ],
        shown["steps"] and section[h2["What steps changed of IDs"], counts(shown["steps"], "read")],
        "signals" in report
        and section[
            h2["Signals"],
            p[f"{counted(report['signals']['written'], 'signal')} written."],
            shown["signals"] and counts(shown["signals"], "skipped"),
        ],
        receipt(shown["foreseen"]),
        _parts(shown["parts"], report),
        _time(shown["chart"], report),
        warned(shown["warnings"]),
        _input(shown["inputs"], shown["not_read"]),
        shown["settings"] and _settings(shown["settings"], report),
    ]
    return framed(shown, content, _end(report))


def _rows(fates: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> Markup:
    """Return what became of the rows: numbers, and a bar of them."""
    records, read, others = report["records"], fates[0], fates[1:]
    words = ", ".join(f"{number(each['count'])} rows {each['name']}" for each in others)
    return section[
        h2["Rows"],
        ul("fates")[
            li[_fate(read, "#")],
            (li[_fate(each, link_to("fate", each["name"]))] for each in others),
        ],
        svg("bar stacked", role="img", aria_label=words)[
            rect("ground", width="100%", height="100%"),
            (rect(each["name"], x=f"{each['start']}%", width=f"{each['share']}%", height="100%") for each in others),
        ],
        "users" in records and p[f"{counted(records['users'], 'user')}, in {counted(records['lines'], 'line')}."],
        report.get("complete") is False
        and p["The run ended before the end of its input: the counts are those until then."],
    ]


def _fate(each: Mapping[str, Any], address: str) -> Markup:
    return a(href=address)[span("number")[number(each["count"])], f" {each['name']}"]


def _examples(examples: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> Markup:
    rows: Node = [
        p("none", hidden=True)["None of the rows on this page."],
        listing("Rejected rows", ("Reason", "Where", "Columns, masked"), map(_example, examples)),
    ]
    return section[
        h2["Rejected rows"],
        report["rejects_path"] and p["The whole rejects: ", a(href=report["rejects_link"])[report["rejects_path"]]],
        rows if examples else None,
    ]


def _example(each: Mapping[str, Any]) -> Markup:
    of_row = each["columns"] or f"{number(each['length'])} bytes, {counted(each['lines'], 'line')}"
    return _row("rejected", each, of_row)


def _skipped(examples: Sequence[Mapping[str, Any]]) -> Markup:
    rows = (_row("skipped", each, each["columns"] or "(not shown)") for each in examples)
    return section[
        h2["Skipped rows"],
        p["They break no rule. Of suppressed ones, only the place is known to this page."],
        p("none", hidden=True)["None of the rows on this page."],
        listing("Skipped rows", ("Reason", "Where", "ID, masked"), rows),
    ]


def _row(fate: str, each: Mapping[str, Any], of_row: str | Sequence[tuple[str, str]]) -> Markup:
    """Return a row of a table of examples; `of_row` is what it has: its columns, or words."""
    columns: Node = (
        of_row
        if isinstance(of_row, str)
        else [[span("pair")[bdi[name], ": ", bdi("value")[value or "(empty)"]], " "] for name, value in of_row]
    )
    return tr(data_fate=fate, data_rule=each["rule"])[
        td[each["rule"]], td[f"{each['unit']} {number(each['row'])}", br, file_name(each["file"])], td[columns]
    ]


def _first_lines(lines: Sequence[str]) -> Markup:
    return section(data_fate="written", data_rule="")[
        h2["The first lines written"],
        p["With ", code["a"], " in place of letters and ", code["0"], " in place of digits:"],
        pre(tabindex="0", role="region", aria_label="The first lines written")[(f"{each}\n" for each in lines)],
    ]


def _parts(parts: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> Markup:
    columns = ("Part", "Lines", "Size, of at most", "Text, of at most")
    return section[
        h2["Parts at the destination"],
        listing("Parts", columns, map(_part, parts)) if parts else p["None is visible."],
        report["hidden_parts"] > 0
        and p[f"{counted(report['hidden_parts'], 'part')} arrived and stay hidden, for --resume."],
    ]


def _part(each: Mapping[str, Any]) -> Markup:
    return tr[
        td[file_name(each["url"])],
        td("count")[number(each["lines"])],
        td[f"{size(each['bytes'])} of {size(each['most'])}", bar(each["share"], "written")],
        td[f"{size(each['raw_bytes'])} of {size(each['most_raw'])}", bar(each["share_raw"], "written")],
    ]


def _time(chart: Mapping[str, Any] | None, report: Mapping[str, Any]) -> Markup:
    retries = ", ".join(f"{name} {counted(count, 'time')}" for name, count in report["retries"].items())
    return section[
        h2["Time"],
        p[
            f"From {when(report['started'])} to {when(report['ended'])}: {report['seconds']} s, "
            f"{size(report['bytes_per_second'])} of the input a second."
        ],
        _chart(chart) if chart else "pace" in report and p["The run was too short for a chart."],
        retries and p[f"Tried again: {retries}."],
    ]


def _chart(chart: Mapping[str, Any]) -> Markup:
    most, seconds = size(chart["most"]), f"{chart['seconds']} s"
    label = f"Bytes read and sent a second over {chart['seconds']} seconds, at most {most}"
    box = f"0 0 {chart['width']} {chart['height']}"
    return figure[
        figcaption[f"Bytes a second, up to {most}: ", span("key read"), " read, ", span("key sent"), " sent (dashed)"],
        svg("chart", role="img", aria_label=label, viewBox=box, preserveAspectRatio="none")[
            polyline("read", points=chart["read"]), polyline("sent", points=chart["sent"])
        ],
        p("axis")[span["0 s"], span[seconds]],
    ]


def _input(inputs: Sequence[Mapping[str, Any]], not_read: Sequence[Mapping[str, Any]]) -> Markup:
    return section[
        h2["Input"],
        ul[
            (li[file_name(each["path"]), f", {size(each['bytes'])}"] for each in inputs),
            (li[f"{counted(each['files'], 'file')} not read: {each['reason']}"] for each in not_read),
        ],
    ]


def _settings(settings: Sequence[tuple[str, Sequence[tuple[str, str]]]], report: Mapping[str, Any]) -> Markup:
    path = report["job_path"]
    return section[
        details[
            summary["The job, without secrets", path and [": ", file_name(path)]],
            ([h3[f"[{name}]"], dl[(div[dt[key], dd[bdi[value]]] for key, value in keys)]] for name, keys in settings),
        ]
    ]


def _end(report: Mapping[str, Any]) -> Markup:
    return p[_end_words(report)]


def _end_words(report: Mapping[str, Any]) -> Iterator[Node]:
    yield f"aam-inbound {report['version']}, report format {report['schema_version']}"
    if report["host"]:
        yield f", on {report['host']}"
    if report["report_path"]:
        yield [". The report: ", file_name(report["report_path"])]
