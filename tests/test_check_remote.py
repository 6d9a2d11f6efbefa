"""Inbound files on servers are checked as local ones are."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converter import check
from converter.commands.check import check_file
from converter.errors import InputError
from converter.jobs.file_access import FileAccess
from converter.remote.objects import Entry
from converter.sources.origins.remote import RemoteFile

from .errors import raises
from .servers.s3 import KEY, SECRET, S3Place, s3_place
from .servers.sftp import sftp_server
from .servers.web import Served, web_server
from .test_cli import command
from .test_inbound import DATA, GOOD

BAD = b"".join(b"user%d\ta=b\n" % number for number in range(50_000)) + b"u\tx\n"
FILES = {DATA: GOOD, DATA + ".1.gz": gzip.compress(BAD), DATA + ".processed": b"x"}


@pytest.fixture
def s3() -> Iterator[S3Place]:
    with s3_place() as place:
        yield place


def found(report: Any) -> dict[str, list[tuple[str, int | None]]]:
    return {file.path.rpartition("/")[2]: [(each.name, each.line) for each in file.findings] for file in report.files}


EXPECTED = {DATA: [], DATA + ".1.gz": [("signal_wrong", 50_001)]}


def test_a_prefix_of_s3(tmp_path: Path, s3: S3Place) -> None:
    for name, content in FILES.items():
        s3.client.put_object(Bucket=s3.bucket, Key=f"in/date=2026-11-28/{name}", Body=content)
    settings = {"endpoint_url": s3.endpoint, "addressing_style": "path", "timeout": 10}
    report = check(f"s3://{s3.bucket}/in/", FileAccess(s3=settings))
    assert found(report) == EXPECTED
    assert [path.rpartition("/")[2] for path in report.left_out] == [DATA + ".processed"]
    (tmp_path / "job.toml").write_text(
        f'[input]\npath = "x.csv"\n[s3]\nendpoint_url = "{s3.endpoint}"\naddressing_style = "path"\n'
    )
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    code, shown, err = command(tmp_path, "check", f"s3://{s3.bucket}/in/", "--job", "job.toml", **keys)
    assert code == 3, err
    assert "signal_wrong" in shown
    with raises(InputError, "E-INPUT-MISSING"):
        check(f"s3://{s3.bucket}/none/", FileAccess(s3=settings))


def test_a_folder_of_sftp(tmp_path: Path) -> None:
    with sftp_server(tmp_path) as server:
        for name, content in FILES.items():
            (server.root / name).write_bytes(content)
        report = check(server.url("/"), FileAccess(sftp={"known_hosts": str(server.known_hosts), "timeout": 10}))
    assert found(report) == EXPECTED


def test_a_file_of_the_web(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "*")
    with web_server() as server:
        for name, content in FILES.items():
            server.files[f"/{name}"] = Served(content, ranges=name == DATA)
        report = check([f"{server.url}/{name}?signature=secret" for name in EXPECTED])
    assert found(report) == EXPECTED
    assert "secret" not in str(report.as_dict())


class _Bucket:
    """A bucket of Audience Manager, by its name."""

    def url(self, name: str) -> str:
        return f"s3://demdex-s2s-clients/{name}"

    def find(self, name: str) -> Entry | None:
        raise NotImplementedError

    def entries(self, prefix: str) -> list[Entry]:
        raise NotImplementedError

    def open(self, entry: Entry, start: int, stop: int | None) -> Any:
        class Content:
            def readinto(self, view: memoryview) -> int:
                view[:] = GOOD[start:stop]
                return len(view)

            def close(self) -> None:
                pass

        return Content()


@pytest.mark.parametrize(
    "key, is_right",
    [
        (f"partner/date=2026-11-28/{DATA}", True),
        (f"partner/date=2026-13-28/{DATA}", False),
        (f"date=2026-11-28/{DATA}", False),
        (f"partner/2026-11-28/{DATA}", False),
        (DATA, False),
    ],
)
def test_n5_keys_in_the_buckets_of_audience_manager(key: str, is_right: bool) -> None:
    checked = check_file(RemoteFile(_Bucket(), Entry(key, len(GOOD), ""), 0))
    assert [each.name for each in checked.findings] == ([] if is_right else ["folder_wrong"])
