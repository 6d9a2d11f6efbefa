"""The files that `input.path` means, each opened as a source of its format."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from converter.errors import ColumnError, Finding, InputError
from converter.jobs.access import DEFAULT_ACCESS, Access
from converter.jobs.paths import is_file, is_url
from converter.jobs.sections.table import AUTO, Format, Input, Table
from converter.sources.base import FIRST_BYTES, Roles, Source
from converter.sources.contents import ZIP, Content, content_of, wrong_content
from converter.sources.delimited import DelimitedSource
from converter.sources.delta import of_table
from converter.sources.encodings import find_encoding, hint_of
from converter.sources.header import check_columns
from converter.sources.heads import header_line
from converter.sources.ndjson import NdjsonSource
from converter.sources.origins import expand
from converter.sources.origins.base import Found, LeftOut, Origin, check_rereadable
from converter.sources.origins.local import LocalFile
from converter.sources.packings import DAMAGED, PACKINGS, SUFFIXES, Packed, member_of
from converter.sources.partitions import partition_of
from converter.sources.queried import find_queried
from converter.sources.row_origins import Queried
from converter.sources.streams import Ranges, TextStream
from converter.sources.texts import TextSource


class FileFormat(NamedTuple):
    """A format: its suffixes, a function that opens an input, and whether inputs may be packed (`packings`).

    `once` says whether an input may be one that can be read only once, from start to end.
    """

    suffixes: tuple[str, ...]
    open: Callable[[Origin, Input], Source]
    packable: bool
    once: bool = True


def _open_parquet(origin: Origin, options: Input) -> Source:
    from converter.sources.parquet import open_parquet  # here, since loading Arrow takes a while: most inputs are text

    return open_parquet(origin, options)


def _open_arrow(origin: Origin, options: Input) -> Source:
    from converter.sources.arrow import open_arrow  # here, since loading Arrow takes a while: most inputs are text

    if not origin.rereadable:
        from converter.sources.batches import open_once

        return open_once(origin, options)
    return open_arrow(origin, options)


def _open_excel(origin: Origin, options: Input) -> Source:
    from converter.sources.excel import ExcelSource  # here, since few inputs are workbooks

    return ExcelSource(origin, options)


FORMATS: dict[Format, FileFormat] = {
    "csv": FileFormat((".csv", ".txt"), DelimitedSource, packable=True),
    "tsv": FileFormat((".tsv", ".tab"), partial(DelimitedSource, tabs=True), packable=True),
    "ndjson": FileFormat((".ndjson", ".jsonl"), NdjsonSource, packable=True),
    "json": FileFormat((".json",), NdjsonSource, packable=True),
    "parquet": FileFormat((".parquet", ".pq"), _open_parquet, packable=False, once=False),
    "arrow": FileFormat((".arrow", ".feather", ".ipc", ".arrows"), _open_arrow, packable=False),
    "excel": FileFormat((".xlsx", ".xlsm"), _open_excel, packable=False, once=False),
    "delta": FileFormat((), _open_parquet, packable=False, once=False),  # whose log is read by `delta`
}
_ALIKE = ({"csv", "tsv"}, {"ndjson", "json"}, {"parquet", "delta"})
"""Formats that are read alike."""
_MOST_EMPTY = 1 << 10  # bytes, that something empty has when it is packed
_FIRST_ROW = 1 << 12  # bytes after a header, which show how rows end
_MOST_HEADERS = 16  # of different ones that are kept, to recognize them


def find_origins(options: Table, access: Access = DEFAULT_ACCESS) -> list[Origin]:
    """Return the origins of `find_input`. Raises what that raises."""
    return find_input(options, access).origins


def find_input(options: Table, access: Access = DEFAULT_ACCESS) -> Found:
    """Return the origins that `input.path` names, in its order; those of a folder or a glob by name.

    Each is returned once, by the first path to it. Empty ones are not returned, if others are not empty, unless
    `input.empty` is `error`. Raises `InputError` where a path names nothing, or a folder of which it is not clear what
    is to be read, and `JobError` for a scheme that is not supported. `access` has the settings of servers.
    """
    origins: dict[Hashable, Origin] = {}
    left_out: list[LeftOut] = []
    warnings: list[Finding] = []

    def format_of(name: str) -> str | None:
        return options.format or format_of_name(name) or _format_of_zip(name, options)

    for path in dict.fromkeys(options.path):
        found = find_queried(path, options, access) or expand(path, format_of, access)
        left_out += found.left_out
        warnings += found.warnings
        for origin in found.origins:
            if origins.setdefault(origin.identity, origin).label != origin.label:
                left_out.append(LeftOut(origin.label, "repeated"))
    full = [origin for origin in origins.values() if not _is_empty(origin, options)]
    if options.empty == "error" or not full:
        return Found(list(origins.values()), left_out, warnings)
    kept = {origin.label for origin in full}
    left_out += [LeftOut(origin.label, "empty") for origin in origins.values() if origin.label not in kept]
    return Found(full, left_out, warnings)


def _is_empty(origin: Origin, options: Table) -> bool:
    """Return whether an input has no bytes, or what is packed in it has none."""
    if not origin.size:
        return origin.size == 0
    if origin.size > _MOST_EMPTY or not (origin.rereadable and origin.label.lower().endswith(SUFFIXES)):
        return False
    with contextlib.suppress(InputError), TextStream(origin, member=options.member) as stream:  # told when it is opened
        return not stream.readinto(memoryview(bytearray(1)))
    return False


def open_sources(
    origins: Sequence[Origin], options: Input, columns: tuple[str, ...], roles: Roles | None = None
) -> list[Source]:
    """Open inputs as `open_source` does; `roles` says what their columns are used for, as far as that is known.

    A header that another one has had, byte by byte, is not parsed again.
    """
    sources: list[Source] = []
    known: dict[Hashable, dict[Hashable, TextSource]] = {}
    for origin in origins:
        kind = options.format or format_of_name(origin.label), *partition_of(_folders_of(origin)).items()
        alike = known.setdefault(kind, {})
        source = None if options.encoding == AUTO else _like_another(origin, list(alike.values()))
        if source is None:
            source = open_source(origin, options, columns)
            source.roles = roles or Roles()
            if isinstance(source, TextSource) and source.start:
                alike[source.start] = source
                if len(alike) > _MOST_HEADERS:
                    del alike[next(iter(alike))]
        sources.append(source)
    return sources


def _like_another(origin: Origin, others: Sequence[TextSource]) -> Source | None:
    """Return the source of an input that begins as one of the others does, if there is one."""
    if not others or not origin.rereadable or not origin.size:
        return None
    memory = np.empty(max(len(other.start) for other in others) + _FIRST_ROW, np.uint8)
    start = memory[: Ranges(origin).read(memory, 0)].tobytes()
    return next((other.like(origin) for other in others if other.begins(start)), None)


def open_source(origin: Origin, options: Input, columns: tuple[str, ...]) -> Source:
    """Open an input and check that it has the columns.

    Raises `InputError` where it is empty, damaged or of no known format, and `ColumnError` where a column is missing or
    there is more than one of its name. Where what it holds is of another format, the error says so.
    """
    if isinstance(origin, Queried):
        rows = origin.open_rows(options)
        check_columns(rows, columns)
        return rows
    if origin.size == 0:
        raise _empty(origin)
    format_ = format_of_origin(origin, options)
    if format_ is None:
        raise _unknown_format(origin, options)
    found = None
    if options.encoding == AUTO:
        found = find_encoding(origin, options.member) if FORMATS[format_].packable else None
        options = options.model_copy(update={"encoding": found.name if found else "utf-8"})
    try:
        source = _opened(origin, options, format_)
        _set_partition(source)
        if isinstance(source, TextSource):
            source.found = found
        check_columns(source, columns)
    except (InputError, ColumnError) as error:
        if format_ in ("csv", "tsv") and options.header and (line := header_line(origin, options, columns)):
            raise _header_later(origin, line) from error
        content = _content_of(origin, options)
        is_read = content is ZIP and FORMATS[format_].packable  # then the error says what is wrong with it
        alike = content and any({content.format, format_} <= each for each in _ALIKE)
        if content and content.format != format_ and not is_read and not alike:
            raise wrong_content(origin.label, content, format_, named=not options.format) from error
        if error.code in ("E-INPUT-ENCODING", "E-HEADER-NUL"):
            hint = hint_of(find_encoding(origin, options.member))
            raise InputError(error.code, error.message, hint or error.hint) from error
        raise
    return source


def format_of_origin(origin: Origin, options: Input) -> Format | None:
    """Return the format of an input by `input.format`, by its name or, where that says none, what a pipe begins with.

    `None` where it is not known, and of what is queried for its rows. Raises `InputError`.
    """
    if isinstance(origin, Queried):
        return None
    named = options.format or format_of_name(origin.label) or _format_of_member(origin, options)
    return named if named or origin.rereadable else _format_of_pipe(origin, options)


def _set_partition(source: Source) -> None:
    """Give a source the columns that its path says and it has not itself."""
    table = of_table(source.origin)
    said = partition_of(_folders_of(source.origin)) if table is None else table.constants
    partition = {name: value for name, value in said.items() if name not in source.schema}
    if partition and hasattr(source, "partition"):
        source.partition = partition
        if isinstance(source, TextSource):
            source.layout = source.layout, tuple(partition.items())


def _folders_of(origin: Origin) -> PurePath | None:
    """Return the path that may name partitions: that of a local file, or that in a URL."""
    return origin.path or (PurePath(origin.label) if is_url(origin.label) else None)


def _opened(origin: Origin, options: Input, format_: Format) -> Source:
    if not FORMATS[format_].once:
        check_rereadable(
            [origin], f"files of the format {format_} are not read from start to end", "Copy it to a file first."
        )
    source = FORMATS[format_].open(origin, options)
    if not source.schema:
        raise _empty(origin, f"has no columns: it is empty, or not of the format {format_}")
    return source


def _empty(origin: Origin, why: str = "is empty") -> InputError:
    return InputError(
        "E-INPUT-EMPTY",
        f"The input '{origin.label}' {why}.",
        "A file without rows is an error: is the export complete?",
    )


def _format_of_pipe(origin: Origin, options: Input) -> Format | None:
    """Return the format of what a pipe gives, by its first bytes, where that is clear. Raises `InputError`."""
    with origin.open() as stream:
        if not stream.read(1):
            raise _empty(origin)
    if content := _content_of(origin, options):
        return content.format
    with TextStream(origin, member=options.member) as text:
        text.readinto(memoryview(bytearray(FIRST_BYTES)))  # raises where it is damaged
    return None


def _header_later(origin: Origin, line: int) -> ColumnError:
    return ColumnError(
        "E-HEADER-LATER",
        f"The first row of '{origin.label}' does not name the columns of the job, but line {line} does.",
        f"Skip the lines before it: --set input.skip_lines={line - 1}.",
    )


def _unknown_format(origin: Origin, options: Input) -> InputError:
    """Return the error that a name does not show the format, with what the content looks like."""
    if content := _content_of(origin, options):
        return wrong_content(origin.label, content)
    return InputError(
        "E-FORMAT-UNKNOWN",
        f"The format of the input '{origin.label}' is not known from its name.",
        f"Set input.format (--set input.format=csv): {', '.join(FORMATS)}.",
    )


def _content_of(origin: Origin, options: Table) -> Content | None:
    """Return what an input holds, by its first bytes. Raises `InputError` where it cannot be unpacked."""
    with contextlib.suppress(OSError):  # this is for an error that is raised already
        with origin.open() as stream:
            start = stream.read(FIRST_BYTES)
        text = np.empty(FIRST_BYTES, np.uint8)
        try:
            with TextStream(origin, member=options.member) as decoded:
                return content_of(start, text[: decoded.readinto(text.data)].tobytes(), origin)
        except InputError as error:
            if error.code in ("E-INPUT-PACKED", "E-INPUT-MEMBER"):
                raise
            return content_of(start, b"", origin)
    return None


def format_of(options: Input) -> Format | None:
    """Return the format that an input has by what the job says, without reading it: `None` for rows of a database.

    Where nothing says so, it is `csv`, as most are.
    """
    if options.query or options.table or options.driver:
        return None
    return options.format or next(filter(None, map(format_of_name, options.path)), "csv")


def layout_of(source: Source) -> Hashable:
    """Return what is equal for sources whose columns have the same names and types."""
    return source.layout if isinstance(source, TextSource) else id(source)


def format_of_name(label: str) -> Format | None:
    """Return the format that a suffix names, if any; that of a packing may follow it where inputs may be packed.

    Raises `InputError` where it follows the suffix of a format that is never packed.
    """
    suffixes = [suffix.lower() for suffix in PurePath(label).suffixes]
    packed = bool(suffixes) and suffixes[-1] in SUFFIXES
    if packed:
        suffixes.pop()
    for name, format_ in FORMATS.items():
        if suffixes and suffixes[-1] in format_.suffixes:
            if packed and not format_.packable:
                raise InputError(
                    "E-INPUT-PACKED",
                    f"The input '{label}' is a packed {name} file, but this format compresses its contents itself.",
                    "Unpack it.",
                )
            return name
    return None


def _format_of_member(origin: Origin, options: Table) -> Format | None:
    """Return the format of the file in a zip archive whose own name says none."""
    if not origin.label.lower().endswith(PACKINGS["zip"].suffixes) or not origin.rereadable:
        return None
    with contextlib.suppress(*DAMAGED, OSError), origin.open() as stream:  # then what it holds is named
        return format_of_name(member_of(Packed(stream, origin.label, options.member)))
    return None


def _format_of_zip(name: str, options: Table) -> Format | None:
    """Return the format of the file in a local zip archive, by its path."""
    if not name.lower().endswith(PACKINGS["zip"].suffixes) or not is_file(name):
        return None
    return _format_of_member(LocalFile.at(Path(name)), options)
