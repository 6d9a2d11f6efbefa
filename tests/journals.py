"""Unfinished runs as this version leaves them, kept as test data: `python -m tests.journals` writes them again.

That is right only where `converter.delivery.journal.VERSION` was raised, or before a first release: else a later version must go
on with those that are there. What differs from machine to machine stands as `@FOLDER@`, `@DIGEST@` and `@MODIFIED@`.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal, get_args

import pytest

from converter import Job, convert, send
from converter.commands.send import _digest
from converter.delivery.journal import VERSION
from converter.jobs.identity import DIGITS
from converter.jobs.job import Transfer
from converter.sources.origins.local import LocalFile

DATA = Path(__file__).parent / "data" / "journals"
MODIFIED = 1_790_000_000  # UNIX seconds
NOW = 1_790_003_600
ROWS = 600
Kind = Literal["convert", "send"]
KINDS: tuple[Kind, ...] = get_args(Kind)
EVENTS = ("arrived", "published")
SENT = [f"ftp_dpm_1234_1366545717.sync.{number}.gz" for number in (1, 2, 3, 4)]


def prepare(folder: Path) -> None:
    """Write the input of a run, and files to send."""
    files = {"in.csv": ("id,a\n" + "".join(f"{number},value {number * 7919}\n" for number in range(ROWS))).encode()}
    for number, name in enumerate(SENT):
        files[name] = gzip.compress(f'user{number}\t"a"="{number}"\n'.encode() * 10, mtime=0)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (MODIFIED, MODIFIED))


def job_of(folder: Path) -> Job:
    return Job(
        input={"path": str(folder / "in.csv")},
        id={"column": "id"},
        record={"signals": ["a"]},
        output={"to": str(folder / "out"), "dpid": 1234, "max_part_raw_bytes": 4_000},
        report={"dir": str(folder / "reports")},
    )


def transfer_of(folder: Path) -> Transfer:
    return Transfer(output={"to": str(folder / "out"), "uploads": 1}, report={"dir": str(folder / "reports")})


def run(kind: Kind, folder: Path, *, resume: bool) -> str:
    """Run, and return the outcome."""
    if kind == "convert":
        return convert(job_of(folder), now=NOW, resume=resume).outcome
    return send([folder / name for name in SENT], transfer_of(folder), now=NOW, resume=resume).outcome


def digest_of(kind: Kind, folder: Path) -> str:
    """Return the digits by which such a run is known, and that its files have in their names."""
    if kind == "convert":
        return job_of(folder).digest[:DIGITS]
    return _digest([LocalFile.at(folder / name) for name in SENT], transfer_of(folder))


def folder_of(kind: Kind, event: str) -> Path:
    return DATA / f"version-{VERSION}" / f"{kind}-{event}"


def keep(kind: Kind, event: str) -> None:
    """Let a run die, and keep what it leaves."""
    from .test_resume import KilledError, die_at

    kept = folder_of(kind, event)
    shutil.rmtree(kept, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name).resolve()
        prepare(folder)
        die_at(patch, event, 2)
        with pytest.raises(KilledError):
            run(kind, folder, resume=False)
        (journal,) = folder.glob("reports/*.journal")
        digest = digest_of(kind, folder)
        for path in (journal, *folder.glob("reports/*.partial"), *folder.glob("out/*")):
            to = kept / str(path.relative_to(folder)).replace(digest, "@DIGEST@")
            to.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            if path == journal:
                for text, mark in ((name, "@FOLDER@"), (digest, "@DIGEST@"), (str(MODIFIED * 10**9), '"@MODIFIED@"')):
                    content = content.replace(text.encode(), mark.encode())
            to.write_bytes(content)


def bring_back(kind: Kind, event: str, folder: Path) -> None:
    """Put what a run had left into a folder, beside its input."""
    digest = digest_of(kind, folder)
    kept = folder_of(kind, event)
    for path in (each for each in kept.rglob("*") if each.is_file()):
        to = folder / str(path.relative_to(kept)).replace("@DIGEST@", digest)
        to.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        if path.suffix == ".journal":
            for mark, text in (
                ("@FOLDER@", str(folder)),
                ("@DIGEST@", digest),
                ('"@MODIFIED@"', str(MODIFIED * 10**9)),
            ):
                content = content.replace(mark.encode(), text.encode())
        to.write_bytes(content)


if __name__ == "__main__":
    for kind in KINDS:
        for event in EVENTS:
            keep(kind, event)
