"""Numbers of payment cards: their issuers, their lengths, and their check digit (ISO/IEC 7812).

Prefixes and lengths are taken from the schemes' public pages and from the test numbers that they and payment processors
publish. Ranges overlap, since schemes share cards; a number that any scheme could have issued counts as a card.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.columns.privacy.forms import Booleans, as_bytes

SHORTEST, LONGEST = 13, 19
"""How many digits cards have."""

_SIXTEEN_AND_MORE = (16, 17, 18, 19)
_ALL = tuple(range(SHORTEST, LONGEST + 1))
ISSUERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "American Express": ("34 37", (15,)),
    "DinaCard": ("9891", (16,)),
    "Diners Club": ("300-305 3095 36 38-39", (14, 15, 16, 17, 18, 19)),
    "Discover": ("6011 622126-622925 644-649 65", _SIXTEEN_AND_MORE),
    "Hipercard": ("606282", _ALL),
    "Humo, Uzcard": ("8600 9860", (16,)),
    "InstaPayment": ("637-639", (16,)),
    "InterPayment, Elo": ("636", _SIXTEEN_AND_MORE),
    "JCB": ("3088-3094 3096-3102 3112-3120 3158-3159 3337-3349 3528-3589", _SIXTEEN_AND_MORE),
    "JCB, before 1995": ("1800 2131", (15, 16)),
    "Maestro, Aura, Bancontact, Dankort, Elo, Verve": ("50 56-58 6304 6390 67", _ALL),
    "Mastercard": ("51-55 2221-2720", (16,)),
    "Mir": ("2200-2204", _SIXTEEN_AND_MORE),
    "Napas": ("9704", (16, 19)),
    "RuPay, Pulse": ("353 356 508 60 81-82", (16,)),
    "Solo, Switch": ("633110 6333-6334", (16, 18, 19)),
    "Troy": ("9792", (16,)),
    "UnionPay": ("62 81", _SIXTEEN_AND_MORE),
    "Visa": ("4", (13, 16, 18, 19)),
}
"""The prefixes of each scheme, as numbers and ranges of up to six digits, and how many digits its cards have."""

_FIRST_DIGITS = "".join(sorted({prefix[0] for prefixes, _ in ISSUERS.values() for prefix in prefixes.split()}))

BARE = f"[{_FIRST_DIGITS}][0-9]{{{SHORTEST - 1},{LONGEST - 1}}}"
"""Digits without separators that could be a card."""

# As cards are printed and typed: in fours; American Express and Diners Club as 4-6-5 and 4-6-4; 19 digits also as 6-13,
# and 13 digits as 4-3-3-3. Other groups are used by other numbers.
_GROUPS = (
    "[0-9]{4}_[0-9]{4}_[0-9]{4}(?:_[0-9]{4})?(?:_?[0-9]{1,3})?",
    "[0-9]{4}_[0-9]{6}_[0-9]{4,5}",
    "[0-9]{6}_[0-9]{13}",
    "[0-9]{4}_[0-9]{3}_[0-9]{3}_[0-9]{3}",
)
GROUPED = "|".join(group.replace("_", separator) for separator in (" ", "-", r"\.") for group in _GROUPS)
"""Digits in the groups of cards, separated by spaces, hyphens or periods throughout."""

_PREFIX = 6  # digits that identify the issuer
_DOUBLED = np.array([0, 2, 4, 6, 8, 1, 3, 5, 7, 9], np.uint8)  # the digit sum of twice a digit


def are_cards(texts: pl.Series) -> Booleans:
    """Return which texts are numbers of payment cards. All are `BARE`, perhaps as a float, or `GROUPED`."""
    numbers = texts.str.replace_all(r"\.0$|[ .-]", "")
    cards = _are_issued(numbers)
    if cards.any():
        cards[cards] = has_check_digit(numbers.filter(pl.Series(cards)))
    return cards


def has_check_digit(numbers: pl.Series) -> Booleans:
    """Return which numbers (String of up to 19 digits) end in their check digit (Luhn, ISO/IEC 7812-1, annex B)."""
    digits = as_bytes(numbers, LONGEST) - np.uint8(ord("0"))
    # From the right: the first digit counts as it is, the second twice, and so on. No sum exceeds 171.
    single = digits[:, ::-2].sum(axis=1, dtype=np.uint8)
    twice = _DOUBLED[digits[:, -2::-2]].sum(axis=1, dtype=np.uint8)
    valid: Booleans = (single + twice) % 10 == 0
    return valid


def _are_issued(numbers: pl.Series) -> Booleans:
    """Return which numbers have the prefix and the length of an issuer's cards."""
    prefix = numbers.str.head(_PREFIX).cast(pl.UInt32).to_numpy()
    length = numbers.str.len_bytes().to_numpy()
    fits = (length >= SHORTEST) & (length <= LONGEST)
    bit = np.where(fits, length - np.uint32(SHORTEST), 0)
    issued: Booleans = fits & ((_issued()[prefix] >> bit) & 1 == 1)
    return issued


@functools.cache
def _issued() -> npt.NDArray[np.uint8]:
    """Return the lengths of cards by their first six digits: bit 0 for 13 digits, bit 6 for 19."""
    issued = np.zeros(10**_PREFIX, np.uint8)
    for prefixes, lengths in ISSUERS.values():
        bits = np.uint8(sum(1 << (length - SHORTEST) for length in lengths))
        for prefix in prefixes.split():
            first, _, last = prefix.partition("-")
            issued[int(first.ljust(_PREFIX, "0")) : int((last or first).ljust(_PREFIX, "9")) + 1] |= bits
    return issued
