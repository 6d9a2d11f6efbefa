"""What became of the examples of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from converter.jobs.examples import Example, Row


class Fate(NamedTuple):
    """What becomes of a row: its line, without the line break, or the rule by which it is rejected or skipped.

    `dpid` is the data source of the line, where the job has several.
    """

    line: str | None = None
    reject: str | None = None
    skip: str | None = None
    dpid: int | None = None

    @property
    def rule(self) -> str | None:
        """The rule because of which there is no line."""
        return self.reject or self.skip

    def as_dict(self) -> dict[str, Any]:
        """Return what is known as plain data."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Checked(NamedTuple):
    """An example: its number from 1 in the file at `path`, its row, and what was expected of it and was made of it."""

    path: str | None
    number: int
    row: Row
    expected: Fate
    made: Fate

    @classmethod
    def of(cls, path: str | None, number: int, example: Example, made: Fate) -> Checked:
        """Return an example with what was made of it; of the data source, only what it asks for counts."""
        expected = Fate(example.line, example.reject, example.skip, example.dpid)
        return cls(path, number, example.row, expected, made if expected.dpid else made._replace(dpid=None))

    @property
    def passed(self) -> bool:
        """Whether what was made is what was expected."""
        return self.made == self.expected

    def as_dict(self) -> dict[str, Any]:
        """Return the example as plain data."""
        return {
            "path": self.path,
            "number": self.number,
            "passed": self.passed,
            "row": dict(self.row),
            "expected": self.expected.as_dict(),
            "made": self.made.as_dict(),
        }


@dataclass(frozen=True)
class ExamplesReport:
    """What became of the examples of a job, in order. `loops` says whether the compiled loops were checked as well."""

    examples: list[Checked]
    loops: bool

    @property
    def failed(self) -> list[Checked]:
        """The examples of which something else was made than they say."""
        return [each for each in self.examples if not each.passed]

    @property
    def passed(self) -> bool:
        """Whether all are as they should be."""
        return not self.failed

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        counts = {"passed": len(self.examples) - len(self.failed), "failed": len(self.failed)}
        return {**counts, "loops": self.loops, "examples": [each.as_dict() for each in self.examples]}
