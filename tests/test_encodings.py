"""Encodings are found by file, named where rows are not in the job's, and doubted where text looks wrong."""

from __future__ import annotations

import bz2
from pathlib import Path

import pytest

from converter import convert, doctor
from converter.errors import Finding, InputError, StrictError, TooManyRejectsError
from converter.sources import encodings
from converter.sources.encodings import encoding_of

from .conftest import Run
from .errors import check_named, codes_of, raises

WORDS = {
    "cp1252": "München Köln Zürich Düsseldorf Genève Málaga Århus Besançon Łódź".replace(" Łódź", " 12€").split(),
    "cp1250": ["Kraków", "Łódź", "Wrocław", "Gdańsk", "Poznań", "Čapek", "Žižkov", "Štúr", "Győr", "Pécs"],
    "cp1251": ["Москва", "Казань", "Новосибирск", "Самара", "Екатеринбург", "Омск", "Пермь", "Уфа"],
    "koi8-r": ["Москва", "Казань", "Новосибирск", "Самара", "Екатеринбург", "Омск", "Пермь", "Уфа"],
    "cp1253": ["Αθήνα", "Θεσσαλονίκη", "Πάτρα", "Ηράκλειο", "Λάρισα", "Βόλος", "Ιωάννινα", "Χανιά"],
    "shift_jis": ["東京都", "大阪府", "名古屋市", "横浜市", "札幌市", "カタカナ", "ひらがな", "神戸市"],
    "euc-jp": ["東京都", "大阪府", "名古屋市", "横浜市", "札幌市", "カタカナ", "ひらがな", "神戸市"],
    "gb18030": ["北京市", "上海市", "广州市", "深圳市", "成都市", "重庆市", "武汉市", "南京市"],
    "big5": ["台北市", "高雄市", "台中市", "台南市", "新竹市", "基隆市", "嘉義市", "桃園市"],
    "euc-kr": ["서울특별시", "부산광역시", "대구", "인천", "광주", "대전", "울산", "세종"],
    "utf-16-le": ["München", "Köln", "Zürich", "Düsseldorf"],
    "utf-16-be": ["München", "Köln", "Zürich", "Düsseldorf"],
    "utf-16": ["München", "Köln", "Zürich", "Düsseldorf"],
    "utf-8-sig": ["München", "Köln", "Москва", "東京都"],
    "utf-8": ["München", "Köln", "Москва", "東京都"],
}


