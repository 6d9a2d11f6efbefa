"""Templates become pages: Jinja2 with every value escaped, and a policy that lets a page load and run only its own."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from converter.report.texts import counted, number, percent, size, when

_TEMPLATES = Path(__file__).parent / "templates"


class Room(NamedTuple):
    """How much a page may show: characters of a text, items of a list, examples of a rule; and its bytes."""

    text: int
    items: int
    examples: int
    page_bytes: int = 250_000


MOST = (Room(300, 100, 10), Room(160, 40, 5), Room(80, 20, 1), Room(60, 5, 0))
"""What is tried in turn until a page is small enough; with the last, any is."""


def rendered(template: str, shown: Mapping[str, Any]) -> bytes:
    """Return a page; `shown` are the values of its template."""
    style, script = _own("page.css"), _own("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    return page.render(shown, style=Markup(style), script=Markup(script), policy=policy).encode()  # noqa: S704 - ours


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(number=number, size=size, percent=percent, counted=counted, when=when)
    return environment


@functools.cache
def _own(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
