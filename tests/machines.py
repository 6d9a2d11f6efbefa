"""What runs on machines that vanish leave in a bucket, where `report.dir` and the input are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


def keep_input(place: Any, path: Path) -> str:
    """Put an input where it stays; return its URL."""
    place.client.put_object(Bucket=place.bucket, Key=f"input/{path.name}", Body=path.read_bytes())
    return f"s3://{place.bucket}/input/{path.name}"


def objects_in(place: Any, reports: str) -> Iterator[tuple[str, bytes]]:
    """Yield the objects below a URL, by the rest of their keys."""
    prefix = reports.removeprefix(f"s3://{place.bucket}/") + "/"
    pages = place.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=prefix)
    for key in [each["Key"] for page in pages for each in page.get("Contents", [])]:
        yield key.removeprefix(prefix), place.client.get_object(Bucket=place.bucket, Key=key)["Body"].read()


def events_in(place: Any, reports: str) -> list[str]:
    """The events in the journal of a run, in order."""
    found: list[str] = []
    for key, content in objects_in(place, reports):
        if ".journal/" in key:
            head, _, line = content.partition(b"\n")
            if orjson.loads(head)["kind"] in ("begin", "removed"):
                found = []
            found += [orjson.loads(line)["event"]] if line else []
    return found


def reports_in(place: Any, reports: str) -> list[bytes]:
    """The reports of runs that are done."""
    return [content for key, content in objects_in(place, reports) if key.endswith(".report.json")]
