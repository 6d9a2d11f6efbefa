"""The pages of the documentation are all in its navigation. That links lead somewhere is what `make docs` checks."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def _pages(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            (value,) = entry.values()
            yield from [value] if isinstance(value, str) else _pages(value)


def test_every_page_is_in_the_navigation_once() -> None:
    named = list(_pages(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]))
    assert sorted(named) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_every_page_begins_with_its_title() -> None:
    assert [path.name for path in (ROOT / "docs").glob("*.md") if not path.read_text().startswith("# ")] == []


def test_the_readme_links_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    linked = {part.partition(")")[0].partition("#")[0] for part in text.split("](")[1:]}
    assert {"docs/index.md", "CHANGELOG.md"} <= linked
    assert [link for link in linked if not (ROOT / link).exists()] == []
