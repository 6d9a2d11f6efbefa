"""A room imports only from rooms above it, modules import in no circle, and none is long."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "converter"

ROOMS = [
    "_version",
    "codes",
    "errors",
    "ledger",
    "spec",
    "jobs",
    "columns",
    "kernel",
    "remote",
    "sources",
    "rows",
    "parts",
    "delivery",
    "report",
    "commands",
    "spark",
    "cli",
]


def room(module: str) -> int:
    """The place of a module's room: the longest name in ROOMS that it begins with."""
    name = module.removeprefix("converter").removeprefix(".")
    while name and name not in ROOMS:
        name = name.rpartition(".")[0]
    assert name, f"{module} is in no room"
    return ROOMS.index(name)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module in ("converter", "converter.spec"):
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
            elif node.module and node.module.startswith("converter."):
                found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.startswith("converter."))
    return found


MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py" and path.parent != PACKAGE
) + sorted(path for path in PACKAGE.glob("*.py") if path.name not in ("__init__.py", "__main__.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_rooms_above_it(path: Path) -> None:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = ".".join(parts).removesuffix(".__init__")
    if module in ("converter.spec",):
        return
    for imported in imports(path):
        assert room(imported) <= room(module), f"{module} imports {imported}"


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def _imported_modules(path: Path, modules: Collection[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names = (f"{node.module}.{alias.name}", f"{node.module}")
                yield from itertools.islice((name for name in names if name in modules), 1)


def test_modules_import_in_no_circle() -> None:
    modules = {_name(path): path for path in MODULES}
    graph = {name: set(_imported_modules(path, modules)) - {name} for name, path in modules.items()}
    TopologicalSorter(graph).prepare()


# --- sizes ------------------------------------------------------------------------------------------------------

MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 7  # beside those that are keywords only
MAX_MODULE_LINES = 500


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_and_no_function_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_MODULE_LINES
    for function in _functions(path):
        assert (function.end_lineno or 0) - function.lineno < MAX_FUNCTION_LINES, function.name
        parameters = [
            each for each in function.args.posonlyargs + function.args.args if each.arg not in ("self", "cls")
        ]
        assert len(parameters) <= MAX_PARAMETERS or path.parent.name == "cli", function.name


def test_the_top_level_holds_rooms_and_what_all_of_them_share() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "_version.py", "codes.py", "errors.py", "ledger.py", "py.typed"}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {room for room in ROOMS if (PACKAGE / room).is_dir()}


def test_a_room_says_in_ten_lines_what_it_is_for() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert 0 < len(docstring.splitlines()) <= 10, path


def test_only_the_command_line_prints_or_knows_typer() -> None:
    for path in MODULES:
        if "cli" in path.relative_to(PACKAGE).parts:
            continue
        source = path.read_text()
        assert "typer" not in source, path
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        assert not any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls), path


def test_the_rules_read_and_write_nothing() -> None:
    for path in (PACKAGE / "spec").glob("*.py"):
        names = {name.partition(".")[0] for name in _all_imports(path) - {"urllib.parse"}}
        assert names <= {
            "__future__",
            "collections",
            "contextlib",
            "dataclasses",
            "datetime",
            "itertools",
            "typing",
            "re",
            "unicodedata",
            "functools",
            "lark",  # which parses what a grammar says
            "lark.exceptions",
            "polars",
            "converter",
        }, path


def _all_imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found
