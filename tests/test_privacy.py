"""Personal data is found in what looks like it, IDs are left alone, and nobody can be told from what is shown."""

from __future__ import annotations

import ipaddress
import random
import re
import sys
from pathlib import Path
from typing import Any

import phonenumbers
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks import privacy as measured
from benchmarks import published
from converter.columns.privacy import (
    accounts,
    cards,
    mask,
    numbers_are_ids,
    personal_kind,
    personal_kinds,
    phones,
    values,
)
from converter.columns.privacy.forms import plain
from converter.spec.rules import PERSONAL

DOCS = (Path(__file__).parent.parent / "docs" / "privacy.md").read_text()


def kinds(texts: list[str | None], *, bare_cards: bool = True) -> list[str | None]:
    """What kind of personal data each text is, as the expression says it."""
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    found = frame.select(personal_kind(pl.col("text"), cards=bare_cards)).to_series()
    assert found.dtype == pl.UInt8
    return [None if place is None else PERSONAL[place] for place in found]


def kind(text: str | None) -> str | None:
    return kinds([text])[0]


FOUND = {
    "email": [
        "joe@example.com", "mailto:joe@example.com", "Joe <joe@example.com>", "joe%40example.com", "joe%2540example.com",
        "see joe@example.com, please", "JOE.BLOGGS+tag@MAIL.EXAMPLE.CO.UK", "用户@例子.广告", "ü@bücher.example", "a@b.co",
        "joe@xn--bcher-kva.example", "joe＠example.com", "joe@例え。テスト", '"joe blogs"@example.com', "joe@[192.0.2.1]",
        "o'hara@example.org", "https://joe@example.com/path", "joe @example.com", "joe@ example.com", "joe.@docomo.example", "id=joe@sub.sub.example.museum;x=1",
        "\tjoe@example.com\n", "+4930123456@sms.example.com", "अजय@डाटा.भारत",
    ],
    "phone": [
        "+49 30 123456", "+4930123456", "+1 (201) 555-0123", "+1-201-555-0123", "tel:+1-201-555-0123", "TEL:+12015550123",
        "0049 30 123456", "00 49 30 123456", "0044 20 7031 3000", "(030) 123456", "(201) 555-0123", "(201)555-0123",
        "+49 (0)30 123456", "(+49) 30 123456", "+49.30.123456", "+49/30/123456", "+44 20 7031 3000 ext. 12",
        "+1 201-555-0123 x45", "tel:+12015550123;ext=45", "tel:201-555-0123", " +49 30 123456 ", "+39 06 6982 0123",
        "+33\u00a01\u00a023\u00a045\u00a067\u00a089", "+49‑30‑123456", "whatsapp:+4930123456", "sip:+49 30 123456", "viber://+4930123456", "whatsapp:4930123456", "(0)30 123456", "+800 1234 5678", "+54 9 11 2345-6789",
    ],
    "card": [
        "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "3782 822463 10005",
        "30569309025904", "3056 930902 5904", "4222222222222", "4222 222 222 222", "6205500000000000004",
        "620550 0000000000004", "6205 5000 0000 0000 004", " 5555555555554444\n", "4111111111111111.0", "4111.1111.1111.1111", "4111\u00a01111\u00a01111\u00a01111", "４１１１１１１１１１１１１１１１", "4111\u20111111\u20111111\u20111111", "2223003122003222",
    ],
    "iban": [
        "DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "de89370400440532013000", "GB29 NWBK 6016 1331 9268 19",
        "NO9386011117947", "MT84MALT011000012345MTLCAST001S", "SV 62 CENR 00000000000000700025", "\u00a0BE68539007547034 ",
        "DZ8612345678901234567890",
    ],
    "ip": [
        "192.0.2.1", "0.0.0.0", "255.255.255.255", "192.168.001.001", "1.2.3.4", "2001:db8::1", "2001::1", "fe80::1", "fe80::1%eth0",
        "[2001:db8::1]", "2001:0db8:0000:0000:0000:ff00:0042:8329", "::ffff:192.0.2.128", "64:ff9b::192.0.2.33",
        "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:192.0.2.1", " 10.0.0.1", "203.0.113.7:80", "[2001:db8::1]:443", "192.0.2.1.",
    ],
    "ssn": ["123-45-6789", "001-01-0001", "899-99-9999", "665-12-3456", "123 45 6789", " 123-45-6789 "],
}  # fmt: skip

