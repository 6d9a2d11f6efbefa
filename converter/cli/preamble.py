"""What every command does first: flags become changes to a job, and the large libraries are loaded."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def changes_from(flags: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return what flags and `--set` change in a job, nested by section; `--set` takes precedence.

    `flags` are values by the key of the job that they set, such as `output.to`; `None` where a flag is not given.
    """
    from converter.jobs.document import merge, parse_settings

    changes: dict[str, Any] = {}
    for key, value in flags.items():
        if value is not None:
            section, _, name = key.partition(".")
            changes.setdefault(section, {})[name] = value
    return merge(changes, parse_settings(settings))


@contextlib.contextmanager
def loading(threads: int | None) -> Iterator[None]:
    """Import the large libraries inside this, with limits on their threads (`run.threads`) and memory.

    Libraries read these when they are first imported. The garbage collector is off since the process began; here
    it is switched on, and spared what is loaded by then, which stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start idle threads
    if threads:
        os.environ.setdefault("POLARS_MAX_THREADS", str(threads))
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as fast as its own, which keeps 90 MB more
    yield
    gc.freeze()
    gc.enable()
