"""One test a rule, with its code in the name: what it rejects, what it lets pass, what the rejects say."""

from __future__ import annotations

import pytest

from converter.spec import rules
from converter.spec.ids import ID_TYPES
from converter.spec.limits import LINE_BYTES

from .conftest import Run
from .errors import check_named

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def rejected(run: Run, content: str, **changes: object) -> dict[str, int]:
    report = run.convert(content, **{"record": {"signals": ["a"]}, **changes})
    assert report.records["read"] == report.records["written"] + sum(report.records["rejected"].values())
    return dict(report.records["rejected"])


def judge(run: Run, ids: list[str], type_: str) -> tuple[list[str], dict[str, int]]:
    """Convert IDs of a type; return those written and the rules that rejected the others."""
    quoted = "".join('"{}",x\n'.format(id_.replace('"', '""')) for id_ in ids)
    dpid = ID_TYPES[type_].dpid or 1234
    good = {"uuid": "1" * 38, "ecid": "1" * 38, "hashed_email": "a" * 64}.get(type_, "abc")
    good = (
        UUID.upper()
        if type_ == "idfa"
        else UUID
        if ID_TYPES[type_].case == "lower" and type_ != "hashed_email"
        else good
    )
    content = f"id,a\n{good},x\n{quoted}"  # a good one first: a run without any is an error
    report = run.convert(content, id={"type": type_}, output={"dpid": dpid, "target": 5678})
    return [line.partition("\t")[0] for line in run.lines][1:], dict(report.records["rejected"])


def test_c1_a_row_without_id_is_rejected(run: Run) -> None:
    assert rejected(run, "id,a\n1,x\n,x\n   ,x\n\u00a0,x\n") == {"id_missing": 3}
    assert run.lines == ['1\t"a"="x"']
    assert [(row["row"], row["code"], row["rule"]) for row in run.rejects] == [
        (3, "C1", "id_missing"),
        (4, "C1", "id_missing"),
        (5, "C1", "id_missing"),
    ]


@pytest.mark.parametrize(
    "bad", ["a:b", ":", "a%3Ab", "a%3ab", "a\tb", "a\nb", "a\rb", "a\x00b", "a\x1fb", "a\x7fb", "a\x85b"]
)
def test_i6_a_forbidden_character_in_an_id_is_rejected(run: Run, bad: str) -> None:
    assert judge(run, [bad], "crm") == ([], {"id_forbidden_character": 1})


@pytest.mark.parametrize(
    "fine", ["a%3b", "a%", "%3", "ü-1", "A.b_c~", 'a"b', "a b", "1", "a,b", "İ", "用户1", "a@b", "@"]
)
def test_i6_other_characters_in_an_id_are_kept_as_they_are(run: Run, fine: str) -> None:
    assert judge(run, [fine], "crm") == ([fine], {})


@pytest.mark.parametrize("address", ["john@example.com", "JOHN@EXAMPLE.CO.UK", "a+b@x.io", " john@example.com "])
@pytest.mark.parametrize("type_", ["crm", "gaid", "hashed_email", "maid"])
def test_i3_an_address_as_id_is_rejected(run: Run, address: str, type_: str) -> None:
    assert judge(run, [address], type_) == ([], {"id_is_email": 1})


WRONG_FORMS = {
    "uuid": ["1" * 37, "1" * 39, "1" * 37 + "a"],
    "ecid": ["1" * 37, "1" * 39, "1" * 37 + "a"],
    "gaid": [UUID[:-1], UUID.replace("-", ""), "g" + UUID[1:], UUID + "0"],
    "idfa": [UUID[:-1], UUID.replace("-", "")],
    "rida": [UUID[:-1]],
    "maid": ["a_b", "a b", "ü"],
    "tifa": ["a_b", "a.b"],
    "fire": [UUID[:-1]],
    "lgudid": [UUID[:-1]],
    "vizio": ["a-b", "a_b"],
    "hashed_email": ["a" * 63, "a" * 65, "g" * 64],
}


@pytest.mark.parametrize("type_", WRONG_FORMS)
def test_i7_an_id_of_the_wrong_form_for_its_type_is_rejected(run: Run, type_: str) -> None:
    assert judge(run, WRONG_FORMS[type_], type_) == ([], {"id_wrong_form": len(WRONG_FORMS[type_])})


RIGHT_FORMS = {
    "uuid": ("68079982765673198504052656074456196039", "68079982765673198504052656074456196039"),
    "ecid": ("68079982765673198504052656074456196039", "68079982765673198504052656074456196039"),
    "gaid": (UUID.upper(), UUID),
    "idfa": (UUID, UUID.upper()),
    "rida": (UUID.upper(), UUID),
    "maid": ("aB3", "aB3"),
    "tifa": (UUID, UUID),
    "fire": (f" {UUID.upper()} ", UUID),
    "lgudid": (UUID.title(), UUID),
    "vizio": ("Ab0", "Ab0"),
    "hashed_email": ("A" * 64, "a" * 64),
}


