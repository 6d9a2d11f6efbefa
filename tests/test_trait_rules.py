"""The rules of traits: how they are parsed, and that their evaluation on columns is that of a slow twin."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.commands.conditions import Comparisons, true_lines
from converter.spec.trait_rules import NUMBER, Both, Condition, Either, No, Rule, RuleError, conditions_of, parse_rule

A = Condition("a", "==", "1")
B = Condition("b", "==", "2")
C = Condition("c", "==", "3")


@pytest.mark.parametrize(
    "text, rule",
    [
        ('ic == "123"', Condition("ic", "==", "123")),
        ('"Gender"=="FEMALE"', Condition("gender", "==", "female")),
        ("price => 10.5", Condition("price", ">=", "10.5")),
        ("city CONTAINS 'New \"York\"'", Condition("city", "contains", 'new "york"')),
        (r'a startswith "x\"y\\"', Condition("a", "startswith", 'x"y\\')),
        (r'a matchesregex "^A\d+\"$"', Condition("a", "matchesregex", r'^A\d+"$')),
        ("a matchesword b", Condition("a", "matcheswords", "b")),
        ("contains endswith and", Condition("contains", "endswith", "and")),
        ("orders == 1", Condition("orders", "==", "1")),
        ("a==1 OR b==2 AND c==3", Either((A, Both((B, C))))),
        ("(a==1 or b==2) && c==3", Both((Either((A, B)), C))),
        ("a==1 || b==2 || c==3", Either((A, B, C))),
        ("NOT a==1 AND !(b==2)", Both((No(A), No(B)))),
        ("NOT NOT NOT a==1", No(A)),
        ("((((a==1))))", A),
        ("  a\n==\t1 ", A),
        ("größe == 'L'", Condition("größe", "==", "l")),
    ],
)
def test_rules_are_parsed(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "character 1"),
        ("a", "character 2"),
        ("a == ", "character"),
        ('a == "b', "character 6"),
        ("a == b c", "character 8"),
        ("(a == b", "character"),
        ("a = b", "character 3"),
        ("frequency([1T]) >= 3", "character 10"),
        ("a > b", "no number"),
        ("a < 1e5", "no number"),
        ("NOT (a==1 AND " * 60 + "a==1" + ")" * 60, "nested"),
        ("a==1 OR " * 5_000 + "a==1", "longer"),
    ],
)
def test_what_is_no_rule_is_said_kindly(text: str, why: str) -> None:
    with pytest.raises(RuleError, match=why):
        parse_rule(text)


# --- a slow twin ------------------------------------------------------------------------------------------------

WORDS = ["1", "2", "10", "-3.5", "ab", "a b", "B", "b-a", "", "x"]
KEYS = ["a", "b", "C"]
LITERALS = ["1", "2", "10", "-3.5", "ab", "a", "b"]
OPERATORS = ["==", "!=", ">", ">=", "<", "<=", "contains", "startswith", "endswith", "matcheswords", "matchesregex"]


def fits_slowly(test: Condition, key: str, value: str) -> bool:
    if key.lower() != test.key:
        return False
    lower = value.lower()
    if test.operator in (">", ">=", "<", "<="):
        if not re.fullmatch(NUMBER, lower):
            return False
        number, bound = float(lower), float(test.value)
        return {">": number > bound, ">=": number >= bound, "<": number < bound, "<=": number <= bound}[test.operator]
    if test.operator == "matcheswords":
        words, wanted = re.sub(r"\W+", " ", lower), re.sub(r"\W+", " ", test.value).strip()
        return f" {wanted} " in f" {words.strip()} "
    return {
        "==": lower == test.value,
        "!=": lower != test.value,
        "contains": test.value in lower,
        "startswith": lower.startswith(test.value),
        "endswith": lower.endswith(test.value),
        "matchesregex": re.search(test.value, value, re.IGNORECASE) is not None,
    }[test.operator]


def is_true_slowly(rule: Rule, signals: list[tuple[str, str]]) -> bool:
    if isinstance(rule, Condition):
        return any(fits_slowly(rule, *signal) for signal in signals)
    if isinstance(rule, No):
        return not is_true_slowly(rule.rule, signals)
    found = [is_true_slowly(each, signals) for each in rule.rules]
    return all(found) if isinstance(rule, Both) else any(found)


def written(rule: Rule) -> str:
    """A rule as a text."""
    if isinstance(rule, Condition):
        return f'"{rule.key}" {rule.operator} "{rule.value}"'
    if isinstance(rule, No):
        return f"NOT ({written(rule.rule)})"
    return f" {'AND' if isinstance(rule, Both) else 'OR'} ".join(f"({written(each)})" for each in rule.rules)


def compare(key: str, operator: str, value: str) -> Condition:
    is_numeric = operator in (">", ">=", "<", "<=")
    return Condition(key.lower(), operator, "2" if is_numeric and not re.fullmatch(NUMBER, value) else value)


TESTS = st.builds(compare, st.sampled_from(KEYS), st.sampled_from(OPERATORS), st.sampled_from(LITERALS))
RULES = st.recursive(
    TESTS,
    lambda rules: st.one_of(
        st.builds(lambda rule: rule.rule if isinstance(rule, No) else No(rule), rules),
        st.builds(lambda *each: Both(each), rules, rules),
        st.builds(lambda *each: Either(each), rules, rules, rules),
    ),
    max_leaves=8,
)
LINES = st.lists(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(WORDS)), max_size=4), max_size=6)


@given(rule=RULES)
def test_a_rule_that_is_written_is_parsed_to_itself(rule: Rule) -> None:
    assert parse_rule(written(rule)) == rule


@given(rule=RULES, lines=LINES)
def test_rules_on_columns_are_true_where_the_slow_twin_says_so(rule: Rule, lines: list[list[tuple[str, str]]]) -> None:
    tests = list(dict.fromkeys(conditions_of(rule)))
    distinct = sorted({signal for line in lines for signal in line})
    frame = pl.DataFrame(distinct, schema={"key": pl.String, "value": pl.String}, orient="row").with_row_index("signal")
    fitting = Comparisons(tests).fitting(frame)
    signals_of: dict[int, set[int]] = {number: set() for number in range(len(tests))}
    for signal, test in fitting.iter_rows():
        signals_of[test].add(signal)
    hits = {}
    for number, test in enumerate(tests):
        assert signals_of[number] == {at for at, signal in enumerate(distinct) if fits_slowly(test, *signal)}
        of_test = [
            at for at, line in enumerate(lines) if any(distinct.index(signal) in signals_of[number] for signal in line)
        ]
        if of_test:
            hits[test] = pl.Series(of_test, dtype=pl.UInt32).to_numpy()
    expected = [at for at, line in enumerate(lines) if is_true_slowly(rule, line)]
    assert true_lines(rule, hits, len(lines)).tolist() == expected
