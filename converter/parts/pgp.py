"""Parts are encrypted by GnuPG, as streams: a process for each part.

1. The key of the recipient is read once, and checked by encrypting for it.
2. GnuPG only encrypts, by AES with 256 bits (Z2): a part is a packet of compressed data already, which all threads have
   made, and whose size is known.
3. A thread passes on the output while the part is written, so a slow destination slows GnuPG and the whole run down.

GnuPG has no home folder while it encrypts. So it uses no settings and keys of the user, starts no agent, and leaves
nothing on the disk, however the run ends. It gets no file name, and the text only through its standard input.
"""

from __future__ import annotations

import datetime
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from converter.errors import EncryptionError
from converter.jobs.paths import find_program
from converter.parts.part import Buffer

PROGRAM = "gpg"
LEAST_VERSION = (2, 2, 8)
"""The first version that shows the keys of a file without importing them."""
_MAX_KEY_BYTES = 1 << 20  # keys with many signatures are large, but not as large
_CHUNK = 1 << 18  # bytes: a chunk stays in the processor's cache
_VALIDITY, _EXPIRES, _FINGERPRINT, _ABILITIES = 1, 6, 9, 11  # fields of records, as GnuPG's `doc/DETAILS` has them

_BASE_OPTIONS = ("--no-options", "--batch", "--no-tty", "--quiet", "--no-autostart", "--no-random-seed-file")
_ENCRYPT = (
    *_BASE_OPTIONS,
    *("--homedir", os.devnull),  # which cannot contain anything
    *("--no-keyring", "--lock-never", "--no-auto-check-trustdb"),
    *("--trust-model", "always"),  # a key in a job is trusted
    "--no-encrypt-to",
    *("--cipher-algo", "AES256"),
    *("--compress-algo", "none"),  # the data is compressed,
    "--no-literal",  # and a packet already
    *("--output", "-", "--encrypt"),
)


class Key(NamedTuple):
    """A public key to encrypt for: the content of its file, its fingerprint, and the version of GnuPG."""

    content: bytes
    fingerprint: str
    gnupg: str


def read_key(path: str) -> Key:
    """Read the key in a file, in ASCII armor or binary, and encrypt for it as a test.

    Raises `EncryptionError`, with what to do about it, where that fails.
    """
    gnupg = _version()
    content = _read(path)
    key = Key(content, _fingerprint_of(content, path), gnupg)
    try:
        Encryption(key, lambda _: None).finish()
    except EncryptionError as error:
        raise EncryptionError(
            "E-PGP-KEY-REFUSED",
            f"GnuPG {gnupg} does not encrypt for the key in '{path}'.",
            f"'{PROGRAM} --encrypt --recipient-file {path}' says why.",
        ) from error
    return key


def _version() -> str:
    """Return the version of GnuPG."""
    if find_program(PROGRAM) is None:
        raise EncryptionError(
            "E-PGP-MISSING",
            f"GnuPG is not installed: there is no program '{PROGRAM}', which output.compression = \"pgp\" needs.",
            "Install it (the package gnupg, as a rule), or put it on the PATH.",
        )
    # Another program of that name might ignore an option, and its output would be unreadable.
    match = re.match(r"gpg \(GnuPG(?:/\w+)?\) ([0-9]+(?:\.[0-9]+)+)", _ask("--version"))
    if not match or tuple(map(int, match[1].split("."))) < LEAST_VERSION:
        raise EncryptionError(
            "E-PGP-VERSION",
            f"GnuPG {'.'.join(map(str, LEAST_VERSION))} or later is needed, but '{PROGRAM}' is "
            f"{match[1] if match else 'something else'}.",
            "Install a later one (the package gnupg, as a rule), or put it on the PATH before the other.",
        )
    return match[1]


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise EncryptionError(
            "E-PGP-KEY-READ",
            f"The key '{path}' cannot be read: {error.strerror or error}.",
            "pgp.key names the file with the public key of the recipient.",
        ) from error


