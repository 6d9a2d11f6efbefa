"""The job: what is wrong with it in a sentence, what it never shows, and that file and flags make the same."""

from __future__ import annotations

import errno
import json
import os
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from converter import Job
from converter.cli.convert import _job
from converter.errors import JobError
from converter.jobs.document import Section, merge, parse_setting
from converter.jobs.sections.output import Output
from converter.jobs.sections.report import ReportOptions
from converter.jobs.sections.table import Input
from converter.spec.ids import GLOBAL_DATA_SOURCES

from .errors import check_named, raises, told

RIGHT: dict[str, Any] = {
    "input": {"path": "in.csv"},
    "id": {"column": "id"},
    "record": {"signals": ["a"]},
    "output": {"to": "out", "dpid": 1234},
}
SECRET = "tops3cret"
PASSWORD = "hunter2"
COMPRESSION_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/inbound-file-compression.md"
NAMES_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/inbound-s3-filenames.md"


def job(changes: dict[str, Any]) -> Job:
    return Job(**merge(RIGHT, changes))


def refused(changes: dict[str, Any], code: str = "E-JOB-INVALID") -> str:
    """Make a job that is refused with a code; what is said."""
    with raises(JobError, code) as caught:
        job(changes)
    assert caught.value.exit_code == 2
    return str(caught.value)


def check_refused(changes: dict[str, Any], key: str, *named: str) -> None:
    """Check that a job is refused in one line, which begins with the key that is wrong and names all of `named`."""
    said = refused(changes)
    assert said.startswith(f"{key} "), said
    assert said.isprintable()
    check_named(said, *named)


