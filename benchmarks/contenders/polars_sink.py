"""The contender `polars`: one lazy query on the streaming engine, into `sink_csv`."""

from __future__ import annotations

import os

from benchmarks.contenders import Task
from benchmarks.workloads import TRAIT_SEPARATOR

_BATCH_ROWS = 16_384  # the default of 1,024 is slower


def convert(task: Task) -> None:
    """Run the query. What is missing is null, and leaves its item null; `concat_str` leaves that out."""
    os.environ["POLARS_MAX_THREADS"] = str(task.threads)
    import polars as pl

    workload = task.workload
    if workload.format == "csv":
        scan = pl.scan_csv(task.glob, infer_schema=False)
    elif workload.format == "ndjson":
        scan = pl.scan_ndjson(task.path, schema=dict.fromkeys(workload.used, pl.String))
    else:
        scan = pl.scan_parquet(task.path)
    id_, traits = pl.col(workload.id), pl.col(workload.traits)
    if workload.columns[workload.traits] == "text":
        traits = traits.str.replace_all(TRAIT_SEPARATOR, ",d_sid=", literal=True)
    values = {name: pl.col(name) for name in workload.signals}
    for name in workload.quoted:
        values[name] = values[name].str.replace_all('"', "'", literal=True)
    items = [pl.format(f'"{name}"="{{}}"', value) for name, value in values.items()]
    joined = pl.concat_str(*items, pl.format("d_sid={}", traits), separator=",", ignore_nulls=True)
    rejected = id_.str.contains(":", literal=True) | id_.str.contains("@", literal=True)
    accepted = scan.filter(~rejected)
    if workload.gathered:
        accepted = accepted.group_by(id_).agg(pl.col(workload.traits).unique())
        joined = pl.format("d_sid={}", pl.col(workload.traits).list.sort().list.join(",d_sid="))
    lines = accepted.select(pl.format("{}\t{}", id_, joined))
    lines.sink_csv(
        task.target,
        compression="gzip",
        compression_level=task.level,
        check_extension=False,  # it wants .csv.gz
        include_header=False,
        quote_style="never",
        batch_size=_BATCH_ROWS,
        maintain_order=False,
    )
