"""User IDs are brought into the form in which the web site sends them (C12): explicit steps, always in one order.

1. decode: percent-encoding is taken back, once.
2. trim: white space, characters without width and byte order marks around it go.
3. unicode: Unicode's normal form C.
4. cut_prefix, cut_suffix: what all IDs of a system begin with or end in goes.
5. remove: characters go wherever they are, such as separators.
6. strip_zeros, pad: zeros before it go, or come up to a width.
7. case: as asked, or as Adobe wants it for the type.
8. prefix, suffix: a text comes before or behind it.
9. hash: SHA-256 in lower-case hexadecimal; what is such a hash already stays.

An ID that is missing, or of which nothing is left, is null and stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import polars as pl

from converter.columns.percent import percent_decode
from converter.errors import ConverterError
from converter.jobs.sections.ids import Id
from converter.spec.ids import AUTO, FORMS, ID_TYPES, RECOGNIZED, TRIMMED, type_of

_HASH = "^[0-9A-Fa-f]{64}$"
_ADDRESS = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_KNOWN = "johndoe@example.com", "55e79200c1635b37ad31a378c39feb12f120f116625093a19bc32fff15041149"
"""An address and its hash, as Adobe's page on hashing has them."""

BYTE_STEPS = frozenset({"trim", "case"})
"""Steps that change no byte of a plain ID but for another: those that compiled loops can take."""


class Step(NamedTuple):
    """One step: its name, which is that of the setting; what it does, in words; and how an ID (String) is changed."""

    name: str
    words: str
    apply: Callable[[pl.Expr], pl.Expr]


def steps_of(id_: Id) -> tuple[Step, ...]:
    """Return the steps that an ID takes, in their order."""
    return tuple(_steps(id_))


def normalize_id(id_: Id, text: pl.Expr) -> pl.Expr:
    """Return a text (String) as an ID of the job, null where there is none."""
    for step in steps_of(id_):
        text = step.apply(text)
    return null_if_empty(text)


def null_if_empty(text: pl.Expr) -> pl.Expr:
    """Return a text, null where it is empty."""
    return pl.when(text != "").then(text)


def check_hashing() -> None:
    """Raise `ConverterError` unless hashing gives what Adobe's own example says."""
    address, expected = _KNOWN
    hashing = Id(column="address", type="hashed_email", hash="sha256")
    made = pl.DataFrame({"address": [f" {address.title()}\t"]}).select(normalize_id(hashing, pl.col("address"))).item()
    if made != expected:
        raise ConverterError(
            "E-HASH-CHECK",
            f"Hashing gives {made} for the example {address}, which must give {expected}: nothing was converted.",
            "Install the package again; if that does not help, report this as a bug.",
        )


def _steps(id_: Id) -> Iterator[Step]:
    if id_.decode:
        yield Step("decode", "percent-decoded", percent_decode)
    if id_.trim:
        yield Step("trim", "trimmed", lambda text: text.str.strip_chars(TRIMMED))
    if id_.unicode == "nfc":
        yield Step("unicode", "in Unicode's form NFC", lambda text: text.str.normalize("NFC"))
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
        nothing = [""] * len(removed)
        yield Step("remove", f"without any of '{id_.remove}'", lambda text: text.str.replace_many(removed, nothing))
    if id_.strip_zeros:
        yield Step("strip_zeros", "without zeros before it", lambda text: text.str.replace("^0+(.)", "${1}"))
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
        yield Step("suffix", f"'{id_.suffix}' behind it", lambda text: null_if_empty(text) + pl.lit(id_.suffix))
    if id_.hash:
        of_address = id_.type == "hashed_email"
        yield Step("hash", "hashed by SHA-256", lambda text: _hashed(text, of_address=of_address))


def _in_case_of_type(text: pl.Expr, id_: Id) -> pl.Expr:
    """Return an ID of any type in the case that Adobe wants for it, or that the job does for the customer's own."""
    own = {"lower": text.str.to_lowercase(), "upper": text.str.to_uppercase(), "preserve": text}[id_.case]
    type_ = recognize_type(text)
    for place, name in enumerate(RECOGNIZED):
        match ID_TYPES[name].case:
            case "lower":
                own = pl.when(type_ == place).then(text.str.to_lowercase()).otherwise(own)
            case "upper":
                own = pl.when(type_ == place).then(text).otherwise(own)
    return own


def recognize_type(text: pl.Expr) -> pl.Expr:
    """Return the type of an ID (String) by its form: UInt8, a place in `RECOGNISED`; null where there is no ID."""
    is_device = text.str.contains(FORMS["gaid"])
    forms = {name: text.str.contains(form) for name, form in FORMS.items()}
    forms["idfa"] &= is_device
    forms["gaid"] &= ~forms["idfa"]
    type_: pl.Expr = pl.when(text.is_not_null()).then(pl.lit(RECOGNIZED.index("crm"), pl.UInt8))
    for name, has_form in forms.items():
        type_ = pl.when(has_form).then(pl.lit(RECOGNIZED.index(name), pl.UInt8)).otherwise(type_)
    return type_


def _hashed(text: pl.Expr, *, of_address: bool) -> pl.Expr:
    """Return a text hashed; what is a hash stays, and so does, where addresses are hashed, what is none."""
    import polars_hash  # here, since few jobs hash

    is_plain = text.str.contains(_ADDRESS) if of_address else ~text.str.contains(_HASH)
    hash_ = polars_hash.concat_str(pl.when(is_plain).then(null_if_empty(text))).chash.sha2_256()
    return pl.when(is_plain).then(hash_).otherwise(text.str.to_lowercase())
