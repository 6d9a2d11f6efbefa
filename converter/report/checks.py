"""The report of `check`: what inbound files that exist are, and which rules they break."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from converter.parts.problems import Example, Problem
from converter.report.foreseen import total_of
from converter.report.page_file import write_html
from converter.report.texts import counted, visible
from converter.spec.files import LEVELS
from converter.spec.names import WITH_SIGNALS

_MOST_OF_PATH = 4096  # characters


@dataclass(frozen=True)
class FileCheck:
    """An inbound file: its kind and data sources by its name, `None` where that is wrong, its size, lines and text.

    `lines` and `raw_bytes` are `None` where the file is encrypted or damaged. `figures` are numbers of the receipt of
    Audience Manager (`converter.spec.receipts`), of files with signals.
    """

    path: str
    kind: str | None
    bytes: int
    lines: int | None
    raw_bytes: int | None
    findings: Sequence[Problem]
    figures: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        facts = ("path", "kind", "bytes", "lines", "raw_bytes")
        return {
            **{name: getattr(self, name) for name in facts},
            "figures": dict(self.figures),
            "findings": [asdict(each) for each in self.findings],
        }


@dataclass(frozen=True)
class CheckReport:
    """The files, in the order in which they were named, and the paths of those in their folders that are none."""

    files: Sequence[FileCheck]
    left_out: Sequence[str] = ()

    @property
    def counts(self) -> Counter[str]:
        """How many rules are broken by all files, by level."""
        return Counter(each.level for file in self.files for each in file.findings)

    @property
    def figures(self) -> Mapping[str, int]:
        """The numbers of the receipt, as far as they are known; none where a file with signals cannot be read."""
        with_signals = [file for file in self.files if file.kind in WITH_SIGNALS]
        return total_of(file.figures for file in with_signals)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        figures = self.figures
        return {
            "foreseen": {"figures": dict(figures)} if figures else None,
            "files": [file.as_dict() for file in self.files],
            "left_out": list(self.left_out),
            **{f"{level}s": self.counts[level] for level in LEVELS},
        }

    def write_html(self, path: Path) -> None:
        """Write the report as a page, in place of an older one. Raises `DestinationError`."""
        from converter.report.page import page_of  # here, since few commands make one

        write_html(path, page_of(self.as_dict()))

    def findings(self) -> Iterator[dict[str, Any]]:
        """Yield each line that breaks a rule, and each file that does, as plain data."""
        for file in self.files:
            for found in file.findings:
                facts = {"path": file.path, **asdict(found)}
                for example in facts.pop("examples") or [{"line": found.line, "column": None, "shape": None}]:
                    yield facts | example

    def junit(self) -> bytes:
        """Return the report in the form of JUnit, which services of continuous integration show: a test a file."""
        failures = [sum(each.level == "error" for each in file.findings) for file in self.files]
        suite = ElementTree.Element(
            "testsuite", name="aam-inbound check", tests=str(len(failures)), failures=str(sum(map(bool, failures)))
        )
        for file in self.files:
            case = ElementTree.SubElement(
                suite, "testcase", classname="inbound", name=visible(file.path, _MOST_OF_PATH)
            )
            for tag, levels in (("failure", LEVELS[:1]), ("system-out", LEVELS[1:])):
                texts = [text for each in file.findings if each.level in levels for text in _texts(each)]
                if texts:
                    ElementTree.SubElement(case, tag).text = "\n".join(texts)
        return bytes(ElementTree.tostring(suite, "utf-8", xml_declaration=True))


def _texts(found: Problem) -> Iterator[str]:
    yield sentence(found)
    yield from (f"  {place(each)}: {each.shape}" for each in found.examples)
    if found.fix:
        yield f"  {found.fix}"


def sentence(found: Problem) -> str:
    """Return what a file breaks, with the rule and the number of lines."""
    lines = f", in {counted(found.lines, 'line')}" if found.lines else ""
    return f"{found.text.rstrip('.')} ({found.code} {found.name}{lines})."


def place(example: Example) -> str:
    """Return where a line breaks a rule."""
    return f"line {example.line:,}" + (f", byte {example.column:,}" if example.column else "")
