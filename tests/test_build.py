"""The package as it is built and installed: the sdist, wheels, editable installs, and a build that fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from converter.kernel import library
from converter.kernel.library import DIGEST, FOLDER, NAME, KernelError, Library, digest_of

from . import installed
from .examples import SHARE
from .servers import required
from .wheels import MACHINES, ROOT, build_sdist, build_wheel, check_uploads, check_wheel, contents, unpacked

TARGET = f"{os.uname().machine}-linux"
if TARGET not in MACHINES:
    pytest.skip("no wheel is for this machine", allow_module_level=True)
FILES = {f"converter/kernel/{name}" for name in (NAME, DIGEST)}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sdist(tmp_path_factory.mktemp("sdist"))


@pytest.fixture
def sources(sdist: Path, tmp_path: Path) -> Path:
    """The sdist, unpacked."""
    return unpacked(sdist, tmp_path)


@pytest.fixture
def changed(sdist: Path, tmp_path: Path) -> Path:
    """The sdist, unpacked in another folder: its files have other times and modes."""
    folder = unpacked(sdist, tmp_path / "another/folder")
    for number, path in enumerate(sorted(folder.rglob("*"))):
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))
        if path.is_file():
            path.chmod(0o600)
    return folder


# --- wheels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", MACHINES)
def test_a_wheel_for_each_machine_is_built_from_the_sdist_alone_each_time_to_the_byte(
    target: str, sources: Path, changed: Path, tmp_path: Path
) -> None:
    """The second build is in another folder (for this machine, from the tree), with other times, modes and time zone."""
    before = (FOLDER / NAME).stat()
    wheel = build_wheel(sources, tmp_path / "dist", AAM_KERNEL_TARGET=target)
    check_wheel(wheel, target)
    (tmp_path / "temporary").mkdir()
    elsewhere = {"TZ": "Asia/Tokyo", "TMPDIR": str(tmp_path / "temporary"), "AAM_KERNEL_TARGET": target}
    again = build_wheel(ROOT if target == TARGET else changed, tmp_path / "again", **elsewhere)
    assert (FOLDER / NAME).stat() == before, "a wheel may be for another machine: the library in the tree stays"
    assert contents(again) == contents(wheel)
    assert again.read_bytes() == wheel.read_bytes()


def test_two_builds_of_the_sdist_are_equal_to_the_byte(sdist: Path, changed: Path, tmp_path: Path) -> None:
    again = build_sdist(tmp_path, changed, TZ="Asia/Tokyo")
    assert again.name == sdist.name
    assert again.read_bytes() == sdist.read_bytes()


def test_what_is_built_has_the_time_that_is_set(sources: Path, tmp_path: Path) -> None:
    """Who builds distributions sets it to the time of the last change (SOURCE_DATE_EPOCH)."""
    seconds = 1_790_000_000
    given = {"SOURCE_DATE_EPOCH": str(seconds), "TZ": "Asia/Tokyo"}
    with tarfile.open(build_sdist(tmp_path, sources, **given)) as archive:
        assert {member.mtime for member in archive} == {seconds}
    with zipfile.ZipFile(build_wheel(sources, tmp_path / "dist", AAM_KERNEL="off", **given)) as wheel:
        assert {entry.date_time for entry in wheel.infolist()} == {time.gmtime(seconds)[:6]}


def test_an_index_would_accept_the_sdist_and_the_wheel(sdist: Path, sources: Path, tmp_path: Path) -> None:
    check_uploads([sdist, build_wheel(sources, tmp_path / "dist", AAM_KERNEL="off")])


def test_the_sdist_has_all_sources_and_no_library(sources: Path) -> None:
    assert digest_of(sources / "converter" / "kernel") == digest_of(FOLDER)
    assert not list(sources.rglob("libaam_kernel*"))


def test_a_wheel_without_the_kernel_is_for_every_machine(sources: Path, tmp_path: Path) -> None:
    wheel = build_wheel(sources, tmp_path / "dist", AAM_KERNEL="off")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not FILES & contents(wheel).keys()


@pytest.mark.parametrize("is_given", [False, True])
def test_a_wheel_for_no_machine_in_particular_is_for_this_one(is_given: bool, sources: Path, tmp_path: Path) -> None:
    compiler = shutil.which("clang-16") or shutil.which("gcc")  # gcc takes the portable way, and half a minute
    if is_given and not compiler:
        required("clang-16 is not installed: apt-get install clang-16")
    given = {"CC": str(compiler), "PATH": os.environ["PATH"]} if is_given else {}
    wheel = build_wheel(sources, tmp_path / "dist", **given)
    assert wheel.name.endswith(f"-py3-none-linux_{os.uname().machine}.whl")
    assert contents(wheel).keys() > FILES


@pytest.mark.parametrize("given", [{"AAM_KERNEL_TARGET": "sparc-linux"}, {"AAM_KERNEL_TARGET": TARGET, "CC": "cc"}])
def test_a_wheel_promises_nothing_that_is_not_certain(given: dict[str, str], sources: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=TARGET):
        build_wheel(sources, tmp_path / "dist", **given)


def test_an_error_of_the_compiler_fails_the_build_and_is_shown(sources: Path, tmp_path: Path) -> None:
    with (sources / "converter" / "kernel" / "cut.c").open("a") as file:
        file.write("\nint wrong(void) { return nothing; }\n")
    with pytest.raises(RuntimeError) as failed:
        build_wheel(sources, tmp_path / "dist")
    told = str(failed.value)
    assert "The kernel could not be built" in told
    assert "undeclared identifier 'nothing'" in told
    assert "AAM_KERNEL=off" in told
    assert not list((tmp_path / "dist").glob("*"))


@pytest.mark.parametrize("kind, extra", [("wheel", []), ("editable", ["editables"])])
@pytest.mark.parametrize(
    "given, compilers", [({}, ["ziglang"]), ({"CC": "gcc"}, []), ({"AAM_KERNEL": "off"}, [])], ids=str
)
def test_a_compiler_is_asked_for_only_where_it_is_needed(
    kind: str, extra: list[str], given: dict[str, str], compilers: list[str]
) -> None:
    assert _requirements(kind, given) == sorted(compilers + extra)
    assert _requirements("sdist", given) == []


def _requirements(kind: str, environment: dict[str, str]) -> list[str]:
    code = f"from hatchling.build import *; print(*get_requires_for_build_{kind}())"
    asked = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    return sorted(name.partition(">")[0].partition("~")[0] for name in asked.split())


def test_an_editable_install_has_the_library_in_the_tree(sources: Path, tmp_path: Path) -> None:
    code = f"from hatchling.build import *; build_editable({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=sources, env={"PATH": ""}, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert not [name for name in contents(wheel) if "libaam" in name]
    folder = sources / "converter" / "kernel"
    assert {path.name for path in folder.glob("libaam*")} == {NAME}
    assert (folder / NAME).read_bytes().count(digest_of(folder).encode()) == 1


# --- the library at load ----------------------------------------------------------------------------------------


def test_without_sources_the_digest_that_was_recorded_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    (tmp_path / DIGEST).write_text(f"{digest_of(FOLDER)}\n")
    assert Library(FOLDER / NAME).variant in ("base", "v3")
    (tmp_path / DIGEST).write_text(f"{'0' * 64}\n")
    with pytest.raises(KernelError, match=NAME):
        Library(FOLDER / NAME)


def test_a_library_of_sources_that_have_changed_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in FOLDER.glob("*.[ch]"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    assert Library(FOLDER / NAME)
    with (tmp_path / "kernel.h").open("a") as file:
        file.write("\n")
    with pytest.raises(KernelError, match=NAME):
        Library(FOLDER / NAME)


# --- installed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", dict.fromkeys([TARGET, "aarch64-linux"]))
def test_an_installed_wheel_passes_the_tests_of_the_kernel(
    target: str, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.environ.get("REQUIRE_SERVERS") != "1":
        required("wheels are installed with REQUIRE_SERVERS=1")
    if target != TARGET and not all(map(shutil.which, ("qemu-aarch64", "apt-get", "dpkg-deb"))):
        required("qemu-aarch64 is not installed: apt-get install qemu-user")
    wheel = build_wheel(sources, tmp_path / "dist", AAM_KERNEL_TARGET=target)
    environment = (installed.own if target == TARGET else installed.emulated)(wheel, tmp_path / "environment")
    shutil.rmtree(sources / "converter")  # the tests are to find what is installed
    status = json.loads(environment.run(sources, "-m", "converter", "--version", "--json"))
    assert status["system"] == f"Linux {target.partition('-')[0]}"
    assert status["kernel"]["variant"] in MACHINES[target][2]
    code = "import converter, importlib.util as found; print(converter.__file__, found.find_spec('ziglang'))"
    where = environment.run(sources, "-c", code)
    assert where.startswith(str(tmp_path / "environment"))
    assert where.endswith(" None\n")
    # Where it is emulated, the query takes minutes in some tests, and shows nothing of the wheel; nor does time.
    slow = "not lines_rejects_and_counts and not on_both_ways and not read_again_and_again"
    chosen = ["-k", slow] if target != TARGET else []
    monkeypatch.setenv(SHARE, "0.1")  # all of them are drawn where the tests run in the tree
    passed = environment.run(sources, "-m", "pytest", "-p", "no:xdist", *chosen, *installed.SUITE)
    assert "100%" in passed
    shutil.rmtree(tmp_path / "environment")  # hundreds of megabytes
