"""Paths that users write: those in a job file are relative to its folder, others to the working folder."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

_SCHEME = re.compile(r"(s3|ftp|ftps|sftp|file|https?|ssh|scp|gs|az|abfss?):(?!//)", re.IGNORECASE)
_FILE_DATABASE = re.compile(r"(?:sqlite|duckdb):///(?!/|:memory:|~)")
_LOGIN = re.compile(r"[^/@]+@[^/]*:")
_HOST = re.compile(r"[^/:]+:")
_BUCKET = re.compile(r"s3://[A-Za-z0-9._-]{3,255}(/.*)?")
_UNEXPANDED = re.compile(r"\$[A-Za-z_{(]")
_ON_PURPOSE = "./"


@dataclass(frozen=True)
class PathKey:
    """Marks a key whose texts are paths, in the annotation of its field: `Annotated[str, PathKey()]`.

    With `globs`, a text may be a pattern. A text for which `stays` is true, such as a URL, is not a path.
    """

    globs: bool = False
    stays: Callable[[str], bool] = lambda _: False

    def resolve(self, text: str, expanded: str, folder: Path) -> str:
        """Return a path, written in a document in `folder`, as an absolute one.

        `expanded` is `text` with its variables expanded, which decides; the result has the variables of `text`.
        """
        if (of_database := _FILE_DATABASE.match(text)) and _FILE_DATABASE.match(expanded):
            prefix = of_database[0]  # its path follows, which is absolute with a fourth slash
            return prefix + self.resolve(text[len(prefix) :], expanded[len(prefix) :], folder)
        if not expanded or expanded.startswith(("/", "~")) or self.stays(expanded):
            return text
        parts = PurePath(text).parts
        while parts and parts[0] == "..":  # `folder` has no links, so this is its parent
            folder, parts = folder.parent, parts[1:]
        if self.globs and glob.has_magic(expanded) and not folder.joinpath(*parts).exists():
            folder = Path(glob.escape(str(folder)))
        return str(folder.joinpath(*parts))


def expand_home(text: str) -> str:
    """Expand `~` and `~USER` to a home folder. Raises `ValueError` where there is no such user."""
    expanded = os.path.expanduser(text)  # noqa: PTH111 - a Path turns `./~` into `~`
    if expanded.startswith("~"):
        raise ValueError(f"there is no user '{text[1:].partition('/')[0]}', whose home folder that would be")
    return expanded


def safe_path() -> str:
    """Return the `PATH` without its relative folders: no program is taken from the working folder."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if os.path.isabs(folder))  # noqa: PTH117 - texts


def find_program(name: str) -> str | None:
    """Return the absolute path of a program on the `PATH`, or with an absolute path; None where there is none."""
    if "/" in name and not os.path.isabs(name):  # noqa: PTH117 - a text
        return None
    return shutil.which(name, path=safe_path())


def is_url(text: str) -> bool:
    """Whether a text is a URL."""
    return "://" in text


def is_local_or_bucket(text: str) -> bool:
    """Whether a text is not a URL, or one of S3: `s3://BUCKET/PREFIX`."""
    return not is_url(text) or bool(_BUCKET.fullmatch(text) and text.isprintable())


def why_malformed(text: str) -> str:
    """Return why a text is neither a folder nor a URL, as the rest of a sentence; empty where it is one."""
    if text.startswith(_ON_PURPOSE):
        return ""
    if is_url(text):
        scheme, _, rest = text.partition("://")
        if scheme.lower() == "file":
            return "" if rest.startswith("/") else "has no absolute path, such as file:///data/out"
        if why := _malformed_login(scheme.lower(), rest):
            return why
        return _unexpanded(rest.partition("/")[0].rpartition("@")[2])
    if match := _SCHEME.match(text):
        return f"looks like a URL without its slashes: {match[1].lower()}://"
    if _LOGIN.match(text):
        return "looks like an scp address: write sftp://USER@HOST/FOLDER"
    if _HOST.match(text):
        return "looks like an scp address, or like a URL without its slashes: write sftp://HOST/FOLDER"
    return _unexpanded(text)


def _malformed_login(scheme: str, rest: str) -> str:
    """Return what is wrong with user and password of a URL, given without its scheme, as `why_malformed` does."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in rest or ":" not in authority:
        return ""
    if scheme.startswith("s3"):
        return (
            "has a user and a password, which S3 takes from the settings of AWS: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if "@" in rest[len(authority) :] or re.search(r"[\[\]].*@", authority):
        return (
            "has characters in its password or its folder that separate the parts of a URL: write '@' as %40, ':' as "
            "%3A, '/' as %2F, '?' as %3F, '#' as %23 and '[' as %5B, or set ftp.password or sftp.password instead"
        )
    return ""


def _unexpanded(text: str) -> str:
    return (
        "contains a variable that is not expanded: variables of a job are written as ${NAME}"
        if _UNEXPANDED.search(text)
        else ""
    )


def identity_of_path(text: str) -> str:
    """Return the absolute path with the links of its folder resolved, which identifies a file in journals."""
    absolute = os.path.abspath(text)  # noqa: PTH100 - a Path keeps `..`
    folder, name = os.path.split(absolute)
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118


def exists(path: str | os.PathLike[str]) -> bool:
    """Return whether there is something at a path; not where a folder above it may not be opened, as for the next two.

    The methods of `Path` raise then; here the call that opens it says why.
    """
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a file."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder."""
    return os.path.isdir(path)  # noqa: PTH112
