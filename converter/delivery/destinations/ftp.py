"""FTP and FTPS as destinations. What plain FTP brings is read again and compared, where the server lets it be read."""

from __future__ import annotations

from converter.delivery.destinations.named import NamedDestination
from converter.delivery.destinations.partials import Owner
from converter.jobs.sections.servers import Ftp
from converter.remote.ftp import connector
from converter.remote.passwords import with_password
from converter.remote.server import Address


def ftp_destination(url: str, settings: Ftp, owner: Owner | None = None) -> NamedDestination:
    """Return the destination of a URL of FTP or FTPS; nothing is connected yet.

    Raises `JobError` where the URL or the file of certificates cannot be used.
    """
    address = with_password(Address.of(url), settings)
    read_back = settings.read_back and address.scheme == "ftp"  # TLS notices what is changed on the way
    return NamedDestination(address, connector(address, settings), settings.partial_suffix, owner, read_back=read_back)
