"""The machine that the loops are compiled for, and the loading of compiled code, by LLVM without numba."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import llvmlite
import llvmlite.binding as llvm


def describe() -> str:
    """Return what compiled code depends on, apart from its source."""
    features = llvm.get_host_cpu_features().flatten()
    return "\n".join([llvmlite.__version__, llvm.get_default_triple(), llvm.get_host_cpu_name(), features])


def target_machine() -> llvm.TargetMachine:
    """Return LLVM's description of this machine, with all features of its processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
    )


@dataclass(frozen=True)
class Code:
    """Compiled code in memory: its functions take and return integers."""

    engine: llvm.ExecutionEngine

    @classmethod
    def load(cls, object_code: bytes) -> Code:
        """Load an object file that `build` made on such a machine."""
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
        engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
        engine.finalize_object()
        return cls(engine)

    def function(self, name: str) -> Function:
        """Return a function."""
        return Function(self.engine.get_function_address(name))


class Function:
    """A compiled function. Other threads run during a call, since the lock of the interpreter is released."""

    def __init__(self, address: int) -> None:
        self._prototype = ctypes.CFUNCTYPE(ctypes.c_int32)(address)

    def __call__(self, *arguments: int) -> int:
        """Call with integers, and return the result."""
        result, error = ctypes.c_int64(), ctypes.c_void_p()  # the first parameters of numba's functions
        given = [ctypes.c_int64(argument) for argument in arguments]
        status = self._prototype(ctypes.byref(result), ctypes.byref(error), *given)
        if status:
            raise SystemError(f"A compiled loop ended with {status}.")
        return result.value
