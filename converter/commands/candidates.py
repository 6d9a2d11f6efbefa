"""Settings of IDs that may bring those of a CRM into the form in which a web site sends them (C12).

They are found in samples of both. A setting is worth a try where it changes some ID of the CRM, and where it makes
something that the site's IDs show: zeros before them, a text that many of them begin with or end in, hashes. All are
combined, those that say little first.
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

_MANY = 0.1  # of the IDs of a sample that have something in common
_HALF = 0.5
_ALIKE = 3  # IDs at least: what fewer have in common may be most of an ID
_ALIKE_BY_CHANCE = 20  # IDs at least, where nothing else says that it is no part of the ID itself
_LEFT = 4  # characters that are left of an ID then, at least
_MOST_ENDS = 3
_LONGEST_END = 16  # characters
_MOST_WIDTHS = 2

_MARKS = r"-_.|/\\#~+ "
"""Characters that people put between the parts of an ID."""
_HEADS = (r"^([^0-9]{1,16})[0-9]", rf"^([^{_MARKS}]{{1,15}}[{_MARKS}]).")
_TAILS = (r"[0-9]([^0-9]{1,16})$", rf".([{_MARKS}@][^{_MARKS}@]{{1,15}})$")
_REMOVABLE = set(string.punctuation + " ") - set("%@")
"""What may stand between the parts of an ID: an address without its `@` would only hide what it is."""
_NEVER_BOTH = (("hash", "pad"), ("hash", "prefix"), ("hash", "suffix"), ("type", "case"))
"""What is not said together: a hash shows nothing of the site's zeros and ends, and addresses have a case."""
_HASH = "^[0-9a-f]{64}$"


def as_it_is(column: str, type_: IdTypeName) -> Id:
    """Return the settings that leave an ID as it is, but for the case that Adobe wants for some types."""
    return Id(column=column, type=type_, trim=False)


def candidates(column: str, type_: IdTypeName, crm: pl.Series, site: pl.Series, most: int) -> list[Id]:
    """Return settings that are worth a try, at most so many, those that say little first.

    `crm` and `site` are samples of IDs (String), distinct and none missing. The first candidate says nothing at all.
    """
    found = _distinct(column, type_, _combined(_choices(type_, crm, site)))
    return sorted(itertools.islice(found, most), key=lambda id_: len(settings_of(id_)))


def settings_of(id_: Id) -> dict[str, Any]:
    """Return what settings say beyond the column and the type: those that are not as they are when left out."""
    return id_.model_dump(exclude_defaults=True, exclude={"column", "type"})


def _distinct(column: str, type_: IdTypeName, all_settings: Iterator[dict[str, Any]]) -> Iterator[Id]:
    for settings in all_settings:
        try:
            yield Id(**{"column": column, "type": type_, **settings})
        except ValidationError:  # the site's IDs begin with or end in what no ID may hold
            continue


def _combined(choices: Sequence[Sequence[Settings]]) -> Iterator[dict[str, Any]]:
    """Yield all ways to take one of the settings of each choice, or none; those that take from few choices first."""
    for count in range(len(choices) + 1):
        for some in itertools.combinations(choices, count):
            for taken in itertools.product(*some):
                settings = {key: value for each in taken for key, value in each.items()}
                if not any(first in settings and second in settings for first, second in _NEVER_BOTH):
                    yield settings


def _choices(type_: IdTypeName, crm: pl.Series, site: pl.Series) -> list[list[Settings]]:
    """Return what may be done about IDs, each with the ways in which it may be done."""
    trimmed = crm.str.strip_chars(TRIMMED)
    decoded = trimmed.to_frame().select(percent_decode(pl.first())).to_series()
    heads, tails = _ends(decoded, _HEADS), _ends(decoded, _TAILS, last=True)
    # What an ID is without what all IDs of a system begin with or end in, and without what separates its parts.
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
    """Yield the cases, and whether one changes some text."""
    yield "lower", (texts.str.to_lowercase() != texts).any()
    yield "upper", (texts.str.to_uppercase() != texts).any()


def _removed(texts: pl.Series, site: pl.Series) -> list[str]:
    """Return characters that may be in the way: all that the site's IDs do without, and all there are."""
    ours, theirs = (_REMOVABLE.intersection(each.str.join("").item()) for each in (texts, site))
    return list(dict.fromkeys("".join(sorted(marks)) for marks in (ours - theirs, ours) if marks))


def _zeros(cores: pl.Series, widths: Sequence[int]) -> list[Settings]:
    """Return what may be done about the zeros before IDs: strip them, fill up with them, or both."""
    found: list[Settings] = []
    begins = cores.str.contains("^0.").any()
    if begins:
        found.append({"strip_zeros": True})
    for width in widths:
        if (cores.str.len_chars() < width).any():
            found.append({"pad": width})
        if begins:
            found.append({"strip_zeros": True, "pad": width})
    return found


def _widths(site: pl.Series, heads: Sequence[str], tails: Sequence[str]) -> list[int]:
    """Return how long the site's IDs usually are where zeros fill them up, without what they begin with or end in."""
    for head in heads:
        site = site.str.strip_prefix(head)
    for tail in tails:
        site = site.str.strip_suffix(tail)
    filled = pl.DataFrame({"width": site.str.len_chars(), "filled": site.str.starts_with("0")})
    widths = filled.group_by("width").agg(pl.len(), pl.col("filled").any())
    usual = widths.filter(pl.col("filled"), pl.col("width").is_between(2, 256), pl.col("len") >= _MANY * len(site))
    return usual.sort(["len", "width"], descending=True)["width"].head(_MOST_WIDTHS).to_list()


def _hashes(type_: IdTypeName, texts: pl.Series, site: pl.Series) -> list[Settings]:
    """Return how IDs may be hashed, where the site's are hashes and those of the CRM are not."""
    if type_ not in ("crm", "hashed_email") or not site.str.contains(_HASH).any() or texts.str.contains(_HASH).all():
        return []
    addresses = type_ == "crm" and texts.str.contains("@", literal=True).any()
    return [*([{"type": "hashed_email", "hash": "sha256"}] if addresses else []), {"hash": "sha256"}]


def _ends(texts: pl.Series, patterns: Sequence[str], *, last: bool = False) -> list[str]:
    """Return texts that many IDs begin with, or that they end in, those of most IDs first.

    Each of the patterns finds what an ID begins with by itself. What it has in common with at least half of the others
    is found as well, where these are many and something is left of them.
    """
    texts = texts.filter(~texts.str.contains("@", literal=True))  # many addresses begin with a name
    found_by = (texts.str.extract(pattern, 1).drop_nulls() for pattern in patterns)
    counted = [found.value_counts().rename({texts.name: "end"}) for found in found_by]
    least = max(_MANY * len(texts), _ALIKE)
    ends = pl.concat(counted).group_by("end").agg(pl.col("count").max()).filter(pl.col("count") >= least)
    found = ends.sort(["count", "end"], descending=[True, False])["end"].head(_MOST_ENDS).to_list()
    common = _common(texts, last=last)
    is_known = any(common.endswith(end) if last else common.startswith(end) for end in found)
    return found if is_known or not common else [common, *found]


def _common(texts: pl.Series, *, last: bool) -> str:
    """Return the longest text that half of the IDs begin with or end in, empty where there is none."""
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
