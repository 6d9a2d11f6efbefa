"""The destination S3: nothing is seen before it is published, and then it is whole, once, and what was sent."""

from __future__ import annotations

import datetime
import gc
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converter.destinations import Settings, open_destination
from converter.destinations.base import Arrived
from converter.destinations.s3 import S3Destination
from converter.errors import DestinationError, JobError
from converter.job import S3
from converter.spec.names import FileName

from .servers.s3 import MOST_BYTES, SECRET, SENT, S3Place, moto, rclone_place, s3_place

NAME = FileName("data", (1234,), 1366545717, extension=".gz")
FIRST, SECOND = str(NAME.part(1)), str(NAME.part(2))
DATA = random.Random(0).randbytes((5 << 20) + 17)  # two pieces
OTHER = DATA[:-1] + b"?"


@pytest.fixture
def place() -> Iterator[S3Place]:
    with s3_place() as made:
        yield made


@pytest.fixture(params=["moto", "rclone"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3Place]:
    with s3_place() if request.param == "moto" else rclone_place(tmp_path) as made:
        yield made


def send(destination: S3Destination, name: str = FIRST, data: bytes = DATA) -> Arrived:
    """Send a part, as it comes: in blocks of a megabyte or so."""
    part = destination.create(name)
    for start in range(0, len(data), 1_000_000):
        part.write(memoryview(data)[start : start + 1_000_000])
    return part.finish()


def kept(part: Arrived) -> Arrived:
    """A part as the journal keeps it, for another process."""
    return Arrived(part.name, part.bytes, part.crc32, json.loads(json.dumps(part.state)))


def levels(destination: S3Destination, name: FileName = NAME) -> list[str]:
    return [finding.level for finding in destination.check(name)]


def test_a_part_is_out_of_sight_until_another_process_publishes_it(any_place: S3Place) -> None:
    part = send(any_place.destination())
    assert (any_place.visible(), any_place.hidden()) == ({}, {FIRST})
    destination = any_place.destination()
    assert destination.holds(kept(part))
    destination.publish(kept(part))
    assert (any_place.visible(), any_place.hidden()) == ({FIRST: DATA}, set())
    assert destination.holds(kept(part))
    destination.publish(kept(part))
    any_place.destination().discard(part.name, part.state)
    assert any_place.visible() == {FIRST: DATA}, "what is published stays"


def test_n5_keys_have_the_prefix_the_partner_and_the_day(place: S3Place) -> None:
    destination = place.destination()
    assert destination.url("x") == f"s3://{place.bucket}/inbound/acme/date=2013-04-21/x"
    bare = S3Destination("s3://bucket", S3(), "", SENT, 1)
    assert bare.url("x") == "s3://bucket/date=2013-04-21/x"


def test_f10_other_bytes_are_never_overwritten(any_place: S3Place) -> None:
    destination = any_place.destination()
    part = send(destination)
    for other in (OTHER, b"short"):
        any_place.put(FIRST, other)
        with pytest.raises(DestinationError, match="is there already, with other bytes. Nothing is ever overwritten"):
            destination.publish(part)
        assert any_place.visible() == {FIRST: other}


def test_f10_the_same_bytes_are_fine_and_what_was_sent_twice_is_removed(any_place: S3Place) -> None:
    destination = any_place.destination()
    first, again = send(destination), send(destination)
    destination.publish(first)
    destination.publish(again)
    assert (any_place.visible(), any_place.hidden()) == ({FIRST: DATA}, set())


@pytest.mark.parametrize("length", [1, len(DATA)])
def test_f3_f4_f5_a_stream_that_is_let_go_is_never_completed(place: S3Place, length: int) -> None:
    part: Any = place.destination().create(FIRST)
    part.write(DATA[:length])
    stream = part._stream
    del part
    gc.collect()
    with pytest.raises(ValueError, match="stop"), stream:
        raise ValueError("stop")
    del stream
    gc.collect()
    assert place.visible() == {}
    for closed in ("close", "__del__"):
        part = place.destination().create(SECOND)
        part.write(DATA[:length])
        getattr(part._stream, closed)()
        assert place.visible() == {}


def test_a_part_that_is_given_up_leaves_nothing(any_place: S3Place) -> None:
    destination = any_place.destination()
    part = destination.create(FIRST)
    part.write(DATA)
    assert any_place.hidden() == {FIRST}
    part.abort()
    part.abort()
    destination.discard(FIRST, json.loads(json.dumps(part.state)))
    arrived = send(destination)
    destination.discard(FIRST, arrived.state)
    assert (any_place.visible(), any_place.hidden()) == ({}, set())
    assert not destination.holds(arrived)


def test_an_upload_that_is_gone_has_to_be_sent_again(tmp_path: Path) -> None:
    with rclone_place(tmp_path) as place:  # moto fails where the upload is gone
        gone(place.destination())


def gone(destination: S3Destination) -> None:
    part = send(destination)
    destination.discard(FIRST, part.state)
    with pytest.raises(DestinationError, match=r"no longer there \(NoSuchUpload\).*--resume") as caught:
        destination.publish(part)
    assert type(caught.value) is DestinationError, "no further try can help"


def test_what_is_held_is_compared(place: S3Place) -> None:
    destination = place.destination()
    part = send(destination)
    for state in ({"etags": part.state["etags"][:1]}, {"etags": part.state["etags"][::-1]}):
        assert not destination.holds(Arrived(part.name, part.bytes, part.crc32, {**part.state, **state}))
    assert not destination.holds(Arrived(part.name, part.bytes + 1, part.crc32, part.state))


def test_an_empty_part_is_refused(place: S3Place) -> None:
    part = place.destination().create(FIRST)
    part.write(b"")
    with pytest.raises(DestinationError, match="has 0 bytes"):
        part.finish()
    assert place.visible() == {}


def test_f14_a_sweep_removes_what_an_earlier_run_left_and_nothing_else(any_place: S3Place) -> None:
    destination = any_place.destination()
    kept_part = send(destination, FIRST)
    destination.create(FIRST).write(DATA)
    destination.create(str(NAME.part(12))).write(DATA)
    others = [
        "ftp_dpm_1234_1366545717.overwrite.1.gz",
        "ftp_dpm_1234_1366545718.sync.1.gz",
        "ftp_dpm_1234_1366545717.sync.1.gz.tmp",
    ]
    for name in others:
        destination.create(name)
    elsewhere = S3Place(any_place.endpoint, partner="other", bucket=any_place.bucket).destination()
    elsewhere.create(FIRST)
    any_place.destination().sweep(NAME, [kept(kept_part)])
    hidden = any_place.hidden()
    assert hidden == {FIRST, *others, f"inbound/other/date=2013-04-21/{FIRST}"}
    elsewhere.close()
    destination.publish(kept_part)
    assert any_place.visible() == {FIRST: DATA}


def test_a_check_leaves_nothing_behind(any_place: S3Place) -> None:
    (found,) = any_place.destination().check(NAME)
    assert found.text == f"The bucket '{any_place.bucket}' can be written."
    assert (any_place.visible(), any_place.hidden()) == ({}, set())


def test_f10_a_check_finds_parts_of_this_run_alone(any_place: S3Place) -> None:
    any_place.put("ftp_dpm_1234_1366545717.sync.1.gz.txt", b"")
    any_place.put("ftp_dpm_1234_1366545717.overwrite.1.gz", b"")
    assert levels(any_place.destination()) == ["ok"]
    any_place.put(str(NAME.part(3)), b"sent yesterday")
    any_place.put(str(NAME.part(7)), b"sent yesterday")
    (_, found) = any_place.destination().check(NAME)
    assert found.level == "error"
    assert "sync.3.gz' and 1 more of its run are there already" in found.text


def test_z4_uploads_have_the_acl_the_encryption_and_the_storage_class_of_the_job(place: S3Place) -> None:
    settings = {
        "acl": "bucket-owner-full-control",
        "sse": "aws:kms",
        "kms_key_id": "key-1",
        "storage_class": "STANDARD_IA",
    }
    destination = place.destination(**settings)
    destination.publish(send(destination))
    head = place.client.head_object(Bucket=place.bucket, Key=place.folder + FIRST)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"], head["StorageClass"]) == (
        "aws:kms",
        "key-1",
        "STANDARD_IA",
    )
    assert place.visible() == {FIRST: DATA}


