"""SFTP as a destination."""

from __future__ import annotations

from converter.delivery.destinations.named import NamedDestination
from converter.delivery.destinations.partials import Owner
from converter.jobs.sections.servers import Sftp
from converter.remote.passwords import with_password
from converter.remote.server import Address
from converter.remote.sftp import connector


def sftp_destination(url: str, settings: Sftp, owner: Owner | None = None) -> NamedDestination:
    """Return the destination of a URL of SFTP; nothing is connected yet.

    Raises `JobError` where the URL or the key file cannot be used.
    """
    address = with_password(Address.of(url), settings)
    return NamedDestination(address, connector(address, settings), settings.partial_suffix, owner)
