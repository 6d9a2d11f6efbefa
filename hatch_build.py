"""Builds the compiled loops of `converter/kernel/` into a shared library, when the package is built or installed.

Environment variables: `CC` is the compiler, instead of clang from the package ziglang; `AAM_KERNEL=off` builds none,
since the package works without, slower; `AAM_KERNEL_TARGET` is one of `TARGETS`, to build for another machine.
`python hatch_build.py [LIBRARY FLAG …]` builds in place, or elsewhere with more flags of the compiler.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # the loops can be built without hatchling
    BuildHookInterface = object

KERNEL = Path(__file__).parent / "converter" / "kernel"
sys.path.insert(0, str(KERNEL))
from library import NAME, digest_of  # type: ignore[import-not-found] # noqa: E402 - the package needs more to import

ZIG = "ziglang>=0.17,<0.18"
TARGETS = {
    "x86_64-linux": ("x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64"),
    "aarch64-linux": ("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64"),
    "arm64-macos": ("aarch64-macos.11.0", "macosx_11_0_arm64"),
}
"""Machines that wheels are built for: clang's name for each, and the wheel's tag."""
_FLAGS = ("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")


class KernelBuildHook(BuildHookInterface):  # type: ignore[misc] # hatchling is installed to build alone
    """Puts the library into wheels, and beside the sources for editable installs."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what has to be installed to build: clang, if no compiler is given."""
        return [] if _is_off() or os.environ.get("CC") else [ZIG]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before a wheel is made. `version` is that of the build: standard or editable."""
        if self.target_name != "wheel" or _is_off():
            return
        target = os.environ.get("AAM_KERNEL_TARGET") or this_machine()
        build(KERNEL / NAME, target)
        own = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{TARGETS[target][1] if target in TARGETS else own}"
        build_data["artifacts"].append(f"/converter/kernel/{NAME}")


def _is_off() -> bool:
    return os.environ.get("AAM_KERNEL") == "off"


def this_machine() -> str:
    """Return the target of this machine; it need not be one of `TARGETS`."""
    system = {"darwin": "macos"}.get(sys.platform, sys.platform)
    return f"{platform.machine().lower().replace('amd64', 'x86_64')}-{system}"


def build(output: Path, target: str, *flags: str) -> None:
    """Compile the loops for a target, and put the library at `output`. Raises `RuntimeError` where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        cache = {"ZIG_LOCAL_CACHE_DIR": folder, "ZIG_GLOBAL_CACHE_DIR": folder}
        compiler = _compiler(target)
        commands = _commands(compiler, target, Path(folder), flags)
        _run([subprocess.Popen(each, env=os.environ | cache, stderr=subprocess.PIPE, text=True) for each in commands])
        library = Path(folder, NAME)
        # clang of ziglang would build a C library first. Its functions are found at load: every process has them.
        alone = ["-nostdlib", *(["-Wl,-undefined,dynamic_lookup"] if target.endswith("macos") else [])]
        linking = flags if os.environ.get("CC") else alone
        objects = sorted(str(path) for path in Path(folder).glob("*.o"))
        command = [*compiler, "-shared", *linking, "-o", str(library), *objects]
        _run([subprocess.Popen(command, env=os.environ | cache, stderr=subprocess.PIPE, text=True)])
        partial = output.with_suffix(f".{os.getpid()}")
        partial.write_bytes(library.read_bytes())
        partial.replace(output)  # at once: other processes may have loaded the one before


def _compiler(target: str) -> list[str]:
    if given := os.environ.get("CC"):
        return shlex.split(given)
    return [sys.executable, "-m", "ziglang", "cc", *(["-target", TARGETS[target][0]] if target in TARGETS else [])]


def _commands(compiler: list[str], target: str, folder: Path, flags: tuple[str, ...]) -> list[list[str]]:
    """Return the commands that compile each source for each variant, and what chooses between variants."""
    march, dash = ("-march=", "-") if os.environ.get("CC") else ("-mcpu=", "_")
    variants = {"base": f"{march}x86{dash}64", "v3": f"{march}x86{dash}64{dash}v3"}
    is_x86 = target.startswith("x86_64")
    chosen = variants if is_x86 else {"base": ""}
    compiling = [*compiler, *_FLAGS, *flags]
    defined = [f"-DAAM_DIGEST={digest_of(KERNEL)}", *(["-DAAM_HAS_V3"] if is_x86 else [])]
    commands = [[*compiling, *defined, "-c", str(KERNEL / "dispatch.c"), "-o", str(folder / "dispatch.o")]]
    for variant, option in chosen.items():
        for source in KERNEL.glob("*.c"):
            if source.stem != "dispatch":
                named = [f"-DAAM_VARIANT={variant}", *filter(None, [option])]
                made = folder / f"{source.stem}-{variant}.o"
                commands.append([*compiling, *named, "-c", str(source), "-o", str(made)])
    return commands


def _run(processes: list[subprocess.Popen[str]]) -> None:
    for process, (_, errors) in [(process, process.communicate()) for process in processes]:
        if process.returncode:
            raise RuntimeError(f"The kernel could not be built: {shlex.join(map(str, process.args))}\n{errors}")  # type: ignore[arg-type] # a list


if __name__ == "__main__":
    path, *flags = sys.argv[1:] or [str(KERNEL / NAME)]
    build(Path(path), this_machine(), *flags)
