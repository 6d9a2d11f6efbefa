"""Paths that a user writes: those of a job file are relative to it, others to the working folder; `~` is a home."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

_SCHEME = re.compile(r"(s3|ftp|ftps|sftp|file|https?|ssh|scp|gs):(?!//)", re.IGNORECASE)
_LOGIN = re.compile(r"[^/@]+@[^/]*:")
_HOST = re.compile(r"[^/:]+:")
_UNEXPANDED = re.compile(r"\$[A-Za-z_{(]")
_ON_PURPOSE = "./"


@dataclass(frozen=True)
class PathKey:
    """Marks a key whose texts are paths, in the annotation of its field: `Annotated[str, PathKey()]`.

    With `globs`, a text may be a pattern. What `stays` is true for is no path, but a URL, say.
    """

    globs: bool = False
    stays: Callable[[str], bool] = lambda _: False

    def located(self, text: str, expanded: str, folder: Path) -> str:
        """Return a text of a document in a folder, relative to nothing.

        `expanded` is the text with its variables replaced; it decides, but they stay in what is returned.
        """
        if not expanded or expanded.startswith(("/", "~")) or self.stays(expanded):
            return text
        parts = PurePath(text).parts
        while parts and parts[0] == "..":  # the folder is a real one, so this is its parent
            folder, parts = folder.parent, parts[1:]
        if self.globs and glob.has_magic(expanded) and not folder.joinpath(*parts).exists():
            folder = Path(glob.escape(str(folder)))
        return str(folder.joinpath(*parts))


def expand_home(text: str) -> str:
    """Put a home folder in place of `~` or `~USER`. Raises `ValueError` where there is no such user."""
    expanded = os.path.expanduser(text)  # noqa: PTH111 - a Path would take `./~` for `~`
    if expanded.startswith("~"):
        raise ValueError(f"there is no user '{text[1:].partition('/')[0]}', whose home folder that would be")
    return expanded


def is_url(text: str) -> bool:
    """Whether a text names something by a scheme."""
    return "://" in text


def malformed(text: str) -> str:
    """Say what a folder or a URL was most likely meant to be instead; nothing where it is all right."""
    if text.startswith(_ON_PURPOSE):
        return ""
    if is_url(text):
        scheme, _, rest = text.partition("://")
        if scheme.lower() == "file":
            return "" if rest.startswith("/") else "names no path from the root, such as file:///data/out"
        return _unexpanded(rest.partition("/")[0].rpartition("@")[2])
    if match := _SCHEME.match(text):
        return f"looks like a URL that lacks its slashes: {match[1].lower()}://"
    if _LOGIN.match(text):
        return "looks like an address of scp: write sftp://USER@HOST/FOLDER"
    if _HOST.match(text):
        return "looks like an address of scp, or a URL that lacks its slashes: write sftp://HOST/FOLDER"
    return _unexpanded(text)


def _unexpanded(text: str) -> str:
    return "holds a variable that nothing replaces: in a job, variables are ${NAME}" if _UNEXPANDED.search(text) else ""


def identity_of_path(text: str) -> str:
    """Return a path by which it is known again, from whichever folder and on whichever way that was reached."""
    absolute = os.path.abspath(text)  # noqa: PTH100 - a Path would keep `..`
    folder, name = os.path.split(absolute)
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118
