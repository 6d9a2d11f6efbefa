"""The contender `ours-no-rules`: ours with loops that judge no row, to see what judging costs.

What parsing finds is found here too: rows that are not UTF-8, have too few or too many fields, or wrong quotes. Other
rows become lines even where they break a rule, so the lines are not those of the other contenders.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from benchmarks.contenders import Task, ours
from benchmarks.workloads import DATA, ROOT


def convert(task: Task) -> None:
    """Convert, and judge nothing. The loops are compiled the first time: that run is not to be measured."""
    from unittest.mock import patch

    from converter import kernel
    from converter.kernel.calls import Loops
    from converter.kernel.library import FOLDER, Library, digest_of

    path = DATA / f"unjudged-{digest_of(FOLDER)[:32]}.so"
    if not path.exists():
        _build(path)
    loops = Loops(Library(path))
    with patch.object(kernel, "load", lambda: loops):
        ours.convert(task)


def _build(path: Path) -> None:
    """Compile loops that judge nothing."""
    builder = runpy.run_path(str(ROOT / "hatch_build.py"))
    path.parent.mkdir(parents=True, exist_ok=True)
    builder["build"](path, builder["this_machine"](), "-DAAM_JUDGE=0", "-Wno-error")  # variables are unused then
