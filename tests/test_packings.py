"""Inputs are unpacked by their content, in limited memory; what is damaged, truncated or ambiguous is an error."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import sys
import zipfile
import zlib
from collections.abc import Callable

import lz4.frame
import pytest

from converter import convert
from converter.errors import InputError
from converter.sources.packings import PACKINGS

from .conftest import Run
from .errors import raises

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CSV = b"id,a\n" + b"".join(b"u%d,%d\n" % (number, number * number) for number in range(120_000))
CHECKED = {zstd.CompressionParameter.checksum_flag: 1}


def zipped(content: bytes, *names: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as file:
        for name in names or ("exports/crm.csv",):
            file.writestr(name, content)
    return archive.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda content: zstd.compress(content, options=CHECKED),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lz4": lambda content: lz4.frame.compress(content, content_checksum=True),
    "zip": zipped,
}


def test_each_packing_is_tested() -> None:
    assert list(PACK) == list(PACKINGS)


@pytest.mark.parametrize("named", [True, False], ids=["named", "not named"])
@pytest.mark.parametrize("kind", PACK)
def test_what_is_packed_gives_the_same_lines(fresh_run: Callable[[], Run], kind: str, *, named: bool) -> None:
    plain, packed = fresh_run(), fresh_run()
    plain.convert(CSV)
    content, seen = PACK[kind](CSV), []
    name = "IN.CSV" + PACKINGS[kind].suffixes[0].upper() if named else "in.csv"
    packed.write(content, name)
    report = convert(packed.make_job(input={"path": str(packed.folder / name)}), progress=seen.append)
    assert packed.text == plain.text
    assert report.input[0]["bytes"] == len(content) == seen[-1].bytes_read == seen[-1].bytes_total


@pytest.mark.parametrize("kind", PACK)
def test_what_is_packed_and_damaged_is_an_error(run: Run, kind: str) -> None:
    content = PACK[kind](CSV)
    for end in (len(content) // 2, len(content) - 5):
        with raises(InputError, "E-INPUT-DAMAGED", "in.csv'"):
            run.convert(content[:end])
    middle = len(content) * 7 // 8  # a block of bzip2 is unpacked before its checksum is known
    with raises(InputError, "E-INPUT-DAMAGED", "in.csv'"):
        run.convert(content[:middle] + bytes([content[middle] ^ 0x5A]) + content[middle + 1 :])
    code = "E-INPUT-PACKED" if kind == "zip" else "E-INPUT-DAMAGED"
    with raises(InputError, code, "in.csv'"):
        run.convert(content + b"junk after it")
    assert run.files == []


@pytest.mark.parametrize("kind", [kind for kind in PACK if kind != "zip"])
def test_streams_that_follow_each_other_are_all_read(run: Run, kind: str) -> None:
    half = CSV.index(b"\n", len(CSV) // 2) + 1
    padding = bytes(8) if kind == "xz" else b""
    pack = PACK[kind]
    report = run.convert(pack(CSV[:half]) + padding + pack(b"") + pack(CSV[half:]) + padding, "in.csv.x", input=FORMAT)
    assert report.records["written"] == 120_000


FORMAT = {"format": "csv"}


def test_zip_archives_that_follow_each_other_are_an_error(run: Run) -> None:
    with raises(InputError, "E-INPUT-PACKED", "in.zip'", "another archive"):
        run.convert(zipped(CSV) + zipped(CSV), "in.zip")


@pytest.mark.parametrize("kind", PACK)
def test_what_is_packed_twice_is_an_error(run: Run, kind: str) -> None:
    with raises(InputError, "E-INPUT-PACKED", "in.csv'", "packed twice"):
        run.convert(gzip.compress(PACK[kind](CSV)))


def test_what_needs_much_memory_to_unpack_is_an_error(run: Run) -> None:
    # To pack with such a window takes gigabytes, so it is put into the header: 512 MiB.
    content = bytearray(lzma.compress(CSV, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]))
    content[16] = 34
    content[20:24] = zlib.crc32(content[12:20]).to_bytes(4, "little")
    with raises(InputError, "E-INPUT-PACKED", "in.csv'", "memory"):
        run.convert(bytes(content))


@pytest.mark.loops
@pytest.mark.parametrize("way", ["loops"], indirect=True)
@pytest.mark.parametrize("kind", ["bzip2", "xz", "lz4", "zip"])
def test_memory_does_not_grow_with_what_is_unpacked(run: Run, kind: str) -> None:
    size = 128 << 20
    content = PACK[kind](b"id,a\nu1,x\n" + (b"x" * ((1 << 20) - 1) + b"\n") * 128)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run.convert(content, report={"max_rejects": "100%"}).records["rejected"] == {"row_too_short": 128}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < size >> 10  # in KiB


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_the_one_file_of_a_zip_archive_is_read(run: Run, method: int) -> None:
    content = zipped(CSV, "exports/", "exports/crm.csv", "__MACOSX/exports/._crm.csv", ".DS_Store", method=method)
    assert run.convert(content, "exports.zip").records["written"] == 120_000  # its own name says no format


def test_input_member_names_a_file_of_a_zip_archive(run: Run) -> None:
    content = zipped(b"id,a\nu1,x\n", "a/crm-1.csv", "b/crm-2.csv", "notes.txt")
    for member in ("a/crm-1.csv", "*-1.csv", "a/*", "crm-1.csv"):
        run.convert(content, "in.zip", input={"member": member})
        assert run.lines == ['u1\t"a"="x"']
        for file in run.out.iterdir():
            file.unlink()
    for member, names in {
        None: ["3 files", "'a/crm-1.csv'", "'notes.txt'", "input.member"],
        "crm-*.csv": ["2 files", "'crm-*.csv'", "'b/crm-2.csv'"],
        "crm.csv": ["no file 'crm.csv'", "'a/crm-1.csv'"],
    }.items():
        for name in ("in.zip", "in.csv"):
            with raises(InputError, "E-INPUT-MEMBER", f"{name}'", *names):
                run.convert(content, name, input={"member": member})
    with raises(InputError, "E-INPUT-MEMBER", "no files"):
        run.convert(zipped(b"", "empty/"), "in.zip")


def test_what_cannot_be_read_in_a_zip_archive_is_named(run: Run) -> None:
    content = zipped(CSV, "crm.csv")
    entry = content.rindex(b"PK\x01\x02")
    encrypted = content[: entry + 8] + b"\x01" + content[entry + 9 :]
    with raises(InputError, "E-INPUT-PACKED", "in.csv'", "encrypted", "password"):
        run.convert(encrypted)
    unknown = content[: entry + 10] + b"\x09" + content[entry + 11 :]
    with raises(InputError, "E-INPUT-PACKED", "in.csv'", "method"):
        run.convert(unknown)
    with raises(InputError, "E-INPUT-PACKED", "in.parquet'", "zip", "Extract"):
        run.convert(zipped(bytes(99), "crm.bin"), "in.parquet")
