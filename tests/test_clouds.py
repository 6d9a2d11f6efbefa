"""Inputs on Google Cloud Storage and on Azure are read as local files are."""

from __future__ import annotations

import base64
import datetime
import json
import os
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from converter import convert
from converter.errors import InputError, JobError
from converter.jobs.access import Access
from converter.jobs.sections.clouds import Az, Gs
from converter.jobs.sections.table import Input
from converter.remote.azure import Account
from converter.remote.google import gs_endpoint
from converter.sources.opening import find_input, find_origins

from .conftest import Run
from .errors import raises
from .servers.azurite import ACCOUNT, KEY, AzurePlace, azure_place, signature
from .servers.google import GooglePlace, google_place
from .servers.proxy import proxy
from .servers.web import Served, WebServer, web_server
from .test_remote_origins import CSV, FILES

Place = GooglePlace | AzurePlace
SECRET = base64.b64encode(b"a secret that no message may hold").decode()
OF_SECTION: dict[str, Any] = {"gs": Gs, "az": Az}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's logins is used, and no other machine asked."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "GOOGLE_", "STORAGE_", "AZURITE_", "GCE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "nobody"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "*")
    for name, nobody in (
        ("GCE_METADATA_HOST", "127.0.0.1:9"), ("GCE_METADATA_IP", "127.0.0.1:9"),
        ("AZURE_MSI_ENDPOINT", "http://127.0.0.1:9/token"),
    ):  # fmt: skip
        monkeypatch.setenv(name, nobody)
    monkeypatch.setattr("converter.remote.retry.FIRST_PAUSE", 0.001)


@pytest.fixture(params=["google", "azure"])
def place(request: pytest.FixtureRequest) -> Place:
    return google_place() if request.param == "google" else azure_place()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def _access(settings: dict[str, Any], **more: Any) -> Access:
    return Access(**{key: OF_SECTION[key](**value) for key, value in settings.items()}, **more)


def _served(web: WebServer, kind: str, served: Served) -> tuple[str, dict[str, Any]]:
    """Serve a file as one of a service; return its URL and the settings."""
    if kind == "gs":
        web.files["/crm/in.csv"] = served
        return "gs://crm/in.csv", {"gs": {"endpoint_url": web.url, "anonymous": True, "timeout": 10}}
    web.files["/me/crm/in.csv"] = served
    az = {"endpoint_url": f"{web.url}/me", "account": "me", "anonymous": True, "timeout": 10}
    return "az://crm/in.csv", {"az": az}


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


# --- what is read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_what_a_local_file_gives(fresh_run: Callable[[], Run], place: Place, name: str) -> None:
    run, other = fresh_run(), fresh_run()
    place.put(f"crm/{name}", FILES[name])
    url = f"{place.url}/crm/{name}"
    job = run.make_job(input={"path": url}, **place.settings)
    report = convert(job)
    other.convert(FILES[name], name)
    assert run.text == other.text
    assert report.input == [{"path": url, "bytes": len(FILES[name])}]
    assert convert(job, resume=True).outcome == "nothing to do"
    assert KEY not in json.dumps(report.as_dict(), default=str)


def test_prefixes_and_globs_are_like_folders(run: Run, place: Place) -> None:
    for key in ("crm/b.csv", "crm/a.csv", "crm/_SUCCESS", "crm/a.csv.md5", "crm/.x.csv", "crm/old/c.csv", "crm/d=1/e.csv",
                "crm/ä b%.csv", "crmx/a.csv", "crm/_temporary/t.csv"):  # fmt: skip
        place.put(key, b"id,a\n1,x\n" if key.endswith(".csv") else b"x")
    access = _access(place.settings)

    def names(path: str) -> list[str]:
        return [each.label.rpartition("/crm/")[2] for each in find_origins(Input(path=(path,)), access)]

    root = place.url
    assert names(f"{root}/crm/") == names(f"{root}/crm") == ["a.csv", "b.csv", "d=1/e.csv", "ä b%.csv"]
    assert names(f"{root}/crm/[!b].csv") == names(f"{root}/crm/a*v") == ["a.csv"]
    assert names(f"{root}/cr*/a.csv") == ["a.csv", f"{root}/crmx/a.csv"]
    assert names(f"{root}/crm/**/*.csv") == [".x.csv", "a.csv", "b.csv", "d=1/e.csv", "old/c.csv", "ä b%.csv"]
    found = find_input(Input(path=(f"{root}/crm/",)), access)
    reasons = {each.path.rpartition("/crm/")[2]: each.reason for each in found.left_out}
    assert reasons == {
        "_SUCCESS": "marker", "a.csv.md5": "checksum", ".x.csv": "hidden", "old/c.csv": "subfolder",
        "_temporary/t.csv": "unfinished",
    }  # fmt: skip
    job = run.make_job(input={"path": f"{root}/crm/d=1/"}, **place.settings, record={"signals": ["a", "d"]})
    convert(job)
    assert '"d"="1"' in run.lines[0]


