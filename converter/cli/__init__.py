"""The command line: one module a command. Only here are typer, printing and exit codes.

A command's function, which typer calls, parses its flags and returns the command's work; `command.run` does that and
prints what has become of it. Commands import what they need when they run, so that `--help` starts quickly.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from converter.delivery import stops


def main() -> NoReturn:
    """Run the command line, and end the process at once.

    Signals are heard before anything else is loaded. At the end of an interpreter threads are waited for, and signals
    kill: nothing of that may change the exit code.
    """
    stops.listen()
    try:
        from converter.cli.command import command

        code = command(sys.argv[1:])
    except BaseException as error:  # it came before anything was begun, or beside another error
        stopped = stops.within(error)
        if stopped is None:
            raise
        from converter.cli.outcome import Messages, Outcome

        code = Messages.of(sys.argv[1:]).end(Outcome.of(stopped))
    os._exit(code)
