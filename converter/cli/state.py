"""`aam-inbound state`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converter.cli import options
from converter.cli.lines import print_numbers
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from
from converter.jobs.paths import is_url

if TYPE_CHECKING:
    from converter.commands.state import StateReport


def state(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The folder or s3:// URL of delta.state.")],
    *,
    set_: options.Settings = None,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Show the state of a job that sends changes only, and check that it is whole.

    Reads all of its files. IDs are not shown.

    \b
    Examples:
      aam-inbound state state/crm
      aam-inbound state s3://BUCKET/aam/state/crm --set s3.region=eu-west-1
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug  # `Messages.of` reads them
    return partial(_check, folder, changes_from({}, set_ or ()))


def _check(folder: str, changes: dict[str, Any], messages: Messages) -> Outcome:
    from converter.commands.state import check_state
    from converter.jobs.job import Transfer

    settings = Transfer(**changes, output={"to": folder}).s3 if is_url(folder) else None
    found = check_state(folder, settings)
    return Outcome(
        fields=found.as_dict(), show=partial(_show, found, messages), warnings=found.findings, prints_only=True
    )


def _show(found: StateReport, messages: Messages) -> None:
    from converter.report.texts import counted, figure, size

    messages.warn(found.findings)
    record, days = found.record, [*found.sent]
    sources = ", ".join(
        f"{each['dpid']}" + (f" for {each['target']}" if each["target"] else "") for each in record.sources
    )
    with_what = [what for what, has in (("traits", record.traits), ("user IDs as they are sent", record.ids)) if has]
    print_numbers(
        [
            figure(record.users, "user", f", in {counted(len(record.files), 'file')} ({size(found.bytes)}), whole"),
            ("run", f"{record.run}, on {record.day}"),
            ("source", f"{sources} (kind {record.kind}, mode {record.mode})"),
            *(
                figure(count, "user was", f" {name} then", nouns="users were")
                for name, count in record.counts.items()
                if name in _USERS and count
            ),
            *([("sent", f"last between {days[0]} and {days[-1]}")] if days else []),
            *([("holds", " and ".join(with_what))] if with_what else []),
        ]
    )


_USERS = ("new", "changed", "refreshed", "unchanged", "gone", "removed")
