"""`deliver`: finished parts to servers on this machine, by ours and by `rclone copy`, in turns.

Both send over as many connections: as many parts at once, or of one part as many pieces to S3. The way is either none
but that within the machine, or a proxy with the delay of a long line.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.delay import delayed
from benchmarks.machine import describe
from benchmarks.measure import Measurement, run_command, size_of, warm
from benchmarks.results import Delivered, Deliveries, Measured
from benchmarks.servers import KEY, SECRET, SERVERS, Address, program, user
from benchmarks.table import spread, table
from benchmarks.workloads import DATA

OURS = "aam-inbound send"
RCLONE = "rclone copy"
GOAL = 1.2
"""The highest ratio of wall times of `OURS` and `RCLONE` that we want."""
DELAY_SECONDS = 0.02
_NAME = "ftp_dpm_1234_1366545717.sync.{}.gz"
_PIECE = "8Mi"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Load:
    """Parts of the same size."""

    parts: int
    part_bytes: int

    @property
    def name(self) -> str:
        """What the table calls them, such as `10 of 40 MB`."""
        return f"{self.parts} of {self.part_bytes / 1e6:g} MB"

    def write(self, folder: Path, share: float) -> None:
        """Write the parts, of a share of their size: random bytes, which are the same each time."""
        folder.mkdir()
        drawn = random.Random(self.parts)
        for number in range(1, self.parts + 1):
            with (folder / _NAME.format(number)).open("wb") as file:
                left = max(1, round(self.part_bytes * share))
                while left:
                    left -= file.write(drawn.randbytes(min(left, _CHUNK)))


LOADS = {load.name: load for load in (Load(10, 40_000_000), Load(200, 200_000), Load(1, 400_000_000))}


@dataclass(frozen=True)
class _Way:
    """A way to a folder on a server, over so many connections."""

    server: str
    address: Address
    port: int
    connections: int
    folder: str = ""

    @property
    def is_s3(self) -> bool:
        return self.server != "OpenSSH"

    @property
    def known_hosts(self) -> Path:
        """Return a file of known hosts that knows the server at this port."""
        path = self.address.files / "known_hosts"
        path.write_text(f"[127.0.0.1]:{self.port} {(self.address.files / 'host.pub').read_text()}")
        return path

    def ours(self, parts: Path, folder: Path) -> list[str]:
        """Return our command."""
        settings = [f"output.uploads={self.connections}", f"report.dir={folder}"]
        if self.is_s3:
            to = f"s3://{self.address.path}/{self.folder}"
            settings += [f"s3.endpoint_url=http://127.0.0.1:{self.port}", "s3.addressing_style=path"]
        else:
            to = f"sftp://{user()}@127.0.0.1:{self.port}/{self.address.path}/{self.folder}"
            settings += [f"sftp.key_file={self.address.files}/user", f"sftp.known_hosts={self.known_hosts}"]
        chosen = [part for setting in settings for part in ("--set", setting)]
        return [sys.executable, "-m", "converter", "send", str(parts), "--no-check", "--quiet", "--to", to, *chosen]

    def rclone(self, parts: Path, load: Load) -> list[str]:
        """Return the command of rclone. Of one part, it sends pieces to S3 over all connections."""
        at_once = min(self.connections, load.parts)
        if self.is_s3:
            keys = f"access_key_id={KEY},secret_access_key={SECRET}"
            endpoint = f"endpoint='http://127.0.0.1:{self.port}'"
            to = f":s3,provider=Other,force_path_style=true,{keys},{endpoint}:{self.address.path}/{self.folder}"
            pieces = self.connections if load.parts == 1 else 1
            options = ["--s3-chunk-size", _PIECE, "--s3-upload-concurrency", str(pieces)]
        else:
            files = f"key_file={self.address.files}/user,known_hosts_file={self.known_hosts}"
            to = f":sftp,host=127.0.0.1,port={self.port},user={user()},{files}:{self.address.path}/{self.folder}"
            options = []
        at_once_options = ["--transfers", str(at_once), "--checkers", str(at_once)]
        return [program("rclone"), "--config=", "copy", str(parts), to, *at_once_options, *options]


def deliver(
    servers: Sequence[str], loads: Sequence[str], connections: int, share: float, runs: int, target: Path
) -> None:
    """Send all loads to all servers, print a table and write all numbers to `target`.

    The size of parts is a `share` of that of the loads.
    """
    machine = describe()
    print(f"{machine}\n{connections} connections, {runs} runs each, in turns\n", flush=True)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    found: list[Delivered] = []
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deliver-", dir=DATA) as name:
        folder = Path(name).resolve()
        for load in loads:
            LOADS[load].write(folder / load, share)
        for server in servers:
            with SERVERS[server]() as address:
                for delay, load in itertools.product((0.0, DELAY_SECONDS), loads):
                    with _way(server, address, delay, connections) as (way, most):
                        walls = _measure(way, LOADS[load], folder / load, folder / "reports", runs, most)
                    found.append(Delivered(server, load, delay, connections, *walls))
                    print(summary(Deliveries(found[-1:], machine), head=len(found) == 1), flush=True)
    Deliveries(found, machine).write(target)


@contextlib.contextmanager
def _way(server: str, address: Address, delay: float, connections: int) -> Iterator[tuple[_Way, Callable[[], int]]]:
    """Yield a way, and what returns the most connections that were open at once, and forgets them."""
    if not delay:
        yield _Way(server, address, address.port, connections), lambda: 0
        return
    with delayed(address.port, delay) as proxy:

        def most() -> int:
            seen, proxy.most = proxy.most, 0
            return seen

        yield _Way(server, address, proxy.port, connections), most


def _measure(
    way: _Way, load: Load, parts: Path, reports: Path, runs: int, most: Callable[[], int]
) -> tuple[Measured, Measured, list[int]]:
    """Run both in turns. Return what they took, and the most connections that each had open."""
    measured: dict[str, list[Measurement]] = {OURS: [], RCLONE: []}
    opened = dict.fromkeys(measured, 0)
    for run in range(runs):
        for name in measured:
            way.address.empty()
            # A folder of its own: servers may remember what has been removed without them.
            there = replace(way, folder=f"{os.urandom(4).hex()}-{run}")
            command = there.ours(parts, reports) if name == OURS else there.rclone(parts, load)
            shutil.rmtree(reports, ignore_errors=True)
            warm(parts)
            os.sync()
            wall, cpu, peak = run_command(command)
            opened[name] = max(opened[name], most())
            measured[name].append(Measurement(wall, cpu, peak, size_of(parts)))
    way.address.empty()
    ours, rclone = (Measured(name, load.parts, measured[name], input_bytes=size_of(parts)) for name in measured)
    return ours, rclone, list(opened.values())


def summary(result: Deliveries, *, head: bool = True) -> str:
    """Return the times as a table for the terminal."""
    rows = [
        [
            f"{each.name:34}",
            *(f"{spread(of.walls):>20}" for of in (each.ours, each.rclone)),
            f"{spread(each.ours.ratios(each.rclone)):>18}",
            *(f"{spread(of.cpus):>20}" for of in (each.ours, each.rclone)),
            f"{'/'.join(map(str, each.opened)) if any(each.opened) else '':>11}",
        ]
        for each in result.deliveries
    ]
    names = ["to, parts, delay", "wall s", "of rclone", f"ratio (≤ {GOAL})", "CPU s", "of rclone", "connections"]
    lines = table(names, rows).splitlines()
    return "\n".join(lines if head else lines[1:])
