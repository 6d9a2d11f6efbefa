"""The command line: one module a command. Only here are typer, printing and exit codes.

Commands import what they need when they run, so that `--help` starts quickly.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from converter._version import __version__
from converter.cli.convert import convert
from converter.cli.doctor import doctor
from converter.cli.lines import error_line
from converter.cli.match import match
from converter.cli.schema import schema
from converter.cli.send import send
from converter.cli.sync_urls import sync_urls
from converter.cli.trace import traced
from converter.errors import Reported, ResourcesError

app = typer.Typer(
    name="aam-inbound",
    help="Turn CRM tables into the inbound files that Adobe Audience Manager accepts.",
    epilog="Exit codes: 0 done; 1 failed; 2 the command line or the job is wrong; 3 more rejects than "
    "--max-rejects allows; 130, 143 stopped by a signal.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command(no_args_is_help=True)(convert)
app.command(no_args_is_help=True)(send)
app.command(no_args_is_help=True)(match)
app.command(no_args_is_help=True)(doctor)
app.command(no_args_is_help=True)(sync_urls)
app.command()(schema)


def _version(value: bool) -> None:
    if value:
        print(f"aam-inbound {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Turn CRM tables into the inbound files that Adobe Audience Manager accepts."""


def main() -> None:
    """Run the command line; errors become one sentence on standard error and an exit code."""
    gc.disable()  # until all is loaded: nearly all of it stays, and looking it through is a tenth of the start
    debug = "--debug" in sys.argv
    if not debug:
        _silence_libraries()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character gets a question mark
    try:
        with _resources():
            app(prog_name="aam-inbound")
    except Reported as error:
        if debug:
            print("".join(traced(error)), end="", file=sys.stderr)
        print(error_line(error), file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("Stopped: nothing was published and no partial file is left.", file=sys.stderr)
        sys.exit(130)


@contextlib.contextmanager
def _resources() -> Iterator[None]:
    """Tell of missing memory and threads in a sentence, wherever in the program it was that they were missing."""
    try:
        yield
    except MemoryError as error:
        raise ResourcesError(
            "E-MEMORY",
            "The memory does not suffice.",
            "Allow the process more (ulimit -v, the limits of the container), "
            "or let it do less at once: --set run.threads=1.",
        ) from error
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise ResourcesError(
            "E-THREADS",
            "The system does not let the process start another thread.",
            "Allow it more threads or more memory (ulimit -u, ulimit -v, the limits of the container).",
        ) from error


def _silence_libraries() -> None:
    """Keep standard error for ourselves.

    Below Python, libraries write there as well: a damaged file that brings one to panic would print its trace, which
    may quote the data, beside the one sentence.
    """
    if not isinstance(sys.stderr, io.TextIOWrapper):  # it was closed when the command was started
        return
    ours = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding, buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)
    sys.stderr = ours
