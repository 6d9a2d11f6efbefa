"""`aam-inbound schema`."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work


def schema(*, json_: options.Json = False, debug: options.Debug = False) -> Work:
    """Print the JSON schema of the job file."""
    del json_, debug  # `Messages.of` reads them
    return _print_schema


def _print_schema(messages: Messages) -> Outcome:
    del messages
    from converter.jobs.job import Job

    document = Job.model_json_schema()
    return Outcome(fields={"schema": document}, show=partial(_show, document), prints_only=True)


def _show(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2))
