"""The command `sync-urls`: addresses that synchronize the IDs of a table by HTTP, one for each row.

1. The job, the address and the input are checked.
2. IDs are normalized and checked like those of inbound files; each accepted one becomes an address.
3. The counts of rows, the input and the number of rejects are checked: then the output file becomes visible. Output to
   a stream, such as standard output, is written before that.
"""

from __future__ import annotations

import contextlib
import glob
import html
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl

from converter.columns.percent import percent_encode
from converter.commands.encodings import encoding_notices
from converter.commands.plan import open_input
from converter.commands.rejections import RejectsGuard, too_few_rows
from converter.commands.warnings import Warnings
from converter.delivery.atomic import PARTIAL
from converter.delivery.destinations.folder import FolderDestination
from converter.errors import DestinationError, EmptyInputError, Finding, JobError
from converter.jobs.job import Job
from converter.jobs.url_job import UrlJob
from converter.ledger import Ledger
from converter.report.left_out import left_out_notices
from converter.rows.pipeline import convert_sources
from converter.rows.records import Records
from converter.rows.stages import StageResults
from converter.sources.base import Source
from converter.sources.origins.base import LeftOut
from converter.spec.addresses import SyncAddress
from converter.spec.kinds import FileKind, FormattedSignal
from converter.spec.limits import ID_SYNC_HTTP_PAGE
from converter.spec.rules import CASE_COLLISION, Rule

Form = Literal["csv", "ndjson"]
Line = Callable[[Sequence[pl.Expr | str], Sequence[FormattedSignal]], pl.Expr]


def sync_urls(
    job: UrlJob | Job | str | os.PathLike[str],
    to: str | Path | BinaryIO,
    *,
    redirect: str = "",
    gdpr: int | None = None,
    gdpr_consent: str = "",
    form: Form = "csv",
    image: bool = False,
    warn: Callable[[Sequence[Finding]], None] | None = None,
    notify: Callable[[str], None] | None = None,
    left_out: Callable[[Sequence[LeftOut]], None] | None = None,
    strict: bool = False,
) -> Ledger:
    """Write the address of each ID of a job or a job file (`converter.spec.addresses`); return the counts of rows.

    `to` is a file, which appears complete or not at all and never replaces another, or a stream of bytes. `form` is
    `csv` (a header and the columns `id` and `url`) or `ndjson`; the ID is the normalized one. With `image`, the column
    `image` has an HTML image of the address instead. `warn` is called with warnings about the job and the first rows,
    before anything is written; with `strict`, they are errors. `notify` is called with sentences about files that are
    not read and encodings that were found, and `left_out` with the former. Raises a `ConverterError`.
    """
    job = UrlJob.of(job)
    with job.concealing():
        name = "image" if image else "url"
        line = _line(form, name, _address(job, redirect, gdpr, gdpr_consent))
        kind = FileKind(
            "data", "addresses of IDs", ID_SYNC_HTTP_PAGE, line, (), lambda _: (), late_rules=(CASE_COLLISION,)
        )
        records, sources, found, omitted = open_input(job, kind)
        if left_out:
            left_out(omitted)
        if notify:
            for notice in (*left_out_notices(omitted), *encoding_notices(sources, job)):
                notify(notice)
        Warnings(warn, strict=strict).add([*job.warnings, *found])
        fate = "No file was written." if isinstance(to, str | Path) else "The other addresses have been written."
        with _open_output(to) as write:
            if form == "csv":
                write(f"id,{name}\n".encode())
            ledger = _write_addresses(job, records, sources, write, fate)
            for source in sources:
                source.origin.check_unchanged()
            _check_rejects(job, ledger, records.rules, fate)
        return ledger


def _write_addresses(
    job: UrlJob, records: Records, sources: Sequence[Source], write: Callable[[bytes | memoryview], object], fate: str
) -> Ledger:
    """Write the line of each accepted row; return the counts of rows, which add up.

    Raises `LedgerError`, and `TooManyRejectsError` as soon as too many rows are rejected.
    """
    ledger, results = Ledger(), StageResults()
    guard, read = RejectsGuard(job.report, sources), Counter({source.origin.label: 0 for source in sources})
    with contextlib.closing(convert_sources(job, records, sources, results)) as batches:
        for converted in batches:
            for text in itertools.chain.from_iterable(converted.texts):
                for memory in text.between(0, int(text.ends[-1])):
                    write(memory)
            ledger += converted.ledger
            for piece in converted.block.pieces:
                read[piece.origin.label] += piece.size
            if guard.is_exceeded(ledger, read):
                raise too_few_rows(job, ledger, records.rules, fate, most_rows=guard.most_rows(ledger, read))
    if results.collisions and results.collisions.ids:
        ledger.warnings[CASE_COLLISION.name] = results.collisions.ids
    ledger.check()
    return ledger


