"""Whole users: what is sent of all rows of a user, and what becomes of each row, as a model in plain Python says."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter import kernel
from converter.columns.buffers import Text
from converter.errors import JobError
from converter.kernel.gather import Gathered
from converter.parts.blocks import Cutter
from converter.rows.order import rank_of
from converter.rows.users import stage as stage_module
from converter.rows.users.gather import OUTCOMES, GatherOptions, gather
from converter.rows.users.lines import UserLines
from converter.rows.users.partitions import LinePartitions
from converter.rows.users.stage import Gathering

from . import users_model
from .conftest import Run
from .errors import codes_of, raises

IDS = st.sampled_from(["u1", "u2", "é3", "a-much-longer-id-of-a-user", "4"])
SIGNALS = st.sampled_from(
    ["d_sid=5", "d_unsid=5", "d_sid=12", "d_unsid=12", "ic=code", "5", "77", "d_unsid=77"]
    + [f'"{key}"="{value}"' for key in ("k", "key", "é") for value in ("x", "x y", "y, z", "ä", "d_sid=5")]
)
ROWS = st.lists(st.tuples(IDS, st.lists(SIGNALS, min_size=1, max_size=5, unique=True)), min_size=1, max_size=30)
RANKS = st.sampled_from([users_model.OLDEST, -1, 0, 1, 12345678901234567, 12345678901234568])


def lines_of(rows: Sequence[users_model.Line], ranks: Sequence[int] | None = None, lead: str = "") -> UserLines:
    lines = [f"{lead}{id_}\t{','.join(signals)}\n".encode() for id_, signals in rows]
    text = np.frombuffer(b"".join(lines), np.uint8)
    ends = np.cumsum([len(line) for line in lines], dtype=np.int64)
    return UserLines(text, ends, np.arange(len(lines), dtype=np.uint64), ranks and np.array(ranks, np.int64))


def _bare(signal: str) -> str:
    return signal.removeprefix("d_sid=")


def _named(signal: str) -> str:
    return f"d_sid={signal}" if signal.isdigit() else signal


def check(made: Gathered, model: users_model.Model) -> None:
    assert bytes(made.text).decode() == "".join(f"{line}\n" for lines in model.lines.values() for line in lines)
    assert made.users.tolist() == [*itertools.accumulate(map(len, model.lines.values()), initial=0)]
    assert made.rows.tolist() == [model.rows[id_] for id_ in model.lines]
    assert [users_model.OUTCOMES[each] for each in made.outcomes.tolist()] == model.outcomes
    assert made.signals == [model.signals[name] for name in users_model.OUTCOMES]
    assert len(made.ends) == made.users[-1]
    assert len(made.text) == (made.ends[-1] if len(made.ends) else 0)


_BOTH = {"frames": None, **({"loops": kernel.load()} if kernel.load() else {})}
LOOPS = pytest.mark.parametrize("loops", _BOTH.values(), ids=_BOTH)


@LOOPS
@pytest.mark.parametrize("lead", ["", "idfa\t"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=ROWS,
    ranks=st.one_of(st.none(), st.lists(RANKS, min_size=30, max_size=30)),
    room=st.sampled_from([1, 20, 60, 10_000]),
    most_lines=st.sampled_from([1, 3, 200]),
    rejects_many=st.booleans(),
)
def test_signals_are_gathered_as_the_model_does(
    loops: Any, lead: str, rows: Any, ranks: Any, room: int, most_lines: int, rejects_many: bool
) -> None:
    ranks = ranks and ranks[: len(rows)]
    # Of the two ways to write a trait, a kind of file has one.
    rows = [(id_, [*dict.fromkeys(map(_bare if lead else _named, signals))]) for id_, signals in rows]
    most = max(len(f"{lead}{id_}\t{','.join(signals)}\n".encode()) for id_, signals in rows) + room - 1
    options = GatherOptions(
        by_signals=True,
        skipped=lead.count("\t"),
        most_line_bytes=most,
        most_lines=most_lines,
        rejects_many=rejects_many,
    )
    model = users_model.by_signals(
        rows, ranks, most_bytes=most, most_lines=most_lines, rejects_many=rejects_many, lead=lead
    )
    check(gather(lines_of(rows, ranks, lead), options, loops), model)


@LOOPS
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, most_lines=st.sampled_from([1, 2, 3, 1 << 60]), drops=st.booleans())
def test_lines_are_kept_together_as_the_model_does(loops: Any, rows: Any, most_lines: int, drops: bool) -> None:
    options = GatherOptions(
        by_signals=False, skipped=0, most_line_bytes=10_000, most_lines=most_lines, drops_repeated=drops
    )
    model = users_model.by_lines(rows, most_lines=most_lines, drops=drops)
    lines = lines_of(rows)
    check(gather(lines, options, loops), model)
    # The order is that of the input, wherever blocks of it have come from.
    order = np.random.default_rng(1).permutation(len(rows))
    made = gather(lines.taken(order), options, loops)
    assert bytes(made.text) == bytes(gather(lines, options, loops).text)


@LOOPS
def test_nothing_is_gathered_of_nothing(loops: Any) -> None:
    options = GatherOptions(by_signals=True, skipped=0, most_line_bytes=100, most_lines=200)
    made = gather(lines_of([]), options, loops)
    assert (len(made.text), made.users.tolist(), made.signals) == (0, [0], [0] * OUTCOMES)


# --- partitions -----------------------------------------------------------------------------------------------------


@LOOPS
@pytest.mark.parametrize(
    ("most", "expected", "memory", "on_disk"),
    [
        (1 << 30, 1 << 20, 1 << 30, False),
        (10_000, 300_000, 1 << 30, False),
        (10_000, 300_000, 10_000, True),
        (2_000, None, 10_000, True),
        (500, 1_000, 1_000, True),
    ],
)
def test_users_come_whole_and_in_the_order_of_the_hash_for_any_number_of_partitions(
    loops: Any, most: int, expected: int | None, memory: int, on_disk: bool, tmp_path: Path
) -> None:
    rows = [(f"user-{number * 7919 % 997}", [f"d_sid={number}"]) for number in range(5_000)]
    rows += [("heavy", [f"d_sid={number}"]) for number in range(2_000)]
    with (
        ThreadPoolExecutor(3) as pool,
        LinePartitions(most, expected, memory, str(tmp_path), skipped=0, loops=loops) as partitions,
    ):
        lines = lines_of(rows, [*range(len(rows))])
        cuts = [*range(0, len(rows), 321), len(rows)]
        list(pool.map(lambda cut: partitions.add(lines.between(*cut)), itertools.pairwise(cuts)))
        assert (partitions.bytes_on_disk > 0) == on_disk
        found, at, hashes = [], [], [-1]
        for partition in partitions.partitions(pool):
            part = partitions.take(partition)
            ids = {id_.partition("\t")[0] for id_ in part.texts()}
            found.append(ids)
            at += part.at.tolist()
            assert part.ranks is not None
            assert part.ranks.tolist() == part.at.tolist()
            mine = [users_model.hash_of(id_) for id_ in ids]
            assert hashes[-1] < min(mine)
            assert all(each in partition.hashes for each in mine)
            hashes.append(max(mine))
        assert sorted(at) == [*range(len(rows))]
        assert sum(map(len, found)) == len(set().union(*found)) == 998
        assert list(tmp_path.iterdir()) == []


# --- runs -----------------------------------------------------------------------------------------------------------

TABLE = "id,k,t,x\n" + "".join(
    f'u{number * 7919 % 211},"v{number % 7}, w",{number % 5}|{number % 3},{number % 2}\n' for number in range(3_000)
)
RECORD = {
    "rows": "signal",
    "signals": [{"column": "k", "key": "key"}],
    "traits": ["t"],
    "removed_traits": ["x"],
}


def expected_of(table: str, **options: Any) -> users_model.Model:
    rows = []
    for line in table.splitlines()[1:]:
        id_, value, traits, removed = (cell.strip('"') for cell in line.replace(", ", "; ").split(","))
        signals = [f'"key"="{value.replace("; ", ", ")}"', *(f"d_sid={each}" for each in traits.split("|"))]
        rows.append((id_, [*signals, f"d_unsid={removed}"]))
    return users_model.by_signals(rows, most_bytes=102_400, **options)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("many_values", ["keep", "reject"])
def test_rows_of_users_become_one_line(run: Run, many_values: str) -> None:
    model = expected_of(TABLE, rejects_many=many_values == "reject")
    report = run.convert(TABLE, record={**RECORD, "many_values": many_values})
    assert run.lines == [line for lines in model.lines.values() for line in lines]
    records = report.records
    assert records["read"] == 3_000
    assert records["users"] == len(model.lines) == records["lines"]
    counts = Counter(model.outcomes)
    assert records["written"] == counts["written"]
    assert records["rejected"] == {
        name: counts[outcome]
        for name, outcome in (("several_values", "several"), ("trait_conflict", "conflict"))
        if counts[outcome]
    }
    assert report.signals["written"] == model.signals["written"]
    names = {"conflict": "signal_conflict", "several": "signal_several", "repeated": "signal_repeated"}
    assert report.signals["dropped"] == {
        name: model.signals[outcome] for outcome, name in sorted(names.items(), key=lambda item: item[1])
        if model.signals[outcome]
    }  # fmt: skip


@pytest.mark.usefixtures("way")
def test_shuffled_rows_give_the_same_bytes(run: Run) -> None:
    header, *rows = TABLE.splitlines()
    texts = set()
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        run.convert("\n".join([header, *rows]), record=RECORD, output={"to": str(run.folder / str(seed))})
        texts.add(b"".join(file.read_bytes() for file in sorted((run.folder / str(seed)).iterdir())))
    assert len(texts) == 1


@pytest.mark.usefixtures("way")
def test_rejected_rows_say_where_they_are(run: Run) -> None:
    run.write("id,k,t\nu1,a,\nu2,x,\n", "1.csv")
    run.write('id,k,t\n\nu2,"x\ny",\nu1,b,\nu3,,7\nbad@mail.com,,8\nu1,a,9\n', "2.csv")
    record = {"rows": "signal", "signals": ["k"], "traits": ["t"], "many_values": "reject"}
    run.job["input"] = {"path": [str(run.folder / "1.csv"), str(run.folder / "2.csv")]}
    report = run.convert(record=record)
    assert run.lines == ["u3\td_sid=7", "u1\td_sid=9"]
    found = {(Path(each["file"]).name, each["row"], each["rule"]) for each in run.rejects}
    assert found == {
        ("1.csv", 2, "several_values"),
        ("1.csv", 3, "several_values"),
        ("2.csv", 3, "several_values"),
        ("2.csv", 5, "several_values"),
        ("2.csv", 7, "id_is_email"),
    }
    assert all(each["code"] for each in run.rejects)
    assert report.records["written"] == 2


@pytest.mark.usefixtures("way")
def test_the_output_does_not_depend_on_memory_threads_and_blocks(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = set()
    monkeypatch.setattr(stage_module, "_LEAST_BYTES", 1 << 10)
    for number, (memory, threads) in enumerate([("1GB", 1), ("1MB", 3), ("2MB", 2)]):
        out = {"to": str(tmp_path / f"out{number}"), "max_part_raw_bytes": 8_000}
        report = run.convert(
            TABLE,
            record=RECORD,
            output=out,
            run={"memory": memory, "threads": threads, "spill_dir": str(tmp_path)},
            report={"dir": str(tmp_path / f"reports{number}"), "max_rejects": "100%"},
        )
        assert len(report.parts) > 3
        parts = sorted((tmp_path / f"out{number}").iterdir())
        found.add(tuple((part.name, part.read_bytes()) for part in parts))
        counted = {key: report.records[key] for key in ("read", "written", "rejected", "skipped", "users", "lines")}
        assert counted["read"] == counted["written"] + sum(counted["rejected"].values())
    assert len(found) == 1


@pytest.mark.usefixtures("way")
def test_signals_beyond_the_last_line_are_cut(run: Run) -> None:
    values = "".join(f"u1,{number:06}{'x' * 90_000}\n" for number in range(203)) + "u2,y\n"
    report = run.convert("id,a\n" + values, record={"rows": "signal", "signals": ["a"]})
    assert len(run.lines) == 201
    assert report.records["written"] == 201
    assert report.records["rejected"] == {"user_over_limit": 3}
    assert report.signals["dropped"] == {"signal_cut": 3}
    assert sorted(each["row"] for each in run.rejects) == [202, 203, 204]


@pytest.mark.usefixtures("way")
def test_sets_of_files_are_gathered_each(run: Run) -> None:
    device = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
    route = {"crm": {"dpid": 1}, "idfa": {"target": 1}}
    run.job["output"].pop("dpid")
    report = run.convert(
        f"id,a\nu1,x\n{device},y\nu1,z\n{device},y\n",
        id={"type": "auto"}, record={"rows": "signal", "signals": ["a"]}, output={"route": route, "compression": "none"},
    )  # fmt: skip
    texts = sorted(path.read_text() for path in run.out.iterdir())
    assert texts == [f'{device}\t"a"="y"\n', 'u1\t"a"="x","a"="z"\n']
    assert (report.records["users"], report.records["written"]) == (2, 4)


# --- the latest row -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("values", "order_format"),
    [
        (["2024-02-01", "2024-01-31T23:59:59+01:00", "20240131"], ""),
        (["02/01/2024", "01/31/2024", "12/31/2023"], "%m/%d/%Y"),
        (["12345678901234568", "12345678901234567", "-5"], ""),
        (["1.5", "1.25", "-1e3"], ""),
        (["10", "9", "1"], "number"),
    ],
)
def test_the_latest_value_of_a_key_is_sent(run: Run, values: list[str], order_format: str) -> None:
    latest, middle, first = values
    table = (
        f"id,a,t,r,when\nu1,old,5,6,{middle}\nu1,new,6,5,{latest}\nu1,never,,,\nu1,older,,,{first}\n"
        f"u2,a,,,{middle}\nu2,b,,,{middle}\nu3,x,9,,{first}\nu3,x,,9,{first}\nu4,z,,,soon\nu4,y,,,\n"
    )
    record = {"rows": "signal", "signals": ["a"], "traits": ["t"], "removed_traits": ["r"], "order": "when"}
    report = run.convert(table, record={**record, "order_format": order_format})
    assert sorted(run.lines) == [
        'u1\t"a"="new",d_sid=6,d_unsid=5',
        'u2\t"a"="b"',
        'u3\t"a"="x"',
        'u4\t"a"="y"',
    ]
    assert report.records["skipped"] == {"row_superseded": 4}
    assert report.records["rejected"] == {"order_unreadable": 1}
    assert [(each["row"], each["rule"]) for each in run.rejects] == [(10, "order_unreadable")]
    assert report.signals["dropped"]["signal_conflict"] == 2
    header, *rows = table.splitlines()
    text = run.text
    for seed in range(2):
        random.Random(seed).shuffle(rows)
        # A later row with an unreadable value must not be what tells the kind of the others.
        run.convert("\n".join([header, *rows]), record={**record, "order_format": order_format},
                    output={"to": str(run.folder / str(seed)), "compression": "none"})  # fmt: skip
        (part,) = (run.folder / str(seed)).iterdir()
        assert part.read_bytes() == text


def test_the_type_of_a_column_says_what_its_order_is(run: Run) -> None:
    when = [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC), None]
    frames = {
        "integers": pl.Series([12345678901234567, 12345678901234568, None]),
        "decimals": pl.Series(["1.50", "1.75", None]).cast(pl.Decimal(38, 2)),
        "floats": pl.Series([-1e20, 1e20, None]),
        "times": pl.Series(when),
    }
    for name, values in frames.items():
        path = run.folder / f"{name}.parquet"
        pl.DataFrame({"id": ["u"] * 3, "a": ["x", "y", "z"], "order": values}).write_parquet(path)
        out = {"to": str(run.folder / name), "compression": "none"}
        record = {"rows": "signal", "signals": ["a"], "order": "order"}
        run.convert(input={"path": str(path)}, record=record, output=out)
        (part,) = (run.folder / name).iterdir()
        assert part.read_text() == 'u\t"a"="y"\n', name


@given(st.lists(st.floats(allow_nan=False), min_size=2))
def test_numbers_have_ranks_in_their_order(numbers: list[float]) -> None:
    texts = pl.DataFrame({"text": [repr(number) for number in numbers]})
    ranks = texts.select(rank_of(pl.col("text"), "number", ""))["text"].to_list()
    for (one, rank), (other, other_rank) in itertools.pairwise(zip(numbers, ranks, strict=True)):
        if "inf" in f"{one}{other}":
            continue
        assert (one < other) == (rank < other_rank)
        assert (one == other) == (rank == other_rank)


@pytest.mark.usefixtures("way")
def test_keys_may_be_in_a_column(run: Run) -> None:
    table = (
        'id,key,value\nu1,color,red\nu1,size,"a, ""b"""\nu1,color,blue\nu2,123,x\nu2,e-mail,x\nu2,IC,x\nu2,,x\n'
        "u2,-a,x\nu2,ok,me@mail.com\nu2,ok,\nu2,ok_1,7\n"
    )
    record = {"signals": [], "rows": "signal", "key_column": "key", "value_column": "value", "traits": [8]}
    report = run.convert(table, record=record)
    assert sorted(run.lines) == [
        """u1\t"color"="blue","color"="red","size"="a, 'b'",d_sid=8""",
        'u2\t"ok_1"="7",d_sid=8',
    ]
    assert report.records["rejected"] == {"key_personal": 1, "key_unusable": 4, "value_personal": 1}
    allowed = {"allow": ["key", "value"]}
    report = run.convert(table, record=record, privacy=allowed, output={"to": str(run.folder / "2")})
    assert report.records["rejected"] == {"key_unusable": 4}


