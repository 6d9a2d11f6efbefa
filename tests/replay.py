"""Pages whose commands are run as they stand there, and whose outputs are compared.

A page is a session in one folder: blocks with a title are files that are saved there, and blocks of `console` are commands,
each after `$ `, with what they print. Where `<!-- answers: ["…"] -->` stands before a block, its command is run on a
terminal, and asks for these. A line `…` stands for any lines, and `…` in a line for any text. Times, speeds,
time stamps, days and the digits of jobs may differ.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parent.parent
TUTORIALS: dict[str, list[str]] = {
    "first-file": ["crm.csv"],
    "unknown-table": ["crm.csv"],
    "daily": [],
    "walk": [],
    "after": [],
}
"""The pages that need no server, and what they take from `sample_data`."""

_BLOCK = re.compile(
    r"^(?:<!-- answers: (\[.*\]) -->\n\n)?```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
_QUIET_SECONDS = 0.5  # after which a program that has printed a question waits for its answer
_VARYING = (
    (re.compile(r"in [\d.,]+ s \([\d.,]+ \w+/s\)"), "in N s (N/s)"),
    (re.compile(r"(?<!\d)1\d{9}(?!\d)"), "TIMESTAMP"),
    (re.compile(r"date=\d{4}-\d\d-\d\d"), "date=DAY"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "MOMENT"),
    (re.compile(r"\b(?=\d*[a-f])[0-9a-f]{12}\b"), "JOB"),
    (re.compile(r" +"), " "),  # columns are as wide as what varies
)


@dataclass(frozen=True)
class Step:
    """A file to save, or a command with what it prints, and the answers that it asks for."""

    file: str
    command: str
    text: str
    answers: tuple[str, ...] | None = None


def steps(page: Path) -> Iterator[Step]:
    """Yield the steps of a page in their order."""
    for answers, language, title, text in _BLOCK.findall(page.read_text()):
        if title:
            yield Step(title, "", text)
        elif language == "console":
            for command in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, printed = command.partition("\n")
                yield Step("", line, printed, tuple(json.loads(answers)) if answers else None)


class DiffersError(Exception):
    """A command has not printed what its page shows."""


def play(
    page: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    names: Mapping[str, str] | None = None,
    after: Callable[[], None] = lambda: None,
) -> int:
    """Save the files of a page in a folder and run its commands; return how many.

    `names` are names in the page, such as that of a server, with those that are used in their place; `after` is called
    after each command. Raises `DiffersError`.
    """
    for name in TUTORIALS.get(page, ()):
        shutil.copy(ROOT / "sample_data" / name, folder)
    names = names or {}
    commands = 0
    for step in steps(ROOT / "docs" / f"{page}.md"):
        if step.file:
            (folder / step.file).write_text(_replaced(step.text, names))
            continue
        commands += 1
        made = replace(step, command=_replaced(step.command, names))
        printed = _replaced(
            run(made, folder, environment or of_sources()), {there: here for here, there in names.items()}
        )
        if difference := differs(step.text, printed):
            raise DiffersError(f"$ {step.command}\n{difference}")
        after()
    return commands


def _replaced(text: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        text = text.replace(name, other)
    return text


def of_sources() -> dict[str, str]:
    """Return the environment in which `aam-inbound` is that of these sources."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def run(step: Step, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a command as a shell does; return what it prints, on either stream."""
    environment = {**environment, "COLUMNS": "200"}
    if step.answers is not None:
        return _on_terminal(step, folder, {**environment, "TERM": "dumb"})
    ended = subprocess.run(
        ["bash", "-c", step.command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return ended.stdout


def _on_terminal(step: Step, folder: Path, environment: dict[str, str]) -> str:
    main, side = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", step.command],
        cwd=folder,
        env=environment,
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
    )
    os.close(side)
    printed, answers = b"", list(step.answers or ())
    try:
        while True:
            if select.select([main], [], [], _QUIET_SECONDS)[0]:
                printed += os.read(main, 1 << 16)
            elif answers and printed.endswith(b": "):
                os.write(main, answers.pop(0).encode() + b"\n")
    except OSError:  # the end of the program, on Linux
        return printed.decode()
    finally:
        process.kill()
        process.wait()
        os.close(main)


def differs(shown: str, printed: str) -> str:
    """Return where what is printed is not what a page shows; empty where it is."""
    if re.fullmatch(_pattern(shown), _same(printed), re.DOTALL):
        return ""
    return f"the page shows:\n{shown}\nbut this is printed:\n{printed}"


def _same(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    text = "\n".join(lines).strip()
    for pattern, same in _VARYING:
        text = pattern.sub(same, text)
    return text


def _pattern(shown: str) -> str:
    lines = []
    for line in _same(shown).split("\n"):
        lines.append(r".*" if line == "…" else "".join(map(_piece, re.split("(…)", line))))
    return "\n".join(lines)


def _piece(text: str) -> str:
    return r"[^\n]*" if text == "…" else re.escape(text)
