"""Buckets with settings of their own: an input, reports and a state of yours, and a delivery with other credentials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converter import Job, convert, doctor
from converter.commands.state import check_state
from converter.errors import ConverterError, JobError
from converter.jobs.document import parse_settings
from converter.jobs.sections.servers import S3
from converter.sources.opening import find_origins

from .conftest import Run
from .errors import check_named, codes_of, raises
from .servers.s3 import KEY, SECRET, S3Place, aws_variables, rclone_place, s3_place

WRONG = "a-secret-that-rclone-refuses"
REFUSED = {"E-S3-CREDENTIALS", "E-S3-DENIED", "E-S3-REQUEST"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A folder to run jobs in, with the loops alone: they are the same for all places."""
    return Run(tmp_path)


@pytest.fixture
def own() -> Iterator[S3Place]:
    """A bucket on a server that takes any secret, and knows conditions."""
    with s3_place() as place:
        yield place


@pytest.fixture
def others() -> Iterator[S3Place]:
    """A bucket on a server that takes one secret only."""
    with rclone_place() as place:
        yield place


@pytest.fixture
def profiles(tmp_path: Path, own: S3Place, others: S3Place) -> Iterator[pytest.MonkeyPatch]:
    """The credentials that the server of others takes are those of a profile alone; the environment has wrong ones."""
    assert own.client  # opened here, with the credentials that the tests themselves use
    assert others.client
    path = tmp_path / "credentials"
    path.write_text(
        f"[adobe]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
        f"[wrong]\naws_access_key_id = {KEY}\naws_secret_access_key = {WRONG}\n"
    )
    with aws_variables() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
        patch.setenv("AWS_SECRET_ACCESS_KEY", WRONG)
        yield patch


def settings(place: S3Place, **more: Any) -> dict[str, Any]:
    return {"endpoint_url": place.endpoint, "addressing_style": "path", "timeout": 10, **more}


def job_at(run: Run, own: S3Place, s3: dict[str, Any], to: str) -> Job:
    """A job that reads and reports in one bucket, and writes to another."""
    own.client.put_object(Bucket=own.bucket, Key="crm/in.csv", Body=b"id,a\n1,x\n2,y\n")
    return run.make_job(
        input={"path": f"s3://{own.bucket}/crm/"},
        output={"to": to, "retry_seconds": 0},
        report={"dir": f"s3://{own.bucket}/reports", "lease_seconds": 1},
        delta={"state": f"s3://{own.bucket}/state/crm"},
        s3=s3,
    )


@pytest.mark.parametrize("delivery", ["by the section", "by its bucket"])
@pytest.mark.usefixtures("profiles")
def test_input_reports_and_state_are_in_a_bucket_with_other_credentials_than_the_delivery(
    run: Run, own: S3Place, others: S3Place, delivery: str
) -> None:
    section, buckets = settings(others, profile="adobe"), {own.bucket: settings(own)}
    if delivery == "by its bucket":
        section, buckets = settings(own), {others.bucket: settings(others, profile="adobe")}
    job = job_at(run, own, {**section, "buckets": buckets}, f"s3://{others.bucket}/aam")
    assert codes_of(doctor(job)) == []
    report = convert(job)
    assert (report.records["written"], report.job["s3"]["buckets"].keys()) == (2, buckets.keys())
    (part,) = others.client.list_objects_v2(Bucket=others.bucket)["Contents"]
    assert part["Key"].startswith("aam/date=")
    found = {each["Key"].partition("/")[0] for each in own.client.list_objects_v2(Bucket=own.bucket)["Contents"]}
    assert found == {"crm", "reports", "state"}
    record = check_state(f"s3://{own.bucket}/state/crm", S3(**{**section, "buckets": buckets})).record
    assert record is not None


@pytest.mark.usefixtures("profiles")
def test_rejects_in_a_bucket_with_settings_of_its_own_are_read_again(run: Run, own: S3Place, others: S3Place) -> None:
    own.client.put_object(Bucket=own.bucket, Key="in.csv", Body=b"id,a\n1,x\n2\n")
    report = convert(
        run.make_job(
            input={"path": f"s3://{own.bucket}/in.csv"},
            report={"dir": f"s3://{own.bucket}/reports", "lease_seconds": 1},
            s3={**settings(others), "buckets": {own.bucket: settings(own)}},
        )
    )
    assert report.rejects().height == 1


def test_a_bucket_takes_nothing_of_the_section(own: S3Place) -> None:
    given = S3(acl="private", anonymous=True, endpoint_url="http://127.0.0.1:9", buckets={own.bucket: settings(own)})  # type: ignore[dict-item]
    assert given.of("another") is given
    assert (given.of(own.bucket).acl, given.of(own.bucket).anonymous) == (None, False)


