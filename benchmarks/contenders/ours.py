"""The contender `ours`: the converter with all its checks, the report and the rejects file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from benchmarks import BenchmarkError
from benchmarks.contenders import Task
from benchmarks.options import OPTIONS
from benchmarks.workloads import DPID, TIMESTAMP

ENDPOINT = "BENCHMARK_S3_ENDPOINT"
"""The variable that tells `convert_to_s3` and `convert_from_s3` where their server is."""
BUCKET = "bucket"
"""The bucket that they use."""
STATE = "BENCHMARK_STATE"
REMOVALS = "BENCHMARK_REMOVALS"
"""The variables that tell `convert_changes` the folder of the state, and whether lost traits are removed."""


def convert(task: Task) -> None:
    """Convert as any user would."""
    _convert(task, {"to": str(task.folder)})


def convert_to_s3(task: Task) -> None:
    """Convert, and send to a server on this machine (`benchmarks.s3_sink`)."""
    endpoint = os.environ[ENDPOINT]
    _convert(task, {"to": f"s3://{BUCKET}/prefix"}, s3={"endpoint_url": endpoint, "addressing_style": "path"})


def convert_from_s3(task: Task) -> None:
    """Convert what a server on this machine has under the name of the input (`benchmarks.download`)."""
    endpoint = os.environ[ENDPOINT]
    at = {"endpoint_url": endpoint, "addressing_style": "path"}
    _convert(task, {"to": str(task.folder)}, path=f"s3://{BUCKET}/{task.path.name}", s3=at)


def convert_changes(task: Task) -> None:
    """Convert what has changed since the run that left the state; the first time, everything."""
    delta: dict[str, object] = {"state": os.environ[STATE]}
    if os.environ.get(REMOVALS):
        delta |= {"removals": True, "gone": "remove"}
    _convert(task, {"to": str(task.folder)}, delta=delta)


def _convert(task: Task, output: Mapping[str, object], path: str | None = None, **sections: object) -> None:
    from converter.cli.preamble import loading

    with loading(task.threads):
        from converter import Job, convert

    reports = task.folder.with_name(task.folder.name + "-report")  # beside the output, which holds lines only
    reports.mkdir(exist_ok=True)
    job: dict[str, Any] = {
        "input": {"path": path or str(task.path)},
        "id": {"column": task.workload.id},
        "record": {"signals": list(task.workload.signals), "traits": [task.workload.traits]},
        "output": {**output, "dpid": DPID, "timestamp": TIMESTAMP},
        "report": {"dir": str(reports)},
        "run": {"threads": task.threads},
        **sections,
    }
    if task.workload.gathered:
        job["record"]["rows"] = "signal"
    added = OPTIONS[task.option].sections if task.option else {}
    for name, section in added.items():
        if section is None:
            del job[name]
        else:
            job[name] = {**job.get(name, {}), **section}
    convert(Job(**job))


def convert_with_loops(task: Task) -> None:
    """Convert with the compiled loops, which must be there."""
    from converter import kernel

    if kernel.load() is None:
        raise BenchmarkError(f"The compiled loops are {kernel.status()}")
    convert(task)


def convert_without_loops(task: Task) -> None:
    """Convert without the compiled loops, as where they were not built."""
    from unittest.mock import patch

    from converter import kernel

    with patch.object(kernel, "load", lambda: None):
        convert(task)