NOT_FOUND = [
    "user@host", "@", "a@b", "joe@", "@example.com", "joe@example", "joe@1.2", "a @ b.com", "100%40", "%40example.com",
    "react@17.0.2", "@joe.smith", "https://maps.example/@52.5,13.4,15z", "joe at example.com", "", " ",
    "4930123456", "0049 3", "004930123456", "0000123456", "0049301 23456", "0012-3456-7890", "0012 3456 7890", "+123", "+1 555", "+99 123 456789", "201-555-0123", "030 123456",
    "(1)", "(12) 34", "(12) 3456", "(12345) 12345678901", "()", "+", "tel:", "tel:joe", "(a) 1234567", "+49 30 123456 or so", "+0 30 123456",
    "4111111111111112", "1111111111111111", "0000000000000000", "411111111111111", "4111 1111-1111 1111",
    "4111  1111 1111 1111", "41111111 11111111", "x4111111111111111", "4111111111111111x", "7111111111111116",
    "DE88370400440532013000", "DE8937040044053201300", "DE893704004405320130000", "XX89370400440532013000",
    "DE00370400440532010043", "DE01370400440532010025", "DE99370400440532010007", "DE89-3704-0044-0532-0130-00",
    "DE89  3704 0044 0532 0130 00", "DE893704004405320130ÄÖ",
    "256.1.1.1", "1.2.3", "1.2.3.4.5", "1.2.3.4/24", "192.0.2.1:", "192.0.2.1:123456", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
    "1::2::3", ":::", "::", "::1", "[::1]", "a::b", "12:30", "10:30:00", "g::1", "1:2:3:4:5:6:7:8::", "00000::1", "Foo::Bar", "aa:bb:cc:dd:ee:ff",
    "000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "123456789", "123-45 6789", "123-45-67890",
    "123-456-789", "CUST-000123", "0f8fad5b-d9cb-469f-a165-70867728950e", "female", "São Paulo", "18-24", "-", "3.14",
    "2024-01-31", "2024-01-31 13:05:00", "١٢٣-٤٥-٦٧٨٩",
]  # fmt: skip


@st.composite
def disguised(draw: st.DrawFn) -> tuple[str, str]:
    """What a text is, and the text with what programs and people put around it and into it."""
    what = draw(st.sampled_from(sorted(FOUND)))
    text = draw(st.sampled_from(FOUND[what])).strip()
    if draw(st.booleans()):
        text = text.replace(" ", draw(st.sampled_from(["\u00a0", "\u2007", "\u202f", "\u3000"])))
    if draw(st.booleans()):
        text = text.replace("-", draw(st.sampled_from(["\u2010", "\u2011", "\u2013", "\u2212"])))
    if draw(st.booleans()):
        text = "".join(chr(ord(mark) + 0xFEE0) if "0" <= mark <= "9" else mark for mark in text)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from("\u200b\u200e\u202a\u202c\u2066\u2069\u00ad\ufeff")) + text[at:]
    text = draw(st.sampled_from(["", "'", '"', "„", "‘", "`"])) + text
    text += draw(st.sampled_from(["", "'", '"', "“", ";", ",", ".", "!", ";;", "',"]))
    return what, draw(st.sampled_from(["", " ", "\t", "\u00a0"])) + text + draw(st.sampled_from(["", " ", "\r\n"]))


@settings(max_examples=1000, deadline=None)
@given(disguised())
def test_personal_data_in_disguise_is_found(given: tuple[str, str]) -> None:
    what, text = given
    assert kind(text) == what


@pytest.mark.parametrize("what, text", [(what, text) for what, texts in FOUND.items() for text in texts])
def test_personal_data_is_found(what: str, text: str) -> None:
    assert kind(text) == what


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_is_none_is_left_alone(text: str) -> None:
    assert kind(text) is None


def test_every_kind_is_tested() -> None:
    assert tuple(FOUND) == PERSONAL


def test_a_batch_keeps_its_rows_nulls_and_name() -> None:
    texts = [None, "C-1", "joe@example.com", None, "4111111111111111", "", "1.2.3.4", "x"]
    assert kinds(texts) == [None, None, "email", None, "card", None, "ip", None]
    assert kinds([]) == []
    assert kinds([None, None]) == [None, None]
    frame = pl.DataFrame({"a": texts, "b": "C-1"}).with_columns(personal_kind(pl.col("a")), personal_kind(pl.col("b")))
    assert frame.schema == {"a": pl.UInt8, "b": pl.UInt8}
    assert frame["b"].null_count() == len(texts)
    sliced = pl.DataFrame({"a": texts}).slice(2, 3).select(personal_kind(pl.col("a"))).to_series()
    assert sliced.to_list() == [0, None, 2]
    assert pl.select(personal_kind(pl.lit("joe@example.com"))).item() == 0


