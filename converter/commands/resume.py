"""What happens to the last run of a job when the job is run again.

| last run | without `resume` | with it, and the same input | with it, and another input |
|---|---|---|---|
| none | begin | begin | begin |
| died | begin, and abandon it | resume | `E-RESUME-INPUT` |
| finished | begin | nothing | begin |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from converter.delivery.delivery import Delivery
from converter.delivery.journal import PastRun
from converter.errors import Finding, ResumeError
from converter.sources.origins.base import Origin

if TYPE_CHECKING:
    from converter.parts.pgp import Key

Step: TypeAlias = Literal["begin", "resume", "nothing"]


def next_step(past: PastRun | None, *, resume: bool, is_same: Callable[[PastRun], bool]) -> Step:
    """Return what to do after the run `past`; `is_same` returns whether the input has not changed since.

    Raises `ResumeError` where that run cannot be resumed.
    """
    if past is None or not resume:
        return "begin"
    if is_same(past):
        return "nothing" if past.is_done else "resume"
    if past.is_done:
        return "begin"
    raise changed_input(past)


def changed_input(past: PastRun) -> ResumeError:
    """Return the error that a run cannot be resumed, since its input has changed."""
    visible = f" Of its parts, {len(past.published)} are visible." if past.published else ""
    if not past.run.input:
        return ResumeError(
            "E-RESUME-INPUT",
            f"The run {past.run.label} is not finished, and cannot be resumed: what pipes, frames and databases give "
            f"cannot be recognized when it is read again.{visible}",
            "Run without --resume: that abandons the unfinished run and begins a new one.",
        )
    return ResumeError(
        "E-RESUME-INPUT",
        f"The input is not what it was in the run {past.run.label}, which is not finished.{visible}",
        "Bring the other input back, or run without --resume: that abandons the unfinished run and begins a new one.",
    )


def check_key(past: PastRun, key: Key | None) -> None:
    """Raise `ResumeError` where `key` is not the one that parts of an earlier run are encrypted for."""
    if key and key.fingerprint != past.run.key:
        raise ResumeError(
            "E-RESUME-KEY",
            f"The parts of the run {past.run.name}, which is to be resumed, are encrypted for the key {past.run.key}, "
            f"but pgp.key holds {key.fingerprint}.",
            "Bring the other key back, or run without --resume to encrypt all parts for this one.",
        )


def check_engine(past: PastRun, engine: str) -> None:
    """Raise `ResumeError` where parts of an earlier run were made elsewhere than by `engine`."""
    if past.run.engine != engine:
        before, after = ("on Spark", "with") if past.run.engine else ("on one machine", "without")
        raise ResumeError(
            "E-RESUME-ENGINE",
            f"The run {past.run.name}, which is to be resumed, was begun {before}.",
            f"Resume it {after} --engine spark, or run without --resume: that abandons it and begins a new one.",
        )


def fingerprints(
    origins: Iterable[Origin], conceal: Callable[[str], str], lists: Iterable[Origin] = ()
) -> list[dict[str, Any]] | None:
    """Return the fingerprints of origins, as they are in a journal; None where an origin has none.

    Those of `lists`, which are read beside the input, are marked as `list`.
    A run is resumed only where they have not changed, so a run without them cannot be resumed.
    """
    marked: list[tuple[dict[str, bool], Origin]] = [({}, origin) for origin in origins] + [
        ({"list": True}, origin) for origin in lists
    ]
    prints = [(mark, origin.fingerprint()) for mark, origin in marked]
    known = [{**each, **mark, "path": conceal(each["path"])} for mark, each in prints if each is not None]
    return known if len(known) == len(prints) else None


def unseen_parts(delivery: Delivery) -> list[Finding]:
    """Return the warning that parts of an earlier run cannot be seen, if there are any."""
    if not delivery.unseen:
        return []
    return [
        Finding(
            "W-PARTS-UNSEEN",
            f"{len(delivery.unseen)} parts that had arrived cannot be seen, and count as delivered.",
            "Check the destination: parts that have disappeared are not sent again.",
        )
    ]