def _address(job: UrlJob, redirect: str, gdpr: int | None, gdpr_consent: str) -> SyncAddress:
    (dpid,) = job.dpids
    if "auto" in [id_.type for id_ in job.ids]:
        raise JobError(
            "E-ID-TYPE-AUTO",
            "id.type is 'auto', but an address is for IDs of one data source.",
            "Set id.type to the type of the IDs.",
        )
    try:
        return SyncAddress(dpid, redirect, gdpr, gdpr_consent)
    except ValueError as error:
        raise JobError("E-SYNC-ADDRESS", str(error)) from error


def _line(form: Form, name: str, address: SyncAddress) -> Line:
    """Return the function that formats a row: the ID and, as the column `name`, its address."""
    before, after = address.before, address.after
    if name == "image":
        before = f'<img src="{html.escape(before)}'
        after = f'{html.escape(after)}" width="1" height="1" alt="">'
    if form == "csv":
        quote = '"' if '"' in before else ""
        escaped, start = _in_csv, ""
        middle, end = (text.replace('"', '""') for text in (before, after))
        middle, end = f",{quote}{middle}", f"{end}{quote}\n"
    else:
        escaped, start = _in_json, '{"id":"'
        middle, end = (json.dumps(text)[1:-1] for text in (before, after))
        middle, end = f'","{name}":"{middle}', f'{end}"}}\n'

    def line(ids: Sequence[pl.Expr | str], signals: Sequence[FormattedSignal]) -> pl.Expr:
        del signals
        (id_,) = ids
        assert isinstance(id_, pl.Expr)  # noqa: S101 - for the type checker: only other kinds of file have constant IDs
        return pl.concat_str(pl.lit(start), escaped(id_), pl.lit(middle), percent_encode(id_), pl.lit(end))

    return line


def _in_csv(id_: pl.Expr) -> pl.Expr:
    """Return an ID as a CSV field; no ID contains a newline (I6)."""
    special = id_.str.contains('[",]')
    quoted = pl.format('"{}"', pl.when(special).then(id_).str.replace_all('"', '""', literal=True))
    return pl.when(special).then(quoted).otherwise(id_)


def _in_json(id_: pl.Expr) -> pl.Expr:
    """Return an ID as the content of a JSON string; no ID contains a control character (I6)."""
    special = id_.str.contains(r'["\\]')
    escaped = pl.when(special).then(id_).str.replace_all(r'(["\\])', r"\${1}")
    return pl.when(special).then(escaped).otherwise(id_)


def _check_rejects(job: UrlJob, ledger: Ledger, rules: Sequence[Rule], fate: str) -> None:
    """Raise an error if no rows are left, or too many were rejected; `fate` is a sentence about their addresses."""
    if not ledger.read:
        raise EmptyInputError(
            "E-NO-ROWS", "The input has no rows, so there are no addresses to write.", "Is the export complete?"
        )
    if not (ledger.written and job.report.allows(ledger.rejects, ledger.read)):
        raise too_few_rows(job, ledger, rules, fate)


@contextlib.contextmanager
def _open_output(to: str | Path | BinaryIO) -> Iterator[Callable[[bytes | memoryview], object]]:
    """Open a file or a stream for writing; a file becomes visible at the end, unless there is an error."""
    if not isinstance(to, str | Path):
        yield lambda data: _call_stream(to.write, data)
        _call_stream(to.flush)
        return
    path = Path(to).expanduser()
    _check_free(path)
    folder = FolderDestination(str(path.parent))
    part = folder.create(path.name)
    try:
        yield part.write
        folder.publish(part.finish())
    except BaseException:
        part.abort()
        raise


def _check_free(path: Path) -> None:
    """Raise `DestinationError` if a path, or a partial file of it, exists."""
    if os.access(path, os.F_OK):
        raise DestinationError(
            "E-OUTPUT-TAKEN", f"'{path}' exists, and files are never overwritten.", "Choose another name."
        )
    if partial := next(glob.iglob(f"{glob.escape(str(path))}.*{PARTIAL}"), None):  # noqa: PTH207 - Path.glob raises
        raise DestinationError(
            "E-OUTPUT-IN-USE",
            f"'{partial}' exists: another run is writing it, or was killed.",
            "If no other run is active, remove it.",
        )


def _call_stream(call: Callable[..., object], *given: bytes | memoryview) -> None:
    """Call a method of the output stream. Raises `DestinationError`."""
    try:
        call(*given)
    except BrokenPipeError as error:
        raise DestinationError("E-OUTPUT-CLOSED", "The reader of the addresses has closed the stream.") from error
    except OSError as error:
        raise DestinationError("E-OUTPUT-WRITE", f"Cannot write the addresses: {error.strerror or error}.") from error
