"""Examples of a job: rows with the lines that they become, in the job file or in a file beside it.

What stands in an example is data: `${VAR}` means itself there.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self, TypeAlias

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, field_validator, model_validator

from converter.jobs.document import Document, Section
from converter.jobs.toml import as_toml

Scalar: TypeAlias = StrictStr | StrictBool | StrictInt | StrictFloat | datetime.datetime | datetime.date | datetime.time
Value: TypeAlias = Scalar | tuple[Scalar, ...]
Row: TypeAlias = dict[str, Value]
"""A row of the input: its values by column. Columns without a value are missing."""

SUFFIX = ".examples.toml"


class Example(Section):
    """A row of the input, and its fate: a line, or the rule by which it is rejected or skipped."""

    row: Row
    """The values of a row by column, such as `{ crm_id = "A1", gender = "f" }`; those that are omitted are missing. Of
    text formats all values are texts."""
    line: str | None = None
    """The line that the row becomes, without the line break."""
    reject: str | None = None
    """The rule by which the row is rejected instead, such as `"id_missing"`."""
    skip: str | None = None
    """The rule by which the row is skipped instead, such as `"no_signal"`."""
    dpid: int | None = None
    """The data source that the line is for, where the job has several (`output.route`)."""

    @field_validator("line")
    @classmethod
    def _without_line_break(cls, line: str | None) -> str | None:
        return line if line is None else line.removesuffix("\n")

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        if sum(each is not None for each in (self.line, self.reject, self.skip)) != 1:
            raise ValueError('an example has a row, and one of line = "…", reject = "RULE" or skip = "RULE"')
        if self.dpid is not None and self.line is None:
            raise ValueError("the dpid of an example belongs to its line")
        return self


class Examples(Document):
    """The file with examples beside a job file."""

    literal: ClassVar[frozenset[str]] = frozenset({"example"})
    example: tuple[Example, ...] = Field(default=())


def path_beside(job_path: str | Path) -> Path:
    """Return the path of the file with the examples of a job file: `crm.examples.toml` beside `crm.toml`."""
    path = Path(job_path)
    return path.with_name(path.name.removesuffix(".toml") + SUFFIX)


def as_text(examples: Iterable[Example]) -> str:
    """Return examples as TOML, a table each."""
    return "\n".join(_table(example) for example in examples)


def _table(example: Example) -> str:
    lines = ["[[example]]", f"row = {as_toml(example.row)}"]
    for key in ("line", "reject", "skip", "dpid"):
        if (value := getattr(example, key)) is not None:
            lines.append(f"{key} = {as_toml(value)}")
    return "\n".join(lines) + "\n"
