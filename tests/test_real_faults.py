"""Faults of real servers that none in process has: programs that stand still, and disks that are full."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from converter.delivery.destinations.base import Arrived, PartUpload
from converter.errors import DestinationError
from converter.spec.names import FileName

from .errors import raises
from .servers.ftp import ftp_server
from .servers.openssh import openssh_place
from .servers.place import OWNER, FolderPlace
from .servers.process import Program, _made_by, _running
from .servers.vsftpd import vsftpd_place

NAME = str(FileName("data", (1234,), 1366545717, split=1))
CHUNK = b"x" * 8192
SERVERS: dict[str, Callable[..., Any]] = {
    "ftp": vsftpd_place,
    "ftps": partial(vsftpd_place, tls=True),
    "sshd": openssh_place,
}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(server: str, tmp_path: Path) -> Iterator[FolderPlace]:
    with SERVERS[server](tmp_path) as made:
        yield made


@pytest.fixture
def impatient(server: str, tmp_path: Path) -> Iterator[FolderPlace]:
    """A server that is given up soon, but not on a busy machine."""
    with SERVERS[server](tmp_path, timeout=5) as made:
        yield made


@contextlib.contextmanager
def standing_still(program: Program) -> Iterator[None]:
    """Stop a server and all its processes for a while."""
    processes = [program.process.pid, *_made_by(program.process.pid)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def sent(part: PartUpload, chunks: int) -> Arrived:
    for _ in range(chunks):
        part.write(CHUNK)
    return part.finish()


@pytest.mark.parametrize("chunks", [0, 4000], ids=["at the end", "under way"])
def test_f17_a_server_that_stands_still_is_an_error_in_time(impatient: FolderPlace, server: str, chunks: int) -> None:
    place = impatient
    destination = place.destination()
    part = destination.create(NAME)
    part.write(CHUNK)
    begun = time.monotonic()
    with standing_still(_running[server]), pytest.raises(DestinationError) as raised:
        sent(part, chunks)
    assert time.monotonic() - begun < 30
    assert raised.value.hint
    assert place.visible() == {}
    part.abort()
    again = place.destination()
    for left in place.hidden():
        assert left == OWNER.partial(NAME, ".partial")
        again.discard(NAME, part.state)
    again.publish(sent(again.create(NAME), 3))
    assert place.visible() == {NAME: CHUNK * 3}


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("beyond", [1, 12], ids=["in the last 8 KB", "in the last 100 KB"])
def test_f18_a_disk_that_is_full_near_the_end_of_a_part_is_noticed(place: FolderPlace, beyond: int) -> None:
    place.folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place.folder)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        destination = place.destination()
        part = destination.create(NAME)
        with raises(DestinationError, "E-SERVER-ANSWER", "Failure"):  # neither OpenSSH nor vsftpd says of what
            sent(part, 512 // 8 + beyond)
        part.abort()
        assert place.visible() == {}
        assert place.hidden() == set()
        late = time.monotonic() + 60
        while shutil.disk_usage(place.folder).used and time.monotonic() < late:
            time.sleep(0.01)  # until the server has closed the file that is removed
        destination.publish(sent(destination.create(NAME), 32))
        assert place.visible() == {NAME: CHUNK * 32}
        destination.close()
    finally:
        place.stop()  # type: ignore[misc] # it has the folder open
        subprocess.run(["umount", "--lazy", str(place.folder)], check=True)


MEASURED = """
import resource, sys
from converter import Job, convert
convert(Job.load(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_f21_a_slow_line_takes_no_more_memory_than_a_fast_one(tmp_path: Path) -> None:
    """Were it not so, some 60 MB of text would wait in memory for their turn."""
    (tmp_path / "in.csv").write_text("id,a\n" + "".join(f"user-{n},{'y' * 80}\n" for n in range(600_000)))
    with ftp_server(tmp_path) as server:
        peaks = []
        for number, bandwidth in enumerate(["1GB", "15MB"]):
            job = tmp_path / f"job{number}.toml"
            job.write_text(
                f"""
                input.path = "{tmp_path}/in.csv"
                id.column = "id"
                record.signals = ["a"]
                report.dir = "{tmp_path}/reports{number}"
                run.spill_dir = "{tmp_path}"
                [output]
                to = "{server.url(f"/{number}")}"
                dpid = 1234
                compression = "none"
                max_part_raw_bytes = "5MB"
                bandwidth = "{bandwidth}"
                """
            )
            said = subprocess.run(
                [sys.executable, "-c", MEASURED, str(job)], check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            peaks.append(int(said) * (1024 if sys.platform == "linux" else 1))
    assert peaks[1] < peaks[0] + 30_000_000