def table(encoding: str, rows: int = 400, every: int = 10) -> tuple[bytes, list[str]]:
    """Return a table, one of `every` rows of which has a word beyond ASCII, and its lines."""
    words = WORDS[encoding]
    cities = [words[row // every % len(words)] if row % every == 1 else "Bonn" for row in range(rows)]
    text = "id,a\n" + "".join(f"u{row},{city}\n" for row, city in enumerate(cities))
    return text.encode(encoding), [f'u{row}\t"a"="{city}"' for row, city in enumerate(cities)]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("encoding", WORDS)
def test_auto_finds_the_encoding(run: Run, encoding: str, *, packed: bool) -> None:
    content, lines = table(encoding)
    report = run.convert(bz2.compress(content) if packed else content, input={"encoding": "auto"})
    assert run.lines == lines
    (found,) = report.encodings
    assert found["files"] == 1
    assert found["certainty"] in ("certain", "likely")


def test_auto_finds_the_encoding_of_each_file_and_says_how_certain_it_is(run: Run) -> None:
    names = {"a.csv": "utf-8", "b.csv": "cp1252", "c.csv": "cp1251", "d.csv": "cp1252"}
    for name, encoding in names.items():
        run.write(table(encoding)[0], name)
    run.write("id,a\nu1,Köln\n".encode("cp1252"), "e.csv")
    notices: list[str] = []
    job = run.make_job(input={"path": str(run.folder / "[a-e].csv"), "encoding": "auto"})
    report = convert(job, notify=notices.append)
    assert run.lines == [line for encoding in names.values() for line in table(encoding)[1]] + ['u1\t"a"="Köln"']
    found = [
        (each["encoding"], each["certainty"], [Path(path).name for path in each["paths"]]) for each in report.encodings
    ]
    assert found == [
        ("utf-8", "certain", ["a.csv"]),
        ("cp1252", "likely", ["b.csv", "d.csv"]),
        ("cp1251", "likely", ["c.csv"]),
        ("cp1252", "a guess", ["e.csv"]),
    ]
    check_named("\n".join(notices), "'a.csv'", "Windows-1252 (cp1252), likely", "'b.csv', 'd.csv'", "a guess")


def test_letters_far_from_the_start_of_a_file_are_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "_FIRST", 1 << 12)
    monkeypatch.setattr(encodings, "_WINDOW", 1 << 10)
    ascii_rows = b"".join(b"v%d,Bonn\n" % row for row in range(9_000))
    content = b"id,a\n" + ascii_rows + table("cp1251", 4_000)[0].partition(b"\n")[2]
    report = run.convert(content, input={"encoding": "auto"})
    assert [each["encoding"] for each in report.encodings] == ["cp1251"]


def test_ascii_and_noise_are_utf8(run: Run) -> None:
    assert run.convert("id,a\nu1,x\n", input={"encoding": "auto"}).encodings[0]["encoding"] == "utf-8"
    assert encoding_of(bytes(range(256)) * 9) is None


@pytest.mark.parametrize("encoding", ["cp1252", "cp1251", "shift_jis"])
def test_rejected_rows_name_the_encoding_that_would_read_them(run: Run, encoding: str) -> None:
    content, _ = table(encoding, every=40)
    told: list[Finding] = []
    path = run.write(content)
    report = convert(run.make_job(input={"path": str(path)}), warn=told.extend)
    name = {"shift_jis": "cp932"}.get(encoding, encoding)
    assert report.records["rejected"] == {"row_not_text": 10}
    assert codes_of(told) == codes_of(report.warnings) == ["W-ENCODING-OTHER"]
    check_named(str(told[0]), "10 rows", "in.csv'", f'input.encoding = "{name}"', '"auto"')
    for file in run.out.iterdir():
        file.unlink()
    with raises(StrictError, "E-STRICT", "W-ENCODING-OTHER"):
        convert(run.make_job(input={"path": str(path)}), strict=True)
    assert run.files == []


def test_too_many_rejects_name_the_encoding(run: Run) -> None:
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS", 'input.encoding = "cp1251"'):
        run.convert(table("cp1251", every=2)[0], report={"max_rejects": "10%"})


def test_a_mixture_of_encodings_is_named(run: Run) -> None:
    content = table("utf-8")[0] + table("cp1252", 40, 20)[0].partition(b"\n")[2]
    report = run.convert(content)
    check_named(str(report.warnings[0]), "2 rows", "mixture")
    report = run.convert(content, output={"timestamp": 1_400_000_000}, input={"encoding": "auto"})
    check_named(str(report.warnings[0]), "2 rows", "mixture")


def test_a_header_in_another_encoding_names_it(run: Run) -> None:
    with raises(InputError, "E-INPUT-ENCODING", 'input.encoding = "cp1252"'):
        run.convert("id,a,Größe,Straße\nu1,Köln,x,y\n".encode("cp1252"))
    with raises(InputError, "E-HEADER-NUL", 'input.encoding = "utf-16-be"'):
        run.convert(table("utf-16-be")[0])


def test_utf8_that_is_read_as_another_encoding_is_told(run: Run) -> None:
    run.write(table("utf-8")[0], "a.csv")
    run.write(table("cp1252")[0], "b.csv")
    job = run.make_job(input={"path": str(run.folder / "[ab].csv"), "encoding": "cp1251"})
    told: list[Finding] = []
    convert(job, warn=told.extend)
    assert codes_of(told) == ["W-ENCODING-UTF8"]
    check_named(str(told[0]), "a.csv'", "cp1251", '"auto"')
    assert "W-ENCODING-UTF8" in codes_of(doctor(job))
    run.write(table("utf-8-sig")[0], "a.csv")  # its byte order mark decides
    assert "W-ENCODING-UTF8" not in codes_of(doctor(job))


@pytest.mark.parametrize("wrong", ["München", "CAFÉ", "naïve", "“quoted", "12 °C", "€"])
def test_utf8_that_was_read_as_windows_1252_and_stored_is_told(run: Run, wrong: str) -> None:
    stored = wrong.encode("utf-8").decode("cp1252")
    told: list[Finding] = []
    path = run.write(f"id,a\nu1,{stored}\n")
    convert(run.make_job(input={"path": str(path)}), warn=told.extend)
    assert codes_of(told) == ["W-MOJIBAKE"]
    check_named(str(told[0]), "in.csv'", "Windows-1252", " for ")


@pytest.mark.parametrize(
    "right", ["München", "LE CAFÉ»", "SÃO PAULO", "Ângela", "ÁÂÃ", "Łódź", "Москва", "東京", "“quoted”"]
)
def test_text_that_is_right_is_not_doubted(run: Run, right: str) -> None:
    told: list[Finding] = []
    path = run.write(f"id,a\nu1,{right}\n")
    convert(run.make_job(input={"path": str(path)}), warn=told.extend)
    assert told == []


def test_a_damaged_file_is_an_error_where_its_encoding_is_found(run: Run) -> None:
    with raises(InputError, "E-INPUT-DAMAGED", "in.csv'"):
        run.convert(bz2.compress(table("cp1252")[0])[:-9], input={"encoding": "auto"})
