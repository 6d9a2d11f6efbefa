"""The keys and values of data: counts, exact and of the most frequent, masks, and the comparison with a list."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter import Job, Taxonomy, taxonomy
from converter.columns import tally
from converter.columns.printable import cut
from converter.columns.tally import Tally
from converter.commands import inbound_signals
from converter.errors import InputError, JobError
from converter.parts.signal_columns import parsed, signals_in
from converter.sources.origins.local import LocalFile

from .conftest import Run
from .errors import raises
from .test_cli import command

NAME = "ftp_dpm_1234_1366545717.sync"
LINES = b'u1\t"gender"="male",d_sid=1\nu2\tgender = female , -tier=gold,12:0\nu3\t"gender"="Male","note"="a, b"\n'


def counts_of(found: Taxonomy) -> dict[str, dict[str, int]]:
    return {key.key: {value.value: value.count for value in key.values} for key in found.listed()}


def put(folder: Path, content: bytes = LINES, name: str = NAME) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_keys_and_values_are_those_that_audience_manager_reads(tmp_path: Path) -> None:
    found = taxonomy(put(tmp_path))
    assert counts_of(found) == {
        "d_sid": {"1": 1},
        "gender": {"Male": 1, "female": 1, "male": 1},
        "ic": {"12:0": 1},
        "note": {"a, b": 1},
        "tier": {"gold": 1},
    }
    assert (found.lines, found.signals, found.malformed_lines, found.malformed_signals) == (3, 7, 0, 0)


def test_files_may_be_gzip_of_any_name_with_marks_and_returns_and_those_of_folders_are_inbound_files(
    tmp_path: Path,
) -> None:
    text = b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n") + b"\r\n\n"
    put(tmp_path, gzip.compress(text[:40]) + gzip.compress(text[40:]), NAME + ".gz")
    put(tmp_path, text, "any.txt")
    assert (
        counts_of(taxonomy([tmp_path]))
        == counts_of(taxonomy(tmp_path / "any.txt"))
        == counts_of(taxonomy(put(tmp_path)))
    )
    assert taxonomy(str(tmp_path / "*")).lines == 9


def test_what_is_malformed_is_counted(tmp_path: Path) -> None:
    text = b'u\ta=1\nu\nu\ta=1\tb=2\n\ta=1\nu\tx,a=1,=3,,"b=2,c=\xff\nlong\t' + b"a" * 102_400 + b"=1\n"
    found = taxonomy(put(tmp_path, text))
    assert (found.lines, found.malformed_lines, found.malformed_signals) == (2, 4, 3)
    assert counts_of(found)["a"] == {"1": 2}


def test_a_bare_number_of_an_oracle_file_is_a_trait(tmp_path: Path) -> None:
    name = "ftp_dpm_odc_1234_1366545717.sync"
    assert counts_of(taxonomy(put(tmp_path, b"idfa\tu1\t12,a=1\n", name))) == {"a": {"1": 1}, "d_sid": {"12": 1}}


def test_values_and_keys_that_look_like_personal_data_are_masked(tmp_path: Path) -> None:
    text = (
        b'u1\t"mail"="john@example.com"\nu2\t"mail"="joe@example.org"\nu3\t"ann@example.org"="x",ip=192.168.100.200\n'
    )
    found = taxonomy(put(tmp_path, text))
    assert counts_of(found) == {"mail": {"jo…@…": 2}, "an…@…": {"x": 1}, "ip": {"19…00": 1}}
    assert found.personal == {"email": 3, "ip": 1}
    assert b"example" not in found.csv()


def test_the_values_of_a_job_are_those_that_it_sends(run: Run) -> None:
    run.write("id,a,b,t\nu1,x,1,\nu2,y,,\njohn@example.com,z,,\n")
    job = run.make_job(record={"signals": ["a", {"column": "b", "key": "tier"}], "traits": ["t"]})
    found = taxonomy(job=job)
    assert counts_of(found) == {"a": {"x": 1, "y": 1}, "tier": {"1": 1}}
    assert found.rows is not None
    assert (found.rows["read"], found.rows["rejected"]) == (3, {"id_is_email": 1})
    run.write("id,a,b,t\nu1,other,,7\n", "later.csv")
    assert counts_of(taxonomy(run.folder / "later.csv", job=job)) == {"a": {"other": 1}, "d_sid": {"7": 1}}
    assert not run.files


def test_what_convert_writes_has_the_same_values_as_the_table(run: Run) -> None:
    run.write("id,a,b,t\n" + "".join(f"u{n},v{n % 7},w{n},{n % 3}\n" for n in range(5_000)))
    job = run.make_job(record={"signals": ["a", "b"], "traits": ["t"]}, output={"max_part_raw_bytes": "100KB"})
    run.convert(record=job.record.model_dump(exclude_unset=True), output={"max_part_raw_bytes": "100KB"})
    assert len(run.files) > 1
    assert taxonomy(run.out).csv() == taxonomy(job=job).csv() == taxonomy(job=job, threads=1).csv()


def test_a_job_of_ids_alone_has_no_signals(run: Run) -> None:
    columns = [{"column": "a", "type": "gaid", "dpid": 20914}, {"column": "id", "type": "crm", "dpid": 1}]
    job = Job(
        input={"path": str(run.write("id,a\n1,2\n"))},
        sync={"columns": columns},
        output={"to": str(run.out), "kind": "id-sync"},
    )
    with raises(JobError, "E-TAXONOMY-INPUT"):
        taxonomy(job=job)


def test_files_without_signals_are_warned_about_and_where_there_is_no_other_an_error(tmp_path: Path) -> None:
    put(tmp_path, b"a\tb\n", "adobe_id_20914_1_1366545717.sync")
    put(tmp_path, b"?", NAME + ".1.gpg")
    with raises(InputError, "E-NO-SIGNALS"):
        taxonomy(tmp_path)
    put(tmp_path)
    found = taxonomy(tmp_path)
    assert [each.code for each in found.warnings] == ["W-NO-SIGNALS"] * 2
    assert found.lines == 3


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with raises(JobError, "E-TAXONOMY-INPUT"):
        taxonomy([])
    with raises(InputError, "E-NO-SIGNALS"):
        taxonomy(put(tmp_path, b"", "empty.txt"))
    with raises(InputError, "E-INPUT-READ"):
        taxonomy(tmp_path / "none")
    with raises(InputError, "E-INPUT-DAMAGED"):
        taxonomy(put(tmp_path, gzip.compress(LINES)[:-9], NAME + ".gz"))
    path = put(tmp_path)
    reading = inbound_signals.chunks_of(LocalFile.at(path))
    path.unlink()  # after it was found
    with raises(InputError, "E-FILE-READ", path.name):
        next(reading)


# --- counts -----------------------------------------------------------------------------------------------------

BLOCKS = st.lists(
    st.lists(st.tuples(st.sampled_from("kl"), st.sampled_from("abcdefgh"), st.integers(1, 9))), max_size=12
)


@given(blocks=BLOCKS, limit=st.integers(1, 9), waiting=st.sampled_from([0, 5, 100]))
def test_counts_are_between_what_is_told_and_nothing_frequent_is_missed(
    blocks: list[list[tuple[str, str, int]]], limit: int, waiting: int
) -> None:
    counted, truth, totals = Tally(limit), Counter[tuple[str, str]](), Counter[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "_PENDING", waiting)
        for block in blocks:
            summed: Counter[tuple[str, str]] = Counter()
            for key, value, count in block:
                summed[key, value] += count
                totals[key] += count
            truth += summed
            rows = [(*pair, count) for pair, count in summed.items()]
            counted.add(pl.DataFrame(rows, schema=["key", "value", "count"], orient="row"))
        kept = {(key, value): (least, most) for key, value, least, most in counted.counts().iter_rows()}
        errors = {key: error for key, _, error in counted.totals().iter_rows()}
    assert {key: total for key, total, _ in counted.totals().iter_rows()} == totals
    for (key, value), count in truth.items():
        least, most = kept.get((key, value), (0, errors[key]))
        assert least <= count <= most
        assert errors[key] * limit <= totals[key]
    for key in totals:
        values = {value for each, value in truth if each == key}
        assert sum(each == key for each, _ in kept) == min(limit, len(values)) or errors[key]
        assert bool(errors[key]) <= (len(values) > limit)


def test_keys_that_are_too_many_and_memory_limit_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_KEYS", 2)
    monkeypatch.setattr(tally, "_MOST_ENTRIES", 4)
    counted = Tally()
    rows = [(key, value, count) for key, count in (("a", 5), ("b", 3), ("c", 1)) for value in "vwxyz"]
    counted.add(pl.DataFrame(rows, schema=["key", "value", "count"], orient="row"))
    assert counted.totals().rows() == [("a", 25, 5), ("b", 15, 3)]
    assert counted.other_keys == 5
    assert counted.counts().height == 4


def test_the_most_frequent_values_of_a_key_with_many_are_found_in_bounded_memory(tmp_path: Path) -> None:
    text = "".join(f"u{n}\tid={n},top={'often' if n % 3 else n}\n" for n in range(30_000))
    found = taxonomy(put(tmp_path, text.encode()), limit=100)
    keys = {key.key: key for key in found.listed()}
    assert [len(key.values) for key in keys.values()] == [100, 100]
    assert not keys["top"].is_whole
    assert keys["top"].values[0].value == "often"
    assert keys["top"].values[0].count <= 20_000 <= keys["top"].values[0].at_most
    assert keys["id"].signals == 30_000


def test_results_do_not_depend_on_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound_signals, "CHUNK_BYTES", 1 << 12)
    monkeypatch.setattr(tally, "_PENDING", 100)
    path = put(tmp_path, "".join(f"u{n}\tid={n % 997}\n" for n in range(20_000)).encode())
    assert taxonomy(path, limit=10, threads=1).as_dict() == taxonomy(path, limit=10, threads=3).as_dict()


# --- parsing ----------------------------------------------------------------------------------------------------

TEXTS = st.text(st.sampled_from('ab1=", -:'), max_size=24)


def split_slowly(signals: str) -> list[str]:
    """Split signals at commas outside of quotes; a quote without another one is nothing special."""
    pieces, piece, at = [], "", 0
    while at < len(signals):
        end = signals.find('"', at + 1) if signals[at] == '"' else -1
        if signals[at] == '"' and end < 0:  # the rest has no quotes that belong together
            rest = signals[at:].split(",")
            pieces += ([piece] if piece else []) + rest
            return [each for each in pieces if each.strip(" ")]
        if end >= 0:
            piece, at = piece + signals[at : end + 1], end + 1
        elif signals[at] == ",":
            pieces, piece, at = [*pieces, piece], "", at + 1
        else:
            piece, at = piece + signals[at], at + 1
    return [each for each in [*pieces, piece] if each.strip(" ")]


@given(lines=st.lists(TEXTS, min_size=1, max_size=4))
def test_signals_are_split_outside_of_quotes(lines: list[str]) -> None:
    found = signals_in("".join(f"u\t{line}\n" for line in lines).encode())
    by_line: list[list[str]] = [[] for _ in lines]
    for line, signal in found.signals.sort("line", maintain_order=True).iter_rows():
        by_line[line].append(signal)
    for line, signals in zip(lines, by_line, strict=True):
        if line.count('"') % 2 == 0:
            assert signals == split_slowly(line)
        assert sum(map(len, signals)) <= len(line)


@pytest.mark.parametrize(
    "signal, pair",
    [
        ("a=1", ("a", "1")),
        (' "a b" = "c, d" ', ("a b", "c, d")),
        ("--a=b", ("a", "b")),
        ("12", ("ic", "12")),
        ("12:-1", ("ic", "12:-1")),
        ("ic=x", ("ic", "x")),
        ("d_unsid=4", ("d_unsid", "4")),
        ("a", (None, None)),
        ("a=", (None, None)),
        ("=a", (None, None)),
        ('"a=b', (None, None)),
    ],
)
def test_a_signal_is_a_key_and_a_value(signal: str, pair: tuple[str, str]) -> None:
    assert parsed(pl.Series([signal])).row(0) == pair


# --- comparison with a list -------------------------------------------------------------------------------------


def compare(folder: Path, list_: str, text: bytes = LINES, **options: Any) -> tuple[list[Any], list[Any], int]:
    (folder / "list").write_text(list_)
    found = taxonomy(put(folder, text), against=folder / "list", **options)
    unknown = [(each.key, each.value, each.count) for each in found.unknown]
    return unknown, [(each.key, each.value, each.known) for each in found.case], found.unknown_signals


def test_values_that_the_list_does_not_have_are_found_and_those_that_differ_by_case_alone(tmp_path: Path) -> None:
    csv_ = "note,key,value,more\n,gender,male,\n,gender,female,\n,Tier,Gold,\n,d_sid,*\n,IC,*\n"
    unknown, case, signals = compare(tmp_path, csv_)
    assert unknown == [("note", "a, b", 1)]
    assert case == [
        ("gender", "Male", ("gender", "male")),
        ("ic", "12:0", ("IC", "12:0")),
        ("tier", "gold", ("Tier", "Gold")),
    ]
    assert signals == 1


def test_a_list_may_be_json_and_a_taxonomy_knows_itself(tmp_path: Path) -> None:
    known = {"gender": ["male", "Male", "female"], "d_sid": ["1"], "ic": ["*"], "tier": ["gold"], "note": ["a, b"]}
    assert compare(tmp_path, json.dumps(known)) == ([], [], 0)
    found = taxonomy(put(tmp_path))
    assert compare(tmp_path, json.dumps(found.as_dict())) == ([], [], 0)
    assert compare(tmp_path, found.csv().decode()) == ([], [], 0)


def test_unknown_signals_are_counted_exactly_where_values_are_too_many(tmp_path: Path) -> None:
    text = "".join(f"u\ta={n % 20_000}\n" for n in range(30_000)).encode()
    assert compare(tmp_path, "key,value\na,7\n", text, limit=10)[2] == 29_998


@pytest.mark.parametrize("list_", ["", "a,b\n1,2\n", "[1]", '{"a": 1}', '{"keys": [1]}', "{", '{"a": [1]}'])
def test_a_list_of_another_form_is_an_error(tmp_path: Path, list_: str) -> None:
    with raises(InputError, "E-TAXONOMY-LIST"):
        compare(tmp_path, list_)


def test_a_list_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with raises(InputError, "E-TAXONOMY-LIST"):
        taxonomy(put(tmp_path), against=tmp_path / "none")
    (tmp_path / "list").write_bytes(b"key,value\n\xff,1\n")
    with raises(InputError, "E-TAXONOMY-LIST"):
        taxonomy(put(tmp_path), against=tmp_path / "list")
    (tmp_path / "list").write_text("key,value\n" + "x" * 200_000 + ",1\n")
    with raises(InputError, "E-TAXONOMY-LIST"):
        taxonomy(put(tmp_path), against=tmp_path / "list")


# --- the command line -------------------------------------------------------------------------------------------


def test_the_command_prints_keys_and_values_and_writes_them_as_csv(tmp_path: Path) -> None:
    put(tmp_path, LINES + b"u4\tesc=\x1b[31m\n")
    code, out, error = command(tmp_path, "taxonomy", ".", "--csv", "all.csv")
    assert code == 0, error
    assert "gender  3 values, 3 signals" in out
    assert "\x1b" not in out
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert rows[0] == {"key": "d_sid", "value": "1", "count": "1", "at_most": "1"}
    assert len(rows) == 8


def test_the_command_ends_with_3_where_values_are_unknown(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "list").write_text("key,value\ngender,male\ngender,female\nd_sid,*\nic,*\ntier,*\nnote,*\n")
    code, out, _ = command(tmp_path, "taxonomy", ".", "--against", "list")
    assert code == 0
    assert "gender = Male, in the list gender = male" in out
    assert command(tmp_path, "taxonomy", ".", "--against", "list", "--strict")[0] == 3
    (tmp_path / "list").write_text("key,value\ngender,*\n")
    code, out, _ = command(tmp_path, "taxonomy", ".", "--against", "list", "--json")
    data = json.loads(out)
    assert (code, data["exit_code"], data["error"]["code"]) == (3, 3, "E-TAXONOMY-UNKNOWN")
    assert data["unknown_signals"] == 4


def test_the_command_takes_a_job(run: Run) -> None:
    run.write("id,a\nu1,x\n")
    (run.folder / "job.toml").write_text(
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1\n'
    )
    assert "a  1 value, 1 signal" in command(run.folder, "taxonomy", "job.toml")[1]
    run.write("id,a\nu1,y\nu2,y\n", "other.csv")
    out = command(run.folder, "taxonomy", "other.csv", "--job", "job.toml", "--json")[1]
    assert json.loads(out)["keys"][0]["values"] == [{"value": "y", "count": 2, "at_most": 2}]
    assert command(run.folder, "taxonomy", "other.csv", "--set", "run.threads=1")[0] == 2
    assert command(run.folder, "taxonomy", "--strict")[0] == 2


def test_texts_for_terminals_are_short_and_control_nothing() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "ab…"
    assert cut("a\x1b\n\u202e", 40) == "a\\x1b\\n\\u202e"


def test_a_table_that_is_taken_for_an_inbound_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "crm.csv").write_text("id,a\n" + "1,2\n" * 9 + "u\ta=1\n")
    code, out, _ = command(tmp_path, "taxonomy", "crm.csv")
    assert (code, "--job" in out) == (0, True)
    (tmp_path / "crm.csv").write_text("u\ta=1\n" * 9 + "1,2\n")
    assert "--job" not in command(tmp_path, "taxonomy", "crm.csv")[1]
