"""The metrics of runs, in the text format of Prometheus, for the textfile collector of its node exporter.

A file has the last run of each job that writes to it. The lines of other jobs, and the time of the last success of this
one, are taken over from the file that is there.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from converter.report import Report, SendReport

_PREFIX = "aam_inbound_"
_SUCCESS = "last_success_timestamp_seconds"
FAMILIES = {
    "last_run_timestamp_seconds": "When the last run ended, in UNIX seconds.",
    _SUCCESS: "When the last run that was done ended, in UNIX seconds; 0 if there was none.",
    "last_run_exit_code": "The exit code of the last run: 0 done, 1 failed, 3 refused, 128 and more stopped.",
    "last_run_seconds": "How long the last run took.",
    "rows": "Rows of the last run, by fate: read = written + rejected + skipped.",
    "rows_rejected": "Rows that the last run rejected, by rule.",
    "rows_skipped": "Rows that the last run skipped, by rule.",
    "input_bytes": "Bytes of the input that the last run read.",
    "parts": "Parts of the last run that are visible at the destination.",
    "parts_bytes": "The size of these parts.",
    "retries": "How often the last run tried something again.",
    "warnings": "Warnings of the last run.",
}
"""The metrics, without their common prefix, and what they mean. All of them are gauges."""

_LINE = re.compile(rf"{_PREFIX}([a-z_]+)(\{{.*\}}) (\S+)")


class Owner(NamedTuple):
    """What tells the lines of one job from those of others: the command, the name of the job, and the job file.

    `job_name` is the job file without its folder and suffix; `job_file` is empty where there is none.
    """

    command: str
    job_name: str
    job_file: str

    @property
    def labels(self) -> str:
        """The labels that all of its lines begin with."""
        return ",".join(f'{name}="{_escaped(value)}"' for name, value in self._asdict().items())


class ForeignMetricsError(ValueError):
    """The file has metrics of another program."""


def metrics_text(owner: Owner, report: SendReport, earlier: str) -> str:
    """Return the content of the file after a run; `earlier` is that before it, empty if there was none.

    Raises `ForeignMetricsError` where that has lines of another program, which would be lost.
    """
    lines: dict[str, list[str]] = {name: [] for name in FAMILIES}
    success = "0"
    for name, labels, before in samples_in(earlier):
        if name not in FAMILIES:  # of another version
            continue
        if not labels.startswith((f"{{{owner.labels}}}", f"{{{owner.labels},")):
            lines[name].append(f"{_PREFIX}{name}{labels} {before}")
        elif name == _SUCCESS:
            success = before
    ended = _seconds(report.ended)
    values = {**dict(_values(report)), (_SUCCESS, ""): ended if report.exit_code == 0 else success}
    for (name, label), value in values.items():
        lines[name].append(f"{_PREFIX}{name}{{{owner.labels}{label}}} {value}")
    return "".join(
        f"# HELP {_PREFIX}{name} {meaning}\n# TYPE {_PREFIX}{name} gauge\n" + "".join(f"{each}\n" for each in found)
        for name, meaning in FAMILIES.items()
        if (found := sorted(lines[name]))
    )


def samples_in(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the samples of a file: the name without the common prefix, the labels in braces, and the value.

    Raises `ForeignMetricsError` at a line of another program.
    """
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise ForeignMetricsError
        yield match[1], match[2], match[3]


def _values(report: SendReport) -> Iterator[tuple[tuple[str, str], object]]:
    """Yield the values of a run, by the name of the metric and its label, if it has one."""
    yield ("last_run_timestamp_seconds", ""), _seconds(report.ended)
    yield ("last_run_exit_code", ""), report.exit_code
    yield ("last_run_seconds", ""), report.seconds
    if isinstance(report, Report):
        for fate in ("read", "written", "rejected", "skipped"):
            count = report.records[fate]
            by_rule = count if isinstance(count, Mapping) else {}
            yield ("rows", f',fate="{fate}"'), sum(by_rule.values()) if isinstance(count, Mapping) else count
            for rule, rows in by_rule.items():
                yield (f"rows_{fate}", f',rule="{_escaped(rule)}"'), rows
    yield ("input_bytes", ""), sum(each["bytes"] or 0 for each in report.input)
    yield ("parts", ""), len(report.parts)
    yield ("parts_bytes", ""), sum(part.bytes for part in report.parts)
    yield ("retries", ""), sum(report.retries.values())
    yield ("warnings", ""), len(report.warnings)


def _seconds(moment: str) -> str:
    """Return a moment of a report in UNIX seconds."""
    return f"{datetime.datetime.fromisoformat(moment).timestamp():.3f}"


def _escaped(value: str) -> str:
    """Return the value of a label as it stands between quotes; what is not Unicode becomes question marks."""
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", "?", text).encode("utf-8", "replace").decode()
