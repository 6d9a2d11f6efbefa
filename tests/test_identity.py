"""IDs that match, and files that leak nothing: normalizing and the privacy gate in whole runs."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter import kernel
from converter.columns import privacy
from converter.errors import JobError
from converter.rows.fast_path import FastPath
from converter.rows.records import Records

from .conftest import Run
from .errors import raises, told

HASH = "55e79200c1635b37ad31a378c39feb12f120f116625093a19bc32fff15041149"

STEPS: list[tuple[dict[str, Any], list[str], list[str], dict[str, int]]] = [
    ({}, [" a", "b\u00a0", "\ufeffc", "d\u200b", "e"], ["a", "b", "c", "d", "e"], {"trim": 4}),
    ({"trim": False}, ["a", " b"], ["a", " b"], {}),
    ({"case": "upper"}, ["ab", "AB", "é"], ["AB", "AB", "É"], {"case": 2}),
    ({"case": "lower"}, ["ab", "AB", "É", " X"], ["ab", "ab", "é", "x"], {"case": 3, "trim": 1}),
    ({"decode": True}, ["a%2Db", "a%2db", "100%", "%zz", "%25%32%64"], ["a-b", "a-b", "100%", "%zz", "%2d"], {"decode": 3}),
    ({"unicode": "nfc"}, ["e\u0301", "é"], ["é", "é"], {"unicode": 1}),
    ({"remove": "-. "}, ["1-2.3", "123", "1 2"], ["123", "123", "12"], {"remove": 2}),
    ({"cut_prefix": "C-", "cut_suffix": "-x"}, ["C-1-x", "c-1"], ["1", "c-1"], {"cut_prefix": 1, "cut_suffix": 1}),
    ({"strip_zeros": True}, ["007", "0", "000", "700"], ["7", "0", "0", "700"], {"strip_zeros": 2}),
    ({"pad": 4}, ["7", "00007", "é1"], ["0007", "00007", "00é1"], {"pad": 2}),
    ({"prefix": "p", "suffix": "s"}, ["1"], ["p1s"], {"prefix": 1, "suffix": 1}),
    ({"hash": "sha256"}, ["johndoe@example.com", HASH.upper(), HASH], [HASH] * 3, {"hash": 2}),
    ({"strip_zeros": True, "pad": 3, "prefix": "x"}, ["0012", "12"], ["x012"] * 2, {"strip_zeros": 1, "pad": 2, "prefix": 2}),
]  # fmt: skip


@pytest.mark.parametrize("id_, given_ids, written, changed", STEPS, ids=lambda value: str(value)[:40])
def test_ids_are_normalized_and_each_step_is_counted(
    run: Run, id_: dict[str, Any], given_ids: list[str], written: list[str], changed: dict[str, int]
) -> None:
    content = "id,a\n" + "".join(f'"{each}",x\n' for each in given_ids)
    report = run.convert(content, id=id_)
    assert [line.partition("\t")[0] for line in run.lines] == written
    assert report.ids == {"changed": changed}
    assert run.report["ids"] == {"changed": changed}


@pytest.mark.parametrize("id_", [{"pad": 5}, {"prefix": "x"}, {"suffix": "x"}, {"hash": "sha256"}, {"cut_prefix": "C"}])
def test_an_id_that_becomes_empty_is_missing_with_a_prefix_too(run: Run, id_: dict[str, Any]) -> None:
    report = run.convert("id,a\n7,x\n,x\n \u200b,x\n", id=id_)
    assert report.records["rejected"] == {"id_missing": 2}
    assert len(run.lines) == 1


def test_addresses_are_hashed_as_adobe_wants_them(run: Run) -> None:
    content = f"id,a\n JohnDoe@Example.com ,x\n{HASH.upper()},x\nnobody,x\njohn doe@x,x\n,x\n"
    report = run.convert(content, id={"type": "hashed_email", "hash": "sha256"})
    assert [line.partition("\t")[0] for line in run.lines] == [HASH, HASH]
    assert report.records["rejected"] == {"id_missing": 1, "id_wrong_form": 2}


def test_what_a_rule_rejects_is_not_counted_as_changed(run: Run) -> None:
    report = run.convert("id,a\nA,x\nB:,x\nC,\n", id={"case": "lower"})
    assert report.records["rejected"] == {"id_forbidden_character": 1}
    assert report.records["skipped"] == {"no_signal": 1}
    assert report.ids == {"changed": {"case": 1}}


PERSONAL = {
    "email": ["joe@example.com", "Joe <joe@example.com>", "joe%40example.com"],
    "phone": ["+49 30 123456", "+12015550123", "+1 (201) 555-0123"],
    "card": ["4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"],
    "iban": ["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19"],
    "ip": ["192.168.0.1", "2001:db8::ff00:42:8329"],
    "ssn": ["123-45-6789"],
}
CASES = [(kind, text) for kind, texts in PERSONAL.items() for text in texts]


@pytest.mark.parametrize("kind, text", CASES)
def test_i3_personal_data_as_an_id_is_rejected(run: Run, kind: str, text: str) -> None:
    report = run.convert(f'id,a\nu1,x\n"{text}",x\n" {text} ",x\n')
    assert report.records["rejected"] == {f"id_is_{kind}": 2}
    assert [(row["code"], row["row"]) for row in run.rejects] == [("I3", 3), ("I3", 4)]


@pytest.mark.parametrize("kind, text", CASES)
def test_i3_personal_data_as_a_value_is_blocked_dropped_or_allowed(run: Run, kind: str, text: str) -> None:
    run.job["record"] = {"signals": ["a", "b"]}
    content = f'id,a,b\nu1,x,y\nu2,"{text}",y\n'
    report = run.convert(content)
    assert report.records["rejected"] == {"value_personal": 1}
    assert run.lines == ['u1\t"a"="x","b"="y"']
    report = run.convert(
        content, privacy={"signals": "drop"}, output={"timestamp": 1400000001, "to": str(run.out / "2")}
    )
    assert report.signals["dropped"] == {"value_personal_dropped": 1}
    assert report.records["rejected"] == {}
    for number, allowed in enumerate([{"signals": "allow"}, {"allow": ["a"]}]):
        place = run.out / f"3{number}"
        report = run.convert(content, privacy=allowed, output={"timestamp": 1400000002 + number, "to": str(place)})
        assert report.records["rejected"] == {}
        assert report.signals["written"] == 4


def test_numbers_of_sixteen_digits_are_ids_where_few_look_like_cards(run: Run) -> None:
    numbers = [f"{4_000_000_000_000_000 + 37 * n}" for n in range(500)]
    report = run.convert("id,a\n" + "".join(f"{number},x\n" for number in numbers))
    assert report.records["rejected"] == {}
    assert [line.partition("\t")[0] for line in run.lines] == numbers


def test_it_is_the_ids_as_they_are_written_that_show_what_numbers_are(run: Run) -> None:
    numbers = [f"{4_000_000_000_000_000 + 37 * n}" for n in range(500)]
    content = "id,a\n" + "".join(f"{n[:4]}-{n[4:8]}-{n[8:12]}-{n[12:]},x\n" for n in numbers)
    report = run.convert(content, id={"remove": "-"})
    assert report.records["rejected"] == {}
    assert [line.partition("\t")[0] for line in run.lines] == numbers


def test_cards_among_other_ids_are_found(run: Run) -> None:
    ids = [f"C-{n}" for n in range(500)] + ["4111111111111111"]
    report = run.convert("id,a\n" + "".join(f"{id_},x\n" for id_ in ids))
    assert report.records["rejected"] == {"id_is_card": 1}


@pytest.mark.parametrize("column", ["email", "first_name", "Telefon", "dateOfBirth", "street"])
def test_a_column_that_says_personal_data_must_be_allowed(run: Run, column: str) -> None:
    run.job["record"] = {"signals": [column]}
    with raises(JobError, "E-PERSONAL-COLUMN", f"'{column}'", f'privacy.allow = ["{column}"]'):
        run.convert(f"id,{column}\nu1,x\n")
    run.convert(privacy={"allow": [column]})
    assert run.lines == [f'u1\t"{column}"="x"']


def test_a_key_that_says_personal_data_counts_as_well(run: Run) -> None:
    run.job["record"] = {"signals": [{"column": "a", "key": "email"}]}
    with raises(JobError, "E-PERSONAL-COLUMN", "'email'", "an e-mail address"):
        run.convert("id,a\nu1,x\n")


def test_a_constant_that_is_personal_data_is_refused_and_not_shown(run: Run) -> None:
    run.job["record"] = {"signals": [{"key": "k", "value": "joe.planted@example.com"}]}
    with raises(JobError, "E-PERSONAL-CONSTANT", "'k'") as raised:
        run.convert("id,a\nu1,x\n")
    assert "planted" not in told(raised.value)


def test_a_birth_year_a_city_and_a_postcode_area_are_fine(run: Run) -> None:
    run.job["record"] = {"signals": ["birth_year", "city", "postcode_area"]}
    run.convert("id,birth_year,city,postcode_area\nu1,1980,Bonn,53\n")
    assert run.lines == ['u1\t"birth_year"="1980","city"="Bonn","postcode_area"="53"']


PIECES = st.sampled_from(
    [*(text for _, text in CASES), "::1", "fe80::1", "4111", "1111", " ", "-", ".", "+", "(0", ")", "%40", "@", "a.b", "00", "49", "30", "12", "DE", "89", "A", "é", "1.2", "3.4", ":", "x", "\u00a0", "123-45", "6789", "tel:"]
)  # fmt: skip


@pytest.mark.loops
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.lists(PIECES, min_size=1, max_size=9).map("".join), min_size=1, max_size=8))
def test_the_loops_leave_personal_data_to_the_query(texts: list[str], tmp_path: Path) -> None:
    run = Run(tmp_path)
    loops = kernel.load()
    assert loops
    frame = pl.DataFrame({"c0": texts, "c1": texts})
    personal = frame.select(privacy.personal_kind(pl.col("c0")).is_not_null())["c0"].to_numpy()
    for values in (frame.with_columns(c0=pl.lit("u1")), frame.with_columns(c1=pl.lit("x"))):
        _, left = FastPath(Records(run.make_job(), 1000), loops).of_texts(values)
        assert set(np.flatnonzero(personal)) <= set(left.tolist())


def test_no_output_holds_what_must_not_be_known(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Fault 35: whatever becomes of personal data, no file, message or report holds it."""
    run.job["record"] = {"signals": ["a", "b"]}
    planted = [text for _, text in CASES] + ["planted.person@example.org", "PlantedCustomer4711"]
    rows = [f'"{text}","{other}",y\n' for text, other in zip(planted, planted[1:] + planted[:1], strict=True)]
    good = "".join(f"u{n},x,y\n" for n in range(100))
    run.convert("id,a,b\n" + good + "".join(rows))
    written = [path for path in run.folder.rglob("*") if path.is_file() and path.name != "in.csv"]
    assert len(written) == 5, "a part, the report, its page, the rejects, the journal"
    (journal,) = [path for path in written if path.suffix == ".journal"]
    (page,) = [path for path in written if path.suffix == ".html"]
    texts = [
        run.text.decode(),
        journal.read_text(),
        page.read_text(),
        json.dumps(run.rejects, ensure_ascii=False),
        json.dumps(run.report, ensure_ascii=False),
    ]
    captured = capfd.readouterr()
    for text in (*texts, captured.out, captured.err):
        for secret in planted[:-1]:
            assert secret not in text
    assert "PlantedCustomer4711" not in "".join(texts[1:])


