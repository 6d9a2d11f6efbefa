"""What identifies runs and destinations, also to later runs and versions: digests of settings, without secrets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from converter.jobs.document import Section, path_keys
from converter.jobs.paths import identity_of_path, is_url
from converter.jobs.secrets import without_password
from converter.jobs.sections.output import Target
from converter.jobs.sections.servers import S3
from converter.jobs.sections.table import Table

IDENTITY_VERSION = 1
"""Part of the identity of runs. A new number means that runs of earlier versions are not found."""
DIGITS = 12
"""The number of digits of a job's digest in the names of journals, reports and partial files."""
_OF_ACCESS = {"password", "password_file", "password_command"}  # keys of `input` that do not change what is read


def destination_of(target: Target, s3: S3) -> list[str | None]:
    """Return the identity of a destination, without passwords."""
    scheme, _, rest = target.url.partition("://")
    local = rest if scheme.lower() == "file" else "" if is_url(target.url) else target.url
    url = identity_of_path(local) if local else without_password(target.url).rstrip("/")
    bucket = rest.partition("/")[0]
    return [url, target.partner, s3.of(bucket).endpoint_url]


def settings_in(value: Any) -> Any:
    """Return settings as plain data, without the keys of sections that have their defaults."""
    if isinstance(value, Section):
        paths = dict(path_keys(type(value)))
        return {
            name: _identify_paths(found) if name in paths else settings_in(found)
            for name, field in type(value).model_fields.items()
            if (found := getattr(value, name)) != field.get_default(call_default_factory=True)
            and not (isinstance(value, Table) and name in _OF_ACCESS)
        }
    if isinstance(value, Mapping):
        return {name: settings_in(found) for name, found in value.items()}
    return [settings_in(found) for found in value] if isinstance(value, tuple) else value


def _identify_paths(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_identify_paths(path) for path in value]
    return without_password(value) if is_url(value) else identity_of_path(value)


def identity(settings: Any) -> str:
    """Return a digest that identifies what a run does, also to later runs and versions."""
    document = json.dumps([IDENTITY_VERSION, settings], sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()
