"""The lines of a block as columns, or the rule that they break.

1. The text is decoded and split into lines: blank ones and the header are counted apart.
2. Lines become fields, by the form of the file.
3. Those that break a rule are set apart, and the lists of the others are parsed.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.spec.outbound import (
    LINE_LONG,
    LINE_NOT_JSON,
    LINE_NOT_TEXT,
    LINE_RULES,
    LINE_SHORT,
    LINE_WITHOUT_ID,
    SEGMENTS_MALFORMED,
)
from converter.spec.outbound_lines import LineForm

_IDS = ("TDID", "UUID", "DP_UUID", "MCID", "uuid", "id")
"""Keys of JSON lines that have the ID: the first one that a line has."""
_NUMBER = "^[0-9]{1,18}$"
_NOT_TEXT = "\0"
_JSON = pl.Struct(
    {
        **dict.fromkeys(_IDS, pl.String()),
        "Data": pl.List(pl.Struct({"Name": pl.String(), "TtlInMinutes": pl.Float64()})),
    }
)

Numbers = npt.NDArray[np.int64]


class ParsedBlock(NamedTuple):
    """The lines of a block: `frame` has `user_id`, `segments` and `removed_segments` of those that break no rule.

    `lines` are all lines, of which `rows` are neither blank nor a header. `rejected` are the indices of lines from 0,
    and `reasons` the indices of their rules in `LINE_RULES`. `ends` says whether the last line has an end.
    """

    frame: pl.DataFrame
    lines: int
    rows: int
    blank: int
    headers: int
    rejected: Numbers
    reasons: Numbers
    ends: bool


def parse_block(text: bytes, form: LineForm, *, first: bool, aliases: bool) -> ParsedBlock:
    """Parse a block of whole lines; `first`: it is the start of the file. Segments are Int64, with `aliases` String."""
    decoded = text.removeprefix(codecs.BOM_UTF8 if first else b"").decode("utf-8", _HANDLER)
    if "\r" in decoded:
        decoded = decoded.replace("\r\n", "\n").removesuffix("\r")
    ends = text.endswith(b"\n") or not text
    lines = pl.Series("line", [decoded.removesuffix("\n")] if decoded else [], pl.String).str.split("\n").explode()
    numbered = lines.to_frame().with_row_index("number").filter(pl.col("line").str.contains(r"[^ \t]"))
    total = text.count(b"\n") + (not ends)  # in the bytes themselves, so that a lost line is noticed
    blank = len(lines) - numbered.height
    headers = int(first and form.has_header and numbered.height > 0)
    numbered = numbered.slice(headers)
    parsed = (_parsed_json if form.json else _parsed_fields)(numbered["line"], form, aliases=aliases)
    bad = parsed["reason"].is_not_null()
    rejected = numbered["number"].filter(bad).to_numpy().astype(np.int64)
    reasons = parsed["reason"].filter(bad).to_numpy().astype(np.int64)
    return ParsedBlock(
        _listed(parsed.filter(~bad), form, aliases=aliases),
        total,
        total - blank - headers,
        blank,
        headers,
        rejected,
        reasons,
        ends,
    )


def segment_type(*, aliases: bool) -> pl.DataType:
    """Return the type of a segment."""
    return pl.String() if aliases else pl.Int64()


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Put a NUL, which no line may have, in the place of bytes that are not UTF-8."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - for the type checker: nothing is encoded
    return _NOT_TEXT, error.end


_HANDLER = "converter-nul"
codecs.register_error(_HANDLER, _replaced)


def _reason(*tests: tuple[object, pl.Expr]) -> pl.Expr:
    """Return the index of the first rule that a line breaks, null where it breaks none."""
    conditions = [pl.when(broken).then(pl.lit(LINE_RULES.index(rule), pl.UInt8)) for rule, broken in tests]
    return pl.coalesce(conditions).alias("reason")


def _fields(form: LineForm) -> list[pl.Expr]:
    """Return the fields of a line (String, null where it is shorter), and one more, of lines that are too long."""
    line = pl.col("line")
    if form.is_list:
        split = line.str.splitn(form.separator, 2)
    elif form.quoted:
        mark = form.separator
        field = rf'((?:"[^"]*")|[^"{mark}]*)'
        split = line.str.extract_groups(rf"^{field}{mark}{field}(?:{mark}{field})?(?:{mark}(.*))?$")
        return [split.struct[index].str.strip_chars('"') for index in range(4)]
    else:
        split = line.str.split_exact(form.separator, form.fields)
    fields = [split.struct.field(f"field_{index}") for index in range(form.fields)]
    return [*fields, pl.lit(None, pl.String) if form.is_list else split.struct.field(f"field_{form.fields}")]


def _parsed_fields(lines: pl.Series, form: LineForm, *, aliases: bool) -> pl.DataFrame:
    """Return `user_id`, `segments` and `removed_segments` (String: lists as they stand) and `reason` of lines."""
    *fields, extra = _fields(form)
    frame = lines.to_frame("line").select(
        "line", *(each.alias(f"f{index}") for index, each in enumerate(fields)), extra.alias("extra")
    )
    wanted = [index for index in (form.segments, form.removed) if index is not None]
    malformed = [~pl.col(f"f{index}").str.contains(form.pattern(aliases=aliases)) for index in wanted]
    return frame.select(
        pl.col(f"f{form.id_}").alias("user_id"),
        _field(form.segments).alias("segments"),
        _field(form.removed).alias("removed_segments"),
        _reason(
            (LINE_NOT_TEXT, pl.col("line").str.contains(_NOT_TEXT, literal=True)),
            (LINE_WITHOUT_ID, pl.col(f"f{form.id_}") == ""),
            (LINE_SHORT, pl.col(f"f{max(min(wanted), form.id_)}").is_null()),
            (LINE_LONG, pl.col("extra").is_not_null()),
            (SEGMENTS_MALFORMED, pl.any_horizontal(malformed)),
        ),
    )


def _field(index: int | None) -> pl.Expr:
    return pl.lit("") if index is None else pl.col(f"f{index}").fill_null("")


def _listed(parsed: pl.DataFrame, form: LineForm, *, aliases: bool) -> pl.DataFrame:
    """Return the columns with their lists parsed, of lines that break no rule."""
    names = ("segments", "removed_segments")
    if form.json:
        return parsed.select("user_id", *names)
    mark, type_ = form.list_separator, segment_type(aliases=aliases)

    def of(name: str) -> pl.Expr:
        text = pl.col(name)
        if mark != " ":
            text = text.str.replace_all(f"{mark} ", mark, literal=True)
        text = text.str.strip_suffix(mark)
        if form.item:
            whole = form.item_pattern(aliases=aliases)
            found = text.str.extract_all(whole).list.eval(pl.element().str.extract(whole, 1))
        else:
            found = pl.when(text != "").then(text).str.split(mark)
        return found.cast(pl.List(type_)).fill_null(pl.lit([], pl.List(type_))).alias(name)

    return parsed.select("user_id", *map(of, names))


def _parsed_json(lines: pl.Series, form: LineForm, *, aliases: bool) -> pl.DataFrame:
    """Return `user_id`, `segments` and `removed_segments` (lists) and `reason` of lines that are JSON objects."""
    del form
    type_ = segment_type(aliases=aliases)
    frame = pl.DataFrame({"line": lines, "object": _decoded(lines)})
    id_ = pl.coalesce(pl.col("object").struct.field(key) for key in _IDS)
    data = pl.col("object").struct.field("Data")
    item = pl.element().struct.field("Name")
    is_removed = (pl.element().struct.field("TtlInMinutes") == 0).fill_null(value=False)
    wrong = item.is_null() | (item == "") if aliases else ~item.str.contains(_NUMBER).fill_null(value=False)
    frame = frame.select(
        "line", id_.alias("user_id"), "object", data.alias("data"), data.list.eval(wrong).list.any().alias("wrong")
    )
    reason = _reason(
        (LINE_NOT_TEXT, pl.col("line").str.contains(_NOT_TEXT, literal=True)),
        (LINE_NOT_JSON, pl.col("object").is_null() | pl.col("data").is_null()),
        (LINE_WITHOUT_ID, pl.col("user_id").fill_null("") == ""),
        (SEGMENTS_MALFORMED, pl.col("wrong")),
    )
    kept = pl.col("data").list.eval(item.filter(~is_removed))
    removed = pl.col("data").list.eval(item.filter(is_removed))
    return frame.select(
        "user_id",
        kept.cast(pl.List(type_), strict=False).alias("segments"),
        removed.cast(pl.List(type_), strict=False).alias("removed_segments"),
        reason,
    )


def _decoded(lines: pl.Series) -> pl.Series:
    """Return lines as JSON objects, null where they are none: halves are tried until each of these is alone."""
    try:
        return lines.str.json_decode(_JSON)
    except pl.exceptions.ComputeError:
        if len(lines) == 1:
            return pl.Series([None], dtype=_JSON)
    half = len(lines) // 2
    return pl.concat([_decoded(lines.head(half)), _decoded(lines.slice(half))])


def sample_of(text: bytes, most: int) -> Sequence[str]:
    """Return up to `most` first lines of a text that are not blank."""
    decoded = text.decode("utf-8", _HANDLER).removeprefix("\ufeff")
    lines = (line.rstrip("\r") for line in decoded.split("\n"))
    return [line for line in lines if line.strip()][:most]
