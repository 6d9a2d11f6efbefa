"""The destination S3: nothing is seen before it is published, and then it is whole, once, and what was sent."""

from __future__ import annotations

import dataclasses
import datetime
import gc
import json
import random
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from converter.delivery.destinations import Settings, open_destination
from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.s3 import S3Destination
from converter.delivery.destinations.s3_visible import Visible
from converter.errors import DestinationError, JobError, TransientError
from converter.jobs.sections.servers import S3
from converter.spec.names import FileName

from .errors import check_named, codes_of, raises, told
from .servers.localstack import localstack_place
from .servers.place import findings_of
from .servers.s3 import KEY, MOST_BYTES, SECRET, SENT, S3Place, moto, rclone_place, s3_place
from .servers.scripted_s3 import Act, ScriptedPlace, scripted_place

NAME = FileName("data", (1234,), 1366545717, extension=".gz")
FIRST, SECOND = str(NAME.part(1)), str(NAME.part(2))
DATA = random.Random(0).randbytes((5 << 20) + 17)  # two pieces
OTHER = DATA[:-1] + b"?"


@pytest.fixture
def place() -> Iterator[S3Place]:
    with s3_place() as made:
        yield made


ANY: dict[str, Callable[[], AbstractContextManager[S3Place]]] = {
    "moto": s3_place,
    "rclone": rclone_place,
    "LocalStack": localstack_place,
}


@pytest.fixture(params=ANY)
def any_place(request: pytest.FixtureRequest) -> Iterator[S3Place]:
    with ANY[request.param]() as made:
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
        with raises(DestinationError, "E-NAME-TAKEN", FIRST):
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


@pytest.mark.parametrize(
    "changes, code, why",
    [
        ({"crc32": 1}, "E-S3-DAMAGED", "BadDigest"),
        ({"bytes": len(DATA) + 1}, "E-S3-REQUEST", "InvalidRequest"),
        ({}, "E-S3-TAKEN", "PreconditionFailed"),
    ],
)
def test_f10_f11_a_server_that_compares_completes_nothing_that_is_not_what_was_sent(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], code: str, why: str
) -> None:
    with localstack_place() as place:
        destination = place.destination()
        part = send(destination)
        assert part.state["proof"] == "crc32"
        there = {}
        if not changes:  # somebody else was quicker, after we had looked
            place.put(FIRST, OTHER)
            there = {FIRST: OTHER}
            monkeypatch.setattr(Visible, "compare", lambda self, part: "missing")
        with raises(DestinationError, code, why):
            destination.publish(dataclasses.replace(part, **changes))
        assert place.visible() == there


def test_an_upload_that_is_gone_has_to_be_sent_again(tmp_path: Path) -> None:
    with rclone_place() as place:  # moto fails where the upload is gone
        destination = place.destination()
        part = send(destination)
        destination.discard(FIRST, part.state)
        with raises(DestinationError, "E-S3-LOST", "(NoSuchUpload)", "--resume") as caught:
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
    with raises(DestinationError, "E-PART-SIZE", "0 bytes"):
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
    assert found.level == "ok"
    assert f"'{any_place.bucket}'" in found.message
    assert (any_place.visible(), any_place.hidden()) == ({}, set())


def test_f14_what_a_check_that_was_killed_left_is_removed_by_the_next(any_place: S3Place) -> None:
    destination = any_place.destination()
    destination.create(NAME.probe)
    assert any_place.hidden() == {NAME.probe}
    any_place.destination().check(NAME.part(1))
    assert any_place.hidden() == set()


def test_f10_a_check_finds_parts_of_this_run_alone(any_place: S3Place) -> None:
    any_place.put("ftp_dpm_1234_1366545717.sync.1.gz.txt", b"")
    any_place.put("ftp_dpm_1234_1366545717.overwrite.1.gz", b"")
    assert levels(any_place.destination()) == ["ok"]
    any_place.put(str(NAME.part(3)), b"sent yesterday")
    any_place.put(str(NAME.part(7)), b"sent yesterday")
    (_, found) = any_place.destination().check(NAME)
    assert found.code == "E-NAME-TAKEN"
    check_named(found.message, "sync.3.gz'", "1 more")


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
    monkeypatch.setattr("converter.delivery.destinations.s3._MOST_PIECES", 1)
    destination = place.destination()
    place.opened.append(destination := S3Destination(f"s3://{place.bucket}/inbound", settings, "acme", SENT, len(DATA)))
    assert len(send(destination).state["etags"]) == 1


