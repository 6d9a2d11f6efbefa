"""Azure Blob Storage: account, endpoint and credentials, by the usual settings of Azure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from obstore.store import AzureStore

from converter.errors import JobError
from converter.jobs.sections.clouds import Az
from converter.remote.passwords import secret_of
from converter.remote.store_errors import Service
from converter.remote.stores import NO_RETRIES, StoreObjects, client_options

_SERVICE = Service(
    "az",
    "container",
    "Log in (az login), set az.account_key or az.sas_token, or AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or "
    "AZURE_STORAGE_CONNECTION_STRING, or set az.anonymous for a public container.",
    "Check that key or signature are those of the account and have not expired. Ask for the role Storage Blob Data "
    "Reader; a signature needs the permissions read and list (sp=rl).",
)
_CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
_EMULATOR = "UseDevelopmentStorage"
_EMULATOR_ACCOUNT = "devstoreaccount1"


class Account:
    """A storage account: its name, the URL of its server, and what proves who asks.

    `account` and `host` are those of the URL of the input, if it names them. Raises `JobError` where there is none, or
    where a secret cannot be read.
    """

    def __init__(self, account: str | None, host: str | None, settings: Az) -> None:
        known = _connection_string()
        wanted = account or settings.account
        if wanted and wanted != known.get("AccountName", wanted):
            known = {}
        found = wanted or known.get("AccountName") or _variable("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
        if not found:
            raise JobError(
                "E-AZ-ACCOUNT",
                "An input on Azure names no storage account.",
                "Set az.account or AZURE_STORAGE_ACCOUNT_NAME, or write "
                "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/crm.csv.",
            )
        self.name = found
        self._host = host
        self._settings = settings
        self._known = known

    @property
    def endpoint(self) -> str:
        """The URL of the server."""
        given = self._settings.endpoint_url or self._known.get("BlobEndpoint")
        if not given and self._host:
            given = f"https://{self._host.replace('.dfs.', '.blob.', 1)}"
        given = given or _variable("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
        scheme = self._known.get("DefaultEndpointsProtocol", "https")
        suffix = self._known.get("EndpointSuffix", "core.windows.net")
        return (given or f"{scheme}://{self.name}.blob.{suffix}").rstrip("/")

    def proof(self) -> dict[str, Any]:
        """Return the settings of obstore for the credentials; none where it looks for them itself."""
        settings = self._settings
        if settings.anonymous:
            return {"skip_signature": True}
        key = secret_of("az.account_key", settings.account_key, settings.account_key_file, settings.account_key_command)
        token = secret_of("az.sas_token", settings.sas_token, settings.sas_token_file, settings.sas_token_command)
        if not (key or token) and _EMULATOR in self._known:
            return {"use_emulator": True}  # obstore knows its key, which is the same everywhere
        if not (key or token):
            key, token = self._known.get("AccountKey"), self._known.get("SharedAccessSignature")
        if key:
            return {"account_key": key, "credential_type": "access_key"}
        if token:
            return {"sas_key": token, "credential_type": "sas_token"}
        return {"use_azure_cli": True} if _is_logged_in() else {}


def az_objects(container: str, root: str, account: Account, timeout: float) -> StoreObjects:
    """Return the objects of a container, whose URL is `root`; nothing is connected yet."""

    def connect() -> AzureStore:
        return AzureStore(
            container,
            config={"account_name": account.name, "endpoint": account.endpoint, **account.proof()},  # type: ignore[arg-type]
            client_options=client_options(timeout, account.endpoint),
            retry_config=NO_RETRIES,
        )

    return StoreObjects(root, connect, _SERVICE, timeout)


def _variable(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _is_logged_in() -> bool:
    """Return whether the command az has a login: it is asked before the machine, which may have none."""
    folder = Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure")
    return shutil.which("az") is not None and (folder / "azureProfile.json").exists()


def _connection_string() -> dict[str, str]:
    """Return the parts of the connection string of the environment."""
    text = os.environ.get(_CONNECTION_STRING, "")
    if not text:
        return {}
    parts = dict(each.strip().partition("=")[::2] for each in text.split(";") if each.strip())
    if parts.get(_EMULATOR, "").lower() == "true":
        server = os.environ.get("AZURITE_BLOB_STORAGE_URL", "http://127.0.0.1:10000")
        return {_EMULATOR: "true", "AccountName": _EMULATOR_ACCOUNT, "BlobEndpoint": f"{server}/{_EMULATOR_ACCOUNT}"}
    if "AccountName" not in parts and "BlobEndpoint" in parts:
        host, _, path = parts["BlobEndpoint"].partition("://")[2].partition("/")
        parts["AccountName"] = path.strip("/") or host.partition(".")[0]
    if not parts.get("AccountName"):
        raise JobError(
            "E-AZ-CONNECTION-STRING",
            f"{_CONNECTION_STRING} names no account.",
            "Copy it again: AccountName=…;AccountKey=…, or BlobEndpoint=…;SharedAccessSignature=….",
        )
    return parts
