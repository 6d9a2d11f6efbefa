"""File servers. A part is written under a partial name, checked, and gets its final name when all parts are whole.

1. Each part on its way has a connection of its own, so several can be sent at once. Connections are used again.
2. After sending, its size is compared; its content too, where the transport detects no damage and reading is allowed.
3. Publishing checks the name, renames, and checks again, so that nothing is ever replaced without being noticed.

FTP has no exclusive creation of files. So a run claims the names of its parts: it writes an invisible claim, and lists
the folder then. Of two runs, at least the later one sees the other's claim, and withdraws.

FTP and SFTP provide the connections, as `Files`. A server may refuse to list or to read: credentials that may only
write are common. The check warns of what could not be seen.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from isal import isal_zlib

from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.partials import (
    Owner,
    dead_claims,
    find_obstacles,
    find_processed,
    parse_listed,
    processed_names,
)
from converter.errors import DestinationError, Finding, TransientError, has_errors
from converter.remote.connections import Connections, Lent
from converter.remote.files import Files, FileStatus
from converter.remote.server import Address
from converter.spec.names import FileName

_PROBE = b"aam-inbound tests whether it can write here\n"
_CLAIM = b"aam-inbound has claimed the name\n"


class NamedDestination:
    """A folder on a server, reached by connections that `connect` opens.

    With `read_back`, the content of each sent part is compared too. Without a suffix, parts are written under their
    final names, for servers that allow nothing else: there names cannot be claimed, and writing is not tested.
    """

    direct = False
    at_once = None

    def __init__(
        self,
        address: Address,
        connect: Callable[[], Files],
        partial_suffix: str,
        owner: Owner | None = None,
        *,
        read_back: bool = False,
    ) -> None:
        self._address, self._suffix, self._read_back = address, partial_suffix, read_back
        self._connections = Connections(connect)
        self._owner = owner or Owner()
        self.on_retry: Callable[[str], None] = lambda _: None  # no client repeats requests by itself
        self._claiming = threading.Lock()
        self._test_findings: list[Finding] | None = None
        self._claims: set[str] = set()
        self._begun: set[str] = set()
        self._old_probes: set[str] = set()
        self._lists, self._hides = True, False  # whether it lists names, and whether it hides partial ones

    @property
    def identity(self) -> str:
        """Return scheme, host, port and path; FTPS is FTP, with a port of its own where one is named."""
        scheme = self._address.scheme.replace("ftps", "ftp")
        port = self._address.port or {"ftp": 21}.get(scheme, 22)
        return f"{scheme}://{self._address.host.lower()}:{port}/{self._address.path}"

    def check(self, name: FileName) -> list[Finding]:
        """Log in, check that no part of this name is there, and write and rename a file that is removed again."""
        return self._check(name, own=False, visible=False, claiming=False)

    def claim(self, name: FileName, *, own: bool = False, visible: bool = False) -> list[Finding]:
        """Do what `check` does, then write the claim and check that there is no other one."""
        return self._check(name, own=own, visible=visible, claiming=True)

    def _check(self, name: FileName, *, own: bool, visible: bool, claiming: bool) -> list[Finding]:
        findings: list[Finding] = []
        try:
            with self._claiming, self._connections.lend() as files:
                findings += self._find_parts(files, name, own=own, visible=visible)
                if not has_errors(findings):
                    findings += self._test_writing(files, name)
                if not claiming:
                    findings += find_processed(files.names() or (), self._address.url)
                if claiming and not has_errors(findings):
                    findings += self._write_claim(files, name, own=own, visible=visible)
                if not claiming:  # a claim needs the folders
                    files.unmake_folders()
                    self._connections.close()  # this one too: it can do nothing else now
        except TransientError:
            raise
        except DestinationError as error:
            findings.append(Finding.of(error))
        return findings

    def _find_parts(self, files: Files, name: FileName, *, own: bool, visible: bool) -> Iterator[Finding]:
        """Find published and partial files of this name; where they cannot be listed, those of the first part."""
        yield Finding("", f"The login at '{self._address.url}' works.")
        if not self._suffix:
            yield Finding(
                "W-NO-PARTIAL-NAMES",
                f"Parts are written to '{self._address.url}' under their final names: they are visible before they "
                "are whole, and before the others have arrived.",
                f"Leave {self._section}.partial_suffix out, unless the server allows nothing else.",
            )
        names = files.names()
        self._lists = names is not None
        self._old_probes = {each for each in names or [] if self._owner.is_probe_of_another_run(each, name)}
        if names is None:
            first = str(name.part(1))
            found = {each: files.status(each).there for each in {first, self._owner.partial(first, self._suffix)}}
            names = [each for each, there in found.items() if there]
            if None in found.values():
                yield Finding(
                    "W-NAMES-UNSEEN",
                    f"'{self._address.url}' does not list its files: a name that is taken is not noticed.",
                    "Use a timestamp that was never used, or let the user list the folder.",
                )
        yield from find_obstacles(names, name, self._address.url, self._owner, own=own, visible=visible)

    def _test_writing(self, files: Files, name: FileName) -> list[Finding]:
        """Test writing and renaming, once; not where files cannot be seen, since a test file might stay for ever."""
        if self._test_findings is None:
            if not self._suffix:
                self._test_findings = []
            elif not self._lists and files.status(name.probe + self._suffix).there is None:
                self._test_findings = [
                    Finding(
                        "W-WRITE-UNTRIED",
                        f"Whether '{self._address.url}' can be written was not tested: the user sees no files there.",
                        "The first part will show whether it can.",
                    )
                ]
            else:
                self._test_findings = list(self._write_test_file(files, name))
        return self._test_findings

    def _write_test_file(self, files: Files, name: FileName) -> Iterator[Finding]:
        """Write a file, rename it, check each time that it is there, and remove it."""
        kept = name.probe + self._suffix  # where files cannot be removed, one stays, and is replaced each time
        is_there = files.status(kept).there is True
        probe = kept if is_there else self._owner.probe(name, self._suffix, 1)
        put(files, probe, _PROBE)
        status = files.status(probe)
        readable = not self._read_back or files.crc32(probe) is not None
        if not is_there:
            probe = self._rename_test_file(files, probe, self._owner.probe(name, self._suffix, 2), status)
        yield Finding("", f"'{self._address.url}' can be written.")
        if not files.remove(probe):
            if not is_there:
                with contextlib.suppress(DestinationError):
                    files.rename(probe, kept)
            yield Finding(
                "W-REMOVE-REFUSED",
                f"'{kept}' was written to '{self._address.url}' and cannot be removed: the user may not remove files.",
                "Remove it by hand, and '*" + self._suffix + "' after a run that was stopped.",
            )
        if status.size is None:
            yield Finding(
                "W-SIZES-UNSEEN",
                f"'{self._address.url}' does not report the size of files: parts count as whole without a check.",
            )
        if not readable:
            yield Finding(
                "W-READ-REFUSED",
                f"'{self._address.url}' does not let files be read: damage in transit would not be noticed.",
                "Use ftps:// or sftp://, which detect it, or let the user read.",
            )

    def _rename_test_file(self, files: Files, probe: str, renamed: str, status: FileStatus) -> str:
        """Rename a file that was written, and check that it stays. Raises `DestinationError` with what helps if not."""
        try:
            files.rename(probe, renamed)
        except TransientError:
            raise
        except DestinationError as error:
            self.check_there(status, probe)
            with contextlib.suppress(DestinationError):
                files.remove(probe)
            raise DestinationError("E-RENAME-REFUSED", error.message, self._without_suffix) from error
        self._hides = status.there is False  # and yet it could be renamed
        self.check_there(files.status(renamed), renamed)
        return renamed

    def check_there(self, status: FileStatus, name: str) -> None:
        """Raise `DestinationError` where a file that was written under a partial name is not there any more."""
        if status.there is False and not self._hides:
            raise DestinationError(
                "E-PARTIAL-VANISHED",
                f"'{name}' was written to '{self._address.url}', and is not there any more: something moves or "
                "removes files there, independently of their names.",
                f"Choose a suffix that it ignores, with {self._section}.partial_suffix. {self._without_suffix}",
            )

    @property
    def _section(self) -> str:
        return self._address.scheme.removesuffix("s")

    @property
    def _without_suffix(self) -> str:
        return (
            f'With {self._section}.partial_suffix = "" parts are written under their final names at once, '
            "which is less safe."
        )

    def _write_claim(self, files: Files, name: FileName, *, own: bool, visible: bool) -> Iterator[Finding]:
        """Write the claim, and withdraw where there is another run; where a claim could not be removed, write none."""
        if (
            any(each.code in ("W-WRITE-UNTRIED", "W-REMOVE-REFUSED") for each in self._test_findings or [])
            or not self._suffix
        ):
            return
        claim = self._owner.claim(name, self._suffix)
        self._claims.add(name.stem)  # before it is there, so that it is removed whatever happens
        put(files, claim, _CLAIM)
        names = files.names() or []
        obstacles = list(find_obstacles(names, name, self._address.url, self._owner, own=own, visible=visible))
        if obstacles:
            self._claims.discard(name.stem)
            files.remove(claim)
            yield from obstacles
            return
        if self._lists and claim not in names:
            self.check_there(FileStatus(there=False), claim)
        # A probe that is still there after all that time is one of a run that was killed.
        for each in [*dead_claims(names, name, self._owner), *(self._old_probes & set(names))]:
            files.remove(each)
        for each in names if own else ():  # of a run of the job that died
            other = parse_listed(each, name)
            if other and other.kind == "claim" and other.token != self._owner.token:
                files.remove(each)

    def release(self, name: FileName) -> None:
        """Remove the claim."""
        with self._claiming:  # a thread may be writing it
            is_claimed = name.stem in self._claims
            self._claims.discard(name.stem)
        if is_claimed:
            with contextlib.suppress(DestinationError), self._connections.lend() as files:
                files.remove(self._owner.claim(name, self._suffix))

    def create(self, name: str) -> _NamedUpload:
        """Begin a part under its partial name, on a connection that is used for nothing else meanwhile."""
        lent = self._connections.take()
        try:
            return self._begin(lent, name)
        except DestinationError as error:
            if lent.is_new or not (self._suffix or isinstance(error, TransientError)):
                raise
        # A connection that was kept may be closed by now, or in a folder that is gone: that is not a failure.
        return self._begin(self._connections.take(new=True), name)

    def _begin(self, lent: Lent[Files], name: str) -> _NamedUpload:
        partial = self._owner.partial(name, self._suffix)
        try:
            exclusive = partial == name and name not in self._begun
            if exclusive and lent.connection.status(name).there:
                raise self._not_overwritten(name)
            self._begun.add(name)
            return _NamedUpload(self, lent, name, partial, read_back=self._read_back, exclusive=exclusive)
        except BaseException:
            lent.drop()
            raise

    def holds(self, part: Arrived) -> bool | None:
        """Compare the size under the partial or the final name, or check whether the part is processed."""
        with self._connections.lend() as files:
            found = [files.status(name) for name in dict.fromkeys([_partial_of(part), part.name])]
            if any(status.there and status.size in (None, part.bytes) for status in found):
                return True
            if any(status.there is None for status in found):
                return None
            return self._is_processed(files, part)

    def _is_processed(self, files: Files, part: Arrived) -> bool:
        return any(files.status(name).there for name in processed_names(part.name))

    def publish(self, part: Arrived) -> None:
        """Check that the name is free, rename the part, and check again."""
        partial = _partial_of(part)
        with self._connections.lend() as files:
            if partial == part.name:
                self._confirm(files, part)
                return
            if self._is_published(files, part, partial):
                return
            try:
                files.rename(partial, part.name)
            except TransientError:
                raise
            except DestinationError:
                # Another file may have got the name since, or this part may have.
                if not self._is_published(files, part, partial, was_refused=True):
                    raise
                return
            self._confirm(files, part)

    def _confirm(self, files: Files, part: Arrived) -> None:
        """Check that the file with the name is the part; where none has it, Audience Manager has processed the part.

        Where names cannot be listed, they could not be claimed: there the content is compared as well, where it can be
        read.
        """
        status = files.status(part.name)
        differs = status.there and status.size not in (None, part.bytes)
        if status.there and not differs and self._read_back and not self._lists:
            differs = files.crc32(part.name) not in (None, part.crc32)
        if differs:
            raise DestinationError(
                "E-PUBLISHED-OTHER",
                f"'{part.name}' was published at '{self._address.url}', but another file has that name now"
                + (f", of {status.size:,} bytes in place of {part.bytes:,}." if status.size else "."),
                "Two runs have used one name: run again with another timestamp (N2).",
            )

    def _is_published(self, files: Files, part: Arrived, partial: str, *, was_refused: bool = False) -> bool:
        """Return whether a part has, or had, its final name. Raises `DestinationError` where another file has.

        Whether it had is asked only if renaming `was_refused`, since that takes a few questions.
        """
        final = files.status(part.name)
        if not final.there:
            return was_refused and files.status(partial).there is False and self._is_processed(files, part)
        if final.size in (None, part.bytes):
            if not files.status(partial).there:
                return True
            if files.crc32(part.name) == part.crc32:  # sent twice, by two runs
                files.remove(partial)
                return True
        raise self._not_overwritten(part.name)

    def _not_overwritten(self, name: str) -> DestinationError:
        return DestinationError(
            "E-NAME-TAKEN",
            f"'{name}' is in '{self._address.url}' already, and is not the part that was sent.",
            "Nothing is ever overwritten: use another timestamp (N2).",
        )

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        """Remove the partial file, if the server allows it; else the next attempt replaces it."""
        with self._connections.lend() as files:
            files.remove(state.get("partial", self._owner.partial(name, self._suffix)))

    def sweep(self, name: FileName, keep: Collection[Arrived]) -> None:
        """Remove partial files and claims of this name and job, as far as they are listed, except this run's claim."""
        kept = {_partial_of(part) for part in keep}
        with self._connections.lend() as files:
            for each in files.names() or []:
                listed = parse_listed(each, name)
                is_own = listed and listed.digest == self._owner.digest and listed.token != self._owner.token
                if (is_own and each not in kept) or each.startswith(f"{name.probe}.{self._owner.digest}."):
                    files.remove(each)

    def url(self, name: str) -> str:
        """Return the URL of the part, without a password."""
        return f"{self._address.url}/{name}"

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


