"""The check of an inbound file that exists already: each rule with its line, whatever the blocks, and nothing told."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter import kernel
from converter.commands import check as inbound
from converter.commands.check import Checked, Workers, check_file
from converter.errors import InputError
from converter.parts import line_checks
from converter.parts.line_users import UserCounters
from converter.sources.origins.local import LocalFile
from converter.spec import files
from converter.spec.names import FileName

from .conftest import Run
from .errors import raises

GOLDEN = Path(__file__).parent / "golden"
DATA = "ftp_dpm_1234_1366545717.sync"
OVERWRITE = "ftp_dpm_1234_1366545717.overwrite"
ODC = "ftp_dpm_odc_1234_1366545717.sync"
SYNC = "adobe_id_0_1234_1366545717.sync"
SYNC_3 = "adobe_id_0_1234_5678_1366545717.sync"
C2C = "c2c_id_1234_5678_1366545717.sync"
ZERO = b"00000000-0000-0000-0000-000000000000"
GOOD = b'user1\t"a"="b",d_sid=1\n'
PAIR = b"1" * 38 + b"\tuser1\n"
LONG = b"u\td_sid=" + b"7" * 102_392 + b"\n"  # one byte more than a line may have
UUID, DEVICE, HASH = b"1" * 38, b"0f8fad5b-d9cb-469f-a165-70867728950e", b"f" * 64
OF_DEVICE = DEVICE + b"\td_sid=1\n"
SIGNALS = (b"1", b"1:0,2:-1", b"ic=x", b"ic=1:0", b'a=b,"c"="d,e"', b"d_sid=1,d_unsid=2", b'"d_sid"="3"', b"a=b=c")
BLOCKS = (1, 7, 64, inbound.BLOCK_BYTES)

Short = tuple[str, str, int | None, int, str]


def check(
    folder: Path,
    name: str,
    content: bytes,
    block_bytes: int = inbound.BLOCK_BYTES,
    counters: UserCounters | None = None,
) -> Checked:
    path = folder / name
    path.write_bytes(content)
    return check_file(LocalFile.at(path), Workers(block_bytes=block_bytes, counters=counters))


def short(checked: Checked) -> list[Short]:
    return [(each.code, each.name, each.line, each.lines, each.level) for each in checked.findings]


def one(code: str, name: str, line: int | None = None, lines: int = 1, level: str = "error") -> list[Short]:
    return [(code, name, line, 0 if line is None else lines, level)]


def test_what_we_write_breaks_no_rule(run: Run) -> None:
    rows = "".join(f'user{n},"v, {n % 913}ä",{n % 7}|{n % 13}\n' for n in range(20_000))
    run.convert("id,a,t\n" + rows, record={"signals": ["a"], "traits": ["t"]}, output={"max_part_raw_bytes": "300KB"})
    assert len(run.files) > 2
    for name in run.files:
        checked = check_file(LocalFile.at(run.out / name))
        assert checked.findings == ()
        (part,) = [part for part in run.report["parts"] if part["name"] == name]
        assert str(checked.name) == name
        assert (checked.bytes, checked.lines, checked.raw_bytes) == (part["bytes"], part["lines"], part["raw_bytes"])
        assert f"{checked.crc32:08x}" == part["crc32"]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/expected/*")), ids=lambda path: path.name)
def test_golden_files_break_no_rule(path: Path) -> None:
    checked = check_file(LocalFile.at(path))
    content = path.read_bytes()
    assert checked.findings == ()
    assert (checked.bytes, checked.raw_bytes, checked.lines) == (len(content), len(content), content.count(b"\n"))
    assert checked.crc32 == zlib.crc32(content)


BROKEN: list[tuple[str, bytes, list[Short]]] = [
    # names
    ("crm.csv", GOOD, one("N1", "name_wrong")),
    ("ftp_dpm_1234_1366545717.sync.gz.gpg", GOOD, one("N1", "name_wrong")),
    ("ftp_dpm_20914_1366545717.sync", OF_DEVICE, one("N4", "target_missing")),
    ("ftp_dpm_20914_99_1366545717.sync", OF_DEVICE, []),
    ("ftp_dpm_1234_136654571.sync", GOOD, one("N2", "timestamp_short", level="warning")),
    ("ftp_dpm_0_1366545717.sync", UUID + b"\td_sid=1\n", one("N6", "zero_doubtful", level="warning")),
    ("adobe_id_1234_5678_1366545717.sync", b"a\tb\n", one("C14", "master_doubtful", level="warning")),
    ("adobe_id_20914_5678_1366545717.sync", DEVICE + b"\tb\n", []),
    # packing
    (DATA, gzip.compress(GOOD), one("Z1", "gzip_unnamed")),
    (DATA + ".1.gz", GOOD, one("Z1", "not_gzip")),
    (DATA + ".gz", b"PK\x03\x04" + GOOD, one("Z1", "packed_otherwise")),
    (DATA, b"\x28\xb5\x2f\xfd" + GOOD, one("Z1", "packed_otherwise")),
    (DATA + ".gz", gzip.compress(GOOD) + gzip.compress(b"") + gzip.compress(GOOD), []),
    (DATA + ".gz", gzip.compress(GOOD)[:-1], one("Z1", "gzip_cut")),
    (DATA + ".gz", gzip.compress(GOOD) + b"\0" * 20, one("Z1", "gzip_damaged")),
    (DATA + ".gz", gzip.compress(GOOD) + b"\0", one("Z1", "gzip_cut")),
    (DATA + ".gz", gzip.compress(GOOD)[:-8] + b"\0\0\0\0" + gzip.compress(GOOD)[-4:], one("Z1", "gzip_damaged")),
    (DATA + ".gpg", b"\x85whatever", []),
    (DATA + ".gpg", b"-----BEGIN PGP MESSAGE-----\n", []),
    (DATA + ".pgp", GOOD, one("N8", "not_encrypted")),
    (DATA + ".gpg", gzip.compress(GOOD), one("N8", "not_encrypted")),
    (OVERWRITE + ".3.pgp", b"", one("C10", "file_empty")),
    # nothing in it
    (DATA, b"", one("C10", "file_empty")),
    (DATA + ".gz", gzip.compress(b""), one("C10", "file_empty")),
    (DATA, b"\n\r\n", [*one("C10", "file_empty"), *one("C1", "carriage_return_newline", 2, 1, "warning"),
                       *one("C17", "line_blank", 1, 2, "warning")]),
    # text
    (DATA, b"\xef\xbb\xbf" + GOOD, one("C9", "byte_order_mark", 1)),
    (DATA, '\ufeffuser\ta=b\n'.encode("utf-16-le"), one("C9", "utf_16")),
    (DATA + ".gz", gzip.compress('\ufeffuser\ta=b\n'.encode("utf-16-be")), one("C9", "utf_16")),
    (DATA, GOOD + b"u\ta=\xe4\n" + GOOD + b"u\ta=\xf0\x9f\x98\n" + GOOD, one("C9", "row_not_text", 2, 2)),
    (DATA, GOOD + b"u\ta=\xf0\x9f\x98\r\n" + "u\ta=ä😀\n".encode(), [
        *one("C9", "row_not_text", 2), *one("C1", "carriage_return_newline", 2, 1, "warning")]),
    (DATA, GOOD * 2 + b"u\ta=\0b\n", one("C9", "nul", 3)),
    (DATA, GOOD + b"u\ta=\rb\n", one("C1", "stray_return", 2)),
    (DATA, GOOD + b"u\ta=1\r\r\n", [
        *one("C1", "stray_return", 2), *one("C1", "carriage_return_newline", 2, 1, "warning")]),
    (DATA, GOOD + b"u\ta=b\r\nv\ta=b\r\n", one("C1", "carriage_return_newline", 2, 2, "warning")),
    (DATA, GOOD + b"u\ta=b", one("C1", "no_last_newline", 2, 1, "warning")),
    (DATA, GOOD + b"\n" + GOOD, one("C17", "line_blank", 2, 1, "warning")),
    (DATA, GOOD + LONG[:-2] + b"\n" + GOOD, []),
    (DATA, GOOD + LONG + GOOD + b"x", [
        *one("C8", "line_too_long", 2), *one("C1", "not_two_fields", 4), *one("C1", "no_last_newline", 4, 1, "warning")]),
    (DATA, LONG, one("C8", "line_too_long", 1)),
    (DATA, b"\xef\xbb\xbf\0\t" + LONG * 2, one("C8", "line_too_long", 1, 2)),
    # data
    (DATA, GOOD + b"u\n" + b"u\ta\tb\n", one("C1", "not_two_fields", 2, 2)),
    (DATA, GOOD + b"\ta=b\n", one("C1", "id_missing", 2)),
    (DATA, GOOD + b"u\t\n", one("C1", "no_signal", 2)),
    (OVERWRITE, GOOD + b"u\t\n" + b"v\t\r\n", [
        *one("C1", "carriage_return_newline", 3, 1, "warning"), *one("C11", "clears_user", 2, 2, "warning")]),
    (OVERWRITE, GOOD + b"u\n", one("C1", "not_two_fields", 2)),
    (DATA, GOOD + b"u\ta=b,\n" + b'u\t"a"="b,,c"\n' + b'u\t"a"="b",,c=d\n' + b"u\t,a=b\n" + b"u,,v\ta=b\n",
     one("C1", "signal_empty", 2, 3, "warning")),
    (DATA, GOOD + b"john@example.com\ta=b\n" + b'u\t"a"="john@example.com"\n' + b" j@x.org \ta=b\n",
     [*one("C12", "id_spaced", 4, 1, "warning"), *one("I3", "id_is_email", 2, 2), *one("I3", "value_is_email", 3)]),
    (DATA, b"+49 30 1234567\ta=b\n" + b"4111 1111 1111 1111\ta=b\n" + b"DE89 3704 0044 0532 0130 00\ta=b\n"
     + b"203.0.113.7\ta=b\n" + b"078-05-1120\ta=b\n", [
        *one("I3", "id_is_phone", 1), *one("I3", "id_is_card", 2), *one("I3", "id_is_iban", 3),
        *one("I3", "id_is_ip", 4), *one("I3", "id_is_ssn", 5)]),
    (DATA, GOOD + b'u\ta=1,"b"="+49 30 1234567"\n' + b"u\ta=203.0.113.7,d_sid=2\n" + b"u\ta=4111111111111111\n",
     one("I3", "value_personal", 2, 2, "warning")),
    (DATA, b"u\ta=x joe@example.com,b=+49 30 1234567\n", [
        *one("I3", "value_is_email", 1), *one("I3", "value_personal", 1, 1, "warning")]),
    (DATA, b"a:b\ta=b:c\n" + b"a%3Ab\ta=b\n" + b"a%b\ta=b\n" + b"a\x07\ta=b\n" + "a\x85\ta=b\n".encode(),
     one("I6", "id_forbidden_character", 1, 4)),
    (DATA, GOOD + "\ufeffuser\ta=b\n".encode() + "é\ta=\ufeff\n".encode(), one("I6", "id_forbidden_character", 2)),
    (DATA, DEVICE + b"\ta=b\n" + b"1" * 8 + b"-1111" * 3 + b"-" + b"1" * 12 + b"\ta=b\n" + DEVICE.upper() + b"\ta=b\n",
     one("I1", "ids_mixed", 3, 1, "warning")),
    (DATA, GOOD * 3 + UUID + b"\ta=b\n" + GOOD + HASH + b"\ta=b\n" + DEVICE + b"\ta=b\n", one("I1", "ids_mixed", 4, 3, "warning")),
    ("ftp_dpm_0_1366545717.sync", UUID + b"\ta=b\n", one("N6", "zero_doubtful", level="warning")),
    # Oracle Data Cloud
    (ODC, b"idfa\tB56E68EC-34ED-46D5-AF0C-1D2401F676C9\t38838\n", []),
    (ODC, b"idfa\tu\t1\n" + b"u\t1\n" + b"idfa\tu\t1\t2\n" + b"u\n", one("C13", "not_three_fields", 2, 3)),
    (ODC, b"\tu\t1\n" + b"idfa\t\t1\n" + b"idfa\tu\t\n", [
        *one("C13", "type_missing", 1), *one("C1", "id_missing", 2), *one("C1", "no_signal", 3),
        *one("C13", "types_mixed", 3)]),
    (ODC, b"idfa\tu\t1\n" * 3 + b"gaid\tu\t1\n" * 2 + b"idfa\tu\t1\n", one("C13", "types_mixed", 4, 2)),
    (ODC, b"idfa\tj@x.org\t1\n", one("I3", "id_is_email", 1)),
    # ID synchronization
    (SYNC, PAIR * 2, []),
    (SYNC, PAIR + b"1\n" + b"1\t2\t3\n", one("C14", "columns_wrong", 2, 2)),
    (SYNC_3, UUID + b"\t2\t3\n" + PAIR, one("C14", "columns_wrong", 2)),
    (SYNC, PAIR + UUID + b"\t2\t\n" + UUID + b"\t2 \n", [
        *one("C14", "ends_in_tab", 2), *one("C14", "ends_in_space", 3)]),
    (SYNC, PAIR + b"\t2\n", one("C14", "column_empty", 2)),
    (SYNC_3, b"1\t\t3\n" + b"1\t2\t\t\n" + b"\t\t3\n", [
        *one("C14", "column_empty", 1, 3), *one("C14", "ends_in_tab", 2)]),
    (SYNC, PAIR + UUID + b"\tj@x.org\n" + b"k@x.org\tj@x.org\n", [
        *one("I3", "id_is_email", 2, 2), *one("I1", "id_form_wrong", 3)]),
    (SYNC, PAIR + b"\n\n", one("C17", "line_blank", 2, 2, "warning")),
    # hashed addresses
    (C2C, b"user\t" + b"\t".join([b"f" * 64] * 10) + b"\n" + b"user\t" + HASH + b"\n", []),
    (C2C, b"user\t" + b"\t".join([b"f" * 64] * 11) + b"\n" + b"user\n", one("N6", "hashes_wrong", 1, 2)),
    (C2C, b"user\t" + HASH + b"\t\r\n", [
        *one("C1", "carriage_return_newline", 1, 1, "warning"), *one("C14", "hashes_end_in_tab", 1, 1, "warning")]),
    (C2C, b"user\t" + HASH + b" \n" + b"user\t\tff\n" + b"user\tj@x.org\n", [
        *one("C14", "ends_in_space", 1), *one("C14", "column_empty", 2), *one("I3", "id_is_email", 3),
        *one("I1", "id_form_wrong", 3)]),
    (C2C, b"user\tff\n" + b"user\t" + HASH.upper() + b"\n", one("I1", "id_form_wrong", 1, 2)),
    ("ftp_dpm_20915_1_1366545717.sync", OF_DEVICE + GOOD + DEVICE.upper() + b"\ta=1\n" + b"\ta=1\n", [
        *one("I1", "id_form_wrong", 1, 2), *one("C1", "id_missing", 4)]),
    ("ftp_dpm_20914_1_1366545717.sync", OF_DEVICE + ZERO + b"\ta=1\n", one("I2", "id_all_zero", 2)),
    (ODC, b"idfa\t" + ZERO + b"\t1\n" + b"idfa\t" + DEVICE + b"\t1\n", one("I2", "id_all_zero", 1)),
    (DATA, b" u\ta=1\n" + b"u v\ta=1\n" + b"u \ta=1\n" + b" \ta=1\n", one("C12", "id_spaced", 1, 3, "warning")),
    (DATA, ZERO + b"\ta=1\n" + b"0" * 12 + b"\ta=1\n", []),
    ("ftp_dpm_389146_1_1366545717.sync", b"a-b\ta=1\n" + b"ab\ta=1\n" + b"0" * 32 + b"\ta=1\n", [
        *one("I2", "id_all_zero", 3), *one("I7", "id_with_hyphen", 1, 1, "warning")]),
    (SYNC, UUID + b"\tu%20v\n" + UUID + b"\tu%2\n", one("C14", "id_encoded", 1)),
    ("adobe_id_20914_1_963906_1366545717.sync", DEVICE + b"\t" + ZERO + b"\ta1\n" + DEVICE + b"\tu\ta-1\n",
     one("I7", "id_with_hyphen", 2, 1, "warning")),
    (SYNC_3, UUID + b"\tu%20v\t%41\n", one("C14", "id_encoded", 1)),
    (C2C, b"u%41\t" + HASH + b"\n", one("C14", "id_encoded", 1)),
    # signals
    (DATA, b"".join(b"u\t" + signals + b"\n" for signals in SIGNALS), []),
    (DATA, GOOD + b"u\tx\n" + b'u\t"a"="b\n' + b'u\ta=1,b\n' + b'u\t"a"=""\n' + b"u\t12:1\n" + b'u\ta="b"c\n',
     one("C2", "signal_wrong", 2, 6)),
    (DATA, b"u\td_sid=x\n" + b'u\ta=1,"d_unsid"="7x"\n' + b'u\t"a"="d_sid=x"\n', one("C3", "trait_wrong", 1, 2)),
    (OVERWRITE, b'u\t"a"=", d_unsid=1"\n' + b"u\ta=1,d_unsid=1\n", one("C4", "trait_removed", 2, 1, "warning")),
    (DATA, b"u\t-a=1\n" + b'u\ta=-1,"--b"="1"\n', one("C5", "key_with_dashes", 1, 2, "warning")),
    (DATA, b"u\t12=1\n" + b'u\t"a!b"="1"\n' + b"u\td_=1,a1=2,1a=3,a-b=4\n", one("C16", "key_unusable", 1, 2, "warning")),
    (DATA, b"u\ta=" + b"x" * 229 + b"\n" + b'u\t"a"="' + b"x," * 115 + b'"\n' + b"u\t" + b"k" * 229 + b"=1\n"
     + b"u\ta=" + "é".encode() * 228 + b"\n" + b"u\ta=" + b"x" * 228 + b" \n" + b"u\t" + b"1," * 200 + b"1\n"
     + b'u\t"a"="b,",' + b"c=d," * 90 + b"e=f\n", [
        *one("C15", "signal_long", 1, 3, "hint"), *one("C2", "signal_spaced", 5, 1, "warning")]),
    (DATA, b"u\ta = 1\n" + b"u\ta=1, b=2\n" + b'u\t"a"=" 1, 2 "\n', one("C2", "signal_spaced", 1, 2, "warning")),
]  # fmt: skip


@pytest.mark.parametrize("block_bytes", BLOCKS)
@pytest.mark.parametrize("place", range(len(BROKEN)))
def test_each_rule_gives_its_code_and_line(tmp_path: Path, place: int, block_bytes: int) -> None:
    name, content, expected = BROKEN[place]
    if len(content) > 10_000 and block_bytes == 1:
        block_bytes = 1000  # a call a byte takes too long
    checked = check(tmp_path, name, content, block_bytes, UserCounters(0, kernel.load()))
    assert sorted(short(checked), key=str) == sorted(expected, key=str)
    assert (checked.bytes, checked.crc32) == (len(content), zlib.crc32(content))


FIELDS = ["u", "1" * 38, DEVICE.decode(), HASH.decode(), "", "é", "+49 30 1234567", "j@x.org", "a:b", "a b", " ", "1"]
PARTS = ["a=b", '"a"="b,c"', "d_sid=1", "d_unsid=2", "d_sid=x", "d_x=1", "1", "12:0", "1:-1", "1:1", "ic=x", "-a=1",
         "1a=2", "12=1", "a =b", "a=", '"a"=""', '"a"="b', "", " ", 'a="b"', 'a="b"c', "a=b:c", "a=é", '"a!"="1"',
         "a=j@x.org", '"a"="+49 30 1234567"', "a=" + "x" * 70, '"a"="' + "1, " * 40 + '"', "\r", "\0", "a=\x07"]  # fmt: skip
LINES = st.builds(
    lambda fields, signals, end: "\t".join([*fields, ",".join(signals)][: None if signals else -1]) + end,
    st.lists(st.sampled_from(FIELDS), max_size=3),
    st.lists(st.sampled_from(PARTS), max_size=4),
    st.sampled_from(["\n"] * 8 + ["\r\n"]),
)
NAMES = [
    DATA,
    OVERWRITE,
    ODC,
    SYNC,
    SYNC_3,
    C2C,
    "ftp_dpm_20915_1_1366545717.sync",
    "adobe_id_20914_5678_1366545717.sync",
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(NAMES), st.lists(LINES, min_size=1, max_size=8), st.sampled_from(BLOCKS[1:]))
def test_loops_find_what_the_rules_find(tmp_path: Path, name: str, lines: list[str], block_bytes: int) -> None:
    content = "".join(lines).encode()
    with_loops = check(tmp_path, name, content, block_bytes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "load", lambda: None)
        assert check(tmp_path, name, content, block_bytes) == with_loops


@pytest.mark.skipif(kernel.load() is None, reason="needs the compiled loops")
def test_lines_that_we_write_are_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = FileName.parse(DATA)
    judged: list[bytes] = []
    monkeypatch.setattr(line_checks._ChunkCheck, "check", lambda _, lines, first: judged.append(lines.text))
    check(tmp_path, DATA, b'user-7\t"city"="K\xc3\xb6ln, Mitte","age"="45-54",d_sid=1,d_unsid=2,ic=x,7:0\n' * 100)
    check(tmp_path, str(name), b"u\ta=b \n")
    assert judged == [b"u\ta=b \n"]


def test_every_rule_on_files_is_broken_by_a_test() -> None:
    rules = {rule.name for rule in vars(files).values() if isinstance(rule, files.FileRule)}
    rules |= {rule.name for _, rule in files.ID_RULES}
    others = {"file_too_large", "text_too_large", files.BOTH_MODES.name, files.NAME_TWICE.name}
    others |= {files.FOLDER_WRONG.name, files.USER_OVER.name, files.USERS_UNCOUNTED.name}  # of sizes, sets and places
    others |= {files.HASHES_OVER.name, files.PAIRS_UNCOUNTED.name, files.CUSTOMER_OVER.name, files.DEVICE_OVER.name}
    assert {name for *_, found in BROKEN for _, name, *_ in found} == rules - others


def test_z1_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = gzip.compress(GOOD * 100)
    for limit, bytes_, rule in (
        ("PART_BYTES", len(content), "file_too_large"),
        ("PART_RAW_BYTES", len(GOOD) * 100, "text_too_large"),
    ):
        original = getattr(inbound, limit)
        monkeypatch.setattr(inbound, limit, original._replace(value=bytes_))
        assert short(check(tmp_path, DATA + ".gz", content)) == []
        monkeypatch.setattr(inbound, limit, original._replace(value=bytes_ - 1))
        assert short(check(tmp_path, DATA + ".gz", content)) == one("Z1", rule)
        monkeypatch.setattr(inbound, limit, original)


def test_errors_come_first_and_warnings_alone_are_none(tmp_path: Path) -> None:
    assert check(tmp_path, DATA, b"u\ta=b\r\n").errors == ()
    checked = check(tmp_path, DATA, b"u\ta=b\r\n\nu\nj@x.org\t7\n")
    assert [found.name for found in checked.findings] == [
        "not_two_fields", "id_is_email", "carriage_return_newline", "line_blank",
    ]  # fmt: skip
    assert len(checked.errors) == 2


def test_f27_gzip_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    text = b"".join(b'user%d\t"a"="%d",d_sid=%d\n' % (n, n * 7919, n % 97) for n in range(3000))
    content = gzip.compress(text[:40_000], 1) + gzip.compress(text[40_000:], 6)
    assert check(tmp_path, DATA + ".gz", content).findings == ()
    border = len(gzip.compress(text[:40_000], 1))
    for end in range(0, len(content), 97):
        checked = check(tmp_path, DATA + ".gz", content[:end])
        assert len(checked.errors) >= 1, end
        if end > 2 and end != border:
            assert short(checked) == one("Z1", "gzip_cut"), "nothing is said of the lines"
            assert (checked.lines, checked.raw_bytes, checked.bytes) == (None, None, end)


def test_f27_a_flipped_bit_anywhere_is_an_error(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(GOOD * 500))
    for place in (*range(10, len(content) - 9), *range(len(content) - 8, len(content))):  # between them, bits of no use
        content[place] ^= 0x10
        assert check(tmp_path, DATA + ".gz", bytes(content)).errors, place
        content[place] ^= 0x10


def test_f12_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    file = LocalFile(tmp_path / DATA, 0, 0)
    with raises(InputError, "E-FILE-READ", f"{DATA}'", "No such file"):
        check_file(file)
    (tmp_path / DATA).mkdir()
    with raises(InputError, "E-FILE-READ", "Is a directory"):
        check_file(file)


def test_a_name_is_shown_in_visible_characters(tmp_path: Path) -> None:
    (found,) = check(tmp_path, f"{DATA}\x1b[2J\n", GOOD).findings
    assert "\\x1b" in found.text
    assert found.text.isprintable()


@pytest.mark.parametrize(
    "name, text",
    [
        ("ftp_dpm_20915_1_1366545717.sync", "IDs of 20915 (Apple ID for advertisers (iOS)) are 8-4-4-4-12 upper-case"),
        (SYNC, "IDs of 0 (Audience Manager UUID) are 38 decimal digits."),
        (C2C, "hashes are 64 lower-case hexadecimal digits"),
    ],
)
def test_i1_the_form_that_ids_should_have_is_told(tmp_path: Path, name: str, text: str) -> None:
    content = b"x\ta=b\n" if "ftp" in name else b"x\tx\n"
    assert [text in each.text for each in check(tmp_path, name, content).findings] == [True]


def test_memory_is_bounded_whatever_the_line_or_the_ratio(tmp_path: Path) -> None:
    import tracemalloc

    for content in (b"x" * 30_000_000, GOOD * 1_000_000):
        path = tmp_path / f"{DATA}.gz"
        path.write_bytes(gzip.compress(content, 9))
        check_file(LocalFile.at(path))  # what is loaded once does not count
        tracemalloc.start()
        check_file(LocalFile.at(path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < (24 if kernel.load() else 40) << 20  # without the loops, lines are columns


# The same, worked out line by line.

EMAIL = re.compile(r"[^\W]@[^\W_]+\.[^\W\d_]{2}")
FORBIDDEN = re.compile("[:\x00-\x1f\x7f-\x9f\ufeff]|%3[Aa]")


UUID_FORM = "[0-9]{38}"


class Signals:
    """Parses signals one character after the other: pairs of a key and a value, or codes, which have no key."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self.pairs: list[tuple[str | None, str]] = []
        self.spaced = False

    def parse(self) -> bool:
        """Return whether all can be parsed."""
        while True:
            self._skip_spaces()
            if not self._next:
                return bool(self.pairs)
            if self._next == ",":
                self._at += 1
            elif not self._signal():
                return False

    @property
    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_spaces(self) -> None:
        while self._next == " ":
            self.spaced = True
            self._at += 1

    def _word(self, ends: str) -> str | None:
        quoted = self._next == '"'
        start = self._at = self._at + quoted
        while self._next and self._next not in ('"' if quoted else ends):
            self._at += 1
        word = self._text[start : self._at]
        if quoted:
            closed = self._next == '"'
            self._at += 1
            return word if closed and word else None
        bare = word.rstrip(" ")
        self._at -= len(word) - len(bare)
        return bare or None

    def _signal(self) -> bool:
        quoted = self._next == '"'
        key = self._word('",=')
        if key is None:
            return False
        at, spaced = self._at, self.spaced
        self._skip_spaces()
        if self._next == "=":
            self._at += 1
            self._skip_spaces()
            value = self._word('",')
            if value is None:
                return False
            self.pairs.append((key, value))
        elif not quoted and re.fullmatch("[0-9]+(:0|:-1)?", key):
            self._at, self.spaced = at, spaced
            self.pairs.append((None, key))
        else:
            return False
        self._skip_spaces()
        return self._next in ("", ",")


