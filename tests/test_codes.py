"""Every code of an error or a warning is in the table, and the table has no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from converter import errors
from converter.errors import CODES, Finding, InputError
from converter.report import rule_warnings
from converter.spec import rules

PACKAGE = Path(errors.__file__).parent
CODE = re.compile(r"[EW]-[A-Z][A-Z0-9-]*")
OF_RULES = {
    warning.code
    for warning in rule_warnings({rule.name: 1 for rule in vars(rules).values() if isinstance(rule, rules.Rule)})
}


def _texts(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_table_has_each_code_that_is_used_and_no_other() -> None:
    used = {
        text
        for path in PACKAGE.rglob("*.py")
        if path.name != "errors.py"
        for text in _texts(ast.parse(path.read_text()))
        if CODE.fullmatch(text)
    }
    assert used - set(CODES) == set()
    assert set(CODES) - used - OF_RULES == {"E-STOPPED"}


@pytest.mark.parametrize("code", CODES)
def test_a_code_has_its_form_and_a_sentence(code: str) -> None:
    assert CODE.fullmatch(code)
    assert CODES[code].endswith(".")


def test_the_kind_of_a_code_says_how_serious_a_finding_is() -> None:
    assert [Finding(code, "").level for code in ("E-LEDGER", "W-FTP", "")] == ["error", "warning", "ok"]


def test_an_error_is_a_finding() -> None:
    error = InputError("E-INPUT-EMPTY", "It is empty.", "Is the export complete?")
    assert Finding.of(error) == ("E-INPUT-EMPTY", "It is empty.", "Is the export complete?")
    assert str(error) == str(Finding.of(error)) == "It is empty. Is the export complete?"
