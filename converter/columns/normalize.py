"""User IDs are brought into the form in which the web site sends them (C12), by explicit steps in a fixed order.

1. decode: percent-encoding is decoded, once.
2. trim: white space, zero-width characters and byte order marks are removed at both ends.
3. unicode: Unicode's normalization form C.
4. cut_prefix, cut_suffix: a text that all IDs of a system begin with or end in is removed.
5. remove: characters, such as separators, are removed wherever they are.
6. strip_zeros, pad: leading zeros are removed, or added up to a width.
7. case: as the job says, or as Adobe requires for the type.
8. prefix, suffix: a text is added before or after.
9. hash: SHA-256 in lower-case hexadecimal; an ID that is such a hash already stays.

An ID that is missing or becomes empty is null and stays null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import polars as pl

from converter.columns.percent import percent_decode
from converter.errors import ConverterError
from converter.jobs.sections.ids import Id
from converter.spec.ids import AUTO, FORM_LENGTHS, FORMS, ID_TYPES, RECOGNIZED, TRIMMED, type_of

_HASH = "^[0-9A-Fa-f]{64}$"
_ADDRESS = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_EXAMPLE = "johndoe@example.com", "55e79200c1635b37ad31a378c39feb12f120f116625093a19bc32fff15041149"
"""An address and its hash, from Adobe's page on hashing (`limits.HASHING_PAGE`)."""


class Step(NamedTuple):
    """One step: its name, which is also the key in the job; a description; and the change of an ID (String)."""

    name: str
    words: str
    apply: Callable[[pl.Expr], pl.Expr]


def steps_of(id_: Id) -> tuple[Step, ...]:
    """Return the steps of an ID, in their order."""
    return tuple(_steps(id_))


def is_bytewise(id_: Id) -> bool:
    """Return whether steps over bytes give the same as those of an ID of visible ASCII, with no percent sign in it."""
    texts = id_.cut_prefix, id_.cut_suffix, id_.remove, id_.prefix, id_.suffix
    return "".join(texts).isascii() and not (id_.decode and "%" in "".join(texts[:2]))


def normalize_id(id_: Id, text: pl.Expr) -> pl.Expr:
    """Normalize an ID (String) by all of its steps; null where there is none."""
    for step in steps_of(id_):
        text = step.apply(text)
    return null_if_empty(text)


def null_if_empty(text: pl.Expr) -> pl.Expr:
    """Turn an empty text (String) into null."""
    return pl.when(text != "").then(text)


def check_hashing() -> None:
    """Raise `ConverterError` unless hashing gives the result of Adobe's own example."""
    address, expected = _EXAMPLE
    hashing = Id(column="address", type="hashed_email", hash="sha256")
    result = pl.select(normalize_id(hashing, pl.lit(f" {address.title()}\t"))).item()
    if result != expected:
        raise ConverterError(
            "E-HASH-CHECK",
            f"The hash of the example {address} is {result}, but must be {expected}. Nothing was converted.",
            "Install the package again. If that does not help, report this as a bug.",
        )


def _steps(id_: Id) -> Iterator[Step]:
    if id_.decode:
        yield Step("decode", "percent-decoded", percent_decode)
    if id_.trim:
        yield Step("trim", "trimmed", _trim)
    if id_.unicode == "nfc":
        yield Step("unicode", "in Unicode's form NFC", _compose)
    if id_.cut_prefix:
        yield Step(
            "cut_prefix", f"'{id_.cut_prefix}' cut from its start", lambda text: text.str.strip_prefix(id_.cut_prefix)
        )
    if id_.cut_suffix:
        yield Step(
            "cut_suffix", f"'{id_.cut_suffix}' cut from its end", lambda text: text.str.strip_suffix(id_.cut_suffix)
        )
    if id_.remove:
        removed = list(dict.fromkeys(id_.remove))
        empty = [""] * len(removed)
        yield Step("remove", f"without any of '{id_.remove}'", lambda text: text.str.replace_many(removed, empty))
    if id_.strip_zeros:
        yield Step("strip_zeros", "without zeros before it", _strip_zeros)
    if (width := id_.pad) is not None:
        yield Step("pad", f"zeros before it up to {width}", lambda text: null_if_empty(text).str.pad_start(width, "0"))
    match type_of(id_.type).case or id_.case:
        case _ if id_.type == AUTO.name:
            yield Step("case", "in the case of its type", lambda text: _in_case_of_type(text, id_))
        case "lower":
            yield Step("case", "lower case", lambda text: text.str.to_lowercase())
        case "upper":
            yield Step("case", "upper case", lambda text: text.str.to_uppercase())
    if id_.prefix:
        yield Step("prefix", f"'{id_.prefix}' before it", lambda text: pl.lit(id_.prefix) + null_if_empty(text))
    if id_.suffix:
        yield Step("suffix", f"'{id_.suffix}' after it", lambda text: null_if_empty(text) + pl.lit(id_.suffix))
    if id_.hash:
        of_address = id_.type == "hashed_email"
        yield Step("hash", "hashed by SHA-256", lambda text: _hash(text, of_address=of_address))