def test_the_streaming_engine_finds_the_same() -> None:
    texts = EXAMPLES * 500
    frame = pl.LazyFrame({"text": texts}).select(personal_kind(pl.col("text")))
    places = frame.collect(engine="streaming").to_series()
    assert [None if place is None else PERSONAL[place] for place in places] == kinds(list(texts))


@pytest.mark.parametrize("engine", ["streaming", "in-memory"])
@pytest.mark.parametrize("rows", [0, 1, 7, 1000])
def test_several_texts_of_a_row_are_judged_as_each_by_itself(rows: int, engine: Any) -> None:
    rng = random.Random(rows)
    texts = {name: rng.choices([*EXAMPLES, "C-1", "", None], k=rows) for name in "abc"} | {"d": ["C-1"] * rows}
    frame = pl.LazyFrame(texts, schema=dict.fromkeys(texts, pl.String))
    columns = [*(pl.col(name).alias(f"of_{name}") for name in texts), pl.col("a").alias("of_a_again")]
    found = frame.with_columns(personal_kinds(columns, [True] * len(columns)).struct.unnest()).collect(engine=engine)
    assert found.columns == [*texts, "of_a", "of_b", "of_c", "of_d", "of_a_again"]
    assert found["of_a_again"].to_list() == found["of_a"].to_list()
    assert found["of_d"].to_list() == [None] * rows
    for name in texts:
        assert [None if each is None else PERSONAL[each] for each in found[f"of_{name}"]] == kinds(texts[name])


def test_what_is_of_two_kinds_is_of_the_first() -> None:
    assert kind("fe80::1%40a.co") == "email"
    assert kind("fe80::1%40a") == "ip"


def test_bare_numbers_are_no_cards_where_they_are_ids() -> None:
    texts = ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "joe@example.com"]
    assert kinds(texts, bare_cards=False) == [None, "card", "card", "email"]


EXAMPLES = [text for texts in FOUND.values() for text in texts] + NOT_FOUND
TEXTS = st.one_of(
    st.sampled_from(EXAMPLES),
    st.text(alphabet="0123456789 -+().:/@abcDEF%x\u00a0", max_size=24),
    st.builds(lambda text, at, new: text[: at % (len(text) + 1)] + new + text[at % (len(text) + 1) + 1 :],
              st.sampled_from(EXAMPLES), st.integers(0, 40), st.sampled_from(["", "0", "9", "-", " ", "@", ":", "a", "é"])),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=8), st.booleans())
def test_every_personal_text_is_suspect_and_checked_alone(texts: list[str], bare_cards: bool) -> None:
    stripped = plain(pl.Series(texts, dtype=pl.String))
    expected: list[str | None] = [None] * len(texts)
    for what, judge in zip(PERSONAL, values._detectors(bare_cards=bare_cards), strict=True):
        for place, found in enumerate(judge(stripped)):
            expected[place] = expected[place] or (what if found else None)
    assert kinds(list(texts), bare_cards=bare_cards) == expected
    assert [kinds([text], bare_cards=bare_cards)[0] for text in texts] == expected


# Check digits


def has_check_digit(number: str) -> bool:
    """Luhn, as ISO/IEC 7812-1 describes it."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        counted = int(digit) * (1 + place % 2)
        total += counted // 10 + counted % 10
    return total % 10 == 0


@given(st.lists(st.text("0123456789", min_size=1, max_size=19), min_size=1, max_size=20))
@example(["9" * 19, "0", "9" * 18])
def test_check_digits_of_cards(numbers: list[str]) -> None:
    assert cards.has_check_digit(pl.Series(numbers)).tolist() == [has_check_digit(number) for number in numbers]


def leaves_one(number: str) -> bool:
    """ISO 7064, MOD 97-10, with Python's long integers."""
    return int("".join(str(int(mark, 36)) for mark in number[4:] + number[:4])) % 97 == 1


@given(st.lists(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=5, max_size=34), min_size=1, max_size=20))
@example(["Z" * 34, "0" * 34, "DE89370400440532013000"])
def test_check_digits_of_accounts(numbers: list[str]) -> None:
    assert accounts.have_check_digits(pl.Series(numbers)).tolist() == [leaves_one(number) for number in numbers]


@given(st.sampled_from(published.ibans()), st.integers(2, 40), st.sampled_from("0123456789"))
def test_an_account_with_one_digit_changed_is_none(number: str, place: int, digit: str) -> None:
    place = place % (len(number) - 2) + 2
    if number[place].isdigit():
        changed = number[:place] + digit + number[place + 1 :]
        assert kind(changed) == ("iban" if changed == number else None)


