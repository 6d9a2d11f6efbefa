"""Whether an input has the columns of the job, and what was most likely meant where it has not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from converter.errors import ColumnError, nearest, redact
from converter.sources.base import Source

_MOST_SHOWN = 20
_SEPARATORS = re.compile(r"\s*[,;|]\s*")
_OTHER_SEPARATOR = re.compile(r"[,;\t|]")
_VALUE = re.compile(
    r"[-+]?[0-9][0-9.,:/+ TZ-]*|[0-9a-f]{32,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|.*@.*", re.IGNORECASE
)


def check_columns(source: Source, columns: Sequence[str]) -> None:
    """Raise `ColumnError` where a source lacks one of these columns, or has more than one of its name."""
    missing = [name for name in columns if name not in source.schema]
    if missing:
        raise _header_missing(source) if _is_row_of_values(source, missing, columns) else _missing(source, missing)
    counts = Counter(source.names)
    if repeated := [name for name in columns if counts[name] > 1]:
        raise ColumnError(
            "E-COLUMN-REPEATED",
            f"The input '{source.origin.label}' has more than one column '{repeated[0]}'.",
            "Give them different names.",
        )


def is_header(source: Source) -> bool:
    """Return whether the first row of a text most likely names the columns: most of its fields are not values."""
    filled = [name for name in source.names if name]
    are_values = sum(1 for name in filled if _VALUE.fullmatch(name))
    return not (any("@" in name for name in filled) or are_values * 2 > len(filled))


def _is_row_of_values(source: Source, missing: Sequence[str], columns: Sequence[str]) -> bool:
    """Return whether the first row is most likely not a header: it has values, and none of the columns of the job."""
    if not source.has_header or len(missing) < len(columns) or not any(map(_VALUE.fullmatch, source.names)):
        return False
    return not any(nearest(name, source.names) for name in missing)


def _header_missing(source: Source) -> ColumnError:
    """Return the error that a text has no header. The first row is not shown: it holds what people are."""
    count = len(source.names)
    return ColumnError(
        "E-HEADER-MISSING",
        f"The input '{source.origin.label}' seems to have no header: its first row looks like values, not like names.",
        f"Name its {count} columns in their order: --set input.header=false --set "
        f"""'input.columns=["NAME", …]', or add a row with their names to the file.""",
    )


def _missing(source: Source, missing: Sequence[str]) -> ColumnError:
    """Return the error that columns are missing, with those that there are."""
    label, name, known = source.origin.label, missing[0], list(source.schema)
    shown = ", ".join(f"'{redact(each)}'" for each in known[:_MOST_SHOWN]) + ", …" * (len(known) > _MOST_SHOWN)
    parts = _SEPARATORS.split(name)
    if len(parts) > 1 and set(parts) <= set(known):
        return ColumnError(
            "E-COLUMN-MISSING",
            f"The input '{label}' has no column '{name}', but the columns {' and '.join(map(repr, parts))}.",
            f"Give each one by itself, as {' '.join(f'--signal {each}' for each in parts)} (likewise --trait), or as a "
            "list in a job file.",
        )
    others = f"It also lacks {', '.join(map(repr, missing[1:5]))}{', …' * (len(missing) > 5)}. " * (len(missing) > 1)
    if source.has_header and len(known) == 1 and _OTHER_SEPARATOR.search(known[0]):
        others += "It has one column, whose name has separators in it: is input.separator right? "
    others += source.columns_hint
    return ColumnError(
        "E-COLUMN-MISSING",
        f"The input '{label}' has no column '{name}'{nearest(name, known) or '.'}",
        f"{others}Its columns are {shown}.",
    )