PLANTED = [*(text for _, text in CASES), "planted.person@example.org"]
CUSTOMER = "PlantedCustomer47110"
PART = "ftp_dpm_1234_1366545717.sync.1"
COMMANDS = {
    "convert": ["convert", "in.csv", "--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out"],
    "refused": ["convert", "in.csv", "--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out", "--max-rejects", "0"],
    "dropped": ["convert", "in.csv", "--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out", "--set", "privacy.signals=drop"],
    "dry run": ["convert", "in.csv", "--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out", "--dry-run"],
    "wrong column": ["convert", "bare.csv", "--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out"],
    "auto": ["convert", "in.csv", "--id", "id", "--id-type", "auto", "--dpid", "1234", "--signal", "a", "--to", "out"],
    "debug": ["convert", "in.csv", "--id", "id", "--dpid", "1234", "--signal", "none", "--to", "out", "--debug"],
    "progress": ["convert", "in.csv", "--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out", "--progress", "json"],
    "match": ["match", "in.csv", "in.csv", "--id", "id", "--html", "match.html"],
    "match --json": ["match", "in.csv", "in.csv", "--id", "id", "--json"],
    "sync-urls": ["sync-urls", "in.csv", "--id", "id", "--dpid", "1234", "--output", "urls.csv", "--max-rejects", "100%"],
    "sync-urls --max-rejects": ["sync-urls", "in.csv", "--id", "id", "--dpid", "1234", "--output", "urls.csv", "--max-rejects", "0"],
    "send": ["send", PART, "--to", "sent"],
    "doctor": ["doctor", "job.toml"],
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_f35_no_command_tells_or_writes_personal_data(tmp_path: Path, name: str) -> None:
    good = "".join(f"u{n},x\n" for n in range(50)) + f"{CUSTOMER},x\n"
    rows = "".join(f'"{text}",y\nv{n},"{text}"\n' for n, text in enumerate(PLANTED))
    inputs = {
        "in.csv": f"id,a\n{good}{rows}",
        "bare.csv": f"{PLANTED[0]},{CUSTOMER}\n{rows}",
        PART: "".join(f"{text}\ta=b\n" for text in PLANTED) + f"{CUSTOMER}:\ta=b\n",
        "job.toml": 'input.path = "in.csv"\nid.column = "id"\nrecord.signals = ["nothing"]\n[output]\nto = "out"\ndpid = 1\n',
    }
    for file, content in inputs.items():
        (tmp_path / file).write_text(content)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "converter", *COMMANDS[name]]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert told
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name not in inputs:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            if path.parent.name in ("reports", "sent") or path.suffix == ".html":
                told += content.decode()
            assert not [text for text in PLANTED if text.encode() in content], path.name
    assert not [text for text in [*PLANTED, CUSTOMER] if text in told]
