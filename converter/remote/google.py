"""Google Cloud Storage: endpoint and credentials, by the usual settings of Google."""

from __future__ import annotations

import os

from obstore.store import GCSStore

from converter.jobs.sections.clouds import Gs
from converter.remote.store_errors import Service
from converter.remote.stores import NO_RETRIES, StoreObjects, client_options

_SERVICE = Service(
    "gs",
    "bucket",
    "Log in (gcloud auth application-default login), set gs.credentials_file or GOOGLE_APPLICATION_CREDENTIALS, or set "
    "gs.anonymous for a public bucket.",
    "Ask for the role Storage Object Viewer of the bucket (storage.objects.get and storage.objects.list).",
)


def gs_endpoint(settings: Gs) -> str | None:
    """Return the URL of the server where that is not Google's."""
    if settings.endpoint_url:
        return settings.endpoint_url.rstrip("/")
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
    return emulator if not emulator or "://" in emulator else f"http://{emulator}"


def gs_objects(bucket: str, settings: Gs) -> StoreObjects:
    """Return the objects of a bucket; nothing is connected yet."""

    def connect() -> GCSStore:
        endpoint = gs_endpoint(settings) or None
        is_emulator = endpoint is not None and not settings.endpoint_url  # emulators know no credentials
        config = {
            "base_url": endpoint,
            "application_credentials": settings.credentials_file,
            "skip_signature": settings.anonymous or (is_emulator and not settings.credentials_file) or None,
        }
        return GCSStore(
            bucket,
            config={key: value for key, value in config.items() if value is not None},  # type: ignore[arg-type]
            client_options=client_options(settings.timeout, endpoint),
            retry_config=NO_RETRIES,
        )

    return StoreObjects(f"gs://{bucket}", connect, _SERVICE, settings.timeout)
