"""Which files are read: those that are named, and of folders those with names of outbound files.

A control file beside files that are named alone is searched for by their names, also with the other mode, since these
differ in Adobe's example.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from converter.commands.outbound.control import Control, Expected, read_control, without_packing
from converter.errors import Finding, InputError, redact
from converter.jobs.access import Access
from converter.jobs.paths import is_folder
from converter.report.texts import counted
from converter.sources.origins import expand
from converter.sources.origins.base import Found, LeftOut, Origin
from converter.spec.names import FileName
from converter.spec.outbound import NAME_UNKNOWN, OutboundName

_INFO = ".info"
_MOST_LOOKED_FOR = 64  # control files, on a server each takes a request
_UNLISTED = ("http://", "https://")
"""Places where there is most likely nothing beside a file: URLs of one file often have a signature."""


class Outbound(NamedTuple):
    """An outbound file: where it is, what its name says, and what a control file says about it, if one does."""

    origin: Origin
    file_name: str
    name: OutboundName
    expected: Expected | None = None


class FoundFiles(NamedTuple):
    """The files to read, in the order in which they are; `missing` are those that control files name beside them."""

    files: Sequence[Outbound]
    controls: Sequence[Control]
    missing: Sequence[Expected]
    left_out: Sequence[LeftOut]
    warnings: Sequence[Finding]


def find(paths: Iterable[str], access: Access, *, verify: bool) -> FoundFiles:
    """Return the files that paths name, and what control files say about them if `verify`.

    Raises `InputError` where there is none, or one is an inbound file or a control file that cannot be read.
    """
    origins: dict[Hashable, tuple[Origin, bool]] = {}
    left_out: list[LeftOut] = []
    warnings: list[Finding] = []
    for path in dict.fromkeys(paths):
        found = _expanded(path, access)
        left_out += found.left_out
        warnings += found.warnings
        alone = len(found.origins) == 1 and file_name_of(found.origins[0]) == _last(path)
        for origin in found.origins:
            known = origins.setdefault(origin.identity, (origin, alone))
            if known[0].label != origin.label:
                left_out.append(LeftOut(origin.label, "repeated"))
    files, infos = [], []
    for origin, alone in origins.values():
        if file_name_of(origin).lower().endswith(_INFO):
            infos.append(origin)
        elif outbound := _outbound(origin, alone=alone):
            files.append(outbound)
        else:
            left_out.append(LeftOut(origin.label, "foreign"))
    if not files:
        raise InputError(
            "E-INPUT-MISSING",
            f"There is no outbound file among {counted(len(origins), 'file')}.",
            "Their names end in .sync or .sync.gz (O1); files with other names are read if they are named themselves.",
        )
    given = [read_control(origin) for origin in infos] if verify else []
    controls = [*given, *(_beside(files, given, access) if verify else ())]
    return _compared(files, given, controls)._replace(left_out=left_out, warnings=warnings)


def _expanded(path: str, access: Access) -> Found:
    try:
        return expand(path, lambda _: "outbound", access)
    except InputError as error:
        if error.code == "E-INPUT-MISSING" and is_folder(path):
            raise InputError(
                error.code,
                f"The folder '{path}' holds no outbound file.",
                "Their names end in .sync or .sync.gz (O1). Folders in it are read by a glob, such as "
                f"'{path.rstrip('/')}/**/*'.",
            ) from error
        raise


def file_name_of(origin: Origin) -> str:
    """Return the last part of the path or URL of a file."""
    return _last(origin.label)


def _last(path: str) -> str:
    path = path.partition("?")[0] if path.lower().startswith(_UNLISTED) else path
    name = PurePosixPath(path).name
    return unquote(name) if path.lower().startswith(_UNLISTED) else name


def _outbound(origin: Origin, *, alone: bool) -> Outbound | None:
    """Return a file with what its name says; `None` where that is not an outbound file's, unless it is named itself."""
    file_name = file_name_of(origin)
    with contextlib.suppress(ValueError):
        FileName.parse(file_name)
        if not alone:
            return None
        raise InputError(
            "E-OUTBOUND-INBOUND",
            f"'{redact(file_name)}' is the name of an inbound file, which goes to Audience Manager (N1).",
            "Outbound files have names such as ftp_1234_20914_full_1486140844000.sync.gz (O1).",
        )
    try:
        return Outbound(origin, file_name, OutboundName.parse(without_packing(file_name)))
    except ValueError:
        return Outbound(origin, file_name, OutboundName(file_name, assumed=(NAME_UNKNOWN,))) if alone else None


def _beside(files: Sequence[Outbound], given: Sequence[Control], access: Access) -> Iterator[Control]:
    """Yield the control files beside files that no given one names."""
    named = {without_packing(each.name) for control in given for each in control.files}
    wanted: dict[str, None] = {}
    for file in files:
        label = file.origin.label
        if without_packing(file.file_name) not in named and _may_have_more(file):
            folder = label[: len(label) - len(file.file_name)]
            wanted |= dict.fromkeys(f"{folder}{name}" for name in file.name.info_names)
    for path in list(wanted)[:_MOST_LOOKED_FOR]:
        found: Sequence[Origin] = ()
        with contextlib.suppress(InputError):  # there is none; the warning that nothing was compared says so
            found = expand(path, lambda _: "outbound", access).origins
        yield from map(read_control, found)


def _may_have_more(file: Outbound) -> bool:
    """Return whether something may be beside a file."""
    is_listed = file.origin.rereadable and not file.origin.label.lower().startswith(_UNLISTED)
    return is_listed and NAME_UNKNOWN not in file.name.assumed


def _compared(files: Sequence[Outbound], given: Sequence[Control], controls: Sequence[Control]) -> FoundFiles:
    """Return the files with what is said about each, and those that are missing beside a control file that is given."""
    expected: dict[str, Expected] = {}
    for control in controls:
        for each in control.files:
            expected.setdefault(each.name, each)
    unpacked = {without_packing(name): each for name, each in expected.items()}
    named = [
        file._replace(
            expected=expected.get(file.file_name) or unpacked.get(without_packing(file.file_name)),
        )
        for file in files
    ]
    there = {without_packing(file.file_name) for file in files}
    missing = [each for control in given for each in control.files if without_packing(each.name) not in there]
    return FoundFiles(named, controls, missing, (), ())
