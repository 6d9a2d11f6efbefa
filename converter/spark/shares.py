"""Shares of the input: the files, or the span of a large file, that a task reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from converter.sources.base import Source, Span
from converter.spark.messages import SharedFile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SIZE = re.compile(r"(\d+)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


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


def shared_out(sources: Sequence[Source], sizes: Sizes) -> Iterator[list[SharedFile]]:
    """Yield the files of each partition, in order. A span of a large one has a partition of its own."""
    share: list[SharedFile] = []
    size = 0
    for index, source in enumerate(sources):
        own = source.origin.size or 0
        spans = _spans_of(source, sizes.most) if own > sizes.most else []
        if share and (len(spans) > 1 or size + own > sizes.most):
            yield share
            share, size = [], 0
        fingerprint = dict(source.origin.fingerprint() or {})
        file = SharedFile(index, str(fingerprint["path"]), fingerprint)
        if len(spans) > 1:
            yield from ([file._replace(span=span)] for span in spans)
        else:
            share.append(file)
            size += own + sizes.cost
    if share:
        yield share


def _spans_of(source: Source, most: int) -> list[Span]:
    from converter.sources.parquet import ParquetSource  # here, since loading Arrow takes a while

    return source.spans(most) if isinstance(source, ParquetSource) else []