@pytest.mark.parametrize("type_", RIGHT_FORMS)
def test_i7_an_id_of_the_right_form_takes_the_case_that_adobe_wants(run: Run, type_: str) -> None:
    given, written = RIGHT_FORMS[type_]
    assert judge(run, [given], type_) == ([written], {})


def test_every_type_of_id_has_tests_of_its_form() -> None:
    assert set(WRONG_FORMS) == set(RIGHT_FORMS) == set(ID_TYPES) - {"crm"}


@pytest.mark.parametrize("type_", [name for name, type_ in ID_TYPES.items() if type_.device])
def test_i2_an_all_zero_device_id_is_rejected(run: Run, type_: str) -> None:
    zero = "00000000-0000-0000-0000-000000000000"
    zero = "0000" if ID_TYPES[type_].form == ID_TYPES["vizio"].form else zero
    assert judge(run, [zero], type_) == ([], {"id_all_zero": 1})


def test_i7_a_hyphen_in_a_microsoft_or_samsung_id_is_a_warning(run: Run) -> None:
    report = run.convert("id,a\na-b,x\nab,x\n", id={"type": "tifa"}, output={"dpid": 963906, "target": 1})
    (warning,) = report.warnings
    assert warning.code == "W-ID-WITH-HYPHEN"
    check_named(warning.message, "id_with_hyphen: 1 ")
    assert report.records["rejected"] == {}


