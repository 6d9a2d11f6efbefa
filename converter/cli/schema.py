"""`aam-inbound schema`."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any, Literal

import typer

from converter.cli import options
from converter.cli.outcome import Messages, Outcome, Work

Document = Literal["job", "report", "send-report", "rejects"]


def schema(
    document: Annotated[
        Document, typer.Argument(metavar="[DOCUMENT]", help="job, report, send-report, or rejects (each of its lines).")
    ] = "job",
    *,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Print the JSON schema of the job file, of a report or of the rejects."""
    del json_, debug  # `Messages.of` reads them
    return partial(_print_schema, document)


def _print_schema(document: Document, messages: Messages) -> Outcome:
    del messages
    from converter.jobs.job import Job
    from converter.report.schemas import schema_of

    found = Job.model_json_schema() if document == "job" else schema_of(document)
    return Outcome(fields={"schema": found}, show=partial(_show, found), prints_only=True)


def _show(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2))
