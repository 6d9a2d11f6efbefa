"""The examples for schedulers and containers do what they say, with the tools that they are for."""

from __future__ import annotations

import ast
import configparser
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .servers import required
from .test_cli import ENVIRONMENT
from .wheels import ROOT, build_sdist, unpacked

EXAMPLES = ROOT / "examples"
SERVICE = EXAMPLES / "systemd" / "aam-inbound.service"
DAG = EXAMPLES / "airflow" / "aam_inbound.py"
AIRFLOW = Path(os.environ.get("AIRFLOW_ENVIRONMENT", ROOT / ".cache" / "airflow"))
PATHS = {
    "/opt/aam/bin/aam-inbound": "aam-inbound",
    "/etc/aam-inbound/jobs": "jobs",
    "/var/lib/aam-inbound": "state",
    "/var/log/aam-inbound": ".",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two jobs, and the command as a program of its own."""
    (tmp_path / "in.csv").write_text("id,a\ncustomer-0001,x\n")
    (tmp_path / "jobs").mkdir()
    for dpid, name in enumerate(("a", "b"), 1):
        (tmp_path / "jobs" / f"{name}.toml").write_text(
            f"input.path = '../in.csv'\nid.column = 'id'\nrecord.signals = ['a']\n"
            f"output = {{ to = '../out', dpid = {dpid} }}\n"
        )
    program = tmp_path / "aam-inbound"
    program.write_text(f"#!/bin/sh\nPYTHONPATH='{ROOT}' exec '{sys.executable}' -m converter \"$@\"\n")
    program.chmod(0o755)
    return tmp_path


def local(text: str, folder: Path) -> str:
    """Return a text with the paths of a machine replaced by those in a folder."""
    for path, name in PATHS.items():
        text = text.replace(path, str(folder / name))
    return text


def run_line(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", local(line, folder)], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


# --- cron and systemd -------------------------------------------------------------------------------------------


def test_the_line_of_cron_runs_all_jobs_silently(folder: Path) -> None:
    lines = [line for line in (EXAMPLES / "aam-inbound.cron").read_text().splitlines() if line and line[0] != "#"]
    setting, line = lines
    assert setting.startswith("MAILTO=")
    *moment, user, command = line.split(maxsplit=6)
    assert (len(moment), user) == (5, "aam")
    assert "%" not in command, "cron makes line ends of them"
    done = run_line(command, folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list((folder / "out").iterdir())) == 2
    assert (folder / "log.jsonl").is_file()


def service() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(SERVICE)
    return parser


def test_the_service_runs_all_jobs(folder: Path) -> None:
    done = run_line(service()["Service"]["ExecStart"], folder)
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "out").iterdir())) == 2
    assert len(list((folder / "state").glob("*.report.json"))) == 2


def test_the_service_is_not_retried_where_that_cannot_help() -> None:
    assert service()["Service"]["RestartPreventExitStatus"].split() == ["2", "3"]


def test_systemd_accepts_the_units(folder: Path) -> None:
    if not shutil.which("systemd-analyze"):
        required("systemd-analyze is not installed: apt-get install systemd")
    units = folder / "units"
    units.mkdir()
    for path in SERVICE.parent.iterdir():
        (units / path.name).write_text(local(path.read_text(), folder))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    about = [line for line in (done.stdout + done.stderr).splitlines() if "aam-inbound" in line]
    assert (done.returncode, about) == (0, []), done.stderr


# --- Airflow ----------------------------------------------------------------------------------------------------


def test_the_operator_is_short() -> None:
    (operator,) = [each for each in ast.parse(DAG.read_text()).body if isinstance(each, ast.ClassDef)]
    assert (operator.end_lineno or 0) - operator.lineno < 60


CODES = """
import sys
sys.path.insert(0, sys.argv[1])
from aam_inbound import AamInboundOperator, AirflowException, AirflowFailException
def run(job, *settings):
    operator = AamInboundOperator(task_id="convert", jobs=[job], settings=settings, command=sys.argv[2])
    try:
        return [each["outcome"] for each in operator.execute({})]
    except AirflowException as error:
        return type(error).__name__
print([
    run("jobs"), run("jobs"), run("jobs/a.toml", "output.dpid=7"), run("jobs", "output.mode=none"),
    run("jobs/a.toml", "input.path=missing.csv"), run("jobs", "id.type=uuid"),
])
"""


@pytest.fixture
def airflow(folder: Path) -> dict[str, str]:
    """The environment of Airflow: its home is in the folder."""
    if not (AIRFLOW / "bin" / "airflow").exists():
        required(f"Airflow is not installed in '{AIRFLOW}': make platforms")
    home = folder / "airflow"
    home.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AAM_JOBS": str(folder / "jobs"),
        "AAM_COMMAND": str(folder / "aam-inbound"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.mark.slow
def test_airflow_runs_the_dag(airflow: dict[str, str], folder: Path) -> None:
    for arguments in (["db", "migrate"], ["dags", "test", "aam_inbound"]):
        done = subprocess.run(
            [AIRFLOW / "bin" / "airflow", *arguments],
            cwd=folder, env=airflow, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert "state=success" in done.stdout + done.stderr
    assert len(list((folder / "out").iterdir())) == 2


@pytest.mark.slow
def test_the_operator_retries_what_a_retry_may_help(airflow: dict[str, str], folder: Path) -> None:
    done = subprocess.run(
        [AIRFLOW / "bin" / "python", "-c", CODES, DAG.parent, folder / "aam-inbound"],
        cwd=folder, env=airflow, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == [
        ["done", "done"],
        ["nothing to do", "nothing to do"],
        ["done"],
        "AirflowFailException",  # the jobs are wrong
        "AirflowException",  # an input may come
        "AirflowFailException",  # refused: all rows are rejected
    ]


# --- containers -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_image_runs_jobs_on_a_read_only_root(folder: Path) -> None:
    if os.geteuid() or not shutil.which("unshare"):
        required("images are built by root, with unshare and chroot")
    (folder / "sources").mkdir()
    sources = unpacked(build_sdist(folder / "sources"), folder / "sources")
    (folder / "state").mkdir()
    os.chown(folder / "state", 10001, 10001)
    for path in (folder / "jobs").iterdir():
        path.write_text(path.read_text().replace("../in.csv", "in.csv").replace("../out", "/var/lib/aam-inbound/out"))
    shutil.copy(folder / "in.csv", folder / "jobs" / "data.csv")
    (folder / "jobs" / "data.csv").rename(folder / "jobs" / "in.csv")
    lines = ["--version --json", "convert /jobs/a.toml /jobs/b.toml --resume --report-dir /var/lib/aam-inbound --json"]
    done = subprocess.run(
        [
            *("unshare", "--mount", sys.executable, "-m", "tests.images", sources / "examples" / "Containerfile", sources),
            *(folder / "work", f"{folder / 'jobs'}:/jobs", f"{folder / 'state'}:/var/lib/aam-inbound", "--", *lines),
        ],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    version, outcome = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert "not used" not in json.dumps(version)
    assert [each["outcome"] for each in outcome["jobs"]] == ["done", "done"]
    parts = list((folder / "state" / "out").iterdir())
    assert {(part.stat().st_uid, part.stat().st_gid) for part in parts} == {(10001, 10001)}
    assert len(parts) == 2


def test_the_image_is_run_as_a_user_who_is_not_root() -> None:
    text = (EXAMPLES / "Containerfile").read_text()
    last = text.rpartition("\nFROM ")[2]
    (user,) = [line for line in last.splitlines() if line.startswith("USER ")]
    assert user.split()[1].partition(":")[0] != "0"
    assert "-slim" in last.splitlines()[0]
