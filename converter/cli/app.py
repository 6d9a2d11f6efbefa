"""The commands as typer knows them, and how a command line is parsed."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Sequence
from functools import partial
from typing import Annotated, cast

import typer

from converter.cli.check import check
from converter.cli.completion import asked_by_bash
from converter.cli.convert import convert
from converter.cli.doctor import doctor
from converter.cli.examples import test
from converter.cli.explain import explain
from converter.cli.history import history
from converter.cli.init import init
from converter.cli.inspect import inspect
from converter.cli.match import match
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.read_outbound import read_outbound
from converter.cli.receipt import receipt
from converter.cli.report import report
from converter.cli.schema import schema
from converter.cli.send import send
from converter.cli.state import state
from converter.cli.sync_urls import sync_urls
from converter.cli.taxonomy import taxonomy
from converter.cli.version import version
from converter.errors import JobError

_UsageError = cast("type[Exception]", typer.BadParameter.__base__)  # of click, or of the copy inside typer

app = typer.Typer(
    name="aam-inbound",
    help="Convert CRM tables to the inbound files of Adobe Audience Manager.",
    epilog="Exit codes: 0 done; 1 failed; 2 the command line or the job is wrong; 3 refused, as for more rejects than "
    "--max-rejects allows; 129, 130, 143 stopped by a signal. The command explain says what codes mean.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command(short_help="Show what a table holds, and write a first job for it.", no_args_is_help=True)(inspect)
app.command(short_help="Inspect a table, ask for the rest, and write a job.")(init)
app.command(short_help="Convert tables into inbound files, and deliver them.", no_args_is_help=True)(convert)
app.command(short_help="Send inbound files that exist: whole or not at all.", no_args_is_help=True)(send)
app.command(short_help="Check inbound files of any program by Adobe's rules.", no_args_is_help=True)(check)
app.command(short_help="Find settings with which most IDs are the site's.", no_args_is_help=True)(match)
app.command(short_help="Check the input, folders and destination of a job.", no_args_is_help=True)(doctor)
app.command(short_help="Write addresses that synchronize the IDs of tables.", no_args_is_help=True)(sync_urls)
app.command(short_help="Read Audience Manager's outbound files into a table.", no_args_is_help=True)(read_outbound)
app.command(short_help="Show and check the state of a job that sends changes.", no_args_is_help=True)(state)
app.command(short_help="List the keys of inbound files or jobs, with values.", no_args_is_help=True)(taxonomy)
app.command(short_help="Convert the examples of a job, and compare the lines.", no_args_is_help=True)(test)
app.command(short_help="Compare Audience Manager's receipt with what was sent.", no_args_is_help=True)(receipt)
app.command(short_help="Make the page of a report.", no_args_is_help=True)(report)
app.command(short_help="List the runs of a report folder.")(history)
app.command(short_help="Say what an error, a warning or a rule means.", no_args_is_help=True)(explain)
app.command(short_help="Print the JSON schema of the job file, or of a run's files.")(schema)


def parsed(args: Sequence[str]) -> Work:
    """Return the work of a command line. Raises `JobError` where the command line is wrong."""
    try:
        with asked_by_bash():
            result = typer.main.get_command(_app_for(args)).main(list(args), "aam-inbound", standalone_mode=False)
    except SystemExit as end:  # shell completion
        result = end.code or 0
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show(sys.stderr)  # type: ignore[attr-defined] # of click
            result = 2
        else:
            raise _usage_error(error) from error
    if callable(result):
        return cast("Work", result)
    return partial(_printed, result if isinstance(result, int) else 0)


def _app_for(args: Sequence[str]) -> typer.Typer:
    """Return the app with only the command that is named first, if one is: to build the others takes a while."""
    named = [
        each
        for each in app.registered_commands
        if args and each.callback and typer.main.get_command_name(each.callback.__name__) == args[0]
    ]
    one = copy.copy(app)
    one.registered_commands = named or app.registered_commands
    return one


def _printed(exit_code: int, messages: Messages) -> Outcome:
    """Return the outcome of a command line that typer has handled itself: help, completion."""
    del messages
    return Outcome(exit_code=exit_code, prints_only=True)


def _usage_error(error: Exception) -> JobError:
    message = error.format_message()  # type: ignore[attr-defined] # of click
    message = re.sub(r"Input should be a valid integer\b.*", "a whole number is needed", message).rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "aam-inbound"
    return JobError("E-USAGE", message if message.endswith("?") else f"{message}.", f"See: {path} --help.")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version_: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --version: also that of Python and libraries, and the loops in use.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="With --version: print all of it as one JSON object.")] = False,
) -> Work | None:
    """Convert CRM tables to the inbound files of Adobe Audience Manager."""
    if context.invoked_subcommand and not (version_ or verbose or json_):
        return None
    if version_ and not context.invoked_subcommand:
        return partial(version, verbose=verbose)
    raise _UsageError("--verbose and --json before a command belong to --version, which takes no command.", context)
