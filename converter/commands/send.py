"""The capability `send`: inbound files that exist already are delivered, with the promises of `convert`.

1. Names and contents are checked by Audience Manager's rules, and so is the destination.
2. Files are sent as they are; what fails on the way is sent again from the file.
3. The files are still what they were: then all become visible together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Literal, NamedTuple

from converter.commands.check import Checked, check_file
from converter.commands.resume import fingerprints, next_step, visible_of
from converter.delivery import stops
from converter.delivery.delivery import Delivery, closed, delivery_of, destination_of
from converter.delivery.destinations import Destination, Owner
from converter.delivery.hold import Hold, held
from converter.delivery.journal import Journal, RunRecord, locked
from converter.errors import DestinationError, Finding, InputError, JobError, Reported, StoppedError, note_visible
from converter.jobs.job import DIGITS, Transfer, identity
from converter.jobs.paths import identity_of_path
from converter.parts.packer import Part
from converter.sources.origins.local import LocalFile
from converter.spec.names import FileName

_CHUNK = 1 << 20


class Sent(NamedTuple):
    """What was sent: each file as a part, and what is allowed but most likely not meant.

    `outcome` is `nothing to do` where an earlier call has sent these files.
    """

    parts: list[Part]
    warnings: list[Finding]
    outcome: Literal["done", "nothing to do"] = "done"


class _Outgoing(NamedTuple):
    """A file to send, as it was when it was checked."""

    file: LocalFile
    checked: Checked

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the file's bytes; in the end they must still be those that were checked."""
        with self._opened() as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
        self.file.check_unchanged()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BufferedReader]:
        try:
            with self.file.path.open("rb") as stream:
                yield stream
        except OSError as error:
            raise InputError(
                "E-FILE-READ", f"The file '{self.file.path}' cannot be read: {error.strerror or error}."
            ) from error

    def part(self, url: str) -> Part:
        """Return the file as a part."""
        with self._opened() as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        checked = self.checked
        crc32 = f"{checked.crc32:08x}"
        return Part(self.file.path.name, url, checked.lines or 0, checked.raw_bytes or 0, checked.bytes, crc32, digest)


def send(
    files: Sequence[str | Path],
    transfer: Transfer,
    *,
    check: bool = True,
    resume: bool = False,
    notify: Callable[[str], None] | None = None,
    now: float | None = None,
) -> Sent:
    """Send files, and return what was sent.

    Without `check`, names and contents may break the rules. `resume` finishes an earlier call with the same files that
    died; where that is finished, and the files have not changed since, nothing is done, and `outcome` says so. `notify`
    is called with sentences about what goes on; `now` is UNIX seconds, the clock's when left out. Raises a
    `ConverterError`; nothing is published then, or the error says so.
    """
    say = notify or (lambda _: None)
    try:
        inputs = [LocalFile.at(Path(file)) for file in files]
        _check_names(inputs)
        journal = Journal(_journal_path(inputs, transfer))
        with locked(journal.path), Hold(transfer.output.retry_seconds) as hold:
            try:
                return _sent(inputs, transfer, journal, hold, say, check=check, resume=resume, now=now)
            finally:
                journal.close()
    except Reported as error:
        error.reword(transfer.conceal)
        raise