def not_ascii(text: pl.Expr) -> pl.Expr:
    """Return a text that has a character beyond ASCII, null for others: most texts need no more than a simple step."""
    return pl.when(text.str.len_bytes() != text.str.len_chars()).then(text)


def _trim(text: pl.Expr) -> pl.Expr:
    # Of ASCII, `TRIMMED` has what Polars takes for white space.
    return pl.coalesce(not_ascii(text).str.strip_chars(TRIMMED), text.str.strip_chars())


def _compose(text: pl.Expr) -> pl.Expr:
    """Return a text in Unicode's form NFC. ASCII is in that form."""
    return pl.coalesce(not_ascii(text).str.normalize("NFC"), text)


def _strip_zeros(text: pl.Expr) -> pl.Expr:
    """Return a text without leading zeros, except for its last character."""
    stripped = text.str.strip_chars_start("0")
    return pl.when((stripped == "") & (text != "")).then(pl.lit("0")).otherwise(stripped)


def _in_case_of_type(text: pl.Expr, id_: Id) -> pl.Expr:
    """Return an ID of any type in the case that Adobe requires, or that the job says for the customer's own IDs."""
    own = {"lower": text.str.to_lowercase(), "upper": text.str.to_uppercase(), "preserve": text}[id_.case]
    type_ = recognize_type(text)
    for index, name in enumerate(RECOGNIZED):
        match ID_TYPES[name].case:
            case "lower":
                own = pl.when(type_ == index).then(text.str.to_lowercase()).otherwise(own)
            case "upper":
                own = pl.when(type_ == index).then(text).otherwise(own)
    return own


def recognize_type(text: pl.Expr) -> pl.Expr:
    """Return the type of an ID (String) by its form: an index in `RECOGNIZED` (UInt8), null where there is no ID."""
    # Regular expressions see only what can match.
    candidates = {name: pl.when(text.str.len_bytes() == size).then(text) for name, size in FORM_LENGTHS.items()}
    forms = {name: candidate.str.contains(FORMS[name]) for name, candidate in candidates.items()}
    forms["idfa"] = pl.when(forms["gaid"]).then(candidates["idfa"]).str.contains(FORMS["idfa"])
    type_: pl.Expr = pl.when(text.is_not_null()).then(pl.lit(RECOGNIZED.index("crm"), pl.UInt8))
    for name, has_form in forms.items():  # Apple's after Google's, whose form they have as well
        type_ = pl.when(has_form).then(pl.lit(RECOGNIZED.index(name), pl.UInt8)).otherwise(type_)
    return type_


def _hash(text: pl.Expr, *, of_address: bool) -> pl.Expr:
    """Hash a text, except where it is a hash already or, where addresses are hashed, is not an address."""
    import polars_hash  # here, since few jobs hash

    # The regular expression sees only what can match.
    of_length = pl.when(text.str.len_bytes() == FORM_LENGTHS["hashed_email"]).then(text)
    is_hash = of_length.str.contains(_HASH).fill_null(value=False)
    is_plain = text.str.contains(_ADDRESS) if of_address else ~is_hash
    hash_ = polars_hash.concat_str(pl.when(is_plain).then(null_if_empty(text))).chash.sha2_256()
    return pl.when(is_plain).then(hash_).otherwise(text.str.to_lowercase())
