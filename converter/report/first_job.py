"""A first job for a table: settings, and the commented file that holds them.

Comments say why each setting is there, and what was left out. They have no value of the table in them, and names of
its columns only as one printable line.
"""

from __future__ import annotations

import os
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from converter.errors import redact
from converter.jobs.paths import is_url
from converter.jobs.secrets import SECRET_KEYS
from converter.jobs.toml import as_toml
from converter.report.profiles import ColumnProfile, PossibleId
from converter.spec.ids import ID_TYPES

_WIDTH = 98  # characters after the `# ` of a comment
_STARS = re.compile(r"(://[^/?#:]*):\*\*\*@")
_CONSTANT = {"key": "in_crm", "value": "yes"}
_ORDER = ("input", "id", "record", "output")


class FirstJob(NamedTuple):
    """A job as far as a table shows it. `output` lacks the data source, unless it is known.

    `sections` are the settings of the input and its servers, `notes` what is to be known about each, by section. `id`
    is `None` where no column may be the ID. `columns` are all columns, with their uses.
    """

    sections: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, Sequence[str]]
    id: PossibleId | None
    others: Sequence[PossibleId]
    columns: Sequence[ColumnProfile]
    output: Mapping[str, Any]

    @property
    def record(self) -> dict[str, Any]:
        """The section `[record]`: the signals and traits that columns may be, or a constant where none may."""
        signals: list[Any] = [_signal(each) for each in self.columns if each.use in ("signal", "list")]
        traits = [_traits(each) for each in self.columns if each.use == "traits"]
        return {
            "signals": signals or [] if traits else signals or [_CONSTANT],
            **({"traits": traits} if traits else {}),
        }

    def settings(self, path: Path | None = None) -> dict[str, Any]:
        """Return the job as plain data; with `path`, its relative paths are relative to the folder of this job file."""
        sections = {name: dict(section) for name, section in self.sections.items()}
        if path is not None and "input" in sections:
            sections["input"] = _relative(sections["input"], path)
        found = {"input": sections.pop("input", {})}
        if self.id is not None:
            found["id"] = self.id.section
        return _without_stars({**found, "record": self.record, "output": dict(self.output), **sections})

    def text(self, path: Path) -> str:
        """Return the content of the job file `path`, commented."""
        settings = self.settings(path)
        lines = [*self._head(path)]
        for name in (*_ORDER, *(name for name in settings if name not in _ORDER)):
            lines.append("")
            if name == "id" and self.id is None:
                lines += self._without_id()
                continue
            lines.append(f"[{name}]")
            if name == "record":
                lines += self._record()
                continue
            lines += [line for note in self.notes.get(name, ()) for line in _comment(note)]
            if name == "id":
                lines += self._why_id()
            lines += [f"{key} = {as_toml(value)}" for key, value in settings[name].items()]
            if name == "id":
                lines += self._other_ids()
        return "\n".join(lines) + "\n"

    def _head(self, path: Path) -> Iterator[str]:
        dpid = "" if "dpid" in self.output else " --dpid NUMBER"
        name = shlex.quote(path.name)
        yield from _comment(
            "A first job, made from a sample of the table by `aam-inbound inspect`. Read it, and correct what is "
            "wrong. Then see what it would do, and do it:"
        )
        yield "#"
        for end in (" --dry-run", ""):
            yield f"#   aam-inbound convert {_printable(name)}{end}{dpid}"
        if dpid:
            yield "#"
            yield from _comment("NUMBER is the data source in Audience Manager that these user IDs belong to.")

    def _without_id(self) -> Iterator[str]:
        yield from _comment(
            "No column is plausible as the ID, so this job cannot run yet. Each user needs an ID of their own, exactly "
            "the one that the web site sends. Set the column here, or join the ID to the table:"
        )
        yield "#"
        yield "# [id]"
        yield '# column = "…"'
        yield '# type = "crm"'

    def _why_id(self) -> Iterator[str]:
        assert self.id is not None  # noqa: S101 - for the type checker: called where there is one
        yield from _comment(f"{_sentence(', and '.join(self.id.why))} {_of_type(self.id)}")
        if self.id.rejected:
            yield from _comment(f"About {self.id.rejected:.1%} of the rows would be rejected because of their IDs.")

    def _other_ids(self) -> Iterator[str]:
        for each in self.others:
            section = as_toml(each.section)
            yield from _comment(f"Or: {', '.join(each.why)}.")
            yield f"# {section}"

    def _record(self) -> Iterator[str]:
        for note in self.notes.get("record", ()):
            yield from _comment(note)
        record = self.record
        for name, use in (("signals", ("signal", "list")), ("traits", ("traits",))):
            if name not in record:
                continue
            columns = [each for each in self.columns if each.use in use]
            if not columns and record[name]:
                yield from _comment("No column may be a signal, so that each user gets this constant one.")
                yield f"{name} = {as_toml(record[name])}"
                continue
            yield f"{name} = ["
            for each, setting in zip(columns, record[name], strict=True):
                yield f"    {as_toml(setting)},  # {_printable(each.why)}"
            yield "]"
        left_out = [each for each in self.columns if each.use == "none"]
        if left_out:
            yield "#"
            yield "# Left out:"
        for each in left_out:
            yield from _comment(f"- {_named(each.name)}: {each.why}", "  ")


