"""The tests of what needs no cluster, once more: `make spark` asks that each error of `converter/spark/` is reached."""

from __future__ import annotations

from .test_engine_changes import run, test_a_state_that_a_worker_does_not_see_is_said
from .test_engines import *  # noqa: F403

__all__ = ["run", "test_a_state_that_a_worker_does_not_see_is_said"]
