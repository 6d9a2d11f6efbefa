"""The errors, and the table of the codes of errors and warnings.

Each error has a code, an exit code and, where possible, a hint what to do next. Messages never contain personal data or
secrets, but files, lines, names of columns, rules and counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

CODES: dict[str, str] = {
    "E-ARGUMENT": "An argument of a function in Python has a wrong type, such as a frame instead of a path.",
    "E-AZ-ACCOUNT": "The storage account of Azure is not known.",
    "E-AZ-CONNECTION-STRING": "The connection string of Azure names no account.",
    "E-BOTH-MODES": "Files that add to and that replace the data of one data source would be sent on one day (T2).",
    "E-CHECK-NO-FILES": "No file to check was named.",
    "E-CHECK-RULES": "Files that were checked break the rules of Audience Manager.",
    "E-CLEARED": "More users would be cleared than `report.max_cleared` allows (C11).",
    "E-COLLISIONS-MEMORY": "More IDs differ from each other only by case than fit into `run.memory`.",
    "E-CLOUD-BUCKET": "The bucket or the container does not exist.",
    "E-CLOUD-CREDENTIALS": "The credentials for Google Cloud Storage or Azure could not be loaded.",
    "E-CLOUD-NAME": "The name of an object on Google Cloud Storage or Azure is not supported.",
    "E-CLOUD-NO-CREDENTIALS": "No credentials for Google Cloud Storage or Azure were found.",
    "E-COLUMN-MISSING": "The input lacks a column that the job uses.",
    "E-COLUMN-REPEATED": "The input has two columns with the name of a column that the job uses.",
    "E-COLUMN-TYPE": "A column has a type that cannot be used in this way.",
    "E-DATABASE-CONNECT": "A database that is an input cannot be reached or opened.",
    "E-DATABASE-READ": "The query of a database failed, or the connection was lost.",
    "E-DATABASE-ROWS": "It is not clear which rows of a database are wanted.",
    "E-DELTA-FEATURE": "A Delta table uses a feature that is not supported, such as deletion vectors.",
    "E-DELTA-MISSING": "An input is no Delta table, although `input.format` says so.",
    "E-DELTA-VERSION": "A Delta table has no such version, or its log is damaged.",
    "E-DISK-FULL": "The disk or the quota of the output folder is full.",
    "E-ENGINE": "Polars failed on well-formed rows: a bug.",
    "E-FILE-READ": "An inbound file to send cannot be read.",
    "E-FOLDER-READ": "A folder that the job needs cannot be read.",
    "E-FOLDER-WRITE": "The output folder cannot be written.",
    "E-FORKED": "The process was forked from one in which Polars runs.",
    "E-FOLDER-MIXED": "A folder has files of several formats, or of no known one, beside those of a table.",
    "E-FOLDER-TABLE": "Files of a Delta Lake, Iceberg or Hudi table were given as loose files.",
    "E-FORMAT-UNKNOWN": "The format of an input file is not clear from its name.",
    "E-FTP-CA-FILE": "`ftp.tls_ca_file` cannot be used.",
    "E-NETRC": "`~/.netrc` cannot be read.",
    "E-HASH-CHECK": "The hash library returns a wrong hash for a known example.",
    "E-HEADER-FIELDS": "The first row does not have as many fields as `input.columns` has names.",
    "E-HEADER-LATER": "The columns are not named in the first row of a text file, but in one of the next lines.",
    "E-HEADER-MISSING": "The first row of a text file looks like values, not like names of columns.",
    "E-HEADER-NUL": "The first row contains NUL characters: most likely the encoding is wrong.",
    "E-HEADER-QUOTES": "The double quotes of the first row are unbalanced.",
    "E-HEADER-UNEXPECTED": "The first row has the names of `input.columns`, although `input.header` is false.",
    "E-HTTP-CA-FILE": "`http.tls_ca_file` cannot be used.",
    "E-ID-TYPE-AUTO": '`id.type = "auto"` cannot be used here.',
    "E-ID-TYPES-MIXED": "One column contains IDs of several types, and the job does not route them.",
    "E-INPUT-CHANGED": "The input changed while it was read.",
    "E-INPUT-CONTENT": "An input file holds something else than a table, or a table of another format.",
    "E-INPUT-DAMAGED": "An input file is damaged: truncated, changed, or not of its format.",
    "E-INPUT-EMPTY": "An input file is empty, or has no columns.",
    "E-INPUT-ENCODING": "An input file is not in the encoding that the job names.",
    "E-INPUT-FRAME": "A frame that is given as input fails when it is read.",
    "E-INPUT-KEY": "A key of `[input]` does not fit the kind of the input.",
    "E-INPUT-MEMBER": "A zip archive does not have exactly one file to read.",
    "E-INPUT-MISSING": "An input path matches no file.",
    "E-INPUT-ONCE": "An input that can be read only once has to be read twice.",
    "E-INPUT-PACKAGE": "A Python package is not installed that reads this kind of input.",
    "E-INPUT-PACKED": "An input file is compressed or packed in a way that is not read.",
    "E-INPUT-READ": "An input file or folder cannot be read.",
    "E-INPUT-REMOTE": "An input path is a URL with an unsupported scheme.",
    "E-INPUT-SPECIAL": "An input path is a socket or a device.",
    "E-INPUT-STDIN": "Standard input is a terminal, or closed.",
    "E-INPUT-URL": "An input path is a URL that names no file or folder.",
    "E-INPUT-UNSUPPORTED": "An input file uses an unsupported feature of its format.",
    "E-INTERNAL": "Unexpected failure: a bug.",
    "E-JOB-INVALID": "Keys or values of the job are wrong.",
    "E-JOB-MISSING": "There is no job file at the given path.",
    "E-JOB-READ": "The job file cannot be read.",
    "E-JOB-TOML": "The job file is not valid TOML.",
    "E-JOURNAL-DAMAGED": "The journal of an earlier run is damaged.",
    "E-JOURNAL-VERSION": "The journal of an earlier run was written by a version whose runs cannot be resumed.",
    "E-JOURNAL-WRITE": "The journal of the run cannot be read or written.",
    "E-LEDGER": "Rows are unaccounted for: a bug.",
    "E-LINE-ENDLESS": "A line is longer than any line of a table.",
    "E-LINE-ENDS": "Lines end in carriage returns without newlines.",
    "E-LOCK-LOST": "Another run has taken over the job, since this one was paused or cut off (`report.lease_seconds`).",
    "E-LOCKED": "Another process runs this job.",
    "E-LOG-FILE": "The log file cannot be written.",
    "E-MATCH-HEADER": "The first row of a list of IDs was read as its header, but looks like an ID.",
    "E-MATCH-NO-IDS": "The column to compare contains no IDs.",
    "E-MEMORY": "The process is out of memory.",
    "E-NAME-IN-USE": "A partial file with a name of the run exists at the destination.",
    "E-NAME-TAKEN": "A file with a name of the run and different content exists at the destination.",
    "E-NO-ROW-LEFT": "Every row was rejected or skipped: there is nothing to send (C10).",
    "E-NO-ROWS": "The input has no rows: there is nothing to send (C10).",
    "E-OUTPUT-CLOSED": "The reader of standard output has closed it.",
    "E-OUTPUT-IN-USE": "A partial file of the output exists.",
    "E-OUTPUT-TAKEN": "The output file exists.",
    "E-OUTPUT-WRITE": "The output cannot be written.",
    "E-PAGE-WRITE": "The HTML page cannot be written.",
    "E-PART-CHANGED": "The content of a part at the destination differs from what was sent.",
    "E-PART-SIZE": "The size of a part at the destination differs from what was sent.",
    "E-PARTIAL-VANISHED": "The server moves or removes files with partial names.",
    "E-PASSWORD-COMMAND": "The program that prints the password fails.",
    "E-PASSWORD-FILE": "The file with the password cannot be used.",
    "E-PASSWORD-TWICE": "There is a password in `output.to` and another one in the section of the server.",
    "E-PERSONAL-COLUMN": "The name of a column indicates personal data (I3).",
    "E-PERSONAL-CONSTANT": "A constant signal is personal data (I3).",
    "E-PGP-FAILED": "GnuPG failed, or could not be started.",
    "E-PGP-KEY-EXPIRED": "The encryption key has expired.",
    "E-PGP-KEY-NONE": "The key file contains no public key.",
    "E-PGP-KEY-READ": "The key file cannot be read.",
    "E-PGP-KEY-REFUSED": "GnuPG rejects the encryption key.",
    "E-PGP-KEY-REVOKED": "The encryption key is revoked.",
    "E-PGP-KEY-SECRET": "The key file contains a secret key.",
    "E-PGP-KEY-SEVERAL": "The key file contains more than one key.",
    "E-PGP-KEY-UNUSABLE": "The key has no valid subkey for encryption.",
    "E-PGP-MISSING": "GnuPG is not installed.",
    "E-PGP-SIZE": "An encrypted part is larger than allowed.",
    "E-PGP-VERSION": "GnuPG is too old.",
    "E-PUBLISHED-OTHER": "The published file is not the one that was sent.",
    "E-PUBLISHED-UNSEEN": "A published file is not visible yet.",
    "E-RENAME-REFUSED": "The server does not allow files to be renamed.",
    "E-REJECTS-CAPPED": "The rejects file of `input.rejects_of` does not have all rejected rows.",
    "E-REJECTS-INPUT": "The input is not that of the run of `input.rejects_of`.",
    "E-REJECTS-OF": "The report of `input.rejects_of` cannot be used.",
    "E-REJECTS-READ": "The file of rejects cannot be read.",
    "E-REJECTS-ROWS": "Rows that an earlier run rejected do not begin where they did (`input.rejects_of`).",
    "E-REPORT-CONDITIONS": "The S3 server of `report.dir` ignores conditions, so that no lock is possible.",
    "E-REPORT-FOLDER": "The report folder cannot be written.",
    "E-REPORT-WRITE": "The report or the rejects file cannot be written.",
    "E-RESUME-INPUT": "The input differs from that of the run to resume.",
    "E-RESUME-KEY": "The key differs from that of the run to resume.",
    "E-RESUME-SIZE": "Parts of the run to resume would be too large if they were made here.",
    "E-RESUME-TEXT": "The input gives other lines than in the run to resume.",
    "E-S3-ACL": "The bucket does not accept ACLs.",
    "E-S3-BUCKET": "The bucket does not exist.",
    "E-S3-BUSY": "S3 is too busy.",
    "E-S3-CERTIFICATE": "The certificate of the S3 endpoint is not trusted.",
    "E-S3-CLOCK": "The clock of this machine is wrong.",
    "E-S3-CONNECTION": "The connection to S3 was interrupted.",
    "E-S3-CREDENTIALS": "The S3 credentials are wrong.",
    "E-S3-DAMAGED": "Data arrived damaged at S3.",
    "E-S3-DENIED": "A permission on S3 is missing.",
    "E-S3-ENCRYPTION": "The bucket does not support the requested encryption.",
    "E-S3-EXPIRED": "The S3 credentials have expired.",
    "E-S3-FAILED": "S3 failed.",
    "E-S3-FULL": "The S3 server has no space left.",
    "E-S3-KEY-LENGTH": "The key is longer than S3 allows.",
    "E-S3-KMS": "The KMS key cannot be used.",
    "E-S3-LOGIN": "The AWS login has expired.",
    "E-S3-LOST": "Data that was sent to S3 no longer exists.",
    "E-S3-MALFORMED": "The response of the S3 endpoint is malformed.",
    "E-S3-NO-CREDENTIALS": "There are no S3 credentials.",
    "E-S3-OTHER": "The request to S3 failed.",
    "E-S3-PROFILE": "The AWS profile does not exist.",
    "E-S3-REGION": "The bucket is in another region.",
    "E-S3-REQUEST": "S3 refused the request.",
    "E-S3-ROLE": "The role cannot be assumed.",
    "E-S3-SETTINGS": "The AWS settings are wrong.",
    "E-S3-STORAGE-CLASS": "The bucket does not support the storage class.",
    "E-S3-TAKEN": "Another object with this key exists.",
    "E-S3-TIMEOUT": "S3 did not respond in time.",
    "E-S3-UNREACHABLE": "S3 cannot be reached.",
    "E-S3-UNSUPPORTED": "The S3 server does not support the request.",
    "E-SEND-NAME-TWICE": "Two files to send have the same name.",
    "E-SEND-NO-FILES": "There are no files to send.",
    "E-SEND-RULES": "Files to send break the rules of Audience Manager.",
    "E-SERVER-ALGORITHMS": "The server supports no secure algorithm.",
    "E-SERVER-ANSWER": "The server rejected a command.",
    "E-SERVER-CERTIFICATE": "The certificate of the server is not trusted.",
    "E-SERVER-CLOSED": "The server closed the connection.",
    "E-SERVER-CONNECTION": "The connection to the server failed.",
    "E-SERVER-FULL": "The server has no space left, or a quota is exceeded.",
    "E-SERVER-HOST": "The host name is unknown.",
    "E-SERVER-LOGIN": "The server rejects the login.",
    "E-SERVER-MALFORMED": "The response of the server is malformed.",
    "E-SERVER-NAME": "The server does not allow the name of a file.",
    "E-SERVER-REFUSED": "The server refuses connections.",
    "E-SERVER-RIGHTS": "The user has no permission on the server, or a folder does not exist there.",
    "E-SERVER-TIMEOUT": "The server did not respond in time.",
    "E-SERVER-TLS": "TLS with the server failed.",
    "E-SET-MALFORMED": "A `--set` is not of the form KEY=VALUE.",
    "E-SHEET-LARGE": "A workbook is too large to be read within bounds of memory.",
    "E-SHEET-MISSING": "A workbook has no sheet of this name or number.",
    "E-SFTP-HOST-KEY": "The host key of the server is unknown or has changed.",
    "E-SFTP-KEY-FILE": "`sftp.key_file` cannot be used.",
    "E-SFTP-KNOWN-HOSTS": "The file of known hosts cannot be read.",
    "E-SFTP-USER": "The SFTP user is missing.",
    "E-SPILL-WRITE": "Rows cannot be written to `run.spill_dir`.",
    "E-SPOOL-WRITE": "A part cannot be written to `run.spill_dir` before its upload.",
    "E-SQL": "`input.filter` or `input.computed` is no SQL of one row alone, or does not fit the types of the columns.",
    "E-SQL-VALUE": "`input.filter` or `input.computed` fails for a value, such as a text that is cast to a number.",
    "E-STATE-CHANGED": "Another run has replaced the state since this one has read it.",
    "E-STATE-CONDITIONS": "The S3 server of `delta.state` ignores conditions, so that nothing would keep runs apart.",
    "E-STATE-DAMAGED": "The state is damaged: a file, its record or its salt is not what was written.",
    "E-STATE-LOCKED": "Another process runs a job with the same state.",
    "E-STATE-MISSING": "There is no state in the folder, or at the URL.",
    "E-STATE-OTHER": "The state is of another data source, or of another kind of files.",
    "E-STATE-READ": "The state cannot be read.",
    "E-STATE-VERSION": "The state was written in the format of another version.",
    "E-STATE-WRITE": "The state cannot be written.",
    "E-STDOUT": "Standard output is closed, or cannot be written.",
    "E-STOPPED": "The command was stopped by a signal.",
    "E-SUPPRESS-INVALID": "No row of the list in `input.suppress` has a valid user ID.",
    "E-SYNC-ADDRESS": "The options of a synchronization address are wrong.",
    "E-STRICT": "There is a warning, and `--strict` makes warnings errors.",
    "E-THREADS": "The system does not allow the process to start the threads it needs.",
    "E-TO-MALFORMED": "`output.to` is malformed.",
    "E-TO-SCHEME": "`output.to` is a URL with an unsupported scheme.",
    "E-TOO-MANY-REJECTS": "More rows were rejected than `report.max_rejects` allows.",
    "E-USAGE": "The command line is wrong.",
    "E-VARIABLE-UNSET": "The job uses an environment variable that is not set.",
    "E-VOLUME": "The run reads or writes far less or far more than the last runs of the job (`report.max_change`).",
    "W-ABORT-REFUSED": "The destination does not allow uploads to be aborted.",
    "W-BETA": "The beta environment checks names and syntax only (T1).",
    "W-CLOCK-SKEW": "The clocks of this machine and of the server differ.",
    "W-CUSTOMER-OVER-LIMIT": "A customer ID has more device IDs than Audience Manager keeps (I5).",
    "W-DEVICE-OVER-LIMIT": "A device ID has more customer IDs than Audience Manager keeps (I5).",
    "W-DISK-SPACE": "There may not be enough disk space for the parts, or for lines that do not fit into memory.",
    "W-ENCODING-OTHER": "Rows were rejected because they are in another encoding than the job says.",
    "W-ENCODING-UTF8": "An input file is valid UTF-8, but is read in another encoding.",
    "W-FOLDER-UNFINISHED": "A folder may be incomplete: the program that writes it has not finished.",
    "W-FTP": "Adobe is phasing out FTP.",
    "W-INPUT-TORN": "The last line of standard input or a pipe has no line end: its program may have been interrupted.",
    "W-ID-CASE-COLLISION": "IDs differ from each other only by case (C12).",
    "W-ID-TYPE-SOURCE": "The type of the IDs belongs to another data source.",
    "W-ID-WITH-HYPHEN": "IDs contain hyphens, but Adobe specifies letters and digits (I7).",
    "W-LOG-LOST": "Lines of the log could not be written.",
    "W-ID-FREQUENT": "Single IDs are on more than 1 % of the lines: most likely a default or a test user.",
    "W-MISSING-WORDS": "Values of a column are words for missing values, such as NULL, and are sent.",
    "W-ID-IS-MISSING-WORD": "IDs that are words for missing values are written (`id.implausible`).",
    "W-ID-IS-COLUMN-NAME": "IDs that are the name of their column are written (`id.implausible`).",
    "W-ID-IS-ROUNDED-NUMBER": "IDs that a spreadsheet has rounded are written (`id.implausible`).",
    "W-ID-IS-DECIMAL-NUMBER": "IDs that are numbers with decimals are written (`id.implausible`).",
    "W-ID-IS-FORMULA": "IDs that begin like formulas are written (`id.implausible`).",
    "W-ID-IS-DAMAGED": "IDs with replacement characters are written (`id.implausible`).",
    "W-ID-IS-TEMPLATE": "IDs that are templates are written (`id.implausible`).",
    "W-ID-HAS-SPACE": "IDs with a space, which hardly any of the first ones has, are written (`id.implausible`).",
    "W-ID-REPEATED": "The first rows have one ID, or few different ones: most likely the column is the wrong one.",
    "W-ID-WORDS": "The first IDs look like words or dates: most likely the column is the wrong one.",
    "W-INPUT-PLAIN": "An input is read by plain HTTP or FTP, which others on the network can read and change.",
    "W-KEY-UNNAMEABLE": "No trait rule can name a key (C16).",
    "W-MATCH-NONE": "No IDs match.",
    "W-MATCH-ROWS": "Malformed rows were omitted from a comparison.",
    "W-MATCH-TYPE": "Most IDs look like IDs of another type.",
    "W-MOJIBAKE": "An input file holds UTF-8 that was read as Windows-1252 and stored.",
    "W-NAMES-UNSEEN": "The destination does not allow existing names to be listed.",
    "W-NO-PARTIAL-NAMES": "Parts are written under their final names, and visible before they are complete.",
    "W-OUTPUT-LOST": "The result cannot be printed.",
    "W-PARTS-UNSEEN": "The destination does not allow checking that parts still exist.",
    "W-READ-REFUSED": "The destination does not allow parts to be read back.",
    "W-REMOVE-REFUSED": "The destination does not allow files to be removed.",
    "W-RUN-GIVEN-UP": "An earlier run of the job, some parts of which are visible, was abandoned.",
    "W-RUN-UNFINISHED": "The destination contains unpublished parts of another run of the job, which has no journal.",
    "W-REPORT-KEPT": "Old reports cannot be removed.",
    "W-REPORT-VANISHES": "The report folder goes with the container, and with it what `--resume` needs.",
    "W-SEND-RULES": "Files to send contain what Audience Manager accepts but was most likely not intended.",
    "W-SHEETS-UNREAD": "Other sheets of a workbook hold data, which is not read.",
    "W-SIZES-UNSEEN": "The destination does not report file sizes.",
    "W-SOURCE-ID-TYPE": "The data source is for IDs of another type.",
    "W-SOURCE-ZERO": "The data source is 0, which is Audience Manager's own.",
    "W-STATE-IDS": "`delta.gone` is `remove`, but the state has no IDs yet.",
    "W-STATE-JOB": "The job is not as it was in the run that wrote the state.",
    "W-STATE-OPEN": "Other users can open the folder of the state.",
    "W-STATE-TRAITS": "The job removes traits, but the state has none yet.",
    "W-SUPPRESS-INVALID": "Rows of the list in `input.suppress` have no valid user ID, and suppress nothing.",
    "W-SUPPRESS-UNUSED": "No user ID of the list in `input.suppress` is in the input.",
    "W-USER-OVER-LIMIT": "A user has more lines than Audience Manager takes (C7).",
    "W-WRITE-UNTRIED": "Whether the destination can be written was not tested.",
}
"""What each code means. Codes are stable; sentences may change."""

_LONGEST_SHOWN = 60
_DIGITS_OF_IDS = 5  # names of columns have fewer, such as `revenue_2024`


class Finding(NamedTuple):
    """A result of a check or a run: a code of `CODES`, a message, and a hint what to do.

    Codes of errors begin with `E-`, those of warnings with `W-`; a finding that is in order has none.
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
        """The severity."""
        return "error" if self.code.startswith("E-") else "warning" if self.code else "ok"

    def as_dict(self) -> dict[str, str]:
        """Return the finding as plain data."""
        return {"level": self.level, **self._asdict()}

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


