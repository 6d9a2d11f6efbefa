"""Encrypted parts: the same text, for the right key, within their limits, whole or not at all, and nothing else told."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import subprocess
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from converter import Job, convert, doctor
from converter.cli import preview
from converter.commands.plan import plan
from converter.delivery.destinations.folder import _FolderUpload
from converter.delivery.journal import Journal, RunRecord
from converter.delivery.run_files import FolderFiles
from converter.errors import DestinationError, EncryptionError, JobError, ResumeError
from converter.parts import pgp
from converter.parts.blocks import Cutter
from converter.parts.packer import _ENVELOPE_BYTES, Limits, Packer
from converter.parts.part import Buffer, Part
from converter.parts.pgp import Encryption, Key, read_key

from .conftest import TIMESTAMP, Run
from .doomed import KILLED, Moment, start
from .errors import check_named, codes_of, only_report, raises, told
from .gnupg import ENVELOPE, FINGERPRINT, SHOWN, WRAP, Impostor, Recipient, impostor, recipient_at_home, unwrapped
from .kill import SERVERS, events_of
from .kill_jobs import PLAIN, lines_of
from .servers.ftp import ftp_server
from .servers.process import _made_by
from .test_resume import KilledError, die_at

CONTENT = "id,a\n" + "".join(f"{number},value {number * 7919}\n" for number in range(3000))
LINES = [f'{number}\t"a"="value {number * 7919}"' for number in range(3000)]
SMALL = {"max_part_raw_bytes": 20_000}
SAID = b"nobody but the recipient reads this "
# Dies of real data; the trial, which has none, succeeds.
DIES = 'if [ "$(head -c 1 | wc -c)" -eq 1 ]; then head -c 3000 > /dev/null; {}; fi'


@pytest.fixture(scope="module")
def recipient() -> Iterator[Recipient]:
    with recipient_at_home() as made:
        yield made


@pytest.fixture
def gpg(tmp_path: Path) -> Iterator[Impostor]:
    with impostor(tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path, gpg: Impostor) -> Run:
    """A folder to run a job in, of which parts are wrapped by the impostor."""
    made = Run(tmp_path)
    made.job["output"] |= {"compression": "pgp", **SMALL}
    made.job["pgp"] = {"key": gpg.key()}
    return made


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    before = set(_made_by(os.getpid()))
    yield
    assert not [pid for pid in _made_by(os.getpid()) if pid not in before and _is_gpg(pid)]


def _is_gpg(pid: int) -> bool:
    try:
        return b"--encrypt" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def encrypted(run: Run, key: str, **output: Any) -> list[Path]:
    """Convert, encrypted for the key in a file; return the parts, in order."""
    run.convert(CONTENT, output={"compression": "pgp", **SMALL, **output}, pgp={"key": key})
    return parts_of(run)


def parts_of(run: Run) -> list[Path]:
    return sorted(run.out.iterdir(), key=lambda part: int(part.name.split(".")[-2]))


def text_of(run: Run) -> bytes:
    return b"".join(unwrapped(part.read_bytes()) for part in parts_of(run))


# --- what the recipient reads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("armor", [True, False], ids=["armoured", "binary"])
@pytest.mark.parametrize("algorithms", [("ed25519", "cv25519"), ("rsa2048", "rsa2048")], ids=lambda names: names[0])
def test_n8_what_is_decrypted_is_what_is_written_else(
    recipient: Recipient, tmp_path: Path, algorithms: tuple[str, str], armor: bool
) -> None:
    name = f"{algorithms[0]} {armor}"
    fingerprint = recipient.make(name, algorithms[0], subkey=algorithms[1])
    run = Run(tmp_path)
    parts = encrypted(run, recipient.export(name, tmp_path / "key", armor=armor))
    assert len(parts) > 3
    assert [part.name for part in parts] == [
        f"ftp_dpm_1234_{TIMESTAMP}.sync.{number}.gpg" for number in range(1, len(parts) + 1)
    ]
    texts = [recipient.decrypt(part.read_bytes()) for part in parts]
    assert b"".join(texts).decode().splitlines() == LINES
    assert run.report["encrypted_for"] == fingerprint
    assert [(part["raw_bytes"], part["lines"], part["bytes"], part["crc32"]) for part in run.report["parts"]] == [
        (len(text), text.count(b"\n"), len(content), f"{zlib.crc32(content):08x}")
        for text, content in zip(texts, map(Path.read_bytes, parts), strict=True)
    ]


def test_z2_it_is_aes_256_without_name_and_time_and_compressed(recipient: Recipient, tmp_path: Path) -> None:
    recipient.make("z2", preferences="AES CAST5 Uncompressed")
    (part,) = encrypted(Run(tmp_path), recipient.export("z2", tmp_path / "key"), max_part_raw_bytes="1MB")
    status = recipient.status(part.read_bytes())
    assert "DECRYPTION_INFO 2 9" in status  # with a checksum (MDC), by cipher 9 of RFC 4880, 9.2
    assert "\n[GNUPG:] PLAINTEXT 62 0 \n" in status
    assert "GOODMDC" in status
    assert part.stat().st_size < len("\n".join(LINES)) / 3
    assert b"\x1f\x8b\x08" not in part.read_bytes()[:1000]


@pytest.mark.parametrize("level", ["fast", "balanced", "small"])
def test_levels_are_those_of_gzip(recipient: Recipient, tmp_path: Path, level: str) -> None:
    recipient.make(f"level {level}")
    key = recipient.export(f"level {level}", tmp_path / "key")
    (part,) = encrypted(Run(tmp_path), key, compression_level=level, max_part_raw_bytes="1MB")
    other = tmp_path / "gzip"
    Run(tmp_path).convert(output={"to": str(other), "compression_level": level})
    (gzipped,) = other.iterdir()
    assert recipient.decrypt(part.read_bytes()).decode().splitlines() == LINES
    assert 0 < part.stat().st_size - gzipped.stat().st_size < 300


def test_limits_hold_for_what_is_sent_also_where_nothing_compresses(recipient: Recipient, tmp_path: Path) -> None:
    recipient.make("noise")
    generator = random.Random(7)
    printable = bytes(35 + byte % 90 for byte in range(256)).replace(b",", b"x")
    values = [generator.randbytes(700).translate(printable).decode() for _ in range(400)]
    run = Run(tmp_path)
    key = recipient.export("noise", tmp_path / "key")
    output = {"compression": "pgp", "max_part_bytes": 40_000}
    content = "id,a\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values))
    run.convert(content, output=output, pgp={"key": key}, privacy={"signals": "allow"})
    sizes = [part.stat().st_size for part in parts_of(run)]
    assert max(sizes) <= 40_000
    assert min(sizes[:-1]) > 20_000, "and parts are filled"
    text = b"".join(recipient.decrypt(part.read_bytes()) for part in parts_of(run))
    assert text.decode().splitlines() == [f'{n}\t"a"="{value}"' for n, value in enumerate(values)]


@pytest.mark.parametrize("subkey", ["cv25519", "rsa2048"])
def test_what_gnupg_adds_is_within_the_bound(recipient: Recipient, tmp_path: Path, subkey: str) -> None:
    recipient.make(f"bound {subkey}", subkey=subkey)
    key = read_key(recipient.export(f"bound {subkey}", tmp_path / "key"))
    for size in (0, 1, 511, 512, 513, 8191, 8192, 100_000, 1_000_003):
        sent: list[bytes] = []
        encryption = Encryption(key, lambda data, sent=sent: sent.append(bytes(data)))  # type: ignore[misc]
        encryption.write(random.Random(size).randbytes(size))
        encryption.finish()
        added = sum(map(len, sent)) - size
        assert 0 < added <= _ENVELOPE_BYTES + size // 512


# --- packing ----------------------------------------------------------------------------------------------------


class Swollen:
    """Adds as much as encryption ever does, and hands on only at the end."""

    def __init__(self, send: Callable[[Buffer], None]) -> None:
        self._send, self._data = send, b""

    def write(self, data: Buffer) -> None:
        self._data += data

    def finish(self) -> None:
        self._send(bytes(_ENVELOPE_BYTES + len(self._data) // 512) + self._data)

    def interrupt(self) -> None:
        raise AssertionError

    def abort(self) -> None:
        raise AssertionError


class Memory:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.part: Part | None = None

    def write(self, data: Buffer) -> None:
        self.data += data

    def finish(self, part: Part, text_crc32: int) -> None:
        assert text_crc32 == zlib.crc32(text_in(self.data))
        self.part = part

    def fail(self, error: BaseException) -> None:
        raise AssertionError from error


class Failed(Memory):
    """Is given up."""

    def fail(self, error: BaseException) -> None:
        pass


def text_in(content: bytes) -> bytes:
    """Return the text of a swollen part."""
    return unwrapped(ENVELOPE + content[content.index(b"\xa3\x01") :])


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=150),
    part_bytes=st.integers(10_000, 30_000),
    raw_bytes=st.integers(1000, 60_000),
    threads=st.integers(1, 3),
    noisy=st.booleans(),
)
def test_a_part_keeps_its_limits_however_much_encryption_adds(
    lengths: list[int], part_bytes: int, raw_bytes: int, threads: int, noisy: bool
) -> None:
    generator = random.Random(1)
    lines = [bytes(generator.randrange(33, 126) if noisy else 65 for _ in range(size)) + b"\n" for size in lengths]
    limits = Limits(part_bytes, raw_bytes, compressed=True, encrypted=True)
    written: list[Memory] = []

    def create(_: int) -> Memory:
        written.append(Memory())
        return written[-1]

    with Packer(limits, threads, create, lambda _: ("", ""), encrypt=Swollen) as packer:
        for line in lines:
            packer.add([line], 1)
        parts = packer.finish()
    texts = [text_in(each.data) for each in written]
    assert b"".join(texts) == b"".join(lines)
    assert all(
        len(each.data) <= part_bytes and len(text) <= raw_bytes for each, text in zip(written, texts, strict=True)
    )
    assert [(part.bytes, part.raw_bytes, part.crc32) for part in parts] == [
        (len(each.data), len(text), f"{zlib.crc32(each.data):08x}") for each, text in zip(written, texts, strict=True)
    ]
    assert [each.part for each in written] == parts


@pytest.mark.parametrize("part_bytes", [10_000, 10_001, 123_456, 250_000_000, 1_000_000_000])
def test_what_fits_before_encryption_fits_after_it_and_no_byte_more_would(part_bytes: int) -> None:
    limits = Limits(part_bytes, part_bytes, compressed=True, encrypted=True)
    assert limits.packed_bytes + -(-limits.packed_bytes // 512) + _ENVELOPE_BYTES <= part_bytes
    more = limits.packed_bytes + 2
    assert more + -(-more // 512) + _ENVELOPE_BYTES > part_bytes
    assert limits.part_text < limits.packed_bytes
    assert Limits(part_bytes, part_bytes, compressed=True).packed_bytes == part_bytes


def test_the_smallest_part_of_a_job_holds_a_line(small: Run) -> None:
    limits = plan(small.make_job(input={"path": str(small.write(CONTENT))}, output={"max_part_bytes": 10_000})).limits
    assert limits.line_bytes > 4000
    assert Cutter(limits.block_bytes, limits.part_text)


def test_text_and_cuts_are_the_same_each_time_and_bytes_need_not_be(small: Run, gpg: Impostor) -> None:
    gpg.become(encrypt=f"{WRAP}; head -c 20 /dev/urandom")
    first = small.convert(CONTENT)
    second = small.convert(output={"to": str(small.folder / "again"), "timestamp": TIMESTAMP + 1}, run={"threads": 3})
    same = [[(part.raw_bytes, part.lines, part.bytes) for part in report.parts] for report in (first, second)]
    assert same[0] == same[1]
    assert not {part.crc32 for part in first.parts} & {part.crc32 for part in second.parts}


def test_i1_sets_of_several_data_sources_are_encrypted_beside_each_other(small: Run) -> None:
    ids = [f"{number:038d}" if number % 2 else f"user-{number}" for number in range(1000, 3000)]
    content = "id,a\n" + "".join(f"{id_},x\n" for id_ in ids)
    small.job["output"].pop("dpid")
    route = {"crm": {"dpid": 7}, "uuid": {"dpid": 0}}
    small.convert(content, id={"type": "auto"}, output={"route": route})
    texts: dict[str, bytes] = {}
    for part in sorted(small.out.iterdir(), key=lambda part: int(part.name.split(".")[-2])):
        name = part.name.split(".")[0]
        texts[name] = texts.get(name, b"") + unwrapped(part.read_bytes())
    assert {name: text.decode().splitlines() for name, text in texts.items()} == {
        f"ftp_dpm_7_{TIMESTAMP}": [f'{id_}\t"a"="x"' for id_ in ids[::2]],
        f"ftp_dpm_0_{TIMESTAMP}": [f'{id_}\t"a"="x"' for id_ in ids[1::2]],
    }
    assert len(small.files) == 4


# --- keys that cannot be used -----------------------------------------------------------------------------------


def shown(old: str, new: str) -> str:
    assert old in SHOWN
    return SHOWN.replace(old, new)


@pytest.mark.parametrize(
    "changes, code, named",
    [
        ({"version": "gpg (GnuPG) 1.4.23"}, "E-PGP-VERSION", ["2.2.8", "'gpg' is 1.4.23"]),
        ({"version": "gpg (GnuPG) 2.2.7"}, "E-PGP-VERSION", ["'gpg' is 2.2.7"]),
        ({"version": "BusyBox"}, "E-PGP-VERSION", ["'gpg' is something else"]),
        ({"version": "gpg (GnuPG-compatible Chameleon) 2.2.40"}, "E-PGP-VERSION", ["'gpg' is something else"]),
        ({"shown": ""}, "E-PGP-KEY-NONE", ["key.asc'", "pgp.key", "'gpg --armor --export KEY'"]),
        ({"shown": SHOWN.replace("pub:", "sec:").replace("sub:", "ssb:")}, "E-PGP-KEY-SECRET", ["key.asc'"]),
        ({"shown": f"{SHOWN}\n{SHOWN}"}, "E-PGP-KEY-SEVERAL", ["2 keys", "key.asc'"]),
        ({"shown": shown("pub:-", "pub:r")}, "E-PGP-KEY-REVOKED", [FINGERPRINT, "key.asc'"]),
        (
            {"shown": shown("pub:-:255:22:89ABCDEF01234567:1795363714:", "pub:e:255:22:89ABCDEF01234567:1:1577923200")},
            "E-PGP-KEY-EXPIRED",
            [FINGERPRINT, "key.asc'", "2020-01-02"],
        ),
        ({"shown": shown("scaESCA", "scaSCA")}, "E-PGP-KEY-UNUSABLE", [FINGERPRINT, "key.asc'"]),
        ({"encrypt": "exit 2"}, "E-PGP-KEY-REFUSED", ["GnuPG 2.2.40", "--recipient-file", "key.asc'"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_key_that_cannot_be_used_is_told_before_anything_is_converted(
    small: Run, gpg: Impostor, changes: dict[str, str], code: str, named: list[str]
) -> None:
    gpg.become(**changes)
    with raises(EncryptionError, code, *named) as raised:
        small.convert(CONTENT)
    assert "somebody" not in told(raised.value).lower(), "who has the key is nobody's business"
    assert small.files == []
    assert only_report(small.folder / "reports")["error"]["code"] == raised.value.code


@pytest.mark.parametrize("version", ["gpg (GnuPG/MacGPG2) 2.2.41", "gpg (GnuPG) 2.4.4-unknown", "gpg (GnuPG) 2.2.8"])
def test_gnupg_of_other_systems_is_taken(gpg: Impostor, version: str) -> None:
    gpg.become(version=version)
    assert read_key(gpg.key()).gnupg in version


def test_gnupg_that_is_not_there_is_told(small: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with raises(EncryptionError, "E-PGP-MISSING", "'gpg'"):
        small.convert(CONTENT)


@pytest.mark.parametrize("name, why", [("none.asc", "No such file or directory"), ("", "Is a directory")])
def test_a_key_file_that_cannot_be_read_is_told(small: Run, tmp_path: Path, name: str, why: str) -> None:
    with raises(EncryptionError, "E-PGP-KEY-READ", f"'{tmp_path}/{name}'", why, "pgp.key"):
        small.convert(CONTENT, pgp={"key": f"{tmp_path}/{name}"})


@pytest.mark.parametrize("at", ["run", "Popen"])
def test_gnupg_that_cannot_be_started_is_told(gpg: Impostor, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    key = read_key(gpg.key())

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, at, fail)
    with raises(EncryptionError, "E-PGP-FAILED", "Cannot allocate memory"):
        read_key(gpg.key()) if at == "run" else Encryption(key, lambda _: None)


def test_no_room_to_judge_a_key_is_told(gpg: Impostor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", fail)
    with raises(EncryptionError, "E-PGP-FAILED", "No space left on device"):
        read_key(gpg.key())


def test_keys_of_gnupg_are_judged_as_they_are(recipient: Recipient, tmp_path: Path) -> None:
    good = recipient.make("judged")
    recipient.make("signs alone", subkey="")
    recipient.make("expired", "rsa2048", subkey="", expires="1d")
    recipient.make("subkey expired", expires="1d")
    recipient.revoke(recipient.make("revoked"))
    whole = recipient.export("judged", tmp_path / "judged")
    assert read_key(whole).fingerprint == good
    message = tmp_path / "message"
    message.write_bytes(recipient.gpg("--encrypt", "--trust-model", "always", "--recipient", "=judged", given=b"x"))
    for name, code in {
        "signs alone": "E-PGP-KEY-UNUSABLE",
        "expired": "E-PGP-KEY-EXPIRED",
        "subkey expired": "E-PGP-KEY-UNUSABLE",
        "revoked": "E-PGP-KEY-REVOKED",
    }.items():
        with raises(EncryptionError, code, *(["2020-01-02"] if name == "expired" else [])):
            read_key(recipient.export(name, tmp_path / "key"))
    with raises(EncryptionError, "E-PGP-KEY-SECRET"):
        read_key(recipient.export("judged", tmp_path / "key", secret=True))
    two = tmp_path / "two"
    two.write_bytes(recipient.gpg("--export", "=judged", "=revoked"))
    with raises(EncryptionError, "E-PGP-KEY-SEVERAL", "2 keys"):
        read_key(str(two))
    for text in (b"", b"not a key", message.read_bytes(), Path(whole).read_bytes()[:80]):
        two.write_bytes(text)
        with raises(EncryptionError, "E-PGP-KEY-NONE", str(two)):
            read_key(str(two))


def test_doctor_and_dry_run_tell_the_key(small: Run, gpg: Impostor) -> None:
    job = small.make_job(input={"path": str(small.write(CONTENT))})
    assert [found.level for found in doctor(job) if FINGERPRINT in found.message] == ["ok"]
    console = Console(width=200)
    with console.capture() as shown:
        console.print(preview._shown(preview.preview_of(plan(job))))
    assert f"for the key {FINGERPRINT}, by GnuPG 2.2.40" in shown.get()
    gpg.become(shown="")
    assert codes_of(doctor(job)) == ["E-PGP-KEY-NONE"]
    assert not small.out.exists()


@pytest.mark.parametrize(
    "output, key, named",
    [
        ({"compression": "pgp"}, None, ["pgp.key", "output.compression 'pgp'", "(N8)"]),
        ({"compression": "pgp"}, "", ["pgp.key"]),
        ({}, "k.asc", ["pgp.key", "'pgp'", "output.compression is 'gzip'"]),
        ({"compression": "none"}, "k.asc", ["pgp.key", "output.compression is 'none'"]),
        ({"compression": "pgp", "max_part_bytes": "9KB"}, "k.asc", ["output.max_part_bytes", "9,000", "10,000"]),
    ],
)
def test_a_job_has_a_key_where_it_encrypts_and_nowhere_else(
    tmp_path: Path, output: dict[str, str], key: str | None, named: list[str]
) -> None:
    with raises(JobError, "E-JOB-INVALID", *named):
        Run(tmp_path).make_job(output=output, pgp={} if key is None else {"key": key})


def test_another_key_is_another_job(small: Run) -> None:
    assert small.make_job().digest != small.make_job(pgp={"key": "other"}).digest


# --- what goes wrong on the way ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encrypt, codes, named",
    [
        (DIES.format("kill -9 $$"), ["E-PGP-FAILED"], ["SIGKILL"]),
        (DIES.format("exit 2"), ["E-PGP-FAILED"], ["exit code 2"]),
        (DIES.format("exit 0"), ["E-PGP-FAILED", "E-PGP-SIZE"], []),
        ("cat; exit 1", ["E-PGP-FAILED", "E-PGP-KEY-REFUSED"], []),
        ("cat > /dev/null", ["E-PGP-SIZE"], [" 0 bytes", "20,000"]),
        (f"{WRAP}; head -c 30000 /dev/zero", ["E-PGP-SIZE"], ["20,000"]),
    ],
)
def test_f3_where_gnupg_fails_nothing_is_visible(
    small: Run, gpg: Impostor, encrypt: str, codes: list[str], named: list[str]
) -> None:
    gpg.become(encrypt=encrypt)
    with pytest.raises(EncryptionError) as raised:
        small.convert(CONTENT, output={"max_part_bytes": 20_000})
    assert raised.value.code in codes, "which of them depends on who is quicker"
    check_named(str(raised.value), *named)
    assert small.files == []
    assert only_report(small.folder / "reports")["error"]["code"] == raised.value.code
    gpg.become()
    small.convert(output={"max_part_bytes": 20_000}, resume=True)
    assert text_of(small).decode().splitlines() == LINES


def test_f3_what_has_arrived_when_gnupg_fails_is_kept(tmp_path: Path, small: Run, gpg: Impostor) -> None:
    count = tmp_path / "count"
    count.write_text("")
    gpg.become(encrypt=f"echo >> {count}; if [ $(wc -l < {count}) -eq 4 ]; then kill -9 $$; fi; {WRAP}")
    (tmp_path / "ftp").mkdir()
    with ftp_server(tmp_path / "ftp") as server:
        output = {"to": server.url("/in"), "uploads": 1}
        with raises(EncryptionError, "E-PGP-FAILED", "SIGKILL", "--resume"):
            small.convert(CONTENT, output=output)
        assert not [path for path in server.root.glob("in/*") if path.suffix != ".partial"]
        small.convert(output=output, resume=True)
        contents = [path.read_bytes() for path in sorted((server.root / "in").iterdir())]
    assert len(count.read_text()) == 1 + 3 + 1 + 2, "trials, parts, and those that had not arrived"
    assert b"".join(map(unwrapped, contents)).decode().splitlines() == LINES


def test_f22_where_the_destination_fails_its_error_is_told_and_gnupg_ended(
    small: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, count = _FolderUpload.write, itertools.count(1)

    def fail(self: _FolderUpload, data: Buffer) -> None:
        if next(count) == 3:
            raise DestinationError("E-DISK-FULL", "The disk is full.")
        write(self, data)  # type: ignore[arg-type]

    monkeypatch.setattr(_FolderUpload, "write", fail)
    with raises(DestinationError, "E-DISK-FULL"):
        small.convert(CONTENT)
    assert small.files == []


def key_of(gpg: Impostor) -> Key:
    return read_key(gpg.key())


def test_a_writer_that_fails_is_told_to_who_writes_on(gpg: Impostor) -> None:
    def fail(_: memoryview) -> None:
        raise DestinationError("E-DISK-FULL", "The disk is full.")

    encryption = Encryption(key_of(gpg), fail)
    with raises(DestinationError, "E-DISK-FULL"):
        encryption.write(bytes(1 << 26))
    with raises(DestinationError, "E-DISK-FULL"):
        encryption.finish()
    encryption.abort()


def test_f21_a_slow_destination_slows_down_who_writes(gpg: Impostor) -> None:
    goes_on, sent = threading.Event(), []

    def send(data: memoryview) -> None:
        goes_on.wait()
        sent.append(len(data))

    encryption = Encryption(key_of(gpg), send)

    def write() -> None:
        for _ in range(100):
            encryption.write(bytes(1 << 17))
        encryption.finish()

    writing = threading.Thread(target=write)
    writing.start()
    writing.join(0.3)
    assert writing.is_alive(), "pipes hold little"
    assert sent == []
    goes_on.set()
    writing.join(30)
    assert sum(sent) == 100 * (1 << 17) + len(ENVELOPE)
    assert max(sent) <= pgp._CHUNK


def test_what_is_stopped_is_over(gpg: Impostor) -> None:
    sent: list[bytes] = []
    encryption = Encryption(key_of(gpg), lambda data: sent.append(bytes(data)))
    encryption.write(bytes(1 << 17))
    encryption.abort()
    count = len(sent)
    encryption.abort()
    with pytest.raises(ProcessLookupError):
        os.kill(encryption._process.pid, 0)
    assert len(sent) == count


def test_f2_signals_to_the_run_do_not_reach_gnupg(gpg: Impostor) -> None:
    encryption = Encryption(key_of(gpg), lambda _: None)
    assert os.getpgid(encryption._process.pid) == encryption._process.pid != os.getpgid(0)
    encryption.finish()


def test_a_part_that_is_given_up_ends_gnupg(gpg: Impostor) -> None:
    made: list[Encryption] = []

    def encrypt(send: Callable[[Buffer], None]) -> Encryption:
        made.append(Encryption(key, send))
        return made[-1]

    key, limits = key_of(gpg), Limits(10**6, 10**6, compressed=True, encrypted=True)
    with Packer(limits, 1, lambda _: Memory(), lambda _: ("", ""), encrypt=encrypt) as packer:
        packer.add([SAID * 1000], 1)
        while packer._blocks:  # it may be placed already
            packer._place_block()
        while not made:
            time.sleep(0.01)
    assert made[0]._process.returncode == -9


def test_a_gnupg_that_hangs_does_not_keep_a_run_from_ending(gpg: Impostor) -> None:
    key, limits = key_of(gpg), Limits(10**9, 10**9, compressed=True, encrypted=True)
    gpg.become(encrypt="exec sleep 1000")
    began = time.monotonic()

    def give_up() -> None:
        with Packer(limits, 1, lambda _: Failed(), lambda _: ("", ""), encrypt=partial(Encryption, key)) as packer:
            packer.add([random.Random(1).randbytes(1_000_000)], 1)  # more than a pipe takes
            while packer._blocks:
                packer._place_block()
            time.sleep(0.5)
            raise KilledError

    with pytest.raises(KilledError):
        give_up()
    assert time.monotonic() - began < 30


# --- nothing else is told ---------------------------------------------------------------------------------------


def test_gnupg_is_told_of_the_text_through_its_input_alone(small: Run, gpg: Impostor, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    gpg.become(before=f'echo "$@" >> {heard}')
    small.convert("id,a\nuser-4711,secret value\n")
    told = heard.read_text()
    assert told.count("--encrypt") == 2
    for text in ("4711", "secret", gpg.key(), "ftp_dpm"):
        assert text not in told
    assert text_of(small) == b'user-4711\t"a"="secret value"\n'


def test_nothing_is_left_on_the_disk_and_no_setting_of_the_user_counts(
    recipient: Recipient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipient.make("nothing left")
    key = recipient.export("nothing left", tmp_path / "key")
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    (home / ".gnupg").mkdir(parents=True, mode=0o700)
    (home / ".gnupg" / "gpg.conf").write_text("armor\ncipher-algo 3DES\nencrypt-to nobody\nset-filename secret\n")
    temporary.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GNUPGHOME", str(home / ".gnupg"))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    parts = encrypted(Run(tmp_path), key)
    assert {path.name for path in home.rglob("*")} == {".gnupg", "gpg.conf"}
    assert [path for path in temporary.rglob("*") if path.is_file() and path.stat().st_size] == []
    assert "DECRYPTION_INFO 2 9" in recipient.status(parts[0].read_bytes())


def test_a_key_from_the_environment_is_not_told(small: Run, gpg: Impostor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", str(gpg.folder))
    gpg.become(shown="")
    with raises(EncryptionError, "E-PGP-KEY-NONE", "'${KEYS}/key.asc'"):
        small.convert(CONTENT, pgp={"key": "${KEYS}/key.asc"})


# --- runs that died ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["folder", "s3", "ftp"])
def test_f1_a_run_that_is_killed_is_finished(recipient: Recipient, tmp_path: Path, place: str) -> None:
    recipient.make(f"killed at {place}")
    drawn = PLAIN.rows(5, 4000)
    data = tmp_path / "crm.csv"
    data.write_text("id,a,t\n" + "".join(f"{id_},{value},{trait}\n" for id_, value, trait in drawn))
    reports, job, said = tmp_path / "reports", tmp_path / "job.toml", tmp_path / "said"
    with SERVERS[place](tmp_path) as server:
        sections: dict[str, Any] = {
            "input": {"path": str(data)},
            "id": {"column": "id"},
            "record": {"signals": ["a"], "traits": ["t"]},
            "output": {"to": server.url("x"), "dpid": 1234, "compression": "pgp", "max_part_raw_bytes": "25KB"},
            "pgp": {"key": recipient.export(f"killed at {place}", tmp_path / "key")},
            "report": {"dir": str(reports)},
            **server.settings,
        }
        job.write_text(
            "".join(
                f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
                for name, section in sections.items()
            )
        )
        for moment in (Moment(0, "made", 3, "torn"), Moment(0, "arrived", 2), Moment(0, "published", 2), None):
            process = start(["convert", str(job), "--resume", "--progress", "off"], said, moment)
            process.join(120)
            assert process.exitcode in (KILLED if moment else (0,)), said.read_text(errors="replace")
            visible = server.visible("x")
            assert not visible or {"publishing", "done"} & set(events_of(reports))
        assert not server.hidden("x")
        assert sorted(int(name.split(".")[-2]) for name in visible) == list(range(1, len(visible) + 1))
        found = Counter(line for part in visible.values() for line in recipient.decrypt(part).splitlines())
    assert found == lines_of(drawn)
    (report,) = reports.glob("*.report.json")
    crcs = {part["name"]: (part["bytes"], part["crc32"]) for part in json.loads(report.read_bytes())["parts"]}
    assert crcs == {name: (len(part), f"{zlib.crc32(part):08x}") for name, part in visible.items()}


@pytest.fixture
def changing(gpg: Impostor) -> None:
    """Each time, the bytes are others."""
    gpg.become(encrypt=f"{WRAP}; head -c 20 /dev/urandom")


@pytest.mark.usefixtures("changing")
def test_a_part_that_had_arrived_and_is_lost_is_encrypted_anew(
    tmp_path: Path, small: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that tells sizes alone cannot tell the second try from the first."""
    (tmp_path / "ftp").mkdir()
    with ftp_server(tmp_path / "ftp") as server:
        output = {"to": server.url("/in"), "uploads": 1}
        small.write(CONTENT)
        for event in ("arrived", "made"):
            with monkeypatch.context() as dying:
                die_at(dying, event, 2 if event == "arrived" else 1)
                with pytest.raises(KilledError):
                    small.convert(output=output, resume=True)
            if event == "arrived":
                (lost,) = server.root.glob("in/*.2.gpg.*.partial")
                lost.unlink()
        report = small.convert(output=output, resume=True)
        contents = {path.name: path.read_bytes() for path in (server.root / "in").iterdir()}
    assert {part.name: part.crc32 for part in report.parts} == {
        name: f"{zlib.crc32(content):08x}" for name, content in contents.items()
    }


