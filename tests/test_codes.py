"""Every code of an error or a warning is in the table, and the table has no other."""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from converter import errors
from converter.codes import CODES
from converter.errors import Finding, InputError
from converter.report import rule_warnings
from converter.spec import rules

from . import documented

PACKAGE = Path(errors.__file__).parent
CODE = re.compile(r"[EW]-[A-Z][A-Z0-9-]*")
OF_RULES = {
    warning.code
    for warning in rule_warnings(
        {rule.name: 1 for rule in (*vars(rules).values(), *rules.implausible_rules()) if isinstance(rule, rules.Rule)}
    )
}


def _texts(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_table_has_each_code_that_is_used_and_no_other() -> None:
    used = {
        text
        for path in PACKAGE.rglob("*.py")
        if path.name != "codes.py"
        for text in _texts(ast.parse(path.read_text()))
        if CODE.fullmatch(text)
    }
    assert used - set(CODES) == set()
    assert set(CODES) - used - OF_RULES == set()


WRONG_USE = {
    "E-ARGUMENT",
    *(f"E-COLUMN-{what}" for what in ("MISSING", "REPEATED", "TYPE")),
    *("E-AZ-ACCOUNT", "E-AZ-CONNECTION-STRING"),
    *("E-CHECK-NO-FILES", "E-DATABASE-ROWS", "E-FTP-CA-FILE", "E-HTTP-CA-FILE", "E-INPUT-KEY", "E-INPUT-PACKAGE"),
    *("E-SFTP-KEY-FILE", "E-LOG-FILE", "E-JOBS-STDIN"),
    *(f"E-HEADER-{what}" for what in ("FIELDS", "LATER", "MISSING", "UNEXPECTED")),
    *("E-ID-TYPE-AUTO", "E-INPUT-REMOTE", "E-INPUT-STDIN", "E-INPUT-URL", "E-MATCH-HEADER", "E-SHEET-MISSING", "E-SQL"),
    *("E-EXPLAIN-UNKNOWN", "E-INIT-ENDED", "E-INIT-TERMINAL"),
    *(f"E-JOB-{what}" for what in ("FOLDER", "INVALID", "MISSING", "READ", "TAKEN", "TOML", "TWICE")),
    *(f"E-PASSWORD-{what}" for what in ("COMMAND", "FILE", "TWICE")),
    *("E-PERSONAL-COLUMN", "E-PERSONAL-CONSTANT", "E-REJECTS-OF", "E-SEND-NAME-TWICE", "E-SEND-NO-FILES"),
    *("E-EXAMPLE-VALUES", *(f"E-EXAMPLES-{what}" for what in ("KEPT", "MISSING", "WRITE"))),
    *("E-OUTBOUND-FORMAT", "E-OUTBOUND-LINE", "E-TAXONOMY-INPUT"),
    *(f"E-SPARK-{what}" for what in ("JAVA", "MISSING", "MODE", "PARTITIONS", "UNSUPPORTED", "VERSION")),
    *("E-SET-MALFORMED", "E-STATE-MISSING", "E-STATE-OTHER", "E-SYNC-ADDRESS", "E-TO-MALFORMED", "E-TO-SCHEME"),
    *("E-USAGE", "E-VARIABLE-UNSET"),
}
REFUSED = {
    *(
        "E-BOTH-MODES",
        "E-CHECK-RULES",
        "E-CLEARED",
        "E-COLLISIONS-MEMORY",
        "E-ID-TYPES-MIXED",
        "E-JOBS-REFUSED",
        "E-OUTBOUND-DIFFERS",
        "E-SEND-RULES",
        "E-STRICT",
    ),
    *("E-TAXONOMY-UNKNOWN", "E-TOO-MANY-REJECTS", "E-VOLUME"),
}


def test_a_code_has_one_exit_code() -> None:
    ends = documented.exit_codes()
    assert {code for code, each in ends.items() if each == {2}} == WRONG_USE
    assert {code for code, each in ends.items() if each == {3}} == REFUSED
    assert {code for code, each in ends.items() if len(each) > 1} == {"E-STOPPED"}


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


# --- tests ask for codes and names ------------------------------------------------------------------------------

TESTS = {path.name: path.read_text() for path in Path(__file__).parent.glob("*.py") if path.name != "test_codes.py"}
OF_SYSTEM = {os.strerror(number) for number in errno.errorcode}
SENTENCE = re.compile(r"\b[a-z]+ [a-z]+ [a-z]+\b")
WORDS = re.compile(r"\b[a-z]+ [a-z]+\b")
ASKING = {"raises", "check_named", "check_told", "check_refused"}


def _calls(text: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "id", getattr(node.func, "attr", "")), node


def _sentences(text: str) -> list[str]:
    """Return what a test file asks of errors of the package, and is a sentence rather than a name."""
    found = []
    for name, call in _calls(text):
        kind = getattr(call.args[0], "id", "") if call.args else ""
        if name == "raises" and kind != "AssertionError":  # those of the tests' own tools have no codes
            found += [said for each in call.keywords if each.arg == "match" for said in _texts(each.value)]
        if name in ASKING:
            found += [said for each in call.args for said in _texts(each) if SENTENCE.search(said)]
    return [said for said in found if WORDS.search(said) and said.strip("'") not in OF_SYSTEM]


@pytest.mark.parametrize("name", TESTS)
def test_no_test_matches_a_sentence(name: str) -> None:
    assert _sentences(TESTS[name]) == []


def test_a_test_that_matches_a_sentence_is_found() -> None:
    assert _sentences('pytest.raises(InputError, match="is cut off")') == ["is cut off"]
    assert _sentences('raises(InputError, "E-INPUT-DAMAGED", "it is cut off")') == ["it is cut off"]
    assert _sentences('raises(InputError, "E-INPUT-READ", "No such file or directory", "in.csv")') == []


def test_each_code_is_asked_for_by_a_test() -> None:
    asked = {code for text in TESTS.values() for code in CODE.findall(text)}
    assert set(CODES) - asked == set()
