"""What the page of a run of `convert` or `send` shows, from its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from converter.jobs.paths import is_url
from converter.report.foreseen import labeled
from converter.report.page.room import Room
from converter.report.page.words import headline, next_step
from converter.report.texts import cleaned, counted
from converter.spec.limits import PART_BYTES, PART_RAW_BYTES

_FATES = ("written", "rejected", "skipped")
_CHANGES = {
    "new": "users new",
    "changed": "users changed",
    "refreshed": "users sent again before their traits fall off",
    "unchanged": "users unchanged, so not sent",
    "gone": "users gone from the input",
    "removed": "users gone, whose traits are removed",
    "traits_removed": "traits removed",
    "keys_lost": "keys lost, which cannot be taken back",
}
_UNKNOWN: dict[str, Any] = {
    "schema_version": "unknown",
    "version": "",
    "name": "",
    "job_path": None,
    "host": "",
    "started": "",
    "ended": "",
    "seconds": 0,
    "bytes_per_second": 0,
    "hidden_parts": 0,
    "retries": {},
    "report_path": None,
    "rejects_path": None,
}
"""What a report of another version may lack."""
_UNCHANGED = "unchanged"
"""The rule of which there are no examples. The module of rules takes long to load."""
_CHART_WIDTH, _CHART_HEIGHT = 600, 120


def run_shown(report: Mapping[str, Any], room: Room) -> dict[str, Any]:
    """Return the values of the page; `report` is plain data, in which keys of later versions may be missing."""
    omitted: list[str] = []
    clean = cleaned(report, room.text)
    data = {**_UNKNOWN, **clean, "rejects_link": _link(report.get("rejects_path"))}
    records = data.get("records")
    reasons = _reasons(data) if records else []
    examples = _examples(data, room, omitted)
    skipped = _skipped(data, room, omitted)
    shown = {
        "title": data["name"] or "run",
        "report": data,
        "outcome": data["outcome"],
        "headline": headline(data),
        "next_step": next_step(data),
        "fates": _fates(records) if records else [],
        "reasons": reasons,
        "examples": examples,
        "skipped": skipped,
        "first_lines": data.get("first_lines", []),
        "steps": _counts(data, data.get("ids", {}).get("changed", {})),
        "signals": _signals(data),
        "changes": [(_CHANGES.get(name, name), count) for name, count in (data.get("changes") or {}).items() if count],
        "foreseen": labeled((data.get("foreseen") or {}).get("figures", {})),
        "parts": _parts(data, room, omitted),
        "inputs": _first(data.get("input", []), room.items, "files of the input", omitted),
        "not_read": data.get("left_out", []),
        "warnings": _first(data.get("warnings", []), room.items, "warnings", omitted),
        "chart": _chart(data.get("pace", [])),
        "settings": _settings(data.get("job", {}), room, omitted),
        "omitted": omitted,
    }
    return {**shown, "data": _data_of(data, shown)}


def _data_of(data: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the script of the page has: the numbers that it shows."""
    names = ("schema_version", "version", "name", "outcome", "exit_code", "started", "ended", "seconds", "records")
    return {
        **{name: data[name] for name in (*names, "ids", "signals", "changes") if name in data},
        "parts": len(data["parts"]),
        "lines": sum(part["lines"] for part in data["parts"]),
        "bytes": sum(part["bytes"] for part in data["parts"]),
        "examples": len(shown["examples"]),
        "skipped_examples": len(shown["skipped"]),
    }