TAKEN = {"E-NAME-IN-USE", "E-NAME-TAKEN"}
"""Codes of findings that another run has the names."""

TAKEN_OVER = "E-LOCK-LOST"
"""The code of the error when another run has taken over the lock of this one."""

LOST = {"E-NAME-IN-USE", "E-NAME-TAKEN", "E-PUBLISHED-OTHER", "E-S3-TAKEN"}
"""Codes of errors when another run has published first."""


def codes_of(findings: Iterable[Finding]) -> set[str]:
    """Return the codes of the errors among findings."""
    return {finding.code for finding in findings if finding.level == "error"}


def has_errors(findings: Iterable[Finding]) -> bool:
    """Return whether there is an error among findings."""
    return any(finding.level == "error" for finding in findings)


EndName = Literal["done", "nothing to do", "refused", "failed", "stopped"]
"""How a command or a run ended; `refused` by a guard."""


class Reported(BaseException):
    """An error or a signal that ends a command, with a code of `CODES`, a message and a hint what to do next.

    `exit_code` is that of the command. `visible` are the URLs of the parts of the run that are published. `report` is
    the `Report` or `SendReport` of the run, if one had begun.
    """

    exit_code = 1
    visible: tuple[str, ...] = ()
    report: Any = None

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)

    @property
    def code(self) -> str:
        """The stable code."""
        return str(self.args[0])

    @property
    def message(self) -> str:
        """What happened."""
        return str(self.args[1])

    @property
    def hint(self) -> str:
        """What to do next."""
        return str(self.args[2])

    @property
    def outcome(self) -> EndName:
        """How the command ended."""
        return "refused" if self.exit_code == 3 else "failed"

    def reword(self, change: Callable[[str], str]) -> None:
        """Change the message and the hint, but not the code."""
        self.args = (self.code, change(self.message), change(self.hint))

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConverterError(Reported, Exception):
    """The base class of the errors of this package."""