def test_pieces_grow_where_there_would_be_more_than_10000(place: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = S3(endpoint_url=place.endpoint, part_size="5MiB")
    assert S3Destination("s3://bucket", settings, "", SENT, MOST_BYTES)._piece_bytes == 5 << 20
    assert S3Destination("s3://bucket", settings, "", SENT, (5 << 20) * 10_000 + 1)._piece_bytes == (5 << 20) + 1
    monkeypatch.setattr("converter.destinations.s3._MOST_PIECES", 1)
    destination = place.destination()
    place.opened.append(destination := S3Destination(f"s3://{place.bucket}/inbound", settings, "acme", SENT, len(DATA)))
    assert len(send(destination).state["etags"]) == 1


@pytest.mark.parametrize(
    "url", ["s3://", "s3://ab", "s3://a b/c", "s3://key:pass@bucket/x", "s3://bucket/a\nb", "s3://büro/x"]
)
def test_a_url_without_a_bucket_is_an_error_in_the_job(url: str) -> None:
    with pytest.raises(JobError, match="output.to is") as caught:
        S3Destination(url, S3(), "", SENT, MOST_BYTES)
    assert "pass" not in str(caught.value)


def test_the_scheme_opens_it() -> None:
    destination = open_destination("s3://bucket/x", Settings(sent=datetime.date(2020, 1, 2), partner="p"))
    assert destination.url("n") == "s3://bucket/x/p/date=2020-01-02/n"
    assert not destination.direct


def test_f12_a_wrong_secret_is_found_before_converting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with rclone_place(tmp_path) as place:
        for variable, value, words in (
            ("AWS_SECRET_ACCESS_KEY", "wrong-secret", "SignatureDoesNotMatch"),
            ("AWS_ACCESS_KEY_ID", "AKIAWRONG", "InvalidAccessKeyId"),
        ):
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            monkeypatch.setenv(variable, value)
            (found,) = place.destination().check(NAME)
            assert found.level == "error"
            assert words in found.text
            assert "the credentials are wrong" in found.text
            assert value not in str(found)


def test_f12_a_bucket_that_is_not_there_is_found_before_converting(place: S3Place) -> None:
    place.bucket += "x"
    (found,) = place.destination().check(NAME)
    assert found.level == "error"
    assert "there is no such bucket (NoSuchBucket)" in found.text


def test_f12_no_credentials_are_found_before_converting(place: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (found,) = place.destination().check(NAME)
    assert (found.level, "credentials cannot be had" in found.text) == ("error", True)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for settings in ({}, {"role_arn": "arn:aws:iam::123456789012:role/sender"}):
        (found,) = place.destination(**settings).check(NAME)
        assert (found.level, "no credentials were found" in found.text) == ("error", True)


@pytest.mark.parametrize("region", [None, "eu-central-1"])
def test_a_role_is_taken_on_with_the_credentials_at_hand(
    place: S3Place, monkeypatch: pytest.MonkeyPatch, region: str | None
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto())
    destination = place.destination(role_arn="arn:aws:iam::123456789012:role/sender", region=region)
    destination.publish(send(destination))
    assert place.visible() == {FIRST: DATA}
    used = destination._bucket._client._request_signer._credentials.get_frozen_credentials()
    assert used.access_key.startswith("ASIA")
    assert used.token