def _signal(column: ColumnProfile) -> Any:
    if not column.separator and column.key == column.name:
        return column.name
    key = {"key": column.key} if column.key != column.name else {}
    separator = {"separator": column.separator} if column.separator else {}
    return {"column": column.name, **key, **separator}


def _traits(column: ColumnProfile) -> dict[str, str]:
    return {"column": column.name, **({"separator": column.separator} if column.separator else {})}


def _of_type(id_: PossibleId) -> str:
    """Return what is to be known of the type of an ID."""
    type_ = ID_TYPES[id_.type]
    if type_.device:
        return (
            f"Devices share the data source {type_.dpid}: to send to it, set dpid = {type_.dpid} below, and target to "
            "the data source of your traits."
        )
    if id_.type == "crm":
        return "It must be exactly what the web site sends: `aam-inbound match` compares them."
    return f"The type is {id_.type}: {type_.title}."


def _relative(section: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the settings of an input with the paths of files as they are seen from the folder of a job file."""
    found = dict(section)
    paths = [_relative_to(each, path) if _is_local(each) else each for each in section.get("path", ())]
    if paths:
        found["path"] = paths[0] if len(paths) == 1 else paths
    for key in ("password_file", "rejects_of"):
        if isinstance(given := section.get(key), str):
            found[key] = _relative_to(given, path)
    if isinstance(suppress := section.get("suppress"), Mapping):
        found["suppress"] = {
            key: value for key, value in _relative(suppress, path).items() if value not in (None, [], "", {})
        }
    return found


def _is_local(path: str) -> bool:
    return path != "-" and not is_url(path) and "://" not in path


def _relative_to(path: str, job: Path) -> str:
    """Return a path that is relative to the working folder as one that is relative to the folder of a job file."""
    if path.startswith(("/", "~", "${")):
        return path
    relative = os.path.relpath(Path.cwd() / path, job.absolute().parent)
    return f"{relative}/" if path.endswith("/") else relative


def _without_stars(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with variables in place of the passwords that are not shown."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found[key] = _without_stars(dict(value))
        elif key in SECRET_KEYS and value == "***":
            found[key] = f"${{{key.upper()}}}"
        elif isinstance(value, str):
            found[key] = _STARS.sub(r"\1:${PASSWORD}@", value)
        else:
            found[key] = value
    return found


def _comment(text: str, indent: str = "") -> list[str]:
    """Return a text as lines of a comment."""
    lines = textwrap.wrap(_printable(text), _WIDTH, subsequent_indent=indent, break_long_words=False)
    return [f"# {line}" for line in lines]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _named(name: str) -> str:
    return f"'{redact(name)}'"


def _printable(text: str) -> str:
    """Return a text on one line, with characters escaped that a comment may not have."""
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)
