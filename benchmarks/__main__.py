"""The command line of the benchmarks: `python -m benchmarks --help`.

Commands import what they need when they run: measured processes pay for nothing else, and the process that
measures them stays small.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.contenders import CONTENDERS
from benchmarks.options import OPTIONS
from benchmarks.workloads import (
    CHARTS,
    DATA,
    INSTALL_ROWS,
    ON_CORES,
    ON_SPARK,
    PLAIN,
    RESULTS,
    SEED,
    TRIALS,
    WORKLOADS,
    Input,
)

_DESCRIPTION = """\
Measure the converter and other ways to make the same lines, on generated tables.

`all` does everything: it generates the inputs, compares the contenders on each workload, measures options, the use of
cores, the start, the installation, growing inputs and numbers of threads, and draws charts. The other commands are its
steps. Inputs are kept in benchmarks/data. Results of full measurements go to benchmarks/results and their charts to
docs/charts; those of other numbers of rows are trials, and go to benchmarks/data/trials.
"""


def main() -> None:
    """Run the command line. Exit codes: 0 done; 1 failed, or outputs differ; 2 the command line is wrong."""
    arguments = _parser().parse_args()
    run: Callable[[argparse.Namespace], int | None] = arguments.function
    try:
        sys.exit(run(arguments) or 0)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


# --- what commands do -----------------------------------------------------------------------------------------------


def _all(arguments: argparse.Namespace) -> None:
    from benchmarks.everything import everything

    everything(arguments.scale, arguments.seed, arguments.runs)


def _generate(arguments: argparse.Namespace) -> None:
    from benchmarks.generate import generate
    from benchmarks.measure import size_of

    table = _input(arguments.workload, arguments, folder=arguments.to)
    generate(table)
    size = size_of(table.path)
    print(f"{table.path.name}: {table.rows:,} rows, {size:,} bytes, {size / table.rows:.1f} a row")


def _compare(arguments: argparse.Namespace) -> None:
    from benchmarks.compare import compare, present, profile
    from benchmarks.results import comparison_path, folder_for

    named = arguments.input in WORKLOADS
    source = _input(arguments.input, arguments) if named else Input.at(Path(arguments.input))
    names = list(dict.fromkeys(arguments.contender or present(source.workload.contenders)))
    target = arguments.json or comparison_path(folder_for(source), source.workload.name)
    compare(source, names, arguments.runs, target)
    if arguments.profile:
        profile(source)


def _options(arguments: argparse.Namespace) -> None:
    from benchmarks.option_costs import option_costs
    from benchmarks.results import folder_for, options_path

    source = _input(PLAIN, arguments)
    target = arguments.json or options_path(folder_for(source))
    option_costs(arguments.option or list(OPTIONS), source.rows, source.seed, arguments.runs, target)


def _changes(arguments: argparse.Namespace) -> None:
    from benchmarks.changes import changes
    from benchmarks.results import changes_path, folder_for

    source = _input(PLAIN, arguments)
    changes(source, arguments.runs, arguments.json or changes_path(folder_for(source)))


def _cores(arguments: argparse.Namespace) -> None:
    from benchmarks.cores import cores
    from benchmarks.results import cores_path, folder_for

    sources = [_input(name, arguments) for name in arguments.workload or ON_CORES]
    target = arguments.json or cores_path(folder_for(*sources))
    cores(sources, sorted(set(arguments.threads)), arguments.runs, target)


def _start(arguments: argparse.Namespace) -> None:
    from benchmarks.results import start_path
    from benchmarks.start import start

    start(arguments.seed, arguments.runs, arguments.json or start_path(RESULTS))


def _install(arguments: argparse.Namespace) -> None:
    from benchmarks.install import install
    from benchmarks.results import install_path

    source = _input(PLAIN, arguments)
    folder = RESULTS if source.rows == INSTALL_ROWS else TRIALS
    install(source, arguments.json or install_path(folder))


def _scale(arguments: argparse.Namespace) -> None:
    from benchmarks.results import folder_for, scaling_path
    from benchmarks.scale import powers, scale

    source = _input(arguments.workload, arguments)
    target = arguments.json or scaling_path(folder_for(source))
    scale(source, arguments.factors, arguments.threads or powers(), arguments.runs, target)


def _download(arguments: argparse.Namespace) -> None:
    from benchmarks.download import download

    download(_input(arguments.workload, arguments), arguments.runs)


def _upload(arguments: argparse.Namespace) -> None:
    from benchmarks.upload import upload

    upload(_input(arguments.workload, arguments), arguments.runs)


def _deliver(arguments: argparse.Namespace) -> None:
    from benchmarks.deliver import LOADS, deliver
    from benchmarks.results import deliveries_path
    from benchmarks.servers import SERVERS

    target = arguments.json or deliveries_path(RESULTS if arguments.scale == 1 else TRIALS)
    servers = arguments.server or list(SERVERS)
    deliver(servers, arguments.parts or list(LOADS), arguments.connections, arguments.scale, arguments.runs, target)


def _databases(arguments: argparse.Namespace) -> None:
    from benchmarks.databases import databases
    from benchmarks.results import databases_path, folder_for

    source = _input(PLAIN, arguments)
    databases(source, arguments.runs, arguments.json or databases_path(folder_for(source)))


def _spark(arguments: argparse.Namespace) -> None:
    from benchmarks.results import folder_for, spark_path
    from benchmarks.spark import spark

    source = _input(ON_SPARK, arguments)
    target = arguments.json or spark_path(folder_for(source))
    spark(source, arguments.runs, target, cores=arguments.cores)


def _chart(arguments: argparse.Namespace) -> None:
    from benchmarks.chart import draw

    draw(arguments.results, arguments.to)


def _goals(arguments: argparse.Namespace) -> None:
    from benchmarks.goals import goals

    goals(arguments.results)


def _levels(arguments: argparse.Namespace) -> None:
    from benchmarks.levels import levels

    for name in arguments.workload or WORKLOADS:
        levels(_input(name, arguments))


def _check(arguments: argparse.Namespace) -> int:
    from benchmarks.check import check

    workloads = [WORKLOADS[name] for name in arguments.workload or [PLAIN]]
    return 0 if check(workloads, arguments.rows, arguments.seed) else 1


def _run(arguments: argparse.Namespace) -> None:
    from benchmarks.contenders import run

    run(
        arguments.contender,
        WORKLOADS[arguments.workload] if arguments.workload else Input.at(arguments.input).workload,
        arguments.input,
        arguments.folder,
        threads=arguments.threads,
        level=arguments.level,
        option=arguments.option,
        run_threads=arguments.run_threads,
        told=arguments.tell,
        profile=arguments.profile,
    )


def _input(name: str, arguments: argparse.Namespace, folder: Path = DATA) -> Input:
    workload = WORKLOADS[name]
    return Input(workload, arguments.rows or workload.rows, arguments.seed, folder)


# --- what commands take ---------------------------------------------------------------------------------------------


class _Commands:
    """Adds commands to a parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        self, name: str, function: Callable[[argparse.Namespace], int | None], text: str
    ) -> argparse.ArgumentParser:
        """Add a command which `function` runs; `text` is its help."""
        command: argparse.ArgumentParser = self._commands.add_parser(name, help=text)
        command.set_defaults(function=function)
        return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(
            ["workloads:", *(f"  {each.name:15} {each.title}, {each.rows:,} rows" for each in WORKLOADS.values())]
        ),
    )
    commands = _Commands(parser)
    everything = commands.add("all", _all, "run all measurements and draw charts")
    everything.add_argument(
        "--scale", type=float, default=1.0, help="of the workloads' rows, such as 0.01 (default: %(default)s)"
    )
    _add_seed(everything)
    _add_runs(everything)
    _add_measurements(commands)
    _add_tools(commands)
    return parser


