"""The capability `convert`: a table becomes parts at a destination.

1. Everything that can be known before is checked: the job, the files, their columns, the destination.
2. The last run of the job decides what happens: a new run begins, or that one is finished, or there is nothing to do.
3. The run itself is a `Conversion`.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from converter.commands.account import Account, end_report, noticing
from converter.commands.changes import artifacts_of, hold_state, is_up_to_date, state_notices, state_print
from converter.commands.conversion import Conversion
from converter.commands.encodings import encoding_notices
from converter.commands.failure import FailedRun, visible_parts
from converter.commands.naming import hold_free_names
from converter.commands.plan import Moment, Plan, make_plan, moment_of, owner_of
from converter.commands.progress import Progress
from converter.commands.results import early_report, nothing_done
from converter.commands.resume import fingerprints, next_step, unseen_parts
from converter.commands.retention import remove_old
from converter.commands.warnings import Warnings
from converter.delivery.destinations import destination_of
from converter.delivery.hold import Hold, hold_names
from converter.delivery.journal import Journal, PastRun
from converter.delivery.of_job import delivery_of
from converter.delivery.publication import publish_run
from converter.delivery.state import State
from converter.delivery.state_places import StatePlace, state_place_of
from converter.errors import Finding, InputError, JobError, Reported, note_visible
from converter.jobs.document import Section
from converter.jobs.identity import DIGITS
from converter.jobs.job import Job
from converter.jobs.run_files import journal_name, report_name
from converter.report import Report
from converter.report.left_out import left_out_notices
from converter.sources.opening import find_origins
from converter.spec.names import FileName

if TYPE_CHECKING:
    from converter.sources.frames import Frame

Engine: TypeAlias = Callable[[Journal, Hold, Plan, list[Finding], Account], Conversion]
"""Makes a run of a plan whose names are held, with the findings so far."""


def convert(
    job: Job | str | os.PathLike[str],
    *,
    input: Frame | None = None,  # noqa: A002 - the key of the job that it stands for
    progress: Callable[[Progress], None] | None = None,
    notify: Callable[[str], None] | None = None,
    warn: Callable[[Sequence[Finding]], None] | None = None,
    now: float | None = None,
    resume: bool = False,
    strict: bool = False,
    accept_volume: bool = False,
    rejects_of: str | os.PathLike[str] | None = None,
    engine: Engine = Conversion,
) -> Report:
    """Convert as a job or a job file says and return the report, which is also written to `report.dir`.

    `input` is a frame to read instead of `input.path`: a DataFrame or LazyFrame of Polars, a Table or RecordBatchReader
    of pyarrow, or what gives a stream of Arrow, such as a DataFrame of pandas. Its rows are taken batch by batch.
    `resume` finishes a run of the same job that died; where the last run is finished and the input has not changed
    since, nothing is done, and `outcome` says so. `progress` is called from time to time, in this thread, and `notify`
    with sentences about what is resumed; `warn` with warnings, as soon as they are known and before anything is
    published. With `strict`, a warning is an error. `accept_volume` lets the run read and write any amount
    (`report.max_change`). `rejects_of` is the report of an earlier run, whose rejected rows alone are converted
    (`input.rejects_of`). `engine` makes the run, by default one on this machine. `now` is UNIX seconds, the clock's if
    None. Raises a `ConverterError`, whose `report` is written too; nothing is published then, or the error says what
    is. The rejects are written as well where there were too many.
    """
    job = _for_this_run(Job.of(job), input, rejects_of, accept_volume=accept_volume)
    account = Account(job)
    place = state_place_of(job, account.retries)
    journal = Journal(account.files, journal_name(job))
    moment = moment_of(job, now)
    _name_run(account, job, job.names(moment.timestamp)[0].stem)
    with (
        job.concealing(),
        account.files.lock(journal.name),
        hold_state(place),
        account.ending(),
        Hold(job.output.retry_seconds, account.retries) as hold,
        contextlib.closing(journal),
    ):
        progress, tell_notice, warnings = progress or (lambda _: None), noticing(notify), Warnings(warn, strict=strict)
        hold.on_wait = partial(_show_connecting, account, progress)
        account.warnings += remove_old(account.files, job, job.digest[:DIGITS])
        past = journal.read(resume=resume)
        step = next_step(past, resume=resume, is_same=lambda past: _has_same_input(job, past, input, moment, place))
        if past is None or step == "begin":
            plan = _new_plan(job, moment, input, tell_notice, place)
            named = hold_free_names(plan, hold, own=past is not None and not past.is_done)
            run = engine(journal, hold, *named, account)
            return run.run(partial(run.begin, past), progress, warnings)
        if step == "nothing":
            tell_notice(f"The run {past.run.name} is finished, and its input has not changed since: nothing was done.")
            return nothing_done(job, past.run, account)
        _name_run(account, job, past.run.name)
        if past.report and (finished := _finish(job, journal, past, hold, account, tell_notice, place)):
            return finished
        named = hold_free_names(make_plan(job, _moment_of(past), input, place), hold, resumed=True)
        run = engine(journal, hold, *named, account)
        return run.run(partial(run.resume, past, tell_notice), progress, warnings)


def _new_plan(
    job: Job, moment: Moment, frame: Frame | None, notify: Callable[[str], None], place: StatePlace | None
) -> Plan:
    """Return the plan of a new run, and tell what might be missed of its input."""
    plan = make_plan(job, moment, frame, place)
    for notice in (*left_out_notices(plan.left_out), *encoding_notices(plan.sources, job), *state_notices(job)):
        notify(notice)
    return plan


def _for_this_run(
    job: Job, frame: Frame | None, rejects_of: str | os.PathLike[str] | None, *, accept_volume: bool
) -> Job:
    """Return a job with what arguments change of it. Raises `JobError` unless it or a frame has the input."""
    sections: dict[str, Section] = {}
    if rejects_of is not None:
        sections["input"] = job.input.model_copy(update={"rejects_of": os.fspath(rejects_of)})
    if accept_volume:
        sections["report"] = job.report.model_copy(update={"max_change": "off"})
    job = job.model_copy(update=sections) if sections else job
    if frame is None:
        job.check_path()
    elif job.input.path:
        raise JobError("E-JOB-INVALID", "input.path is set, but a frame is given as input too.", "Leave one out.")
    return job


def _show_connecting(account: Account, progress: Callable[[Progress], None]) -> None:
    """Show that the run waits for the destination before it begins."""
    pause, seconds = account.retries.pause, time.monotonic() - account.since
    retries = sum(account.retries.counts.values())
    waiting = (pause.what, pause.seconds) if pause else ("", None)
    progress(Progress(retries=retries, waiting=waiting[0], waiting_seconds=waiting[1], seconds=seconds))


def _name_run(account: Account, job: Job, name: str) -> None:
    """Let the report be that of the run of this name."""
    account.report_name = report_name(job, name)
    account.describe = lambda error: early_report(job, name, account, error)


def _moment_of(past: PastRun) -> Moment:
    return Moment(past.run.timestamp, datetime.date.fromisoformat(past.run.sent))


def _has_same_input(job: Job, past: PastRun, frame: Frame | None, moment: Moment, place: StatePlace | None) -> bool:
    """Return whether the input has not changed since an earlier run, and no user has become due."""
    has_arrived = past.report is not None and not past.is_done  # every part, so the input is not needed
    try:
        lists = find_origins(job.input.suppress, job.access) if job.input.suppress else []
        current = (
            None if frame is not None else fingerprints(find_origins(job.input, job.access), job.conceal_path, lists)
        )
    except InputError:
        if has_arrived:
            return True
        raise
    if current is None:
        return has_arrived
    if past.is_done:
        return current == _of_files(past) and is_up_to_date(place, past, moment.sent.isoformat())
    if has_arrived:
        return current == _of_files(past)
    return current + state_print(job, State.read(place) if place else None) == past.run.input


def _of_files(past: PastRun) -> list[dict[str, Any]]:
    """Return the fingerprints of files that an earlier run has read, without that of its state."""
    return [each for each in past.run.input if "generation" not in each]


def _finish(
    job: Job,
    journal: Journal,
    past: PastRun,
    hold: Hold,
    account: Account,
    notify: Callable[[str], None],
    place: StatePlace | None,
) -> Report | None:
    """Finish a run that died while it published, and return its report.

    Returns None where some of its parts have disappeared: those have to be made again.
    """
    report = Report.from_dict(past.report or {})
    size = sum(each["bytes"] for each in report.input)
    destination = destination_of(job, _moment_of(past).sent, job.output.max_part_bytes, owner_of(job))
    account.delivery = delivery = delivery_of(job, destination, journal, account.retries)
    is_resumed = False

    def describe(error: Reported | None) -> Report:
        parts = delivery.visible_parts() if error else report.parts
        return replace(report, parts=parts, **account.facts(size, error))

    account.describe = describe
    try:
        hold_names(destination, [FileName.parse(name) for name in past.run.names], hold, own=True, visible=True)
        delivery.resume(past)
        is_resumed = True
        if set(delivery.arrived) != set(past.arrived):
            hold.release()
            delivery.close()
            return None
        notify(f"Resuming {past.run.name}: {len(past.published)} of {len(past.arrived)} parts are visible already.")
        report.warnings.extend(unseen_parts(delivery))
        journal.resume()
        for renewed in account.files_of(describe(None)):
            if renewed.name in past.artifacts:
                renewed.prepare()
        publish_run(past.run, delivery, journal, hold, artifacts_of(past, account.files, place))
    except BaseException as error:
        if not is_resumed:  # what was visible is visible still
            delivery.arrived, delivery.published = dict(past.arrived), set(past.published)
            delivery.made = {number: part for number, (part, _) in past.made.items()}
        FailedRun(delivery, journal, hold).end(error, publishing=True)
        note_visible(error, visible_parts(delivery, job.conceal_path))
        raise
    delivery.close()
    return end_report(account, describe(None))