def expected_of_signals(text: str, name: FileName) -> set[str]:
    """The rules that the signals of a line break."""
    signals = Signals(text)
    if not signals.parse():
        return {"signal_wrong"}
    found = {"signal_spaced"} if signals.spaced else set()
    for key, value in signals.pairs:
        if key in ("d_sid", "d_unsid") and not re.fullmatch("[0-9]+", value):
            found.add("trait_wrong")
        if key == "d_unsid" and name.mode == "overwrite":
            found.add("trait_removed")
        if key and key.startswith("-"):
            found.add("key_with_dashes")
        if key and not re.fullmatch("-*[0-9]*[A-Za-z_][A-Za-z0-9_-]*", key):
            found.add("key_unusable")
        if key not in (None, "d_sid", "d_unsid") and max(len(key), len(value)) > 228:
            found.add("signal_long")
    return found


VALUE = re.compile(r'= *("[^"\t\r]+"|[^"\t\r, ][^"\t\r,]*)')


def expected_of(line: bytes, name: FileName) -> set[str]:
    """The rules that a line, without its newline, breaks."""
    if len(line) + 1 > 102_400:
        return {"line_too_long"}
    found = set()
    try:
        line.decode()
    except UnicodeDecodeError:
        found.add("row_not_text")
    if b"\0" in line:
        found.add("nul")
    if line.endswith(b"\r"):
        found.add("carriage_return_newline")
        line = line[:-1]
    if b"\r" in line:
        found.add("stray_return")
    if not line:
        return found | {"line_blank"}
    ids: list[bytes] = []
    if name.kind.endswith("id-sync"):
        hashes = name.kind == "c2c-id-sync"
        if line.endswith(b"\t"):
            found.add("hashes_end_in_tab" if hashes else "ends_in_tab")
        if line.endswith(b" "):
            found.add("ends_in_space")
        columns = line.removesuffix(b"\t").split(b"\t")
        if len(columns) not in (range(2, 12) if hashes else [len(name.dpids)]):
            found.add("hashes_wrong" if hashes else "columns_wrong")
        else:
            ids = columns
            found |= {"column_empty"} if b"" in columns else set()
            if b"" not in columns and b"\r" not in line:
                texts = [column.decode(errors="replace") for column in columns]
                forms = [UUID_FORM] if name.dpids[0] == 0 else [".*", *["[0-9a-f]{64}"] * 10] if hashes else []
                last = [*texts[:-1], texts[-1].rstrip(" ")]
                if any(not re.fullmatch(form, text) for form, text in zip(forms, last, strict=False)):
                    found.add("id_form_wrong")
    else:
        typed = name.kind == "odc"
        fields = line.split(b"\t")
        if len(fields) != 2 + typed:
            return found | {"not_three_fields" if typed else "not_two_fields"}
        found |= {"type_missing"} if typed and not fields[0] else set()
        ids = [fields[-2]]
        found |= {"id_missing"} if not ids[0] else set()
        signals = fields[-1]
        if not signals:
            found.add("clears_user" if name.mode == "overwrite" else "no_signal")
        unquoted = b"".join(b"x" if at % 2 else piece for at, piece in enumerate(signals.split(b'"')))
        if signals.startswith(b",") or signals.endswith(b",") or b",," in unquoted:
            found.add("signal_empty")
        if signals and b"\r" not in signals:
            found |= expected_of_signals(signals.decode(errors="replace"), name)
            values = VALUE.findall(signals.decode(errors="replace"))
            found |= {"value_is_email"} if any(EMAIL.search(value.strip('" ')) for value in values) else set()
    for id_ in (id_.decode(errors="replace") for id_ in ids):
        found |= {"id_is_email"} if EMAIL.search(id_.strip()) else set()
        found |= {"id_forbidden_character"} if FORBIDDEN.search(id_) else set()
        found |= {"id_encoded"} if name.kind.endswith("id-sync") and re.search("%[0-9A-Fa-f]{2}", id_) else set()
        found |= {"id_spaced"} if name.kind == "data" and id_.strip(" ") != id_ else set()
        found |= {"id_all_zero"} if name.kind == "odc" and re.fullmatch("0{8}[0-]*", id_) else set()
    return found


