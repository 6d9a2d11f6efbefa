"""What typical mistakes lead to: `mistakes.toml` has what the command line says of each, for people to reread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from converter.codes import CODES

from .errors import check_named
from .mistakes import Mistake, Place, place, table

MISTAKES = table()


@pytest.fixture(scope="module")
def made() -> Iterator[Place]:
    with place() as made:
        yield made


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.what for mistake in MISTAKES])
def test_a_mistake_is_named_with_what_to_do(mistake: Mistake, made: Place) -> None:
    found = made.make(mistake)
    assert (found.exit, found.code) == (mistake.exit, mistake.code), found.says
    assert found.exit in (1, 2, 3)
    assert found.code in CODES
    assert "Traceback" not in found.says
    check_named(found.says, *mistake.names)
    assert found.says.strip() == mistake.says.strip(), "write mistakes.toml anew, and reread it"


def test_no_secret_and_nothing_personal_is_said() -> None:
    said = "".join(mistake.says for mistake in MISTAKES)
    assert not [text for text in ("secret", "pa/ss", "ann@", "ann1", "customer-") if text in said]


def test_there_are_enough_mistakes_each_once() -> None:
    assert len({mistake.run for mistake in MISTAKES}) == len(MISTAKES) >= 70