@pytest.mark.parametrize(
    "url", ["s3://", "s3://ab", "s3://a b/c", "s3://key:pass@bucket/x", "s3://bucket/a\nb", "s3://büro/x"]
)
def test_a_url_without_a_bucket_is_an_error_in_the_job(url: str) -> None:
    with raises(JobError, "E-TO-MALFORMED", "output.to") as caught:
        S3Destination(url, S3(), "", SENT, MOST_BYTES)
    assert "pass" not in str(caught.value)


def test_the_scheme_opens_it() -> None:
    destination = open_destination("s3://bucket/x", Settings(sent=datetime.date(2020, 1, 2), partner="p"))
    assert destination.url("n") == "s3://bucket/x/p/date=2020-01-02/n"
    assert not destination.direct


def test_f12_a_wrong_secret_is_found_before_converting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with rclone_place() as place:
        for variable, value, answer in (
            ("AWS_SECRET_ACCESS_KEY", "wrong-secret", "SignatureDoesNotMatch"),
            ("AWS_ACCESS_KEY_ID", "AKIAWRONG", "InvalidAccessKeyId"),
        ):
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            monkeypatch.setenv(variable, value)
            (found,) = place.destination().check(NAME)
            assert found.code == "E-S3-CREDENTIALS"
            assert answer in found.message
            assert value not in str(found)


def test_f12_a_bucket_that_is_not_there_is_found_before_converting(place: S3Place) -> None:
    place.bucket += "x"
    (found,) = place.destination().check(NAME)
    assert found.code == "E-S3-BUCKET"
    assert "(NoSuchBucket)" in found.message


