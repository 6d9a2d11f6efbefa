"""The result of a comparison of IDs: as data, and as a self-contained HTML page.

It contains no complete ID: examples are masked, and texts in settings, such as prefixes, are common to many IDs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from converter.errors import Finding
from converter.jobs.toml import as_toml
from converter.report.left_out import by_reason
from converter.report.page_file import write_html
from converter.report.texts import figure, percent
from converter.sources.origins.base import LeftOut

_MOST_SHOWN = 20


class Tried(NamedTuple):
    """How many of the CRM's IDs the site knows, by some settings.

    `id` holds settings of a job's `[id]`; `steps` says them in words. `matched` are distinct IDs, as they would be
    written to a file; `rate` is their share of the CRM's distinct IDs. It is an estimate unless `exact`.
    """

    id: Mapping[str, Any]
    steps: Sequence[str]
    matched: int
    rate: float
    exact: bool

    @property
    def words(self) -> str:
        """The steps, in words."""
        return ", ".join(self.steps) or "as they are"


class Collisions(NamedTuple):
    """How many distinct IDs of the CRM differ from another one by case alone; masked examples of such, each a list."""

    ids: int
    examples: Sequence[Sequence[str]]


class Match(NamedTuple):
    """What became of comparing the IDs of a CRM with those of a web site.

    `crm` and `site` are how many distinct IDs there are. `candidates` begins with those that match most. `other_types`
    says how many IDs of the CRM have the form of another type, by its name.
    `left_out` are files of both that are not read.
    """

    crm: int
    site: int
    as_is: Tried
    recommended: Tried
    candidates: Sequence[Tried]
    case_collisions: Collisions
    other_types: Mapping[str, int]
    warnings: Sequence[Finding]
    left_out: Sequence[LeftOut] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        best = self.recommended
        return {
            "crm": self.crm,
            "site": self.site,
            "as_is": {"matched": self.as_is.matched, "rate": self.as_is.rate},
            "recommended": {"id": dict(best.id), "matched": best.matched, "rate": best.rate},
            "candidates": [
                {**each._asdict(), "id": dict(each.id), "steps": list(each.steps)} for each in self.candidates
            ],
            "case_collisions": {
                "count": self.case_collisions.ids,
                "examples": [list(example) for example in self.case_collisions.examples],
            },
            "other_types": dict(self.other_types),
            "left_out": by_reason(self.left_out),
        }

    def summary(self) -> list[tuple[str, str]]:
        """Return what was found, line by line: how many, and of what."""
        lines = [
            figure(self.crm, "distinct ID", " in the CRM"),
            figure(self.site, "distinct ID", " of the site"),
            (f"{self.as_is.matched:,}", f"match as they are ({percent(self.as_is.rate)} of the CRM's)"),
            (f"{self.recommended.matched:,}", f"match as recommended ({percent(self.recommended.rate)})"),
            (f"{self.case_collisions.ids:,}", "in the CRM differ from another one by case alone"),
        ]
        lines += [
            (f"{count:,}", f"in the CRM look like IDs of type {name}") for name, count in self.other_types.items()
        ]
        return lines

    def table(self) -> list[tuple[str, str, str]]:
        """Return the best candidates, line by line: how many IDs match, their share, and the steps in words."""
        return [
            (f"{'' if each.exact else 'about '}{each.matched:,}", percent(each.rate), each.words)
            for each in self.best()
        ]

    def best(self) -> list[Tried]:
        """Return the candidates by which most match, and what matches as they are; others by which nothing does not."""
        return [each for each in self.candidates if each.matched or each == self.as_is][:_MOST_SHOWN]

    def block(self) -> str:
        """Return the recommended settings as they stand in a job file."""
        return "\n".join(["[id]", *(f"{key} = {as_toml(value)}" for key, value in self.recommended.id.items())])

    def to_html(self) -> str:
        """Return a page that says all this; what comes from the input is escaped."""
        from converter.report.page import page_of  # here, since few commands make one

        warnings = [each.as_dict() for each in self.warnings]
        return page_of({**self.as_dict(), "warnings": warnings}).decode()

    def write_html(self, path: Path) -> None:
        """Write the page, in place of an older one, in a folder that is there. Raises `DestinationError`."""
        write_html(path, self.to_html().encode())
