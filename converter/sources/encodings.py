"""What encoding a text is in, as far as a sample of its bytes shows: found by file for `input.encoding = "auto"`.

A byte order mark and valid UTF-8 decide. Else chardet judges the different fields that have letters beyond ASCII: among
whole rows, which are nearly all ASCII, it would find nothing. Encodings that give control characters are none.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from converter.columns.utf8 import is_utf8
from converter.errors import Finding, InputError
from converter.jobs.sections.table import Input
from converter.sources.base import Encoding, Source
from converter.sources.origins.base import Origin
from converter.sources.streams import Ranges, TextStream
from converter.sources.texts import TextSource

_FIRST = 1 << 18  # bytes of a text that are read at its start
_WINDOWS, _WINDOW = 32, 1 << 16  # of a large one that can be read anywhere
_MOST_SURVEYED = 100  # inputs
_MOST_FIELDS = 2000
_FEW_FIELDS = 8
_BEYOND_ASCII = re.compile(rb'[^\n\r,;\t"\x80-\xff]*+[\x80-\xff][^\n\r,;\t"]*+')
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_PREFERRED, _NEARLY = "cp1252", 0.8  # of the confidence of the best: it is by far the most frequent
_CLEARLY = 1.15  # times as confident as in the next encoding that gives another text
_EXCLUDED = ("mac-latin2", "mac-turkish", "mac-iceland", "mac-greek", "mac-cyrillic", "iso8859-16")
_CONTINUED = "[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"  # what Windows-1252 makes of later bytes of letters
_MOJIBAKE_STARTS = "ÃÂâ"
_MOJIBAKE = re.compile(f"Ã{_CONTINUED}|Â[\u00a0-\u00bf]|â{_CONTINUED}{{2}}")


class _Sample(NamedTuple):
    """Whole lines of a text, unpacked, in its own encoding; `marked` is what a byte order mark says that is."""

    text: bytes
    marked: str | None


def find_encoding(origin: Origin, member: str | None) -> Encoding:
    """Return the encoding of a text; UTF-8 where nothing fits. Raises `InputError`."""
    sample = _sample(origin, member)
    if sample.marked:
        return Encoding(sample.marked, "certain")
    return encoding_of(sample.text) or Encoding("utf-8", "a guess")


def encoding_of(sample: bytes) -> Encoding | None:
    """Return the encoding of lines of a text without a byte order mark; `None` where none fits."""
    if b"\0" in sample[:_FIRST]:
        return _wide(sample[:_FIRST])
    if sample.isascii():
        return Encoding("utf-8", "likely")
    if is_utf8(sample):
        return Encoding("utf-8", "certain")
    lines = [line for line in sample.split(b"\n") if not line.isascii()]
    if sum(map(is_utf8, lines)) * 2 > len(lines):  # a mixture: the other rows are rejected
        return Encoding("utf-8", "a guess")
    return _of_fields(list(dict.fromkeys(_BEYOND_ASCII.findall(sample)))[:_MOST_FIELDS])


def _wide(sample: bytes) -> Encoding | None:
    """Return which UTF-16 a text is, whose Latin letters have a NUL each."""
    odd, even = sample[1::2].count(0), sample[::2].count(0)
    if abs(odd - even) * 4 < len(sample) // 2:
        return None
    return Encoding("utf-16-le" if odd > even else "utf-16-be", "likely")


def _of_fields(fields: Sequence[bytes]) -> Encoding | None:
    """Return the encoding of fields with bytes beyond ASCII."""
    import chardet  # here, since few inputs need it

    sample = b"\n".join(fields)
    era = chardet.EncodingEra
    found: dict[str, float] = {}
    texts: dict[str, str] = {}
    for each in chardet.detect_all(
        sample,
        ignore_threshold=True,
        encoding_era=era.MODERN_WEB | era.LEGACY_ISO | era.DOS | era.LEGACY_MAC,
        exclude_encodings=_EXCLUDED,
    ):
        try:
            name = codecs.lookup(each["encoding"] or "").name
            text = sample.decode(name)
        except (LookupError, UnicodeError):
            continue
        if not _CONTROL.search(text):
            found[name], texts[name] = max(each["confidence"], found.get(name, 0)), text
    if not found:
        return None
    best = max(found, key=lambda name: found[name])
    if found.get(_PREFERRED, 0) >= _NEARLY * found[best]:
        best = _PREFERRED
    others = max((confidence for name, confidence in found.items() if texts[name] != texts[best]), default=0.0)
    is_clear = found[best] >= others * (1 if best == _PREFERRED else _CLEARLY) and len(fields) >= _FEW_FIELDS
    return Encoding(best, "likely" if is_clear else "a guess")


def described(encoding: str) -> str:
    """Return what people call an encoding, with its name in Python."""
    number = re.fullmatch(r"cp(125\d)", encoding)
    return f"Windows-{number[1]} ({encoding})" if number else encoding


def hint_of(encoding: Encoding | None) -> str:
    """Return what to set where a text is in an encoding that is not UTF-8, or not known: then nothing."""
    if encoding is None or encoding.name == "utf-8":
        return ""
    return f'It seems to be {described(encoding.name)}, {encoding.certainty}: set input.encoding = "{encoding.name}".'


def survey_encodings(sources: Sequence[Source], options: Input) -> Iterator[Finding]:
    """Yield warnings about texts that are read in another encoding than they have, as far as samples show it.

    Of many inputs, some are sampled that are spread among them.
    """
    texts = [source for source in sources if isinstance(source, TextSource)]
    count = min(len(texts), _MOST_SURVEYED)
    for number in range(count):
        source = texts[number * (len(texts) - 1) // max(count - 1, 1)]
        if not source.origin.rereadable:
            continue
        try:
            sample = _sample(source.origin, options.member)
            text = "" if sample.text.isascii() else sample.text.decode()
        except (InputError, UnicodeDecodeError):  # an error, or rejects, when it is read
            continue
        if text:
            yield from _doubts(source.origin.label, source.body.encoding, text, marked=bool(sample.marked))


def _doubts(label: str, encoding: str, text: str, *, marked: bool) -> Iterator[Finding]:
    """Yield what is doubtful about a sample of valid UTF-8; `marked`: a byte order mark says what it is."""
    if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig") and not marked:
        yield Finding(
            "W-ENCODING-UTF8",
            f"The input '{label}' is valid UTF-8, but is read as {described(encoding)} because of input.encoding: "
            "its letters beyond ASCII would be sent as other ones.",
            'Set input.encoding = "utf-8" or, where files have different encodings, "auto".',
        )
        return
    if found := _MOJIBAKE.findall(text) if any(letter in text for letter in _MOJIBAKE_STARTS) else ():
        meant = ""
        for wrong in dict.fromkeys(found):
            try:
                meant = f", such as '{wrong}' for '{wrong.encode('cp1252').decode('utf-8')}'"
                break
            except UnicodeError:
                continue
        yield Finding(
            "W-MOJIBAKE",
            f"The input '{label}' seems to hold UTF-8 that was read as Windows-1252 and stored: a sample has "
            f"{len(found):,} such places{meant}.",
            "Correct the export: the values would be sent as they are.",
        )


def has_utf8_lines(origin: Origin, member: str | None) -> bool:
    """Return whether a sample of a text has lines that are UTF-8 and not ASCII. Raises `InputError`."""
    return any(not line.isascii() and is_utf8(line) for line in _sample(origin, member).text.split(b"\n"))


def _sample(origin: Origin, member: str | None) -> _Sample:
    """Return lines of the start of a text, and of places all over a plain one."""
    with TextStream(origin, member=member) as stream:
        start = bytearray(_FIRST)
        filled = 0
        while filled < _FIRST and (count := stream.readinto_encoded(memoryview(start)[filled:])):
            filled += count
        offset, marked = stream.offset, stream.marked
    first = bytes(start[:filled])
    if filled < _FIRST or b"\0" in first:
        return _Sample(first, marked)
    lines = [first[: first.rfind(b"\n") + 1]]
    if offset is None or not origin.size or not origin.rereadable:
        return _Sample(lines[0], marked)
    ranges, memory = Ranges(origin), np.empty(_WINDOW, np.uint8)
    room = max(origin.size - _WINDOW - _FIRST, 0)
    for number in range(1, _WINDOWS + 1):
        window = memory[: ranges.read(memory, _FIRST + room * number // _WINDOWS)].tobytes()
        lines.append(window[window.find(b"\n") + 1 : window.rfind(b"\n") + 1])
    return _Sample(b"".join(lines), marked)
