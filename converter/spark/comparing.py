"""Changes only, on Spark: a task compares all users of some files of the state, and makes these files of the next one.

It writes them apart: another attempt of the task may do the same. The driver, which holds the lock of the state, has
those adopted whose task counts, and removes all others when it publishes the next state.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Collection, Iterator

from converter.commands.changes import ComparedElsewhere
from converter.delivery.state import NextState, State
from converter.delivery.state_places import state_place_of
from converter.errors import DestinationError
from converter.rows.delta.stage import Changes
from converter.spark.messages import Assignment


class TaskChanges:
    """The comparison of a task, and the files that it makes."""

    def __init__(self, changes: Changes, made: NextState) -> None:
        self.changes = changes
        self._made = made

    def begin(self, files: Collection[int]) -> None:
        """Say which files of the state, in each set, have users of this task: all of their users have come."""
        self.changes.files = files

    def finish(self) -> ComparedElsewhere:
        """Return what became of the users, once all of them were compared. Raises `DestinationError`."""
        return ComparedElsewhere(self.changes.counts, self._made.made_apart())


@contextlib.contextmanager
def comparing(assignment: Assignment) -> Iterator[TaskChanges | None]:
    """Yield the comparison of an attempt of a task, if the job sends changes only. Raises `DestinationError`."""
    comparison, place = assignment.comparison, state_place_of(assignment.job)
    if comparison is None or place is None:
        yield None
        return
    with contextlib.closing(place), contextlib.ExitStack() as opened:
        opened.callback(place.stop_writing)
        made = NextState(place, "")
        try:
            made.begin_apart(State(place, comparison.record, b""))
        except OSError as error:
            raise DestinationError(
                "E-STATE-WRITE",
                f"Cannot write the state '{place.url}' on {platform.node()}, a machine of the cluster: "
                f"{error.strerror or error}.",
                "Put it where all machines of the cluster see it by this path, as the same user: on a shared file "
                "system, or on S3.",
            ) from error
        yield TaskChanges(Changes(comparison.options, made), made)
