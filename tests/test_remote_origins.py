"""Inputs on servers are read as local files are: the same bytes come out, whatever breaks on the way."""

from __future__ import annotations

import gzip
import io
import json
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from converter import convert, doctor, match
from converter.commands.plan import plan
from converter.delivery.journal import Journal
from converter.errors import EmptyInputError, InputError, JobError, ResumeError
from converter.jobs.access import Access
from converter.jobs.job import Job
from converter.jobs.sections.servers import S3, Http
from converter.jobs.sections.table import Input
from converter.remote.retry import FIRST_PAUSE
from converter.sources.opening import find_input, find_origins
from converter.sources.origins.listings import glob_of
from converter.sources.origins.remote import RemoteFile

from .conftest import TIMESTAMP, Run
from .errors import raises
from .servers.s3 import SECRET, S3Place, rclone_place, s3_place
from .servers.web import PASSWORD, USER, Served, WebServer, web_server

ROWS = 60_000
TABLE = pl.DataFrame({"id": [f"u{number}" for number in range(ROWS)], "a": [f"{number:060}" for number in range(ROWS)]})


def _written(write: Callable[[Any], Any]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in.csv", content)
    return buffer.getvalue()


CSV = _written(TABLE.write_csv)
FILES = {
    "in.csv": CSV,
    "in.csv.gz": gzip.compress(CSV, 1),
    "in.zip": _zipped(CSV),
    "in.ndjson": _written(TABLE.write_ndjson),
    "in.parquet": _written(lambda file: TABLE.write_parquet(file, row_group_size=20_000)),
    "in.arrow": _written(lambda file: TABLE.write_ipc(file, record_batch_size=20_000)),
    "in.arrows": _written(TABLE.write_ipc_stream),
}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FIRST_PAUSE > 0
    monkeypatch.setattr("converter.remote.retry.FIRST_PAUSE", 0.001)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "*")
    with web_server() as server:
        yield server


@pytest.fixture
def s3() -> Iterator[S3Place]:
    with s3_place() as place:
        yield place


def _settings(place: S3Place, **more: Any) -> dict[str, Any]:
    return {"endpoint_url": place.endpoint, "addressing_style": "path", "timeout": 10, **more}


def _put(place: S3Place, key: str, content: bytes, **more: str) -> None:
    place.client.put_object(Bucket=place.bucket, Key=key, Body=content, **more)


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


