"""Claims to the names of a run in a folder: a file that one process alone can hold, and that goes with it.

1. The file is made so that only one can make it (`O_EXCL`), also on a mounted file system.
2. Its maker locks it. Who finds it unlocked, on the same machine, finds the claim of a process that has died.
3. A claim of another machine's holds until it is removed, or its job is run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from converter.delivery.atomic import make_folder
from converter.delivery.destinations.partials import Owner
from converter.spec.names import FileName

_LONGEST = 1_000  # bytes of what is in a claim


_CLAIM = ".claim.partial"


def claim_path(folder: Path, name: FileName) -> Path:
    """Return where the claim to the names of a run is: one for all who want them."""
    return folder / f"{name.stem}{_CLAIM}"


def forget_dead(folder: Path, owner: Owner) -> None:
    """Remove the claims of runs of this job that have died on this machine: what they began shows by itself."""
    for path in folder.glob(f"*{_CLAIM}"):
        with contextlib.suppress(OSError):  # held, somebody else's, or gone
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                said = os.pread(descriptor, _LONGEST, 0)
                is_ours = said.startswith(f"{owner.digest} ".encode()) and _may_take(said, owner, own=False)
                if is_ours and is_at(descriptor, path):
                    path.unlink()
            finally:
                os.close(descriptor)


@dataclass
class Claim:
    """A claim that is held, and the folders that were made for it, the outermost first."""

    path: Path
    descriptor: int
    folders: list[Path]

    @classmethod
    def taken(cls, folder: Path, name: FileName, owner: Owner, *, own: bool) -> Claim | None:
        """Make the folder and claim a name in it; nothing where somebody else has it. Raises `OSError`.

        With `own`, the claim of a run of the same job is taken over, wherever that has died.
        """
        made = [each for each in reversed([folder, *folder.parents]) if not each.exists()]
        make_folder(folder)
        path = claim_path(folder, name)
        try:
            descriptor = _opened(path, owner, own=own)
        except BaseException:
            _remove(made)
            raise
        return cls(path, descriptor, made) if descriptor is not None else None

    def release(self) -> None:
        """Remove the claim, and the folders where they are empty."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)
        _remove(self.folders)


def _remove(folders: list[Path]) -> None:
    """Remove folders that were made, as far as they are empty."""
    with contextlib.suppress(OSError):
        for folder in reversed(folders):
            folder.rmdir()


def _opened(path: Path, owner: Owner, *, own: bool) -> int | None:
    """Open and lock a claim, a new one or one that nobody holds any more."""
    while True:
        try:
            is_new, descriptor = True, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            try:
                is_new, descriptor = False, os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:  # released just now
                continue
            except PermissionError:  # somebody else's
                return None
        try:
            if not _locked(descriptor, is_new=is_new, own=own):
                os.close(descriptor)
                return None
            if not is_at(descriptor, path):  # released just now
                os.close(descriptor)
                continue
            if is_new or _may_take(os.pread(descriptor, _LONGEST, 0), owner, own=own):
                said = _said(owner)
                os.pwrite(descriptor, said, 0)  # where that fails, what was there still says whose it is
                os.ftruncate(descriptor, len(said))
                return descriptor
        except BaseException:
            if is_new:  # empty, it would look as if its maker waited for the lock
                with contextlib.suppress(OSError):
                    path.unlink()
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None


def _locked(descriptor: int, *, is_new: bool, own: bool) -> bool:
    """Lock a claim. That of this run's own making can only be locked for the moment in which somebody looks into it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if is_new else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: whether the file could be made is all that can be known
        return is_new or own
    return True


def _said(owner: Owner) -> bytes:
    return f"{owner.digest} {socket.gethostname()} {os.getpid()}\n".encode()


def _may_take(said: bytes, owner: Owner, *, own: bool) -> bool:
    """Say whether a claim that is not locked is that of a process that has died: of this machine's, or of the job's.

    What is empty was made just now: its maker waits for the lock.
    """
    digest, _, rest = said.decode(errors="replace").partition(" ")
    return (own and digest == owner.digest) or rest.partition(" ")[0] == socket.gethostname()


def is_at(descriptor: int, path: Path) -> bool:
    """Say whether a file that is open is still the one at a path."""
    try:
        found, held = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (found.st_ino, found.st_dev) == (held.st_ino, held.st_dev)
