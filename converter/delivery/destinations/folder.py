"""A folder. Parts grow under partial names and get their final names once all are whole.

A final name is made by a hard link, which never replaces a file; where the file system has none, by looking
first, renaming then, and looking again. The names of a run are claimed by a file that only one run can have.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from isal import isal_zlib

from converter.delivery.atomic import make_folder, sync_folder
from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.claims import Claim, claim_path, forget_dead
from converter.delivery.destinations.partials import Owner, found_of, in_use, look_around, processed_names
from converter.errors import DestinationError, Finding, has_errors
from converter.spec.names import FileName

PARTIAL = ".partial"
_FLUSH_BYTES = 32 << 20  # so much is on its way to the disk before the next is sent after it
_READ_BYTES = 1 << 20
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class FolderDestination:
    """A folder on a local or mounted file system; it is made when the first part is."""

    direct = True

    def __init__(self, path: str, owner: Owner | None = None) -> None:
        self._folder = Path(path)
        self._owner = owner or Owner()
        self._claims: dict[str, Claim] = {}

    @property
    def identity(self) -> str:
        """Return the path, with every link followed."""
        return os.path.realpath(self._folder)

    def check(self, name: FileName) -> list[Finding]:
        """See that the folder can be written and holds no part of this name."""
        try:
            return [self._writable(), *self._taken(name, own=False, visible=False)]
        except OSError as error:
            return [Finding.of(_cannot("look into the folder", self._folder, error))]

    def claim(self, name: FileName, *, own: bool = False, visible: bool = False) -> list[Finding]:
        """Make the folder and claim the name in it, then see what is there: nobody else begins a part from then on."""
        try:
            findings = [self._writable()]
            if findings[0].level == "error":
                return findings
            claim = Claim.taken(self._folder, name, self._owner, own=own)
            if claim is None:
                return [*findings, in_use(claim_path(self._folder, name).name, str(self._folder))]
            self._claims[name.stem] = claim
            forget_dead(self._folder, self._owner)
            findings += self._taken(name, own=own, visible=visible)
        except OSError as error:
            findings = [Finding.of(_cannot("look into the folder", self._folder, error))]
        if has_errors(findings):
            self.release(name)
        return findings

    def release(self, name: FileName) -> None:
        """Remove the claim, and the folders that were made for it, where nothing came into them."""
        if claim := self._claims.pop(name.stem, None):
            claim.release()

    def _writable(self) -> Finding:
        place = self._folder
        while not place.exists():
            place = place.parent
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            return Finding("", f"The folder '{self._folder}' can be written.")
        advice = "Choose another one (--to), or change its permissions."
        return Finding("E-FOLDER-WRITE", f"The folder '{self._folder}' cannot be written.", advice)

    def _taken(self, name: FileName, *, own: bool, visible: bool) -> Iterator[Finding]:
        """Find files of this name, whole and partial."""
        yield from look_around(self._files(), name, str(self._folder), self._owner, own=own, visible=visible)
        if name.stem not in self._claims and claim_path(self._folder, name).exists():
            yield in_use(claim_path(self._folder, name).name, str(self._folder))

    def _files(self) -> list[str]:
        return sorted(file.name for file in self._folder.iterdir()) if self._folder.exists() else []

    def create(self, name: str) -> _FolderPart:
        """Begin a part under its partial name."""
        with self._mapped("write into"):
            make_folder(self._folder)
            return _FolderPart(self._folder / name, self._partial(name))

    def holds(self, part: Arrived) -> bool:
        """Read the part, and say whether it is what was written. What is processed may have been changed."""
        with self._mapped("read"):
            return (
                _is_same(self._folder / part.name, part)
                or _is_same(self._partial(part.name), part)
                or self._is_processed(part.name)
            )

    def publish(self, part: Arrived) -> None:
        """Give the part its final name."""
        path, partial = self._folder / part.name, self._partial(part.name)
        with self._mapped("name the parts in"):
            try:
                _name(partial, path)
            except (FileExistsError, FileNotFoundError):
                # Named before, by a run that died then; or by somebody else.
                there = path.exists() and (_is_one(partial, path) or _is_same(path, part))
                if not there and (path.exists() or not self._is_processed(part.name)):
                    raise
        try:
            partial.unlink(missing_ok=True)
            sync_folder(self._folder)
        except OSError as error:  # another run of the job tries that again
            failure = _cannot("name the parts in the folder", self._folder, error)
            failure.visible = (self.url(part.name),)
            raise failure from error

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        """Remove the partial file."""
        del state
        with self._mapped("remove parts from"):
            self._partial(name).unlink(missing_ok=True)

    def sweep(self, name: FileName, keep: Collection[Arrived]) -> None:
        """Remove the partial files of this name and job, and its claim where nobody holds it."""
        kept = {self._partial(part.name).name for part in keep}
        with self._mapped("remove parts from"):
            for each in self._files():
                found = found_of(each, name)
                ours = found and found.kind == "partial" and found.digest == self._owner.digest
                if ours and each not in kept:
                    (self._folder / each).unlink(missing_ok=True)
            if name.stem not in self._claims and claim_path(self._folder, name).exists():
                claim = Claim.taken(self._folder, name, self._owner, own=True)
                if claim:
                    claim.release()

    def url(self, name: str) -> str:
        """Return the path of the part, absolute."""
        return str((self._folder / name).absolute())

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _partial(self, name: str) -> Path:
        return self._folder / self._owner.partial(name, PARTIAL)

    def _is_processed(self, name: str) -> bool:
        return any((self._folder / each).exists() for each in processed_names(name))

    @contextlib.contextmanager
    def _mapped(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _cannot(f"{what} the folder", self._folder, error) from error


class _FolderPart:
    """One part, growing."""

    state: Mapping[str, Any] = {}

    def __init__(self, path: Path, partial: Path) -> None:
        self._path, self._partial = path, partial
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._flushing: Future[None] | None = None
        self._written = self._flushed = self._crc32 = 0
        self._file = self._partial.open("xb")

    def write(self, data: bytes | memoryview) -> None:
        """Write the next bytes; every few megabytes the disk is set to work, so that the last flush is short."""
        try:
            self._file.write(data)
            self._written += len(data)
            self._crc32 = isal_zlib.crc32(data, self._crc32)
            if self._written - self._flushed >= _FLUSH_BYTES and (self._flushing is None or self._flushing.done()):
                self._wait_for_flush()
                self._file.flush()
                self._flushed = self._written
                self._flushing = self._flusher.submit(os.fsync, self._file.fileno())
        except OSError as error:
            raise _cannot("write", self._path, error) from error

    def finish(self) -> Arrived:
        """Bring everything to the disk and check that all of it is there."""
        try:
            self._wait_for_flush()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            sync_folder(self._partial.parent)
            size = self._partial.stat().st_size
        except OSError as error:
            raise _cannot("write", self._path, error) from error
        finally:
            self._flusher.shutdown(wait=False)
        if size != self._written:
            raise DestinationError(
                "E-PART-SIZE",
                f"'{self._path}' has {size:,} bytes on disk, but {self._written:,} were written.",
                "Is the disk full or the file system damaged?",
            )
        return Arrived(self._path.name, size, self._crc32, self.state)

    def abort(self) -> None:
        """Close and remove the file."""
        self._flusher.shutdown(wait=True, cancel_futures=True)
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)

    def _wait_for_flush(self) -> None:
        if self._flushing is not None:
            self._flushing.result()
            self._flushing = None


def _is_same(path: Path, part: Arrived) -> bool:
    """Say whether a file is there and holds the bytes of a part."""
    try:
        if path.stat().st_size != part.bytes:
            return False
        crc32 = 0
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                crc32 = isal_zlib.crc32(data, crc32)
    except FileNotFoundError:
        return False
    return crc32 == part.crc32


def _is_one(partial: Path, path: Path) -> bool:
    """Say whether both names are one file's."""
    return partial.exists() and partial.samefile(path)


def _name(partial: Path, path: Path) -> None:
    """Give the file its final name without ever replacing another."""
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        ours = partial.stat().st_ino
        partial.rename(path)
        if path.stat().st_ino != ours:  # somebody else looked and renamed at the same time
            raise DestinationError(
                "E-PUBLISHED-OTHER",
                f"'{path}' was published, and replaced by another file since.",
                "Two runs have used one name: run again with another timestamp (N2).",
            ) from error


def _cannot(what: str, path: Path, error: OSError) -> DestinationError:
    hints = {
        errno.ENOSPC: "The disk is full: free some space, or write elsewhere.",
        errno.EDQUOT: "Your quota is used up: free some space, or write elsewhere.",
        errno.EACCES: "Change its permissions, or write elsewhere.",
        errno.EEXIST: "Nothing is ever overwritten: use another timestamp (N2).",
    }
    hint = hints.get(error.errno or 0, "")
    code = {errno.ENOSPC: "E-DISK-FULL", errno.EDQUOT: "E-DISK-FULL", errno.EEXIST: "E-NAME-TAKEN"}
    return DestinationError(
        code.get(error.errno or 0, "E-FOLDER-WRITE"), f"Cannot {what} '{path}': {error.strerror or error}.", hint
    )
