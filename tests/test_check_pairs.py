"""IDs of synchronization files that have too many others: exact, in limited memory, over all files of a timestamp."""

from __future__ import annotations

import gzip
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter import FileAccess, check, kernel
from converter.commands import check as inbound
from converter.commands import check_pairs
from converter.parts import line_pairs, line_users
from converter.parts.line_pairs import relations_of
from converter.spec.files import CUSTOMER_OVER, DEVICE_OVER, HASHES_OVER
from converter.spec.names import FileName

from .conftest import without_loops
from .test_inbound import DATA

TAIL = "1366545717.sync"
DEVICES, C2C, OF_UUIDS = f"adobe_id_20914_55_{TAIL}", f"c2c_id_55_56_{TAIL}", f"adobe_id_0_55_{TAIL}"
THREE, REVERSED = f"adobe_id_20914_55_66_{TAIL}", f"adobe_id_55_20915_{TAIL}"
NAMES = [DEVICES, C2C, OF_UUIDS, THREE, REVERSED]
LOOPS = [True, False] if kernel.load() else [False]

Over = dict[tuple[str, str], list[int]]


def device(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def address(number: int) -> str:
    return f"{number:064x}"


def found_in(folder: Path, **settings_: object) -> dict[tuple[str, str], tuple[int, list[int]]]:
    """Return of each file and rule how many lines break it, and the first ones."""
    report = check(folder, FileAccess(run=settings_))
    return {
        (Path(file.path).name, each.name): (each.lines, [example.line for example in each.examples])
        for file in report.files
        for each in file.findings
        if each.name.endswith("_over_limit")
    }


def put(folder: Path, name: str, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    (folder / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)


def test_i4_ten_addresses_of_a_customer_are_fine_and_the_eleventh_is_told(tmp_path: Path) -> None:
    lines = ["\t".join(["u", *map(address, range(10))]), "u\t" + address(3), "U\t" + address(20)]
    put(tmp_path, C2C + ".1.gz", lines)
    put(tmp_path, C2C.replace("1366545717", "1366545718"), ["u\t" + address(30)])  # another batch
    assert found_in(tmp_path) == {}
    put(tmp_path, C2C + ".2.gz", ["v\t" + address(1), f"u\t{address(10)}\t{address(2)}", "u\t" + address(11)])
    assert found_in(tmp_path) == {(C2C + ".2.gz", HASHES_OVER.name): (1, [2])}


def test_i5_devices_of_a_customer_and_customers_of_a_device(tmp_path: Path) -> None:
    put(tmp_path, DEVICES, [f"{device(number)}\tu" for number in range(100)] * 3)
    put(tmp_path, REVERSED, [f"u{number}\t{device(1).upper()}" for number in range(10)] * 3)
    put(tmp_path, OF_UUIDS, [f"{'7' * 38}\tu{number}" for number in range(300)])  # cookies have no limit here
    assert found_in(tmp_path) == {}
    put(tmp_path, DEVICES, [f"{device(number)}\tu" for number in range(105)] * 3)
    put(tmp_path, REVERSED, [f"u{number}\t{device(1).upper()}" for number in range(13)] * 3)
    assert found_in(tmp_path) == {
        (DEVICES, CUSTOMER_OVER.name): (1, [101]),
        (REVERSED, DEVICE_OVER.name): (1, [11]),
    }


def test_ids_of_audience_manager_in_a_data_source_of_ones_own_are_no_customers(tmp_path: Path) -> None:
    put(tmp_path, DEVICES, [f"{device(1)}\t{number:038d}" for number in range(30)])
    assert found_in(tmp_path) == {}


def test_where_lines_break_the_rule_and_what_to_do_are_told(tmp_path: Path) -> None:
    put(tmp_path, REVERSED, [f"u{number}\t{device(1).upper()}" for number in range(13)])
    (found,) = [each for each in check(tmp_path).files[0].findings if each.name == DEVICE_OVER.name]
    assert (found.level, found.code, found.line, found.examples[0].column) == ("warning", "I5", 11, 5)
    assert found.fix
    assert found.examples[0].shape.startswith("a00\\t0000000")


@pytest.mark.parametrize(
    "name, lines, rule",
    [
        (DATA, ["u\ta=b"] * 201, "users_uncounted"),
        (DEVICES, [f"{device(1)}\tu{number}" for number in range(11)], "pairs_uncounted"),
    ],
)
def test_of_a_pipe_it_is_said_that_ids_were_not_counted(tmp_path: Path, name: str, lines: list[str], rule: str) -> None:
    for count in (len(lines), len(lines) - 1):
        pipe = tmp_path / str(count) / name
        pipe.parent.mkdir()
        os.mkfifo(pipe)
        writer = threading.Thread(target=put, args=(pipe.parent, name, lines[:count]))
        writer.start()
        (file,) = check(pipe).files
        writer.join()
        hints = [(each.name, each.level) for each in file.findings]
        assert hints == ([(rule, "hint")] if count == len(lines) else [])


def twin(names: list[str], files: list[list[str]]) -> Over:
    """Return the lines with which IDs have too many others, counted one by one."""
    over: Over = {}
    for relation in relations_of(FileName.parse(names[0])):
        others: dict[str, set[str]] = {}
        for name, lines in zip(names, files, strict=True):
            for number, line in enumerate(lines, 1):
                for id_, other in pairs_of(line.split("\t"), relation.column, relation.other):
                    customer = {CUSTOMER_OVER: id_, DEVICE_OVER: other}.get(relation.rule, "")
                    if len(customer) == 38 and customer.isdigit():
                        continue
                    seen = others.setdefault(id_, set())
                    if other not in seen and len(seen) == relation.most:
                        over.setdefault((name, relation.rule.name), []).append(number)
                    seen.add(other)
    return {key: sorted(set(lines)) for key, lines in over.items()}


def pairs_of(fields: list[str], column: int, other: int | None) -> Iterator[tuple[str, str]]:
    if column < len(fields) and fields[column]:
        others = fields[column + 1 :] if other is None else fields[other : other + 1]
        yield from ((fields[column], each) for each in others if each)


FIELDS = st.sampled_from(["a", "b", "c", "d", "e", "1" * 38, "2" * 38, "", "é", "x y"])
LINES = st.lists(st.lists(FIELDS, min_size=1, max_size=4).map("\t".join), max_size=60)


@given(files=st.lists(LINES, min_size=1, max_size=3), name=st.sampled_from(NAMES), loops=st.sampled_from(LOOPS))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_found_is_what_is_counted_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[str]], name: str, *, loops: bool
) -> None:
    folder = tmp_path_factory.mktemp("in")
    names = [f"{name}.{number}" for number in range(1, len(files) + 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_pairs, "DEVICES_OF_CUSTOMER", 3)
        patch.setattr(line_pairs, "CUSTOMERS_OF_DEVICE", 2)
        patch.setattr(line_pairs, "MOST_HASHES", 2)
        patch.setattr(line_users, "_LEAST_BITS", 2)  # so that IDs share counters
        patch.setattr(line_users, "_MOST_BITS", 2)
        patch.setattr(inbound, "BLOCK_BYTES", 64)
        patch.setattr(check_pairs, "_MOST_DONE", 2)
        if not loops:
            patch.setattr(kernel, "load", without_loops)
        for each, lines in zip(names, files, strict=True):
            put(folder, each, lines)
        wanted = twin(names, files)
        assert found_in(folder, threads=2) == {key: (len(lines), lines[:10]) for key, lines in wanted.items()}


def test_many_ids_take_no_more_memory_and_leave_nothing_on_disk(tmp_path: Path) -> None:
    drawn = random.Random(4)
    customers = [number for number in range(6_000) for _ in range(1 + 14 * (number % 7 == 0))]
    lines = [f"{device(number)}\tu{drawn.randrange(10**9)}" for number in customers]
    drawn.shuffle(lines)
    (tmp_path / "in").mkdir()
    (tmp_path / "spill").mkdir()
    put(tmp_path / "in", DEVICES + ".gz", lines)
    assert twin([DEVICES], [lines])[DEVICES, DEVICE_OVER.name]
    wanted = twin([DEVICES + ".gz"], [lines])
    found = found_in(tmp_path / "in", memory="1MB", spill_dir=str(tmp_path / "spill"))
    assert found == {key: (len(of_rule), of_rule[:10]) for key, of_rule in wanted.items()}
    assert not list((tmp_path / "spill").iterdir())
