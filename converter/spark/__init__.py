"""Runs a job on a cluster of Apache Spark: its tasks make parts, its driver publishes them.

`engine` starts a run on the driver, and `conversion` is that run, which takes what tasks give.
`tasks` runs in the workers of Spark: it gives each partition to `staging`, which converts its rows as one machine does
and sends parts that stay invisible. `messages` is what goes there and back. Another input of tasks is a function in
`tasks`, with what it opens.

`source` writes for Spark itself (`frame.write`): the same run, which `keeper` keeps in a process of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converter.spark.engine import convert
    from converter.spark.source import AamInbound

__all__ = ["AamInbound", "convert"]


def __getattr__(name: str) -> object:
    """Import what is public on first use: workers import this package too, and need little of it."""
    if name == "convert":
        from converter.spark.engine import convert

        return convert
    if name == "AamInbound":
        from converter.spark.source import AamInbound

        return AamInbound
    raise AttributeError(f"module 'converter.spark' has no attribute '{name}'")
