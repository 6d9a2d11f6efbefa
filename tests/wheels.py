"""Builds the sdist, and from it the wheel for each machine, without an index and with no program in the path.

    python -m tests.wheels [FOLDER]

Each wheel is checked: its tag, its files, its license, and whether its library needs no more than each such machine has;
all of them by the tools that look for what an index or an installer would refuse.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import SymbolTableSection
from macholib import mach_o
from macholib.MachO import MachO

from converter.kernel.library import DIGEST, FOLDER, NAME, digest_of

ROOT = Path(__file__).parent.parent
OFFLINE = ["--no-index", "--no-deps", "--no-build-isolation"]
MACHINES = {
    "x86_64-linux": ("manylinux_2_17_x86_64", "EM_X86_64", {"base", "v3"}),
    "aarch64-linux": ("manylinux_2_17_aarch64", "EM_AARCH64", {"base"}),
    "arm64-macos": ("macosx_11_0_arm64", "arm64", {"base"}),
}
"""What `AAM_KERNEL_TARGET` may be: the tag of its wheel, its machine as the library's header has it, its variants."""
_GLIBC = (2, 17)
_MACOS = 11 << 16
_NLIST, _DEFINED = struct.Struct("<IBBHQ"), 0x0E  # a symbol of Mach-O (nlist_64), bits of its type (N_TYPE)
_FUNCTIONS = {"memcpy", "memmove", "memset", "memcmp", "memchr", "bcmp"}
"""What the loops and their compilers call; every process has them."""
_OF_MACOS = {"bzero", "dyld_stub_binder", *(f"__{name}_chk" for name in ("memcpy", "memmove", "memset"))}


def build_sdist(folder: Path, tree: Path = ROOT, **environment: str) -> Path:
    """Build the sdist of a tree in a folder; return its path."""
    _run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)], tree, **environment)
    (sdist,) = folder.glob("*.tar.gz")
    return sdist


def unpacked(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist in a folder; return its sources."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


def build_wheel(sources: Path, folder: Path, **environment: str) -> Path:
    """Build a wheel in a new folder; return its path. Raises `RuntimeError` with the output where that fails."""
    _run([sys.executable, "-m", "pip", "wheel", *OFFLINE, "-w", str(folder), "."], sources, **environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _run(command: list[str], folder: Path, **environment: str) -> None:
    alone = {"PATH": "", "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment}
    done = subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel by their names."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def check_wheel(wheel: Path, target: str) -> None:
    """Fail unless a wheel is right for a target."""
    tag, machine, variants = MACHINES[target]
    files = contents(wheel)
    assert wheel.name.endswith(f"-py3-none-{tag}.whl"), wheel.name
    (of_wheel,) = (text.decode() for name, text in files.items() if name.endswith(".dist-info/WHEEL"))
    assert f"Tag: py3-none-{tag}\n" in of_wheel
    assert "Root-Is-Purelib: false\n" in of_wheel
    assert not [name for name in files if name.endswith((".c", ".h", ".o"))], "sources are not needed at run time"
    _check_license(files)
    digest = digest_of(FOLDER)
    assert files[f"converter/kernel/{DIGEST}"].decode().strip() == digest
    library = files[f"converter/kernel/{NAME}"]
    assert digest.encode() in library
    assert os.fsencode(tempfile.gettempdir()) not in library, "it names a folder of the machine that built it"
    assert str(ROOT).encode() not in library
    exported = (_check_macos if target.endswith("macos") else _check_linux)(library, machine)
    entries = exported - {"aam_digest", "aam_sizes", "aam_choose_variant"}
    assert {name.rpartition("_")[2] for name in entries} == variants
    for variant in variants:
        of_variant = {name.removesuffix(f"_{variant}") for name in entries if name.endswith(f"_{variant}")}
        assert of_variant == {name.rpartition("_")[0] for name in entries}, "each entry is there in each variant"
        assert all(name.startswith("aam_") for name in of_variant)


def _check_license(files: dict[str, bytes]) -> None:
    """Fail unless a wheel has nothing but the package, and its license: what it depends on is not inside."""
    (metadata,) = (text.decode() for name, text in files.items() if name.endswith(".dist-info/METADATA"))
    assert "\nLicense-Expression: Apache-2.0\nLicense-File: LICENSE\n" in metadata
    (license_,) = (text for name, text in files.items() if name.endswith(".dist-info/licenses/LICENSE"))
    assert license_ == (ROOT / "LICENSE").read_bytes()
    assert {re.sub(r"^aam_inbound_converter-.*\.dist-info$", "", name.split("/")[0]) for name in files} == {
        "converter",
        "",
    }


def check_uploads(paths: Sequence[Path]) -> None:
    """Fail, with what the tools say, unless an index would accept files and installers find in wheels what they expect."""
    wheels = [path for path in paths if path.suffix == ".whl"]
    for tool, files in (("twine", ["check", "--strict", *paths]), ("check_wheel_contents", wheels)):
        _run([sys.executable, "-m", tool, *map(str, files)], ROOT)


def _check_linux(library: bytes, machine: str) -> set[str]:
    """Fail unless a library runs on each such Linux; return the names that it exports."""
    elf = ELFFile(io.BytesIO(library))
    assert elf["e_machine"] == machine
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, versions in section.iter_versions():
                for version in versions:
                    name, _, number = version.name.partition("_")
                    assert name == "GLIBC", version.name
                    assert tuple(map(int, number.split("."))) <= _GLIBC, version.name
    dynamic = elf.get_section_by_name(".dynamic")
    assert dynamic
    needed = {tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"}
    assert needed <= {"libc.so.6"}
    table = elf.get_section_by_name(".dynsym")
    assert isinstance(table, SymbolTableSection)
    symbols = [symbol for symbol in table.iter_symbols() if symbol.name]
    undefined = {symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF"}
    assert undefined <= _FUNCTIONS, undefined
    return {symbol.name for symbol in symbols} - undefined


def _check_macos(library: bytes, machine: str) -> set[str]:
    """Fail unless a library can be loaded by each such macOS; return the names that it exports."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(library)
        file.flush()
        (header,) = MachO(file.name).headers
    assert mach_o.CPU_TYPE_NAMES[header.header.cputype].lower() == machine
    commands = {command.cmd: (parsed, data) for command, parsed, data in header.commands}
    assert mach_o.LC_CODE_SIGNATURE in commands, "macOS loads no code without a signature"
    assert commands[mach_o.LC_BUILD_VERSION][0].minos <= _MACOS
    table = commands[mach_o.LC_SYMTAB][0]
    names = library[table.stroff : table.stroff + table.strsize]
    symbols = library[table.symoff : table.symoff + _NLIST.size * table.nsyms]
    defined, undefined = set(), set()
    for at, kind, *_ in _NLIST.iter_unpack(symbols):
        name = names[at:].split(b"\0", 1)[0].decode().removeprefix("_")
        (defined if kind & _DEFINED else undefined).add(name)
    assert undefined <= _FUNCTIONS | _OF_MACOS, undefined
    return {name for name in defined if name.startswith("aam_")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.wheels", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        sdist = build_sdist(Path(temporary))
        sources = unpacked(sdist, Path(temporary))
        made = [sdist]
        for target in MACHINES:
            made.append(build_wheel(sources, Path(temporary, target), AAM_KERNEL_TARGET=target))
            check_wheel(made[-1], target)
        check_uploads(made)
        for path in made:
            (folder / path.name).write_bytes(path.read_bytes())
            print(folder / path.name)


if __name__ == "__main__":
    sys.exit(main())
