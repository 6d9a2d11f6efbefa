"""The commands as typer knows them, and how a command line is parsed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Annotated, Any, NamedTuple, cast

import typer

from converter.cli.completion import asked_by_bash
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.version import version
from converter.errors import JobError

_UsageError = cast("type[Exception]", typer.BadParameter.__base__)  # of click, or of the copy inside typer


class Command(NamedTuple):
    """A command, by the name of its function; `text` is its line in the list of commands.

    `needs_arguments`: without any, its help is shown. `module` is that of the function in this package, if its name is
    another one.
    """

    name: str
    text: str
    needs_arguments: bool = True
    module: str | None = None

    @property
    def word(self) -> str:
        """Return the word for it on the command line."""
        return self.name.replace("_", "-")

    def load(self) -> Callable[..., Any]:
        """Import its function."""
        function: Callable[..., Any] = getattr(import_module(f"{__package__}.{self.module or self.name}"), self.name)
        return function


COMMANDS: tuple[Command, ...] = (
    Command("inspect", "Show what a table holds, and write a first job for it."),
    Command("init", "Inspect a table, ask for the rest, and write a job.", needs_arguments=False),
    Command("convert", "Convert tables into inbound files, and deliver them."),
    Command("send", "Send inbound files that exist: whole or not at all."),
    Command("check", "Check inbound files of any program by Adobe's rules."),
    Command("match", "Find settings with which most IDs are the site's."),
    Command("doctor", "Check the input, folders and destination of a job."),
    Command("sync_urls", "Write addresses that synchronize the IDs of tables."),
    Command("read_outbound", "Read Audience Manager's outbound files into a table."),
    Command("state", "Show and check the state of a job that sends changes."),
    Command("taxonomy", "List the keys of inbound files or jobs, with values."),
    Command("test", "Convert the examples of a job, and compare the lines.", module="examples"),
    Command("receipt", "Compare Audience Manager's receipt with what was sent."),
    Command("report", "Make the page of a report."),
    Command("history", "List the runs of a report folder.", needs_arguments=False),
    Command("explain", "Say what an error, a warning or a rule means."),
    Command("schema", "Print the JSON schema of the job file, or of a run's files.", needs_arguments=False),
)
"""In the order of the help."""


def app_for(args: Sequence[str] = ()) -> typer.Typer:
    """Return the app with only the command that is named first, if one is: to load the others takes a while."""
    app = typer.Typer(
        name="aam-inbound",
        help="Convert CRM tables to the inbound files of Adobe Audience Manager.",
        epilog="Exit codes: 0 done; 1 failed; 2 the command line or the job is wrong; 3 refused, as for more rejects "
        "than --max-rejects allows; 129, 130, 143 stopped by a signal. The command explain says what codes mean.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback(invoke_without_command=True)(_root)
    for command in [each for each in COMMANDS if each.word in args[:1]] or COMMANDS:
        app.command(short_help=command.text, no_args_is_help=command.needs_arguments)(command.load())
    return app


def parsed(args: Sequence[str]) -> Work:
    """Return the work of a command line. Raises `JobError` where the command line is wrong."""
    try:
        with asked_by_bash():
            result = typer.main.get_command(app_for(args)).main(list(args), "aam-inbound", standalone_mode=False)
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
