"""`all`: every step of a measurement, one after the other."""

from __future__ import annotations

from benchmarks.compare import compare, present
from benchmarks.measure import run_fresh
from benchmarks.results import charts_for, comparison_path, folder_for, scaling_path
from benchmarks.scale import cores, scale
from benchmarks.workloads import WORKLOADS, Input

_FACTORS = (1, 2, 4, 8)


def everything(share: float, seed: int, runs: int) -> None:
    """Compare on every workload with `share` of its rows, scale `wide-csv`, and draw charts of it all."""
    sources = [Input(workload, max(1, round(workload.rows * share)), seed) for workload in WORKLOADS.values()]
    for source in sources:
        print(f"--- {source.workload.name}: {source.workload.title}", flush=True)
        target = comparison_path(folder_for(source), source.workload.name)
        compare(source, present(source.workload.contenders), runs, target)
        print()
    first = sources[0]
    print("--- scale", flush=True)
    scale(first, _FACTORS, cores(), runs, scaling_path(folder_for(first)))
    # In another process, as everything that needs large libraries.
    charts = charts_for(first)
    run_fresh("chart", "--results", str(folder_for(first)), "--to", str(charts))
    print(f"\nThe charts are in {charts}.")
