"""Texts that are personal data, by what they look like.

One regular expression goes over all texts and clears nearly all of them. What is left is judged kind by kind, in the
order of `converter.spec.rules.PERSONAL`; the costly steps, such as check digits, see only what has the form.

The judgment of a text depends on that text alone, so it is the same whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from converter.columns.privacy import accounts, cards, phones
from converter.columns.privacy.forms import AT_SIGNS, Judge, contain, of_form
from converter.spec.ids import TRIMMED
from converter.spec.rules import PERSONAL

# E-mail addresses: anywhere in a text, also percent-encoded, also in other scripts (RFC 6531); the domain has a dot.
_AT = f"(?:[{AT_SIGNS}]|%(?:25)*40)"
_LABEL = r"[\p{L}\p{N}][\p{L}\p{N}\p{M}_-]*"
_DOT = r"[.\x{3002}\x{FF0E}\x{FF61}]"
_EMAIL = (
    rf'[\p{{L}}\p{{N}}\p{{M}}!#$&\'*+.=?^_`{{|}}~"-]{_AT}'
    rf"(?:(?:{_LABEL}{_DOT})+(?:\p{{L}}[\p{{L}}\p{{M}}]+|(?i:xn--)[A-Za-z0-9-]+)|\[[0-9A-Fa-f:.]+\])"
)

# IP addresses (RFC 4291, RFC 4007 for zones): the four numbers of IPv4 may have zeros before them.
_OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_HEX = "[0-9A-Fa-f]{1,4}"


def _ipv6() -> str:
    """Return the form of IPv6 addresses: eight groups, fewer where `::` stands for zeros; IPv4 may be the last two."""
    forms = [f"(?:{_HEX}:){{7}}{_HEX}", f"(?:{_HEX}:){{6}}{_IPV4}"]
    for before in range(8):
        start = f"{_HEX}(?::{_HEX}){{{before - 1}}}::" if before else "::"
        if before < 7:
            forms.append(f"{start}(?:{_HEX}(?::{_HEX}){{0,{6 - before}}})?")
        else:
            forms.append(start)
        if before < 6:
            forms.append(f"{start}(?:{_HEX}:){{0,{5 - before}}}{_IPV4}")
    return "|".join(forms)


_IP = rf"^(?:{_IPV4}|\[?(?:{_ipv6()})(?:%[0-9A-Za-z._~-]+)?\]?)$"
_SHORTEST_IP = 7  # characters, as in 1.2.3.4; shorter ones, such as `::1`, are nobody's, and stand for other things too
_IPV6_BEGIN = rf"\[?(?:(?:{_HEX}:){{6}}|(?:{_HEX}:){{0,7}}:)"

# US social security numbers: what was never given out is none (area 000, 666 and 900 on, group 00, serial 0000).
_AREA = "(?:00[1-9]|0[1-9][0-9]|[1-57-8][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))"
_SSN = "|".join(
    f"{_AREA}{separator}(?:0[1-9]|[1-9][0-9]){separator}(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{{2}}|[1-9][0-9]{{3}})"
    for separator in " -"
)

_AROUND = f"[{TRIMMED}]*"
_BARE = f"{cards.BARE}|{cards.GROUPED}"


def _sift(card: str) -> str:
    """Return the form of what is judged, `card` being that of cards: every text that is personal has it."""
    whole = "|".join([card, accounts.SPACED, _IPV4, _SSN])
    return f"{_AT}|^{_AROUND}(?:{phones.BEGIN}|{_IPV6_BEGIN}|(?:{whole}){_AROUND}$)"


_CARDS = {True: _BARE, False: cards.GROUPED}
_SIFTS = {bare: _sift(form) for bare, form in _CARDS.items()}

_FEW_NUMBERS = 20
_MOST_CARDS = 0.25
_NOTHING = 255


def personal(text: pl.Expr, *, cards: bool = True) -> pl.Expr:
    """Return what personal data a text (String) is: its place (UInt8) in `PERSONAL`, null where it is none.

    An e-mail address counts anywhere in the text, everything else as the whole text, without the white space around it.
    Null stays null. With `cards` false bare digits are no card, since they are IDs (`numbers_are_ids`); in the groups
    of cards they still are.
    """

    def judged(both: pl.Series) -> pl.Series:
        return _judged(*both.struct.unnest(), bare_cards=cards)

    return pl.struct(text, _suspect(text, cards)).map_batches(judged, return_dtype=pl.UInt8, is_elementwise=True)


def are_personal(texts: Sequence[pl.Expr]) -> pl.Expr:
    """Say which of a row's texts (String), each of another name, are personal data: truths, by these names (Struct).

    As by `personal`, in one call of Python for all of them: those cost more than what they do, where rows are few.
    """
    count, names = len(texts), [text.meta.output_name() for text in texts]

    def judged(both: pl.Series) -> pl.Series:
        columns = both.struct.unnest().get_columns()
        none = pl.Series([False]).new_from_index(0, len(both))
        found = [
            (_judged(text, suspect, bare_cards=True).is_not_null() if suspect.any() else none).alias(text.name)
            for text, suspect in zip(columns[:count], columns[count:], strict=True)
        ]
        return pl.DataFrame(found).to_struct(both.name)

    looked_at = pl.struct(*texts, *(_suspect(text, True) for text in texts))
    return looked_at.map_batches(
        judged, return_dtype=pl.Struct(dict.fromkeys(names, pl.Boolean())), is_elementwise=True
    )


def numbers_are_ids(sample: pl.Series) -> bool:
    """Say whether bare numbers as long as cards are IDs in a column, by a sample of its texts (String).

    Of random numbers of 16 digits, some 3 % look like cards: they begin like one and their last digit fits. So where
    there are many, some do. They are IDs where there are at least 20 different ones, and at most a quarter look like
    cards.
    """
    texts = sample.str.strip_chars(TRIMMED)
    numbers = texts.filter(texts.str.contains(f"^[0-9]{{{cards.SHORTEST},{cards.LONGEST}}}$")).unique()
    return len(numbers) >= _FEW_NUMBERS and bool(cards.are_cards(numbers).mean() <= _MOST_CARDS)


def _suspect(text: pl.Expr, bare_cards: bool) -> pl.Expr:
    """Say of a text whether it must be judged."""
    return text.str.contains(_SIFTS[bare_cards]).name.prefix("suspect_")


def _judged(texts: pl.Series, suspect: pl.Series, *, bare_cards: bool) -> pl.Series:
    """Return the places in `PERSONAL` of texts, of which those that are `suspect` are judged."""
    # Nothing but this is done for most batches, and batches may be small: a call of the engine takes 0.2 ms.
    judged = pl.Series(texts.name, [None], pl.UInt8).new_from_index(0, len(texts))
    if not suspect.any():
        return judged
    suspects = texts.filter(suspect).str.strip_chars(TRIMMED)
    places = np.full(len(suspects), _NOTHING, np.uint8)
    for place, judge in reversed(list(enumerate(_judges(bare_cards=bare_cards)))):
        places[judge(suspects)] = place  # from the last kind to the first, so that the first stays
    found = pl.Series(places)
    return judged.scatter(suspect.arg_true(), found.set(found == _NOTHING, None))


def _judges(*, bare_cards: bool) -> tuple[Judge, ...]:
    """Return what judges the kinds of `PERSONAL`, in their order."""
    judges: dict[str, Judge] = {
        "email": lambda texts: contain(texts, _EMAIL),
        "phone": lambda texts: of_form(texts, f"^(?:{phones.BEGIN})", phones.are_phones),
        "card": lambda texts: of_form(texts, f"^(?:{_CARDS[bare_cards]})$", cards.are_cards),
        "iban": lambda texts: of_form(texts, f"^{accounts.SPACED}$", accounts.are_accounts),
        "ip": lambda texts: of_form(texts, _IP, lambda texts: (texts.str.len_bytes() >= _SHORTEST_IP).to_numpy()),
        "ssn": lambda texts: contain(texts, f"^(?:{_SSN})$"),
    }
    return tuple(judges[kind] for kind in PERSONAL)
