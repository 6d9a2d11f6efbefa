"""Phone numbers: in international form by the numbering plans of all countries, else by telling punctuation.

The plans are the metadata of the package `phonenumbers`. They are regular expressions over digits, so the engine
applies them to whole columns: a number is judged as `phonenumbers.is_valid_number` judges it, without Python a number.
Bare digits are never a phone number.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from converter.columns.privacy.forms import Truths, contain, of_form

if TYPE_CHECKING:
    from phonenumbers import PhoneMetadata

_SPACES = r" \x{A0}\x{2007}\x{2009}\x{202F}"
_GAP = rf"[{_SPACES}\x{{2010}}-\x{{2015}}\x{{2212}}./()-]"
_SCHEME = "(?i:tel|sms|fax|callto):"
_EXTENSION = r"(?i)(?:;ext=|[ ,]*(?:#|x|ext\.?|extension)[ .:]*)[0-9]{1,7}$"

_INTERNATIONAL = rf"^\(?(?:\+|00){_GAP}{{0,2}}[1-9](?:{_GAP}{{0,4}}[0-9]){{5,18}}$"
_IN_BRACKETS = rf"^\((?:0|0?[1-9][0-9]{{0,4}})\)(?:{_GAP}{{0,3}}[0-9]){{4,12}}$"
_OF_SCHEME = rf"^{_SCHEME}[ ]*[0-9(](?:{_GAP}{{0,3}}[0-9]){{5,14}}$"
_FEW_PLANS = 8  # that are read one by one: all take 0.4 s to read, once, and then cost the same as one
_LEAST_DIGITS, _MOST_DIGITS = 7, 15  # of a national number that is told by its punctuation alone

BEGIN = rf"{_SCHEME}|\(?\+|\([0-9]|\(?00(?:{_GAP}[1-9]|[1-9][0-9]*{_GAP})"
"""What a phone number begins with."""

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


def are_phones(texts: pl.Series) -> Truths:
    """Say which texts are phone numbers. They have any form, but begin as `BEGIN` says."""
    texts = texts.str.replace(_EXTENSION, "")
    of_scheme = contain(texts, _OF_SCHEME)
    texts = texts.str.replace(rf"^{_SCHEME}[ ]*", "")
    international = of_form(texts, _INTERNATIONAL, _are_international)
    national = of_form(texts, _IN_BRACKETS, _are_long_enough)
    found: Truths = of_scheme | international | national
    return found


def _are_long_enough(texts: pl.Series) -> Truths:
    digits = texts.str.count_matches("[0-9]")
    return digits.is_between(_LEAST_DIGITS, _MOST_DIGITS).to_numpy()


def _are_international(texts: pl.Series) -> Truths:
    # Zeros stand before many IDs: they are a prefix where the calling code stands apart.
    form = rf"^\(?(?:\+|00{_GAP}{{0,2}}(?:{_calling_codes()}){_GAP})"
    return of_form(texts, form, lambda each: are_valid(each.str.replace_all("[^0-9]+", "").str.strip_prefix("00")))


def are_valid(numbers: pl.Series) -> Truths:
    """Say which numbers (String of digits, the calling code first) fit the numbering plan of their country."""
    codes = numbers.str.extract(f"^({_calling_codes()})")
    met = codes.drop_nulls().unique().to_list()
    if len(met) > _FEW_PLANS:
        return contain(numbers, _all_plans())
    found = np.zeros(len(numbers), np.bool_)
    for code in met:
        of_code = (codes == code).fill_null(value=False)
        found[of_code.to_numpy()] = contain(numbers.filter(of_code), plan(code))
    return found


@functools.cache
def _all_plans() -> str:
    """Return the numbering plans of all countries as one form."""
    import phonenumbers

    return "|".join(plan(str(code)) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


@functools.cache
def _calling_codes() -> str:
    """Return the form of the calling codes of all countries; none begins with another."""
    import phonenumbers  # here, since few tables hold what could be a phone number

    return "|".join(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


@functools.cache
def plan(code: str) -> str:
    """Return the numbering plan behind a calling code: the form of its numbers, code included.

    Several countries may share a code, and a number is valid where it is in one of them. The prefix that is dialled
    within a country is passed over, as in `+49 (0)30 123456`.
    """
    numbers = []
    for country in _countries(int(code)):
        services = (getattr(country, service) for service in _SERVICES)
        forms = [each.national_number_pattern for each in services if each and each.national_number_pattern]
        numbers.append(f"(?:{country.national_prefix or ''})?(?:{'|'.join(forms)})")
    # `\d` stands for the digits of all scripts, which makes the automaton much larger.
    return f"^{code}(?:{'|'.join(numbers)})$".replace(r"\d", "[0-9]")


def _countries(code: int) -> Iterator[PhoneMetadata]:
    import phonenumbers

    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]:
        found = (
            phonenumbers.PhoneMetadata.metadata_for_nongeo_region(code)
            if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
            else phonenumbers.PhoneMetadata.metadata_for_region(region)
        )
        if found:
            yield found
