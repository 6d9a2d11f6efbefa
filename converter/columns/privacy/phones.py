"""Phone numbers: in international form by the numbering plans of all countries, otherwise by their punctuation.

The plans are the metadata of the package `phonenumbers`. They are regular expressions over digits, so Polars applies
them to whole columns: the result is that of `phonenumbers.is_valid_number`, without a call of Python for each number.
Bare digits are never a phone number.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from converter.columns.privacy.forms import Booleans, contain, detect_in

if TYPE_CHECKING:
    from phonenumbers import PhoneMetadata

_GAP = "[ ./()-]"
_SCHEME = "(?i:tel|sms|mms|fax|callto|whatsapp|viber|signal):(?://)?"
_ANY_SCHEME = "(?i:[a-z][a-z0-9.-]{1,15}):(?://)?"
_EXTENSION = r"(?i)(?:;ext=|[ ,]*(?:#|x|ext\.?|extension)[ .:]*)[0-9]{1,7}$"

_INTERNATIONAL = rf"^\(?(?:\+|00){_GAP}{{0,2}}[1-9](?:{_GAP}{{0,4}}[0-9]){{5,18}}$"
_IN_BRACKETS = rf"^\((?:0|0?[1-9][0-9]{{0,4}})\)(?:{_GAP}{{0,3}}[0-9]){{4,12}}$"
_OF_SCHEME = rf"^{_SCHEME}[ ]*[0-9(](?:{_GAP}{{0,3}}[0-9]){{5,14}}$"
_FEW_PLANS = 8  # at most are applied one by one: all in one pattern cost the same as one, but take 0.4 s to load
_LEAST_DIGITS, _MOST_DIGITS = 7, 15  # of a national number that is recognized by its punctuation alone

PREFIX = rf"{_SCHEME}|(?:{_ANY_SCHEME} *)?\(?\+|\([0-9]|\(?00(?:{_GAP}[1-9]|[1-9][0-9]*{_GAP})"
"""How phone numbers begin."""

_SERVICES = (
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "personal_number",
    "voip",
    "pager",
    "uan",
    "voicemail",
)
"""The services of a numbering plan that make a number valid."""


def are_phones(texts: pl.Series) -> Booleans:
    """Return which texts are phone numbers. All begin with `PREFIX`."""
    texts = texts.str.replace(_EXTENSION, "").str.replace(rf"^{_ANY_SCHEME} *(\(?\+)", "$1")
    of_scheme = contain(texts, _OF_SCHEME)
    texts = texts.str.replace(rf"^{_SCHEME}[ ]*", "")
    international = detect_in(texts, _INTERNATIONAL, _are_international)
    national = detect_in(texts, _IN_BRACKETS, _are_long_enough)
    phones: Booleans = of_scheme | international | national
    return phones


def _are_long_enough(texts: pl.Series) -> Booleans:
    digits = texts.str.count_matches("[0-9]")
    return digits.is_between(_LEAST_DIGITS, _MOST_DIGITS).to_numpy()


def _are_international(texts: pl.Series) -> Booleans:
    # Many IDs begin with zeros: these are a prefix only where a separator follows the calling code.
    pattern = rf"^\(?(?:\+|00{_GAP}{{0,2}}(?:{_calling_codes()}){_GAP})"
    return detect_in(texts, pattern, lambda each: are_valid(each.str.replace_all("[^0-9]+", "").str.strip_prefix("00")))


def are_valid(numbers: pl.Series) -> Booleans:
    """Return which numbers (String of digits, the calling code first) fit the numbering plan of their country."""
    codes = numbers.str.extract(f"^({_calling_codes()})")
    distinct = codes.drop_nulls().unique().to_list()
    if len(distinct) > _FEW_PLANS:
        return contain(numbers, _all_plans())
    valid = np.zeros(len(numbers), np.bool_)
    for code in distinct:
        of_code = (codes == code).fill_null(value=False)
        valid[of_code.to_numpy()] = contain(numbers.filter(of_code), plan(code))
    return valid


@functools.cache
def _all_plans() -> str:
    """Return the numbering plans of all countries as one pattern."""
    import phonenumbers

    return "|".join(plan(str(code)) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


@functools.cache
def _calling_codes() -> str:
    """Return the pattern of the calling codes of all countries; none is a prefix of another."""
    import phonenumbers  # here, since few tables hold anything like a phone number

    return "|".join(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


@functools.cache
def plan(code: str) -> str:
    """Return the numbering plan of a calling code: the pattern of its numbers, code included.

    Several countries may share a code; a number is valid if it is in any of them. The prefix that is dialed within a
    country is skipped, as in `+49 (0)30 123456`.
    """
    numbers = []
    for country in _countries(int(code)):
        services = (getattr(country, service) for service in _SERVICES)
        patterns = [each.national_number_pattern for each in services if each and each.national_number_pattern]
        numbers.append(f"(?:{country.national_prefix or ''})?(?:{'|'.join(patterns)})")
    # `\d` matches the digits of all scripts, which makes the automaton much larger.
    return f"^{code}(?:{'|'.join(numbers)})$".replace(r"\d", "[0-9]")


def _countries(code: int) -> Iterator[PhoneMetadata]:
    import phonenumbers

    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]:
        metadata = (
            phonenumbers.PhoneMetadata.metadata_for_nongeo_region(code)
            if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
            else phonenumbers.PhoneMetadata.metadata_for_region(region)
        )
        if metadata:
            yield metadata
