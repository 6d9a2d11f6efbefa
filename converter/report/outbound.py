"""The report of `read-outbound`: what was read, what was assumed, and how files differ from their control files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from converter.errors import Finding
from converter.ledger import Ledger
from converter.report.left_out import by_reason
from converter.report.texts import figure
from converter.sources.origins.base import LeftOut
from converter.spec.files import FileRule

FORMAT = 1
"""The version of the report's format."""
MOST_EXAMPLES = 10


@dataclass(frozen=True)
class Rejected:
    """A line that was rejected: its file, its number, counted from 1 with headers and blank lines, and its rule."""

    file: str
    line: int
    rule: str


@dataclass
class OutboundFile:
    """An outbound file: what its name says, and what it holds.

    `bytes` and `md5` are of the file as it is; `lines` include `blank` ones and `headers`, `rows` do not. `form` says
    how its lines are parsed, `info` is the control file that it was compared with, and `differences` are from that.
    `assumed` are the rules that say what was assumed to read it. What is not known is `None`.
    """

    path: str
    destination: int | None = None
    data_source: int | None = None
    alias: str | None = None
    mode: str | None = None
    time: datetime | None = None
    split: int | None = None
    bytes: int = 0
    md5: str | None = None
    lines: int = 0
    rows: int = 0
    blank: int = 0
    headers: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    form: str = ""
    info: str | None = None
    differences: Sequence[str] = ()
    assumed: tuple[FileRule, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        time = self.time and self.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        changed = {"rejected": dict(sorted(self.rejected.items())), "time": time}
        return {**vars(self), **changed, "assumed": [rule.name for rule in self.assumed]}


@dataclass
class OutboundReport:
    """What was read: the files in order, the counts of lines, the first lines that were rejected, and warnings.

    `to` is the output, `None` where it is a stream, and `output_format` its format. `missing` are the names of files
    that control files list, and which are not there.
    """

    to: str | None
    output_format: str
    files: list[OutboundFile] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    examples: list[Rejected] = field(default_factory=list)
    missing: Sequence[str] = ()
    left_out: Sequence[LeftOut] = ()
    warnings: list[Finding] = field(default_factory=list)
    rejects_path: str | None = None
    report_path: None = None

    @property
    def assumed(self) -> dict[FileRule, int]:
        """What was assumed, with the number of files, in the order of its codes."""
        counts = Counter(rule for file in self.files for rule in dict.fromkeys(file.assumed))
        return dict(sorted(counts.items()))

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "format": FORMAT,
            "to": self.to,
            "output_format": self.output_format,
            "records": {
                "read": self.ledger.read,
                "written": self.ledger.written,
                "rejected": dict(sorted(self.ledger.rejected.items())),
            },
            "files": [file.as_dict() for file in self.files],
            "assumed": [
                {"rule": rule.name, "code": rule.code, "files": count, "text": rule.text, "page": rule.page}
                for rule, count in self.assumed.items()
            ],
            "examples": [vars(each) for each in self.examples],
            "missing": list(self.missing),
            "left_out": by_reason(self.left_out),
            "rejects_path": self.rejects_path,
            "warnings": [each.as_dict() for each in self.warnings],
        }

    def summary(self) -> list[tuple[str, str]]:
        """Return lines of a number and its meaning."""
        compared = sum(file.info is not None for file in self.files)
        return [
            figure(len(self.files), "file"),
            (f"{compared:,}", "compared with a control file"),
            figure(self.ledger.read, "row", " read"),
            (f"{self.ledger.written:,}", "written"),
            *((f"{count:,}", f"rejected: {name}") for name, count in sorted(self.ledger.rejected.items())),
        ]
