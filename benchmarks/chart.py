"""`chart`: draws the kept results. The same results give the same files, byte for byte.

Colors are told apart by color-blind readers too (Okabe and Ito), and nothing depends on color alone: names and
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
from benchmarks.contenders import CONTENDERS
from benchmarks.machine import Machine
from benchmarks.options import OPTIONS
from benchmarks.results import (
    Comparison,
    Cores,
    CoreUse,
    Measured,
    OptionCosts,
    Scaling,
    comparison_path,
    cores_path,
    options_path,
    read,
    scaling_path,
)
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
_NAMES = {"ours": "aam-inbound", "ours-on-plain": "aam-inbound, plain CSV"}
_ROLE_COLORS = ("#0072B2", "#56B4E9", "#009E73", "#F0E442", "#E69F00", "#D55E00", "#CC79A7")  # Okabe and Ito
_LEAST_SHARE = 0.02  # of CPU seconds: roles with less are shown together
_MOST_RATIO = 5  # bars of so many times ours and more are cut


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
    options, cores, scaling = options_path(results), cores_path(results), scaling_path(results)
    if not comparisons and not any(path.exists() for path in (options, cores, scaling)):
        raise BenchmarkError(f"There are no results in '{results}': python -m benchmarks compare --help.")
    folder.mkdir(parents=True, exist_ok=True)
    with _styled():
        if comparisons:
            _save(_comparison_chart(comparisons), folder / "compare")
        if options.exists():
            _save(_options_chart(read(OptionCosts, options)), folder / "options")
        if cores.exists():
            _save(_cores_chart(read(Cores, cores)), folder / "cores")
        if scaling.exists():
            _save(_scaling_chart(read(Scaling, scaling)), folder / "scale")


def _shown(result: Comparison) -> list[Measured]:
    """Return the contenders that make the same lines."""
    return [each for each in result.contenders if not CONTENDERS[each.name].other_lines]


def _styled() -> AbstractContextManager[None]:
    import matplotlib as mpl

    style: AbstractContextManager[None] = mpl.rc_context(
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
    return style


def _save(figure: Figure, path: Path) -> None:
    # The layout's solver differs from run to run in the last digits, which rounding takes away.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        x, y, width, height = (round(number, 4) for number in axes.get_position().bounds)
        axes.set_position((x, y, width, height))
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
    most = max(len(_shown(each)) for each in comparisons)
    notes = [
        "Median of fresh processes taking turns; thin lines: least and most. ×: wall time in terms of ours. All outputs"
        " have the same lines, gzipped at the level nearest to ours in size where it can be set. floor: the finished "
        "lines through our compressor on all cores, and nothing else. Hatched: measured on one row in so many, and "
        "multiplied. Bars with a gap are longer than drawn.",
        _machine(comparisons[0].machine),
    ]
    figure = _figure(
        11, rows * (0.32 * most + 1.1) + 1.4, "Seconds from table to inbound files (less is better)", notes
    )
    for place, each in enumerate(comparisons, 1):
        _bars(figure.add_subplot(rows, columns, place), each)
    return figure


def _bars(axes: Axes, result: Comparison) -> None:
    """Draw a bar for each contender, the quickest on top. Those of slow ones, which would dwarf the others, are cut."""
    from matplotlib.ticker import MaxNLocator

    ranked = sorted(_shown(result), key=lambda each: each.wall)
    end = min(_MOST_RATIO * result.of_base.wall, max(max(each.walls) for each in ranked))
    for place, each in enumerate(ranked):
        color = {result.base: _OURS, "ours-on-plain": _CPU, "floor": _FLOOR}.get(each.name, _OTHERS)
        part = each.one_in > 1
        axes.barh(
            place,
            min(each.wall, end),
            height=0.68,
            color="white" if part else color,
            edgecolor=color,
            hatch="////" if part else None,
            linewidth=1,
        )
        cut = each.wall > end
        if cut:
            _cut_mark(axes, end * 0.94, place)
        elif len(each.walls) > 1:
            axes.plot(
                [min(each.walls), min(max(each.walls), end)],
                [place, place],
                color=_INK,
                linewidth=1,
                solid_capstyle="butt",
            )
        after = min(max(each.walls), end)
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
    axes.set_xlim(0, 1.3 * end)
    ticks = MaxNLocator(4, integer=end > 4).tick_values(0, end)
    axes.set_xticks([tick for tick in ticks if 0 <= tick < 0.92 * end])  # none where bars are cut
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.set_title(WORKLOADS[result.workload].title, loc="left", fontsize=11, pad=22)
    size = f"{_count(result.rows)} rows, {_bytes(result.input_bytes)} to {_bytes(result.text_bytes)} of lines"
    axes.annotate(size, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", fontsize=9, color=_FAINT)


def _cut_mark(axes: Axes, x: float, place: int) -> None:
    """Draw two slanted lines through a bar that is longer than it is drawn."""
    width = x * 0.008
    for color, thickness in ((_FAINT, 6), ("white", 4)):
        axes.plot(
            [x - width, x + width],
            [place + 0.4, place - 0.4],
            color=color,
            linewidth=thickness,
            solid_capstyle="butt",
            zorder=3,
        )


def _label(each: Measured, result: Comparison) -> str:
    name = _NAMES.get(each.name, each.name)
    if each.one_in > 1:
        return f"{name}, 1 row in {each.one_in}"
    return f"{name}, level {each.level}" if each.level is not None else name


def _options_chart(result: OptionCosts) -> Figure:
    notes = [
        "CPU seconds in terms of those of the plain job, within each turn: median; thin lines: least and most. Orange: "
        "goals. All jobs read the same number of rows.",
        _machine(result.machine),
    ]
    if alone := [each.name for each in result.options if len(each.runs) != len(result.of_base.runs)]:
        notes.insert(
            1, f"Measured apart from the others, and compared with the median of the plain job: {', '.join(alone)}."
        )
    title = f"What options cost: {_count(result.rows)} rows"
    figure = _figure(11, 0.27 * len(result.options) + 1.9, title, notes)
    seconds, memory = figure.subplots(1, 2, width_ratios=[1.6, 1], sharey=True)
    for place, each in enumerate(result.options):
        ratios = each.cpu_ratios(result.of_base)
        color = _OURS if each.name == result.base else _CPU
        seconds.barh(place, statistics.median(ratios), 0.68, color=color)
        seconds.plot([min(ratios), max(ratios)], [place, place], color=_INK, linewidth=1)
        goal = OPTIONS[each.name].goal
        _after(seconds, max(*ratios, goal), place, f"{statistics.median(ratios):.2f}")
        if goal:
            seconds.plot([goal, goal], [place - 0.4, place + 0.4], color=_FLOOR, linewidth=2, zorder=3)
        peak = max(each.peaks) / _MIB
        memory.barh(place, peak, 0.68, color=color)
        _after(memory, peak, place, f"{peak:,.0f}")
    seconds.set_yticks(range(len(result.options)), [each.name for each in result.options])
    seconds.invert_yaxis()
    for axes, text in ((seconds, "CPU seconds / plain"), (memory, "Highest peak memory, MiB")):
        axes.grid(axis="x")
        axes.margins(x=0.12)
        axes.tick_params(length=0)
        axes.set_title(text, loc="left", fontsize=11, pad=8)
    return figure


def _cores_chart(result: Cores) -> Figure:
    notes = [
        "Left: CPU seconds of threads by what they do, the start subtracted. Right: how many times as fast as on one "
        "core a run can be, if all but the busiest role whose threads do not grow with run.threads is spread over all "
        "cores. Roles with less than 2 % are shown as others.",
        _machine(result.machine),
    ]
    figure = _figure(11, 0.5 * len(result.uses) + 3.1, "How the converter uses cores", notes)
    roles, limits = figure.subplots(1, 2, width_ratios=[1.6, 1])
    _roles(roles, result.uses)
    counts = [1, 2, 4, 8, 16]
    limits.plot(counts, counts, color=_FAINT, dashes=(4, 3), linewidth=1, label="all cores")
    busiest = [use for use in result.uses if use.threads == max(each.threads for each in result.uses)]
    for use, marker, color in zip(busiest, "osD^v", _ROLE_COLORS, strict=False):
        speeds = [use.speed_up(count) for count in counts]
        limits.plot(counts, speeds, color=color, marker=marker, markersize=5, linewidth=2, label=use.workload)
    limits.set_xscale("log", base=2)
    limits.set_yscale("log", base=2)
    limits.set_xticks(counts, [str(count) for count in counts])
    limits.set_yticks(counts, [str(count) for count in counts])
    limits.legend(loc="upper left", frameon=False, fontsize=9)
    _finish(limits, "Highest possible speed-up by cores")
    return figure


def _roles(axes: Axes, uses: Sequence[CoreUse]) -> None:
    """Draw a bar for each run, in which each role has its part."""
    shares = [{role.name: role.cpu_seconds / use.cpu_seconds for role in use.roles} for use in uses]
    names = list(dict.fromkeys(name for each in shares for name in each))
    shown = [name for name in names if max(each.get(name, 0.0) for each in shares) >= _LEAST_SHARE]
    shown = sorted(shown, key=lambda name: -max(each.get(name, 0.0) for each in shares))[: len(_ROLE_COLORS)]
    for place, each in enumerate(shares):
        left = 0.0
        for number, name in enumerate([*shown, "others"]):
            share = each.get(name, 0.0) if name in shown else 1 - left
            color = _ROLE_COLORS[number] if name in shown else _OTHERS
            axes.barh(place, share, 0.68, left=left, color=color, label=None if place else name)
            left += share
        _after(axes, 1.0, place, f"{uses[place].cpu_seconds:.1f} s")
    axes.set_yticks(range(len(uses)), [f"{use.workload}, {use.threads} threads" for use in uses])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(length=0)
    axes.set_title("Share of CPU seconds", loc="left", fontsize=11, pad=8)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4, frameon=False, fontsize=9)


def _after(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=9)


def _scaling_chart(result: Scaling) -> Figure:
    title = f"How the converter scales: {WORKLOADS[result.workload].title}"
    notes = [
        "Median of fresh processes; thin lines: least and most. Runs with so many threads are held to as many cores."
    ]
    figure = _figure(11, 4.6, title, [*notes, _machine(result.machine)])
    seconds, memory, threads = figure.subplots(1, 3, width_ratios=[1.3, 1, 1])
    _times(seconds, result.sizes)
    _memory(memory, result.sizes)
    _threads(threads, result.threads)
    return figure


def _times(axes: Axes, sizes: Sequence[Measured]) -> None:
    """Draw wall time by rows, and a line in proportion to the first."""
    rows = [each.rows for each in sizes]
    slope = sizes[0].wall / rows[0]
    axes.plot([0, rows[-1]], [0, slope * rows[-1]], color=_FAINT, dashes=(4, 3), linewidth=1, label="in proportion")
    axes.plot(rows, [each.wall for each in sizes], color=_OURS, marker="o", markersize=5, linewidth=2, label="measured")
    for each in sizes:
        axes.plot([each.rows] * 2, [min(each.walls), max(each.walls)], color=_INK, linewidth=1, zorder=3)
        # On the side of the curve where the other line is not.
        quick = each.wall <= slope * each.rows
        axes.annotate(
            f"{_seconds(each.wall)} s",
            (each.rows, each.wall),
            (6, -4) if quick else (-6, 4),
            textcoords="offset points",
            ha="left" if quick else "right",
            va="top" if quick else "bottom",
            fontsize=9,
        )
    axes.set_xlim(0, rows[-1] * 1.16)
    axes.set_ylim(0, max(slope * rows[-1], *(max(each.walls) for each in sizes)) * 1.12)
    axes.set_xticks(rows, [_short(each) for each in rows])
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    _finish(axes, "Wall seconds by rows")


def _memory(axes: Axes, sizes: Sequence[Measured]) -> None:
    peaks = [statistics.median(each.peaks) / _MIB for each in sizes]
    for place, (each, peak) in enumerate(zip(sizes, peaks, strict=True)):
        axes.bar(place, peak, 0.62, color=_OURS)
        axes.plot([place, place], [min(each.peaks) / _MIB, max(each.peaks) / _MIB], color=_INK, linewidth=1)
        _above(axes, place, max(each.peaks) / _MIB, f"{peak:,.0f} MiB")
    axes.set_xticks(range(len(sizes)), [_short(each.rows) for each in sizes])
    axes.set_ylim(0, max(max(each.peaks) for each in sizes) / _MIB * 1.2)
    _finish(axes, "Peak memory by rows, MiB")


def _threads(axes: Axes, results: Sequence[Measured]) -> None:
    width = 0.36
    for name, shift, color in (("wall", -width / 2, _OURS), ("CPU", width / 2, _CPU)):
        runs = [each.walls if name == "wall" else each.cpus for each in results]
        for place, values in enumerate(runs):
            middle = statistics.median(values)
            axes.bar(place + shift, middle, width * 0.94, color=color, label=None if place else name)
            axes.plot([place + shift] * 2, [min(values), max(values)], color=_INK, linewidth=1)
            _above(axes, place + shift, max(values), f"{_seconds(middle)} s")
    axes.set_xticks(range(len(results)), [f"{each.threads}" for each in results])
    axes.set_xlim(-0.6, max(len(results), 2) - 0.4)
    axes.set_ylim(0, max(max(*each.walls, *each.cpus) for each in results) * 1.3)
    axes.legend(loc="upper right", frameon=False, ncols=2, fontsize=9, handlelength=1, borderaxespad=0.2)
    _finish(axes, f"Seconds by threads, {_count(results[0].rows)} rows")


def _above(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), (0, 4), textcoords="offset points", ha="center", fontsize=9)


def _finish(axes: Axes, title: str) -> None:
    axes.grid(axis="y")
    axes.tick_params(length=0)
    axes.set_title(title, loc="left", fontsize=11, pad=8)


def _machine(machine: Machine) -> str:
    return f"{machine.cores} cores, {machine.cpu}, {machine.memory_bytes / 2**30:.0f} GiB, {machine.system}"


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _count(rows: int) -> str:
    return f"{rows / 1e6:g} million" if rows >= 1_000_000 else f"{rows:,}"


def _short(rows: int) -> str:
    return f"{rows / 1e6:g} M" if rows >= 1_000_000 else f"{rows / 1e3:g} k"


def _bytes(size: int) -> str:
    return f"{size / _GB:.2f} GB" if size >= _GB else f"{size / 1e6:.1f} MB"
