"""One ID on many lines is told, masked, whatever the blocks are."""

from __future__ import annotations

import random

import numpy as np
import pytest

from converter.columns.buffers import Text
from converter.rows.frequency import Frequency
from converter.sources.delimited import DelimitedSource

from .conftest import Run
from .errors import check_named, codes_of


def text_of(lines: list[bytes]) -> Text:
    return Text((np.frombuffer(b"".join(lines), np.uint8),), np.cumsum([len(line) for line in lines]))


def shares_of(ids: list[str], block: int = 1000, lead: str = "") -> dict[str, float]:
    frequency = Frequency(1 if lead else 0)
    lines = [f'{lead}{id_}\t"a"="x"\n'.encode() for id_ in ids]
    for start in range(0, len(lines), block):
        frequency.add(text_of(lines[start : start + block]))
    return {each.masked: each.share for each in frequency.frequent()}


@pytest.mark.parametrize("lead", ["", "gaid\t"])
def test_an_id_on_more_than_one_line_of_a_hundred_is_frequent(lead: str) -> None:
    ids = [f"user-{number}" for number in range(990)] + ["default-user"] * 11
    random.Random(1).shuffle(ids)
    assert shares_of(ids, lead=lead) == {"de…er": 11 / 1001}
    assert shares_of(ids[:999]) == {}, "too few lines"
    assert shares_of([f"user-{number // 10}" for number in range(2000)]) == {}


def test_the_share_in_many_lines_is_known_well_and_does_not_depend_on_blocks() -> None:
    draw = random.Random(2)
    ids = ["guest-guest" if draw.random() < 0.013 else f"{draw.random()}" for _ in range(200_000)]
    first = shares_of(ids, 4096)
    assert first.keys() == {"gu…st"}
    assert 0.01 < first["gu…st"] < 0.016
    assert shares_of(ids, 50_000) == shares_of(ids, 200_000) == first


@pytest.mark.parametrize("period", [2, 50, 64])
def test_regular_tables_are_sampled_evenly(period: int) -> None:
    ids = ["every-time" if number % period == 0 else f"u{number}" for number in range(150_000)]
    assert shares_of(ids, 20_000) == {"ev…me": pytest.approx(1 / period, rel=0.04)}


def test_no_regular_table_makes_a_rare_id_frequent() -> None:
    ids = ["every-time" if number % 128 == 0 else f"u{number}" for number in range(150_000)]
    assert shares_of(ids, 20_000) == {}


def test_ids_that_differ_only_far_from_their_start_are_different() -> None:
    assert shares_of([f"{'x' * 80}{number:06}" for number in range(3000)]) == {}


def test_a_default_user_is_told_masked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{'guest-user' if number % 20 == 3 else f'u{number}'},{number}\n" for number in range(3000)]
    content = "id,a\n" + "".join(rows)
    report = run.convert(content)
    assert codes_of(report.warnings) == ["W-ID-FREQUENT"]
    check_named(str(report.warnings[0]), "'gu…er'", "5.0%")
    assert "guest" not in str(report.warnings[0])
    monkeypatch.setitem(DelimitedSource.__init__.__kwdefaults__ or {}, "block", 500)
    run.job["output"]["to"] += "2"
    assert run.convert(content).warnings == report.warnings
