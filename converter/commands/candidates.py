"""Candidates: settings of IDs that may bring those of a CRM into the form that a web site sends (C12).

They are derived from samples of both. A setting is a candidate if it changes an ID of the CRM, and if the site's IDs
have what it adds: leading zeros, a common prefix or suffix, hashes. All settings are combined, the shortest
combinations first.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from pydantic import ValidationError

from converter.columns.percent import percent_decode
from converter.jobs.sections.ids import Id, IdTypeName
from converter.spec.ids import ID_TYPES, TRIMMED

Settings = Mapping[str, Any]

_MANY = 0.1  # the share of IDs of a sample that have something in common
_HALF = 0.5
_ALIKE = 3  # the minimum number of IDs: what fewer have in common may be most of an ID
_ALIKE_BY_CHANCE = 20  # the minimum number of IDs, if there is no other evidence
_LEFT = 4  # the minimum number of characters that are left of an ID
_MOST_ENDS = 3
_LONGEST_END = 16  # characters
_MOST_WIDTHS = 2

_MARKS = r"-_.|/\\#~+ "
"""Characters between the parts of an ID."""
_HEADS = (r"^([^0-9]{1,16})[0-9]", rf"^([^{_MARKS}]{{1,15}}[{_MARKS}]).")
_TAILS = (r"[0-9]([^0-9]{1,16})$", rf".([{_MARKS}@][^{_MARKS}@]{{1,15}})$")
_REMOVABLE = set(string.punctuation + " ") - set("%@")
"""Characters that may be removed. Not `@`, since an e-mail address would no longer be recognized."""
_NEVER_BOTH = (("hash", "pad"), ("hash", "prefix"), ("hash", "suffix"), ("type", "case"))
"""Settings that exclude each other: zeros, prefixes and suffixes are not visible in hashes; addresses are hashed in
lower case."""
_HASH = "^[0-9a-f]{64}$"


def as_it_is(column: str, type_: IdTypeName) -> Id:
    """Return the settings that change only the case, where Adobe requires one for the type."""
    return Id(column=column, type=type_, trim=False)


def candidates(column: str, type_: IdTypeName, crm: pl.Series, site: pl.Series, most: int) -> list[Id]:
    """Return at most `most` candidates, those with the fewest settings first.

    `crm` and `site` are samples of IDs (Series of String), distinct and not null. The first candidate has default
    settings.
    """
    valid = _valid(column, type_, _combine(_choices(type_, crm, site)))
    return sorted(itertools.islice(valid, most), key=lambda id_: len(settings_of(id_)))


def settings_of(id_: Id) -> dict[str, Any]:
    """Return the settings beside the column and the type that differ from their defaults."""
    return id_.model_dump(exclude_defaults=True, exclude={"column", "type"})


def _valid(column: str, type_: IdTypeName, all_settings: Iterator[dict[str, Any]]) -> Iterator[Id]:
    for settings in all_settings:
        try:
            yield Id(**{"column": column, "type": type_, **settings})
        except ValidationError:  # the site's IDs have a prefix or suffix that IDs may not have
            continue


def _combine(choices: Sequence[Sequence[Settings]]) -> Iterator[dict[str, Any]]:
    """Yield all combinations of at most one setting of each choice, the shortest first."""
    for count in range(len(choices) + 1):
        for some in itertools.combinations(choices, count):
            for taken in itertools.product(*some):
                settings = {key: value for each in taken for key, value in each.items()}
                if not any(first in settings and second in settings for first, second in _NEVER_BOTH):
                    yield settings


def _choices(type_: IdTypeName, crm: pl.Series, site: pl.Series) -> list[list[Settings]]:
    """Return the settings that may help, grouped by choices of which one can be taken."""
    trimmed = crm.str.strip_chars(TRIMMED)
    decoded = trimmed.to_frame().select(percent_decode(pl.first())).to_series()
    heads, tails = _ends(decoded, _HEADS), _ends(decoded, _TAILS, last=True)
    # IDs without the prefixes and suffixes that they have in common.
    cores = pl.concat(
        [decoded, *(decoded.str.strip_prefix(head) for head in heads), *map(decoded.str.strip_suffix, tails)]
    )
    site_heads, site_tails = _ends(site, _HEADS), _ends(site, _TAILS, last=True)
    choices: list[list[Settings]] = [
        [{"case": case} for case, changed in _cases(decoded) if ID_TYPES[type_].case is None and changed],
        [{"cut_prefix": head} for head in heads],
        [{"cut_suffix": tail} for tail in tails],
        [{"remove": marks} for marks in _removed(decoded, site)],
        _zeros(cores, _widths(site, site_heads, site_tails)),
        [{"prefix": head} for head in site_heads],
        [{"suffix": tail} for tail in site_tails],
        [{"decode": True}] if (decoded != trimmed).any() else [],
        [{"unicode": "nfc"}] if (decoded.str.normalize("NFC") != decoded).any() else [],
        [{"trim": False}] if (site.str.strip_chars(TRIMMED) != site).any() else [],
        _hashes(type_, decoded, site),
    ]
    return [choice for choice in choices if choice]


def _cases(texts: pl.Series) -> Iterator[tuple[str, bool]]:
    """Yield each case, and whether it changes a text."""
    yield "lower", (texts.str.to_lowercase() != texts).any()
    yield "upper", (texts.str.to_uppercase() != texts).any()


def _removed(texts: pl.Series, site: pl.Series) -> list[str]:
    """Return sets of characters that may have to be removed: those that the site's IDs lack, and all."""
    ours, theirs = (_REMOVABLE.intersection(each.str.join("").item()) for each in (texts, site))
    return list(dict.fromkeys("".join(sorted(marks)) for marks in (ours - theirs, ours) if marks))


