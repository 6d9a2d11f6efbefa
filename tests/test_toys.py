"""A toy of each thing that CONTRIBUTING.md tells how to add, in as few lines and places as it says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal

import numpy as np
import polars as pl
import pytest

from converter.cli import app as cli
from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work
from converter.delivery.destinations import SCHEMES
from converter.jobs.job import Job
from converter.jobs.sections.table import Input
from converter.kernel.calls import Loops
from converter.rows import stages
from converter.rows.batches import Judged
from converter.rows.stages import Stage
from converter.sources import opening, origins
from converter.sources.base import Block, Budget, Piece, Rest, Task
from converter.sources.opening import FileFormat
from converter.sources.origins.base import Found, Origin
from converter.spec.kinds import FILE_KINDS, FileKind
from converter.spec.rules import OURS, ROW_RULES, Rule, line_rules

from .conftest import Run
from .memory import MemoryDestination, Store

# --- an origin --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MemoryOrigin:
    """Bytes in memory."""

    label: str
    content: bytes
    rereadable: bool = True
    path: Path | None = None

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def identity(self) -> str:
        return self.label

    def open(self) -> BinaryIO:
        return BytesIO(self.content)

    def read_at(self, start: int, stop: int) -> bytes:
        return self.content[start:stop]

    def fingerprint(self) -> dict[str, Any]:
        return {"path": self.label, "size": self.size}

    def check_unchanged(self) -> None:
        pass


def test_an_origin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(origins.SCHEMES, "toy", lambda url, *_: Found([MemoryOrigin(url, b"id,a\nu1,x\n")]))
    report = run.convert(input={"path": "toy://somewhere/in.csv"})
    assert run.lines == ['u1\t"a"="x"']
    assert report.input == [{"path": "toy://somewhere/in.csv", "bytes": 10}]


# --- a format ---------------------------------------------------------------------------------------------------


class WordsSource:
    """A file of pairs of words, an ID and a value, without a header."""

    has_header = json_lists = False
    lists: frozenset[str] = frozenset()
    unit: Literal["line", "row"] = "row"
    names = ("id", "a")
    schema: ClassVar = {"id": pl.String(), "a": pl.String()}

    def __init__(self, origin: Origin, options: Input) -> None:
        self.origin = origin

    def beginning(self) -> WordsSource:
        return self

    def blocks(self, columns: Sequence[str], loops: Loops | None, budget: Budget) -> Iterator[Task]:
        with self.origin.open() as file:
            words = file.read().decode().split()
        frame = pl.DataFrame({"id": words[::2], "a": words[1::2]})
        piece = Piece(self.origin, frame.height, self.origin.size or 0)
        block = Block((piece,), frame.height, Rest.of_frame(frame), np.arange(frame.height))
        yield Task(self, lambda form: block)


def test_a_format(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(opening.FORMATS, "words", FileFormat((".words",), WordsSource, packable=False))  # type: ignore[misc]
    run.convert("u1 x u2 y", "in.words")
    assert run.lines == ['u1\t"a"="x"', 'u2\t"a"="y"']


# --- a rule -----------------------------------------------------------------------------------------------------

ID_IS_TEST = Rule("X1", "id_is_test", "The user ID is that of a test user.", OURS, pl.col("id0").str.contains("test"))


def test_a_rule(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = FILE_KINDS["data"]
    monkeypatch.setitem(FILE_KINDS, "data", kind._replace(row_rules=(*ROW_RULES, ID_IS_TEST), compiled=False))
    report = run.convert("id,a\ntest-1,x\nu2,y\n")
    assert run.lines == ['u2\t"a"="y"']
    assert report.records["rejected"] == {"id_is_test": 1}
    assert report.records["read"] == 2


# --- a kind of file ---------------------------------------------------------------------------------------------


def toy_line(ids: list[pl.Expr], signals: list[object]) -> pl.Expr:
    return pl.concat_str(ids[0], pl.lit(f" has {len(signals)} signal\n"))


def test_a_kind_of_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILE_KINDS, "data", FileKind("data", "a toy", OURS, toy_line, ROW_RULES, line_rules))  # type: ignore[arg-type]
    run.convert("id,a\nu1,x\n")
    assert run.lines == ["u1 has 1 signal"]


# --- a destination ----------------------------------------------------------------------------------------------


def test_a_destination(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setitem(SCHEMES, "toy", lambda url, settings: MemoryDestination(store))
    run.convert("id,a\nu1,x\n", output={"to": "toy://somewhere"})
    assert list(store.visible) == ["ftp_dpm_1234_1366545717.sync.1.gz"]


# --- a stage ----------------------------------------------------------------------------------------------------


class HoldsBack(Stage):
    """Holds all rows back until the input is read."""

    takes_rows = True

    def __init__(self, *_: object) -> None:
        self._held: list[Judged] = []

    @classmethod
    def applies(cls, job: Job) -> bool:
        return job.run.memory == 10**6

    def feed(self, batch: Judged) -> Iterator[Judged]:
        self._held.append(batch)
        yield from ()

    def finish(self) -> Iterator[Judged]:
        yield from reversed(self._held)


def test_a_stage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "STAGES", (*stages.STAGES, HoldsBack))
    run.write("id,a\nu1,x\n", "in-1.csv")
    run.write("a,id\nx,u2\n", "in-2.csv")
    run.convert(input={"path": str(run.folder / "in-*.csv")}, run={"memory": 10**6})
    assert run.lines == ['u2\t"a"="x"', 'u1\t"a"="x"']


# --- a command --------------------------------------------------------------------------------------------------


def greet(*, json_: options.Json = False, debug: options.Debug = False) -> Work:
    """Greet."""
    return partial(_greeted, "hello")


def _greeted(text: str, messages: Messages) -> Outcome:
    return Outcome(fields={"text": text}, show=partial(print, text), prints_only=True)


def test_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "converter.cli.greet", sys.modules[__name__])
    monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, cli.Command("greet", "Greet.", needs_arguments=False)))
    for args, shown in ((["greet"], "hello"), (["greet", "--json"], "")):
        messages = Messages.of(args)
        outcome = cli.parsed(args)(messages)
        assert (outcome.exit_code, outcome.fields) == (0, {"text": "hello"})
        outcome.show()
        assert shown in capsys.readouterr().out
        assert json.loads(json.dumps(outcome.as_dict()))["outcome"] == "done"
