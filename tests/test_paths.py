"""Where paths of a job lead, and by what a job is known again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from converter import Job, convert
from converter.errors import JobError
from converter.jobs.document import Section, merge, path_keys
from converter.jobs.job import Transfer
from converter.jobs.sections.output import Output
from converter.sources.opening import find_origins

from .errors import raises

KEYS = {
    "input.path",
    "input.rejects_of",
    "input.password_file",
    "http.tls_ca_file",
    "delta.state",
    "output.to",
    "report.dir",
    "report.metrics",
    "report.traits",
    "run.spill_dir",
    "pgp.key",
    "gs.credentials_file",
    "az.account_key_file",
    "az.sas_token_file",
    "ftp.password_file",
    "ftp.tls_ca_file",
    "sftp.password_file",
    "sftp.key_file",
    "sftp.known_hosts",
}
JOB: dict[str, Any] = {
    "input": {"path": "in.csv"},
    "id": {"column": "id"},
    "record": {"signals": ["a"]},
    "output": {"to": "out", "dpid": 1234},
}


def job(**changes: Any) -> Job:
    return Job(**merge(JOB, changes))


def at(made: Job, key: str) -> str:
    section, _, name = key.partition(".")
    value = getattr(getattr(made, section), name)
    return str(value[0] if isinstance(value, tuple) else value)


def test_these_keys_are_paths() -> None:
    sections = {name: type(getattr(job(), name)) for name in Job.model_fields if name not in ("id", "sync", "example")}
    found = {f"{name}.{key}" for name, section in sections.items() for key, _ in path_keys(section)}
    assert found == KEYS


def write(path: Path, key: str, text: str) -> Path:
    """Write a job file in which a key that is a path is this text."""
    section, _, name = key.partition(".")
    data = merge(JOB, {section: {name: text}})
    if key == "pgp.key":
        data["output"] = {**data["output"], "compression": "pgp"}
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "".join(
            f"[{each}]\n" + "".join(f"{key} = {value!r}\n" for key, value in keys.items())
            for each, keys in data.items()
        )
    )
    return path


@pytest.mark.parametrize("key", sorted(KEYS))
def test_relative_paths_of_a_job_file_are_relative_to_it(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/of-nobody")
    monkeypatch.setenv("BELOW", "below")
    monkeypatch.setenv("ROOTED", "/rooted")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "jobs" / "job.toml"
    suffix = ".prom" if key == "report.metrics" else ""  # it may have no other one
    for text, wanted in {
        "x": tmp_path / "jobs" / "x",
        "../y/x": tmp_path / "y" / "x",
        "./x": tmp_path / "jobs" / "x",
        "${BELOW}/x": tmp_path / "jobs" / "below" / "x",
        "${ROOTED}/x": Path("/rooted/x"),
        "/x": Path("/x"),
        "~/x": Path("/home/of-nobody/x"),
    }.items():
        for way in (file, Path("jobs/job.toml")):
            assert at(Job.load(write(way, key, text + suffix)), key) == f"{wanted}{suffix}"
    section, _, name = key.partition(".")
    given = Job.load(file, {section: {name: "of-a-flag" + suffix}})
    assert at(given, key) == "of-a-flag" + suffix


def test_reports_are_beside_the_job_file_and_else_in_the_working_folder(tmp_path: Path) -> None:
    file = write(tmp_path / "job.toml", "input.path", "in.csv")
    assert Job.load(file).report.dir == str(tmp_path / "reports")
    assert Transfer.load(file).report.dir == str(tmp_path / "reports")
    assert job().report.dir == "reports"


@pytest.mark.parametrize("name", ["in.csv", "in[1].csv"])
def test_files_are_found_beside_a_job_file_whatever_its_folder_is_called(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a[1]*"
    folder.mkdir()
    (folder / name).write_text("id,a\n1,x\n")
    for text in ("*.csv", name):
        (file,) = find_origins(Job.load(write(folder / "job.toml", "input.path", text)).input)
        assert file.path == folder / name


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["arguments", "a file"])
@pytest.mark.parametrize(
    "to",
    [
        "s3:/bucket/x", "s3:bucket", "S3:/b", "sftp:/", "ftp:host/x", "file:/x", "file://x", "https:/x",
        "user@host:/x", "user@host:x", "host:/x", "$HOME/x", "/data/$DATE", "a/$(date)", "${a-b}/x", "s3://$BUCKET/x",
        "~nobody-of-this-name/x",
    ],
)  # fmt: skip
def test_what_looks_like_something_else_written_wrong_is_refused(to: str, way: str, tmp_path: Path) -> None:
    with raises(JobError, "E-TO-MALFORMED", to):
        job(output={"to": to}) if way == "arguments" else Job.load(write(tmp_path / "job.toml", "output.to", to))
    assert not [path for path in tmp_path.iterdir() if path.name != "job.toml"]


@pytest.mark.parametrize("to", ["./s3:/x", "./user@host:x", "./$HOME", "./~x"])
def test_a_folder_may_be_called_so_on_purpose(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("id,a\n1,x\n")
    convert(job(output={"to": to}))
    assert len(list((tmp_path / to[2:]).iterdir())) == 1


@pytest.mark.parametrize("to", ["out", "a b/c", "/x:y/$", "sftp://u:pa$Word@h/x", "s3://b/_$folder$", "a/b:c"])
def test_what_is_all_right_is_taken(to: str) -> None:
    assert job(output={"to": to}).output.to == to


@pytest.mark.parametrize("folder", ["gs://bucket/reports", "file:///reports"])
def test_reports_at_a_url_are_refused(folder: str, tmp_path: Path) -> None:
    with raises(JobError, "E-JOB-INVALID", "report.dir"):
        job(report={"dir": folder})
    with raises(JobError, "E-JOB-INVALID", "report.dir"):
        Job.load(write(tmp_path / "job.toml", "report.dir", folder))


# --- by what a job is known again -------------------------------------------------------------------------------


def test_the_identity_of_a_job_stays_what_it_is() -> None:
    """Where this fails, runs that an earlier version began are not found: raise `IDENTITY_VERSION`."""
    made = job(input={"path": ["/nowhere/in.csv"], "separator": ";"}, output={"to": "sftp://me:secret@host/x"})
    assert made.digest[:12] == "0bb1668cb650"


class WiderOutput(Output):
    """What a later version may know."""

    shiny: Annotated[int, Field(ge=0)] = 7
    list_of: dict[str, int] = Field(default_factory=dict)


class NewSection(Section):
    """A section that a later version may know."""

    level: str = "low"


class WiderJob(Job):
    """A job of a later version."""

    output: WiderOutput
    fresh: NewSection = Field(default_factory=NewSection)


def test_a_key_with_its_default_changes_nothing() -> None:
    wider = WiderJob(**JOB)
    assert wider.digest == job().digest
    assert WiderJob(**merge(JOB, {"output": {"shiny": 7}, "fresh": {"level": "low"}})).digest == job().digest
    assert WiderJob(**merge(JOB, {"output": {"shiny": 8}})).digest != job().digest
    assert WiderJob(**merge(JOB, {"fresh": {"level": "high"}})).digest != job().digest
    for section, model in ((each, getattr(job(), each)) for each in ("input", "id", "record", "output", "privacy")):
        for name, field in type(model).model_fields.items():
            if not field.is_required() and (default := field.get_default(call_default_factory=True)) is not None:
                if name in ("path", "to", "signals"):
                    continue
                assert job(**{section: {name: default}}).digest == job().digest, name


@pytest.mark.parametrize(
    "changes",
    [
        {"input": {"path": "other.csv"}},
        {"input": {"separator": ";"}},
        {"id": {"case": "lower"}},
        {"record": {"signals": ["b"]}},
        {"output": {"dpid": 5}},
        {"output": {"to": "elsewhere"}},
        {"output": {"mode": "overwrite"}},
        {"privacy": {"signals": "drop"}},
        {"output": {"to": "s3://b/x"}, "s3": {"endpoint_url": "http://x"}},
    ],
)
def test_what_decides_what_goes_where_makes_another_job(changes: dict[str, Any]) -> None:
    assert job(**changes).digest != job().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"report": {"dir": "x", "max_rejects": 5}},
        {"run": {"threads": 1}},
        {"output": {"uploads": 9, "publish": "each"}},
    ],
)
def test_how_it_gets_there_does_not(changes: dict[str, Any]) -> None:
    assert job(**changes).digest == job().digest


def test_a_password_is_not_in_it_and_the_user_is() -> None:
    one, other, another = (job(output={"to": f"sftp://{login}@h/x"}).digest for login in ("a:b", "a:c", "d:b"))
    assert one == other != another


def test_a_job_is_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "jobs" / "job.toml", "input.path", "in.csv")
    (tmp_path / "link").symlink_to("jobs")
    digests = set()
    for folder in (tmp_path, tmp_path / "jobs", tmp_path / "link"):
        monkeypatch.chdir(folder)
        digests |= {Job.load(way).digest for way in (file, os.path.relpath(file), tmp_path / "link" / "job.toml")}
    monkeypatch.chdir(tmp_path / "link")
    digests.add(job().digest)
    assert len(digests) == 1
    monkeypatch.chdir(tmp_path)
    assert job().digest not in digests
