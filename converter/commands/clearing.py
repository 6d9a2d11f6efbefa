"""The guard of users whose traits are deleted, since they have no signal (`record.empty = "clear"`, C11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.errors import GuardError
from converter.jobs.job import Job
from converter.ledger import Ledger

if TYPE_CHECKING:
    from converter.commands.estimate import Estimate


def check_cleared(job: Job, ledger: Ledger, consequence: str) -> None:
    """Raise `GuardError` where more users are cleared than the job allows.

    `consequence` is a sentence about what was published.
    """
    if not job.report.allows_cleared(ledger.cleared, ledger.read):
        raise _too_many(job, f"{ledger.cleared:,}", f"{ledger.read:,}", consequence)


def of_estimate(job: Job, estimate: Estimate) -> GuardError | None:
    """Return the error that is to be expected by a sample of the rows, if there is one."""
    ledger = estimate.ledger
    rows = estimate.rows or ledger.read
    cleared = round(rows * ledger.cleared / max(ledger.read, 1))
    if job.report.allows_cleared(cleared, rows):
        return None
    about = "" if estimate.is_whole else "about "
    return _too_many(job, f"{about}{cleared:,}", f"{about}{rows:,}", "Nothing was written (--dry-run).")


def _too_many(job: Job, cleared: str, rows: str, consequence: str) -> GuardError:
    return GuardError(
        "E-CLEARED",
        f"{cleared} of {rows} rows have no signal, and would clear their users: all their traits in the data source "
        f"would be deleted (C11). At most {job.report.max_cleared} may be (report.max_cleared).",
        "If that is right, confirm it: --max-cleared with this number, or --yes for any. If not, set record.empty = "
        f"'skip'. {consequence}",
    )
