"""Runs a job on a cluster of Apache Spark: its tasks make parts, its driver publishes them.

`engine` starts a run on the driver, and `conversion` is that run, which takes what tasks give.
`tasks` runs in the workers of Spark: it gives each partition to `staging`, which converts its rows as one machine does
and sends parts that stay invisible. `messages` is what goes there and back. Another input of tasks is a function in
`tasks`, with what it opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converter.spark.engine import convert

__all__ = ["convert"]


def __getattr__(name: str) -> object:
    """Import the public function on first use: workers import this package too, and need little of it."""
    if name != "convert":
        raise AttributeError(f"module 'converter.spark' has no attribute '{name}'")
    from converter.spark.engine import convert

    return convert
