"""The metrics of runs: what Prometheus would read of them, however a run ends, and whatever else is in the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from converter import Job, convert, doctor, send
from converter.commands import metrics
from converter.errors import ConverterError, Finding, JobError, TooManyRejectsError
from converter.report.metrics import FAMILIES, Owner

from .conftest import TIMESTAMP, Run
from .errors import codes_of, raises
from .test_cli import ENVIRONMENT, command
from .test_stops import AT_NOTE, begun, ended

TABLE = "id,a\ncustomer-0001,x\ncustomer-0002,\ncustomer-0003,y\njohn@example.com,z\n"
Samples = dict[tuple[str, ...], float]


def read(path: Path, job_name: str | None = None) -> Samples:
    """Return the samples of a file as Prometheus parses them: by name, and the fate or rule; of a job, or of all."""
    text = path.read_text()
    assert text.endswith("\n")
    found: Samples = {}
    for family in families(text):
        assert family.type == "gauge"
        assert family.documentation == FAMILIES[family.name.removeprefix("aam_inbound_")]
        for sample in family.samples:
            labels = dict(sample.labels)
            name = labels.pop("job_name")
            assert {"command", "job_file"} <= set(labels)
            if job_name in (None, name):
                key = (
                    sample.name.removeprefix("aam_inbound_"),
                    *(labels[each] for each in ("fate", "rule") if each in labels),
                )
                assert key not in found
                found[key] = sample.value
    return found


@pytest.fixture
def metered(run: Run) -> Run:
    run.job["report"]["metrics"] = str(run.folder / "aam.prom")
    return run


def test_a_run_leaves_its_figures(metered: Run) -> None:
    report = metered.convert(TABLE)
    found = read(metered.folder / "aam.prom")
    ended = found.pop(("last_run_timestamp_seconds",))
    assert found.pop(("last_success_timestamp_seconds",)) == ended > 1.7e9
    assert found.pop(("last_run_seconds",)) == pytest.approx(report.seconds, abs=1)
    (rule,) = report.records["rejected"]
    assert found == {
        ("last_run_exit_code",): 0,
        ("rows", "read"): 4,
        ("rows", "written"): 2,
        ("rows", "rejected"): 1,
        ("rows", "skipped"): 1,
        ("rows_rejected", rule): 1,
        ("rows_skipped", "no_signal"): 1,
        ("input_bytes",): len(TABLE),
        ("parts",): 1,
        ("parts_bytes",): report.parts[0].bytes,
        ("retries",): 0,
        ("warnings",): len(report.warnings),
    }


def test_all_metrics_are_documented_and_explained_in_the_file(metered: Run) -> None:
    metered.convert(TABLE)
    page = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text()
    text = (metered.folder / "aam.prom").read_text()
    for name in FAMILIES:
        assert f"`aam_inbound_{name}`" in page
        assert text.count(f"# TYPE aam_inbound_{name} gauge\n") == 1


def test_the_lock_is_all_that_is_left_beside_the_file(metered: Run) -> None:
    metered.convert(TABLE)
    assert {path.name for path in metered.folder.glob("*aam.prom*")} | {
        path.name for path in metered.folder.glob(".*")
    } == {"aam.prom", ".aam.prom.lock"}
    assert (metered.folder / "aam.prom").stat().st_mode & 0o777 == 0o644


def test_a_failure_keeps_the_time_of_the_last_success(metered: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    metered.convert(TABLE)
    path = metered.folder / "aam.prom"
    success = read(path)[("last_success_timestamp_seconds",)]
    with raises(TooManyRejectsError, "E-TOO-MANY-REJECTS"):
        metered.convert(TABLE, report={"max_rejects": "0"}, output={"timestamp": 1_366_545_718})
    found = read(path)
    assert found[("last_success_timestamp_seconds",)] == success
    assert found[("last_run_timestamp_seconds",)] >= success
    assert (found[("last_run_exit_code",)], found[("rows", "read")], found[("parts",)]) == (3, 4, 0)


def test_a_job_that_never_succeeded_has_a_success_at_zero(metered: Run) -> None:
    with pytest.raises(ConverterError):
        metered.convert(input={"path": str(metered.folder / "missing.csv")})
    found = read(metered.folder / "aam.prom")
    assert found[("last_success_timestamp_seconds",)] == 0
    assert (found[("last_run_exit_code",)], found[("rows", "read")]) == (1, 0)


def test_rules_of_an_earlier_run_are_gone(metered: Run) -> None:
    metered.convert(TABLE)
    metered.convert("id,a\ncustomer-0001,x\n", output={"timestamp": 1_366_545_718})
    assert {key for key in read(metered.folder / "aam.prom") if "rule" in key[0] or key[0] == "rows_rejected"} == set()


def test_a_run_that_was_stopped_leaves_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(TABLE)
    write_job(tmp_path, "a", 1)
    ended(begun(tmp_path, AT_NOTE.format(event="made", times=1, number=15), ["convert", "a.toml"]))
    found = read(tmp_path / "aam.prom", "a")
    assert (found[("last_run_exit_code",)], found[("parts",)]) == (143, 0)


def test_nothing_is_written_where_no_report_is(metered: Run) -> None:
    with raises(JobError, "E-COLUMN-MISSING"):
        metered.convert(TABLE, record={"signals": ["nothing"]})
    assert not (metered.folder / "aam.prom").exists()


def test_nothing_to_do_changes_nothing(metered: Run) -> None:
    metered.convert(TABLE)
    before = (metered.folder / "aam.prom").read_bytes()
    assert metered.convert(resume=True).outcome == "nothing to do"
    assert (metered.folder / "aam.prom").read_bytes() == before


# --- one file for several jobs ----------------------------------------------------------------------------------


def write_job(folder: Path, name: str, dpid: int, metrics: str = "aam.prom") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(
        f"input.path = 'in.csv'\nid.column = 'id'\nrecord.signals = ['a']\n"
        f"output = {{ to = 'out', dpid = {dpid} }}\nreport = {{ metrics = {json.dumps(metrics)}, max_rejects = '50%' }}\n"
    )
    return path


def test_jobs_keep_each_others_lines(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(TABLE)
    jobs = [write_job(tmp_path, name, dpid) for name, dpid in (("a", 1), ("b", 2), ("a b", 3))]
    for job in jobs:
        convert(job)
    for job in jobs:
        assert read(tmp_path / "aam.prom", job.stem)[("rows", "read")] == 4
    before = read(tmp_path / "aam.prom", "a")
    (tmp_path / "in.csv").write_text("id,a\ncustomer-0001,x\n")
    convert(jobs[1])
    assert read(tmp_path / "aam.prom", "a") == before
    assert read(tmp_path / "aam.prom", "b")[("rows", "read")] == 1


def test_a_send_of_a_job_has_lines_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(TABLE)
    job = write_job(tmp_path, "a", 1)
    (part,) = convert(job).parts
    send([tmp_path / "out" / part.name], Job.load(job, {"output": {"to": str(tmp_path / "sent")}}))
    text = (tmp_path / "aam.prom").read_text()
    for name in ("convert", "send"):
        assert text.count(f'aam_inbound_parts{{command="{name}",job_name=') == 1
    assert 'rows{command="send"' not in text


def test_jobs_that_end_together_lose_no_lines(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(TABLE)
    names = [f"job{number}" for number in range(4)]
    for number, name in enumerate(names, 1):
        write_job(tmp_path, name, number)
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom converter import Job\nfrom converter.commands import metrics\n"
        "from converter.report import Report\nfrom converter import convert\n"
        "job = Job.load(sys.argv[1])\nreport = convert(job)\n"
        "for _ in range(50): assert metrics.write_metrics(job, report) == []\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, f"{name}.toml"], cwd=tmp_path, env=ENVIRONMENT) for name in names
    ]
    assert [process.wait(120) for process in running] == [0] * len(names)
    for name in names:
        assert read(tmp_path / "aam.prom", name)[("rows", "read")] == 4


@pytest.mark.parametrize("name", ['say "x"', "back\\slash", "new\nline", "ümlaut", "x{y},z=\u2028"])
def test_names_are_escaped(name: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(TABLE)
    job = write_job(tmp_path, name, 1)
    for timestamp in (1, 2):
        convert(Job.load(job, {"output": {"timestamp": 1_366_545_717 + timestamp}}))
    assert read(tmp_path / "aam.prom", name.replace("\u2028", "?"))[("rows", "read")] == 4


def test_a_value_of_the_environment_stays_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED", "very-secret")
    folder = tmp_path / "very-secret"
    folder.mkdir()
    (folder / "in.csv").write_text(TABLE)
    convert(write_job(folder, "a", 1, "../${FEED}/aam.prom"))
    text = (folder / "aam.prom").read_text()
    assert "very-secret" not in text
    assert "${FEED}" in text


# --- what cannot be written -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["aam.txt", "https://example.com/aam.prom", "s3://bucket/aam.prom"])
def test_what_no_collector_reads_is_refused(path: str, run: Run) -> None:
    with raises(JobError, "E-JOB-INVALID", "report.metrics", ".prom"):
        run.make_job(report={"metrics": path})


def in_no_folder(folder: Path) -> None:
    del folder


def of_others(folder: Path) -> None:
    (folder / "m").mkdir()
    (folder / "m" / "aam.prom").write_text("# TYPE other gauge\nother 1\n")


def no_text(folder: Path) -> None:
    (folder / "m").mkdir()
    (folder / "m" / "aam.prom").write_bytes(b"\xff\xfe")


def a_folder(folder: Path) -> None:
    (folder / "m" / "aam.prom").mkdir(parents=True)


def a_pipe(folder: Path) -> None:
    (folder / "m").mkdir()
    os.mkfifo(folder / "m" / "aam.prom")


def below_a_file(folder: Path) -> None:
    (folder / "m").write_text("")


BAD = [in_no_folder, below_a_file, of_others, no_text, a_folder, a_pipe]


@pytest.mark.parametrize("before", BAD)
def test_metrics_that_cannot_be_written_are_a_warning(before: Callable[[Path], None], run: Run) -> None:
    before(run.folder)
    path = run.folder / "m" / "aam.prom"
    content = path.read_bytes() if path.is_file() else None
    report = run.convert(TABLE, report={"metrics": str(path)})
    assert (report.outcome, len(run.files)) == ("done", 1)
    assert "W-METRICS-LOST" in [each.code for each in report.warnings]
    assert "W-METRICS-LOST" in [each["code"] for each in run.report["warnings"]]
    assert (path.read_bytes() if path.is_file() else None) == content


def of_metrics(run: Run, path: Path) -> list[Finding]:
    """What `doctor` finds out about the metrics of a job."""
    run.write(TABLE)
    found = doctor(run.make_job(report={"metrics": str(path)}))
    return [each for each in found if each.message.startswith("The metrics") or "of the metrics" in each.message]


@pytest.mark.parametrize("before", BAD)
def test_doctor_warns_of_metrics_that_cannot_be_written(before: Callable[[Path], None], run: Run) -> None:
    before(run.folder)
    (found,) = of_metrics(run, run.folder / "m" / "aam.prom")
    assert found.code == "W-METRICS-LOST"
    assert str(run.folder / "m") in found.message


def test_doctor_says_that_metrics_can_be_written_and_leaves_nothing(
    metered: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = metered.folder / "aam.prom"
    metered.write(TABLE)
    for number in range(2):
        before = sorted(metered.folder.rglob("*"))
        (found,) = of_metrics(metered, path)
        assert (found.level, str(path) in found.message) == ("ok", True)
        assert sorted(metered.folder.rglob("*")) == before
        metered.convert(TABLE, output={"timestamp": TIMESTAMP + number})  # the next time there are some
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))  # not as root
    assert codes_of(of_metrics(metered, path)) == ["W-METRICS-LOST"]


def test_doctor_warns_of_metrics_that_go_with_the_container(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("needs /proc")
    found = of_metrics(run, Path("/dev/shm/aam-of-no-collector.prom"))
    assert codes_of(found) == ["W-METRICS-VANISH"]
    assert "in memory" in found[1].message


def test_a_warning_of_a_failed_run_is_in_its_report(run: Run) -> None:
    with pytest.raises(ConverterError):
        run.convert("id,a\n", report={"metrics": str(run.folder / "m" / "aam.prom")})
    assert "W-METRICS-LOST" in [each["code"] for each in run.report["warnings"]]


def test_a_lock_that_is_not_released_is_not_waited_for_forever(metered: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_LOCK_SECONDS", 0.1)
    with metrics._locked(metered.folder / ".aam.prom.lock"):
        report = metered.convert(TABLE)
    assert "W-METRICS-LOST" in [each.code for each in report.warnings]


def test_the_command_prints_the_warning(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(TABLE)
    write_job(tmp_path, "a", 1, "none/aam.prom")
    code, _, error = command(tmp_path, "convert", "a.toml")
    assert code == 0
    assert error.count("Warning [W-METRICS-LOST]") == 1


def test_labels_of_a_job_are_no_beginning_of_those_of_another() -> None:
    labels = [Owner("convert", name, file).labels for name, file in (("a", ""), ("a", "/a"), ('a"', ""), ("a\\", ""))]
    assert not [(one, other) for one in labels for other in labels if one is not other and other.startswith(one)]
