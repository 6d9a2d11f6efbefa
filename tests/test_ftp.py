"""FTP and FTPS: what is theirs alone, on a real server, and through a proxy that harms connections."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from converter.delivery.destinations import Owner, Settings, open_destination
from converter.delivery.destinations.ftp import ftp_destination
from converter.errors import DestinationError, JobError, TransientError
from converter.jobs.sections.servers import Ftp
from converter.remote import ftp
from converter.remote.server import Address, cannot

from .errors import check_named, codes_of, raises, told
from .servers.ftp import LOGIN, PASSWORD, USER, DTPHandler, FTPHandler, FtpServer, ftp_server
from .servers.place import OWNER, findings_of
from .servers.proxy import Proxy, proxy
from .test_destinations import FIRST, NAME, SECRETS, errors_of, send

CONTENT = os.urandom(300_000)
PARTIAL = OWNER.partial(FIRST, ".partial")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FtpServer]:
    with ftp_server(tmp_path) as running:
        yield running


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[FtpServer]:
    with ftp_server(tmp_path, tls=True) as running:
        yield running


@contextlib.contextmanager
def behind(server: FtpServer, **faults: Any) -> Iterator[list[Proxy]]:
    """Let the server's data connections pass through a faulty proxy each."""
    with contextlib.ExitStack() as stack:
        proxies: list[Proxy] = []

        def through(port: int) -> int:
            proxies.append(stack.enter_context(proxy(port, **faults)))
            return proxies[-1].port

        server.through = through
        yield proxies
        server.through = None


def found(server: FtpServer, folder: str = "in/bound") -> dict[str, bytes]:
    path = server.root / folder
    return {each.name: each.read_bytes() for each in path.iterdir()} if path.exists() else {}


def checked(server: FtpServer, **settings: Any) -> list[str]:
    """Check the destination; the codes of what is found."""
    findings = findings_of(server.destination(**settings), NAME)
    assert not any(secret in text for finding in findings for text in finding for secret in SECRETS)
    return codes_of(findings)


# Logins and places


def test_a_wrong_password_is_told_without_it(server: FtpServer) -> None:
    destination = server.destination(server.url(login=f"{LOGIN}-wr0ng-secret"))
    url = f"'ftp://us%40er@localhost:{server.port}/in/bound'"
    with raises(DestinationError, "E-SERVER-LOGIN", url, "530 ", "output.to", "~/.netrc") as raised:
        destination.create(FIRST)
    assert not isinstance(raised.value, TransientError)
    assert not any(secret in told(raised.value) for secret in SECRETS)


def test_a_server_that_repeats_the_password_is_not_quoted_with_it(server: FtpServer) -> None:
    server.answers["PASS"] = f"530 {PASSWORD}\tis not\x07 the password of {USER}"
    with raises(DestinationError, "E-SERVER-LOGIN", "'530 *** is", USER):
        server.destination().create(FIRST)


def netrc(home: Path, text: str, mode: int = 0o600) -> None:
    (home / ".netrc").write_text(text)
    (home / ".netrc").chmod(mode)