PIECES = [
    b"u", b"7", b"\t", b"\t", b",", b",,", b'"', b"\r", b"\n", b"\n", b"\0", b" ", b"j@x.org", b"@", b":", b"%3a", b"%4", b"\x07", ZERO,
    b"\x7f", "ä".encode(), "€".encode(), "😀".encode(), "\x85".encode(), "\ufeff".encode(), b"\xe4", b"\xf0\x9f\x98",
    b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"u\ta=b\n", b"1\t2\t3\n", b"idfa\tu\t1\n", LONG[:-9],
    b"=", b"=", b"-a", b"a=b", b'"a"="b"', b"d_sid", b"d_unsid=", b"ic=1", b":0", b":-1", b"u\t", UUID, HASH + b"\t",
]  # fmt: skip


@given(
    st.sampled_from([DATA, OVERWRITE, ODC, SYNC, SYNC_3, C2C]),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=40).map(b"".join),
    st.integers(1, 50),
    st.booleans(),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_is_found_as_line_by_line_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, block_bytes: int, packed: bool
) -> None:
    if len(content) > 100_000:
        block_bytes *= 500
    monkeypatch.setattr(line_checks, "_SLICE", block_bytes)
    lines = content.split(b"\n")
    last = lines.pop()
    expected: dict[str, list[int]] = {}
    marked = content.startswith(b"\xef\xbb\xbf") and len((lines or [last])[0]) < 102_400
    for number, line in enumerate([*lines, last] if last else lines, 1):
        bare = line[3:] if marked and number == 1 else line
        for rule in expected_of(bare if len(line) < 102_400 else line, FileName.parse(name)):
            expected.setdefault(rule, []).append(number)
    if marked:
        expected["byte_order_mark"] = [1]
    if last:
        expected["no_last_newline"] = [len(lines) + 1]
    sent = gzip.compress(content) if packed else content
    checked = check(tmp_path, name + ".gz" * packed, sent, block_bytes)
    found = {each.name: (each.line, each.lines) for each in checked.findings if each.name != "file_empty"}
    assert found == {rule: (numbers[0], len(numbers)) for rule, numbers in expected.items()}
    assert (checked.lines, checked.raw_bytes) == (len(lines) + bool(last), len(content))
    monkeypatch.undo()
    assert check_file(LocalFile.at(tmp_path / (name + ".gz" * packed))) == checked


