"""What columns may be in a job, by their names and by what a sample shows of their values: ID, signals, traits.

An ID column has a different value in nearly every row, a name that says so or a form of its own, and hardly any
personal data: rows with it are rejected. Everything that is not certain is said with its reason, so that a person can
decide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import polars as pl

from converter.columns.privacy import personal_by_name
from converter.commands.id_names import rating_of, type_of_forms, words_of
from converter.commands.profiles import Facts
from converter.errors import redact
from converter.jobs.secrets import VARIABLE
from converter.jobs.sections.record import RESERVED_KEYS
from converter.report.profiles import PossibleId, Use

_PLAUSIBLE = 4
_NEARLY_EACH, _MOST, _HALF = 0.99, 0.9, 0.5
_FORM = 0.95  # of the values
_STRAY = 0.05  # of the values of an ID column, that are personal data
_FEW = 50  # rows, which say little about how many values differ
_MANY_WORDS = 0.5  # different texts for each row
_MANY = 1_000  # different texts
_LONG = 100  # characters, on average
_FEW_DATES = 60
_SEPARATORS = "|;,"
_SEVERAL = 0.1  # of the values, that have a separator
_TRAIT = r"^[0-9]{4,12}$"
_TRAIT_NAMES = re.compile(r"(?i)trait|\bsids?\b|d_sid|segment")
_KEY = re.compile(r"(?![0-9]+$)[A-Za-z0-9_-]+")


class Role(NamedTuple):
    """What a column may be, why, and the separator of its items where it is a list in a text."""

    use: Use
    why: str
    separator: str = ""


def possible_ids(columns: Sequence[Facts]) -> list[PossibleId]:
    """Return the columns that may hold the user IDs, the most plausible one first; a hashed address is the last."""
    scored = [
        (score, -number, found)
        for number, facts in enumerate(columns)
        if (judged := _id_of(facts, is_first=number == 0)) is not None
        for score, found in (judged,)
        if score >= _PLAUSIBLE
    ]
    addresses = [(0, -number, found) for number, facts in enumerate(columns) if (found := _address(facts))]
    return [found for _, _, found in sorted([*scored, *addresses], key=lambda each: each[:2], reverse=True)]


def _id_of(facts: Facts, *, is_first: bool) -> tuple[int, PossibleId] | None:
    """Return how plausible a column is as the ID, and its settings; `None` where it is out of the question."""
    words = words_of(facts.name)
    type_ = type_of_forms(facts.forms, words, _FORM)
    has_form = type_ != "crm"
    decimal = facts.share(r"^[0-9]+[.,]0+$") >= _FORM
    is_number = facts.type in ("whole number", "digits") or (decimal and facts.stored == "text")
    if not facts.filled or not (is_number or facts.type == "text" or has_form) or _cannot_be_id(facts):
        return None
    if not has_form and (_is_personal(facts) or facts.share(" ") > _HALF or facts.share(":") > 0.1):
        return None
    named = rating_of(facts.name, words)
    unique = facts.unique
    if not (named > 0 or has_form or (is_first and unique >= _NEARLY_EACH)) or (named < 4 and unique < _HALF):
        return None
    score = (
        4 * has_form + named + is_first + (1 if facts.empty <= 1 - _NEARLY_EACH else -3 if facts.empty > _HALF else 0)
    )
    score += 3 if unique >= _NEARLY_EACH else 2 if unique >= _MOST else 1 if unique >= _HALF else -2
    settings: dict[str, Any] = {}
    if decimal:
        end = facts.judged["value"].str.extract(r"([.,]0+)$").drop_nulls().mode().sort().to_list()
        settings["cut_suffix"] = end[0]
    return score, PossibleId(facts.name, type_, settings, _reasons(facts, type_, named, decimal))


def _is_personal(facts: Facts) -> bool:
    """Return whether a column is one of personal data, not one in which some has strayed."""
    return bool(facts.by_name) or sum(facts.kinds.values()) > _STRAY


def _cannot_be_id(facts: Facts) -> bool:
    """Return whether the type of a column keeps it from holding IDs, or its name from being in a job."""
    return facts.stored.startswith(("Float", "Bool", "List", "Array", "Date", "Time")) or bool(_unusable(facts.name))


def _reasons(facts: Facts, type_: str, named: int, decimal: bool) -> list[str]:
    reasons = []
    if named > 1:
        reasons.append(f"the name '{redact(facts.name)}' says that it is an ID")
    unique = facts.unique
    if unique >= _NEARLY_EACH:
        reasons.append("nearly every row has another one" if unique < 1 else "every row has another one")
    elif unique >= _HALF:
        reasons.append(f"{unique:.0%} of the values differ")
    else:
        reasons.append('users have several rows (record.rows = "signal" makes one line of them, see docs/users.md)')
    if type_ != "crm":
        reasons.append(f"the values have the form of the type {type_}")
    elif facts.forms.get("gaid", 0) + facts.forms.get("idfa", 0) >= _FORM:
        reasons.append("the values have the form of UUIDs, as those of devices (types gaid and idfa) have too")
    elif facts.forms.get("hashed_email", 0) >= _FORM:
        reasons.append("the values have the form of SHA-256 (of e-mail addresses, the type is hashed_email)")
    elif sum(facts.forms.get(each, 0) for each in ("uuid", "gaid", "idfa", "hashed_email")) > 0.02:
        reasons.append('some have the form of other types (docs/ids.md says how type = "auto" routes them)')
    if decimal:
        reasons.append("a program has made decimals of them, which are cut")
    if facts.kinds and not _is_personal(facts):
        reasons.append(f"rows with personal data in it ({facts.personal}) are rejected")
    if facts.empty > 0.01:
        reasons.append(f"{facts.empty:.0%} of the rows have none")
    return reasons


def _address(facts: Facts) -> PossibleId | None:
    """Return a column of e-mail addresses as one of their hashes."""
    if facts.kinds.get("email", 0) < _MOST or facts.unique < _HALF or _unusable(facts.name) or facts.stored != "text":
        return None
    why = ["its e-mail addresses become hashes, if the web site sends such", f"{facts.unique:.0%} of the values differ"]
    return PossibleId(facts.name, "hashed_email", {"hash": "sha256"}, why)


def _unusable(name: str) -> str:
    """Return why a job cannot name a column; empty where it can."""
    if not name:
        return "has no name"
    if VARIABLE.search(name):
        return "in a job, its name would be that of an environment variable: rename it"
    return "its name is not Unicode text" if any("\ud800" <= mark <= "\udfff" for mark in name) else ""


def role_of(facts: Facts, id_: str | None, ids: Iterable[str]) -> Role:
    """Return what a column may be, where `id_` is the column of the ID, and `ids` are others that may be one."""
    if why := _unusable(facts.name):
        return Role("none", why)
    if facts.name == id_:
        return Role("id", "the ID")
    if facts.personal:
        return Role("none", f"personal ({facts.personal}): never sent as it is; a hash or a class of it may be")
    if facts.type == "empty" or not facts.filled:
        return Role("none", "empty in all sampled rows")
    if facts.type == "object":
        return Role("none", "holds objects: name a key in them")
    if traits := _traits(facts):
        return traits
    if facts.type == "list":
        return Role("list", "a list: each value becomes a pair")
    if separator := _separator(facts):
        return Role("list", f"a list with '{separator}' between its values", separator)
    if facts.name in ids:
        return Role("none", "another ID, of which each user has a different one")
    return _signal(facts)


def _signal(facts: Facts) -> Role:
    """Return whether a column with one value a row is worth sending."""
    different, unique = facts.values.height, facts.unique
    lengths = facts.judged.select((pl.col("value").str.len_chars() * pl.col("count")).sum() / pl.col("count").sum())
    if facts.type.startswith("date") and different > _FEW_DATES:
        return Role(
            "none", f"a {facts.type}: nearly each would be a value of its own (input.computed can make classes)"
        )
    if facts.type in ("text", "digits") and facts.filled >= _FEW and (unique > _MANY_WORDS or different > _MANY):
        return Role("none", "a text that is different in very many rows, of which no trait rule can be made")
    if facts.type == "text" and lengths.item() > _LONG:
        return Role("none", "a long text")
    if facts.type in ("whole number", "number") and different > _FEW_DATES:
        return Role("signal", f"a {facts.type}: trait rules can compare it")
    return Role("signal", "one value" if different == 1 else f"{different:,} different values in the sample")


def _traits(facts: Facts) -> Role | None:
    """Return the role of a column with trait IDs; `None` where it has none for certain."""
    named = bool(_TRAIT_NAMES.search(facts.name))
    values = facts.judged["value"]
    if facts.type == "list":
        items = values.str.extract_all(r"[^\x1f\s,\[\]{}\"]+").explode().drop_nulls()
        if _are_traits(items, named=named):
            return Role("traits", "lists of trait IDs")
        return None
    for separator in _SEPARATORS:
        has_several = facts.share(f"[0-9]{re.escape(separator)}[0-9]")
        items = values.str.split(separator).explode().str.strip_chars().drop_nulls()
        items = items.filter(items != "")
        if has_several >= (0.01 if named else _SEVERAL) and _are_traits(items, named=named):
            return Role("traits", f"lists of trait IDs, with '{separator}' between them", separator)
    if named and facts.type in ("whole number", "digits"):
        return Role("traits", "trait IDs, by its name")
    return None


def _are_traits(items: pl.Series, *, named: bool) -> bool:
    """Return whether items (String) have the form of trait IDs: nearly all, where the name of the column says so."""
    fitting = items.str.contains("^[0-9]+$" if named else _TRAIT).sum()
    return len(items) > 0 and fitting >= (_FORM if named else 1) * len(items)


def _separator(facts: Facts) -> str:
    """Return what separates the values of a list in a text; empty where none does."""
    if facts.type != "text":
        return ""
    values = facts.judged["value"]
    for separator in _SEPARATORS:
        mark = re.escape(separator)
        if facts.share(rf"[^\s{mark}]{mark}[^\s{mark}]") < _SEVERAL or facts.share(f"{mark} ") > 0.01:
            continue
        items = values.str.split(separator).explode().drop_nulls()
        if items.n_unique() < max(facts.values.height, 2) and facts.filled >= 10:
            return separator
    return ""


def keys_of(names: Iterable[str]) -> dict[str, str]:
    """Return a key for the signal of each column, each once, that a trait rule can name: letters, digits, `_`, `-`."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for number, name in enumerate(names, 1):
        key = name if _KEY.fullmatch(name) else _plain(name)
        if not _is_usable(key):
            key = f"column_{number}"
        while key.casefold() in taken:
            key = f"{key}_{number}"
        taken.add(key.casefold())
        keys[name] = key
    return keys


def _plain(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    return re.sub(r"[^A-Za-z0-9]+", "_", "".join(mark for mark in plain if not unicodedata.combining(mark))).strip("_")


def _is_usable(key: str) -> bool:
    is_nameable = bool(_KEY.fullmatch(key)) and not key.startswith("-") and key.casefold() not in RESERVED_KEYS
    return is_nameable and not personal_by_name(key)
