"""What CONTRIBUTING.md says of files and functions is there, and it stays short."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
STEPS = re.findall(r"`([a-z_/]+\.py):([A-Za-z_.]+)`", TEXT)
FILES = re.findall(r"`((?:converter|tests|docs)/[A-Za-z_/]+(?:\.(?:py|md))?)`", TEXT)


def names_in(path: Path) -> set[str]:
    """The functions and classes of a module, and the methods of its classes as `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("path, name", STEPS)
def test_a_step_of_a_row_is_a_function(path: str, name: str) -> None:
    assert name in names_in(ROOT / "converter" / path)


def test_the_way_of_a_row_has_at_most_15_steps() -> None:
    (way,) = re.findall(r"### The way of a row\n\n(.*?)\n\n", TEXT, re.DOTALL)
    assert 0 < len(way.splitlines()) <= 15
    assert all("`" in line for line in way.splitlines())


@pytest.mark.parametrize("path", sorted(set(FILES)))
def test_a_file_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


TABLES = {
    "FORMATS": "converter/sources/opening.py",
    "STAGES": "converter/rows/stages/__init__.py",
    "SCHEMES": "converter/delivery/destinations/__init__.py",
    "FILE_KINDS": "converter/spec/kinds.py",
    "ROW_RULES": "converter/spec/rules.py",
    "PERSONAL": "converter/spec/rules.py",
    "PLACES": "tests/test_destinations.py",
}


@pytest.mark.parametrize("name, path", TABLES.items())
def test_a_table_that_is_named_is_there(name: str, path: str) -> None:
    assert f"`{name}`" in TEXT
    assert path in FILES
    assert re.search(rf"^{name}\b", (ROOT / path).read_text(), re.MULTILINE)