@given(st.binary(min_size=1, max_size=60), st.integers(1, 20))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_utf8_or_not(tmp_path: Path, content: bytes, block_bytes: int) -> None:
    checked = check(tmp_path, DATA, b"\t" + content.replace(b"\x1f\x8b", b""), block_bytes)
    lines = (b"\t" + content.replace(b"\x1f\x8b", b"")).split(b"\n")
    wrong = [number for number, line in enumerate(lines, 1) if line.decode(errors="replace").encode() != line]
    found = {each.name: (each.line, each.lines) for each in checked.findings}
    assert found.get("row_not_text") == ((wrong[0], len(wrong)) if wrong else None)


def test_nothing_of_the_content_is_told(tmp_path: Path) -> None:
    secret = "s3cr3t-passw0rd"
    line = f"{secret}@example.com:{secret}\t{secret},,\t\0{secret}\r\n".encode()
    for name, content in (
        (DATA, line + b"\xff" + line + LONG + line[:-2]),
        (SYNC, line * 2),
        (C2C, line * 2),
        (ODC, line * 2),
        (DATA + ".gz", gzip.compress(line)[:-3]),
        (DATA + ".gz", line),
        ("crm.csv", line),
    ):
        checked = check(tmp_path, name, content)
        assert checked.errors
        assert secret not in repr(asdict(replace(checked, name=None)))
        assert all(found.text.endswith(".") and found.text.isprintable() for found in checked.findings)


def test_a_file_is_closed(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("open files cannot be listed here")
    before = len(list(descriptors.iterdir()))
    for content in (GOOD, gzip.compress(GOOD)[:-2], b"\x1f\x8b" + b"x" * 100_000):
        check(tmp_path, DATA + ".gz", content, 10)
    assert len(list(descriptors.iterdir())) == before


def test_a_space_behind_an_id_is_where_it_breaks_a_rule(tmp_path: Path) -> None:
    for name, rule in (("ftp_dpm_20914_1_1366545717.sync", "id_form_wrong"), (DATA, "id_spaced")):
        (found,) = check(tmp_path, name, DEVICE + b" \ta=1\n").findings
        assert (found.name, [each.column for each in found.examples]) == (rule, [1])
