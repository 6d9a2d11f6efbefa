"""How the machine is used."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from converter.jobs.document import Section
from converter.jobs.paths import PathKey
from converter.jobs.values import Number, PathText, Size


class RunOptions(Section):
    """How the machine is used."""

    threads: Annotated[Number, Field(ge=1, le=1024)] | None = None
    """The number of threads for conversion and for compression; by default the number of cores. The output does not
    depend on it."""
    spill_dir: Annotated[PathText | None, PathKey()] = None
    """The folder for temporary files, such as parts that wait for their upload; by default that of the system."""
    memory: Annotated[Size, Field(ge=10**6)] = 512 * 10**6
    """The memory for features that need all rows of a user at once; beyond it, rows are kept in `run.spill_dir`."""
