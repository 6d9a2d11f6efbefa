"""`all`: every step of a measurement, one after the other."""

from __future__ import annotations

from benchmarks import results
from benchmarks.changes import changes
from benchmarks.compare import compare, present
from benchmarks.cores import cores
from benchmarks.deliver import LOADS, deliver
from benchmarks.install import install
from benchmarks.measure import run_fresh
from benchmarks.option_costs import option_costs
from benchmarks.options import OPTIONS
from benchmarks.scale import powers, scale
from benchmarks.servers import SERVERS
from benchmarks.start import start
from benchmarks.workloads import INSTALL_ROWS, ON_CORES, PLAIN, WORKLOADS, Input

_FACTORS = (1, 2, 4, 8)
_THREADS = (2, 16)
_CONNECTIONS = 4
_STARTS = 5  # for each run: they are short


def everything(share: float, seed: int, runs: int) -> None:
    """Measure all with `share` of the workloads' rows, and draw charts of it."""
    sources = {
        name: Input(workload, max(1, round(workload.rows * share)), seed) for name, workload in WORKLOADS.items()
    }
    for name, source in sources.items():
        print(f"--- {name}: {source.workload.title}", flush=True)
        target = results.comparison_path(results.folder_for(source), name)
        compare(source, present(source.workload.contenders), runs, target)
        print()
    first = sources[PLAIN]
    folder = results.folder_for(first)
    print("--- options", flush=True)
    option_costs(list(OPTIONS), first.rows, seed, runs, results.options_path(folder))
    print("\n--- changes", flush=True)
    changes(first, runs, results.changes_path(folder))
    print("\n--- cores", flush=True)
    cores([sources[name] for name in ON_CORES], _THREADS, runs, results.cores_path(folder))
    print("\n--- start", flush=True)
    start(seed, _STARTS * runs, results.start_path(folder))
    print("\n--- deliver", flush=True)
    deliver(list(SERVERS), list(LOADS), _CONNECTIONS, min(share, 1.0), runs, results.deliveries_path(folder))
    print("\n--- install", flush=True)
    few = Input(first.workload, max(1, round(INSTALL_ROWS * share)), seed)
    install(few, results.install_path(folder))
    print("\n--- scale", flush=True)
    scale(first, _FACTORS, powers(), runs, results.scaling_path(folder))
    # In another process, as everything that needs large libraries.
    charts = results.charts_for(first)
    run_fresh("chart", "--results", str(folder), "--to", str(charts))
    print(f"\nThe charts are in {charts}.\n", flush=True)
    run_fresh("goals", "--results", str(folder), output=None)
