"""What a receipt of Audience Manager says: its files, its numbers by their labels, and its times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from converter.report.mails import texts_of
from converter.spec.receipts import END_LABEL, FILE_LABELS, START_LABEL, figure_of, folded

_MOST_UNKNOWN = 100
_LEAST_KNOWN = 2  # numbers, of a text that is a receipt
_NUMBER = re.compile(r"-?(?:[0-9]{1,3}(?:([,. '\u2019])[0-9]{3})(?:\1[0-9]{3})*|[0-9]{1,18})")
_PERCENT = re.compile(r"([0-9]{1,3}(?:[.,][0-9]{1,6})?) ?%?")
_LABELED = re.compile(r"([A-Za-z][A-Za-z0-9 ()/#'_-]{1,79}?) ?(?:[:=\t][:=\t ]*)(.*)")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9 ()/#'_-]{1,79}")
_FILE = re.compile(
    r"(?:(?<![A-Za-z0-9])(?:s3n?|s3a|s?ftps?)://[^\s]*?/)?(?:(?<=/)([0-9]{4}-[0-9]{2}-[0-9]{2})/)?"
    r"(?<![A-Za-z0-9_.-])((?:ftp_dpm|adobe_id|c2c_id)_[A-Za-z0-9_.-]*[A-Za-z0-9])"
)
_TIME = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}[T ][0-9:.]{4,15}(?: ?(?:[A-Z]{1,5}|[+-][0-9:]{4,6}))?")
_PARTNER = re.compile(r"\bPartner\W{1,4}ID\W{1,3}([0-9]{1,10})\b")
_QUOTED = re.compile(r"^[>|\s]*[>|]\s*")
_SPACES = re.compile(r"[^\S\t]+")
_UNSEEN = re.compile(r"[\u200b-\u200f\u2060\ufeff\u00ad\x00-\x08\x0e-\x1f\x7f]|\*+")


class ReceivedFile(NamedTuple):
    """A file that a receipt names, and the day of the folder that it was in."""

    name: str
    day: str | None = None


@dataclass
class Receipt:
    """A receipt: its `files`, its `figures` by the keys of `converter.spec.receipts`, and those that are `unknown`.

    `partner` is the ID that the mail is for; `started` and `ended` are times as the mail has them, whose time zone it
    does not say. `repeated` are the labels that the mail has with several numbers, of which the first one counts.
    """

    partner: str | None = None
    files: list[ReceivedFile] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    unknown: dict[str, float] = field(default_factory=dict)
    started: str | None = None
    ended: str | None = None
    repeated: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the receipt as plain data."""
        facts = ("partner", "figures", "unknown", "started", "ended", "repeated")
        return {"files": [each._asdict() for each in self.files], **{name: getattr(self, name) for name in facts}}


def receipt_in(mail: bytes) -> Receipt | None:
    """Return the receipt in a mail; `None` where it has none. Raises `ValueError` for a mail that cannot be parsed.

    Where several parts have one, as where a mail is both text and HTML, it is the one with the most numbers.
    """
    found = [_parsed(text) for text in texts_of(mail)]
    best = max(found, key=lambda each: (len(each.figures), len(each.files)), default=Receipt())
    return best if len(best.figures) >= _LEAST_KNOWN else None


def _parsed(text: str) -> Receipt:
    receipt = Receipt()
    if match := _PARTNER.search(text):
        receipt.partner = match[1]
    names = dict.fromkeys((match[2], match[1]) for match in _FILE.finditer(text))
    receipt.files = [ReceivedFile(*each) for each in names]
    for label, value in _labeled(text):
        _note(receipt, label, value)
    return receipt


def _labeled(text: str) -> Iterator[tuple[str, str]]:
    """Yield the labels of a text with their values, which stand after them or on the next line."""
    waiting = ""
    for line in text.splitlines():
        line = _SPACES.sub(" ", _UNSEEN.sub("", _QUOTED.sub("", line))).strip()
        if not line:
            continue
        if waiting and (_NUMBER.fullmatch(line) or _PERCENT.fullmatch(line) or _TIME.fullmatch(line)):
            yield waiting, line
            waiting = ""
            continue
        match = _LABELED.fullmatch(line)
        if match and match[2].strip():
            yield match[1], match[2].strip()
            waiting = ""
        else:
            label = match[1] if match else line
            waiting = label if _LABEL.fullmatch(label) else ""


def _note(receipt: Receipt, label: str, value: str) -> None:
    """Add what stands after a label to a receipt."""
    name = folded(label)
    if name in (folded(START_LABEL), folded(END_LABEL)):
        if match := _TIME.match(value):
            which = "started" if name == folded(START_LABEL) else "ended"
            setattr(receipt, which, getattr(receipt, which) or match[0])
        return
    number = _number(value)
    if number is None or name in map(folded, FILE_LABELS):
        return
    figure = figure_of(label)
    known, key = (receipt.figures, figure.key) if figure else (receipt.unknown, label)
    if key in known:
        if known[key] != number and label not in receipt.repeated:
            receipt.repeated.append(label)
    elif figure or len(known) < _MOST_UNKNOWN:
        known[key] = number


def _number(text: str) -> float | None:
    """Return a number, in any of the usual ways to group digits; of a share, the percentage."""
    text = text.strip().rstrip(".;,")
    if _NUMBER.fullmatch(text):
        return int(re.sub("[^0-9-]", "", text))
    match = _PERCENT.fullmatch(text)
    return float(match[1].replace(",", ".")) if match else None