def test_what_is_begun_anew_has_not_arrived(tmp_path: Path) -> None:
    journal = Journal(FolderFiles(tmp_path), "x.journal")
    journal.begin(RunRecord("x", 1, "2026-01-31", "", [], FINGERPRINT))
    for number in (1, 2):
        journal.note("began", number=number, name=f"x.{number}", state={})
        journal.note("arrived", number=number, name=f"x.{number}", bytes=1, crc32=1, state={})
    journal.note("began", number=2, name="x.2", state={})
    journal.close()
    past = Journal(FolderFiles(tmp_path), "x.journal").read()
    assert past
    assert set(past.arrived) == {1}
    assert past.run.key == FINGERPRINT


def test_a_run_is_not_resumed_for_another_key(
    small: Run, gpg: Impostor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as dying:
        die_at(dying, "arrived", 2)
        with pytest.raises(KilledError):
            small.convert(CONTENT)
    first = json.loads(next(small.folder.glob("reports/*.journal")).read_bytes().splitlines()[0])
    assert first["compressor"].startswith("pgp: GnuPG 2.2.40, balanced: isal ")
    gpg.become(shown=SHOWN.replace(FINGERPRINT, FINGERPRINT[::-1]))
    with raises(ResumeError, "E-RESUME-KEY", FINGERPRINT, FINGERPRINT[::-1], "pgp.key"):
        small.convert(resume=True)
    gpg.become(version="gpg (GnuPG) 2.4.4")
    told: list[str] = []
    convert(Job(**small.job), resume=True, notify=told.append)
    assert any("Another version of the compressor" in text for text in told)
    assert text_of(small).decode().splitlines() == LINES
