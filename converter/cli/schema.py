"""`aam-inbound schema`."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work


def schema(
    *,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Print the JSON schema of the job file."""
    del json_, debug  # `Messages.of` looks for them
    return _made


def _made(messages: Messages) -> Outcome:
    del messages
    from converter.jobs.job import Job

    made = Job.model_json_schema()
    return Outcome(fields={"schema": made}, show=partial(_show, made), everything=True)


def _show(made: dict[str, Any]) -> None:
    print(json.dumps(made, indent=2))
