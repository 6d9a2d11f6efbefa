"""What is run in other environments uses each requirement of the package."""

from __future__ import annotations

import re
import tomllib

import pytest

from .pythons import EXTRAS, ROOT, TESTS, find

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_each_requirement_has_a_test_and_a_lower_bound() -> None:
    extras = PROJECT["optional-dependencies"]
    assert extras.keys() == {*EXTRAS, "spark"}
    requirements = [*PROJECT["dependencies"], *(each for extra in EXTRAS for each in extras[extra])]
    names = {re.match(r"[A-Za-z0-9.-]+", each)[0] for each in requirements}  # type: ignore[index]
    assert names == set(TESTS)
    assert [each for each in requirements if ">=" not in each] == []


@pytest.mark.parametrize("test", sorted(set(TESTS.values())))
def test_tests_that_are_named_are_there(test: str) -> None:
    module, _, name = test.partition("::")
    assert f"def {name}" in (ROOT / "tests" / module).read_text()


def test_this_python_is_found_and_one_that_is_not_there_is_not() -> None:
    assert find("3.99") is None


def test_the_versions_of_python_are_those_that_are_tested() -> None:
    """Those of the classifiers are that of the continuous integration, and those that it runs as well."""
    named = {each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)}
    (asked,) = re.findall(r"^PYTHONS \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named == {PROJECT["requires-python"].removeprefix(">="), *asked.split()}