class _NamedUpload:
    """One part, growing under its partial name."""

    def __init__(
        self,
        destination: NamedDestination,
        lent: Lent[Files],
        name: str,
        partial: str,
        *,
        read_back: bool,
        exclusive: bool = False,
    ) -> None:
        self.state: Mapping[str, Any] = {"partial": partial}
        self._destination, self._lent, self._name, self._partial = destination, lent, name, partial
        self._read_back = read_back
        self._written = self._crc32 = 0
        self._upload = lent.connection.upload(partial, exclusive=exclusive)

    def write(self, data: bytes | memoryview) -> None:
        """Send the next bytes."""
        if data:
            self._upload.write(memoryview(data))
            self._written += len(data)
            self._crc32 = isal_zlib.crc32(data, self._crc32)

    def finish(self) -> Arrived:
        """End the file and compare what the server has with what was sent."""
        self._upload.finish()
        files = self._lent.connection
        status = files.status(self._partial)
        if self._partial != self._name:  # a final name may be acted on at once
            self._destination.check_there(status, self._partial)
        size = status.size
        if size is not None and size != self._written:
            raise TransientError(
                "E-PART-SIZE",
                f"'{self._destination.url(self._name)}' has {size:,} bytes, but {self._written:,} were sent.",
                "Is the disk of the server full? Nothing was published.",
            )
        if self._read_back and files.crc32(self._partial) not in (None, self._crc32):
            raise TransientError(
                "E-PART-CHANGED",
                f"'{self._destination.url(self._name)}' was changed in transit: it is not as it was sent.",
                "Nothing was published. With ftps:// or sftp:// nobody can change it in transit.",
            )
        self._lent.give_back()
        return Arrived(self._name, self._written, self._crc32, self.state)

    def abort(self) -> None:
        """Stop sending and remove the file, by another connection, since this one may be broken."""
        self._upload.abort()
        self._lent.drop()
        with contextlib.suppress(DestinationError):
            self._destination.discard(self._name, self.state)


def put(files: Files, name: str, content: bytes) -> None:
    """Write a small file."""
    upload = files.upload(name)
    upload.write(memoryview(content))
    upload.finish()


def _partial_of(part: Arrived) -> str:
    return str(part.state["partial"])
