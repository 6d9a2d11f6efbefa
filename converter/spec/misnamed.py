"""What is wrong with a name that is not one of an inbound file, and which name was most likely meant."""

from __future__ import annotations

import datetime
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_NUMBER = re.compile("0|[1-9][0-9]*")
_DIGITS = "0123456789"
_TIMESTAMP_DIGITS = 10
_MOST_NUMBERS = 12  # of data sources: names of ID synchronization files may have any number


class _Kind(NamedTuple):
    """How the names of a kind begin, how many numbers of data sources follow, and other beginnings that are written."""

    start: tuple[str, ...]
    least: int
    most: int
    modes: tuple[str, ...]
    example: str
    others: frozenset[str]


_OF_SIGNALS = ("sync", "overwrite")
_KINDS = {
    "ftp_dpm": _Kind(
        ("ftp_dpm_",),
        1,
        2,
        _OF_SIGNALS,
        "ftp_dpm_1234_5678_1366545717.sync.1.gz",
        frozenset(("", "dpm", "ftp", "ftpdpm", "s3_dpm", "aam_dpm")),
    ),
    "ftp_dpm_odc": _Kind(
        ("ftp_dpm_", "odc_"),
        1,
        2,
        _OF_SIGNALS,
        "ftp_dpm_odc_1234_1366545717.sync.1.gz",
        frozenset(("odc", "dpm_odc", "ftp_odc", "ftp_odc_dpm", "ftpdpm_odc")),
    ),
    "adobe_id": _Kind(
        ("adobe_id_",),
        2,
        _MOST_NUMBERS,
        ("sync",),
        "adobe_id_0_1234_1366545717.sync",
        frozenset(("adobe", "adobeid", "adobe_id_sync", "adobe_idsync", "aam_id", "aam_id_sync", "id_sync")),
    ),
    "c2c_id": _Kind(
        ("c2c_id_",),
        2,
        2,
        ("sync",),
        "c2c_id_1234_5678_1366545717.sync",
        frozenset(("c2c", "c2cid", "c2c_id_sync", "crmid", "crm_id")),
    ),
}
_ENDINGS = ("", ".gz", ".gpg", ".pgp")

_SEPARATORS = re.compile(r"[-_\s]+")
_COPY = re.compile(r"^copy of |(?: ?\(\d+\)| - copy|-copy|_copy|~)+(?=\.|$)")
_SPLIT = re.compile(r"(?:part|split)?[-_]?0*(0|[1-9][0-9]*)(?:[-_]?of[-_]?[0-9]+)?", re.ASCII)
_MOST_SPLIT_DIGITS = 6  # longer numbers in a name are timestamps or data sources
_MODES = {
    **dict.fromkeys(("overwritten", "replace", "full"), "overwrite"),
    **dict.fromkeys(("append", "delta", "incremental", "update"), "sync"),
}
"""Other words for the modes."""
_PACKINGS = {
    **dict.fromkeys(("gz", "gzip", "tgz", "zip", "bz2", "xz", "zst", "z"), ".gz"),
    **dict.fromkeys(("gpg", "asc", "gnupg"), ".gpg"),
    "pgp": ".pgp",
}
_UNNEEDED = frozenset(
    ("", "csv", "dat", "log", "tsv", "txt", "bak", "done", "filepart", "new", "old", "part", "temp", "tmp")
)
_CLOCK = r"([0-9]{2})[-:h]?([0-9]{2})(?:[-:m]?([0-9]{2}))?[sz]?"
_DATE = re.compile(rf"(?<![0-9])([0-9]{{4}})[-_ ]([0-9]{{2}})[-_ ]([0-9]{{2}})(?:[-_ t]?{_CLOCK})?$", re.ASCII)
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
    expected = sorted({each.expected for each in reached if each.at == at}, key=lambda text: (text == _END, text))
    first, last = expected[:-1], expected[-1]
    return Reached(at, f"{', '.join(first)} or {last}" if first else last)


_END = "the end of the name"


def _grammars() -> Iterator[list[tuple[str, str]]]:
    """Yield the tokens of each form of a name: a literal, or `#` for a number, and what to say where it is missing."""
    for kind in _KINDS.values():
        for numbers, mode, has_split, ending in itertools.product(
            range(kind.least, kind.most + 1), kind.modes, (False, True), _ENDINGS
        ):
            tokens = [(literal, f"'{literal}'") for literal in kind.start]
            for _ in range(numbers):
                tokens += [("#", "the number of a data source"), ("_", "'_'")]
            tokens += [("@", f"a timestamp of {_TIMESTAMP_DIGITS} digits"), (f".{mode}", f"'.{mode}'")]
            tokens += [(".", "'.'"), ("#", "the number of the part")] if has_split else []
            yield [*tokens, *([(ending, f"'{ending}'")] if ending else []), ("", _END)]


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
            right = _common(name[at:], token)
            if right < len(token):
                rest = f"'{token[right:]}'"
                return at + right, expected if not right else rest if token[:right] == "." else f"{rest} of {expected}"
            at += right
    return at, tokens[-1][1]


