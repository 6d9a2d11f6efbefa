"""Rows by the hash of a key: all of them, in order, within the budget, and nothing is left."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter.errors import DestinationError
from converter.rows import spill_file
from converter.rows.spill import Spill, hashes_of

from .errors import raises

KEY = pl.col("user")
DESCRIPTORS = Path("/proc/self/fd")
ROWS = pl.DataFrame(
    {"user": [f"user-{number % 1_000:06}" for number in range(6_000)], "row": range(6_000)},
    schema={"user": pl.String, "row": pl.Int64},
)


def one_by_one(text: str | None) -> int:
    """The hash of a text, byte by byte: what `hashes_of` is, in plain Python."""
    data, most = (text or "").encode(), (1 << 64) - 1
    found = (len(data) + 1) * 0x9E3779B97F4A7C15 & most
    for place in range(0, len(data), 8):
        mixed = (found ^ int.from_bytes(data[place : place + 8], "little")) * 0x9E3779B97F4A7C15 & most
        found = mixed ^ (mixed >> 32)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        found = (found ^ (found >> 32)) * factor & most
    return found ^ (found >> 32)


def all_of(filled: Spill, *tables: str, by_hash: bool = False) -> list[tuple[pl.DataFrame, ...]]:
    return list(filled.partitions(*tables or ("rows",), by_hash=by_hash))


def filled_with(frame: pl.DataFrame, memory: int, step: int = 997, folder: str | None = None) -> Spill:
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(Spill(KEY, memory, folder))
        for start in range(0, max(frame.height, 1), step):
            made.add(frame[start : start + step])
        stack.pop_all()
    return made


# --- the hash ------------------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=30))
def test_the_hash_is_that_of_the_bytes_alone(texts: list[str | None]) -> None:
    assert hashes_of(pl.Series(texts, dtype=pl.String)).tolist() == [one_by_one(text) for text in texts]


def test_the_hash_stays_what_it_is() -> None:
    # Whoever sorts by it gets the same order with each version of this package.
    assert hex(hashes_of(pl.Series(["customer-0001"]))[0]) == "0x42f136ddbe41bd38"


def test_slices_and_chunks_have_the_hashes_of_their_texts() -> None:
    texts = pl.Series([f"text {number}" for number in range(100)])
    whole = hashes_of(texts)
    assert hashes_of(texts[17:23]).tolist() == whole[17:23].tolist()
    assert hashes_of(pl.concat([texts[:10], texts[10:]], rechunk=False)).tolist() == whole.tolist()


def test_the_hash_distributes_consecutive_numbers_evenly() -> None:
    hashes = hashes_of(pl.Series([f"{number:010}" for number in range(64_000)]))
    for shift in (58, 52, 46):  # the bits of each level
        counts = np.bincount((hashes >> np.uint64(shift)) & np.uint64(63), minlength=64)
        assert counts.min() > 800
        assert counts.max() < 1_200
    assert len(np.unique(hashes)) == len(hashes)


# --- contents ------------------------------------------------------------------------------------------------------

BUDGETS = pytest.mark.parametrize("memory", [1 << 30, 100_000, 20_000, 2_000])


@BUDGETS
def test_all_rows_come_back_in_order_and_users_whole(memory: int) -> None:
    with filled_with(ROWS, memory) as rows:
        assert (rows.bytes_on_disk > 0) == (memory < 1 << 30)
        parts = [part for (part,) in all_of(rows)]
    assert pl.concat(parts).sort("row").equals(ROWS)
    assert all(part["row"].is_sorted() for part in parts)
    users = [set(part["user"]) for part in parts]
    assert sum(map(len, users)) == len(set().union(*users)) == 1_000


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    users=st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=100),
    memory=st.integers(100, 5_000),
    step=st.integers(1, 50),
)
def test_any_rows_come_back_whatever_the_budget(users: list[str | None], memory: int, step: int) -> None:
    frame = pl.DataFrame({"user": users, "row": range(len(users))}, schema={"user": pl.String, "row": pl.Int64})
    with filled_with(frame, memory, step) as rows:
        parts = [part for (part,) in all_of(rows)]
    together = pl.concat([frame.clear(), *parts])
    assert together.sort("row").equals(frame)
    for part in parts:
        assert part["row"].is_sorted()
    keys = [set(part["user"].fill_null("")) for part in parts]
    assert sum(map(len, keys)) == len(set().union(*keys))


def test_by_hash_the_order_is_the_same_for_any_budget() -> None:
    orders = []
    for memory in (1 << 30, 100_000, 20_000, 3_000):
        with filled_with(ROWS, memory) as rows:
            orders.append(pl.concat([part for (part,) in all_of(rows, by_hash=True)]))
    assert all(order.equals(orders[0]) for order in orders)
    hashes = hashes_of(orders[0]["user"])
    assert (hashes[1:] >= hashes[:-1]).all()
    before = orders[0].with_columns(before=pl.col("row").shift().over("user"))
    assert before.filter(pl.col("before") > pl.col("row")).height == 0


@pytest.mark.parametrize("memory", [1 << 30, 20_000, 2_000])
def test_tables_are_partitioned_alike_and_can_be_read_again_and_added_to_meanwhile(memory: int) -> None:
    others = ROWS.select("user").unique().with_columns(known=pl.lit(value=True))
    with filled_with(ROWS, memory) as rows:
        rows.add(others, "others")
        rows.add(others.clear().select("user"), "seen")
        found = 0
        for part, known in rows.partitions("rows", "others"):
            assert part.join(known, on="user", how="anti").height == 0
            found += part.height
            rows.add(part.select("user"), "seen")
        assert found == ROWS.height
        assert sum(part.height for (part,) in rows.partitions("seen")) == ROWS.height
        assert sum(part.height for _, part in rows.partitions("seen", "rows")) == ROWS.height


def test_a_table_without_rows_has_its_columns() -> None:
    for memory in (1 << 30, 2_000):
        with filled_with(ROWS, memory) as rows:
            rows.add(pl.DataFrame(schema={"user": pl.String, "more": pl.Int8}), "others")
            for _, others in rows.partitions("rows", "others"):
                assert others.schema == {"user": pl.String, "more": pl.Int8}
                assert others.height == 0


def test_a_key_may_be_an_expression() -> None:
    frame = pl.DataFrame({"id": ["a", "A", "b", "B"] * 500})
    with Spill(pl.col("id").str.to_lowercase(), 2_000) as rows:
        rows.add(frame)
        parts = [set(part["id"]) for (part,) in rows.partitions("rows")]
    assert sorted(map(sorted, parts)) in ([["A", "B", "a", "b"]], [["A", "a"], ["B", "b"]])


def test_lazy_frames_are_added_in_order() -> None:
    with Spill(KEY, 50_000) as rows:
        rows.add(ROWS.lazy().filter(pl.col("row") >= 0))
        rows.add(ROWS.lazy().filter(pl.col("row") < 0), "none")
        parts = [part for (part,) in rows.partitions("rows")]
        assert [part.height for (part,) in rows.partitions("none")] in ([], [0])
    assert all(part["row"].is_sorted() for part in parts)
    assert pl.concat(parts).sort("row").equals(ROWS)


def test_columns_of_all_types_come_back_as_they_were() -> None:
    frame = pl.DataFrame(
        {
            "user": ["a", "b", None, "c"] * 100,
            "number": [1.5, None, 3.0, 4.0] * 100,
            "list": [["x"], [], None, ["y", "z"]] * 100,
            "day": pl.Series([1, 2, 3, None] * 100).cast(pl.Date),
            "kind": pl.Series(["p", "q", "p", None] * 100).cast(pl.Categorical),
        }
    )
    with filled_with(frame, 500, step=30) as rows:
        parts = [part for (part,) in all_of(rows)]
    assert pl.concat(parts).schema == frame.schema
    assert pl.concat(parts).sort("user", "number").equals(frame.sort("user", "number"))


# --- the budget ----------------------------------------------------------------------------------------------------


def test_what_fits_in_memory_needs_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    with filled_with(ROWS, 1 << 30) as rows:
        assert len(all_of(rows)) == 1


def test_a_partition_takes_at_most_a_quarter_of_the_budget() -> None:
    memory = 8_000
    assert size_of(ROWS) > 64 * memory / 4  # otherwise a partition fits without being partitioned again
    with filled_with(ROWS, memory) as rows:
        sizes = [size_of(part) for (part,) in all_of(rows)]
    assert max(sizes) <= memory / 4


def size_of(frame: pl.DataFrame) -> int:
    """What rows take in memory: a view of 16 bytes, a text of 11 bytes and a number of 8."""
    return frame.height * (16 + 11 + 8)


def test_one_key_with_more_rows_than_fit_comes_whole() -> None:
    frame = ROWS.with_columns(user=pl.lit("the same"))
    with filled_with(frame, 20_000) as rows:
        ((part,),) = all_of(rows)
    assert part.equals(frame)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    code = f"""
