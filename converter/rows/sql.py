"""The SQL that a job may use: conditions and values of one row alone.

`columns_of` accepts what gives the same result for a row wherever blocks are cut, whenever the job runs: columns,
constants, operators, and the functions in `FUNCTIONS`. Whether it is valid otherwise, Polars says (`rows.selection`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from converter.errors import JobError, nearest


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


FUNCTIONS = _words(
    "abs array_contains array_get array_length array_lower array_reverse array_to_string array_unique array_upper",
    "bit_length cast ceil ceiling char_length character_length coalesce concat concat_ws date_part date_trunc day",
    "dayofweek div ends_with exp extract floor greatest if ifnull initcap least left length ln log log10 log2 lower",
    "lpad ltrim mod month normalize nullif octet_length pow power quarter regexp_like regexp_replace replace reverse",
    "right round rpad rtrim sign split_part sqrt starts_with strftime string_to_array strpos strptime substr",
    "substring trim trunc truncate try_cast upper week year",
)
"""The functions of Polars whose result depends on the values of one row alone."""
_OPERATORS = _words(
    "and as between case distinct else end escape false from ilike in is like not null or regexp rlike then true when",
    "xor",
)
_TYPES = _words(
    "bigint bool boolean char character date datetime decimal double float float4 float8 int int1 int2 int4 int8",
    "integer interval numeric precision real smallint string text time timestamp tinyint unsigned varchar",
)
_GUESSED = _words("date datetime time timestamp")
"""The types to which Polars converts texts by a format that it infers from the first of them."""
_REFUSED = _words(
    "all any columns current_date current_time current_timestamp exists filter group having limit localtime",
    "localtimestamp now order over partition select some union unnest where window within",
)
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<text>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")+")|(?P<number>[0-9][0-9A-Za-z_.]*)
    |(?P<word>[^\W\d]\w*)|(?P<sign>::|(?!--|/\*)[-+*/%=<>!~(),.\[\]|&^]+?)""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str

    @property
    def word(self) -> str:
        """The word in lower case, if it is one without quotes."""
        return self.text.lower() if self.kind == "word" else ""


class Column(NamedTuple):
    """A column that an SQL text names, and whether it is in double quotes there."""

    name: str
    quoted: bool


def columns_of(sql: str, key: str) -> list[Column]:
    """Return the columns that an SQL text names. Raises `JobError` for what does not concern one row alone.

    `key` is the key of the job that has the text.
    """
    tokens = [*_tokens(sql, key), _Token("end", "")]
    columns: dict[str, Column] = {}
    for number, token in enumerate(tokens[:-1]):
        before, after = tokens[number - 1] if number else _Token("end", ""), tokens[number + 1]
        if token.kind in ("word", "name") and after.text == "." and tokens[number + 2].kind in ("word", "name"):
            raise _refused(
                key, f"has '{token.text}.{tokens[number + 2].text}'", 'Put names with periods in double quotes: "a.b".'
            )
        if token.kind == "name":
            name = token.text[1:-1].replace('""', '"')
            if name.startswith("^") and name.endswith("$"):
                raise _refused(key, f"names '{name}', which Polars takes for a pattern", "Rename the column.")
            columns.setdefault(name, Column(name, quoted=True))
        elif token.kind == "word" and _is_column(token, before, after, tokens[:number], key):
            columns.setdefault(token.text, Column(token.text, quoted=False))
    return list(columns.values())


def _tokens(sql: str, key: str) -> Iterator[_Token]:
    at = 0
    while at < len(sql):
        found = _TOKEN.match(sql, at)
        if found is None or found.lastgroup is None:
            what = "a comment" if sql.startswith(("--", "/*"), at) else sql[at]
            hint = "Texts are in single quotes, names in double ones, and both quotes are closed."
            raise _refused(key, f"has {what} at character {at + 1}", hint)
        if found.lastgroup != "space":
            yield _Token(found.lastgroup, found[0])
        at = found.end()


def _is_column(token: _Token, before: _Token, after: _Token, passed: list[_Token], key: str) -> bool:
    """Return whether a word without quotes names a column. Raises `JobError` for a word that is not allowed."""
    word = token.word
    if after.text == "(":
        if word in _TYPES and _is_type(before, after):
            return False  # such as decimal(10, 2)
        if word not in FUNCTIONS and word not in _OPERATORS:
            raise _refused(
                key,
                f"uses the function {word.upper()}, which is not one of those that concern one row alone"
                f"{nearest(word, FUNCTIONS) or '.'}",
                "docs/rows.md lists them.",
            )
        return False
    if word in _TYPES and _is_type(before, after):
        if word in _GUESSED and after.kind != "text":
            raise _refused(
                key,
                f"converts to {word.upper()}, for which the format of a text would be inferred from other rows",
                "Use STRPTIME(column, '%Y-%m-%d') for texts, DATE_TRUNC('day', column) for times; texts in ISO 8601 "
                "can be compared as they are: column >= '2024-01-31'.",
            )
        return False
    if len(passed) > 1 and before.text == "(" and passed[-2].word == "extract":
        return False
    if word in _REFUSED:
        raise _refused(
            key,
            f"has the word {word.upper()}, which does not concern one row alone, or depends on the time",
            f'A column of this name is written in double quotes: "{token.text}".',
        )
    return word not in _OPERATORS


def _is_type(before: _Token, after: _Token) -> bool:
    """Return whether a word between two others is the name of a type: in a CAST, or before a constant."""
    return before.word in ("as", *_TYPES) or before.text == "::" or after.kind == "text"


def _refused(key: str, what: str, hint: str) -> JobError:
    return JobError("E-SQL", f"{key} {what}{'' if what.endswith(('.', '?')) else '.'}", hint)
