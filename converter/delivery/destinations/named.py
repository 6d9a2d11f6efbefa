"""Servers with names for files. A part grows under a partial name, is checked, and gets its name when all are whole.

1. Each part on its way has a connection of its own, so several can be sent at once.
2. Once sent, its size is compared; its content too, where the transport notices no damage and the server lets it read.
3. Publishing looks first, renames then and looks again, so that nothing is ever replaced without being noticed.

No server makes a file for one run alone. So a run claims the names of its parts: it writes a claim, out of sight, and
lists then. Of two runs, at least the later one sees the other's claim, and lets go.

FTP and SFTP give the connections, as `Files`. What a server refuses to tell is not held against it: credentials that
may only write are common. The check says what could not be seen.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from isal import isal_zlib

from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.partials import Owner, dead_claims, find_obstacles, parse_listed, processed_names
from converter.errors import DestinationError, Finding, TransientError, has_errors
from converter.remote.files import Files, Look
from converter.remote.server import Address
from converter.spec.names import FileName

_IDLE_SECONDS = 30.0
"""A connection that was idle for longer is not trusted: servers and firewalls close those."""

_PROBE = b"aam-inbound looks whether it can write here\n"
_CLAIM = b"aam-inbound has claimed the name\n"


class NamedDestination:
    """A folder on a server, reached by connections that `connect` opens.

    With `read_back`, the content of each part that was sent is compared too. Without a suffix, parts are written under
    their final names, for servers that leave no other choice: nothing can be claimed or tried there.
    """

    direct = False

    def __init__(
        self,
        address: Address,
        connect: Callable[[], Files],
        partial_suffix: str,
        owner: Owner | None = None,
        *,
        read_back: bool = False,
    ) -> None:
        self._address, self._connect, self._suffix, self._read_back = address, connect, partial_suffix, read_back
        self._owner = owner or Owner()
        self._lock = threading.Lock()
        self._files: Files | None = None
        self._used = 0.0
        self._tried: list[Finding] | None = None
        self._claims: set[str] = set()
        self._begun: set[str] = set()
        self._old_probes: set[str] = set()
        self._lists, self._hides = True, False

    @property
    def identity(self) -> str:
        """Return scheme, host, port and path; FTPS is FTP, with a port of its own where one is named."""
        scheme = self._address.scheme.replace("ftps", "ftp")
        port = self._address.port or {"ftp": 21}.get(scheme, 22)
        return f"{scheme}://{self._address.host.lower()}:{port}/{self._address.path}"

    def check(self, name: FileName) -> list[Finding]:
        """Log in, see that no part of this name is there, and write and rename a file that is removed again."""
        return self._looked(name, own=False, visible=False, claiming=False)

    def claim(self, name: FileName, *, own: bool = False, visible: bool = False) -> list[Finding]:
        """Do what `check` does, then write the claim and see that nobody else has."""
        return self._looked(name, own=own, visible=visible, claiming=True)

    def _looked(self, name: FileName, *, own: bool, visible: bool, claiming: bool) -> list[Finding]:
        findings: list[Finding] = []
        try:
            with self._control() as files:
                findings += self._taken(files, name, own=own, visible=visible)
                if not has_errors(findings):
                    findings += self._probed(files, name)
                if claiming and not has_errors(findings):
                    findings += self._claimed(files, name, own=own, visible=visible)
                if not claiming:  # other runs may have come to rely on what this one has made
                    files.unmake_folders()
                    self._drop()
        except TransientError:
            raise
        except DestinationError as error:
            findings.append(Finding.of(error))
        return findings

    def _taken(self, files: Files, name: FileName, *, own: bool, visible: bool) -> Iterator[Finding]:
        """Find files of this name, whole and partial; where they cannot be listed, those of the first part."""
        yield Finding("", f"The login at '{self._address.url}' works.")
        if not self._suffix:
            yield Finding(
                "W-NO-PARTIAL-NAMES",
                f"Parts are written to '{self._address.url}' under their final names: they are seen before they are "
                "whole, and before the others have arrived.",
                f"Leave {self._section}.partial_suffix out, unless the server leaves no other choice.",
            )
        names = files.names()
        self._lists = names is not None
        self._old_probes = {each for each in names or [] if self._owner.is_probe_of_another_run(each, name)}
        if names is None:
            first = str(name.part(1))
            looks = {each: files.look(each).there for each in {first, self._owner.partial(first, self._suffix)}}
            names = [each for each, there in looks.items() if there]
            if None in looks.values():
                yield Finding(
                    "W-NAMES-UNSEEN",
                    f"'{self._address.url}' does not tell which files are there: a name that is taken is not noticed.",
                    "Use a timestamp that was never used, or let the user list the folder.",
                )
        yield from find_obstacles(names, name, self._address.url, self._owner, own=own, visible=visible)

    def _probed(self, files: Files, name: FileName) -> list[Finding]:
        """Try once what parts need. Where nothing can be seen, a file could stay for ever: there nothing is written."""
        if self._tried is None:
            if not self._suffix:
                self._tried = []
            elif not self._lists and files.look(name.probe + self._suffix).there is None:
                self._tried = [
                    Finding(
                        "W-WRITE-UNTRIED",
                        f"Whether '{self._address.url}' can be written was not tried: the user may see nothing there.",
                        "The first part will show it.",
                    )
                ]
            else:
                self._tried = list(self._tries(files, name))
        return self._tried

    def _tries(self, files: Files, name: FileName) -> Iterator[Finding]:
        """Write a file, rename it, see that it is there each time, and remove it."""
        kept = name.probe + self._suffix  # where files cannot be removed, one stays, and is written over each time
        is_there = files.look(kept).there is True
        probe = kept if is_there else self._owner.probe(name, self._suffix, 1)
        put(files, probe, _PROBE)
        look = files.look(probe)
        readable = not self._read_back or files.crc32(probe) is not None
        if not is_there:
            probe = self._renamed(files, probe, self._owner.probe(name, self._suffix, 2), look)
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
        if look.size is None:
            yield Finding(
                "W-SIZES-UNSEEN",
                f"'{self._address.url}' does not tell the size of files: its word is taken that parts are whole.",
            )
        if not readable:
            yield Finding(
                "W-READ-REFUSED",
                f"'{self._address.url}' does not let files be read: damage on the way would not be noticed.",
                "Use ftps:// or sftp://, which notice it, or let the user read.",
            )

    def _renamed(self, files: Files, probe: str, renamed: str, look: Look) -> str:
        """Rename a file that was written, and see that it stays. Raises `DestinationError` with what helps if not."""
        try:
            files.rename(probe, renamed)
        except TransientError:
            raise
        except DestinationError as error:
            self.see(look, probe)
            with contextlib.suppress(DestinationError):
                files.remove(probe)
            raise DestinationError("E-RENAME-REFUSED", error.message, self._without_suffix) from error
        self._hides = look.there is False  # and yet it could be renamed
        self.see(files.look(renamed), renamed)
        return renamed

    def see(self, look: Look, name: str) -> None:
        """Raise `DestinationError` where something that was written under a partial name is not there any more."""
        if look.there is False and not self._hides:
            raise DestinationError(
                "E-PARTIAL-VANISHED",
                f"'{name}' was written to '{self._address.url}', and is not there any more: something moves or "
                "removes files there, whatever they are called.",
                f"Choose a name that it leaves alone with {self._section}.partial_suffix. {self._without_suffix}",
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

    def _claimed(self, files: Files, name: FileName, *, own: bool, visible: bool) -> Iterator[Finding]:
        """Write the claim, and let go where another run is seen; where a claim could not be removed, write none."""
        if any(each.code in ("W-WRITE-UNTRIED", "W-REMOVE-REFUSED") for each in self._tried or []) or not self._suffix:
            return
        claim = self._owner.claim(name, self._suffix)
        self._claims.add(name.stem)  # before it is there, so that it is removed whatever happens
        put(files, claim, _CLAIM)
        found = files.names() or []
        seen = list(find_obstacles(found, name, self._address.url, self._owner, own=own, visible=visible))
        if seen:
            self._claims.discard(name.stem)
            files.remove(claim)
            yield from seen
            return
        if self._lists and claim not in found:
            self.see(Look(there=False), claim)
        # A probe that is still there after all that time is one of a run that was killed.
        for each in [*dead_claims(found, name, self._owner), *(self._old_probes & set(found))]:
            files.remove(each)
        for each in found if own else ():  # of a run of the job that died
            other = parse_listed(each, name)
            if other and other.kind == "claim" and other.token != self._owner.token:
                files.remove(each)

    def release(self, name: FileName) -> None:
        """Remove the claim."""
        with self._lock:  # until who writes it has done so
            is_claimed = name.stem in self._claims
            self._claims.discard(name.stem)
        if is_claimed:
            with contextlib.suppress(DestinationError), self._control() as files:
                files.remove(self._owner.claim(name, self._suffix))

    def create(self, name: str) -> _NamedPart:
        """Begin a part under its partial name, on a connection of its own."""
        files = self._connect()
        partial = self._owner.partial(name, self._suffix)
        try:
            exclusive = partial == name and name not in self._begun
            if exclusive and files.look(name).there:
                raise self._not_overwritten(name)
            self._begun.add(name)
            return _NamedPart(self, files, name, partial, read_back=self._read_back, exclusive=exclusive)
        except BaseException:
            files.close()
            raise

    def holds(self, part: Arrived) -> bool | None:
        """Compare the size under the partial name, or else under the final one; or look whether it is processed."""
        with self._control() as files:
            looks = [files.look(name) for name in dict.fromkeys([_partial_of(part), part.name])]
            if any(look.there and look.size in (None, part.bytes) for look in looks):
                return True
            if any(look.there is None for look in looks):
                return None
            return self._is_processed(files, part)

    def _is_processed(self, files: Files, part: Arrived) -> bool:
        return any(files.look(name).there for name in processed_names(part.name))

    def publish(self, part: Arrived) -> None:
        """Look whether the name is free, rename the part, and look again."""
        partial = _partial_of(part)
        with self._control() as files:
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
                # The name may have been taken since it was looked for; or this part have got it.
                if not self._is_published(files, part, partial):
                    raise
                return
            self._confirm(files, part)

    def _confirm(self, files: Files, part: Arrived) -> None:
        """See that what has the name now is the part, or is not there any more: then Audience Manager has taken it.

        Where names cannot be listed nobody could claim them: there what can be read is compared as well.
        """
        look = files.look(part.name)
        other = look.there and look.size not in (None, part.bytes)
        if look.there and not other and self._read_back and not self._lists:
            other = files.crc32(part.name) not in (None, part.crc32)
        if other:
            raise DestinationError(
                "E-PUBLISHED-OTHER",
                f"'{part.name}' was published at '{self._address.url}', but another file has that name now"
                + (f", of {look.size:,} bytes in place of {part.bytes:,}." if look.size else "."),
                "Two runs have used one name: run again with another timestamp (N2).",
            )

    def _is_published(self, files: Files, part: Arrived, partial: str) -> bool:
        """Say whether a part has its name. Raises `DestinationError` where something else has."""
        waiting, final = files.look(partial), files.look(part.name)
        if not final.there:
            return waiting.there is False and self._is_processed(files, part)
        if final.size in (None, part.bytes):
            if not waiting.there:
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
        """Remove the partial file, if the server lets it be removed; else it is overwritten by the next try."""
        with self._control() as files:
            files.remove(state.get("partial", self._owner.partial(name, self._suffix)))

    def sweep(self, name: FileName, keep: Collection[Arrived]) -> None:
        """Remove partial files and claims of this name and job, as far as they are listed, but for this run's claim."""
        kept = {_partial_of(part) for part in keep}
        with self._control() as files:
            for each in files.names() or []:
                found = parse_listed(each, name)
                ours = found and found.digest == self._owner.digest and found.token != self._owner.token
                if (ours and each not in kept) or each.startswith(f"{name.probe}.{self._owner.digest}."):
                    files.remove(each)

    def url(self, name: str) -> str:
        """Return the URL of the part, without a password."""
        return f"{self._address.url}/{name}"

    def close(self) -> None:
        """Close the connection for all but sending."""
        with self._lock:
            self._drop()

    @contextlib.contextmanager
    def _control(self) -> Iterator[Files]:
        """Lend the connection for all but sending; after any error it is closed, and the next use opens another."""
        with self._lock:
            if time.monotonic() - self._used > _IDLE_SECONDS:
                self._drop()
            self._files = self._files or self._connect()
            try:
                yield self._files
            except BaseException:
                self._drop()
                raise
            self._used = time.monotonic()

    def _drop(self) -> None:
        files, self._files = self._files, None
        if files is not None:
            files.close()