# --- all formats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_file_on_s3_gives_what_a_local_file_gives(fresh_run: Callable[[], Run], s3: S3Place, name: str) -> None:
    run, other = fresh_run(), fresh_run()
    _put(s3, f"crm/{name}", FILES[name])
    url = f"s3://{s3.bucket}/crm/{name}"
    job = run.make_job(input={"path": url}, s3=_settings(s3))
    report = convert(job)
    other.convert(FILES[name], name)
    assert run.text == other.text
    assert report.input == [{"path": url, "bytes": len(FILES[name])}]
    assert convert(job, resume=True).outcome == "nothing to do"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_of_the_web_goes_on_where_connections_break(
    fresh_run: Callable[[], Run], web: WebServer, name: str, ranges: bool
) -> None:
    run, other = fresh_run(), fresh_run()
    served = web.files[f"/{name}"] = Served(FILES[name], ranges=ranges, cut_after=[5, 100_000, 17])
    job = run.make_job(input={"path": f"{web.url}/{name}?signature=secret"})
    if not ranges and name in ("in.parquet", "in.zip", "in.arrow"):
        with pytest.raises(InputError) as caught:
            convert(job)
        assert caught.value.code in ("E-INPUT-ONCE", "E-INPUT-PACKED")
        return
    report = convert(job)
    other.convert(FILES[name], name)
    assert run.text == other.text
    assert not served.cut_after
    assert report.input == [{"path": f"{web.url}/{name}", "bytes": len(FILES[name])}]
    assert "secret" not in json.dumps(report.as_dict(), default=str)
    whole = sum(asked.endswith("-") for _, asked in web.asked)
    assert whole == 0 or not ranges, "no request asks for more than a part"


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz"])
def test_parts_that_are_shorter_than_asked_for_are_continued(
    fresh_run: Callable[[], Run], web: WebServer, name: str
) -> None:
    run, other = fresh_run(), fresh_run()
    web.files[f"/{name}"] = Served(FILES[name], most_bytes=len(FILES[name]) // 3)
    convert(run.make_job(input={"path": f"{web.url}/{name}"}))
    other.convert(FILES[name], name)
    assert run.text == other.text


def test_rclone_gives_what_a_local_file_gives(fresh_run: Callable[[], Run]) -> None:
    run, other = fresh_run(), fresh_run()
    with rclone_place() as place:
        _put(place, "in.csv", CSV)
        convert(run.make_job(input={"path": f"s3://{place.bucket}/in.csv"}, s3=_settings(place)))
    other.convert(CSV)
    assert run.text == other.text


def test_an_object_that_is_declared_as_compressed_is_read_as_it_is(fresh_run: Callable[[], Run], s3: S3Place) -> None:
    run, other = fresh_run(), fresh_run()
    _put(s3, "in.csv.gz", FILES["in.csv.gz"], ContentEncoding="gzip")
    convert(run.make_job(input={"path": f"s3://{s3.bucket}/in.csv.gz"}, s3=_settings(s3)))
    other.convert(CSV)
    assert run.text == other.text


def test_the_proxy_of_the_environment_is_asked(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://files.example.com/in.csv"
    web.files[url] = Served(CSV)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("http_proxy", web.url)
    (origin,) = find_origins(Input(path=(url,)))
    assert origin.read_at(0, 5) == CSV[:5]
    assert {path for path, _ in web.asked} == {url}


def test_a_dry_run_reads_the_start_the_middle_and_the_end(run: Run, web: WebServer) -> None:
    content = CSV + CSV[5:] * 5  # more than what is read as a whole
    web.files["/in.csv"] = Served(content)
    found = plan(run.make_job(input={"path": f"{web.url}/in.csv"}))
    assert found.preview(2).height == 2
    assert doctor(run.make_job(input={"path": f"{web.url}/in.csv"}))
    starts = [int(asked.removeprefix("bytes=").partition("-")[0]) for _, asked in web.asked]
    assert max(starts) < len(content)


# --- what a path names ------------------------------------------------------------------------------------------


def test_prefixes_and_globs_of_s3_are_like_folders(run: Run, s3: S3Place) -> None:
    for key in ("crm/b.csv", "crm/a.csv", "crm/_SUCCESS", "crm/a.csv.md5", "crm/.x.csv", "crm/old/c.csv", "crm/d=1/e.csv",
                "crm/manifest.json", "crm/_temporary/t.csv", "crm/"):  # fmt: skip
        _put(s3, key, b"id,a\n1,x\n" if key.endswith(".csv") else b"x" if not key.endswith("/") else b"")
    access = Access(s3=S3(**_settings(s3)))

    def names(path: str) -> list[str]:
        return [each.label.rpartition("/crm/")[2] for each in find_origins(Input(path=(path,)), access)]

    root = f"s3://{s3.bucket}"
    assert names(f"{root}/crm/") == names(f"{root}/crm") == ["a.csv", "b.csv", "d=1/e.csv"]
    assert names(f"{root}/crm/[!b].csv") == names(f"{root}/crm/a*v") == ["a.csv"]
    assert names(f"{root}/**/*.csv") == [".x.csv", "a.csv", "b.csv", "d=1/e.csv", "old/c.csv"]
    found = find_input(Input(path=(f"{root}/crm/",)), access)
    reasons = {each.path.rpartition("/crm/")[2]: each.reason for each in found.left_out}
    assert reasons == {
        "_SUCCESS": "marker", "a.csv.md5": "checksum", ".x.csv": "hidden", "old/c.csv": "subfolder",
        "manifest.json": "manifest", "_temporary/t.csv": "unfinished",
    }  # fmt: skip
    assert [each.code for each in found.warnings] == ["W-FOLDER-UNFINISHED"]
    job = run.make_job(input={"path": f"{root}/crm/d=1/"}, s3=_settings(s3), record={"signals": ["a", "d"]})
    convert(job)
    assert '"d"="1"' in run.lines[0]


def test_folders_of_s3_that_are_not_clear_are_refused(s3: S3Place) -> None:
    access = Access(s3=S3(**_settings(s3)), retry_seconds=0)
    _put(s3, "mixed/a.csv", b"x")
    _put(s3, "mixed/a.json", b"x")
    _put(s3, "delta/_delta_log/0.json", b"x")
    _put(s3, "delta/part-00000-a.parquet", b"x")
    _put(s3, "spark/part-00000.csv", b"x")
    _put(s3, "none/_SUCCESS", b"")
    _put(s3, "none/empty", b"")
    for path, code in (
        ("mixed/", "E-FOLDER-MIXED"), ("delta", "E-FOLDER-TABLE"), ("none", "E-INPUT-MISSING"),
        ("nowhere", "E-INPUT-MISSING"), ("nowhere/*.csv", "E-INPUT-MISSING"),
    ):  # fmt: skip
        with raises(InputError, code, f"s3://{s3.bucket}/"):
            find_origins(Input(path=(f"s3://{s3.bucket}/{path}",)), access)
    assert find_input(Input(path=(f"s3://{s3.bucket}/spark/",)), access).warnings
    for url in ("s3://", "s3:///key", f"s3://a:{SECRET}@bucket/x"):
        with raises(JobError, "E-INPUT-URL") as caught:
            find_origins(Input(path=(url,)), access)
        assert SECRET not in _told(caught.value)


@pytest.mark.parametrize(
    "pattern, name, matches",
    [
        ("a/*.csv", "a/b.csv", True), ("a/*.csv", "a/b/c.csv", False), ("**/c.csv", "c.csv", True),
        ("**/c.csv", "a/b/c.csv", True), ("a/**", "a/b/c", True), ("a?c", "abc", True), ("a?c", "a/c", False),
        ("[a-c]x", "bx", True), ("[!a-c]x", "bx", False), ("[x", "[x", True), ("a.b", "axb", False),
    ],
)  # fmt: skip
def test_globs(pattern: str, name: str, matches: bool) -> None:
    assert bool(glob_of(pattern).fullmatch(name)) is matches


# --- what goes wrong --------------------------------------------------------------------------------------------


def test_an_object_that_changes_stops_the_run(
    run: Run, s3: S3Place, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = RemoteFile.check_unchanged

    def change(origin: RemoteFile) -> None:
        _put(s3, "in.csv", CSV.replace(b"u1,", b"v1,"))
        web.files["/in.csv"] = Served(CSV.replace(b"u1,", b"v1,"))
        check(origin)

    monkeypatch.setattr(RemoteFile, "check_unchanged", change)
    for url in (f"s3://{s3.bucket}/in.csv", f"{web.url}/in.csv"):
        _put(s3, "in.csv", CSV)
        web.files["/in.csv"] = Served(CSV)
        with raises(InputError, "E-INPUT-CHANGED", url):
            convert(run.make_job(input={"path": url}, s3=_settings(s3)))
    assert run.files == []


@pytest.mark.parametrize("etag", [True, False])
def test_an_object_that_changes_is_never_read_in_two_versions(web: WebServer, etag: bool) -> None:
    web.files["/in.csv"] = Served(CSV, etag=etag)
    (origin,) = find_origins(Input(path=(f"{web.url}/in.csv",)))
    assert origin.read_at(0, 5) == CSV[:5]
    assert (origin.fingerprint() is None) is not etag
    web.files["/in.csv"] = Served(CSV + b"u,x\n", etag=etag)
    for fails in (lambda: origin.read_at(0, 5), origin.check_unchanged, lambda: origin.open().read()):
        with raises(InputError, "E-INPUT-CHANGED"):
            fails()
    del web.files["/in.csv"]
    for fails in (lambda: origin.read_at(0, 5), origin.check_unchanged):
        with raises(InputError, "E-INPUT-CHANGED"):
            fails()


def test_objects_of_s3_that_vanish_or_change_are_noticed(s3: S3Place) -> None:
    _put(s3, "in.csv", CSV)
    (origin,) = find_origins(Input(path=(f"s3://{s3.bucket}/in.csv",)), Access(s3=S3(**_settings(s3))))
    _put(s3, "in.csv", CSV + b"u,x\n")
    with raises(InputError, "E-INPUT-CHANGED"):
        origin.read_at(0, 5)
    s3.client.delete_object(Bucket=s3.bucket, Key="in.csv")
    with raises(InputError, "E-INPUT-CHANGED"):
        origin.read_at(0, 5)


def test_another_input_is_not_resumed(run: Run, s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(s3, "in.csv", CSV)
    job = run.make_job(input={"path": f"s3://{s3.bucket}/in.csv"}, s3=_settings(s3))
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda _: None)
        with pytest.raises(ZeroDivisionError):
            convert(job, progress=lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    _put(s3, "in.csv", CSV + b"v,x\n")
    with raises(ResumeError, "E-RESUME-INPUT"):
        convert(job, resume=True)


def test_rejects_of_an_object_are_converted_again(run: Run, s3: S3Place) -> None:
    _put(s3, "in.csv", b"id,a\nu1,x\nbad\nu2,y\n")
    job = run.make_job(input={"path": f"s3://{s3.bucket}/in.csv"}, s3=_settings(s3), report={"max_rejects": 1})
    report = convert(job)
    assert report.records["rejected"] == {"row_too_short": 1}
    job = run.make_job(
        input={"path": f"s3://{s3.bucket}/in.csv"}, s3=_settings(s3), report={"max_rejects": 1},
        output={"timestamp": TIMESTAMP + 1},
    )  # fmt: skip
    with pytest.raises(EmptyInputError, match="not_rejected: 2"):
        convert(job, rejects_of=report.report_path)


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"path": "s3://no-such-bucket-here/in.csv"}, "E-S3-BUCKET"),
        ({"s3": {"endpoint_url": "http://127.0.0.1:9"}}, "E-S3-UNREACHABLE"),
    ],
)
def test_errors_of_s3_have_the_codes_of_destinations(run: Run, s3: S3Place, changes: dict[str, Any], code: str) -> None:
    settings = _settings(s3, **changes.get("s3", {}))
    path = changes.get("path", f"s3://{s3.bucket}/in.csv")
    with raises(InputError, code) as caught:
        convert(run.make_job(input={"path": path, "retry_seconds": 0}, s3=settings))
    assert "output.to" not in str(caught.value)
    assert run.files == []


