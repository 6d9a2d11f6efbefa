"""Passwords and other secrets are in no message, report and log; private files are private; no program is taken from the working folder."""

from __future__ import annotations

import json
import logging
import os
import stat
import string
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter import Job, convert
from converter.cli.command import run as run_command
from converter.cli.outcome import Messages
from converter.commands.plan import plan
from converter.delivery.atomic import AtomicFile
from converter.delivery.destinations import Settings, open_destination
from converter.delivery.journal import Journal, RunRecord
from converter.delivery.run_files import FolderFiles
from converter.errors import ConverterError, DestinationError, JobError
from converter.jobs.document import merge, parse_setting
from converter.jobs.paths import find_program, safe_path
from converter.jobs.run_files import journal_name, path_in, rejects_path, report_path
from converter.jobs.secrets import mask_password, without_password
from converter.jobs.sections.servers import Ftp, Sftp
from converter.remote import passwords
from converter.remote.passwords import with_password
from converter.remote.server import Address

from .conftest import TIMESTAMP, Run
from .errors import check_named, raises
from .servers.ftp import PASSWORD, FtpServer
from .servers.sftp import PASSWORD as SFTP_PASSWORD
from .servers.sftp import SftpServer
from .test_cli import ENVIRONMENT

USER = quote("us@er")

# --- URLs -------------------------------------------------------------------------------------------------------

UNRESERVED = string.ascii_letters + string.digits + "-._~"
LEGAL = UNRESERVED + "!$&'()*+,;=" + ":"  # of RFC 3986, in the password of a URL
# Long enough to be in no text by chance, and with a part that no other text has.
secret = st.builds(
    lambda before, after: f"{before}Zq7{after}",
    st.lists(st.sampled_from([*LEGAL, *(quote(mark, safe="") for mark in "@/:?#%[]<> \"'äé€😀")]), max_size=8).map(
        "".join
    ),
    st.text(st.sampled_from(LEGAL), min_size=3, max_size=8),
)
user = st.text(st.sampled_from(UNRESERVED + "!$&'()*+,;="), max_size=6)


def job_to(url: str, **changes: Any) -> Job:
    base = {
        "input": {"path": "in.csv"},
        "id": {"column": "id"},
        "record": {"signals": ["a"]},
        "output": {"to": url, "dpid": 1234},
    }
    return Job(**merge(base, changes))


@given(user, secret, st.sampled_from(["ftp", "ftps", "sftp"]), st.sampled_from(["", "/", "/in/bound", "/~/a"]))
@settings(max_examples=300)
def test_a_password_of_legal_characters_is_masked_as_the_parser_that_connects_finds_it(
    user: str, secret: str, scheme: str, path: str
) -> None:
    url = f"{scheme}://{user}:{secret}@host{path}"
    job = job_to(url)
    address = Address.of(job.output.url)
    assert address.password
    shown = f"{scheme}://{user}:***@host{path}"
    assert mask_password(url) == job.public()["output"]["to"] == shown
    assert without_password(url) == f"{scheme}://{user}@host{path}"
    kept = (secret, address.password)
    texts = [repr(job), json.dumps(job.public()), str(job.destination_identity), address.url, repr(address)]
    texts += [job.conceal(f"Cannot log in to '{url}': 530 {secret} and {address.password}, says the server.")]
    texts += [address.quoted(f"530 {address.password} is wrong")]
    for error in (
        refused(url, output={"mode": "wrong"}),
        refused(url, output={"uploads": url}),
        refused(url, record={"signals": [{"key": url, "value": ""}]}),
        refused(f"no{url}"),
    ):
        texts.append(str(error))
    assert [text for text in texts for each in kept if each in text] == []


def refused(url: str, **changes: Any) -> ConverterError:
    with pytest.raises(JobError) as raised:
        open_destination(job_to(url, **changes).output.url, Settings(plan_day()))
    return raised.value


def plan_day() -> Any:
    import datetime

    return datetime.date(2013, 4, 21)


