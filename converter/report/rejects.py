"""The rejected rows: one JSON object for each row, gzipped, without personal data.

`file`, `row`, `unit`, `rule`, `code`, and `columns`, the columns of the job, masked. `row` is counted from 1 in what
`unit` says: the `line` of a text, with its header and blank lines, or the `row` of a table. Malformed rows have
`length` in bytes and the number of `lines` instead of columns, and `text` only with `report.show_rows`. A thread of its
own describes and writes them.

There are at most `report.rejects_file_rows` of them, the first ones. Where there are more, the last object says so:
`left_out` has the number of the others by rule, and `kept` the number of those in the file.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import polars as pl
from isal import isal_zlib

from converter.columns.buffers import series_of
from converter.columns.privacy import mask
from converter.delivery.publication import ArtifactFile
from converter.delivery.run_files import FAILURES, RunFiles
from converter.errors import InputError
from converter.sources.malformed import RULES, MalformedRows, RowNumbers
from converter.spec.rules import Rule

_TYPES = {"file": pl.String, "row": pl.Int64, "unit": pl.String, "rule": pl.String, "code": pl.String}
_OPTIONAL: dict[str, pl.DataType] = {"columns": pl.Struct({}), "length": pl.Int64(), "lines": pl.Int64()}
_MOST_WAITING = 16  # batches
_MOST_ROWS_WAITING = 4096
_MOST_WRITING = 4  # groups of batches
MOST_EXAMPLES = 10  # of a rule
_MOST_EXAMPLES_IN_ALL, _MOST_COLUMNS = 200, 8


@dataclass(frozen=True)
class _RejectedRows:
    """The rejected rows of a batch, as `RejectsFile.add` takes them."""

    file: str
    unit: str
    rows: RowNumbers
    rejected: pl.DataFrame
    bad: MalformedRows


class RejectsFile(ArtifactFile):
    """The file of rejects, an artifact that grows while the run reads. Raises `DestinationError`."""

    def __init__(
        self,
        files: RunFiles,
        name: str,
        rules: Sequence[Rule],
        columns: Sequence[str],
        *,
        show_rows: bool,
        most: int,
    ) -> None:
        super().__init__(files, name, mode=0o600 if show_rows else 0o666)
        self._show_rows = show_rows
        self._codes = pl.Series([rule.code for rule in rules], dtype=pl.String)
        self._names = pl.Series([rule.name for rule in rules], dtype=pl.String)
        self._columns = tuple(columns)
        self._most = self._room = most
        self._left_out: Counter[str] = Counter()
        self._compressor = isal_zlib.compressobj(2, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
        self._waiting: list[_RejectedRows] = []
        self._rows_waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rejects")
        self._writing: deque[Future[None]] = deque()
        self._examples: list[dict[str, Any]] = []
        self._of_rule: Counter[str] = Counter()  # of the examples

    def begin(self) -> None:
        """Begin the file, in place of that of an interrupted run."""
        try:
            self._file.open()
        except OSError as error:
            raise self._error(error) from error

    def add(self, file: str, unit: str, rows: RowNumbers, rejected: pl.DataFrame, bad: MalformedRows) -> None:
        """Take the rejected rows of a batch of a file, in the order of the file. Raises what writing earlier ones did.

        `rows` are the numbers of those in `rejected`, which has `reason` and the columns as text (`c0`, `c1` …); `bad`
        are malformed rows. `unit` is what the numbers count: see `Source`.
        """
        if len(rows) + len(bad) > self._room:
            rows, rejected, bad = self._first(rows, rejected, bad)
        if not rejected.height and not len(bad):
            return
        self._room -= rejected.height + len(bad)
        self._waiting.append(_RejectedRows(file, unit, rows, rejected, bad))
        self._rows_waiting += rejected.height + len(bad)
        # Describing a few rows takes as long as describing many, and large files have many batches.
        if len(self._waiting) >= _MOST_WAITING or self._rows_waiting >= _MOST_ROWS_WAITING:
            self._start_writing()
        while len(self._writing) > _MOST_WRITING:
            self._writing.popleft().result()

    def leave_out(self, counts: Mapping[str, int]) -> None:
        """Count rows, by their rules, that are left out of the file: there are too many before them."""
        self._left_out.update(counts)

    @property
    def examples(self) -> list[dict[str, Any]]:
        """The first rows by rule, as the file has them, without `text`: those that were described so far."""
        return list(self._examples)

    def settle(self) -> None:
        """Wait until the rows so far are described. Raises what writing them did."""
        self._start_writing()
        while self._writing:
            self._writing.popleft().result()

    def _first(
        self, rows: RowNumbers, rejected: pl.DataFrame, bad: MalformedRows
    ) -> tuple[RowNumbers, pl.DataFrame, MalformedRows]:
        """Return the first rows, as many as there is room for, and count the others."""
        kept = np.zeros(len(rows) + len(bad), bool)
        kept[np.argsort(np.concatenate([rows, bad.numbers]), kind="stable")[: self._room]] = True
        of_rejected, of_bad = kept[: len(rows)], kept[len(rows) :]
        left_out = self._names.gather(rejected["reason"].filter(series_of(~of_rejected)))
        self._left_out.update(dict(left_out.value_counts().rows()))
        self._left_out.update(bad.take(np.flatnonzero(~of_bad)).counts())
        return rows[of_rejected], rejected.filter(series_of(of_rejected)), bad.take(np.flatnonzero(of_bad))

    def _start_writing(self) -> None:
        """Let the thread write the waiting rows."""
        self._writing.append(self._thread.submit(self._describe, self._waiting))
        self._waiting, self._rows_waiting = [], 0

    def _describe(self, batches: Sequence[_RejectedRows]) -> None:
        """Write rows as objects."""
        described = []
        rejected = [(batch, each) for batch, each in enumerate(batches) if each.rejected.height]
        if rejected:
            counts = [each.rejected.height for _, each in rejected]
            index = series_of(np.repeat(np.arange(len(counts)), counts))
            frame = pl.concat([each.rejected for _, each in rejected])
            reasons = frame["reason"]
            described.append(
                frame.select(
                    batch=series_of(np.repeat([batch for batch, _ in rejected], counts)),
                    file=pl.Series([each.file for _, each in rejected]).gather(index),
                    row=series_of(np.concatenate([each.rows for _, each in rejected])),
                    unit=pl.Series([each.unit for _, each in rejected]).gather(index),
                    rule=self._names.gather(reasons),
                    code=self._codes.gather(reasons),
                    columns=pl.struct(
                        mask(pl.col(f"c{index}")).alias(name) for index, name in enumerate(self._columns)
                    ),
                )
            )
        bad = [each.bad for each in batches]
        if any(map(len, bad)):
            batch = np.repeat(np.arange(len(bad)), [len(each) for each in bad])
            rules = series_of(np.concatenate([each.rules for each in bad]))
            columns = {
                "batch": series_of(batch),
                "file": pl.Series([each.file for each in batches]).gather(series_of(batch)),
                "row": series_of(np.concatenate([each.numbers for each in bad])),
                "unit": pl.Series([each.unit for each in batches]).gather(series_of(batch)),
                "rule": pl.Series([rule.name for rule in RULES]).gather(rules),
                "code": pl.Series([rule.code for rule in RULES]).gather(rules),
                "length": series_of(np.concatenate([each.lengths for each in bad])),
                "lines": series_of(np.concatenate([each.lines for each in bad])),
            }
            if self._show_rows:
                texts = [text.decode("utf-8", "backslashreplace") for each in bad for text in each.texts()]
                columns["text"] = pl.Series(texts, dtype=pl.String)
            described.append(pl.DataFrame(columns))
        order = ("batch", "row")
        objects = [
            each.select(*order, "rule", object=pl.struct(pl.exclude("batch")).struct.json_encode())
            for each in described
        ]
        if objects:
            rows = pl.concat(objects).sort(order, maintain_order=True)
            self._take_examples(rows)
            self._write(rows["object"].str.join("\n").item())

    def _take_examples(self, rows: pl.DataFrame) -> None:
        """Keep the first rows of each rule that has too few examples; `rows` has `rule` and `object`."""
        if len(self._examples) >= _MOST_EXAMPLES_IN_ALL:
            return
        if has_enough := [rule for rule, count in self._of_rule.items() if count >= MOST_EXAMPLES]:
            rows = rows.filter(~pl.col("rule").is_in(has_enough))
        if not rows.height:
            return
        firsts = rows.filter(pl.int_range(pl.len()).over("rule") < MOST_EXAMPLES)
        for rule, text in firsts.select("rule", "object").rows():
            if self._of_rule[rule] < MOST_EXAMPLES and len(self._examples) < _MOST_EXAMPLES_IN_ALL:
                example = orjson.loads(text)
                example.pop("text", None)
                if "columns" in example:
                    example["columns"] = dict(list(example["columns"].items())[:_MOST_COLUMNS])
                self._examples.append(example)
                self._of_rule[rule] += 1

    def _write(self, lines: str) -> None:
        try:
            self._file.write(self._compressor.compress(f"{lines}\n".encode()))
        except OSError as error:
            raise self._error(error) from error

    def prepare(self) -> None:
        """Complete the file, still invisible."""
        self.settle()
        self._thread.shutdown()
        if self._left_out:
            self._write(json.dumps({"left_out": dict(sorted(self._left_out.items())), "kept": self._most}))
        try:
            self._file.write(self._compressor.flush())
            self._file.finish()
        except OSError as error:
            raise self._error(error) from error

    def discard(self) -> None:
        """Stop writing, and remove the file unless it is published."""
        self._thread.shutdown(cancel_futures=True)
        super().discard()


def read_rejects(files: RunFiles, name: str) -> pl.DataFrame:
    """Return the rejects of a file: `file`, `row`, `unit`, `rule`, `code`, `columns` (a struct), `length`, `lines`.

    `text` is there if the job has `report.show_rows`. Raises `InputError` where the file cannot be read.
    """
    try:
        content = gzip.decompress(files.read(name))
    except (*FAILURES, EOFError, zlib.error) as error:
        why = f"The rejects '{files.url(name)}' cannot be read ({type(error).__name__})."
        raise InputError("E-REJECTS-READ", why) from error
    lines = content.splitlines(keepends=True)
    if lines and lines[-1].startswith(b'{"left_out"'):
        lines.pop()
    frame = pl.read_ndjson(b"".join(lines), infer_schema_length=None) if lines else pl.DataFrame(schema=_TYPES)
    missing = [pl.lit(None, type_).alias(name) for name, type_ in _OPTIONAL.items() if name not in frame.columns]
    return frame.with_columns(missing).select(*_TYPES, *_OPTIONAL, pl.selectors.by_name("text", require_all=False))
