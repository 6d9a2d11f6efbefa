"""The command line of the benchmarks: `python -m benchmarks --help`.

Commands import what they need when they run: measured processes pay for nothing else, and the process that
measures them stays small.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.contenders import CONTENDERS
from benchmarks.options import OPTIONS
from benchmarks.workloads import CHARTS, DATA, INSTALL_ROWS, ON_CORES, PLAIN, RESULTS, SEED, TRIALS, WORKLOADS, Input

_DESCRIPTION = """\
Measure the converter beside other ways to make the same lines, on generated tables.

`all` does everything: it generates the inputs, compares the contenders on each workload, scales the input and the
threads, and draws charts. The other commands are its steps. Inputs are kept in benchmarks/data. Results of whole
measurements go to benchmarks/results and their charts to benchmarks/charts; those of other numbers of rows are trials,
and go to benchmarks/data/trials.
"""


def main() -> None:
    """Run the command line. Exit codes: 0 done; 1 failed, or outputs differ; 2 the command line is wrong."""
    arguments = _parser().parse_args()
    try:
        sys.exit(_run(arguments))
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "generate":
            from benchmarks.generate import generate
            from benchmarks.measure import size_of

            table = _input(arguments.workload, arguments, folder=arguments.to)
            generate(table)
            size = size_of(table.path)
            print(f"{table.path.name}: {table.rows:,} rows, {size:,} bytes, {size / table.rows:.1f} a row")
        case "run":
            from benchmarks.contenders import run

            workload = WORKLOADS[arguments.workload] if arguments.workload else Input.at(arguments.input).workload
            run(
                arguments.contender,
                workload,
                arguments.input,
                arguments.folder,
                threads=arguments.threads,
                level=arguments.level,
                option=arguments.option,
                run_threads=arguments.run_threads,
                told=arguments.tell,
                profile=arguments.profile,
            )
        case "compare":
            from benchmarks.compare import compare, present, profile
            from benchmarks.results import comparison_path, folder_for

            named = arguments.input in WORKLOADS
            source = _input(arguments.input, arguments) if named else Input.at(Path(arguments.input))
            names = list(dict.fromkeys(arguments.contender or present(source.workload.contenders)))
            target = arguments.json or comparison_path(folder_for(source), source.workload.name)
            compare(source, names, arguments.runs, target)
            if arguments.profile:
                profile(source)
        case "options":
            from benchmarks.option_costs import option_costs
            from benchmarks.results import folder_for, options_path

            source = _input(PLAIN, arguments)
            target = arguments.json or options_path(folder_for(source))
            option_costs(arguments.option or list(OPTIONS), source.rows, source.seed, arguments.runs, target)
        case "cores":
            from benchmarks.cores import cores
            from benchmarks.results import cores_path, folder_for

            sources = [_input(name, arguments) for name in arguments.workload or ON_CORES]
            target = arguments.json or cores_path(folder_for(*sources))
            cores(sources, sorted(set(arguments.threads)), arguments.runs, target)
        case "start":
            from benchmarks.results import start_path
            from benchmarks.start import start

            start(arguments.seed, arguments.runs, arguments.json or start_path(RESULTS))
        case "install":
            from benchmarks.install import install
            from benchmarks.results import install_path

            source = _input(PLAIN, arguments)
            install(source, arguments.json or install_path(RESULTS if source.rows == INSTALL_ROWS else TRIALS))
        case "scale":
            from benchmarks.results import folder_for, scaling_path
            from benchmarks.scale import powers, scale

            source = _input(arguments.workload, arguments)
            target = arguments.json or scaling_path(folder_for(source))
            scale(source, arguments.factors, arguments.threads or powers(), arguments.runs, target)
        case "upload":
            from benchmarks.upload import upload

            upload(_input(arguments.workload, arguments), arguments.runs)
        case "levels":
            from benchmarks.levels import levels

            for name in arguments.workload or WORKLOADS:
                levels(_input(name, arguments))
        case "chart":
            from benchmarks.chart import draw

            draw(arguments.results, arguments.to)
        case "all":
            from benchmarks.everything import everything

            everything(arguments.scale, arguments.seed, arguments.runs)
        case "check":
            from benchmarks.check import check

            workloads = [WORKLOADS[name] for name in arguments.workload or ["wide-csv"]]
            return 0 if check(workloads, arguments.rows, arguments.seed) else 1
    return 0


def _input(name: str, arguments: argparse.Namespace, folder: Path = DATA) -> Input:
    workload = WORKLOADS[name]
    return Input(workload, arguments.rows or workload.rows, arguments.seed, folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(
            ["workloads:", *(f"  {each.name:15} {each.title}, {each.rows:,} rows" for each in WORKLOADS.values())]
        ),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    everything = commands.add_parser("all", help="generate, compare, scale and draw, for every workload")
    everything.add_argument(
        "--scale", type=float, default=1.0, help="of the workloads' rows, such as 0.01 (default: %(default)s)"
    )
    everything.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    _add_runs(everything)

    generate = commands.add_parser("generate", help="write a workload's file")
    generate.add_argument("workload", choices=list(WORKLOADS))
    _add_rows(generate)
    generate.add_argument("--to", type=Path, default=DATA, metavar="FOLDER", help="default: benchmarks/data")

    compare = commands.add_parser("compare", help="measure contenders in turns, outputs proven equal")
    compare.add_argument(
        "input", metavar="WORKLOAD|INPUT", help="a workload, generated where it is not there, or the file of one"
    )
    _add_rows(compare)
    compare.add_argument(
        "--contender",
        action="append",
        choices=list(CONTENDERS),
        metavar="NAME",
        help=f"repeatable: {', '.join(CONTENDERS)}; default: all that can do the workload and are installed",
    )
    _add_runs(compare)
    compare.add_argument("--json", type=Path, metavar="FILE", help="where the result is kept")
    compare.add_argument(
        "--profile", action="store_true", help="also print where our CPU seconds go, with the rules and without"
    )

    options = commands.add_parser("options", help="measure ours with each option, beside the plain job")
    _add_rows(options)
    options.add_argument(
        "--option", action="append", choices=list(OPTIONS), metavar="NAME", help=f"repeatable: {', '.join(OPTIONS)}"
    )
    _add_runs(options)
    options.add_argument("--json", type=Path, metavar="FILE", help="where the result is kept")

    cores = commands.add_parser("cores", help="measure CPU seconds of ours by role of threads, and what limits cores")
    cores.add_argument("workload", nargs="*", choices=[*WORKLOADS, []], help=f"default: {', '.join(ON_CORES)}")
    _add_rows(cores)
    cores.add_argument("--threads", type=_count, nargs="+", default=[2, 16], help="run.threads (default: 2 16)")
    _add_runs(cores)
    cores.add_argument("--json", type=Path, metavar="FILE", help="where the result is kept")

    start = commands.add_parser("start", help="measure a job of 1,000 rows beside the import of Polars")
    start.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    start.add_argument("--runs", type=_count, default=15, help="of each command (default: %(default)s)")
    start.add_argument("--json", type=Path, metavar="FILE", help="where the result is kept")

    install = commands.add_parser("install", help="install into an empty environment, and run twice in it")
    _add_rows(install, INSTALL_ROWS)
    install.add_argument("--json", type=Path, metavar="FILE", help="where the result is kept")

    scale = commands.add_parser("scale", help="measure ours at several sizes of input and numbers of threads")
    scale.add_argument("--workload", choices=list(WORKLOADS), default="wide-csv", help="default: %(default)s")
    _add_rows(scale)
    scale.add_argument("--factors", type=_count, nargs="+", default=[1, 2, 4, 8], help="of --rows (default: 1 2 4 8)")
    scale.add_argument("--threads", type=_count, nargs="+", help="default: 1, 2, 4 … up to the cores")
    _add_runs(scale)
    scale.add_argument("--json", type=Path, metavar="FILE", help="where the result is kept")

    upload = commands.add_parser("upload", help="measure ours into a folder and to S3 on this machine")
    upload.add_argument("--workload", choices=list(WORKLOADS), default="wide-csv", help="default: %(default)s")
    _add_rows(upload)
    _add_runs(upload)

    chart = commands.add_parser("chart", help="draw the results as SVG and PNG")
    chart.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="default: benchmarks/results")
    chart.add_argument("--to", type=Path, default=CHARTS, metavar="FOLDER", help="default: benchmarks/charts")

    levels = commands.add_parser("levels", help="measure output by level of gzip, and keep which is most like ours")
    levels.add_argument("workload", nargs="*", choices=[*WORKLOADS, []], help="default: all")
    _add_rows(levels, 200_000)

    check = commands.add_parser("check", help="compare the converter's lines with those of a plain script")
    check.add_argument("workload", nargs="*", choices=[*WORKLOADS, []], help="default: wide-csv")
    _add_rows(check, 1_000_000)

    run = commands.add_parser("run", help="run one contender in this process, unmeasured: for profilers")
    run.add_argument("contender", choices=list(CONTENDERS))
    run.add_argument("input", type=Path, metavar="INPUT", help="for the floor, the lines as text")
    run.add_argument("folder", type=Path, metavar="OUTDIR", help="an empty folder, or one to be made")
    run.add_argument("--workload", choices=list(WORKLOADS), help="what INPUT holds, where its name does not say it")
    run.add_argument("--threads", type=int, default=0, help="held to as many cores (default: one a core)")
    run.add_argument("--option", default="", choices=list(OPTIONS), metavar="NAME", help="of `options`, for ours")
    run.add_argument("--run-threads", type=int, default=0, help="as many threads, on all cores")
    run.add_argument("--tell", type=Path, metavar="FILE", help="write to a file what `cores` needs to know of threads")
    run.add_argument("--profile", action="store_true", help="of ours: print where the CPU seconds went")
    run.add_argument("--level", type=int, help="of gzip, where it can be set (default: the one most like ours)")
    return parser


def _add_rows(parser: argparse.ArgumentParser, default: int | None = None) -> None:
    shown = "%(default)s" if default else "all of the workload's"
    parser.add_argument("--rows", type=_count, default=default, help=f"default: {shown}")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=_count, default=3, help="of each contender (default: %(default)s)")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    main()
