"""A folder. Parts grow under partial names and get their final names once all are whole.

A final name never replaces a file. The names of a run are claimed by a file that only one run can have.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from isal import isal_zlib

from converter.delivery.atomic import PARTIAL, AtomicFile, make_folder, rename_exclusively, sync_folder
from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.claims import Claim, claim_path, remove_dead_claims
from converter.delivery.destinations.partials import Owner, find_obstacles, name_in_use, parse_listed, processed_names
from converter.errors import DestinationError, Finding, has_errors
from converter.spec.names import FileName

_FLUSH_BYTES = 32 << 20  # between two flushes
_READ_BYTES = 1 << 20


class FolderDestination:
    """A folder on a local or mounted file system; it is made with the first part."""

    direct = True
    at_once = None

    def __init__(self, path: str, owner: Owner | None = None) -> None:
        self._folder = Path(path)
        self._owner = owner or Owner()
        self.on_retry: Callable[[str], None] = lambda _: None  # no client repeats requests by itself
        self._claims: dict[str, Claim] = {}

    @property
    def identity(self) -> str:
        """Return the path, with all links resolved."""
        return os.path.realpath(self._folder)

    def check(self, name: FileName) -> list[Finding]:
        """Check that the folder can be written and has no part of this name."""
        try:
            return [self._writable(), *self._taken(name, own=False, visible=False)]
        except OSError as error:
            return [Finding.of(_error("read the folder", self._folder, error))]

    def claim(self, name: FileName, *, own: bool = False, visible: bool = False) -> list[Finding]:
        """Make the folder and claim the name in it, then check for parts: no other run begins one from then on."""
        try:
            findings = [self._writable()]
            if findings[0].level == "error":
                return findings
            claim = Claim.acquire(self._folder, name, self._owner, own=own)
            if claim is None:
                return [*findings, name_in_use(claim_path(self._folder, name).name, str(self._folder))]
            self._claims[name.stem] = claim
            remove_dead_claims(self._folder, self._owner)
            findings += self._taken(name, own=own, visible=visible)
        except OSError as error:
            findings = [Finding.of(_error("read the folder", self._folder, error))]
        if has_errors(findings):
            self.release(name)
        return findings

    def release(self, name: FileName) -> None:
        """Remove the claim, and the folders that were made for it if they are empty."""
        if claim := self._claims.pop(name.stem, None):
            claim.release()

    def _writable(self) -> Finding:
        folder = self._folder
        while not folder.exists():
            folder = folder.parent
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return Finding("", f"The folder '{self._folder}' can be written.")
        if not folder.is_dir():
            why = f"The folder '{self._folder}' cannot be made: '{folder}' is a file."
            return Finding("E-FOLDER-WRITE", why, "Choose another folder (--to).")
        advice = "Choose another one (--to), or change its permissions."
        return Finding("E-FOLDER-WRITE", f"The folder '{self._folder}' cannot be written.", advice)

    def _taken(self, name: FileName, *, own: bool, visible: bool) -> Iterator[Finding]:
        """Find published and partial files of this name, and a claim to it."""
        yield from find_obstacles(self._files(), name, str(self._folder), self._owner, own=own, visible=visible)
        if name.stem not in self._claims and claim_path(self._folder, name).exists():
            yield name_in_use(claim_path(self._folder, name).name, str(self._folder))

    def _files(self) -> list[str]:
        return sorted(file.name for file in self._folder.iterdir()) if self._folder.exists() else []

    def create(self, name: str) -> _FolderUpload:
        """Begin a part under its partial name."""
        with self._mapped("write into"):
            make_folder(self._folder)
            partial = self._partial(name)
            return _FolderUpload(self._folder / name, partial, {"partial": partial.name} if self._owner.attempt else {})

    def holds(self, part: Arrived) -> bool:
        """Read the part and compare it with what was written. A processed part is not compared: it may have changed."""
        with self._mapped("read"):
            return (
                _is_same(self._folder / part.name, part)
                or _is_same(self._partial_of(part), part)
                or self._is_processed(part.name)
            )

    def publish(self, part: Arrived) -> None:
        """Give the part its final name."""
        path, partial = self._folder / part.name, self._partial_of(part)
        with self._mapped("publish parts in"):
            try:
                rename_exclusively(partial, path)
            except (FileExistsError, FileNotFoundError):
                # The name was given by a run that died then, or to another file.
                is_there = path.exists() and (_is_one_file(partial, path) or _is_same(path, part))
                if not is_there and (path.exists() or not self._is_processed(part.name)):
                    raise
        try:
            partial.unlink(missing_ok=True)
            sync_folder(self._folder)
        except OSError as error:  # the next run of the job repeats this
            failure = _error("publish parts in the folder", self._folder, error)
            failure.visible = (self.url(part.name),)
            raise failure from error

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        """Remove the partial file."""
        with self._mapped("remove parts from"):
            self._partial(name, state).unlink(missing_ok=True)

    def sweep(self, name: FileName, keep: Collection[Arrived]) -> None:
        """Remove the partial files of this name and job, and its claim unless a process holds it."""
        kept = {self._partial_of(part).name for part in keep}
        with self._mapped("remove parts from"):
            for each in self._files():
                listed = parse_listed(each, name)
                is_own = listed and listed.kind == "partial" and listed.digest == self._owner.digest
                if is_own and each not in kept:
                    (self._folder / each).unlink(missing_ok=True)
            if name.stem not in self._claims and claim_path(self._folder, name).exists():
                claim = Claim.acquire(self._folder, name, self._owner, own=True)
                if claim:
                    claim.release()

    def url(self, name: str) -> str:
        """Return the path of the part, absolute."""
        return str((self._folder / name).absolute())

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _partial(self, name: str, state: Mapping[str, Any] | None = None) -> Path:
        """Return the partial path of a part: the one that its state names, if it does."""
        return self._folder / ((state or {}).get("partial") or self._owner.partial(name, PARTIAL))

    def _partial_of(self, part: Arrived) -> Path:
        return self._partial(part.name, part.state)

    def _is_processed(self, name: str) -> bool:
        return any((self._folder / each).exists() for each in processed_names(name))

    @contextlib.contextmanager
    def _mapped(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _error(f"{what} the folder", self._folder, error) from error


class _FolderUpload:
    """One part, growing under its partial name. Its `state` names that if only the process that writes it knows it."""

    def __init__(self, path: Path, partial: Path, state: Mapping[str, Any]) -> None:
        self.state = state
        self._path = path
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._flushing: Future[None] | None = None
        self._written = self._flushed = self._crc32 = 0
        self._file = AtomicFile(path, partial, exclusive=True)
        self._file.open()

    def write(self, data: bytes | memoryview) -> None:
        """Write the next bytes. They are flushed to the disk every few megabytes, so that the last flush is short."""
        try:
            self._file.write(data)
            self._written += len(data)
            self._crc32 = isal_zlib.crc32(data, self._crc32)
            if self._written - self._flushed >= _FLUSH_BYTES and (self._flushing is None or self._flushing.done()):
                self._wait_for_flush()
                self._flushed = self._written
                self._flushing = self._flusher.submit(os.fsync, self._file.fileno())
        except OSError as error:
            raise _error("write", self._path, error) from error

    def finish(self) -> Arrived:
        """Flush everything to the disk and compare the file's size."""
        try:
            self._wait_for_flush()
            self._file.finish()
            size = self._file.partial.stat().st_size
        except OSError as error:
            raise _error("write", self._path, error) from error
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
        self._file.discard()

    def _wait_for_flush(self) -> None:
        if self._flushing is not None:
            self._flushing.result()
            self._flushing = None


def _is_same(path: Path, part: Arrived) -> bool:
    """Return whether a file exists and has the bytes of a part."""
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


def _is_one_file(partial: Path, path: Path) -> bool:
    """Return whether both paths are of one file."""
    return partial.exists() and partial.samefile(path)


def _error(what: str, path: Path, error: OSError) -> DestinationError:
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