import polars as pl, resource
from converter.rows.spill import Spill
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Spill(pl.col("user"), 64_000_000, {str(tmp_path)!r}) as rows:
    for step in range(60):
        numbers = pl.int_range(step * 200_000, (step + 1) * 200_000, eager=True)
        rows.add(pl.DataFrame({{"user": "customer-" + numbers.cast(pl.String), "row": numbers}}))
    total = sum(part["user"].n_unique() for (part,) in rows.partitions("rows"))
print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    total, grown = map(int, out.split())
    assert total == 12_000_000
    assert grown < 250_000  # KiB, where the rows take 550 MB


# --- what is left, who can read it, and what fails ---------------------------------------------------------------


def test_the_file_has_no_name_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with filled_with(ROWS, 20_000, folder=str(tmp_path)) as rows:
        status = os.fstat(opened(rows).fileno())
        assert status.st_mode & 0o777 == 0o600
        assert status.st_nlink == 0
        assert status.st_size == rows.bytes_on_disk > 0
        assert list(tmp_path.iterdir()) == []


def opened(rows: Spill) -> Any:
    file = rows._top._file._file
    assert file is not None
    return file


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    rows = filled_with(ROWS, 2_000, folder=str(tmp_path))
    with contextlib.suppress(ZeroDivisionError), rows:
        for _ in rows.partitions("rows"):
            raise ZeroDivisionError
    assert opened(rows).closed
    assert list(tmp_path.iterdir()) == []
    assert descriptors_in(tmp_path) == []


