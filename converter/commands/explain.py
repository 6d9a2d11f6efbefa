"""What codes and rules mean, and what to do: the same texts of which the documentation makes its lists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from converter.codes import CODES
from converter.errors import JobError, nearest, redact

_REMEDIES = Path(__file__).parent / "remedies.toml"
_LINK = re.compile(r"\[([^]]+)\]\(([^)]+)\)")
_OF_GROUPS = {
    "rejected": ("The row is rejected: it is not sent, and is listed in the rejects file.", "rules.md"),
    "skipped": ("The row is skipped: nothing is wrong with it, but it has nothing to send.", "rules.md"),
    "counted": ("The row is written, and this is counted in the report.", "rules.md"),
    "outbound": ("A warning of read-outbound, which says what was assumed.", "outbound.md"),
    "files": ("A finding of check and send, about a file that exists.", "file-rules.md"),
}


class Explanation(NamedTuple):
    """What a code or a rule means.

    `name` is the code of an error or a warning, or the name of a rule, whose `code` is that of the list of rules.
    `effect` is what becomes of the row or the file. `source` is the page of Adobe's documentation, if the rule is
    Adobe's; `page` is where the documentation of this package has it.
    """

    name: str
    code: str
    meaning: str
    effect: str
    remedy: str
    source: str
    page: str


def explain(names: Iterable[str]) -> list[Explanation]:
    """Return what codes (`E-S3-BUSY`, `C7`) and names of rules (`id_missing`) mean, in any case.

    A code of rules may be that of several, and a name that of a rule on rows and of another one on files. Raises
    `JobError` for what is neither.
    """
    found: list[Explanation] = []
    for name in names:
        here = _explained(name)
        if not here:
            raise _unknown(name)
        found += here
    return list(dict.fromkeys(found))


def remedies() -> dict[str, str]:
    """Return what to do about each error, by its code, as Markdown with links to pages of the documentation."""
    return {code: str(text) for code, text in tomllib.loads(_REMEDIES.read_text("utf-8")).items()}


def names_of_all() -> list[str]:
    """Return all codes and all names of rules."""
    return [
        *CODES,
        *dict.fromkeys(each.name for each in _of_rules()),
        *dict.fromkeys(each.code for each in _of_rules()),
    ]


def _explained(name: str) -> list[Explanation]:
    code = name.strip("[]:").upper()
    if code in CODES:
        remedy = _plain(remedies().get(code, ""))
        return [Explanation(code, code, _plain(CODES[code]), "", remedy, "", f"docs/errors.md#{code}")]
    if code.startswith(("E-", "W-")):
        return []
    return [each for each in _of_rules() if each.name.upper() == code or each.code == code]


def _of_rules() -> Iterator[Explanation]:
    from converter.spec.catalog import RULES  # here, since it loads Polars
    from converter.spec.rules import OURS

    for group, (effect, page) in _OF_GROUPS.items():
        for each in RULES[group]:
            source = "" if each.page == OURS else each.page
            where = f"docs/{page}#{each.name}"
            yield Explanation(each.name, each.code, each.meaning, effect, each.remedy, source, where)


def _unknown(name: str) -> JobError:
    guess = nearest(name, names_of_all())
    return JobError(
        "E-EXPLAIN-UNKNOWN",
        f"There is no code or rule '{redact(name)}'{guess}{'' if guess else '.'}",
        "Codes are in messages (E-…, W-…); names of rules, such as id_missing, and their codes in reports and rejects.",
    )


def _plain(text: str) -> str:
    """Return a text of the documentation as plain text, with the paths of the pages that it links."""
    return _LINK.sub(lambda match: f"{match[1]} (docs/{match[2]})", text).replace("`", "")
