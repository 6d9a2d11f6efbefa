"""The start of a delimited text: lines to skip, the first row, and what both show about its dialect."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from converter.errors import InputError
from converter.jobs.sections.table import Input
from converter.kernel.form import Grammar
from converter.sources.dialects import grammars_of
from converter.sources.origins.base import Origin
from converter.sources.streams import TextStream
from converter.sources.structure import ParsedRow, Structure

_FIRST = 1 << 16  # bytes that are read for the header, at first
_LONGEST = 1 << 20  # bytes, even where rows must be shorter
_MOST_ROWS = 10  # after the first one, that show which separator is the right one
_LEAST_SAMPLED, _MOST_SAMPLED = 20, 200  # rows that show how rows end
_FEW_ALONE = 0.05  # of the rows: more that end in LF, where the header ends in CR LF, are a mixture of line ends
_MOST_LINES = 100  # in which a header is looked for
_SEP = re.compile(rb'\A"?sep=([^"\r\n])"?\r*\n', re.IGNORECASE)
_QUOTES = b"\"'"


class Head(NamedTuple):
    """The start of a text.

    `before` is what no parser sees: lines to skip, and one that names the separator. Blank lines, comments and the
    first row, with its newline, follow: `row`. `fields` are those of that row, as many as rows have; the last one is
    empty where `grammar.empty_last`. `is_own`: they depend on the first row alone.
    """

    before: bytes
    row: bytes
    grammar: Grammar
    fields: tuple[str, ...]
    is_own: bool = True


def read_head(origin: Origin, stream: TextStream, options: Input, longest: int, *, tabs: bool) -> Head:
    """Parse the first row of a text, by the same rules as all others. Raises `InputError` where that is not possible.

    Rows may have `longest` bytes; `tabs`: the separator is a tab, where none is given.
    """
    text, ended, most = b"", False, max(longest, _LONGEST)
    while not ended and len(text) < most and not _ends_a_row(text, options):  # only the start: a header is short
        block = bytearray(min(max(_FIRST, len(text)), most - len(text)))
        read = stream.readinto(memoryview(block))
        text += block[:read]
        ended = read < len(block)
    count = len(text)
    if ended and not text.endswith(b"\n"):
        text += b"\n"  # a first line without its newline
    before = _skipped(text, options.skip_lines)
    named = _SEP.match(text, before)
    before = named.end() if named else before
    start = _first_row(text, before, options)
    grammars = grammars_of(options, named[1] if named else b"", tabs=tabs)
    if start == len(text):
        return Head(text[: min(before, count)], text[before:count], grammars[0], ())
    line = text[start : text.find(b"\n", start) + 1]
    _check_line(origin, line, most)
    if tabs and options.quote is None and not _is_quoted(line, options):
        grammars = [grammar._replace(quote=b"") for grammar in grammars]
    grammar, row = _guess(text, start, line, [_spaced(each, text, start, options) for each in grammars], options)
    if b"\r" in line.strip(b"\r\n") if row is None else row.stray_return:
        raise InputError(
            "E-LINE-ENDS",
            f"The first line of '{origin.label}' holds a carriage return in its middle: "
            "the lines seem to end in CR only, as on very old systems.",
            "Convert the line ends to LF or CRLF.",
        )
    if row is None:
        raise InputError(
            "E-HEADER-QUOTES",
            f"The first row of '{origin.label}' has a quote that is never closed, or text after one that closes a "
            "field.",
            'If quotes are escaped with backslashes, set input.escape = "backslash".'
            if b'\\"' in line and options.escape == "double"
            else "Correct the first row, or skip lines before it: --set input.skip_lines=N.",
        )
    try:
        fields = tuple(str(field, "utf-8") for field in row.fields)
    except UnicodeDecodeError as error:
        raise InputError(
            "E-INPUT-ENCODING",
            f"The first row of '{origin.label}' is not UTF-8.",
            'Set input.encoding, for example to "cp1252".',
        ) from error
    following = list(islice(_rows(text, row.end, grammar, options), _MOST_SAMPLED))
    grammar = grammar._replace(is_crlf=_ends_in_crlf(row, following))
    head = Head(text[:before], text[before : min(row.end, count)], grammar, fields)
    return _last_field(head, row, following, options)


def header_line(origin: Origin, options: Input, columns: Sequence[str]) -> int | None:
    """Return the number of the line in which a text names these columns, if it is not the first but one of the next."""
    if not origin.rereadable or not columns:
        return None
    # This is for a hint to an error that is raised already.
    with contextlib.suppress(InputError), TextStream(origin, options.encoding, options.member) as stream:
        block = bytearray(_FIRST)
        return _line_of(bytes(block[: stream.readinto(memoryview(block))]), options, columns)
    return None


def _line_of(text: bytes, options: Input, columns: Sequence[str]) -> int | None:
    start, first = 0, _first_row(text, _skipped(text, options.skip_lines), options)
    for line in range(1, _MOST_LINES):
        for grammar in grammars_of(options, b"", tabs=False):
            row = Structure(grammar, 0).row(text, start)
            fields = {field.decode(errors="replace").strip() for field in row.fields} if row else set()
            if start > first and fields.issuperset(columns):
                return line
        start = text.find(b"\n", start) + 1
        if not start:
            break
    return None


def _skipped(text: bytes, lines: int) -> int:
    """Return where so many lines of a text end; its end where it has fewer."""
    start = 0
    for _ in range(lines):
        start = text.find(b"\n", start) + 1
        if not start:
            return len(text)
    return start


def _first_row(text: bytes, start: int, options: Input) -> int:
    """Return where the first row after a place starts, after blank lines and comments."""
    comment = (options.comment or "").encode()
    while start < len(text):
        end = text.find(b"\n", start) + 1
        line = text[start:end] if end else text[start:]
        if not (comment and line.startswith(comment)) and line.strip(b"\r\n"):
            return start
        start += len(line)
    return start


def _ends_a_row(text: bytes, options: Input) -> bool:
    """Return whether a text contains the end of the first row."""
    start = _skipped(text, options.skip_lines)
    if named := _SEP.match(text, start):
        start = named.end()
    end = _first_row(text, start, options)
    quotes = 0
    while following := text.find(b"\n", end) + 1:
        quotes += text.count(b'"', end, following)
        end = following
        if quotes % 2 == 0:
            return True
    return False


def _check_line(origin: Origin, line: bytes, most: int) -> None:
    if not line:
        raise InputError(
            "E-LINE-ENDLESS",
            f"The first row of '{origin.label}' has no end within {most >> 20} MiB.",
            "Is it a delimited text file, with lines that end in a newline?",
        )
    if b"\0" in line:
        raise InputError(
            "E-HEADER-NUL",
            f"The first row of '{origin.label}' has NUL characters: most likely it is UTF-16.",
            'Set input.encoding, for example to "utf-16-le", or input.format.',
        )


def _is_quoted(line: bytes, options: Input) -> bool:
    """Return whether a header has a quoted name."""
    return options.header and (line.startswith(b'"') or b'\t"' in line)


def _spaced(grammar: Grammar, text: bytes, start: int, options: Input) -> Grammar:
    """Return a grammar that skips spaces where the header has one after each separator."""
    if options.skip_spaces is not None or not options.header or grammar.separator == b" ":
        return grammar
    row = Structure(grammar._replace(skips_spaces=False), 0).row(text, start)
    others = row.fields[1:] if row else []
    return grammar._replace(skips_spaces=bool(others) and all(field.startswith(b" ") for field in others))


def _guess(
    text: bytes, start: int, line: bytes, grammars: Sequence[Grammar], options: Input
) -> tuple[Grammar, ParsedRow | None]:
    """Return the grammar that fits the row at `start` best, and the row parsed by it, `None` if misquoted.

    It is the one that leaves no quote inside an unquoted field; among those the one by which most rows that follow have
    as many fields; and among those the one that gives most fields.
    """
    rows = [Structure(grammar, 0).row(text, start) for grammar in grammars]

    def score(number: int) -> tuple[bool, int, int]:
        row, grammar = rows[number], grammars[number]
        if row is None:
            return False, 0, line.count(grammar.separator) + 1
        count, alike = len(row.fields), 0
        if count > 1 and len(grammars) > 1:
            following = islice(_rows(text, row.end, grammar, options), _MOST_ROWS)
            alike = sum(len(each.fields) == count for each in following)
        return not row.stray_quote, alike, count

    best = max(range(len(grammars)), key=score)
    return grammars[best], rows[best]


def _rows(text: bytes, start: int, grammar: Grammar, options: Input) -> Iterator[ParsedRow]:
    """Yield the rows from a place on, up to one that is misquoted or has no end."""
    structure = Structure(grammar, 0)
    while (start := _first_row(text, start, options)) < len(text) and (row := structure.row(text, start)):
        yield row
        start = row.end


def _ends_in_crlf(row: ParsedRow, following: Sequence[ParsedRow]) -> bool:
    """Return whether rows end in CR LF, so that an LF alone is in the middle of one; not where line ends are mixed."""
    alone = sum(not each.text.endswith(b"\r") for each in following)
    is_mixed = len(following) >= _LEAST_SAMPLED and alone > len(following) * _FEW_ALONE
    return row.text.endswith(b"\r") and not is_mixed


def _last_field(head: Head, row: ParsedRow, following: Sequence[ParsedRow], options: Input) -> Head:
    """Return the head without a last name that is empty, or with one, where most of the first rows are so."""
    count = len(head.fields)
    if not options.header:
        if count == len(options.columns) + 1 and _ends_empty(row, head.grammar):
            return head._replace(grammar=head.grammar._replace(empty_last=True))
        return head
    longer = [len(each.fields) == count + 1 and _ends_empty(each, head.grammar) for each in following]
    if _are_most(longer) and count:
        return head._replace(grammar=head.grammar._replace(empty_last=True), fields=(*head.fields, ""), is_own=False)
    if _are_most([len(each.fields) == count - 1 for each in following]) and count > 1 and not head.fields[-1].strip():
        return head._replace(fields=head.fields[:-1], is_own=False)
    return head


def _are_most(rows: Sequence[bool]) -> bool:
    """Return whether most of the first rows are so; of as many that are not, the first one decides."""
    return sum(rows) * 2 + rows[0] > len(rows) if rows else False


def _ends_empty(row: ParsedRow, grammar: Grammar) -> bool:
    return not row.fields[-1] and row.text.rstrip(b"\r ").endswith(grammar.separator)
