"""The options of the data source: all of them are texts, and most are keys of the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from converter.errors import JobError
from converter.jobs.document import parse_settings
from converter.jobs.job import Job

_JOB, _FLAGS = "job", ("accept_volume", "resume", "strict")
_TRUTHS = {"true": True, "false": False}


class Asked(NamedTuple):
    """What a write is asked to do: the job, and what `converter.convert` takes beside it."""

    job: Job
    accept_volume: bool = False
    resume: bool = False
    strict: bool = False


def asked_by(options: Mapping[str, str]) -> Asked:
    """Return what options ask for.

    `job` is the path of a job file, or the text of one, which has line breaks. Options with dots are keys of the job,
    with values as in `--set`, and take precedence. Raises `JobError`.
    """
    flags = {name: _truth(name, options[name]) for name in _FLAGS if name in options}
    keys = {name: text for name, text in options.items() if name != _JOB and name not in flags}
    settings = parse_settings(f"{name}={text}" for name, text in keys.items())
    given = options.get(_JOB)
    if given is None:
        return Asked(Job(**settings), **flags)
    return Asked(Job.loads(given, settings) if "\n" in given else Job.load(given, settings), **flags)


def _truth(name: str, text: str) -> bool:
    """Return the value of a flag."""
    found = _TRUTHS.get(text.lower())
    if found is None:
        raise JobError("E-JOB-INVALID", f"The option '{name}' is '{text}'.", "Set it to 'true' or 'false'.")
    return found