def _fingerprint_of(content: bytes, path: str) -> str:
    """Return the fingerprint of the one key in a file: a public one, neither expired nor revoked, that encrypts."""
    records = _records_of(content)
    keys = [record for record in records if record[0] in ("pub", "sec")]
    if not keys:
        raise EncryptionError(
            "E-PGP-KEY-NONE",
            f"There is no public key in '{path}'.",
            "pgp.key names a file as 'gpg --armor --export KEY' writes it, in ASCII armor or binary.",
        )
    if any(record[0] in ("sec", "ssb") for record in records):
        raise EncryptionError(
            "E-PGP-KEY-SECRET",
            f"There is a secret key in '{path}', which only its owner may have.",
            "Use only its public key, as 'gpg --armor --export KEY' writes it, and keep this file private.",
        )
    if len(keys) > 1:
        raise EncryptionError(
            "E-PGP-KEY-SEVERAL",
            f"There are {len(keys)} keys in '{path}', so the recipient is not clear.",
            "Use only the recipient's key, as 'gpg --armor --export KEY' writes it.",
        )
    fingerprint = next(record[_FINGERPRINT] for record in records if record[0] == "fpr")
    key = keys[0]
    if key[_VALIDITY] == "r":
        raise EncryptionError(
            "E-PGP-KEY-REVOKED",
            f"The key {fingerprint} in '{path}' is revoked.",
            "Ask the recipient for the key to use now.",
        )
    if key[_VALIDITY] == "e":
        day = datetime.datetime.fromtimestamp(int(key[_EXPIRES]), datetime.UTC).date()
        raise EncryptionError(
            "E-PGP-KEY-EXPIRED",
            f"The key {fingerprint} in '{path}' expired on {day}.",
            "Ask the recipient for the key to use now; it may be the same one, with a later date.",
        )
    if "E" not in key[_ABILITIES]:
        raise EncryptionError(
            "E-PGP-KEY-UNUSABLE",
            f"The key {fingerprint} in '{path}' has no valid subkey for encryption.",
            "Ask the recipient for the key to use now; a key for signatures cannot encrypt.",
        )
    return fingerprint


def _records_of(content: bytes) -> list[list[str]]:
    """Return GnuPG's description of the keys in a file: records of at least 12 fields, the first is the kind."""
    try:
        with tempfile.TemporaryDirectory(prefix="aam-inbound-") as home:  # without one, it does not check validity
            output = _ask("--homedir", home, "--with-colons", "--show-keys", stdin=content)
    except OSError as error:
        raise _not_started(error) from error
    return [(line + 12 * ":").split(":") for line in output.splitlines()]


def _ask(*arguments: str, stdin: bytes = b"") -> str:
    """Run GnuPG and return its standard output. Its standard error is dropped, since it may quote names."""
    try:
        done = subprocess.run(  # noqa: S603 - no argument is from the input
            [find_program(PROGRAM) or PROGRAM, *_BASE_OPTIONS, *arguments],
            cwd="/",
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError as error:
        raise _not_started(error) from error
    return done.stdout.decode(errors="replace")


def _not_started(error: OSError) -> EncryptionError:
    return EncryptionError(
        "E-PGP-FAILED", f"GnuPG cannot be started: {error.strerror or error}.", "Nothing of this part is visible."
    )


class Encryption:
    """A part that is encrypted: a `Filter` for `Packer`. `send` is called with the output, in a thread of its own.

    Raises `EncryptionError` where GnuPG cannot be started or ends early, and what `send` has raised.
    """

    def __init__(self, key: Key, send: Callable[[memoryview], None]) -> None:
        try:
            with tempfile.TemporaryFile() as file:  # unnamed; writing to a pipe would wait until all is read
                file.write(key.content)
                file.seek(0)
                recipient = ("--enable-special-filenames", "--recipient-file", f"-&{file.fileno()}")
                self._process = subprocess.Popen(  # noqa: S603 - no argument is from the input
                    [find_program(PROGRAM) or PROGRAM, *recipient, *_ENCRYPT],
                    cwd="/",
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[file.fileno()],
                    process_group=0,  # else Ctrl-C would end it before the run can clean up
                )
        except OSError as error:
            raise _not_started(error) from error
        self._send = send
        thread = ThreadPoolExecutor(1, thread_name_prefix="encrypt")
        self._pumped = thread.submit(self._pump)
        thread.shutdown(wait=False)

    @property
    def _input(self) -> int:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        return self._process.stdin.fileno()

    def write(self, data: Buffer) -> None:
        """Encrypt the next bytes. Blocks while earlier ones have not been sent."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._input, view) :]
        except BrokenPipeError as error:
            raise self._failure() from error

    def finish(self) -> None:
        """Complete the part, and return when all output has been sent."""
        self._close_input()
        self._pumped.result()
        if self._process.wait():
            raise self._failure()

    def interrupt(self) -> None:
        """Kill GnuPG, so that calls by another thread raise. Never raises."""
        self._process.kill()

    def abort(self) -> None:
        """End GnuPG; nothing more is sent then. Never raises."""
        self._process.kill()
        self._close_input()
        wait([self._pumped])
        self._process.wait()

    def _pump(self) -> None:
        """Send the output."""
        output, buffer = self._process.stdout, memoryview(bytearray(_CHUNK))
        assert output is not None  # noqa: S101 - for the type checker: it is a pipe
        try:
            while count := os.readv(output.fileno(), [buffer]):
                self._send(buffer[:count])
        finally:
            output.close()  # if its output is not read, GnuPG ends, and `write` does not block

    def _failure(self) -> EncryptionError:
        """Return the error that GnuPG has ended early; raises the error of `send` instead, if there is one."""
        self._pumped.result()
        code = self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return EncryptionError(
            "E-PGP-FAILED",
            f"GnuPG {how} while it encrypted a part.",
            "Nothing of this part is visible. Is there enough memory? 'aam-inbound doctor' tries the key.",
        )

    def _close_input(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        self._process.stdin.close()
