"""`aam-inbound match`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converter.cli import completion, options
from converter.cli.lines import print_numbers
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading
from converter.errors import Finding

if TYPE_CHECKING:
    from converter.report.matches import Match


def match(
    crm: Annotated[str, typer.Argument(metavar="CRM", help="File, glob (in quotes) or folder with the CRM's IDs.")],
    site_ids: Annotated[str, typer.Argument(metavar="SITE_IDS", help="The same with the IDs that the web site sends.")],
    *,
    id_: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="COLUMN",
            help="Column with the CRM's IDs; by default the first.",
            autocompletion=completion.columns,
        ),
    ] = None,
    site_id: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column with the site's IDs; by default the first.",
            autocompletion=completion.site_columns,
        ),
    ] = None,
    id_type: options.IdType = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The CRM's file has no header; columns are column_1, column_2 …")
    ] = False,
    site_no_header: Annotated[
        bool, typer.Option("--site-no-header", help="The site's file has no header; it may be a plain list of IDs.")
    ] = False,
    set_: options.Settings = None,
    json_: options.Json = False,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Also write an HTML page.")] = None,
    debug: options.Debug = False,
) -> Work:
    """Compare the IDs of a CRM with those that the web site sends, and recommend the [id] of a job.

    Counts the IDs that match unchanged, in lower case, without leading zeros, hashed and so on. Rates are of the
    distinct IDs of the CRM. IDs are not shown.

    \b
    Examples:
      aam-inbound match crm.csv site_ids.txt --id crm_id --site-no-header
      aam-inbound match 'exports/*.csv.gz' visits.parquet --id crm_id --site-id visitor --json
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug  # `Messages.of` reads them
    changes = changes_from({"input.path": [crm], "site.path": [site_ids]}, set_ or ())
    if id_type is not None:
        changes = {"id_type": id_type, **changes}
    return partial(
        _compare, changes, {"column": id_, "site_column": site_id}, html, headless=(no_header, site_no_header)
    )


def _compare(
    changes: dict[str, Any],
    columns: dict[str, str | None],
    html: str | None,
    messages: Messages,
    *,
    headless: tuple[bool, bool],
) -> Outcome:
    from converter.jobs.comparison import Comparison

    comparison = Comparison(**changes)
    with loading(comparison.run.threads):
        from converter.commands.match import match as run
        from converter.commands.match import without_header
        from converter.report.left_out import left_out_notices
    crm, site = (
        without_header(each, comparison.access) if without else each
        for each, without in zip((comparison.input, comparison.site), headless, strict=True)
    )
    with comparison.concealing():
        result = run(
            crm,
            site,
            **columns,
            type_=comparison.id_type,
            run=comparison.run,
            access=comparison.access,
            notify=messages.notice if sys.stderr.isatty() else None,
        )
    result = result._replace(
        left_out=[each._replace(path=comparison.conceal_path(each.path)) for each in result.left_out]
    )
    for notice in left_out_notices(result.left_out):
        messages.notice(notice)
    if html is not None:
        result.write_html(Path(html))
    warnings = [
        Finding(each.code, comparison.conceal(each.message), comparison.conceal(each.hint)) for each in result.warnings
    ]
    return Outcome(
        fields=result.as_dict(), show=partial(_show, result, warnings, messages), warnings=warnings, prints_only=True
    )


def _show(result: Match, warnings: list[Finding], messages: Messages) -> None:
    messages.warn(warnings)
    if sys.stdout.isatty():
        _draw(result)
        return
    print_numbers(result.summary())
    print()
    widths = [max(len(line[column]) for line in result.table()) for column in range(2)]
    for matched, rate, words in result.table():
        print(f"{matched:>{widths[0]}}  {rate:>{widths[1]}}  {words}")
    print(f"\n{result.block()}")


def _draw(result: Match) -> None:
    from rich.table import Table  # here, since it is slow, and programs have no terminal
    from rich.text import Text

    from converter.cli.console import console

    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(justify="right")
    facts.add_column(overflow="fold")
    for number, words in result.summary():
        facts.add_row(Text(number), Text(words))
    tried = Table(box=None, padding=(0, 2, 0, 0))
    tried.add_column("match", justify="right")
    tried.add_column("of the CRM's", justify="right")
    tried.add_column("how", overflow="fold")
    for line in result.table():
        tried.add_row(*map(Text, line))
    screen = console()
    block = Text(result.block(), style="bold")
    screen.print(facts, "", tried, "", "Recommended, for the job file:", "", block, sep="\n")
