"""How what was found in a table is shown: a table on a wide terminal, a block for each column on a narrow one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from converter.cli.console import console
from converter.errors import redact
from converter.report.inspections import Inspection
from converter.report.profiles import ColumnProfile, InspectedFile, PossibleId
from converter.report.texts import size

_NARROW = 90  # characters of a terminal that has no room for the table of columns
_MOST_FILES = 3
_MOST_VALUES = 3
_USES = {"id": "ID", "signal": "signal", "list": "signals", "traits": "traits", "none": "left out"}
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", " ": "space"}


def show(inspection: Inspection) -> None:
    """Print what a table holds to standard output."""
    screen = console()
    is_narrow = screen.is_terminal and screen.width < _NARROW
    screen.print(_facts(inspection))
    for note in inspection.notes:
        screen.print(Text(f"\n{note}"))
    screen.print()
    screen.print(Group(*map(_block, inspection.columns)) if is_narrow else _table(inspection.columns))
    screen.print()
    screen.print(_ids(inspection.ids))
    if doubts := list(_doubts(inspection.columns)):
        screen.print(Group(Text("\nPersonal or implausible:", style="bold"), *doubts))


def show_next(inspection: Inspection, job_file: str | None) -> None:
    """Print what to do next."""
    screen = console()
    screen.print()
    for line in _next_steps(inspection, job_file):
        screen.print(Text(line))


def _next_steps(inspection: Inspection, job_file: str | None) -> Iterator[str]:
    if job_file is None:
        yield "Next: aam-inbound inspect … --write-job job.toml, or aam-inbound init, which asks for the rest."
        return
    yield f"Wrote {redact(job_file)}."
    if inspection.job.id is None:
        yield "No column is plausible as the ID: set id.column in it. Then:"
    yield f"Next: aam-inbound convert {redact(shlex.quote(job_file))} --dry-run --dpid NUMBER"


def _facts(inspection: Inspection) -> RenderableType:
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    first = inspection.files[0]
    files = [f"{redact(each.path)} ({_size(each)})" for each in inspection.files[:_MOST_FILES]]
    if (more := inspection.file_count - len(files)) > 0:
        files.append(f"… and {more:,} more")
    facts.add_row("input", Text("\n".join(files)))
    facts.add_row("format", Text(_format(first)))
    facts.add_row("rows", Text(_rows(inspection)))
    facts.add_row("columns", Text(f"{len(inspection.columns):,}"))
    return facts


def _size(file: InspectedFile) -> str:
    return "size unknown" if file.size is None else size(file.size)


def _format(file: InspectedFile) -> str:
    parts = [file.format]
    if file.encoding:
        parts.append(f"encoding {file.encoding}" + (f" ({file.certainty})" if file.certainty else ""))
    if file.separator:
        quote = "no quotes" if file.quote == "none" else f"quotes {file.quote}"
        parts += [f"separated by {_SEPARATORS.get(file.separator, ascii(file.separator))}", quote]
        parts += ["escaped by backslash"] * (file.escape == "backslash") + ["no header"] * (not file.header)
    return ", ".join(parts)


def _rows(inspection: Inspection) -> str:
    sampled = f"; {inspection.sampled:,} were profiled"
    if inspection.rows is None:
        rows = f"not known (--full counts them){sampled}"
    elif inspection.rows_exact:
        rows = f"{inspection.rows:,}" + sampled * (inspection.sampled < inspection.rows)
    else:
        rows = f"about {inspection.rows:,} (--full counts them){sampled}"
    return rows + (f", and {inspection.malformed:,} cannot be parsed" if inspection.malformed else "")


def _table(columns: Sequence[ColumnProfile]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("column", "type"):
        table.add_column(title, overflow="fold")
    for title in ("empty", "distinct"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("most frequent", overflow="fold")
    table.add_column("use", overflow="fold")
    for each in columns:
        cells = (_name(each), each.type, _percent(each.empty), _distinct(each), _values(each), _use(each))
        table.add_row(*map(Text, cells))
    return table


def _block(column: ColumnProfile) -> RenderableType:
    """Return a column as a few lines, for a terminal that is narrow."""
    facts = f"{column.type}, {_percent(column.empty)} empty, {_distinct(column)} distinct"
    values = [Text(_values(column))] if column.values else []
    lines = Group(Text(facts), *values, Text(_use(column)))
    return Group(Text(_name(column), style="bold"), Padding(lines, (0, 0, 0, 2), expand=False))


def _name(column: ColumnProfile) -> str:
    return redact(column.name) or "(no name)"


def _use(column: ColumnProfile) -> str:
    if column.use == "id":
        return "ID"
    key = f" '{column.key}'" if column.use in ("signal", "list") and column.key != column.name else ""
    return f"{_USES[column.use]}{key}: {column.why}"


def _distinct(column: ColumnProfile) -> str:
    if column.distinct is None:
        return "?"
    return f"{column.distinct:,}" if column.distinct_exact else f"~{column.distinct:,}"


def _values(column: ColumnProfile) -> str:
    return ", ".join(f"{each.text} ({_percent(each.share)})" for each in column.values[:_MOST_VALUES])


def _percent(share: float) -> str:
    return f"{share:.0%}" if not 0 < share < 0.01 else f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _ids(ids: Sequence[PossibleId]) -> RenderableType:
    if not ids:
        return Text("No column is plausible as the ID: each user needs one of their own.", style="bold")
    lines = [Text("Possible IDs, the most plausible first:", style="bold")]
    for each in ids:
        settings = "".join(f", {key} = {value!r}" for key, value in each.settings.items())
        rejected = f"; about {_percent(each.rejected)} of the rows would be rejected" if each.rejected else ""
        text = f"{redact(each.column)} (type {each.type}{settings}): {', '.join(each.why)}{rejected}"
        lines.append(Text(text))
    return Group(lines[0], *(Padding(line, (0, 0, 0, 2), expand=False) for line in lines[1:]))


def _doubts(columns: Sequence[ColumnProfile]) -> Iterator[RenderableType]:
    for each in columns:
        found = [*([f"seems to hold {each.personal}"] if each.personal else []), *each.doubts]
        if found:
            yield Padding(Text(f"{_name(each)}: {'; '.join(found)}"), (0, 0, 0, 2), expand=False)
