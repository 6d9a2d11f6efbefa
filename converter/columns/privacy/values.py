"""Texts that are personal data, by their form.

One regular expression is matched against all texts and rules out nearly all of them. The others are checked kind by
kind, in the order of `converter.spec.rules.PERSONAL`; costly steps, such as check digits, see only texts of the right
form. The result for a text depends on that text alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from converter.columns.privacy import accounts, cards, phones
from converter.columns.privacy.forms import AT_SIGNS, DISGUISED, MARKS, Detector, contain, detect_in, plain
from converter.spec.ids import TRIMMED
from converter.spec.rules import PERSONAL

# E-mail addresses: anywhere in a text, also percent-encoded, also in other scripts (RFC 6531); the domain has a dot. A
# space beside the at sign is a typing error, or keeps programs from finding it.
_AT = f"(?:[{AT_SIGNS}]|%(?:25)*40)"
_LABEL = r"[\p{L}\p{N}][\p{L}\p{N}\p{M}_-]*"
_DOT = r"[.\x{3002}\x{FF61}]"
_EMAIL = (
    rf'[\p{{L}}\p{{N}}\p{{M}}!#$&\'*+.=?^_`{{|}}~"-](?: ?{_AT}|{_AT} )'
    rf"(?:(?:{_LABEL}{_DOT})+(?:\p{{L}}[\p{{L}}\p{{M}}]+|(?i:xn--)[A-Za-z0-9-]+)|\[[0-9A-Fa-f:.]+\])"
)

# IP addresses (RFC 4291, RFC 4007 for zones): the four numbers of IPv4 may have leading zeros.
_OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_HEX = "[0-9A-Fa-f]{1,4}"


def _ipv6() -> str:
    """Return the pattern of IPv6 addresses: eight groups, fewer with `::` for zeros; the last two may be IPv4."""
    patterns = [f"(?:{_HEX}:){{7}}{_HEX}", f"(?:{_HEX}:){{6}}{_IPV4}"]
    for before in range(8):
        start = f"{_HEX}(?::{_HEX}){{{before - 1}}}::" if before else "::"
        if before < 7:
            patterns.append(f"{start}(?:{_HEX}(?::{_HEX}){{0,{6 - before}}})?")
        else:
            patterns.append(start)
        if before < 6:
            patterns.append(f"{start}(?:{_HEX}:){{0,{5 - before}}}{_IPV4}")
    return "|".join(patterns)


_PORT = "(?::[0-9]{1,5})?"
_IP = rf"^(?:{_IPV4}{_PORT}|\[?(?:{_ipv6()})(?:%[0-9A-Za-z._~-]+)?(?:\]{_PORT})?)$"
_SHORTEST_IP = 7  # characters, as in 1.2.3.4; shorter texts, such as `::1`, identify nobody and have other meanings
_IPV6_BEGIN = rf"\[?(?:(?:{_HEX}:){{6}}|(?:{_HEX}:){{0,7}}:)"

# US social security numbers, without those never issued (area 000, 666 and from 900 on, group 00, serial 0000).
_AREA = "(?:00[1-9]|0[1-9][0-9]|[1-57-8][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))"
_SSN = "|".join(
    f"{_AREA}{separator}(?:0[1-9]|[1-9][0-9]){separator}(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{{2}}|[1-9][0-9]{{3}})"
    for separator in " -"
)

_BEFORE, _BEHIND = f"[{TRIMMED}]*{MARKS}", f"{MARKS}[{TRIMMED}]*"
_BARE = rf"(?:{cards.BARE})(?:\.0)?|{cards.GROUPED}"  # programs turn a column of numbers with gaps into floats


def _suspect_pattern(card: str) -> str:
    """Return the pattern that every personal text matches; `card` is the pattern of cards."""
    whole = "|".join([card, accounts.SPACED, f"{_IPV4}{_PORT}", _SSN])
    return f"{_AT}|{DISGUISED}|^{_BEFORE}(?:{phones.PREFIX}|{_IPV6_BEGIN}|(?:{whole}){_BEHIND}$)"


_CARDS = {True: _BARE, False: cards.GROUPED}
_SUSPECT = {bare: _suspect_pattern(card) for bare, card in _CARDS.items()}

_LEAST_NUMBERS = 20
_MOST_CARDS = 0.25  # of these numbers
_NONE = 255


def personal_kind(text: pl.Expr, *, cards: bool = True) -> pl.Expr:
    """Return which kind of personal data a text (String) is: an index in `PERSONAL` (UInt8), null where it is none.

    An e-mail address counts anywhere in the text, all other kinds as the whole text, without what is around it or
    disguises it (`forms.plain`). Null stays null. If `cards` is false, bare digits are not a card, since they are IDs
    (`numbers_are_ids`); digits in the groups of cards still are.
    """

    def detect(both: pl.Series) -> pl.Series:
        return _kinds(*both.struct.unnest(), bare_cards=cards)

    return pl.struct(text, _suspect(text, cards)).map_batches(detect, return_dtype=pl.UInt8, is_elementwise=True)


def personal_kinds(texts: Sequence[pl.Expr], cards: Sequence[bool]) -> pl.Expr:
    """Return the kinds of personal data of several texts (String): a Struct of UInt8, by the names of the texts.

    Each is that of `personal_kind`, with `cards` for each text, and one call of Python for all of them: calls
    cost more than their work where rows are few.
    """
    count, names = len(texts), [text.meta.output_name() for text in texts]

    def detect(both: pl.Series) -> pl.Series:
        columns = both.struct.unnest().get_columns()
        kinds = [
            _kinds(text, suspect, bare_cards=bare)
            for text, suspect, bare in zip(columns[:count], columns[count:], cards, strict=True)
        ]
        return pl.DataFrame(kinds).to_struct(both.name)

    scanned = pl.struct(*texts, *map(_suspect, texts, cards))
    return scanned.map_batches(detect, return_dtype=pl.Struct(dict.fromkeys(names, pl.UInt8())), is_elementwise=True)


def numbers_are_ids(sample: pl.Series) -> bool:
    """Return whether bare numbers as long as cards are IDs in a column, by a sample of its texts (String).

    Of random numbers of 16 digits, some 3 % look like cards, since prefix and check digit fit. Numbers are IDs if the
    sample has at least 20 different ones and at most a quarter of them look like cards.
    """
    longest = sample.str.len_bytes().max()
    if not isinstance(longest, int) or longest < cards.SHORTEST:  # as mostly; the calls below take milliseconds
        return False
    texts = plain(sample.drop_nulls())
    numbers = texts.filter(texts.str.contains(f"^[0-9]{{{cards.SHORTEST},{cards.LONGEST}}}$")).unique()
    return len(numbers) >= _LEAST_NUMBERS and bool(cards.are_cards(numbers).mean() <= _MOST_CARDS)


def _suspect(text: pl.Expr, bare_cards: bool) -> pl.Expr:
    """Return whether a text may be personal data (Boolean)."""
    return text.str.contains(_SUSPECT[bare_cards]).name.prefix("suspect_")


def _kinds(texts: pl.Series, suspect: pl.Series, *, bare_cards: bool) -> pl.Series:
    """Return the indices in `PERSONAL` of texts; only those that are `suspect` are checked."""
    # Most batches end here, and batches may be small: each call of Polars takes 0.2 ms.
    kinds = pl.Series(texts.name, [None], pl.UInt8).new_from_index(0, len(texts))
    if not suspect.any():
        return kinds
    suspects = plain(texts.filter(suspect))
    indices = np.full(len(suspects), _NONE, np.uint8)
    for index, detector in reversed(list(enumerate(_detectors(bare_cards=bare_cards)))):
        indices[detector(suspects)] = index  # from the last kind to the first, so that the first one wins
    found = pl.Series(indices)
    return kinds.scatter(suspect.arg_true(), found.set(found == _NONE, None))


def _detectors(*, bare_cards: bool) -> tuple[Detector, ...]:
    """Return the detectors of the kinds of `PERSONAL`, in their order."""
    detectors: dict[str, Detector] = {
        "email": lambda texts: contain(texts, _EMAIL),
        "phone": lambda texts: detect_in(texts, f"^(?:{phones.PREFIX})", phones.are_phones),
        "card": lambda texts: detect_in(texts, f"^(?:{_CARDS[bare_cards]})$", cards.are_cards),
        "iban": lambda texts: detect_in(texts, f"^{accounts.SPACED}$", accounts.are_accounts),
        "ip": lambda texts: detect_in(texts, _IP, lambda texts: (texts.str.len_bytes() >= _SHORTEST_IP).to_numpy()),
        "ssn": lambda texts: contain(texts, f"^(?:{_SSN})$"),
    }
    return tuple(detectors[kind] for kind in PERSONAL)