def _add_measurements(commands: _Commands) -> None:
    compare = commands.add("compare", _compare, "measure contenders in turns, outputs proven equal")
    compare.add_argument(
        "input", metavar="WORKLOAD|INPUT", help="a workload, generated if it does not exist, or the path of an input"
    )
    _add_rows(compare)
    text = f"repeatable: {', '.join(CONTENDERS)}; default: all that support the workload and are installed"
    compare.add_argument("--contender", action="append", choices=list(CONTENDERS), metavar="NAME", help=text)
    _add_runs(compare, keep=True)
    compare.add_argument(
        "--profile", action="store_true", help="also print where our CPU seconds go, with the rules and without"
    )

    options = commands.add("options", _options, "measure ours with each option, and the plain job")
    _add_rows(options)
    text = f"repeatable: {', '.join(OPTIONS)}"
    options.add_argument("--option", action="append", choices=list(OPTIONS), metavar="NAME", help=text)
    _add_runs(options, keep=True)

    changes = commands.add("changes", _changes, "measure ours with a state, when few users have changed")
    _add_rows(changes)
    _add_runs(changes, keep=True)

    cores = commands.add("cores", _cores, "measure CPU seconds of ours by role of threads, and what limits the cores")
    cores.add_argument("workload", nargs="*", choices=[*WORKLOADS, []], help=f"default: {', '.join(ON_CORES)}")
    _add_rows(cores)
    cores.add_argument("--threads", type=_count, nargs="+", default=[2, 16], help="run.threads (default: 2 16)")
    _add_runs(cores, keep=True)

    start = commands.add("start", _start, "measure a job of 1,000 rows and the import of Polars")
    _add_seed(start)
    _add_runs(start, 15, keep=True)

    install = commands.add("install", _install, "install into an empty environment, and run there")
    _add_rows(install, INSTALL_ROWS)
    _add_json(install)

    scale = commands.add("scale", _scale, "measure ours with several sizes of input and numbers of threads")
    scale.add_argument("--workload", choices=list(WORKLOADS), default=PLAIN, help="default: %(default)s")
    _add_rows(scale)
    scale.add_argument("--factors", type=_count, nargs="+", default=[1, 2, 4, 8], help="of --rows (default: 1 2 4 8)")
    scale.add_argument("--threads", type=_count, nargs="+", help="default: 1, 2, 4 … up to the cores")
    _add_runs(scale, keep=True)

    download = commands.add("download", _download, "measure ours from a file and from S3 on this machine")
    download.add_argument("--workload", choices=list(WORKLOADS), default=PLAIN, help="default: %(default)s")
    _add_rows(download)
    _add_runs(download)
    upload = commands.add("upload", _upload, "measure ours into a folder and to S3 on this machine")
    upload.add_argument("--workload", choices=list(WORKLOADS), default=PLAIN, help="default: %(default)s")
    _add_rows(upload)
    _add_runs(upload)

    databases = commands.add("databases", _databases, "measure ours from PostgreSQL by its URL and through COPY")
    _add_rows(databases)
    _add_runs(databases, keep=True)

    spark = commands.add("spark", _spark, "measure ours and Spark SQL on a cluster on this machine")
    _add_rows(spark)
    spark.add_argument("--cores", type=_count, default=1, help="of each of the two workers (default: %(default)s)")
    _add_runs(spark, keep=True)

    deliver = commands.add("deliver", _deliver, "measure ours and rclone, which send parts to servers on this machine")
    deliver.add_argument("--server", action="append", metavar="NAME", help="repeatable: rclone, moto, OpenSSH")
    deliver.add_argument("--parts", action="append", metavar="NAME", help="repeatable, such as '10 of 40 MB'")
    deliver.add_argument("--connections", type=_count, default=4, help="default: %(default)s")
    deliver.add_argument("--scale", type=float, default=1.0, help="of the parts' sizes (default: %(default)s)")
    _add_runs(deliver, keep=True)


