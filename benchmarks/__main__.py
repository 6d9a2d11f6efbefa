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
from benchmarks.workload import DATA, RESULTS, ROWS, SEED, WIDE_CSV, file_name


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

            target = arguments.to or DATA / file_name(arguments.rows)
            generate(target, arguments.rows, arguments.seed)
            size = target.stat().st_size
            each = size / arguments.rows
            print(f"{target.name}: {arguments.rows:,} rows, {size:,} bytes, {each:.1f} a row")
        case "run":
            from benchmarks.contenders import run

            run(arguments.contender, arguments.input, arguments.folder)
        case "compare":
            from benchmarks.compare import compare

            names = list(dict.fromkeys(arguments.contender or ["ours", "chdb"]))
            target = arguments.json or RESULTS / f"compare-{arguments.input.stem}.json"
            compare(arguments.input, names, arguments.runs, target)
        case "scale":
            from benchmarks.scale import scale

            scale(arguments.rows, arguments.factors, arguments.seed)
        case "check":
            from benchmarks.check import check

            return 0 if check(arguments.rows, arguments.seed) else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the converter beside other ways, on generated data."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    generate = commands.add_parser("generate", help="write a workload's file")
    generate.add_argument("workload", choices=[WIDE_CSV])
    _add_rows(generate, ROWS)
    generate.add_argument("--to", type=Path, metavar="FILE", help="default: in benchmarks/data")

    run = commands.add_parser("run", help="run one contender in this process, unmeasured")
    run.add_argument("contender", choices=list(CONTENDERS))
    run.add_argument("input", type=Path, metavar="INPUT")
    run.add_argument("folder", type=Path, metavar="OUTDIR", help="an empty folder, or one to be made")

    compare = commands.add_parser("compare", help="measure contenders in turns, outputs proven equal")
    compare.add_argument("input", type=Path, metavar="INPUT")
    compare.add_argument(
        "--contender", action="append", choices=list(CONTENDERS), help="repeatable; default: ours and chdb"
    )
    compare.add_argument("--runs", type=_count, default=3, help="of each contender (default: %(default)s)")
    compare.add_argument("--json", type=Path, metavar="FILE", help="default: in benchmarks/results")

    scale = commands.add_parser("scale", help="measure the converter at several sizes of input")
    _add_rows(scale, 1_000_000)
    scale.add_argument("--factors", type=_count, nargs="+", default=[1, 2], help="of --rows (default: 1 2)")

    check = commands.add_parser("check", help="compare the converter's lines with those of a plain script")
    _add_rows(check, 1_000_000)
    return parser


def _add_rows(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument("--rows", type=_count, default=default, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    main()
