"""What shells complete: values of options, keys of jobs, and the columns of the input that is named.

Completion says nothing where the command line is not right yet: an error here would be printed into the prompt.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

import typer

if TYPE_CHECKING:
    from converter.jobs.document import Document
    from converter.jobs.sections.table import Input

_TABLES = {"convert": ("job_files", "input"), "match": ("crm", "input"), "sync-urls": ("tables", "input")}
"""The arguments of commands that name the input, and its section; by default `job_file`."""


@contextlib.contextmanager
def asked_by_bash() -> Iterator[None]:
    """Put words together that bash has split at `=`, and print of completions only what follows the last one.

    Bash has such a sign as a word of its own, and replaces only what follows it.
    """
    words = os.environ.get("COMP_WORDS", "").split("\n")
    if not _is_bash() or not any(word.startswith("=") for word in words):
        yield
        return
    joined: list[str] = []
    numbers = []
    for word in words:
        is_inside = joined and (word.startswith("=") or (joined[-1].endswith("=") and not word.startswith("-")))
        joined = [*joined[:-1], joined[-1] + word] if is_inside else [*joined, word]
        numbers.append(len(joined) - 1)
    current = int(os.environ["COMP_CWORD"])
    number = numbers[current] if current < len(numbers) else len(joined)
    before = joined[number].rpartition("=") if number < len(joined) else ("", "", "")
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(joined), str(number)
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            yield
    finally:
        for line in out.getvalue().splitlines():
            print(line.removeprefix("".join(before[:2])))


def modes(incomplete: str) -> list[tuple[str, str]]:
    """Return the modes of files."""
    return _beginning(incomplete, [("sync", "adds"), ("overwrite", "replaces")])


def id_types(incomplete: str) -> list[tuple[str, str]]:
    """Return the types of IDs."""
    from converter.spec.ids import AUTO, ID_TYPES

    return _beginning(incomplete, [(each.name, each.title) for each in (*ID_TYPES.values(), AUTO)])


def formats(incomplete: str) -> list[tuple[str, str]]:
    """Return the formats of inputs."""
    from converter.jobs.sections.table import Format

    return _beginning(incomplete, [(name, "") for name in get_args(Format)])


def codes(incomplete: str) -> list[tuple[str, str]]:
    """Return the codes of messages, and the names and codes of rules."""
    from converter.commands.explain import names_of_all

    return _beginning(incomplete, [(name, "") for name in names_of_all()])


def settings(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the keys of the job that a command takes, with the values of those that have a few."""
    from converter.jobs.comparison import Comparison
    from converter.jobs.document import descriptions
    from converter.jobs.file_access import FileAccess
    from converter.jobs.job import Job, Transfer
    from converter.jobs.messages import model_in
    from converter.jobs.outbound import OutboundInput

    documents: dict[str, type[Document]] = {
        "send": Transfer,
        "match": Comparison,
        "check": FileAccess,
        "read-outbound": OutboundInput,
    }
    found = []
    for section, field in documents.get(str(ctx.info_name), Job).model_fields.items():
        if model := model_in(field.annotation):
            described = descriptions(model)
            for name, of_key in model.model_fields.items():
                meaning = re.sub(r"\s+", " ", described.get(name, "")).replace("`", "").partition(". ")[0].rstrip(".")
                values = _values_of(of_key.annotation) or [""]
                found += [(f"{section}.{name}={value}", meaning) for value in values]
    return _beginning(incomplete, found)


def columns(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the columns of the input."""
    argument, section = _TABLES.get(str(ctx.info_name), ("job_file", "input"))
    return _columns(ctx, argument, section, incomplete)


def site_columns(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the columns of the list of a site's IDs."""
    return _columns(ctx, "site_ids", "site", incomplete)


def _columns(ctx: typer.Context, argument: str, section: str, incomplete: str) -> list[tuple[str, str]]:
    try:
        options = _input_of(_parameters(ctx), argument, section)
        from converter.jobs.paths import is_url

        if any(is_url(path) for path in options.path):  # a server may take long to answer
            return []
        from converter.sources.opening import find_origins, open_source

        origin = find_origins(options)[0]
        if not origin.rereadable:  # what is read here would be missing later
            return []
        source = open_source(origin, options, ())
    except Exception:  # see above
        return []
    return [(_quoted(name), "") for name in source.names if name.isprintable() and name.startswith(incomplete)]


def _parameters(ctx: typer.Context) -> dict[str, Any]:
    """Return the values of options and arguments; the latter are not parsed yet while an option lacks its value."""
    values, left = dict(ctx.params), list(ctx.args)
    for parameter in ctx.command.params:
        if parameter.param_type_name == "argument" and left and not values.get(str(parameter.name)):
            values[str(parameter.name)], left = (left[0], left[1:]) if parameter.nargs == 1 else (left, [])
    return values


def _input_of(params: dict[str, Any], argument: str, section: str) -> Input:
    """Return the input that a command line names so far. Raises any error where it names none."""
    from converter.cli.preamble import changes_from
    from converter.jobs.document import Document
    from converter.jobs.sections.table import Input as Section

    class Table(Document):
        input: Section

        @classmethod
        def _select(cls, data: dict[str, Any]) -> dict[str, Any]:
            return {"input": data[section]}

    given = params.get(argument) or ()
    paths = [*([given] if isinstance(given, str) else given), *(params.get("input_") or ())]
    job_file = params.get("job_file") if argument != "job_file" else None
    if job_file is None and paths and paths[0].endswith(".toml"):
        job_file, *paths = paths
    # The --format of `sync-urls`, which has --output as well, is that of its output.
    flags = {
        f"{section}.path": paths or None,
        f"{section}.format": None if "output" in params else params.get("format_"),
    }
    changes = changes_from(flags, params.get("set_") or ())
    return (Table.load(job_file, changes) if job_file else Table(**Table._select(changes))).input


def _values_of(annotation: Any) -> list[str]:
    """Return the texts that a key may be, where only some are allowed."""
    inner = get_args(annotation)
    if inner and all(isinstance(each, str) for each in inner):
        return list(inner)
    return next((values for each in inner if (values := _values_of(each))), [])


def _beginning(incomplete: str, values: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(value, meaning) for value, meaning in values if value.startswith(incomplete)]


def _is_bash() -> bool:
    """Return whether bash asks."""
    return "complete_bash" in os.environ.get("_AAM_INBOUND_COMPLETE", "")


def _quoted(name: str) -> str:
    """Return a name as it stands in a command line of bash, which inserts it as it is; other shells quote it."""
    if not _is_bash():
        return name
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", name)
