"""What is wrong with a name that is not one of an inbound file, and which name was most likely meant."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

_NUMBER = re.compile("0|[1-9][0-9]*")
_DIGITS = "0123456789"
_TIMESTAMP_DIGITS = 10
_MOST_NUMBERS = 12  # of data sources: names of ID synchronization files may have any number
_PREFIXES = {"ftp_dpm_odc_": (1, 2), "ftp_dpm_": (1, 2), "adobe_id_": (2, _MOST_NUMBERS), "c2c_id_": (2, 2)}
"""How many numbers of data sources follow each prefix."""
_ENDINGS = ("", ".gz", ".gpg", ".pgp")

_SEPARATORS = re.compile(r"[-_ ]+")
_COPY = re.compile(r"(?: ?\(\d+\)| - copy|-copy|_copy|~)+(?=\.|$)")
_UNNEEDED = re.compile(r"\.(?:txt|csv|tsv|dat|log)(?=\.|$)")
_SPELLINGS = (
    (re.compile(r"\.(?:gzip|tgz|gz\.gz)$"), ".gz"),
    (re.compile(r"\.(?:asc|gnupg)$"), ".gpg"),
    (re.compile(r"\.(?:synch?|snyc|syn|syc)(?=\.|$)"), ".sync"),
    (re.compile(r"\.(?:overwirte|over_?write|overwritten|replace)(?=\.|$)"), ".overwrite"),
    (re.compile(r"(\.(?:gz|gpg|pgp))\.(\d+)$"), r".\2\1"),  # the split number after the extension
    (re.compile(r"(sync|overwrite)[-_](\d+)(?=\.|$)"), r"\1.\2"),
    (re.compile(r"(?<=sync|rite)\.(?:part|split)?[-_]?0*([1-9]\d*|0)(?=\.|$)"), r".\1"),
)
_STARTS = (
    (re.compile("^(?:ftp_?)?dpm_"), "ftp_dpm_"),
    (re.compile("^(?:adobe_?|aam_)id_(?:sync_)?"), "adobe_id_"),
    (re.compile("^(?:c2c_?|crm)id_(?:sync_)?|^c2c_(?=[0-9])"), "c2c_id_"),
)
_TIME = re.compile(r"_(\d{8,14})(?=\.|$)")
_FORMATS = {14: "%Y%m%d%H%M%S", 12: "%Y%m%d%H%M", 8: "%Y%m%d"}
_MILLISECOND_DIGITS = 13


class Reached(NamedTuple):
    """How far a name is right: the index of the first character that is not, and what is expected there."""

    at: int
    expected: str


def first_wrong(name: str) -> Reached:
    """Return where a name leaves the grammar (N1, N3, N6, N8): the furthest place that any kind of name reaches."""
    reached = [Reached(*_follow(name, tokens)) for tokens in _grammars()]
    at = max(each.at for each in reached)
    return Reached(at, " or ".join(dict.fromkeys(each.expected for each in reached if each.at == at)))


def _grammars() -> Iterator[list[tuple[str, str]]]:
    """Yield the tokens of each form of a name: a literal, or `#` for a number, and what to say where it is missing."""
    for prefix, (least, most) in _PREFIXES.items():
        modes = (".sync",) if prefix.endswith("_id_") else (".sync", ".overwrite")
        for numbers, mode, has_split, ending in itertools.product(
            range(least, most + 1), modes, (False, True), _ENDINGS
        ):
            tokens = [(prefix, f"'{prefix}'")]
            for _ in range(numbers):
                tokens += [("#", "the number of a data source"), ("_", "'_'")]
            tokens += [("@", f"a timestamp of {_TIMESTAMP_DIGITS} digits"), (mode, f"'{mode}'")]
            tokens += [(".", "'.'"), ("#", "the number of the part")] if has_split else []
            yield [*tokens, *([(ending, f"'{ending}'")] if ending else []), ("", "the end of the name")]


def _follow(name: str, tokens: list[tuple[str, str]]) -> tuple[int, str]:
    at = 0
    for token, expected in tokens:
        if token == "#":  # noqa: S105 - a token of the grammar
            found = _NUMBER.match(name, at)
            if not found:
                return at, expected
            at = found.end()
        elif token == "@":  # noqa: S105 - likewise
            digits = sum(1 for _ in itertools.takewhile(_DIGITS.__contains__, name[at : at + _TIMESTAMP_DIGITS]))
            at += digits
            if digits < _TIMESTAMP_DIGITS:
                return at, expected
        else:
            for character in token:
                if not name.startswith(character, at):
                    return at, expected
                at += 1
    return at, tokens[-1][1]


def respelled(name: str) -> Iterator[str]:
    """Yield names that may have been meant, the likeliest first: without frequent mistakes.

    These are other cases and separators, extensions of tables, dates and milliseconds for the timestamp, leading zeros,
    split numbers in another place, and a mode that is missing.
    """
    text = _COPY.sub("", name.strip().lower().replace("%20", " "))
    text = _UNNEEDED.sub("", text)
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    stem, dot, rest = text.partition(".")
    stem = _SEPARATORS.sub("_", stem).strip("_")
    for pattern, prefix in _STARTS:
        stem = pattern.sub(prefix, stem)
    stem = re.sub("_0+(?=[0-9])", "_", stem)
    text = _TIME.sub(_seconds, stem + dot + rest)
    yield text
    if not re.search(r"\.(?:sync|overwrite)(?:\.|$)", text):
        stem, dot, rest = text.partition(".")
        yield f"{stem}.sync{dot}{rest}"


def _seconds(found: re.Match[str]) -> str:
    """Return a timestamp in seconds for one in milliseconds, or for a date and a time, taken as UTC."""
    digits = found[1]
    if len(digits) == _MILLISECOND_DIGITS:
        return f"_{digits[:_TIMESTAMP_DIGITS]}"
    try:
        moment = datetime.datetime.strptime(digits, _FORMATS[len(digits)]).replace(tzinfo=datetime.UTC)
    except (KeyError, ValueError):
        return found[0]
    return f"_{int(moment.timestamp()):0{_TIMESTAMP_DIGITS}d}"
