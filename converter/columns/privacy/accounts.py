"""Numbers of bank accounts: IBANs, by the lengths of SWIFT's registry and their check digits (ISO 13616, ISO 7064)."""

from __future__ import annotations

import numpy as np
import polars as pl

from converter.columns.privacy.forms import Booleans, as_bytes, detect_in

REGISTERED = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
"""The countries of SWIFT's registry, release 99, by the length of their IBANs."""

UNREGISTERED = {
    24: "DZ",
    25: "AO CV GW MZ",
    26: "IR",
    27: "BF CF CG CM GA GQ KM MG TD",
    28: "BJ CI MA ML NE SN TG",
}
"""Countries that use IBANs without being in the registry, by the length of their IBANs."""

LONGEST = 34

_COUNTRIES = {
    length: [*REGISTERED.get(length, "").split(), *UNREGISTERED.get(length, "").split()]
    for length in sorted({*REGISTERED, *UNREGISTERED})
}
_CHECK_DIGITS = "(?:0[2-9]|[1-8][0-9]|9[0-8])"  # 98 minus a remainder of division by 97
_PATTERN = "|".join(
    f"(?:{'|'.join(countries)}){_CHECK_DIGITS}[0-9A-Z]{{{length - 4}}}" for length, countries in _COUNTRIES.items()
)

SPACED = (
    f"(?i:{'|'.join(country for countries in _COUNTRIES.values() for country in countries)})"
    f"(?: ?[0-9]){{2}}(?: ?[0-9A-Za-z]){{{min(_COUNTRIES) - 4},{max(_COUNTRIES) - 4}}}"
)
"""Texts that could be an IBAN, as it is stored or printed, in lower case too."""

_VALUES = np.zeros(256, np.uint32)
_FACTORS = np.full(256, 10, np.uint32)
for _value in range(36):
    _character = ord("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[_value])
    _VALUES[_character] = _value
    _FACTORS[_character] = 10 if _value < 10 else 100


def are_accounts(texts: pl.Series) -> Booleans:
    """Return which texts are IBANs of a known country, of its length and with valid check digits. All are `SPACED`."""
    return detect_in(
        texts.str.replace_all(" ", "", literal=True).str.to_uppercase(), f"^(?:{_PATTERN})$", have_check_digits
    )


def have_check_digits(numbers: pl.Series) -> Booleans:
    """Return which numbers (String of 5 to 34 digits and capitals) leave 1 when divided by 97 (ISO 7064, MOD 97-10).

    The first four characters count as the last, and letters as 10 to 35.
    """
    characters = as_bytes(numbers.str.slice(4) + numbers.str.head(4), LONGEST)
    remainder = np.zeros(len(numbers), np.uint32)
    for column in characters.T:
        remainder = (remainder * _FACTORS[column] + _VALUES[column]) % 97
    valid: Booleans = remainder == 1
    return valid