@pytest.mark.parametrize("over", [0, 1])
def test_c8_a_line_of_more_than_102400_bytes_is_rejected(run: Run, over: int) -> None:
    frame = len('2\t"a"=""\n')
    value = "é" * ((LINE_BYTES.value - frame) // 2) + "x" * ((LINE_BYTES.value - frame) % 2 + over)
    assert rejected(run, f"id,a\n1,x\n2,{value}\n3,y\n") == ({"line_too_long": 1} if over else {})
    assert len(run.lines) == 3 - over
    assert max(map(len, run.text.split(b"\n"))) + 1 == (LINE_BYTES.value if not over else len('1\t"a"="x"\n'))


def test_z1_a_line_that_fits_no_part_is_rejected(run: Run) -> None:
    content = f"id,a\n1,x\n2,{'y' * 500}\n3,z\n"
    assert rejected(run, content, output={"max_part_raw_bytes": "300B"}) == {"line_fits_no_part": 1}
    assert run.lines == ['1\t"a"="x"', '3\t"a"="z"']


def test_c1_a_row_without_signals_is_skipped(run: Run) -> None:
    report = run.convert("id,a,t\n1,,\n2,x,\n3,,7\n4,,seven\n", record={"signals": ["a"], "traits": ["t"]})
    assert report.records["rejected"] == {}
    assert report.records["skipped"] == {"no_signal": 2}
    assert run.lines == ['2\t"a"="x"', "3\td_sid=7"]


def test_c1_with_a_constant_signal_a_bare_list_of_ids_works(run: Run) -> None:
    record = {"signals": [{"key": "source", "value": "crm"}], "traits": [8100]}
    run.convert("id\n1\n2\n", record=record)
    assert run.lines == ['1\t"source"="crm",d_sid=8100', '2\t"source"="crm",d_sid=8100']


BAD_VALUES = 'id,a,b\n1,"x\ty",1\n2,"two\r\nlines",2\n3,"say ""hi""",3\n4,nul\0nul,4\n5,plain,5\n'


def test_c6_bad_values_are_cleaned_and_counted(run: Run) -> None:
    report = run.convert(BAD_VALUES, record={"signals": ["a"]})
    assert run.lines == [
        '1\t"a"="x y"',
        '2\t"a"="two lines"',
        '3\t"a"="say \'hi\'"',
        '4\t"a"="nul nul"',
        '5\t"a"="plain"',
    ]
    assert report.signals["changed"] == {"value_cleaned": 4}
    assert report.signals["dropped"] == {}


def test_c6_bad_values_are_dropped_where_asked(run: Run) -> None:
    report = run.convert(BAD_VALUES, record={"signals": ["a", "b"], "on_bad_value": "drop"})
    assert run.lines == ['1\t"b"="1"', '2\t"b"="2"', '3\t"b"="3"', '4\t"b"="4"', '5\t"a"="plain","b"="5"']
    assert report.signals["dropped"] == {"value_dropped": 4}
    assert report.signals["written"] == 6


def test_i3_a_value_that_would_be_dropped_is_scanned_before(run: Run) -> None:
    rows = 'id,a,b\n1,"""John"" j@example.com",x\n2,"a ""b""",y\n'
    report = run.convert(rows, record={"signals": ["a", "b"], "on_bad_value": "drop"})
    assert report.records["rejected"] == {"value_personal": 1}
    assert report.signals["dropped"] == {"value_dropped": 1}
    assert run.lines == ['2\t"b"="y"']


def test_c6_rows_with_bad_values_are_rejected_where_asked(run: Run) -> None:
    report = run.convert(BAD_VALUES, record={"signals": ["a"], "on_bad_value": "reject"})
    assert report.records["rejected"] == {"bad_value": 4}
    assert run.lines == ['5\t"a"="plain"']
    assert [row["row"] for row in run.rejects] == [2, 3, 5, 6]


def test_c6_missing_values_are_left_out_and_counted(run: Run) -> None:
    report = run.convert('id,a,b\n1,,x\n2,"",x\n3,y,\n4,y,z\n', record={"signals": ["a", "b"]})
    assert run.lines == ['1\t"b"="x"', '2\t"b"="x"', '3\t"a"="y"', '4\t"a"="y","b"="z"']
    assert report.signals == {"written": 5, "dropped": {"value_missing": 3}, "changed": {}}


def test_c2_a_comma_in_a_value_is_kept_in_its_quotes(run: Run) -> None:
    run.convert('id,a\n1,"x, y"\n')
    assert run.lines == ['1\t"a"="x, y"']


def test_c2_a_comma_in_a_value_is_replaced_where_asked(run: Run) -> None:
    record = {"signals": ["a", {"key": "k", "value": "c,d"}], "comma": ";"}
    report = run.convert('id,a\n1,"x, y"\n2,z\n', record=record)
    assert run.lines == ['1\t"a"="x; y","k"="c;d"', '2\t"a"="z","k"="c;d"']
    assert report.signals["changed"] == {"comma_replaced": 1}


def test_c3_a_trait_that_is_not_digits_is_dropped_and_counted(run: Run) -> None:
    content = "id,t\n1,7|8\n2,7|x|8\n3, 7 | 8 \n4,|7||8|\n5,７\n6,7\n7,-1|2.0|+3\n"
    report = run.convert(content, record={"signals": [], "traits": ["t"]})
    assert run.lines == [
        "1\td_sid=7,d_sid=8",
        "2\td_sid=7,d_sid=8",
        "3\td_sid=7,d_sid=8",
        "4\td_sid=7,d_sid=8",
        "6\td_sid=7",
    ]
    assert report.signals == {"written": 9, "dropped": {"trait_not_digits": 1}, "changed": {}}
    assert report.records["rejected"] == {}
    assert report.records["skipped"] == {"no_signal": 2}


def test_c2_removed_traits_and_integration_codes_have_their_own_forms(run: Run) -> None:
    record = {
        "signals": ["a"],
        "traits": [{"column": "t", "separator": ";"}, 5],
        "removed_traits": ["r", 6],
        "integration_codes": ["c", {"value": "gold"}],
    }
    report = run.convert('id,a,t,r,c\n1,x,1;2,3|4,gold plus|"b""c"|s-1\n', record=record)
    assert run.lines == ['1\t"a"="x",d_sid=1,d_sid=2,d_sid=5,d_unsid=3,d_unsid=4,d_unsid=6,ic=gold plus,ic=s-1,ic=gold']
    assert report.signals == {"written": 10, "dropped": {"integration_code_not_clean": 1}, "changed": {}}


def test_c12_the_case_of_ids_is_kept_or_changed_as_asked(fresh_run) -> None:  # type: ignore[no-untyped-def]
    for case, ids in {"preserve": ["User1", "ÜB"], "lower": ["user1", "üb"], "upper": ["USER1", "ÜB"]}.items():
        run = fresh_run()
        run.convert("id,a\nUser1,x\nÜB,x\n", id={"case": case})
        assert [line.partition("\t")[0] for line in run.lines] == ids


def test_ids_are_trimmed_unless_asked_not_to(fresh_run) -> None:  # type: ignore[no-untyped-def]
    for trim, id_ in {True: "7 8", False: " 7 8\u2003"}.items():
        run = fresh_run()
        run.convert("id,a\n 7 8\u2003,x\n", id={"trim": trim})
        assert run.lines == [f'{id_}\t"a"="x"']


def test_the_first_rule_that_rejects_a_row_is_its_reason(run: Run) -> None:
    assert rejected(run, "id,a\na:b@example.com,\n,\n1,x\n") == {"id_is_email": 1, "id_missing": 1}


def test_every_rule_names_its_code_its_page_and_what_to_do() -> None:
    named = [value for value in vars(rules).values() if isinstance(value, rules.Rule | rules.IdRule)]
    named += [rule for type_ in ID_TYPES.values() for rule in rules.id_rules(type_)] + list(rules.line_rules(10))
    assert all(
        rule.code and rule.name.isidentifier() and rule.hint.endswith(".") and rule.page.endswith(".md")
        for rule in named
    )
    by_name: dict[str, set[str]] = {}
    for rule in named:
        by_name.setdefault(rule.name, set()).add(rule.code)
    assert all(len(codes) == 1 for codes in by_name.values())
