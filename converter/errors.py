"""One tree of errors, and one table of the codes of errors and warnings.

Each error knows its code, its exit code and, where there is one, what to do next.

Messages never hold personal data or secrets: a file, a line, a column name, a rule, a count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

CODES: dict[str, str] = {
    "E-COLLISIONS-MEMORY": "More IDs differ from another by case alone than `run.memory` holds.",
    "E-COLUMN-MISSING": "The input lacks a column that the job names.",
    "E-COLUMN-REPEATED": "Two columns of the input have the name of a column that the job uses.",
    "E-COLUMN-TYPE": "A column is of a type that the job cannot use as it asks to.",
    "E-DISK-FULL": "The disk or the quota of the folder for parts is full.",
    "E-ENGINE": "Polars failed at rows that are not malformed: a bug.",
    "E-FILE-READ": "An inbound file to send cannot be read.",
    "E-FOLDER-READ": "A folder that the job needs cannot be examined.",
    "E-FOLDER-WRITE": "The folder for parts cannot be written.",
    "E-FORKED": "The process was forked from one in which Polars runs.",
    "E-FORMAT-UNKNOWN": "The name of an input file does not tell its format.",
    "E-FTP-CA-FILE": "`ftp.tls_ca_file` cannot be used.",
    "E-FTP-NETRC": "`~/.netrc` cannot be read.",
    "E-HASH-CHECK": "The library that hashes does not give the known hash of an example.",
    "E-HEADER-FIELDS": "The first row has another number of fields than `input.columns` names.",
    "E-HEADER-NUL": "The first row holds NUL characters: the encoding is another one.",
    "E-HEADER-QUOTES": "The quotes of the first row do not pair up.",
    "E-ID-TYPE-AUTO": '`id.type = "auto"` cannot be used here.',
    "E-ID-TYPES-MIXED": "One column holds IDs of several types, and the job routes none of them.",
    "E-INPUT-CHANGED": "The input changed while it was read.",
    "E-INPUT-DAMAGED": "An input file is damaged: cut off, changed, or not of its format.",
    "E-INPUT-EMPTY": "An input file is empty, or has no columns.",
    "E-INPUT-ENCODING": "An input file is not in the encoding that the job names.",
    "E-INPUT-MISSING": "An input path names no file.",
    "E-INPUT-ONCE": "An input can be read only once, but something has to read it twice.",
    "E-INPUT-PACKED": "An input file is packed in a way that is not read.",
    "E-INPUT-READ": "An input file or folder cannot be read.",
    "E-INPUT-REMOTE": "An input path is a URL of a kind that is not read.",
    "E-INPUT-STDIN": "Standard input cannot be read.",
    "E-INPUT-UNSUPPORTED": "An input file uses something of its format that cannot be read.",
    "E-INTERNAL": "Something failed in a way that nobody had thought of: a bug.",
    "E-JOB-INVALID": "Keys or values of the job are wrong.",
    "E-JOB-MISSING": "There is no job file at the path given.",
    "E-JOB-READ": "The job file cannot be read.",
    "E-JOB-TOML": "The job file is not valid TOML.",
    "E-JOURNAL-DAMAGED": "The journal of an earlier run cannot be understood.",
    "E-JOURNAL-VERSION": "The journal of an earlier run was written by a version that this one cannot go on with.",
    "E-JOURNAL-WRITE": "The journal of the run cannot be read or written.",
    "E-LEDGER": "Rows are unaccounted for: a bug.",
    "E-LINE-ENDLESS": "A line of text is longer than any line of a table.",
    "E-LINE-ENDS": "Lines end in carriage returns alone.",
    "E-LOCKED": "Another process runs this job.",
    "E-MATCH-HEADER": "The first row of a list of IDs looks like an ID, and is taken for the header.",
    "E-MATCH-NO-IDS": "The column to compare holds no ID.",
    "E-MEMORY": "The process is out of memory.",
    "E-NAME-IN-USE": "A partial file with a name of the run is at the destination already.",
    "E-NAME-TAKEN": "A file with a name of the run is at the destination already, with other contents.",
    "E-NO-ROW-LEFT": "Every row was rejected or skipped: there is nothing to send (C10).",
    "E-NO-ROWS": "The input has no rows: there is nothing to send (C10).",
    "E-OUTPUT-CLOSED": "Nobody reads standard output any more.",
    "E-OUTPUT-IN-USE": "A partial file for the output is there already.",
    "E-OUTPUT-TAKEN": "The output file is there already.",
    "E-OUTPUT-WRITE": "The output cannot be written.",
    "E-PAGE-WRITE": "The page of HTML cannot be written.",
    "E-PART-CHANGED": "A part arrived with other bytes than were sent.",
    "E-PART-SIZE": "A part arrived with another size than was sent.",
    "E-PARTIAL-VANISHED": "The server moves or removes files under partial names.",
    "E-PERSONAL-COLUMN": "The name of a column says that it holds personal data (I3).",
    "E-PERSONAL-CONSTANT": "A constant signal is personal data (I3).",
    "E-PGP-FAILED": "GnuPG failed, or could not be started.",
    "E-PGP-KEY-EXPIRED": "The key to encrypt for has expired.",
    "E-PGP-KEY-NONE": "The key file holds no public key.",
    "E-PGP-KEY-READ": "The key file cannot be read.",
    "E-PGP-KEY-REFUSED": "GnuPG does not encrypt for the key.",
    "E-PGP-KEY-REVOKED": "The key to encrypt for is revoked.",
    "E-PGP-KEY-SECRET": "The key file holds a secret key.",
    "E-PGP-KEY-SEVERAL": "The key file holds more than one key.",
    "E-PGP-KEY-UNUSABLE": "The key has no valid subkey to encrypt for.",
    "E-PGP-MISSING": "GnuPG is not installed.",
    "E-PGP-SIZE": "An encrypted part is larger than a part may be.",
    "E-PGP-VERSION": "GnuPG is too old.",
    "E-PUBLISHED-OTHER": "What was published is not what was sent.",
    "E-PUBLISHED-UNSEEN": "What was published cannot be seen yet.",
    "E-RENAME-REFUSED": "The server does not let files be renamed.",
    "E-REPORT-FOLDER": "The folder for reports cannot be written.",
    "E-REPORT-WRITE": "The report or the rejects file cannot be written.",
    "E-RESUME-INPUT": "The input is not that of the run that is to be resumed.",
    "E-RESUME-KEY": "The key is not that of the run that is to be resumed.",
    "E-RESUME-SIZE": "Parts of the run that is to be resumed would be too large when made here.",
    "E-RESUME-TEXT": "The input gives other lines than in the run that is to be resumed.",
    "E-S3-ACL": "The bucket takes no ACLs.",
    "E-S3-BUCKET": "The bucket is not there.",
    "E-S3-BUSY": "S3 is too busy.",
    "E-S3-CERTIFICATE": "The certificate of the S3 endpoint is not trusted.",
    "E-S3-CLOCK": "The clock of this machine is wrong.",
    "E-S3-CONNECTION": "The connection to S3 broke.",
    "E-S3-CREDENTIALS": "The credentials for S3 are wrong.",
    "E-S3-DAMAGED": "What arrived at S3 is not what was sent.",
    "E-S3-DENIED": "A permission on S3 is missing.",
    "E-S3-ENCRYPTION": "The bucket does not support the encryption asked for.",
    "E-S3-EXPIRED": "The credentials for S3 have expired.",
    "E-S3-FAILED": "S3 failed.",
    "E-S3-FULL": "The S3 server has no space left.",
    "E-S3-KEY-LENGTH": "The key is longer than S3 allows.",
    "E-S3-KMS": "The KMS key cannot be used.",
    "E-S3-LOGIN": "The login to AWS has ended.",
    "E-S3-LOST": "What was sent to S3 is no longer there.",
    "E-S3-MALFORMED": "The answer of the S3 endpoint cannot be parsed.",
    "E-S3-NO-CREDENTIALS": "There are no credentials for S3.",
    "E-S3-OTHER": "S3 could not be asked.",
    "E-S3-REGION": "The bucket is in another region.",
    "E-S3-REQUEST": "S3 refused the request.",
    "E-S3-ROLE": "The role cannot be assumed.",
    "E-S3-SETTINGS": "The settings of AWS are wrong.",
    "E-S3-STORAGE-CLASS": "The bucket does not support the storage class.",
    "E-S3-TAKEN": "Another object has the key already.",
    "E-S3-TIMEOUT": "S3 did not answer in time.",
    "E-S3-UNREACHABLE": "S3 cannot be reached.",
    "E-S3-UNSUPPORTED": "The S3 server does not support the request.",
    "E-SEND-MODES": "Files to send would both add to and replace the same data source (T2).",
    "E-SEND-NAME-TWICE": "Two files to send have one name.",
    "E-SEND-NO-FILES": "There is no file to send.",
    "E-SEND-RULES": "Files to send break the rules of Audience Manager.",
    "E-SERVER-ALGORITHMS": "The server knows no algorithm that is still safe.",
    "E-SERVER-ANSWER": "The server refused.",
    "E-SERVER-CERTIFICATE": "The certificate of the server is not trusted.",
    "E-SERVER-CLOSED": "The server closed the connection.",
    "E-SERVER-CONNECTION": "The connection to the server failed.",
    "E-SERVER-FULL": "The server has no space left, or a quota is used up.",
    "E-SERVER-HOST": "The name of the host is not known.",
    "E-SERVER-LOGIN": "The server does not accept the login.",
    "E-SERVER-MALFORMED": "The answer of the server cannot be parsed.",
    "E-SERVER-NAME": "The server does not allow the name of a file.",
    "E-SERVER-REFUSED": "The server refuses connections.",
    "E-SERVER-RIGHTS": "The server does not allow it to this user, or a folder is missing there.",
    "E-SERVER-TIMEOUT": "The server did not answer in time.",
    "E-SERVER-TLS": "TLS with the server failed.",
    "E-SET-MALFORMED": "A `--set` is not of the form KEY=VALUE.",
    "E-SFTP-HOST-KEY": "The host key of the server is not the known one.",
    "E-SFTP-KEY-FILE": "`sftp.key_file` cannot be used.",
    "E-SFTP-KNOWN-HOSTS": "The file of known hosts cannot be read.",
    "E-SFTP-USER": "No user is named for SFTP.",
    "E-SPILL-WRITE": "Rows cannot be kept in `run.spill_dir`.",
    "E-SPOOL-WRITE": "A part cannot be kept in `run.spill_dir` while it is sent.",
    "E-STDOUT": "Standard output is closed, or cannot be written.",
    "E-STOPPED": "The command was stopped by a signal.",
    "E-SYNC-ADDRESS": "An address for synchronization cannot be made as asked.",
    "E-THREADS": "The system does not let the process start the threads it needs.",
    "E-TO-MALFORMED": "`output.to` cannot be parsed, or looks like something else written wrong.",
    "E-TO-SCHEME": "`output.to` is a URL of a kind that is no destination.",
    "E-TOO-MANY-REJECTS": "More rows were rejected than `report.max_rejects` allows.",
    "E-USAGE": "The command line is wrong.",
    "E-VARIABLE-UNSET": "The job takes an environment variable that is not set.",
    "W-ABORT-REFUSED": "Uploads that are given up cannot be aborted.",
    "W-BETA": "The beta environment checks names and syntax only (T1).",
    "W-CLOCK-SKEW": "The clocks of this machine and of the server differ.",
    "W-CUSTOMER-OVER-LIMIT": "A customer ID has more device IDs than Audience Manager keeps (I5).",
    "W-DEVICE-OVER-LIMIT": "A device ID has more customer IDs than Audience Manager keeps (I5).",
    "W-DISK-SPACE": "A disk may be too small for the parts.",
    "W-FTP": "Adobe is phasing FTP out.",
    "W-ID-CASE-COLLISION": "IDs differ by case alone (C12).",
    "W-ID-TYPE-SOURCE": "The type of the IDs belongs to another data source.",
    "W-ID-WITH-HYPHEN": "IDs hold hyphens, where Adobe says letters and digits (I7).",
    "W-MATCH-NONE": "No ID matches.",
    "W-MATCH-ROWS": "Rows were left out of a comparison, since they are malformed.",
    "W-MATCH-TYPE": "Most IDs look like IDs of another type.",
    "W-NAMES-UNSEEN": "The destination does not tell which names are taken.",
    "W-NO-PARTIAL-NAMES": "Parts are written under their final names, and seen before they are whole.",
    "W-OUTPUT-LOST": "What was done cannot be printed.",
    "W-PARTS-UNSEEN": "Whether parts that had been sent are still there cannot be seen.",
    "W-READ-REFUSED": "The destination does not let parts be read back.",
    "W-REMOVE-REFUSED": "The destination does not let files be removed.",
    "W-RUN-GIVEN-UP": "An earlier run of the job, of which parts are visible, was given up.",
    "W-RUN-UNFINISHED": "The destination holds unpublished parts of another run of the job, whose journal is gone.",
    "W-SEND-RULES": "Files to send hold what Audience Manager accepts, but most likely was not meant.",
    "W-SIZES-UNSEEN": "The destination does not tell the size of files.",
    "W-SOURCE-ID-TYPE": "The data source is for IDs of another type.",
    "W-WRITE-UNTRIED": "Whether the destination can be written was not tried.",
}
"""What each code means. Codes are stable; sentences may change."""

_LONGEST_SHOWN = 60
_DIGITS_OF_IDS = 5  # names of columns have fewer: `revenue_2024`


class Finding(NamedTuple):
    """What a check or a run found: a code of `CODES`, what it is, and what to do about it.

    Codes of errors begin with `E-`, those of warnings with `W-`; what is in order has none.
    """

    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, error: ConverterError) -> Finding:
        """Return an error as a finding."""
        return cls(error.code, error.message, error.hint)

    @property
    def level(self) -> Literal["ok", "warning", "error"]:
        """How serious it is."""
        return "error" if self.code.startswith("E-") else "warning" if self.code else "ok"

    def as_dict(self) -> dict[str, str]:
        """Return it as plain data."""
        return {"level": self.level, **self._asdict()}

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


TAKEN = {"E-NAME-IN-USE", "E-NAME-TAKEN"}
"""What says that another run has the names."""

LOST = {"E-NAME-IN-USE", "E-NAME-TAKEN", "E-PUBLISHED-OTHER", "E-S3-TAKEN"}
"""What says at publishing that another run was first."""


def codes_of(findings: Iterable[Finding]) -> set[str]:
    """Return the codes of the errors among findings."""
    return {finding.code for finding in findings if finding.level == "error"}


def has_errors(findings: Iterable[Finding]) -> bool:
    """Say whether there is an error among findings."""
    return any(finding.level == "error" for finding in findings)


class Reported(BaseException):
    """What ends a command with a code of `CODES`, a sentence and, where there is one, what to do next.

    `exit_code` is what the command line ends with. `visible` are the URLs of parts of the run that are out.
    """

    exit_code = 1
    visible: tuple[str, ...] = ()

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)

    @property
    def code(self) -> str:
        """The stable code of what happened."""
        return str(self.args[0])

    @property
    def message(self) -> str:
        """What happened."""
        return str(self.args[1])

    @property
    def hint(self) -> str:
        """What to do next."""
        return str(self.args[2])

    def reword(self, change: Callable[[str], str]) -> None:
        """Change the texts, but not the code."""
        self.args = (self.code, change(self.message), change(self.hint))

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConverterError(Reported, Exception):
    """Anything that this package raises because something is wrong."""


class JobError(ConverterError):
    """The job, or the command line that made it, is wrong. Nothing was begun."""

    exit_code = 2


class ColumnError(JobError):
    """A column that the job names is not in the input, or is there in a form that cannot be used."""


class InputError(ConverterError):
    """The input is not there, cannot be read, is damaged, or changed while it was read."""


class EmptyInputError(InputError):
    """There is nothing to send: no row, or none that survives the rules (C10)."""


class ResourcesError(ConverterError):
    """The system gives the process too little memory or too few threads."""


class EngineError(ConverterError):
    """Polars failed, or cannot run in this process."""


class DestinationError(ConverterError):
    """A part could not be written, or would replace something that is there already."""


class EncryptionError(DestinationError):
    """Parts cannot be encrypted: GnuPG or the key of the recipient is not there, or cannot be used (N8)."""


class TransientError(DestinationError):
    """A destination failed in a way that may pass: what was tried is worth trying again."""


class ResumeError(ConverterError):
    """What a run that died has left does not fit to what is there now. Nothing more was published."""


class InternalError(ConverterError):
    """Something failed that nobody had thought of: a bug. Its cause tells what."""


class LedgerError(ConverterError):
    """Rows went in and did not come out, or the other way round. Nothing was published."""


class TooManyRejectsError(ConverterError):
    """More rows were rejected than `report.max_rejects` allows. Nothing was published."""

    exit_code = 3


class StoppedError(Reported):
    """A signal came. No `Exception`, so that nothing swallows it; who had published parts says so."""

    def __init__(self, signal_number: int, message: str = "Stopped: nothing was published.") -> None:
        super().__init__("E-STOPPED", message)
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[type[StoppedError], tuple[int, str]]:
        return type(self), (self.exit_code - 128, self.message)


def tell_visible(error: BaseException, urls: tuple[str, ...]) -> None:
    """Note on an error, also on one of a kind that is not ours, which parts of the run are out."""
    error.visible = urls  # type: ignore[attr-defined]


def visible_beside(error: BaseException | None) -> tuple[str, ...]:
    """Return which parts of the run are out, as it was noted on an error, or on what it came from."""
    if error is None:
        return ()
    return getattr(error, "visible", ()) or visible_beside(error.__cause__)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'X'?` for the known name nearest to `name`, or nothing."""
    import difflib  # here, since a command that goes well needs none of it

    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f", did you mean '{redact(by_folded[close[0]])}'?" if close else ""


def redact(name: str) -> str:
    """Return a name from the input as a message may show it: short, on one line, and every character visible.

    Where a file has no header, its first row stands for one: an e-mail address is not shown, and of what has as many
    digits as an ID only the ends are.
    """
    if "@" in name:
        return "…@…"
    if sum(mark.isdigit() for mark in name) >= _DIGITS_OF_IDS:
        return f"{name[:2]}…{name[-2:]}"
    text = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in name[:_LONGEST_SHOWN])
    return text + "…" * (len(name) > _LONGEST_SHOWN)
