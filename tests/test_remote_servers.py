"""Inputs on FTP, FTPS and SFTP servers are read as local files are."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from converter import convert
from converter.errors import InputError, JobError
from converter.jobs.access import Access
from converter.jobs.sections.servers import Ftp, Sftp
from converter.jobs.sections.table import Input
from converter.sources.opening import find_origins
from converter.sources.origins.servers import expand

from .conftest import Run
from .errors import raises
from .servers.ftp import authority, ftp_server
from .servers.openssh import USER, openssh_server
from .servers.sftp import sftp_server
from .servers.vsftpd import LOGIN, vsftpd_server
from .test_remote_origins import CSV, FILES


class Place(NamedTuple):
    """A server: the folder that it shows, its URL, the settings of its section, and what ends its connections."""

    root: Path
    url: str
    settings: dict[str, Any]
    server: Any

    def origins(self, path: str, **more: Any) -> Any:
        sections = {key: (Ftp if key == "ftp" else Sftp)(**value) for key, value in self.settings.items()}
        return find_origins(Input(path=(self.url + path,)), Access(**sections, **more))


def _program_place(name: str) -> Place:
    """A folder on a server that is a program."""
    if name == "openssh":
        server = openssh_server()
        section = {"known_hosts": str(server.folder / "known_hosts"), "key_file": str(server.folder / "user")}
        root, url = server.folder / "root", f"sftp://{USER}@localhost:{server.port}{server.folder / 'root'}"
        settings = {"sftp": section}
    else:
        server = vsftpd_server(tls=name == "vsftpd-tls")
        root = server.folder / "root"
        url = f"{'ftps' if name == 'vsftpd-tls' else 'ftp'}://{LOGIN}@localhost:{server.port}"
        settings = {"ftp": {"tls_ca_file": str(server.folder / "ca.pem")} if name == "vsftpd-tls" else {}}
    folder = root / f"read-{next(_numbers)}" / "crm"
    folder.mkdir(parents=True)
    return Place(folder.parent, f"{url}/{folder.relative_to(root)}", settings, server)


_numbers = itertools.count(1)


@pytest.fixture(params=["ftp", "ftps", "sftp", "openssh", "vsftpd", "vsftpd-tls"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param in ("openssh", "vsftpd", "vsftpd-tls"):
        yield _program_place(request.param)
        return
    if request.param == "sftp":
        with sftp_server(tmp_path) as server:
            (server.root / "crm").mkdir()
            settings = {"known_hosts": str(server.known_hosts), "timeout": 10}
            yield Place(server.root, server.url("/crm"), {"sftp": settings}, server)
        return
    with ftp_server(tmp_path, tls=request.param == "ftps") as ftp:
        ca = tmp_path / "ca.pem"
        authority().cert_pem.write_to_path(str(ca))
        (ftp.root / "crm").mkdir()
        yield Place(ftp.root, ftp.url("/crm"), {"ftp": {"tls_ca_file": str(ca), "timeout": 10}}, ftp)


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "in.parquet"])
def test_a_file_gives_what_a_local_file_gives(fresh_run: Callable[[], Run], place: Place, name: str) -> None:
    run, other = fresh_run(), fresh_run()
    (place.root / "crm" / name).write_bytes(FILES[name])
    job = run.make_job(input={"path": f"{place.url}/{name}"}, **place.settings)
    report = convert(job)
    other.convert(FILES[name], name)
    assert run.text == other.text
    assert report.input[0]["bytes"] == len(FILES[name])
    assert "w%C3%B6rd" not in str(report.input)
    assert convert(job, resume=True).outcome == "nothing to do"


def test_parts_are_read_at_any_place_and_changes_noticed(place: Place) -> None:
    path = place.root / "crm" / "ä b.csv"
    path.write_bytes(CSV)
    (origin,) = place.origins("/ä b.csv", retry_seconds=0)
    assert origin.read_at(3, 70_000) == CSV[3:70_000]
    assert origin.read_at(len(CSV) - 5, len(CSV) + 9) == CSV[-5:]
    assert origin.open().read() == CSV
    origin.check_unchanged()
    path.write_bytes(CSV[:-1] + b"x")
    os.utime(path, (1, 1))
    for fails in (origin.check_unchanged, lambda: origin.read_at(0, 5)):
        with raises(InputError, "E-INPUT-CHANGED"):
            fails()
    path.unlink()
    with raises(InputError, "E-INPUT-CHANGED"):
        origin.read_at(0, 5)


def test_folders_and_globs(place: Place) -> None:
    for name in ("b.csv", "a.csv", "d=1/c.csv", "old/o.csv", "_SUCCESS", "é.csv"):
        path = place.root / "crm" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"id,a\n1,x\n")

    def names(path: str) -> list[str]:
        return [each.label.rpartition("/crm/")[2] for each in place.origins(path)]

    assert names("/") == names("") == ["a.csv", "b.csv", "d=1/c.csv", "é.csv"]
    assert names("/[ab].csv") == ["a.csv", "b.csv"]
    assert names("/**/*.csv") == ["a.csv", "b.csv", "d=1/c.csv", "old/o.csv", "é.csv"]
    assert names("/old/") == ["old/o.csv"]
    for path in ("/none.csv", "/none/", "/*.parquet"):
        with raises(InputError, "E-INPUT-MISSING"):
            place.origins(path)


def test_wrong_passwords_are_told_without_them(place: Place) -> None:
    host = place.url.rpartition("@")[2]
    url = f"{place.url.partition('://')[0]}://me:wr0ng-secret@{host}/in.csv"
    with raises(InputError, "E-SERVER-LOGIN") as caught:
        Place(place.root, url, place.settings, None).origins("", retry_seconds=0)
    assert "wr0ng" not in str(caught.value)
    assert "output.to" not in str(caught.value)


@pytest.mark.parametrize("url", ["sftp://", "ftp://:21/x.csv", "sftp://host:99999/x.csv"])
def test_urls_without_a_host_are_refused(url: str) -> None:
    with raises(JobError, "E-INPUT-URL"):
        find_origins(Input(path=(url,)))


def test_plain_ftp_is_warned_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ftp_server(tmp_path) as server:
        (server.root / "in.csv").write_bytes(CSV)
        access = Access(ftp=Ftp(timeout=10))
        assert expand(server.url("/in.csv"), lambda _: None, access).warnings == []
        monkeypatch.setattr("converter.sources.origins.servers.host_of", lambda *_: "files.example.com")
        (warning,) = expand(server.url("/in.csv"), lambda _: None, access).warnings
    assert warning.code == "W-INPUT-PLAIN"
    assert "p%40ss" not in warning.message
