"""What a row says about a user: signals and traits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, GetJsonSchemaHandler, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from converter.jobs.document import Section
from converter.jobs.sections.delta import Delta
from converter.jobs.sections.output import Output
from converter.jobs.sections.report import ReportOptions
from converter.jobs.values import Name, as_list

RESERVED_KEYS = {"d_sid": "record.traits", "d_unsid": "record.removed_traits", "ic": "record.integration_codes"}
"""Signal keys with another meaning in Audience Manager (C2), and the setting to use instead."""


def _check_separator(separator: str) -> None:
    if len(separator) != 1 or not separator.isascii() or separator.isalnum() or separator in '"\r\n':
        raise ValueError("a separator is one ASCII character, but no letter, digit, double quote or line ending")


class Signal(Section):
    """A key-value pair of a row, `"key"="value"`; the value is from a column or constant."""

    column: str | None = None
    """The column with the value."""
    key: str = ""
    """The key; by default the name of the column."""
    value: str | None = None
    """A constant value, instead of a column."""
    separator: str | None = None
    """The separator of the values where a text holds several, each of which becomes a pair; list columns need none."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = super().__get_pydantic_json_schema__(core, handler)
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(described)]}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        if isinstance(data, str):
            return {"column": data, "key": data}
        if isinstance(data, Mapping) and "key" not in data and isinstance(data.get("column"), str):
            return {**data, "key": data["column"]}
        return data

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError(
                'a signal is a column name, { column = "…", key = "…" }, or a constant { key = "…", value = "…" }'
            )
        if self.separator is not None:
            _check_separator(self.separator)
            if self.column is None:
                raise ValueError(f"the constant signal '{self.key}' has a separator: give its values one by one")
        if self.key.strip().casefold() in RESERVED_KEYS:
            raise ValueError(
                f"the key '{self.key}' has another meaning in Audience Manager (C2): "
                f"use {RESERVED_KEYS[self.key.strip().casefold()]} instead"
            )
        column = json.dumps(self.column, ensure_ascii=False)  # a text of TOML
        instead = f'set a key: {{ column = {column}, key = "…" }}' if self.column else "choose another key"
        if not self.key.strip():
            raise ValueError(f"the key of a signal is empty (C2): {instead}")
        if self.key.lstrip().startswith("-"):
            raise ValueError(f"the key '{self.key}' starts with a dash, which Audience Manager ignores (C5): {instead}")
        if self.column == self.key and "," in self.key:
            one_by_one = [name.strip() for name in self.key.split(",")]
            instead = (
                f"give several columns one by one ({' '.join(f'--signal {name}' for name in one_by_one)}, or "
                f"a list in a job file); for one column with a comma in its name, {instead}"
            )
        if re.search(r'["=,\x00-\x1f\x7f-\x9f]', self.key):
            raise ValueError(
                f"the key {self.key!r} contains a double quote, '=', a comma, a tab or a newline (C2, C6): {instead}"
            )
        if self.value is not None and (not self.value or re.search(r'["\x00-\x1f\x7f-\x9f]', self.value)):
            raise ValueError(
                f"the value of the constant signal '{self.key}' is empty or has a double quote, a tab or a newline (C6)"
            )
        return self