def _fates(records: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how many rows were read, and what became of them, with shares of 0 to 100."""
    counts = {"written": records["written"]}
    counts |= {fate: sum(records[fate].values()) for fate in ("rejected", "skipped")}
    total = max(records["read"], sum(counts.values()), 1)
    start, fates = 0.0, [{"name": "read", "count": records["read"], "share": 100.0, "start": 0.0}]
    for fate in _FATES:
        share = 100 * counts[fate] / total
        fates.append({"name": fate, "count": counts[fate], "share": round(share, 3), "start": round(start, 3)})
        start += share
    return fates


def _counts(data: Mapping[str, Any], counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return counts by name, the highest first, with what the names mean, and widths of 0 to 100."""
    meanings, most = data.get("meanings", {}), max(counts.values(), default=0)
    return [
        {
            "name": name,
            "count": count,
            "width": round(100 * count / max(most, 1), 3),
            "code": meanings.get(name, {}).get("code", ""),
            "text": meanings.get(name, {}).get("text", ""),
        }
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _reasons(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return why rows were rejected or skipped."""
    found = [
        {**each, "fate": fate} for fate in ("rejected", "skipped") for each in _counts(data, data["records"][fate])
    ]
    most = max((each["count"] for each in found), default=1)
    return [{**each, "width": round(100 * each["count"] / max(most, 1), 3)} for each in found]


def _examples(data: Mapping[str, Any], room: Room, omitted: list[str]) -> list[dict[str, Any]]:
    """Return examples of rejected rows: where each is, and what it has."""
    shown = _firsts(data.get("examples", []), room)
    rejected = sum(data.get("records", {}).get("rejected", {}).values())
    if rejected > len(shown):
        omitted.append(
            f"{counted(rejected - len(shown), 'rejected row')}: the first {room.examples} of each reason are shown, "
            "as far as there is room"
        )
    return shown


def _skipped(data: Mapping[str, Any], room: Room, omitted: list[str]) -> list[dict[str, Any]]:
    """Return examples of skipped rows: where each is, and its ID, if that may be shown."""
    shown = _firsts(data.get("skipped_examples", []), room)
    counts = data.get("records", {}).get("skipped", {})
    others = sum(counts.values()) - counts.get(_UNCHANGED, 0) - len(shown)
    if others > 0:
        omitted.append(
            f"{counted(others, 'skipped row')}: the first {room.examples} of each reason are shown, as far as there is "
            "room"
        )
    if unchanged := counts.get(_UNCHANGED, 0):
        omitted.append(f"{counted(unchanged, 'row')} of users who are unchanged: whole users are compared, not rows")
    return shown


def _firsts(examples: Sequence[Mapping[str, Any]], room: Room) -> list[dict[str, Any]]:
    """Return as many examples of each rule as there is room for, with the columns of each as pairs."""
    shown: list[dict[str, Any]] = []
    of_rule: dict[str, int] = {}
    for each in examples:
        of_rule[each["rule"]] = of_rule.get(each["rule"], 0) + 1
        if of_rule[each["rule"]] <= room.examples:
            shown.append({**each, "columns": list((each.get("columns") or {}).items())})
    return shown


def _signals(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return which signals were not written as they were."""
    signals = data.get("signals", {})
    return [{**each, "fate": fate} for fate in ("dropped", "changed") for each in _counts(data, signals.get(fate, {}))]


def _parts(data: Mapping[str, Any], room: Room, omitted: list[str]) -> list[dict[str, Any]]:
    """Return the parts, each with its shares of what a part may have."""
    output = data.get("job", {}).get("output", {})
    most = output.get("max_part_bytes") or PART_BYTES.value
    most_raw = output.get("max_part_raw_bytes") or PART_RAW_BYTES.value
    return [
        {
            **part,
            "most": most,
            "most_raw": most_raw,
            "share": round(min(100 * part["bytes"] / most, 100), 3),
            "share_raw": round(min(100 * part["raw_bytes"] / most_raw, 100), 3),
        }
        for part in _first(data["parts"], room.items, "parts", omitted)
    ]


def _first(items: Sequence[Any], most: int, noun: str, omitted: list[str]) -> Sequence[Any]:
    """Return the first items; say in `omitted` how many others there are."""
    if len(items) > most:
        omitted.append(f"{len(items) - most:,} of {len(items):,} {noun}")
    return items[:most]


def _chart(points: Sequence[Mapping[str, float]]) -> dict[str, Any] | None:
    """Return lines of bytes a second over the time of a run, as points of SVG; None where there are too few."""
    ends = [point for point in points if point["seconds"] > 0]
    if len(ends) < 3:
        return None
    steps = [(a, b) for a, b in pairwise(ends) if b["seconds"] > a["seconds"]]
    rates = {
        key: [max(b[key] - a[key], 0) / (b["seconds"] - a["seconds"]) for a, b in steps]
        for key in ("bytes_read", "bytes_sent")
    }
    last = ends[-1]["seconds"]
    most = max(*rates["bytes_read"], *rates["bytes_sent"], 1)
    middles = [(a["seconds"] + b["seconds"]) / 2 for a, b in steps]

    def line(key: str) -> str:
        return " ".join(
            f"{_CHART_WIDTH * at / last:.1f},{_CHART_HEIGHT * (1 - rate / most):.1f}"
            for at, rate in zip(middles, rates[key], strict=True)
        )

    return {
        "width": _CHART_WIDTH,
        "height": _CHART_HEIGHT,
        "read": line("bytes_read"),
        "sent": line("bytes_sent"),
        "most": most,
        "seconds": last,
    }


def _settings(job: Mapping[str, Any], room: Room, omitted: list[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the settings of a job that say something, by section."""
    found = {name: list(_leaves(section)) for name, section in job.items() if isinstance(section, Mapping)}
    most = 4 * room.items
    for name, leaves in found.items():
        found[name] = list(_first(leaves, most, f"settings of [{name}]", omitted))
    return [(name, leaves) for name, leaves in found.items() if leaves]


def _leaves(section: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        elif isinstance(value, list):
            yield from _leaves({str(number): each for number, each in enumerate(value, 1)}, f"{above}{key}.")
        elif value not in (None, ""):
            yield above + key, str(value).lower() if isinstance(value, bool) else str(value)


def _link(path: str | None) -> str:
    """Return the address of a file that is beside the page."""
    if not path:
        return ""
    name = path.rpartition("/")[2] if is_url(path) or "/" in path else path
    return f"./{quote(name)}"
