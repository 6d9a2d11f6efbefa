"""`.sync` and `.overwrite` files of one data source do not go to one place on one day (`output.allow_both_modes`, T2)."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from converter import Job, Transfer, convert, send
from converter.cli.command import run as run_command
from converter.cli.outcome import Messages
from converter.commands import conversion
from converter.commands.modes import other_mode
from converter.delivery.run_files import run_files_of
from converter.errors import GuardError
from converter.report import Report

from .conftest import TIMESTAMP, Run
from .errors import check_named, raises

DAY = 24 * 3600


class Feeds:
    """Jobs of one data source, each with another timestamp."""

    def __init__(self, run: Run) -> None:
        self.run, self.number = run, 0
        run.write("id,a\nu1,x\n")

    def job(self, mode: str, **output: Any) -> Job:
        self.number += 1
        return self.run.make_job(output={"timestamp": TIMESTAMP + self.number, "mode": mode, **output})

    def convert(self, mode: str, *, now: float | None = None, **output: Any) -> Report:
        return convert(self.job(mode, **output), now=now)


@pytest.fixture
def feeds(run: Run) -> Feeds:
    return Feeds(run)


@pytest.mark.parametrize("first, second", [("sync", "overwrite"), ("overwrite", "sync")])
def test_t2_the_other_mode_is_refused_on_the_same_day_and_the_run_is_named(
    feeds: Feeds, first: str, second: str
) -> None:
    report = feeds.convert(first)
    files = feeds.run.files
    with raises(GuardError, "E-BOTH-MODES", report.name, report.report_path or "", f".{first}", "1234") as raised:
        feeds.convert(second)
    assert (raised.value.exit_code, raised.value.report.outcome) == (3, "refused")
    assert feeds.run.files == files
    assert feeds.convert(first).outcome == "done"
    assert feeds.convert(second, allow_both_modes=True).outcome == "done"


def test_another_day_place_data_source_or_target_is_none_to_refuse(feeds: Feeds) -> None:
    feeds.convert("sync")
    assert feeds.convert("overwrite", dpid=5).outcome == "done"
    assert feeds.convert("overwrite", target=77).outcome == "done"
    assert feeds.convert("overwrite", to=str(feeds.run.folder / "elsewhere")).outcome == "done"
    tomorrow = datetime.datetime.now(datetime.UTC).timestamp() + DAY
    assert feeds.convert("overwrite", now=tomorrow).outcome == "done"
    with raises(GuardError, "E-BOTH-MODES", "77"):
        feeds.convert("sync", target=77)


def test_each_route_is_compared(feeds: Feeds) -> None:
    feeds.run.job["id"]["type"] = "auto"
    feeds.run.job["output"].pop("dpid")
    routes = {"crm": 1234, "gaid": {"target": 1234}}
    feeds.convert("sync", route=routes)
    with raises(GuardError, "E-BOTH-MODES", "1234"):
        feeds.convert("overwrite", route=routes)
    # Of the other route nothing was sent.
    assert feeds.convert("overwrite", route={"gaid": {"target": 1234}, "crm": 9}).outcome == "done"


def test_a_run_with_no_visible_part_is_none_and_one_with_some_is(feeds: Feeds) -> None:
    report = feeds.convert("sync")
    path = Path(report.report_path or "")
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps({**content, "outcome": "failed", "parts": []}))
    assert (
        other_mode(feeds.job("overwrite"), run_files_of(feeds.job("sync")), feeds.job("overwrite").names(0), day())
        is None
    )
    others = [{"name": "other.txt"}, {}, *content["parts"]]
    path.write_text(json.dumps({**content, "outcome": "failed", "parts": others}))
    with raises(GuardError, "E-BOTH-MODES", report.name):
        feeds.convert("overwrite")


def day() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def test_a_run_that_ends_meanwhile_is_noticed_before_anything_is_visible(
    feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = feeds.job("overwrite")
    prove = conversion.Conversion._prove

    def proven(self: conversion.Conversion) -> None:
        monkeypatch.setattr(conversion.Conversion, "_prove", prove)
        feeds.convert("sync")
        prove(self)

    monkeypatch.setattr(conversion.Conversion, "_prove", proven)
    with raises(GuardError, "E-BOTH-MODES"):
        convert(job)
    assert feeds.run.files == [f"ftp_dpm_1234_{TIMESTAMP + 2}.sync.1.gz"]


def test_files_that_are_sent_count_and_are_compared(feeds: Feeds) -> None:
    folder = feeds.run.folder
    parts = {}
    for mode in ("sync", "overwrite"):
        parts[mode] = folder / f"ftp_dpm_1234_1366545700.{mode}.1.gz"
        parts[mode].write_bytes(gzip.compress(b'u1\t"a"="x"\n'))
    output = {"to": str(feeds.run.out)}
    transfer = Transfer(output=output, report={"dir": feeds.run.job["report"]["dir"]})
    send(parts["sync"], transfer)
    for attempt in (lambda: feeds.convert("overwrite"), lambda: send(parts["overwrite"], transfer, check=False)):
        with raises(GuardError, "E-BOTH-MODES", "send_"):
            attempt()
    assert feeds.convert("sync").outcome == "done"
    both = Transfer(output={**output, "allow_both_modes": True}, report=transfer.report)
    assert send(parts["overwrite"], both).outcome == "done"
    assert len(feeds.run.files) == 3


def test_the_command(feeds: Feeds, capsys: pytest.CaptureFixture[str]) -> None:
    job = feeds.run.folder / "job.toml"
    job.write_text(
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1234\n'
    )
    messages = Messages.of([])
    assert run_command(["convert", str(job)], messages) == 0
    for flags in (["--dry-run"], []):
        assert run_command(["convert", str(job), "--mode", "overwrite", *flags], messages) == 3
        check_named(capsys.readouterr().err, "E-BOTH-MODES")
        assert run_command(["convert", str(job), "--mode", "overwrite", "--allow-both-modes", *flags], messages) == 0
    part = feeds.run.folder / "ftp_dpm_1234_1366545700.sync.1"
    part.write_bytes(b'u1\t"a"="x"\n')
    sending = ["send", str(part), "--job", str(job)]
    assert run_command(sending, messages) == 3
    check_named(capsys.readouterr().err, "E-BOTH-MODES")
    assert run_command([*sending, "--allow-both-modes"], messages) == 0


@pytest.mark.parametrize("one, other", [("s3://b/p", "s3://b/p/"), ("out", "./out/")])
def test_one_place_has_one_identity(run: Run, one: str, other: str) -> None:
    assert run.make_job(output={"to": one}).place == run.make_job(output={"to": other}).place
    assert run.make_job(output={"to": one}).place != run.make_job(output={"to": f"{one}x"}).place