def test_f12_no_credentials_are_found_before_converting(place: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (found,) = place.destination().check(NAME)
    assert found.code == "E-S3-CREDENTIALS"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for settings in ({}, {"role_arn": "arn:aws:iam::123456789012:role/sender"}):
        (found,) = place.destination(**settings).check(NAME)
        assert found.code == "E-S3-NO-CREDENTIALS"


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


# What goes wrong on the way: a server that does as it is told.


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long is waited between tries; nobody waits."""
    waited: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waited.append))
    monkeypatch.setattr("smart_open.s3.time", SimpleNamespace())  # smart-open never tries again
    return waited


@pytest.fixture
def scripted(waits: list[float]) -> Iterator[ScriptedPlace]:
    with scripted_place() as made:
        yield made


@pytest.fixture(params=[True, False], ids=["checksums", "no checksums"])
def both(request: pytest.FixtureRequest, waits: list[float]) -> Iterator[ScriptedPlace]:
    with scripted_place(request.param) as made:
        yield made


def test_a_part_arrives_whole(both: ScriptedPlace) -> None:
    destination = both.destination()
    part = send(destination)
    assert part.state["proof"] == ("crc32" if both.server.checksums else "md5")
    assert destination.holds(kept(part)), "pieces are listed page by page"
    destination.publish(kept(part))
    assert (both.visible(), both.hidden()) == ({FIRST: DATA}, set())
    both.destination().publish(kept(part))
    assert [call.headers["x-amz-content-sha256"] for call in both.server.calls_of("send")] == ["UNSIGNED-PAYLOAD"] * 2
    assert not [call for call in both.server.calls if "trailer" in str(call.headers).lower()]


def test_a_check_and_a_part_begin_alike_with_all_that_the_job_wants(scripted: ScriptedPlace) -> None:
    wanted = {
        "x-amz-acl": "bucket-owner-full-control",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-checksum-algorithm": "CRC32",
        "x-amz-checksum-type": "FULL_OBJECT",
    }
    destination = scripted.destination(
        acl="bucket-owner-full-control", sse="aws:kms", kms_key_id="key-1", storage_class="STANDARD_IA"
    )
    destination.check(NAME)
    destination.create(FIRST)
    for call in scripted.server.calls_of("begin"):
        assert {name: call.headers.get(name) for name in wanted} == wanted
    scripted.destination().create(FIRST)
    assert {*wanted} & {*scripted.server.calls_of("begin")[2].headers} == {
        "x-amz-checksum-algorithm",
        "x-amz-checksum-type",
    }


def test_publishing_has_conditions_where_the_server_keeps_them(both: ScriptedPlace) -> None:
    destination = both.destination()
    destination.publish(send(destination))
    (call,) = both.server.calls_of("complete")
    assert ("if-none-match" in call.headers) is both.server.checksums
    assert (call.headers.get("x-amz-mp-object-size") == str(len(DATA))) is both.server.checksums


def test_f4_abort_refused_and_then_garbage_collection(both: ScriptedPlace) -> None:
    both.server.always["abort"] = Act(403, "AccessDenied")
    part = both.destination().create(FIRST)
    part.write(DATA)
    part.abort()
    sent = len(both.server.calls)
    del part
    gc.collect()
    assert len(both.server.calls) == sent, "the garbage collector sends nothing"
    assert both.visible() == {}


def test_f5_the_network_goes_within_a_part_and_comes_back(both: ScriptedPlace) -> None:
    destination = both.destination()
    for operation in ("send", "abort"):
        both.server.always[operation] = Act(lost=True)
    part = destination.create(FIRST)
    with raises(TransientError, "E-S3-CONNECTION"):
        part.write(DATA)
        part.finish()  # what was written may be on its way still
    part.abort()
    both.server.always.clear()
    del part
    gc.collect()
    assert both.visible() == {}
    destination.publish(send(destination))
    assert both.visible() == {FIRST: DATA}
    destination.sweep(NAME, [])
    assert both.hidden() == set()


def test_several_pieces_of_a_part_are_on_their_way_at_once(both: ScriptedPlace) -> None:
    destination = both.destination(connections=2, timeout=3)
    both.server.say("send", Act(hangs=True))
    data = DATA[:-17] + DATA[::-1]  # two pieces, and 17 bytes
    destination.publish(send(destination, data=data))
    pieces = [data[start : start + (5 << 20)] for start in range(0, len(data), 5 << 20)]
    numbers = [pieces.index(call.body) for call in both.server.calls_of("send")]
    assert sorted(numbers[:3]) == [0, 1, 2], "none waits for the one that hangs"
    assert numbers[3:] == numbers[:1], "which is sent again"
    assert both.visible() == {FIRST: data}


def test_a_piece_that_fails_is_the_error_of_the_part_and_the_others_are_removed(both: ScriptedPlace) -> None:
    destination = both.destination(connections=4)
    both.server.say("send", Act(403, "AccessDenied"))
    part = destination.create(FIRST)
    with raises(DestinationError, "E-S3-DENIED"):
        part.write(DATA * 3)
        part.finish()
    part.abort()
    assert (both.visible(), both.hidden()) == ({}, set())


@pytest.mark.parametrize("act", [Act(500, "InternalError"), Act(lost=True), Act(lost=True, done=True), Act(503)])
def test_f6_a_last_piece_that_failed_once_is_sent_again_whole(both: ScriptedPlace, act: Act) -> None:
    destination = both.destination()
    both.server.say("send", Act(), act)
    destination.publish(send(destination))
    assert both.visible() == {FIRST: DATA}
    assert [len(call.body) for call in both.server.calls_of("send")] == [5 << 20, 17, 17]


def test_f6_no_such_upload_once_at_the_last_piece(both: ScriptedPlace) -> None:
    destination = both.destination()
    part = destination.create(FIRST)
    part.write(DATA)
    both.server.say("send", Act(404, "NoSuchUpload"))
    with raises(DestinationError, "E-S3-LOST"):
        part.finish()
    del part
    gc.collect()
    assert both.visible() == {}
    assert all(call.body for call in both.server.calls_of("send")), "no empty piece is sent in its place"


@pytest.mark.parametrize("times", [1, 9])
def test_f7_published_and_the_answer_lost(both: ScriptedPlace, times: int) -> None:
    destination = both.destination()
    part = send(destination)
    both.server.say("complete", Act(lost=True, done=True), *[Act(lost=True)] * (times - 1))
    destination.publish(part)
    assert (both.visible(), both.hidden()) == ({FIRST: DATA}, set())
    destination.publish(part)


def test_f7_lost_answers_and_other_bytes(both: ScriptedPlace) -> None:
    destination = both.destination()
    part = send(destination)
    both.server.always["complete"] = Act(lost=True)
    with raises(TransientError, "E-S3-CONNECTION", FIRST):
        destination.publish(part)
    assert destination.holds(part)
    both.server.say("head", Act(404))
    both.put(FIRST, OTHER)
    with raises(DestinationError, "E-NAME-TAKEN", FIRST):
        destination.publish(part)
    assert both.visible() == {FIRST: OTHER}


def test_f8_an_error_in_an_answer_of_200(both: ScriptedPlace) -> None:
    destination = both.destination()
    part = send(destination)
    failure = Act(200, body="<?xml version='1.0'?><Error><Code>InternalError</Code><Message>no</Message></Error>")
    both.server.say("complete", failure, failure)
    destination.publish(part)
    assert both.visible() == {FIRST: DATA}
    second = send(destination, SECOND)
    both.server.always["complete"] = failure
    with raises(TransientError, "E-S3-FAILED", "(InternalError)"):
        destination.publish(second)
    assert both.visible() == {FIRST: DATA}


def test_f9_a_server_that_wants_it_slower(scripted: ScriptedPlace, waits: list[float]) -> None:
    random.seed(9)
    destination = scripted.destination()
    scripted.server.say("send", *[Act(503, "SlowDown")] * 4)
    destination.publish(send(destination))
    assert scripted.visible() == {FIRST: DATA}
    scripted.server.always["send"] = Act(503, "SlowDown")
    with raises(TransientError, "E-S3-BUSY", "(SlowDown)"):
        send(destination)
    assert len(waits) == 8
    assert all(wait <= 2**index for index, wait in enumerate(waits[:4]))
    assert max(waits) > 1, "longer than after other failures"


def test_f10_a_name_that_appears_while_it_is_published(scripted: ScriptedPlace) -> None:
    destination = scripted.destination()
    part = send(destination)
    scripted.put(FIRST, OTHER)
    scripted.server.say("head", Act(404))
    with raises(DestinationError, "E-NAME-TAKEN", FIRST):
        destination.publish(part)
    assert scripted.visible() == {FIRST: OTHER}


def test_f11_bytes_that_changed_on_the_way_are_noticed(both: ScriptedPlace) -> None:
    destination = both.destination()
    both.server.say("send", Act(), Act(flipped=True))
    with pytest.raises(TransientError) as raised:
        send(destination)
    assert raised.value.code in ("E-S3-DAMAGED", "E-PART-CHANGED"), "who notices it, the server or we"
    check_named(raised.value.message, FIRST)
    destination.publish(send(destination))
    assert both.visible() == {FIRST: DATA}


def test_f11_an_answer_with_another_checksum_is_noticed(scripted: ScriptedPlace) -> None:
    scripted.server.say("send", Act(headers={"x-amz-checksum-crc32": "AAAAAA=="}))
    with raises(TransientError, "E-PART-CHANGED", FIRST):
        send(scripted.destination())
    scripted.server.say("send", Act(headers={"ETag": ""}))
    scripted.server.checksums = False
    with raises(TransientError, "E-PART-CHANGED", FIRST):
        send(scripted.destination())


@pytest.mark.parametrize("headers", [{"x-amz-server-side-encryption": "aws:kms"}, {"ETag": "opaque-1"}])
def test_where_etags_are_no_checksums_what_is_there_is_read(waits: list[float], headers: dict[str, str]) -> None:
    with scripted_place(checksums=False) as place:
        place.server.part_headers = headers
        destination = place.destination()
        part = send(destination)
        assert part.state["proof"] == ""
        destination.publish(part)
        assert place.visible() == {FIRST: DATA}
        destination.publish(part)
        place.put(FIRST, OTHER)
        with raises(DestinationError, "E-NAME-TAKEN", FIRST):
            destination.publish(part)


def test_f11_what_was_put_together_wrongly_is_noticed(both: ScriptedPlace) -> None:
    destination = both.destination()
    part = send(destination)
    both.server.say("complete", Act(body="<CompleteMultipartUploadResult/>", done=True))
    both.server.say("head", Act(404), Act(headers={"Content-Length": "5"}))
    with raises(DestinationError, "E-PUBLISHED-OTHER", FIRST):
        destination.publish(part)


def test_what_is_published_and_cannot_be_seen_yet_is_looked_for_again(both: ScriptedPlace) -> None:
    destination = both.destination()
    part = send(destination)
    both.server.say("complete", Act(body="<CompleteMultipartUploadResult/>", done=True))
    both.server.say("head", Act(404), Act(404))
    with raises(TransientError, "E-PUBLISHED-UNSEEN", FIRST):
        destination.publish(part)
    destination.publish(part)
    assert both.visible() == {FIRST: DATA}


@pytest.mark.parametrize("code", ["AccessDenied", "MethodNotAllowed"])
def test_who_may_only_write_can_write(both: ScriptedPlace, code: str) -> None:
    for operation in ("head", "get", "list", "list-parts", "list-uploads"):
        both.server.always[operation] = Act(403 if code == "AccessDenied" else 405, code)
    destination = both.destination()
    assert levels(destination) == ["ok", "warning"]
    part = send(destination)
    assert destination.holds(part) is None
    destination.publish(part)
    destination.sweep(NAME, [])
    assert both.visible() == {FIRST: DATA}


def test_f10_who_may_only_write_overwrites_nothing(scripted: ScriptedPlace) -> None:
    scripted.server.always["head"] = Act(403)
    destination = scripted.destination()
    part = send(destination)
    scripted.put(FIRST, OTHER)
    with raises(DestinationError, "E-S3-TAKEN", "(PreconditionFailed)"):
        destination.publish(part)
    assert scripted.visible() == {FIRST: OTHER}


def test_f10_where_listing_is_denied_the_first_part_is_looked_for(scripted: ScriptedPlace) -> None:
    scripted.server.always["list"] = Act(403, "AccessDenied")
    assert levels(scripted.destination()) == ["ok"]
    scripted.put(FIRST, b"")
    assert levels(scripted.destination()) == ["ok", "error"]


def test_f14_a_long_list_of_uploads_is_swept(scripted: ScriptedPlace) -> None:
    destination = scripted.destination()
    for number in range(1, 8):
        destination.create(str(NAME.part(number)))
    destination.sweep(NAME, [])
    assert scripted.hidden() == set()


def test_a_sweep_that_is_denied_does_nothing_and_one_that_fails_can_be_tried_again(scripted: ScriptedPlace) -> None:
    destination = scripted.destination()
    destination.create(FIRST)
    scripted.server.always["abort"] = Act(403, "AccessDenied")
    destination.sweep(NAME, [])
    scripted.server.always["abort"] = Act(503, "SlowDown")
    with raises(TransientError, "E-S3-BUSY", FIRST):
        destination.sweep(NAME, [])
    scripted.server.always.clear()
    destination.sweep(NAME, [])
    assert scripted.hidden() == set()


def test_many_parts_are_on_their_way_at_once(both: ScriptedPlace) -> None:
    destination = both.destination()
    data = {str(NAME.part(number)): DATA[number:] for number in range(1, 5)}
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda name: send(destination, name, data[name]), data))
        list(threads.map(destination.publish, parts))
    assert both.visible() == data


def test_connections_that_were_given_back_are_opened_again(scripted: ScriptedPlace) -> None:
    destination = scripted.destination()
    part = destination.create(FIRST)
    destination.close()
    part.write(DATA)
    arrived = part.finish()
    destination.close()
    destination.publish(arrived)
    assert scripted.visible() == {FIRST: DATA}


def test_the_endpoint_may_come_from_the_environment(scripted: ScriptedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", scripted.endpoint)
    assert levels(scripted.destination(endpoint_url=None)) == ["ok"]


def test_an_abort_that_is_denied_is_a_warning(scripted: ScriptedPlace) -> None:
    scripted.server.always["abort"] = Act(403, "AccessDenied")
    destination = scripted.destination()
    _, found = destination.check(NAME)
    assert found.code == "W-ABORT-REFUSED"
    assert "s3:AbortMultipartUpload" in found.hint
    with raises(DestinationError, "E-S3-DENIED", "s3:AbortMultipartUpload"):
        destination.discard(FIRST, send(destination).state)


CODES: list[tuple[int, str, dict[str, str], str, str]] = [
    (403, "AccessDenied", {}, "E-S3-DENIED", "s3:PutObject."),
    (403, "AccessDenied", {"acl": "private"}, "E-S3-DENIED", "s3:PutObject and s3:PutObjectAcl"),
    (403, "AccessDenied", {"sse": "aws:kms", "kms_key_id": "k"}, "E-S3-DENIED", "kms:GenerateDataKey"),
    (400, "AccessControlListNotSupported", {"acl": "private"}, "E-S3-ACL", "s3.acl"),
    (400, "KMS.NotFoundException", {"sse": "aws:kms", "kms_key_id": "k"}, "E-S3-KMS", "s3.kms_key_id"),
    (400, "InvalidStorageClass", {}, "E-S3-STORAGE-CLASS", "s3.storage_class"),
    (400, "InvalidEncryptionAlgorithmError", {}, "E-S3-ENCRYPTION", "s3.sse"),
    (400, "AuthorizationHeaderMalformed", {}, "E-S3-REGION", "s3.region"),
    (400, "ExpiredToken", {}, "E-S3-EXPIRED", "--resume"),
    (400, "InvalidToken", {}, "E-S3-CREDENTIALS", "AWS_SECRET_ACCESS_KEY"),
    (403, "InvalidAccessKeyId", {}, "E-S3-CREDENTIALS", "AWS_SECRET_ACCESS_KEY"),
    (403, "SignatureDoesNotMatch", {}, "E-S3-CREDENTIALS", "AWS_SECRET_ACCESS_KEY"),
    (403, "RequestTimeTooSkewed", {}, "E-S3-CLOCK", "clock"),
    (404, "NoSuchBucket", {}, "E-S3-BUCKET", "output.to"),
    (400, "KeyTooLongError", {}, "E-S3-KEY-LENGTH", "output.to"),
    (501, "NotImplemented", {}, "E-S3-UNSUPPORTED", "s3.endpoint_url"),
    (507, "XMinioStorageFull", {}, "E-S3-FULL", "space"),
    (400, "Whatever", {}, "E-S3-REQUEST", "[s3]"),
    (500, "", {}, "E-S3-FAILED", ""),
]


@pytest.mark.parametrize(
    ("status", "answer", "settings", "code", "named"),
    CODES,
    ids=[f"{answer}-{index}" for index, (_, answer, *_) in enumerate(CODES)],
)
def test_f12_f13_what_is_refused_is_found_before_converting_with_what_to_do(
    scripted: ScriptedPlace, status: int, answer: str, settings: dict[str, Any], code: str, named: str
) -> None:
    scripted.server.always["begin"] = Act(status, answer, message="arn:aws:iam::123456789012:user/jane is not …")
    (found,) = findings_of(scripted.destination(**settings), NAME)
    assert found.code == code
    check_named(str(found), named, answer)
    assert "jane" not in str(found)


def test_f13_a_key_that_may_not_be_used_is_told_from_a_bucket_that_may_not_be_written(scripted: ScriptedPlace) -> None:
    scripted.server.always["begin"] = Act(403, "AccessDenied", message="not authorized to perform: kms:GenerateDataKey")
    (found,) = scripted.destination().check(NAME)
    assert found.code == "E-S3-KMS"
    assert "(AccessDenied)" in found.message


def test_f12_a_role_that_may_not_be_taken_on_is_found_before_converting(
    scripted: ScriptedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", scripted.endpoint + "/sts/assume")
    scripted.server.always["begin"] = scripted.server.always["put"] = Act(403, "AccessDenied")
    (found,) = scripted.destination(role_arn="arn:aws:iam::123456789012:role/x").check(NAME)
    assert found.code == "E-S3-ROLE"
    assert "s3.role_arn" in found.hint


@pytest.mark.parametrize(
    ("variables", "settings", "code", "named"),
    [
        ({"AWS_PROFILE": "nobody"}, {}, "E-S3-PROFILE", "aws configure --profile nobody"),
        ({}, {"endpoint_url": "127.0.0.1"}, "E-S3-OTHER", "s3.endpoint_url"),
        ({}, {"endpoint_url": "http://127.0.0.1:1"}, "E-S3-UNREACHABLE", "s3.endpoint_url"),
        ({}, {"region": "no region"}, "E-S3-OTHER", "s3.region"),
    ],
)
def test_f12_settings_with_which_nothing_can_be_asked_are_found(
    scripted: ScriptedPlace,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    settings: dict[str, str],
    code: str,
    named: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (found,) = findings_of(scripted.destination(**settings), NAME)
    assert found.code == code
    assert named in str(found)


def test_f12_a_damaged_configuration_is_found(
    scripted: ScriptedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile sso\nregion us-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (found,) = findings_of(scripted.destination(), NAME)
    assert found.code == "E-S3-SETTINGS"
    assert "~/.aws/config" in str(found)


def test_f12_a_login_that_has_ended_is_found(
    scripted: ScriptedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(
        "[profile sso]\nsso_start_url = https://127.0.0.1:9\nsso_region = us-east-1\n"
        "sso_account_id = 123456789012\nsso_role_name = sender\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "sso")
    monkeypatch.setenv("HOME", str(tmp_path))
    (found,) = scripted.destination().check(NAME)
    assert found.code == "E-S3-LOGIN"
    assert "aws sso login" in found.hint


def test_an_answer_that_is_not_one_of_s3_is_an_error(scripted: ScriptedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.server.always["begin"] = Act(body="<html><p>Please log in")
    (found,) = findings_of(scripted.destination(), NAME)
    assert found.code == "E-S3-FAILED"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", scripted.endpoint + "/sts/assume")
    (found,) = findings_of(scripted.destination(role_arn="arn:aws:iam::123456789012:role/x"), NAME)
    assert found.code == "E-S3-MALFORMED"


def test_f20_over_tls_a_certificate_must_be_trusted_and_bodies_go_as_they_are(
    scripted: ScriptedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    scripted.server.socket = context.wrap_socket(scripted.server.socket, server_side=True)
    scripted.endpoint = scripted.endpoint.replace("http:", "https:")
    (found,) = scripted.destination().check(NAME)
    assert found.code == "E-S3-CERTIFICATE"
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    destination = scripted.destination()
    destination.publish(send(destination))
    assert scripted.visible() == {FIRST: DATA}
    for call in scripted.server.calls_of("send"):
        assert call.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
        assert "content-encoding" not in call.headers


@pytest.mark.parametrize(("date", "expected"), [("Sun, 21 Apr 2013 12:00:00 GMT", ["W-CLOCK-SKEW"]), ("soon", [])])
def test_a_clock_that_is_wrong_is_a_warning(scripted: ScriptedPlace, date: str, expected: list[str]) -> None:
    scripted.server.always["begin"] = Act(headers={"Date": date})
    assert codes_of(scripted.destination().check(NAME)) == expected


def test_f17_a_server_that_hangs_is_not_waited_for_for_ever(scripted: ScriptedPlace) -> None:
    scripted.server.always["send"] = Act(hangs=True)
    with raises(TransientError, "E-S3-TIMEOUT"):
        send(scripted.destination(timeout=0.1))


def test_secrets_are_in_no_message_and_no_repr(scripted: ScriptedPlace) -> None:
    scripted.server.always["send"] = Act(403, "AccessDenied", message=SECRET)
    destination = scripted.destination()
    with pytest.raises(DestinationError) as caught:
        send(destination)
    everything = told(caught.value) + repr(caught.value) + repr(destination) + repr(vars(destination))
    assert SECRET not in everything
    assert KEY not in everything
