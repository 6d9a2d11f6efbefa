"""What every command does before and after it loads the large libraries."""

from __future__ import annotations

import gc
import os


def before_loading(threads: int | None) -> None:
    """Tell libraries how many threads they may start; they look when they are first imported."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start idle threads
    if threads:
        os.environ.setdefault("POLARS_MAX_THREADS", str(threads))


def loaded() -> None:
    """Look for garbage again. What is loaded by now stays, so it need not be looked through."""
    gc.freeze()
    gc.enable()
