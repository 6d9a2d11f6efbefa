"""The walk from a new job to its receipt prints what its page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import replay

PAGE = Path(__file__).parent.parent / "docs" / "walk.md"


def test_the_walk_prints_what_its_page_shows(tmp_path: Path) -> None:
    commands = []
    for step in replay.steps(PAGE):
        if step.file:
            (tmp_path / step.file).write_text(step.text)
            continue
        commands.append(step.command)
        if difference := replay.differs(step.text, replay.run(step.command, tmp_path)):
            pytest.fail(f"$ {step.command}\n{difference}")
    for name in ("test", "convert", "check", "send", "receipt"):
        assert any(command.startswith(f"aam-inbound {name} ") for command in commands)
    assert "anna" not in (tmp_path / "crm.examples.toml").read_text()
