"""Compiles the loops for this machine: `python -m converter.kernel.build` writes them to standard output.

This takes some seconds. It is started automatically, once, for the first large input.
"""

from __future__ import annotations

import sys

import llvmlite.binding as llvm
from numba import int64

from converter.kernel.loops import FUNCTIONS
from converter.kernel.machine import target_machine


def build() -> bytes:
    """Return the loops as an object file."""
    machine = target_machine()
    whole = llvm.parse_assembly("")
    for function, parameters in FUNCTIONS.items():
        function.compile((int64,) * parameters)
        module = llvm.parse_assembly(function.inspect_llvm(function.signatures[0]))
        # Numba's name for it holds a hash; the functions that it calls have another linkage.
        (found,) = (
            each for each in module.functions if each.linkage == llvm.Linkage.external and not each.is_declaration
        )
        found.name = function.__name__
        whole.link_in(module)
    whole.verify()
    object_code: bytes = machine.emit_object(whole)
    return object_code


if __name__ == "__main__":
    sys.stdout.buffer.write(build())
