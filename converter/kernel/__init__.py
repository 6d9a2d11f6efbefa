"""Compiled loops over bytes (`loops`), for inputs that are worth it.

Importing them takes half a second, and compiling them some seconds, once after an installation. Everything works
without them, slower: where the compiler is not installed, or can keep its results nowhere.
"""

from __future__ import annotations

import importlib
from types import ModuleType

WORTH_BYTES = 100_000_000
"""How large an input must be for the loops to spare more time than importing them costs: measured."""


def load(input_bytes: int) -> ModuleType | None:
    """Return the compiled loops, or nothing where they are not worth it or not to be had."""
    if input_bytes < WORTH_BYTES:
        return None
    try:
        loops = importlib.import_module("converter.kernel.loops")
    except (ImportError, RuntimeError):  # the latter where no folder can be written to for what is compiled
        return None
    return None if loops.config.DISABLE_JIT else loops  # as Python, loops over bytes would take days
