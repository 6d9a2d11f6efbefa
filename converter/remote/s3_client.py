"""The client of boto3: credentials by the usual settings of AWS, time-outs, and retries of single requests."""

from __future__ import annotations

import functools
import logging
from typing import Any, TypeAlias

import boto3
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialResolver, DeferredRefreshableCredentials
from botocore.exceptions import InvalidEndpointConfigurationError, NoCredentialsError
from botocore.session import Session

from converter._version import __version__
from converter.jobs.events import tell
from converter.jobs.sections.servers import S3

Client: TypeAlias = Any
"""A client of boto3, whose methods are made at run time."""

_TRIES = 5
_CONNECTIONS = 64  # the maximum of output.uploads


def open_client(settings: S3) -> Client:
    """Return a client for S3, which threads may share. Raises errors of boto3."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        connect_timeout=settings.timeout,
        read_timeout=settings.timeout,
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
        user_agent_extra=f"aam-inbound-converter/{__version__}",
        # Bodies have a CRC32 that is computed here: no second checksum, no SHA-256 in the signature, and no trailers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": settings.addressing_style, "payload_signing_enabled": False},
    )
    session = _session(settings)
    if settings.role_arn:
        provider = _Role(_session(settings), settings.role_arn, config)
        session.register_component("credential_provider", CredentialResolver([provider]))
    try:
        client = boto3.Session(botocore_session=session).client("s3", endpoint_url=settings.endpoint_url, config=config)
    except ValueError as error:
        raise InvalidEndpointConfigurationError(msg="no URL") from error
    client.meta.events.register("request-created.s3", _tell_retry)
    return client


def _tell_retry(request: Any, operation_name: str, **_: Any) -> None:
    """Log that boto3 sends a request again."""
    attempt = request.context.get("retries", {}).get("attempt", 1)
    if attempt > 1:
        tell(
            "retry", f"S3: {operation_name} is tried again, attempt {attempt}.", level=logging.WARNING, attempt=attempt
        )


def _session(settings: S3) -> Session:
    session = Session()
    if settings.region:
        session.set_config_variable("region", settings.region)
    return session


class _Role:
    """A botocore provider of credentials: those of a role, which is assumed again before they expire."""

    METHOD = CANONICAL_NAME = "assume-role"

    def __init__(self, source: Session, role_arn: str, config: Config) -> None:
        credentials = source.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        self._fetcher = AssumeRoleCredentialFetcher(
            functools.partial(source.create_client, config=config),
            credentials,
            role_arn,
            extra_args={"RoleSessionName": "aam-inbound"},
        )

    def load(self) -> DeferredRefreshableCredentials:
        """Return the credentials; the role is assumed when they are first used."""
        return DeferredRefreshableCredentials(self._fetcher.fetch_credentials, self.METHOD)
