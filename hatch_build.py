"""Builds the compiled loops of `converter/kernel/` into a shared library, when the package is built or installed.

Environment variables: `CC` is the compiler, instead of clang from the package ziglang; `AAM_KERNEL=off` builds none,
since the package works without, slower; `AAM_KERNEL_TARGET` is one of `TARGETS`: the wheel is then for any such machine
instead of this one. `python hatch_build.py [LIBRARY FLAG …]` builds in place, or elsewhere with more
flags of the compiler.
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
from library import DIGEST, NAME, digest_of  # type: ignore[import-not-found] # noqa: E402 - the package needs more to import

ZIG = "ziglang>=0.17,<0.18"
TARGETS = {
    "x86_64-linux": ("x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64"),
    "aarch64-linux": ("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64"),
    "arm64-macos": ("aarch64-macos.11.0", "macosx_11_0_arm64"),
}
"""Machines that wheels are built for: clang's name for each, and the wheel's tag."""
_FLAGS = ("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-psabi")
"""No vector is passed from one file to another, so it does not matter how (psabi)."""


class KernelBuildHook(BuildHookInterface):  # type: ignore[misc] # hatchling is installed to build alone
    """Puts the library and the digest of its sources into wheels, or beside the sources for editable installs."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what has to be installed to build: clang, if no compiler is given."""
        return [] if _is_off() or os.environ.get("CC") else [ZIG]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before a wheel is made. `version` is that of the build: standard or editable."""
        if _is_off():
            return
        target = os.environ.get("AAM_KERNEL_TARGET")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_tag(target)}"
        if version == "editable":
            build(KERNEL / NAME, this_machine())
            return
        self._folder = tempfile.TemporaryDirectory()  # not in place: it may be for another machine
        library, digest = Path(self._folder.name, NAME), Path(self._folder.name, DIGEST)
        build(library, target or this_machine())
        digest.write_text(f"{digest_of(KERNEL)}\n")
        build_data["force_include"] |= {str(each): f"converter/kernel/{each.name}" for each in (library, digest)}


def _is_off() -> bool:
    return os.environ.get("AAM_KERNEL") == "off"


def _tag(target: str | None) -> str:
    """Return the platform tag of a wheel. Raises `ValueError` where the wheel could not keep what the tag promises."""
    if not target:
        return sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if target not in TARGETS or os.environ.get("CC"):
        raise ValueError(f"AAM_KERNEL_TARGET is one of {', '.join(TARGETS)}, without CC.")
    return TARGETS[target][1]


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
        # Debug information, and a name that is not given, would be paths of this machine.
        of_macos = ["-Wl,-undefined,dynamic_lookup", f"-Wl,-install_name,@rpath/{NAME}"]
        alone = ["-s", "-nostdlib", *(of_macos if target.endswith("macos") else [])]
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
    is_given = bool(os.environ.get("CC"))  # another compiler may warn of more: that must not fail an installation
    march, dash = ("-march=", "-") if is_given else ("-mcpu=", "_")
    variants = {"base": f"{march}x86{dash}64", "v3": f"{march}x86{dash}64{dash}v3"}
    is_x86 = target.startswith("x86_64")
    chosen = variants if is_x86 else {"base": ""}
    compiling = [*compiler, *_FLAGS, *(() if is_given else ("-Werror",)), *flags]
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
            command = shlex.join(map(str, process.args))  # type: ignore[arg-type] # a list
            hint = "Set CC to another compiler, or AAM_KERNEL=off to do without the kernel, slower."
            raise RuntimeError(f"The kernel could not be built: {command}\n{errors}\n{hint}")


if __name__ == "__main__":
    path, *flags = sys.argv[1:] or [str(KERNEL / NAME)]
    build(Path(path), this_machine(), *flags)
