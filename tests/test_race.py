"""A few rounds of races: two feeds of one data source in one second, in all ways to share what they could share."""

from __future__ import annotations

from pathlib import Path

import pytest

from .race import SERVERS, WAYS, Races, Way


@pytest.mark.parametrize("way", [each for each in WAYS if not each.one_temporary_folder], ids=str)
@pytest.mark.parametrize("place", ["folder", "ftp", "sftp", "s3"])
def test_two_feeds_in_one_second_lose_and_mix_nothing(place: str, way: Way, tmp_path: Path) -> None:
    with SERVERS[place](tmp_path) as server:
        Races(server, tmp_path, seed=1).play("round", way)


@pytest.mark.parametrize("way", [each for each in WAYS if each.one_temporary_folder], ids=str)
def test_two_feeds_on_one_machine_are_told_apart_by_its_locks(way: Way, tmp_path: Path) -> None:
    with SERVERS["folder"](tmp_path) as server:
        Races(server, tmp_path, seed=1).play("round", way)
