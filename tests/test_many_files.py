"""Inputs of many files: each is read once, by any of its names, and costs as much as one of few."""

from __future__ import annotations

import cProfile
import os
import pstats
from collections.abc import Callable
from pathlib import Path

import pytest

from converter import convert
from converter.commands.progress import Progress

from .conftest import Run

OTHER_PATHS: dict[str, Callable[[Path], Path]] = {
    "relative": lambda path: Path(os.path.relpath(path)),
    "absolute": lambda path: path,
    "through its parent": lambda path: path.parent / ".." / path.parent.name / path.name,
    "with a dot": lambda path: Path(f"{path.parent}/./{path.name}"),
    "a symbolic link": lambda path: _linked(path, Path.symlink_to),
    "a hard link": lambda path: _linked(path, Path.hardlink_to),
    "a linked folder": lambda path: _linked_folder(path),
    "a glob": lambda path: path.parent / "in*.csv",
    "its folder": lambda path: path.parent,
}


def _linked(path: Path, link: Callable[[Path, Path], None]) -> Path:
    linked = path.parent.parent / f"another-{path.name}"
    link(linked, path)
    return linked


def _linked_folder(path: Path) -> Path:
    linked = path.parent.parent / "linked"
    linked.symlink_to(path.parent)
    return linked / path.name


@pytest.mark.parametrize("other", OTHER_PATHS)
@pytest.mark.parametrize("first", [True, False])
def test_a_file_is_read_once_by_whatever_paths(
    run: Run, other: str, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.folder / "data").mkdir()
    monkeypatch.chdir(run.folder)
    path = run.write("id,a\nu1,x\nu2,y\n", "data/in.csv")
    paths = [str(path), str(OTHER_PATHS[other](path))]
    if not first:
        paths.reverse()
    report = run.convert(input={"path": paths})
    assert run.lines == ['u1\t"a"="x"', 'u2\t"a"="y"']
    assert report.records["read"] == 2
    named = paths[0] if other not in ("a glob", "its folder") else str(path)
    assert [Path(file["path"]) for file in report.input] == [Path(named)]


def test_files_that_hold_the_same_are_not_one(run: Run) -> None:
    paths = [run.write("id,a\nu1,x\n", name) for name in ("one.csv", "two.csv")]
    for path in paths:
        os.utime(path, ns=(1, 1))
    assert run.convert(input={"path": [str(path) for path in paths]}).records["read"] == 2


def test_progress_goes_through_all_files_to_their_end(run: Run) -> None:
    (run.folder / "data").mkdir()
    # Files with one header would be read together.
    texts = [f"id,a\nu{number},x\n" if number % 2 else f"a,id\n{'x' * number},u{number}\n" for number in range(9)]
    sizes = [run.write(text, f"data/{number}.csv").stat().st_size for number, text in enumerate(texts)]
    seen: list[Progress] = []
    convert(run.make_job(input={"path": str(run.folder / "data")}), progress=seen.append)
    assert [progress.bytes_read for progress in seen] == [sum(sizes[: number + 1]) for number in range(9)]
    assert {progress.bytes_total for progress in seen} == {sum(sizes)}


@pytest.mark.parametrize("level", [{}, {"max_part_raw_bytes": "500B"}])
def test_what_a_file_costs_does_not_grow_with_their_number(tmp_path: Path, level: dict[str, int]) -> None:
    """Calls are counted, in the thread that has to do with every file; seconds would depend on the machine."""

    run = Run(tmp_path)

    def calls(count: int) -> int:
        folder = run.folder / f"data{count}"
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:04}.csv").write_text(f"id,a\nu{number},x\n")
        job = run.make_job(input={"path": str(folder)}, output={**level, "to": str(run.folder / f"out{count}")})
        profile = cProfile.Profile()
        assert profile.runcall(convert, job).records["written"] == count
        return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]

    calls(1)  # what is imported then is counted once
    few, some, many = calls(100), calls(200), calls(400)
    assert (many - some) / 200 == pytest.approx((some - few) / 100, rel=0.05)
