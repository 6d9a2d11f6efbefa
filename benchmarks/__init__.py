"""Measures the converter against other ways to do the same, on generated data: `python -m benchmarks --help`."""

from __future__ import annotations


class BenchmarkError(Exception):
    """What went wrong, in a sentence for whoever runs the benchmark."""
