"""Claims to the names of a run in a folder: a file that only one process can hold, and that ends with it.

1. The file is created exclusively (`O_EXCL`), also on a mounted file system.
2. Its process locks it. A claim that is not locked, and was made on this machine, belongs to a process that has died.
3. A claim of another machine is valid until it is removed, or its job runs again.
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
from converter.delivery.locks import is_at
from converter.spec.names import FileName

_MAX_BYTES = 1_000  # of the content of a claim
_CLAIM = ".claim.partial"


def claim_path(folder: Path, name: FileName) -> Path:
    """Return the path of the claim to the names of a run: the same for all runs that want them."""
    return folder / f"{name.stem}{_CLAIM}"


def remove_dead_claims(folder: Path, owner: Owner) -> None:
    """Remove the claims of runs of this job that died on this machine; the partial files of such runs stay."""
    for path in folder.glob(f"*{_CLAIM}"):
        with contextlib.suppress(OSError):  # locked, another user's, or removed
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                content = os.pread(descriptor, _MAX_BYTES, 0)
                is_ours = content.startswith(f"{owner.digest} ".encode()) and _may_take(content, owner, own=False)
                if is_ours and is_at(descriptor, path):
                    path.unlink()
            finally:
                os.close(descriptor)


@dataclass
class Claim:
    """A claim that this process holds, and the folders that were made for it, the outermost first."""

    path: Path
    descriptor: int
    folders: list[Path]

    @classmethod
    def acquire(cls, folder: Path, name: FileName, owner: Owner, *, own: bool) -> Claim | None:
        """Make the folder and claim a name in it. Returns None where another run has it. Raises `OSError`.

        With `own`, the claim of a run of the same job that died is taken over, whatever machine it ran on.
        """
        made = [each for each in reversed([folder, *folder.parents]) if not each.exists()]
        make_folder(folder)
        path = claim_path(folder, name)
        try:
            descriptor = _open(path, owner, own=own)
        except BaseException:
            _remove_empty(made)
            raise
        return cls(path, descriptor, made) if descriptor is not None else None

    def release(self) -> None:
        """Remove the claim, and the folders that were made for it if they are empty."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)
        _remove_empty(self.folders)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders as far as they are empty."""
    with contextlib.suppress(OSError):
        for folder in reversed(folders):
            folder.rmdir()


def _open(path: Path, owner: Owner, *, own: bool) -> int | None:
    """Open and lock a claim: a new one, or one whose process has died. Returns None where another run has it."""
    while True:
        try:
            is_new, descriptor = True, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            try:
                is_new, descriptor = False, os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:  # released just now
                continue
            except PermissionError:  # another user's
                return None
        try:
            if not _lock(descriptor, is_new=is_new, own=own):
                os.close(descriptor)
                return None
            if not is_at(descriptor, path):  # released just now
                os.close(descriptor)
                continue
            if is_new or _may_take(os.pread(descriptor, _MAX_BYTES, 0), owner, own=own):
                content = _content(owner)
                os.pwrite(descriptor, content, 0)  # where that fails, the old content still names the old owner
                os.ftruncate(descriptor, len(content))
                return descriptor
        except BaseException:
            if is_new:  # an empty claim counts as one whose process waits for the lock
                with contextlib.suppress(OSError):
                    path.unlink()
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None


def _lock(descriptor: int, *, is_new: bool, own: bool) -> bool:
    """Lock a claim, and return whether that succeeded. A new claim is locked by others only while they read it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if is_new else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: only creating the file is exclusive
        return is_new or own
    return True


def _content(owner: Owner) -> bytes:
    return f"{owner.digest} {socket.gethostname()} {os.getpid()}\n".encode()


def _may_take(content: bytes, owner: Owner, *, own: bool) -> bool:
    """Return whether a claim that is not locked may be taken over: that of a process of this machine, or of the job.

    An empty claim is new: its process waits for the lock.
    """
    digest, _, rest = content.decode(errors="replace").partition(" ")
    return (own and digest == owner.digest) or rest.partition(" ")[0] == socket.gethostname()
