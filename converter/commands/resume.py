"""What becomes of the last run of a job, when the job is asked for again.

| last run | without `resume` | with it, and the same input | with it, and another input |
|---|---|---|---|
| none | begin | begin | begin |
| died | begin, and give it up | go on | `E-RESUME-INPUT` |
| finished | begin | nothing | begin |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from converter.delivery.delivery import Delivery
from converter.delivery.journal import Journal, Past
from converter.errors import LOST, Reported, ResumeError, StoppedError
from converter.jobs.job import Job
from converter.sources import Origin

if TYPE_CHECKING:
    from converter.parts.pgp import Key

Step: TypeAlias = Literal["begin", "go on", "nothing"]


def next_step(past: Past | None, *, resume: bool, is_same: Callable[[Past], bool]) -> Step:
    """Say what to do where `past` is the last run; `is_same` says whether the input is still what it was in it.

    Raises `ResumeError` where that run cannot go on.
    """
    if past is None or not resume:
        return "begin"
    if is_same(past):
        return "nothing" if past.is_done else "go on"
    if past.is_done:
        return "begin"
    raise another_input(past)


def another_input(past: Past) -> ResumeError:
    """Return the error that a run cannot go on, since its input is another one."""
    visible = f" Of its parts, {len(past.published)} are visible." if past.published else ""
    if not past.run.input:
        return ResumeError(
            "E-RESUME-INPUT",
            f"The run {past.run.called} is not finished, and cannot be resumed: its input could be read only once."
            f"{visible}",
            "Run without --resume: that abandons the unfinished run and starts a new one.",
        )
    return ResumeError(
        "E-RESUME-INPUT",
        f"The input is not what it was in the run {past.run.called}, which is not finished.{visible}",
        "Bring the other input back, or run without --resume: that gives the unfinished run up and starts anew.",
    )


def check_key(past: Past, key: Key | None) -> None:
    """Raise `ResumeError` unless parts are encrypted for the key for which those of an earlier run are."""
    if key and key.fingerprint != past.run.key:
        raise ResumeError(
            "E-RESUME-KEY",
            f"The parts of the run {past.run.name}, which is to be resumed, are encrypted for the key {past.run.key}, "
            f"but pgp.key holds {key.fingerprint}.",
            "Bring the other key back, or run without --resume to encrypt all parts for this one.",
        )


def fingerprints(origins: Iterable[Origin], conceal: Callable[[str], str]) -> list[dict[str, Any]] | None:
    """Return the fingerprints of origins as a journal keeps them; `None` where one has none.

    A run is resumed only if they are still the same, so one without them cannot be resumed.
    """
    prints = [origin.fingerprint() for origin in origins]
    known = [{**each, "path": conceal(each["path"])} for each in prints if each is not None]
    return known if len(known) == len(prints) else None


def tell_published(error: Reported, delivery: Delivery) -> None:
    """Say beside an error that came while parts were published what is visible now."""
    count, visible = len(delivery.arrived), len(delivery.published)
    done = (
        f"{visible} of {count} parts are visible, the others have arrived" if visible < count else "All parts are out"
    )
    message = "Stopped while the parts were published." if isinstance(error, StoppedError) else error.message
    finish = f"{done}: the same command with --resume finishes the run."
    if error.code in LOST:
        finish = f"{visible} of {count} parts are visible: --resume finishes the run once the other file is not there."
    error.args = (error.code, message, f"{error.hint} {finish}".lstrip())


def give_up_lost(error: Reported, delivery: Delivery, journal: Journal, job: Job) -> None:
    """Remove what is left of a run that has lost its names to another one before any of its parts was visible."""
    if delivery.discard():
        journal.remove()
    other = "" if job.output.timestamp is None else " with another output.timestamp (N2)"
    said = f"Nothing of this run is visible, and nothing of it stays: run again{other}."
    error.args = (error.code, error.message, said)


def tell_kept(error: Reported, visible: int = 0, *, resumable: bool = True) -> None:
    """Add to an error that there is something to resume or, where the run is not `resumable`, that there is not."""
    message = "Stopped." if isinstance(error, StoppedError) else error.message
    count = f"{visible} parts are visible. " if visible else ""
    kept = "What has arrived is kept for --resume."
    if not resumable:
        kept = "The input can be read only once, so the run cannot be resumed."
    error.args = (error.code, message, f"{error.hint} {count}{kept}".lstrip())


def visible_of(delivery: Delivery, conceal_path: Callable[[str], str]) -> tuple[str, ...]:
    """Return the URLs of the parts that are visible, in order."""
    names = [delivery.arrived[number].name for number in sorted(delivery.published) if number in delivery.arrived]
    return tuple(conceal_path(delivery.destination.url(name)) for name in names)
