"""What the page of a comparison of IDs shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from converter.report.page.room import Room
from converter.report.texts import cleaned, percent, visible

_MOST_SHOWN = 20
_MOST_SETTING = 1000  # characters


def match_shown(report: Mapping[str, Any], room: Room) -> dict[str, Any]:
    """Return the values of the page; `report` is what `Match.as_dict` gives, and its `warnings`."""
    data = cleaned(report, room.text)
    best, as_is = data["recommended"], data["as_is"]
    matching = [each for each in data["candidates"] if each["matched"] or each["id"] == best["id"] or not each["steps"]]
    shown = matching[: min(_MOST_SHOWN, room.items)]
    omitted = [f"{len(data['candidates']) - len(shown):,} of {len(data['candidates']):,} settings that were tried"]
    gain = best["matched"] - as_is["matched"]
    if not best["matched"]:
        headline = "No IDs match, with any settings."
        step = "Check that both files have IDs of the same system, and name their columns with --id and --site-id."
    else:
        headline = f"{percent(best['rate'])} of the CRM's IDs match ({best['matched']:,} of {data['crm']:,})."
        step = "Write the settings below into the job file."
        if not gain:
            step = "The IDs match best as they are. " + step
    return {
        "title": "IDs that match",
        "outcome": "done" if best["matched"] else "failed",
        "headline": headline,
        "next_step": step,
        "facts": [
            (f"{data['crm']:,}", "distinct IDs in the CRM"),
            (f"{data['site']:,}", "distinct IDs of the site"),
            (f"{as_is['matched']:,}", f"match as they are ({percent(as_is['rate'])} of the CRM's)"),
            (f"{best['matched']:,}", f"match as recommended ({percent(best['rate'])})"),
            (f"{data['case_collisions']['count']:,}", "in the CRM differ from another one by case alone"),
            *(
                (f"{count:,}", f"in the CRM look like IDs of type {name}")
                for name, count in data["other_types"].items()
            ),
        ],
        "block": "\n".join(["[id]", *(_toml(*each) for each in report["recommended"]["id"].items())]),
        "candidates": [
            {**each, "words": ", ".join(each["steps"]) or "as they are", "width": round(100 * each["rate"], 3)}
            for each in shown
        ],
        "collisions": [" and ".join(each) for each in data["case_collisions"]["examples"][: room.items]],
        "warnings": data.get("warnings", [])[: room.items],
        "omitted": omitted if len(data["candidates"]) > len(shown) else [],
        "data": {name: data[name] for name in ("crm", "site", "as_is", "recommended")},
    }


def _toml(key: str, value: object) -> str:
    """Return a setting as TOML has it: its texts, numbers and truths are those of JSON, and so are their escapes."""
    return visible(f"{key} = {json.dumps(value, ensure_ascii=False)}", _MOST_SETTING)
