"""SFTP: OpenSSH's server, in a process of its own, with keys of its own, for the user who runs the tests."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from converter.delivery.destinations import Destination
from converter.delivery.destinations.sftp import sftp_destination
from converter.jobs.sections.servers import Sftp

from .place import OWNER, FolderPlace
from .process import Program, program, shared
from .sftp import host_key

_PRIVILEGE_SEPARATION = Path("/run/sshd")
USER = pwd.getpwuid(os.geteuid()).pw_name
_numbers = itertools.count(1)


def _is_locked() -> bool:
    """Say whether the user has no password that could ever fit; without PAM, a key is refused as well then."""
    with contextlib.suppress(OSError):
        for line in Path("/etc/shadow").read_text().splitlines():
            user, password = line.split(":")[:2]
            if user == USER:
                return password.startswith("!")
    return False


def _command(folder: Path, port: int) -> list[str]:
    sshd = program("sshd", "apt-get install openssh-server")
    if os.geteuid() == 0:  # it is made when the system starts a server, and wanted by every other one as well
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    for number, name in enumerate(("host", "user", "nobody")):
        key = host_key(number=number)
        key.write_private_key(str(folder / name))
        (folder / name).chmod(0o600)
        key.write_public_key(str(folder / f"{name}.pub"))
    public = (folder / "host.pub").read_text()
    (folder / "known_hosts").write_text(f"[localhost]:{port} {public}")
    (folder / "root").mkdir()
    (folder / "root/a file").touch()
    configuration = folder / "sshd_config"
    configuration.write_text(
        f"""
        ListenAddress 127.0.0.1:{port}
        HostKey {folder}/host
        AuthorizedKeysFile {folder}/user.pub
        PidFile none
        StrictModes no
        UsePAM {"yes" if _is_locked() else "no"}
        PermitRootLogin yes
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        Subsystem sftp internal-sftp
        """
    )
    return [sshd, "-D", "-e", "-f", str(configuration)]


def openssh_server() -> Program:
    """The server that runs, for all tests of this process."""
    return shared("sshd", _command)


@contextlib.contextmanager
def openssh_place(folder: Path, *, timeout: float = 60) -> Iterator[FolderPlace]:
    """A folder of its own on OpenSSH, not made yet; who waits for it gives up after `timeout` seconds."""
    del folder
    server = openssh_server()
    root = server.folder / "root"
    below = f"{next(_numbers)}/in/bound"
    opened = []

    def open_at(host: str, path: str, key: str = "user") -> Destination:
        known = str(server.folder / "known_hosts")
        settings = Sftp(timeout=timeout, known_hosts=known, key_file=str(server.folder / key))
        opened.append(sftp_destination(f"sftp://{USER}@{host}{root}/{path}", settings, OWNER))
        return opened[-1]

    here = f"localhost:{server.port}"
    try:
        yield FolderPlace(
            root / below,
            lambda: open_at(here, below),
            server.stop,
            {
                "password": lambda: open_at(here, below, "nobody"),
                "host": lambda: open_at("no-such-host.invalid", below),
                "port": lambda: open_at("localhost:9", below),
                "folder": lambda: open_at(here, "a%20file/in"),
            },
        )
    finally:
        for destination in opened:
            destination.close()
