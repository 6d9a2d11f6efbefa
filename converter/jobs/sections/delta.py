"""Which users are sent: all, or those that are new or changed since the last run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator

from converter.jobs.document import Section
from converter.jobs.paths import PathKey, is_local_or_bucket, is_url
from converter.jobs.sections.output import Output
from converter.jobs.values import Number, PathText


class Delta(Section):
    """Which users are sent."""

    state: Annotated[PathText | None, PathKey(stays=is_url)] = None
    """The folder for the state: what was sent for each user. Where it is set, only users are written that are new or
    changed since the last run that was delivered, and those whose last time is `delta.refresh_days` ago. It may be
    `"s3://BUCKET/PREFIX"`, with `report.dir` on S3 for machines that vanish. See docs/containers.md."""
    removals: bool = False
    """Whether the lines of changed users remove the traits that they lost (`d_unsid`); not with `output.mode =
    "overwrite"`. The state then holds the traits of each user."""
    gone: Literal["count", "remove"] = "count"
    """What becomes of users that are in the state but not in the input: `count` counts them, `remove` removes their
    traits; not with `output.mode = "overwrite"`. With `remove`, the state holds traits, and the IDs as they are
    sent."""
    refresh_days: Annotated[Number, Field(ge=1, le=10_000)] = 100
    """After how many days unchanged users are sent again at the latest; traits fall off after 120 days by default
    (T5). Each user is sent after a number of days of its own, from half of this on, so that no day sends
    everything."""
    full: bool = False
    """Whether all users are sent, and the state is renewed (`--full`)."""

    @field_validator("state")
    @classmethod
    def _folder_or_bucket(cls, place: str | None) -> str | None:
        if place is not None and not is_local_or_bucket(place):
            raise ValueError("the state is kept in a local folder, or at s3://BUCKET/PREFIX")
        return place

    def problems(self, output: Output) -> Iterator[str]:
        """Yield what does not fit the other settings of a job, in sentences."""
        if self.state is None:
            if self.model_fields_set:
                yield "delta.state is missing: the folder for what was sent for each user."
            return
        if output.kind.endswith("id-sync"):
            yield f"delta.state is for data files, but output.kind is '{output.kind}'."
        if output.mode == "overwrite" and self.removes:
            key = "delta.removals = true" if self.removals else "delta.gone = 'remove'"
            yield (
                f"{key} cannot be used with output.mode 'overwrite': Audience Manager ignores d_unsid there, since the "
                "line of a user replaces all of its traits (C4)."
            )

    @property
    def removes(self) -> bool:
        """Whether traits are removed, so that the state holds them."""
        return self.removals or self.gone == "remove"
