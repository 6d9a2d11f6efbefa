"""What Audience Manager's receipt will say about inbound files that exist, by a list of traits (`foreseeing`)."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from converter.commands.foreseeing import FileOf, Foreseeing, Seen, TraitIndex
from converter.commands.inbound_files import find
from converter.commands.inbound_signals import chunks_of, parsed_name, why_unread
from converter.commands.traits import read_traits
from converter.errors import InputError
from converter.jobs.file_access import FileAccess
from converter.jobs.job import Job, Transfer
from converter.report.foreseen import Foreseen
from converter.sources.origins.base import Origin


def foresee(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    traits: str | os.PathLike[str],
    settings: FileAccess | Job | Transfer | str | os.PathLike[str] | None = None,
    *,
    now: float | None = None,
    threads: int | None = None,
    notify: Callable[[str], None] | None = None,
) -> Foreseen:
    """Return what the receipt will say about inbound files, as far as that is known, and which signals no trait takes.

    `files` are paths or URLs of files (plain or gzip), globs and folders, and `settings` those of the servers in URLs,
    as for `check`. `traits` is a list of traits as the API of Audience Manager returns it, as JSON or CSV
    (`converter.commands.traits`). Traits are compared with the time `now`, in UNIX
    seconds, by default the clock's. Files without signals are left out; `notify` is called with a sentence about each.
    Raises `InputError` where the list or a file cannot be read, or no file has signals.
    """
    index = TraitIndex(read_traits(traits), time.time() if now is None else now)
    document = FileAccess() if settings is None else FileAccess.of(settings)
    with document.concealing():
        found = find([files] if isinstance(files, str | os.PathLike) else files, document.access)
        read = []
        for file in found.files:
            why = why_unread(file)
            if why is None:
                read.append(file)
            elif notify:
                notify(why.message)
        counted = _counted(read, index, threads or document.run.threads or os.cpu_count() or 1)
    if not counted:
        raise InputError("E-NO-SIGNALS", "No file has signals that could be compared with traits.")
    first, *others = counted.values()
    return first.merge(others)


def _counted(files: Sequence[Origin], index: TraitIndex, workers: int) -> dict[FileOf, Foreseeing]:
    """Return what is counted of files, by what their names say."""
    counted: dict[FileOf, Foreseeing] = {}
    under_way: deque[tuple[Foreseeing, Future[Seen]]] = deque()

    def take() -> None:
        foreseeing, seen = under_way.popleft()
        foreseeing.take(seen.result())

    with ThreadPoolExecutor(workers, thread_name_prefix="traits") as pool:
        try:
            for file in files:
                kind = FileOf.of(parsed_name(file))
                if kind not in counted:
                    counted[kind] = Foreseeing(index, kind)
                for chunk in chunks_of(file):
                    under_way.append((counted[kind], pool.submit(counted[kind].look, chunk.text)))
                    if len(under_way) > workers:
                        take()
            while under_way:
                take()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return counted
