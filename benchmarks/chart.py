"""`chart`: draws the kept results. The same results give the same files, byte for byte.

Colours are told apart by colour-blind readers too (Okabe and Ito), and nothing depends on colour alone: names and
numbers stand at every bar.
"""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import BenchmarkError
from benchmarks.machine import Machine
from benchmarks.results import Comparison, Measured, Scaling, comparison_path, read, scaling_path
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OURS = "#0072B2"
_FLOOR = "#E69F00"
_OTHERS = "#A3A9AF"
_CPU = "#56B4E9"
_INK = "#1F2328"
_FAINT = "#6E7781"
_GB = 1e9
_MIB = 2**20


def draw(results: Path, folder: Path) -> None:
    """Draw what is in `results` to `folder`, each chart as SVG and PNG.

    Raises `BenchmarkError` where there is nothing to draw, or nothing to draw with.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise BenchmarkError("Charts need matplotlib: pip install --group bench") from None
    mpl.use("agg")
    paths = [comparison_path(results, name) for name in WORKLOADS]
    comparisons = [read(Comparison, path) for path in paths if path.exists()]
    scaling = scaling_path(results)
    if not comparisons and not scaling.exists():
        raise BenchmarkError(f"There are no results in '{results}': python -m benchmarks compare --help.")
    folder.mkdir(parents=True, exist_ok=True)
    with _styled():
        if comparisons:
            _save(_comparison_chart(comparisons), folder / "compare")
        if scaling.exists():
            _save(_scaling_chart(read(Scaling, scaling)), folder / "scale")


def _styled() -> AbstractContextManager[None]:
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "svg.hashsalt": "aam-inbound-converter",
            "font.size": 10,
            "text.color": _INK,
            "axes.labelcolor": _FAINT,
            "axes.edgecolor": "#D0D7DE",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "xtick.color": _FAINT,
            "ytick.color": _FAINT,
            "grid.color": "#EAEEF2",
            "hatch.linewidth": 0.8,
        }
    )


def _save(figure: Figure, path: Path) -> None:
    # No date and no version, so that the files change only when the numbers do.
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    figure.savefig(path.with_suffix(".png"), dpi=160, metadata={"Software": None})


def _figure(width: float, height: float, title: str, notes: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    lines = [line for note in notes for line in textwrap.wrap(note, 165)]
    margin, above, below = 0.12 / height, 0.42 / height, 0.17 * len(lines) / height
    between = (0.01, below + 2 * margin, 0.98, 1 - below - 2 * margin - above)
    layout = ConstrainedLayoutEngine(rect=between, w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(width, height), facecolor="white", layout=layout)
    figure.text(0.012, 1 - 0.14 / height, title, fontsize=13, fontweight="bold", va="top")
    figure.text(0.012, margin, "\n".join(lines), fontsize=8, color=_FAINT, va="bottom", linespacing=1.4)
    return figure


def _comparison_chart(comparisons: Sequence[Comparison]) -> Figure:
    columns = min(2, len(comparisons))
    rows = -(-len(comparisons) // columns)
    most = max(len(each.contenders) for each in comparisons)
    notes = [
        "Median of fresh processes taking turns; thin lines: least and most. ×: wall time in terms of ours. All outputs"
        " have the same lines, gzipped at the level nearest to ours in size where it can be set. floor: the finished "
        "lines through our compressor on all cores, and nothing else. Hatched: measured on one row in so many, and "
        "multiplied.",
        _machine(comparisons[0].machine),
    ]
    figure = _figure(
        11, rows * (0.34 * most + 1.0) + 1.4, "Seconds from table to inbound files (less is better)", notes
    )
    for place, each in enumerate(comparisons, 1):
        _bars(figure.add_subplot(rows, columns, place), each)
    return figure


def _bars(axes: Axes, result: Comparison) -> None:
    """Draw a bar a contender, the quickest on top. Bars of slow ones that would dwarf the others are cut."""
    ranked = sorted(result.contenders, key=lambda each: each.wall)
    longest = max(each.wall for each in ranked if each.one_in == 1)
    end = 1.22 * longest
    room = 1.42 * longest
    for place, each in enumerate(ranked):
        colour = {result.base: _OURS, "floor": _FLOOR}.get(each.name, _OTHERS)
        part = each.one_in > 1
        axes.barh(
            place,
            min(each.wall, end),
            height=0.68,
            color="white" if part else colour,
            edgecolor=colour,
            hatch="////" if part else None,
            linewidth=1,
        )
        cut = each.wall > end
        if cut:
            _cut_mark(axes, end * 0.93, place)
        elif len(each.walls) > 1:
            axes.plot(
                [min(each.walls), max(each.walls)], [place, place], color=_INK, linewidth=1, solid_capstyle="butt"
            )
        after = end if cut else max(each.wall, *each.walls)
        text = f"{_seconds(each.wall)} s"
        if each.name != result.base:
            text += f"  {each.wall / result.of_base.wall:.1f}×"
        bold = "bold" if each.name == result.base else "normal"
        axes.annotate(text, (after, place), xytext=(5, 0), textcoords="offset points", va="center", fontweight=bold)
    axes.set_yticks(range(len(ranked)), [_label(each, result) for each in ranked])
    for tick, each in zip(axes.get_yticklabels(), ranked, strict=True):
        tick.set_color(_OURS if each.name == result.base else _INK)
        tick.set_fontweight("bold" if each.name == result.base else "normal")
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, room)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    title = f"{WORKLOADS[result.workload].title}: {_count(result.rows)} rows, {_bytes(result.input_bytes)}"
    axes.set_title(title, loc="left", fontsize=11, pad=8)


def _cut_mark(axes: Axes, x: float, place: int) -> None:
    """Draw two slanted lines through a bar that is longer than it is drawn."""
    width = axes.get_xlim()[1] * 0.006
    for shift in (0.0, 3 * width):
        axes.plot(
            [x + shift - width, x + shift + width], [place + 0.42, place - 0.42], color="white", linewidth=4, zorder=3
        )


def _label(each: Measured, result: Comparison) -> str:
    name = "aam-inbound" if each.name == "ours" else each.name
    if each.one_in > 1:
        return f"{name}, 1 row in {each.one_in}"
    return f"{name}, level {each.level}" if each.level is not None else name


def _scaling_chart(result: Scaling) -> Figure:
    title = f"How the converter scales: {WORKLOADS[result.workload].title}"
    notes = ["Median of fresh processes; lines at points: least and most. Threads: held to as many cores."]
    figure = _figure(11, 4.6, title, [*notes, _machine(result.machine)])
    seconds, memory, threads = figure.subplots(1, 3)
    rows = [each.rows / 1e6 for each in result.sizes]
    _line(seconds, rows, [each.walls for each in result.sizes], "{:,.1f} s")
    first = result.sizes[0]
    seconds.plot(
        [0, rows[-1]], [0, first.wall * rows[-1] / rows[0]], color=_FAINT, linestyle=(0, (4, 3)), linewidth=1, zorder=1
    )
    seconds.annotate(
        "in proportion to the first",
        (0.97, 0.04),
        xycoords="axes fraction",
        ha="right",
        fontsize=8,
        color=_FAINT,
    )
    seconds.set_title("Wall seconds by million rows", loc="left", fontsize=11, pad=8)
    peaks = [[peak / _MIB for peak in each.peaks] for each in result.sizes]
    _line(memory, rows, peaks, "{:,.0f} MiB")
    memory.set_title("Peak memory by million rows, MiB", loc="left", fontsize=11, pad=8)
    _threads(threads, result.threads)
    return figure


def _line(axes: Axes, places: Sequence[float], values: Sequence[Sequence[float]], form: str) -> None:
    middles = [statistics.median(each) for each in values]
    axes.plot(places, middles, color=_OURS, marker="o", markersize=5, linewidth=2, zorder=2)
    for place, middle, each in zip(places, middles, values, strict=True):
        axes.plot([place, place], [min(each), max(each)], color=_INK, linewidth=1, zorder=3)
        axes.annotate(
            form.format(middle), (place, max(each)), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9
        )
    axes.set_xlim(0, places[-1] * 1.18)
    axes.set_ylim(0, max(max(each) for each in values) * 1.25)
    axes.set_xticks(list(places), [f"{place:g}" for place in places])
    axes.grid(axis="y")


def _threads(axes: Axes, results: Sequence[Measured]) -> None:
    width = 0.36
    for place, each in enumerate(results):
        for shift, value, colour in ((-width / 2, each.wall, _OURS), (width / 2, each.cpu, _CPU)):
            axes.bar(place + shift, value, width * 0.94, color=colour)
            axes.annotate(
                f"{_seconds(value)} s",
                (place + shift, value),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
    axes.set_xticks(range(len(results)), [str(each.threads) for each in results])
    axes.set_xlim(-0.6, max(len(results), 2) - 0.4)
    axes.set_ylim(0, max(max(each.wall, each.cpu) for each in results) * 1.25)
    axes.grid(axis="y")
    axes.bar(0, 0, color=_OURS, label="wall")
    axes.bar(0, 0, color=_CPU, label="CPU")
    axes.legend(loc="upper right", frameon=False, ncols=2, fontsize=9, handlelength=1, borderaxespad=0.2)
    axes.set_title(f"Seconds by threads, {_count(results[0].rows)} rows", loc="left", fontsize=11, pad=8)


def _machine(machine: Machine) -> str:
    return f"{machine.cores} cores, {machine.cpu}, {machine.memory_bytes / 2**30:.0f} GiB, {machine.system}"


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _count(rows: int) -> str:
    return f"{rows / 1e6:g} million" if rows >= 1_000_000 else f"{rows:,}"


def _bytes(size: int) -> str:
    return f"{size / _GB:.2f} GB" if size >= _GB else f"{size / 1e6:.1f} MB"
