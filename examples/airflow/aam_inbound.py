"""An operator for Apache Airflow that runs `aam-inbound convert`, and a DAG that runs it every night."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import DAG, BaseOperator


class AamInboundOperator(BaseOperator):
    """Converts by job files, or by a folder of them, and returns the outcome of each.

    `aam-inbound` is `command`, which may be in an environment of its own. Its messages go to the log of the task. A
    retry resumes what was interrupted, and does not repeat what is done. Where a retry cannot help, there is none: the
    job is wrong (exit code 2), or a guard has refused the run (3).
    """

    template_fields: Sequence[str] = ("jobs", "settings")

    def __init__(
        self, *, jobs: Sequence[str], settings: Sequence[str] = (), command: str = "aam-inbound", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.jobs = jobs
        self.settings = settings
        self.command = command
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Run the jobs; return their outcomes, counts of rows and reports."""
        del context
        options = [word for setting in self.settings for word in ("--set", setting)]
        line = [self.command, "convert", *self.jobs, *options, "--resume", "--json"]
        self._process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        out, _ = self._process.communicate()
        outcome = json.loads(out) if out else {}
        if code := self._process.returncode:
            message = f"aam-inbound ended with {code}: {(outcome.get('error') or {}).get('message')}"
            raise AirflowFailException(message) if code in (2, 3) else AirflowException(message)
        of_interest = ("job_file", "outcome", "records", "report_path")
        return [{key: each.get(key) for key in of_interest} for each in outcome.get("jobs", [outcome])]

    def on_kill(self) -> None:
        """Stop the run, which leaves what a retry resumes."""
        if self._process:
            self._process.terminate()


with DAG(
    "aam_inbound",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
):
    AamInboundOperator(
        task_id="convert",
        jobs=[os.environ.get("AAM_JOBS", "/etc/aam-inbound/jobs")],
        command=os.environ.get("AAM_COMMAND", "aam-inbound"),
    )
