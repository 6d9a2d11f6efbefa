"""Measures the converter beside other ways to do the same, on generated data.

`python -m benchmarks --help` lists the commands.
"""

from __future__ import annotations


class BenchmarkError(Exception):
    """What went wrong, in a sentence for whoever runs the benchmark."""
