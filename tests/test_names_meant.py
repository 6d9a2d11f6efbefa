"""Names that users write: where each leaves the grammar, and the name that was meant."""

from __future__ import annotations

import re

import pytest

from converter.spec.names import FileName

WRITTEN: list[tuple[str, int | None, str | None]] = [
    ("FTP_DPM_1234_1445374061.SYNC", 1, "ftp_dpm_1234_1445374061.sync"),
    ("ftp-dpm-1234-1445374061.sync", 4, "ftp_dpm_1234_1445374061.sync"),
    ("ftp dpm 1234 1445374061.sync", 4, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.sync.gzip", 32, "ftp_dpm_1234_1445374061.sync.gz"),
    ("ftp_dpm_1234_1445374061000.sync", 27, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_20151020.sync", 22, "ftp_dpm_1234_1445299200.sync"),
    ("ftp_dpm_1234_20151020204741.sync", 28, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_201510202047.sync", 26, "ftp_dpm_1234_1445374020.sync"),
    ("ftp_dpm_01234_1445374061.sync", 10, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.sync.01.gz", 31, "ftp_dpm_1234_1445374061.sync.1.gz"),
    ("ftp_dpm_1234_1445374061.sync.gz.1", 32, "ftp_dpm_1234_1445374061.sync.1.gz"),
    ("ftp_dpm_1234_1445374061.sync.gz.gz", 32, "ftp_dpm_1234_1445374061.sync.gz"),
    ("ftp_dpm_1234_1445374061.sync.tgz", 30, "ftp_dpm_1234_1445374061.sync.gz"),
    ("ftp_dpm_1234_1445374061.sync.txt", 30, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.sync.csv.gz", 30, "ftp_dpm_1234_1445374061.sync.gz"),
    ("ftp_dpm_1234_1445374061.tsv.sync", 25, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061", 24, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.gz", 25, "ftp_dpm_1234_1445374061.sync.gz"),
    ("ftp_dpm_1234_1445374061.synch", 29, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.syn.gz", 28, "ftp_dpm_1234_1445374061.sync.gz"),
    ("ftp_dpm_1234_1445374061.over_write", 29, "ftp_dpm_1234_1445374061.overwrite"),
    ("ftp_dpm_1234_1445374061.replace", 25, "ftp_dpm_1234_1445374061.overwrite"),
    ("ftp_dpm_1234_1445374061.sync_1.gz", 29, "ftp_dpm_1234_1445374061.sync.1.gz"),
    ("ftp_dpm_1234_1445374061.sync-2.gz", 29, "ftp_dpm_1234_1445374061.sync.2.gz"),
    ("ftp_dpm_1234_1445374061.sync.part3.gz", 31, "ftp_dpm_1234_1445374061.sync.3.gz"),
    ("ftp_dpm_1234_1445374061.sync.asc", 30, "ftp_dpm_1234_1445374061.sync.gpg"),
    ("ftp_dpm_1234_1445374061.sync.gpg.4", 33, "ftp_dpm_1234_1445374061.sync.4.gpg"),
    ("ftp_dpm_1234_1445374061.sync (1)", 29, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061 - copy.sync", 24, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.sync~", 29, "ftp_dpm_1234_1445374061.sync"),
    ("ftpdpm_1234_1445374061.sync", 4, "ftp_dpm_1234_1445374061.sync"),
    ("dpm_1234_1445374061.sync", 1, "ftp_dpm_1234_1445374061.sync"),
    ("ftp__dpm__1234__1445374061.sync", 5, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_5678_1445374061.SYNC.GZ", 30, "ftp_dpm_1234_5678_1445374061.sync.gz"),
    ("ftp_dpm_odc_1234_1445374061.Sync", 29, "ftp_dpm_odc_1234_1445374061.sync"),
    ("ftp-dpm-odc-1234-1445374061.sync", 4, "ftp_dpm_odc_1234_1445374061.sync"),
    ("adobeid_0_1234_1445374061.sync", 6, "adobe_id_0_1234_1445374061.sync"),
    ("adobe_id_sync_0_1234_1445374061.sync", 10, "adobe_id_0_1234_1445374061.sync"),
    ("aam_id_0_1234_1445374061.sync", 2, "adobe_id_0_1234_1445374061.sync"),
    ("ADOBE_ID_0_1234_1445374061.sync.1.GZ", 1, "adobe_id_0_1234_1445374061.sync.1.gz"),
    ("adobe_id_00_1234_1445374061.sync", 11, "adobe_id_0_1234_1445374061.sync"),
    ("c2cid_1_2_1445374061.sync", 4, "c2c_id_1_2_1445374061.sync"),
    ("c2c_1_2_1445374061.sync", 5, "c2c_id_1_2_1445374061.sync"),
    ("crmid_1_2_1445374061.sync", 2, "c2c_id_1_2_1445374061.sync"),
    ("C2C-ID-1-2-1445374061.sync", 1, "c2c_id_1_2_1445374061.sync"),
    (" ftp_dpm_1234_1445374061.sync", 1, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.sync ", 29, "ftp_dpm_1234_1445374061.sync"),
    ("ftp%20dpm%201234%201445374061.sync", 4, "ftp_dpm_1234_1445374061.sync"),
    ("adobe_id_0_1234_1445374061.overwrite", 28, "adobe_id_0_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.sync.gz.gpg", 32, "ftp_dpm_1234_1445374061.sync.gpg"),
    ("ftp_dpm_1234_1445374061.sync.2.gpg.gz", 35, "ftp_dpm_1234_1445374061.sync.2.gpg"),
    ("ftp_dpm_1234_1445374061.sync.zip", 30, "ftp_dpm_1234_1445374061.sync.gz"),
    ("ftp_dpm_1234_1445374061_sync.gz", 25, "ftp_dpm_1234_1445374061.sync.gz"),
    ("ftp_dpm_1234_1445374061_3.sync.gz", 26, "ftp_dpm_1234_1445374061.sync.3.gz"),
    ("ftp_dpm_1234_1445374061-sync-3.gz", 24, "ftp_dpm_1234_1445374061.sync.3.gz"),
    ("ftp_dpm_1234_1445374061.3.overwrite", 25, "ftp_dpm_1234_1445374061.overwrite.3"),
    ("ftp_dpm_1234_1445374061.sync.2of7.gz", 31, "ftp_dpm_1234_1445374061.sync.2.gz"),
    ("ftp_dpm_1234_1445374061.full.gz", 25, "ftp_dpm_1234_1445374061.overwrite.gz"),
    ("ftp_dpm_1234_1445374061.delta", 25, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.overwirte.2", 30, "ftp_dpm_1234_1445374061.overwrite.2"),
    ("ftp_dpm_1234_1445374061.sunc", 26, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061..sync", 25, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_1445374061.sync.gz.tmp", 32, "ftp_dpm_1234_1445374061.sync.gz"),
    ("ftp_dpm_1234_2015-10-20.sync", 18, "ftp_dpm_1234_1445299200.sync"),
    ("ftp_dpm_1234_2015-10-20T20:47:41Z.sync", 18, "ftp_dpm_1234_1445374061.sync"),
    ("fpt_dpm_1234_1445374061.sync", 2, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dmp_1234_1445374061.sync", 6, "ftp_dpm_1234_1445374061.sync"),
    ("1234_1445374061.sync", 1, "ftp_dpm_1234_1445374061.sync"),
    ("odc_1234_1445374061.sync", 1, "ftp_dpm_odc_1234_1445374061.sync"),
    ("ftp_odc_dpm_1234_1445374061.sync", 5, "ftp_dpm_odc_1234_1445374061.sync"),
    ("adboe_id_0_1234_1445374061.sync", 3, "adobe_id_0_1234_1445374061.sync"),
    ("id_sync_0_1234_1445374061.sync", 1, "adobe_id_0_1234_1445374061.sync"),
    ("ctc_id_1_2_1445374061.sync", 2, "c2c_id_1_2_1445374061.sync"),
    ("Copy of ftp_dpm_1234_1445374061.sync", 1, "ftp_dpm_1234_1445374061.sync"),
    ("ftp_dpm_1234_１445374061.sync", 14, "ftp_dpm_1234_1445374061.sync"),
    ("adobe_id_1234_1445374061.sync", 25, None),
    ("ftp_dpm_1445374061.sync", 19, None),
    ("ftp_dpm_1_2_3_1445374061.sync", 14, None),
    ("ftp_dpm_1234_1445374061.delete", 25, None),
    ("ftp_dpm_1234_1445374061.sync.overwrite", 30, None),
    ("ftp_dpm_1234_99999999.sync", 22, None),
    ("ftp_dpm_1234_14453740612.sync", 25, None),
    ("", 1, None),
    ("ftp_dpm_x_1445374061.sync", 9, None),
    ("ftp_dpm_1234_144537406.sync", 23, None),
    ("crm.csv", 2, None),
    ("ftp_dpm_1234_1445374061.sync.1.2", 32, None),
    ("ftp_dpm_abc_1234_1445374061.sync", 9, None),
    ("c2c_id_1_1445374061.sync", 20, None),
]


def test_there_are_sixty_names() -> None:
    assert len({name for name, *_ in WRITTEN}) >= 60


@pytest.mark.parametrize("name, at, meant", WRITTEN, ids=[name for name, *_ in WRITTEN])
def test_a_wrong_name_is_shown_where_it_is_wrong_with_the_one_that_was_meant(
    name: str, at: int | None, meant: str | None
) -> None:
    with pytest.raises(ValueError) as caught:
        FileName.parse(name)
    shown = re.search(r"at character ([0-9]+)", str(caught.value))
    assert (shown and int(shown[1])) == at
    named = re.search(r"Perhaps '([^']*)' is meant", str(caught.value))
    assert (named and named[1]) == meant
    if meant:
        assert str(FileName.parse(meant)) == meant


@pytest.mark.parametrize(
    "name, text",
    [
        ("ftp_dpm_1234_1445374061.snyc", "'n' stands in place of 'ync' of '.sync'."),
        ("ftp_dpm_1234_1445374061", "it ends before '.overwrite', '.sync' or '_'."),
        ("ftp_dpm_1234_1445374061.csv", "'c' stands in place of 'overwrite' or 'sync'."),
        ("c2c_id_1_1445374061.sync", "Names are as c2c_id_1234_5678_1366545717.sync."),
        ("adobe-id_x.sync", "Names are as adobe_id_0_1234_1366545717.sync."),
        ("crm.csv", "Names are as ftp_dpm_1234_5678_1366545717.sync.1.gz."),
    ],
)
def test_the_message_says_what_is_expected_and_how_names_of_the_kind_are(name: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        FileName.parse(name)
    assert text in str(caught.value)
