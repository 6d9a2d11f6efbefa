"""How IDs are normalized: each step alone and all together, compared with plain Python."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.columns import normalize
from converter.columns.normalize import check_hashing, normalize_id, null_if_empty, steps_of
from converter.errors import ConverterError
from converter.jobs.sections.ids import Id
from converter.spec.ids import ID_TYPES, TRIMMED

from .errors import raises
from .test_percent import plainly_decoded

ADDRESS = "johndoe@example.com"
HASH = "55e79200c1635b37ad31a378c39feb12f120f116625093a19bc32fff15041149"

# Characters on which the Unicode of Python and that of the engine agree, however new each is.
CHARACTERS = st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cn"])
TEXTS = st.lists(st.none() | st.text(CHARACTERS, max_size=10), max_size=10)
PIECES = [
    "0",
    "00",
    "A",
    "b",
    "ß",
    "e\u0301",
    "\u00e9",
    "-",
    ".",
    " ",
    "\t",
    "\u00a0",
    "\ufeff",
    "\u200b",
    "ID-",
    "-EU",
]
LIKELY = st.sampled_from([*PIECES, "%20", "%C3%A9", "%C3", ADDRESS, ADDRESS.upper(), HASH, HASH.upper()])
LIKELY_TEXTS = st.lists(st.none() | st.lists(LIKELY, max_size=5).map("".join), max_size=8)


def normalize_all(texts: list[str | None], id_: Id) -> list[str | None]:
    return pl.DataFrame({"id": texts}, {"id": pl.String}).select(normalize_id(id_, pl.col("id"))).to_series().to_list()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def plainly_hashed(text: str) -> str:
    return text.lower() if re.fullmatch("[0-9A-Fa-f]{64}", text) else sha256(text)


def plainly_hashed_address(text: str) -> str:
    return sha256(text) if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) else text.lower()


PLAIN: dict[str, Callable[[str, Any], str]] = {
    "decode": lambda text, _: plainly_decoded(text),
    "trim": lambda text, _: text.strip(TRIMMED),
    "unicode": lambda text, form: unicodedata.normalize(form.upper(), text),
    "cut_prefix": lambda text, prefix: text.removeprefix(prefix),
    "cut_suffix": lambda text, suffix: text.removesuffix(suffix),
    "remove": lambda text, removed: "".join(mark for mark in text if mark not in removed),
    "strip_zeros": lambda text, _: re.sub("^0+(?=.)", "", text),
    "pad": lambda text, width: text.rjust(width, "0") if text else text,
    "case": lambda text, case: text.lower() if case == "lower" else text.upper(),
    "prefix": lambda text, prefix: prefix + text if text else text,
    "suffix": lambda text, suffix: text + suffix if text else text,
    "hash": lambda text, _: plainly_hashed(text) if text else text,
}
"""The steps, in their order, as Python takes them for one text."""

SETTINGS: dict[str, list[Any]] = {
    "decode": [True],
    "trim": [True],
    "unicode": ["nfc"],
    "cut_prefix": ["ID-", "0", "é"],
    "cut_suffix": ["-EU", "b", " "],
    "remove": ["-", "- .", "é0"],
    "strip_zeros": [True],
    "pad": [1, 4, 12],
    "case": ["lower", "upper"],
    "prefix": ["crm_", "é"],
    "suffix": ["@web", "{}"],
    "hash": ["sha256"],
}
OFF = {"trim": False}
"""Without any step: only this one is on when nothing is said."""


def plainly_normalized(text: str | None, asked: dict[str, Any]) -> str | None:
    for name, step in PLAIN.items():
        if text and name in asked:
            text = step(text, asked[name])
    return text or None


def test_the_steps_are_those_of_the_settings_in_the_documented_order() -> None:
    all_of_them = {name: values[0] for name, values in SETTINGS.items()}
    names = [step.name for step in steps_of(Id(column="id", **all_of_them))]
    settings = [name for name in Id.model_fields if name not in ("column", "type", "implausible")]
    assert names == list(PLAIN) == list(SETTINGS) == settings
    assert ", ".join(names) in " ".join((Id.__doc__ or "").split())
    told = re.findall(r"^\d\. ([a-z_, ]+):", normalize.__doc__ or "", re.MULTILINE)
    assert ", ".join(told).split(", ") == names


def test_without_settings_an_id_is_trimmed_alone() -> None:
    assert [step.name for step in steps_of(Id(column="id"))] == ["trim"]
    assert steps_of(Id(column="id", **OFF)) == ()


@pytest.mark.parametrize("name, value", [(name, value) for name, values in SETTINGS.items() for value in values])
def test_a_step_alone_is_one_step_that_says_what_it_does(name: str, value: object) -> None:
    (step,) = steps_of(Id(**{"column": "id", **OFF, name: value}))
    assert step.name == name
    assert step.words
    if isinstance(value, str) and name in ("cut_prefix", "cut_suffix", "remove", "prefix", "suffix"):
        assert f"'{value}'" in step.words


@pytest.mark.parametrize("name, value", [(name, value) for name, values in SETTINGS.items() for value in values])
@settings(max_examples=60, deadline=None)
@given(texts=TEXTS | LIKELY_TEXTS)
def test_a_step_alone_does_what_python_does(name: str, value: object, texts: list[str | None]) -> None:
    id_ = Id(**{"column": "id", **OFF, name: value})
    assert normalize_all(texts, id_) == [plainly_normalized(text, {name: value}) for text in texts]


@settings(max_examples=60, deadline=None)
@given(
    texts=LIKELY_TEXTS,
    asked=st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in SETTINGS.items()}),
)
def test_all_steps_together_do_what_python_does_in_that_order(texts: list[str | None], asked: dict[str, Any]) -> None:
    id_ = Id(**{"column": "id", **OFF, **asked})
    assert normalize_all(texts, id_) == [plainly_normalized(text, asked) for text in texts]


@pytest.mark.parametrize(
    "text, asked, result",
    [
        ("%20ID-0042%20", {"decode": True, "trim": True, "cut_prefix": "ID-", "strip_zeros": True}, "42"),
        ("00-42", {"remove": "-", "strip_zeros": True, "pad": 6}, "000042"),
        ("abc", {"case": "upper", "prefix": "crm_"}, "crm_ABC"),
        ("ID-a", {"cut_prefix": "ID-", "prefix": "ID-", "suffix": "-ID"}, "ID-a-ID"),
        ("id-a", {"cut_prefix": "ID-", "case": "upper"}, "ID-A"),
        (" A\u200b", {"trim": True, "case": "lower", "hash": "sha256"}, sha256("a")),
        ("a", {"prefix": "x", "hash": "sha256"}, sha256("xa")),
    ],
)
def test_steps_follow_each_other_in_their_order(text: str, asked: dict[str, Any], result: str) -> None:
    assert normalize_all([text], Id(**{"column": "id", **OFF, **asked})) == [result]


@pytest.mark.parametrize("name, value", [(name, values[-1]) for name, values in SETTINGS.items()])
def test_what_is_missing_stays_missing_at_every_step(name: str, value: object) -> None:
    id_ = Id(**{"column": "id", "trim": True, name: value})
    assert normalize_all([None, "", " \u200b\ufeff", None], id_) == [None] * 4
    (step,) = (step for step in steps_of(id_) if step.name == name)
    after = pl.DataFrame({"id": [None, ""]}, {"id": pl.String}).select(null_if_empty(step.apply(pl.col("id"))))
    assert after.to_series().to_list() == [None, None]


def test_where_nothing_is_left_an_id_is_missing() -> None:
    assert normalize_all(["--", "-a-", "ID-", "-EU"], Id(column="id", remove="-", prefix="x")) == [
        None,
        "xa",
        "xID",
        "xEU",
    ]
    assert normalize_all(["ID-"], Id(column="id", cut_prefix="ID-", pad=5, hash="sha256")) == [None]


def test_only_a_text_that_is_there_is_cut_and_only_once() -> None:
    id_ = Id(column="id", cut_prefix="ab", cut_suffix="yz")
    assert normalize_all(["ababxyzyz", "b", "aab", "yzab"], id_) == ["abxyz", "b", "aab", "yzab"]


@pytest.mark.parametrize("character", TRIMMED)
def test_every_character_that_is_trimmed_goes_at_both_ends_and_stays_within(character: str) -> None:
    text = f"{character}a{character}b{character * 2}"
    assert normalize_all([text], Id(column="id")) == [f"a{character}b"]


def test_all_white_space_of_unicode_is_trimmed() -> None:
    space = {chr(code) for code in range(0x110000) if chr(code).isspace()} - set("\x1c\x1d\x1e\x1f")  # Python's own
    assert space <= set(TRIMMED)


def test_characters_are_counted_not_bytes() -> None:
    assert normalize_all(["ü", "€€€", "abcd", "abcde"], Id(column="id", pad=4)) == ["000ü", "0€€€", "abcd", "abcde"]


def test_a_zero_alone_stays() -> None:
    assert normalize_all(["0", "000", "0100", "a00"], Id(column="id", strip_zeros=True)) == ["0", "0", "100", "a00"]


@pytest.mark.parametrize("type_", ID_TYPES)
def test_the_case_is_that_of_the_type(type_: str) -> None:
    wanted = {"lower": "ab-12", "upper": "AB-12", None: "aB-12"}[ID_TYPES[type_].case]
    assert normalize_all([" aB-12 "], Id(column="id", type=type_)) == [wanted]  # type: ignore[arg-type]


@pytest.mark.parametrize("case", ["preserve", "lower", "upper"])
def test_the_case_of_a_customers_own_id_is_as_asked(case: str) -> None:
    wanted = {"preserve": "aBÜß", "lower": "abüß", "upper": "ABÜSS"}[case]
    assert normalize_all(["aBÜß"], Id(column="id", case=case)) == [wanted]  # type: ignore[arg-type]


# --- hashing ----------------------------------------------------------------------------------------------------


def test_an_address_is_hashed_as_adobes_example_is() -> None:
    id_ = Id(column="id", type="hashed_email", hash="sha256")
    texts = [ADDRESS, f"\t {ADDRESS.upper()} ", f"\ufeff{ADDRESS.title()}\u200b"]
    assert normalize_all(texts, id_) == [HASH] * 3


def test_what_is_no_address_is_not_hashed_as_one() -> None:
    id_ = Id(column="id", type="hashed_email", hash="sha256")
    texts = ["crm-1", "joe@localhost", "joe", "@example.com", "a b@example.com", None, ""]
    assert normalize_all(texts, id_) == ["crm-1", "joe@localhost", "joe", "@example.com", "a b@example.com", None, None]


@pytest.mark.parametrize("type_", ["crm", "hashed_email"])
def test_what_is_a_hash_already_stays(type_: str) -> None:
    id_ = Id(column="id", type=type_, hash="sha256")  # type: ignore[arg-type]
    assert normalize_all([HASH, HASH.upper(), f" {HASH} "], id_) == [HASH] * 3


def test_without_hash_nothing_is_hashed() -> None:
    assert normalize_all([ADDRESS], Id(column="id", type="hashed_email")) == [ADDRESS]


def test_nearly_a_hash_is_hashed() -> None:
    nearly = [HASH[:-1], HASH + "0", "g" + HASH[1:], HASH + "\n"]
    assert normalize_all(nearly, Id(column="id", hash="sha256", **OFF)) == [sha256(text) for text in nearly]


def test_many_are_hashed_in_the_streaming_engine() -> None:
    number = 100_000
    id_ = Id(column="id", hash="sha256")
    rows = pl.LazyFrame({"n": range(number)}).select("n", id=pl.format("crm-{}", "n"))
    made = rows.select("n", id=normalize_id(id_, pl.col("id"))).collect(engine="streaming")
    assert made["id"].n_unique() == number
    for row in (0, 1, number // 2, number - 1):
        assert made["id"][row] == sha256(f"crm-{made['n'][row]}")


def test_that_hashing_is_right_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    check_hashing()
    monkeypatch.setattr(normalize, "_hash", lambda text, of_address: text.str.reverse())
    with raises(ConverterError, "E-HASH-CHECK", ADDRESS, HASH):
        check_hashing()
