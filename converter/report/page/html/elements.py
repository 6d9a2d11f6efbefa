"""Elements of HTML, whose values are escaped: `li("count", data_rule=name)["5 rows, ", strong[name]]`.

Classes and attributes are in parentheses, children in brackets. Template engines take as long to load as a tenth of a
run of a small table, and libraries that build elements as objects eight times as long to write a page.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from markupsafe import Markup, escape

Node: TypeAlias = "str | Element | Iterable[Node] | bool | None"
"""What can be in an element: texts, which are escaped; elements; several of these; or nothing (`None`, a truth)."""

_ALONE = frozenset({"br", "link", "meta"})  # without an end


class Element:
    """An element without children. In brackets it gets them, and is text that is not escaped again."""

    __slots__ = ("_attributes", "_name")

    def __init__(self, name: str, attributes: str = "") -> None:
        self._name, self._attributes = name, attributes

    def __call__(self, classes: str = "", /, **attributes: str | bool) -> Element:
        """Return the element with attributes: `data_rule` is `data-rule`, and true ones have no value."""
        given = {"class": classes, **attributes} if classes else attributes
        return Element(self._name, self._attributes + "".join(_attribute(*each) for each in given.items()))

    def __getitem__(self, children: Node | tuple[Node, ...]) -> Markup:
        return Markup(f"<{self._name}{self._attributes}>{_text(children)}</{self._name}>")  # noqa: S704 - see `_text`

    def __html__(self) -> Markup:
        if self._name in _ALONE:
            return Markup(f"<{self._name}{self._attributes}>")  # noqa: S704 - see `_attribute`
        return self[""]


def _attribute(name: str, value: str | bool) -> str:
    name = name.replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def _text(node: Node) -> str:
    """Return what is in an element. Raises `TypeError` for what is no node."""
    if isinstance(node, str | Element):
        return escape(node)
    if node is None or isinstance(node, bool):
        return ""
    return "".join(map(_text, node))


a, bdi, body, br, code, dd = map(Element, ("a", "bdi", "body", "br", "code", "dd"))
details, div, dl, dt, figcaption, figure = map(Element, ("details", "div", "dl", "dt", "figcaption", "figure"))
footer, h1, h2, h3, head, header, html = map(Element, ("footer", "h1", "h2", "h3", "head", "header", "html"))
li, link, main, meta, ol, p, polyline, pre = map(Element, ("li", "link", "main", "meta", "ol", "p", "polyline", "pre"))
rect, script, section, span, strong, style = map(Element, ("rect", "script", "section", "span", "strong", "style"))
summary, svg, table, tbody, td, th = map(Element, ("summary", "svg", "table", "tbody", "td", "th"))
thead, title, tr, ul = map(Element, ("thead", "title", "tr", "ul"))
