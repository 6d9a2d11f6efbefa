"""Errors of obstore, mapped. All that it says is one text, of which no more than its kind is shown: it has URLs."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from obstore.exceptions import BaseError, PreconditionError

from converter.errors import DestinationError, TransientError
from converter.remote.server import Address, cannot, network_error

NOT_THERE = FileNotFoundError
FOREIGN: tuple[type[Exception], ...] = (BaseError, NOT_THERE, ValueError)
"""What calls of obstore raise."""

_STATUS = re.compile(r"Server returned non-2xx status code: (\d{3})")
_OF_NAMES = "Could not parse path|InvalidPath|InvalidSegment|EmptySegment|BadSegment"
_KEPT = re.compile(
    r"OpenCredentials|DecodeCredentials|MissingKey|InvalidKey|ReadPem|KeyRejected|FederatedTokenFile|AzureCli|"
    r"InvalidAccessKey|UnableToParse|TokenResponseBody|MissingSasComponent|Failed parsing an SAS key|"
    r"MissingCredentialConfig|UnknownCredentialType"
)
_OF_MACHINE = re.compile(r"token request: Error performing GET")  # what logs in elsewhere sends POST
_OF_LOGIN = re.compile(r"token request: Error performing POST")
_NETWORK: tuple[tuple[re.Pattern[str], Exception], ...] = (
    (re.compile(r"ConnectionRefused"), ConnectionRefusedError()),
    (re.compile(r"dns error|failed to lookup address"), socket.gaierror(socket.EAI_NONAME, "unknown")),
    (re.compile(r"kind: Timeout|TimedOut"), TimeoutError()),
)
_CERTIFICATE = re.compile(r"invalid peer certificate|InvalidCertificate|UnknownIssuer|InvalidContentType")
_LATER = "Try again later, with the same command and --resume."
_TEMPORARY = (408, 425, 429)


class Service(NamedTuple):
    """What a service calls its things: its section of the job, what holds objects, and hints about access to them."""

    section: str
    holder: str
    login_hint: str
    rights_hint: str


def has_changed(error: Exception) -> bool:
    """Return whether an error of a part says that the object is no longer what it was, or is gone."""
    return isinstance(error, PreconditionError | NOT_THERE) or _status(error) == 416


def map_error(error: Exception, doing: str, url: str, timeout: float, service: Service) -> DestinationError:
    """Map an error of obstore: what could not be done with which URL, and why. `timeout` is in seconds."""
    address = Address(service.section, "", None, None, None, "", url)
    text, status = str(error), _status(error)
    transient = status >= 500 or status in _TEMPORARY
    if fault := _fault(text, status, service):
        return cannot(fault[0], doing, address, *fault[1:])
    if status:
        kind = TransientError if transient else DestinationError
        return cannot("E-SERVER-ANSWER", doing, address, f"the server answers {status}", _LATER, kind)
    cause = next((cause for pattern, cause in _NETWORK if pattern.search(text)), EOFError())
    return network_error(doing, address, timeout, cause)


def _fault(text: str, status: int, service: Service) -> tuple[str, str, str] | None:
    """Return the code, the reason and the hint of an error that no retry helps against."""
    if re.search(_OF_NAMES, text):
        why = "a name has an empty step, '.' or '..' between its slashes, which is not supported"
        return "E-CLOUD-NAME", why, "Copy or rename the object."
    if _OF_MACHINE.search(text):
        return "E-CLOUD-NO-CREDENTIALS", "no credentials were found", service.login_hint
    if _KEPT.search(text):
        return "E-CLOUD-CREDENTIALS", "the credentials could not be loaded", service.login_hint
    if status == 401 or (_OF_LOGIN.search(text) and 400 <= status < 500):
        return "E-SERVER-LOGIN", "the credentials are missing, wrong or expired", service.login_hint
    if status == 403:
        return "E-SERVER-RIGHTS", "permission was denied", service.rights_hint
    if status == 404:
        hint = f"Check the name of the {service.holder} in input.path, and {service.section}.endpoint_url."
        return "E-CLOUD-BUCKET", f"there is no such {service.holder}", hint
    if _CERTIFICATE.search(text):
        why = "the certificate of the server is not trusted, or it is not an HTTPS server"
        hint = "Where it should be, set SSL_CERT_FILE to a file with its authority's certificate."
        return "E-SERVER-CERTIFICATE", why, hint
    return None


def _status(error: Exception) -> int:
    """Return the status of an answer; 0 where there was none."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else 0