def test_a_card_has_the_length_of_its_issuer() -> None:
    def ended(begin: str, length: int) -> str:
        return next(
            number for digit in range(10) if has_check_digit(number := f"{begin.ljust(length - 1, '0')}{digit}")
        )

    for begins, lengths in cards.ISSUERS.values():
        for begin in begins.split():
            for edge in begin.split("-"):
                assert kinds([ended(edge, length) for length in lengths]) == ["card"] * len(lengths), edge
    assert kinds([ended("34", 16), ended("51", 15), ended("222099", 16), ended("2721", 16)]) == [None] * 4


# IP addresses


def is_address(text: str) -> bool:
    """Whether a text is an address, and not so short that it is nobody's; that of IPv4 may have a port after it."""
    text = re.sub("^([0-9.]+):[0-9]{1,5}$", r"\1", text)
    if len(text) < 7:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


PIECES = st.sampled_from(["", "0", "1", "ff", "12ab", "FFFF", "0000", "10000", "g", "192.0.2.1", "256.1.1.1"])


@settings(max_examples=500)
@given(st.lists(PIECES, min_size=1, max_size=10))
@example(["1", "", "2", "3", "4", "5", "6", "192.0.2.1"])
def test_ipv6_addresses_are_those_of_python(pieces: list[str]) -> None:
    text = ":".join(pieces)
    assert (kind(text) == "ip") == is_address(text)


@given(st.lists(st.integers(0, 300), min_size=2, max_size=5))
def test_ipv4_addresses_are_those_of_python(numbers: list[int]) -> None:
    text = ".".join(map(str, numbers))
    assert (kind(text) == "ip") == is_address(text)


# What is published is found


def missed(what: str, texts: list[str]) -> list[str]:
    return [text for text, found in zip(texts, kinds(list(texts)), strict=True) if found != what]


def test_published_cards_are_found() -> None:
    numbers = published.cards()
    assert len(numbers) > 150
    assert missed("card", numbers) == []
    for separator in " -":
        assert missed("card", [measured._in_fours(number, separator) for number in numbers]) == []


def test_published_accounts_are_found() -> None:
    numbers = published.ibans()
    assert {number[:2] for number in numbers} == set(" ".join(accounts.REGISTERED.values()).split())
    assert missed("iban", numbers) == []
    assert missed("iban", [measured._in_fours(number, " ") for number in numbers]) == []
    assert missed("iban", [number.lower() for number in numbers]) == []


def test_examples_of_phone_numbers_are_found() -> None:
    numbers = published.phones()
    assert len(numbers) > 2000
    assert len(missed("phone", numbers)) <= len(numbers) // 1000


def test_a_number_is_valid_where_phonenumbers_says_so() -> None:
    draw = random.Random(1)
    numbers = [number.removeprefix("+") for number in published.phones() if number.removeprefix("+").isdigit()]
    changed = [
        number[:place] + draw.choice("0123456789") + number[place + 1 :]
        for number in numbers
        for place in (draw.randrange(1, len(number)) for _ in range(3))
    ]
    changed += [number[:-1] for number in numbers] + [f"{number}{draw.randrange(10)}" for number in numbers]
    ours = phones.are_valid(pl.Series(changed))
    theirs = [phonenumbers.is_valid_number(number) if (number := parsed(f"+{text}")) else False for text in changed]
    differ = [text for text, one, other in zip(changed, ours, theirs, strict=True) if one != other]
    assert 0.3 < sum(theirs) / len(theirs) < 0.9, "the numbers are of both sorts"
    assert len(differ) <= len(changed) // 200, differ


def test_many_plans_at_once_say_what_each_says() -> None:
    numbers = [number.removeprefix("+") for number in published.phones()[1::37]]
    numbers += [number + "00" for number in numbers] + ["999123456789", "0", ""]
    one_by_one = [bool(phones.are_valid(pl.Series([number]))[0]) for number in numbers]
    assert phones.are_valid(pl.Series(numbers)).tolist() == one_by_one
    assert {True, False} == set(one_by_one)


