"""How many examples the tests of the kernel draw: fewer where they run once more, on what is installed."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

SHARE = "EXAMPLES_SHARE"


def examples(count: int, **more: Any) -> settings:
    """Return the settings of a test that draws so many examples, or the share of them that the environment asks for."""
    share = float(os.environ.get(SHARE, "1"))
    return settings(max_examples=max(10, round(count * share)), deadline=None, **more)
