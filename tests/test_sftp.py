"""SFTP: what is its alone, on a real server, and through a proxy that harms connections."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from converter.delivery.destinations.sftp import sftp_destination
from converter.errors import DestinationError, JobError, TransientError
from converter.jobs.sections.servers import Sftp
from converter.remote.sftp_upload import WRITE_BYTES

from .errors import check_named, codes_of, raises, told
from .servers.openssh import openssh_place
from .servers.place import OWNER, findings_of
from .servers.proxy import proxy
from .servers.sftp import USER, SftpServer, host_key, sftp_server
from .test_destinations import FIRST, NAME, SECRETS, errors_of, send

CONTENT = os.urandom(300_000)
SECOND = str(NAME.part(2))
PARTIAL = OWNER.partial(FIRST, ".partial")
FAILURE = asyncssh.SFTPFailure("Failure")
DENIED = asyncssh.SFTPPermissionDenied("Permission denied")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    with sftp_server(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys, and no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


def found(server: SftpServer, folder: str = "in/bound") -> dict[str, bytes]:
    path = server.root / folder
    return {each.name: each.read_bytes() for each in path.iterdir()} if path.exists() else {}


def delivers(server: SftpServer, **settings: Any) -> None:
    destination = server.destination(**settings)
    destination.publish(send(destination, FIRST, CONTENT))
    assert found(server) == {FIRST: CONTENT}


def fingerprint(key: asyncssh.SSHKey) -> str:
    return key.get_fingerprint()


# Host keys


def test_f20_an_unknown_host_key_is_refused_and_shown(server: SftpServer, tmp_path: Path) -> None:
    shown = fingerprint(server.keys[0])
    destination = server.destination(known_hosts=None)
    with raises(DestinationError, "E-SFTP-HOST-KEY") as raised:
        destination.create(FIRST)
    assert shown in raised.value.message
    check_named(raised.value.hint, f'sftp.host_key_fingerprint = "{shown}"', str(tmp_path / ".ssh/known_hosts"))
    assert not isinstance(raised.value, TransientError)
    assert shown in errors_of(destination)[0]


def test_f20_a_changed_host_key_is_refused(server: SftpServer, tmp_path: Path) -> None:
    other = host_key(number=1)
    (tmp_path / "known").write_text(server.known_hosts_line(other))
    keys = [fingerprint(server.keys[0]), "(ssh-ed25519)", fingerprint(other)]
    with raises(DestinationError, "E-SFTP-HOST-KEY", *keys) as raised:
        server.destination(known_hosts=str(tmp_path / "known")).create(FIRST)
    assert not isinstance(raised.value, TransientError)


@pytest.mark.parametrize("padding", ["", "="])
def test_f20_the_fingerprint_is_enough(server: SftpServer, padding: str) -> None:
    delivers(server, host_key_fingerprint=fingerprint(server.keys[0]) + padding)


def test_f20_another_fingerprint_is_refused(server: SftpServer) -> None:
    (server.root.parent / ".ssh").mkdir()
    (server.root.parent / ".ssh/known_hosts").write_text(server.known_hosts_line())
    with raises(DestinationError, "E-SFTP-HOST-KEY", fingerprint(host_key(number=1))):
        server.destination(host_key_fingerprint=fingerprint(host_key(number=1))).create(FIRST)


def test_the_usual_file_of_known_hosts_is_read(server: SftpServer, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(server.known_hosts_line())
    delivers(server, known_hosts=None)


def test_known_hosts_may_be_hashed_and_hold_what_is_not_understood(server: SftpServer, tmp_path: Path) -> None:
    hashed = paramiko.HostKeys.hash_host(f"[localhost]:{server.port}")
    lines = [
        "# a comment of several words\n",
        "\n",
        "short\n",
        "@cert-authority * ssh-ed25519 AAAA\n",
        "@revoked * ssh-ed25519 AAAA\n",
        f"[localhost]:{server.port} ssh-ed25519 no*base64\n",
        f"[localhost]:{server.port} ssh-unknown AAAA\n",
        server.known_hosts_line(host_key(number=1), "localhost"),
        server.known_hosts_line(host_key(number=1)),
        server.known_hosts_line(name=hashed),
    ]
    (tmp_path / "known").write_text("".join(lines))
    delivers(server, known_hosts=str(tmp_path / "known"))


def test_the_kind_of_key_that_is_known_is_asked_for(tmp_path: Path) -> None:
    """A server with several keys shows one."""
    keys = [host_key(kind) for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")]
    with sftp_server(tmp_path, keys=keys) as server:
        for number, key in enumerate(keys):
            (tmp_path / "known").write_text(server.known_hosts_line(key))
            assert errors_of(server.destination(server.url(f"/{number}"), known_hosts=str(tmp_path / "known"))) == []


def test_a_file_of_known_hosts_that_is_not_there_is_an_error(server: SftpServer, tmp_path: Path) -> None:
    with raises(DestinationError, "E-SFTP-KNOWN-HOSTS", "sftp.known_hosts", str(tmp_path / "nothing")):
        server.destination(known_hosts=str(tmp_path / "nothing")).create(FIRST)


# Logins


def test_a_wrong_password_is_told_without_it(server: SftpServer) -> None:
    with raises(DestinationError, "E-SERVER-LOGIN", "Authentication failed", "output.to") as raised:
        server.destination(server.url(login="us%40er:wr0ng-secret")).create(FIRST)
    assert not any(secret in str(raised.value) for secret in SECRETS)
    assert not isinstance(raised.value, TransientError)


def write_key(path: Path, key: asyncssh.SSHKey, passphrase: str | None = None, form: str = "openssh") -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(key.export_private_key(form, passphrase, rounds=50))
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("passphrase", [None, "pass phrase ä"])
def test_a_key_file_logs_in(tmp_path: Path, kind: str, passphrase: str | None) -> None:
    path = str(tmp_path / "key")
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-a", "1", "-N", passphrase or "", "-f", path], check=True)
    with sftp_server(tmp_path, key=asyncssh.read_public_key(f"{path}.pub"), passwords=False) as server:
        delivers(server, url=server.url(login="us%40er"), key_file=path, key_passphrase=passphrase)


def test_a_key_file_in_pem_logs_in(tmp_path: Path) -> None:
    key = host_key("ssh-rsa", 2)
    path = write_key(tmp_path / "keys/key", key, form="pkcs1-pem")
    with sftp_server(tmp_path, key=key, passwords=False) as server:
        delivers(server, url=server.url(login="us%40er"), key_file=path)


def test_the_usual_key_logs_in(tmp_path: Path) -> None:
    key = host_key("ssh-ed25519", 2)
    write_key(tmp_path / ".ssh/id_ed25519", key)
    with sftp_server(tmp_path, key=key, passwords=False) as server:
        delivers(server, url=server.url(login="us%40er"))


def test_the_agent_logs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = host_key("ssh-ed25519", 2)
    path = write_key(tmp_path / "keys/key", key)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        until = time.monotonic() + 60
        while not (tmp_path / "agent").exists() and time.monotonic() < until:
            time.sleep(0.01)
        subprocess.run(["ssh-add", "-q", path], check=True, capture_output=True)
        with sftp_server(tmp_path, key=key, passwords=False) as server:
            delivers(server, url=server.url(login="us%40er"))
    finally:
        agent.kill()
        agent.wait()


def test_with_a_password_no_key_is_tried(tmp_path: Path) -> None:
    """Servers count what is tried, and hang up."""
    write_key(tmp_path / ".ssh/id_ed25519", host_key("ssh-ed25519", 3))
    with sftp_server(tmp_path, key=host_key("ssh-ed25519", 2)) as server:
        delivers(server)
        assert server.tried == 0


def test_without_key_and_password_it_is_told_what_to_give(server: SftpServer) -> None:
    with raises(DestinationError, "E-SERVER-LOGIN", "sftp.key_file") as raised:
        server.destination(server.url(login=USER.replace("@", "%40"))).create(FIRST)
    assert not isinstance(raised.value, TransientError)


@pytest.mark.parametrize("failure", [KeyError("uid not found: 1000"), OSError("No username set")])
def test_without_a_user_it_is_told_to_name_one(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail() -> str:
        raise failure

    monkeypatch.setattr("getpass.getuser", fail)
    with raises(DestinationError, "E-SFTP-USER", "sftp://USER@HOST"):
        server.destination(server.url(login="")).create(FIRST)


def test_a_usual_key_that_is_encrypted_is_told(tmp_path: Path) -> None:
    key = host_key("ssh-ed25519", 2)
    write_key(tmp_path / ".ssh/id_ed25519", key, "secret")
    with sftp_server(tmp_path, key=key, passwords=False) as server:
        with raises(DestinationError, "E-SERVER-LOGIN", "ssh-add"):
            server.destination(server.url(login="us%40er")).create(FIRST)
        delivers(server, url=server.url(login="us%40er"), key_passphrase="secret")


def test_a_key_that_the_server_does_not_know_is_refused(tmp_path: Path) -> None:
    path = write_key(tmp_path / "keys/key", host_key("ssh-ed25519", 3))
    with (
        sftp_server(tmp_path, key=host_key("ssh-ed25519", 2), passwords=False) as server,
        raises(DestinationError, "E-SERVER-LOGIN", "output.to", "sftp.key_file") as raised,
    ):
        server.destination(server.url(login="us%40er"), key_file=path).create(FIRST)
    assert not isinstance(raised.value, TransientError)


@pytest.mark.parametrize("given, named", [(None, "sftp.key_passphrase"), ("wrong secret", "passphrase")])
def test_an_encrypted_key_is_an_error_of_the_job(tmp_path: Path, given: str | None, named: str) -> None:
    path = write_key(tmp_path / "keys/key", host_key("ssh-ed25519", 2), "secret phrase")
    with raises(JobError, "E-SFTP-KEY-FILE", path, named) as raised:
        sftp_destination("sftp://host/", Sftp(key_file=path, key_passphrase=given))
    assert "secret" not in told(raised.value)


@pytest.mark.parametrize(
    "content, given, named",
    [
        (None, None, "No such file"),
        (b"rubbish", None, "sftp.key_file"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----\n", None, "sftp.key_file"),
        ("pkcs8-pem", "secret", "sftp.key_passphrase"),
        ("dsa", None, "sftp.key_file"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_an_error_of_the_job(
    tmp_path: Path, content: bytes | str | None, given: str | None, named: str
) -> None:
    path = tmp_path / "key"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "dsa":
        write_key(path, asyncssh.generate_private_key("ssh-dss"), form="pkcs8-pem")
    elif content:
        write_key(path, host_key("ssh-rsa", 2), form=content)
    with raises(JobError, "E-SFTP-KEY-FILE", str(path), named) as raised:
        sftp_destination("sftp://host/", Sftp(key_file=str(path), key_passphrase=given))
    assert "secret" not in str(raised.value)


# Folders


@pytest.mark.parametrize(
    "path, folder",
    [("", ""), ("/", ""), ("/a/b", "a/b"), ("//a/", "a"), ("/~/c/d", "c/d"), ("/~", ""), ("/a%20ä", "a ä")],
)
def test_folders_of_urls_are_decoded_and_made(server: SftpServer, path: str, folder: str) -> None:
    destination = server.destination(server.url(path))
    assert errors_of(destination) == []
    destination.publish(send(destination, FIRST, b"content"))
    assert found(server, folder)[FIRST] == b"content"
    assert destination.url(FIRST) == f"sftp://us%40er@localhost:{server.port}{path.rstrip('/')}/{FIRST}"


# Writing


def test_writes_are_sent_ahead_of_their_answers(server: SftpServer) -> None:
    destination = server.destination(timeout=30)
    part = destination.create(FIRST)
    server.holds = True
    part.write(CONTENT)
    part.write(CONTENT)
    server.holds = False
    destination.publish(part.finish())
    assert found(server) == {FIRST: CONTENT * 2}


@pytest.mark.parametrize("largest", [0, 32_768, 150_000, len(CONTENT) - 1])
def test_f18_a_write_that_fails_is_noticed_wherever_it_is(server: SftpServer, largest: int) -> None:
    server.largest = largest
    part = server.destination().create(FIRST)
    with raises(DestinationError, "E-SERVER-ANSWER", "'No space left on device'") as raised:
        part.write(CONTENT)
        part.finish()
    assert not isinstance(raised.value, TransientError)
    part.abort()
    assert found(server) == {}


@pytest.mark.parametrize("size", [0, 1, 32_768, 32_769, 10_000_000])
def test_f18_every_write_is_answered_before_a_part_counts_as_sent(server: SftpServer, size: int) -> None:
    """A hundred and more may be on their way: none is forgotten, also none of the first."""
    server.largest = size
    part = server.destination().create(FIRST)
    part.write(b"x" * size)
    arrived = part.finish()
    assert arrived.bytes == size
    part.abort()
    if size:
        server.largest = 0
        part = server.destination().create(FIRST)
        with raises(DestinationError, "E-SERVER-ANSWER", "No space left"):
            part.write(b"x" * size)
            part.finish()
        part.abort()


@pytest.mark.parametrize(
    "operation, doing", [("open", "send"), ("write", "send"), ("close", "send"), ("rename", "give")]
)
@pytest.mark.parametrize("failure, code", [(FAILURE, "E-SERVER-ANSWER"), (DENIED, "E-SERVER-RIGHTS")])
def test_f19_what_the_server_refuses_is_an_error_and_nothing_is_visible(
    server: SftpServer, operation: str, doing: str, failure: Exception, code: str
) -> None:
    send(server.destination(), str(NAME.part(9)), b"")
    destination = server.destination()
    server.fails[operation] = failure
    with raises(DestinationError, code, f"{doing} '{FIRST}") as raised:
        destination.publish(send(destination, FIRST, CONTENT))
    assert not isinstance(raised.value, TransientError)
    server.fails.clear()
    destination.sweep(NAME, [])
    assert found(server) == {}


def test_f10_a_name_taken_at_the_last_moment_is_not_overwritten(server: SftpServer) -> None:
    """The server does not tell that it is there, and would replace it if it were asked to by OpenSSH's extension."""
    destination = server.destination()
    part = send(destination, FIRST, CONTENT)
    (server.root / "in/bound" / FIRST).write_bytes(b"somebody else's")
    server.fails.update(stat=DENIED, lstat=DENIED, scandir=DENIED)
    with raises(DestinationError, "E-SERVER-ANSWER", FIRST):
        destination.publish(part)
    server.fails.clear()
    with raises(DestinationError, "E-NAME-TAKEN", FIRST):
        destination.publish(part)
    assert found(server)[FIRST] == b"somebody else's"


