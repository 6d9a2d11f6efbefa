"""Users of inbound files with too many lines, and IDs of several types: found in limited memory, by exact counts."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter import check, kernel
from converter.kernel.form import SLACK
from converter.kernel.seen import Seen
from converter.parts import line_users
from converter.parts.line_users import ExactCounts, UserCounters, users_of
from converter.spec.names import FileName

from .test_inbound import DATA, DEVICE, GOOD, HASH, ODC, OVERWRITE, UUID

NAME = FileName.parse(DATA)
LOOPS = [None, kernel.load()] if kernel.load() else [None]


def over(paths: Path | list[Path]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for file in check(paths, threads=3).files:
        for each in file.findings:
            if each.name == "users_uncounted":
                continue
            assert (each.name, each.code, each.level) == ("user_over_limit", "C7", "warning")
            found[Path(file.path).name] = [each.line, each.lines, [(of.line, of.column) for of in each.examples]]
    return found


def lines_of(user: str, count: int) -> bytes:
    return b"".join(b"%s\ta=%d\n" % (user.encode(), number) for number in range(count))


@pytest.fixture(params=[pytest.param(loops, id="loops" if loops else "twin") for loops in LOOPS], autouse=True)
def _loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is None:
        monkeypatch.setattr(kernel, "load", lambda: None)


def test_c7_200_lines_are_fine_and_those_after_are_told(tmp_path: Path) -> None:
    path = tmp_path / (DATA + ".1.gz")
    path.write_bytes(gzip.compress(lines_of("u", 200) + lines_of("U", 200)))
    assert over(path) == {}
    path.write_bytes(gzip.compress(lines_of("v", 3) + lines_of("u", 203) + lines_of("U", 200)))
    assert over(path) == {path.name: [204, 3, [(204, 1), (205, 1), (206, 1)]]}


def test_c7_lines_are_counted_over_all_files_of_a_timestamp_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = [f"{DATA}.{number}" for number in (1, 2, 10)]
    for name in names:
        (tmp_path / name).write_bytes(lines_of("u", 90) + lines_of("v", 9))
    (tmp_path / OVERWRITE.replace("1234", "9")).write_bytes(lines_of("u", 199))
    assert over(tmp_path) == {names[2]: [21, 70, [(21 + n, 1) for n in range(10)]]}


def test_c7_users_of_odc_files(tmp_path: Path) -> None:
    (tmp_path / ODC).write_bytes(b"idfa\tu\t1\n" * 201)
    assert over(tmp_path) == {ODC: [201, 1, [(201, 6)]]}


def test_counters_that_users_share_say_nothing_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_users, "_LEAST_BITS", 4)
    monkeypatch.setattr(line_users, "_MOST_BITS", 4)
    drawn = random.Random(3)
    users = [f"u{drawn.randrange(100)}" for _ in range(15_000)] + ["x"] * 300
    drawn.shuffle(users)
    content = b"".join(b"%s\ta=1\n" % user.encode() for user in users)
    (tmp_path / DATA).write_bytes(content)
    counts: Counter[str] = Counter()
    wanted = []
    for number, user in enumerate(users, 1):
        counts[user] += 1
        if counts[user] > 200:
            wanted.append(number)
    assert wanted
    assert over(tmp_path) == {DATA: [wanted[0], len(wanted), [(number, 1) for number in wanted[:10]]]}


def test_what_is_counted_exactly_takes_limited_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_users, "_MOST_USERS_BYTES", 1)
    (tmp_path / (DATA + ".1")).write_bytes(lines_of("u", 203))
    (tmp_path / (DATA + ".2")).write_bytes(lines_of("u", 203))
    found = over(tmp_path)
    assert found[DATA + ".1"][:2] == [201, 3]  # of the first chunk
    assert DATA + ".2" not in found
    findings = [(each.name, each.level) for file in check(tmp_path).files for each in file.findings]
    assert findings == [("user_over_limit", "warning"), ("users_uncounted", "hint")]


IDS = st.sampled_from(["u", "v", UUID.decode(), DEVICE.decode(), DEVICE.decode().upper(), HASH.decode(), "é", "", " "])
LINES = st.builds("\t".join, st.lists(IDS, max_size=4))


@pytest.mark.skipif(len(LOOPS) < 2, reason="needs the compiled loops")
@given(st.lists(LINES, max_size=30), st.sampled_from([DATA, ODC]))
def test_the_loop_sees_what_its_twin_sees(lines: list[str], name: str) -> None:
    chunk = "".join(f"{line}\n" for line in lines).encode()
    skipped = int(name == ODC)
    users = users_of(chunk, skipped).drop_nulls("id")
    for loops in LOOPS:
        counters = UserCounters(0, loops)
        first: Seen = counters.see(FileName.parse(name), chunk + bytes(SLACK))
        kinds = [1, 2, 4, 8, 16]
        assert [kind for kind in kinds if first.kinds & kind] == sorted(set(users["kind"]) - {0})
        assert first.differs == (skipped == 1 and users["type"].n_unique() > 1)
        assert len(first.numbers) == 0
        assert not counters.may_be_over
        counters._counters[:] = 255
        found = counters.see(FileName.parse(name), chunk + bytes(SLACK), finds=True)
        assert found.numbers.tolist() == users["line"].to_list()
        keys = [bytes(key) for key in found.keys]
        assert [keys.index(key) for key in keys] == [users["id"].to_list().index(each) for each in users["id"]]


def test_exact_counts_of_many_users() -> None:
    exact = ExactCounts(kernel.load())
    keys = np.random.default_rng(1).integers(1, 2**63, (500, 2), np.uint64) << np.uint64(8)
    seen = Seen(1, False, np.arange(100_000), np.tile(keys, (200, 1)))
    assert len(exact.over(seen)) == 0
    again = Seen(1, False, np.arange(500), keys)
    assert exact.over(again).tolist() == [*range(1, 501)]


def test_the_first_line_after_a_byte_order_mark_is_of_its_type(tmp_path: Path) -> None:
    (tmp_path / DATA).write_bytes(b"\xef\xbb\xbf" + (UUID + b"\ta=b\n") * 3)
    (file,) = check(tmp_path).files
    assert [each.name for each in file.findings] == ["byte_order_mark"]


def test_files_without_a_name_have_no_users(tmp_path: Path) -> None:
    (tmp_path / "crm.tsv").write_bytes(GOOD * 300)
    (file,) = check(tmp_path).files
    assert [each.name for each in file.findings] == ["name_wrong"]
