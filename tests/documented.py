"""Holds that every option, job key, rule and error code is documented once: in tables that are made from the code.

`python -m tests.documented` fails where a table in the documentation is not the one that the code gives, or is missing;
with `--write` it replaces the tables, and the types of the keys of jobs (`keywords`). In a page a table stands between `<!-- table: NAME … -->` and `<!-- end -->`.
That every public function and class has a docstring is checked by ruff (D).
"""

from __future__ import annotations

import ast
import inspect
import re
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.main

import converter
from converter import Job, errors
from converter.cli.app import app_for
from converter.codes import CODES
from converter.commands.explain import remedies
from converter.jobs.messages import all_keys
from converter.report import schemas
from converter.spec import receipts, rules
from converter.spec.catalog import RULES

from . import keywords

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_KINDS = {"errors": "E-", "warnings": "W-"}
_FILE = re.compile(r"(<!-- file: (\S+) -->\n```\w+\n).*?(```\n<!-- end -->)", re.DOTALL)
"""Where a page shows a file of the repository."""
_TABLE = re.compile(r"(<!-- table: ([a-z]+) ?([^\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> Iterator[tuple[Path, str, str]]:
    """Yield each page: its path, its text, and the text with the tables that the code gives, and the files it shows."""
    for path in PAGES:
        text = path.read_text()
        made = _TABLE.sub(lambda match: match[1] + TABLES[match[2]](match[3].split()) + match[4], text)
        yield path, text, _FILE.sub(lambda match: match[1] + (ROOT / match[2]).read_text() + match[3], made)


def undocumented() -> list[str]:
    """Return what is in no table, or in several."""
    named = Counter(
        f"{kind} {name}"
        for path in PAGES
        for _, kind, names, _ in _TABLE.findall(path.read_text())
        for name in names.split() or [""]
    )
    wanted = {f"keys {key.partition('.')[0]}" for key in all_keys(Job)}
    wanted |= {f"options {name}" for name in _commands()}
    wanted |= (
        {"figures ", "python functions", "python classes"}
        | {f"report {name}" for name in _REPORTS}
        | {f"rules {name}" for name in RULES}
        | {f"codes {name}" for name in _KINDS}
    )
    return sorted(name for name in wanted | set(named) if name not in wanted or named[name] != 1)


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown; `head` are its titles, separated by bars."""
    cells = [[cell.replace("\n", " ").replace("|", r"\|") for cell in row] for row in rows]
    lines = [f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {' | '.join(row)} |" for row in cells)]
    return "\n".join(lines).replace("|  |", "| |") + "\n"


def _keys(sections: Iterable[str]) -> str:
    return _table(
        "key | default | meaning",
        (
            (f"`{section}.{name}`", _default(name, of_key.get("default")), _linked(of_key["description"]))
            for section in sections
            for name, of_key in _properties(section).items()
        ),
    )


def _linked(text: str) -> str:
    """Link the pages that a text names as files."""
    return re.sub(r"docs/([a-z-]+\.md)", lambda match: f"[{_title(ROOT / match[0])}]({match[1]})", text)


def _title(page: Path) -> str:
    return page.read_text().partition("\n")[0].removeprefix("# ")


def _anchored(name: str) -> str:
    """Return a code with an anchor, so that it can be linked."""
    return f'<span id="{name}"></span>`{name}`'


def _properties(section: str) -> dict[str, Any]:
    schema = Job.model_json_schema()
    (reference,) = re.findall(r"'#/\$defs/(\w+)'", str(schema["properties"][section]))
    found = schema["$defs"][reference]["properties"]
    assert isinstance(found, dict)
    return found


def _default(name: str, value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if name.endswith("_rows") and isinstance(value, int):
        return f"`{value:_}`"
    if isinstance(value, int):
        for unit, size in (("GB", 10**9), ("MB", 10**6), ("MiB", 2**20)):
            if value and value % size == 0:
                return f"`{value // size}{unit}`"
    return f"`{value}`"


def _commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app_for())
    return dict(group.commands)


def _options(commands: Iterable[str]) -> str:
    return _table(
        "option | meaning",
        (
            (", ".join(f"`{name}`" for name in _names(parameter)), str(parameter.help))
            for command in commands
            for parameter in _commands()[command].params
            if "--help" not in parameter.opts
        ),
    )


def _names(parameter: Any) -> list[str]:
    """Return the names of an option, the last one with its value."""
    if parameter.param_type_name == "argument":
        return [parameter.metavar]
    value = "" if parameter.is_flag else f" {parameter.metavar}"
    *short, long = sorted(parameter.opts, key=len)
    return [*short, f"{long}{value}"]


def _rules(names: Iterable[str]) -> str:
    return _table(
        "rule | code | meaning | source",
        ((_anchored(rule.name), rule.code, rule.meaning, _page(rule.page)) for name in names for rule in RULES[name]),
    )


def _page(page: str) -> str:
    return "ours" if page == rules.OURS else page.rpartition("/")[2].removesuffix(".md")


def _codes(kinds: Iterable[str]) -> str:
    (kind,) = kinds
    codes = {code: meaning for code, meaning in sorted(CODES.items()) if code.startswith(_KINDS[kind])}
    if kind == "warnings":
        return _table("code | meaning", ((_anchored(code), meaning) for code, meaning in codes.items()))
    ends, to_do = exit_codes(), remedies()
    return _table(
        "code | exit code | meaning | what to do",
        (
            (_anchored(code), ", ".join(map(str, sorted(ends[code]))), meaning, to_do.get(code, ""))
            for code, meaning in codes.items()
        ),
    )


def exit_codes() -> dict[str, set[int]]:
    """Return with which exit codes commands end, by the codes of errors: those of the classes that are made with them.

    What is raised by way of a table or a function of a client of servers is a failure.
    """
    kinds = {
        name: each.exit_code
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.Reported)
    }
    found: dict[str, set[int]] = defaultdict(set)
    for path in (ROOT / "converter").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and call.args:
                name = getattr(call.func, "id", "")
                for part in ast.walk(call.args[0]):
                    if isinstance(part, ast.Constant) and part.value in CODES and name in kinds:
                        found[part.value].add(kinds[name])
    found["E-STOPPED"] = {128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    return {code: (found.get(code) or {1}) if code.startswith("E-") else set() for code in CODES}


def _figures(_: Iterable[str]) -> str:
    rows = ((f"`{each.label}`", each.meaning, _linked(each.advice), _page(each.page)) for each in receipts.FIGURES)
    return _table("label | meaning | what to do | source", rows)


_REPORTS = {"send": schemas.SendModel, "convert": schemas.ReportModel, "rejects": schemas.RejectModel}


def _report(names: Iterable[str]) -> str:
    return _table(
        "key | meaning",
        ((f"`{key}`", meaning) for name in names for key, meaning in schemas.keys_of(_REPORTS[name]).items()),
    )


def _python(kinds: Iterable[str]) -> str:
    """Return the public functions with their parameters, or the public classes, each with what its docstring begins with."""
    (kind,) = kinds
    public = {name: getattr(converter, name) for name in converter.__all__ if not name.startswith("_")}
    rows = []
    for name, value in public.items():
        if inspect.isclass(value) == (kind == "classes"):
            call = name if inspect.isclass(value) else f"{name}{_parameters(value)}"
            summary = (inspect.getdoc(value) or "").partition("\n\n")[0]
            rows.append((_anchored(name).replace(f"`{name}`", f"`{call}`"), summary))
    return _table(f"{'class' if kind == 'classes' else 'function'} | meaning", rows)


def _parameters(function: Callable[..., Any]) -> str:
    """Return the parameters of a function with their defaults, but without their types."""
    signature = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


TABLES: dict[str, Callable[[Iterable[str]], str]] = {
    "keys": _keys,
    "options": _options,
    "rules": _rules,
    "codes": _codes,
    "figures": _figures,
    "report": _report,
    "python": _python,
}


def main(arguments: list[str]) -> int:
    """Check the tables, or write them; return an exit code."""
    wrong = [f"documented not exactly once: {name}" for name in undocumented()]
    for path, text, expected in pages():
        if text != expected and arguments == ["--write"]:
            path.write_text(expected)
        elif text != expected:
            wrong.append(f"{path.relative_to(ROOT)}: tables differ from the code; run `make tables`")
    if keywords.PATH.read_text() != (module := keywords.text()) and arguments == ["--write"]:
        keywords.PATH.write_text(module)
    elif keywords.PATH.read_text() != module:
        wrong.append(f"{keywords.PATH.relative_to(ROOT)}: differs from the sections of jobs; run `make tables`")
    print("\n".join(wrong), end="\n" * bool(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