def parsed(text: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None


def test_the_engine_reads_the_plans_of_all_countries() -> None:
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        assert pl.Series(["x"]).str.contains(phones.plan(str(code))).to_list() == [False]


def test_without_what_could_be_a_phone_number_the_library_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for cached in (phones._calling_codes, phones.plan, phones._all_plans):
        cached.cache_clear()
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    assert kinds(["C-1", "joe@example.com", "(030) 123456", "0000012345"]) == [None, "email", "phone", None]
    with pytest.raises((ImportError, pl.exceptions.ComputeError)):
        kinds(["+49 30 123456"])


# IDs are left alone


def check_ids(shape: str, rows: int) -> None:
    found = measured.measured(shape, measured.made(measured.SHAPES[shape], rows))
    assert found.share <= 0.001, found


@pytest.mark.parametrize("shape", measured.SHAPES)
def test_ids_are_left_alone(shape: str) -> None:
    check_ids(shape, 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("shape", measured.SHAPES)
def test_many_ids_are_left_alone(shape: str) -> None:
    check_ids(shape, 1_000_000)


def test_ids_are_made_as_their_shape_says() -> None:
    for shape, pattern in (("CUST-000123", r"CUST-\d{6}"), ("UUID", r"[0-9a-f-]{13}-4[0-9a-f]{3}-a[0-9a-f-]{16}")):
        one, other = (measured.made(measured.SHAPES[shape], 50) for _ in range(2))
        assert all(re.fullmatch(pattern, text) for text in one)
        assert one.equals(other)
        assert one.n_unique() == 50


CUSTOMERS = [f"{number * 7919:016}" for number in range(10**11, 10**11 + 40)]


@pytest.mark.parametrize(
    "sample, ids",
    [
        (CUSTOMERS, True),
        (CUSTOMERS[:20], True),
        (CUSTOMERS[:19], False),
        ([f" {number}\t" for number in CUSTOMERS], True),
        (CUSTOMERS[:19] * 5, False),
        ([*CUSTOMERS, *["x", "", None, "C-1"] * 100], True),
        (published.cards(), False),
        ([*CUSTOMERS[:30], *published.cards()[:9]], True),
        ([*CUSTOMERS[:30], *published.cards()[:15]], False),
        (["123456789012"] * 50, False),
        ([], False),
        ([None], False),
    ],
)
def test_bare_numbers_are_ids_where_few_look_like_cards(sample: list[str | None], ids: bool) -> None:
    assert numbers_are_ids(pl.Series(sample, dtype=pl.String)) is ids


# What is shown


@pytest.mark.parametrize(
    "text, shown",
    [
        ("User123", "Us…23"),
        ("john@example.com", "jo…@…"),
        ("joe@example.com", "jo…@…"),
        ("jo@example.com", "j…@…"),
        ("j@example.com", "…@…"),
        ("@example.com", "…@…"),
        ("joe＠example.com", "jo…@…"),
        ("joe%40example.com", "jo…om"),
        ("4111111111111111", "41…11"),
        ("twelve", "tw…ve"),
        ("five5", "f…"),
        ("abc", "a…"),
        ("ab", "…"),
        ("", ""),
        (None, None),
        ("ééééééé", "éé…éé"),
        ("Joe <joe@example.com>", "Jo…@…"),
    ],
)
def test_a_masked_text_identifies_nobody(text: str | None, shown: str | None) -> None:
    assert pl.select(mask(pl.lit(text, pl.String))).item() == shown


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1))
def test_no_more_than_two_characters_are_left_at_either_end(texts: list[str]) -> None:
    for text, shown in zip(texts, pl.DataFrame({"t": texts}).select(mask(pl.col("t"))).to_series(), strict=True):
        check_shown(text, shown)


def check_shown(text: str, shown: str) -> None:
    before, sign, after = shown.partition("…")
    assert len(before) <= 2
    assert sign or not text
    assert after == "@…" or (len(after) <= 2 and text.endswith(after))
    assert text.startswith(before)
    assert not text or before + after.removesuffix("@…") != text
    if "@" in text:
        assert before != text.partition("@")[0] or not before


# The documentation


@pytest.mark.parametrize("name", [*measured.SHAPES, *measured.ALIKE])
def test_the_documentation_has_every_shape(name: str) -> None:
    (row,) = re.findall(rf"^\| {re.escape(name)} \|.*$", DOCS, re.MULTILINE)
    share = float(re.findall(r"([0-9.]+) %", row)[0])
    assert share <= 0.1 or name in measured.ALIKE


@pytest.mark.parametrize("what", PERSONAL)
def test_the_documentation_has_every_kind(what: str) -> None:
    assert f"| `{what}` |" in DOCS


def test_the_figures_of_the_documentation_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["privacy", "--rows", "1000"])
    measured.main()
    printed = capsys.readouterr().out
    for name in (*measured.SHAPES, *measured.ALIKE, "IBANs", "values of signals"):
        assert re.search(rf"^{re.escape(name)} .*%", printed, re.MULTILINE), name
