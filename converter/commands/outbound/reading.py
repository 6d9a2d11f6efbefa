"""Files are read, parsed and written, in order and with bounded memory.

1. A thread for each file reads it ahead: it counts its bytes, hashes and decompresses them, and cuts the text into
   blocks of whole lines.
2. The form of the lines of a file is found by its first block.
3. Workers parse the blocks and format their rows; a thread writes them in order.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

import numpy as np
import polars as pl

from converter.commands.outbound.contents import Observed, blocks_of
from converter.commands.outbound.finding import FoundFiles, Outbound
from converter.commands.outbound.parsing import ParsedBlock, parse_block, sample_of
from converter.commands.outbound.writing import Format, Writer, formatted, mapped, with_name
from converter.commands.progress import Pace, Progress
from converter.jobs.outbound import OutboundInput
from converter.report.outbound import MOST_EXAMPLES, OutboundFile, OutboundReport, Rejected
from converter.sources.ahead import ReadAhead
from converter.sources.base import Budget
from converter.sources.origins.base import total_size
from converter.spec.outbound import END_MISSING, FIELDS_DOUBLE_ONLY, LINE_RULES
from converter.spec.outbound_lines import SPACES, LineForm, detected, with_header

_HEAD_BYTES, _HEAD_LINES = 1 << 20, 1_000  # of a file, which show the form of its lines
_MOST_BLOCK = 1 << 20  # bytes
_MOST_READERS = 8  # files that are read at the same time
_MOST_WRITING = 2  # blocks


class Options(NamedTuple):
    """How lines are read and written: `form` is that of all files, `None` where it is found by file."""

    form: LineForm | None
    aliases: bool
    format: Format


class _Block(NamedTuple):
    """A block of text of the file with this number, `None` at its end."""

    file: int
    text: bytes | None
    first: bool


class _Result(NamedTuple):
    """What a worker returns: the counts of a block, its rows as they are written, and how many these are."""

    parsed: ParsedBlock
    rows: bytes | pl.DataFrame
    written: int


class Run:
    """Reads, parses and writes the files, and counts what they hold in the report."""

    def __init__(
        self,
        job: OutboundInput,
        found: FoundFiles,
        options: Options,
        report: OutboundReport,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._files = found.files
        self.options = options
        self._report = report
        self._rejects: BinaryIO | None = None
        self._progress = progress
        self._workers = job.run.threads or os.cpu_count() or 1
        self._block = max(min(Budget(self._workers, job.run.memory).block, _MOST_BLOCK), _HEAD_BYTES)
        self._seen = [Observed(each.origin, hashes=bool(each.expected and each.expected.md5)) for each in self._files]
        self._total = total_size(each.origin for each in self._files)
        self._began, self._pace = time.monotonic(), Pace()
        self._forms: dict[str, LineForm] = {}
        report.files += [_described(each, job.conceal_path) for each in self._files]

    def write(self, writer: Writer, rejects: BinaryIO | None) -> None:
        """Write all rows, and the numbers of rejected lines. Raises `InputError` and `DestinationError`."""
        self._rejects = rejects
        under_way: deque[tuple[int, Future[_Result]]] = deque()
        writing: deque[Future[None]] = deque()
        form = SPACES
        with (
            ThreadPoolExecutor(self._workers, thread_name_prefix="outbound") as pool,
            ThreadPoolExecutor(1, thread_name_prefix="write") as aside,
            contextlib.closing(self._blocks()) as blocks,
        ):

            def take() -> None:
                file, result = under_way.popleft()
                parsed, rows, written = result.result()
                self._count(file, parsed, written)
                writing.append(aside.submit(writer.write, rows))
                while len(writing) > _MOST_WRITING:
                    with mapped():
                        writing.popleft().result()

            try:
                for block in blocks:
                    if block.text is None:
                        continue
                    if block.first:
                        form = self._form_of(block)
                    call = (block.text, form, self._files[block.file], self.options)
                    under_way.append((block.file, pool.submit(_convert, *call, first=block.first)))
                    del block, call
                    while len(under_way) > self._workers:
                        take()
                while under_way:
                    take()
                for each in writing:
                    with mapped():
                        each.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                aside.shutdown(wait=True, cancel_futures=True)
        for described, seen in zip(self._report.files, self._seen, strict=True):
            described.bytes, described.md5 = seen.bytes, seen.md5
            seen.check_unchanged()

    def _blocks(self) -> Generator[_Block]:
        """Yield the blocks of all files in order, some of which are read at the same time."""
        readers: deque[ReadAhead[bytes]] = deque()
        most = min(self._workers, _MOST_READERS)
        try:
            for number in range(len(self._files)):
                while len(readers) < most and number + len(readers) < len(self._files):
                    readers.append(ReadAhead(blocks_of(self._seen[number + len(readers)], self._block)))
                first = True
                for text in readers[0]:
                    yield _Block(number, text, first)
                    first = False
                readers.popleft().close()
        finally:
            for reader in readers:
                reader.close()

    def _form_of(self, block: _Block) -> LineForm:
        """Return the form of the lines of a file, by its first block; what that does not show, an earlier part does."""
        file, described = self._files[block.file], self._report.files[block.file]
        form, aliases = self.options.form, self.options.aliases
        head = (block.text or b"")[:_HEAD_BYTES]
        if len(block.text or b"") > len(head):
            head = head[: head.rfind(b"\n") + 1] or head
        lines = sample_of(head, _HEAD_LINES)
        if form is not None:
            form = with_header(form, lines, aliases=aliases)
        else:
            form = detected(lines, aliases=aliases)
            if form is None or FIELDS_DOUBLE_ONLY in form.assumed:
                form = self._forms.get(file.name.transfer, form) or SPACES
            self._forms[file.name.transfer] = form
        described.form = form.name
        described.assumed += form.assumed
        return form

    def _count(self, number: int, parsed: ParsedBlock, written: int) -> None:
        described, ledger = self._report.files[number], self._report.ledger
        names = np.array([rule.name for rule in LINE_RULES])[parsed.reasons]
        numbers = parsed.rejected + described.lines + 1
        examples = self._report.examples
        for line, rule in zip(numbers[: MOST_EXAMPLES - len(examples)], names, strict=False):
            examples.append(Rejected(described.path, int(line), str(rule)))
        if len(numbers):
            self._write_rejects(described.path, numbers.tolist(), names.tolist())
        rejected = Counter(names.tolist())
        described.rejected += rejected
        described.lines += parsed.lines
        described.rows += parsed.rows
        described.blank += parsed.blank
        described.headers += parsed.headers
        if not parsed.ends:
            described.assumed += (END_MISSING,)
        ledger.read += parsed.rows
        ledger.written += written
        ledger.rejected += rejected
        if self._progress:
            self._progress(self._pace.judge(self._now()))

    def _now(self) -> Progress:
        ledger = self._report.ledger
        read = sum(seen.bytes for seen in self._seen)
        seconds = time.monotonic() - self._began
        return Progress(read, self._total, ledger.read, ledger.rejects, phase="reading", seconds=seconds)

    def _write_rejects(self, path: str, numbers: Sequence[int], names: Sequence[str]) -> None:
        if self._rejects is None:
            return
        codes = {rule.name: rule.code for rule in LINE_RULES}
        frame = pl.DataFrame({"row": numbers, "rule": names}).select(
            pl.lit(path).alias("file"),
            "row",
            pl.lit("line").alias("unit"),
            "rule",
            pl.col("rule").replace(codes).alias("code"),
        )
        with mapped():
            self._rejects.write(frame.write_ndjson().encode())


def _described(file: Outbound, conceal: Callable[[str], str]) -> OutboundFile:
    name = file.name
    return OutboundFile(
        conceal(file.origin.label),
        name.destination,
        name.data_source,
        name.alias,
        name.mode,
        name.time,
        name.split,
        info=conceal(file.expected.info) if file.expected else None,
        assumed=name.assumed,
    )


def _convert(text: bytes, form: LineForm, file: Outbound, options: Options, *, first: bool) -> _Result:
    """Parse a block and format its rows, in a worker."""
    parsed = parse_block(text, form, first=first, aliases=options.aliases)
    rows = with_name(parsed.frame, file.name)
    # The frame itself is needed no more, where its rows are text.
    return _Result(parsed._replace(frame=rows.clear()), formatted(rows, options.format), rows.height)
