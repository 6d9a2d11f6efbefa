"""How inputs are read from Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from converter.jobs.document import Section
from converter.jobs.paths import PathKey
from converter.jobs.values import Command, PathText, check_one_way


class Gs(Section):
    """How inputs are read from Google Cloud Storage."""

    credentials_file: Annotated[PathText | None, PathKey()] = None
    """The key of a service account, or the login of gcloud, as JSON; by default the file in
    `GOOGLE_APPLICATION_CREDENTIALS`, then the login of gcloud, then the service account of the machine."""
    anonymous: bool = False
    """Whether requests are sent without credentials, as public buckets allow."""
    endpoint_url: str | None = None
    """The URL of another server with this API; by default the emulator that `STORAGE_EMULATOR_HOST` names, if set."""
    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds to wait for a connection and for an answer."""


class Az(Section):
    """How inputs are read from Azure Blob Storage, and from Data Lake Storage."""

    account: str | None = None
    """The storage account, where the URL does not name it; by default from `AZURE_STORAGE_ACCOUNT_NAME`, or from
    `AZURE_STORAGE_CONNECTION_STRING`."""
    account_key: str | None = None
    """A key of the account, such as `${AZURE_STORAGE_ACCOUNT_KEY}`, which is also used by default."""
    account_key_file: Annotated[PathText | None, PathKey()] = None
    """A file whose first line is the key."""
    account_key_command: Command = ()
    """A program that prints the key, with its arguments. It is run as `sftp.password_command` is."""
    sas_token: str | None = None
    """A shared access signature, such as `${AZURE_STORAGE_SAS_TOKEN}`, which is also used by default."""
    sas_token_file: Annotated[PathText | None, PathKey()] = None
    """A file whose first line is the signature."""
    sas_token_command: Command = ()
    """A program that prints the signature, with its arguments. It is run as `sftp.password_command` is."""
    anonymous: bool = False
    """Whether requests are sent without credentials, as public containers allow."""
    endpoint_url: str | None = None
    """The URL of another server with this API, with the account where that is part of its path; by default from
    `AZURE_STORAGE_ENDPOINT`, if set."""
    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds to wait for a connection and for an answer."""

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        ways = [f"{key}{way}" for key in ("account_key", "sas_token") for way in ("", "_file", "_command")]
        check_one_way(self, "az", ways)
        return self
