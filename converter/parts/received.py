"""What Audience Manager receives in lines of files with signals, as far as it can be known without its traits."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from converter.parts.signal_columns import parsed, signals_in
from converter.spec.ids import GLOBAL_DATA_SOURCES, ID_TYPES
from converter.spec.names import FileName


class Received(NamedTuple):
    """Counts of lines and signals.

    `lines` are those that are not blank; `malformed` are those without the fields of their kind of file, that are too
    long, or have a signal that cannot be parsed; of the others, `wrong_ids` have IDs of another form than that of their
    data source, and `signals` are in the rest.
    """

    lines: int = 0
    malformed: int = 0
    wrong_ids: int = 0
    signals: int = 0

    def plus(self, other: Received) -> Received:
        """Return the sums."""
        return Received(*(one + another for one, another in zip(self, other, strict=True)))


def form_of(source: int | None) -> str | None:
    """Return the form of the IDs of a data source, as a regular expression, if they have one."""
    type_ = ID_TYPES["uuid"] if source == 0 else GLOBAL_DATA_SOURCES.get(source or -1)
    return type_.form if type_ else None


def received(text: bytes, name: FileName) -> Received:
    """Return what whole lines of a file come to that has signals."""
    lines = signals_in(text, 2 if name.kind == "odc" else 1)
    raw = lines.signals["signal"].unique()
    unparsable = raw.filter(parsed(raw)["key"].is_null())
    found = lines.signals.select("line", bad=pl.col("signal").is_in(unparsable.implode()))
    bad = lines.malformed.clone()
    if len(unparsable):
        bad = bad.scatter(found.filter("bad")["line"].unique(), values=True)
    form = form_of(name.dpids[0])
    wrong = ~lines.ids.str.contains(form) & ~bad if form else pl.repeat(False, len(bad), eager=True)
    used = ~(bad | wrong)
    return Received(len(bad), int(bad.sum()), int(wrong.sum()), int(used.gather(found["line"]).sum()))
