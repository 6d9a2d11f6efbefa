"""The dialects of delimited text: what the keys of `[input]` say of the bytes."""

from __future__ import annotations

from converter.jobs.sections.table import Input
from converter.kernel.form import Grammar

_GUESSED = (b",", b";", b"\t", b"|")
_CONTROLS = {"0": 0, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "Z": 26}
_LETTERS = {"mysql": "0bnrtZ", "postgres": "bfnrtv", "hive": "nr", "redshift": ""}
"""Which letters stand for control characters after a backslash; any other byte stands for itself.

By default no letter and no digit is escaped: it stays after its backslash, which programs leave as it is.
"""


def grammars_of(options: Input, named: bytes, *, tabs: bool) -> list[Grammar]:
    """Return the grammars that a text may have, by their separators.

    `named` is the separator that the text names itself, empty where it names none; `tabs`: by default it is a tab.
    """
    if options.separator:
        separators: tuple[bytes, ...] = (options.separator.encode(),)
    else:
        separators = (named,) if named else (b"\t",) if tabs else _GUESSED
    quote = {None: b'"', "none": b""}.get(options.quote, (options.quote or "").encode())
    grammar = Grammar(
        quote=quote,
        meanings=meanings_of(options.dialect) if options.escape == "backslash" else b"",
        comment=(options.comment or "").encode(),
        skips_spaces=bool(options.skip_spaces),
    )
    return [grammar._replace(separator=each) for each in separators]


def meanings_of(dialect: str | None) -> bytes:
    """Return what bytes stand for after a backslash in a dialect, as in `Grammar`."""
    table = bytearray(range(256))
    letters = _LETTERS.get(dialect or "")
    if letters is None:
        return bytes(byte if byte < 128 and not chr(byte).isalnum() else ord("\\") for byte in table)
    for letter in letters:
        table[ord(letter)] = _CONTROLS[letter]
    return bytes(table)
