"""`aam-inbound explain`."""

from __future__ import annotations

import textwrap
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from converter.cli import completion, options
from converter.cli.outcome import Messages, Outcome, Work

if TYPE_CHECKING:
    from converter.commands.explain import Explanation


def explain(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="CODE…",
            help="Codes of messages (E-S3-BUSY), and names or codes of rules (id_missing, C7).",
            autocompletion=completion.codes,
        ),
    ],
    *,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Say what an error, a warning or a rule means, and what to do about it.

    \b
    Examples:
      aam-inbound explain E-S3-DENIED
      aam-inbound explain id_is_email C7
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug  # `Messages.of` reads them
    return partial(_explain, names)


def _explain(names: list[str], messages: Messages) -> Outcome:
    del messages
    from converter.commands.explain import explain

    found = explain(names)
    return Outcome(
        fields={"explanations": [each._asdict() for each in found]}, show=partial(_show, found), prints_only=True
    )


def _show(found: list[Explanation]) -> None:
    from converter.cli.console import console

    width = console().width
    for number, each in enumerate(found):
        if number:
            print()
        code = "" if each.code == each.name else f" ({each.code})"
        print(textwrap.fill(f"{each.name}{code}: {each.meaning}", width, break_on_hyphens=False))
        about = (
            ("", each.effect),
            ("What to do: ", each.remedy),
            ("Adobe's page: ", each.source),
            ("In the documentation: ", each.page),
        )
        for title, text in about:
            if text:
                print(_indented(f"{title}{text}", width))


def _indented(text: str, width: int) -> str:
    return textwrap.fill(
        text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )
