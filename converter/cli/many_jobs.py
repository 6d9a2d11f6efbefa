"""Several jobs, one after another: each with its messages, then one table or one object for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from converter.cli.outcome import Messages, Outcome
from converter.delivery import stops
from converter.delivery.unexpected import reported
from converter.errors import ConverterError, GuardError, JobError, Reported, StoppedError
from converter.jobs.events import tell_error
from converter.jobs.job import Job

_OF_ONE_JOB = {
    "input.path": "--input",
    "input.format": "--format",
    "input.rejects_of": "--rejects-of",
    "id.column": "--id",
    "id.type": "--id-type",
    "record.signals": "--signal",
    "record.traits": "--trait",
    "output.dpid": "--dpid",
    "output.target": "--target",
    "output.mode": "--mode",
}
"""The options that say what one job is, by the keys that they set."""

_GOOD = ("done", "nothing to do")
_GOOD = ("done", "nothing to do")
_NOT_BEGUN = "not begun"
_WIDEST = 100_000  # characters, to learn how wide a table is
_TITLES = ("job", "outcome", "read", "written", "rejected", "skipped", "parts", "seconds")


class Ended(NamedTuple):
    """How a job ended: its file, and its outcome as plain data, as with `--json`; None where it was not begun."""

    path: str
    result: Mapping[str, Any] | None

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        return str(self.result["outcome"]) if self.result else _NOT_BEGUN

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        nothing: dict[str, Any] = {"outcome": self.outcome, "exit_code": None, "error": None, "warnings": []}
        return {"job_file": self.path, **(self.result or nothing)}

    def row(self) -> tuple[str, ...]:
        """Return the row of the table: empty cells where there is no figure."""
        result = self.result or {}
        code = (result.get("error") or {}).get("code")
        records = result.get("records")
        counts = (records["read"], records["written"], *_sums(records)) if records else ()
        parts = [len(result["parts"])] if "parts" in result else []
        figures = [f"{count:,}" for count in (*counts, *parts)]
        seconds = [f"{result['seconds']:,.1f}"] if "seconds" in result else []
        cells = [self.path, f"{self.outcome} [{code}]" if code else self.outcome, *figures, *seconds]
        return (*cells, *[""] * (len(_TITLES) - len(cells)))


def _sums(records: Mapping[str, Any]) -> Iterator[int]:
    for fate in ("rejected", "skipped"):
        yield sum(records[fate].values())


def check_options(flags: Mapping[str, Any]) -> None:
    """Raise `JobError` where options are given that say what one job is."""
    given = [name for key, name in _OF_ONE_JOB.items() if flags.get(key) is not None]
    if given:
        raise JobError(
            "E-USAGE",
            f"{', '.join(given)} cannot be used with several jobs: what each of them does is said in its file.",
            "Options such as --to, --set and --resume apply to all of them.",
        )


def run_all(jobs: Mapping[str, Job], run: Callable[[Job], Outcome], messages: Messages, *, shows_each: bool) -> Outcome:
    """Run jobs by the paths of their files, one after another, whatever became of those before; a signal ends all.

    Errors are printed as they come. With `shows_each` the results of each are printed too, for `--dry-run`.
    """
    ended: list[Ended] = []
    for number, (path, job) in enumerate(jobs.items(), 1):
        messages.begin_job(path, number, len(jobs))
        if (outcome := _outcome_of(job, run, messages)) is None:
            break
        if shows_each and outcome.exit_code in (0, 3) and not (messages.as_json or messages.quiet):
            print(f"{path}:")
            outcome.show()
            print()
        ended.append(Ended(path, outcome.fields))
        if stops.asked() is not None:
            break
    messages.end_jobs()
    ended += [Ended(path, None) for path in list(jobs)[len(ended) :]]
    error = _error_of(ended)
    return replace(
        Outcome.of(error) if error else Outcome(),
        fields={"jobs": [each.as_dict() for each in ended]},
        show=Outcome.show if messages.quiet or messages.events else partial(show, ended),
    )


def _outcome_of(job: Job, run: Callable[[Job], Outcome], messages: Messages) -> Outcome | None:
    """Return how a job ended, its error printed and released; None where a signal came before it began.

    An error refers to all that the run had in memory.
    """
    has_begun = False
    try:
        stops.release()
        has_begun = True
        outcome = run(job)
        stops.hold()
    except BaseException as error:  # a panic of Polars is not an `Exception`
        stops.hold()
        if not has_begun:
            return None
        failure = reported(error)
        tell_error(failure)
        outcome = Outcome.of(failure)
    if outcome.cause:
        messages.failed(outcome.cause)
    return replace(outcome, cause=None, fields=outcome.as_dict())


def _error_of(ended: Sequence[Ended]) -> Reported | None:
    """Return the error of all: a signal, else that some have failed, else that some were refused."""
    outcomes = Counter(each.outcome for each in ended)
    done = sum(outcomes.pop(name, 0) for name in _GOOD)
    counts = "".join(f", {count} {outcome}" for outcome, count in outcomes.items())
    message = f"{done} of {len(ended)} jobs done{counts}."
    number = stops.asked()
    if number is not None and outcomes.keys() & {"stopped", _NOT_BEGUN}:
        return StoppedError(number, f"Stopped: {message} The same command with --resume continues.")
    hint = "Their errors are above."
    if "failed" in outcomes:
        return ConverterError("E-JOBS-FAILED", message, hint)
    return GuardError("E-JOBS-REFUSED", message, hint) if outcomes else None


def show(ended: Sequence[Ended]) -> None:
    """Print the table of all jobs, or lines where the terminal is too narrow for it."""
    from rich.table import Table  # here, since it is slow, and most command lines have one job

    from converter.cli.console import console

    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in _TITLES:
        table.add_column(title, justify="left" if title in _TITLES[:2] else "right", no_wrap=True)
    rows = [each.row() for each in ended]
    for row in rows:
        table.add_row(*row)
    printer = console()
    if printer.measure(table, options=printer.options.update(max_width=_WIDEST)).maximum <= printer.width:
        printer.print(table)
        return
    for path, outcome, *figures in rows:
        facts = (f"{figure} {title}" for figure, title in zip(figures, _TITLES[2:], strict=True) if figure)
        print(f"{path}: {', '.join((outcome, *facts))}")