class JobError(ConverterError):
    """The job or the command line is wrong, or does not fit the input. No run was started."""

    exit_code = 2


class ColumnError(JobError):
    """A column that the job uses does not exist in the input, or cannot be used in this way."""


class InputError(ConverterError):
    """The input does not exist, cannot be read, is damaged, or changed while it was read."""


class EmptyInputError(InputError):
    """There is nothing to send: no rows, or all are rejected or skipped (C10)."""


class ResourcesError(ConverterError):
    """The system does not give the process enough memory or threads."""


class EngineError(ConverterError):
    """Polars failed, or cannot run in this process."""


class DestinationError(ConverterError):
    """A part cannot be written, or would replace an existing file."""


class EncryptionError(DestinationError):
    """Parts cannot be encrypted: GnuPG or the key of the recipient is missing, or cannot be used (N8)."""


class TransientError(DestinationError):
    """A destination failed temporarily: a retry may help."""


class ResumeError(ConverterError):
    """An interrupted run cannot be resumed, since something has changed. No further parts were published."""


class InternalError(ConverterError):
    """An unexpected failure, which is a bug; its cause says more."""


class StateError(ConverterError):
    """The state of earlier runs cannot be read, or is damaged. No run was started."""


class LedgerError(ConverterError):
    """The counts of rows do not add up. Nothing was published."""