@pytest.mark.parametrize("login", ["", "us%40er"])
def test_the_login_is_taken_from_netrc(
    server: FtpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    netrc(tmp_path, f"machine other login x password y\nmachine localhost login {USER} password {PASSWORD}\n")
    destination = server.destination(server.url(login=login))
    destination.publish(send(destination, FIRST, CONTENT))
    assert found(server) == {FIRST: CONTENT}


@pytest.mark.parametrize("user", ["", "somebody@"])
def test_without_a_login_the_user_is_anonymous(
    server: FtpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if user:
        netrc(tmp_path, f"machine localhost login {USER} password {PASSWORD}\n")
    destination = server.destination(server.url("/", login=user[:-1]))
    with raises(DestinationError, *(("E-SERVER-LOGIN", "530") if user else ("E-SERVER-RIGHTS", "550"))):
        destination.create(FIRST)
    assert f"USER {user[:-1] or 'anonymous'}" in server.seen


@pytest.mark.parametrize(
    "text, mode",
    [("machine localhost login u passw0rd secret", 0o600), ("machine localhost login u password secret", 0o644)],
)
def test_a_netrc_that_cannot_be_read_is_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, mode: int
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    netrc(tmp_path, text, mode)
    (finding,) = ftp_destination("ftp://localhost/", Ftp()).check(NAME)
    assert finding.code == "E-NETRC"
    check_named(str(finding), "'ftp://localhost'", "~/.netrc", "mode 600")
    assert "secret" not in str(finding)


@pytest.mark.parametrize(
    "path, folder", [("", ""), ("/", ""), ("/a/b", "a/b"), ("//a/b/", "a/b"), ("/%2Fa%20ä/b%23", "a ä/b#")]
)
def test_folders_of_urls_are_decoded_and_made(server: FtpServer, path: str, folder: str) -> None:
    destination = server.destination(server.url(path))
    assert errors_of(destination) == []
    destination.publish(send(destination, FIRST, b"content"))
    assert found(server, folder)[FIRST] == b"content"
    assert destination.url(FIRST) == f"ftp://us%40er@localhost:{server.port}{path.rstrip('/')}/{FIRST}"


def test_a_folder_may_be_made_by_another_in_between(server: FtpServer) -> None:
    first, second = server.destination(), server.destination()
    assert first.holds(send(second, FIRST, CONTENT))
    (server.root / "in/bound" / PARTIAL).unlink()
    (server.root / "in/bound").rmdir()
    send(first, FIRST, CONTENT)
    assert found(server) == {PARTIAL: CONTENT}


@pytest.mark.parametrize(
    "url", ["ftp://host/a%0Ab", "ftp://us%0D%0Aer:pw@host/", "ftp://u:p%00w@host/", "sftp://u:p@host/%07"]
)
def test_control_characters_in_urls_are_refused(url: str) -> None:
    with raises(JobError, "E-TO-MALFORMED", "output.to") as raised:
        open_destination(url, Settings(sent=None))  # type: ignore[arg-type]
    assert "p%00w" not in str(raised.value)


def test_a_folder_that_is_gone_is_an_error_and_nothing_beside_it_is_touched(server: FtpServer) -> None:
    part = send(server.destination(), FIRST, CONTENT)
    (server.root / "in/bound" / PARTIAL).rename(server.root / PARTIAL)
    (server.root / "in/bound").rmdir()
    assert not server.destination().holds(part)
    with raises(DestinationError, "E-SERVER-RIGHTS", PARTIAL, "550"):
        server.destination().publish(part)
    assert (server.root / PARTIAL).exists()


def test_active_mode(server: FtpServer) -> None:
    destination = server.destination(passive=False)
    assert errors_of(destination) == []
    destination.publish(send(destination, FIRST, CONTENT))
    assert found(server) == {FIRST: CONTENT}
    assert any(line.startswith("PORT ") for line in server.seen)
    assert not any(line.startswith("PASV") for line in server.seen)


def test_a_control_connection_that_was_idle_is_opened_anew(server: FtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = server.destination()
    part = send(destination, FIRST, CONTENT)
    for idle, logins in ((30.0, 1), (-1.0, 2)):
        monkeypatch.setattr("converter.remote.connections._IDLE_SECONDS", idle)
        destination.holds(part)
        server.seen.clear()
        destination.holds(part)
        assert len([line for line in server.seen if line.startswith("PASS")]) == logins - 1


# Sizes, names and rights that servers do not tell


def test_a_server_that_only_takes_and_renames(tmp_path: Path) -> None:
    """No listing, no size, no reading, no removing."""
    with ftp_server(tmp_path, rights="ewmf") as server:
        (server.root / "in/bound").mkdir(parents=True)
        assert checked(server) == ["W-NAMES-UNSEEN", "W-WRITE-UNTRIED"]
        assert found(server) == {}
        destination = server.destination()
        part = send(destination, FIRST, CONTENT)
        assert server.destination().holds(part) is None
        destination.publish(part)
        assert found(server) == {FIRST: CONTENT}
        destination.discard(FIRST, part.state)
        destination.sweep(NAME, [])
        left = destination.create(str(NAME.part(2)))
        left.write(b"half")
        left.abort()
        assert found(server)[FIRST] == CONTENT
        with raises(DestinationError, "E-SERVER-RIGHTS", "550"):
            destination.publish(part)


def test_a_server_that_does_not_let_files_be_listed_is_asked_for_the_first(server: FtpServer) -> None:
    server.answers["NLST"] = "550 Permission denied."
    assert checked(server) == []
    (server.root / "in/bound").mkdir(parents=True)
    (server.root / "in/bound" / FIRST).write_bytes(b"")
    (error,) = [each for each in server.destination().check(NAME) if each.level == "error"]
    assert error.code == "E-NAME-TAKEN"
    assert FIRST in error.message


def test_files_that_cannot_be_removed_or_read_are_told(tmp_path: Path) -> None:
    with ftp_server(tmp_path, rights="elwmf") as server:
        assert checked(server) == ["W-REMOVE-REFUSED", "W-READ-REFUSED"]
        assert checked(server, read_back=False) == ["W-REMOVE-REFUSED"]
        assert set(found(server)) == {f"{NAME.probe}.partial"}, "one file alone, however often it is tried"
        assert checked(server) == ["W-REMOVE-REFUSED", "W-READ-REFUSED"]
        server.destination().claim(NAME)
        assert set(found(server)) == {f"{NAME.probe}.partial"}, "a claim could not be removed"
    assert checked(server) == ["E-SERVER-REFUSED"]


def test_what_a_probe_left_is_swept(server: FtpServer) -> None:
    (server.root / "in/bound").mkdir(parents=True)
    theirs = Owner("ffffffffffff", "1").probe(NAME, ".partial", 1)
    for name in (OWNER.probe(NAME, ".partial", 1), Owner(OWNER.digest, "1").claim(NAME, ".partial"), theirs):
        (server.root / "in/bound" / name).write_bytes(b"")
    server.destination().sweep(NAME, [])
    assert set(found(server)) == {theirs}


def test_a_server_without_size_is_believed(server: FtpServer) -> None:
    server.answers["SIZE"] = "502 Command not implemented."
    assert checked(server) == ["W-SIZES-UNSEEN"]
    destination = server.destination()
    part = send(destination, FIRST, CONTENT)
    assert destination.holds(part)
    destination.publish(part)
    destination.publish(part)
    (server.root / "in/bound" / FIRST).unlink()
    assert not destination.holds(part)


def test_450_may_mean_that_a_file_is_not_there(server: FtpServer) -> None:
    """As rclone says it."""
    destination = server.destination()
    part = send(destination, FIRST, CONTENT)
    server.answers.update(SIZE="450 path not found", DELE="450 path not found")
    destination.publish(part)
    destination.discard(FIRST, part.state)
    assert found(server) == {FIRST: CONTENT}
    server.answers.update(SIZE="451 Local error", DELE="451 Local error")
    for act in (lambda: destination.holds(part), lambda: destination.discard(FIRST, part.state)):
        with raises(TransientError, "E-SERVER-ANSWER", "451 Local error"):
            act()


def test_short_passwords_are_not_seen_in_every_word() -> None:
    address = Address.of("ftp://user:p@host/path")
    assert address.quoted("530 p: no permission for path.") == "'530 ***: no permission for path'"
    assert "***" not in str(cannot("E-SERVER-ANSWER", "put", address, "it is not permitted", ""))


@pytest.mark.parametrize("answer", ["550 No files found.", "450 No files found."])
def test_an_empty_folder_may_be_an_error_to_the_server(server: FtpServer, answer: str) -> None:
    (server.root / "in/bound").mkdir(parents=True)
    server.answers["NLST"] = answer
    assert checked(server) == []


def test_a_listing_that_may_work_later_is_not_taken_for_empty(server: FtpServer) -> None:
    send(server.destination(), FIRST, CONTENT)
    server.answers["NLST"] = "450 Busy."
    with raises(TransientError, "E-SERVER-ANSWER", "450 Busy"):
        server.destination().sweep(NAME, [])


def test_names_may_be_listed_with_their_folder(server: FtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some servers do."""
    received = ftp.FtpFiles._receive

    def with_folder(self: Any, command: str) -> Iterator[bytes]:
        for line in b"".join(received(self, command)).splitlines():
            yield b"./in/bound/" + line + b"\r\n"

    send(server.destination(read_back=False), FIRST, CONTENT)
    monkeypatch.setattr(ftp.FtpFiles, "_receive", with_folder)
    assert any(f"'{PARTIAL}'" in error for error in errors_of(server.destination()))


# Damage


@pytest.mark.parametrize("place", [0, 150_000, len(CONTENT) - 1])
def test_f11_a_byte_changed_on_the_way_is_noticed(server: FtpServer, place: int) -> None:
    with behind(server, flip_at=place):
        part = server.destination().create(FIRST)
        part.write(CONTENT)
        with raises(TransientError, "E-PART-CHANGED", FIRST):
            part.finish()
        server.through = None
        part.abort()
    assert found(server) == {}
    destination = server.destination()
    destination.publish(send(destination, FIRST, CONTENT))


def test_f11_without_reading_back_it_is_not(server: FtpServer) -> None:
    with behind(server, flip_at=10):
        send(server.destination(read_back=False), FIRST, CONTENT)
    assert found(server)[PARTIAL] != CONTENT


def test_f11_ftps_notices_it_itself(secure: FtpServer) -> None:
    with behind(secure, flip_at=50_000):
        part = secure.destination().create(FIRST)
        with pytest.raises(TransientError) as raised:  # noqa: PT012
            part.write(CONTENT)
            part.finish()
        assert raised.value.code in ("E-SERVER-TLS", "E-SERVER-CONNECTION"), "the server may hang up"
        part.abort()
    assert FIRST not in found(secure)
    assert "RETR" not in " ".join(secure.seen)


@pytest.mark.parametrize("after", [0, 1, 65_536, 299_999])
def test_f16_cut_at_any_byte_only_the_partial_name_is_there(server: FtpServer, after: int) -> None:
    with behind(server, reset_after=after):
        part = server.destination().create(FIRST)
        with pytest.raises(TransientError) as raised:  # noqa: PT012
            part.write(CONTENT)
            part.finish()
        assert raised.value.code in ("E-SERVER-CONNECTION", "E-SERVER-CLOSED", "E-PART-SIZE"), raised.value
        check_named(raised.value.message, FIRST)
        assert set(found(server)) <= {PARTIAL}
    part.abort()
    assert found(server) == {}
    destination = server.destination()
    destination.publish(send(destination, FIRST, CONTENT))
    assert found(server) == {FIRST: CONTENT}


@pytest.mark.parametrize("line", ["control", "data"])
def test_f17_a_server_that_hangs_is_an_error_in_time(server: FtpServer, line: str) -> None:
    with proxy(server.port) as control, behind(server, hole_after=100_000 if line == "data" else None):
        part = server.destination(server.url(port=control.port), timeout=2).create(FIRST)
        part.write(CONTENT[:50_000])
        control.hole_after = 0 if line == "control" else None
        began = time.monotonic()
        with raises(TransientError, "E-SERVER-TIMEOUT", "2 seconds"):
            for _ in range(100):
                part.write(CONTENT)
            part.finish()
        part.abort()
        assert time.monotonic() - began < 30
    assert set(found(server)) <= {PARTIAL}


def test_f17_a_server_that_says_nothing_is_an_error_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ftp://u:secret@127.0.0.1:{silent.getsockname()[1]}/"
        (finding,) = findings_of(ftp_destination(url, Ftp(timeout=0.2)), NAME)
    assert finding.code == "E-SERVER-TIMEOUT"
    check_named(str(finding), "0.2 seconds", "ftp.timeout")


def test_f21_a_slow_line_is_no_error(server: FtpServer) -> None:
    """A block may take longer than the time-out, as long as something moves."""
    with behind(server, rate=200_000):
        destination = server.destination(timeout=1.2, read_back=False)
        part = destination.create(FIRST)
        part.write(CONTENT * 2)
        part.finish()
    assert found(server) == {PARTIAL: CONTENT * 2}


def test_f18_a_full_disk_is_told_with_what_to_do(server: FtpServer) -> None:
    server.answers["STOR"] = "552 Insufficient storage space."
    with raises(DestinationError, "E-SERVER-FULL", "552 Insufficient storage space") as raised:
        server.destination().create(FIRST)
    assert not isinstance(raised.value, TransientError)


def test_f18_a_server_that_hangs_up_is_asked_why(server: FtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As vsftpd does when the disk is full: it ends the data connection, and says why on the other."""

    def full(self: Any) -> None:
        self.cmd_channel.respond("452 No space left on device.")
        self._resp = ()
        self.close()

    monkeypatch.setattr(DTPHandler, "handle_read_event", full)
    part = server.destination().create(FIRST)
    with raises(DestinationError, "E-SERVER-FULL", "452 No space left"):
        for _ in range(100):
            part.write(CONTENT)
            time.sleep(0.01)
    part.abort()


def test_f18_a_part_that_is_shorter_than_what_was_sent_is_noticed(server: FtpServer) -> None:
    part = server.destination().create(FIRST)
    part.write(CONTENT)
    server.answers["SIZE"] = "213 299999"
    with raises(TransientError, "E-PART-SIZE", f"{FIRST}'", "299,999", "300,000"):
        part.finish()
    part.abort()


@pytest.mark.parametrize(
    "command, answer, passes, code, named",
    [
        ("USER", "421 Too many connections", True, "E-SERVER-ANSWER", "421 Too many connections"),
        ("PASV", "425 Can't open data connection", True, "E-SERVER-ANSWER", "ftp.passive"),
        ("STOR", "426 Connection closed", True, "E-SERVER-ANSWER", "426 Connection closed"),
        ("STOR", "450 File busy", True, "E-SERVER-ANSWER", "450 File busy"),
        ("STOR", "451 Local error", True, "E-SERVER-ANSWER", "451 Local error"),
        ("STOR", "452 Insufficient space", False, "E-SERVER-FULL", "452 Insufficient space"),
        ("STOR", "521 Data connection must be protected", False, "E-SERVER-ANSWER", "ftps://"),
        ("STOR", "532 Need account", False, "E-SERVER-RIGHTS", "532 Need account"),
        ("STOR", "550 Permission denied", False, "E-SERVER-RIGHTS", "550 Permission denied"),
        ("STOR", "553 Name not allowed", False, "E-SERVER-NAME", "ftp.partial_suffix"),
        ("STOR", "559 Something else", False, "E-SERVER-ANSWER", "559 Something else"),
        ("STOR", "459 Something else", True, "E-SERVER-ANSWER", "459 Something else"),
        ("TYPE", "504 Not implemented", False, "E-SERVER-ANSWER", "504 Not implemented"),
        ("STOR", "hello", True, "E-SERVER-ANSWER", "hello"),
        ("STOR", "226 Already", True, "E-SERVER-TIMEOUT", "2 seconds"),
        ("PASV", "227 =?", True, "E-SERVER-ANSWER", "227 =?"),
    ],
)
def test_answers_mean_what_they_mean(
    server: FtpServer, command: str, answer: str, passes: bool, code: str, named: str
) -> None:
    (server.root / "in/bound").mkdir(parents=True)
    server.answers[command] = answer
    with raises(DestinationError, code, named) as raised:
        server.destination(timeout=2).create(FIRST)
    assert isinstance(raised.value, TransientError) is passes
    assert found(server) == {}


def test_an_answer_that_is_no_number_makes_no_sense(server: FtpServer) -> None:
    server.answers["SIZE"] = "213 many"
    part = server.destination().create(FIRST)
    with raises(TransientError, "E-SERVER-MALFORMED"):
        part.finish()
    part.abort()


def test_answers_that_are_not_utf8_are_no_error(server: FtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    push = FTPHandler.push

    def push_latin1(self: Any, data: str) -> None:
        self.encoding = "latin-1"
        push(self, data)
        self.encoding = "utf8"

    monkeypatch.setattr(FTPHandler, "push", push_latin1)
    server.answers["STOR"] = "553 Ungültiger Name"
    with raises(DestinationError, "E-SERVER-NAME", "553 Ung"):
        server.destination().create(FIRST)


@pytest.mark.parametrize("answer, code", [("553 File exists", "E-SERVER-NAME"), ("550 No", "E-SERVER-RIGHTS")])
def test_f10_a_name_taken_at_the_last_moment_is_not_overwritten(server: FtpServer, answer: str, code: str) -> None:
    destination = server.destination()
    part = send(destination, FIRST, CONTENT)
    server.answers["RNTO"] = answer
    with raises(DestinationError, code, PARTIAL, answer):
        destination.publish(part)
    assert destination.holds(part)
    server.answers.clear()
    destination.publish(part)


def test_f7_published_with_the_answer_lost_is_noticed(server: FtpServer) -> None:
    """The server renamed; its answer never came."""
    destination = server.destination(timeout=10)
    part = send(destination, FIRST, CONTENT)
    (server.root / "in/bound" / PARTIAL).rename(server.root / "in/bound" / FIRST)
    destination.publish(part)
    assert found(server) == {FIRST: CONTENT}


# FTPS


@pytest.mark.parametrize("passive", [True, False])
@pytest.mark.parametrize("newest_tls", [True, False])
def test_f15_the_session_is_taken_up_by_every_data_connection(tmp_path: Path, passive: bool, newest_tls: bool) -> None:
    """As vsftpd requires it (`require_ssl_reuse`)."""
    with ftp_server(tmp_path, tls=True, newest_tls=newest_tls) as secure:
        destination = secure.destination(passive=passive)
        assert errors_of(destination) == []
        for number in range(1, 4):
            destination.publish(send(destination, str(NAME.part(number)), CONTENT))
        assert secure.reused
        assert all(secure.reused)


def test_tls_is_ended_where_a_file_ends(secure: FtpServer) -> None:
    """Else a server cannot tell the end from a cut; and what it still had to say would take back what was sent."""
    destination = secure.destination()
    send(destination, FIRST, CONTENT)
    send(destination, FIRST)
    assert secure.ended == [True, True]


def test_f15_a_server_that_requires_the_session_refuses_others(
    secure: FtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above would be worth nothing without."""
    from ftplib import FTP_TLS

    monkeypatch.setattr("converter.remote.ftp._Secure.ntransfercmd", FTP_TLS.ntransfercmd)
    with raises(DestinationError, "E-SERVER-ANSWER", "522 "):
        send(secure.destination(), FIRST, CONTENT)
    assert secure.reused == [False]


def test_f20_a_certificate_that_is_not_trusted_is_refused(secure: FtpServer) -> None:
    (finding,) = secure.destination(tls_ca_file=None).check(NAME)
    assert finding.code == "E-SERVER-CERTIFICATE"
    assert "ftp.tls_ca_file" in finding.hint
    assert "PASS" not in " ".join(secure.seen), "no password before the certificate is seen"
    with raises(DestinationError, "E-SERVER-CERTIFICATE") as raised:
        secure.destination(tls_ca_file=None).create(FIRST)
    assert not isinstance(raised.value, TransientError)


def test_f20_the_certificate_itself_is_enough(secure: FtpServer, tmp_path: Path) -> None:
    only = tmp_path / "only.pem"
    pem = (tmp_path / "server.pem").read_text()
    begin = pem.index("-----BEGIN CERTIFICATE-----")
    only.write_text(pem[begin : pem.index("-----END CERTIFICATE-----") + 26])
    destination = secure.destination(tls_ca_file=str(only))
    destination.publish(send(destination, FIRST, CONTENT))
    assert found(secure) == {FIRST: CONTENT}


def test_f20_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    with ftp_server(tmp_path, tls=True, host="other.example") as server:
        with raises(DestinationError, "E-SERVER-CERTIFICATE", "localhost") as raised:
            server.destination().create(FIRST)
        assert not isinstance(raised.value, TransientError)


def test_f20_another_authority_is_refused(secure: FtpServer, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with raises(DestinationError, "E-SERVER-CERTIFICATE"):
        secure.destination(tls_ca_file=str(tmp_path / "other.pem")).create(FIRST)


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_without_certificates_is_an_error_of_the_job(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with raises(JobError, "E-FTP-CA-FILE", "ftp.tls_ca_file", f"'{path}'", "PEM"):
        ftp_destination("ftps://host/", Ftp(tls_ca_file=str(path)))


def test_a_server_without_tls_gets_no_password(server: FtpServer) -> None:
    with raises(DestinationError, "E-SERVER-TLS", "AUTH", "use ftp://"):
        ftp_destination(server.url().replace("ftp:", "ftps:"), Ftp()).create(FIRST)
    assert not any(line.startswith(("PASS", "USER")) for line in server.seen)


@pytest.mark.parametrize(
    "answer", ["530 SSL/TLS required on the control channel", "421 Use FTPS", "550 Only encrypted logins"]
)
def test_a_server_that_needs_tls_names_ftps(server: FtpServer, answer: str) -> None:
    server.answers["USER"] = answer
    with raises(DestinationError, "E-SERVER-TLS", answer[4:], "ftps://"):
        ftp_destination(server.url(), Ftp()).create(FIRST)


@pytest.mark.parametrize("said, hint", [(b"SSH-2.0-OpenSSH_9.2\r\n", "sftp://"), (b"", "port for explicit TLS")])
def test_the_port_of_another_service_is_named(said: bytes, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setattr(ftp, "_IMPLICIT_TLS", port)

        def serve() -> None:
            with listener.accept()[0] as client, contextlib.suppress(ConnectionError):
                client.sendall(said)
                if said:
                    client.recv(1)  # such a server waits

        thread = threading.Thread(target=serve)
        thread.start()
        with raises(DestinationError, "E-SERVER-MALFORMED" if said else "E-SERVER-TLS", hint) as raised:
            ftp_destination(f"ftps://127.0.0.1:{port}/", Ftp()).create(FIRST)
        assert not isinstance(raised.value, TransientError)
        thread.join()


def test_something_else_than_tls_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as client, contextlib.suppress(ConnectionError):
                for said in (b"220 Hello\r\n", b"234 Go on\r\n", b"500 What?\r\n"):
                    client.sendall(said)
                    client.recv(10_000)

        thread = threading.Thread(target=serve)
        thread.start()
        with raises(TransientError, "E-SERVER-TLS"):
            ftp_destination(f"ftps://127.0.0.1:{listener.getsockname()[1]}/", Ftp()).create(FIRST)
        thread.join()


@pytest.mark.parametrize("publishing", [True, False])
def test_servers_that_end_without_ending_tls_are_no_error(secure: FtpServer, publishing: bool) -> None:
    secure.hides_close = True
    destination = secure.destination()
    part = send(destination, FIRST, CONTENT)
    if publishing:
        destination.publish(part)
    assert list(found(secure).values()) == [CONTENT]
    assert any(FIRST in error for error in errors_of(secure.destination()))
