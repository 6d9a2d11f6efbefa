"""Which comparisons of trait rules signals fit, and where rules are true: on columns, without Python for each line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from converter.spec.trait_rules import NUMBER, NUMERIC, Both, Condition, No, Rule

Lines = npt.NDArray[np.uint32]
"""The indices of lines, ascending, each once."""
_FITS = {"signal": pl.UInt32, "test": pl.UInt32}


class Comparisons:
    """Comparisons by their number, and which signals fit them."""

    def __init__(self, tests: Sequence[Condition]) -> None:
        rows = [(number, test.key, test.value) for number, test in enumerate(tests) if test.operator == "=="]
        schema = {"test": pl.UInt32, "key": pl.String, "value": pl.String}
        self._equal = pl.DataFrame(rows, schema=schema, orient="row")
        self._others: dict[str, list[tuple[int, pl.Expr]]] = {}
        for number, test in enumerate(tests):
            if test.operator != "==":
                self._others.setdefault(test.key, []).append((number, _fits(test)))

    def fitting(self, signals: pl.DataFrame) -> pl.DataFrame:
        """Return which signals fit which comparisons: `signal` and `test` (UInt32), the numbers of both.

        `signals` are `signal` (UInt32), `key` and `value` (String), distinct.
        """
        lower = signals.select("signal", pl.col("key", "value").str.to_lowercase(), raw="value")
        found = [lower.join(self._equal, on=["key", "value"]).select(_FITS.keys())]
        known = pl.Series("key", list(self._others), pl.String)
        for (key,), of_key in lower.filter(pl.col("key").is_in(known.implode())).group_by("key"):
            found += [
                of_key.filter(fits).select("signal", test=pl.lit(number, pl.UInt32))
                for number, fits in self._others[str(key)]
            ]
        return pl.concat(found)


def _fits(test: Condition) -> pl.Expr:
    """Return whether the `value` in lower case, or `raw`, fits a comparison with another operator than equality."""
    value, number = pl.col("value"), pl.col("value").str.extract(f"({NUMBER})", 1).cast(pl.Float64)
    match test.operator:
        case "!=":
            return value != test.value
        case "contains":
            return value.str.contains(test.value, literal=True)
        case "startswith":
            return value.str.starts_with(test.value)
        case "endswith":
            return value.str.ends_with(test.value)
        case "matcheswords":
            around = value.str.replace_all(r"\W+", " ")
            words = pl.lit(test.value).str.replace_all(r"\W+", " ").str.strip_chars(" ")
            return pl.format(" {} ", around.str.strip_chars(" ")).str.contains(pl.format(" {} ", words), literal=True)
        case "matchesregex":
            return pl.col("raw").str.contains(f"(?i){test.value}")
    assert test.operator in NUMERIC  # noqa: S101 - the grammar has no other operators
    bound = float(test.value)
    compared = {">": number > bound, ">=": number >= bound, "<": number < bound, "<=": number <= bound}
    return compared[test.operator].fill_null(value=False)


def true_lines(rule: Rule, fitting: Mapping[Condition, Lines], lines: int) -> Lines:
    """Return the lines of which a rule is true, among so many; `fitting` are those with a signal for a comparison."""
    if isinstance(rule, Condition):
        return fitting.get(rule, _NONE)
    if isinstance(rule, No):
        return _without(np.arange(lines, dtype=np.uint32), true_lines(rule.rule, fitting, lines))
    if not isinstance(rule, Both):
        found = [true_lines(each, fitting, lines) for each in rule.rules]
        return np.unique(np.concatenate(found))
    positive = [each for each in rule.rules if not isinstance(each, No)]
    negative = [each.rule for each in rule.rules if isinstance(each, No)]
    kept = None if positive else np.arange(lines, dtype=np.uint32)
    for each in positive:
        of_rule = true_lines(each, fitting, lines)
        kept = of_rule if kept is None else np.intersect1d(kept, of_rule, assume_unique=True)
        if not len(kept):
            return _NONE
    assert kept is not None  # noqa: S101 - for the type checker: one of the two has members
    for unwanted in negative:
        kept = _without(kept, true_lines(unwanted, fitting, lines))
    return kept


def _without(lines: Lines, others: Lines) -> Lines:
    left: Lines = np.setdiff1d(lines, others, assume_unique=True)
    return left


_NONE: Lines = np.zeros(0, np.uint32)
