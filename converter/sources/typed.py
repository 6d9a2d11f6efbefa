"""Converts columns of Arrow to columns of Polars, after they are validated.

A column `profile.city` is the field `city` of the struct `profile`, unless there is a column of that name.

`type_of` returns the type of a column in Polars, which is the type of its text form (`converter.columns.text`), and
`series_of` returns the column. A few are stored as a simpler type than theirs: times of the day as nanoseconds (Int64),
and decimals that are too long for Polars as text. Their values may be out of the range of times and decimals in Polars.
A missing text may be null or empty; later steps treat both alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from converter.errors import ColumnError, redact

_MOST_DIGITS = 38  # of a decimal of Polars
_MOST_SCALE = 76  # the most digits of a decimal of Arrow
_DAY = 86_400_000  # milliseconds
_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_UNITS: dict[str, Literal["ms", "us", "ns"]] = {"s": "ms", "ms": "ms", "us": "us", "ns": "ns"}
_UUID = r"^(.{8})(.{4})(.{4})(.{4})(.{12})$"

_is = pa.types


class Types(Mapping[str, pl.DataType]):
    """The columns of a table and their types, determined when they are asked for: unused columns may have any type.

    `[]` raises `ColumnError` for a type that cannot be read.
    """

    def __init__(self, label: str, schema: pa.Schema) -> None:
        self._label = label
        self._schema = schema
        self._names = tuple(dict.fromkeys(schema.names))
        self._found: dict[str, pl.DataType] = {}

    def __getitem__(self, name: str) -> pl.DataType:
        if found := self._found.get(name):  # asked for with every block
            return found
        found_at = path_of(self._schema, name)
        if found_at is None:
            raise KeyError(name)
        arrow = field_at(self._schema, found_at).type
        type_ = type_of(arrow)
        if type_ is None:
            hint = "Turn it into text, numbers or dates first; lists of texts and numbers can be signals and traits."
            if _is.is_struct(arrow) and arrow.num_fields:
                hint = f"Name a field of it, such as '{redact(f'{name}.{arrow.field(0).name}')}'."
            raise ColumnError(
                "E-COLUMN-TYPE",
                f"The column '{redact(name)}' of '{self._label}' is of type {_name_of(arrow)}, which has no text form.",
                hint,
            )
        self._found[name] = type_
        return type_

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and path_of(self._schema, name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def path_of(schema: pa.Schema, name: str) -> tuple[str, ...] | None:
    """Return the name of a column, or those of structs and of the field in them; `None` where there is none."""
    if name in schema.names:
        return (name,)
    path = tuple(name.split("."))
    fields = schema
    for number, each in enumerate(path):
        if each not in fields.names:
            return None
        inner = fields.field(fields.names.index(each)).type
        if number < len(path) - 1 and not _is.is_struct(inner):
            return None
        fields = inner
    return path


def heads_of(columns: Iterable[str], names: Sequence[str]) -> list[str]:
    """Return which columns of a table, with these `names`, hold the `columns`: those of structs for their fields."""
    return list(dict.fromkeys(name if name in names else name.partition(".")[0] for name in columns))


def field_at(schema: pa.Schema, path: Sequence[str]) -> pa.Field:
    """Return the field at a path; of several with one name the first."""
    field = schema.field(schema.names.index(path[0]))
    for each in path[1:]:
        field = field.type.field(field.type.names.index(each))
    return field


def column_at(batch: pa.RecordBatch, path: Sequence[str]) -> pa.Array:
    """Return the column at a path, null where a struct around it is. Raises `pyarrow.ArrowInvalid`."""
    array = batch.column(batch.schema.names.index(path[0]))
    if len(path) > 1:
        array.validate()  # the fields of a damaged struct may be shorter than itself
        array = pc.struct_field(array, [array.type.names.index(path[1])])
        for each in path[2:]:
            array = pc.struct_field(array, [array.type.names.index(each)])
    return array


def type_of(type_: pa.DataType) -> pl.DataType | None:
    """Return the type of a column of Arrow in Polars; `None` where it has no text form."""
    if _is.is_dictionary(type_):
        return type_of(type_.value_type)
    if isinstance(type_, pa.BaseExtensionType):
        return pl.String() if type_.extension_name in ("arrow.json", "arrow.uuid") else None
    if is_binary(type_):
        return pl.String()
    if _is.is_list(type_) or _is.is_large_list(type_) or _is.is_fixed_size_list(type_):
        inner = type_of(type_.value_type)
        return pl.List(inner) if inner is not None and _is_simple(type_.value_type) else None
    if _is.is_date(type_):
        return pl.Date()
    if _is.is_time(type_):
        return pl.Time()
    if _is.is_timestamp(type_):
        # The name of the zone does not matter: values with a zone are in UTC.
        unit = _UNITS[type_.unit]
        return pl.Datetime(unit, "UTC" if has_zone(type_) else None)
    if _is.is_decimal(type_):
        return pl.Decimal(type_.precision, max(type_.scale, 0)) if abs(type_.scale) <= _MOST_SCALE else None
    # `pa.array` imports pandas where that is installed.
    return pl.Series(pa.nulls(0, type_)).dtype if _is_simple(type_) else None


def validate(array: pa.Array) -> None:
    """Raise `pyarrow.ArrowInvalid` where an array is damaged: offsets beyond a buffer would crash the process later."""
    # Times of more than a day and invalid dates are errors of single values, which are reported by row.
    array.validate(full=not (_is.is_time(array.type) or _is.is_date64(array.type)))


def series_of(name: str, array: pa.Array) -> pl.Series:
    """Return an array that is validated as a column of Polars, in one chunk."""
    return _series(array).alias(name)


def _series(array: pa.Array) -> pl.Series:
    type_ = array.type
    if _is.is_dictionary(type_):
        # The last entry is the missing value: filling it in later would double the time.
        values = _series(array.dictionary)
        missing = pl.Series(["" if values.dtype == pl.String else None], dtype=values.dtype)
        indices = pl.Series(array.indices)
        if indices.dtype != pl.Int32:  # a smaller type may be too small for one more entry
            indices = indices.cast(pl.Int64)
        return pl.concat([values, missing], rechunk=True).gather(indices.fill_null(len(values)))
    if isinstance(type_, pa.BaseExtensionType):
        storage = _series(array.storage)
        return storage if type_.extension_name == "arrow.json" else _uuids(storage)
    if is_text(type_):
        return pl.Series(array.cast(pa.string_view()))
    if _is.is_list(type_) or _is.is_large_list(type_) or _is.is_fixed_size_list(type_):
        return pl.Series(array.cast(pa.large_list(_plain(type_.value_type))))
    if _is.is_date64(type_):
        days = pl.Series(array.view(pa.int64())) // _DAY
        return days.clip(-(1 << 31), (1 << 31) - 1).cast(pl.Int32).cast(pl.Date)
    if _is.is_time(type_):
        return _scaled(array, _NANOSECONDS[type_.unit])
    if _is.is_timestamp(type_):
        unit = _UNITS[type_.unit]
        values = _scaled(array, 1_000) if type_.unit == "s" else pl.Series(array.view(pa.int64()))
        return values.cast(pl.Datetime(unit, "UTC" if has_zone(type_) else None))
    if _is.is_decimal(type_):
        if type_.precision <= _MOST_DIGITS and 0 <= type_.scale <= type_.precision:
            return pl.Series(array.cast(pa.decimal128(type_.precision, type_.scale)))
        texts = [None if value is None else format(value, "f") for value in array.to_pylist()]
        return pl.Series(texts, dtype=pl.String)
    return pl.Series(array)


def has_zone(type_: pa.TimestampType) -> bool:
    """Return whether moments have a time zone: their values are in UTC."""
    try:
        return type_.tz is not None
    except UnicodeDecodeError:  # it has a zone, with a damaged name
        return True


def _scaled(array: pa.Array, factor: int) -> pl.Series:
    """Return numbers times a factor, clipped to Int64."""
    values = pl.Series(array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())).cast(pl.Int64)
    most = ((1 << 63) - 1) // factor
    return values.clip(-most, most) * factor


def _uuids(values: pl.Series) -> pl.Series:
    return values.bin.encode("hex").str.replace(_UUID, "$1-$2-$3-$4-$5")


def is_binary(type_: pa.DataType) -> bool:
    """Return whether a column is of bytes, which are read as text in UTF-8."""
    sizes = _is.is_binary(type_) or _is.is_large_binary(type_) or _is.is_fixed_size_binary(type_)
    return bool(sizes or _is.is_binary_view(type_))


def decoded(array: pa.Array) -> tuple[pa.Array, list[int]]:
    """Return an array of bytes as text, empty where it is not in UTF-8, and the numbers of these rows.

    Any other array is returned as it is.
    """
    if _is.is_dictionary(array.type) and is_binary(array.type.value_type):
        array = array.dictionary_decode()
    if isinstance(array.type, pa.BaseExtensionType) or not is_binary(array.type):
        return array, []
    wrong = _not_utf8(array, 0)
    if wrong:
        keep = np.ones(len(array), np.bool_)
        keep[wrong] = False
        array = pc.if_else(pa.array(keep), array.cast(pa.large_binary()), pa.scalar(b"", pa.large_binary()))
    return array.cast(pa.large_string()), wrong


def _not_utf8(array: pa.Array, first: int) -> list[int]:
    """Return the numbers of bytes that are not UTF-8, counted from `first`: halves are tried until these are found."""
    try:
        array.cast(pa.large_string())
    except pa.ArrowInvalid:  # some of it is not
        if len(array) == 1:
            return [first]
        half = len(array) // 2
        return _not_utf8(array[:half], first) + _not_utf8(array[half:], first + half)
    return []


def is_text(type_: pa.DataType) -> bool:
    """Return whether a column is text."""
    return bool(_is.is_string(type_) or _is.is_large_string(type_) or _is.is_string_view(type_))


def _is_simple(type_: pa.DataType) -> bool:
    """Return whether values of a type can be items of a list."""
    if _is.is_dictionary(type_):
        return _is_simple(type_.value_type)
    numbers = _is.is_integer(type_) or _is.is_floating(type_) or _is.is_boolean(type_)
    return bool(is_text(type_) or numbers or _is.is_null(type_))


def _plain(type_: pa.DataType) -> pa.DataType:
    """Return the type of the items that Polars gets."""
    while _is.is_dictionary(type_):
        type_ = type_.value_type
    return pa.large_string() if is_text(type_) else type_


def _name_of(type_: pa.DataType) -> str:
    """Return the name of a type, without the names of its fields."""
    if isinstance(type_, pa.BaseExtensionType):
        return str(type_.extension_name)
    if _is.is_list(type_) or _is.is_large_list(type_) or _is.is_fixed_size_list(type_):
        return f"list of {_name_of(type_.value_type)}"
    if _is.is_nested(type_) or _is.is_run_end_encoded(type_):
        return re.sub("(?<=.)(?=[A-Z])", "_", type(type_).__name__.removesuffix("Type")).lower()
    return str(type_)
