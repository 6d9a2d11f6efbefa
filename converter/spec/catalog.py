"""All rules in groups, by what becomes of a row or a file: what the documentation lists, and `explain` looks up."""

from __future__ import annotations

from typing import NamedTuple

from converter.spec import files, kinds, outbound, rules
from converter.spec.ids import ID_TYPES


class Entry(NamedTuple):
    """A rule as it is listed: its name and code, what it means, what to do, and the page it comes from."""

    name: str
    code: str
    meaning: str
    remedy: str
    page: str


def _entry(rule: rules.Rule | rules.IdRule | files.FileRule) -> Entry:
    if isinstance(rule, files.FileRule):
        return Entry(rule.name, rule.code, rule.text, rule.fix, rule.page)
    return Entry(rule.name, rule.code, rule.hint, "", rule.page)


_ANY = next(iter(ID_TYPES.values()))._replace(describe="of the form of its type")
_OF_ROWS: dict[str, rules.Rule | rules.IdRule] = {
    rule.name: rule
    for rule in (
        *(rule for type_ in ID_TYPES.values() for rule in rules.id_rules(type_, implausible=True)),
        rules.id_wrong_form(_ANY),
        *(rule for rule in vars(rules).values() if isinstance(rule, rules.Rule | rules.IdRule)),
        *rules.line_rules(1),
    )
}
_LATE = {rule.name for kind in kinds.FILE_KINDS.values() for rule in kind.late_rules} | set(rules.SOURCE_RULES)


def _group(rule: rules.Rule | rules.IdRule) -> str:
    if getattr(rule, "skips", False):
        return "skipped"
    is_applied = isinstance(rule, rules.IdRule) or rule.applies is not None or rule.name in _LATE
    return "rejected" if is_applied else "counted"


def _file_rules(module: object) -> list[Entry]:
    found = {rule.name: rule for rule in vars(module).values() if isinstance(rule, files.FileRule)}
    return [_entry(rule) for rule in found.values()]


RULES: dict[str, list[Entry]] = {
    **{group: [_entry(rule) for rule in _OF_ROWS.values() if _group(rule) == group]
       for group in ("rejected", "skipped", "counted")},
    "outbound": _file_rules(outbound),
    "files": _file_rules(files),
}  # fmt: skip
"""The rules by which rows are rejected, skipped, or written with something counted; those on outbound files, and those
on inbound files that exist."""
