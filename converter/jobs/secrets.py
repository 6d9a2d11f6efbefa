"""Secrets in what users write: environment variables (`${VAR}`) and passwords, which no message shows."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from converter.errors import JobError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""A reference to an environment variable."""

SECRET_KEYS = {"password", "key_passphrase", "account_key", "sas_token"}
"""Keys of sections whose values are secrets."""

# As `urlsplit` parses the URL that a client connects to: the authority ends at the first of `/?#`, the password is what
# is between the first colon and the last `@`. A malformed URL with an `@` after its authority is masked up to that.
_PASSWORD = re.compile(r"(://[^/?#:]*):(?!\$\{\w+\}@)(.*)@", re.DOTALL)
_PARAMETER = re.compile(r"([?&](?:ssl)?password=)(?!\$\{\w+\}(?:[&#]|$))([^&#]+)", re.IGNORECASE)  # of PostgreSQL
_IN_AUTHORITY = re.compile(r"(://[^/?#:]*):[^/?#]*@")
_QUERY = re.compile(r"(?i)\b((?:https?|az|abfss?)://[^\s?#]*)\?[^\s#'\"]+")  # it may be a signature
_SHORTEST = 3  # characters of a value that is concealed: a shorter one is anywhere by chance


def expand(value: Any, path: tuple[str, ...]) -> Any:
    """Replace `${VAR}` in all texts of nested data by the values of environment variables.

    `path` are the names of the keys that lead to `value`. Raises `JobError` where a variable is not set.
    """
    if isinstance(value, Mapping):
        return {key: expand(item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [expand(item, path) for item in value]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise JobError(
                "E-VARIABLE-UNSET",
                f"{'.'.join(path)} uses the environment variable {match[1]}, which is not set.",
                f"Set {match[1]}.",
            )
        return os.environ[match[1]]

    return VARIABLE.sub(variable, value)


def variables_in(given: Any) -> dict[str, str]:
    """Return the environment variables that nested data refers to: values by name."""
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, list | tuple):
        return {name: value for item in given for name, value in variables_in(item).items()}
    return {name: os.environ.get(name, "") for name in VARIABLE.findall(given)} if isinstance(given, str) else {}


def passwords_in(given: Any) -> Iterator[str]:
    """Yield the passwords in nested data with its variables expanded: values of `SECRET_KEYS`, and those of URLs."""
    if isinstance(given, Mapping):
        for key, item in given.items():
            yield from _texts_in(item) if key in SECRET_KEYS else passwords_in(item)
    elif isinstance(given, list | tuple):
        for item in given:
            yield from passwords_in(item)
    elif isinstance(given, str) and "://" in given:
        for match in (*_PASSWORD.finditer(given), *_PARAMETER.finditer(given)):
            yield from (match[2], unquote(match[2]))


def _texts_in(given: Any) -> Iterator[str]:
    """Yield all values in nested data, as texts."""
    if isinstance(given, Mapping | list | tuple):
        for item in given.values() if isinstance(given, Mapping) else given:
            yield from _texts_in(item)
    elif given is not None:
        yield str(given)


def conceal(text: str, variables: Mapping[str, str], passwords: Collection[str] = ()) -> str:
    """Replace the values of variables, longest first, by `${VAR}`, and passwords by stars, anywhere in a text."""
    for name, value in sorted(variables.items(), key=lambda variable: -len(variable[1])):
        if len(value) >= _SHORTEST:
            text = text.replace(value, f"${{{name}}}")
    for password in sorted(filter(None, passwords), key=len, reverse=True):
        text = text.replace(f":{password}@", ":***@")
        if len(password) >= _SHORTEST:
            text = text.replace(password, "***")
    return text


def public(value: Any, given: Any, variables: Mapping[str, str]) -> Any:
    """Return plain data (`value`) with variables as the user wrote them (`given`), and passwords of URLs as stars."""
    if isinstance(value, dict):
        from_user = given if isinstance(given, Mapping) else {}
        return {key: public(item, from_user.get(key), variables) for key, item in value.items()}
    if isinstance(value, list):
        from_list = given if isinstance(given, list | tuple) and len(given) == len(value) else [given] * len(value)
        return [public(item, one, variables) for item, one in zip(value, from_list, strict=True)]
    if isinstance(given, str) and value is not None and VARIABLE.search(given):
        return mask_password(given)
    return mask_password(conceal(value, variables)) if isinstance(value, str) else value


def mask_password(url: str) -> str:
    """Return a URL, or a text that ends with one, with its password and its query replaced by stars.

    Of the URL of a database only passwords in the query are replaced.
    """
    masked = _QUERY.sub(r"\1?***", _PASSWORD.sub(r"\1:***@", url))
    return _PARAMETER.sub(r"\1***", masked) if "://" in masked else masked


def without_password(url: str) -> str:
    """Return a URL without its password."""
    return _PARAMETER.sub(r"\1", _IN_AUTHORITY.sub(r"\1@", url))
