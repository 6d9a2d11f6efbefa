"""What is reported about a run."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import Field, field_validator

from converter.jobs.document import Section
from converter.jobs.paths import PathKey, is_local_or_bucket, is_url
from converter.jobs.values import Number, PathText


class ReportOptions(Section):
    """What is reported about a run."""

    dir: Annotated[PathText, PathKey(stays=is_url)] = "reports"
    """The folder for the report, the rejects, the journal and its lock; by default beside the job file. It may be
    `"s3://BUCKET/PREFIX"`: another machine can then finish a run with `--resume`. See docs/containers.md."""
    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = 30
    """With `report.dir` or `delta.state` on S3: for how many seconds the lock of a job or a state lasts that its run
    does not renew. A run that died is resumed after this time at the earliest."""
    max_rejects: str = "10%"
    """The maximum number or percentage of rejected rows. If more are rejected, nothing is published. A run stops as
    soon as it is certain that more will be: with a percentage, on an estimate of all rows that is rather too high.
    Skipped rows do not count."""
    max_change: str | None = None
    """The maximum difference, such as `"50%"`, of the rows read and of the bytes written from the median of the last
    five delivered runs of the job; `"off"` for no limit. By default `"50%"` with `output.mode = "overwrite"`, where a
    short file erases data, else `"off"`. See docs/guards.md."""
    max_cleared: str = "0"
    """The maximum number or percentage of rows that clear users (`record.empty = "clear"`). If more do, nothing is
    published. `--yes` is `100%`."""
    rejects_file_rows: Annotated[Number, Field(ge=0)] = 1_000_000
    """The maximum number of rows in the rejects file. Further ones are counted by rule in its last line."""
    traits: Annotated[PathText | None, PathKey()] = None
    """The traits of Audience Manager, as its API returns them, in JSON or CSV: signals are compared with them, and the
    report says what the receipt will say, and which signals no trait takes. See docs/traits.md."""
    show_rows: bool = False
    """Whether the rejects contain the text of malformed rows; the file is then private (mode 0600)."""
    page: bool = True
    """Whether a run leaves `NAME.report.html` beside its report: the same as a page, which only this user can read
    (mode 0600). `aam-inbound report` makes it at any time. See docs/reports.md."""
    keep: str | None = None
    """The age in days, such as `"90d"`, after which reports, pages and rejects of the job are removed when it runs; by
    default they stay. Those of the six newest delivered runs stay, and those of a run that is not finished."""

    metrics: Annotated[PathText | None, PathKey(stays=is_url)] = None
    """A local file, such as `"/var/lib/node_exporter/aam.prom"`, to which each run writes its figures at its end, for
    Prometheus. Several jobs may share it. See docs/metrics.md."""

    @field_validator("metrics")
    @classmethod
    def _textfile(cls, path: str | None) -> str | None:
        if path is not None and (is_url(path) or not path.endswith(".prom")):
            raise ValueError("a local path that ends in .prom is needed, since collectors read no others")
        return path

    @field_validator("dir")
    @classmethod
    def _folder_or_bucket(cls, place: str) -> str:
        if not is_local_or_bucket(place):
            raise ValueError("reports and journals are written to a local folder, or to s3://BUCKET/PREFIX")
        return place

    @field_validator("keep")
    @classmethod
    def _days(cls, keep: str | None) -> str | None:
        if keep is not None and not re.fullmatch(r"[1-9][0-9]{0,5}d", keep):
            raise ValueError('a number of days, such as "90d"')
        return keep

    @field_validator("max_change")
    @classmethod
    def _percent_or_off(cls, most: str | None) -> str | None:
        if most is not None and most != "off" and not re.fullmatch(r"(?!0+(\.0+)?%)[0-9]+(\.[0-9]+)?%", most):
            raise ValueError('a percentage, such as "50%", or "off"')
        return most

    @field_validator("max_rejects", "max_cleared", mode="before", json_schema_input_type=int | str)
    @classmethod
    def _number_or_percent(cls, most: object) -> object:
        text = str(most).strip()
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%|[0-9]+", text)
        if not match or (match[1] and float(match[1]) > 100):
            raise ValueError('a number of rows, such as 1000, or a percentage, such as "10%", is needed')
        return text

    @property
    def keep_days(self) -> int:
        """The number of days of `keep`."""
        return int((self.keep or "0d")[:-1])

    @property
    def is_share(self) -> bool:
        """Whether `max_rejects` is a percentage."""
        return self.max_rejects.endswith("%")

    def allows(self, rejected: int, read: int) -> bool:
        """Whether a run may be published with `rejected` of `read` rows rejected."""
        return _is_within(self.max_rejects, rejected, read)

    def allows_cleared(self, cleared: int, read: int) -> bool:
        """Whether a run may be published with `cleared` of `read` rows that clear users."""
        return _is_within(self.max_cleared, cleared, read)


def _is_within(most: str, count: int, read: int) -> bool:
    """Return whether at most so many rows, or at most this percentage of those `read`, are `count`."""
    return count * 100 <= Decimal(most[:-1]) * read if most.endswith("%") else count <= int(most)
