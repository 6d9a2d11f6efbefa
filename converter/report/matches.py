"""The result of a comparison of IDs: as data, and as a self-contained HTML page.

It contains no complete ID: examples are masked, and texts in settings, such as prefixes, are common to many IDs.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from converter.delivery.publication import ArtifactFile
from converter.delivery.run_files import FolderFiles
from converter.errors import DestinationError, Finding
from converter.report.left_out import by_reason
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
            (f"{self.crm:,}", "distinct IDs in the CRM"),
            (f"{self.site:,}", "distinct IDs of the site"),
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
        return "\n".join(["[id]", *(f"{key} = {_toml(value)}" for key, value in self.recommended.id.items())])

    def to_html(self) -> str:
        """Return a page that says all this; what comes from the input is escaped."""
        examples = [" and ".join(example) for example in self.case_collisions.examples]
        return _PAGE.format(
            facts="".join(f"<tr><td class=n>{_text(number)}<td>{_text(words)}" for number, words in self.summary()),
            warnings=_listed("Note", map(str, self.warnings)),
            block=_text(self.block()),
            candidates="".join(
                f"<tr><td class=n>{_text(matched)}<td class=n>{_text(rate)}"
                f'<td><i style="width:{each.rate * 10:.2f}em"></i><td>{_text(words)}'
                for (matched, rate, words), each in zip(self.table(), self.best(), strict=True)
            ),
            examples=_listed("IDs that differ by case alone", examples),
        )

    def write_html(self, path: Path) -> None:
        """Write the page, in place of an older one, in a folder that is there. Raises `DestinationError`."""
        hint = "Choose another file with --html."
        if not path.parent.is_dir():
            raise DestinationError("E-PAGE-WRITE", f"Cannot write the page '{path}': No such file or directory.", hint)
        page = ArtifactFile(
            FolderFiles(path.parent),
            path.name,
            self.to_html().encode(),
            code="E-PAGE-WRITE",
            what="page",
            hint=hint,
        )
        try:
            page.prepare()
            page.publish()
        except BaseException:
            page.discard()
            raise


def percent(rate: float) -> str:
    """Return a share as people say it; what is not all is never called all, nor what is not nothing nothing."""
    if 0 < rate < 0.0005:
        return "below 0.1 %"
    return "above 99.9 %" if 0.9995 <= rate < 1 else f"{rate:.1%}".replace("%", " %")


def _toml(value: object) -> str:
    """Return a setting as TOML has it: its texts, numbers and truths are those of JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _text(text: str) -> str:
    return html.escape(text)


def _listed(title: str, items: Iterable[str]) -> str:
    points = "".join(f"<li>{_text(item)}" for item in items)
    return f"<h2>{_text(title)}</h2><ul>{points}</ul>" if points else ""


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>IDs that match</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }}
td, th {{ padding: .2em .8em .2em 0; text-align: left; vertical-align: top }}
.n {{ text-align: right; white-space: nowrap }}
i {{ display: inline-block; height: .8em; background: #2a6fb0 }}
pre {{ background: #f3f3f3; padding: 1em; overflow-x: auto }}
</style>
<h1>IDs that match</h1>
<table>{facts}</table>
{warnings}
<h2>Recommended</h2>
<pre>{block}</pre>
<h2>What was tried</h2>
<table><tr><th class=n>match<th class=n>of the CRM's<th><th>how{candidates}</table>
{examples}
</html>
"""