def descriptors_in(folder: Path) -> list[str]:
    """The files of a folder that this process has open, also those without a name."""
    links = [link for link in DESCRIPTORS.iterdir() if os.path.lexists(link)] if DESCRIPTORS.exists() else []
    return [target for link in links if str(folder) in (target := str(link.readlink()))]


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="the system does not tell which files are open")
def test_a_partition_that_nobody_reads_to_the_end_leaves_nothing(tmp_path: Path) -> None:
    with filled_with(ROWS, 2_000, folder=str(tmp_path)) as rows:
        partitions = rows.partitions("rows")
        next(iter(partitions))
        assert len(descriptors_in(tmp_path)) > 1  # it was partitioned again
    assert descriptors_in(tmp_path) == []
    del partitions


def test_nothing_is_left_of_a_process_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, signal, polars as pl
from converter.rows.spill import Spill

with Spill(pl.col("user"), 1_000, {str(tmp_path)!r}) as rows:
    rows.add(pl.DataFrame({{"user": ["a", "b"] * 1_000}}))
    assert rows.bytes_on_disk
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_would_be_full_is_reported_before_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=spill_file._RESERVE + 100))
    with raises(DestinationError, "E-SPILL-WRITE", "No space left on device", str(tmp_path), "run.spill_dir"):
        filled_with(ROWS, 20_000, folder=str(tmp_path))


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = itertools.count()

    def failing(number: int, data: memoryview, offset: int) -> int:
        if next(count) > 20:
            raise OSError(28, "No space left on device")
        return real(number, data[:100], offset)  # a write may be partial

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", failing)
    with raises(DestinationError, "E-SPILL-WRITE", "No space left on device", "run.spill_dir"):
        filled_with(ROWS, 20_000, folder=str(tmp_path))


def test_partial_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda number, data, offset: real(number, data[:5_000], offset))
    with filled_with(ROWS, 100_000, folder=str(tmp_path)) as rows:
        assert pl.concat([part for (part,) in all_of(rows)]).sort("row").equals(ROWS)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with raises(DestinationError, "E-SPILL-WRITE", f"'{tmp_path / 'none'}'", "No such file", "run.spill_dir"):
        filled_with(ROWS, 20_000, folder=str(tmp_path / "none"))


def test_a_truncated_file_is_reported(tmp_path: Path) -> None:
    with filled_with(ROWS, 20_000, folder=str(tmp_path)) as rows:
        all_of(rows)
        opened(rows).truncate(100)
        with raises(DestinationError, "E-SPILL-WRITE", "Input/output error"):
            all_of(rows)


def test_an_unreadable_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with filled_with(ROWS, 20_000, folder=str(tmp_path)) as rows:
        monkeypatch.setattr(os, "pread", _fail)
        with raises(DestinationError, "E-SPILL-WRITE", "Input/output error"):
            all_of(rows)


def _fail(*_: object) -> bytes:
    raise OSError(5, "Input/output error")


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs to mount a file system")
def test_a_small_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=17m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a file system")
    try:
        with raises(DestinationError, "E-SPILL-WRITE", "No space left on device"):
            filled_with(pl.concat([ROWS] * 30), 200_000, step=20_000, folder=str(disk))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