def test_requests_of_rclone_are_signed_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with rclone_place() as place:
        _put(place, "in.csv", CSV)
        path = (f"s3://{place.bucket}/in.csv",)
        (origin,) = find_origins(Input(path=path), Access(s3=S3(**_settings(place, requester_pays=True))))
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        for settings in (_settings(place), _settings(place, anonymous=True)):
            with pytest.raises(InputError) as caught:
                find_origins(Input(path=path), Access(s3=S3(**settings), retry_seconds=0))
            assert caught.value.code in ("E-S3-CREDENTIALS", "E-S3-DENIED", "E-S3-REQUEST")
        assert origin.read_at(0, 5) == CSV[:5]
        origin.objects._opened = None  # type: ignore[attr-defined]
        origin.objects._signed.clear()  # type: ignore[attr-defined]
        with pytest.raises(InputError) as caught:
            origin.read_at(0, 5)
        assert caught.value.code in ("E-S3-CREDENTIALS", "E-S3-DENIED", "E-S3-REQUEST")
        assert "X-Amz-Signature" not in _told(caught.value)


def test_public_buckets_need_no_credentials(run: Run, s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(s3, "in.csv", b"id,a\n1,x\n", ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    path = (f"s3://{s3.bucket}/in.csv",)
    with raises(InputError, "E-S3-NO-CREDENTIALS"):
        find_origins(Input(path=path), Access(s3=S3(**_settings(s3)), retry_seconds=0))
    (origin,) = find_origins(Input(path=path), Access(s3=S3(**_settings(s3, anonymous=True))))
    assert origin.read_at(0, 4) == b"id,a"
    assert "Signature" not in origin.objects._url_of("in.csv")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "served, code",
    [
        (Served(b"", status=403), "E-SERVER-RIGHTS"),
        (Served(b"", status=404), "E-INPUT-MISSING"),
        (Served(b"", status=503), "E-SERVER-ANSWER"),
        (Served(b"", status=302, location="ftp://127.0.0.1/x"), "E-SERVER-ANSWER"),
        (Served(b"", status=302, location="/in.csv"), "E-SERVER-ANSWER"),
        (Served(b"", login=True), "E-SERVER-LOGIN"),
        (Served(b""), "E-INPUT-EMPTY"),
    ],
)
def test_answers_of_the_web_are_explained(run: Run, web: WebServer, served: Served, code: str) -> None:
    web.files["/in.csv"] = served
    url = f"http://{USER}:wrong-{PASSWORD}@127.0.0.1:{web.server_port}/in.csv?sig=secret"
    with raises(InputError, code, f"{web.url}/in.csv") as caught:
        convert(run.make_job(input={"path": url, "retry_seconds": 0}))
    assert not {"secret", PASSWORD} & set(_told(caught.value).replace("=", " ").replace(":", " ").split())


def test_temporary_answers_are_retried_and_permanent_ones_end(web: WebServer) -> None:
    served = web.files["/in.csv"] = Served(CSV, failing=[503, 500])
    (origin,) = find_origins(Input(path=(f"{web.url}/in.csv",)))
    served.failing = [502, 429]
    assert origin.read_at(3, 9) == CSV[3:9]
    served.failing = [403]
    with raises(InputError, "E-SERVER-RIGHTS"):
        origin.read_at(3, 9)
    assert served.failing == []


def test_redirects_keep_passwords_at_home(web: WebServer) -> None:
    with web_server() as other:
        other.files["/x.csv"] = Served(CSV, login=True)
        other.files["/y.csv"] = Served(CSV)
        web.files["/x.csv"] = Served(b"", status=302, location=f"{other.url}/x.csv")
        web.files["/y.csv"] = Served(b"", status=307, location=f"{other.url}/y.csv")
        web.files["/z.csv"] = Served(CSV, login=True)
        login = f"http://{USER}:{PASSWORD}@127.0.0.1:{web.server_port}"
        with raises(InputError, "E-SERVER-LOGIN"):
            find_origins(Input(path=(f"{login}/x.csv",)))
        for name in "yz":
            (origin,) = find_origins(Input(path=(f"{login}/{name}.csv",)))
            assert origin.read_at(0, 5) == CSV[:5]
            assert PASSWORD not in origin.label


@pytest.mark.parametrize("url", ["https://", "http://:80/x.csv", "https://host:99999/x.csv"])
def test_urls_without_a_host_are_refused(url: str) -> None:
    with raises(JobError, "E-INPUT-URL"):
        find_origins(Input(path=(url,)))


@pytest.mark.parametrize(
    "host, code",
    [("127.0.0.1:9", "E-SERVER-REFUSED"), ("no-such-host.invalid", "E-SERVER-HOST")],
)
def test_servers_that_are_not_there_are_explained(host: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with raises(InputError, code, host):
        find_origins(Input(path=(f"http://{host}/in.csv",)), Access(retry_seconds=0))


def test_encryption_is_verified(web: WebServer, run: Run) -> None:
    url = web.url.replace("http:", "https:")
    with raises(InputError, "E-SERVER-CERTIFICATE"):
        find_origins(Input(path=(f"{url}/in.csv",)), Access(retry_seconds=0))
    path = run.write("no certificate", "ca.pem")
    with raises(JobError, "E-HTTP-CA-FILE"):
        find_origins(Input(path=(f"{url}/in.csv",)), Access(http=Http(tls_ca_file=str(path)), retry_seconds=0))


def test_logins_of_the_home_folder_are_used_and_a_damaged_file_is_an_error(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.files["/in.csv"] = Served(CSV, login=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".netrc"
    path.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    path.chmod(0o600)
    (origin,) = find_origins(Input(path=(f"{web.url}/in.csv",)))
    assert origin.read_at(0, 5) == CSV[:5]
    path.write_text(f"machine 127.0.0.1 login {USER} pass {PASSWORD}\n")
    with raises(InputError, "E-NETRC", "/in.csv") as caught:
        find_origins(Input(path=(f"{web.url}/in.csv",)))
    assert PASSWORD not in str(caught.value)


def test_plain_http_is_warned_of(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files["/in.csv"] = Served(CSV)
    assert not find_input(Input(path=(f"http://localhost:{web.server_port}/in.csv",))).warnings
    monkeypatch.setattr("converter.sources.origins.web.host_of", lambda *_: "files.example.com")
    (finding,) = find_input(Input(path=(f"{web.url}/in.csv",))).warnings
    assert finding.code == "W-INPUT-PLAIN"


def test_lists_and_comparisons_are_read_from_servers(run: Run, web: WebServer) -> None:
    web.files["/list.csv"] = Served(b"id\nu1\n")
    web.files["/in.csv"] = Served(b"id,a\nu1,x\nu2,y\n")
    suppress = {"path": f"{web.url}/list.csv", "column": "id"}
    report = convert(run.make_job(input={"path": f"{web.url}/in.csv", "suppress": suppress}))
    assert report.records["skipped"] == {"suppressed": 1}
    found = match(f"{web.url}/in.csv", f"{web.url}/list.csv")
    assert (found.crm, found.as_is.matched) == (2, 1)


def test_how_long_to_wait_does_not_make_another_job(run: Run) -> None:
    first, second = (run.make_job(input={"path": "s3://b/in.csv", "retry_seconds": each}) for each in (1, 2))
    assert isinstance(first, Job)
    assert first.digest == second.digest
    assert (first.access.retry_seconds, run.make_job().access.retry_seconds) == (1, 600)
