"""Rows that need only be formatted, formatted as they stand, and told from those that need more.

Nearly all rows of nearly all files break no rule and need no change. So a quick query formats every row as if it
were one of them. Then tests on the bytes of whole columns (`converter.sift`) find the odd rows, of which that is
not sure; these go through `Records.lines`, and their lines take the place of the quick ones. Both give the same
line for a row that is not odd, so which rows are odd, and what was expected of the file, is a matter of speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_

import numpy as np
import polars as pl

from converter.ledger import Ledger
from converter.records import ITEM_BYTES, Records
from converter.sift import Rows, Test, Texts, count_items, is_list, lacks, matches, only_holds
from converter.spec import kinds, rules
from converter.spec.ids import PLAIN_IN_ID

_BAD_IN_VALUE = bytes([*range(0x20), ord('"')])


@dataclass(frozen=True)
class Expected:
    """What the quick query takes for granted; rows that are otherwise are odd.

    `complete` are signals, by their place in the job, of which no value is missing; `ids_as_they_are` says that
    no ID needs normalising.
    """

    complete: frozenset[int] = frozenset()
    ids_as_they_are: bool = True


@dataclass(frozen=True)
class Sifted:
    """What the quick query's rows turned out to be.

    `odd` are the rows that are not sure to be right, in order; so many of them for their ID, so many because a
    signal that was expected is missing. `absent` are the signals that are missing from some row, `ledger` counts
    the signals of the rows that are not odd.
    """

    odd: Rows
    odd_ids: int
    incomplete: int
    absent: frozenset[int]
    ledger: Ledger


class Quick:
    """Formats rows quickly."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._texts = records.place
        signals, lists = records.job.record.signals, records.lists
        self._constants = sum(each.column is None for each in signals) + sum(
            each.tokens.column is None for each in lists
        )
        self._pairs = {place: self._texts[each.column] for place, each in enumerate(signals) if each.column}
        self._lists = {
            place: (self._texts[each.tokens.column], each)
            for place, each in enumerate(lists, len(signals))
            if each.tokens.column
        }
        self.places = frozenset(self._pairs) | frozenset(self._lists)
        """The signals that a column gives, by their place in the job."""
        self._test_id = self._id_test()

    def lines(self, texts: pl.LazyFrame, expected: Expected) -> pl.LazyFrame:
        """Return the query that formats what `Records.texts` gives: `line`, `id` and the texts; no row is rejected."""
        records = self._records
        id_ = pl.col(self._texts[records.job.id.column])
        filled = {place: pl.col(f"filled{place}") for place in self.places - expected.complete}
        signals = []
        for place, signal in enumerate(records.job.record.signals):
            if signal.column is None:
                signals.append(kinds.pair(signal.key, records.constant(signal.value or "")))
            else:
                signals.append(kinds.pair(signal.key, pl.col(self._pairs[place]), filled.get(place, True)))
        for place, each in enumerate(records.lists, len(signals)):
            if each.tokens.column is None:
                signals.append(kinds.Signal("", each.prefix + (each.tokens.value or ""), ""))
            else:
                items = pl.col(self._texts[each.tokens.column])
                items = items.str.replace_all(each.tokens.separator, f",{each.prefix}", literal=True)
                signals.append(kinds.Signal(each.prefix, items, "", filled.get(place, True)))
        return (
            texts.with_columns((pl.col(self._column(place)) != "").alias(f"filled{place}") for place in sorted(filled))
            .with_columns(id=id_ if expected.ids_as_they_are else records.normalised(id_))
            .with_columns(line=records.kind.line(pl.col("id"), signals))
            .select("line", "id", *self._texts.values())
        )

    def sift(self, formatted: pl.DataFrame, expected: Expected, *, plain: bool) -> Sifted:
        """Find the odd rows among those that the query gave.

        `plain` says that no text holds a double quote or a control character.
        """
        columns = {name: Texts(formatted[name]) for name in self._texts.values()}
        empty = {place: columns[self._column(place)].series == "" for place in sorted(self.places)}
        missing = {place: int(series.sum()) for place, series in empty.items()}
        odd_ids = self._test_id(Texts(formatted["id"]))
        incomplete = [_rows(empty[place]) for place in expected.complete if missing[place]]
        found = [odd_ids, *incomplete, _rows(formatted["line"].str.len_bytes() > self._records.most_line_bytes)]
        if not self._constants and all(missing.values()):
            found.append(_rows(reduce(and_, empty.values())))
        bad = (b"" if plain else _BAD_IN_VALUE) + (b"" if self._records.job.record.comma == "keep" else b",")
        if bad:
            found += [lacks(bad)(columns[name]) for name in set(self._pairs.values())]
        for name, each in self._lists.values():
            found.append(is_list(each.tokens.separator, ITEM_BYTES[each.wrong])(columns[name]))
        odd = np.unique(np.concatenate(found))
        ledger = self._counted(columns, missing, formatted.height)
        if len(odd):
            taken_out = formatted[odd]
            of_odd = {name: Texts(taken_out[name]) for name in self._texts.values()}
            missing_odd = {place: int((of_odd[self._column(place)].series == "").sum()) for place in self.places}
            less = self._counted(of_odd, missing_odd, len(odd))
            ledger.signals_written -= less.signals_written
            ledger.signals_dropped -= less.signals_dropped
        return Sifted(
            odd,
            len(np.unique(odd_ids)),
            sum(map(len, incomplete)),
            frozenset(place for place, count in missing.items() if count),
            ledger,
        )

    def pairs(self, formatted: pl.DataFrame, expected: Expected) -> int:
        """Return how many key-value pairs the query wrote, all rows together."""
        optional = [name for place, name in self._pairs.items() if place not in expected.complete]
        absent = sum(int((formatted[name] == "").sum()) for name in optional)
        return len(self._records.job.record.signals) * formatted.height - absent

    def _column(self, place: int) -> str:
        return self._pairs[place] if place in self._pairs else self._lists[place][0]

    def _counted(self, columns: dict[str, Texts], missing: dict[int, int], rows: int) -> Ledger:
        """Count the signals of rows, of which so many are missing."""
        ledger = Ledger()
        absent = sum(missing[place] for place in self._pairs)
        if absent:
            ledger.signals_dropped[rules.VALUE_MISSING.name] = absent
        ledger.signals_written = (self._constants + len(self._pairs)) * rows - absent
        for name, each in self._lists.values():
            ledger.signals_written += count_items(columns[name], each.tokens.separator)
        return ledger

    def _id_test(self) -> Test:
        """Return the test that an ID is right as it is: it changes with no step of normalising and breaks no rule."""
        type_, case = self._records.id_type, self._records.case or ""
        if type_.form is None:
            plain = {"lower": PLAIN_IN_ID.lower(), "upper": PLAIN_IN_ID.upper()}.get(case, PLAIN_IN_ID)
            return only_holds(bytes(sorted(set(plain))))
        tests = [matches(type_.form)]  # of a type with a case of its own, in that case
        if case and not type_.case:
            changed = bytes(range(ord("A"), ord("Z") + 1)) if case == "lower" else bytes(range(ord("a"), ord("z") + 1))
            tests.append(lacks(changed))
        if type_.doubtful:
            tests.append(lacks(type_.doubtful.encode()))
        if type_.device:
            tests.append(_is_not_zero)
        return lambda ids: np.concatenate([test(ids) for test in tests])


def spliced(lines: pl.Series, odd: Rows, judged: pl.Series) -> pl.Series:
    """Put the lines of the odd rows in the place of the quick ones; a null one leaves its row out."""
    if not len(odd):
        return lines
    order = np.arange(len(lines))
    order[odd] = len(lines) + np.arange(len(odd))
    keep = np.ones(len(lines), np.bool_)
    keep[odd] = judged.is_not_null().to_numpy()
    return pl.concat([lines, judged], rechunk=False).gather(order[keep])


def _is_not_zero(ids: Texts) -> Rows:
    """Test that a device ID is not all zeros (I2); few IDs begin with one."""
    zero = _rows(ids.series.str.starts_with("0"))
    all_zero: Rows = zero[~ids.series.gather(zero).str.contains("[^0-]").to_numpy()]
    return all_zero


def _rows(truths: pl.Series) -> Rows:
    rows: Rows = truths.arg_true().to_numpy().astype(np.int64)
    return rows
