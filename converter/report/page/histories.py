"""What the page of the runs of a report folder shows."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from converter.report.page.room import Room
from converter.report.texts import cleaned, counted

DAYS = 30
_FATES = ("written", "rejected", "skipped")
_HEIGHT = 100


def history_shown(report: Mapping[str, Any], room: Room) -> dict[str, Any]:
    """Return the values of the page; `report` is what `History.as_dict` gives."""
    data = cleaned(report, room.text)
    until = datetime.date.fromisoformat(data["until"])
    days = [(until - datetime.timedelta(before)).isoformat() for before in reversed(range(DAYS))]
    for run, raw in zip(data["runs"], report["runs"], strict=True):
        run["day"] = str(run["started"])[:10]
        run["link"] = f"./{quote(raw['page'])}" if raw["page"] else ""
    runs = [run for run in data["runs"] if run["day"] >= days[0]]
    shown = runs[: 3 * room.items]
    omitted = (
        [f"{counted(len(data['runs']) - len(runs), 'run')} before {days[0]}"] if len(data["runs"]) > len(runs) else []
    )
    if len(runs) > len(shown):
        omitted.append(f"{len(runs) - len(shown):,} of {counted(len(runs), 'run')} in the table; the bars have all")
    if data["unread"]:
        omitted.append(f"{counted(len(data['unread']), 'file')} that could not be read as a report")
    failed = sum(run["exit_code"] != 0 for run in runs)
    last = runs[0] if runs else None
    return {
        "title": "Runs of the last 30 days",
        "outcome": "done" if last is None or last["exit_code"] == 0 else "failed",
        "headline": _headline(len(runs), failed),
        "next_step": _next_step(last),
        "folder": data["folder"],
        "days": _days(days, runs),
        "runs": shown,
        "omitted": omitted,
        "data": {"until": data["until"], "runs": shown},
    }


def _headline(runs: int, failed: int) -> str:
    if not runs:
        return "No runs in the last 30 days."
    return f"{counted(runs, 'run')} in the last 30 days, {failed:,} of them not done."


def _next_step(last: Mapping[str, Any] | None) -> str:
    if last is None:
        return "Reports are here once a job has run with this folder as report.dir."
    if last["exit_code"] == 0:
        return "The last run is done: there is nothing to do."
    return f"The last run, {last['name']}, is {last['outcome']} ({last['error'] or 'no code'}): open its page."


def _days(days: list[str], runs: list[Any]) -> list[dict[str, Any]]:
    """Return each day with its counts, and the bars of rows as heights of 0 to 100."""
    found: dict[str, dict[str, Any]] = {
        day: {"day": day, "runs": 0, "failed": 0, **dict.fromkeys(_FATES, 0)} for day in days
    }
    for run in runs:
        if day := found.get(run["day"]):
            day["runs"] += 1
            day["failed"] += run["exit_code"] != 0
            for fate in _FATES:
                day[fate] += run[fate] or 0
    most = max(max(sum(day[fate] for fate in _FATES) for day in found.values()), 1)
    for day in found.values():
        top, bars = float(_HEIGHT), []
        for fate in _FATES:
            height = _HEIGHT * day[fate] / most
            top -= height
            bars.append({"fate": fate, "top": round(top, 3), "height": round(height, 3)})
        day["bars"] = bars
    return list(found.values())
