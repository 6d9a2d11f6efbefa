"""Servers that tests send to, on 127.0.0.1: each is started by a test, and stopped."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def required(reason: str) -> NoReturn:
    """Skip a test whose server is not installed; where all are promised (`REQUIRE_SERVERS=1`), fail it."""
    if os.environ.get("REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
