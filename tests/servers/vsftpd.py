"""FTP and FTPS: vsftpd, in a process of its own, for no user of this system.

Its anonymous login takes one password alone; everything runs as the user who runs the tests. FTPS is as vsftpd comes:
each data connection has to take up the session of the control connection.
"""

from __future__ import annotations

import contextlib
import itertools
import pwd
from collections.abc import Iterator
from os import geteuid
from pathlib import Path

from converter.delivery.destinations import Destination
from converter.delivery.destinations.ftp import ftp_destination
from converter.jobs.sections.servers import Ftp

from .ftp import PASSWORD, authority
from .place import OWNER, FolderPlace
from .process import Program, program, shared

LOGIN = "anonymous:p%40ss%2Fw%C3%B6rd"
_numbers = itertools.count(1)


def _command(folder: Path, port: int, *, tls: bool) -> list[str]:
    for name in ("root", "empty"):
        (folder / name).mkdir()
    (folder / "passwords").write_text(PASSWORD + "\n")
    settings: dict[str, object] = {
        "listen": "YES",
        "listen_address": "127.0.0.1",
        "listen_port": port,
        "background": "NO",
        "run_as_launching_user": "YES",
        "ftp_username": pwd.getpwuid(geteuid()).pw_name,
        "secure_chroot_dir": folder / "empty",
        "xferlog_enable": "NO",
        "local_enable": "NO",
        "anonymous_enable": "YES",
        "anon_root": folder / "root",
        "anon_umask": "022",
        "anon_world_readable_only": "NO",
        "secure_email_list_enable": "YES",
        "email_password_file": folder / "passwords",
        "delay_failed_login": 0,
        "write_enable": "YES",
        "anon_upload_enable": "YES",
        "anon_mkdir_write_enable": "YES",
        "anon_other_write_enable": "YES",
    }
    if tls:
        certificate = folder / "server.pem"
        authority().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        authority().cert_pem.write_to_path(str(folder / "ca.pem"))
        settings |= {
            "ssl_enable": "YES",
            "rsa_cert_file": certificate,
            "allow_anon_ssl": "YES",
            "force_anon_logins_ssl": "YES",
            "force_anon_data_ssl": "YES",
            "require_ssl_reuse": "YES",
        }
    configuration = folder / "vsftpd.conf"
    configuration.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return [program("vsftpd", "apt-get install vsftpd"), str(configuration)]


def vsftpd_server(*, tls: bool = False) -> Program:
    """The server that runs, for all tests of this process."""
    return shared("ftps" if tls else "ftp", lambda place, port: _command(place, port, tls=tls))


@contextlib.contextmanager
def vsftpd_place(folder: Path, *, tls: bool = False, timeout: float = 60) -> Iterator[FolderPlace]:
    """A folder of its own on vsftpd, not made yet; who waits for it gives up after `timeout` seconds."""
    del folder
    server = vsftpd_server(tls=tls)
    scheme = "ftps" if tls else "ftp"
    below = f"{next(_numbers)}/in/bound"
    opened = []
    (server.folder / "root/a file").touch()

    def open_at(login: str, host: str, path: str) -> Destination:
        settings = {"tls_ca_file": str(server.folder / "ca.pem")} if tls else {}
        opened.append(ftp_destination(f"{scheme}://{login}@{host}/{path}", Ftp(timeout=timeout, **settings), OWNER))
        return opened[-1]

    here = f"localhost:{server.port}"
    try:
        yield FolderPlace(
            server.folder / "root" / below,
            lambda: open_at(LOGIN, here, below),
            server.stop,
            {
                "password": lambda: open_at("anonymous:wr0ng-secret", here, below),
                "host": lambda: open_at(LOGIN, "no-such-host.invalid", below),
                "port": lambda: open_at(LOGIN, "localhost:9", below),
                "folder": lambda: open_at(LOGIN, here, "a%20file/in"),
            },
        )
    finally:
        for destination in opened:
            destination.close()
