"""How the machine is used."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from converter.jobs.document import Section
from converter.jobs.paths import PathKey
from converter.jobs.values import PathText, parse_size, reject_bool


class RunOptions(Section):
    """How the machine is used."""

    threads: Annotated[int, Field(ge=1, le=1024), BeforeValidator(reject_bool)] | None = None
    """The number of threads for conversion and for compression; by default the number of cores. The output does not
    depend on it."""
    spill_dir: Annotated[PathText | None, PathKey()] = None
    """The folder for temporary files, such as parts that wait for their upload; by default that of the system."""
    memory: Annotated[
        int,
        BeforeValidator(parse_size, json_schema_input_type=int | str),
        BeforeValidator(reject_bool),
        Field(ge=10**6),
    ] = 512 * 10**6
    """The memory for features that need all rows of a user at once; beyond it, rows are kept in `run.spill_dir`."""
