"""The receipt foreseen: what becomes of signals by a list of traits, for files and for runs."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter import Foreseen, foresee
from converter.commands.foreseeing import FileOf, Foreseeing, TraitIndex
from converter.commands.traits import TraitList, _trait_of, read_traits
from converter.errors import InputError
from converter.report.foreseen import FATES
from converter.spec.names import FileName
from converter.spec.trait_rules import RuleError, parse_rule

from .conftest import Run
from .errors import raises
from .test_cli import command
from .test_trait_rules import is_true_slowly

NAME = "ftp_dpm_1234_1366545717.sync"
NOW = 1_700_000_000.0


def trait(sid: int, rule: str = "", **others: Any) -> dict[str, Any]:
    known = {"dataSourceId": 1234, "traitType": "ON_BOARDED_TRAIT", "createTime": 1_467_841_435_000}
    return {"sid": sid, "traitRule": rule, **known, **others}


def put(folder: Path, content: bytes, name: str = NAME) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def foreseen(folder: Path, content: bytes, *traits: dict[str, Any], name: str = NAME) -> Foreseen:
    (folder / "traits.json").write_text(json.dumps(traits))
    return foresee(put(folder, content, name), folder / "traits.json", now=NOW)


def fates(found: Foreseen) -> dict[str, int]:
    return {fate: count for fate, count in found.signals.items() if count}


def test_a_signal_has_the_best_fate_of_the_traits_that_take_it(tmp_path: Path) -> None:
    new = (NOW - 3 * 3600) * 1000
    found = foreseen(
        tmp_path,
        b"u1\td_sid=1,d_sid=2,d_sid=3,d_sid=4,d_sid=5\nu2\ta=1,a=2,b=1,12,ic=x\n",
        trait(1, 'ic == "12"'),
        trait(2, dataSourceId=99),
        trait(3, traitType="RULE_BASED_TRAIT"),
        trait(4, createTime=new),
        trait(6, "a == 1", traitType="ALGO_TRAIT"),
        trait(7, "a == 1", dataSourceId=99),
        trait(8, "a == 2", createTime=new),
        trait(9, "a == 2", integrationCode="X"),
    )
    assert fates(found) == {"realized": 4, "too_new": 1, "wrong_data_source": 2, "not_onboarded": 1, "unused": 2}
    assert {(each.fate, each.key, each.value) for each in found.lost} == {
        ("too_new", "d_sid", "4"),
        ("wrong_data_source", "d_sid", "2"),
        ("not_onboarded", "d_sid", "3"),
        ("unused", "d_sid", "5"),
        ("wrong_data_source", "a", "1"),
        ("unused", "b", "1"),
    }
    assert found.figures["total_traits_failed_validation"] == found.figures["total_users_failed_validation"] == 1


def test_the_numbers_are_those_of_the_receipt(tmp_path: Path) -> None:
    text = (
        b'u1\tgender=Female,"tier"="gold"\n'  # realizes 2
        b"u2\tgender=female\n"  # realizes none
        b"u3\td_sid=1,d_sid=1,12\n"  # realizes 1, once
        b"u4\td_unsid=1,99:0,12:-1\n"  # removes 1 and 1 again, which is one
        b"u5 d_sid=1\n"  # malformed
        b"u6\td_sid=1,x\n"  # malformed
        b"\n"
    )
    found = foreseen(tmp_path, text, trait(1, 'ic == "12"'), trait(2, 'gender == "female" AND tier == "gold"'))
    assert found.figures == {
        "records_received": 6,
        "format_errors": 2,
        "invalid_aam_id": 0,
        "invalid_device_id": 0,
        "no_trait_realized": 1,
        "records_processed": 6,
        "stored_records_at_most": 3,
        "total_signals": 9,
        "total_unused_signals": 1,
        "total_realized_traits": 2,
        "total_removed_traits": 1,
        "total_traits_failed_validation": 0,
        "total_users_failed_validation": 0,
    }
    assert [(each.key, each.value) for each in found.lost] == [("ic", "99")]


def test_rules_see_whole_lines(tmp_path: Path) -> None:
    text = b"u1\ta=1,b=5\nu2\ta=1\nu3\tb=50\nu4\tc=new york\n"
    rules = ["NOT a == 1", "b >= 10 OR (a == 1 AND b < 10)", "c contains york", "a != 1", 'c matchesregex "^NEW.*k$"']
    found = foreseen(tmp_path, text, *(trait(number, rule) for number, rule in enumerate(rules, 1)))
    assert found.figures["total_realized_traits"] == 2 + 2 + 1 + 0 + 1
    assert found.figures["no_trait_realized"] == 1


def test_ids_have_the_form_of_their_data_source(tmp_path: Path) -> None:
    lines = b"1" * 38 + b"\td_sid=1\n" + b"0f8fad5b-d9cb-469f-a165-70867728950e\td_sid=1\nx\td_sid=1\n"
    found = foreseen(tmp_path, lines, trait(1), name="ftp_dpm_20914_1234_1366545717.sync")
    assert found.figures["invalid_device_id"] == 2
    assert found.figures["total_realized_traits"] == 1
    found = foreseen(tmp_path, lines, trait(1), name="ftp_dpm_0_1234_1366545717.sync")
    assert (found.figures["invalid_aam_id"], found.figures["invalid_device_id"]) == (2, 0)


def test_the_name_says_whose_traits_there_may_be_and_whether_they_can_be_removed(tmp_path: Path) -> None:
    text, of_target = b"u1\td_sid=1,d_unsid=1\n", trait(1, dataSourceId=77)
    assert fates(foreseen(tmp_path, text, of_target)) == {"wrong_data_source": 2}
    found = foreseen(tmp_path, text, of_target, name="ftp_dpm_1234_77_1366545717.overwrite")
    assert (fates(found), found.figures["total_removed_traits"]) == ({"realized": 2}, 0)
    assert fates(foreseen(tmp_path, text, of_target, name="any.txt")) == {"realized": 2}
    found = foreseen(tmp_path, b"idfa\tu1\t1\n", trait(1), name="ftp_dpm_odc_1234_1366545717.sync.gz")
    assert found.figures["total_realized_traits"] == 1


def test_rules_that_are_not_understood_are_counted(tmp_path: Path) -> None:
    rules = ["frequency([1T]) > 3", 'a matchesregex "("', "a > b", "a == 1"]
    found = foreseen(tmp_path, b"u1\ta=1\n", *(trait(number, rule) for number, rule in enumerate(rules, 1)))
    assert (found.traits, found.rules_not_understood) == (4, 3)
    assert [reason.partition(":")[0] for reason in found.reasons] == ["trait 1", "trait 2", "trait 3"]
    assert fates(found) == {"realized": 1}


def test_signals_that_are_lost_are_masked_where_they_are_personal(tmp_path: Path) -> None:
    found = foreseen(tmp_path, b'u1\t"mail"="john@example.com"\nu2\t"mail"="joe@example.org"\n', trait(1))
    assert [(each.key, each.value, each.count) for each in found.lost] == [("mail", "jo…@…", 2)]
    assert found.csv().decode() == "fate,key,value,count\nunused,mail,jo…@…,2\n"


def test_files_are_added_up_and_those_without_signals_are_omitted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    put(tmp_path / "in", b"u1\td_sid=1\n")
    put(tmp_path / "in", gzip.compress(b"u2\td_sid=1\nu3\tx=1\n"), "ftp_dpm_99_1234_1366545717.sync.1.gz")
    put(tmp_path / "in", b"a\tb\n", "adobe_id_20914_1_1366545717.sync")
    (tmp_path / "traits").write_text("sid,dataSourceId\n1,1234\n")
    notices: list[str] = []
    found = foresee(tmp_path / "in", tmp_path / "traits", notify=notices.append)
    assert found.figures["records_received"] == 3
    assert fates(found) == {"realized": 2, "unused": 1}
    assert len(notices) == 1
    with raises(InputError, "E-NO-SIGNALS"):
        foresee(tmp_path / "in" / "adobe_id_20914_1_1366545717.sync", tmp_path / "traits")


# --- the list of traits -----------------------------------------------------------------------------------------


def test_a_list_may_be_json_of_the_api_or_csv(tmp_path: Path) -> None:
    rows = [trait(1, "a == 1"), trait(2, "", createTime="2024-05-01T06:00:00+00:00", dataSourceId=None)]
    path = tmp_path / "traits"
    path.write_text(json.dumps({"total": 2, "list": rows}))
    listed = read_traits(path)
    path.write_text(json.dumps(rows))
    assert read_traits(path) == listed
    path.write_text(
        "\ufeffname,sid,dataSourceId,traitType,traitRule,createTime\n"
        "x,1,1234,On-boarded,a == 1,1467841435\ny,2,,ON_BOARDED_TRAIT,,2024-05-01T06:00:00Z\n"
    )
    assert read_traits(path) == listed
    assert [each.created for each in listed.traits] == [1_467_841_435, 1_714_543_200]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        b"sid\nx\n",
        b"sid,dataSourceId\n1,x\n",
        b"sid,createTime\n1,yesterday\n",
        b"sid\n",
        b"[]",
        b"[1]",
        b"{",
        b"\xff",
        b"sid\n" + b"1" * 200_000 + b"\n",
    ],
)
def test_what_is_no_list_of_traits_is_an_error(tmp_path: Path, content: bytes) -> None:
    with raises(InputError, "E-TRAITS"):
        read_traits(put(tmp_path, content, "traits"))


def test_a_list_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with raises(InputError, "E-TRAITS"):
        read_traits(tmp_path / "none")


# --- against a slow twin ----------------------------------------------------------------------------------------

SIGNALS = st.sampled_from(["a=1", "a=2", "b=1", "12", "12:0", "d_sid=1", "d_sid=2", "d_sid=9", "d_unsid=1", "a = 1"])
RULES = ["", "a == 1", "a == 1 AND b == 1", "NOT b == 1", "ic == 12 OR a == 2", "a != 1 AND NOT (b == 1 OR ic == 12)"]
TRAITS = st.lists(
    st.builds(
        lambda rule, source, kind, age: {
            "traitRule": rule,
            "dataSourceId": source,
            "traitType": kind,
            "createTime": NOW - age * 3600,
        },
        st.sampled_from(RULES),
        st.sampled_from([1234, 99]),
        st.sampled_from(["ON_BOARDED_TRAIT", "RULE_BASED_TRAIT"]),
        st.sampled_from([3, 5]),
    ),
    min_size=1,
    max_size=6,
)


def foreseen_slowly(traits: list[dict[str, Any]], lines: list[list[str]]) -> tuple[dict[str, int], int, int, int]:
    """The fates of signals, and the numbers of traits realized and removed, and of lines with neither."""
    found, realized, removed, without = dict.fromkeys(FATES, 0), 0, 0, 0
    pairs_of = [
        [(each.replace(" ", "").partition("=")[::2] if "=" in each else ("ic", each)) for each in line]
        for line in lines
    ]
    for pairs in pairs_of:
        adding = [pair for pair in pairs if pair[0] != "d_unsid" and not pair[1].endswith(":0")]
        taking = [("d_sid" if key == "d_unsid" else key, value.removesuffix(":0")) for key, value in pairs]
        for signal in taking:
            best = len(FATES) - 1
            for number, each in enumerate(traits, 1):
                texts = [f"d_sid == {number}", *([each["traitRule"]] if each["traitRule"] else [])]
                tests = [test for text in texts for test in _tests(text)]
                if any(is_true_slowly(test, [signal]) for test in tests):
                    best = min(best, _fate(each))
            found[FATES[best]] += 1
        removing = [pair for pair, was in zip(taking, pairs, strict=True) if was not in adding]
        count = [0, 0]
        for number, each in enumerate(traits, 1):
            if _fate(each) == 0:
                rule = parse_rule(f"d_sid == {number}" + (f" OR ({each['traitRule']})" if each["traitRule"] else ""))
                count[0] += is_true_slowly(rule, adding)
                alternatives = [parse_rule(f"d_sid == {number}")]
                if each["traitRule"]:
                    alternatives += [
                        test
                        for test in _tests(each["traitRule"])
                        if " OR " in each["traitRule"] or " AND " not in each["traitRule"]
                    ]
                    if "NOT" in each["traitRule"]:
                        alternatives = alternatives[:1]
                count[1] += any(is_true_slowly(test, removing) for test in alternatives)
        realized, removed, without = realized + count[0], removed + count[1], without + (count == [0, 0])
    return found, realized, removed, without


def _tests(text: str) -> list[Any]:
    from converter.spec.trait_rules import conditions_of

    return list(conditions_of(parse_rule(text)))


def _fate(each: dict[str, Any]) -> int:
    if each["traitType"] != "ON_BOARDED_TRAIT":
        return FATES.index("not_onboarded")
    if each["dataSourceId"] != 1234:
        return FATES.index("wrong_data_source")
    return FATES.index("too_new" if each["createTime"] > NOW - 4 * 3600 else "realized")


@given(traits=TRAITS, lines=st.lists(st.lists(SIGNALS, min_size=1, max_size=5), min_size=1, max_size=6))
def test_what_is_foreseen_on_columns_is_what_the_slow_twin_foresees(
    traits: list[dict[str, Any]], lines: list[list[str]]
) -> None:
    rows = [_trait_of({"sid": number, **each}, number, Path())[0] for number, each in enumerate(traits, 1)]
    each = Foreseeing(TraitIndex(TraitList(rows, 0, ()), NOW), FileOf.of(FileName.parse(NAME)))
    half = len(lines) // 2
    for part in (lines[:half], lines[half:]):
        each.take(each.look("".join(f"u\t{','.join(line)}\n" for line in part).encode()))
    found = each.merge(())
    figures = found.figures
    numbers = figures["total_realized_traits"], figures["total_removed_traits"], figures["no_trait_realized"]
    assert (found.signals, *numbers) == foreseen_slowly(traits, lines)


# --- runs and commands ------------------------------------------------------------------------------------------


def test_the_report_of_a_run_says_what_the_receipt_will_say_and_files_agree(run: Run) -> None:
    traits = run.folder / "traits.json"
    traits.write_text(json.dumps([trait(1), trait(2, 'a == "v1" AND b startswith "w1"'), trait(3, dataSourceId=5)]))
    rows = "id,a,b,t\n" + "".join(f"u{n},v{n % 3},w{n},{n % 5}\n" for n in range(3_000))
    report = run.convert(
        rows,
        record={"signals": ["a", "b"], "traits": ["t"]},
        report={"traits": str(traits)},
        output={"max_part_raw_bytes": "50KB"},
    )
    assert report.foreseen is not None
    of_files = foresee(run.out, traits)
    assert len(run.files) > 1
    assert report.foreseen["figures"] == of_files.figures
    assert report.foreseen["signals"] == of_files.signals
    assert report.foreseen["figures"]["records_received"] == 3_000
    assert report.foreseen["figures"]["total_realized_traits"] == 600 + sum(
        n % 5 == 2 or (n % 3 == 1 and str(n)[0] == "1") for n in range(3_000)
    )
    assert len(report.foreseen["lost"]) == 100
    saved = json.loads(Path(str(report.report_path)).read_bytes())
    assert saved["foreseen"] == json.loads(json.dumps(report.foreseen))


def test_with_a_bad_list_nothing_is_written(run: Run) -> None:
    run.convert("id,a\nu1,x\n")
    bad = run.write("", "traits.json")
    with raises(InputError, "E-TRAITS"):
        run.convert("id,a\nu2,x\n", report={"traits": str(bad)})
    assert len(run.files) == 1


def test_commands_take_traits(run: Run) -> None:
    (run.folder / "traits.csv").write_text("sid,dataSourceId,traitRule\n1,1234,a == x\n2,1234,oops\n")
    run.write("id,a\nu1,x\nu2,y\n")
    flags = ("--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out")
    code, out, error = command(run.folder, "convert", "in.csv", *flags, "--traits", "traits.csv")
    assert code == 0, error
    assert "1  trait realized" in out
    code, out, _ = command(run.folder, "check", "out", "--traits", "traits.csv", "--unused", "lost.csv")
    assert code == 0
    assert "1  Total realized traits" in out
    assert "rule not understood: trait 2" in out
    assert (run.folder / "lost.csv").read_text() == "fate,key,value,count\nunused,a,y,1\n"
    code, out, _ = command(run.folder, "check", "out", "--traits", "traits.csv", "--json")
    assert json.loads(out)["foreseen"]["signals"]["unused"] == 1
    assert command(run.folder, "check", "out", "--unused", "x")[0] == 2
    assert command(run.folder, "check", "out", "--traits", "none")[0] == 1


def test_a_check_with_traits_reads_files_twice_and_says_what_it_cannot_compare(tmp_path: Path) -> None:
    (tmp_path / "traits").write_text("sid\n1\n")
    put(tmp_path, gzip.compress(b"u1\td_sid=1\n")[:-5], NAME + ".gz")
    code, out, error = command(tmp_path, "check", NAME + ".gz", "--traits", "traits")
    assert code == 3
    assert "Receipt" not in out
    assert "is damaged" in error
    put(tmp_path, b"x\ty\n", "adobe_id_20914_1_1366545717.sync")
    code, out, error = command(tmp_path, "check", "adobe_id_20914_1_1366545717.sync", "--traits", "traits", "--json")
    assert json.loads(out)["foreseen"] is None
    assert "IDs alone" in error
    pipe = f"cat /dev/null | exec {sys.executable} -m converter check /dev/stdin --traits traits"
    done = subprocess.run(["sh", "-c", pipe], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "E-INPUT-ONCE" in done.stderr) == (1, True)


def test_a_reason_never_shows_the_rule() -> None:
    with pytest.raises(RuleError) as raised:
        parse_rule('"mail" == john@example.com and')
    assert "john" not in str(raised.value)
