"""The states of runs that send changes only (`kill_jobs.second_day`): each begins as the first day has left it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.commands.state import check_state
from converter.delivery.state_record import StateRecord
from converter.jobs.sections.servers import S3

from .doomed import ROOT
from .kill_jobs import DELTA, DPID, toml
from .machines import objects_in

if TYPE_CHECKING:
    from .kill import Server

_LOCK = "state.lock"
_HEADER = "id,a,t\n"


def first_state(folder: Path, table: str) -> Path:
    """Convert the table of the first day in a folder; return the folder of the state that this leaves."""
    folder.mkdir(exist_ok=True)
    (folder / "crm.csv").write_text(_HEADER + table)
    job = {
        "input": {"path": str(folder / "crm.csv")},
        "id": {"column": "id"},
        "record": {"signals": ["a"], "traits": ["t"]},
        "output": {"to": str(folder / "out"), "dpid": DPID},
        "report": {"dir": str(folder / "reports")},
        "delta": {"state": str(folder / "state"), **DELTA},
    }
    (folder / "job.toml").write_text(toml(job))
    command = [sys.executable, "-m", "converter", "convert", str(folder / "job.toml"), "--progress", "off"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return folder / "state"


class RunState:
    """The state of a run: in a folder, `path`, or in the bucket of a server that has one. It begins as `first` is."""

    def __init__(self, server: Server, path: Path, first: Path) -> None:
        self._bucket = server.bucket
        self._first = first
        self._path = path
        self._s3 = S3(**server.settings.get("s3", {}))
        self.url = str(path)
        if self._bucket:
            self.url = f"s3://{self._bucket.bucket}/states/{path.parent.name}-{path.name}"

    @property
    def sections(self) -> Mapping[str, Mapping[str, Any]]:
        """What a job says of it."""
        lease = {"report": {"lease_seconds": 1}} if self._bucket else {}
        return {"delta": {"state": self.url, **DELTA}, **lease}

    def begin(self) -> None:
        """Let it be as the first day has left it."""
        first = self._first
        if not self._bucket:
            shutil.copytree(first, self._path)
            self._path.chmod(0o700)
            return
        prefix = self.url.removeprefix(f"s3://{self._bucket.bucket}/")
        for path in first.rglob("*"):
            if path.is_file() and path.name != _LOCK:
                key = f"{prefix}/{path.relative_to(first)}"
                self._bucket.client.put_object(Bucket=self._bucket.bucket, Key=key, Body=path.read_bytes())

    def check_left(self, events: Collection[str]) -> None:
        """Fail unless it is whole: the old one or, of a run whose journal has these events, the new one."""
        record = self._checked()
        assert record.generation in (1, 2), f"generation {record.generation}"
        assert record.generation == 1 or {"publishing", "done"} & set(events), "a state of a run that is not published"

    def check_done(self) -> None:
        """Fail unless it is the new one, and nothing else is there."""
        record = self._checked()
        assert record.generation == 2, "the state is the old one"
        files = {f"{generation}/{name}" for generation, name in record.kept}
        left = self._names() - {_LOCK}
        assert left == {"salt", "state.json", *files}, f"the state has {sorted(left)}"

    def _checked(self) -> StateRecord:
        return check_state(self.url, self._s3).record  # which reads all of it

    def _names(self) -> set[str]:
        if self._bucket:
            return {name for name, _ in objects_in(self._bucket, self.url)}
        found = {str(path.relative_to(self._path)): path for path in self._path.rglob("*")}
        return {name for name, path in found.items() if path.is_file() or not any(path.iterdir())}