def _check_names(files: Sequence[LocalFile]) -> None:
    names = [file.path.name for file in files]
    if not names:
        raise JobError(
            "E-SEND-NO-FILES", "There is no file to send.", "Name the files: aam-inbound send FILES… --to URL."
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise JobError(
            "E-SEND-NAME-TWICE",
            f"Two of the files are named '{twice}', and nothing is ever overwritten.",
            "Send one of them.",
        )


def _journal_path(files: Sequence[LocalFile], transfer: Transfer) -> Path:
    """Return where the journal is: the same for files at the same paths, sent to the same place."""
    return Path(transfer.report.dir) / f"send.{_digest(files, transfer)}.journal"


def _digest(files: Sequence[LocalFile], transfer: Transfer) -> str:
    return identity([transfer.destination_identity, [identity_of_path(str(file.path)) for file in files]])[:DIGITS]


def _sent(
    files: Sequence[LocalFile],
    transfer: Transfer,
    journal: Journal,
    hold: Hold,
    notify: Callable[[str], None],
    *,
    check: bool,
    resume: bool,
    now: float | None,
) -> Sent:
    past = journal.read(resume=resume)
    run = RunRecord([], 0, "", "", fingerprints(files, transfer.conceal_path) or [])
    step = next_step(past, resume=resume, is_same=lambda past: past.run.input == run.input)
    if step == "nothing":
        notify("These files were sent already, and have not changed since: nothing was done.")
        return Sent([], [], "nothing to do")
    outgoing, warnings = _checked(files, check=check, notify=notify)
    day = datetime.datetime.fromtimestamp(time.time() if now is None else now, datetime.UTC).date()
    sent = datetime.date.fromisoformat(past.run.sent) if past and step == "go on" else day
    run = dataclasses.replace(run, sent=sent.isoformat())
    owner = Owner(_digest(files, transfer))
    destination = destination_of(transfer, sent, max(file.size for file in files), owner)
    delivery = delivery_of(transfer, destination, journal)
    names = {name.stem: name for each in outgoing if check and (name := each.checked.name)}
    died = past is not None and not past.is_done
    warnings += _held(destination, list(names.values()), hold, own=died, visible=step == "go on")
    if past and step == "go on":
        journal.go_on()
        try:
            delivery.take_over(past)
        except Reported as error:
            _kept(error, 0, len(files))
            raise
        notify(f"Resuming: {len(delivery.arrived)} of {len(files)} files are there already, and not sent again.")
    else:
        if past and not past.is_done:
            old = destination_of(transfer, datetime.date.fromisoformat(past.run.sent), 0, owner)
            delivery_of(transfer, old, journal).give_up(past)
        journal.begin(run)
    return Sent(_delivered(outgoing, transfer, delivery, journal, hold, run), warnings)


def _held(
    destination: Destination, names: Sequence[FileName], hold: Hold, *, own: bool, visible: bool
) -> list[Finding]:
    """Hold the names of the files; return warnings."""
    try:
        return held(destination, names, hold, own=own, visible=visible)
    except BaseException:
        closed(destination)
        raise


def _kept(error: Reported, visible: int, count: int) -> None:
    """Say beside an error that there is something to resume."""
    message = "Stopped." if isinstance(error, StoppedError) else error.message
    said = f"{visible} of {count} files are visible: --resume goes on from there."
    error.args = (error.code, message, f"{error.hint} {said}".lstrip())


def _checked(
    files: Sequence[LocalFile], *, check: bool, notify: Callable[[str], None]
) -> tuple[list[_Outgoing], list[Finding]]:
    """Check all files; return them, and warnings."""
    outgoing: list[_Outgoing] = []
    warnings: list[Finding] = []
    wrong: list[str] = []
    for file in files:
        notify(f"Checking '{file.path.name}'.")
        checked = check_file(file.path)
        outgoing.append(_Outgoing(file, checked))
        for found in checked.findings if check else ():
            place = f", line {found.line:,} and {found.lines:,} in all" if found.line else ""
            said = f"'{file.path.name}': {found.text} ({found.code}{place})"
            if found.level == "error":
                wrong.append(said)
            else:
                warnings.append(Finding("W-SEND-RULES", f"{said}."))
    if wrong:
        raise InputError(
            "E-SEND-RULES",
            "\n".join(f"{said}." for said in wrong),
            "Nothing was sent. Mend the files, or send them as they are with --no-check.",
        )
    names = [each.checked.name for each in outgoing if each.checked.name]
    if check and len({(name.kind, name.dpids, name.target) for name in names}) < len(
        {(name.kind, name.dpids, name.target, name.mode) for name in names}
    ):
        raise JobError(
            "E-SEND-MODES",
            "The files are .sync and .overwrite ones of one data source: Audience Manager may take them in either "
            "order (T2).",
            "Send the ones, and the others when those are processed; or all with --no-check.",
        )
    return outgoing, warnings


def _delivered(
    outgoing: list[_Outgoing], transfer: Transfer, delivery: Delivery, journal: Journal, hold: Hold, run: RunRecord
) -> list[Part]:
    """Send all files, then publish them."""
    parts: list[Part] = []
    publishing = False
    try:
        for number, each in enumerate(outgoing, 1):
            part = each.part(transfer.conceal_path(delivery.destination.url(each.file.path.name)))
            parts.append(part)
            if number not in delivery.arrived:
                delivery.send(each, number, part)
        while not delivery.wait(1.0):
            pass
        for each in outgoing:
            each.file.check_unchanged()
        stops.hold()  # from here on it is known what is visible, and said
        publishing = True
        journal.note("publishing", report={})
        delivery.publish()
        hold.release()  # before the run is over: whoever finds it finished looks for nothing of it
        journal.finish(run)
    except BaseException as error:
        stops.hold()
        if isinstance(error, Reported) and delivery.has_lost(error):
            if delivery.discard():
                journal.remove()
            said = "Nothing was published, and nothing stays: remove the other file, or send under other names."
            error.args = (error.code, error.message, said)
            raise
        if publishing or (isinstance(error, DestinationError) and delivery.arrived):
            if not (publishing and delivery.is_out):
                hold.keep()
            delivery.close()
        elif delivery.discard() and not delivery.published:
            journal.remove()
            raise
        if isinstance(error, Reported):
            _kept(error, len(delivery.published), len(outgoing))
        note_visible(error, visible_of(delivery, transfer.conceal_path))
        raise
    delivery.close()
    return parts
