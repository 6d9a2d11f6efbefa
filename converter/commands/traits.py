"""The list of traits of Audience Manager, as its API returns it, and what their rules ask of signals.

A trait is realized by its ID (`d_sid=N`), by its integration code (`ic=CODE`), and by its rule. Comparisons that OR
alone joins are answered by single signals; other rules need all signals of a line.
"""

from __future__ import annotations

import csv
import datetime
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import orjson
import polars as pl

from converter.errors import InputError
from converter.spec.trait_rules import Condition, Either, Rule, RuleError, conditions_of, parse_rule

TRAIT_KEY, CODE_KEY = "d_sid", "ic"
_MILLISECONDS = 1e11  # more than these are not seconds
_FORM = (
    "It is what Audience Manager's traits API returns, as JSON or CSV, with sid, dataSourceId, traitType, traitRule "
    "and createTime."
)
_MOST_SHOWN = 10


class Trait(NamedTuple):
    """A trait: its ID, its data source, whether it is onboarded, when it was created (UNIX seconds), if that is known.

    `tests` are comparisons one of which is enough, `rules` other rules one of which is enough.
    """

    sid: str
    source: int | None
    onboarded: bool
    created: float | None
    tests: tuple[Condition, ...]
    rules: tuple[Rule, ...]

    def all_conditions(self) -> Iterator[Condition]:
        """Yield every comparison that a signal may fit."""
        yield from self.tests
        for rule in self.rules:
            yield from conditions_of(rule)


class TraitList(NamedTuple):
    """The traits of a file, and those whose rules are not understood: how many, and why the first ones are not."""

    traits: Sequence[Trait]
    not_understood: int
    reasons: Sequence[str]


def read_traits(path: str | os.PathLike[str]) -> TraitList:
    """Read a list of traits. Raises `InputError` where it cannot be read, or is no such list."""
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            "E-TRAITS", f"The list of traits '{file}' cannot be read: {error.strerror or error}.", _FORM
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("E-TRAITS", f"The list of traits '{file}' is not UTF-8.", _FORM) from error
    rows = _json_rows(text, file) if text.lstrip().startswith(("{", "[")) else _csv_rows(text, file)
    traits, reasons, count = list[Trait](), list[str](), 0
    for number, row in enumerate(rows, 1):
        trait, reason = _trait_of(row, number, file)
        traits.append(trait)
        if reason:
            count += 1
            if len(reasons) < _MOST_SHOWN:
                reasons.append(f"trait {trait.sid}: {reason}")
    if not traits:
        _fail(file, "has no traits")
    return TraitList(traits, count, reasons)


def _trait_of(row: Mapping[str, Any], number: int, file: Path) -> tuple[Trait, str]:
    """Return a trait, and why its rule is not understood, if it is not."""
    sid, source = _text(row.get("sid")), _text(row.get("dataSourceId"))
    if not sid.isdecimal():
        _fail(file, f"has no number as the 'sid' of trait {number:,}")
    if source and not source.isdecimal():
        _fail(file, f"has no number as the 'dataSourceId' of trait {number:,}")
    tests, rules, reason = [Condition(TRAIT_KEY, "==", str(int(sid)))], list[Rule](), ""
    if code := _text(row.get("integrationCode")):
        tests.append(Condition(CODE_KEY, "==", code.lower()))
    if text := _text(row.get("traitRule")):
        try:
            for each in _alternatives(_checked(parse_rule(text))):
                if isinstance(each, Condition):
                    tests.append(each)
                else:
                    rules.append(each)
        except RuleError as error:
            reason = str(error)
    kind = _text(row.get("traitType")).lower().replace("_", "").replace("-", "").replace(" ", "")
    created = _seconds(row.get("createTime"), number, file)
    is_onboarded = not kind or "onboarded" in kind
    of = int(source) if source else None
    return Trait(str(int(sid)), of, is_onboarded, created, tuple(tests), tuple(rules)), reason


def _alternatives(rule: Rule) -> Iterator[Rule]:
    if not isinstance(rule, Either):
        yield rule
        return
    for each in rule.rules:
        yield from _alternatives(each)


def _checked(rule: Rule) -> Rule:
    """Return a rule whose patterns can be searched for. Raises `RuleError`."""
    for test in conditions_of(rule):
        if test.operator == "matchesregex":
            try:
                pl.Series([""]).str.contains(f"(?i){test.value}")
            except pl.exceptions.ComputeError as error:
                raise RuleError("its pattern cannot be used") from error
    return rule


def _seconds(value: Any, number: int, file: Path) -> float | None:
    """Return a time as UNIX seconds: it is in these, in milliseconds, or in ISO 8601."""
    text = _text(value)
    if not text:
        return None
    try:
        moment = float(text)
    except ValueError:
        try:
            day = datetime.datetime.fromisoformat(text)
        except ValueError:
            _fail(file, f"has a 'createTime' of trait {number:,} that is not a time")
        return (day if day.tzinfo else day.replace(tzinfo=datetime.UTC)).timestamp()
    return moment / 1000 if abs(moment) > _MILLISECONDS else moment


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _json_rows(text: str, file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        _fail(file, f"is not JSON at line {error.lineno}")
    if isinstance(data, dict):  # pages of the API
        data = data.get("list", [data])
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        _fail(file, "is JSON of another form")
    yield from data


def _csv_rows(text: str, file: Path) -> Iterator[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "sid" not in (reader.fieldnames or ()):
        _fail(file, "has no column 'sid'")
    try:
        yield from reader
    except csv.Error:
        _fail(file, f"cannot be parsed at line {reader.line_num}")


def _fail(file: Path, what: str) -> NoReturn:
    raise InputError("E-TRAITS", f"The list of traits '{file}' {what}.", _FORM)
