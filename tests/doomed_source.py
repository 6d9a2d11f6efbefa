"""The data source `aam_inbound` whose run ends between two publications, as if its driver was killed there."""

from __future__ import annotations

from typing import Any

import pytest

from converter.spark import AamInbound

_KEEPER = "from converter.spark.keeper import main; main()"
DOOMED = "from tests.doomed import Moment, doom; doom(Moment(event='published', times=2)); "


class DoomedSource(AamInbound):
    """The data source. Spark makes it in a process of its own, and asks it there for the writer, which begins the run."""

    def writer(self, schema: Any, overwrite: bool) -> Any:
        """Return the writer."""
        with pytest.MonkeyPatch.context() as patch:  # the process serves other writes too
            patch.setattr("converter.spark.kept._KEEPER", ["-c", DOOMED + _KEEPER])
            return super().writer(schema, overwrite)