class TooManyRejectsError(ConverterError):
    """More rows were rejected than `report.max_rejects` allows. Nothing was published; `report` says what was wrong."""

    exit_code = 3


class GuardError(ConverterError):
    """A rule or a limit has refused the run, such as `report.max_change`. Nothing was published."""

    exit_code = 3


class StrictError(ConverterError):
    """A warning, where warnings are errors. Nothing was published."""

    exit_code = 3


class StoppedError(Reported):
    """A signal stopped the command. It is no `Exception`, so that nothing catches it by accident."""

    def __init__(self, signal_number: int, message: str = "Stopped: nothing was published.") -> None:
        super().__init__("E-STOPPED", message)
        self.exit_code = 128 + signal_number

    @property
    def outcome(self) -> EndName:
        """How the command ended."""
        return "stopped"

    def __reduce__(self) -> tuple[type[StoppedError], tuple[int, str]]:
        return type(self), (self.exit_code - 128, self.message)


def note_visible(error: BaseException, urls: tuple[str, ...]) -> None:
    """Note on any error which parts of the run are published (URLs)."""
    error.visible = urls  # type: ignore[attr-defined]


def noted_visible(error: BaseException | None) -> tuple[str, ...]:
    """Return which parts of the run are published, as noted on an error or on its causes."""
    if error is None:
        return ()
    return getattr(error, "visible", ()) or noted_visible(error.__cause__)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'X'?` for the known name nearest to `name`, or nothing."""
    import difflib  # here, since only errors need it

    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f", did you mean '{redact(by_folded[close[0]])}'?" if close else ""


def redact(name: str) -> str:
    """Return a name from the input as a message may show it: short, on one line, with all characters printable.

    The first row of a file without a header is taken for names of columns: so e-mail addresses are not shown, and of
    names with as many digits as IDs only the ends are.
    """
    if "@" in name:
        return "…@…"
    if sum(mark.isdigit() for mark in name) >= _DIGITS_OF_IDS:
        return f"{name[:2]}…{name[-2:]}"
    text = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in name[:_LONGEST_SHOWN])
    return text + "…" * (len(name) > _LONGEST_SHOWN)
