"""What an inbound file breaks: a problem for each rule, with the shapes of the first lines that break it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from converter.spec.files import LEVELS, FileRule, Level

Positions = npt.NDArray[np.int64]

MOST_EXAMPLES = 10
"""Lines that are reported for each rule, at most."""


@dataclass(frozen=True)
class Example:
    """A line that breaks a rule: its number, counted from 1, and what it looks like, without a letter or digit of it.

    `column` is the first byte that breaks the rule, counted from 1; `None` where it is the line as a whole.
    """

    line: int
    column: int | None
    shape: str


@dataclass(frozen=True)
class Problem:
    """A rule that a file breaks: its code, its name, a sentence, its page, its level, and what to do.

    `line` is the first physical line that breaks it, counted from 1, and `lines` is how many do. They are `None`
    and 0 where the rule is about the file as a whole. `examples` are the first of these lines, at most 10.
    """

    code: str
    name: str
    text: str
    line: int | None
    lines: int
    level: Level
    page: str = ""
    fix: str = ""
    examples: tuple[Example, ...] = ()


class Problems:
    """The rules that a file breaks, as far as it has been checked."""

    def __init__(self) -> None:
        self._problems: dict[FileRule, Problem] = {}

    def note(
        self,
        rule: FileRule,
        lines: Positions | None = None,
        examples: Callable[[int], Iterable[Example]] = lambda _: (),
    ) -> None:
        """Add a rule that the file breaks, or that some of its lines do: their distinct numbers, ascending.

        `examples` gives so many of these lines.
        """
        if lines is not None and not len(lines):
            return
        first, count = (None, 0) if lines is None else (int(lines[0]), len(lines))
        before = self._problems.get(rule)
        found = tuple(examples(MOST_EXAMPLES - len(before.examples if before else ())))
        self._add(rule, Problem(rule.code, rule.name, rule.text, first, count, rule.level, rule.page, rule.fix, found))

    def add(self, others: Problems, lines: int = 0) -> None:
        """Add the problems that another check found, in the text after so many lines."""
        for rule, problem in others._problems.items():
            if lines and problem.line:
                examples = tuple(replace(each, line=each.line + lines) for each in problem.examples)
                problem = replace(problem, line=problem.line + lines, examples=examples)
            self._add(rule, problem)

    def _add(self, rule: FileRule, problem: Problem) -> None:
        if before := self._problems.get(rule):
            examples = (*before.examples, *problem.examples)[:MOST_EXAMPLES]
            problem = replace(before, lines=before.lines + problem.lines, examples=examples)
        self._problems[rule] = problem

    def in_order(self) -> tuple[Problem, ...]:
        """Return the problems in order."""
        return in_order(self._problems.values())


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems by their levels: first those about the whole file, then by their first line."""
    return tuple(sorted(problems, key=lambda each: (LEVELS.index(each.level), each.line or 0, each.name)))
