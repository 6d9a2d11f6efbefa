"""The command `check`: inbound files that exist, of any program, are checked by the rules of Audience Manager."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from converter import kernel
from converter.commands.check import Checked, Workers, check_file, name_of, users_over
from converter.commands.check_pairs import SyncFile, pairs_over
from converter.commands.inbound_files import find
from converter.errors import JobError
from converter.jobs.file_access import FileAccess
from converter.jobs.job import Job, Transfer
from converter.jobs.paths import is_file
from converter.jobs.sections.run import RunOptions
from converter.parts.line_pairs import PairCounters
from converter.parts.line_users import MOST_THREADS, ExactCounts, UserCounters
from converter.parts.problems import Problem, in_order
from converter.report.checks import CheckReport, FileCheck
from converter.sources.origins.base import Origin
from converter.spec.files import BOTH_MODES, NAME_TWICE, PAIRS_UNCOUNTED, USERS_UNCOUNTED, FileRule
from converter.spec.names import OF_IDS, STARTS_OF_IDS, WITH_SIGNALS, Kind

_RATIO = 6  # of text to gzip, about
_UNKNOWN_BYTES = 1 << 30


def check(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    settings: FileAccess | Job | Transfer | str | os.PathLike[str] | None = None,
    *,
    threads: int | None = None,
    notify: Callable[[str], None] | None = None,
) -> CheckReport:
    """Check inbound files and return what they break.

    `files` are paths or URLs of files, globs, and folders, of which all files are checked. `settings` are those of the
    servers in URLs: a `FileAccess`, a job, or the path of a job file. `threads` check lines at the same time, by
    default one a core. `notify` is called with the path of each file that is done. Raises `InputError` where a file
    cannot be read, `JobError` where there is none.
    """
    document = FileAccess() if settings is None else FileAccess.of(settings)
    with document.concealing():
        found = find([files] if isinstance(files, str | os.PathLike) else files, document.access)
        if not found.files:
            hint = "Name files, globs or folders: aam-inbound check FILES…"
            raise JobError("E-CHECK-NO-FILES", "There is no file to check.", hint)
        checked = check_all(found.files, threads or document.run.threads, notify, document.run)
        together = _together(found.files, checked)
    reports = [_report(*each) for each in zip(found.files, checked, together, strict=True)]
    return CheckReport(reports, found.left_out)


def check_all(
    files: Sequence[Origin],
    threads: int | None = None,
    notify: Callable[[str], None] | None = None,
    run: RunOptions | None = None,
) -> list[Checked]:
    """Check files by the rules on each of them, and return what is known of each.

    `run` says how much memory there is for IDs that may have too many others. Raises `InputError`.
    """
    threads = min(threads or os.cpu_count() or 1, MOST_THREADS)
    of_ids = [file for file in files if name_of(file).startswith(STARTS_OF_IDS)]
    counters = UserCounters(sum(map(_text_bytes, files)) - sum(map(_text_bytes, of_ids)), kernel.load())
    pairs = PairCounters(sum(map(_text_bytes, of_ids)), kernel.load()) if of_ids else None
    with ExitStack() as stack:

        def pool_of(name: str) -> Executor:
            return stack.enter_context(ThreadPoolExecutor(threads, thread_name_prefix=name))

        workers = Workers(pool_of("check") if threads > 1 else None, counters=counters, pairs=pairs)
        checked: list[Checked] = []
        readers = pool_of("read")
        reading = [readers.submit(check_file, file, workers) for file in files]
        stack.callback(readers.shutdown, cancel_futures=True)
        for file, found in zip(files, reading, strict=True):
            checked.append(found.result())
            if notify:
                notify(file.label)
    if counters.may_be_over:
        checked = _with_users(files, checked, counters)
    if pairs and pairs.may_be_over:
        checked = _with_pairs(files, checked, pairs, run or RunOptions())
    return checked


def _text_bytes(file: Origin) -> int:
    """Return about how much text a file has."""
    size = file.size or _UNKNOWN_BYTES  # that of a pipe is 0
    return size * _RATIO if name_of(file).endswith(".gz") else size


def _with_users(files: Sequence[Origin], checked: Sequence[Checked], counters: UserCounters) -> list[Checked]:
    """Add the lines of users beyond the limit (C7): those of all files of a timestamp count, in the order of parts."""
    found = list(checked)
    for parts in _runs(files, checked, WITH_SIGNALS):
        exact = ExactCounts(kernel.load())
        for index in parts:
            each = found[index]
            if each.name and not exact.is_full:
                over = users_over(files[index], each.name, counters, exact)
                found[index] = replace(each, findings=in_order([*each.findings, *over.in_order()]))
    return _with_uncounted(files, found, WITH_SIGNALS, USERS_UNCOUNTED)


def _with_pairs(
    files: Sequence[Origin], checked: Sequence[Checked], pairs: PairCounters, run: RunOptions
) -> list[Checked]:
    """Add the lines with which IDs have too many others (I4, I5), in all files of a timestamp."""
    found = list(checked)
    for parts in _runs(files, checked, OF_IDS):
        named = [SyncFile(files[index], name) for index in parts if (name := found[index].name)]
        for index, over in zip(parts, pairs_over(named, pairs, run), strict=True):
            found[index] = replace(found[index], findings=in_order([*found[index].findings, *over]))
    return _with_uncounted(files, found, OF_IDS, PAIRS_UNCOUNTED)


def _with_uncounted(
    files: Sequence[Origin], checked: Sequence[Checked], kinds: Sequence[Kind], rule: FileRule
) -> list[Checked]:
    """Add a hint to the files of some kinds that cannot be read again."""
    hint = Problem(rule.code, rule.name, rule.text, None, 0, rule.level, rule.page, rule.fix)
    return [
        replace(each, findings=in_order([*each.findings, hint]))
        if each.name and each.name.kind in kinds and each.lines and not _is_readable_again(file)
        else each
        for file, each in zip(files, checked, strict=True)
    ]


def _is_readable_again(file: Origin) -> bool:
    return file.rereadable and (file.path is None or is_file(file.path))


def _runs(files: Sequence[Origin], checked: Sequence[Checked], kinds: Sequence[Kind]) -> list[list[int]]:
    """Return the files of some kinds that can be read again, by their indices: those of a timestamp, in their order."""
    runs: dict[str, list[tuple[int, int]]] = {}
    for index, (file, each) in enumerate(zip(files, checked, strict=True)):
        if each.name and each.name.kind in kinds and each.lines and _is_readable_again(file):
            runs.setdefault(each.name.stem, []).append((each.name.split or 0, index))
    return [[index for _, index in sorted(parts)] for parts in runs.values()]


def _together(files: Sequence[Origin], checked: Sequence[Checked]) -> list[list[FileRule]]:
    """Return the rules that each file breaks because of the others."""
    names = Counter(map(name_of, files))
    modes: dict[object, set[str]] = {}
    for each in checked:
        if each.name:
            modes.setdefault((each.name.dpids, each.name.target), set()).add(each.name.mode)
    rules: list[list[FileRule]] = []
    for file, each in zip(files, checked, strict=True):
        rules.append([NAME_TWICE] if names[name_of(file)] > 1 else [])
        if each.name and len(modes[each.name.dpids, each.name.target]) > 1:
            rules[-1].append(BOTH_MODES)
    return rules


def _report(file: Origin, checked: Checked, rules: Sequence[FileRule]) -> FileCheck:
    of_set = [Problem(each.code, each.name, each.text, None, 0, each.level, each.page, each.fix) for each in rules]
    kind = checked.name.kind if checked.name else None
    findings = (*of_set, *checked.findings)
    return FileCheck(file.label, kind, checked.bytes, checked.lines, checked.raw_bytes, findings, checked.figures)
