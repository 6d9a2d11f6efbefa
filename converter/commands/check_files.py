"""The command `check`: inbound files that exist, of any program, are checked by the rules of Audience Manager."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from converter.commands.check import Checked, check_file
from converter.commands.inbound_files import expand
from converter.errors import JobError
from converter.parts.line_checks import Problem
from converter.report.checks import CheckReport, FileCheck
from converter.spec.files import BOTH_MODES, NAME_TWICE, FileRule


def check(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    threads: int | None = None,
    notify: Callable[[str], None] | None = None,
) -> CheckReport:
    """Check inbound files and return what they break.

    `files` are paths of files, globs, and folders, of which all files are checked. As many files as `threads` (by
    default one a core) are read at the same time. `notify` is called with the path of each file that is done. Raises
    `InputError` where one cannot be read, `JobError` where there is none.
    """
    paths = expand([files] if isinstance(files, str | os.PathLike) else files, every=True)
    if not paths:
        raise JobError(
            "E-CHECK-NO-FILES", "There is no file to check.", "Name files, globs or folders: aam-inbound check FILES…"
        )
    with ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="check") as pool:
        checked = []
        for path, found in zip(paths, pool.map(check_file, paths), strict=True):
            checked.append(found)
            if notify:
                notify(str(path))
    together = _together(paths, checked)
    return CheckReport(
        [_report(path, found, rules) for path, found, rules in zip(paths, checked, together, strict=True)]
    )


def _together(paths: Sequence[Path], checked: Sequence[Checked]) -> list[list[FileRule]]:
    """Return the rules that each file breaks because of the others."""
    names = Counter(path.name for path in paths)
    modes: dict[object, set[str]] = {}
    for each in checked:
        if each.name:
            modes.setdefault((each.name.dpids, each.name.target), set()).add(each.name.mode)
    rules: list[list[FileRule]] = []
    for path, each in zip(paths, checked, strict=True):
        rules.append([NAME_TWICE] if names[path.name] > 1 else [])
        if each.name and len(modes[each.name.dpids, each.name.target]) > 1:
            rules[-1].append(BOTH_MODES)
    return rules


def _report(path: Path, checked: Checked, rules: Sequence[FileRule]) -> FileCheck:
    of_set = [Problem(rule.code, rule.name, rule.text, None, 0, rule.level, rule.page) for rule in rules]
    kind = checked.name.kind if checked.name else None
    return FileCheck(str(path), kind, checked.bytes, checked.lines, checked.raw_bytes, (*of_set, *checked.findings))
