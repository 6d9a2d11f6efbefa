"""GnuPG: a recipient with keys of its own, who decrypts; and a program that only looks like it, which fails as told."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .servers.process import program

ENVELOPE = b"an envelope of 32 bytes or so: "
FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"
SHOWN = f"""\
pub:-:255:22:89ABCDEF01234567:1795363714:::-:::scaESCA:::::ed25519:::0:
fpr:::::::::{FINGERPRINT}:
uid:-::::1795363714::03DC::Somebody <somebody@example.com>::::::::::0:
sub:-:255:18:B055B904DE44A699:1795363714::::::e:::::cv25519::
fpr:::::::::76543210FEDCBA9876543210FEDCBA9876543210:"""
WRAP = f"printf '{ENVELOPE.decode()}'; cat"
HEAD = b"\xaf" + b"b" + bytes(1) + bytes(4)  # literal data up to the end, binary, no name, no time


class Recipient:
    """Somebody who has secret keys, in a home of its own, away from those of the user who runs the tests."""

    def __init__(self) -> None:
        self._program = program("gpg", "apt-get install gnupg")
        self.home = Path(tempfile.mkdtemp(prefix="gpg-", dir="/tmp"))  # the names of sockets may not be long

    def gpg(self, *arguments: str, given: bytes = b"") -> bytes:
        """Run GnuPG, and return what it writes."""
        common = ["--homedir", str(self.home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        done = subprocess.run([self._program, *common, *arguments], input=given, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def make(
        self,
        name: str,
        algorithm: str = "ed25519",
        *,
        subkey: str = "cv25519",
        expires: str = "never",
        preferences: str = "",
    ) -> str:
        """Make a key, with a subkey to encrypt for, and return its fingerprint."""
        then = ["--faked-system-time", "20200101T000000"] if expires != "never" else []
        then += ["--default-preference-list", preferences] if preferences else []
        # The key itself stays where the subkey alone is to expire.
        self.gpg(*then, "--quick-generate-key", name, algorithm, "sign", "never" if subkey else expires)
        shown = self.gpg("--with-colons", "--list-keys", f"={name}").decode().splitlines()
        fingerprint = next(line.split(":")[9] for line in shown if line.startswith("fpr:"))
        if subkey:
            self.gpg(*then, "--quick-add-key", fingerprint, subkey, "encr", expires)
        return fingerprint

    def revoke(self, fingerprint: str) -> None:
        """Revoke a key."""
        certificate = (self.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text()
        self.gpg("--import", given=certificate.replace(":-----", "-----").encode())

    def export(self, name: str, path: Path, *, armor: bool = True, secret: bool = False) -> str:
        """Write a key into a file, and return its path."""
        what = "--export-secret-keys" if secret else "--export"
        path.write_bytes(self.gpg(*(["--armor"] if armor else []), what, f"={name}"))
        return str(path)

    def decrypt(self, content: bytes) -> bytes:
        """Return what a message says."""
        return self.gpg("--decrypt", given=content)

    def status(self, content: bytes) -> str:
        """Return what GnuPG tells of a message beside its text."""
        return self.gpg("--status-fd", "1", "--output", "/dev/null", "--decrypt", given=content).decode()

    def close(self) -> None:
        """End the agent that was started for these keys, and remove them."""
        settings = str(Path(self._program).with_name("gpgconf"))
        for what in (("--kill", "all"), ("--remove-socketdir",)):
            subprocess.run([settings, "--homedir", str(self.home), *what], capture_output=True, check=False)
        shutil.rmtree(self.home, ignore_errors=True)


@contextlib.contextmanager
def recipient_at_home() -> Iterator[Recipient]:
    """Somebody with keys, who is gone in the end."""
    made = Recipient()
    try:
        yield made
    finally:
        made.close()


@dataclass
class Impostor:
    """A program that is first on the PATH in place of GnuPG: it shows a key, and wraps what it should encrypt.

    `encrypt` is what it does for that, as a shell says it, with its arguments still to come.
    """

    folder: Path

    def become(
        self, *, version: str = "gpg (GnuPG) 2.2.40", shown: str = SHOWN, encrypt: str = WRAP, before: str = ":"
    ) -> None:
        """Do so from now on."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "gpg"
        path.write_text(
            f"#!/bin/sh\n{before}\ncase \"$*\" in\n*--version*) echo '{version}' ;;\n"
            f"*--show-keys*) cat > /dev/null; cat <<'END'\n{shown}\nEND\n;;\n*) {encrypt} ;;\nesac\n"
        )
        path.chmod(0o755)

    def key(self) -> str:
        """Write a file in which this program finds a key, and return its path."""
        path = self.folder / "key.asc"
        path.write_text("a key")
        return str(path)


@contextlib.contextmanager
def impostor(folder: Path) -> Iterator[Impostor]:
    """A program in place of GnuPG, for as long as a test takes."""
    made = Impostor(folder / "bin")
    made.become()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(made.folder), prepend=":")
        yield made


def unwrapped(content: bytes) -> bytes:
    """Return the text of a part that was wrapped, which must be one packet of compressed data with one of data in it."""
    assert content.startswith(ENVELOPE + b"\xa3\x01")
    decompressor = zlib.decompressobj(-15)
    data = decompressor.decompress(content[len(ENVELOPE) + 2 :])
    assert decompressor.eof
    assert decompressor.unused_data == b""
    assert data.startswith(HEAD)
    return data[len(HEAD) :]
