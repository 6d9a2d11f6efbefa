"""The grammar of trait rules, and what a rule asks of the signals of a line.

A rule compares keys with values (`gender == "female"`, `price >= 10`, `city contains "wien"`), and combines
comparisons by AND, OR, NOT and brackets. Keys and values are compared in any case (C12). A comparison is true of a line
if one of its signals with the key fits: so `!=` asks for a signal with another value, and NOT for a line without one
*(ours)*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from lark import Lark

OPERATORS_PAGE = "features/traits/trait-builder/trait-comparison-operators.md"
GRAMMAR = r"""
    ?start: either
    ?either: both (_OR both)*
    ?both: part (_AND part)*
    ?part: _NOT part -> no
         | "(" either ")"
         | key OPERATOR value -> test
    key: TEXT | WORD
    value: TEXT | WORD
    OPERATOR.2: "==" | "!=" | ">=" | "=>" | "<=" | "=<" | ">" | "<"
              | /(?:contains|startswith|endswith|matcheswords?|matchesregex)(?![\w.:-])/i
    _AND.2: /and(?![\w.:-])/i | "&&"
    _OR.2: /or(?![\w.:-])/i | "||"
    _NOT.2: /not(?![\w.:-])/i | /!(?!=)/
    TEXT: /"(?:[^"\\]|\\.)*"/ | /'(?:[^'\\]|\\.)*'/
    WORD: /[\w.:@\/+-]+/
    %ignore /\s+/
"""
"""The grammar of a rule, for the parser of lark."""
_SAME = {"=>": ">=", "=<": "<=", "matchesword": "matcheswords"}
NUMERIC = (">", ">=", "<", "<=")
NUMBER = r"^-?[0-9]{1,18}(?:\.[0-9]{1,18})?$"
"""What counts as a number, in rules and in values."""
_DEEPEST = 50  # brackets and negations inside each other
_LONGEST = 20_000  # characters


class RuleError(ValueError):
    """A rule is not understood; the text says why."""


class Condition(NamedTuple):
    """A comparison of the value of a key; both are in lower case, but for the value of `matchesregex`."""

    key: str
    operator: str
    value: str


class No(NamedTuple):
    """A rule that is true where another one is not."""

    rule: Rule


class Both(NamedTuple):
    """A rule that is true where all others are."""

    rules: tuple[Rule, ...]


class Either(NamedTuple):
    """A rule that is true where one of the others is."""

    rules: tuple[Rule, ...]


Rule: TypeAlias = "Condition | No | Both | Either"


def parse_rule(text: str) -> Rule:
    """Return a rule. Raises `RuleError` where it is not understood."""
    from lark.exceptions import LarkError, UnexpectedInput, VisitError  # here, since few runs need it

    if len(text) > _LONGEST:
        raise RuleError(f"longer than {_LONGEST:,} characters")
    try:
        rule: Rule = _parser().parse(text)  # type: ignore[assignment] # a transformer gives it
    except VisitError as error:
        raise RuleError(str(error.orig_exc)) from error
    except UnexpectedInput as error:
        is_end = getattr(getattr(error, "token", None), "type", "") == "$END"
        at = len(text) if is_end or error.pos_in_stream is None else error.pos_in_stream
        raise RuleError(f"not understood from character {at + 1}") from error
    except LarkError as error:
        raise RuleError("not understood") from error
    if _depth(rule) > _DEEPEST:
        raise RuleError(f"nested more than {_DEEPEST} times")
    return rule


def conditions_of(rule: Rule) -> Iterator[Condition]:
    """Yield the comparisons of a rule."""
    if isinstance(rule, Condition):
        yield rule
    elif isinstance(rule, No):
        yield from conditions_of(rule.rule)
    else:
        for each in rule.rules:
            yield from conditions_of(each)


def _depth(rule: Rule) -> int:
    """Return how deep a rule is nested, without recursion."""
    deepest, level = 0, [rule]
    while level:
        deepest += 1
        inner: list[Rule] = []
        for each in level:
            if isinstance(each, No):
                inner.append(each.rule)
            elif not isinstance(each, Condition):
                inner += each.rules
        level = inner
    return deepest


@cache
def _parser() -> Lark:
    from lark import Lark, Transformer, v_args

    @v_args(inline=True)
    class Build(Transformer):  # type: ignore[type-arg]
        """Makes rules of what the parser finds."""

        def no(self, rule: Rule) -> Rule:
            return rule.rule if isinstance(rule, No) else No(rule)

        def both(self, *rules: Rule) -> Rule:
            return Both(rules)

        def either(self, *rules: Rule) -> Rule:
            return Either(rules)

        def key(self, text: str) -> str:
            return str(text)

        value = key

        def test(self, key: str, operator: str, value: str) -> Rule:
            name = str(operator).lower()
            name = _SAME.get(name, name)
            is_pattern = name == "matchesregex"
            key, value = _plain(key).lower(), _plain(value, is_pattern=is_pattern)
            if name in NUMERIC and not re.match(NUMBER, value):
                raise RuleError(f"{name} compares with no number")
            return Condition(key, name, value if is_pattern else value.lower())

    return Lark(GRAMMAR, parser="lalr", transformer=Build())


def _plain(text: str, *, is_pattern: bool = False) -> str:
    """Return a text without its quotes; other backslashes than those before quotes stay in a pattern."""
    if text[0] not in "\"'":
        return text
    return re.sub("\\\\([\"'])" if is_pattern else r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
