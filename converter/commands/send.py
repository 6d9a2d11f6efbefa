"""The capability `send`: inbound files that exist already are delivered, with the promises of `convert`.

1. Names and contents are checked by Audience Manager's rules, and so is the destination. Without the check, files are
   read once, while they are sent.
2. Files are sent as they are; where sending fails, the file is sent again.
3. Where the files have not changed meanwhile, all become visible together, and the report is published.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from isal import isal_zlib

from converter.columns.printable import cut
from converter.commands.account import Account, end_report, noticing, tell_start
from converter.commands.failure import FailedRun, explain_kept, visible_parts
from converter.commands.inbound_files import expand
from converter.commands.modes import check_modes
from converter.commands.progress import Pace, Progress
from converter.commands.resume import fingerprints, next_step, unseen_parts
from converter.commands.retention import remove_old
from converter.commands.warnings import Warnings
from converter.delivery.destinations import Destination, Owner, destination_of
from converter.delivery.hold import Hold, hold_names
from converter.delivery.journal import Journal, PastRun, RunRecord
from converter.delivery.of_job import delivery_of
from converter.delivery.publication import publish_run
from converter.delivery.threads import close_connections
from converter.errors import Finding, GuardError, InputError, JobError, Reported, note_visible, redact
from converter.jobs.identity import DIGITS, identity
from converter.jobs.job import Job, Transfer
from converter.jobs.paths import identity_of_path
from converter.jobs.run_files import JOURNAL_SUFFIX, REPORT_SUFFIX
from converter.parts.part import Part
from converter.report import SendReport
from converter.sources.origins.local import LocalFile
from converter.spec.names import FileName

if TYPE_CHECKING:
    from converter.commands.check import Checked

_CHUNK = 1 << 18  # bytes: a chunk that was read stays in the processor's cache
_TICK = 0.5  # seconds
_LONGEST_NAME = 255  # characters of a name in a message


class _SentFile:
    """A file to send. Without the check its content is not read before it is sent."""

    def __init__(self, file: LocalFile, url: str, checked: Checked | None) -> None:
        self.file, self._url, self._checked = file, url, checked
        self._read: tuple[int, int, str] | None = None

    @property
    def size(self) -> int:
        """How many bytes the file had when it was found."""
        return self.file.size

    def chunks(self) -> Iterator[memoryview]:
        """Yield the file's bytes. Raises `InputError` at the end where the file has changed since it was found.

        The hashes are those of the first time: who sends the bytes again compares them with the part.
        """
        crc32, size, sha256 = 0, 0, None if self._read else hashlib.sha256()
        buffer = memoryview(bytearray(_CHUNK))
        with _opened(self.file.path) as stream:
            while count := stream.readinto(buffer):
                chunk = buffer[:count]
                if sha256:
                    crc32, size = isal_zlib.crc32(chunk, crc32), size + count
                    sha256.update(chunk)
                yield chunk
        self.file.check_unchanged()
        if sha256:
            self._read = size, crc32, sha256.hexdigest()

    def part(self) -> Part:
        """Return the file as a part. It is the one that was checked, which the CRC-32 of what arrives must show."""
        size, crc32, sha256 = self._read or (0, 0, "")
        lines = raw_bytes = 0
        if checked := self._checked:
            size, crc32 = checked.bytes, checked.crc32
            lines, raw_bytes = checked.lines or 0, checked.raw_bytes or 0
        return Part(self.file.path.name, self._url, lines, raw_bytes, size, f"{crc32:08x}", sha256)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.FileIO]:
    try:
        with path.open("rb", buffering=0) as stream:
            yield stream
    except OSError as error:
        raise InputError("E-FILE-READ", f"The file '{path}' cannot be read: {error.strerror or error}.") from error


class _Found(NamedTuple):
    """A file, its name if it is that of an inbound file, and what the check found, if there was one."""

    file: LocalFile
    name: FileName | None
    checked: Checked | None


def send(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    transfer: Transfer | Job | str | os.PathLike[str],
    *,
    check: bool = True,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    notify: Callable[[str], None] | None = None,
    warn: Callable[[Sequence[Finding]], None] | None = None,
    strict: bool = False,
    now: float | None = None,
) -> SendReport:
    """Send files and return the report, which is also written to `report.dir`.

    `files` are paths of files, globs, and folders, of which inbound files are sent. `transfer` may also be a job, or
    the path of a job file. Without `check`, names and contents may break the rules. `resume` finishes an earlier call
    with the same files that died; where that call is finished and the files have not changed since, nothing is done,
    and `outcome` says so. `progress`, `notify`, `warn`, `strict` and `now` are those of `convert`. Raises a
    `ConverterError`; nothing is published then, or the error says what is.
    """
    notify = noticing(notify)
    transfer = Transfer.of(transfer)
    with transfer.concealing():
        inputs = [LocalFile.at(path) for path in expand([files] if isinstance(files, str | os.PathLike) else files)]
        _check_names(inputs)
        digest = _digest(inputs, transfer)
        account = Account(transfer)
        journal = Journal(account.files, f"send.{digest}{JOURNAL_SUFFIX}")
        now = time.time() if now is None else now
        day = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
        run = RunRecord([], int(now), day.isoformat(), "", fingerprints(inputs, transfer.conceal_path) or [])
        _name_run(account, run, digest)
        with (
            account.files.lock(journal.name),
            account.ending(),
            Hold(transfer.output.retry_seconds, account.retries) as hold,
            contextlib.closing(journal),
        ):
            account.warnings += remove_old(account.files, transfer, digest)
            past = journal.read(resume=resume)
            step = next_step(past, resume=resume, is_same=lambda past: past.run.input == run.input)
            if past and step == "nothing":
                notify("These files were sent already, and have not changed since: nothing was done.")
                done = _report(past.run, account, parts=[])
                path = transfer.conceal_path(account.files.url(_report_name(past.run, digest)))
                return replace(done, outcome="nothing to do", report_path=path, warnings=[])
            if past and step == "resume":
                run = past.run
                _name_run(account, run, digest)
            files_found = _find_files(inputs)
            if check:
                files_found = _check_files(inputs, transfer.run.threads, account.warnings, notify)
            names = [each.name for each in files_found if each.name]
            check_modes(transfer, account.files, names, datetime.date.fromisoformat(run.sent))
            tell_start(transfer, _name_of(run), inputs)
            sending = _Sending(files_found, account, journal, hold, run, digest)
            sending.start(past, resumed=step == "resume", names=names if check else [], notify=notify)
            return sending.run(progress or (lambda _: None), Warnings(warn, strict=strict))


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


def _digest(files: Sequence[LocalFile], transfer: Transfer) -> str:
    """Return what identifies a call: the same for files at the same paths, sent to the same destination."""
    return identity([transfer.destination_identity, [identity_of_path(str(file.path)) for file in files]])[:DIGITS]


def _check_files(
    files: Sequence[LocalFile], threads: int | None, warnings: list[Finding], notify: Callable[[str], None]
) -> list[_Found]:
    """Check all files; return them, and add to `warnings`. Raises `GuardError` where one breaks a rule."""
    from converter.commands.check_files import check_all  # here, since these take a while

    found: list[_Found] = []
    errors: list[str] = []
    checks = check_all(files, threads, lambda path: notify(f"Checked '{Path(path).name}'."))
    for file, checked in zip(files, checks, strict=True):
        found.append(_Found(file, checked.name, checked))
        for finding in checked.findings:
            lines = f", line {finding.line:,} and {finding.lines:,} in all" if finding.line else ""
            name = file.path.name
            shown = redact(name) if "@" in name else cut(name, _LONGEST_NAME)
            message = f"'{shown}': {finding.text.rstrip('.')} ({finding.code}{lines})."
            if finding.level == "error":
                errors.append(message)
            elif finding.level == "warning":
                warnings.append(Finding("W-SEND-RULES", message))
    if errors:
        raise GuardError(
            "E-SEND-RULES",
            "\n".join(errors),
            "Nothing was sent. Correct the files, or send them as they are with --no-check.",
        )
    return found


def _find_files(files: Sequence[LocalFile]) -> list[_Found]:
    """Return files with their names, as far as these are known. Raises `InputError` where one cannot be opened."""
    found: list[_Found] = []
    for file in files:
        with _opened(file.path):
            found.append(_Found(file, None, None))
        with contextlib.suppress(ValueError):
            found[-1] = _Found(file, FileName.parse(file.path.name), None)
    return found


def _name_run(account: Account, run: RunRecord, digest: str) -> None:
    """Let the report be that of this run."""
    account.report_name = _report_name(run, digest)
    account.describe = lambda error: _report(run, account, error=error)


def _report(
    run: RunRecord, account: Account, *, parts: Sequence[Part] | None = None, error: Reported | None = None
) -> SendReport:
    """Return the report of a run; without `parts`, of those that are visible."""
    files: list[Mapping[str, Any]] = [{"path": file["path"], "bytes": file["size"]} for file in run.input]
    if parts is None:
        parts = account.delivery.visible_parts() if account.delivery else []
    return SendReport(
        name=_name_of(run),
        sent=run.sent,
        input=files,
        parts=list(parts),
        report_path=account.document.conceal_path(account.files.url(account.report_name)),
        warnings=list(account.warnings),
        **account.facts(sum(file["bytes"] for file in files), error),
    )


def _report_name(run: RunRecord, digest: str) -> str:
    return f"{_name_of(run)}.{digest}{REPORT_SUFFIX}"


def _name_of(run: RunRecord) -> str:
    return f"send_{run.timestamp}"


class _Sending:
    """One run: checked files, on their way to a destination."""

    def __init__(
        self, files: list[_Found], account: Account, journal: Journal, hold: Hold, run: RunRecord, digest: str
    ) -> None:
        self._account, self._journal, self._hold = account, journal, hold
        self._pace = Pace()
        self._transfer = account.document
        self._run, self._digest = run, digest
        self._destination = self._destination_of(run, max(each.file.size for each in files))
        self._delivery = delivery_of(self._transfer, self._destination, journal, account.retries)
        self._files = [_SentFile(each.file, self._url(each.file.path.name), each.checked) for each in files]
        account.delivery, account.has_begun = self._delivery, True

    def _destination_of(self, run: RunRecord, most_bytes: int) -> Destination:
        return destination_of(self._transfer, datetime.date.fromisoformat(run.sent), most_bytes, Owner(self._digest))

    def _url(self, name: str) -> str:
        return self._transfer.conceal_path(self._destination.url(name))

    def start(
        self, past: PastRun | None, *, resumed: bool, names: Sequence[FileName], notify: Callable[[str], None]
    ) -> None:
        """Hold `names`, then begin the run, or resume `past`."""
        stems = {name.stem: name for name in names}
        died = past is not None and not past.is_done
        try:
            self._account.warnings += hold_names(
                self._destination, list(stems.values()), self._hold, own=died, visible=resumed
            )
        except BaseException:
            close_connections(self._destination)
            raise
        if past and resumed:
            self._journal.resume()
            try:
                self._delivery.resume(past)
            except Reported as error:
                explain_kept(error, noun="files")
                raise
            arrived = len(self._delivery.arrived)
            notify(f"Resuming: {arrived} of {len(self._files)} files are there already, and not sent again.")
            self._account.warnings += unseen_parts(self._delivery)
            return
        if past and died:
            old = self._destination_of(past.run, 0)
            delivery_of(self._transfer, old, self._journal, self._account.retries).abandon(past)
        self._journal.begin(self._run)

    def run(self, progress: Callable[[Progress], None], warnings: Warnings) -> SendReport:
        """Send all files, publish them, and return the report. Warnings are reported before, and before publication."""
        is_publishing = False
        self._delivery.on_wait = lambda: progress(self._progress(publishing=is_publishing))
        try:
            warnings.add(self._account.warnings)
            parts = self._send()
            warnings.add(self._account.warnings)
            report = _report(self._run, self._account, parts=parts)
            artifacts = self._account.files_of(report)
            for artifact in artifacts:
                artifact.prepare()
            is_publishing = True
            publish_run(self._run, self._delivery, self._journal, self._hold, artifacts, report=report.as_dict())
        except BaseException as error:
            retry = "remove the other file, or send under other names"
            prepared = self._account.prepared_files()
            failed = FailedRun(self._delivery, self._journal, self._hold, prepared, "files", retry)
            failed.end(error, publishing=is_publishing)
            note_visible(error, visible_parts(self._delivery, self._transfer.conceal_path))
            raise
        self._delivery.close()
        return end_report(self._account, _report(self._run, self._account, parts=parts))

    def _send(self) -> list[Part]:
        """Send the files that have not arrived yet; return all files as parts once they have, and have not changed."""
        for number, each in enumerate(self._files, 1):
            if number not in self._delivery.arrived:
                self._delivery.send(each, number, each.file.path.name)
        while not self._delivery.wait(_TICK):
            self._delivery.on_wait()
        self._delivery.on_wait()  # all has arrived, which was not said yet
        for each in self._files:
            each.file.check_unchanged()
        return [self._delivery.made[number] for number in range(1, len(self._files) + 1)]

    def _progress(self, *, publishing: bool) -> Progress:
        retries, delivery, total = self._account.retries, self._delivery, sum(each.file.size for each in self._files)
        pause = retries.pause
        progress = Progress(
            bytes_read=total,
            bytes_total=total,
            rows=None,
            parts=len(self._files),
            arrived=len(delivery.arrived),
            bytes_written=total,
            bytes_sent=min(delivery.bytes_sent, total),
            retries=sum(retries.counts.values()),
            phase="publishing" if publishing else "sending" if delivery.bytes_sent < total else "confirming",
            waiting=pause.what if pause else delivery.waits_for,
            waiting_seconds=pause.seconds if pause else None,
            seconds=time.monotonic() - self._account.since,
        )
        return self._pace.judge(progress)
