"""Servers: the parts of their URLs, and errors of the network."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from converter.errors import DestinationError, JobError, TransientError
from converter.jobs.secrets import mask_password

_LONGEST_ANSWER = 200

SPACE_HINT = "Is the disk of the server full, or a quota used up? Free some space there."
RIGHTS_HINT = "Check that the user may write there, and make folders that are missing."


@dataclass(frozen=True)
class Address:
    """A URL of FTP, FTPS or SFTP, parsed and decoded.

    `path` is without the slash after the host: with another `/` in front it is from the root of the server. `url` has
    no password.
    """

    scheme: str
    host: str
    port: int | None
    user: str | None
    password: str | None = field(repr=False)
    path: str
    url: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Parse a URL. Raises `JobError` where it has a control character, which no command of a server can contain."""
        parts = urlsplit(url)
        login, at, host = parts.netloc.rpartition("@")
        user, colon, password = login.partition(":")
        decoded = [unquote(text) for text in (user, password, parts.path)]
        if any(not mark.isprintable() for text in decoded for mark in text):
            raise JobError(
                "E-TO-MALFORMED",
                f"output.to is '{mask_password(url)}', which holds a control character.",
                "A user, a password or a folder cannot have one.",
            )
        return cls(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port,
            user=decoded[0] or None,
            password=decoded[1] if colon else None,
            path=decoded[2].removeprefix("/").rstrip("/") or ("/" if decoded[2].startswith("//") else ""),
            url=f"{parts.scheme}://{user}{at}{host}{parts.path.rstrip('/')}",
        )

    def quoted(self, answer: str) -> str:
        """Return a server's answer in quotes: on one line, shortened, and without the password."""
        text = " ".join(answer.split())
        if self.password:  # a short one may be part of a word by chance
            pattern = re.escape(self.password) if len(self.password) > 3 else rf"\b{re.escape(self.password)}\b"
            text = re.sub(pattern, "***", text)
        return "'" + "".join(mark for mark in text if mark.isprintable())[:_LONGEST_ANSWER].rstrip(". ") + "'"


def cannot(
    code: str, doing: str, address: Address, why: str, hint: str, kind: type[DestinationError] = DestinationError
) -> DestinationError:
    """Return the error that something cannot be done on a server."""
    return kind(code, f"Cannot {doing} '{address.url}': {why}.", hint)


_SECTIONS = {"ftps": "ftp", "https": "http"}  # of settings, by scheme
_NETWORK: tuple[tuple[type[Exception], str, str, str], ...] = (
    (
        TimeoutError,
        "E-SERVER-TIMEOUT",
        "there was no answer in {timeout:g} seconds",
        "Is a firewall in between, or does the server hang? How long to wait is {section}.timeout.",
    ),
    (
        ConnectionRefusedError,
        "E-SERVER-REFUSED",
        "connections are refused",
        "Is the server running, and are host and port right?",
    ),
    (EOFError, "E-SERVER-CLOSED", "the server closed the connection", "It may have been restarted, or be too busy."),
)


def network_error(doing: str, address: Address, timeout: float, error: Exception) -> DestinationError:
    """Map an error of the network, as the operating system raises it."""
    for type_, code, why, hint in _NETWORK:
        if isinstance(error, type_):
            section = _SECTIONS.get(address.scheme, address.scheme)
            return cannot(
                code, doing, address, why.format(timeout=timeout), hint.format(section=section), TransientError
            )
    if isinstance(error, socket.gaierror):
        kind = TransientError if error.errno == socket.EAI_AGAIN else DestinationError
        return cannot(
            "E-SERVER-HOST",
            doing,
            address,
            "the name of the host is not known",
            "Is it right, and is there a network?",
            kind,
        )
    why = (error.strerror if isinstance(error, OSError) else None) or "the connection broke"
    return cannot("E-SERVER-CONNECTION", doing, address, why, "Nothing of it is visible.", TransientError)