def _add_tools(commands: _Commands) -> None:
    generate = commands.add("generate", _generate, "write the input of a workload")
    generate.add_argument("workload", choices=list(WORKLOADS))
    _add_rows(generate)
    generate.add_argument("--to", type=Path, default=DATA, metavar="FOLDER", help="default: benchmarks/data")

    chart = commands.add("chart", _chart, "draw the results as SVG and PNG")
    _add_results(chart)
    chart.add_argument("--to", type=Path, default=CHARTS, metavar="FOLDER", help="default: docs/charts")

    _add_results(commands.add("goals", _goals, "show what the results come to, and what we want"))

    levels = commands.add("levels", _levels, "measure sizes of outputs by gzip level, and keep the closest to ours")
    levels.add_argument("workload", nargs="*", choices=[*WORKLOADS, []], help="default: all")
    _add_rows(levels, 200_000)

    check = commands.add("check", _check, "compare the converter's lines with those of a plain script")
    check.add_argument("workload", nargs="*", choices=[*WORKLOADS, []], help=f"default: {PLAIN}")
    _add_rows(check, 1_000_000)

    run = commands.add("run", _run, "run one contender in this process, not measured: for profilers")
    run.add_argument("contender", choices=list(CONTENDERS))
    run.add_argument("input", type=Path, metavar="INPUT", help="for the floor, the lines as text")
    run.add_argument("folder", type=Path, metavar="OUTDIR", help="an empty folder, or one to be made")
    run.add_argument("--workload", choices=list(WORKLOADS), help="what INPUT contains, if its name does not say it")
    run.add_argument("--threads", type=int, default=0, help="limited to as many cores (default: one a core)")
    run.add_argument("--run-threads", type=int, default=0, help="as many threads, on all cores")
    run.add_argument("--level", type=int, help="of gzip, if it can be set (default: the one closest to ours)")
    run.add_argument("--option", default="", choices=list(OPTIONS), metavar="NAME", help="of `options`, for ours")
    run.add_argument("--profile", action="store_true", help="of ours: print where the CPU seconds went")
    run.add_argument("--tell", type=Path, metavar="FILE", help="write to a file what `cores` needs to know of threads")


def _add_rows(parser: argparse.ArgumentParser, default: int | None = None) -> None:
    shown = "%(default)s" if default else "all of the workload's"
    parser.add_argument("--rows", type=_count, default=default, help=f"default: {shown}")
    _add_seed(parser)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")


def _add_runs(parser: argparse.ArgumentParser, default: int = 3, *, keep: bool = False) -> None:
    parser.add_argument("--runs", type=_count, default=default, help="of each (default: %(default)s)")
    if keep:
        _add_json(parser)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the result is kept")


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="default: benchmarks/results")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    main()
