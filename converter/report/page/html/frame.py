"""The frame of all pages: the outcome at the top, what it omits at the end, and a policy.

The policy lets a page load and run only its own style and script.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from markupsafe import Markup

from converter.report.page.html.elements import (
    Node,
    body,
    footer,
    h1,
    h2,
    head,
    header,
    html,
    li,
    link,
    main,
    meta,
    p,
    script,
    strong,
    style,
    title,
    ul,
)

_GOOD = ("done", "nothing to do")
_IN_SCRIPTS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""Characters that could end a script or begin a comment there, and how JSON has them as well."""


def framed(shown: Mapping[str, Any], content: Node, end: Node = None) -> bytes:
    """Return a page of `content`, with `end` as the last lines.

    `shown` has its `title`, `outcome`, `headline`, `next_step`, what is `omitted`, and the `data` of its script.
    """
    css, code = _own("page.css"), _own("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(css)}'; script-src '{_digest(code)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = html(lang="en")[
        head[
            meta(charset="utf-8"),
            meta(name="viewport", content="width=device-width, initial-scale=1"),
            meta(name="color-scheme", content="light dark"),
            meta(name="referrer", content="no-referrer"),
            meta(name="robots", content="noindex"),
            meta(http_equiv="Content-Security-Policy", content=policy),
            link(rel="icon", href="data:,"),
            title[f"{shown['headline']} {shown['title']}"],
            style[Markup(css)],  # noqa: S704 - ours
        ],
        body[
            header(f"outcome {'good' if shown['outcome'] in _GOOD else 'bad'}")[
                p("title")[shown["title"]],
                h1[shown["headline"]],
                p[strong["Next:"], " ", shown["next_step"]],
            ],
            main[content],
            footer[_left_out(shown["omitted"]), end],
            script(type="application/json", id="data")[_in_script(shown["data"])],
            script[Markup(code)],  # noqa: S704 - ours
        ],
    ]
    return b"<!doctype html>" + page.encode()


def _left_out(omitted: list[str]) -> Node:
    return omitted and [h2["What this page leaves out"], ul[(li[each] for each in omitted)]]


def _in_script(data: Mapping[str, Any]) -> Markup:
    """Return data as JSON that cannot end the script that it stands in."""
    text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode()
    return Markup(text.translate(_IN_SCRIPTS))  # noqa: S704 - see above


@functools.cache
def _own(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