@pytest.mark.usefixtures("profiles")
def test_the_credentials_of_a_profile_count_more_than_those_of_the_environment(others: S3Place, run: Run) -> None:
    others.client.put_object(Bucket=others.bucket, Key="in.csv", Body=b"id,a\n1,x\n")

    def found(**more: Any) -> bytes:
        job = run.make_job(
            input={"path": f"s3://{others.bucket}/in.csv", "retry_seconds": 0}, s3=settings(others, **more)
        )
        (origin,) = find_origins(job.input, job.access)
        return bytes(origin.read_at(0, 4))

    assert found(profile="adobe") == b"id,a"
    for more in ({}, {"profile": "wrong"}):
        with pytest.raises(ConverterError) as caught:
            found(**more)
        assert caught.value.code in REFUSED
        assert WRONG not in str(caught.value)


@pytest.mark.usefixtures("profiles")
def test_messages_name_the_key_that_is_wrong(own: S3Place, run: Run) -> None:
    def finding(more: dict[str, Any], *, section: bool) -> str:
        given = settings(own, **more)
        s3 = given if section else {"buckets": {own.bucket: given}}
        path = f"s3://{own.bucket}/in.csv"
        with pytest.raises(ConverterError) as caught:
            convert(run.make_job(input={"path": path, "retry_seconds": 0}, s3=s3))
        return f"{caught.value.code} {caught.value}"

    own_key = f"s3.buckets.{own.bucket}."
    nobody = finding({"profile": "nobody"}, section=False)
    check_named(nobody, "E-S3-PROFILE", f"{own_key}profile", "adobe, wrong", "aws configure --profile nobody")
    check_named(finding({"profile": "nobody"}, section=True), "E-S3-PROFILE", "which s3.profile names")
    for section, key in ((True, " s3."), (False, f" {own_key}")):
        refused = finding({"endpoint_url": "http://127.0.0.1:1"}, section=section)
        check_named(refused, "E-S3-UNREACHABLE", f"{key}endpoint_url", f"{key}region")


def test_a_profile_with_wrong_credentials_is_named(profiles: pytest.MonkeyPatch, own: S3Place, run: Run) -> None:
    path = Path(run.folder) / "half"
    path.write_text("[half]\naws_access_key_id = AKIA\n")
    profiles.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    with raises(ConverterError, "E-S3-CREDENTIALS", "'half'", f"s3.buckets.{own.bucket}.profile"):  # type: ignore[type-abstract]
        convert(
            run.make_job(
                input={"path": f"s3://{own.bucket}/in.csv", "retry_seconds": 0},
                s3={"buckets": {own.bucket: settings(own, profile="half")}},
            )
        )


def test_names_of_buckets_are_checked_and_may_have_dots(run: Run) -> None:
    for name in ("s3://crm", "crm/exports", ""):
        with raises(JobError, "E-JOB-INVALID", f"'{name}'"):
            run.make_job(s3={"buckets": {name: {"region": "eu-central-1"}}})
    with raises(JobError, "E-JOB-INVALID", "s3.buckets.crm.regoin", "region"):
        run.make_job(s3={"buckets": {"crm": {"regoin": "x"}}})
    changes = parse_settings(['s3.buckets."crm.exports".region=eu-central-1', "s3.buckets.crm.profile=crm"])
    assert changes == {"s3": {"buckets": {"crm.exports": {"region": "eu-central-1"}, "crm": {"profile": "crm"}}}}
    s3 = run.make_job(**changes).s3
    assert (s3.section_of("crm.exports"), s3.section_of("other")) == ('s3.buckets."crm.exports"', "s3")


@pytest.mark.parametrize(
    "section, key",
    [({"kms_key_id": "k"}, "s3.kms_key_id"), ({"buckets": {"crm": {"kms_key_id": "k"}}}, "s3.buckets.crm.kms_key_id")],
)
def test_a_key_of_kms_needs_its_encryption_in_the_same_section(run: Run, section: dict[str, Any], key: str) -> None:
    with raises(JobError, "E-JOB-INVALID", key, "sse = 'aws:kms'"):
        run.make_job(s3=section)
    assert run.make_job(s3={"sse": "aws:kms", "kms_key_id": "k"}).s3.kms_key_id == "k"


def test_buckets_that_no_url_names_are_told(run: Run) -> None:
    buckets = {name: {"region": "eu-central-1"} for name in ("crm-export", "adobe", "reports", "list")}
    job = run.make_job(
        input={"path": ["s3://crm-exports/a.csv"], "suppress": {"path": "S3://list/x.csv", "column": "id"}},
        output={"to": "s3://adobe/aam"},
        report={"dir": "s3://reports"},
        s3={"buckets": buckets},
    )
    (found,) = [each for each in job.warnings if each.code == "W-S3-BUCKET-UNUSED"]
    assert "'crm-export'" in found.message
    assert "did you mean 'crm-exports'?" in found.message
    own = run.make_job(output={"to": "", "environment": "production", "partner": "crm"}, s3={"buckets": {}})
    environment = own.output.url.split("/")[2]
    assert not run.make_job(
        output={"to": "", "environment": "production", "partner": "crm"}, s3={"buckets": {environment: {}}}
    ).warnings