class Tokens(Section):
    """A list of trait IDs or integration codes, from a column or constant."""

    column: str | None = None
    """The column with the list."""
    separator: str = "|"
    """The separator of the items in a text; list columns need none."""
    value: str | None = None
    """A constant item."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = super().__get_pydantic_json_schema__(core, handler)
        return {"anyOf": [{"type": ["string", "integer"]}, handler.resolve_ref_schema(described)]}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        if isinstance(data, str):
            return {"column": data}
        if isinstance(data, int) and not isinstance(data, bool):
            return {"value": str(data)}
        return data

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError('an item is a column name, { column = "…", separator = "|" } or a constant')
        _check_separator(self.separator)
        return self


class Traits(Tokens):
    """Trait IDs: digits only (C3)."""

    @model_validator(mode="after")
    def _digits(self) -> Self:
        if self.value is not None and not re.fullmatch("[0-9]+", self.value):
            raise ValueError(f"the trait ID '{self.value}' is not digits only (C3)")
        return self


class Codes(Tokens):
    """Integration codes: text without comma, quotes and control characters."""

    @model_validator(mode="after")
    def _clean(self) -> Self:
        if self.value is not None and not re.fullmatch(r'[^",\x00-\x1f\x7f-\x9f]+', self.value):
            raise ValueError("an integration code contains no comma, double quote, tab or newline (C2)")
        return self


class Record(Section):
    """What a row says about its user."""

    signals: tuple[Signal, ...] = ()
    """Key-value pairs: a column, `{ column, key }` or a constant `{ key, value }`. A column with lists gives a pair for
    each value; `{ column, separator }` splits texts such as `a|b`."""
    traits: Annotated[
        tuple[Traits, ...], BeforeValidator(as_list, json_schema_input_type=Traits | tuple[Traits, ...])
    ] = ()
    """Traits to add (`d_sid=…`): a column, `{ column, separator }` (by default `"|"`) or a trait ID for every row."""
    removed_traits: Annotated[
        tuple[Traits, ...], BeforeValidator(as_list, json_schema_input_type=Traits | tuple[Traits, ...])
    ] = ()
    """Traits to remove (`d_unsid=…`), in the same forms; not with `output.mode = "overwrite"` (C4)."""
    integration_codes: Annotated[
        tuple[Codes, ...], BeforeValidator(as_list, json_schema_input_type=Codes | tuple[Codes, ...])
    ] = ()
    """Traits by integration code (`ic=…`): a column, `{ column, separator }` or a constant `{ value }`."""
    rows: Literal["user", "signal"] = "user"
    """What a row is: `user`, all of a user, which becomes a line; `signal`, some of a user, whose rows are gathered to
    one line. See docs/users.md."""
    key_column: Name | None = None
    """For `record.rows = "signal"`: the column with the key of a key-value pair, where each row has one."""
    value_column: Name | None = None
    """The column with the value of that pair."""
    order: Name | None = None
    """For `record.rows = "signal"`: the column that says which row of a user is later, a date or a number. Of several
    values of one key, the latest is sent, and of a trait that is added and removed what is later. An empty value is the
    oldest; a row whose value cannot be read is rejected."""
    order_format: str = ""
    """The format of `record.order`: `number`, or that of dates as for `sync.date_format`; by default what its type or
    the first rows show."""
    many_values: Literal["keep", "reject"] = "keep"
    """For `record.rows = "signal"`: where a user has several values of one key, `keep` sends all, `reject` none."""
    user_lines: Literal["off", "count", "enforce"] = "off"
    """For `record.rows = "user"`: Audience Manager takes 200 lines of a user (C7). `count` warns of users with more,
    `enforce` rejects the rows beyond them."""
    repeated: Literal["keep", "drop"] = "keep"
    """For `record.rows = "user"`: `drop` skips rows that give the same line as an earlier one."""
    empty: Literal["skip", "clear"] = "skip"
    """For a row without any value: `skip` writes no line, `clear` a line without a signal, which deletes all traits of
    the user in the data source (C11). `clear` needs `output.mode = "overwrite"`, and `report.max_cleared` or `--yes`.
    See docs/guards.md."""
    on_bad_value: Literal["clean", "drop", "reject"] = "clean"
    """For a value with control characters or double quotes: `clean` writes a space for each run of control
    characters and a single quote for each double quote, `drop` omits the pair, `reject` rejects the row."""
    comma: str = "keep"
    """`keep` keeps commas inside values, within their quotes; any other text replaces them."""

    @field_validator("signals", "traits", "removed_traits", "integration_codes")
    @classmethod
    def _each_once(cls, items: tuple[Signal | Tokens, ...], info: ValidationInfo) -> tuple[Signal | Tokens, ...]:
        for number, item in enumerate(items):
            if item in items[:number]:
                what = f"the column '{item.column}'" if item.column else f"the constant '{item.value}'"
                raise ValueError(
                    f"record.{info.field_name} has {what} twice (items {items.index(item) + 1} and {number + 1}): "
                    "remove one of them."
                )
        return items

    @field_validator("comma")
    @classmethod
    def _clean_comma(cls, comma: str) -> str:
        if comma != "keep" and re.search(r'[",\x00-\x1f\x7f-\x9f]', comma):
            raise ValueError("the replacement of a comma contains no comma, double quote, tab or newline")
        return comma

    @property
    def gathers(self) -> bool:
        """Whether lines depend on all rows of a user."""
        return self.rows == "signal"

    @property
    def limits(self) -> bool:
        """Whether rows are left out because of the lines of earlier ones."""
        return self.user_lines == "enforce" or self.repeated == "drop"

    @property
    def is_empty(self) -> bool:
        """Whether there are no signals and no traits."""
        return not (self.signals or self.key_column or self.traits or self.removed_traits or self.integration_codes)

    def problems(self, output: Output, report: ReportOptions, delta: Delta) -> Iterator[str]:
        """Yield what `empty` does not fit of the other settings of a job, in sentences."""
        if self.empty == "skip":
            return
        if output.mode != "overwrite":
            yield (
                f"record.empty 'clear' is for output.mode 'overwrite', but output.mode is '{output.mode}': only there "
                "a line without a signal has a meaning (C11)."
            )
        if self.rows != "user" or delta.state is not None:
            yield "record.empty 'clear' is for record.rows 'user', without delta.state: there rows are gathered."
        if output.publish == "each" and report.max_cleared != "100%":
            yield (
                "output.publish is 'each', but with record.empty 'clear' only the whole input shows how many users are "
                "cleared: set output.publish = 'end', or report.max_cleared = '100%' (--yes)."
            )
