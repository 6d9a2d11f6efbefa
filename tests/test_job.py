"""The job: what is wrong with it in a sentence, what it never shows, and that file and flags make the same."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from converter import Job
from converter.cli.convert import _job
from converter.document import Section, merge, parse_setting
from converter.errors import JobError
from converter.sections.output import Output
from converter.sections.run import Report
from converter.sections.table import Input
from converter.spec.ids import GLOBAL_DATA_SOURCES

from .errors import check_named

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


def refused(changes: dict[str, Any]) -> str:
    with pytest.raises(JobError) as caught:
        job(changes)
    assert caught.value.exit_code == 2
    return str(caught.value)


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
    "key, sentence",
    [
        ("outpt", "outpt is not a known key, did you mean 'output'?"),
        (
            "zzz",
            "zzz is not a known key. Known in a job: input, id, record, sync, output, privacy, s3, ftp, sftp, pgp, report, run.",
        ),
        ("output.dpidd", "output.dpidd is not a known key, did you mean 'dpid'?"),
        ("output.DPID", "output.DPID is not a known key, did you mean 'dpid'?"),
        ("input.seperator", "input.seperator is not a known key, did you mean 'separator'?"),
        ("report.zzz", "report.zzz is not a known key. Known in report: dir, max_rejects, show_rows."),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_or_all_known_ones(key: str, sentence: str) -> None:
    assert refused(at(key, 1)) == sentence


@pytest.mark.parametrize(
    "where, known, sentence",
    [
        ("signals", "key", "record.signals[1].kee is not a known key, did you mean 'key'?"),
        ("traits", "separator", "record.traits[1].seperator is not a known key, did you mean 'separator'?"),
    ],
)
def test_an_unknown_key_of_an_item_is_told_with_its_place(where: str, known: str, sentence: str) -> None:
    wrong = sentence.partition("].")[2].partition(" ")[0]
    assert refused(at(f"record.{where}", ["a", {"column": "b", wrong: "|"}])) == sentence


@pytest.mark.parametrize("key, belongs", [("output.signals", "record.signals"), ("input.dpid", "output.dpid")])
def test_a_key_in_the_wrong_section_is_told_with_the_right_one(key: str, belongs: str) -> None:
    assert belongs in refused(at(key, 1))


@pytest.mark.parametrize(
    "key, sentence",
    [
        ("input", "input is missing: give it in the job file or as --input FILE."),
        ("id", "id is missing: give it in the job file or as --id COLUMN."),
        ("record", "record is missing: give it in the job file or as --signal COLUMN or --trait COLUMN."),
        ("output", "output is missing: give it in the job file or as --to FOLDER and --dpid NUMBER."),
        ("input.path", "input.path is missing: give it in the job file or as --input FILE."),
        ("id.column", "id.column is missing: give it in the job file or as --id COLUMN."),
        ("output.to", "output.to is missing: give it in the job file or as --to FOLDER."),
        ("output.dpid", "output.dpid is missing: give it in the job file or as --dpid NUMBER."),
        (
            "record.signals",
            "record names no signals and no traits, so there is nothing to send: give record.signals or "
            "record.traits (--signal COLUMN, --trait COLUMN or a trait ID).",
        ),
    ],
)
def test_a_missing_key_is_told_with_its_flag(key: str, sentence: str) -> None:
    section, _, name = key.partition(".")
    kept = {k: v for k, v in RIGHT[section].items() if k != name}
    data = {k: v for k, v in RIGHT.items() if k != section} | ({section: kept} if name else {})
    with pytest.raises(JobError) as caught:
        Job(**data)
    assert str(caught.value) == sentence


def test_all_that_is_wrong_is_told_a_line_each() -> None:
    assert refused({"output": {"dpid": "x", "mode": "y"}, "idd": {}}).splitlines() == [
        "output.dpid is 'x'; a whole number is needed.",
        "output.mode is 'y'; allowed is 'sync' or 'overwrite'.",
        "idd is not a known key, did you mean 'id'?",
    ]


# --- wrong values -----------------------------------------------------------------------------------------------

SIZE = 'a size is a number with a unit, such as "250MB" or "1GiB"'
SEPARATOR = "a separator is one ASCII character, no double quote and no line end"
ENCODING = 'an encoding is a name that Python knows, such as "utf-8", "cp1252" or "utf-16"'
REJECTS = 'a number of rows, such as 1000, or a share of them, such as "10%"'


@pytest.mark.parametrize(
    "key, value, needed",
    [
        ("output.mode", "overwrte", "allowed is 'sync' or 'overwrite', did you mean 'overwrite'?"),
        ("output.mode", "zzz", "allowed is 'sync' or 'overwrite'."),
        ("output.mode", 5, "allowed is 'sync' or 'overwrite'."),
        ("output.kind", "odd", "allowed is 'data', 'id-sync', 'c2c-id-sync' or 'odc', did you mean 'odc'?"),
        ("output.compression", "gz", "allowed is 'gzip', 'none' or 'pgp', did you mean 'gzip'?"),
        ("record.on_bad_value", "rejct", "allowed is 'clean', 'drop' or 'reject', did you mean 'reject'?"),
        ("input.format", "xls", "allowed is 'csv', 'tsv', 'parquet', 'ndjson' or 'arrow'."),
        ("output.dpid", "12x", "a whole number is needed."),
        ("output.dpid", 1.5, "a whole number is needed."),
        ("output.dpid", True, "a whole number is needed."),
        ("output.dpid", [1], "a whole number is needed."),
        ("output.target", "x", "a whole number is needed."),
        ("run.threads", "many", "a whole number is needed."),
        ("input.header", "maybe", "true or false is needed."),
        ("id.trim", 5, "true or false is needed."),
        ("id.column", 5, "a text is needed."),
        ("output.to", 5, "a text is needed."),
        ("record.signals", "a", "a list is needed."),
        ("input.columns", "a", "a list is needed."),
        ("output", "out", "a table is needed, as in [output]."),
        ("record", 3, "a table is needed, as in [record]."),
        ("report", "reports", "a table is needed, as in [report]."),
        ("output.timestamp", "soon", "a whole number is needed."),
        ("output.max_part_bytes", "big", f"{SIZE}."),
        ("output.max_part_bytes", "250 XB", f"{SIZE}."),
        ("output.max_part_bytes", "-1MB", f"{SIZE}."),
        ("output.max_part_bytes", "1.1.1MB", f"{SIZE}."),
        ("output.max_part_bytes", "", f"{SIZE}."),
        ("input.separator", "||", f"{SEPARATOR}."),
        ("input.separator", "", f"{SEPARATOR}."),
        ("input.separator", '"', f"{SEPARATOR}."),
        ("input.separator", "é", f"{SEPARATOR}."),
        ("input.encoding", "utf8x", f"{ENCODING}."),
        ("input.encoding", "", f"{ENCODING}."),
        ("input.encoding", "base64", f"{ENCODING}."),
        ("input.encoding", "undefined", f"{ENCODING}."),
        ("report.max_rejects", "abc", f"{REJECTS}."),
        ("report.max_rejects", "101%", f"{REJECTS}."),
        ("report.max_rejects", "100.1%", f"{REJECTS}."),
        ("report.max_rejects", "-1", f"{REJECTS}."),
        ("report.max_rejects", "1.5", f"{REJECTS}."),
        ("report.max_rejects", "", f"{REJECTS}."),
        ("report.max_rejects", True, f"{REJECTS}."),
        ("record.comma", ",", "what replaces a comma holds no comma, double quote, tab or newline."),
        ("record.comma", '"', "what replaces a comma holds no comma, double quote, tab or newline."),
    ],
)
def test_a_wrong_value_is_told_with_what_is_needed(key: str, value: object, needed: str) -> None:
    assert refused(at(key, value)) == f"{key} is '{value}'; {needed}"


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (at("input.path", []), "input.path is empty; at least one is needed."),
        (at("input.path", ["a", 5]), "input.path[1] is '5'; a text is needed."),
        (
            at("input.header", False),
            "input.columns is missing: where input.header is false it names the columns, in their order.",
        ),
        (at("input", {"header": False, "columns": ["a", "a"]}), "input.columns names a column twice."),
        (
            at("id", {"type": "idfa", "case": "lower"}),
            "id.case is 'lower', but IDs of type idfa are always written in upper case: leave it out.",
        ),
        (
            at("id", {"type": "hashed_email", "case": "upper"}),
            "id.case is 'upper', but IDs of type hashed_email are always written in lower case: leave it out.",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_told(changes: dict[str, Any], sentence: str) -> None:
    assert refused(changes) == sentence


def test_c4_traits_are_not_removed_in_overwrite_mode() -> None:
    assert refused({"record": {"removed_traits": [1]}, "output": {"mode": "overwrite"}}) == (
        "record.removed_traits cannot be used with output.mode 'overwrite': Audience Manager ignores d_unsid there, "
        "since what is not in the file is removed anyway (C4)."
    )
    assert job({"record": {"removed_traits": [1]}}).record.removed_traits[0].value == "1"


@pytest.mark.parametrize("timestamp", [123456789, 12345678901, 1366545717000, 0, -123456789, -1366545717])
def test_n2_a_timestamp_has_ten_digits(timestamp: int) -> None:
    assert refused(at("output.timestamp", timestamp)) == (
        f"output.timestamp is '{timestamp}'; a timestamp is UNIX seconds with 10 digits, such as 1366545717 (N2)."
    )


@pytest.mark.parametrize(
    "key, value, most, page",
    [
        ("max_part_bytes", 1_000_000_001, "1,000,000,000", COMPRESSION_PAGE),
        ("max_part_bytes", "1GiB", "1,000,000,000", COMPRESSION_PAGE),
        ("max_part_bytes", 99, "1,000,000,000", COMPRESSION_PAGE),
        ("max_part_raw_bytes", 5_000_000_001, "5,000,000,000", NAMES_PAGE),
        ("max_part_raw_bytes", "6GB", "5,000,000,000", NAMES_PAGE),
        ("max_part_raw_bytes", "99", "5,000,000,000", NAMES_PAGE),
    ],
)
def test_z1_a_part_is_neither_too_large_nor_too_small(key: str, value: object, most: str, page: str) -> None:
    assert refused(at(f"output.{key}", value)) == (
        f"output.{key} is '{value}'; a part has at least 100 and at most {most} bytes (Z1, {page})."
    )


@pytest.mark.parametrize("dpid, type_", [(dpid, type_.name) for dpid, type_ in GLOBAL_DATA_SOURCES.items()])
def test_n4_a_global_data_source_needs_a_target(dpid: int, type_: str) -> None:
    assert refused(at("output.dpid", dpid)) == (
        f"output.target is missing: {dpid} is the global data source of IDs of type {type_}, so the file must "
        "name the data source that the traits belong to (N4)."
    )
    assert job(at("output", {"dpid": dpid, "target": 5678})).output.target == 5678


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
    message = refused(at(key, value))
    assert message.startswith(f"{key} is ")
    assert message.isprintable()
    assert "input should" not in message
    assert "embedded" not in message


@pytest.mark.parametrize("where", ["signals", "traits"])
@pytest.mark.parametrize("item", [5.5, True])
def test_an_item_of_a_wrong_type_is_not_told_to_be_a_toml_section(where: str, item: object) -> None:
    message = refused(at(f"record.{where}", [item]))
    assert message.startswith(f"record.{where}[0] is '{item}'; ")
    assert f"as in [record.{where}[0]]" not in message


def test_an_absurd_size_is_an_error_like_any_other() -> None:
    assert refused(at("output.max_part_bytes", "9" * 400 + "GB")).startswith("output.max_part_bytes is '999")


# --- signals and traits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["-a", "--", "-"])
def test_c5_a_key_never_starts_with_a_dash(key: str) -> None:
    message = refused(signal(column="c", key=key))
    assert message.startswith("record.signals[0] ")
    assert (
        f"the key '{key}' starts with a dash, which Audience Manager ignores (C5): give it a key of its own" in message
    )
    assert message.endswith('{ column = "c", key = "…" }.')


@pytest.mark.parametrize("key", ['a"b', "a=b", "a,b", "a\tb", "a\nb", "a\rb", "a\x7fb"])
def test_c2_c6_a_key_holds_nothing_that_separates(key: str) -> None:
    for item in ({"column": "c", "key": key}, {"key": key, "value": "x"}, {"column": key}):
        message = refused(signal(**item))
        assert "holds a double quote, '=', a comma, a tab or a newline (C2, C6)" in message
        assert message.isprintable()


@pytest.mark.parametrize("key", ["", " "])
def test_c2_a_key_is_not_empty(key: str) -> None:
    assert "the key of a signal is empty (C2)" in refused(signal(column="c", key=key))


@pytest.mark.parametrize(
    "key, setting", [("d_sid", "traits"), ("d_unsid", "removed_traits"), ("ic", "integration_codes")]
)
@pytest.mark.parametrize("form", [str.lower, str.upper, str.title])
def test_c2_a_key_with_another_meaning_is_told_with_the_setting_to_use(key: str, setting: str, form: Any) -> None:
    for item in (form(key), {"column": "c", "key": form(key)}, {"key": form(key), "value": "x"}):
        assert refused(at("record.signals", [item])).endswith(
            f"the key '{form(key)}' means something else to Audience Manager (C2): use record.{setting} instead."
        )


@pytest.mark.parametrize("value", ["", 'a"b', "a\tb", "a\nb", "a\x00b"])
def test_c6_a_constant_value_is_not_empty_and_holds_nothing_that_separates(value: str) -> None:
    assert refused(signal(key="k", value=value)).endswith(
        "the value of the constant signal 'k' is empty or holds a double quote, tab or newline (C6)."
    )


@pytest.mark.parametrize("item", [{}, {"key": "k"}, {"column": "a", "key": "k", "value": "x"}])
def test_a_signal_is_a_column_or_a_constant(item: dict[str, str]) -> None:
    assert refused(signal(**item)).endswith(
        'a signal is a column name, { column = "…", key = "…" }, or a constant { key = "…", value = "…" }.'
    )


@pytest.mark.parametrize("trait", ["12a", "1.5", "", "-1", " 1", "١"])
def test_c3_a_constant_trait_is_digits_only(trait: str) -> None:
    for where in ("traits", "removed_traits"):
        assert refused(at(f"record.{where}", [{"value": trait}])).endswith(
            f"the trait ID '{trait}' is not digits only (C3)."
        )
    assert "(C3)" in refused(at("record.traits", [-5]))


@pytest.mark.parametrize("code", ["a,b", 'a"', "a\tb", ""])
def test_c2_a_constant_integration_code_holds_nothing_that_separates(code: str) -> None:
    assert refused(at("record.integration_codes", [{"value": code}])).endswith("(C2).")


@pytest.mark.parametrize("separator", ["||", "", "a", "1", '"', "\n", "é"])
def test_a_separator_of_traits_is_one_character_that_no_trait_holds(separator: str) -> None:
    assert refused(at("record.traits", [{"column": "t", "separator": separator}])).endswith(
        "a separator is one ASCII character, neither letter nor digit nor double quote nor line end."
    )


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
    (warning,) = job({"id": {"type": "crm"}, "output": {"dpid": 20915, "target": 1}}).warnings
    assert warning.code == "W-SOURCE-ID-TYPE"
    check_named(warning.message, "20915", "idfa", "id.type", "crm")


# --- sizes and rejects ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, size",
    [
        ("500", 500),
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
    assert job(at("output", {"max_part_bytes": 100, "max_part_raw_bytes": 100})).output.max_part_bytes == 100


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
    assert Report(max_rejects=most).allows(rejected, read) is allowed


# --- the environment and what is never shown --------------------------------------------------------------------


def test_a_variable_takes_its_value_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDER", "elsewhere")
    monkeypatch.setenv("NUMBER", "987")
    made = job(
        {"output": {"to": "${FOLDER}/x", "dpid": "${NUMBER}"}, "input": {"path": ["a", "${FOLDER}/${NUMBER}.csv"]}}
    )
    assert (made.output.to, made.output.dpid, made.input.path) == ("elsewhere/x", 987, ("a", "elsewhere/987.csv"))


def test_what_a_variable_holds_is_not_expanded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDER", "${HOME}")
    assert job(at("output.to", "${FOLDER}")).output.to == "${HOME}"


@pytest.mark.parametrize("text", ["$HOME", "${}", "${a-b}", "$${", "{HOME}"])
def test_only_a_name_in_braces_is_a_variable(text: str) -> None:
    assert job(at("output.to", text)).output.to == text


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
    assert refused(changes) == f"{key} takes the environment variable NOT_SET, which is not set. Set NOT_SET."


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
    assert refused(at("output.mode", "${VAR}")) == "output.mode is '${VAR}'; allowed is 'sync' or 'overwrite'."


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
        (f"s3://key:{PASSWORD}@bucket", "s3://key:***@bucket"),
        (f"ftp://:{PASSWORD}@host", "ftp://:***@host"),
        (f"ftp://me:a:{PASSWORD}@host", "ftp://me:***@host"),
        (f"ftp://me:a@{PASSWORD}@host", "ftp://me:***@host"),
        (f"s3://key:a/{PASSWORD}@bucket", "s3://key:***@bucket"),
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
    assert PASSWORD not in refused(changes)


def test_a_password_in_a_setting_is_in_no_error() -> None:
    with pytest.raises(JobError) as caught:
        parse_setting(f"output.to:{URL}")
    assert PASSWORD not in str(caught.value)


# --- files, settings and flags ----------------------------------------------------------------------------------


def test_a_missing_job_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        Job.load(tmp_path / "none.toml")
    path = tmp_path / "none.toml"
    assert str(caught.value) == (
        f"There is no job file '{path}'. Write one, or give flags: aam-inbound convert --help."
    )


@pytest.mark.parametrize(
    "content, said",
    [
        (b"\xff\xfe", "cannot be read: it is not UTF-8."),
        (b"[input\n", "is not valid TOML: Expected ']'"),
        (b"a = 1\na = 2\n", "is not valid TOML: Cannot overwrite a value"),
    ],
)
def test_a_job_file_that_cannot_be_read_is_told(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(content)
    with pytest.raises(JobError) as caught:
        Job.load(path)
    assert str(caught.value).startswith(f"The job file '{path}' {said}")


def test_a_folder_is_no_job_file(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"The job file '.*' cannot be read: Is a directory\."):
        Job.load(tmp_path)


def test_changes_go_over_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n[output]\nto = "out"\ndpid = 1\n'
    )
    made = Job.load(path, {"output": {"dpid": 2}, "run": {"threads": 3}})
    assert (made.output.to, made.output.dpid, made.run.threads, made.threads) == ("out", 2, 3, 3)


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
        ("record.comma=", {"record": {"comma": ""}}),
        (" run.threads = 2", {"run": {"threads": 2}}),
        ("run={threads = 2}", {"run": {"threads": 2}}),
        ("a.b.c.d=x", {"a": {"b": {"c": {"d": "x"}}}}),
    ],
)
def test_a_setting_is_toml_where_it_can_be_and_else_a_text(text: str, data: dict[str, Any]) -> None:
    assert parse_setting(text) == data


@pytest.mark.parametrize("text", ["output.mode", "", "=x", " =x", ".=x", "output.=x", ".mode=x", "a..b=x"])
def test_what_is_no_setting_is_told(text: str) -> None:
    with pytest.raises(JobError) as caught:
        parse_setting(text)
    assert (
        str(caught.value) == f"--set '{text}' is not of the form KEY=VALUE. For example: --set output.mode=overwrite."
    )


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
    text: str, flags: dict[str, Any], settings: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "job.toml"
    path.write_text(text)
    from_file = _job(str(path), {}, [])
    from_flags = _job(None, flags, settings)
    assert from_file.model_dump() == from_flags.model_dump()
    assert from_file == from_flags == Job(**tomllib.loads(text))
    assert from_file.public() == from_flags.public()


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
    with pytest.raises(JobError, match=r"^input"):
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
    assert len(sections) == 18
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
        ("Report", "max_rejects", False, "integer"),
    ],
)
def test_the_json_schema_takes_the_short_forms_that_a_job_takes(
    section: str, field: str, item: bool, takes: str
) -> None:
    schema = Job.model_json_schema()
    node = schema["$defs"][section]["properties"][field]
    items = next((one["items"] for one in [node, *node.get("anyOf", ())] if "items" in one), None)
    assert takes in _types(items if item and items else node, schema)