class _NamedPart:
    """One part, growing under its partial name."""

    def __init__(
        self,
        destination: NamedDestination,
        files: Files,
        name: str,
        partial: str,
        *,
        read_back: bool,
        exclusive: bool = False,
    ) -> None:
        self.state: Mapping[str, Any] = {"partial": partial}
        self._destination, self._files, self._name, self._partial = destination, files, name, partial
        self._read_back = read_back
        self._written = self._crc32 = 0
        self._upload = files.upload(partial, exclusive=exclusive)

    def write(self, data: bytes | memoryview) -> None:
        """Send the next bytes."""
        if data:
            self._upload.write(memoryview(data))
            self._written += len(data)
            self._crc32 = isal_zlib.crc32(data, self._crc32)

    def finish(self) -> Arrived:
        """End the file and compare what the server has with what was sent."""
        self._upload.finish()
        look = self._files.look(self._partial)
        if self._partial != self._name:  # a final name may be acted on at once
            self._destination.see(look, self._partial)
        size = look.size
        if size is not None and size != self._written:
            raise TransientError(
                "E-PART-SIZE",
                f"'{self._destination.url(self._name)}' has {size:,} bytes, but {self._written:,} were sent.",
                "Is the disk of the server full? Nothing was published.",
            )
        if self._read_back and self._files.crc32(self._partial) not in (None, self._crc32):
            raise TransientError(
                "E-PART-CHANGED",
                f"'{self._destination.url(self._name)}' was changed on the way: it does not read as it was sent.",
                "Nothing was published. With ftps:// or sftp:// nobody in between can change anything.",
            )
        self._files.close()
        return Arrived(self._name, self._written, self._crc32, self.state)

    def abort(self) -> None:
        """Stop sending and remove the file, by another connection: this one may be broken."""
        self._upload.abort()
        self._files.close()
        with contextlib.suppress(DestinationError):
            self._destination.discard(self._name, self.state)


def put(files: Files, name: str, content: bytes) -> None:
    """Write a small file."""
    upload = files.upload(name)
    upload.write(memoryview(content))
    upload.finish()


def _partial_of(part: Arrived) -> str:
    return str(part.state["partial"])
