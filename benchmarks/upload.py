"""`upload`: ours into a folder and to S3 on this machine, in turns: what it costs our process to send."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.contenders import OURS, OURS_TO_S3
from benchmarks.contenders.ours import ENDPOINT
from benchmarks.machine import describe
from benchmarks.measure import Measurement, generated, measure
from benchmarks.table import spread, table
from benchmarks.workloads import DATA, ROOT, Input

_MIB = 2**20


def upload(source: Input, runs: int) -> None:
    """Measure both ways in turns, and print what they took."""
    print(f"{describe()}\n{source.path.name}, {runs} runs each, in turns\n", flush=True)
    path = generated(source)
    found: dict[str, list[Measurement]] = {OURS: [], OURS_TO_S3: []}
    with tempfile.TemporaryDirectory(prefix="upload-", dir=DATA) as folder, _server():
        for _ in range(runs):
            for name, measured in found.items():
                measured.append(measure(name, source.workload, path, Path(folder, OURS)))
                shutil.rmtree(Path(folder, OURS))
    rows = []
    for name, measured in found.items():
        cpus = [each.cpu_seconds for each in measured]
        ratios = [each / folder.cpu_seconds for each, folder in zip(cpus, found[OURS], strict=True)]
        walls = [each.wall_seconds for each in measured]
        peaks = [float(each.peak_bytes) for each in measured]
        where = "folder" if name == OURS else "S3"
        rows.append([where, spread(walls), spread(cpus), spread(ratios), spread(peaks, _MIB, 0)])
    print(table(["to", "wall s", "CPU s", "CPU / folder", "peak MiB"], rows))
    print("median [least-most]; the server, a process of its own on the same cores, counts in the wall time alone")


@contextlib.contextmanager
def _server() -> Iterator[None]:
    """Start the server, and tell contenders where it is."""
    command = [sys.executable, "-m", "benchmarks.s3_sink"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            os.environ |= {
                ENDPOINT: f"http://127.0.0.1:{server.stdout.readline().strip()}",
                "AWS_ACCESS_KEY_ID": "benchmark",
                "AWS_SECRET_ACCESS_KEY": "benchmark",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
            yield
        finally:
            server.terminate()
