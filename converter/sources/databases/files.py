"""Databases that are files: `sqlite:///crm.db` is relative, and `sqlite:////data/crm.db` absolute."""

from __future__ import annotations

from converter.errors import InputError
from converter.jobs.paths import expand_home, is_file

IN_MEMORY = ":memory:"


def file_of(url: str, *, in_memory: bool = False) -> str:
    """Return the path of the file that a URL names, which is there; or `:memory:`, if that is allowed.

    Raises `InputError`.
    """
    scheme, _, rest = url.partition("://")
    path = expand_home(rest.removeprefix("/"))
    if in_memory and path == IN_MEMORY:
        return path
    if not rest.startswith("/") or not is_file(path):
        raise InputError(
            "E-INPUT-MISSING",
            f"There is no file '{path}' for the input '{url}'.",
            f"After {scheme}:/// follows the path: {scheme}:///crm.db is relative, {scheme}:////data/crm.db absolute.",
        )
    return path