def test_more_objects_than_one_answer_lists(place: Place) -> None:
    for number in range(1, 31):
        place.put(f"many/{number:03}.csv", b"id,a\n1,x\n")
    found = find_origins(Input(path=(f"{place.url}/many/*.csv",)), _access(place.settings))
    assert [each.label[-7:-4] for each in found] == [f"{number:03}" for number in range(1, 31)]


def test_an_object_that_changes_is_never_read_in_two_versions(place: Place) -> None:
    place.put("in.csv", CSV)
    (origin,) = find_origins(Input(path=(f"{place.url}/in.csv",)), _access(place.settings))
    assert origin.read_at(3, 70_000) == CSV[3:70_000]
    assert origin.read_at(len(CSV) - 5, len(CSV) + 9) == CSV[-5:]
    assert origin.open().read() == CSV
    origin.check_unchanged()
    place.put("in.csv", CSV.replace(b"u1,", b"v1,"))
    for fails in (lambda: origin.read_at(0, 5), origin.check_unchanged, lambda: origin.open().read()):
        with raises(InputError, "E-INPUT-CHANGED"):
            fails()
    place.remove("in.csv")
    for fails in (lambda: origin.read_at(0, 5), origin.check_unchanged):
        with raises(InputError, "E-INPUT-CHANGED"):
            fails()


# --- what breaks on the way -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_reading_goes_on_where_connections_break(fresh_run: Callable[[], Run], web: WebServer, kind: str) -> None:
    run, other = fresh_run(), fresh_run()
    served = Served(CSV, cut_after=[5, 100_000, 17])
    url, settings = _served(web, kind, served)
    convert(run.make_job(input={"path": url}, **settings))
    other.convert(CSV)
    assert run.text == other.text
    assert not served.cut_after
    starts = {asked.partition("-")[0] for _, asked in web.asked}
    assert "bytes=5" in starts, "it goes on at the byte where it broke"


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_temporary_answers_are_retried_and_permanent_ones_end(web: WebServer, kind: str) -> None:
    served = Served(CSV, failing=[503, 500])
    url, settings = _served(web, kind, served)
    (origin,) = find_origins(Input(path=(url,)), _access(settings))
    served.failing = [502, 429]
    assert origin.read_at(3, 9) == CSV[3:9]
    for status, code in (
        (403, "E-SERVER-RIGHTS"), (401, "E-SERVER-LOGIN"), (400, "E-SERVER-ANSWER"), (416, "E-INPUT-CHANGED"),
    ):  # fmt: skip
        served.failing = [status]
        with raises(InputError, code, url):
            origin.read_at(3, 9)
        assert served.failing == []


