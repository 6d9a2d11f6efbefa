"""The command line: one module for each command. Only here are typer, printing and exit codes.

The function of a command, which typer calls, parses options and returns the work to do; `command.run` does it and
prints the outcome. Commands import what they need when they run, so that `--help` starts quickly.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from converter.delivery import stops


def main() -> NoReturn:
    """Run the command line, and end the process without further cleanup.

    Signals are handled before anything else is loaded. The regular end of an interpreter waits for threads, and signals
    kill it meanwhile, which could change the exit code.
    """
    stops.listen()
    try:
        from converter.cli.command import command

        code = command(sys.argv[1:])
    except BaseException as error:  # a signal before the command started, or during another error
        stopped = stops.within(error)
        if stopped is None:
            raise
        from converter.cli.outcome import Messages, Outcome

        code = Messages.of(sys.argv[1:]).end(Outcome.of(stopped))
    os._exit(code)
