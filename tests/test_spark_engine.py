"""The tests of what needs no cluster, once more: `make spark` asks that each error of `converter/spark/` is reached."""

from __future__ import annotations

from .test_engines import *  # noqa: F403