@pytest.mark.parametrize("raw", ["pa/ss", "pa@ss", "pa?ss", "pa#ss", "p:a/s@s", "12/ss", "[pass"])
def test_a_password_that_is_not_a_legal_one_is_masked_too(raw: str) -> None:
    url = f"sftp://me:{raw}@host/in"
    assert mask_password(url) == "sftp://me:***@host/in"
    try:
        error = refused(url)
    except pytest.fail.Exception:
        assert raw == "pa@ss", "the last @ ends the password"
    else:
        assert raw not in str(error)


@pytest.mark.parametrize(
    "url", ["sftp://me@host:22/in", "sftp://host:22/in", "s3://bucket/a:b", "file:///a:b/c", "ftp://me:${VAR}@host/x"]
)
def test_what_has_no_password_is_shown_as_it_is(url: str) -> None:
    assert mask_password(url) == url


def test_a_short_password_is_masked_where_it_is_one(run: Run) -> None:
    job = job_to("ftp://me:ab@host/cab")
    assert job.conceal("Cannot reach 'ftp://me:ab@host/cab'.") == "Cannot reach 'ftp://me:***@host/cab'."


def test_a_password_is_in_no_error_report_and_log(
    run: Run, ftp: FtpServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "it's-wrong-(very)&Zq7"
    run.write("id,a\nu1,x\n")
    args = ["convert", str(run.folder / "in.csv"), "--id", "id", "--signal", "a", "--dpid", "1234", "--debug", "--json"]
    args += ["--to", f"ftp://{USER}:{wrong}@localhost:{ftp.port}/in", "--report-dir", str(run.folder / "reports")]
    with caplog.at_level(logging.INFO, "converter"):
        assert run_command([*args, "--log-file", str(run.folder / "run.log")], Messages(debug=True, as_json=True)) == 1
    said = "".join(capsys.readouterr()) + caplog.text
    said += "".join(path.read_text() for path in [*(run.folder / "reports").iterdir(), run.folder / "run.log"])
    check_named(said, "E-SERVER-LOGIN", ":***@localhost")
    assert "Zq7" not in said


# --- passwords that are not in the URL --------------------------------------------------------------------------


def script(folder: Path, text: str) -> Path:
    path = folder / "secret.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def ways(folder: Path, password: str) -> dict[str, dict[str, Any]]:
    """The keys that give a password in each way."""
    (folder / "secret.txt").write_text(f"{password}\r\nand more\n")
    program = script(folder, f"echo '{password}'; echo asked >&2")
    return {
        "password": {"password": password},
        "password_file": {"password_file": str(folder / "secret.txt")},
        "password_command": {"password_command": str(program)},
    }


@pytest.mark.parametrize("way", ["password", "password_file", "password_command"])
def test_the_password_of_ftp_is_in_the_job_in_a_file_or_printed(way: str, run: Run, ftp: FtpServer) -> None:
    section = ways(run.folder, PASSWORD)[way]
    report = run.convert("id,a\nu1,x\n", output={"to": f"ftp://{USER}@localhost:{ftp.port}/in"}, ftp=section)
    assert [path.name for path in (ftp.root / "in").iterdir()] == [report.parts[0].name]
    assert PASSWORD not in json.dumps(run.report, ensure_ascii=False)
    assert run.report["job"]["ftp"]["password"] == ("***" if way == "password" else None)


@pytest.mark.parametrize("way", ["password", "password_file", "password_command"])
def test_the_password_of_sftp_too(way: str, run: Run, sftp: SftpServer) -> None:
    section = ways(run.folder, SFTP_PASSWORD)[way] | {"known_hosts": str(sftp.known_hosts)}
    to = sftp.url(login=USER)
    report = run.convert("id,a\nu1,x\n", output={"to": to}, sftp=section)
    assert report.outcome == "done"
    assert SFTP_PASSWORD not in json.dumps(run.report)


def test_a_variable_as_password_is_shown_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTP_PASSWORD", "hush-hush")
    job = job_to("ftp://me@host/in", ftp={"password": "${FTP_PASSWORD}"}, sftp={"key_passphrase": "another one"})
    assert job.ftp.password == "hush-hush"
    assert job.public()["ftp"]["password"] == "${FTP_PASSWORD}"
    assert job.public()["sftp"]["key_passphrase"] == "***"
    assert "hush-hush" not in repr(job)
    assert "another one" not in repr(job)


@pytest.mark.parametrize("key", ["ftp.password", "sftp.password", "sftp.key_passphrase"])
def test_a_secret_in_a_setting_is_in_no_error(key: str) -> None:
    section, _, name = key.partition(".")
    for value in ("hush-hush", ["hush-hush"], {"is": "hush-hush"}, 1234567):
        with raises(JobError, "E-JOB-INVALID") as raised:
            job_to("ftp://me@host", output={"mode": "hush-hush"}, **{section: {name: value}})
        assert "hush" not in str(raised.value) or value == 1234567
        assert "1234567" not in str(raised.value)
    with raises(JobError, "E-SET-MALFORMED", key) as raised:
        parse_setting(f"{key} hush-hush")
    assert "hush" not in str(raised.value)


def test_two_passwords_are_one_too_many(run: Run) -> None:
    with raises(JobError, "E-JOB-INVALID", "ftp.password", "ftp.password_file"):
        job_to("ftp://me@host", ftp={"password": "a", "password_file": "b"})
    with raises(JobError, "E-PASSWORD-TWICE", "ftp://me@host", "[ftp]") as raised:
        run.convert("id,a\nu1,x\n", output={"to": "ftp://me:hush-1@host"}, ftp={"password": "hush-2"})
    assert "hush" not in str(raised.value)


ADDRESS = Address.of("ftp://me@host/in")


def test_a_file_without_a_password_is_an_error(tmp_path: Path) -> None:
    for content in (b"", b"\nhush-hush", b"hush-\xff"):
        (tmp_path / "secret.txt").write_bytes(content)
        with raises(JobError, "E-PASSWORD-FILE", "ftp.password_file", "secret.txt") as raised:
            with_password(ADDRESS, Ftp(password_file=str(tmp_path / "secret.txt")))
        assert "hush" not in str(raised.value)
    with raises(JobError, "E-PASSWORD-FILE", "sftp.password_file", os.strerror(2)):
        with_password(Address.of("sftp://me@host"), Sftp(password_file=str(tmp_path / "none.txt")))


def test_a_program_that_prints_no_password_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_COMMAND_SECONDS", 0.3)
    for text, why in (("exit 7", "7"), ("echo hush-hush; exit 7", "7"), ("echo", "secret.sh"), ("sleep 9", "0.3")):
        program = script(tmp_path, text)
        with raises(JobError, "E-PASSWORD-COMMAND", "ftp.password_command", str(program), why) as raised:
            with_password(ADDRESS, Ftp(password_command=(str(program),)))
        assert "hush" not in str(raised.value)
    program.write_text("no program")
    with raises(JobError, "E-PASSWORD-COMMAND"):
        with_password(ADDRESS, Ftp(password_command=(str(program),)))


def test_a_program_gets_its_arguments_without_a_shell(tmp_path: Path) -> None:
    program = script(tmp_path, 'echo "$#-$1-$2"')
    settings = Ftp(password_command=f"{program} 'a b' $HOME")
    assert with_password(ADDRESS, settings).password == "2-a b-$HOME"


def test_a_password_file_of_a_job_file_is_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(
        '[input]\npath = "in.csv"\n[id]\ncolumn = "id"\n[record]\nsignals = ["a"]\n'
        '[output]\nto = "ftp://me@host"\ndpid = 1234\n[ftp]\npassword_file = "secret.txt"\n'
    )
    assert Job.load(tmp_path / "job.toml").ftp.password_file == str(tmp_path / "secret.txt")


def test_the_password_is_in_no_identity_and_no_journal(run: Run) -> None:
    first = job_to("ftp://me@host", ftp={"password": "hush-1"})
    assert first.digest == job_to("ftp://me@host", ftp={"password": "hush-2"}).digest
    assert job_to("ftp://me:a'b@host").digest == job_to("ftp://me:c(d@host").digest


# --- private files ----------------------------------------------------------------------------------------------


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_private_files_are_private_whatever_a_killed_run_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    job = run.make_job(report={"show_rows": True})
    journal, stem = Path(path_in(job.report.dir, journal_name(job))), f"ftp_dpm_1234_{TIMESTAMP}.sync"
    rejects = Path(rejects_path(job, stem))
    journal.parent.mkdir()
    left = [
        journal.with_name(f"{journal.name}.new"),
        journal.with_name(f"{journal.name}.lock"),
        rejects,
        rejects.with_name(f"{rejects.name}.partial"),
    ]
    for path in left:
        path.write_bytes(b"")
        path.chmod(0o666)
    seen: dict[str, int] = {}
    finish = AtomicFile.finish

    def finished(self: AtomicFile, **options: Any) -> None:
        seen.update({path.name: mode_of(path) for path in journal.parent.iterdir()})
        finish(self, **options)

    monkeypatch.setattr(AtomicFile, "finish", finished)
    run.convert("id,a\nu1,x\nshort\n", report={"show_rows": True})
    assert seen[f"{rejects.name}.partial"] == 0o600
    assert seen[journal.name] == seen[f"{journal.name}.lock"] == 0o600
    assert (mode_of(rejects), mode_of(journal)) == (0o600, 0o600)
    assert mode_of(Path(report_path(job, stem))) & 0o044


def test_a_journal_that_is_resumed_is_private(tmp_path: Path) -> None:
    journal = Journal(FolderFiles(tmp_path), "job.journal")
    journal.begin(RunRecord([], TIMESTAMP, "2013-04-21", "", []))
    journal.close()
    path = tmp_path / "job.journal"
    path.chmod(0o644)
    journal.resume()
    journal.close()
    assert mode_of(path) == 0o600


# --- programs and modules in the working folder -----------------------------------------------------------------

MODULES = ["numba", "numpy", "polars", "pydantic", "typer", "rich", "orjson", "isal", "tenacity", "logging", "random"]


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with a table, and with modules and programs that must not be run."""
    folder = tmp_path / "trap"
    folder.mkdir()
    (folder / "in.csv").write_text("id,a\nu1,x\n")
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"import os\nopen({str(folder / 'run')!r}, 'w')\n")
    for name in ("gpg", "secret"):
        (folder / name).write_text(f"#!/bin/sh\ntouch {folder / 'run'}\necho hush\n")
        (folder / name).chmod(0o755)
    return folder


CONVERT = ["convert", "in.csv", "--id", "id", "--dpid", "1234", "--signal", "a", "--to", "out"]


@pytest.mark.parametrize("way", ["module", "script"])
def test_no_module_of_the_working_folder_is_imported(trap: Path, way: str) -> None:
    start = ["-m", "converter"] if way == "module" else [str(script_of(trap.parent))]
    done = subprocess.run([sys.executable, *start, *CONVERT], cwd=trap, env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (trap / "run").exists()


def script_of(folder: Path) -> Path:
    """What an installer makes of the command."""
    (folder / "bin").mkdir()
    path = folder / "bin" / "aam-inbound"
    path.write_text("from converter.cli import main\nmain()\n")
    return path


@pytest.mark.parametrize("path", [".", "", ".:/usr/bin:/bin", ":/usr/bin:/bin", "bin:../trap"])
def test_no_program_of_the_working_folder_is_run(trap: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trap)
    monkeypatch.setenv("PATH", path)
    assert find_program("secret") is None
    assert find_program("./secret") is None
    assert all(each.startswith("/") for each in safe_path().split(":") if each)
    with raises(JobError, "E-PASSWORD-COMMAND", "'secret'"):
        with_password(ADDRESS, Ftp(password_command=("secret",)))
    (trap / "key.asc").write_text("no key")
    base = {"input": {"path": "in.csv"}, "id": {"column": "id"}, "record": {"signals": ["a"]}}
    output = {"to": "out", "dpid": 1234, "compression": "pgp"}
    with pytest.raises(DestinationError) as raised:
        plan(Job(**base, output=output, pgp={"key": "key.asc"}))
    assert raised.value.code in ("E-PGP-MISSING", "E-PGP-KEY-NONE"), "of another GnuPG, or of none"
    assert not (trap / "run").exists()


def test_a_program_with_an_absolute_path_is_run_outside_of_the_working_folder(
    trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trap)
    program = script(trap.parent, "pwd")
    assert with_password(ADDRESS, Ftp(password_command=(str(program),))).password == "/"
    assert convert(job_to("out", input={"path": str(trap / "in.csv")})).outcome == "done"
