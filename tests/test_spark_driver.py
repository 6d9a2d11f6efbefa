"""A driver that is killed, and the same command with --resume, which finishes what is to be finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cluster import Cluster

from .doomed import KILLED, Moment, start
from .servers.spark import driver_environment
from .spark_runs import Beside, write_job

_SECONDS = 300.0


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    return Beside.of(tmp_path)


def command(beside: Beside, cluster: Cluster) -> list[str]:
    """Return the command that runs the job on the cluster."""
    return ["convert", str(write_job(beside.run)), "--engine", "spark", "--master", cluster.url, "--quiet"]


def ended(beside: Beside, cluster: Cluster, moment: Moment | None, *options: str) -> tuple[int | None, str]:
    """Run the command, which dies at a moment; return its exit code and what it said."""
    said = beside.run.folder / "said"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in driver_environment(cluster, beside.run.folder / "conf").items():
            patch.setenv(name, value)
        process = start([*command(beside, cluster), *options], said, moment)
        process.join(_SECONDS)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode, said.read_text()


@pytest.mark.parametrize("event", ["arrived", "publishing"])
def test_f1_a_driver_that_is_killed_is_finished(cluster: Cluster, beside: Beside, event: str) -> None:
    code, said = ended(beside, cluster, Moment(event=event))
    assert code in KILLED, said
    assert beside.visible == []
    assert beside.run.files != []
    code, said = ended(beside, cluster, None, "--resume")
    assert code == 0, said
    beside.check()
