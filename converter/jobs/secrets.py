"""Secrets in what users write: environment variables (`${VAR}`) and passwords in URLs, which no message shows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from converter.errors import JobError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""A reference to an environment variable."""

_PASSWORD = re.compile(r"(://[^/:@\s]*):(?!\$\{\w+\}@)[^\s'\"]*@")
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


def conceal(text: str, variables: Mapping[str, str]) -> str:
    """Replace the values of variables, longest first, by `${VAR}`, and passwords by stars."""
    for name, value in sorted(variables.items(), key=lambda variable: -len(variable[1])):
        if len(value) >= _SHORTEST:
            text = text.replace(value, f"${{{name}}}")
    return mask_password(text)


def public(value: Any, given: Any, variables: Mapping[str, str]) -> Any:
    """Return plain data (`value`) with variables as the user wrote them (`given`), and passwords as stars."""
    if isinstance(value, dict):
        from_user = given if isinstance(given, Mapping) else {}
        return {key: public(item, from_user.get(key), variables) for key, item in value.items()}
    if isinstance(value, list):
        from_list = given if isinstance(given, list | tuple) and len(given) == len(value) else [given] * len(value)
        return [public(item, one, variables) for item, one in zip(value, from_list, strict=True)]
    if isinstance(given, str) and value is not None and VARIABLE.search(given):
        return mask_password(given)
    return conceal(value, variables) if isinstance(value, str) else value


def mask_password(url: str) -> str:
    """Return a URL with its password, if it has one, replaced by stars."""
    return _PASSWORD.sub(r"\1:***@", url)
