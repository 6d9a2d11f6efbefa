"""How the numbers of the receipt, and signals that no trait takes, are printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from converter.cli.files import write_file
from converter.cli.lines import print_numbers
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from
from converter.columns.printable import cut
from converter.errors import InputError, JobError
from converter.jobs.paths import exists, is_file, is_folder, is_url

if TYPE_CHECKING:
    from converter.report.foreseen import Foreseen

_MOST = 20
_WIDTH = 60


def with_traits(
    work: Work,
    files: Sequence[str],
    job_file: str | None,
    settings: Iterable[str],
    *,
    traits: str | None,
    lost: str | None,
) -> Work:
    """Return work that also compares the signals of files with a list of traits, if one is named.

    The files are read with the settings of a job file, if there is one, and others. `lost` is the path of a CSV file
    for the signals that are not realized.
    """
    if traits is None:
        if lost is not None:
            raise JobError("E-USAGE", "--unused needs --traits.", "See: aam-inbound check --help.")
        return work

    def both(messages: Messages) -> Outcome:
        for file in files:
            if not is_url(file) and exists(file) and not (is_file(file) or is_folder(file)):
                raise InputError(
                    "E-INPUT-ONCE",
                    f"The input '{file}' can be read only once, but --traits reads it twice.",
                    "Copy it to a file first.",
                )
        outcome = work(messages)
        from converter.commands.foresee import foresee  # here, since few checks need it
        from converter.jobs.file_access import FileAccess

        changes = changes_from({}, settings)
        access = FileAccess.load(job_file, changes) if job_file else FileAccess(**changes)
        try:
            found = foresee(files, traits, access, notify=messages.notice)
        except InputError as error:
            if error.code not in (
                "E-INPUT-DAMAGED",
                "E-NO-SIGNALS",
            ):  # of which the check says more
                raise
            messages.notice(str(error))
            return replace(outcome, fields={**outcome.fields, "foreseen": None})
        if lost is not None:
            write_file(lost, found.csv())

        def show_both() -> None:
            outcome.show()
            if not messages.quiet:
                show(found)

        return replace(outcome, fields={**outcome.fields, "foreseen": found.as_dict()}, show=show_both)

    return both


def show(found: Foreseen) -> None:
    """Print the numbers, and the most frequent signals that are not realized."""
    print("The receipt of Audience Manager, as far as it is known:")
    print_numbers([(f"  {number}", words) for number, words in found.lines()])
    for reason in found.reasons:
        print(f"  rule not understood: {cut(reason, 2 * _WIDTH)}")
    if found.lost:
        print("Signals that are not realized:")
        print(f"  {'count':>12}  {'why':<17}  signal")
    for each in found.lost[:_MOST]:
        print(f"  {each.count:>12,}  {each.fate:<17}  {cut(f'{each.key} = {each.value}', _WIDTH)}")
    if len(found.lost) > _MOST:
        print(f"  {'…':>12}  and {len(found.lost) - _MOST:,} more: --unused FILE writes all of them")
