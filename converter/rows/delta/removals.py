"""Traits that users have lost, and the signals that remove them (`d_unsid=N`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.kernel.calls import Hashes
from converter.kernel.sink import Positions
from converter.rows.delta.keyed import keyed_hashes
from converter.rows.delta.lines import Users
from converter.rows.delta.options import DeltaOptions
from converter.rows.users.lines import SIGNAL, bytes_of
from converter.spec.limits import USER_LINES

_ADDED, _REMOVED = "d_sid=", "d_unsid="


class Signals(NamedTuple):
    """The signals of users: their `traits`, their `keys` as hashes (`past`), and the traits that lines remove."""

    traits: pl.Series
    keys: pl.Series
    removed: pl.Series | None = None

    @classmethod
    def of(cls, users: Users, options: DeltaOptions) -> Signals:
        """Return the signals in the lines of users."""
        count = len(users.firsts) - 1
        number = np.repeat(np.arange(count, dtype=np.uint32), np.diff(users.firsts))
        signals = (
            pl.DataFrame({"user": number, "signal": users.signals()})
            .lazy()
            .with_columns(pl.col("signal").str.extract_all(SIGNAL))
            .explode("signal")
            .filter(pl.col("signal").is_not_null())
            .unique()
            .sort("user", "signal")
            .collect(engine="in-memory")
        )
        signal = pl.col("signal")
        is_added, is_removed = signal.str.starts_with(_ADDED), signal.str.starts_with(_REMOVED)
        others = signals.filter(~(is_added | is_removed)).with_columns(
            signal.str.extract('^("[^"]*")=').fill_null(signal)
        )
        added, removed = (
            signals.filter(chosen).with_columns(signal.str.strip_prefix(prefix))
            for chosen, prefix in ((is_added, _ADDED), (is_removed, _REMOVED))
        )
        keys = (
            others.select("user", _hashed(others["signal"], options.key).alias("signal"))
            .unique()
            .sort("user", "signal")
        )
        return cls(_lists(added, count), _lists(keys, count), _lists(removed, count))

    @classmethod
    def merged(cls, are_first: npt.NDArray[np.bool_], first: Signals, second: Signals) -> Signals:
        """Return those of users of which some are in `first`, in order, and the others in `second`."""
        order = np.argsort(np.concatenate([np.flatnonzero(are_first), np.flatnonzero(~are_first)]))
        traits, keys = (pl.concat([one, other])[order] for one, other in zip(first[:2], second[:2], strict=True))
        none = pl.Series([[]] * len(second.traits), dtype=pl.List(pl.String))
        return cls(traits, keys, None if first.removed is None else pl.concat([first.removed, none])[order])

    def take(self, users: Positions) -> Signals:
        """Return those of some users."""
        removed = None if self.removed is None else self.removed[users]
        return Signals(self.traits[users], self.keys[users], removed)


class Lost(NamedTuple):
    """What users have lost: their traits, and how many keys."""

    traits: pl.Series
    key_count: int

    @property
    def trait_count(self) -> int:
        """How many traits they have lost."""
        return int(self.traits.list.len().sum())


def lost_signals(before: pl.DataFrame, now: Signals) -> Lost:
    """Return what users have lost who had the `traits` and `keys` of a frame; what a line removes is not lost."""
    frame = before.select("traits", "keys").with_columns(
        now.traits.alias("has"), now.keys.alias("keys_now"), pl.Series("removed", now.removed)
    )
    lost = frame.select(
        pl.col("traits").list.set_difference("has").list.set_difference("removed").list.sort(),
        pl.col("keys").list.set_difference("keys_now").list.len(),
    )
    return Lost(lost["traits"], int(lost["keys"].sum()))


def with_removals(users: Users, those: Positions, lost: Lost, options: DeltaOptions) -> Users:
    """Return users with their lines, of whom `those` have lost traits, in order.

    What removes them stands at the end of a user's last line, where that does not become too long, else in further
    lines.
    """
    has_lost = np.flatnonzero(lost.traits.list.len().to_numpy())
    those, traits = those[has_lost], lost.traits[has_lost]
    if not len(those):
        return users
    last = users.firsts[1:][those] - 1
    signals = _removing(traits)
    sizes = signals.str.len_bytes().to_numpy().astype(np.int64)
    fits = (users.ends - users.starts)[last] + sizes + 1 <= options.most_line_bytes
    added = "," + signals
    new_ends: list[tuple[int, int]] = []  # where a line is inserted behind a line, and its length
    at = np.where(fits, users.ends[last] - 1, users.ends[last])
    if not fits.all():
        ids, texts = users.ids(options.skipped), added.to_list()
        for row in np.flatnonzero(~fits).tolist():
            room = USER_LINES.value - int(users.firsts[those[row] + 1] - users.firsts[those[row]])
            lines = _split(f"{options.lead}{ids[int(those[row])]}\t", traits[row].to_list(), options.most_line_bytes)[
                :room
            ]
            texts[row] = "".join(lines)
            new_ends += [(int(last[row]) + 1, len(line.encode())) for line in lines]
        added = pl.Series(texts)
    inserted, inserted_ends = bytes_of(added)
    lengths = np.diff(inserted_ends, prepend=0)
    size = int(users.ends[-1])
    text = np.insert(users.lines[:size], np.repeat(at, lengths), inserted)
    grown = np.diff(users.ends, prepend=0)
    grown[last[fits]] += lengths[fits]
    firsts = users.firsts
    if new_ends:
        before, more = zip(*new_ends, strict=True)
        grown = np.insert(grown, before, more)
        firsts = firsts + np.searchsorted(before, firsts, side="right")
    return Users(text, np.cumsum(grown), firsts)


def removal_lines(users: pl.DataFrame, options: DeltaOptions) -> Users:
    """Return users (`id`, `traits`, none of which is empty) with lines that remove all of their traits."""
    line = pl.format("{}{}\t{}\n", pl.lit(options.lead), "id", _removing(users["traits"]))
    lines = users.select(line.alias("line"))["line"]
    counts = np.ones(len(lines), np.int64)
    if (is_long := lines.str.len_bytes() > options.most_line_bytes).any():
        most = options.most_line_bytes
        made: list[str] = []
        for row, (text, id_, traits, long) in enumerate(zip(lines, users["id"], users["traits"], is_long, strict=True)):
            start = f"{options.lead}{id_}\t"
            several = _split(start, traits.to_list(), most)[: USER_LINES.value] if long else [text]
            counts[row] = len(several)
            made += several
        lines = pl.Series(made, dtype=pl.String)
    return Users(*bytes_of(lines), np.concatenate([[0], np.cumsum(counts)]))


def _split(start: str, traits: Sequence[str], most: int) -> list[str]:
    """Return lines of at most `most` bytes that remove traits, each of which begins with `start`."""
    lines: list[str] = []
    signals: list[str] = []
    size = room = most - len(start.encode()) - 1
    for trait in traits:
        signal = f"{_REMOVED}{trait}"
        if signals and size < len(signal) + 1:
            lines.append(f"{start}{','.join(signals)}\n")
            signals, size = [], room
        size -= len(signal) + bool(signals)
        signals.append(signal)
    return [*lines, f"{start}{','.join(signals)}\n"]


def _removing(traits: pl.Series) -> pl.Series:
    """Return for each list of traits the text that removes them."""
    return traits.list.eval(_REMOVED + pl.element()).list.join(",")


def _hashed(texts: pl.Series, key: Hashes) -> pl.Series:
    """Return keyed hashes of texts (UInt32), of which few are distinct."""
    distinct = texts.unique()
    memory, ends = bytes_of(distinct)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: len(ends)]
    hashes = keyed_hashes(memory, starts, ends, key)[:, 0].astype(np.uint32)
    table = pl.DataFrame({"text": distinct, "hash": pl.Series(hashes, dtype=pl.UInt32)})
    return texts.alias("text").to_frame().join(table, on="text", maintain_order="left")["hash"]


def _lists(items: pl.DataFrame, count: int) -> pl.Series:
    """Return the `signal`s of each `user` of `count` users as a list; items are in the order of users."""
    import pyarrow as pa  # here, since few jobs need it

    sizes = np.bincount(items["user"].to_numpy(), minlength=count)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    values = items["signal"].rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    lists = pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets), values))
    assert isinstance(lists, pl.Series)  # noqa: S101 - for the type checker: of an array
    return lists.cast(pl.List(items["signal"].dtype))
