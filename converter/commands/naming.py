"""How the names of a run are chosen: where a second is taken, the next free one is used."""

from __future__ import annotations

import random
import time

from converter.commands.plan import MAX_SECONDS, Plan
from converter.delivery.destinations.base import warnings_of
from converter.delivery.disk_space import check_disk_space
from converter.delivery.hold import PAUSE, Hold, hold_names
from converter.delivery.threads import close_connections
from converter.errors import TAKEN, Finding, codes_of
from converter.sources.origins.base import total_size


def hold_free_names(plan: Plan, hold: Hold, *, own: bool = False, resumed: bool = False) -> tuple[Plan, list[Finding]]:
    """Choose and hold the names of a run; return the plan with these names, and warnings.

    Where a second is taken, the next free one is used, unless the job sets the timestamp or the run is `resumed`. With
    `own`, a run of the same job has died, and its invisible files are no obstacle. Raises `DestinationError`.
    """
    space = check_disk_space(plan.job, plan.limits, plan.destination, total_size(plan.origins))
    try:
        if resumed or not plan.may_move:
            warnings = hold_names(plan.destination, plan.names, hold, own=own or resumed, visible=resumed)
            return plan, [*warnings, *warnings_of(space)]
        for left in reversed(range(MAX_SECONDS)):
            findings = hold.take(plan.destination, plan.names, own=own)
            if not left or not codes_of(findings) or codes_of(findings) - TAKEN:
                break
            plan = plan.next_second()
            if "E-NAME-IN-USE" in codes_of(findings):  # the other run may have withdrawn too, for the same second
                time.sleep(random.uniform(0, PAUSE))  # noqa: S311 - nothing secret
        return plan, warnings_of([*findings, *space])
    except BaseException:
        close_connections(plan.destination)
        raise