def test_an_answer_of_another_version_is_not_read(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url, settings = _served(web, "gs", Served(CSV))
    (origin,) = find_origins(Input(path=(url,)), _access(settings))
    web.files["/crm/in.csv"] = Served(CSV + b"u,x\n")
    origin.entry = origin.entry._replace(version="")  # type: ignore[attr-defined]
    with raises(InputError, "E-INPUT-CHANGED"):
        origin.read_at(0, 5)


def test_servers_that_do_not_answer_are_explained(place: Place) -> None:
    place.put("in.csv", CSV)
    port = int(place.endpoint.partition("//")[2].partition("/")[0].rpartition(":")[2])
    for faults, code in (({"refuse": True}, "E-SERVER-CLOSED"), ({"hole_after": 0}, "E-SERVER-TIMEOUT")):
        with proxy(port, **faults) as way:
            settings = {
                key: {
                    **of_section,
                    "timeout": 0.3,
                    "endpoint_url": of_section["endpoint_url"].replace(str(port), str(way.port)),
                }
                for key, of_section in place.settings.items()
            }
            with raises(InputError, code, f"{place.url}/in.csv"):
                find_origins(Input(path=(f"{place.url}/in.csv",)), _access(settings, retry_seconds=0))


# --- what is wrong with where, and with who asks ------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint, code",
    [
        ("http://127.0.0.1:9", "E-SERVER-REFUSED"),
        ("http://no-such-host.invalid", "E-SERVER-HOST"),
        ("https://127.0.0.1:{port}", "E-SERVER-CERTIFICATE"),
        ("http://127.0.0.1:{port}", "E-CLOUD-BUCKET"),
    ],
)
@pytest.mark.parametrize("kind", ["gs", "az"])
def test_servers_that_are_not_there_are_explained(web: WebServer, kind: str, endpoint: str, code: str) -> None:
    _, settings = _served(web, kind, Served(CSV))
    settings[kind]["endpoint_url"] = endpoint.format(port=web.server_port)
    access = _access(settings, retry_seconds=0)
    with raises(InputError, code, f"{kind}://none/in.csv") as caught:
        find_origins(Input(path=(f"{kind}://none/in.csv",)), access)
    if code == "E-CLOUD-BUCKET":
        assert f"{kind}.endpoint_url" in str(caught.value)


def test_a_missing_container_is_told_from_a_missing_object(place: Place) -> None:
    access = _access(place.settings, retry_seconds=0)
    with raises(InputError, "E-INPUT-MISSING", f"{place.url}/none.csv"):
        find_origins(Input(path=(f"{place.url}/none.csv",)), access)
    if isinstance(place, AzurePlace):
        with raises(InputError, "E-CLOUD-BUCKET", "az://no-such-container/in.csv"):
            find_origins(Input(path=("az://no-such-container/in.csv",)), access)
    place.put("crm/in.csv", CSV)
    for name in ("crm//in.csv", "../in.csv"):
        with raises(InputError, "E-CLOUD-NAME", f"{place.url}/{name}"):
            find_origins(Input(path=(f"{place.url}/{name}",)), access)


def test_a_folder_with_names_that_are_not_supported_is_not_read_in_part() -> None:
    place = azure_place()
    for name in ("crm/a.csv", "crm/old//b.csv"):
        place.put(name, CSV)
    with raises(InputError, "E-CLOUD-NAME", f"{place.url}/crm/"):
        find_origins(Input(path=(f"{place.url}/crm/",)), _access(place.settings, retry_seconds=0))


@pytest.mark.parametrize(
    "url",
    [
        "gs://", "gs:///key", f"gs://a:{SECRET}@bucket/x", "az://", "az:///key", f"az://a:{SECRET}@x/y", "abfss://c@/x",
        f"az://crm/x.csv?sv=2020&sig={SECRET}",
    ],
)  # fmt: skip
def test_malformed_urls_are_refused(url: str) -> None:
    with raises(JobError, "E-INPUT-URL") as caught:
        find_origins(Input(path=(url,)))
    assert SECRET not in _told(caught.value)


