"""Each rule on files, with a file that breaks it and one that almost does."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from converter import kernel
from converter.commands.check import Workers, check_file
from converter.parts.line_users import UserCounters
from converter.sources.origins.local import LocalFile
from converter.spec import files

from .test_inbound import C2C, DATA, DEVICE, GOOD, HASH, LONG, ODC, OVERWRITE, PAIR, SYNC, UUID

GZ = DATA + ".gz"
PACKED = gzip.compress(GOOD)
ID = DEVICE + b"\ta=b\n"

File = tuple[str, bytes]
RULES: dict[str, tuple[File, File]] = {
    "name_wrong": (("crm.csv", GOOD), (DATA, GOOD)),
    "timestamp_short": (("ftp_dpm_1234_136654571.sync", GOOD), ("ftp_dpm_1234_0136654571.sync", GOOD)),
    "zero_doubtful": (("ftp_dpm_0_1366545717.sync", UUID + b"\ta=b\n"), ("adobe_id_0_1_1366545717.sync", PAIR)),
    "target_missing": (("ftp_dpm_20914_1366545717.sync", ID), ("ftp_dpm_20914_1_1366545717.sync", ID)),
    "master_doubtful": (("adobe_id_1_2_1366545717.sync", b"a\tb\n"), (SYNC, PAIR)),
    "file_empty": ((DATA, b"\n"), (DATA, b"u\ta=b\n\n")),
    "gzip_unnamed": ((DATA, PACKED), (GZ, PACKED)),
    "not_gzip": ((GZ, GOOD), (DATA, GOOD)),
    "packed_otherwise": ((GZ, b"PK\x03\x04" + GOOD), (DATA, b"PK\ta=b\n")),
    "not_encrypted": ((DATA + ".gpg", GOOD), (DATA + ".gpg", b"\x85" + GOOD)),
    "gzip_cut": ((GZ, PACKED[:-1]), (GZ, PACKED + PACKED)),
    "gzip_damaged": ((GZ, PACKED + b"\0" * 20), (GZ, PACKED)),
    "byte_order_mark": ((DATA, b"\xef\xbb\xbf" + GOOD), (DATA, b"u\ta=\xef\xbb\xbf\n")),
    "utf_16": ((DATA, "\ufeffu\ta=b\n".encode("utf-16-le")), (DATA, "u\ta=\ufeff\n".encode())),
    "line_too_long": ((DATA, LONG), (DATA, LONG[:-2] + b"\n")),
    "row_not_text": ((DATA, b"u\ta=\xe4\n"), (DATA, "u\ta=ä\n".encode())),
    "nul": ((DATA, b"u\ta=\0\n"), (DATA, b"u\ta=0\n")),
    "stray_return": ((DATA, b"u\ta=\rb\n"), (DATA, b"u\ta=b\r\n")),
    "carriage_return_newline": ((DATA, b"u\ta=b\r\n"), (DATA, b"u\ta=b\n")),
    "no_last_newline": ((DATA, GOOD + b"u\ta=b"), (DATA, GOOD)),
    "line_blank": ((DATA, GOOD + b"\n"), (DATA, GOOD)),
    "not_two_fields": ((DATA, b"u\ta=b\tc=d\n"), (DATA, b"u\ta=b,c=d\n")),
    "not_three_fields": ((ODC, b"u\t1\n"), (ODC, b"idfa\tu\t1\n")),
    "type_missing": ((ODC, b"\tu\t1\n"), (ODC, b"idfa\tu\t1\n")),
    "id_missing": ((DATA, b"\ta=b\n"), (DATA, b"u\ta=b\n")),
    "no_signal": ((DATA, b"u\t\n"), (OVERWRITE, b"u\t\n")),
    "clears_user": ((OVERWRITE, b"u\t\n"), (OVERWRITE, b"u\ta=b\n")),
    "id_form_wrong": (("ftp_dpm_20915_1_1366545717.sync", ID), ("ftp_dpm_20914_1_1366545717.sync", ID)),
    "id_all_zero": (
        ("ftp_dpm_20914_1_1366545717.sync", b"00000000-0000-0000-0000-000000000000\ta=b\n"),
        ("ftp_dpm_20914_1_1366545717.sync", b"00000000-0000-0000-0000-000000000001\ta=b\n"),
    ),
    "id_with_hyphen": (
        ("ftp_dpm_389146_1_1366545717.sync", b"ab-1\ta=b\n"),
        ("ftp_dpm_389146_1_1366545717.sync", b"ab1\ta=b\n"),
    ),
    "id_spaced": ((DATA, b" u\ta=b\n"), (DATA, b"u v\ta=b\n")),
    "id_encoded": ((SYNC, UUID + b"\tu%207\n"), (DATA, b"u%207\ta=b\n")),
    "signal_wrong": ((DATA, b'u\ta="b"c\n'), (DATA, b'u\ta="bc"\n')),
    "trait_wrong": ((DATA, b"u\td_sid=x\n"), (DATA, b"u\td_sid=1,d_side=x\n")),
    "trait_removed": ((OVERWRITE, b"u\td_unsid=1\n"), (DATA, b"u\td_unsid=1\n")),
    "key_with_dashes": ((DATA, b"u\t-a=1\n"), (DATA, b"u\ta-=-1\n")),
    "key_unusable": ((DATA, b"u\t12=1\n"), (DATA, b"u\t12a=1\n")),
    "signal_spaced": ((DATA, b"u\ta= b\n"), (DATA, b'u\t"a"=" b"\n')),
    "signal_empty": ((DATA, b"u\ta=b,,c=d\n"), (DATA, b'u\t"a"="b,,c"\n')),
    "signal_long": ((DATA, b"u\ta=" + b"x" * 229 + b"\n"), (DATA, b"u\ta=" + b"x" * 228 + b"\n")),
    "ids_mixed": ((DATA, GOOD + ID), (DATA, ID + DEVICE + b"\tc=d\n")),
    "types_mixed": ((ODC, b"idfa\tu\t1\ngaid\tv\t1\n"), (ODC, b"idfa\tu\t1\nidfa\tv\t1\n")),
    "columns_wrong": ((SYNC, UUID + b"\n"), (SYNC, PAIR)),
    "hashes_wrong": ((C2C, b"u" + (b"\t" + HASH) * 11 + b"\n"), (C2C, b"u" + (b"\t" + HASH) * 10 + b"\n")),
    "column_empty": ((SYNC, b"\tu\n"), (SYNC, PAIR)),
    "ends_in_space": ((SYNC, UUID + b"\tu \n"), (SYNC, UUID + b"\tu u\n")),
    "ends_in_tab": ((SYNC, UUID + b"\tu\t\n"), (C2C, b"u\t" + HASH + b"\t\n")),
    "hashes_end_in_tab": ((C2C, b"u\t" + HASH + b"\t\n"), (C2C, b"u\t" + HASH + b"\n")),
    "value_is_email": ((DATA, b"u\ta=j@x.org\n"), (DATA, b"u\ta=j@x\n")),
    "value_personal": ((DATA, b"u\ta=+49 30 1234567\n"), (DATA, b"u\ta=+49 30\n")),
    "id_is_email": ((DATA, b"j@x.org\ta=b\n"), (DATA, HASH + b"\ta=b\n")),
    "id_is_phone": ((DATA, b"+49 30 1234567\ta=b\n"), (DATA, b"49301234567\ta=b\n")),
    "id_is_card": ((DATA, b"4111 1111 1111 1111\ta=b\n"), (DATA, b"4111 1111 1111 1112\ta=b\n")),
    "id_is_iban": ((DATA, b"DE89 3704 0044 0532 0130 00\ta=b\n"), (DATA, b"DE88 3704 0044 0532 0130 00\ta=b\n")),
    "id_is_ip": ((DATA, b"203.0.113.7\ta=b\n"), (DATA, b"203.0.113\ta=b\n")),
    "id_is_ssn": ((DATA, b"078-05-1120\ta=b\n"), (DATA, b"078-05-112\ta=b\n")),
    "id_forbidden_character": ((DATA, b"a:b\ta=b\n"), (DATA, b"a-b\ta=b:c\n")),
}
ELSEWHERE = {
    *("file_too_large", "text_too_large", "name_twice", "both_modes", "folder_wrong"),
    *(
        "user_over_limit",
        "users_uncounted",
        "pairs_uncounted",
        "hashes_over_limit",
        "customer_over_limit",
        "device_over_limit",
    ),
}
"""Of sizes, of several files, of places, and of many lines: tested in modules of their own."""


def found_in(folder: Path, file: File) -> set[str]:
    name, content = file
    (folder / name).write_bytes(content)
    checked = check_file(LocalFile.at(folder / name), Workers(counters=UserCounters(0, kernel.load())))
    for each in checked.findings:
        assert each.fix.endswith(".")
        assert each.page
        assert each.level in files.LEVELS
    return {each.name for each in checked.findings}


@pytest.mark.parametrize("rule", RULES)
def test_a_file_that_breaks_a_rule_and_one_that_does_not(tmp_path: Path, rule: str) -> None:
    broken, fine = RULES[rule]
    assert rule in found_in(tmp_path, broken)
    assert rule not in found_in(tmp_path, fine)


def test_every_rule_is_in_the_table() -> None:
    rules = {rule.name for rule in vars(files).values() if isinstance(rule, files.FileRule)}
    rules |= {rule.name for _, rule in files.ID_RULES}
    assert RULES.keys() == rules - ELSEWHERE
