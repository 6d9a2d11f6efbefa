"""`aam-inbound schema`."""

from __future__ import annotations


def schema() -> None:
    """Print the JSON schema of the job file."""
    import json

    from converter.job import Job

    print(json.dumps(Job.model_json_schema(), indent=2))
