"""The password of a server where it is not in the URL: from the job, a file, a program, or `~/.netrc`."""

from __future__ import annotations

import netrc
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from converter.errors import DestinationError, JobError
from converter.jobs.paths import expand_home, find_program, safe_path
from converter.jobs.sections.servers import FileServer
from converter.remote.server import Address

_COMMAND_SECONDS = 60.0
_LONGEST = 1 << 16


class HasPassword(Protocol):
    """Settings that name a password, in one of three ways at most."""

    @property
    def password(self) -> str | None:
        """The password."""
        ...

    @property
    def password_file(self) -> str | None:
        """A file whose first line it is."""
        ...

    @property
    def password_command(self) -> tuple[str, ...]:
        """A program that prints it."""
        ...


def with_password(address: Address, settings: FileServer) -> Address:
    """Return the address with the password that the settings name, if they do.

    Raises `JobError` where that cannot be read, or where the URL has one too.
    """
    section = address.scheme.removesuffix("s")
    password = password_of(section, settings)
    if password is None:
        return address
    if address.password is not None:
        raise JobError(
            "E-PASSWORD-TWICE",
            f"'{address.url}' is given with a password in output.to, and with another one in [{section}].",
            "Remove that in output.to.",
        )
    return replace(address, password=password)


def password_of(section: str, settings: HasPassword) -> str | None:
    """Return the password that the settings of a section name, if they do.

    Raises `JobError` where it cannot be read.
    """
    return secret_of(f"{section}.password", settings.password, settings.password_file, settings.password_command)


def secret_of(key: str, text: str | None, file: str | None, command: tuple[str, ...]) -> str | None:
    """Return a secret that is given as a text, by a file or by a program, if it is; `key` is that of the text.

    Raises `JobError` where it cannot be read.
    """
    if file:
        return _from_file(f"{key}_file", file)
    if command:
        return _from_command(f"{key}_command", command)
    return text


def _from_file(key: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            password = _first_line(file.read(_LONGEST))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise JobError("E-PASSWORD-FILE", f"{key} is '{path}', which cannot be read: {why}.") from error
    if not password:
        raise JobError("E-PASSWORD-FILE", f"{key} is '{path}', whose first line is empty.")
    return password


def _from_command(key: str, command: tuple[str, ...]) -> str:
    """Run a program and return the first line that it prints. What it says on standard error is not shown."""
    program = find_program(expand_home(command[0]))
    if program is None:
        raise JobError(
            "E-PASSWORD-COMMAND",
            f"{key} names the program '{command[0]}', which was not found.",
            "Give its absolute path, or put it on the PATH.",
        )
    try:
        done = subprocess.run(  # noqa: S603 - the user names the program
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PATH": safe_path()},
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        why = f"ended with exit code {done.returncode}" if done.returncode else "printed nothing"
        password = "" if done.returncode else _first_line(done.stdout)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        late = isinstance(error, subprocess.TimeoutExpired)
        why = f"did not end in {_COMMAND_SECONDS:g} seconds" if late else "cannot be run, or prints no text"
        password = ""
    if not password:
        raise JobError(
            "E-PASSWORD-COMMAND", f"The program '{program}' of {key} {why}.", "Run it by hand to see what it says."
        )
    return password


def _first_line(content: bytes) -> str:
    return content.decode().split("\n")[0].removesuffix("\r")


def netrc_login(host: str, url: str) -> tuple[str, str] | None:
    """Return user and password of a host from `~/.netrc`. Raises `DestinationError` where it cannot be read."""
    try:
        found = netrc.netrc().authenticators(host)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, netrc.NetrcParseError) as error:  # their texts quote the file
        raise DestinationError(
            "E-NETRC",
            f"Cannot log in to '{url}': ~/.netrc cannot be read.",
            "Its lines are `machine HOST login USER password PASSWORD`, and only its owner may read it (mode 600).",
        ) from error
    return (found[0], found[2] or "") if found else None
