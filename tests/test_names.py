"""File names, N1 to N8."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.spec import misnamed
from converter.spec.names import FileName

NAMES = [
    ("ftp_dpm_1234_1445374061.overwrite", {"kind": "data", "dpids": (1234,), "mode": "overwrite"}),
    ("ftp_dpm_1234_1445374061.sync", {"kind": "data", "dpids": (1234,)}),
    ("ftp_dpm_0_1445374061.sync", {"kind": "data", "dpids": (0,)}),
    ("ftp_dpm_1234_5678_1445374061.sync", {"kind": "data", "dpids": (1234,), "target": 5678}),
    ("ftp_dpm_20914_5678_1445374061.sync", {"kind": "data", "dpids": (20914,), "target": 5678}),
    ("ftp_dpm_1234_1445374061.sync.1.gz", {"kind": "data", "dpids": (1234,), "split": 1, "extension": ".gz"}),
    ("ftp_dpm_1234_1445374061.sync.gz", {"kind": "data", "dpids": (1234,), "extension": ".gz"}),
    ("ftp_dpm_1234_1445374061.sync.10", {"kind": "data", "dpids": (1234,), "split": 10}),
    ("ftp_dpm_1234_1445374061.sync.2.gpg", {"kind": "data", "dpids": (1234,), "split": 2, "extension": ".gpg"}),
    ("ftp_dpm_1234_1445374061.sync.pgp", {"kind": "data", "dpids": (1234,), "extension": ".pgp"}),
    ("ftp_dpm_odc_12345_1556223815.sync", {"kind": "odc", "dpids": (12345,), "timestamp": 1556223815}),
    (
        "ftp_dpm_odc_12345_678_1445374061.overwrite.3.gz",
        {"kind": "odc", "dpids": (12345,), "target": 678, "mode": "overwrite", "split": 3, "extension": ".gz"},
    ),
    ("adobe_id_0_12345_1476312152.sync", {"kind": "id-sync", "dpids": (0, 12345), "timestamp": 1476312152}),
    ("adobe_id_12345_67890_1477846458.sync", {"kind": "id-sync", "dpids": (12345, 67890), "timestamp": 1477846458}),
    (
        "adobe_id_0_1_2_3_1445374061.sync.4.gz",
        {"kind": "id-sync", "dpids": (0, 1, 2, 3), "split": 4, "extension": ".gz"},
    ),
    ("c2c_id_12_34_1445374061.sync", {"kind": "c2c-id-sync", "dpids": (12, 34)}),
    ("c2c_id_12_34_1445374061.sync.1.gpg", {"kind": "c2c-id-sync", "dpids": (12, 34), "split": 1, "extension": ".gpg"}),
]

REFUSED = {
    "N2, 9 digits": "ftp_dpm_1234_144537406.sync",
    "N2, 11 digits": "ftp_dpm_1234_14453740611.sync",
    "N2, 13 digits, milliseconds": "ftp_dpm_1234_1445374061000.sync",
    "N2, no timestamp": "ftp_dpm_1234.sync",
    "N2, a date": "ftp_dpm_1234_2015-10-20.sync",
    "N2, other digits than ASCII": "ftp_dpm_1234_١٤٤٥٣٧٤٠٦١.sync",
    "N1, no data source": "ftp_dpm_1445374061.sync",
    "N1, three data sources": "ftp_dpm_1_2_3_1445374061.sync",
    "N1, leading zero": "ftp_dpm_01234_1445374061.sync",
    "N1, leading zero of the target": "ftp_dpm_1234_05_1445374061.sync",
    "N1, negative": "ftp_dpm_-1234_1445374061.sync",
    "N1, no mode": "ftp_dpm_1234_1445374061",
    "N1, another mode": "ftp_dpm_1234_1445374061.delete",
    "N1, both modes": "ftp_dpm_1234_1445374061.sync.overwrite",
    "N1, upper case": "FTP_DPM_1234_1445374061.SYNC",
    "N1, upper-case extension": "ftp_dpm_1234_1445374061.sync.GZ",
    "N3, leading zero": "ftp_dpm_1234_1445374061.sync.01.gz",
    "N3, not a number": "ftp_dpm_1234_1445374061.sync.a.gz",
    "N3, two numbers": "ftp_dpm_1234_1445374061.sync.1.2",
    "N3, after the extension": "ftp_dpm_1234_1445374061.sync.gz.1",
    "N3, negative": "ftp_dpm_1234_1445374061.sync.-1",
    "N6, overwrite of id-sync": "adobe_id_0_12345_1476312152.overwrite",
    "N6, overwrite of c2c": "c2c_id_12_34_1445374061.overwrite",
    "N6, one data source": "adobe_id_12345_1476312152.sync",
    "N6, c2c with one data source": "c2c_id_12_1445374061.sync",
    "N6, c2c with three data sources": "c2c_id_12_34_56_1445374061.sync",
    "N6, leading zero": "adobe_id_00_12345_1476312152.sync",
    "N7, twice": "ftp_dpm_odc_odc_12345_1556223815.sync",
    "N7, another partner": "ftp_dpm_abc_12345_1556223815.sync",
    "N7, no data source": "ftp_dpm_odc_1556223815.sync",
    "N8, gzip and encryption": "ftp_dpm_1234_1445374061.sync.gz.gpg",
    "N8, encryption and gzip": "ftp_dpm_1234_1445374061.sync.gpg.gz",
    "Z1, zip": "ftp_dpm_1234_1445374061.sync.zip",
    "folder": "in/ftp_dpm_1234_1445374061.sync",
    "parent folder": "../ftp_dpm_1234_1445374061.sync",
    "backslash": "in\\ftp_dpm_1234_1445374061.sync",
    "partial": "ftp_dpm_1234_1445374061.sync.gz.partial",
    "dot at the end": "ftp_dpm_1234_1445374061.sync.",
    "space at the end": "ftp_dpm_1234_1445374061.sync ",
    "space at the start": " ftp_dpm_1234_1445374061.sync",
    "newline at the end": "ftp_dpm_1234_1445374061.sync\n",
    "null at the end": "ftp_dpm_1234_1445374061.sync\0",
    "nothing": "",
}


@pytest.mark.parametrize("name, fields", NAMES, ids=[name for name, _ in NAMES])
def test_n1_to_n8_a_name_is_built_and_taken_apart(name: str, fields: dict[str, Any]) -> None:
    built = FileName(**{"timestamp": 1445374061, **fields})
    assert str(built) == name
    assert FileName.parse(name) == built


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_n1_to_n8_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        FileName.parse(name)


@pytest.mark.parametrize(
    "fields, code",
    [
        ({"kind": "odc2"}, "odc2"),
        ({"mode": "delete"}, "N1"),
        ({"dpids": ()}, "N1"),
        ({"dpids": (1, 2)}, "N1"),
        ({"dpids": (-1,)}, "N1"),
        ({"target": -1}, "N1"),
        ({"timestamp": 10**10}, "N2"),
        ({"timestamp": -1}, "N2"),
        ({"split": -1}, "N3"),
        ({"kind": "id-sync", "dpids": (0, 1), "mode": "overwrite"}, "N6"),
        ({"kind": "id-sync", "dpids": (1,)}, "N6"),
        ({"kind": "id-sync", "dpids": (0, 1), "target": 2}, "N6"),
        ({"kind": "c2c-id-sync", "dpids": (1, 2, 3)}, "N6"),
        ({"kind": "odc", "dpids": (1, 2)}, "N1"),
        ({"extension": ".zip"}, "N8"),
        ({"extension": ".gz.gpg"}, "N8"),
    ],
)
def test_n1_to_n8_a_wrong_name_cannot_be_built_and_the_rule_is_cited(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(ValueError, match=code):
        FileName(**{"kind": "data", "dpids": (1234,), "timestamp": 1445374061, **fields})


def test_n1_n7_the_data_source_odc_is_not_a_number() -> None:
    assert FileName.parse("ftp_dpm_odc_12345_1556223815.sync").kind == "odc"
    assert FileName.parse("ftp_dpm_12345_1556223815.sync").kind == "data"


def test_n1_ten_digits_before_the_timestamp_are_a_data_source() -> None:
    assert FileName.parse("ftp_dpm_1234567890_1445374061.sync").dpids == (1234567890,)
    assert FileName.parse("ftp_dpm_1_1234567890_1445374061.sync").target == 1234567890


def test_n3_a_part_has_its_number_before_the_extension() -> None:
    name = FileName("data", (1234,), 1366545717, target=5678, extension=".gz")
    assert str(name.part(1)) == "ftp_dpm_1234_5678_1366545717.sync.1.gz"
    assert str(name.part(1).part(12)) == "ftp_dpm_1234_5678_1366545717.sync.12.gz"
    assert name.split is None, "the name itself stays as it is"


def test_n3_the_stem_is_what_all_parts_share() -> None:
    name = FileName("data", (1234,), 1366545717, mode="overwrite", target=5678, split=3, extension=".gpg")
    assert name.stem == "ftp_dpm_1234_5678_1366545717.overwrite"
    assert name.part(4).stem == name.stem


_NUMBERS = st.integers(0, 10**12)


@st.composite
def names(draw: st.DrawFn) -> FileName:
    kind, dpids = draw(
        st.one_of(
            st.tuples(st.sampled_from(["data", "odc"]), st.tuples(_NUMBERS)),
            st.tuples(st.just("id-sync"), st.lists(_NUMBERS, min_size=2, max_size=5).map(tuple)),
            st.tuples(st.just("c2c-id-sync"), st.tuples(_NUMBERS, _NUMBERS)),
        )
    )
    sync_only = kind.endswith("id-sync")
    return FileName(
        kind=kind,
        dpids=dpids,
        timestamp=draw(st.integers(0, 10**10 - 1)),
        mode="sync" if sync_only else draw(st.sampled_from(["sync", "overwrite"])),
        target=None if sync_only else draw(st.none() | _NUMBERS),
        split=draw(st.none() | st.integers(0, 10**6)),
        extension=draw(st.sampled_from(["", ".gz", ".gpg", ".pgp"])),
    )


@settings(deadline=None)
@given(names())
def test_n1_to_n8_every_name_that_is_built_is_taken_apart_into_itself(name: FileName) -> None:
    assert FileName.parse(str(name)) == name


@settings(deadline=None)
@given(names(), st.data())
def test_n1_to_n8_a_changed_name_is_refused_or_another_name(name: FileName, data: st.DataObject) -> None:
    text = str(name)
    place = data.draw(st.integers(0, len(text)))
    removed = data.draw(st.integers(0, 2))
    changed = text[:place] + data.draw(st.text("0123_.syncodegzp/\n -", max_size=3)) + text[place + removed :]
    try:
        parsed = FileName.parse(changed)
    except ValueError:
        return
    assert str(parsed) == changed
    assert (parsed == name) is (changed == text)


@settings(deadline=None)
@given(names(), st.data())
def test_a_name_that_is_cut_off_is_right_up_to_its_end(name: FileName, data: st.DataObject) -> None:
    text = str(name)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    assert misnamed.first_wrong(cut).at == len(cut)
    assert misnamed.first_wrong(cut + "!").at == len(cut)


@settings(deadline=None)
@given(st.text("0123456789_.-~ ()ftpdmosyncvrwegzadb2ı²\n", max_size=60))
def test_a_name_that_was_meant_is_a_name(text: str) -> None:
    meant = FileName.meant_by(text)
    assert meant is None or FileName.parse(str(meant)) == meant