def test_plain_http_is_warned_of(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url, settings = _served(web, "gs", Served(CSV))
    assert not find_input(Input(path=(url,)), _access(settings)).warnings
    monkeypatch.setattr("converter.sources.origins.clouds.gs_endpoint", lambda _: "http://files.example.com")
    (finding,) = find_input(Input(path=(url,)), _access(settings)).warnings
    assert finding.code == "W-INPUT-PLAIN"


# --- Google -----------------------------------------------------------------------------------------------------


def test_the_emulator_of_the_environment_is_used_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    place = google_place()
    place.put("in.csv", CSV)
    for host in (place.endpoint, place.endpoint.removeprefix("http://") + "/"):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
        (origin,) = find_origins(Input(path=(f"{place.url}/in.csv",)))
        assert origin.read_at(0, 5) == CSV[:5]
    assert gs_endpoint(Gs()) == place.endpoint
    assert gs_endpoint(Gs(endpoint_url="https://other/")) == "https://other"


def test_the_key_of_a_service_account_signs(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = {
        "type": "service_account", "private_key": key.decode(), "private_key_id": "1", "client_email": "me@crm.example",
        "client_id": "1", "token_uri": "http://127.0.0.1:9/token",
    }  # fmt: skip
    file = tmp_path / "key.json"
    file.write_text(json.dumps(content))
    url, _ = _served(web, "gs", Served(CSV))
    given = {"endpoint_url": web.url, "timeout": 10}
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    for settings in ({"gs": given}, {"gs": {**given, "credentials_file": str(file)}}):
        (origin,) = find_origins(Input(path=(url,)), _access(settings))
        assert origin.read_at(0, 5) == CSV[:5]
        claims = web.logins[-1].removeprefix("Bearer ").split(".")[1]
        assert json.loads(base64.urlsafe_b64decode(claims + "=="))["iss"] == "me@crm.example"
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


@pytest.mark.parametrize(
    "content",
    [None, "no JSON", '{"type": "service_account", "private_key": "?", "private_key_id": "1", "client_email": ""}'],
)
def test_a_key_that_cannot_be_used_is_explained(web: WebServer, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)
    url, _ = _served(web, "gs", Served(CSV))
    given = {"endpoint_url": web.url, "credentials_file": str(file), "timeout": 10}
    with raises(InputError, "E-CLOUD-CREDENTIALS", "gs.credentials_file"):
        find_origins(Input(path=(url,)), _access({"gs": given}, retry_seconds=0))


def test_google_without_credentials_is_explained(web: WebServer) -> None:
    url, _ = _served(web, "gs", Served(CSV))
    with raises(InputError, "E-CLOUD-NO-CREDENTIALS", "gs.anonymous"):
        find_origins(Input(path=(url,)), _access({"gs": {"endpoint_url": web.url}}, retry_seconds=0))
    assert web.asked == []


# --- Azure ------------------------------------------------------------------------------------------------------


def test_all_ways_to_prove_who_asks_of_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = azure_place()
    place.put("in.csv", CSV)
    sas = signature()
    file = tmp_path / "secret"
    of_all = {"endpoint_url": place.endpoint, "account": ACCOUNT, "timeout": 10}

    def reads(**settings: Any) -> None:
        (origin,) = find_origins(Input(path=(f"{place.url}/in*.csv",)), _access({"az": settings}, retry_seconds=0))
        assert origin.read_at(0, 5) == CSV[:5]

    for key, secret in (("account_key", KEY), ("sas_token", sas), ("sas_token", f"?{sas}")):
        file.write_text(f"{secret}\n")
        reads(**of_all, **{key: secret})
        reads(**of_all, **{f"{key}_file": str(file)})
        reads(**of_all, **{f"{key}_command": f"/bin/cat {file}"})
    for variables in (
        {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": place.endpoint,
        },
        {"AZURE_STORAGE_ACCOUNT": ACCOUNT, "AZURE_STORAGE_SAS_TOKEN": sas, "AZURE_STORAGE_ENDPOINT": place.endpoint},
        {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={place.endpoint};"},
        {"AZURE_STORAGE_CONNECTION_STRING": f"BlobEndpoint={place.endpoint};SharedAccessSignature={sas}"},
        {"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true", "AZURITE_BLOB_STORAGE_URL": place.server},
    ):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            reads()
    (origin,) = find_origins(
        Input(path=(f"abfss://{place.container}@{ACCOUNT}.dfs.core.windows.net/in.csv",)),
        _access({"az": {"endpoint_url": place.endpoint, "account_key": KEY}}),
    )
    assert origin.read_at(0, 5) == CSV[:5]
    assert origin.label == f"abfss://{place.container}@{ACCOUNT}.dfs.core.windows.net/in.csv"


def test_wrong_secrets_of_azure_are_explained_and_not_shown() -> None:
    place = azure_place()
    place.put("in.csv", CSV)
    wrong = signature().replace("sig=", "sig=A")
    for settings, code in (
        ({"account_key": SECRET}, "E-SERVER-RIGHTS"), ({"account_key": "no key !"}, "E-CLOUD-CREDENTIALS"),
        ({"sas_token": wrong}, "E-SERVER-RIGHTS"), ({"anonymous": True}, "E-SERVER-RIGHTS"),
        ({}, "E-CLOUD-NO-CREDENTIALS"),
    ):  # fmt: skip
        given = {"endpoint_url": place.endpoint, "account": ACCOUNT, **settings}
        for path in ("in.csv", "*.csv"):
            with raises(InputError, code, f"{place.url}/") as caught:
                find_origins(Input(path=(f"{place.url}/{path}",)), _access({"az": given}, retry_seconds=0))
            told = _told(caught.value)
            assert not any(
                str(secret).partition("sig=")[2] in told for secret in settings.values() if "sig=" in str(secret)
            )
            assert SECRET not in told


def test_the_server_of_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    def endpoint(account: str | None, host: str | None = None, settings: Az = Az()) -> str:  # noqa: B008
        return Account(account, host, settings).endpoint

    assert endpoint("me") == endpoint(None, settings=Az(account="me")) == "https://me.blob.core.windows.net"
    assert endpoint("me", "me.dfs.core.chinacloudapi.cn") == "https://me.blob.core.chinacloudapi.cn"
    given = "DefaultEndpointsProtocol=https;AccountName=me;AccountKey=a2V5;EndpointSuffix=core.usgovcloudapi.net"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", given)
    assert endpoint(None) == "https://me.blob.core.usgovcloudapi.net"
    assert endpoint("another") == "https://another.blob.core.windows.net"
    assert Account(None, None, Az()).proof()["account_key"] == "a2V5"
    assert "account_key" not in Account("another", None, Az()).proof()


def test_an_account_that_is_not_known_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with raises(JobError, "E-AZ-ACCOUNT", "az.account"):
        find_origins(Input(path=("az://crm/in.csv",)))
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"AccountKey={SECRET}")
    with raises(JobError, "E-AZ-CONNECTION-STRING", "AZURE_STORAGE_CONNECTION_STRING") as caught:
        find_origins(Input(path=("az://crm/in.csv",)))
    assert SECRET not in _told(caught.value)
    with pytest.raises(ValueError, match=r"az\.account_key .* az\.sas_token_file"):
        Az(account_key="a", sas_token_file="b")


def test_secrets_of_azure_are_masked(run: Run) -> None:
    job = run.make_job(input={"path": "az://crm/in.csv"}, az={"account": "me", "account_key": SECRET})
    assert SECRET not in json.dumps(job.public(), default=str)


def _token() -> Served:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    answer = {
        "access_token": "of-the-machine", "expires_on": str(int(end.timestamp())), "resource": "x",
        "token_type": "Bearer",
    }  # fmt: skip
    return Served(json.dumps(answer).encode(), ranges=False)


def test_the_identity_of_the_machine_is_asked_for(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url, settings = _served(web, "az", Served(CSV))
    del settings["az"]["anonymous"]
    web.files["/token"] = _token()
    monkeypatch.setenv("AZURE_MSI_ENDPOINT", f"{web.url}/token")
    (origin,) = find_origins(Input(path=(url,)), _access(settings))
    assert origin.read_at(0, 5) == CSV[:5]
    assert web.logins[-1] == "Bearer of-the-machine"


def test_the_login_of_the_command_az_is_used(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, settings = _served(web, "az", Served(CSV))
    del settings["az"]["anonymous"]
    end = datetime.datetime.now() + datetime.timedelta(hours=1)
    answer = {
        "accessToken": "of-az", "expiresOn": end.strftime("%Y-%m-%d %H:%M:%S.%f"), "expires_on": int(end.timestamp()),
        "subscription": "x", "tenant": "x", "tokenType": "Bearer",
    }  # fmt: skip
    program = tmp_path / "bin/az"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nprint({json.dumps(answer)!r})\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    (tmp_path / "azureProfile.json").write_text("{}")
    (origin,) = find_origins(Input(path=(url,)), _access(settings))
    assert origin.read_at(0, 5) == CSV[:5]
    assert web.logins[-1] == "Bearer of-az"
    program.write_text("#!/bin/sh\nexit 1\n")
    with raises(InputError, "E-CLOUD-CREDENTIALS", "az login"):
        find_origins(Input(path=(url,)), _access(settings, retry_seconds=0))


@pytest.mark.parametrize(
    "url", ["gs://bucket/in.csv", "az://crm/in.csv", "abfss://crm@account.dfs.core.windows.net/in.csv"]
)
def test_the_missing_package_is_named(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with raises(JobError, "E-INPUT-PACKAGE", "obstore", "pip install 'aam-inbound-converter[clouds]'"):
        run.convert(input={"path": url})
