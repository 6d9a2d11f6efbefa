"""How the names of a run are fixed: a second that is taken means the next free one."""

from __future__ import annotations

import random
import time

from converter.commands.plan import MAX_SECONDS, Plan
from converter.delivery.delivery import closed, warnings_of
from converter.delivery.disk_space import check_disk_space
from converter.delivery.hold import PAUSE, Hold, held
from converter.errors import TAKEN, Finding, codes_of
from converter.sources.origins.base import total_size


def fixed(plan: Plan, hold: Hold, *, own: bool = False, resumed: bool = False) -> tuple[Plan, list[Finding]]:
    """Fix the names of a run and hold them; return the plan with those names, and warnings.

    A second that is taken means the next free one, unless the job says which, or the run is `resumed`. `own` says that
    a run of the same job has died, so that what it left out of sight is no obstacle. Raises `DestinationError`.
    """
    room = check_disk_space(plan.job, plan.limits, plan.destination, total_size(plan.origins))
    try:
        if resumed or not plan.may_move:
            found = held(plan.destination, plan.names, hold, own=own or resumed, visible=resumed)
            return plan, [*found, *warnings_of([room])]
        for left in reversed(range(MAX_SECONDS)):
            findings = hold.take(plan.destination, plan.names, own=own)
            if not left or not codes_of(findings) or codes_of(findings) - TAKEN:
                break
            plan = plan.next_second()
            if "E-NAME-IN-USE" in codes_of(findings):  # its run may have seen this one, and go on to the same second
                time.sleep(random.uniform(0, PAUSE))  # noqa: S311
        return plan, warnings_of([*findings, room])
    except BaseException:
        closed(plan.destination)
        raise
