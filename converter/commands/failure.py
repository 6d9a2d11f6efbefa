"""What happens when a run fails: what of it is removed, what is kept to be resumed, and what the error says of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from converter.delivery import stops
from converter.delivery.delivery import Delivery
from converter.delivery.hold import Hold
from converter.delivery.journal import Journal
from converter.delivery.publication import Artifact
from converter.errors import LOST, TAKEN_OVER, DestinationError, InputError, Reported, StoppedError


class FailedRun(NamedTuple):
    """A run that failed. `noun` is what messages call its parts, `retry` what to do when its names were lost.

    A run whose input can be read only once is not resumable.
    """

    delivery: Delivery
    journal: Journal
    hold: Hold
    artifacts: Sequence[Artifact] = ()
    noun: str = "parts"
    retry: str = "run again; if output.timestamp is set, use another one (N2)"
    is_resumable: bool = True

    def end(self, error: BaseException, *, publishing: bool, keep: bool = True) -> None:
        """Remove all of the run, or keep what can be resumed, and extend the error's message accordingly.

        A run that was `publishing` is always kept, unless it lost its names or its input before anything was visible.
        With `keep`, parts that have arrived are kept after an error of the destination.
        """
        stops.hold()
        delivery = self.delivery
        if isinstance(error, Reported) and error.code == TAKEN_OVER:
            delivery.leave()
        elif isinstance(error, Reported) and delivery.is_lost(error):
            self._discard()
            explain_lost(error, self.retry)
        elif publishing and (delivery.published or not isinstance(error, InputError)):
            if not delivery.is_visible:
                self.hold.keep()
            delivery.close()
            if isinstance(error, Reported):
                explain_published(error, delivery, self.noun)
        else:
            for artifact in self.artifacts:
                artifact.discard()
            is_kept = keep and self.is_resumable and isinstance(error, DestinationError) and bool(delivery.arrived)
            if is_kept:
                self.hold.keep()
                delivery.close()
            elif self._discard() and (self.is_resumable or not isinstance(error, DestinationError)):
                return
            if isinstance(error, Reported):
                explain_kept(error, len(delivery.published), self.noun, is_resumable=self.is_resumable)

    def _discard(self) -> bool:
        """Remove all that is not visible; return whether nothing at all is left of the run."""
        for artifact in self.artifacts:
            artifact.discard()
        is_gone = self.delivery.discard() and not self.delivery.published
        if is_gone:
            self.journal.remove()
        return is_gone


def explain_lost(error: Reported, retry: str) -> None:
    """Add to an error that the run lost its names to another one, and nothing of it is visible."""
    error.args = (error.code, error.message, f"Nothing of this run is visible, and nothing of it is left: {retry}.")


def explain_published(error: Reported, delivery: Delivery, noun: str) -> None:
    """Add to an error that came while parts were published which of them are visible."""
    visible, waiting = len(delivery.published), delivery.waiting
    count, arrived = visible + len(waiting), ", the others have arrived" if waiting <= delivery.arrived.keys() else ""
    state = f"{visible} of {count} {noun} are visible{arrived}" if waiting else f"All {noun} are visible"
    message = f"Stopped while the {noun} were published." if isinstance(error, StoppedError) else error.message
    hint = f"{state}: the same command with --resume finishes the run."
    if error.code in LOST:
        hint = f"{visible} of {count} {noun} are visible: --resume finishes the run once the other file is removed."
    error.args = (error.code, message, f"{error.hint} {hint}".lstrip())


def explain_kept(error: Reported, visible: int = 0, noun: str = "parts", *, is_resumable: bool = True) -> None:
    """Add to an error that the run can be resumed, or that it cannot."""
    message = "Stopped." if isinstance(error, StoppedError) else error.message
    count = f"{visible} {noun} are visible. " if visible else ""
    kept = "What has arrived is kept for --resume."
    if not is_resumable:
        kept = "The input can be read only once, so the run cannot be resumed."
    error.args = (error.code, message, f"{error.hint} {count}{kept}".lstrip())


def visible_parts(delivery: Delivery, conceal_path: Callable[[str], str]) -> tuple[str, ...]:
    """Return the URLs of the parts that are visible, in order."""
    names = [delivery.arrived[number].name for number in sorted(delivery.published) if number in delivery.arrived]
    return tuple(conceal_path(delivery.destination.url(name)) for name in names)