def _common(left: str, right: str) -> int:
    """Return how many characters two texts share at their beginning."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def example_for(name: str) -> str:
    """Return a right name of the kind that a wrong one seems to be, or of the kind of files that is most frequent."""
    head = "_".join(itertools.takewhile(lambda word: not word.isdecimal(), _words(_tidy(name).partition(".")[0])))
    start = _start_of(head) or next((start for start in reversed(_KINDS) if head.startswith(start)), "ftp_dpm")
    return _KINDS[start].example


def respelled(name: str) -> str | None:
    """Return the name that may have been meant, without frequent mistakes; `None` where something stays unclear.

    These are other cases and separators, words with one letter wrong, extensions of tables and of other compressions,
    dates and milliseconds for the timestamp, leading zeros, parts of the name in another order, and a mode that is
    missing or another word.
    """
    stem, *rest = _tidy(name).split(".")
    words = _words(_DATE.sub(lambda date: f"_{''.join(filter(None, date.groups()))}", stem))
    after: list[str] = []
    while words and len(words) > 1 and not (words[-1].isdecimal() and len(words[-1]) > _MOST_SPLIT_DIGITS):
        after.insert(0, words.pop())  # the mode or the number of the part, before the dot
    numbers = list(itertools.takewhile(str.isdecimal, reversed(words)))[::-1]
    start = _start_of("_".join(words[: len(words) - len(numbers)]))
    ending = _ending_of([*after, *rest], _KINDS[start].modes if start is not None else ())
    if start is None or ending is None or not numbers:
        return None
    return "_".join((start, *(each.lstrip("0") or "0" for each in numbers[:-1]), _seconds(numbers[-1]))) + ending


def _tidy(name: str) -> str:
    return _COPY.sub("", unicodedata.normalize("NFKC", name).replace("%20", " ").strip().lower())


def _words(stem: str) -> list[str]:
    return [word for word in _SEPARATORS.split(stem) if word]


def _start_of(head: str) -> str | None:
    """Return how names begin whose first words are as these, or nearly."""
    for start, kind in _KINDS.items():
        if head == start or head in kind.others:
            return start
    written = head.split("_")
    for start in _KINDS:
        words = start.split("_")
        if len(words) == len(written) and all(map(_is_near, written, words)):
            return start
    return None


def _is_near(written: str, word: str) -> bool:
    """Return whether a word has at most one letter that is wrong, missing or too many, or two that are swapped."""
    start = _common(written, word)
    written, word = written[start:], word[start:]
    end = _common(written[::-1], word[::-1])
    written, word = written[: len(written) - end], word[: len(word) - end]
    return max(len(written), len(word)) <= 1 or (len(written) == 2 and written == word[::-1])


def _ending_of(parts: Iterable[str], modes: tuple[str, ...]) -> str | None:
    """Return what follows the stem: mode, number of the part and extension, in any order; `None` if unclear."""
    found: dict[str, str] = {}
    for kind, text in _classified(parts):
        if kind == "unknown" or (kind != "packing" and found.get(kind, text) != text):
            return None
        if not (kind == "packing" and text == ".gz"):
            found[kind] = text
        else:
            found.setdefault(kind, text)  # what is encrypted is not gzip as well (N8)
    mode = found.get("mode", "sync")
    split = f".{found['split']}" if "split" in found else ""
    return f".{mode if mode in modes else 'sync'}{split}{found.get('packing', '')}"


def _classified(parts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what each part of a name is, as far as it is known: a mode, a number of a part or a packing."""
    for part in map(str.strip, parts):
        joined = _SEPARATORS.sub("", part)
        mode = _MODES.get(joined) or next(
            (each for each in _OF_SIGNALS if joined.isalpha() and _is_near(joined, each)), None
        )
        split = _SPLIT.fullmatch(part.lstrip("-_"))
        if part in _UNNEEDED:
            continue
        if part in _PACKINGS:
            yield "packing", _PACKINGS[part]
        elif mode:
            yield "mode", mode
        elif split and len(split[1]) <= _MOST_SPLIT_DIGITS:
            yield "split", split[1]
        elif len(words := _words(part)) > 1:
            yield from _classified(words)
        else:
            yield "unknown", part


def _seconds(digits: str) -> str:
    """Return a timestamp in seconds for one in milliseconds, or for a date and a time, taken as UTC."""
    if len(digits) == _MILLISECOND_DIGITS:
        return digits[:_TIMESTAMP_DIGITS]
    try:
        moment = datetime.datetime.strptime(digits, _FORMATS[len(digits)]).replace(tzinfo=datetime.UTC)
    except (KeyError, ValueError):
        return digits
    return f"{int(moment.timestamp()):0{_TIMESTAMP_DIGITS}d}"
