"""`aam-inbound match`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converter.cli import machine
from converter.cli.outcome import Messages, Outcome, Work
from converter.errors import Finding

if TYPE_CHECKING:
    from converter.report.matches import Match


def match(
    crm: Annotated[str, typer.Argument(metavar="CRM", help="The CRM's file, glob (in quotes) or folder.")],
    site_ids: Annotated[str, typer.Argument(metavar="SITE_IDS", help="IDs as the web site sends them, likewise.")],
    *,
    id_: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="The column with the CRM's IDs; else the first one.")
    ] = None,
    site_id: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column with the site's IDs; else the first one.")
    ] = None,
    id_type: Annotated[str, typer.Option(metavar="NAME", help="What kind of IDs they are: crm, gaid, idfa …")] = "crm",
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The CRM's columns have no names; they become column_1, column_2 …")
    ] = False,
    site_no_header: Annotated[
        bool, typer.Option("--site-no-header", help="The site's have none: a plain list of IDs, for example.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Such as input.encoding, site.separator, run.memory; may be repeated."
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the outcome as one object of JSON.")] = False,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write a page of HTML, too.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> Work:
    """Compare the CRM's IDs with those that the web site sends, and recommend the [id] of a job.

    Counts how many match as they are, and how many in lower case, without zeros before them, hashed and so on. Rates
    are of the CRM's distinct IDs. No ID is shown.

    \b
    Examples:
      aam-inbound match crm.csv site_ids.txt --id crm_id --site-no-header
      aam-inbound match 'exports/*.csv.gz' visits.parquet --id crm_id --site-id visitor --json
    """  # noqa: D301 - the mark keeps the lines that follow as they are
    del json_, debug  # `Messages.of` looks for them
    files: dict[str, Any] = {"input": {"path": [crm]}, "site": {"path": [site_ids]}}
    return partial(
        _compared,
        files,
        set_ or [],
        {"column": id_, "site_column": site_id},
        id_type,
        html,
        headless=(no_header, site_no_header),
    )


def _compared(
    files: dict[str, Any],
    settings: list[str],
    columns: dict[str, str | None],
    id_type: str,
    html: str | None,
    messages: Messages,
    *,
    headless: tuple[bool, bool],
) -> Outcome:
    from converter.jobs.document import changes_of, merge
    from converter.jobs.job import Comparison

    asked = Comparison(id_type=id_type, **merge(files, changes_of(settings)))
    machine.before_loading(asked.run.threads)
    from converter.commands.match import match as run
    from converter.commands.match import without_header

    machine.loaded()
    crm, site = (
        without_header(each) if without else each
        for each, without in zip((asked.input, asked.site), headless, strict=True)
    )
    with asked.concealing():
        found = run(
            crm,
            site,
            **columns,
            type_=asked.id_type,
            run=asked.run,
            notify=messages.notice if sys.stderr.isatty() else None,
        )
    if html is not None:
        found.write_html(Path(html))
    warnings = [Finding(each.code, asked.conceal(each.message), asked.conceal(each.hint)) for each in found.warnings]
    return Outcome(
        fields=found.as_dict(), show=partial(_show, found, warnings, messages), warnings=warnings, everything=True
    )


def _show(found: Match, warnings: list[Finding], messages: Messages) -> None:
    messages.warn(warnings)
    if sys.stdout.isatty():
        _draw(found)
        return
    width = max(len(number) for number, _ in found.summary())
    for number, words in found.summary():
        print(f"{number:>{width}}  {words}")
    print()
    widths = [max(len(line[column]) for line in found.table()) for column in range(2)]
    for matched, rate, words in found.table():
        print(f"{matched:>{widths[0]}}  {rate:>{widths[1]}}  {words}")
    print(f"\n{found.block()}")


def _draw(found: Match) -> None:
    from rich.table import Table  # here, since it takes a while: programs have no terminal
    from rich.text import Text

    from converter.cli.console import console

    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(justify="right")
    facts.add_column(overflow="fold")
    for number, words in found.summary():
        facts.add_row(Text(number), Text(words))
    tried = Table(box=None, padding=(0, 2, 0, 0))
    tried.add_column("match", justify="right")
    tried.add_column("of the CRM's", justify="right")
    tried.add_column("how", overflow="fold")
    for line in found.table():
        tried.add_row(*map(Text, line))
    screen = console()
    screen.print(facts, "", tried, "", "Recommended, for the job file:", "", Text(found.block(), style="bold"))
