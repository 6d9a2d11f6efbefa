"""The contender `ours`: the converter with all its checks, the report and the rejects file."""

from __future__ import annotations

from benchmarks.contenders import Task
from benchmarks.workloads import DPID, TIMESTAMP


def convert(task: Task) -> None:
    """Convert as any user would."""
    from converter import Job, convert

    reports = task.folder.with_name(task.folder.name + "-report")  # beside the output, which holds lines only
    reports.mkdir(exist_ok=True)
    convert(
        Job(
            input={"path": str(task.path), "format": task.workload.format},
            id={"column": task.workload.id},
            record={"signals": list(task.workload.signals), "traits": [task.workload.traits]},
            output={"to": str(task.folder), "dpid": DPID, "timestamp": TIMESTAMP},
            report={"dir": str(reports)},
            run={"threads": task.threads},
        )
    )


def convert_with_loops(task: Task) -> None:
    """Convert with the compiled loops, however small the input is."""
    _convert_as_if_worth(task, 0)


def convert_without_loops(task: Task) -> None:
    """Convert without the compiled loops, however large the input is."""
    _convert_as_if_worth(task, 1 << 62)


def _convert_as_if_worth(task: Task, worth: int) -> None:
    from converter import kernel

    kernel.WORTH_BYTES = kernel.WORTH_COMPILING_BYTES = worth
    convert(task)