def _zeros(cores: pl.Series, widths: Sequence[int]) -> list[Settings]:
    """Return settings for leading zeros: strip them, pad with them, or both."""
    settings: list[Settings] = []
    has_zeros = cores.str.contains("^0.").any()
    if has_zeros:
        settings.append({"strip_zeros": True})
    for width in widths:
        if (cores.str.len_chars() < width).any():
            settings.append({"pad": width})
        if has_zeros:
            settings.append({"strip_zeros": True, "pad": width})
    return settings


def _widths(site: pl.Series, heads: Sequence[str], tails: Sequence[str]) -> list[int]:
    """Return the usual lengths of the site's IDs with leading zeros, without common prefixes and suffixes."""
    for head in heads:
        site = site.str.strip_prefix(head)
    for tail in tails:
        site = site.str.strip_suffix(tail)
    filled = pl.DataFrame({"width": site.str.len_chars(), "filled": site.str.starts_with("0")})
    widths = filled.group_by("width").agg(pl.len(), pl.col("filled").any())
    usual = widths.filter(pl.col("filled"), pl.col("width").is_between(2, 256), pl.col("len") >= _MANY * len(site))
    return usual.sort(["len", "width"], descending=True)["width"].head(_MOST_WIDTHS).to_list()


def _hashes(type_: IdTypeName, texts: pl.Series, site: pl.Series) -> list[Settings]:
    """Return settings for hashing, if the site's IDs are hashes and those of the CRM are not."""
    if type_ not in ("crm", "hashed_email") or not site.str.contains(_HASH).any() or texts.str.contains(_HASH).all():
        return []
    addresses = type_ == "crm" and texts.str.contains("@", literal=True).any()
    return [*([{"type": "hashed_email", "hash": "sha256"}] if addresses else []), {"hash": "sha256"}]


def _ends(texts: pl.Series, patterns: Sequence[str], *, last: bool = False) -> list[str]:
    """Return common prefixes of IDs, or suffixes (`last`), the most frequent first.

    Each of the patterns extracts a possible prefix of an ID. A prefix that at least half of the IDs share is returned
    as well, if there are many IDs and enough of them is left.
    """
    texts = texts.filter(~texts.str.contains("@", literal=True))  # many e-mail addresses begin with the same first name
    found_by = (texts.str.extract(pattern, 1).drop_nulls() for pattern in patterns)
    counted = [found.value_counts().rename({texts.name: "end"}) for found in found_by]
    least = max(_MANY * len(texts), _ALIKE)
    ends = pl.concat(counted).group_by("end").agg(pl.col("count").max()).filter(pl.col("count") >= least)
    found = ends.sort(["count", "end"], descending=[True, False])["end"].head(_MOST_ENDS).to_list()
    common = _common(texts, last=last)
    is_known = any(common.endswith(end) if last else common.startswith(end) for end in found)
    return found if is_known or not common else [common, *found]


def _common(texts: pl.Series, *, last: bool) -> str:
    """Return the longest prefix or suffix of half of the IDs; empty if there is none."""
    common, least = "", max(_HALF * len(texts), _ALIKE_BY_CHANCE)
    texts = texts.filter(texts.str.len_chars() >= _LEFT)
    for length in range(1, _LONGEST_END + 1):
        texts = texts.filter(texts.str.len_chars() >= _LEFT + length)
        ends = texts.str.tail(length) if last else texts.str.head(length)
        (end,) = ends.value_counts().rename({ends.name: "end"}).top_k(1, by=["count", "end"])["end"].to_list() or [""]
        texts = texts.filter(ends == end)
        if len(texts) < least:
            break
        common = end
    return common if common.strip("0") else ""
