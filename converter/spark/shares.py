"""Shares of the input: the files, or the span of a large file, that a task reads.

Parquet files are divided by their row groups, and plain texts where rows are found to begin, which takes tasks that
scan them (`sources.spans`). All others are read as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from converter.sources.base import Source, Span
from converter.sources.delta import of_table
from converter.sources.spans import ranges, spans_of
from converter.sources.texts import TextSource
from converter.spark.messages import Scanned, Share, SharedFile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SIZE = re.compile(r"(\d+)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_LEAST_RANGE = 1 << 20  # bytes of a text: reading less by itself does not pay


class Sizes(NamedTuple):
    """By which Spark itself shares out files: a share has `most` bytes, and each file in it counts `cost` more."""

    most: int
    cost: int

    @classmethod
    def of(cls, session: SparkSession) -> Sizes:
        """Return the settings of a session."""
        return cls(_setting(session, "maxPartitionBytes"), _setting(session, "openCostInBytes"))


def _setting(session: SparkSession, name: str) -> int:
    found = _SIZE.match(session.conf.get(f"spark.sql.files.{name}"))
    return int(found[1]) << (10 * _UNITS[found[2].lower()]) if found else 0


def spans_of_tables(sources: Sequence[Source], sizes: Sizes) -> dict[int, list[Span]]:
    """Return the spans of large Parquet files, by the number of the file."""
    from converter.sources.parquet import ParquetSource  # here, since loading Arrow takes a while

    return {
        number: source.spans(sizes.most)
        for number, source in enumerate(sources)
        if isinstance(source, ParquetSource) and (source.origin.size or 0) > sizes.most
    }


def ranges_of_texts(sources: Sequence[Source], sizes: Sizes) -> list[SharedFile]:
    """Return ranges of large plain texts, which are to be scanned: each is the span of a file."""
    most = max(sizes.most, _LEAST_RANGE)
    return [
        _shared(number, source)._replace(span=Span(start, stop, 0))
        for number, source in enumerate(sources)
        if isinstance(source, TextSource) and (source.body.size or 0) > most
        for start, stop in ranges(source, most)
    ]


def spans_of_texts(
    sources: Sequence[Source], scanned_ranges: Sequence[SharedFile], scanned: Sequence[Scanned]
) -> dict[int, list[Span]]:
    """Return the spans of large texts whose ranges were scanned, by the number of the file."""
    by_range = dict(scanned)
    found: dict[int, list[Span]] = {}
    for number, of_file in groupby(range(len(scanned_ranges)), lambda each: scanned_ranges[each].number):
        source, spans = sources[number], [(scanned_ranges[each].span, by_range[each]) for each in of_file]
        assert isinstance(source, TextSource)  # noqa: S101 - for the type checker
        found[number] = spans_of(source, [((span.start, span.stop), scan) for span, scan in spans if span])
    return found


def shared_out(sources: Sequence[Source], sizes: Sizes, spans: Mapping[int, Sequence[Span]]) -> Iterator[Share]:
    """Yield the shares, in order. Small files come together; each of the `spans` of a file is a share of its own."""
    partition = 0
    files: list[SharedFile] = []
    size = 0
    for number, source in enumerate(sources):
        own, file = source.origin.size or 0, _shared(number, source)
        of_file = spans.get(number, ())
        if files and (len(of_file) > 1 or size + own > sizes.most):
            yield Share(partition, files)
            files, size, partition = [], 0, partition + 1
        if len(of_file) > 1:
            yield from (Share(partition + at, [file._replace(span=span)]) for at, span in enumerate(of_file))
            partition += len(of_file)
        else:
            files.append(file)
            size += own + sizes.cost
    if files:
        yield Share(partition, files)


def with_whole_files(shares: Sequence[Share], torn: Collection[int]) -> tuple[list[Share], list[Share]]:
    """Return the shares with one for each of the files whose numbers are given, as a whole; and these alone."""
    kept: list[Share] = []
    whole: dict[int, Share] = {}
    for share in shares:
        if share.spanned is None or share.spanned not in torn:
            kept.append(share)
        elif share.spanned not in whole:
            whole[share.spanned] = Share(share.partition, [share.files[0]._replace(span=None)])
    return sorted([*kept, *whole.values()], key=lambda share: share.partition), list(whole.values())


def _shared(number: int, source: Source) -> SharedFile:
    fingerprint = dict(source.origin.fingerprint() or {})
    return SharedFile(number, str(fingerprint["path"]), fingerprint, of_table=of_table(source.origin))
