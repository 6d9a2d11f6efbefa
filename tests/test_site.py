"""The pages of the documentation are all in its navigation, and found. That links lead somewhere is what `make docs` checks."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .servers import required
from .servers.chromium import browser

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


def test_code_in_lists_is_indented_as_the_site_needs_it() -> None:
    """With fewer than four spaces, a numbered list would begin again after the code."""
    shallow = re.compile(r"^ {1,3}```", re.MULTILINE)
    assert [path.name for path in (ROOT / "docs").glob("*.md") if shallow.search(path.read_text())] == []


def test_the_readme_links_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    linked = {part.partition(")")[0].partition("#")[0] for part in text.split("](")[1:]}
    assert {"docs/index.md", "CHANGELOG.md"} <= linked
    assert [link for link in linked if not (ROOT / link).exists()] == []


# --- the built site ---------------------------------------------------------------------------------------------


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site, built as `make docs` does."""
    zensical = Path(sys.executable).parent / "zensical"
    if not zensical.exists():
        required("zensical is not installed: make docs")
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "zensical.toml", folder)
    subprocess.run([zensical, "build", "--strict"], cwd=folder, check=True, capture_output=True)
    handler = functools.partial(_Quiet, directory=folder / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.mark.parametrize(
    "words, page", [("host key", "servers.html"), ("E-S3-ACL", "s3.html"), ("id_is_email", "rules.html")]
)
def test_the_search_finds_pages_and_asks_no_other_server(site: str, chromium: Any, words: str, page: str) -> None:
    opened = chromium.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(site, wait_until="networkidle")
    dialog = opened.locator("dialog[open] input")
    deadline = time.monotonic() + 60
    while not dialog.count() and time.monotonic() < deadline:  # the key is heard once the script has run
        opened.keyboard.press("/")
        opened.wait_for_timeout(500)
    dialog.fill(words, timeout=60_000)
    opened.wait_for_selector(f"dialog a[href*='{page}']", state="attached", timeout=60_000)
    opened.close()
    assert [url for url in asked if not url.startswith(site)] == []


@pytest.mark.parametrize("page", ["index.html", "first-file.html", "ids.html", "errors.html", "python.html"])
def test_pages_fit_on_a_phone(site: str, chromium: Any, page: str) -> None:
    opened = chromium.new_page(viewport={"width": 360, "height": 800})
    opened.goto(site + page, wait_until="networkidle")
    width = opened.evaluate("document.documentElement.scrollWidth")
    names = "[...document.querySelectorAll('td code, th code')].filter(code => /^[\\w.]+$/.test(code.innerText))"
    broken = opened.evaluate(f"{names}.filter(code => code.getClientRects().length > 1).map(code => code.innerText)")
    opened.close()
    assert width <= 360, "tables and code scroll by themselves"
    assert broken == [], "names are not broken between letters"


def test_a_link_to_a_code_shows_its_row(site: str, chromium: Any) -> None:
    opened = chromium.new_page(viewport={"width": 1280, "height": 800})
    opened.goto(f"{site}errors.html#E-S3-DENIED", wait_until="networkidle")
    row = opened.locator("tr:has(#E-S3-DENIED)")
    deadline = time.monotonic() + 60
    while not 0 < row.bounding_box()["y"] < 800 and time.monotonic() < deadline:
        opened.wait_for_timeout(200)
    place = row.bounding_box()["y"]
    marked, other = (
        opened.locator(f"tr:has(#{code})").evaluate("row => getComputedStyle(row).backgroundColor")
        for code in ("E-S3-DENIED", "E-S3-ACL")
    )
    opened.close()
    assert 0 < place < 800
    assert marked != other