def at(key: str, value: Any) -> dict[str, Any]:
    """Nested data with one value, `output.dpid` being the key."""
    for name in reversed(key.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def signal(**fields: Any) -> dict[str, Any]:
    return at("record.signals", [fields])


# --- unknown and missing keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key, named",
    [
        ("outpt", ["'output'?"]),
        ("zzz", ["input, id, record, sync, output, privacy, delta, s3, ftp, sftp, http, gs, az, pgp, report, run"]),
        ("output.dpidd", ["'dpid'?"]),
        ("output.DPID", ["'dpid'?"]),
        ("input.seperator", ["'separator'?"]),
        (
            "report.zzz",
            [
                "dir, lease_seconds, max_rejects, max_change, max_cleared, rejects_file_rows, traits, show_rows, page, keep"
            ],
        ),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_or_all_known_ones(key: str, named: list[str]) -> None:
    check_refused(at(key, 1), key, *named)


@pytest.mark.parametrize("where, wrong, known", [("signals", "kee", "key"), ("traits", "seperator", "separator")])
def test_an_unknown_key_of_an_item_is_told_with_its_place(where: str, wrong: str, known: str) -> None:
    changes = at(f"record.{where}", ["a", {"column": "b", wrong: "|"}])
    check_refused(changes, f"record.{where}[1].{wrong}", f"'{known}'?")


@pytest.mark.parametrize("key, belongs", [("output.signals", "record.signals"), ("input.dpid", "output.dpid")])
def test_a_key_in_the_wrong_section_is_told_with_the_right_one(key: str, belongs: str) -> None:
    check_refused(at(key, 1), key, belongs)


@pytest.mark.parametrize(
    "key, named",
    [
        ("id", ["--id COLUMN"]),
        ("record", ["--signal COLUMN", "--trait COLUMN"]),
        ("output", ["--to FOLDER", "--dpid NUMBER"]),
        ("id.column", ["--id COLUMN"]),
        ("output.to", ["--to FOLDER"]),
        ("output.dpid", ["--dpid NUMBER"]),
        ("record.signals", ["record.signals", "record.traits", "--signal COLUMN", "--trait COLUMN"]),
    ],
)
def test_a_missing_key_is_told_with_its_flag(key: str, named: list[str]) -> None:
    section, _, name = key.partition(".")
    kept = {k: v for k, v in RIGHT[section].items() if k != name}
    data = {k: v for k, v in RIGHT.items() if k != section} | ({section: kept} if name else {})
    with raises(JobError, "E-JOB-INVALID", *named) as caught:
        Job(**data)
    assert str(caught.value).startswith(f"{section if key == 'record.signals' else key} ")


def test_all_that_is_wrong_is_told_a_line_each() -> None:
    said = refused({"output": {"dpid": "x", "mode": "y"}, "idd": {}})
    assert [line.split()[0] for line in said.splitlines()] == ["output.dpid", "output.mode", "idd"]


# --- wrong values -----------------------------------------------------------------------------------------------

SIZE = '"250MB"'
SEPARATOR = "ASCII"
ENCODING = '"utf-8"'
REJECTS = '"10%"'
MODES = "'sync' or 'overwrite'"


@pytest.mark.parametrize(
    "key, value, needed",
    [
        ("output.mode", "overwrte", "'overwrite'?"),
        ("output.mode", "zzz", MODES),
        ("output.mode", 5, MODES),
        ("output.kind", "odd", "'odc'?"),
        ("output.compression", "gz", "'gzip'?"),
        ("record.on_bad_value", "rejct", "'reject'?"),
        ("input.format", "xls", "'excel'"),
        ("output.dpid", "12x", "number"),
        ("output.dpid", 1.5, "number"),
        ("output.dpid", True, "number"),
        ("output.dpid", [1], "number"),
        ("output.target", "x", "number"),
        ("run.threads", "many", "number"),
        ("input.header", "maybe", "true"),
        ("id.trim", 5, "true"),
        ("id.column", 5, "text"),
        ("output.to", 5, "text"),
        ("record.signals", "a", "list"),
        ("input.columns", "a", "list"),
        ("output", "out", "[output]"),
        ("record", 3, "[record]"),
        ("report", "reports", "[report]"),
        ("output.timestamp", "soon", "number"),
        ("output.max_part_bytes", "big", SIZE),
        ("output.max_part_bytes", "250 XB", SIZE),
        ("output.max_part_bytes", "-1MB", SIZE),
        ("output.max_part_bytes", "1.1.1MB", SIZE),
        ("output.max_part_bytes", "", SIZE),
        ("input.separator", "||", SEPARATOR),
        ("input.separator", "", SEPARATOR),
        ("input.separator", '"', SEPARATOR),
        ("input.separator", "é", SEPARATOR),
        ("input.encoding", "utf8x", ENCODING),
        ("input.encoding", "", ENCODING),
        ("input.encoding", "base64", ENCODING),
        ("input.encoding", "undefined", ENCODING),
        ("report.max_rejects", "abc", REJECTS),
        ("report.max_rejects", "101%", REJECTS),
        ("report.max_rejects", "100.1%", REJECTS),
        ("report.max_rejects", "-1", REJECTS),
        ("report.max_rejects", "1.5", REJECTS),
        ("report.max_rejects", "", REJECTS),
        ("report.max_rejects", True, REJECTS),
        ("record.comma", ",", "newline"),
        ("record.comma", '"', "newline"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_needed(key: str, value: object, needed: str) -> None:
    check_refused(at(key, value), key, f"'{value}'", needed)


@pytest.mark.parametrize(
    "changes, key, named",
    [
        (at("input.path", []), "input.path", ["empty"]),
        (at("input.path", ["a", 5]), "input.path[1]", ["'5'", "text"]),
        (at("input.header", False), "input.columns", ["input.header"]),
        (at("input", {"header": False, "columns": ["a", "a"]}), "input.columns", ["twice"]),
        (at("id", {"type": "idfa", "case": "lower"}), "id.case", ["'lower'", "idfa", "upper"]),
        (at("id", {"type": "hashed_email", "case": "upper"}), "id.case", ["'upper'", "hashed_email", "lower"]),
    ],
)
def test_settings_that_contradict_each_other_are_told(changes: dict[str, Any], key: str, named: list[str]) -> None:
    check_refused(changes, key, *named)


def test_c4_traits_are_not_removed_in_overwrite_mode() -> None:
    changes = {"record": {"removed_traits": [1]}, "output": {"mode": "overwrite"}}
    check_refused(changes, "record.removed_traits", "output.mode", "'overwrite'", "(C4)")
    assert job({"record": {"removed_traits": [1]}}).record.removed_traits[0].value == "1"


@pytest.mark.parametrize("timestamp", [123456789, 12345678901, 1366545717000, 0, -123456789, -1366545717])
def test_n2_a_timestamp_has_ten_digits(timestamp: int) -> None:
    check_refused(at("output.timestamp", timestamp), "output.timestamp", f"'{timestamp}'", "10 digits", "(N2)")


@pytest.mark.parametrize(
    "key, value, most, page",
    [
        ("max_part_bytes", 1_000_000_001, "1,000,000,000", COMPRESSION_PAGE),
        ("max_part_bytes", "1GiB", "1,000,000,000", COMPRESSION_PAGE),
        ("max_part_bytes", "99B", "1,000,000,000", COMPRESSION_PAGE),
        ("max_part_raw_bytes", 5_000_000_001, "5,000,000,000", NAMES_PAGE),
        ("max_part_raw_bytes", "6GB", "5,000,000,000", NAMES_PAGE),
        ("max_part_raw_bytes", "99B", "5,000,000,000", NAMES_PAGE),
    ],
)
def test_z1_a_part_is_neither_too_large_nor_too_small(key: str, value: object, most: str, page: str) -> None:
    check_refused(at(f"output.{key}", value), f"output.{key}", f"'{value}'", "100", most, "Z1", page)


@pytest.mark.parametrize("dpid, type_", [(dpid, type_.name) for dpid, type_ in GLOBAL_DATA_SOURCES.items()])
def test_n4_a_global_data_source_needs_a_target(dpid: int, type_: str) -> None:
    check_refused(at("output.dpid", dpid), "output.target", str(dpid), type_, "(N4)")
    assert job({"id": {"type": type_}, "output": {"dpid": dpid, "target": 5678}}).warnings == []


@pytest.mark.parametrize("dpid", [0, 1, 20913])
def test_n4_other_data_sources_need_no_target(dpid: int) -> None:
    assert job(at("output.dpid", dpid)).output.target is None


@pytest.mark.parametrize(
    "key, value",
    [
        ("output.dpid", -1),
        ("output.target", -1),
        ("run.threads", 0),
        ("run.threads", 2000),
        ("input.encoding", "utf-8\0"),
        ("input.separator", "\n"),
        ("input.separator", "\r"),
        ("record.comma", "\n"),
    ],
)
def test_a_sentence_is_in_our_words_and_on_one_line(key: str, value: object) -> None:
    check_refused(at(key, value), key)
    assert not any(word in refused(at(key, value)) for word in ("input should", "embedded"))


@pytest.mark.parametrize("where", ["signals", "traits"])
@pytest.mark.parametrize("item", [5.5, True])
def test_an_item_of_a_wrong_type_is_not_told_to_be_a_toml_section(where: str, item: object) -> None:
    check_refused(at(f"record.{where}", [item]), f"record.{where}[0]", f"'{item}'")
    assert f"[record.{where}[0]]" not in refused(at(f"record.{where}", [item]))


def test_an_absurd_size_is_an_error_like_any_other() -> None:
    check_refused(at("output.max_part_bytes", "9" * 400 + "GB"), "output.max_part_bytes", "'999")


# --- signals and traits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["-a", "--", "-"])
def test_c5_a_key_never_starts_with_a_dash(key: str) -> None:
    check_refused(signal(column="c", key=key), "record.signals[0]", f"'{key}'", "(C5)", '{ column = "c", key = "…" }')


@pytest.mark.parametrize("key", ['a"b', "a=b", "a,b", "a\tb", "a\nb", "a\rb", "a\x7fb"])
def test_c2_c6_a_key_holds_nothing_that_separates(key: str) -> None:
    for item in ({"column": "c", "key": key}, {"key": key, "value": "x"}, {"column": key}):
        check_refused(signal(**item), "record.signals[0]", "(C2, C6)")


@pytest.mark.parametrize("key", ["", " "])
def test_c2_a_key_is_not_empty(key: str) -> None:
    check_refused(signal(column="c", key=key), "record.signals[0]", "empty", "(C2)")


@pytest.mark.parametrize(
    "key, setting", [("d_sid", "traits"), ("d_unsid", "removed_traits"), ("ic", "integration_codes")]
)
@pytest.mark.parametrize("form", [str.lower, str.upper, str.title])
def test_c2_a_key_with_another_meaning_is_told_with_the_setting_to_use(key: str, setting: str, form: Any) -> None:
    for item in (form(key), {"column": "c", "key": form(key)}, {"key": form(key), "value": "x"}):
        changes = at("record.signals", [item])
        check_refused(changes, "record.signals[0]", f"'{form(key)}'", "(C2)", f"record.{setting}")


@pytest.mark.parametrize("value", ["", 'a"b', "a\tb", "a\nb", "a\x00b"])
def test_c6_a_constant_value_is_not_empty_and_holds_nothing_that_separates(value: str) -> None:
    check_refused(signal(key="k", value=value), "record.signals[0]", "'k'", "(C6)")


@pytest.mark.parametrize("item", [{}, {"key": "k"}, {"column": "a", "key": "k", "value": "x"}])
def test_a_signal_is_a_column_or_a_constant(item: dict[str, str]) -> None:
    forms = ['{ column = "…", key = "…" }', '{ key = "…", value = "…" }']
    check_refused(signal(**item), "record.signals[0]", *forms)


@pytest.mark.parametrize("trait", ["12a", "1.5", "", "-1", " 1", "١"])
def test_c3_a_constant_trait_is_digits_only(trait: str) -> None:
    for where in ("traits", "removed_traits"):
        check_refused(at(f"record.{where}", [{"value": trait}]), f"record.{where}[0]", f"'{trait}'", "(C3)")
    check_refused(at("record.traits", [-5]), "record.traits[0]", "(C3)")


@pytest.mark.parametrize("code", ["a,b", 'a"', "a\tb", ""])
def test_c2_a_constant_integration_code_holds_nothing_that_separates(code: str) -> None:
    check_refused(at("record.integration_codes", [{"value": code}]), "record.integration_codes[0]", "(C2)")


@pytest.mark.parametrize("separator", ["||", "", "a", "1", '"', "\n", "é"])
def test_a_separator_of_traits_is_one_character_that_no_trait_holds(separator: str) -> None:
    check_refused(at("record.traits", [{"column": "t", "separator": separator}]), "record.traits[0]", "ASCII")


def test_short_and_long_forms_mean_the_same() -> None:
    short = job({"record": {"signals": ["a"], "traits": "t", "removed_traits": 7, "integration_codes": ["c"]}})
    long = job(
        {
            "input": {"path": ["in.csv"]},
            "record": {
                "signals": [{"column": "a", "key": "a"}],
                "traits": [{"column": "t", "separator": "|"}],
                "removed_traits": [{"value": "7"}],
                "integration_codes": [{"column": "c"}],
            },
        }
    )
    assert short.model_dump() == long.model_dump()
    assert short.columns == ("id", "a", "t", "c")


def test_what_is_allowed_but_most_likely_not_meant_is_a_warning() -> None:
    assert job({}).warnings == []
    (warning,) = job({"id": {"type": "gaid"}}).warnings
    assert warning.code == "W-ID-TYPE-SOURCE"
    check_named(warning.message, "gaid", "20914", "output.dpid", "1234")
    (warning,) = job({"output": {"dpid": 20915, "target": 1, "force": True}}).warnings
    assert warning.code == "W-SOURCE-ID-TYPE"
    check_named(warning.message, "20915", "idfa", "id.type", "crm")
    check_refused({"output": {"dpid": 20915, "target": 1}}, "output.dpid", "20915", "idfa", "id.type", "crm", "--force")


@pytest.mark.parametrize("type_", ["uuid", "ecid"])
def test_n6_ids_of_audience_manager_in_data_files_go_to_a_data_source_of_ones_own(type_: str) -> None:
    assert job({"id": {"type": type_}}).warnings == []
    assert [each.code for each in job({"id": {"type": type_}, "output": {"dpid": 0}}).warnings] == ["W-SOURCE-ZERO"]


def test_n6_customer_ids_to_data_source_zero_are_warned_of() -> None:
    (warning,) = job({"output": {"dpid": 0}}).warnings
    assert warning.code == "W-SOURCE-ZERO"
    check_named(str(warning), "output.dpid", "uuid")


@pytest.mark.parametrize(
    "key, fine",
    [
        *((key, True) for key in ("price123", "123price", "price-123", "c_price123")),
        *((key, False) for key in ("123", "price!123", "Größe", "a b", "x.y")),
    ],
)
def test_c16_a_key_that_no_trait_rule_can_name_is_warned_of(key: str, fine: bool) -> None:
    warnings = job({"record": {"signals": [{"column": "a", "key": key}]}}).warnings
    assert [each.code for each in warnings] == ([] if fine else ["W-KEY-UNNAMEABLE"])
    assert fine or key in warnings[0].message


# --- what was most likely meant ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key, value, meant",
    [
        ("id.type", "ios", "idfa"),
        ("id.type", "Android", "gaid"),
        ("id.type", "email", "hashed_email"),
        ("input.format", "jsonl", "ndjson"),
        ("input.format", "xlsx", "excel"),
        ("output.mode", "replace", "overwrite"),
        ("output.compression", "gz", "gzip"),
    ],
)
def test_other_words_for_a_value_name_the_one_that_is_meant(key: str, value: str, meant: str) -> None:
    check_refused(at(key, value), key, f"'{value}'", f"'{meant}'?")


def test_what_another_key_means_is_not_suggested() -> None:
    with raises(JobError, "E-JOB-INVALID") as raised:
        job(at("output.mode", "ios"))
    assert "did you mean" not in str(raised.value)


@pytest.mark.parametrize(
    "key, items, named",
    [
        ("signals", ["a", "b", "a"], "the column 'a' twice (items 1 and 3)"),
        ("signals", [{"column": "a", "key": "k"}, {"column": "a", "key": "k"}], "the column 'a' twice"),
        ("signals", [{"key": "k", "value": "v"}] * 2, "the constant 'v' twice"),
        ("traits", ["t", "t"], "the column 't' twice"),
        ("removed_traits", [1, 1], "the constant '1' twice"),
        ("integration_codes", ["t", "t"], "the column 't' twice"),
    ],
)
def test_what_a_row_says_is_named_once(key: str, items: list[Any], named: str) -> None:
    check_refused({"record": {key: items}}, f"record.{key}", named)


def test_a_column_may_be_sent_under_several_keys() -> None:
    assert job({"record": {"signals": ["a", {"column": "a", "key": "b"}]}}).columns == ("id", "a")


def test_several_columns_in_one_signal_are_given_one_by_one() -> None:
    said = ("'City, Country'", "--signal City --signal Country")
    check_refused({"record": {"signals": ["City, Country"]}}, "record.signals[0]", *said)


def test_a_size_as_text_needs_a_unit() -> None:
    check_refused(at("output.max_part_bytes", "250"), "output.max_part_bytes", '"250MB"', '"250B"')


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://me:{PASSWORD}/x@host/in",
        f"ftp://me:12/{PASSWORD}@host/in",
        f"ftps://me:a@{PASSWORD}/x@host/in",
        f"sftp://me:{PASSWORD}#x@host/in",
        f"sftp://me:{PASSWORD}?x@host",
        f"sftp://me:{PASSWORD}[x@host",
        "sftp://host:22/in@home",
    ],
)
def test_characters_that_separate_the_parts_of_a_url_are_named(url: str) -> None:
    with raises(JobError, "E-TO-MALFORMED", "'@' as %40", "'/' as %2F") as raised:
        job(at("output.to", url))
    assert PASSWORD not in told(raised.value)


@pytest.mark.parametrize(
    "url", ["ftp://me:a@b:c@host/in", "sftp://me@host:22/in%40home", "sftp://me@host/in@home", "s3://bucket/a@b"]
)
def test_urls_of_which_the_parts_are_clear_are_accepted(url: str) -> None:
    assert job(at("output.to", url)).output.to == url


def test_a_login_in_a_url_of_s3_names_the_variables() -> None:
    with raises(JobError, "E-TO-MALFORMED", "AWS_SECRET_ACCESS_KEY") as raised:
        job(at("output.to", f"s3://KEY:{PASSWORD}/x@bucket/in"))
    assert PASSWORD not in told(raised.value)


# --- sizes and rejects ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, size",
    [
        ("500B", 500),
        ("250KB", 250_000),
        ("250MB", 250_000_000),
        ("1GB", 1_000_000_000),
        ("1KiB", 1_024),
        ("1MiB", 1_048_576),
        ("0.5GiB", 536_870_912),
        ("250mb", 250_000_000),
        (" 2 mib ", 2_097_152),
        ("2.5MB", 2_500_000),
        ("1.001KB", 1_001),
        (12345, 12345),
    ],
)
def test_kb_counts_in_thousands_and_kib_in_1024(text: object, size: int) -> None:
    assert job(at("output.max_part_bytes", text)).output.max_part_bytes == size


def test_z1_the_largest_and_smallest_parts_are_allowed() -> None:
    assert (
        job(at("output", {"max_part_bytes": "1GB", "max_part_raw_bytes": "5GB"})).output.max_part_raw_bytes == 5 * 10**9
    )
    assert job(at("output", {"max_part_bytes": "100B", "max_part_raw_bytes": 1000})).output.max_part_bytes == 100


@pytest.mark.parametrize(
    "key", ["output.max_part_bytes", "output.max_part_raw_bytes", "output.bandwidth", "run.memory"]
)
def test_a_small_number_of_bytes_needs_its_unit(key: str) -> None:
    with raises(JobError, "E-JOB-INVALID", key, '"250MB"', '"250B"'):
        job(at(key, 250))


@pytest.mark.parametrize(
    "most, rejected, read, allowed",
    [
        (5, 5, 10, True),
        (5, 6, 10, False),
        ("5", 5, 10**9, True),
        ("0", 0, 10, True),
        ("0", 1, 10, False),
        ("0%", 0, 10, True),
        ("0%", 1, 10**9, False),
        ("5%", 5, 100, True),
        ("5%", 6, 100, False),
        ("5 %", 5, 100, True),
        ("0.5%", 1, 200, True),
        ("0.5%", 1, 199, False),
        ("0.57%", 57, 10_000, True),
        ("0.57%", 58, 10_000, False),
        ("100%", 10, 10, True),
        ("5%", 0, 0, True),
    ],
)
def test_max_rejects_allows_exactly_so_many(most: object, rejected: int, read: int, allowed: bool) -> None:
    assert ReportOptions(max_rejects=most).allows(rejected, read) is allowed


# --- the environment and what is never shown --------------------------------------------------------------------


def test_a_variable_takes_its_value_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDER", "elsewhere")
    monkeypatch.setenv("NUMBER", "987")
    made = job(
        {"output": {"to": "${FOLDER}/x", "dpid": "${NUMBER}"}, "input": {"path": ["a", "${FOLDER}/${NUMBER}.csv"]}}
    )
    assert (made.output.to, made.output.dpid, made.input.path) == ("elsewhere/x", 987, ("a", "elsewhere/987.csv"))


def test_what_a_variable_holds_is_not_expanded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "${HOME}")
    assert job(at("id.prefix", "${NAME}")).ids[0].prefix == "${HOME}"


