"""Plain, standard technical English, American spelling: words and spellings that do not come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORDS = {
    # British spellings
    r"normalis\w*": "normalize",
    r"\w+isation\w*": "-ization",
    r"recognis\w*|organis\w*|synchronis\w*|optimis\w*|summaris\w*|initialis\w*|serialis\w*": "-ize",
    r"colour\w*|behaviour\w*|favour\w*|honour\w*|neighbour\w*|armour\w*": "-or",
    r"catalogue|centre|licence|grey|cancell(?:ed|ing)|labell\w*|travell\w*|modell\w*|analys(?:e|ed|es|ing)": "American",
    # the idiom of the first edition
    r"(?:take|takes|taken|took|taking) (?:\w+ )?apart|take_apart": "parse, malformed",
    r"odd rows?|the odd ones": "irregular row",
    r"mend|mended|mending": "without_unparsable",
    r"nothing but": "only",
    r"cannot be had|not to be had": "could not be loaded",
    r"does not suffice": "out of memory",
    r"is looked at|are looked at|looked through": "is scanned, is checked",
    r"gives? up|gave up|given up": "abandon, stop",
    r"lets? go|go_on|goes on|going on": "release, stop, resume, continue",
    r"_listening|skim\w*": "interruptibly, checksum_only",
    r"stretch|stretches": "block, chunk, run",
    r"nobody had thought of": "unexpected",
    r"of no use|is of use|all the same": "plain words",
    r"whatever (?:it|they|its|their)": "plain words",
    r"that which|he who|those who|whoever": "plain words",
    r"is told|are told|told from|tells? of": "is reported, is distinguished",
    r"what it makes of|makes? of it": "result",
    r"when left out|where left out|is left out": "by default, is omitted",
    r"may be repeated": "repeatable",
}
FILES = sorted(
    [
        *(ROOT / "converter").rglob("*.py"),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
    ]
)


def idiom(text: str) -> list[str]:
    """The words of a text that are in the list, with the line and what to write instead."""
    return [
        f"{number}: '{match[0]}', write: {instead}"
        for number, line in enumerate(text.splitlines(), 1)
        for word, instead in WORDS.items()
        for match in re.finditer(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])", line, re.IGNORECASE)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_language_is_plain(path: Path) -> None:
    assert idiom(path.read_text()) == []


def test_a_word_of_the_list_is_found() -> None:
    assert idiom("The Colour of rows.\nRows that are taken apart.") == [
        "1: 'Colour', write: -or",
        "2: 'taken apart', write: parse, malformed",
    ]
