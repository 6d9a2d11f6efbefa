"""Traits that users have lost, and the signals that remove them (`d_unsid=N`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from converter import kernel
from converter.columns.pool import Bytes
from converter.kernel.calls import Hashes
from converter.kernel.sink import Positions
from converter.kernel.users import KEY_HASH_BYTES
from converter.rows.delta.keyed import keyed_hashes
from converter.rows.delta.lines import Users
from converter.rows.delta.options import DeltaOptions
from converter.rows.users.lines import SIGNAL, bytes_of, lines_of
from converter.spec.limits import USER_LINES

_ADDED, _REMOVED = "d_sid=", "d_unsid="
_TRAIT = "[^,]+"
_SORTED = pl.element().sort()  # of a list; `list.sort` takes ten times as long for short ones
_NO_EDGES = np.zeros(1, np.int64)


class Signals(NamedTuple):
    """What users have by their lines, each in their order: the columns `id`, `traits` and `keys` of a state (`past`).

    `removed` are the traits that lines remove, as `traits` are.
    """

    ids: pl.Series
    traits: pl.Series
    removed: pl.Series
    keys: pl.Series

    @classmethod
    def of(cls, users: Users, options: DeltaOptions) -> Signals:
        """Return the signals in the lines of users."""
        if loops := kernel.load():
            made = loops.user_signals(users.lines, users.ends, users.firsts, options.skipped, options.key)
            texts = (lines_of(*each) for each in made[:3])
            ids, traits, removed, keys = *texts, _binary(*made.keys)
        else:
            ids, (traits, removed, keys) = users.ids(options.skipped), _by_query(users, options)
        return cls(ids.alias("id"), traits.alias("traits"), removed.alias("removed"), keys.alias("keys"))

    def take(self, users: Positions) -> Signals:
        """Return those of some users."""
        return Signals(*(each[users] for each in self))


def _by_query(users: Users, options: DeltaOptions) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Return the traits, the removed ones and the keys of users."""
    count = len(users.firsts) - 1
    number = np.repeat(np.arange(count, dtype=np.uint32), np.diff(users.firsts))
    signals = (
        pl.DataFrame({"user": number, "signal": users.signals()})
        .with_columns(pl.col("signal").str.extract_all(SIGNAL))
        .explode("signal")
        .filter(pl.col("signal").is_not_null())
    )
    signal = pl.col("signal")
    is_added, is_removed = signal.str.starts_with(_ADDED), signal.str.starts_with(_REMOVED)
    all_users = pl.DataFrame({"user": np.arange(count, dtype=np.uint32)})

    def traits(chosen: pl.Expr, prefix: str) -> pl.Series:
        joined = signals.filter(chosen).group_by("user").agg(signal.str.strip_prefix(prefix).str.join(","))
        return all_users.join(joined, on="user", how="left", maintain_order="left")["signal"].fill_null("")

    others = signals.filter(~(is_added | is_removed)).with_columns(signal.str.extract('^("[^"]*")=').fill_null(signal))
    hashes = _hashed(others["signal"], options.key).to_numpy().astype("<u4").view(np.uint8)
    ends = KEY_HASH_BYTES * np.cumsum(np.bincount(others["user"].to_numpy(), minlength=count))
    return traits(is_added, _ADDED), traits(is_removed, _REMOVED), _binary(hashes, ends)


class Lost(NamedTuple):
    """What users have lost: their traits, each once and sorted, and how many keys."""

    traits: pl.Series
    key_count: int

    @property
    def trait_count(self) -> int:
        """How many traits they have lost."""
        return int(self.traits.list.len().sum())


def lost_signals(before: pl.DataFrame, now: Signals) -> Lost:
    """Return what users have lost who had the `traits` and `keys` of a frame; what a line removes is not lost."""
    frame = before.select(
        pl.col("traits").str.extract_all(_TRAIT),
        pl.Series("has", now.traits).str.split(","),
        pl.Series("removed", now.removed).str.split(","),
        hash_lists(before["keys"]).alias("keys"),
        hash_lists(now.keys).alias("keys_now"),
    )
    lost = frame.select(
        pl.col("traits").list.set_difference("has").list.set_difference("removed").list.eval(_SORTED),
        pl.col("keys").list.set_difference("keys_now").list.len(),
    )
    return Lost(lost["traits"], int(lost["keys"].sum()))


def distinct_traits(column: str) -> pl.Expr:
    """Return the traits of a column of a state as lists (List(String)), each once and sorted."""
    return pl.col(column).str.extract_all(_TRAIT).list.unique().list.eval(_SORTED)


def hash_lists(keys: pl.Series) -> pl.Series:
    """Return the hashes of keys of a state as lists (List(UInt32))."""
    import pyarrow as pa  # here, since few jobs need it

    array = keys.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    edges = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1] if len(array) else _NO_EDGES
    hashes = np.frombuffer(data, np.uint8)[edges[0] : edges[-1]].view("<u4")
    offsets = pa.array((edges - edges[0]) // KEY_HASH_BYTES)
    lists = pl.from_arrow(pa.LargeListArray.from_arrays(offsets, pa.array(hashes)))
    assert isinstance(lists, pl.Series)  # noqa: S101 - for the type checker: of an array
    return lists.alias(keys.name)


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
    new_ends: list[tuple[int, int]] = []  # where a line is inserted after a line, and its length
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


def _binary(data: Bytes, ends: Positions) -> pl.Series:
    """Return parts of memory (Binary) by where each ends."""
    import pyarrow as pa  # here, since few jobs need it

    offsets = np.concatenate([np.zeros(1, np.int64), ends])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pl.Series(pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ends), buffers), dtype=pl.Binary)
