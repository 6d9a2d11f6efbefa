"""The client of botocore: credentials by the usual settings of AWS, time-outs, and retries of single requests.

boto3 would add nothing to it that is used here, but takes a while to load.
"""

from __future__ import annotations

import functools
import gzip
import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import orjson
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialResolver, DeferredRefreshableCredentials
from botocore.exceptions import ClientError, InvalidEndpointConfigurationError, NoCredentialsError
from botocore.loaders import JSONFileLoader, Loader, create_loader
from botocore.session import Session

from converter._version import __version__
from converter.errors import DestinationError
from converter.jobs.events import tell
from converter.jobs.sections.servers import S3, BucketOptions
from converter.remote.s3_errors import fault_code, map_error

Client: TypeAlias = Any
"""A client of botocore, whose methods are made at run time."""

_TRIES = 5
_CAUSE = "converter.cause"  # in the context of a request, which botocore keeps for all attempts
_CONNECTIONS = 64  # the maximum of output.uploads


class OfBucket:
    """A bucket, by its `name`, with a client that is opened when it is first used. Threads may share it."""

    def __init__(self, name: str, settings: S3) -> None:
        self.name = name
        self._settings, self._section = settings.of(name), settings.section_of(name)
        self._lock = threading.Lock()
        self._opened: Client | None = None
        self.on_retry: Callable[[str], None] = lambda _: None
        """Called with the code of the error whenever a request is sent again."""

    def url(self, key: str) -> str:
        """Return the URL of an object."""
        return f"s3://{self.name}/{key}"

    def mapped(self, error: Exception, what: str, key: str) -> DestinationError:
        """Map an error of botocore: what could not be done with which object, and why."""
        return map_error(error, what, self.url(key), self._settings, self._section)

    def close(self) -> None:
        """Close all connections; the next request opens new ones."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    @property
    def _client(self) -> Client:
        with self._lock:
            if self._opened is None:
                self._opened = open_client(self._settings, lambda code: self.on_retry(code))
                tell("connect", f"Opened a client for the bucket '{self.name}'.")
            return self._opened


def open_client(settings: BucketOptions, on_retry: Callable[[str], None]) -> Client:
    """Return a client for S3, which threads may share. Raises errors of botocore.

    `on_retry` is called with the code of the error whenever botocore sends a request again.
    """
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
        signed = Config(signature_version=UNSIGNED if settings.anonymous else "s3v4")  # in URLs, too
        client = session.create_client("s3", endpoint_url=settings.endpoint_url, config=config.merge(signed))
    except ValueError as error:
        raise InvalidEndpointConfigurationError(msg="no URL") from error
    client.meta.events.register("needs-retry.s3", partial(_keep_cause, settings))
    client.meta.events.register("request-created.s3", partial(_tell_retry, on_retry))
    return client


def _keep_cause(
    settings: BucketOptions, *, request_dict: Any, operation: Any, response: Any, caught_exception: Any, **_: Any
) -> None:
    """Keep the code of the error of a request that failed. Returns nothing, so that botocore decides on retries."""
    error = caught_exception
    if error is None and response is not None and "Error" in response[1]:
        error = ClientError(response[1], operation.name)
    if error is not None:
        request_dict["context"][_CAUSE] = fault_code(error, settings)


def _tell_retry(on_retry: Callable[[str], None], request: Any, operation_name: str, **_: Any) -> None:
    """Count, and log, that botocore sends a request again."""
    attempt = request.context.get("retries", {}).get("attempt", 1)
    if attempt > 1 and (code := request.context.pop(_CAUSE, None)):
        on_retry(code)
        message = f"S3: {operation_name} is tried again, attempt {attempt}."
        tell("retry", message, level=logging.WARNING, code=code, attempt=attempt)


class _Models(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    """Parses the models of services, some megabytes, in a fraction of the time: botocore makes ordered dictionaries."""

    def load_file(self, file_path: str) -> Any:
        """Return the content of a file, named without its suffix; None where there is none."""
        for suffix, unpack in ((".json", bytes), (".json.gz", gzip.decompress)):
            if (path := Path(file_path + suffix)).is_file():
                return orjson.loads(unpack(path.read_bytes()))
        return None


class _Loader(Loader):  # type: ignore[misc]  # botocore has no types
    """Loads models, and takes each folder beside them for a service: botocore looks into all of them, over 400."""

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the names of all services; `type_name` is the kind of model that is looked for."""
        del type_name
        folders = filter(os.path.isdir, self.search_paths)
        return sorted({entry.name for folder in folders for entry in os.scandir(folder) if entry.is_dir()})


@functools.cache
def _loader(folders: str | None) -> Loader:
    """Return what loads the models, each of them once for all clients; `folders` are those of AWS_DATA_PATH."""
    paths = create_loader(folders).search_paths
    return _Loader(paths, _Models(), include_default_search_paths=False)


def _session(settings: BucketOptions) -> Session:
    session = Session(profile=settings.profile)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
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
            partial(source.create_client, config=config),
            credentials,
            role_arn,
            extra_args={"RoleSessionName": "aam-inbound"},
        )

    def load(self) -> DeferredRefreshableCredentials:
        """Return the credentials; the role is assumed when they are first used."""
        return DeferredRefreshableCredentials(self._fetcher.fetch_credentials, self.METHOD)