def test_columns_of_keys_and_values_are_not_personal_by_their_names(run: Run) -> None:
    record = {"rows": "signal", "key_column": "key", "value_column": "phone_number"}
    with raises(JobError, "E-PERSONAL-COLUMN", "phone_number"):
        run.convert("id,key,phone_number\nu1,a,b\n", record=record)


@pytest.mark.usefixtures("way")
def test_nothing_is_gathered_in_a_first_pass(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = []
    real = Gathering.finish
    monkeypatch.setattr(Gathering, "finish", lambda self, pool: finished.append(1) or real(self, pool))
    report = run.convert(
        "id,a\nu1,x\nU1,y\nu2,x\nu2,y\n",
        id={"case_collisions": "reject"},
        record={"rows": "signal", "signals": ["a"]},
    )
    assert run.lines == ['u2\t"a"="x","a"="y"']
    assert report.records["rejected"] == {"id_case_collision": 2}
    assert finished == [1]


@pytest.mark.usefixtures("way")
def test_types_of_devices_have_their_lead(run: Run) -> None:
    device = "6D92078A-8246-4BA4-AE5B-76104861E7D"
    table = f"id,t,r\n{device}C,5|6,7\n{device}C,7|8,\n{device.lower()}d,9,\n{device}D,8|8,8\n"
    record = {"rows": "signal", "signals": [], "traits": ["t"], "removed_traits": ["r"]}
    output = {"kind": "odc", "dpid": 20915, "target": 12, "compression": "none"}
    report = run.convert(table, id={"type": "idfa"}, record=record, output=output)
    assert run.lines == [f"idfa\t{device}C\t5,6,8", f"idfa\t{device}D\t9"]
    assert report.records["rejected"] == {"trait_conflict": 1}


# --- lines as they are ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("way")
def test_the_lines_of_a_user_beyond_the_limit_are_rejected(run: Run) -> None:
    table = "id,a\n" + "".join(f"u{number % 2},{number}\n" for number in range(450)) + "u3,x\nu3,x\n"
    report = run.convert(table, record={"user_lines": "enforce"})
    assert Counter(line.partition("\t")[0] for line in run.lines) == {"u0": 200, "u1": 200, "u3": 2}
    assert [line for line in run.lines if line.startswith("u1")][:2] == ['u1\t"a"="1"', 'u1\t"a"="3"']
    assert report.records["rejected"] == {"user_over_limit": 50}
    assert sorted(each["row"] for each in run.rejects) == [*range(402, 452)]
    assert report.signals["written"] == 402


@pytest.mark.usefixtures("way")
def test_users_with_too_many_lines_are_counted(run: Run) -> None:
    table = "id,a\n" + "".join(f"u{number % 2},{number}\n" for number in range(450)) + "u3,x\nu3,x\n"
    report = run.convert(table, record={"user_lines": "count"})
    assert report.records["written"] == 452
    assert "W-USER-OVER-LIMIT" in codes_of(report.warnings)
    assert report.ids["over_limit"] == {"user_over_limit": 2}


@pytest.mark.usefixtures("way")
def test_repeated_lines_are_dropped(run: Run) -> None:
    report = run.convert("id,a\nu1,x\nu2,x\nu1,y\n u1,x\nu1,y\n", record={"repeated": "drop"})
    assert sorted(run.lines) == ['u1\t"a"="x"', 'u1\t"a"="y"', 'u2\t"a"="x"']
    assert report.records["skipped"] == {"row_repeated": 2}
    assert report.records["written"] == 3


@pytest.mark.parametrize(
    "record",
    [
        {"many_values": "reject"},
        {"rows": "signal", "user_lines": "count"},
        {"rows": "signal", "repeated": "drop"},
        {"order": "when"},
        {"key_column": "key"},
    ],
)
def test_keys_are_for_one_kind_of_rows(run: Run, record: dict[str, str]) -> None:
    with raises(JobError, "E-JOB-INVALID", f"record.{[*record][-1]}", "record.rows"):
        run.make_job(record=record)


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({"order_format": "%Y-%m-%d"}, "record.order"),
        ({"order": "when", "many_values": "reject"}, "record.many_values"),
        ({"key_column": "key"}, "record.value_column"),
        ({"order": "when", "order_format": "%H:%M"}, "record.order_format"),
    ],
)
def test_keys_that_belong_together(run: Run, record: dict[str, str], named: str) -> None:
    with raises(JobError, "E-JOB-INVALID", named):
        run.convert("id,a,when,key\nu,x,1,k\n", record={"rows": "signal", **record})