@pytest.mark.parametrize("text", ["$HOME", "${}", "${a-b}", "$${", "{HOME}"])
def test_only_a_name_in_braces_is_a_variable(text: str) -> None:
    assert job(at("id.prefix", text)).ids[0].prefix == text


@pytest.mark.parametrize(
    "changes, key",
    [
        (at("output.to", "out/${NOT_SET}"), "output.to"),
        (at("input.path", ["a", "${NOT_SET}"]), "input.path"),
        (at("output.dpid", "${NOT_SET}"), "output.dpid"),
    ],
)
def test_a_variable_that_is_not_set_is_told(changes: dict[str, Any], key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    check_named(refused(changes, "E-VARIABLE-UNSET"), key, "NOT_SET")


@pytest.mark.parametrize(
    "changes",
    [
        at("output.mode", "${VAR}"),
        at("output.dpid", "${VAR}"),
        at("output.timestamp", "${VAR}"),
        at("output.max_part_bytes", "${VAR}"),
        at("output", "${VAR}"),
        at("output", {"to": "${VAR}", "mode": "x"}),
        at("id.type", "${VAR}"),
        at("id.case", "${VAR}"),
        at("input.encoding", "${VAR}"),
        at("input.separator", "${VAR}"),
        at("input.header", "${VAR}"),
        at("input.path", ["${VAR}", 5]),
        at("report.max_rejects", "${VAR}"),
        at("run.threads", "${VAR}"),
        at("record.comma", "${VAR},"),
        at("record.signals", "${VAR}"),
        at("record.signals", ["-${VAR}"]),
        signal(column="a", key="-${VAR}"),
        signal(column="a", key="a=${VAR}"),
        signal(column="${VAR}", key="a,b"),
        signal(key="${VAR}", value=""),
        signal(key="k", value='"${VAR}'),
        at("record.traits", [{"value": "${VAR}"}]),
        at("record.traits", [{"column": "t", "separator": "${VAR}"}]),
        at("record.integration_codes", [{"value": "${VAR},"}]),
    ],
    ids=str,
)
def test_a_secret_is_in_no_error(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAR", SECRET)
    assert SECRET not in refused(changes)


def test_a_secret_is_in_no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAR", "overwritten")
    said = refused(at("output.mode", "${VAR}"))
    check_named(said, "output.mode", "'${VAR}'")
    assert "did you mean" not in said, "what is near to a secret tells of it"


WITH_SECRET = [
    at("input.path", "${VAR}"),
    at("input.path", ["a", "x/${VAR}"]),
    at("input.columns", ["a", "${VAR}"]),
    at("input.null_values", "${VAR}"),
    at("id.column", "${VAR}"),
    at("output.to", "ftp://me:${VAR}@host/x"),
    at("report.dir", "${VAR}"),
    at("record.signals", ["${VAR}"]),
    at("record.signals", ["b", {"column": "${VAR}"}]),
    signal(column="${VAR}", key="k"),
    signal(column="a", key="${VAR}"),
    signal(key="k", value="${VAR}"),
    at("record.traits", "${VAR}"),
    at("record.traits", ["t", "${VAR}"]),
    at("record.traits", {"column": "${VAR}"}),
    at("record.integration_codes", ["${VAR}"]),
    at("record.integration_codes", [{"value": "${VAR}"}]),
]


@pytest.mark.parametrize("changes", WITH_SECRET, ids=str)
def test_a_secret_is_not_in_the_public_job(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAR", SECRET)
    made = job(changes)
    assert SECRET in made.model_dump_json(), "the job itself has it"
    shown = json.dumps(made.public())
    assert SECRET not in shown
    assert "${VAR}" in shown


def test_a_secret_that_is_a_number_is_not_in_the_public_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAR", "987654")
    made = job(at("output.dpid", "${VAR}"))
    assert made.output.dpid == 987654
    assert made.public()["output"]["dpid"] == "${VAR}"


def test_a_secret_is_not_in_the_repr_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAR", SECRET)
    made = job(at("output.to", "ftp://me:${VAR}@host"))
    assert SECRET not in repr(made)
    assert SECRET not in str(made)


def test_a_secret_is_taken_out_of_paths_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAR", SECRET)
    made = job({"input": {"path": ["a", "in/${VAR}.csv"]}, "output": {"to": "ftp://me:${VAR}@host"}})
    assert made.conceal(f"There is no 'in/{SECRET}.csv'.") == "There is no 'in/${VAR}.csv'."
    assert SECRET not in made.conceal(f"Cannot reach ftp://me:{SECRET}@host.")
    assert job({}).conceal("in.csv is empty.") == "in.csv is empty."


@pytest.mark.parametrize(
    "url, shown",
    [
        (f"ftp://me:{PASSWORD}@host/x", "ftp://me:***@host/x"),
        (f"sftp://key:{PASSWORD}@host", "sftp://key:***@host"),
        (f"ftp://:{PASSWORD}@host", "ftp://:***@host"),
        (f"ftp://me:a:{PASSWORD}@host", "ftp://me:***@host"),
        (f"ftp://me:a@{PASSWORD}@host", "ftp://me:***@host"),
        (f"sftp://key:a%2F{PASSWORD}@host", "sftp://key:***@host"),
        ("ftp://me@host:21/x", "ftp://me@host:21/x"),
        ("out/a:b/c", "out/a:b/c"),
    ],
)
def test_a_password_in_an_address_is_masked_in_the_public_job(url: str, shown: str) -> None:
    public = job({"output": {"to": url}, "input": {"path": ["in.csv", url]}}).public()
    assert public["output"]["to"] == shown
    assert public["input"]["path"] == ["in.csv", shown]


URL = f"ftp://me:{PASSWORD}@host/x"


@pytest.mark.parametrize(
    "changes",
    [
        at("output.to", [URL]),
        at("output.mode", URL),
        at("output.mode", URL + "x" * 100),
        at("output", URL),
        signal(column="a", key=f"{URL},"),
        signal(column=URL, key="a,"),
        signal(key=URL, value=""),
        at("record.traits", [{"value": URL}]),
        at("output.to", URL + "${NOT_SET}"),
    ],
    ids=str,
)
def test_a_password_in_an_address_is_in_no_error(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    code = "E-VARIABLE-UNSET" if "NOT_SET" in str(changes) else "E-JOB-INVALID"
    assert PASSWORD not in refused(changes, code)


def test_a_password_in_a_setting_is_in_no_error() -> None:
    with raises(JobError, "E-SET-MALFORMED") as caught:
        parse_setting(f"output.to:{URL}")
    assert PASSWORD not in str(caught.value)


# --- files, settings and flags ----------------------------------------------------------------------------------


def test_a_missing_job_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with raises(JobError, "E-JOB-MISSING", f"'{path}'", "aam-inbound convert --help"):
        Job.load(path)


@pytest.mark.parametrize(
    "content, code, said",
    [
        (b"\xff\xfe", "E-JOB-READ", "UTF-8"),
        (b"[input\n", "E-JOB-TOML", "line 1"),
        (b"a = 1\na = 2\n", "E-JOB-TOML", "line 2"),
    ],
)
def test_a_job_file_that_cannot_be_read_is_told(content: bytes, code: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(content)
    with raises(JobError, code, f"'{path}'", said):
        Job.load(path)


def test_a_folder_is_no_job_file(tmp_path: Path) -> None:
    with raises(JobError, "E-JOB-READ", f"'{tmp_path}'", os.strerror(errno.EISDIR)):
        Job.load(tmp_path)


def test_changes_go_over_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1\n'
    )
    made = Job.load(path, {"output": {"dpid": 2}, "run": {"threads": 3}})
    assert (made.output.to, made.output.dpid, made.run.threads, made.threads) == (str(tmp_path / "out"), 2, 3, 3)


def test_merging_goes_into_tables_and_replaces_everything_else() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}
    changes = {"a": {"y": [3]}, "b": {"new": 2}, "c": 5, "d": 6}
    assert merge(base, changes) == {"a": {"x": 1, "y": [3]}, "b": {"new": 2}, "c": 5, "d": 6}
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}, "what is merged into stays as it is"


@pytest.mark.parametrize(
    "text, data",
    [
        ("output.mode=overwrite", {"output": {"mode": "overwrite"}}),
        ("output.dpid=12", {"output": {"dpid": 12}}),
        ("id.trim=false", {"id": {"trim": False}}),
        (
            'record.signals=["a", {column = "b", key = "c"}]',
            {"record": {"signals": ["a", {"column": "b", "key": "c"}]}},
        ),
        ('id.column="12"', {"id": {"column": "12"}}),
        ("id.column='a=b'", {"id": {"column": "a=b"}}),
        ("report.max_rejects=5%", {"report": {"max_rejects": "5%"}}),
        ("output.to=${HOME}/out", {"output": {"to": "${HOME}/out"}}),
        ("output.to=007", {"output": {"to": "007"}}),
        ("output.to=a=b", {"output": {"to": "a=b"}}),
        ("input.separator=,", {"input": {"separator": ","}}),
        ("input.separator==", {"input": {"separator": "="}}),
        ('input.quote="', {"input": {"quote": '"'}}),
        ("""input.filter="a b" = 'x'""", {"input": {"filter": """"a b" = 'x'"""}}),
        ("record.comma=", {"record": {"comma": ""}}),
        (" run.threads = 2", {"run": {"threads": 2}}),
        ("run={threads = 2}", {"run": {"threads": 2}}),
        ("a.b.c.d=x", {"a": {"b": {"c": {"d": "x"}}}}),
    ],
)
def test_a_setting_is_toml_where_it_can_be_and_else_a_text(text: str, data: dict[str, Any]) -> None:
    assert parse_setting(text) == data


@pytest.mark.parametrize(
    "text", ['s3.buckets."crm.region=eu', 'input.filter="a', "input.separator='ab", 'output.to= "out', 'x"=1']
)
def test_a_quote_that_is_not_closed_is_told(text: str) -> None:
    with raises(JobError, "E-SET-MALFORMED", f"--set '{text}'", "quote"):
        parse_setting(text)


def test_a_password_with_a_quote_is_not_shown() -> None:
    with raises(JobError, "E-SET-MALFORMED", "--set 'sftp.password…'") as caught:
        parse_setting('sftp.password="hush')
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["output.mode", "", "=x", " =x", ".=x", "output.=x", ".mode=x", "a..b=x"])
def test_what_is_no_setting_is_told(text: str) -> None:
    with raises(JobError, "E-SET-MALFORMED", f"--set '{text}'", "KEY=VALUE"):
        parse_setting(text)


FLAGS = [
    (
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1234',
        {
            "input.path": ["in.csv"],
            "id.column": "id",
            "record.signals": [{"column": "a"}],
            "output.to": "out",
            "output.dpid": 1234,
        },
        [],
    ),
    (
        """
        [input]
        path = ["a.txt", "b.txt"]
        format = "csv"
        separator = ";"
        [id]
        column = "id"
        type = "gaid"
        [record]
        signals = ["a", { column = "city", key = "home_city" }, { key = "source", value = "crm" }]
        traits = ["t", { column = "u", separator = ";" }, 8100099]
        [output]
        to = "out"
        dpid = 20914
        target = 5678
        mode = "overwrite"
        max_part_bytes = "100MB"
        [report]
        dir = "said"
        max_rejects = "5%"
        """,
        {
            "input.path": ["a.txt", "b.txt"],
            "input.format": "csv",
            "id.column": "id",
            "id.type": "gaid",
            "record.traits": [{"column": "t"}, {"column": "u", "separator": ";"}, 8100099],
            "output.to": "out",
            "output.dpid": 20914,
            "output.target": 5678,
            "output.mode": "overwrite",
            "report.max_rejects": "5%",
            "report.dir": "said",
        },
        [
            "input.separator=;",
            'record.signals=["a", {column = "city", key = "home_city"}, {key = "source", value = "crm"}]',
            "output.max_part_bytes=100MB",
        ],
    ),
]


@pytest.mark.parametrize("text, flags, settings", FLAGS, ids=["short", "long"])
def test_a_file_and_flags_make_the_same_job(
    text: str, flags: dict[str, Any], settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "job.toml"
    path.write_text(text)
    from_file = _job(str(path), {}, [])
    from_flags = _job(None, flags, settings)
    assert from_flags == Job(**tomllib.loads(text))
    monkeypatch.chdir(tmp_path)  # to which paths of flags are relative, as those of the file are to it
    assert from_file.digest == from_flags.digest
    located = from_flags.model_dump()
    located["input"]["path"] = tuple(str(tmp_path / each) for each in located["input"]["path"])
    located["output"]["to"] = str(tmp_path / located["output"]["to"])
    located["report"]["dir"] = str(tmp_path / located["report"]["dir"])
    assert from_file.model_dump() == located


def test_a_first_argument_that_is_no_job_file_is_the_first_input() -> None:
    flags = {"id.column": "id", "record.signals": [{"column": "a"}], "output.to": "out", "output.dpid": 1234}
    assert _job("in.csv", flags, []).input.path == ("in.csv",)
    assert _job("in.csv", {**flags, "input.path": ["b.csv", "c.csv"]}, []).input.path == (
        "in.csv",
        "b.csv",
        "c.csv",
    )
    assert _job("in.csv", flags, ["input.path=b.csv"]).input.path == ("in.csv", "b.csv")


@pytest.mark.parametrize("setting", ["input=x", "input.path=5", "input.path=true"])
def test_a_first_argument_and_a_wrong_setting_of_the_input_are_an_error_like_any_other(setting: str) -> None:
    with raises(JobError, "E-JOB-INVALID", "input"):
        _job("in.csv", {"id.column": "id", "output.to": "out", "output.dpid": 1}, [setting, "record.signals=['a']"])


# --- the job as a value -----------------------------------------------------------------------------------------


def test_a_job_is_frozen() -> None:
    made = job({})
    for place, name in ((made, "output"), (made.output, "mode"), (made.record, "signals"), (made.report, "dir")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(place, name, "x")
    assert isinstance(made.record.signals, tuple)


def test_a_job_may_be_made_of_sections() -> None:
    made = Job(**{**RIGHT, "input": Input(path="in.csv"), "output": Output(to="out", dpid=1234)})
    assert made.public() == job({}).public()
    assert made.conceal("in.csv is empty.") == "in.csv is empty."


def test_jobs_are_equal_where_they_ask_for_the_same() -> None:
    assert job({}) == job({"input": {"path": ["in.csv"]}, "record": {"signals": [{"column": "a", "key": "a"}]}})
    assert job({}) != job({"output": {"dpid": 1}})


def _sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation] + [s for field in annotation.model_fields.values() for s in _sections(field.annotation)]
    return [section for inner in get_args(annotation) for section in _sections(inner)]


def test_the_json_schema_has_every_field_of_every_section() -> None:
    schema = Job.model_json_schema()
    sections = dict.fromkeys(_sections(Job))
    assert len(sections) == 26
    for section in sections:
        described = schema if section is Job else schema["$defs"][section.__name__]
        (described,) = [one for one in described.get("anyOf", [described]) if "properties" in one]
        assert list(described["properties"]) == list(section.model_fields)
        assert described["additionalProperties"] is False


def _types(node: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """The types of JSON that a place of the schema takes."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    inner = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if "type" in node:
        return {node["type"]} if isinstance(node["type"], str) else set(node["type"])
    return {type_ for one in inner for type_ in _types(one, schema)}


@pytest.mark.parametrize(
    "section, field, item, takes",
    [
        ("Input", "path", False, "string"),
        ("Record", "signals", True, "string"),
        ("Record", "traits", True, "string"),
        ("Record", "traits", True, "integer"),
        ("Output", "max_part_bytes", False, "string"),
        ("ReportOptions", "max_rejects", False, "integer"),
    ],
)
def test_the_json_schema_takes_the_short_forms_that_a_job_takes(
    section: str, field: str, item: bool, takes: str
) -> None:
    schema = Job.model_json_schema()
    node = schema["$defs"][section]["properties"][field]
    items = next((one["items"] for one in [node, *node.get("anyOf", ())] if "items" in one), None)
    assert takes in _types(items if item and items else node, schema)


def test_what_is_advised_for_a_name_with_quotes_is_toml() -> None:
    with raises(JobError, "E-JOB-INVALID") as raised:
        job(at("record.signals", ['the "city"']))
    advised = str(raised.value).partition("set a key: { column = ")[2].partition(", key")[0]
    assert tomllib.loads(f"column = {advised}") == {"column": 'the "city"'}