def test_f10_published_by_another_in_between_is_fine(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = server.destination()
    part = send(destination, FIRST, CONTENT)
    rename = paramiko.SFTPClient.rename

    def twice(self: Any, *names: str) -> None:
        rename(self, *names)
        rename(self, *names)

    monkeypatch.setattr(paramiko.SFTPClient, "rename", twice)
    destination.publish(part)
    assert found(server) == {FIRST: CONTENT}


def test_the_content_decides_where_both_names_are_there(server: SftpServer) -> None:
    destination = server.destination()
    part = send(destination, FIRST, CONTENT)
    (server.root / "in/bound" / FIRST).write_bytes(CONTENT[::-1])
    with raises(DestinationError, "E-NAME-TAKEN", FIRST):
        destination.publish(part)
    assert set(found(server)) == {FIRST, PARTIAL}
    (server.root / "in/bound" / FIRST).write_bytes(CONTENT)
    server.fails["read"] = DENIED
    with raises(DestinationError, "E-NAME-TAKEN", FIRST):
        destination.publish(part)
    server.fails.clear()
    destination.publish(part)
    assert found(server) == {FIRST: CONTENT}


def test_a_server_that_only_takes_and_renames(server: SftpServer) -> None:
    """No listing, no size, no reading, no removing."""
    (server.root / "in/bound").mkdir(parents=True)
    server.fails.update(
        dict.fromkeys(["stat", "lstat", "fstat", "scandir", "read", "remove", "rmdir", "mkdir"], DENIED)
    )
    destination = server.destination()
    assert codes_of(destination.check(NAME)) == ["W-NAMES-UNSEEN", "W-WRITE-UNTRIED"]
    assert found(server) == {}
    part = send(destination, FIRST, CONTENT)
    assert server.destination().holds(part) is None
    destination.publish(part)
    assert found(server) == {FIRST: CONTENT}
    destination.discard(FIRST, part.state)
    destination.sweep(NAME, [])


def test_a_server_that_cannot_list_tells_the_size(server: SftpServer) -> None:
    (server.root / "in/bound").mkdir(parents=True)
    (server.root / "in/bound" / FIRST).write_bytes(b"")
    server.fails["scandir"] = DENIED
    (error,) = errors_of(server.destination())
    assert FIRST in error


def test_a_file_that_cannot_be_removed_is_told(server: SftpServer) -> None:
    server.fails.update(remove=DENIED, rmdir=DENIED)
    assert codes_of(server.destination().check(NAME)) == ["W-REMOVE-REFUSED"]
    assert set(found(server)) == {f"{NAME.probe}.partial"}


def test_f18_a_part_that_is_shorter_than_what_was_sent_is_noticed(server: SftpServer) -> None:
    part = server.destination().create(FIRST)
    part.write(CONTENT)
    (server.root / "in/bound" / PARTIAL).unlink()
    (server.root / "in/bound" / PARTIAL).write_bytes(b"short")
    with raises(TransientError, "E-PART-SIZE", "5 bytes", "300,000"):
        part.finish()
    part.abort()


# Connections


@pytest.mark.parametrize("after", [0, 500, 5_000, 100_000, 250_000])
def test_f16_cut_at_any_byte_only_the_partial_name_is_there(server: SftpServer, after: int) -> None:
    with proxy(server.port, reset_after=after, faulty=1) as line:
        destination = server.destination(server.url(port=line.port), host_key_fingerprint=fingerprint(server.keys[0]))
        with pytest.raises(TransientError):
            send(destination, FIRST, CONTENT)
        assert FIRST not in found(server)
        destination.publish(send(destination, FIRST, CONTENT))
    assert found(server) == {FIRST: CONTENT}


def test_f11_a_byte_changed_on_the_way_breaks_the_connection(server: SftpServer) -> None:
    with proxy(server.port, flip_at=100_000) as line:
        destination = server.destination(server.url(port=line.port), host_key_fingerprint=fingerprint(server.keys[0]))
        with pytest.raises(TransientError):
            send(destination, FIRST, CONTENT)
    assert FIRST not in found(server)


@pytest.mark.parametrize("after", [0, 1_000, 100_000])
def test_f17_a_server_that_hangs_is_an_error_in_time(server: SftpServer, after: int) -> None:
    with proxy(server.port, hole_after=after, faulty=1) as line:
        url, known = server.url(port=line.port), fingerprint(server.keys[0])
        destination = server.destination(url, host_key_fingerprint=known, timeout=0.7)
        began = time.monotonic()
        with pytest.raises(TransientError):
            send(destination, FIRST, *[CONTENT] * 100)
        assert time.monotonic() - began < 30
    assert FIRST not in found(server)


def test_f17_a_server_that_stops_taking_anything_is_an_error_in_time() -> None:
    """Nothing can be sent, and nothing is answered: paramiko alone would wait for ever."""
    from converter.remote.sftp import _Socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        plain = socket.create_connection(listener.getsockname())
        with _Socket(plain.family, plain.type, plain.proto, plain.detach()) as sock, listener.accept()[0]:
            sock.patience = 0.3
            sock.settimeout(0.05)
            began = time.monotonic()
            with pytest.raises(ConnectionAbortedError):  # noqa: PT012
                while True:
                    with contextlib.suppress(TimeoutError):
                        sock.send(bytes(1 << 20))
            assert 0.2 < time.monotonic() - began < 30


def test_f17_a_server_that_does_not_start_sftp_is_an_error_in_time(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(self: Any, subsystem: str) -> None:
        self._event_pending()
        self._wait_for_event()

    monkeypatch.setattr(paramiko.Channel, "invoke_subsystem", wait)
    began = time.monotonic()
    with raises(TransientError, "E-SERVER-CONNECTION", "sftp.timeout"):
        server.destination(timeout=1).create(FIRST)
    assert time.monotonic() - began < 30


def test_something_else_than_ssh_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"sftp://u:wr0ng-secret@127.0.0.1:{silent.getsockname()[1]}/"
        (finding,) = findings_of(sftp_destination(url, Sftp(timeout=0.3)), NAME)
    assert finding.code == "E-SERVER-CONNECTION"
    assert "secret" not in str(finding)


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-Fake\r\n" + bytes(range(256)) * 8, b"\xff" * 5000, b"220 FTP here\r\n", b""]
)
def test_what_makes_no_sense_is_an_error(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as client, contextlib.suppress(OSError):
                client.sendall(said)
                client.shutdown(socket.SHUT_WR)
                client.recv(10_000)

        thread = threading.Thread(target=serve)
        thread.start()
        with raises(TransientError, "E-SERVER-CONNECTION"):
            sftp_destination(f"sftp://u:p@127.0.0.1:{listener.getsockname()[1]}/", Sftp(timeout=1)).create(FIRST)
        thread.join()


def test_a_server_without_safe_algorithms_is_told(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paramiko.Transport, "_preferred_ciphers", ("aes128-cbc",))
    with raises(DestinationError, "E-SERVER-ALGORITHMS") as raised:
        server.destination().create(FIRST)
    assert not isinstance(raised.value, TransientError)


def test_nothing_is_printed(
    server: SftpServer, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any handler, Python prints warnings and errors of paramiko to standard error."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with proxy(server.port, reset_after=600) as line, socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (line.port, silent.getsockname()[1]):
            with pytest.raises(DestinationError):
                server.destination(server.url(port=port), timeout=0.3).create(FIRST)
    time.sleep(0.1)
    assert capfd.readouterr() == ("", "")


def test_parts_one_after_the_other_use_one_connection(server: SftpServer) -> None:
    destination = server.destination()
    for name in (FIRST, SECOND):
        destination.publish(send(destination, name, CONTENT))
        assert len(server.connections) == 1
    assert found(server) == {FIRST: CONTENT, SECOND: CONTENT}
    destination.close()
    until = time.monotonic() + 60
    while server.connections and time.monotonic() < until:
        time.sleep(0.01)
    assert not server.connections


def test_a_connection_that_the_server_has_closed_meanwhile_is_no_failure(server: SftpServer) -> None:
    destination = server.destination()
    part = send(destination, FIRST, CONTENT)
    for connection in list(server.connections):
        server._loop.call_soon_threadsafe(connection.abort)
    assert send(destination, SECOND, CONTENT).bytes == len(CONTENT)
    destination.publish(part)
    assert FIRST in found(server)


def test_writes_are_large_where_openssh_says_that_they_may_be(server: SftpServer, tmp_path: Path) -> None:
    content = random.Random(3).randbytes(1_000_003)
    with openssh_place(tmp_path) as place:
        destination = place.destination()
        destination.publish(send(destination, FIRST, content))
        assert place.visible() == {FIRST: content}
        assert destination._connections.take().connection.write_bytes > WRITE_BYTES  # type: ignore[attr-defined]
    destination = server.destination()
    send(destination, FIRST, content)
    assert server.writes == -(-len(content) // WRITE_BYTES), "other servers get what all accept"
