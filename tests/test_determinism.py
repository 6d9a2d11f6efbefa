"""The same input and job give the same bytes: golden files, threads in fresh processes, blocks of any size.

Nothing that works out what is expected imports the package: `reference.py` is plain Python, and the golden files
are text that was read by a person.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import reference

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parent.parent


def command(folder: Path, *arguments: str, threads: int) -> None:
    """Run the command line in a fresh process."""
    settings_ = [
        "--set",
        f"run.threads={threads}",
        "--to",
        str(folder / "out"),
        "--report-dir",
        str(folder / "reports"),
    ]
    environment = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
    subprocess.run(
        [sys.executable, "-m", "converter", "convert", *arguments, *settings_, "--progress", "off"],
        cwd=ROOT, env=environment, check=True, timeout=120,
    )  # fmt: skip


def parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()))
def test_golden_files(tmp_path: Path, case: str, threads: int) -> None:
    command(
        tmp_path,
        str(GOLDEN / case / "job.toml"),
        "--input",
        str(next((GOLDEN / case).glob("input.*"))),
        threads=threads,
    )
    found = {name.removesuffix(".gz"): gzip.decompress(data) if name.endswith(".gz") else data
             for name, data in parts(tmp_path).items()}  # fmt: skip
    expected = {path.name: path.read_bytes() for path in (GOLDEN / case / "expected").iterdir()}
    assert found == expected


def test_threads_and_batches_change_no_byte(tmp_path: Path) -> None:
    path = tmp_path / "crm.csv"
    rows = "".join(f'u{n},"v, {n % 913}",{n * 7919 % 10007}|{n % 13}\n' for n in range(60_000))
    path.write_text("id,a,t\n" + rows)
    flags = ["--id", "id", "--signal", "a", "--trait", "t", "--dpid", "1", "--set", "output.timestamp=1366545717"]
    flags += ["--set", "output.max_part_raw_bytes=1MB"]
    results = []
    for threads in (1, 2, 4):
        folder = tmp_path / str(threads)
        command(folder, str(path), *flags, threads=threads)
        results.append(parts(folder))
    assert len(results[0]) > 2
    for result in results[1:]:
        assert result.keys() == results[0].keys()
        for name, data in result.items():
            assert data == results[0][name], differences(results[0][name], data)


def differences(one: bytes, other: bytes) -> str:
    """Say where two parts differ, and whether their texts do: which half of the pipeline is to blame."""
    texts = [zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[10:]) for data in (one, other)]
    found = ["the text is the same" if texts[0] == texts[1] else "the text differs"]
    for what, first, second in (("text", *texts), ("part", one, other)):
        places = [place for place, (a, b) in enumerate(zip(first, second, strict=False)) if a != b]
        at = slice(max(0, places[0] - 40), places[0] + 40) if places else slice(0, 0)
        sizes = f"{len(first)} and {len(second)} bytes"
        found.append(f"{what}: {sizes}, {len(places)} differ, first: {places[:5]}: {first[at]!r} | {second[at]!r}")
    return "; ".join(found)


CELL = st.text(alphabet=st.sampled_from('abZ09 ,;|"\t\n\réλ😀:%3A@.-'), max_size=8)
TRAITS = st.lists(st.sampled_from(["7", "12", "x", "", " 5 ", "007"]), max_size=4).map("|".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL, TRAITS), min_size=1, max_size=30),
    block=st.integers(16, 400),
    on_bad_value=st.sampled_from(["clean", "drop", "reject"]),
    threads=st.integers(1, 3),
)
def test_any_table_in_blocks_of_any_size_gives_what_plain_python_makes_of_it(
    fresh_run: Any, rows: list[tuple[str, ...]], block: int, on_bad_value: str, threads: int
) -> None:
    run = fresh_run()
    record = {"signals": ["a", {"column": "b", "key": "k{}"}], "traits": ["t"], "on_bad_value": on_bad_value}
    table = pl.DataFrame([("first", "x", "", ""), *rows], schema=["id", "a", "b", "t"], orient="row")
    path = run.folder / "in.csv"
    table.write_csv(path, quote_style="always")
    expected = list(reference.lines(table.to_dicts(), {**run.job, "record": record}))

    from converter.sources import opening
    from converter.sources.delimited import DelimitedSource

    small = opening.FORMATS["csv"].__class__(
        (".csv",), lambda file, options: DelimitedSource(file, options, block=block), packable=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(opening.FORMATS, "csv", small)
        # The reference knows nothing of IDs that are implausible.
        changes = {"id": {"implausible": "allow"}, "output": {"max_part_raw_bytes": "400B"}}
        report = run.convert(record=record, run={"threads": threads}, **changes)
    assert run.text.decode() == "".join(filter(None, expected))
    assert report.records["read"] == len(table)
    assert report.records["written"] == len([line for line in expected if line])
    assert sum(report.records["rejected"].values()) == len(run.rejects) == expected.count(None)
    assert sum(report.records["skipped"].values()) == expected.count("")

    other = fresh_run()
    table.write_parquet(other.folder / "in.parquet")
    other.convert(input={"path": str(other.folder / "in.parquet")}, record=record, **changes)
    assert [part.read_bytes() for part in sorted(other.out.iterdir())] == [
        part.read_bytes() for part in sorted(run.out.iterdir())
    ]


@pytest.mark.parametrize("job", ["crm.toml"])
def test_the_sample_job_gives_what_plain_python_makes_of_it(tmp_path: Path, job: str) -> None:
    described = tomllib.loads((ROOT / "sample_data" / job).read_text())
    command(tmp_path, f"sample_data/{job}", threads=2)
    expected = [
        line
        for line in reference.lines(
            reference.read_csv(str(ROOT / "sample_data" / described["input"]["path"])), described
        )
        if line
    ]
    assert b"".join(map(gzip.decompress, parts(tmp_path).values())).decode() == "".join(expected)
    (report,) = (tmp_path / "reports").glob("*.report.json")
    assert json.loads(report.read_bytes())["records"]["written"] == len(expected)


def test_the_sample_data_is_what_its_script_makes(tmp_path: Path) -> None:
    script = tmp_path / "make.py"
    script.write_text((ROOT / "sample_data" / "make.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True, timeout=120)
    assert (tmp_path / "crm.csv").read_bytes() == (ROOT / "sample_data" / "crm.csv").read_bytes()
    assert pl.read_parquet(tmp_path / "crm.parquet").equals(pl.read_parquet(ROOT / "sample_data" / "crm.parquet"))
