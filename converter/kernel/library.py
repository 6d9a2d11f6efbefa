"""The shared library of the loops: where it is, whether it fits, and which variant suits the processor."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NAME = "libaam_kernel.so"
"""One name on all systems: only this module loads it."""
DIGEST = "libaam_kernel.sha256"
"""What `digest_of` gave when the library was built, where the sources are not installed."""
_VARIABLE = "AAM_KERNEL"  # `off`, or the path of another library, such as one with sanitizers


class KernelError(Exception):
    """The loops cannot be used, and why."""


class Library:
    """The library, loaded. Its entries are functions of one variant. Raises `KernelError` where it cannot be used."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise KernelError(f"there is no {path}")
        try:
            self._library = ctypes.CDLL(os.fspath(path))
            digest = (ctypes.c_char * 64).in_dll(self._library, "aam_digest").value.decode()
        except (OSError, ValueError) as error:  # of another machine, or no library
            raise KernelError(f"{path} cannot be loaded on this machine") from error
        if digest != _expected_digest():
            raise KernelError(f"{path} was built from other sources, so install the package again")
        choose = self._library.aam_choose_variant
        choose.restype = ctypes.c_char_p
        self.variant = choose().decode()
        """The suffix of the entries for this processor."""

    def entry(self, name: str, arguments: tuple[type, ...]) -> Any:
        """Return an entry, which returns a status. The interpreter's lock is released during a call."""
        function = self._library[f"aam_{name}_{self.variant}"]
        function.argtypes, function.restype = arguments, ctypes.c_int32
        return function


@functools.cache
def open_library() -> Library:
    """Load the library. Raises `KernelError` where it cannot be used."""
    given = os.environ.get(_VARIABLE)
    if given == "off":
        raise KernelError(f"{_VARIABLE}=off")
    return Library(Path(given) if given else FOLDER / NAME)


def processors_of(variant: str) -> str:
    """Return the processors that a variant is for, in words."""
    machine = os.uname().machine
    return f"{machine} processors " + ("with AVX2 and BMI2 (x86-64-v3)" if variant == "v3" else "of any kind")


def _expected_digest() -> str:
    recorded = FOLDER / DIGEST
    return recorded.read_text().strip() if recorded.exists() else digest_of(FOLDER)


def digest_of(folder: Path) -> str:
    """Return what tells sources of the loops from others: their SHA-256, in hexadecimal."""
    sources = sorted([*folder.glob("*.c"), *folder.glob("*.h")])
    return hashlib.sha256(b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in sources)).hexdigest()