# --- blocks ---------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(
    users=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=5), max_size=12),
    size=st.integers(40, 100),
    most=st.integers(100, 150),
    cut=st.integers(0, 12),
)
def test_blocks_hold_whole_users(users: list[list[int]], size: int, most: int, cut: int) -> None:
    texts = []
    for part in (users[:cut], users[cut:]):
        lengths = [length for user in part for length in user]
        data = b"".join(bytes([65 + number % 26]) * length for number, user in enumerate(part) for length in user)
        firsts = np.array([*itertools.accumulate(map(len, part), initial=0)], np.int64)
        texts.append(Text((np.frombuffer(data, np.uint8),), np.cumsum(lengths, dtype=np.int64), firsts))
    cutter = Cutter(size, most)
    blocks = [*cutter.feed(text for text in texts if len(text.ends)), *cutter.finish()]
    whole = b"".join(bytes(buffer) for text in texts for buffer in text.buffers)
    assert b"".join(bytes(piece) for pieces, _ in blocks for piece in pieces) == whole
    assert sum(lines for _, lines in blocks) == sum(map(len, users))
    edges = {*itertools.accumulate(sum(map(len, pieces)) for pieces, _ in blocks)}
    inside, place = set(), 0
    for user in users:
        if sum(user) <= most:
            inside |= {place + each for each in itertools.accumulate(user[:-1])}
        place += sum(user)
    assert not edges & inside
    assert all(sum(map(len, pieces)) <= most for pieces, _ in blocks)
