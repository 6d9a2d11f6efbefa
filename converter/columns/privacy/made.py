"""Made values that stand for personal ones in examples: of the same kind and form, and of nobody."""

from __future__ import annotations

import re
import string
from random import SystemRandom

_MADE = {
    "email": "user{number}@example.com",
    "phone": "+1 202 555 01{number:02}",  # numbers kept for fiction
    "card": "4111 1111 1111 1111",  # the number that payment services use for tests
    "iban": "DE89370400440532013000",  # the account that documentation of banks uses
    "ip": "192.0.2.{number}",  # addresses kept for documentation
    "ssn": "219-09-9999",  # a number that was printed in an advertisement, and belongs to nobody
}
"""A value of each kind of `PERSONAL`, with a number below 100."""

_HEX = re.compile(r"[0-9a-f-]{8,}|[0-9A-F-]{8,}")
_ALPHABETS = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
_random = SystemRandom()


def made_of_kind(kind: str, number: int) -> str:
    """Return a made value of a kind of `PERSONAL`; others have other numbers, as far as the kind has several."""
    return _MADE[kind].format(number=number % 99 + 1)


def made_like(text: str) -> str:
    """Return a text of the same form: digits become other digits, letters other letters, and what is between stays.

    Hexadecimal digits stay such; a first digit that is not zero stays that.
    """
    is_hex = _HEX.fullmatch(text) is not None
    return "".join(_other(mark, first=not index, is_hex=is_hex) for index, mark in enumerate(text))


def _other(mark: str, *, first: bool, is_hex: bool) -> str:
    for alphabet in _ALPHABETS:
        if mark in alphabet:
            choices = alphabet[:6] if is_hex and alphabet != string.digits else alphabet
            return _random.choice(choices[1:] if first and mark != "0" and alphabet == string.digits else choices)
    if mark.isalpha():
        return _random.choice(string.ascii_uppercase if mark.isupper() else string.ascii_lowercase)
    return _random.choice(string.digits) if mark.isdigit() else mark
