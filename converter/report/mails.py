"""The texts of a mail: plain text and HTML, of any part, decoded.

Mails come from outside, so that nothing in them is trusted: sizes are limited, encodings are those of texts, and what
is malformed is read as far as it goes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from html.parser import HTMLParser

MOST_BYTES = 10_000_000
"""How large a mail may be, with its attachments."""

_MOST_PARTS = 200
_MOST_TEXT = 1_000_000  # bytes of a part: more is not a receipt
_ENCODINGS = re.compile(
    r"(?:us-?)?ascii|utf-?(?:8|16|32)(?:-?[bl]e)?|(?:iso-?8859|latin|windows|cp|ibm|koi8|mac|iso-?2022)[-_a-z0-9]*|"
    r"gb[-_0-9a-z]*|big5[-_0-9a-z]*|shift[-_]jis|s-?jis|euc[-_][a-z]{2}|tis-?620",
    re.IGNORECASE,
)
_BLOCKS = {
    "article",
    "blockquote",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "table",
    "tr",
    "ul",
}
_BLOCKS |= {"h1", "h2", "h3", "h4", "h5", "h6"}
_CELLS = frozenset(("td", "th"))
_UNSEEN = frozenset(("script", "style", "title", "head"))


def texts_of(mail: bytes) -> Iterator[str]:
    """Yield the texts of a mail, or the mail itself where it has no headers; markup becomes lines, and cells tabs.

    Raises `ValueError` where it is too deeply nested.
    """
    try:
        message = message_from_bytes(mail, policy=compat32)
        parts = [part for _, part in zip(range(_MOST_PARTS), message.walk(), strict=False)]
    except (RecursionError, LookupError, AssertionError) as error:
        raise ValueError("it is malformed") from error
    if not message.keys():  # a text that was saved without its headers
        yield from _as_texts(mail, None, is_html=mail.lstrip()[:1] == b"<")
        return
    for part in parts:
        kind = part.get_content_maintype()
        if kind != "text" or part.is_multipart():
            continue
        content = _content(part)
        yield from _as_texts(content, _charset(part), is_html=part.get_content_subtype() == "html")
    # A text whose first lines look like headers.
    yield from _as_texts(mail, None, is_html=False)


def _content(part: Message) -> bytes:
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError):
        return b""
    return content if isinstance(content, bytes) else b""


def _charset(part: Message) -> str | None:
    try:
        return part.get_content_charset()
    except (ValueError, LookupError):
        return None


def _as_texts(content: bytes, charset: str | None, *, is_html: bool) -> Iterator[str]:
    if len(content) > _MOST_TEXT:
        return
    text = _decoded(content, charset)
    yield _without_markup(text) if is_html else text


def _decoded(content: bytes, charset: str | None) -> str:
    """Return bytes as text; an encoding that is none of texts is not tried, since some take very long."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        charset = "utf-16"
    for name in (charset or "utf-8", "utf-8"):
        if _ENCODINGS.fullmatch(name):
            try:
                return content.decode(name)
            except (LookupError, ValueError):
                continue
    return content.decode("latin-1")


def _without_markup(text: str) -> str:
    reader = _Reader()
    with contextlib.suppress(AssertionError, ValueError):  # what is read until then stays
        reader.feed(text)  # and no `close`: what is unfinished at the end is markup, and takes long
    return "".join(reader.pieces)


class _Reader(HTMLParser):
    """Takes the text out of HTML, with a line for each block and a tab between cells."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _UNSEEN:
            self._unseen += 1
        if tag == "br" or tag in _BLOCKS:
            self.pieces.append("\n")
        if tag in _CELLS:
            self.pieces.append("\t")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(self._unseen - 1, 0)
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.pieces.append(re.sub(r"\s+", " ", data))
