"""TLS: which certificates of servers are trusted."""

from __future__ import annotations

import ssl
from typing import Literal

from converter.errors import JobError


def tls_context(ca_file: str | None, section: Literal["ftp", "http"]) -> ssl.SSLContext:
    """Return the context of TLS connections: certificates and host names are verified.

    `ca_file` is the `tls_ca_file` of a section of the job. Raises `JobError` where it cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        why = error.strerror or "it holds no certificate"
        raise JobError(
            "E-FTP-CA-FILE" if section == "ftp" else "E-HTTP-CA-FILE",
            f"{section}.tls_ca_file is '{ca_file}', which cannot be read: {why}.",
            "Name a file with certificates in PEM format (-----BEGIN CERTIFICATE-----).",
        ) from error
    if ca_file:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the server's own certificate is enough
    return context
