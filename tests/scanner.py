"""Delimited text parsed byte by byte: what `converter.sources.structure` must agree with. Slow and simple."""

from __future__ import annotations


def scan(
    data: bytes, columns: int, longest: int = 1 << 24
) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str, bytes]], int]:
    """Return the rows (physical line, fields), the bad rows (line, rule, text) and the number of blank lines.

    A row of several lines is misquoted where it has more than `longest` bytes.
    """
    rows: list[tuple[int, list[str]]] = []
    bad: list[tuple[int, str, bytes]] = []
    start = line = blank = 0
    while start < len(data):
        taken = _row(data, start)
        if taken is None or (taken[1] - start > longest and b"\n" in data[start : taken[1] - 1]):
            end = data.find(b"\n", start)
            text = data[start:end]
            bad.append((line, "row_misquoted" if _is_text(text) else "row_not_text", text))
            line, start = line + 1, end + 1
            continue
        fields, after = taken
        text = data[start : after - 1]
        if not _is_text(text):
            bad.append((line, "row_not_text", text))
        elif text in (b"", b"\r"):
            blank += 1
        elif len(fields) != columns:
            bad.append((line, "row_too_short" if len(fields) < columns else "row_too_long", text))
        else:
            rows.append((line, [field.decode() for field in fields]))
        line += data.count(b"\n", start, after)
        start = after
    return rows, bad, blank


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _row(data: bytes, start: int) -> tuple[list[bytes], int] | None:
    """Return the fields of the row at `start` and where the next one begins, `None` where it is misquoted."""
    fields: list[bytes] = []
    place = start
    while True:
        if data[place : place + 1] == b'"':
            quoted = _quoted(data, place + 1)
            if quoted is None:
                return None
            field, place = quoted
            fields.append(field)
            if data[place : place + 1] == b",":
                place += 1
                continue
            for end in (b"\n", b"\r\n"):
                if data.startswith(end, place):
                    return fields, place + len(end)
            return None
        end_ = place
        while data[end_ : end_ + 1] not in (b",", b"\n", b""):
            end_ += 1
        field = data[place:end_]
        if data[end_ : end_ + 1] == b",":
            fields.append(field)
            place = end_ + 1
            continue
        if end_ >= len(data):
            return None
        fields.append(field.removesuffix(b"\r"))
        return fields, end_ + 1


def _quoted(data: bytes, place: int) -> tuple[bytes, int] | None:
    """Return the text of a quoted field that begins at `place`, and where it ends, `None` where it does not."""
    text = b""
    while True:
        quote = data.find(b'"', place)
        if quote < 0:
            return None
        text += data[place:quote]
        if data[quote + 1 : quote + 2] != b'"':
            return text, quote + 1
        text += b'"'
        place = quote + 2
